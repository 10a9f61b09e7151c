//! A load generator that knows the API's description and no manners: every documented route, with
//! arguments and bodies that are nearly right, cut off, changed by a bit, or noise, over
//! connections that are kept open as long as the server likes them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::people::Random;

/// A route of the API's description.
#[derive(Clone, Debug)]
pub struct Route {
    pub method: String,
    /// With `{names}` for arguments.
    pub path: String,
}

/// The routes in an OpenAPI document.
pub fn routes(openapi: &Value) -> Vec<Route> {
    let mut routes = Vec::new();
    for (path, operations) in openapi["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys() {
            // A stream of events would hold its connection for ever.
            if ["get", "post", "put", "delete"].contains(&method.as_str())
                && !path.ends_with("/events")
            {
                routes.push(Route {
                    method: method.to_uppercase(),
                    path: path.clone(),
                });
            }
        }
    }
    assert!(routes.len() > 10, "{routes:?}");
    routes
}

/// What came back.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests by route of answers that no request deserves.
    pub failed: BTreeMap<String, u64>,
    /// Connections that ended without an answer.
    pub hung_up: u64,
}

impl Outcome {
    pub fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }

    fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (route, count) in other.failed {
            *self.failed.entry(route).or_default() += count;
        }
        self.hung_up += other.hung_up;
    }
}

/// What a generator is made from.
pub struct Noise<'a> {
    /// Such as `127.0.0.1:7600`.
    pub address: &'a str,
    pub routes: &'a [Route],
    /// Valid documents to spoil.
    pub samples: &'a [Vec<u8>],
    pub threads: u64,
    pub seconds: u64,
    pub seed: u64,
}

impl Noise<'_> {
    /// Makes noise until the time is over.
    pub fn make(&self) -> Outcome {
        let until = Instant::now() + Duration::from_secs(self.seconds);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads)
                .map(|thread| scope.spawn(move || self.work(Random(self.seed + thread), until)))
                .collect();
            let mut total = Outcome::default();
            for worker in workers {
                total.add(worker.join().expect("a worker"));
            }
            total
        })
    }

    fn work(&self, mut random: Random, until: Instant) -> Outcome {
        let mut outcome = Outcome::default();
        let mut line: Option<BufReader<TcpStream>> = None;
        while Instant::now() < until {
            let (name, request) = self.request(&mut random);
            let stream = match line.take() {
                Some(stream) => stream,
                None => match connect(self.address) {
                    Some(stream) => stream,
                    None => {
                        outcome.hung_up += 1;
                        std::thread::sleep(Duration::from_millis(20));
                        continue;
                    }
                },
            };
            match exchange(stream, &request) {
                Some((status, rest)) => {
                    *outcome.statuses.entry(status).or_default() += 1;
                    if status >= 500 {
                        *outcome
                            .failed
                            .entry(format!("{status} {name}"))
                            .or_default() += 1;
                    }
                    line = rest;
                }
                None => outcome.hung_up += 1,
            }
        }
        outcome
    }

    /// The bytes of one request, and its route.
    fn request(&self, random: &mut Random) -> (String, Vec<u8>) {
        let route = &self.routes[random.below(self.routes.len() as u64) as usize];
        let mut path = String::new();
        for part in route.path.split_inclusive('/') {
            let bare = part.trim_end_matches('/');
            if bare.starts_with('{') {
                path.push_str(&argument(random));
                path.push_str(&part[bare.len()..]);
            } else {
                path.push_str(part);
            }
        }
        if random.below(8) == 0 {
            path.push_str(&format!("?wait_ms={}", argument(random)));
        }
        let mut head = format!("{} {path} HTTP/1.1\r\nhost: localhost\r\n", route.method);
        let body = if route.method == "GET" {
            Vec::new()
        } else {
            self.body(random)
        };
        let kind = match random.below(8) {
            0 => "application/json",
            1 => "text/plain; charset=\"",
            _ => "application/octet-stream",
        };
        if !body.is_empty() {
            head.push_str(&format!("content-type: {kind}\r\n"));
        }
        match random.below(40) {
            // Signatures and keys of nobody.
            0 => head.push_str("signature-input: sig1=();created=x\r\nsignature: sig1=:AAAA:\r\n"),
            1 => head.push_str("signature: \u{1}\r\nauthorization: Bearer x\r\n"),
            2 => head.push_str(&format!("idempotency-key: {}\r\n", argument(random))),
            _ => {}
        }
        match random.below(30) {
            // More promised than sent: the rest of the connection is read as the body.
            0 => head.push_str(&format!("content-length: {}\r\n", body.len() + 9)),
            // Far more than any route takes.
            1 => head.push_str("content-length: 99999999999\r\n"),
            2 => head.push_str("transfer-encoding: chunked\r\n"),
            _ => head.push_str(&format!("content-length: {}\r\n", body.len())),
        }
        head.push_str("\r\n");
        let mut request = head.into_bytes();
        request.extend(body);
        (format!("{} {}", route.method, route.path), request)
    }

    fn body(&self, random: &mut Random) -> Vec<u8> {
        let at = random.below(self.samples.len() as u64) as usize;
        let mut body = self.samples[at].clone();
        match random.below(6) {
            0 => body.truncate(random.below(body.len() as u64 + 1) as usize),
            1 => body.extend((0..random.below(64)).map(|_| random.below(256) as u8)),
            2 => {
                body = (0..random.below(20_000))
                    .map(|_| random.below(256) as u8)
                    .collect()
            }
            3 => body.clear(),
            _ => {
                for _ in 0..=random.below(3) {
                    let bit = random.below(body.len() as u64 * 8);
                    body[(bit / 8) as usize] ^= 1 << (bit % 8);
                }
            }
        }
        body
    }
}

fn argument(random: &mut Random) -> String {
    match random.below(9) {
        0 => "latest".to_owned(),
        1 => random.below(200).to_string(),
        2 => "18446744073709551616".to_owned(),
        3 => "-1".to_owned(),
        4 => "%00%ff%2e%2e%2f".to_owned(),
        5 => "a".repeat(random.below(3_000) as usize + 1),
        6 => "columns".to_owned(),
        7 => (0..32)
            .map(|_| format!("{:02x}", random.below(256)))
            .collect(),
        _ => "1".to_owned(),
    }
}

fn connect(address: &str) -> Option<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_nodelay(true).ok()?;
    // Bodies that never come are a part of the noise; nobody waits for their end.
    stream
        .set_read_timeout(Some(Duration::from_millis(400)))
        .ok()?;
    Some(BufReader::new(stream))
}

/// Sends a request and reads the answer. The connection comes back if it can be used again.
fn exchange(
    mut stream: BufReader<TcpStream>,
    request: &[u8],
) -> Option<(u16, Option<BufReader<TcpStream>>)> {
    // The server may have answered and hung up before it has read everything.
    let sent = stream.get_mut().write_all(request).is_ok();
    let (mut status, mut length, mut open) = (None, 0, sent);
    loop {
        let mut line = String::new();
        match stream.read_line(&mut line) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return None,
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ") {
            match name {
                "content-length" => length = value.parse().ok()?,
                "connection" => open &= value != "close",
                "transfer-encoding" => open = false,
                _ => {}
            }
        } else if status.is_none() {
            status = line.split(' ').nth(1)?.parse().ok();
        }
    }
    let mut rest = stream.by_ref().take(length);
    if std::io::copy(&mut rest, &mut std::io::sink()).ok()? < length {
        open = false;
    }
    Some((status?, open.then_some(stream)))
}
