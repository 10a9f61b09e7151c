//! Routes of the agencies: sealed asks in, sealed answers out. The API sees neither.

use std::sync::Arc;

use crate::agency::{Agency, AnswerError};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use rand_core::OsRng;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::RocksStore;
use zkbureau_ledger::document::ask::AgencyAsk;
use zkbureau_ledger::document::audit::AuditAsk;

use super::problem::Problem;
use super::{Api, Shared, body};

/// What sealing adds to an ask: version, encapsulated key, length, tag.
const SEAL_BYTES: usize = 1 + 32 + 4 + 16;

/// Answers a wallet's ask.
pub async fn ask(
    State(api): Shared,
    agency: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let agency = find(&api, agency)?;
    let bytes = body::read(request, AgencyAsk::MAX_BYTES + SEAL_BYTES, &api.bodies).await?;
    let answer = api
        .answers
        .run(move || agency.answer(&bytes, &mut OsRng).map_err(problem))
        .await?;
    Ok(body::octets(answer))
}

/// Answers an auditor who fetches an audit's figures.
pub async fn audit(
    State(api): Shared,
    agency: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let agency = find(&api, agency)?;
    let bytes = body::read(request, AuditAsk::MAX_BYTES, &api.bodies).await?;
    let answer = api
        .answers
        .run(move || agency.answer_audit(&bytes, &mut OsRng).map_err(problem))
        .await?;
    Ok(body::octets(answer))
}

fn find(
    api: &Api,
    agency: Result<Path<String>, PathRejection>,
) -> Result<Arc<Agency<RocksStore>>, Problem> {
    let bad = || Problem::malformed("agency", "an agency is a number, as in the genesis file");
    let Path(text) = agency.map_err(|_| bad())?;
    let id = AgencyId(text.parse().map_err(|_| bad())?);
    api.node
        .agencies
        .get(&id)
        .cloned()
        .ok_or_else(|| Problem::not_found("agency", format!("this node does not run {id}")))
}

fn problem(error: AnswerError) -> Problem {
    match error {
        AnswerError::Malformed {
            field,
            limit,
            detail,
        } => {
            let problem = Problem::malformed(field, detail);
            match limit {
                Some(limit) => problem.limit(limit),
                None => problem,
            }
        }
        AnswerError::Refused(_) => Problem::refused(),
        AnswerError::Unavailable => Problem::busy("the agency cannot answer at the moment"),
    }
}
