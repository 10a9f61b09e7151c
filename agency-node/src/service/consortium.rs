//! An agency's node, from start to stop.
//!
//! ```text
//! lock ─▶ databases ─▶ node ─▶ network ─▶ consensus ─▶ sockets … stop ─▶ sockets ─▶ consensus ─▶ network ─▶ databases
//! ```
//!
//! When the ledger gives the agency new keys, or its validator may sign again, network and consensus are
//! started again and everything else goes on; after a new schema, or a snapshot, everything is started again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::net::TcpListener;
use tokio::sync::watch;
use zkbureau_agency_node::config::Config;
use zkbureau_agency_node::consensus::{self, ConsensusError, Identity, Running, Timing};
use zkbureau_agency_node::http;
use zkbureau_agency_node::network::{Limits, Network, NetworkConfig, NetworkKey, Registry};
use zkbureau_agency_node::node::join::Joiner;
use zkbureau_agency_node::node::snapshots::{self, Spool};
use zkbureau_agency_node::node::{Gateway, Node};
use zkbureau_agency_node::vault::AgencyKeys;
use zkbureau_ledger::ids::Height;
use zkbureau_ledger::keys::SecretKey;
use zkbureau_ledger::{Ledger, RocksStore};

use super::{GRACE, catch_signals, open, reconcile, serve, start_runtime, stopped};
use crate::datadir::{DataDir, Located};

/// How often it is looked for transactions that must be sent again.
const LOOK_ROUND: Duration = Duration::from_secs(1);

/// Runs the node until a signal or a failure. A passphrase file goes before what the configuration names.
pub fn run(located: &Located, snapshot: Option<&Path>, passphrase: Option<&Path>) -> Result<()> {
    let data = &located.data;
    let lock = data.lock_patiently()?;
    let signals = catch_signals()?;
    if let Some(folder) = snapshot {
        import(located, folder)?;
    }
    while let Next::Again = run_once(located, passphrase, &signals)? {
        if *signals.borrow() {
            break;
        }
        tracing::info!("starting again");
    }
    drop(lock);
    tracing::info!("stopped");
    Ok(())
}

/// What comes after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Stop,
    /// The databases are opened anew.
    Again,
}

/// Starts an empty ledger from a snapshot.
fn import(located: &Located, folder: &Path) -> Result<()> {
    let data = &located.data;
    let (genesis, _) = data.genesis()?;
    if data.ledger().exists() {
        let store = RocksStore::open(data.ledger())?;
        let height = Ledger::open(store, &genesis)?.tip().height;
        if height != Height::GENESIS {
            tracing::info!(%height, "the ledger has blocks already; the snapshot is not needed");
            return Ok(());
        }
    }
    let name = folder.display();
    let manifest = snapshots::read_manifest(folder)?;
    let place = empty_place(data)?;
    let store = RocksStore::open(&place).with_context(|| place.display().to_string())?;
    let source = |number| snapshots::read_chunk(folder, number);
    let ledger = Ledger::import_snapshot(store, &genesis, &manifest, source)
        .with_context(|| name.to_string())?;
    tracing::info!(height = %ledger.tip().height, "the ledger starts from a snapshot");
    drop(ledger);
    data.take_joined()
}

/// A place beside the ledger, with nothing in it.
fn empty_place(data: &DataDir) -> Result<PathBuf> {
    let path = data.joining();
    if path.exists() {
        std::fs::remove_dir_all(&path).with_context(|| path.display().to_string())?;
    }
    Ok(path)
}

fn run_once(
    located: &Located,
    passphrase: Option<&Path>,
    signals: &watch::Receiver<bool>,
) -> Result<Next> {
    let config = located.config()?;
    let data = &located.data;
    let (runtime, stop) = start_runtime(signals)?;
    let listener = runtime
        .block_on(TcpListener::bind(config.http.listen))
        .with_context(|| format!("http.listen: cannot listen on {}", config.http.listen))?;
    let (ledger, agencies, genesis_file) = open(located, passphrase, None)?;
    let spool =
        Spool::new(data.snapshots()).with_context(|| data.snapshots().display().to_string())?;
    let node = Node::new(ledger, agencies, config.agency, genesis_file)
        .with_limits(config.limits)
        .with_heartbeat(config.heartbeat)
        .with_snapshots(spool);
    let node = Arc::new(node);
    let started = runtime.block_on(http_server(listener, &node, config));
    let consortium = Consortium {
        node: node.clone(),
        config: config.clone(),
        data: data.clone(),
    };
    let agreement = runtime.spawn(consortium.run(stop.clone()));
    let settling = std::thread::Builder::new()
        .name("reconcile".into())
        .spawn({
            let node = node.clone();
            move || settle(&node)
        })
        .context("starting a thread")?;

    let outcome = started.and_then(|http| serve(&runtime, http, &node, data, &stop));
    stop.send_replace(true);
    node.stop();
    let agreed = runtime.block_on(async {
        match tokio::time::timeout(GRACE, agreement).await {
            Ok(ended) => ended.unwrap_or_else(|_| Err(anyhow!("consensus panicked"))),
            Err(_) => Err(anyhow!("consensus did not stop in time")),
        }
    });
    // It ends with the node.
    let _ = settling.join();
    runtime.shutdown_timeout(GRACE);
    // Closes the databases: whoever else held the node has ended by now.
    let closed = match Arc::try_unwrap(node) {
        Ok(node) => {
            drop(node);
            true
        }
        Err(_) => {
            tracing::warn!("work was cut off; the next start picks it up");
            false
        }
    };
    outcome?;
    match agreed? {
        End::Stop => Ok(Next::Stop),
        _ if !closed => Err(anyhow!(
            "the databases are still in use; start the node again"
        )),
        End::Joined => {
            data.take_joined()?;
            Ok(Next::Again)
        }
        End::NewSchema | End::NewKeys | End::MaySign => Ok(Next::Again),
    }
}

async fn http_server(
    listener: TcpListener,
    node: &Arc<Node>,
    config: &Config,
) -> Result<http::Server> {
    http::Server::new(listener, node.clone(), config.http.settings.clone())
        .map_err(|e| anyhow!("{e}"))
}

/// Finishes what a crash has left between vault and ledger, as soon as blocks go on.
fn settle(node: &Node) {
    node.wait_for_first_block();
    if node.is_stopping() {
        return;
    }
    if let Err(error) = reconcile(node) {
        // An import tries again and tells its operator.
        tracing::warn!(error = %format!("{error:#}"), "vault and ledger do not agree yet");
    }
}

/// Network and consensus of one agency.
struct Consortium {
    node: Arc<Node>,
    config: Config,
    data: DataDir,
}

/// Why they ended.
enum End {
    /// The node stops.
    Stop,
    /// The agency has new keys.
    NewKeys,
    /// What the validator signed last is decided, so it may sign again.
    MaySign,
    /// There is a new schema: what the agency derives from it is derived again.
    NewSchema,
    /// The ledger came from a snapshot.
    Joined,
}

impl Consortium {
    /// Runs until the node stops. If network or consensus end by themselves, the node stops, too.
    async fn run(self, stop: watch::Sender<bool>) -> Result<End> {
        /// Stops the node even when this task panics: a node without blocks must not linger, and an
        /// import that waits for one must not hold up the end.
        struct StopAll(watch::Sender<bool>, Arc<Node>);
        impl Drop for StopAll {
            fn drop(&mut self) {
                self.1.stop();
                self.0.send_replace(true);
            }
        }
        let _stop_all = StopAll(stop.clone(), self.node.clone());
        if self.node.ledger.tip().height == Height::GENESIS {
            let joined = tokio::select! {
                joined = self.join() => joined?,
                () = stopped(stop.subscribe()) => return Ok(End::Stop),
            };
            if joined {
                return Ok(End::Joined);
            }
        }
        loop {
            let keys = self.agency_keys()?;
            let running = self.start(&keys).await?;
            let ended = self.watch(&running, stop.subscribe()).await;
            // Nobody takes this back: a node that goes on must not have been stopped.
            if !matches!(ended, Ok(End::NewKeys | End::MaySign)) {
                self.node.stop();
            }
            self.node.set_network(None);
            running.stop().await;
            match ended? {
                end @ (End::Stop | End::NewSchema | End::Joined) => return Ok(end),
                End::NewKeys => tracing::info!("network and consensus start again with new keys"),
                End::MaySign => tracing::info!("network and consensus start again, with votes"),
            }
        }
    }

    fn agency_keys(&self) -> Result<Arc<AgencyKeys>> {
        let agency = self.node.agencies.get(&self.config.agency);
        Ok(agency.context("no vault")?.keys())
    }

    fn network_config(&self, keys: &AgencyKeys) -> NetworkConfig {
        NetworkConfig {
            chain: *self.node.ledger.chain_id(),
            key: NetworkKey::from_seed(&keys.network().to_seed()),
            listen: self.config.p2p.listen.clone(),
            peers: self.config.p2p.peers.clone(),
            limits: Limits::default(),
        }
    }

    /// A node without blocks fetches a snapshot when the others are far ahead. Says whether it has one; if
    /// nobody gives one, blocks are replayed.
    async fn join(&self) -> Result<bool> {
        let keys = self.agency_keys()?;
        let gateway = Gateway::open(&self.node).context("starting a thread")?;
        // What is fetched is verified from the genesis file on, so it may come from anybody.
        let peers = &self.config.p2p.peers;
        let registry = Registry::from(&*self.node.ledger.consortium()).with_addresses(peers);
        let network = Network::start(self.network_config(&keys), registry, gateway)
            .await
            .context("p2p.listen")?;
        let genesis = self.node.ledger.genesis().clone();
        let configured = peers.keys().copied();
        let joiner = Joiner::new(network.handle(), genesis, self.config.agency, configured);
        let joined = match joiner.target().await {
            None => false,
            Some(height) => {
                tracing::info!(%height, "the others are far ahead: fetching a snapshot");
                self.node.set_fetching(true);
                let fetched = joiner.fetch(height, &empty_place(&self.data)?).await;
                self.node.set_fetching(false);
                match fetched {
                    Ok(()) => true,
                    Err(error) => {
                        tracing::warn!(%error, "no snapshot; the blocks are replayed");
                        false
                    }
                }
            }
        };
        network.stop().await;
        Ok(joined)
    }

    async fn start(&self, keys: &AgencyKeys) -> Result<Running> {
        let network = self.network_config(keys);
        let identity = Identity {
            agency: self.config.agency,
            validator: Some(Arc::new(SecretKey::from_seed(&keys.validator().to_seed()))),
        };
        let timing = Timing {
            heartbeat: self.config.heartbeat,
            ..Timing::default()
        };
        let gateway = Gateway::open(&self.node).context("starting a thread")?;
        let (node, home) = (self.node.clone(), self.data.consensus());
        let running = consensus::start(node, identity, network, gateway, timing, &home).await?;
        self.node.set_network(Some(running.network.clone()));
        Ok(running)
    }

    /// Looks after the network until something ends it.
    async fn watch(&self, running: &Running, stop: watch::Receiver<bool>) -> Result<End> {
        let mut rules = self.node.watch_rules();
        let schema = self.node.ledger.consortium().schema;
        let mut round = tokio::time::interval(LOOK_ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stop = stopped(stop);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return Ok(End::Stop),
                error = running.ended() => {
                    if matches!(*error, ConsensusError::MaySign) {
                        return Ok(End::MaySign);
                    }
                    return Err(anyhow!("{error}"));
                }
                changed = rules.changed() => {
                    changed.context("the node has gone")?;
                    rules.mark_unchanged();
                    let keys = self.follow_keys()?;
                    if self.node.ledger.consortium().schema != schema {
                        return Ok(End::NewSchema);
                    }
                    if keys {
                        return Ok(End::NewKeys);
                    }
                }
                _ = round.tick() => {
                    let node = self.node.clone();
                    let _ = tokio::task::spawn_blocking(move || node.send_again()).await;
                }
            }
        }
    }

    /// Uses new keys if the ledger names them. Says whether it did.
    fn follow_keys(&self) -> Result<bool> {
        let agency = self.node.agencies.get(&self.config.agency);
        Ok(agency.context("no vault")?.follow_keys()?)
    }
}
