//! Routes of the ledger: transactions in, headers and proofs out.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_ledger::ids::{AnchorId, AuditId, ChainId, Height, TimeMs, TxHash};
use zkbureau_ledger::state::{AnchorStatus, RegistryKey};
use zkbureau_ledger::transaction::Transaction;
use zkbureau_ledger::{LedgerError, TxError};

use super::problem::Problem;
use super::{Api, MAX_WAIT, Shared, body};
use crate::node::{QueueError, now};

/// One part of a path, as text.
type Part = Result<Path<String>, PathRejection>;
/// Two parts.
type Parts = Result<Path<(String, String)>, PathRejection>;

/// The genesis file, byte for byte.
pub async fn genesis(State(api): Shared) -> Response {
    body::json_bytes(api.node.genesis_file.clone())
}

/// What [`status`] answers.
#[derive(Debug, Serialize)]
pub struct Status {
    chain_id: ChainId,
    height: Height,
    time_ms: TimeMs,
    schema_version: u32,
    agencies: Vec<AgencyStatus>,
}

#[derive(Debug, Serialize)]
struct AgencyStatus {
    id: AgencyId,
    name: String,
    period: Option<Period>,
    leaves: u64,
    batches: u64,
    records: u64,
}

impl Status {
    /// Where the ledger stands. Convenience: nothing here is proven.
    pub fn read(node: &crate::node::Node) -> Result<Self, LedgerError> {
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
            schema_version: consortium.schema_version,
            agencies,
        })
    }
}

/// Height, time and agencies.
pub async fn status(State(api): Shared) -> Result<Response, Problem> {
    let node = api.node.clone();
    let status = api
        .reads
        .run(move || Status::read(&node).map_err(|e| ledger_problem(&e)))
        .await?;
    Ok(body::json(&status))
}

/// The newest header with its certificate.
pub async fn latest_header(State(api): Shared) -> Result<Response, Problem> {
    let height = api.node.ledger.tip().height;
    header_at(&api, height).await
}

/// A header with its certificate.
pub async fn header(State(api): Shared, part: Part) -> Result<Response, Problem> {
    let height = height(part)?;
    header_at(&api, height).await
}

async fn header_at(api: &Arc<Api>, height: Height) -> Result<Response, Problem> {
    let node = api.node.clone();
    let header = api
        .reads
        .run(move || {
            node.ledger
                .signed_header(height)
                .map_err(|e| ledger_problem(&e))?
                .ok_or_else(|| Problem::not_found("height", format!("there is no block {height}")))
        })
        .await?;
    Ok(body::octets(header.to_bytes()))
}

/// Takes a transaction.
pub async fn submit(State(api): Shared, request: Request<Body>) -> Result<Response, Problem> {
    let transaction: Transaction = body::read_document(request, &api.bodies).await?;
    let node = api.node.clone();
    let queued = api
        .checks
        .run(move || node.submit(transaction).map_err(|e| queue_problem(&e)))
        .await?;
    let hash = queued.hash;
    Ok((StatusCode::ACCEPTED, body::json(&json!({ "hash": hash }))).into_response())
}

/// Where a transaction stands; waits up to `wait_ms` for its end.
pub async fn transaction(
    State(api): Shared,
    part: Part,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
) -> Result<Response, Problem> {
    let hash: TxHash = digest(part, "hash")?;
    let deadline = tokio::time::Instant::now() + wait(query)?;
    let mut blocks = api.node.watch();
    loop {
        // Marked as seen before the look-up, so that no block falls between the two.
        blocks.mark_unchanged();
        let node = api.node.clone();
        let standing = api
            .reads
            .run(move || node.standing(hash).map_err(|e| ledger_problem(&e)))
            .await?;
        let over = !standing.may_change() || api.node.is_stopping();
        if over
            || tokio::time::timeout_at(deadline, blocks.changed())
                .await
                .is_err()
        {
            return Ok(body::json(&standing));
        }
    }
}

/// The roots under a height's state root.
pub async fn roots(State(api): Shared, part: Part) -> Result<Response, Problem> {
    let height = height(part)?;
    let node = api.node.clone();
    let roots = api
        .reads
        .run(move || {
            exists(&node, height)?;
            node.ledger
                .roots(height)
                .map_err(|e| state_problem(&node, &e))
        })
        .await?;
    Ok(body::octets(roots.to_bytes()))
}

/// Proof of a value of the registry.
pub async fn registry_proof(State(api): Shared, parts: Parts) -> Result<Response, Problem> {
    let (at, value) = two(parts)?;
    let key = match value.as_str() {
        "consortium" => RegistryKey::Consortium,
        "schema" => RegistryKey::Schema,
        "columns" => RegistryKey::Columns,
        _ => {
            return Err(Problem::not_found(
                "value",
                "the registry has consortium, schema and columns",
            ));
        }
    };
    proof(&api, at, key).await
}

/// Proof of an anchor, or that there is none.
pub async fn anchor_proof(State(api): Shared, parts: Parts) -> Result<Response, Problem> {
    let (at, id) = two(parts)?;
    let id: AnchorId = parse_digest(&id, "id")?;
    proof(&api, at, RegistryKey::Anchor(id)).await
}

/// Proof of an audit request, or that there is none.
pub async fn audit_proof(State(api): Shared, parts: Parts) -> Result<Response, Problem> {
    let (at, id) = two(parts)?;
    let id: AuditId = parse_digest(&id, "id")?;
    proof(&api, at, RegistryKey::Audit(id)).await
}

async fn proof(api: &Arc<Api>, at: Height, key: RegistryKey) -> Result<Response, Problem> {
    let node = api.node.clone();
    let proof = api
        .reads
        .run(move || {
            exists(&node, at)?;
            node.ledger
                .registry_proof(at, &key)
                .map_err(|e| state_problem(&node, &e))
        })
        .await?;
    Ok(body::octets(proof.to_bytes()))
}

/// Where an anchor stands. Convenience: nothing here is proven.
pub async fn anchor(State(api): Shared, part: Part) -> Result<Response, Problem> {
    let id: AnchorId = digest(part, "id")?;
    let node = api.node.clone();
    let value = api
        .reads
        .run(move || {
            let tip = node.ledger.tip();
            let state = node
                .ledger
                .anchor(tip.height, id)
                .map_err(|e| ledger_problem(&e))?;
            let Some(state) = state else {
                return Ok(json!({ "status": "unknown" }));
            };
            let mut value = match state.status(now().day()) {
                AnchorStatus::Authorised => json!({ "status": "authorised" }),
                AnchorStatus::Expired => json!({ "status": "expired" }),
                AnchorStatus::Revoked => json!({ "status": "revoked" }),
                AnchorStatus::Consumed => json!({ "status": "consumed" }),
            };
            value["anchored"] = json!(state.anchored);
            if let Some(revoked) = &state.revoked {
                value["revoked"] = json!(revoked.height);
            }
            // What the trail is read for: the block of the inquiry, and what was inquired.
            if let Some(consumed) = &state.consumed {
                value["height"] = json!(consumed.height);
                value["inquiry"] = json!(hex::encode(consumed.digest));
            }
            Ok(value)
        })
        .await?;
    Ok(body::json(&value))
}

fn exists(node: &crate::node::Node, height: Height) -> Result<(), Problem> {
    let tip = node.ledger.tip().height;
    if height > tip {
        return Err(Problem::not_found(
            "height",
            format!("the newest block is {tip}"),
        ));
    }
    Ok(())
}

fn parse_height(text: &str) -> Result<Height, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .map(Height)
        .ok_or_else(|| Problem::malformed("height", "a height is a decimal number"))
}

fn height(part: Part) -> Result<Height, Problem> {
    let Path(text) = part.map_err(|_| not_text("height"))?;
    parse_height(&text)
}

fn two(parts: Parts) -> Result<(Height, String), Problem> {
    let Path((height, other)) = parts.map_err(|_| not_text("path"))?;
    Ok((parse_height(&height)?, other))
}

fn digest<T: FromStr>(part: Part, field: &'static str) -> Result<T, Problem> {
    let Path(text) = part.map_err(|_| not_text(field))?;
    parse_digest(&text, field)
}

fn parse_digest<T: FromStr>(text: &str, field: &'static str) -> Result<T, Problem> {
    text.parse()
        .map_err(|_| Problem::malformed(field, "expected 64 hexadecimal digits").limit(64))
}

fn not_text(field: &'static str) -> Problem {
    Problem::malformed(field, "the path is not UTF-8 text")
}

/// The time a client wants to be kept waiting.
fn wait(
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
) -> Result<Duration, Problem> {
    let Query(query) = query.map_err(|_| Problem::malformed("query", "not a query string"))?;
    if let Some(unknown) = query.keys().find(|k| *k != "wait_ms") {
        let field: String = unknown.chars().take(64).collect();
        return Err(Problem::malformed(field, "the only parameter is wait_ms"));
    }
    let Some(text) = query.get("wait_ms") else {
        return Ok(Duration::ZERO);
    };
    let limit = MAX_WAIT.as_millis() as u64;
    text.parse()
        .ok()
        .filter(|ms| *ms <= limit)
        .map(Duration::from_millis)
        .ok_or_else(|| {
            Problem::malformed("wait_ms", format!("milliseconds, from 0 to {limit}")).limit(limit)
        })
}

fn queue_problem(error: &QueueError) -> Problem {
    match error {
        QueueError::Refused(error) => transaction_problem(error),
        QueueError::Full(full) => Problem::queue_full(full.what, full.limit),
        QueueError::Stopping => Problem::busy("the node is shutting down"),
        QueueError::Ledger(error) => ledger_problem(error),
    }
}

/// Names the field that is wrong, and its limit where it has one.
fn transaction_problem(error: &TxError) -> Problem {
    let problem = Problem::unacceptable(error.to_string());
    match error {
        TxError::Size { limit, .. } => problem.field("body").limit(*limit),
        TxError::Count { field, max, .. } => problem.field(*field).limit(*max),
        TxError::Order { field, item } => problem.field(format!("{field}[{item}]")),
        TxError::OtherChain => problem.field("chain"),
        TxError::NotInForce => problem.field("kind"),
        TxError::UnknownAgency(_) => problem.field("agency"),
        TxError::UnknownAuditor(_) => problem.field("auditor"),
        TxError::Signature { .. } => problem.field("signature"),
        TxError::EffectivePeriod {
            entry, reported, ..
        } => problem
            .field(format!("entries[{entry}].effective_period"))
            .limit(reported.to_string()),
        TxError::Point { entry, class } => problem.field(format!("entries[{entry}].{class}")),
        TxError::RangeArgument { .. } => problem.field("argument"),
        TxError::Schema { expected, .. } => problem.field("schema").limit(*expected),
        TxError::Number { expected, .. } => problem.field("number").limit(*expected),
        TxError::PeriodBack { column, .. } => problem.field("period").limit(column.to_string()),
        TxError::PeriodAhead { limit, .. } => problem.field("period").limit(limit.to_string()),
        TxError::LogFull { entry } => problem.field(format!("entries[{entry}].index")),
        TxError::ColumnOpened(_) => problem.field("agency"),
        TxError::AnchorExists(_)
        | TxError::UnknownAnchor(_)
        | TxError::Revoked(_)
        | TxError::Consumed(_) => problem.field("anchor"),
        TxError::AnchorExpiry { max, .. } => problem.field("expiry").limit(max.0),
        TxError::AnchorsFull { limit } => problem.field("anchor").limit(*limit),
        TxError::Expired { expiry, .. } => problem.field("expiry").limit(expiry.0),
        TxError::UnknownAttribute(_) => problem.field("attributes"),
        TxError::AuditExists(_) => problem.field("nonce"),
        TxError::AuditPeriod { .. } => problem.field("period"),
        TxError::AuditTooSoon { limit, .. } => problem.field("agencies").limit(*limit),
    }
}

fn ledger_problem(error: &LedgerError) -> Problem {
    tracing::error!(%error, "the ledger failed to answer");
    Problem::internal()
}

/// Like [`ledger_problem`], for reads at a height that may be too old.
fn state_problem(node: &crate::node::Node, error: &LedgerError) -> Problem {
    match error {
        LedgerError::Pruned { .. } => {
            Problem::pruned(node.ledger.consortium().policies.kept_versions)
        }
        _ => ledger_problem(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_plain_decimals() {
        assert_eq!(parse_height("12"), Ok(Height(12)));
        for bad in [
            "",
            "+1",
            "-1",
            "1.0",
            "0x1",
            "18446744073709551616",
            "latest ",
        ] {
            assert!(parse_height(bad).is_err(), "{bad:?}");
        }
    }
}
