//! The task that owns the swarm (spec: `agency-node/spec/network.md`).
//!
//! It waits for everything at once and does nothing that takes long: checks of transactions and
//! answers run elsewhere, and whatever goes to a peer goes into its bounded queue.

mod answers;
mod peers;
mod publish;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::TcpListener;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use libp2p::core::upgrade::Version;
use libp2p::request_response::{self, OutboundRequestId, ResponseChannel};
use libp2p::swarm::{ConnectionId, NetworkBehaviour, SwarmEvent};
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport, allow_block_list, connection_limits, dns, noise, ping,
    tcp, yamux,
};
use rand_core::{OsRng, RngCore};
use tokio::sync::{mpsc, watch};
use zkbureau_circuits::ids::AgencyId;

use self::answers::Answers;
use self::publish::Replay;
use super::dial::Dials;
use super::engine::{Command, EngineEvent};
use super::gate::{Gate, ip_of, socket_of};
use super::handle::Services;
use super::links::{Inbound, LinkBroken, Links, Outbox};
use super::registry::{PeerName, Registry};
use super::routes::Routes;
use super::rpc::Messages;
use super::seen::Seen;
use super::shared::{AskCommand, Shared, View};
use super::silence::Silence;
use super::transactions::{self, Gossip};
use super::{NetworkConfig, StartError};

/// How long messages are kept for an engine that is not attached yet.
const UNATTACHED: Duration = Duration::from_secs(10);
/// Commands that wait.
const COMMANDS: usize = 1_024;
/// How often dialling and announcing are looked after.
const TICK: Duration = Duration::from_millis(100);
/// How often links are announced without a change.
const ANNOUNCE: Duration = Duration::from_secs(5);
/// How long to wait for the listening address.
const LISTEN: Duration = Duration::from_secs(5);
/// Frames looked at in one go, before other inputs have their turn.
const BATCH: usize = 64;
/// Sync requests of one connection under way.
const SYNC_STREAMS: usize = 32;
/// Connections of one peer: two that were dialled at once, and one that is just closing.
const CONNECTIONS: u32 = 3;
/// Streams of one connection whose protocol is not yet agreed on.
const NEGOTIATING: usize = 32;

/// Everything that speaks on a connection. The allow list must stay first.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    allowed: allow_block_list::Behaviour<allow_block_list::AllowedPeers>,
    gate: Gate,
    limits: connection_limits::Behaviour,
    ping: ping::Behaviour,
    links: Links,
    sync: request_response::Behaviour<Messages>,
    ask: request_response::Behaviour<Messages>,
}

/// The connection to a peer that is in use.
struct Link {
    connection: ConnectionId,
    /// Never used again, unlike the peer's identity.
    number: u64,
    name: PeerName,
    outbox: Outbox,
    /// Whether the peer with the smaller identity dialled.
    smaller_dialled: bool,
    since: Instant,
}

/// The task's state.
pub(super) struct Driver {
    swarm: Swarm<Behaviour>,
    me: PeerId,
    my_agency: Option<AgencyId>,
    shared: Arc<Shared>,
    services: Arc<dyn Services>,
    listen: Multiaddr,
    addresses: BTreeMap<AgencyId, Multiaddr>,
    /// Addresses that were told at runtime.
    told: BTreeMap<PeerId, Multiaddr>,

    registry: Arc<Registry>,
    names: BTreeMap<PeerId, PeerName>,
    dials: Dials,
    links: BTreeMap<PeerId, Link>,
    next_link: u64,
    routes: Routes,
    announced: Instant,
    /// When frames of ours were last sent again through a carrier to an agency.
    handed: BTreeMap<(AgencyId, AgencyId), Instant>,

    epoch: u64,
    numbers: [u64; 2],
    seen: Seen,
    replay: Replay,
    status: Option<Bytes>,
    gossip: Gossip,
    answers: Answers,

    sync_out: HashMap<OutboundRequestId, u64>,
    sync_in: HashMap<u64, ResponseChannel<Bytes>>,
    sync_ids: HashMap<request_response::InboundRequestId, u64>,
    next_sync: u64,

    started: Instant,
    listening: Option<Multiaddr>,
    told_listening: bool,

    engine: mpsc::UnboundedSender<EngineEvent>,
    attached: watch::Receiver<bool>,
    inputs: Inputs,
    /// Says that the network has stopped when it is dropped, be it by a panic.
    _running: Running,
}

/// Where the task's work comes from.
struct Inputs {
    inbox: mpsc::Receiver<Inbound>,
    commands: mpsc::Receiver<Command>,
    asks: mpsc::Receiver<AskCommand>,
    outgoing: transactions::Receiver<Arc<[u8]>>,
    registry: watch::Receiver<Arc<Registry>>,
    stopping: watch::Receiver<bool>,
}

struct Running(watch::Sender<bool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

/// A driver and what others need to talk to it.
pub(super) struct Parts {
    pub driver: Driver,
    pub shared: Arc<Shared>,
    pub commands: mpsc::Sender<Command>,
    pub events: mpsc::UnboundedReceiver<EngineEvent>,
    /// Set when there is an engine.
    pub attach: watch::Sender<bool>,
}

/// What woke the task.
enum Input {
    Swarm(SwarmEvent<BehaviourEvent>),
    Frame(Inbound),
    Command(Command),
    Ask(AskCommand),
    Transaction(Arc<[u8]>),
    Registry,
    Answered(answers::Done),
    Tick,
    Stop,
}

impl Driver {
    /// Puts the parts together.
    pub fn assemble(
        config: NetworkConfig,
        registry: Registry,
        services: Arc<dyn Services>,
        stopping: watch::Receiver<bool>,
    ) -> Result<Parts, StartError> {
        let limits = config.limits;
        let me = config.key.peer_id();
        let counters = Arc::<super::counters::Counters>::default();
        let chain = hex::encode(&config.chain.as_bytes()[..8]);
        let known: HashSet<_> = config.peers.values().filter_map(ip_of).collect();
        let transport_error = |e: &dyn std::fmt::Display| StartError::Transport(e.to_string());

        let (links, inbox) =
            Links::new(&limits, &chain, counters.clone()).map_err(|e| transport_error(&e))?;
        let sync = Messages {
            request: limits.sync_request,
            response: limits.sync_response,
        };
        let ask = Messages {
            request: limits.ask_request,
            response: limits.ask_reply,
        };
        let behaviour = Behaviour {
            allowed: allow_block_list::Behaviour::default(),
            gate: Gate::new(&limits, known, counters.clone()),
            limits: connection_limits::Behaviour::new(
                connection_limits::ConnectionLimits::default()
                    .with_max_established_per_peer(Some(CONNECTIONS)),
            ),
            ping: ping::Behaviour::new(
                ping::Config::new()
                    .with_interval(limits.ping_interval)
                    .with_timeout(limits.ping_timeout),
            ),
            links,
            sync: sync
                .behaviour(&chain, "sync", limits.ask_time, SYNC_STREAMS)
                .map_err(|e| transport_error(&e))?,
            ask: ask
                .behaviour(&chain, "ask", limits.ask_time, 2 * limits.asks_per_peer)
                .map_err(|e| transport_error(&e))?,
        };
        let noise = noise::Config::new(&config.key.identity).map_err(|e| transport_error(&e))?;
        let tcp = || tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
        let silence = limits.ping_interval + limits.ping_timeout;
        let transport = dns::tokio::Transport::system(tcp())
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "no name service: only addresses can be dialled");
                let nobody = dns::ResolverConfig::new();
                dns::tokio::Transport::custom(tcp(), nobody, dns::ResolverOpts::default())
            })
            .map(move |stream, _| Silence::new(stream, silence))
            .upgrade(Version::V1Lazy)
            .authenticate(noise)
            .multiplex(yamux::Config::default())
            .timeout(limits.handshake_time)
            .boxed();
        let swarm = Swarm::new(
            transport,
            behaviour,
            me,
            libp2p::swarm::Config::with_tokio_executor()
                .with_max_negotiating_inbound_streams(NEGOTIATING),
        );

        let (commands, command_inputs) = mpsc::channel(COMMANDS);
        let (asks, ask_inputs) = mpsc::channel(COMMANDS);
        let (outgoing, outgoing_inputs) = transactions::channel(limits.transactions);
        let (incoming, delivered) = transactions::channel(limits.transactions);
        let (engine, events) = mpsc::unbounded_channel();
        let (running, is_running) = watch::channel(true);
        let (attach, attached) = watch::channel(false);
        let registry = Arc::new(registry);
        let (registry_out, registry_in) = watch::channel(registry.clone());
        transactions::deliver(services.clone(), delivered)?;

        let shared = Arc::new(Shared {
            counters: counters.clone(),
            key: config.key,
            chain: config.chain,
            limits: limits.clone(),
            registry: registry_out,
            view: RwLock::default(),
            asks,
            outgoing,
            running: is_running,
            waiting: Mutex::default(),
            next_waiting: AtomicU64::new(0),
            heights: Mutex::default(),
        });
        let now = Instant::now();
        let mut driver = Self {
            swarm,
            me,
            my_agency: None,
            answers: Answers::new(limits.asks_per_peer, limits.ask_time),
            replay: Replay::new(limits.replay),
            dials: Dials::new(&limits),
            gossip: Gossip::new(incoming, counters),
            shared: shared.clone(),
            services,
            listen: config.listen,
            addresses: config.peers,
            told: BTreeMap::new(),
            registry,
            names: BTreeMap::new(),
            links: BTreeMap::new(),
            next_link: 0,
            routes: Routes::default(),
            announced: now,
            handed: BTreeMap::new(),
            epoch: OsRng.next_u64(),
            numbers: [0; 2],
            seen: Seen::default(),
            status: None,
            sync_out: HashMap::new(),
            sync_in: HashMap::new(),
            sync_ids: HashMap::new(),
            next_sync: 0,
            started: now,
            listening: None,
            told_listening: false,
            engine,
            attached,
            inputs: Inputs {
                inbox,
                commands: command_inputs,
                asks: ask_inputs,
                outgoing: outgoing_inputs,
                registry: registry_in,
                stopping,
            },
            _running: Running(running),
        };
        driver.admit();
        Ok(Parts {
            driver,
            shared,
            commands,
            events,
            attach,
        })
    }

    /// Listens. Nothing else is done before that succeeded.
    pub async fn listen(mut self) -> Result<(Self, Multiaddr), StartError> {
        let address = self.listen.clone();
        let failed = |reason: String| StartError::Listen {
            address: address.clone(),
            reason,
        };
        if let Some(socket) = socket_of(&address) {
            // The swarm shares ports, so it would not notice another process on this one.
            drop(TcpListener::bind(socket).map_err(|e| failed(e.to_string()))?);
        }
        let listener = self
            .swarm
            .listen_on(address.clone())
            .map_err(|e| failed(e.to_string()))?;
        let until = tokio::time::Instant::now() + LISTEN;
        loop {
            let event = tokio::time::timeout_at(until, self.swarm.select_next_some()).await;
            match event.map_err(|_| failed("no address in time".into()))? {
                SwarmEvent::NewListenAddr {
                    listener_id,
                    address,
                } if listener_id == listener => {
                    self.listening = Some(address.clone());
                    return Ok((self, address));
                }
                SwarmEvent::ListenerClosed {
                    listener_id,
                    reason,
                    ..
                } if listener_id == listener => {
                    let reason = reason.err().map_or("closed".into(), |e| e.to_string());
                    return Err(failed(reason));
                }
                other => self.swarm_event(other),
            }
        }
    }

    /// Works until it is told to stop.
    pub async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.started = Instant::now();
        loop {
            let inputs = &mut self.inputs;
            let input = tokio::select! {
                event = self.swarm.select_next_some() => Input::Swarm(event),
                Some(frame) = inputs.inbox.recv() => Input::Frame(frame),
                Some(command) = inputs.commands.recv() => Input::Command(command),
                Some(ask) = inputs.asks.recv() => Input::Ask(ask),
                Some(bytes) = inputs.outgoing.recv() => Input::Transaction(bytes),
                Some(done) = self.answers.done() => Input::Answered(done),
                Ok(()) = inputs.registry.changed() => Input::Registry,
                _ = tick.tick() => Input::Tick,
                // An error means that whoever could stop us is gone.
                _ = inputs.stopping.wait_for(|stop| *stop) => Input::Stop,
            };
            match input {
                Input::Swarm(event) => self.swarm_event(event),
                Input::Frame(frame) => {
                    self.frame(frame);
                    for _ in 1..BATCH {
                        let Ok(frame) = self.inputs.inbox.try_recv() else {
                            break;
                        };
                        self.frame(frame);
                    }
                }
                Input::Command(command) => self.command(command),
                Input::Ask(ask) => self.ask(ask),
                Input::Transaction(bytes) => self.broadcast(&bytes),
                Input::Answered(done) => self.answered(done),
                Input::Registry => self.admit(),
                Input::Tick => self.tick(),
                Input::Stop => return,
            }
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.dial(now);
        if now.duration_since(self.announced) >= ANNOUNCE {
            self.announce(now);
        }
        self.tell_listening(now);
        self.answers.forget_late(now);
    }

    /// Lets consensus start when enough of the others are here, or it took too long.
    fn tell_listening(&mut self, now: Instant) {
        if self.told_listening {
            return;
        }
        let Some(address) = self.listening.clone() else {
            return;
        };
        let mine = self.my_agency.map_or(0, |me| self.registry.power(me));
        let linked = self
            .routes
            .linked()
            .map(|agency| self.registry.power(agency));
        let power = linked.fold(mine, u64::saturating_add);
        let enough = u128::from(power) * 3 > u128::from(self.registry.total_power()) * 2;
        if enough || now.duration_since(self.started) >= self.shared.limits.patience {
            self.told_listening = true;
            self.tell(EngineEvent::Listening(address));
        }
    }

    /// Whether there is an engine, or one may come: a node that only fetches a snapshot has none,
    /// and what is kept for it would hold up its streams.
    fn has_engine(&self) -> bool {
        *self.attached.borrow() || self.started.elapsed() < UNATTACHED
    }

    /// Without an engine nobody listens, and that is all right.
    fn tell(&self, event: EngineEvent) {
        let _ = self.engine.send(event);
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Publish(channel, bytes) => self.publish(channel, bytes),
            Command::NewHeight => self.replay.new_height(),
            Command::Status(bytes) => self.publish_status(bytes),
            Command::SyncRequest(number, peer, bytes) => {
                let id = self.swarm.behaviour_mut().sync.send_request(&peer, bytes);
                self.sync_out.insert(id, number);
            }
            Command::SyncResponse(number, bytes) => {
                // Dropping the channel tells the peer that there is no response.
                let channel = self.sync_in.remove(&number);
                if let (Some(channel), Some(bytes)) = (channel, bytes) {
                    let _ = self
                        .swarm
                        .behaviour_mut()
                        .sync
                        .send_response(channel, bytes);
                }
            }
            Command::Address(peer, address) => {
                match address {
                    Some(address) => self.told.insert(peer, address),
                    None => self.told.remove(&peer),
                };
                self.set_dials(Instant::now());
            }
        }
    }

    fn swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => self.connected(peer_id, connection_id, endpoint.is_dialer()),
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                ..
            } => self.closed(peer_id, connection_id),
            SwarmEvent::OutgoingConnectionError {
                peer_id: Some(peer),
                error,
                ..
            } => {
                tracing::debug!(%peer, %error, "cannot connect");
                self.dials.failed(&peer, Instant::now());
            }
            SwarmEvent::IncomingConnectionError {
                error: libp2p::swarm::ListenError::Denied { cause },
                send_back_addr,
                ..
            } if cause
                .downcast_ref::<allow_block_list::NotAllowed>()
                .is_some() =>
            {
                self.shared.counters.connections_not_registered.one();
                tracing::info!(address = %send_back_addr, "refused a peer that is not registered");
            }
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event {
                peer,
                connection,
                result: Err(error),
            })) => {
                tracing::info!(%peer, %error, "a peer does not answer pings");
                self.swarm.close_connection(connection);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Links(LinkBroken { peer, why })) => {
                tracing::debug!(%peer, %why, "a link is broken");
            }
            SwarmEvent::Behaviour(BehaviourEvent::Sync(event)) => self.sync_event(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ask(event)) => self.ask_event(event),
            _ => {}
        }
    }

    fn publish_view(&self) {
        let view = View {
            links: self
                .links
                .iter()
                .map(|(peer, link)| (*peer, link.outbox.clone()))
                .collect(),
            routes: self.routes.clone(),
        };
        *self
            .shared
            .view
            .write()
            .unwrap_or_else(PoisonError::into_inner) = view;
    }
}
