//! A small HTTP client over one connection per request, so that tests can send what no proper
//! client would.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The problem document of an error answer, checked for its common fields.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(
            self.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem = self.json();
        assert_eq!(problem["status"], status);
        for field in ["type", "title", "detail"] {
            assert!(
                problem[field].as_str().is_some_and(|t| !t.is_empty()),
                "{problem}"
            );
        }
        problem
    }
}

/// Sends a GET request.
pub fn get(url: &str, path: &str) -> Answer {
    request(url, "GET", path, &[], &[])
}

/// Posts canonical bytes.
pub fn post(url: &str, path: &str, body: &[u8]) -> Answer {
    request(url, "POST", path, &[], body)
}

/// Sends a request with a content length, to this machine, and what is posted as canonical bytes, unless a
/// header field says otherwise.
pub fn request(
    url: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    let has = |field| headers.iter().any(|(name, _)| *name == field);
    if !has("host") {
        // As a program on this machine says it.
        let address = url.strip_prefix("http://").unwrap();
        head.push_str(&format!("host: {address}\r\n"));
    }
    if method == "POST" && !has("content-type") {
        head.push_str("content-type: application/octet-stream\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    raw(url, head.as_bytes(), body)
}

/// Sends bytes as they are and reads the answer. The server may answer and hang up before it has
/// read everything.
pub fn raw(url: &str, head: &[u8], body: &[u8]) -> Answer {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream.write_all(head).unwrap();
    let _ = stream.write_all(body);
    let mut bytes = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = stream.read_to_end(&mut bytes);
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Answer {
    let split = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(bytes)));
    let head = std::str::from_utf8(&bytes[..split]).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.trim().to_owned(), value.trim().to_owned())
        })
        .collect();
    let answer = Answer {
        status: status.parse().unwrap(),
        headers,
        body: bytes[split + 4..].to_vec(),
    };
    assert!(answer.header("transfer-encoding").is_none());
    answer
}
