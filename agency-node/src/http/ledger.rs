//! Routes of the ledger: headers and proofs out.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use zkbureau_circuits::encoding::{Digest32, Document};
use zkbureau_ledger::LedgerError;
use zkbureau_ledger::ids::{AnchorId, AuditId, Height};
use zkbureau_ledger::state::{AnchorStatus, RegistryKey};

use super::openapi::Canonical;
use super::problem::Problem;
use super::{Api, Shared, body};
use crate::node::{Node, now};

/// One part of a path, as text.
pub type Part = Result<Path<String>, PathRejection>;
/// Two parts.
pub type Parts = Result<Path<(String, String)>, PathRejection>;

/// The genesis file, byte for byte.
#[utoipa::path(get, path = "/v1/genesis", tag = "ledger",
    responses((status = 200, description = "The genesis file, byte for byte", content_type = "application/json", body = Object)))]
pub async fn genesis(State(api): Shared) -> Response {
    body::json_bytes(api.node.genesis_file.clone())
}

/// The newest header with its certificate.
#[utoipa::path(get, path = "/v1/headers/latest", tag = "ledger",
    responses((status = 200, description = "`SignedHeader`, canonical bytes", content_type = "application/octet-stream", body = Canonical)))]
pub async fn latest_header(State(api): Shared) -> Result<Response, Problem> {
    let height = api.node.ledger.tip().height;
    header_at(&api, height).await
}

/// A header with its certificate.
#[utoipa::path(get, path = "/v1/headers/{height}", tag = "ledger", params(("height" = u64, Path, description = "Height")),
    responses((status = 200, description = "`SignedHeader`, canonical bytes", content_type = "application/octet-stream", body = Canonical)))]
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

/// The roots under a height's state root.
#[utoipa::path(get, path = "/v1/proofs/{height}/roots", tag = "proofs", params(("height" = u64, Path, description = "Height")),
    responses((status = 200, description = "`Roots`, canonical bytes", content_type = "application/octet-stream", body = Canonical)))]
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
#[utoipa::path(get, path = "/v1/proofs/{height}/registry/{value}", tag = "proofs", params(("height" = u64, Path, description = "Height"), ("value" = String, Path, description = "consortium, schema, columns or open-proposals")),
    responses((status = 200, description = "`RegistryProof`, canonical bytes", content_type = "application/octet-stream", body = Canonical)))]
pub async fn registry_proof(State(api): Shared, parts: Parts) -> Result<Response, Problem> {
    let (at, value) = two(parts)?;
    let key = match value.as_str() {
        "consortium" => RegistryKey::Consortium,
        "schema" => RegistryKey::Schema,
        "columns" => RegistryKey::Columns,
        "open-proposals" => RegistryKey::OpenProposals,
        _ => {
            return Err(Problem::not_found(
                "value",
                "the registry has consortium, schema, columns and open-proposals",
            ));
        }
    };
    proof(&api, at, key).await
}

/// Proof of an anchor, or that there is none.
#[utoipa::path(get, path = "/v1/proofs/{height}/anchors/{id}", tag = "proofs", params(("height" = u64, Path, description = "Height"), ("id" = String, Path, description = "Anchor, 64 hexadecimal digits")),
    responses((status = 200, description = "`RegistryProof`, canonical bytes", content_type = "application/octet-stream", body = Canonical)))]
pub async fn anchor_proof(State(api): Shared, parts: Parts) -> Result<Response, Problem> {
    let (at, id) = two(parts)?;
    let id: AnchorId = parse_digest(&id, "id")?;
    proof(&api, at, RegistryKey::Anchor(id)).await
}

/// Proof of an audit request, or that there is none.
#[utoipa::path(get, path = "/v1/proofs/{height}/audits/{id}", tag = "proofs", params(("height" = u64, Path, description = "Height"), ("id" = String, Path, description = "Audit request, 64 hexadecimal digits")),
    responses((status = 200, description = "`RegistryProof`, canonical bytes", content_type = "application/octet-stream", body = Canonical)))]
pub async fn audit_proof(State(api): Shared, parts: Parts) -> Result<Response, Problem> {
    let (at, id) = two(parts)?;
    let id: AuditId = parse_digest(&id, "id")?;
    proof(&api, at, RegistryKey::Audit(id)).await
}

/// Proof of a registry value, or of its absence.
pub async fn proof(api: &Arc<Api>, at: Height, key: RegistryKey) -> Result<Response, Problem> {
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
#[derive(Debug, Serialize, ToSchema)]
pub struct AnchorView {
    /// `unknown`, `authorised`, `expired`, `revoked` or `consumed`.
    #[schema(value_type = String)]
    status: &'static str,
    /// Height at which it was anchored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    anchored: Option<Height>,
    /// Height at which it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    revoked: Option<Height>,
    /// Height at which it was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    height: Option<Height>,
    /// Digest of the inquiry that used it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "hex_option")]
    #[schema(value_type = Option<String>)]
    inquiry: Option<Digest32>,
}

impl Default for AnchorView {
    fn default() -> Self {
        Self {
            status: "unknown",
            anchored: None,
            revoked: None,
            height: None,
            inquiry: None,
        }
    }
}

fn hex_option<S: serde::Serializer>(digest: &Option<Digest32>, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&hex::encode(digest.unwrap_or_default()))
}

/// Where an anchor stands. Convenience: nothing here is proven.
#[utoipa::path(get, path = "/v1/anchors/{id}", tag = "ledger", params(("id" = String, Path, description = "Anchor, 64 hexadecimal digits")),
    responses((status = 200, description = "Where the anchor stands", body = AnchorView)))]
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
                return Ok(AnchorView::default());
            };
            Ok(AnchorView {
                status: match state.status(now().day()) {
                    AnchorStatus::Authorised => "authorised",
                    AnchorStatus::Expired => "expired",
                    AnchorStatus::Revoked => "revoked",
                    AnchorStatus::Consumed => "consumed",
                },
                anchored: Some(state.anchored),
                revoked: state.revoked.as_ref().map(|r| r.height),
                // What the trail is read for: the block of the inquiry, and what was inquired.
                height: state.consumed.as_ref().map(|c| c.height),
                inquiry: state.consumed.as_ref().map(|c| c.digest),
            })
        })
        .await?;
    Ok(body::json(&value))
}

/// Refuses heights that are not there yet.
pub fn exists(node: &Node, height: Height) -> Result<(), Problem> {
    let tip = node.ledger.tip().height;
    if height > tip {
        return Err(Problem::not_found(
            "height",
            format!("the newest block is {tip}"),
        ));
    }
    Ok(())
}

/// A height: decimal digits only.
pub fn parse_height(text: &str) -> Result<Height, Problem> {
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

/// A height and something else.
pub fn two(parts: Parts) -> Result<(Height, String), Problem> {
    let Path((height, other)) = parts.map_err(|_| not_text("path"))?;
    Ok((parse_height(&height)?, other))
}

/// A digest in a path.
pub fn digest<T: FromStr>(part: Part, field: &'static str) -> Result<T, Problem> {
    let Path(text) = part.map_err(|_| not_text(field))?;
    parse_digest(&text, field)
}

/// A digest.
pub fn parse_digest<T: FromStr>(text: &str, field: &'static str) -> Result<T, Problem> {
    text.parse()
        .map_err(|_| Problem::malformed(field, "expected 64 hexadecimal digits").limit(64))
}

fn not_text(field: &'static str) -> Problem {
    Problem::malformed(field, "the path is not UTF-8 text")
}

/// The ledger failed; the log says how.
pub fn ledger_problem(error: &LedgerError) -> Problem {
    tracing::error!(%error, "the ledger failed to answer");
    Problem::internal()
}

/// Like [`ledger_problem`], for reads at a height that may be too old.
pub fn state_problem(node: &Node, error: &LedgerError) -> Problem {
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
