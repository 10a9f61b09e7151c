//! `GET /v1/status`: where the ledger and the node stand.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_ledger::LedgerError;
use zkbureau_ledger::ids::{ChainId, Height, TimeMs};

use super::caller::Caller;
use super::ledger::ledger_problem;
use super::problem::Problem;
use super::{Shared, body};
use crate::network::PeerStatus;
use crate::node::Node;

/// Where the ledger stands. Convenience: nothing here is proven.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// The chain.
    #[schema(value_type = String)]
    chain_id: ChainId,
    /// The newest height.
    #[schema(value_type = u64)]
    height: Height,
    /// Its time.
    #[schema(value_type = u64)]
    time_ms: TimeMs,
    /// Whether the node is fit for use, as `/readyz` says.
    ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    unready: Option<String>,
    /// What a record holds.
    schema_version: u32,
    /// The agencies on the ledger.
    agencies: Vec<AgencyStatus>,
    /// The node itself; only for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeStatus>,
}

/// An agency's column.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgencyStatus {
    /// The agency.
    #[schema(value_type = u32)]
    id: AgencyId,
    /// Its name.
    name: String,
    /// The last period that it has closed.
    #[schema(value_type = Option<String>)]
    period: Option<Period>,
    /// People with a record.
    leaves: u64,
    /// Batches.
    batches: u64,
    /// Records.
    records: u64,
}

/// What operators see of a node.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeStatus {
    /// Transactions waiting for a block.
    waiting: usize,
    /// Bytes of the batches among them.
    waiting_batch_bytes: usize,
    /// The vaults of this process.
    vaults: Vec<VaultStatus>,
    /// The other nodes; none in a development network.
    peers: Vec<PeerView>,
}

/// Another node.
#[derive(Debug, Serialize, ToSchema)]
pub struct PeerView {
    /// The agency, or the observer's key.
    name: String,
    /// Its libp2p identity.
    peer_id: String,
    /// Whether there is a connection.
    connected: bool,
    /// Agencies that carry requests to it when there is none.
    #[schema(value_type = Vec<u32>)]
    through: Vec<AgencyId>,
    /// Bytes that wait to be sent to it.
    queued_bytes: usize,
    /// The height that it last said it has.
    height: Option<u64>,
}

fn peers(node: &Node) -> Vec<PeerView> {
    let Some(network) = node.network() else {
        return Vec::new();
    };
    let view = |peer: PeerStatus| PeerView {
        name: peer.name.to_string(),
        peer_id: peer.peer_id,
        connected: peer.connected,
        through: peer.through,
        queued_bytes: peer.queued_bytes,
        height: peer.height,
    };
    network.peers().into_iter().map(view).collect()
}

/// How far a vault and the ledger are apart.
#[derive(Debug, Serialize, ToSchema)]
pub struct VaultStatus {
    /// The agency.
    #[schema(value_type = u32)]
    agency: AgencyId,
    /// Batches that are not yet final.
    pending: u64,
    /// Height of the last block looked at.
    last_block: u64,
}

impl Status {
    /// Where the ledger stands.
    ///
    /// # Errors
    /// [`LedgerError`] when it cannot be read.
    pub fn read(node: &Node) -> Result<Self, LedgerError> {
        let unready = node.readiness().err().map(|reason| reason.to_string());
        let tip = node.ledger.tip();
        let columns = node.ledger.columns(tip.height)?;
        let consortium = node.ledger.consortium();
        let agencies = consortium
            .agencies
            .iter()
            .map(|agency| {
                let column = columns.get(agency.id);
                AgencyStatus {
                    id: agency.id,
                    name: agency.name.clone(),
                    period: column.and_then(|c| c.closed),
                    leaves: column.map_or(0, |c| c.leaves),
                    batches: column.map_or(0, |c| c.batches),
                    records: column.map_or(0, |c| c.records),
                }
            })
            .collect();
        Ok(Self {
            chain_id: *node.ledger.chain_id(),
            height: tip.height,
            time_ms: tip.time_ms,
            ready: unready.is_none(),
            unready,
            schema_version: consortium.schema_version,
            agencies,
            node: None,
        })
    }
}

impl NodeStatus {
    fn read(node: &Node) -> Self {
        let vaults = node
            .agencies
            .iter()
            .map(|(id, agency)| {
                let status = agency.status();
                VaultStatus {
                    agency: *id,
                    pending: status.pending,
                    last_block: status.last_block,
                }
            })
            .collect();
        let (waiting, waiting_batch_bytes) = {
            let pool = node.pool();
            (pool.len(), pool.bulk_bytes())
        };
        Self {
            peers: peers(node),
            waiting,
            waiting_batch_bytes,
            vaults,
        }
    }
}

/// Height, time and agencies; for operators the node itself, too.
#[utoipa::path(get, path = "/v1/status", tag = "node",
    responses((status = 200, description = "Where the ledger and the node stand", body = Status)))]
pub async fn status(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let node = api.node.clone();
    let status = api
        .reads
        .run(move || {
            let mut status = Status::read(&node).map_err(|e| ledger_problem(&e))?;
            status.node = caller.operator.then(|| NodeStatus::read(&node));
            Ok(status)
        })
        .await?;
    Ok(body::json(&status))
}
