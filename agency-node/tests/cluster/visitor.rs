//! A visitor with a libp2p identity and no manners: dials a node over TCP, Noise and Yamux, asks
//! for every protocol by name, speaks into what it is granted, accepts whatever is opened to it,
//! and writes down what it gets. The negotiation of protocols is done by hand, so nothing of a
//! polite implementation keeps it from trying.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox};
use libp2p::core::transport::{DialOpts, PortUse};
use libp2p::core::upgrade::Version;
use libp2p::core::{Endpoint, Transport};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, noise, tcp, yamux};

/// The protocol of peers that introduce themselves, and of those that push it.
const IDENTIFY: &str = "/ipfs/id/1.0.0";
const IDENTIFY_PUSH: &str = "/ipfs/id/push/1.0.0";
/// Says nothing about the ledger.
const PING: &str = "/ipfs/ping/1.0.0";
const MULTISTREAM: &str = "/multistream/1.0.0";
/// Longest line of a negotiation.
const MAX_LINE: usize = 1024;

/// What a visitor brings along.
pub struct Visitor {
    pub key: Keypair,
    /// Protocols to ask for, each with what to say once it is granted.
    pub protocols: Vec<(String, Vec<u8>)>,
    /// Whether to introduce itself by Identify, asked or not.
    pub identify: bool,
    /// How long it stays if nobody sends it away.
    pub stay: Duration,
}

/// What a visitor got.
#[derive(Clone, Debug, Default)]
pub struct Visit {
    /// Protocols that were granted, and how many bytes came.
    pub granted: BTreeMap<String, usize>,
    /// Protocols that the node opened by itself, and how many bytes came.
    pub opened: BTreeMap<String, usize>,
    /// When the connection was closed.
    pub closed: Option<Duration>,
}

impl Visit {
    /// Bytes about anything at all.
    pub fn bytes(&self) -> usize {
        let both = self.granted.iter().chain(&self.opened);
        both.filter(|(name, _)| ![PING, IDENTIFY, IDENTIFY_PUSH].contains(&name.as_str()))
            .map(|(_, bytes)| bytes)
            .sum()
    }
}

type Seen = Arc<Mutex<Visit>>;

impl Visitor {
    /// Visits. An error is a connection that never came to be.
    pub async fn visit(&self, address: Multiaddr) -> Result<Visit, String> {
        let noise = noise::Config::new(&self.key).map_err(|e| e.to_string())?;
        let mut transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
            .upgrade(Version::V1)
            .authenticate(noise)
            .multiplex(yamux::Config::default())
            .map(|(_, muxer), _| StreamMuxerBox::new(muxer));
        let options = DialOpts {
            role: Endpoint::Dialer,
            port_use: PortUse::New,
        };
        let dial = transport
            .dial(address, options)
            .map_err(|e| e.to_string())?;
        let muxer = tokio::time::timeout(Duration::from_secs(10), dial)
            .await
            .map_err(|_| "the handshake does not end".to_owned())?
            .map_err(|e| e.to_string())?;
        let seen = Seen::default();
        let _ = tokio::time::timeout(self.stay, self.live(muxer, &seen)).await;
        let visit = seen.lock().expect("no panic").clone();
        Ok(visit)
    }

    /// Until the connection is closed.
    async fn live(&self, mut muxer: StreamMuxerBox, seen: &Seen) {
        let start = Instant::now();
        let mut wanted = self.protocols.clone();
        if self.identify {
            wanted.insert(0, (IDENTIFY.to_owned(), Vec::new()));
            wanted.insert(0, (IDENTIFY_PUSH.to_owned(), self.introduction()));
        }
        wanted.push((PING.to_owned(), vec![7; 32]));
        let introduction = self.identify.then(|| self.introduction());
        poll_fn(|cx| {
            loop {
                let mut idle = true;
                if let Poll::Ready(Err(_)) = muxer.poll_unpin(cx) {
                    return Poll::Ready(());
                }
                match muxer.poll_inbound_unpin(cx) {
                    Poll::Ready(Ok(stream)) => {
                        idle = false;
                        let (seen, introduction) = (seen.clone(), introduction.clone());
                        tokio::spawn(async move {
                            let _ = accept(stream, &seen, introduction).await;
                        });
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
                if !wanted.is_empty() {
                    match muxer.poll_outbound_unpin(cx) {
                        Poll::Ready(Ok(stream)) => {
                            idle = false;
                            let (name, words) = wanted.remove(0);
                            let seen = seen.clone();
                            tokio::spawn(async move {
                                let _ = ask(stream, &name, &words, &seen).await;
                            });
                        }
                        Poll::Ready(Err(_)) => return Poll::Ready(()),
                        Poll::Pending => {}
                    }
                }
                if idle {
                    return Poll::Pending;
                }
            }
        })
        .await;
        seen.lock().expect("no panic").closed = Some(start.elapsed());
    }

    /// An Identify message (protocol buffers, by hand): key, protocols, versions.
    fn introduction(&self) -> Vec<u8> {
        let mut message = Vec::new();
        let mut field = |number: u8, bytes: &[u8]| {
            message.push(number << 3 | 2);
            message.extend(varint(bytes.len()));
            message.extend(bytes);
        };
        field(1, &self.key.public().encode_protobuf());
        for (name, _) in &self.protocols {
            field(3, name.as_bytes());
        }
        field(5, b"zkbureau/1.0.0");
        field(6, b"agency-node");
        let mut framed = varint(message.len());
        framed.extend(message);
        framed
    }
}

/// Asks for a protocol and speaks it.
async fn ask(
    mut stream: SubstreamBox,
    name: &str,
    words: &[u8],
    seen: &Seen,
) -> std::io::Result<()> {
    stream.write_all(&line(MULTISTREAM)).await?;
    stream.write_all(&line(name)).await?;
    stream.flush().await?;
    read_line(&mut stream).await?;
    if read_line(&mut stream).await? != name {
        return Ok(());
    }
    let count = |bytes: usize| {
        let mut seen = seen.lock().expect("no panic");
        *seen.granted.entry(name.to_owned()).or_default() += bytes;
    };
    count(0);
    stream.write_all(words).await?;
    stream.flush().await?;
    listen(&mut stream, count).await
}

/// Accepts whatever protocol a stream is opened for.
async fn accept(
    mut stream: SubstreamBox,
    seen: &Seen,
    introduction: Option<Vec<u8>>,
) -> std::io::Result<()> {
    read_line(&mut stream).await?;
    stream.write_all(&line(MULTISTREAM)).await?;
    stream.flush().await?;
    let name = read_line(&mut stream).await?;
    if [IDENTIFY, IDENTIFY_PUSH].contains(&name.as_str()) && introduction.is_none() {
        stream.write_all(&line("na")).await?;
        return stream.flush().await;
    }
    stream.write_all(&line(&name)).await?;
    if name == IDENTIFY {
        stream.write_all(&introduction.unwrap_or_default()).await?;
        return stream.close().await;
    }
    stream.flush().await?;
    listen(&mut stream, |bytes| {
        let mut seen = seen.lock().expect("no panic");
        *seen.opened.entry(name.clone()).or_default() += bytes;
    })
    .await
}

/// Counts what comes.
async fn listen(
    stream: &mut (impl AsyncRead + Unpin),
    count: impl Fn(usize),
) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            bytes => count(bytes),
        }
    }
}

/// A line of the negotiation.
fn line(text: &str) -> Vec<u8> {
    let mut line = varint(text.len() + 1);
    line.extend(text.as_bytes());
    line.push(b'\n');
    line
}

async fn read_line(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> std::io::Result<String> {
    let mut length = 0;
    for shift in [0, 7] {
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    if length > MAX_LINE {
        return Err(std::io::Error::other("a line without end"));
    }
    let mut line = vec![0; length];
    stream.read_exact(&mut line).await?;
    let text = String::from_utf8_lossy(&line);
    Ok(text.trim_end().to_owned())
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
