//! A peer that speaks the wire format byte by byte, written from `spec/network.md`: it may
//! be a stranger, or a member that lies.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::request_response::{
    Behaviour as Exchange, Codec, Config, Event, Message, ProtocolSupport,
};
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, Transport, identify, noise, ping, tcp, yamux,
};

use super::support::CHAIN;

/// The protocols of the network, in the order of [`Rogue::send`]'s argument.
pub const PROTOCOLS: [&str; 4] = ["small", "bulk", "sync", "ask"];

/// What a rogue does with streams that others open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Keeps all bytes.
    All,
    /// Reads nothing.
    Nothing,
}

/// Everything that was read on streams that others opened, by protocol.
pub type Record = Arc<Mutex<[Vec<u8>; 4]>>;

#[derive(Clone)]
struct Raw {
    protocol: usize,
    reading: Reading,
    record: Record,
}

#[async_trait]
impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        if self.reading == Reading::Nothing {
            std::future::pending::<()>().await;
        }
        if self.protocol >= 2 {
            // A request: its length and its bytes.
            let mut len = [0; 4];
            io.read_exact(&mut len).await?;
            let mut bytes = vec![0; u32::from_le_bytes(len) as usize];
            io.read_exact(&mut bytes).await?;
            return Ok(bytes);
        }
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = io.read(&mut buffer).await?;
            if read == 0 {
                return Ok(Vec::new());
            }
            self.record.lock().expect("lock")[self.protocol].extend(&buffer[..read]);
        }
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await?;
        io.flush().await?;
        if self.protocol < 2 {
            // The stream stays open.
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await?;
        io.flush().await
    }
}

#[derive(NetworkBehaviour)]
struct Speaking {
    ping: ping::Behaviour,
    identify: Toggle<identify::Behaviour>,
    small: Exchange<Raw>,
    bulk: Exchange<Raw>,
    sync: Exchange<Raw>,
    ask: Exchange<Raw>,
}

/// What happened to a rogue.
#[derive(Debug)]
pub enum Happened {
    Connected,
    Closed,
    /// The connection did not even come up.
    Refused,
    /// Bytes came back on a stream that we opened.
    Response(Vec<u8>),
    /// A request of ours failed.
    Failed,
}

/// The peer.
pub struct Rogue {
    swarm: Swarm<Speaking>,
    pub record: Record,
    /// Sent back to every request, if anything.
    pub lie: Option<Vec<u8>>,
}

impl Rogue {
    /// The peer with the key of this seed.
    pub fn new(seed: u8, with_identify: bool, reading: Reading) -> Self {
        let keys = Keypair::ed25519_from_bytes([seed; 32]).expect("a key");
        let record = Record::default();
        let chain = hex::encode(&CHAIN.0[..8]);
        let exchange = |protocol: usize| {
            let name = format!("/zkbureau/{chain}/{}/1", PROTOCOLS[protocol]);
            let name = StreamProtocol::try_from_owned(name).expect("a protocol");
            let raw = Raw {
                protocol,
                reading,
                record: record.clone(),
            };
            let config = Config::default().with_request_timeout(Duration::from_secs(600));
            Exchange::with_codec(raw, [(name, ProtocolSupport::Full)], config)
        };
        let identify = identify::Config::new("/zkbureau/1".into(), keys.public());
        let behaviour = Speaking {
            ping: ping::Behaviour::default(),
            identify: with_identify
                .then(|| identify::Behaviour::new(identify))
                .into(),
            small: exchange(0),
            bulk: exchange(1),
            sync: exchange(2),
            ask: exchange(3),
        };
        let transport = tcp::tokio::Transport::new(tcp::Config::default())
            .upgrade(Version::V1Lazy)
            .authenticate(noise::Config::new(&keys).expect("noise"))
            .multiplex(yamux::Config::default())
            .boxed();
        let config = libp2p::swarm::Config::with_tokio_executor()
            .with_idle_connection_timeout(Duration::from_secs(600));
        Self {
            swarm: Swarm::new(transport, behaviour, keys.public().to_peer_id(), config),
            record,
            lie: None,
        }
    }

    pub fn dial(&mut self, address: &Multiaddr) {
        self.swarm.dial(address.clone()).expect("dials");
    }

    /// Writes bytes on a new stream of a protocol.
    pub fn send(&mut self, to: &PeerId, protocol: usize, bytes: Vec<u8>) {
        let speaking = self.swarm.behaviour_mut();
        let exchange = match protocol {
            0 => &mut speaking.small,
            1 => &mut speaking.bulk,
            2 => &mut speaking.sync,
            _ => &mut speaking.ask,
        };
        exchange.send_request(to, bytes);
    }

    /// Waits for something to happen.
    pub async fn next(&mut self) -> Happened {
        loop {
            let exchanged = match self.swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => return Happened::Connected,
                SwarmEvent::ConnectionClosed { .. } => return Happened::Closed,
                SwarmEvent::OutgoingConnectionError { .. } => return Happened::Refused,
                SwarmEvent::Behaviour(
                    SpeakingEvent::Small(event)
                    | SpeakingEvent::Bulk(event)
                    | SpeakingEvent::Sync(event),
                ) => event,
                SwarmEvent::Behaviour(SpeakingEvent::Ask(event)) => match (event, &self.lie) {
                    (
                        Event::Message {
                            message: Message::Request { channel, .. },
                            ..
                        },
                        Some(lie),
                    ) => {
                        let lie = lie.clone();
                        let ask = &mut self.swarm.behaviour_mut().ask;
                        let _ = ask.send_response(channel, lie);
                        continue;
                    }
                    (event, _) => event,
                },
                _ => continue,
            };
            match exchanged {
                Event::Message {
                    message: Message::Response { response, .. },
                    ..
                } => return Happened::Response(response),
                Event::OutboundFailure { .. } => return Happened::Failed,
                _ => {}
            }
        }
    }

    /// Connects and waits until it is so.
    pub async fn connect(&mut self, address: &Multiaddr) {
        self.dial(address);
        while !matches!(self.next().await, Happened::Connected) {}
    }

    /// Lets it work in the background for as long as the task is kept.
    pub fn run(mut self) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                self.next().await;
            }
        })
    }
}

/// A frame with its length in front.
pub fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut out = (bytes.len() as u32).to_le_bytes().to_vec();
    out.extend_from_slice(bytes);
    out
}

/// The stamp of a frame: channel, epoch, number.
pub fn stamp(channel: u8, number: u64) -> Vec<u8> {
    let mut out = vec![channel];
    out.extend_from_slice(&77_u64.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out
}
