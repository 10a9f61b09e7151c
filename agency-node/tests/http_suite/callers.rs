//! Who asks: signatures, rights, quotas, idempotency keys.

use std::time::{Duration, Instant};

use zkbureau_agency_node::http::Settings;
use zkbureau_agency_node::http::settings::{Quota, Quotas};
use zkbureau_circuits::encoding::Document;
use zkbureau_ledger::ids::Day;
use zkbureau_ledger::keys::SecretKey;
use zkbureau_ledger::transaction::{Change, GovernanceVote, Proposal, SetPower, Transaction};

use crate::server::{PROPOSER, Served};
use crate::signing::{Signing, send};
use crate::support::http::{get, raw, request};

const TRANSACTIONS: &str = "/v1/transactions";

#[test]
fn an_operator_signs_and_everybody_else_is_told_how() {
    let operator = Signing::new(1);
    let client = Signing::new(2);
    let served = Served::new(Settings {
        operator_keys: vec![operator.public()],
        client_keys: vec![client.public()],
        ..Settings::default()
    });
    let refused = served.get("/metrics");
    let problem = refused.problem(401);
    assert_eq!(problem["type"], "urn:zkbureau:problem:signature");
    assert!(
        refused
            .header("accept-signature")
            .unwrap()
            .contains("@method")
    );
    assert!(served.get("/v1/status").json()["node"].is_null());

    let metrics = operator.send(&served, "GET", "/metrics", &[]);
    assert_eq!(metrics.status, 200);
    let status = operator.send(&served, "GET", "/v1/status", &[]).json();
    assert_eq!(status["node"]["waiting"], 0, "{status}");
    assert_eq!(status["node"]["vaults"][1]["agency"], 2);
    assert_eq!(served.get("/v1/status").json()["height"], status["height"]);

    // A known key that is no operator's, and a key that nobody knows.
    client.send(&served, "GET", "/metrics", &[]).problem(401);
    Signing::new(3)
        .send(&served, "GET", "/metrics", &[])
        .problem(401);
    assert!(client.send(&served, "GET", "/v1/status", &[]).json()["node"].is_null());
    let name = format!("localhost:{}", served.address().rsplit(':').next().unwrap());
    let local = Signing {
        authority: Some(name),
        ..Signing::new(1)
    };
    assert_eq!(local.send(&served, "GET", "/metrics", &[]).status, 200);
}

#[test]
fn a_signature_counts_once_here_now_and_for_what_was_signed() {
    let operator = Signing::new(1);
    let served = Served::new(Settings {
        operator_keys: vec![operator.public()],
        ..Settings::default()
    });
    let path = "/metrics";
    let headers = operator.headers(&served, "GET", path, &[]);
    assert_eq!(send(&served, "GET", path, &headers, &[]).status, 200);
    let again = send(&served, "GET", path, &headers, &[]).problem(401);
    assert!(
        again["detail"].as_str().unwrap().contains("nonce"),
        "{again}"
    );
    // Another path, a changed signature, half of it.
    let headers = operator.headers(&served, "GET", path, &[]);
    send(&served, "GET", "/v1/status", &headers, &[]).problem(401);
    let mut forged = headers.clone();
    let signature = forged[3].1.replace("sig=:", "sig=:AAAA");
    forged[3].1 = format!("{}:", &signature[..signature.len() - 5]);
    assert!(matches!(
        send(&served, "GET", path, &forged, &[]).status,
        400 | 401
    ));
    assert_eq!(
        send(&served, "GET", path, &headers[..3], &[]).problem(400)["field"],
        "signature"
    );
    // Said to another node, said long ago, said in the future.
    for bad in [
        Signing {
            authority: Some("other.example".into()),
            ..Signing::new(1)
        },
        Signing {
            late: 301,
            ..Signing::new(1)
        },
        Signing {
            late: -302,
            ..Signing::new(1)
        },
        Signing {
            nonce: Some("short".into()),
            ..Signing::new(1)
        },
    ] {
        bad.send(&served, "GET", path, &[]).problem(401);
    }
    // A body that is not the one that was signed.
    let good = served.anchor().to_bytes();
    let headers = operator.headers(&served, "POST", TRANSACTIONS, &good);
    let other = served.anchor().to_bytes();
    let problem = send(&served, "POST", TRANSACTIONS, &headers, &other).problem(400);
    assert_eq!(problem["field"], "content-digest");
    let headers = operator.headers(&served, "POST", TRANSACTIONS, &good);
    assert_eq!(
        send(&served, "POST", TRANSACTIONS, &headers, &good).status,
        202
    );
}

#[test]
fn requests_are_counted_by_address_or_by_known_key() {
    let known = Signing::new(5);
    let served = Served::new(Settings {
        client_keys: vec![known.public()],
        quota: Quotas {
            address: Quota::new(1, 5),
            key: Quota::new(1, 8),
            ..Quotas::default()
        },
        ..Settings::default()
    });
    let start = Instant::now();
    let statuses: Vec<u16> = (0..30).map(|_| served.get("/v1/status").status).collect();
    let passed = statuses.iter().filter(|s| **s == 200).count() as u64;
    assert!(
        (5..=6 + start.elapsed().as_secs()).contains(&passed),
        "{statuses:?}"
    );
    let refused = served.get("/v1/genesis");
    let problem = refused.problem(429);
    assert_eq!(problem["type"], "urn:zkbureau:problem:quota");
    assert_eq!(problem["limit"], 1);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&wait));

    // Keys that nobody knows are the address; a known one has its own bucket.
    assert_eq!(
        Signing::new(6)
            .send(&served, "GET", "/v1/status", &[])
            .status,
        429
    );
    let start = Instant::now();
    let passed = (0..20)
        .filter(|_| known.send(&served, "GET", "/v1/status", &[]).status == 200)
        .count() as u64;
    assert!(
        (8..=9 + start.elapsed().as_secs()).contains(&passed),
        "{passed}"
    );
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(served.get("/v1/status").status, 200, "a token came back");
}

#[test]
fn an_agencys_key_on_the_ledger_is_known() {
    let served = Served::new(Settings {
        quota: Quotas {
            address: Quota::new(1, 1),
            ..Quotas::default()
        },
        ..Settings::default()
    });
    let seed = served.node.agencies[&crate::server::PROPOSER]
        .keys()
        .validator()
        .to_seed();
    let mut agency = Signing::new(0);
    agency.key = ed25519_dalek::SigningKey::from_bytes(&seed);
    while served.get("/v1/status").status == 200 {}
    for _ in 0..5 {
        assert_eq!(agency.send(&served, "GET", "/v1/status", &[]).status, 200);
    }
}

#[test]
fn strangers_cannot_make_the_node_verify_signatures_for_ever() {
    let known = Signing::new(5);
    let served = Served::new(Settings {
        client_keys: vec![known.public()],
        ..Settings::default()
    });
    let mut headers = known.headers(&served, "GET", "/v1/status", &[]);
    headers[3].1 = format!("sig=:{}:", "A".repeat(86) + "==");
    let statuses: Vec<u16> = (0..80)
        .map(|_| send(&served, "GET", "/v1/status", &headers, &[]).status)
        .collect();
    assert_eq!(statuses[0], 401);
    assert_eq!(statuses.last(), Some(&429));
    // Nothing more is verified for this address, good or bad, and what cannot be read counts as well.
    let good = || known.send(&served, "GET", "/v1/status", &[]).status;
    let used_up = || send(&served, "GET", "/v1/status", &headers, &[]).status == 429;
    // A strike is forgiven every second, perhaps just between the two.
    assert!((0..100).any(|_| used_up() && good() == 429));
    assert_eq!(
        served.get("/v1/status").status,
        200,
        "unsigned requests go on"
    );
    let start = Instant::now();
    while good() != 200 {
        assert!(start.elapsed() < Duration::from_secs(30), "for ever");
        std::thread::sleep(Duration::from_millis(100));
    }
    headers[2].1 = "sig=(((".into();
    let statuses: Vec<u16> = (0..80)
        .map(|_| send(&served, "GET", "/v1/status", &headers, &[]).status)
        .collect();
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[test]
fn a_request_over_its_keys_quota_does_not_use_up_its_nonce() {
    let known = Signing::new(5);
    let served = Served::new(Settings {
        client_keys: vec![known.public()],
        quota: Quotas {
            key: Quota::new(1, 1),
            ..Quotas::default()
        },
        ..Settings::default()
    });
    let headers = loop {
        let headers = known.headers(&served, "GET", "/v1/status", &[]);
        if send(&served, "GET", "/v1/status", &headers, &[]).status == 429 {
            break headers;
        }
    };
    let start = Instant::now();
    let status = loop {
        match send(&served, "GET", "/v1/status", &headers, &[]).status {
            429 => std::thread::sleep(Duration::from_millis(100)),
            status => break status,
        }
        assert!(start.elapsed() < Duration::from_secs(30), "for ever");
    };
    assert_eq!(status, 200);
}

/// What a page in a browser on the operator's machine can send, and a client of a proxy there.
#[test]
fn only_who_means_this_machine_is_its_operator() {
    let served = Served::with(Settings::default());
    let fields = |field| [("host", served.address()), field];
    let ask = |headers: &[(&str, &str)]| request(&served.url, "GET", "/metrics", headers, &[]);
    let register = |headers: &[(&str, &str)]| {
        request(
            &served.url,
            "POST",
            "/v1/agencies/1/cards",
            headers,
            &[1; 9],
        )
    };
    assert_eq!(ask(&[]).status, 200);
    assert_eq!(register(&[]).problem(400)["field"], "body");
    for passed in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("forwarded", "for=192.0.2.1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-real-ip", "192.0.2.1"),
        ("via", "1.1 proxy"),
    ] {
        let passed = fields(passed);
        ask(&passed).problem(401);
        register(&passed).problem(401);
        let status = request(&served.url, "GET", "/v1/status", &passed, &[]);
        assert!(status.json()["node"].is_null(), "{passed:?}");
    }
    // DNS rebinding: the connection is to this machine, the name is not.
    let rebound = [("host", "evil.example:7600")];
    ask(&rebound).problem(401);
    register(&rebound).problem(401);
    // A form can be posted without being asked first, but not as canonical bytes.
    let body = served.anchor().to_bytes();
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let headers = [("content-type", kind)];
        let refused = request(&served.url, "POST", TRANSACTIONS, &headers, &body);
        assert_eq!(refused.problem(415)["field"], "content-type");
    }
    let head = format!(
        "POST {TRANSACTIONS} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let refused = raw(&served.url, head.as_bytes(), &body);
    assert_eq!(refused.problem(415)["field"], "content-type");
}

#[test]
fn anchors_have_a_small_quota_of_their_own() {
    let served = Served::new(Settings {
        quota: Quotas {
            anchors: Quota::new(1, 2),
            ..Quotas::default()
        },
        ..Settings::default()
    });
    for _ in 0..2 {
        assert_eq!(served.post_transaction(&served.anchor()).status, 202);
    }
    let more: Vec<_> = (0..5)
        .map(|_| served.post_transaction(&served.anchor()))
        .collect();
    let refused = more.iter().find(|a| a.status == 429).expect("a refusal");
    assert_eq!(refused.problem(429)["field"], "consent anchors");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(served.get("/v1/status").status, 200);
}

#[test]
fn this_machines_own_clients_are_not_counted() {
    let served = Served::with(Settings {
        quota: Quotas {
            address: Quota::new(1, 1),
            key: Quota::new(1, 1),
            anchors: Quota::new(1, 1),
        },
        ..Settings::default()
    });
    for _ in 0..10 {
        assert_eq!(served.get("/metrics").status, 200);
        assert_eq!(served.post_transaction(&served.anchor()).status, 202);
    }
}

#[test]
fn an_idempotency_key_gives_the_same_answer_again() {
    let served = Served::new(Settings::default());
    let post = |key: &str, body: &[u8]| {
        let headers = [("idempotency-key", key)];
        request(&served.url, "POST", TRANSACTIONS, &headers, body)
    };
    let (first, second) = (served.anchor(), served.anchor());
    let answer = post("one", &first.to_bytes());
    assert_eq!(answer.status, 202);
    assert_eq!(served.node.pool().len(), 1);
    let again = post("one", &first.to_bytes());
    assert_eq!((again.status, &again.body), (202, &answer.body));
    let problem = post("one", &second.to_bytes()).problem(422);
    assert_eq!(problem["field"], "idempotency-key");
    assert_eq!(post("two", &second.to_bytes()).status, 202);
    // What cannot be read is not kept, and leaves its key free.
    let cut = &first.to_bytes()[..20];
    assert_eq!(post("cut", cut).status, 400);
    assert_eq!(post("cut", &first.to_bytes()).status, 202);
    // A refusal is an answer, too, unless a block can change it: who votes the ledger says.
    let proposal = Proposal {
        title: "nothing".into(),
        expires: Day(served.node.ledger.tip().time_ms.day().0 + 7),
        changes: vec![Change::SetPower(SetPower {
            agency: PROPOSER,
            power: 2,
        })],
    };
    let key = SecretKey::from_seed(&[1; 32]);
    let chain = *served.node.ledger.chain_id();
    let vote: Transaction = GovernanceVote::sign(&chain, PROPOSER, proposal, &key).into();
    let refused = post("vote", &vote.to_bytes()).problem(422);
    assert_eq!(refused["field"], "signature");
    assert_eq!(post("vote", &first.to_bytes()).status, 202);
    for bad in ["", &"x".repeat(129)] {
        let problem = post(bad, cut).problem(400);
        assert_eq!(problem["field"], "idempotency-key");
    }
    // The same key on another route is another request.
    let asks = "/v1/agencies/1/asks";
    let answer = request(
        &served.url,
        "POST",
        asks,
        &[("idempotency-key", "one")],
        &[1; 40],
    );
    assert_eq!(answer.status, 400);
    assert_ne!(answer.json()["field"], "idempotency-key");
}

#[test]
fn a_full_queue_says_when_to_come_back() {
    let served = Served::with(Settings::default());
    let mut full = None;
    // The smallest limit is that of the queue for small transactions; fill it from within.
    for _ in 0..100_000 {
        match served.node.submit(anchor_of(&served)) {
            Ok(_) => {}
            Err(error) => {
                full = Some(error.to_string());
                break;
            }
        }
    }
    let full = full.expect("the queue is bounded");
    let answer = served.post_transaction(&anchor_of(&served));
    let problem = answer.problem(429);
    assert_eq!(problem["type"], "urn:zkbureau:problem:queue-full", "{full}");
    assert!(problem["limit"].as_u64().is_some());
    assert!(problem["field"].is_string(), "{problem}");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(wait >= 1);
    assert_eq!(get(&served.url, "/v1/status").status, 200);
}

fn anchor_of(served: &Served) -> zkbureau_ledger::transaction::Transaction {
    use rand_core::{OsRng, RngCore as _};
    let zkbureau_ledger::transaction::Transaction::AnchorConsent(mut anchor) = served.anchor()
    else {
        unreachable!("an anchor");
    };
    OsRng.fill_bytes(&mut anchor.commitment);
    anchor.into()
}
