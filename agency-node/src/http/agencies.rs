//! Routes of the agencies: sealed asks in, sealed answers out. The API sees neither.

use std::sync::Arc;

use crate::agency::{Agency, AnswerError};
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use rand_core::OsRng;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::RocksStore;
use zkbureau_ledger::document::ask::AgencyAsk;
use zkbureau_ledger::document::audit::AuditAsk;

use super::caller::Caller;
use super::ledger::Part;
use super::openapi::Canonical;
use super::problem::Problem;
use super::{Api, Shared, body, idempotency};

/// What sealing adds to an ask: version, encapsulated key, length, tag.
const SEAL_BYTES: usize = 1 + 32 + 4 + 16;

/// Answers a wallet's ask.
///
/// The body is sealed to the agency and the answer to the ask's reply key: nobody between sees
/// either, and the right to an answer is proven inside. An `Idempotency-Key` is remembered for an
/// hour.
#[utoipa::path(post, path = "/v1/agencies/{agency}/asks", tag = "agencies",
    params(("agency" = u32, Path, description = "Agency"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 characters")),
    request_body(content = Canonical, content_type = "application/octet-stream", description = "`Sealed` ask, canonical bytes"),
    responses((status = 200, description = "`Sealed` answer, canonical bytes", content_type = "application/octet-stream", body = Canonical)))]
pub async fn ask(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    agency: Part,
    request: Request<Body>,
) -> Result<Response, Problem> {
    answer(&api, &caller, agency, request, Kind::Ask).await
}

/// Answers an auditor who fetches an audit's figures.
///
/// The body is signed by the auditor and the answer sealed to its reply key.
#[utoipa::path(post, path = "/v1/agencies/{agency}/audits", tag = "agencies",
    params(("agency" = u32, Path, description = "Agency"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 characters")),
    request_body(content = Canonical, content_type = "application/octet-stream", description = "`AuditAsk`, canonical bytes"),
    responses((status = 200, description = "`Sealed` figures, canonical bytes", content_type = "application/octet-stream", body = Canonical)))]
pub async fn audit(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    agency: Part,
    request: Request<Body>,
) -> Result<Response, Problem> {
    answer(&api, &caller, agency, request, Kind::Audit).await
}

/// What an agency is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ask,
    Audit,
}

impl Kind {
    fn max_bytes(self) -> usize {
        match self {
            Self::Ask => AgencyAsk::MAX_BYTES + SEAL_BYTES,
            Self::Audit => AuditAsk::MAX_BYTES,
        }
    }
}

async fn answer(
    api: &Arc<Api>,
    caller: &Caller,
    agency: Part,
    request: Request<Body>,
    kind: Kind,
) -> Result<Response, Problem> {
    let agency = find(api, agency)?;
    let key = idempotency::key(request.headers())?;
    let bytes: Arc<[u8]> = body::read(request, kind.max_bytes(), api).await?.into();
    let route = format!("{kind:?}/{}", agency.id().0);
    let run = || async {
        let bytes = bytes.clone();
        let answer = api
            .answers
            .run(move || {
                match kind {
                    Kind::Ask => agency.answer(&bytes, &mut OsRng),
                    Kind::Audit => agency.answer_audit(&bytes, &mut OsRng),
                }
                .map_err(problem)
            })
            .await?;
        Ok(body::octets_reply(answer))
    };
    let outcome = api
        .memory
        .once(caller.client, &route, key, &bytes, run)
        .await;
    outcome.map(body::reply)
}

fn find(api: &Api, agency: Part) -> Result<Arc<Agency<RocksStore>>, Problem> {
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
