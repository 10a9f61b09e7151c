//! The development network: the ledger and all its agencies in one process.
//!
//! ```text
//! HTTP ─┐                    ┌─▶ ledger (RocksDB)
//!       ├─▶ node ─▶ queue ─▶ block producer
//! admin ┘                    └─▶ agencies (vaults)
//! ```
//!
//! - [`producer`]: makes blocks; [`admin`]: the administration socket; [`protocol`]: its lines;
//! - [`import`]: one file on its way to the ledger.

pub mod admin;
pub mod import;
pub mod producer;
pub mod protocol;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use zkbureau_agency_node::agency::{Agency, PublishError};
use zkbureau_agency_node::vault::Vault;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::{Ledger, RocksStore};

use self::producer::Pace;
use crate::datadir::DataDir;
use zkbureau_agency_node::http;
use zkbureau_agency_node::node::{Node, Submission};

/// Requests and imports in hand get this long to finish when the node stops.
const GRACE: Duration = Duration::from_secs(30);

/// The agencies of a data directory, opened.
pub type Agencies = BTreeMap<AgencyId, Arc<Agency<RocksStore>>>;

/// Opens the ledger and the vaults of all agencies (or of one).
pub fn open(
    data: &DataDir,
    passphrase: Option<&Path>,
    only: Option<AgencyId>,
) -> Result<(Arc<Ledger<RocksStore>>, Agencies, Vec<u8>)> {
    let (genesis, genesis_file) = data.genesis()?;
    if let Some(agency) = only
        && !genesis.agencies.iter().any(|a| a.id == agency)
    {
        return Err(anyhow!("the genesis file has no {agency}"));
    }
    let key = data.vault_key(passphrase)?;
    let path = data.ledger();
    let store = RocksStore::open(&path).with_context(|| path.display().to_string())?;
    let ledger =
        Arc::new(Ledger::open(store, &genesis).with_context(|| path.display().to_string())?);
    let chain = genesis.chain_id();
    let mut agencies = Agencies::new();
    for agency in &genesis.agencies {
        if only.is_some_and(|only| only != agency.id) {
            continue;
        }
        let path = data.vault(agency.id);
        let vault = Vault::open(&path, &key, &chain, agency.id)
            .with_context(|| path.display().to_string())?;
        let opened = Agency::open(vault, ledger.clone()).with_context(|| agency.id.to_string())?;
        agencies.insert(agency.id, Arc::new(opened));
    }
    Ok((ledger, agencies, genesis_file))
}

/// How a node is run.
#[derive(Debug)]
pub struct Settings<'a> {
    /// Where its data are.
    pub data: DataDir,
    /// Address of the HTTP API.
    pub listen: SocketAddr,
    /// Passphrase of the vaults.
    pub passphrase: Option<&'a Path>,
    /// When blocks are made.
    pub pace: Pace,
}

/// Runs the node until a signal or a failure.
pub fn run(settings: &Settings<'_>) -> Result<()> {
    let data = &settings.data;
    let lock = data.lock()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    // Signals are caught from here on, so that none of them ends the process in mid-air.
    let stop = runtime.block_on(async { catch_signals() })?;
    let listener = runtime
        .block_on(TcpListener::bind(settings.listen))
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let (ledger, agencies, genesis_file) = open(data, settings.passphrase, None)?;
    let proposer = *agencies.keys().next().context("no agencies")?;
    let proposer = ledger
        .genesis()
        .validators
        .first()
        .map_or(proposer, |seat| seat.agency);
    let node = Arc::new(Node::new(ledger, agencies, proposer, genesis_file));
    runtime.spawn({
        let (node, mut stop) = (node.clone(), stop.subscribe());
        async move {
            // An error means that the sender is gone: the same.
            let _ = stop.wait_for(|stop| *stop).await;
            node.stop();
        }
    });
    let blocks = producer::spawn(node.clone(), settings.pace, {
        let stop = stop.clone();
        move || stop.send_modify(|s| *s = true)
    })
    .context("starting the block producer")?;

    let outcome = serve(&runtime, listener, &node, data, &stop);
    node.stop();
    let produced = blocks
        .join()
        .unwrap_or_else(|_| Err(anyhow!("the block producer panicked")));
    runtime.shutdown_timeout(GRACE);
    // Closes the databases: whoever else held the node has ended by now.
    match Arc::try_unwrap(node) {
        Ok(node) => drop(node),
        Err(_) => tracing::warn!("work was cut off; the next start picks it up"),
    }
    drop(lock);
    outcome?;
    produced?;
    tracing::info!("stopped");
    Ok(())
}

/// Everything between opening and closing.
fn serve(
    runtime: &tokio::runtime::Runtime,
    listener: TcpListener,
    node: &Arc<Node>,
    data: &DataDir,
    stop: &watch::Sender<bool>,
) -> Result<()> {
    node.wait_for_first_block();
    reconcile(node)?;
    let address = listener.local_addr()?;
    let admin = admin::Socket::bind(data, runtime.handle())?;
    let tip = node.ledger.tip();
    println!(
        "agency-node is ready: http://{address} · chain {} · height {} · {} agencies",
        &node.ledger.chain_id().to_string()[..16],
        tip.height,
        node.agencies.len()
    );
    std::io::stdout().flush()?;
    runtime.block_on(async {
        let stopped = |mut stop: watch::Receiver<bool>| async move {
            // An error means that the sender is gone: the same.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        let admin =
            tokio::spawn(admin.serve(node.clone(), data.clone(), stopped(stop.subscribe())));
        let http = tokio::spawn(http::serve(
            listener,
            node.clone(),
            stopped(stop.subscribe()),
        ));
        stopped(stop.subscribe()).await;
        let ended = tokio::time::timeout(GRACE, async {
            http.await??;
            admin.await?;
            anyhow::Ok(())
        });
        match ended.await {
            Ok(ended) => ended.context("closing the API"),
            Err(_) => Ok(()),
        }
    })
}

/// Finishes what a crash may have left between vaults and ledger.
fn reconcile(node: &Node) -> Result<()> {
    for agency in node.agencies.values() {
        let done = match agency.reconcile(&Submission::new(node)) {
            Ok(done) => done,
            // The vault has taken the batch back; its file is imported again.
            Err(error @ PublishError::Refused { .. }) => {
                tracing::warn!(agency = agency.id().0, %error, "a batch was taken back");
                continue;
            }
            Err(error) => return Err(error).with_context(|| agency.id().to_string()),
        };
        let done = serde_json::to_string(&done)?;
        tracing::debug!(agency = agency.id().0, reconciled = %done, "vault and ledger agree");
    }
    Ok(())
}

/// Turns the first SIGTERM or SIGINT into a request to finish; a second one ends the process at
/// once, which the next start copes with.
fn catch_signals() -> Result<watch::Sender<bool>> {
    let stop = watch::Sender::new(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn({
        let stop = stop.clone();
        async move {
            for repeated in [false, true] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if repeated {
                    tracing::warn!("stopping at once");
                    std::process::exit(130);
                }
                tracing::info!("stopping");
                stop.send_modify(|s| *s = true);
            }
        }
    });
    Ok(stop)
}
