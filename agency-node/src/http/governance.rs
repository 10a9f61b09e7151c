//! What changes who takes part: validators as light clients follow them, and open proposals.

use std::collections::HashMap;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::ids::{AuditorId, Day, Height, IssuerId, ProposalId};
use zkbureau_ledger::light::{MAX_CHANGES_LISTED, ValidatorChanges};
use zkbureau_ledger::state::{Party, RegistryKey};
use zkbureau_ledger::{LedgerError, RocksStore};

use super::ledger::{Parts, ledger_problem, parse_digest, parse_height, proof, two};
use super::openapi::Canonical;
use super::problem::Problem;
use super::{Shared, body};
use crate::node::Node;

/// Three parts of a path.
type Three = Result<Path<(String, String, String)>, axum::extract::rejection::PathRejection>;

/// Changes of validators announced at a height or later: the last header of the old ones, and the new.
#[utoipa::path(get, path = "/v1/validators/changes", tag = "ledger",
    params(("from" = Option<u64>, Query, description = "First height; 1 without it")),
    responses((status = 200, description = "`ValidatorChanges`, canonical bytes: oldest first, bounded; ask again from one above the last", content_type = "application/octet-stream", body = Canonical)))]
pub async fn validator_changes(
    State(api): Shared,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|_| Problem::malformed("query", "not a query string"))?;
    if let Some(unknown) = query.keys().find(|k| *k != "from") {
        let field: String = unknown.chars().take(64).collect();
        return Err(Problem::malformed(field, "the only parameter is from"));
    }
    let from = match query.get("from") {
        None => Height(1),
        Some(text) => parse_height(text).map_err(|problem| problem.field("from"))?,
    };
    let node = api.node.clone();
    let bytes = api
        .reads
        .run(move || {
            let changes = node.ledger.validator_changes(from, MAX_CHANGES_LISTED);
            let changes = ValidatorChanges(changes.map_err(|e| ledger_problem(&e))?);
            Ok(changes.to_bytes())
        })
        .await?;
    Ok(body::octets(bytes))
}

/// The open proposals. Convenience: nothing here is proven.
#[derive(Debug, Serialize, ToSchema)]
pub struct GovernanceView {
    /// The height that is looked at.
    #[schema(value_type = u64)]
    height: Height,
    /// Power of all validators together.
    #[schema(value_type = u64)]
    total_power: u128,
    /// By ascending identifier.
    proposals: Vec<ProposalView>,
}

/// A proposal that can still be voted for, unless it has expired.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProposalView {
    /// Its hash.
    #[schema(value_type = String)]
    id: ProposalId,
    /// What it is for, in people's words.
    title: String,
    /// The last day, by header time, on which it can be voted for, counted from 1970.
    #[schema(value_type = u32)]
    expires: Day,
    /// Whether that day has passed.
    expired: bool,
    /// What it changes.
    #[schema(value_type = Vec<Object>)]
    changes: serde_json::Value,
    /// Who voted first.
    #[schema(value_type = u32)]
    opened_by: AgencyId,
    /// Height of the first vote.
    #[schema(value_type = u64)]
    opened: Height,
    /// The votes that count.
    #[schema(value_type = Vec<u32>)]
    votes: Vec<AgencyId>,
    /// Their power; adopted above two thirds of all.
    #[schema(value_type = u64)]
    power: u128,
}

impl GovernanceView {
    fn read(node: &Node) -> Result<Self, LedgerError> {
        let ledger: &zkbureau_ledger::Ledger<RocksStore> = &node.ledger;
        let tip = ledger.tip();
        let validators = ledger.consortium().validator_set();
        let mut proposals = Vec::new();
        for open in ledger.open_proposals(tip.height)?.0 {
            let Some(state) = ledger.proposal(tip.height, open.id)? else {
                continue;
            };
            let votes: Vec<_> = state.voters(&validators).copied().collect();
            proposals.push(ProposalView {
                id: open.id,
                title: state.proposal.title,
                expires: state.proposal.expires,
                expired: tip.time_ms.day() > state.proposal.expires,
                changes: serde_json::to_value(&state.proposal.changes).expect("plain data"),
                opened_by: state.opened_by,
                opened: state.opened,
                votes: votes.iter().map(|v| v.agency).collect(),
                power: votes.iter().map(|v| u128::from(v.power)).sum(),
            });
        }
        Ok(Self {
            height: tip.height,
            total_power: validators.total_power(),
            proposals,
        })
    }
}

/// The open proposals with their votes.
#[utoipa::path(get, path = "/v1/governance", tag = "ledger",
    responses((status = 200, description = "The open proposals", body = GovernanceView)))]
pub async fn governance(State(api): Shared) -> Result<Response, Problem> {
    let node = api.node.clone();
    let view = api
        .reads
        .run(move || GovernanceView::read(&node).map_err(|e| ledger_problem(&e)))
        .await?;
    Ok(body::json(&view))
}

/// Proof of a proposal with its votes, or that there is none.
#[utoipa::path(get, path = "/v1/proofs/{height}/proposals/{id}", tag = "proofs",
    params(("height" = u64, Path, description = "Height"), ("id" = String, Path, description = "Proposal, 64 hexadecimal digits")),
    responses((status = 200, description = "`RegistryProof`, canonical bytes", content_type = "application/octet-stream", body = Canonical)))]
pub async fn proposal_proof(State(api): Shared, parts: Parts) -> Result<Response, Problem> {
    let (at, id) = two(parts)?;
    let id: ProposalId = parse_digest(&id, "id")?;
    proof(&api, at, RegistryKey::Proposal(id)).await
}

/// Proof of whose a public key is or was, or that it is nobody's.
#[utoipa::path(get, path = "/v1/proofs/{height}/keys/{key}", tag = "proofs",
    params(("height" = u64, Path, description = "Height"), ("key" = String, Path, description = "Public key, 64 hexadecimal digits")),
    responses((status = 200, description = "`RegistryProof`, canonical bytes", content_type = "application/octet-stream", body = Canonical)))]
pub async fn key_proof(State(api): Shared, parts: Parts) -> Result<Response, Problem> {
    let (at, text) = two(parts)?;
    let mut key = [0; 32];
    hex::decode_to_slice(&text, &mut key)
        .map_err(|_| Problem::malformed("key", "expected 64 hexadecimal digits").limit(64))?;
    proof(&api, at, RegistryKey::Key(key)).await
}

/// Proof of when a party came and left, or that its identifier was never used.
#[utoipa::path(get, path = "/v1/proofs/{height}/parties/{kind}/{id}", tag = "proofs",
    params(("height" = u64, Path, description = "Height"), ("kind" = String, Path, description = "agency, issuer or auditor"), ("id" = u32, Path, description = "Its identifier")),
    responses((status = 200, description = "`RegistryProof`, canonical bytes", content_type = "application/octet-stream", body = Canonical)))]
pub async fn party_proof(State(api): Shared, parts: Three) -> Result<Response, Problem> {
    let (at, kind, id) = three(parts)?;
    let id = number(&id, "id")?;
    let party = match kind.as_str() {
        "agency" => Party::Agency(AgencyId(id)),
        "issuer" => Party::Issuer(IssuerId(id)),
        "auditor" => Party::Auditor(AuditorId(id)),
        _ => {
            let detail = "parties are of kind agency, issuer or auditor";
            return Err(Problem::not_found("kind", detail));
        }
    };
    proof(&api, at, RegistryKey::Party(party)).await
}

/// Proof of evidence that an agency voted twice at a height, or that there is none.
#[utoipa::path(get, path = "/v1/proofs/{height}/evidence/{agency}/{at}", tag = "proofs",
    params(("height" = u64, Path, description = "Height of the proof"), ("agency" = u32, Path, description = "Agency"), ("at" = u64, Path, description = "Height of the double vote")),
    responses((status = 200, description = "`RegistryProof`, canonical bytes", content_type = "application/octet-stream", body = Canonical)))]
pub async fn evidence_proof(State(api): Shared, parts: Three) -> Result<Response, Problem> {
    let (height, agency, at) = three(parts)?;
    let agency = AgencyId(number(&agency, "agency")?);
    let at = parse_height(&at).map_err(|problem| problem.field("at"))?;
    proof(&api, height, RegistryKey::Evidence(agency, at)).await
}

fn three(parts: Three) -> Result<(Height, String, String), Problem> {
    let bad = |_| Problem::malformed("path", "the path is not UTF-8 text");
    let Path((height, second, third)) = parts.map_err(bad)?;
    Ok((parse_height(&height)?, second, third))
}

fn number(text: &str, field: &'static str) -> Result<u32, Problem> {
    text.parse()
        .map_err(|_| Problem::malformed(field, "an identifier is a number below 2^32"))
}
