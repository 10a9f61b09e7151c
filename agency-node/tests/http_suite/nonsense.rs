//! Whatever makes no sense, sent to every route of the OpenAPI document: no answer is a failure of
//! the node, every answer is one that the document names, and the ledger stays as it is.

use std::collections::BTreeSet;

use serde_json::Value;
use zkbureau_agency_node::http::Settings;
use zkbureau_circuits::encoding::Document;

use crate::server::Served;
use crate::support::http::{Answer, raw, request};

/// Requests per route with bodies or parameters drawn at random.
const DRAWS: usize = 60;

/// A generator that gives the same numbers every time (splitmix64).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// A part of a path: sometimes right, mostly not.
    fn part(&mut self, name: &str) -> String {
        let right = match name {
            "height" => "1".to_owned(),
            "agency" => "1".to_owned(),
            "value" => "columns".to_owned(),
            _ => hex::encode([self.next() as u8; 32]),
        };
        match self.below(10) {
            0..=2 => right,
            3 => right[..self.below(right.len())].to_owned() + "0",
            4 => right + "0",
            5 => "18446744073709551615".to_owned(),
            6 => "-1".to_owned(),
            7 => "%00%ff".to_owned(),
            8 => {
                self.bytes(40)
                    .iter()
                    .map(|b| format!("%{b:02x}"))
                    .collect::<String>()
                    + "x"
            }
            _ => "x".repeat(1 + self.below(3000)),
        }
    }

    fn query(&mut self) -> String {
        match self.below(8) {
            0 => "?wait_ms=0".to_owned(),
            1 => "?wait_ms=99999999999999999999".to_owned(),
            2 => "?wait_ms=-1&wait_ms=2".to_owned(),
            3 => "?%zz=%ff".to_owned(),
            4 => format!("?{}=1", "k".repeat(self.below(2000) + 1)),
            _ => String::new(),
        }
    }

    fn headers(&mut self) -> Vec<(&'static str, String)> {
        let text = |draw: &mut Self| {
            let bytes = draw.bytes(60);
            bytes
                .iter()
                .map(|b| char::from(0x21 + b % 0x5e))
                .collect::<String>()
        };
        match self.below(9) {
            0 => vec![("content-type", "application/json".into())],
            1 => vec![("idempotency-key", text(self))],
            2 => vec![("signature-input", text(self)), ("signature", text(self))],
            3 => vec![
                (
                    "signature-input",
                    "s=(\"@method\" \"@target-uri\");created=1;keyid=\"00\"".into(),
                ),
                ("signature", "s=:AAAA:".into()),
            ],
            4 => vec![("content-digest", text(self))],
            5 => vec![("last-event-id", text(self))],
            6 => vec![("accept", text(self))],
            _ => vec![],
        }
    }
}

/// An answer to nonsense: never a failure of ours, and one that the document names.
#[track_caller]
fn judge(answer: &Answer, operation: &Value, what: &str) {
    let status = answer.status;
    assert!(status < 500 || status == 503, "{what}: {status}");
    let responses = &operation["responses"];
    let named = responses[status.to_string()].is_object() || responses["default"].is_object();
    assert!(named, "{what}: {status} is not in the document");
    if status >= 400 {
        let problem = answer.problem(status);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.len() < 1000, "{what}: {detail}");
        let known = ["type", "title", "status", "detail", "field", "limit"];
        let fields: BTreeSet<&str> = problem
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert!(fields.iter().all(|f| known.contains(f)), "{problem}");
    } else {
        let content = &responses[status.to_string()]["content"];
        let kind = answer
            .header("content-type")
            .unwrap()
            .split(';')
            .next()
            .unwrap();
        assert!(
            content[kind].is_object(),
            "{what}: {kind} is not in the document"
        );
    }
}

#[test]
fn nothing_that_anybody_sends_is_a_failure_of_the_node_or_changes_the_ledger() {
    let served = Served::with(Settings::default());
    let document = served.get("/openapi.json").json();
    let good = served.anchor().to_bytes();
    let before = (served.node.ledger.tip(), served.node.pool().len());
    let mut draw = Draw(7);
    let mut asked = 0;
    for (template, item) in document["paths"].as_object().unwrap() {
        if template == "/v1/events" {
            // Endless when it is right; what is wrong with it has a test of its own.
            continue;
        }
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase();
            for _ in 0..DRAWS {
                let path: String = template
                    .split('/')
                    .skip(1)
                    .map(|part| match part.strip_prefix('{') {
                        Some(name) => "/".to_owned() + &draw.part(name.trim_end_matches('}')),
                        None => format!("/{part}"),
                    })
                    .collect();
                let path = path + &draw.query();
                let headers = draw.headers();
                let headers: Vec<(&str, &str)> =
                    headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
                let body = if method == "POST" {
                    nonsense(&mut draw, &good)
                } else {
                    vec![]
                };
                let what = format!("{method} {path} {headers:?} {} bytes", body.len());
                let answer = request(&served.url, &method, &path, &headers, &body);
                judge(&answer, operation, &what);
                asked += 1;
            }
            for wrong in ["PUT", "DELETE", "PATCH", "OPTIONS", "INVENTED"] {
                let path = template.replace(['{', '}'], "");
                request(&served.url, wrong, &path, &[], &[]).problem(405);
            }
        }
    }
    assert!(asked > 500, "{asked}");
    // What is no HTTP at all.
    for _ in 0..40 {
        let mut bytes = draw.bytes(300);
        bytes.extend_from_slice(b"\r\n\r\n");
        if let Some(status) = status_of(&served, &bytes) {
            assert!((400..500).contains(&status), "{status}");
        }
    }
    let after = (served.node.ledger.tip(), served.node.pool().len());
    assert_eq!(before, after);
    served.block(vec![]);
    assert_eq!(served.node.ledger.tip().state_root, before.0.state_root);
    assert_eq!(served.get("/readyz").status, 200);
}

/// A body that is no transaction, ask or audit ask.
fn nonsense(draw: &mut Draw, good: &[u8]) -> Vec<u8> {
    match draw.below(7) {
        0 => vec![],
        1 => draw.bytes(2_000),
        2 => good[..draw.below(good.len())].to_vec(),
        3 => [good, &[0]].concat(),
        4 => {
            // A kind of transaction with anything behind it.
            let mut body = vec![1, draw.below(9) as u8];
            body.extend(draw.bytes(400));
            body
        }
        5 => {
            // Lengths that promise more than there is.
            let mut body = draw.bytes(60);
            body.extend_from_slice(&u32::MAX.to_le_bytes());
            body.extend(draw.bytes(60));
            body
        }
        _ => vec![draw.next() as u8; draw.below(300_000)],
    }
}

/// The status of an answer to bytes that may be no request; none if the server just hangs up.
fn status_of(served: &Served, bytes: &[u8]) -> Option<u16> {
    use std::io::{Read, Write};

    let mut stream = std::net::TcpStream::connect(served.address()).unwrap();
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(60)))
        .unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    let said = String::from_utf8_lossy(&said);
    said.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
}

#[test]
fn oversized_bodies_are_refused_by_their_declaration_and_by_their_length() {
    let served = Served::with(Settings::default());
    let document = served.get("/openapi.json").json();
    let fields =
        "host: localhost\r\nconnection: close\r\ncontent-type: application/octet-stream\r\n";
    for (template, item) in document["paths"].as_object().unwrap() {
        if !item["post"].is_object() {
            continue;
        }
        let path = template.replace("{agency}", "1");
        let declared =
            format!("POST {path} HTTP/1.1\r\n{fields}content-length: 99999999999\r\n\r\n");
        let problem = raw(&served.url, declared.as_bytes(), &[]).problem(413);
        let limit = problem["limit"].as_u64().unwrap();
        assert!((1..=4 << 20).contains(&limit), "{path}: {limit}");
        let body = vec![7; limit as usize + 1];
        served.post(&path, &body).problem(413);
        let lie =
            format!("POST {path} HTTP/1.1\r\n{fields}content-length: 18446744073709551616\r\n\r\n");
        assert_eq!(raw(&served.url, lie.as_bytes(), &[]).status, 400);
    }
}
