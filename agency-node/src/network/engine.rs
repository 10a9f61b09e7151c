//! The actor that the consensus engine takes for its network.
//!
//! It encodes what the engine publishes for the swarm's task, and decodes what comes from there.
//! Nothing here knows libp2p's swarm, and nothing in the swarm's task knows the engine's types.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_malachitebft_app_channel::app::consensus::{LivenessMsg, SignedConsensusMsg};
use arc_malachitebft_app_channel::app::engine::network::{
    Msg, NetworkEvent, NetworkRef, PersistentPeerError, PersistentPeersOp, Status, Subscriber,
};
use arc_malachitebft_app_channel::app::types::PeerId as EnginePeer;
use arc_malachitebft_app_channel::app::types::codec::{Codec, ConsensusCodec, SyncCodec};
use arc_malachitebft_app_channel::app::types::core::{Context, Height as _};
use arc_malachitebft_app_channel::app::types::streaming::StreamMessage;
use arc_malachitebft_sync::{
    self as sync, InboundRequestId, OutboundFailureReason, OutboundRequestId,
};
use async_trait::async_trait;
use bytes::Bytes;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use super::counters::Counters;
use super::frame::Channel;
use super::{Network, NetworkHandle};

/// Parts of the engine that subscribe: consensus and sync.
const SUBSCRIBERS: usize = 2;
/// How long the second one may take after the first one.
const SUBSCRIBE: Duration = Duration::from_millis(500);

/// What the engine tells the swarm's task.
pub(super) enum Command {
    /// To all peers, directly or through others.
    Publish(Channel, Bytes),
    /// A new height began: frames of earlier ones need not be sent again.
    NewHeight,
    /// To all direct peers, and to each that comes.
    Status(Bytes),
    /// A request to a peer, with our number.
    SyncRequest(u64, PeerId, Bytes),
    /// The response to a peer's request; nothing gives it up.
    SyncResponse(u64, Option<Bytes>),
    /// An address of a member, told at runtime; nothing forgets it.
    Address(PeerId, Option<Multiaddr>),
}

/// What the swarm's task tells the engine. A message keeps its room until it is dropped.
pub(super) enum EngineEvent {
    /// We listen, and enough of the others are connected, or it took too long.
    Listening(Multiaddr),
    /// A peer is connected.
    Connected(PeerId),
    /// A peer is gone.
    Disconnected(PeerId),
    /// A message. `origin` is certain: the peer itself, or its signature was checked.
    Message {
        from: PeerId,
        origin: PeerId,
        channel: Channel,
        bytes: Bytes,
        room: OwnedSemaphorePermit,
    },
    /// A peer's status.
    Status {
        from: PeerId,
        bytes: Bytes,
        room: OwnedSemaphorePermit,
    },
    /// A peer's request.
    SyncRequest(u64, PeerId, Bytes),
    /// The response to a request of ours.
    SyncResponse(u64, PeerId, Bytes),
    /// A request of ours failed.
    SyncFailed(u64, PeerId, OutboundFailureReason),
    /// A peer's request can no longer be answered.
    SyncGone(u64, PeerId),
}

/// The engine's actor could not be started.
#[derive(Debug, Error)]
pub enum AttachError {
    /// The engine is attached already.
    #[error("the network serves one engine, and has one")]
    Attached,
    /// The actor system refused.
    #[error("the network's actor could not be started: {0}")]
    Spawn(#[from] ractor::SpawnErr),
}

impl Network {
    /// Starts the engine's network actor, for `with_custom_network`. Once for each network.
    ///
    /// # Errors
    /// [`AttachError`].
    pub async fn attach<Ctx, C>(&mut self, codec: C) -> Result<NetworkRef<Ctx>, AttachError>
    where
        Ctx: Context,
        C: ConsensusCodec<Ctx> + SyncCodec<Ctx>,
    {
        let events = self.events.take().ok_or(AttachError::Attached)?;
        self.attach.send_replace(true);
        let codec = Arc::new(codec);
        let told = Arc::new(Mutex::new(Told::default()));
        let (subscribers, subscribed) = watch::channel(0);
        let actor = EngineNetwork {
            subscribers,
            codec: codec.clone(),
            told: told.clone(),
            commands: self.commands.clone(),
            handle: self.handle.clone(),
            requests: AtomicU64::new(0),
        };
        let (network, _) = Actor::spawn(None, actor, ()).await?;
        let pump = Pump {
            codec,
            told,
            commands: self.commands.clone(),
            counters: self.handle.counters(),
            handle: self.handle.clone(),
        };
        tokio::spawn({
            let network = network.clone();
            async move {
                wait_for_subscribers(subscribed).await;
                pump.run(events).await;
                // The engine stops its node when this actor ends.
                network.stop(Some("the network has stopped".into()));
            }
        });
        Ok(network)
    }
}

/// Messages that came before the engine's parts have subscribed wait where their number is bounded:
/// given on earlier, they would be lost, and not sent again because they were seen.
async fn wait_for_subscribers(mut subscribed: watch::Receiver<usize>) {
    // An error means that the actor is gone.
    if subscribed.wait_for(|n| *n > 0).await.is_ok() {
        let all = subscribed.wait_for(|n| *n >= SUBSCRIBERS);
        let _ = tokio::time::timeout(SUBSCRIBE, all).await;
    }
}

/// Subscribers, and what one that comes later must be told.
struct Told<Ctx: Context> {
    subscribers: Vec<Box<dyn Subscriber<NetworkEvent<Ctx>>>>,
    listening: Option<Multiaddr>,
    peers: BTreeSet<EnginePeer>,
}

impl<Ctx: Context> Default for Told<Ctx> {
    fn default() -> Self {
        Self {
            subscribers: Vec::new(),
            listening: None,
            peers: BTreeSet::new(),
        }
    }
}

impl<Ctx: Context> Told<Ctx> {
    fn tell(&self, event: NetworkEvent<Ctx>) {
        let Some((last, others)) = self.subscribers.split_last() else {
            return;
        };
        for subscriber in others {
            subscriber.send(event.clone());
        }
        last.send(event);
    }

    fn subscribe(&mut self, subscriber: Box<dyn Subscriber<NetworkEvent<Ctx>>>) {
        if let Some(address) = &self.listening {
            subscriber.send(NetworkEvent::Listening(address.clone()));
        }
        for peer in &self.peers {
            subscriber.send(NetworkEvent::PeerConnected(*peer));
        }
        self.subscribers.push(subscriber);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn engine_peer(peer: &PeerId) -> Option<EnginePeer> {
    EnginePeer::from_bytes(&peer.to_bytes()).ok()
}

fn swarm_peer(peer: EnginePeer) -> Option<PeerId> {
    PeerId::from_bytes(&peer.to_bytes()).ok()
}

/// Decodes what comes from the swarm's task, for all subscribers, in order.
struct Pump<Ctx: Context, C> {
    codec: Arc<C>,
    told: Arc<Mutex<Told<Ctx>>>,
    commands: mpsc::Sender<Command>,
    counters: Arc<Counters>,
    handle: NetworkHandle,
}

impl<Ctx, C> Pump<Ctx, C>
where
    Ctx: Context,
    C: ConsensusCodec<Ctx> + SyncCodec<Ctx>,
{
    async fn run(self, mut events: mpsc::UnboundedReceiver<EngineEvent>) {
        while let Some(event) = events.recv().await {
            let unanswerable = self.event(event);
            if let Some(number) = unanswerable {
                let give_up = Command::SyncResponse(number, None);
                if self.commands.send(give_up).await.is_err() {
                    return;
                }
            }
        }
    }

    fn decode<T>(&self, from: &PeerId, what: &str, bytes: Bytes) -> Option<T>
    where
        C: Codec<T>,
    {
        match self.codec.decode(bytes) {
            Ok(value) => Some(value),
            Err(error) => {
                if self.counters.messages_undecodable.one() {
                    tracing::warn!(peer = %from, %error, "cannot decode a {what}");
                }
                None
            }
        }
    }

    fn tell(&self, event: NetworkEvent<Ctx>) {
        lock(&self.told).tell(event);
    }

    /// Handles one event. Gives the number of a request that cannot be answered.
    fn event(&self, event: EngineEvent) -> Option<u64> {
        match event {
            EngineEvent::Listening(address) => {
                let mut told = lock(&self.told);
                told.listening = Some(address.clone());
                told.tell(NetworkEvent::Listening(address));
            }
            EngineEvent::Connected(peer) => {
                let peer = engine_peer(&peer)?;
                let mut told = lock(&self.told);
                told.peers.insert(peer);
                told.tell(NetworkEvent::PeerConnected(peer));
            }
            EngineEvent::Disconnected(peer) => {
                let peer = engine_peer(&peer)?;
                let mut told = lock(&self.told);
                told.peers.remove(&peer);
                told.tell(NetworkEvent::PeerDisconnected(peer));
            }
            EngineEvent::Message {
                from,
                origin,
                channel,
                bytes,
                room,
            } => {
                if let Some(event) = self.message(from, origin, channel, bytes) {
                    self.tell(event);
                }
                drop(room);
            }
            EngineEvent::Status { from, bytes, room } => {
                let status: sync::Status<Ctx> = self.decode(&from, "status", bytes)?;
                let peer = engine_peer(&from)?;
                if status.peer_id == peer {
                    self.handle
                        .shared
                        .saw_height(from, status.tip_height.as_u64());
                    let status = Status::new(status.tip_height, status.history_min_height);
                    self.tell(NetworkEvent::Status(peer, status));
                } else {
                    self.counters.frames_forged.one();
                }
                drop(room);
            }
            EngineEvent::SyncRequest(number, from, bytes) => {
                let request: Option<sync::Request<Ctx>> = self.decode(&from, "sync request", bytes);
                let (Some(request), Some(peer)) = (request, engine_peer(&from)) else {
                    return Some(number);
                };
                let id = InboundRequestId::new(number);
                self.tell(NetworkEvent::SyncRequest(id, peer, request));
            }
            EngineEvent::SyncResponse(number, from, bytes) => {
                let peer = engine_peer(&from)?;
                let response: Option<sync::Response<Ctx>> =
                    self.decode(&from, "sync response", bytes);
                let id = OutboundRequestId::new(number);
                self.tell(NetworkEvent::SyncResponse(id, peer, response));
            }
            EngineEvent::SyncFailed(number, peer, reason) => {
                let peer = engine_peer(&peer)?;
                let id = OutboundRequestId::new(number);
                self.tell(NetworkEvent::SyncRequestFailed(id, peer, reason));
            }
            EngineEvent::SyncGone(number, peer) => {
                let peer = engine_peer(&peer)?;
                let id = InboundRequestId::new(number);
                self.tell(NetworkEvent::SyncInboundRequestFailed(id, peer));
            }
        }
        None
    }

    fn message(
        &self,
        from: PeerId,
        origin: PeerId,
        channel: Channel,
        bytes: Bytes,
    ) -> Option<NetworkEvent<Ctx>> {
        let peer = engine_peer(&origin)?;
        Some(match channel {
            Channel::Consensus => {
                match self.decode::<SignedConsensusMsg<Ctx>>(&from, "consensus message", bytes)? {
                    SignedConsensusMsg::Vote(vote) => NetworkEvent::Vote(peer, vote),
                    SignedConsensusMsg::Proposal(p) => NetworkEvent::Proposal(peer, p),
                }
            }
            Channel::Liveness => {
                match self.decode::<LivenessMsg<Ctx>>(&from, "liveness message", bytes)? {
                    LivenessMsg::Vote(vote) => NetworkEvent::Vote(peer, vote),
                    LivenessMsg::PolkaCertificate(c) => NetworkEvent::PolkaCertificate(peer, c),
                    LivenessMsg::SkipRoundCertificate(c) => NetworkEvent::RoundCertificate(peer, c),
                }
            }
            Channel::Parts => {
                let part: StreamMessage<Ctx::ProposalPart> =
                    self.decode(&from, "proposal part", bytes)?;
                NetworkEvent::ProposalPart(engine_peer(&from)?, Some(peer), part)
            }
        })
    }
}

/// The engine's network actor.
struct EngineNetwork<Ctx: Context, C> {
    codec: Arc<C>,
    told: Arc<Mutex<Told<Ctx>>>,
    subscribers: watch::Sender<usize>,
    commands: mpsc::Sender<Command>,
    handle: NetworkHandle,
    requests: AtomicU64,
}

impl<Ctx, C> EngineNetwork<Ctx, C>
where
    Ctx: Context,
    C: ConsensusCodec<Ctx> + SyncCodec<Ctx>,
{
    fn encode<T>(&self, what: &str, value: &T) -> Option<Bytes>
    where
        C: Codec<T>,
    {
        self.codec
            .encode(value)
            .inspect_err(|error| tracing::error!(%error, "cannot encode a {what}"))
            .ok()
    }

    /// An error ends the actor, and with it the node.
    async fn command(&self, command: Command) -> Result<(), ActorProcessingErr> {
        let sent = self.commands.send(command).await;
        sent.map_err(|_| "the network has stopped".into())
    }

    async fn publish(
        &self,
        channel: Channel,
        bytes: Option<Bytes>,
    ) -> Result<(), ActorProcessingErr> {
        match bytes {
            Some(bytes) => self.command(Command::Publish(channel, bytes)).await,
            None => Ok(()),
        }
    }

    /// Addresses may be told at runtime; who may connect is the registry's decision alone.
    async fn persistent(&self, op: PersistentPeersOp) -> Result<(), PersistentPeerError> {
        let (address, add) = match op {
            PersistentPeersOp::Add(address) => (address, true),
            PersistentPeersOp::Remove(address) => (address, false),
        };
        let peer = address.iter().find_map(|part| match part {
            Protocol::P2p(peer) => Some(peer),
            _ => None,
        });
        let known = |peer: &PeerId| {
            self.handle
                .shared
                .registry
                .borrow()
                .peers()
                .contains_key(peer)
        };
        let Some(peer) = peer.filter(known) else {
            return Err(PersistentPeerError::NotFound);
        };
        self.command(Command::Address(peer, add.then_some(address)))
            .await
            .map_err(|_| PersistentPeerError::NetworkStopped)
    }
}

#[async_trait]
impl<Ctx, C> Actor for EngineNetwork<Ctx, C>
where
    Ctx: Context,
    C: ConsensusCodec<Ctx> + SyncCodec<Ctx>,
{
    type Msg = Msg<Ctx>;
    type State = ();
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ActorRef<Msg<Ctx>>,
        (): (),
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Msg<Ctx>>,
        message: Msg<Ctx>,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Subscribe(subscriber) => {
                lock(&self.told).subscribe(subscriber);
                self.subscribers.send_modify(|n| *n += 1);
            }
            Msg::PublishConsensusMsg(message) => {
                let bytes = self.encode("consensus message", &message);
                self.publish(Channel::Consensus, bytes).await?;
            }
            Msg::PublishLivenessMsg(message) => {
                let bytes = self.encode("liveness message", &message);
                self.publish(Channel::Liveness, bytes).await?;
            }
            Msg::PublishProposalPart(part) => {
                let bytes = self.encode("proposal part", &part);
                self.publish(Channel::Parts, bytes).await?;
            }
            Msg::BroadcastStatus(status) => {
                let Some(peer_id) = engine_peer(&self.handle.shared.key.peer_id()) else {
                    return Ok(());
                };
                let status = sync::Status {
                    peer_id,
                    tip_height: status.tip_height,
                    history_min_height: status.history_min_height,
                };
                if let Some(bytes) = self.encode("status", &status) {
                    self.command(Command::Status(bytes)).await?;
                }
            }
            Msg::OutgoingRequest(peer, request, reply) => {
                let number = self.requests.fetch_add(1, Ordering::Relaxed);
                let bytes = self.encode("sync request", &request);
                // The engine waits for the number; without one its sync stands still.
                if reply.send(OutboundRequestId::new(number)).is_err() {
                    return Ok(());
                }
                if let (Some(bytes), Some(peer)) = (bytes, swarm_peer(peer)) {
                    self.command(Command::SyncRequest(number, peer, bytes))
                        .await?;
                }
            }
            Msg::OutgoingResponse(id, response) => {
                if let Ok(number) = id.to_string().parse() {
                    let bytes = self.encode("sync response", &response);
                    self.command(Command::SyncResponse(number, bytes)).await?;
                }
            }
            Msg::CancelInboundRequest(id) => {
                if let Ok(number) = id.to_string().parse() {
                    self.command(Command::SyncResponse(number, None)).await?;
                }
            }
            Msg::UpdateValidatorSet(_) => self.command(Command::NewHeight).await?,
            Msg::DumpState(reply) => {
                let _ = reply.send(None);
            }
            Msg::UpdatePersistentPeers(op, reply) => {
                let _ = reply.send(self.persistent(op).await);
            }
            // A late response is dropped by the engine itself; proofs of validators are the
            // registry's business; the last is not for actors like this one.
            Msg::CancelRequest(_) | Msg::ValidatorProofVerified { .. } | Msg::NewEvent(_) => {}
        }
        Ok(())
    }
}
