//! The development network: the ledger and all its agencies in one process, for integrators to play with.
//!
//! ```text
//! HTTP ─┐                    ┌─▶ ledger (RocksDB)
//!       ├─▶ node ─▶ queue ─▶ block producer
//! admin ┘                    └─▶ agencies (vaults)
//! ```
//!
//! [`producer`] makes blocks and signs them as the only validator.

pub mod producer;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use tokio::net::TcpListener;
use zkbureau_agency_node::http;
use zkbureau_agency_node::node::Node;

use self::producer::Pace;
use crate::datadir::{DataDir, Located};
use crate::service::{GRACE, catch_signals, open, reconcile, serve, start_runtime, stopped};

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
    let (runtime, stop) = start_runtime(&catch_signals()?)?;
    let listener = runtime
        .block_on(TcpListener::bind(settings.listen))
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let located = Located {
        data: data.clone(),
        config: None,
    };
    let (ledger, agencies, genesis_file) = open(&located, settings.passphrase, None)?;
    let proposer = *agencies.keys().next().context("no agencies")?;
    let proposer = ledger
        .genesis()
        .validators
        .first()
        .map_or(proposer, |seat| seat.agency);
    let node = Arc::new(Node::new(ledger, agencies, proposer, genesis_file));
    runtime.spawn({
        let (node, stop) = (node.clone(), stop.subscribe());
        async move {
            stopped(stop).await;
            node.stop();
        }
    });
    let blocks = producer::spawn(node.clone(), settings.pace, {
        let stop = stop.clone();
        move || stop.send_modify(|s| *s = true)
    })
    .context("starting the block producer")?;

    node.wait_for_first_block();
    let outcome = reconcile(&node).and_then(|()| {
        // Plain HTTP, every client is this machine's own.
        let http = http::Server::new(listener, node.clone(), http::Settings::default())
            .map_err(|e| anyhow!("{e}"))?;
        serve(&runtime, http, &node, data, &stop)
    });
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
