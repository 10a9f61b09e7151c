//! The network between agencies: one libp2p swarm for consensus, sync, transactions and answers
//! (spec: `agency-node/spec/network.md`).
//!
//! - [`handle`]: what the rest of the node sees of it, and what it calls there;
//! - [`registry`]: who may connect. Nobody else gets further than the Noise handshake;
//! - `gate`: caps on handshakes before that; `silence`: a connection on which nothing arrives is dead;
//! - `links`: two long-lived streams for each direction of a link, with bounded queues and rates;
//! - `frame`, `seen`, `routes`: messages of consensus, told apart, and carried around cut links;
//! - `ask`: signed requests from agency to agency, directly or through another one;
//! - `transactions`: gossip, best effort;
//! - `driver`: the task that owns the swarm and holds these together;
//! - [`engine`]: the actor that the consensus engine takes for its network.
//!
//! # Correctness
//! - The allow list is the first behaviour, so an unregistered peer never gets a stream.
//! - A relayed frame counts only with its origin's signature, an answer only with its answerer's.
//! - Every queue is bounded in bytes, for each peer; sizes are checked before memory is taken.
//! - Nothing is awaited in the driver but its inputs, so one slow peer does not hold the others.

mod ask;
pub mod counters;
mod dial;
mod driver;
pub mod engine;
mod frame;
mod gate;
pub mod handle;
pub mod limits;
mod links;
mod queue;
mod rate;
pub mod registry;
mod routes;
mod rpc;
mod seen;
mod shared;
mod silence;
mod transactions;

use std::collections::BTreeMap;
use std::sync::Arc;

use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::ids::ChainId;
use zkbureau_ledger::keys::{PublicKey, SecretKey};

pub use self::frame::Channel;
pub use self::handle::{AskKind, NetworkHandle, Path, PeerStatus, RequestError, Services, Waiting};
pub use self::limits::Limits;
pub use self::registry::{Member, PeerName, Registry, peer_id};

use self::driver::{Driver, Parts};
use self::engine::{Command, EngineEvent};

/// A node's identity on the network. Never printed.
#[derive(Clone)]
pub struct NetworkKey {
    identity: Keypair,
    secret: Arc<SecretKey>,
}

impl NetworkKey {
    /// The key of a seed.
    ///
    /// # Panics
    /// Never: every 32 bytes are an Ed25519 seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let mut bytes = Zeroizing::new(*seed);
        let identity = Keypair::ed25519_from_bytes(&mut *bytes).expect("32 bytes are a seed");
        Self {
            identity,
            secret: Arc::new(SecretKey::from_seed(seed)),
        }
    }

    /// The public key, as the registry names it.
    pub fn public(&self) -> PublicKey {
        self.secret.public()
    }

    /// The libp2p identity.
    pub fn peer_id(&self) -> PeerId {
        self.identity.public().to_peer_id()
    }
}

impl std::fmt::Debug for NetworkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NetworkKey({})", self.peer_id())
    }
}

/// How a node takes part in the network.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// The chain. Peers of another one do not understand each other.
    pub chain: ChainId,
    /// Our identity.
    pub key: NetworkKey,
    /// Where we listen, e.g. `/ip4/0.0.0.0/tcp/26656`.
    pub listen: Multiaddr,
    /// Where agencies listen. Ours may be among them and is left out.
    pub peers: BTreeMap<AgencyId, Multiaddr>,
    /// Sizes, rates and times.
    pub limits: Limits,
}

/// The network could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// Why not.
        reason: String,
    },
    /// The encrypted transport could not be set up.
    #[error("cannot set up the transport: {0}")]
    Transport(String),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// The running network.
pub struct Network {
    handle: NetworkHandle,
    listening: Multiaddr,
    commands: mpsc::Sender<Command>,
    events: Option<mpsc::UnboundedReceiver<EngineEvent>>,
    attach: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Network {
    /// Listens, and dials whom the registry and the configuration name.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        config: NetworkConfig,
        registry: Registry,
        services: Arc<dyn Services>,
    ) -> Result<Self, StartError> {
        let (stop, stopping) = watch::channel(false);
        let Parts {
            driver,
            shared,
            commands,
            events,
            attach,
        } = Driver::assemble(config, registry, services, stopping)?;
        let (driver, listening) = driver.listen().await?;
        let task = tokio::spawn(driver.run());
        Ok(Self {
            handle: NetworkHandle { shared },
            listening,
            commands,
            events: Some(events),
            attach,
            stop,
            task,
        })
    }

    /// For everybody else in the node.
    pub fn handle(&self) -> NetworkHandle {
        self.handle.clone()
    }

    /// The address we listen on, with the port the system chose if it was to choose.
    pub fn listening(&self) -> &Multiaddr {
        &self.listening
    }

    /// Stops, closing all connections.
    pub async fn stop(self) {
        // The task may be gone already.
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}
