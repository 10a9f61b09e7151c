//! Nodes with a network and a stand-in for the engine and for the rest of the node.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_malachitebft_app_channel::app::consensus::SignedConsensusMsg;
use arc_malachitebft_app_channel::app::engine::network::{Msg, NetworkEvent, NetworkRef, Status};
use arc_malachitebft_app_channel::app::streaming::{StreamContent, StreamId, StreamMessage};
use arc_malachitebft_app_channel::app::types::PeerId as EnginePeer;
use arc_malachitebft_app_channel::app::types::core::{
    NilOrVal, Round, SignedMessage, ValidatorSet as _, VoteType,
};
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use libp2p::{Multiaddr, PeerId};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;
use zkbureau_agency_node::consensus::Codec;
use zkbureau_agency_node::consensus::context::{
    Address, Bureau, HeaderHash, Height, Part, PartHead, ValidatorSet, Vote,
};
use zkbureau_agency_node::consensus::limits::PART_BYTES;
use zkbureau_agency_node::network::{
    AskKind, Limits, Member, Network, NetworkConfig, NetworkHandle, NetworkKey, PeerName, Registry,
    Services,
};
use zkbureau_ledger::block;
use zkbureau_ledger::ids::{self, AgencyId, ChainId};
use zkbureau_ledger::keys::Signature;

/// The chain of all tests.
pub const CHAIN: ChainId = ChainId([0x5c; 32]);
/// Generous: the machine may be busy.
pub const LONG: Duration = Duration::from_secs(20);

/// Waits until something holds.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for something.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// The network key of agency `n`.
pub fn key(n: u32) -> NetworkKey {
    NetworkKey::from_seed(&[n as u8; 32])
}

/// The name of agency `n`.
pub fn agency(n: u32) -> PeerName {
    PeerName::Agency(AgencyId(n))
}

/// Agencies 1 to `seats` with a seat each.
pub fn registry(seats: u32) -> Registry {
    let member = |n| Member {
        network_key: key(n).public(),
        power: 1,
    };
    Registry {
        agencies: (1..=seats).map(|n| (AgencyId(n), member(n))).collect(),
        observers: Vec::new(),
    }
}

/// An address on which nobody listens yet.
pub fn free_address() -> Multiaddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    address(port)
}

/// A port's address.
pub fn address(port: u16) -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/{port}")
        .parse()
        .expect("an address")
}

/// Limits for tests: short times.
pub fn limits() -> Limits {
    Limits {
        dial_wait: Duration::from_millis(50),
        dial_wait_max: Duration::from_millis(500),
        refused_wait_max: Duration::from_secs(2),
        dial_grace: Duration::from_millis(300),
        patience: Duration::from_secs(60),
        ..Limits::for_one_host()
    }
}

/// What the rest of a node was called with.
#[derive(Default)]
pub struct Recorder {
    pub agency: u32,
    pub transactions: Mutex<Vec<(PeerName, Vec<u8>)>>,
    pub asks: Mutex<Vec<(PeerName, AskKind, Vec<u8>)>>,
    /// How long answers take.
    pub takes: Duration,
}

impl Services for Recorder {
    fn transaction(&self, from: PeerName, bytes: Vec<u8>) {
        self.transactions.lock().expect("lock").push((from, bytes));
    }

    fn answer(&self, from: PeerName, kind: AskKind, body: Vec<u8>) -> BoxFuture<'static, Vec<u8>> {
        let asked = (from, kind, body.clone());
        self.asks.lock().expect("lock").push(asked);
        let mut reply = vec![self.agency as u8];
        reply.extend(body);
        let takes = self.takes;
        async move {
            tokio::time::sleep(takes).await;
            reply
        }
        .boxed()
    }
}

/// What the stand-in for the engine received.
pub type Event = NetworkEvent<Bureau>;

struct Engine(mpsc::UnboundedSender<Event>);

struct Told(Event);

impl From<Event> for Told {
    fn from(event: Event) -> Self {
        Self(event)
    }
}

#[async_trait]
impl Actor for Engine {
    type Msg = Told;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Told>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Told>,
        Told(event): Told,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        let _ = self.0.send(event);
        Ok(())
    }
}

/// A running node.
pub struct TestNode {
    pub network: Network,
    pub handle: NetworkHandle,
    pub engine: NetworkRef<Bureau>,
    pub events: mpsc::UnboundedReceiver<Event>,
    pub services: Arc<Recorder>,
    pub peer: PeerId,
    /// Everything received so far.
    pub log: Vec<Event>,
}

/// How a node of a test is started.
#[derive(Clone)]
pub struct Setup {
    pub me: u32,
    pub registry: Registry,
    pub listen: Multiaddr,
    pub peers: BTreeMap<AgencyId, Multiaddr>,
    pub limits: Limits,
    pub takes: Duration,
}

impl Setup {
    pub async fn start(self) -> TestNode {
        let config = NetworkConfig {
            chain: CHAIN,
            key: key(self.me),
            listen: self.listen,
            peers: self.peers,
            limits: self.limits,
        };
        let services = Arc::new(Recorder {
            agency: self.me,
            takes: self.takes,
            ..Recorder::default()
        });
        let mut network = Network::start(config, self.registry, services.clone())
            .await
            .expect("starts");
        let engine = network.attach::<Bureau, _>(Codec).await.expect("attaches");
        let (sender, events) = mpsc::unbounded_channel();
        let (subscriber, _) = Actor::spawn(None, Engine(sender), ())
            .await
            .expect("an actor");
        engine
            .cast(Msg::Subscribe(Box::new(subscriber)))
            .expect("subscribes");
        TestNode {
            handle: network.handle(),
            network,
            engine,
            events,
            services,
            peer: key(self.me).peer_id(),
            log: Vec::new(),
        }
    }
}

/// Setups of agencies 1 to `n`, all knowing all addresses.
pub fn setups(n: u32) -> Vec<Setup> {
    let addresses: BTreeMap<_, _> = (1..=n).map(|n| (AgencyId(n), free_address())).collect();
    (1..=n)
        .map(|me| Setup {
            me,
            registry: registry(n),
            listen: addresses[&AgencyId(me)].clone(),
            peers: addresses.clone(),
            limits: limits(),
            takes: Duration::ZERO,
        })
        .collect()
}

/// Starts all.
pub async fn start_all(setups: Vec<Setup>) -> Vec<TestNode> {
    futures::future::join_all(setups.into_iter().map(Setup::start)).await
}

impl TestNode {
    /// The engine's name of this node.
    pub fn engine_peer(&self) -> EnginePeer {
        engine_peer(&self.peer)
    }

    /// Names of connected peers.
    pub fn connected(&self) -> Vec<PeerName> {
        let peers = self.handle.peers();
        let connected = peers.into_iter().filter(|p| p.connected);
        connected.map(|p| p.name).collect()
    }

    /// Waits until exactly these agencies are connected.
    pub async fn connects_to(&self, agencies: &[u32]) {
        let mut wanted: Vec<_> = agencies.iter().map(|n| agency(*n)).collect();
        wanted.sort();
        eventually(&format!("{wanted:?} connected"), || {
            let mut connected = self.connected();
            connected.sort();
            connected == wanted
        })
        .await;
    }

    /// Waits until this node knows a carrier to the agency.
    pub async fn knows_carriers(&self, to: u32, carriers: usize) {
        eventually(&format!("{carriers} carriers to {to}"), || {
            let peers = self.handle.peers();
            let peer = peers.into_iter().find(|p| p.name == agency(to));
            peer.is_some_and(|p| p.through.len() == carriers)
        })
        .await;
    }

    /// Reads events until one fits.
    pub async fn event<T>(&mut self, what: &str, mut fits: impl FnMut(&Event) -> Option<T>) -> T {
        soon(what, async {
            loop {
                let event = self.events.recv().await.expect("the engine runs");
                let found = fits(&event);
                self.log.push(event);
                if let Some(found) = found {
                    return found;
                }
            }
        })
        .await
    }

    /// Reads what came until now.
    pub fn drain(&mut self) -> &[Event] {
        while let Ok(event) = self.events.try_recv() {
            self.log.push(event);
        }
        &self.log
    }

    /// Messages of consensus received so far.
    pub fn messages(&mut self) -> Vec<&Event> {
        let of_consensus = |event: &&Event| {
            matches!(
                event,
                NetworkEvent::Vote(..)
                    | NetworkEvent::Proposal(..)
                    | NetworkEvent::ProposalPart(..)
                    | NetworkEvent::PolkaCertificate(..)
                    | NetworkEvent::RoundCertificate(..)
                    | NetworkEvent::Status(..)
                    | NetworkEvent::SyncRequest(..)
            )
        };
        self.drain().iter().filter(of_consensus).collect()
    }

    pub fn tell(&self, message: Msg<Bureau>) {
        self.engine.cast(message).expect("the actor runs");
    }

    /// Publishes a vote that is told by its height.
    pub fn vote(&self, me: u32, height: u64) {
        self.tell(Msg::PublishConsensusMsg(SignedConsensusMsg::Vote(vote(
            me, height,
        ))));
    }

    /// Publishes a part that is told by its sequence number.
    pub fn part(&self, me: u32, sequence: u64) {
        self.tell(Msg::PublishProposalPart(part(me, sequence)));
    }

    pub fn status(&self, tip: u64) {
        let height = |n| Height(ids::Height(n));
        self.tell(Msg::BroadcastStatus(Status::new(height(tip), height(1))));
    }

    /// What the engine says at the start of a height.
    pub fn new_height(&self) {
        let nobody = ValidatorSet::from(&block::ValidatorSet::new(Vec::new()));
        assert_eq!(nobody.count(), 0);
        self.tell(Msg::UpdateValidatorSet(nobody));
    }

    /// Waits until something that fits was received.
    async fn has(&mut self, what: &str, fits: impl Fn(&Event) -> bool) {
        eventually(what, || self.drain().iter().any(&fits)).await;
    }

    /// Waits for the vote of `from` at a height.
    pub async fn gets_vote(&mut self, from: &PeerId, height: u64) {
        let from = engine_peer(from);
        self.has(&format!("vote {height}"), |event| {
            matches!(event, NetworkEvent::Vote(peer, vote)
                if *peer == from && vote.message.height.0.0 == height)
        })
        .await;
    }

    /// Waits for the part of `from` with a sequence number.
    pub async fn gets_part(&mut self, from: &PeerId, sequence: u64) {
        let from = engine_peer(from);
        self.has(&format!("part {sequence}"), |event| {
            matches!(event, NetworkEvent::ProposalPart(_, publisher, part)
                if *publisher == Some(from) && part.sequence == sequence)
        })
        .await;
    }
}

pub fn engine_peer(peer: &PeerId) -> EnginePeer {
    EnginePeer::from_bytes(&peer.to_bytes()).expect("a peer")
}

pub fn vote(me: u32, height: u64) -> SignedMessage<Bureau, Vote> {
    let vote = Vote {
        kind: VoteType::Prevote,
        height: Height(ids::Height(height)),
        round: Round::new(0),
        value: NilOrVal::Nil,
        voter: Address(AgencyId(me)),
    };
    SignedMessage::new(vote, Signature([me as u8; 64]))
}

/// A part of the usual size.
pub fn part(me: u32, sequence: u64) -> StreamMessage<Part> {
    let part = Part {
        head: PartHead {
            height: Height(ids::Height(1)),
            round: 0,
            valid_round: None,
            proposer: Address(AgencyId(me)),
            value: HeaderHash([7; 32]),
            index: 0,
            count: 2,
        },
        bytes: vec![sequence as u8; PART_BYTES].into(),
        signature: Signature([me as u8; 64]),
    };
    StreamMessage::new(
        StreamId::new(vec![1, 2, 3].into()),
        sequence,
        StreamContent::Data(part),
    )
}
