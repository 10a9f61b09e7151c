//! A snapshot of the ledger for an operator.

use std::path::Path;

use anyhow::anyhow;
use serde_json::{Value, json};
use zkbureau_agency_node::node::{Node, snapshots};
use zkbureau_ledger::ids::Height;

use super::Failure;

/// Writes the state after the last block into a new folder.
pub fn write(node: &Node, out: &Path) -> Result<Value, Failure> {
    let height = node.ledger.tip().height;
    if height == Height::GENESIS {
        return Err(Failure::refused(anyhow!("there is no block yet")));
    }
    let (manifest, bytes) = snapshots::write(&node.ledger, height, out)?;
    tracing::info!(height = height.0, bytes, "snapshot");
    Ok(json!({
        "height": height,
        "chain_id": manifest.chain_id,
        "state_root": hex::encode(manifest.signed.header.state_root),
        "chunks": manifest.chunks.len(),
        "bytes": bytes,
    }))
}
