//! The stream of events, and what a node says about itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use zkbureau_agency_node::consensus::Meters;
use zkbureau_agency_node::consensus::meters::Fault;
use zkbureau_agency_node::http::Settings;
use zkbureau_agency_node::http::settings::Limits;
use zkbureau_ledger::keys::SecretKey;
use zkbureau_ledger::transaction::{Inquiry, Transaction};

use crate::server::{PROPOSER, Served};
use crate::support::http::request;

/// A subscriber; reads the chunks of the answer as lines.
struct Stream {
    lines: BufReader<TcpStream>,
    status: u16,
}

/// An event: its identifier, name and data.
type Event = (Option<u64>, String, Value);

impl Stream {
    fn open(served: &Served, last: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(served.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let last = last.map_or(String::new(), |id| format!("last-event-id: {id}\r\n"));
        write!(stream, "GET /v1/events HTTP/1.1\r\nhost: x\r\n{last}\r\n").unwrap();
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        while line != "\r\n" {
            line.clear();
            lines.read_line(&mut line).unwrap();
        }
        Self { lines, status }
    }

    /// The next event; none at the end.
    fn next(&mut self) -> Option<Event> {
        let (mut id, mut name, mut data) = (None, String::new(), Value::Null);
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap_or(0) == 0 || line == "0\r\n" {
                return None;
            }
            if let Some(text) = line.strip_prefix("id: ") {
                id = Some(text.trim().parse().unwrap());
            } else if let Some(text) = line.strip_prefix("event: ") {
                name = text.trim().to_owned();
            } else if let Some(text) = line.strip_prefix("data: ") {
                data = serde_json::from_str(text).unwrap();
            } else if line == "\n" && !name.is_empty() {
                return Some((id, name, data));
            }
        }
    }
}

#[test]
fn blocks_and_refusals_are_told_as_they_come_and_again_to_whoever_was_away() {
    let mut served = Served::new(Settings::default());
    let mut stream = Stream::open(&served, None);
    assert_eq!(stream.status, 200);
    let block = served.block(vec![served.anchor(), served.anchor()]);
    let (id, name, data) = stream.next().unwrap();
    let height = block.header.height.0;
    assert_eq!((id, name.as_str()), (Some(height), "block"));
    assert_eq!(data["height"], height);
    assert_eq!(data["transactions"], 2);
    assert_eq!(data["time_ms"], block.header.time_ms.0);
    assert_eq!(data["state_root"], hex::encode(block.header.state_root));

    // An inquiry for an anchor that does not exist is given up when a block is made.
    let key = SecretKey::from_seed(&[9; 32]);
    let chain = *served.node.ledger.chain_id();
    let nothing = zkbureau_ledger::ids::AnchorId([3; 32]);
    let inquiry: Transaction = Inquiry::sign(&chain, nothing, [1; 32], &key).into();
    served.block(vec![inquiry.clone()]);
    let mut events = [stream.next().unwrap(), stream.next().unwrap()];
    events.sort_by_key(|event| event.0);
    assert_eq!(events[0].1, "refused");
    assert_eq!(events[0].2["hash"], inquiry.hash().to_string());
    assert_eq!(events[1].0, Some(height + 1));

    // Somebody comes back.
    for _ in 0..5 {
        served.block(vec![]);
    }
    let mut back = Stream::open(&served, Some(&height.to_string()));
    for expected in height + 1..=height + 6 {
        let (id, name, data) = back.next().unwrap();
        assert_eq!((id, name.as_str()), (Some(expected), "block"));
        assert_eq!(data["height"], expected);
    }
    served.block(vec![]);
    assert_eq!(back.next().unwrap().0, Some(height + 7));
    served.stop();
    assert_eq!(back.next(), None, "the stream ends with the node");
}

#[test]
fn subscribers_and_what_they_ask_for_are_bounded() {
    let served = Served::new(Settings {
        limits: Limits {
            subscribers: 2,
            ..Limits::default()
        },
        ..Settings::default()
    });
    let held = [Stream::open(&served, None), Stream::open(&served, None)];
    assert_eq!(held.each_ref().map(|s| s.status), [200, 200]);
    let refused = served.get("/v1/events");
    let problem = refused.problem(503);
    assert_eq!(problem["field"], "subscribers");
    assert_eq!(problem["limit"], 2);
    assert!(refused.header("retry-after").is_some());
    for bad in ["x", "-1", "", "1.5", "99999999999999999999"] {
        let headers = [("last-event-id", bad)];
        let answer = request(&served.url, "GET", "/v1/events", &headers, &[]);
        assert_eq!(answer.problem(400)["field"], "last-event-id", "{bad}");
    }
    drop(held);
    // A place comes back when the server notices; blocks make it look.
    let start = Instant::now();
    loop {
        served.block(vec![]);
        if Stream::open(&served, None).status == 200 {
            break;
        }
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "no place comes back"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn one_client_has_a_share_of_the_subscribers() {
    let served = Served::new(Settings::default());
    let held: Vec<Stream> = (0..8).map(|_| Stream::open(&served, None)).collect();
    assert!(held.iter().all(|stream| stream.status == 200));
    let problem = served.get("/v1/events").problem(429);
    assert_eq!(problem["field"], "subscribers");
    assert_eq!(problem["limit"], 8);
}

#[test]
fn whoever_reads_too_slowly_is_dropped() {
    let served = Served::new(Settings {
        limits: Limits {
            write_seconds: 1,
            ..Limits::default()
        },
        operator_keys: vec![crate::signing::Signing::new(1).public()],
        ..Settings::default()
    });
    let mut slow = Stream::open(&served, None);
    // Far more than queue and buffers hold: events of refusals cost no block.
    let key = SecretKey::from_seed(&[9; 32]);
    let chain = *served.node.ledger.chain_id();
    let start = Instant::now();
    let mut sent = 0_u64;
    let open = |served: &Served| -> f64 { metric(&metrics(served), "zkbureau_event_subscribers") };
    while open(&served) > 0.0 {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "never dropped after {sent}"
        );
        for _ in 0..2_000 {
            sent += 1;
            let mut id = [0; 32];
            id[..8].copy_from_slice(&sent.to_le_bytes());
            let anchor = zkbureau_ledger::ids::AnchorId(id);
            let inquiry: Transaction = Inquiry::sign(&chain, anchor, [1; 32], &key).into();
            let error = zkbureau_ledger::TxError::UnknownAnchor(anchor);
            served.node.put_aside(&[(inquiry.hash(), error)], &[]);
        }
    }
    // What was in the buffers can still be read, and then it ends.
    let mut rest = Vec::new();
    let _ = slow.lines.read_to_end(&mut rest);
    assert!(String::from_utf8_lossy(&rest).contains("event: refused"));
}

/// The metrics, as an operator on this machine reads them.
fn metrics(served: &Served) -> String {
    let operator = crate::signing::Signing::new(1);
    let answer = operator.send(served, "GET", "/metrics", &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
    String::from_utf8(answer.body).unwrap()
}

fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(' '))
    });
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
        .rsplit(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn metrics_say_how_the_node_is_and_nothing_about_people() {
    let served = Served::with(Settings::default());
    let meters = Arc::new(Meters::default());
    meters.execute.add(Duration::from_millis(30));
    meters.fault(PROPOSER, Fault::DoubleVote);
    served.node.set_meters(meters);
    let anchor = served.anchor();
    served.post_transaction(&anchor);
    served.get("/v1/nowhere/secret-name");
    let hash = anchor.hash();
    assert_eq!(
        served.get(&format!("/v1/transactions/{hash}")).json()["status"],
        "pending"
    );
    let answer = served.get("/metrics");
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    let text = String::from_utf8(answer.body).unwrap();
    let tip = served.node.ledger.tip();
    assert_eq!(metric(&text, "zkbureau_ledger_height"), tip.height.0 as f64);
    assert_eq!(
        metric(&text, "zkbureau_ledger_block_time_seconds"),
        tip.time_ms.0 as f64 / 1000.0
    );
    assert_eq!(metric(&text, "zkbureau_ready"), 1.0);
    assert_eq!(metric(&text, "zkbureau_mempool_transactions"), 1.0);
    assert_eq!(metric(&text, "zkbureau_mempool_batch_bytes"), 0.0);
    let pending = "zkbureau_vault_pending_batches{agency=\"2\"}";
    assert_eq!(metric(&text, pending), 0.0);
    let taken =
        "zkbureau_http_requests_total{route=\"/v1/transactions\",method=\"POST\",status=\"202\"}";
    assert_eq!(metric(&text, taken), 1.0);
    let route = "zkbureau_http_request_seconds_count{route=\"/v1/transactions/{hash}\"}";
    assert_eq!(metric(&text, route), 1.0);
    assert!(metric(&text, "zkbureau_http_connections") >= 1.0);
    assert_eq!(metric(&text, "zkbureau_consensus_rounds_total"), 0.0);
    assert_eq!(
        metric(&text, "zkbureau_consensus_execute_seconds_sum"),
        0.03
    );
    for (bound, count) in [("0.025", 0.0), ("0.05", 1.0), ("+Inf", 1.0)] {
        let bucket = format!("zkbureau_consensus_execute_seconds_bucket{{le=\"{bound}\"}}");
        assert_eq!(metric(&text, &bucket), count, "{bound}");
    }
    let fault = "zkbureau_consensus_faults_total{agency=\"1\",fault=\"double_vote\"}";
    assert_eq!(metric(&text, fault), 1.0);
    assert!(
        !text.contains(&hash.to_string()) && !text.contains("secret-name"),
        "{text}"
    );
    assert!(text.ends_with("# EOF\n"));
    assert_eq!(text.matches("# EOF").count(), 1);
}

#[test]
fn alive_and_ready() {
    let served = Served::new(Settings::default());
    assert_eq!(served.get("/healthz").body, b"ok\n");
    let ready = served.get("/readyz");
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["height"], served.node.ledger.tip().height.0);
    assert_eq!(ready.header("cache-control"), Some("no-store"));
    served.node.stop();
    let problem = served.get("/readyz").problem(503);
    assert_eq!(problem["type"], "urn:zkbureau:problem:not-ready");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("shutting down")
    );
    assert_eq!(served.get("/healthz").status, 200);
}
