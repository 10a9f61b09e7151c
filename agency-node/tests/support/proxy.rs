//! A node that lies: a proxy in front of a real node that passes requests on and changes what it
//! likes on the way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::http::{self, Answer};

/// A request that came in.
pub struct Asked {
    pub method: String,
    /// With the query.
    pub path: String,
    pub body: Vec<u8>,
}

/// What the proxy does with a request.
pub enum Reply {
    /// What the real node says.
    Honest,
    /// The real node is asked another path.
    Instead(String),
    /// Another real node is asked.
    Elsewhere(String),
    /// This answer, if the function gives one for the real node's.
    Changed(fn(Answer) -> Answer),
    /// This status and body.
    Made(u16, Vec<u8>),
    /// The real answer's length, and half of its bytes.
    Truncated,
    /// Bytes without end.
    Endless,
    /// Nothing, for a long time.
    Silence,
}

/// A lying node. Its threads end with the test's process.
pub struct Proxy {
    pub url: String,
    served: Arc<AtomicUsize>,
}

impl Proxy {
    /// Starts one in front of a real node.
    pub fn new(real: &str, decide: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = Arc::new(AtomicUsize::new(0));
        let (real, decide, count) = (real.to_owned(), Arc::new(decide), Arc::clone(&served));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (real, decide, count) = (real.clone(), Arc::clone(&decide), Arc::clone(&count));
                std::thread::spawn(move || {
                    count.fetch_add(1, Ordering::Relaxed);
                    // A client that hangs up on a liar is as it should be.
                    let _ = serve(stream, &real, &*decide);
                });
            }
        });
        Self { url, served }
    }

    /// How often it was asked.
    pub fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }
}

fn serve(
    mut stream: TcpStream,
    real: &str,
    decide: &(dyn Fn(&Asked) -> Reply + Send + Sync),
) -> std::io::Result<()> {
    let asked = read(&stream)?;
    let pass_on = |url: &str, path: &str| {
        let headers = [("content-type", "application/octet-stream")];
        http::request(url, &asked.method, path, &headers, &asked.body)
    };
    let answer = match decide(&asked) {
        Reply::Honest => pass_on(real, &asked.path),
        Reply::Instead(path) => pass_on(real, &path),
        Reply::Elsewhere(url) => pass_on(&url, &asked.path),
        Reply::Changed(change) => change(pass_on(real, &asked.path)),
        Reply::Made(status, body) => Answer {
            status,
            headers: Vec::new(),
            body,
        },
        Reply::Truncated => {
            let answer = pass_on(real, &asked.path);
            head(&mut stream, 200, Some(answer.body.len()))?;
            return stream.write_all(&answer.body[..answer.body.len() / 2]);
        }
        Reply::Endless => {
            head(&mut stream, 200, None)?;
            loop {
                stream.write_all(&[7; 4096])?;
            }
        }
        Reply::Silence => {
            std::thread::sleep(Duration::from_secs(120));
            return Ok(());
        }
    };
    head(&mut stream, answer.status, Some(answer.body.len()))?;
    stream.write_all(&answer.body)
}

fn head(stream: &mut TcpStream, status: u16, length: Option<usize>) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status} x\r\nconnection: close\r\n")?;
    if let Some(length) = length {
        write!(stream, "content-length: {length}\r\n")?;
    }
    if (300..400).contains(&status) {
        write!(stream, "location: http://127.0.0.1:1/\r\n")?;
    }
    write!(stream, "\r\n")
}

fn read(stream: &TcpStream) -> std::io::Result<Asked> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next(), words.next());
    let (method, path) = (method.unwrap_or_default(), path.unwrap_or_default());
    let (method, path) = (method.to_owned(), path.to_owned());
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Asked { method, path, body })
}
