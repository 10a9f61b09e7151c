//! Starting and stopping the engine.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_malachitebft_app_channel::app::config::{
    ConsensusConfig, NodeConfig, ValuePayload, ValueSyncConfig,
};
use arc_malachitebft_app_channel::app::engine::network::NetworkRef;
use arc_malachitebft_app_channel::app::engine::node::NodeRef;
use arc_malachitebft_app_channel::{
    ConsensusContext, EngineBuilder, NetworkMsg, RequestContext, SyncContext, WalContext,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::keys::SecretKey;

use super::app::{App, Parts};
use super::codec::Codec;
use super::context::{Address, Bureau};
use super::error::ConsensusError;
use super::guard::{Guard, height_of_log};
use super::limits;
use super::meters::Meters;
use super::payloads::Payloads;
use super::signing::{ChainSigner, ChainVerifier};
use crate::node::Node;

/// How long another process may take to let go of the log.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);
/// How long the engine's tasks may take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A round waits this long for its block, and longer when blocks took longer lately.
    pub propose: Duration,
    /// A round waits this long for late votes.
    pub votes: Duration,
    /// Votes are sent again after this long without progress.
    pub rebroadcast: Duration,
    /// An idle node collects transactions for this long before it starts a block.
    pub collect: Duration,
    /// Blocks follow one another no faster than this, unless somebody else starts one.
    pub interval: Duration,
    /// An empty block is made after this long without one.
    pub heartbeat: Duration,
    /// Nodes tell each other how far they are this often.
    pub status: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            propose: Duration::from_millis(1_000),
            votes: Duration::from_millis(250),
            rebroadcast: Duration::from_millis(1_000),
            collect: Duration::from_millis(50),
            interval: Duration::from_millis(100),
            heartbeat: Duration::from_secs(60),
            status: Duration::from_secs(2),
        }
    }
}

/// Who takes part in consensus here.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The agency. For an observer any number that no agency has.
    pub agency: AgencyId,
    /// The agency's validator key. It signs whenever the agency has a seat. An observer has none.
    pub validator: Option<Arc<SecretKey>>,
}

/// The network under the engine: an actor that the engine tells what to send, and a way for the
/// application to send parts of blocks.
pub struct EngineNetwork {
    /// The actor.
    pub actor: NetworkRef<Bureau>,
    /// Where parts go.
    pub sender: mpsc::Sender<NetworkMsg<Bureau>>,
}

impl EngineNetwork {
    /// Joins an actor to the application.
    #[must_use]
    pub fn new(actor: NetworkRef<Bureau>) -> Self {
        // A part is a quarter of a megabyte: few wait here.
        let (sender, mut parts) = mpsc::channel::<NetworkMsg<Bureau>>(4);
        let to = actor.clone();
        tokio::spawn(async move {
            while let Some(message) = parts.recv().await {
                if to.cast(message.into()).is_err() {
                    // The actor has ended: senders see a closed channel.
                    break;
                }
            }
        });
        Self { actor, sender }
    }
}

struct Config {
    name: String,
    consensus: ConsensusConfig,
    value_sync: ValueSyncConfig,
}

impl Config {
    /// `votes`: whether it signs when the agency has a seat.
    fn new(agency: AgencyId, votes: bool, timing: &Timing) -> Result<Self, ConsensusError> {
        let size = |bytes: usize| {
            format!("{bytes} B")
                .parse()
                .map_err(|_| ConsensusError::Engine("a size".into()))
        };
        let consensus = ConsensusConfig {
            enabled: votes,
            value_payload: ValuePayload::ProposalAndParts,
            ..ConsensusConfig::default()
        };
        let value_sync = ValueSyncConfig {
            status_update_interval: timing.status,
            max_request_size: size(limits::MAX_SYNC_REQUEST_BYTES)?,
            max_response_size: size(limits::MAX_SYNC_RESPONSE_BYTES)?,
            parallel_requests: 3,
            batch_size: limits::MAX_SYNC_BATCH,
            // Reading blocks for others holds up consensus, so nobody gets more than a tenth of the time for it.
            inbound_request_rate_limit_window: Duration::from_secs(10),
            max_inbound_requests_per_window: 100,
            max_concurrent_inbound_requests: 2,
            max_pending_inbound_requests: 32,
            ..ValueSyncConfig::default()
        };
        Ok(Self {
            name: format!("agency-{}", agency.0),
            consensus,
            value_sync,
        })
    }
}

impl NodeConfig for Config {
    fn moniker(&self) -> &str {
        &self.name
    }

    fn consensus(&self) -> &ConsensusConfig {
        &self.consensus
    }

    fn consensus_mut(&mut self) -> &mut ConsensusConfig {
        &mut self.consensus
    }

    fn value_sync(&self) -> &ValueSyncConfig {
        &self.value_sync
    }

    fn value_sync_mut(&mut self) -> &mut ValueSyncConfig {
        &mut self.value_sync
    }
}

/// Consensus as it runs.
pub struct Engine {
    meters: Arc<Meters>,
    node: NodeRef,
    supervisor: JoinHandle<()>,
    ended: watch::Receiver<Option<Arc<ConsensusError>>>,
    stopping: watch::Sender<bool>,
}

/// Starts consensus over a network. Files are kept under `home`.
///
/// # Errors
/// [`ConsensusError`] when the log is held by another process, or the disk fails.
pub async fn start_on(
    node: Arc<Node>,
    identity: Identity,
    network: EngineNetwork,
    timing: Timing,
    home: &Path,
) -> Result<Engine, ConsensusError> {
    std::fs::create_dir_all(home)?;
    let payloads = Payloads::open(&home.join("proposed"))?;
    let log = home.join("votes.wal");
    wait_for_lock(&log).await?;
    let chain = *node.ledger.chain_id();
    let address = Address(identity.agency);
    let verifier = ChainVerifier::new(chain);
    // Beside the log's folder: whoever loses that must not lose this with it.
    let guard = Arc::new(Guard::open(&home.with_extension("signed"))?);
    let tip = node.ledger.tip().height;
    let silent = guard.silent_until(tip, height_of_log(&log)?);
    if let Some(until) = silent.filter(|_| identity.validator.is_some()) {
        tracing::warn!(%until, last_block = %tip,
            "the consensus log or the ledger is older than what this validator signed; it signs nothing \
             until that height is decided");
    }
    let signer = identity
        .validator
        .filter(|_| silent.is_none())
        .map(|key| ChainSigner::new(chain, address, key).guarded(guard));
    let votes = signer.is_some();
    let context = match &signer {
        Some(signer) => {
            ConsensusContext::new_validator(address, Box::new(verifier), Box::new(signer.clone()))
        }
        None => ConsensusContext::new_full_node(address, Box::new(verifier)),
    };
    let meters = Arc::new(Meters::default());
    node.set_meters(meters.clone());
    let app = App::new(Parts {
        node,
        signer,
        verifier,
        network: network.sender.clone(),
        payloads,
        meters: meters.clone(),
        timing,
        silent,
    })?;
    let config = Config::new(identity.agency, votes, &timing)?;
    let (channels, handle) = EngineBuilder::new(Bureau, config)
        .with_default_wal(WalContext::new(log, Codec))
        .with_custom_network(network.actor, network.sender)
        .with_default_sync(SyncContext::new(Codec))
        .with_default_consensus(context)
        .with_default_request(RequestContext::new(16))
        .build()
        .await
        .map_err(|e| ConsensusError::Engine(format!("{e:#}")))?;
    let (stopping, stop) = watch::channel(false);
    let (tell, ended) = watch::channel(None);
    let actor = handle.actor.clone();
    let mut engine = handle.handle;
    let supervisor = tokio::spawn(async move {
        let mut app = tokio::spawn(app.run(channels));
        let outcome = tokio::select! {
            outcome = &mut app => match outcome {
                Ok(Ok(())) => ConsensusError::EngineStopped,
                Ok(Err(error)) => error,
                Err(_) => ConsensusError::Panicked,
            },
            _ = &mut engine => ConsensusError::EngineStopped,
        };
        if !*stop.borrow() && !matches!(outcome, ConsensusError::MaySign) {
            tracing::error!(error = %outcome, "consensus has ended");
        }
        // Whichever ended first, the other must not go on alone.
        stop_engine(&actor).await;
        if !app.is_finished() && tokio::time::timeout(STOP_PATIENCE, &mut app).await.is_err() {
            app.abort();
        }
        tell.send_replace(Some(Arc::new(outcome)));
    });
    Ok(Engine {
        meters,
        node: handle.actor,
        supervisor,
        ended,
        stopping,
    })
}

async fn stop_engine(actor: &NodeRef) {
    let cell = actor.get_cell();
    cell.stop_children_and_wait(None, Some(STOP_PATIENCE)).await;
    let _ = cell.stop_and_wait(None, Some(STOP_PATIENCE)).await;
}

impl Engine {
    /// What it does and how long it takes.
    #[must_use]
    pub fn meters(&self) -> Arc<Meters> {
        self.meters.clone()
    }

    /// Waits until consensus ends by itself. The node must not outlive it.
    pub async fn ended(&self) -> Arc<ConsensusError> {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(error) => error
                .clone()
                .unwrap_or_else(|| Arc::new(ConsensusError::EngineStopped)),
            Err(_) => Arc::new(ConsensusError::EngineStopped),
        }
    }

    /// Stops consensus. What is being written is finished.
    pub async fn stop(self) {
        self.stopping.send_replace(true);
        stop_engine(&self.node).await;
        let _ = self.supervisor.await;
    }
}

/// Waits until no other process holds the log: after a crash the old one may not have gone yet, and
/// two processes that sign with one key would contradict each other.
async fn wait_for_lock(log: &Path) -> Result<(), ConsensusError> {
    let start = Instant::now();
    let mut told = false;
    loop {
        let file: File = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(log)?;
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) => {}
        }
        let waited = start.elapsed();
        if waited >= LOCK_PATIENCE {
            return Err(ConsensusError::Locked {
                path: log.display().to_string(),
                waited: waited.as_secs(),
            });
        }
        if !std::mem::replace(&mut told, true) {
            tracing::warn!(log = %log.display(), patience = ?LOCK_PATIENCE,
                "another process still holds the consensus log; waiting for it to end");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
