//! An agency's node, from start to stop.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use zkbureau_agency_node::node::Node;

use super::{GRACE, open, serve, start_runtime, stopped};
use crate::datadir::Located;

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
    runtime.spawn({
        let (node, stop) = (node.clone(), stop.subscribe());
        async move {
            stopped(stop).await;
            node.stop();
        }
    });
    let outcome = serve(&runtime, listener, &node, data, &stop);
    node.stop();
    runtime.shutdown_timeout(GRACE);
    // Closes the databases: whoever else held the node has ended by now.
    match Arc::try_unwrap(node) {
        Ok(node) => drop(node),
        Err(_) => tracing::warn!("work was cut off; the next start picks it up"),
    }
    drop(lock);
    outcome?;
    tracing::info!("stopped");
    Ok(())
}
