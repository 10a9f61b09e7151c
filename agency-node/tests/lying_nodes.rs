//! Nodes that lie, hide and hang, in front of a real one: a client accepts nothing from them, says
//! which node and why, and gets its way as soon as one honest node is in the list.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod support;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rand_core::OsRng;
use support::clients::enrolled;
use support::http::{self, Answer};
use support::proxy::{Asked, Proxy, Reply};
use support::{Net, people};
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::fact::{HitPolicy, Verdict};
use zkbureau_client::audit::{self, audit};
use zkbureau_client::borrower::{
    AnswerOptions, BorrowerError, ConsentOptions, Failure, answer, consent,
};
use zkbureau_client::chain::Chain;
use zkbureau_client::files::{LenderKeys, read_genesis, read_signing_key};
use zkbureau_client::lender::{Ask, DEFAULT_MAX_AGE_MS, make_request, verify};
use zkbureau_client::nodes::{Nodes, NodesError, Options};
use zkbureau_client::report::report;
use zkbureau_client::time::now;
use zkbureau_client::wallet::{AnchorUse, Wallet};
use zkbureau_ledger::block::SignedHeader;
use zkbureau_ledger::document::request::{FactRequest, InquiryType};
use zkbureau_ledger::ids::{AnchorId, DAY_MS, TimeMs};
use zkbureau_ledger::state::Roots;
use zkbureau_ledger::transaction::Transaction;

const PERSON: &str = "P00001";
const MONTH: &str = "2024-03";

/// A running node with two agencies' files published, and an enrolled borrower.
struct World {
    net: Net,
    node: support::Node,
    chain: Chain,
    lender: LenderKeys,
    wallet: Wallet,
}

impl World {
    fn new() -> Self {
        let net = Net::new(2);
        let node = net.start_with(&["--heartbeat", "1"], None).unwrap();
        for agency in [1, 2] {
            let (text, _) = people::file(120, agency.into());
            let file = net.write(&format!("agency-{agency}.csv"), &text);
            net.import(agency, &file, MONTH);
        }
        Self {
            chain: chain(&net),
            lender: LenderKeys::random(&mut OsRng),
            wallet: enrolled(&net, "wallet", PERSON),
            net,
            node,
        }
    }

    fn request(&self) -> FactRequest {
        let facts = ["total(balance) <= 100000000".to_owned()];
        let ask = Ask {
            lender_name: "First Bank".into(),
            purpose: "a loan".into(),
            inquiry_type: InquiryType::Soft,
            subject: self.wallet.person(),
            facts: &facts,
            scores: &[],
            cards: &[],
            agencies: None,
            as_of: MONTH.parse().unwrap(),
            hit_policy: HitPolicy::NoHit,
            expires: TimeMs(now().0 + DAY_MS),
        };
        make_request(&self.chain, &self.lender, ask, now(), &mut OsRng).unwrap()
    }
}

fn chain(net: &Net) -> Chain {
    let genesis = read_genesis(&net.data().join("genesis.json")).unwrap();
    Chain::from_genesis(genesis).unwrap()
}

fn options(uses: u32) -> ConsentOptions {
    ConsentOptions {
        uses,
        days: 30,
        templates: Vec::new(),
        earliest: None,
        frequency_per_day: None,
    }
}

/// Changes the header in an answer, its certificate left as it is.
fn header(mut answer: Answer, change: impl FnOnce(&mut SignedHeader)) -> Answer {
    if let Ok(mut signed) = SignedHeader::from_bytes(&answer.body) {
        change(&mut signed);
        answer.body = signed.to_bytes();
    }
    answer
}

fn flip(mut answer: Answer, at: usize) -> Answer {
    if let Some(byte) = answer.body.get_mut(at) {
        *byte ^= 1;
    }
    answer
}

fn is(asked: &Asked, prefix: &str) -> bool {
    asked.path.starts_with(prefix)
}

type Decide = Box<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// A lie, and what the client must say about it.
struct Lie {
    name: &'static str,
    says: &'static str,
    decide: Decide,
}

fn lie(
    name: &'static str,
    says: &'static str,
    decide: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> Lie {
    Lie {
        name,
        says,
        decide: Box::new(decide),
    }
}

/// Lies about what is read.
fn lies(other_chain: &str, first: &SignedHeader, roots: &Roots) -> Vec<Lie> {
    let honest_unless = |hit: bool, lie: Reply| if hit { lie } else { Reply::Honest };
    let elsewhere = other_chain.to_owned();
    let (first, old_roots) = (first.to_bytes(), roots.to_bytes());
    vec![
        lie(
            "another state root",
            "does not verify: the certificate is about another header",
            move |a| {
                honest_unless(
                    is(a, "/v1/headers/"),
                    Reply::Changed(|answer| header(answer, |h| h.header.state_root[0] ^= 1)),
                )
            },
        ),
        lie("a later time", "does not verify", move |a| {
            honest_unless(
                is(a, "/v1/headers/"),
                Reply::Changed(|answer| header(answer, |h| h.header.time_ms.0 += 1_000)),
            )
        }),
        lie(
            "a certificate to fit",
            "does not verify: the signature of",
            move |a| {
                honest_unless(
                    is(a, "/v1/headers/"),
                    Reply::Changed(|answer| {
                        header(answer, |h| {
                            h.header.height.0 += 5;
                            h.certificate.height = h.header.height;
                            h.certificate.value = h.header.hash();
                        })
                    }),
                )
            },
        ),
        lie("no signatures", "more than two thirds", move |a| {
            honest_unless(
                is(a, "/v1/headers/"),
                Reply::Changed(|answer| header(answer, |h| h.certificate.signatures.clear())),
            )
        }),
        lie(
            "another height",
            "gave the header of block 1 for that of block",
            move |a| {
                honest_unless(
                    is(a, "/v1/headers/") && !is(a, "/v1/headers/latest"),
                    Reply::Made(200, first.clone()),
                )
            },
        ),
        lie(
            "roots of another height",
            "the list of roots does not verify",
            move |a| {
                honest_unless(
                    a.path.ends_with("/roots"),
                    Reply::Made(200, old_roots.clone()),
                )
            },
        ),
        lie(
            "another value",
            "the proof of the consortium does not verify",
            |a| match a.path.strip_suffix("/consortium") {
                Some(registry) => Reply::Instead(format!("{registry}/columns")),
                None => Reply::Honest,
            },
        ),
        lie("a value with a flipped bit", "does not verify", move |a| {
            honest_unless(
                is(a, "/v1/proofs/") && a.path.contains("/registry/"),
                Reply::Changed(|answer| flip(answer, 30)),
            )
        }),
        lie("a proof with a flipped bit", "the proof of the", move |a| {
            honest_unless(
                is(a, "/v1/proofs/") && a.path.contains("/registry/"),
                Reply::Changed(|answer| {
                    let last = answer.body.len() - 1;
                    flip(answer, last)
                }),
            )
        }),
        lie(
            "proof of absence for another anchor",
            "the proof of the anchor does not verify",
            |a| {
                match a.path.rsplit_once("/anchors/") {
                    // All but an empty place near the root is somebody else's absence.
                    Some((proofs, id)) => {
                        let first = u8::from_str_radix(&id[..2], 16).unwrap() ^ 0x80;
                        Reply::Instead(format!("{proofs}/anchors/{first:02x}{}", &id[2..]))
                    }
                    None => Reply::Honest,
                }
            },
        ),
        lie("another chain", "belongs to chain", move |_| {
            Reply::Elsewhere(elsewhere.clone())
        }),
        lie("truncated", "cannot be reached", |_| Reply::Truncated),
        lie("half of a document", "malformed", |_| {
            Reply::Changed(|mut answer| {
                answer.body.truncate(answer.body.len() / 2);
                answer
            })
        }),
        lie("bytes without end", "is longer than", |_| Reply::Endless),
        lie("a page in HTML", "malformed", |_| {
            Reply::Made(200, b"<html>Welcome</html>".to_vec())
        }),
        lie("nothing in it", "malformed", |_| {
            Reply::Made(200, Vec::new())
        }),
        lie("another place", "status 302", |_| {
            Reply::Made(302, Vec::new())
        }),
        lie("a refusal", "status 403", |_| Reply::Made(403, Vec::new())),
        lie("a failure", "status 500", |_| {
            Reply::Made(500, b"{".to_vec())
        }),
        lie("silence", "cannot be reached", |_| Reply::Silence),
    ]
}

/// Everything that a client reads about the ledger.
fn read_all(nodes: &Nodes, chain: &Chain) -> Result<(), NodesError> {
    let state = nodes.state(chain)?;
    let at = nodes.state_at(chain, zkbureau_ledger::ids::Height(state.height().0 - 1))?;
    assert_eq!(at.height().0 + 1, state.height().0);
    nodes.consortium(chain, &state)?;
    nodes.columns(&state)?;
    assert!(nodes.anchor(&state, AnchorId([7; 32]))?.1.is_none());
    Ok(())
}

#[test]
fn no_lie_is_read_and_one_honest_node_is_enough() {
    let world = World::new();
    let other = Net::new(2);
    let other = other.start_with(&["--heartbeat", "1"], None).unwrap();
    let honest = Nodes::new(&[&world.node.url]).unwrap();
    let read = |path: &str| http::get(&world.node.url, path).body;
    let first = SignedHeader::from_bytes(&read("/v1/headers/1")).unwrap();
    let roots = Roots::from_bytes(&read("/v1/proofs/1/roots")).unwrap();
    read_all(&honest, &world.chain).unwrap();

    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for lie in lies(&other.url, &first, &roots) {
            let (world, failed) = (&world, &failed);
            scope.spawn(move || {
                let Lie { name, says, decide } = lie;
                let liar = Proxy::new(&world.node.url, decide);
                let fail = |what: String| failed.lock().unwrap().push(format!("{name}: {what}"));
                // Alone: nothing is accepted, and the node is named with the reason.
                let start = Instant::now();
                let alone = Nodes::new(&[&liar.url]).unwrap();
                match read_all(&alone, &chain(&world.net)) {
                    Ok(()) => fail("accepted".into()),
                    Err(error) => {
                        let text = error.to_string();
                        if !text.contains(&liar.url) || !text.contains(says) {
                            fail(format!("not said: {text}"));
                        }
                    }
                }
                if start.elapsed() > Duration::from_secs(60) {
                    fail(format!("took {:?}", start.elapsed()));
                }
                // First in the list before an honest one: everything goes on.
                let both = Nodes::new(&[&liar.url, &world.node.url]).unwrap();
                if let Err(error) = read_all(&both, &chain(&world.net)) {
                    fail(format!("with an honest node: {error}"));
                }
                assert!(liar.served() > 0);
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn an_old_chain_is_said_to_be_old_and_a_node_that_is_behind_does_not_count() {
    let world = World::new();
    // The newest block, again and again.
    let stale = http::get(&world.node.url, "/v1/headers/latest").body;
    let old = SignedHeader::from_bytes(&stale).unwrap().header;
    let liar = Proxy::new(&world.node.url, move |asked| {
        if asked.path == "/v1/headers/latest" {
            Reply::Made(200, stale.clone())
        } else {
            Reply::Honest
        }
    });
    std::thread::sleep(Duration::from_secs(6));
    let fresh = Options {
        freshness: Duration::from_secs(4),
        ..Options::default()
    };
    let alone = Nodes::with_options(&[&liar.url], &fresh).unwrap();
    let error = alone.state(&chain(&world.net)).unwrap_err();
    assert!(
        matches!(&error, NodesError::Stale { height, .. } if *height == old.height),
        "{error}"
    );
    assert!(error.to_string().starts_with("stale: "), "{error}");

    let both = Nodes::with_options(&[&liar.url, &world.node.url], &fresh).unwrap();
    let known = chain(&world.net);
    let newest = both.newest(&known).unwrap();
    assert!(newest.header.height() > old.height);
    let [behind] = newest.failures.as_slice() else {
        panic!("{:?}", newest.failures);
    };
    assert_eq!(behind.url, liar.url);
    assert!(behind.to_string().contains("it is behind"), "{behind}");
    // Within the limit an old block is still older than one that was seen.
    let patient = Nodes::new(&[&liar.url]).unwrap();
    let error = patient.state(&known).unwrap_err();
    assert!(matches!(error, NodesError::Behind { .. }), "{error}");
}

/// Says that whatever is handed in is final, and keeps it.
fn swallow(asked: &Asked) -> Reply {
    if asked.method == "POST" && asked.path == "/v1/transactions" {
        let hash = Transaction::from_bytes(&asked.body).unwrap().hash();
        return Reply::Made(202, format!("{{\"hash\":\"{hash}\"}}").into_bytes());
    }
    if is(asked, "/v1/transactions/") {
        return Reply::Made(200, br#"{"status":"final","height":1}"#.to_vec());
    }
    Reply::Honest
}

/// Refuses whatever it can refuse, in everybody's name.
fn refuse(asked: &Asked) -> Reply {
    if asked.method == "POST" {
        return Reply::Made(403, br#"{"title":"refused","detail":"refused"}"#.to_vec());
    }
    Reply::Honest
}

#[test]
fn consent_answer_report_and_audit_go_through_one_honest_node_among_liars() {
    let mut world = World::new();
    let other = Net::new(1);
    let other = other.start_with(&["--heartbeat", "1"], None).unwrap();
    let real = world.node.url.clone();
    let elsewhere = other.url.clone();
    let swallowing = Proxy::new(&real, swallow);
    let refusing = Proxy::new(&real, refuse);
    let foreign = Proxy::new(&real, move |_| Reply::Elsewhere(elsewhere.clone()));
    // Asks for one agency go to the other.
    let crossing = Proxy::new(&real, |asked| match asked.path.as_str() {
        "/v1/agencies/1/asks" => Reply::Instead("/v1/agencies/2/asks".into()),
        "/v1/agencies/2/asks" => Reply::Instead("/v1/agencies/1/asks".into()),
        _ => Reply::Honest,
    });
    // What an agency said is kept and given again to whoever asks next.
    let kept = Mutex::new(None);
    let upstream = real.clone();
    let replaying = Proxy::new(&real, move |asked| {
        if !asked.path.ends_with("/asks") {
            return Reply::Honest;
        }
        let mut kept = kept.lock().unwrap();
        let reply =
            kept.get_or_insert_with(|| http::post(&upstream, &asked.path, &asked.body).body);
        Reply::Made(200, reply.clone())
    });
    let urls = [&swallowing, &refusing, &foreign, &crossing, &replaying].map(|p| p.url.clone());
    let mut all = urls.to_vec();
    all.push(real.clone());
    let nodes = Nodes::new(&all).unwrap();

    let request = world.request();
    consent(
        &mut world.wallet,
        &nodes,
        &request,
        &options(1),
        now(),
        &mut OsRng,
    )
    .unwrap();
    let asked = AnswerOptions::default();
    let answered = answer(
        &mut world.wallet,
        &nodes,
        &request,
        &asked,
        now(),
        &mut OsRng,
    )
    .unwrap();
    assert!(answered.missing.is_empty(), "{:?}", answered.missing);
    let person = world.wallet.person();
    let verified = verify(
        &request,
        &answered.answer,
        &world.chain,
        &world.lender,
        person,
        now(),
        DEFAULT_MAX_AGE_MS,
        &mut OsRng,
    )
    .unwrap();
    assert_eq!(verified.verdicts().collect::<Vec<_>>(), [&Verdict::True]);
    for part in report(&world.wallet, &nodes, now(), &mut OsRng).unwrap() {
        assert_eq!(part.result.unwrap().entries.len(), 3);
    }
    let what = audit::Options {
        period: MONTH.parse().unwrap(),
        attributes: vec!["balance".into()],
        agencies: None,
    };
    let auditor = read_signing_key(&world.net.data().join("auditor.key")).unwrap();
    let audited = audit(&world.chain, &nodes, &auditor, &what, &mut OsRng).unwrap();
    assert!(audited.parts.iter().all(|p| p.result.is_ok()));

    // The same agencies' replies through liars alone: no report, and it is said why.
    let liars = Nodes::new(&urls[3..]).unwrap();
    for part in report(&world.wallet, &liars, now(), &mut OsRng).unwrap() {
        let failure = part.result.unwrap_err();
        assert!(!matches!(failure, Failure::Refused), "{failure}");
        let text = failure.to_string();
        assert!(urls[3..].iter().all(|url| text.contains(url)), "{text}");
    }
}

#[test]
fn a_false_final_is_never_believed_and_the_next_try_goes_on_from_there() {
    let mut world = World::new();
    let swallowing = Proxy::new(&world.node.url, swallow);
    let refusing = Proxy::new(&world.node.url, refuse);
    let request = world.request();
    let honest = Nodes::new(&[&world.node.url]).unwrap();

    // One refuses: the consent is in the wallet, nothing of it on the ledger.
    let liar = Nodes::new(&[&refusing.url]).unwrap();
    let error = consent(
        &mut world.wallet,
        &liar,
        &request,
        &options(2),
        now(),
        &mut OsRng,
    );
    let error = error.unwrap_err();
    assert!(error.is_refusal(), "{error}");
    let [record] = world.wallet.consents() else {
        panic!("one consent");
    };
    let id = *record.id();
    assert!(
        record
            .anchors
            .iter()
            .all(|a| a.state == AnchorUse::Prepared)
    );

    // The same again takes it up, and does not sign another.
    let allowed = consent(
        &mut world.wallet,
        &honest,
        &request,
        &options(2),
        now(),
        &mut OsRng,
    );
    let allowed = allowed.unwrap();
    assert!(allowed.resumed);
    assert_eq!((allowed.id, allowed.heights.len()), (id, 2));
    assert_eq!(world.wallet.consents().len(), 1);

    // One says that the inquiry is final in block 1: no height is kept that was not proven.
    let liar = Nodes::new(&[&refusing.url]).unwrap();
    let asked = AnswerOptions::default();
    let error = answer(
        &mut world.wallet,
        &liar,
        &request,
        &asked,
        now(),
        &mut OsRng,
    );
    let error = error.unwrap_err();
    assert!(
        matches!(error, BorrowerError::Nodes(NodesError::Refused { .. })),
        "{error}"
    );
    let [inquiry] = world.wallet.inquiries() else {
        panic!("one inquiry");
    };
    // The ledger would take it, so a refusal is no end of it.
    assert_eq!((inquiry.height, &inquiry.outcome), (None, &None));
    let both = Nodes::new(&[&swallowing.url, &world.node.url]).unwrap();
    let answered = answer(
        &mut world.wallet,
        &both,
        &request,
        &asked,
        now(),
        &mut OsRng,
    )
    .unwrap();
    assert!(answered.resumed);
    let [inquiry] = world.wallet.inquiries() else {
        panic!("one inquiry");
    };
    assert_eq!(inquiry.height, Some(answered.height));
    assert!(answered.height.0 > 1);
}
