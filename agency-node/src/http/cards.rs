//! Routes of scorecards: proofs out, and cards in, which the agency signs for
//! (`ledger/spec/cards.md`).

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use zkbureau_circuits::encoding::{Digest32, Document};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::scorecard::Card;
use zkbureau_ledger::state::RegistryKey;

use super::caller::Caller;
use super::ledger::{Part, Parts, proof, two};
use super::openapi::Canonical;
use super::problem::Problem;
use super::transactions::{Taken, queue_problem};
use super::{Shared, body};

/// Proof of a registered scorecard, or that there is none.
#[utoipa::path(get, path = "/v1/proofs/{height}/cards/{id}", tag = "proofs", params(("height" = u64, Path, description = "Height"), ("id" = String, Path, description = "Content hash of the card, 64 hexadecimal digits")),
    responses((status = 200, description = "`RegistryProof`, canonical bytes", content_type = "application/octet-stream", body = Canonical)))]
pub async fn card_proof(State(api): Shared, parts: Parts) -> Result<Response, Problem> {
    let (at, id) = two(parts)?;
    proof(&api, at, RegistryKey::Card(hash(&id)?)).await
}

/// Proof of the card that a name stands for, or that there is none.
#[utoipa::path(get, path = "/v1/proofs/{height}/card-names/{id}", tag = "proofs", params(("height" = u64, Path, description = "Height"), ("id" = String, Path, description = "Hash of the name, 64 hexadecimal digits")),
    responses((status = 200, description = "`RegistryProof`, canonical bytes", content_type = "application/octet-stream", body = Canonical)))]
pub async fn card_name_proof(State(api): Shared, parts: Parts) -> Result<Response, Problem> {
    let (at, id) = two(parts)?;
    proof(&api, at, RegistryKey::CardName(hash(&id)?)).await
}

/// Proof of the list of cards that an agency has registered, or that there is none.
#[utoipa::path(get, path = "/v1/proofs/{height}/agency-cards/{agency}", tag = "proofs", params(("height" = u64, Path, description = "Height"), ("agency" = u32, Path, description = "Agency")),
    responses((status = 200, description = "`RegistryProof`, canonical bytes", content_type = "application/octet-stream", body = Canonical)))]
pub async fn agency_cards_proof(State(api): Shared, parts: Parts) -> Result<Response, Problem> {
    let (at, id) = two(parts)?;
    proof(&api, at, RegistryKey::AgencyCards(agency(&id)?)).await
}

/// Registers a scorecard in the name of this node's agency, which signs for it.
///
/// For operators: cards count against the agency's number of cards, and stay for good.
#[utoipa::path(post, path = "/v1/agencies/{agency}/cards", tag = "agencies",
    params(("agency" = u32, Path, description = "Agency, of this node")),
    request_body(content = Canonical, content_type = "application/octet-stream", description = "`Card`, canonical bytes"),
    responses((status = 202, description = "The registration waits for a block", body = Taken)))]
pub async fn register(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    part: Part,
    request: Request<Body>,
) -> Result<Response, Problem> {
    caller.operator()?;
    let Path(text) = part.map_err(|_| bad_agency())?;
    let id = agency(&text)?;
    let bytes = body::read(request, Card::MAX_BYTES, &api).await?;
    let node = api.node.clone();
    let queued = api
        .checks
        .run(move || {
            let card = Card::from_bytes(&bytes).map_err(|e| Problem::decode(&e))?;
            let agency = node.agencies.get(&id).ok_or_else(|| {
                Problem::not_found("agency", format!("{id} is not an agency of this node"))
            })?;
            let register = agency.register_card(card);
            node.submit(register).map_err(|e| queue_problem(&e))
        })
        .await?;
    let mut reply = body::json_reply(&Taken::new(queued.hash));
    reply.status = StatusCode::ACCEPTED;
    Ok(body::reply(reply))
}

fn bad_agency() -> Problem {
    Problem::malformed("agency", "an agency is a number, as in the genesis file")
}

fn agency(text: &str) -> Result<AgencyId, Problem> {
    text.parse().map(AgencyId).map_err(|_| bad_agency())
}

fn hash(text: &str) -> Result<Digest32, Problem> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash)
        .map_err(|_| Problem::malformed("id", "expected 64 hexadecimal digits").limit(64))?;
    Ok(hash)
}
