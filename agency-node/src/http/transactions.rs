//! Transactions: taking them, and telling where they stand.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use zkbureau_circuits::encoding::Document;
use zkbureau_ledger::ids::TxHash;
use zkbureau_ledger::transaction::{Kind, Transaction};
use zkbureau_ledger::{GovernanceError, TxError};

use super::caller::Caller;
use super::ledger::{Part, digest, ledger_problem};
use super::openapi::Canonical;
use super::problem::Problem;
use super::{MAX_WAIT, Shared, body, idempotency};
use crate::node::QueueError;
use crate::node::submission::is_lasting;

/// What a transaction that was taken is called.
#[derive(Debug, Serialize, ToSchema)]
pub struct Taken {
    /// Its hash.
    #[schema(value_type = String)]
    hash: TxHash,
}

impl Taken {
    /// A transaction that was taken.
    pub fn new(hash: TxHash) -> Self {
        Self { hash }
    }
}

/// Where a transaction stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct StandingView {
    /// `final`, `pending`, `refused` or `unknown`.
    status: String,
    /// Height of its block.
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u64>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Takes a transaction.
///
/// The same bytes again are the same transaction. An `Idempotency-Key` is remembered for an hour.
#[utoipa::path(post, path = "/v1/transactions", tag = "ledger",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 128 characters")),
    request_body(content = Canonical, content_type = "application/octet-stream", description = "`Transaction`, canonical bytes"),
    responses((status = 202, description = "It waits for a block, or is in one", body = Taken)))]
pub async fn submit(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let key = idempotency::key(request.headers())?;
    let bytes = Arc::new(body::read(request, Transaction::MAX_BYTES, &api).await?);
    let run = || async {
        let work = {
            let (api, caller, bytes) = (api.clone(), caller.clone(), bytes.clone());
            move || {
                let transaction =
                    Transaction::from_bytes(&bytes).map_err(|e| Problem::decode(&e))?;
                if transaction.kind() == Kind::AnchorConsent {
                    api.callers.count_anchor(&caller)?;
                }
                api.node.submit(transaction).map_err(|e| queue_problem(&e))
            }
        };
        let queued = api.checks.run(work).await?;
        let taken = Taken { hash: queued.hash };
        let mut reply = body::json_reply(&taken);
        reply.status = StatusCode::ACCEPTED;
        Ok(reply)
    };
    let outcome = api
        .memory
        .once(caller.client, "/v1/transactions", key, &bytes, run)
        .await;
    outcome.map(body::reply)
}

/// Where a transaction stands; waits up to `wait_ms` for its end.
#[utoipa::path(get, path = "/v1/transactions/{hash}", tag = "ledger",
    params(("hash" = String, Path, description = "Hash, 64 hexadecimal digits"),
        ("wait_ms" = Option<u64>, Query, description = "Wait for an end, at most 30,000 ms")),
    responses((status = 200, description = "Where it stands", body = StandingView)))]
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

/// A transaction that was not taken.
pub fn queue_problem(error: &QueueError) -> Problem {
    match error {
        QueueError::Refused(error) if is_lasting(error) && !is_of_keys(error) => {
            transaction_problem(error)
        }
        QueueError::Refused(error) => transaction_problem(error).transient(),
        QueueError::Full(full) => Problem::queue_full(full.what, full.limit, full.retry_after),
        QueueError::Stopping => Problem::busy("the node is shutting down"),
        QueueError::Ledger(error) => ledger_problem(error),
    }
}

/// Whether a transaction was refused by the keys that the ledger names now: it may name others
/// after a block.
fn is_of_keys(error: &TxError) -> bool {
    matches!(
        error,
        TxError::Signature {
            key: "validator" | "auditor"
        }
    )
}

/// Names the field that is wrong, and its limit where it has one.
fn transaction_problem(error: &TxError) -> Problem {
    let problem = Problem::unacceptable(error.to_string());
    match error {
        TxError::Size { limit, .. } => problem.field("body").limit(*limit),
        TxError::Count { field, max, .. } => problem.field(*field).limit(*max),
        TxError::Order { field, item } => problem.field(format!("{field}[{item}]")),
        TxError::OtherChain => problem.field("chain"),
        TxError::OtherRules => problem.field("schema"),
        TxError::Governance(GovernanceError::Title(_)) => problem.field("proposal.title"),
        TxError::Governance(GovernanceError::NoVote(_)) => problem.field("agency"),
        TxError::Governance(GovernanceError::Expiry { max, .. }) => {
            problem.field("proposal.expires").limit(max.0)
        }
        TxError::Governance(
            GovernanceError::Possession { change } | GovernanceError::Change { change, .. },
        ) => problem.field(format!("proposal.changes[{change}]")),
        TxError::Governance(GovernanceError::Changes(_)) => problem.field("proposal.changes"),
        TxError::Governance(GovernanceError::TooManyOpen { limit, .. }) => {
            problem.field("proposal").limit(*limit as u64)
        }
        TxError::Governance(
            GovernanceError::Adopted { .. } | GovernanceError::Voted { .. } | GovernanceError::Busy,
        ) => problem.field("proposal"),
        TxError::Evidence(_) => problem.field("signature"),
        TxError::EvidenceKey { .. } => problem.field("key"),
        TxError::EvidenceAhead { height, .. } => problem.field("height").limit(height.0),
        TxError::EvidenceExists { .. } => problem.field("height"),
        TxError::EvidenceFull { limit, .. } => problem.field("agency").limit(*limit as u64),
        TxError::CardExists(_) => problem.field("card"),
        TxError::CardName(_) => problem.field("card.name"),
        TxError::TooManyCards { limit, .. } => problem.field("agency").limit(*limit as u64),
        TxError::NewDirectory(_) => problem.field("agency"),
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

#[cfg(test)]
mod tests {
    use super::super::gate::Gate;
    use super::super::{Api, Settings};
    use super::*;
    use crate::node::testing;

    #[tokio::test]
    async fn a_body_counts_until_the_work_with_it_is_done() {
        let directory = tempfile::tempdir().expect("a directory");
        let node = Arc::new(testing::node(directory.path()));
        let mut api = Api::new(node, Settings::default());
        api.checks = Gate::new("checking", 1, 8);
        let api = Arc::new(api);
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let busy = tokio::spawn({
            let api = api.clone();
            async move {
                let work = move || {
                    // Ends when the sender is dropped.
                    let _ = wait.recv();
                    Ok(())
                };
                api.checks.run(work).await
            }
        });
        tokio::task::yield_now().await;
        let caller = Caller::at([192, 0, 2, 1]);
        let mut request = Request::post("/v1/transactions")
            .header("content-type", "application/octet-stream")
            .body(Body::from(vec![9; 1 << 20]))
            .expect("a request");
        request.extensions_mut().insert(caller.clone());
        let asked = tokio::spawn(submit(State(api.clone()), Extension(caller), request));
        // Long enough for it to be read; then it waits for its turn, as bytes.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert!(!asked.is_finished());
        assert!(api.bodies.in_use() > 0);
        drop(release);
        let refused = asked.await.expect("joined").expect_err("nonsense");
        assert_eq!(refused.status(), 400);
        assert_eq!(busy.await.expect("joined"), Ok(()));
        assert_eq!(api.bodies.in_use(), 0);
    }
}
