//! An agency's node, from start to stop.
//!
//! ```text
//! lock ─▶ databases ─▶ node ─▶ network ─▶ consensus ─▶ sockets … stop ─▶ sockets ─▶ consensus ─▶ network ─▶ databases
//! ```
//!
//! When the ledger gives the agency new keys, network and consensus are started again with them; everything
//! else goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::net::TcpListener;
use tokio::sync::watch;
use zkbureau_agency_node::config::Config;
use zkbureau_agency_node::consensus::{self, Identity, Running, Timing};
use zkbureau_agency_node::http;
use zkbureau_agency_node::network::{Limits, NetworkConfig, NetworkKey};
use zkbureau_agency_node::node::{Gateway, Node};
use zkbureau_agency_node::vault::AgencyKeys;
use zkbureau_ledger::keys::SecretKey;

use super::{GRACE, open, reconcile, serve, start_runtime, stopped};
use crate::datadir::Located;

/// How often it is looked for transactions that must be sent again.
const LOOK_ROUND: Duration = Duration::from_secs(1);

/// Runs the node until a signal or a failure.
pub fn run(located: &Located, _snapshot: Option<&Path>) -> Result<()> {
    let config = located.config()?;
    let data = &located.data;
    let lock = data.lock_patiently()?;
    let (runtime, stop) = start_runtime()?;
    let listener = runtime
        .block_on(TcpListener::bind(config.http.listen))
        .with_context(|| format!("http.listen: cannot listen on {}", config.http.listen))?;
    let (ledger, agencies, genesis_file) = open(located, None, None)?;
    let node = Node::new(ledger, agencies, config.agency, genesis_file).with_limits(config.limits);
    let node = Arc::new(node);
    let started = runtime.block_on(http_server(listener, &node, config));
    let consortium = Consortium {
        node: node.clone(),
        config: config.clone(),
        home: data.consensus(),
    };
    let agreement = runtime.spawn(consortium.run(stop.clone()));
    let settling = std::thread::Builder::new()
        .name("reconcile".into())
        .spawn({
            let node = node.clone();
            move || settle(&node)
        })
        .context("starting a thread")?;

    let outcome =
        started.and_then(|(address, http)| serve(&runtime, address, http, &node, data, &stop));
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
    match Arc::try_unwrap(node) {
        Ok(node) => drop(node),
        Err(_) => tracing::warn!("work was cut off; the next start picks it up"),
    }
    drop(lock);
    outcome?;
    agreed?;
    tracing::info!("stopped");
    Ok(())
}

async fn http_server(
    listener: TcpListener,
    node: &Arc<Node>,
    config: &Config,
) -> Result<(std::net::SocketAddr, http::Server)> {
    let address = listener.local_addr()?;
    let server = http::Server::new(listener, node.clone(), config.http.settings.clone())
        .map_err(|e| anyhow!("{e}"))?;
    Ok((address, server))
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
    home: PathBuf,
}

/// Why they ended.
enum End {
    /// The node stops.
    Stop,
    /// The agency has new keys.
    NewKeys,
}

impl Consortium {
    /// Runs until the node stops. If network or consensus end by themselves, the node stops, too.
    async fn run(self, stop: watch::Sender<bool>) -> Result<()> {
        /// Stops the node even when this task panics: a node without blocks must not linger.
        struct StopAll(watch::Sender<bool>);
        impl Drop for StopAll {
            fn drop(&mut self) {
                self.0.send_replace(true);
            }
        }
        let _stop_all = StopAll(stop.clone());
        loop {
            let keys = self.agency_keys()?;
            let running = self.start(&keys).await?;
            let ended = self.watch(&running, stop.subscribe()).await;
            self.node.set_network(None);
            running.stop().await;
            match ended? {
                End::Stop => return Ok(()),
                End::NewKeys => tracing::info!("network and consensus start again with new keys"),
            }
        }
    }

    fn agency_keys(&self) -> Result<Arc<AgencyKeys>> {
        let agency = self.node.agencies.get(&self.config.agency);
        Ok(agency.context("no vault")?.keys())
    }

    async fn start(&self, keys: &AgencyKeys) -> Result<Running> {
        let network = NetworkConfig {
            chain: *self.node.ledger.chain_id(),
            key: NetworkKey::from_seed(&keys.network().to_seed()),
            listen: self.config.p2p.listen.clone(),
            peers: self.config.p2p.peers.clone(),
            limits: Limits::default(),
        };
        let identity = Identity {
            agency: self.config.agency,
            validator: Some(Arc::new(SecretKey::from_seed(&keys.validator().to_seed()))),
        };
        let timing = Timing {
            heartbeat: self.config.heartbeat,
            ..Timing::default()
        };
        let gateway = Gateway::open(&self.node).context("starting a thread")?;
        let node = self.node.clone();
        let running =
            consensus::start(node, identity, network, gateway, timing, &self.home).await?;
        self.node.set_network(Some(running.network.clone()));
        Ok(running)
    }

    /// Looks after the network until something ends it.
    async fn watch(&self, running: &Running, stop: watch::Receiver<bool>) -> Result<End> {
        let mut rules = self.node.watch_rules();
        let mut round = tokio::time::interval(LOOK_ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stop = stopped(stop);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return Ok(End::Stop),
                error = running.ended() => return Err(anyhow!("{error}")),
                changed = rules.changed() => {
                    changed.context("the node has gone")?;
                    rules.mark_unchanged();
                    if self.follow_keys()? {
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
