//! What a running node is made of besides the library, for an agency's node and the sandbox alike: opening the
//! databases, signals, the two sockets; and [`consortium`], an agency's node from start to stop.

mod consortium;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use zkbureau_agency_node::agency::{Agency, PublishError};
use zkbureau_agency_node::http;
use zkbureau_agency_node::node::{Node, Submission};
use zkbureau_agency_node::vault::Vault;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::{Ledger, RocksStore};

pub use self::consortium::run;

use crate::admin;
use crate::datadir::{DataDir, Located};

/// Requests and imports in hand get this long to finish when the node stops.
pub const GRACE: Duration = Duration::from_secs(30);

/// The agencies of a data directory, opened.
pub type Agencies = BTreeMap<AgencyId, Arc<Agency<RocksStore>>>;

/// The databases of a node, opened.
pub type Opened = (Arc<Ledger<RocksStore>>, Agencies, Vec<u8>);

/// Opens the ledger and the vaults of a node's agencies (or of one).
pub fn open(
    located: &Located,
    passphrase: Option<&Path>,
    only: Option<AgencyId>,
) -> Result<Opened> {
    let data = &located.data;
    let (genesis, genesis_file) = data.genesis()?;
    let own: Vec<AgencyId> = match &located.config {
        Some(config) => vec![config.agency],
        None => genesis.agencies.iter().map(|agency| agency.id).collect(),
    };
    if let Some(agency) = only
        && !own.contains(&agency)
    {
        return Err(anyhow!("this node does not run {agency}"));
    }
    let key = located.vault_key(passphrase)?;
    let path = data.ledger();
    let store = RocksStore::open(&path).with_context(|| path.display().to_string())?;
    let ledger =
        Arc::new(Ledger::open(store, &genesis).with_context(|| path.display().to_string())?);
    let chain = genesis.chain_id();
    let mut agencies = Agencies::new();
    for id in own {
        if only.is_some_and(|only| only != id) {
            continue;
        }
        let path = data.vault(id);
        let vault = || {
            Vault::bind(&path, &key, &chain)?;
            Vault::open(&path, &key, &chain, id)
        };
        let vault = vault().with_context(|| path.display().to_string())?;
        // An agency's node may have to catch up before its ledger knows the agency.
        let agency = match &located.config {
            Some(_) => Agency::join(vault, ledger.clone()),
            None => Agency::open(vault, ledger.clone()),
        };
        let agency = agency.with_context(|| id.to_string())?;
        agencies.insert(id, Arc::new(agency));
    }
    Ok((ledger, agencies, genesis_file))
}

/// Starts the runtime of one run, and what stops it: a signal, or the run itself.
pub fn start_runtime(signals: &watch::Receiver<bool>) -> Result<(Runtime, watch::Sender<bool>)> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let stop = watch::Sender::new(false);
    runtime.spawn({
        let (stop, signals) = (stop.clone(), signals.clone());
        async move {
            stopped(signals).await;
            stop.send_replace(true);
        }
    });
    Ok((runtime, stop))
}

/// Resolves when the node is told to stop.
pub async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone: the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Serves both sockets until the node stops, and says when they are open.
pub fn serve(
    runtime: &Runtime,
    http: http::Server,
    node: &Arc<Node>,
    data: &DataDir,
    stop: &watch::Sender<bool>,
) -> Result<()> {
    let admin = admin::Socket::bind(data, runtime.handle())?;
    let (tip, url) = (node.ledger.tip(), http.url()?);
    println!(
        "agency-node is ready: {url} · chain {} · height {} · {}",
        &node.ledger.chain_id().to_string()[..16],
        tip.height,
        match node.agencies.len() {
            1 => "1 agency".to_owned(),
            n => format!("{n} agencies"),
        }
    );
    std::io::stdout().flush()?;
    runtime.block_on(async {
        let admin = admin.serve(node.clone(), data.clone(), stopped(stop.subscribe()));
        let admin = tokio::spawn(admin);
        let http = tokio::spawn(http.run(stopped(stop.subscribe())));
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
pub fn reconcile(node: &Node) -> Result<()> {
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

/// Catches signals for the rest of the process, so that none of them ends it in mid-air. The first SIGTERM or
/// SIGINT asks to finish; a second one ends the process at once, which the next start copes with.
pub fn catch_signals() -> Result<watch::Receiver<bool>> {
    let (told, stop) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("starting the runtime")?;
    let (mut terminate, mut interrupt) = {
        let _context = runtime.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        )
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(async {
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
                    told.send_replace(true);
                }
            });
        })?;
    Ok(stop)
}
