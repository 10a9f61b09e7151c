//! Connections: TLS, timeouts, bounds, an orderly end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};
use zkbureau_agency_node::http::Settings;
use zkbureau_agency_node::http::settings::{Limits, TlsFiles};

use crate::server::Served;
use crate::support::http::{get, raw};

/// Patience with what must come to an end.
const SOON: Duration = Duration::from_secs(15);

fn connect(served: &Served) -> TcpStream {
    let stream = TcpStream::connect(served.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// Reads until the server closes; how long that took.
fn closed_after(mut stream: TcpStream) -> (String, Duration) {
    let start = Instant::now();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    let took = start.elapsed();
    assert!(took < SOON, "the connection was not closed");
    (String::from_utf8_lossy(&said).into_owned(), took)
}

fn impatient() -> Settings {
    Settings {
        limits: Limits {
            header_seconds: 1,
            body_seconds: 1,
            write_seconds: 1,
            ..Limits::default()
        },
        ..Settings::default()
    }
}

#[test]
fn whoever_sends_slowly_is_cut_off_in_every_phase() {
    let served = Served::new(impatient());
    // Nothing at all.
    let (said, _) = closed_after(connect(&served));
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 408"),
        "{said}"
    );
    // A head that never ends, a byte at a time.
    let mut stream = connect(&served);
    let start = Instant::now();
    stream
        .write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\nx-slow: ")
        .unwrap();
    while start.elapsed() < SOON && stream.write_all(b"a").is_ok() {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(start.elapsed() < SOON, "fed for ever");
    // A body that never ends.
    let mut stream = connect(&served);
    stream
        .write_all(b"POST /v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\ncontent-length: 100\r\n\r\nabc")
        .unwrap();
    let (said, _) = closed_after(stream);
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    assert!(said.contains("urn:zkbureau:problem:timeout"), "{said}");
    // Kept alive and silent.
    let mut stream = connect(&served);
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let (said, _) = closed_after(stream);
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert_eq!(served.get("/healthz").status, 200);
}

#[test]
fn uploads_that_stall_keep_nobody_out() {
    let served = Served::new(Settings::default());
    // More is declared than all bodies together may take.
    let stalled: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = connect(&served);
            let head = "POST /v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream";
            write!(stream, "{head}\r\ncontent-length: 3000000\r\n\r\nabc").unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    for _ in 0..3 {
        assert_eq!(served.post_transaction(&served.anchor()).status, 202);
    }
    // A large one as well: what has not come takes no room.
    served
        .post("/v1/transactions", &vec![9; 3 << 20])
        .problem(400);
    drop(stalled);
}

#[test]
fn one_clients_bodies_have_a_share_of_the_memory() {
    let served = Served::new(Settings::default());
    let size = 3 << 20;
    let upload = |bytes: usize| {
        let mut stream = connect(&served);
        let head =
            "POST /v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream";
        write!(stream, "{head}\r\ncontent-length: {size}\r\n\r\n").unwrap();
        stream.write_all(&vec![7; bytes]).unwrap();
        stream
    };
    let start = Instant::now();
    let mut held: Vec<TcpStream> = Vec::new();
    let refused = loop {
        // All but its end. It may be this one that finds no room, so there are more until another one does.
        held.push(upload(size - 1));
        std::thread::sleep(Duration::from_millis(100));
        let answer = served.post("/v1/transactions", &vec![9; size]);
        if answer.status == 429 || start.elapsed() > SOON {
            break answer;
        }
    };
    let problem = refused.problem(429);
    assert_eq!(problem["field"], "body");
    assert_eq!(problem["limit"], 8 << 20);
    assert_eq!(served.post_transaction(&served.anchor()).status, 202);
    drop(held);
}

#[test]
fn whoever_does_not_read_is_cut_off() {
    let served = Served::with(impatient());
    let mut stream = connect(&served);
    stream.set_write_timeout(Some(SOON)).unwrap();
    let start = Instant::now();
    // Requests without reading a single answer: buffers fill, then the server gives up.
    let request = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(64);
    let cut = loop {
        if stream.write_all(&request).is_err() {
            break true;
        }
        if start.elapsed() > SOON {
            break false;
        }
    };
    assert!(cut, "the server waited for ever");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert_eq!(served.get("/healthz").status, 200);
}

#[test]
fn one_address_has_so_many_connections() {
    let mut settings = Settings::default();
    settings.limits.connections_per_address = 3;
    settings.limits.header_seconds = 10;
    let served = Served::new(settings);
    let held: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = connect(&served);
            stream
                .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
                .unwrap();
            let mut first = [0; 15];
            stream.read_exact(&mut first).unwrap();
            assert_eq!(&first, b"HTTP/1.1 200 OK");
            stream
        })
        .collect();
    let (said, took) = closed_after(connect(&served));
    assert!(
        said.is_empty() && took < Duration::from_secs(2),
        "{said} {took:?}"
    );
    drop(held);
    let start = Instant::now();
    // Places come back as the server notices.
    loop {
        let mut stream = connect(&served);
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said);
        if said.starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(start.elapsed() < SOON, "places never come back");
    }
}

#[test]
fn heads_are_bounded() {
    let served = Served::new(Settings::default());
    let many: String = (0..100).map(|i| format!("x-{i}: 1\r\n")).collect();
    let head = format!("GET /v1/status HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    assert_eq!(raw(&served.url, head.as_bytes(), &[]).status, 431);
    let long = "a".repeat(64 << 10);
    let head = format!("GET /v1/status HTTP/1.1\r\nhost: x\r\nx: {long}\r\n\r\n");
    assert_eq!(raw(&served.url, head.as_bytes(), &[]).status, 431);
    let head = format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(matches!(
        raw(&served.url, head.as_bytes(), &[]).status,
        414 | 431
    ));
}

#[test]
fn stopping_finishes_what_is_in_hand_and_closes_the_rest() {
    let mut served = Served::new(Settings::default());
    let idle = connect(&served);
    let hash = "11".repeat(32);
    let mut waiting = connect(&served);
    write!(
        waiting,
        "GET /v1/transactions/{hash}?wait_ms=30000 HTTP/1.1\r\nhost: x\r\n\r\n"
    )
    .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    served.stop();
    assert!(start.elapsed() < SOON);
    let (said, _) = closed_after(waiting);
    assert!(
        said.starts_with("HTTP/1.1 200") && said.contains("unknown"),
        "{said}"
    );
    closed_after(idle);
    assert!(
        TcpStream::connect(served.address()).is_err(),
        "still listening"
    );
}

/// A certificate of its own for 127.0.0.1; the DER that a client trusts.
fn certificate(dir: &Path) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.der().to_vec()
}

fn https(served: &Served, trusted: &[u8], path: &str) -> Result<String, std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(trusted.to_vec())).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = connect(served);
    let mut stream = Stream::new(&mut session, &mut socket);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    Ok(String::from_utf8(said).unwrap())
}

#[test]
fn tls_follows_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let first = certificate(dir.path());
    let served = Served::new(Settings {
        tls: Some(TlsFiles {
            certificate: dir.path().join("cert.pem"),
            key: dir.path().join("key.pem"),
        }),
        ..Settings::default()
    });
    let said = https(&served, &first, "/healthz").unwrap();
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    // Plain HTTP on the same port gets nothing.
    let mut plain = connect(&served);
    plain
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let (said, _) = closed_after(plain);
    assert!(!said.contains("HTTP/1.1 200"), "{said}");

    // A broken file changes nothing; a new pair is used soon.
    std::fs::write(dir.path().join("cert.pem"), "nothing").unwrap();
    let second = certificate(dir.path());
    let start = Instant::now();
    while https(&served, &second, "/healthz").is_err() {
        assert!(
            start.elapsed() < 2 * SOON,
            "the new certificate is not used"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(
        https(&served, &first, "/healthz").is_err(),
        "the old one still is"
    );
    assert!(CertificateDer::from_pem_file(dir.path().join("cert.pem")).is_ok());
}

#[test]
fn a_server_with_settings_that_make_no_sense_does_not_start() {
    let served = Served::new(Settings::default());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let start = |address: &str, settings: Settings| {
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind(address))
            .unwrap();
        zkbureau_agency_node::http::Server::new(listener, served.node.clone(), settings)
            .err()
            .map(|e| e.to_string())
    };
    let error = start("0.0.0.0:0", Settings::default()).expect("not loopback");
    assert!(error.contains("insecure_http"), "{error}");
    let missing = TlsFiles {
        certificate: "/nowhere/cert.pem".into(),
        key: "/nowhere/key.pem".into(),
    };
    let tls = Settings {
        tls: Some(missing),
        ..Settings::default()
    };
    let error = start("127.0.0.1:0", tls).expect("no certificate");
    assert!(error.contains("/nowhere/cert.pem"), "{error}");
    assert_eq!(get(&served.url, "/healthz").status, 200);
}
