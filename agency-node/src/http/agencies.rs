//! Routes of the agencies: sealed asks in, sealed answers out. The API sees neither.

use std::sync::Arc;

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

use super::body::Received;
use super::caller::Caller;
use super::ledger::Part;
use super::openapi::Canonical;
use super::problem::Problem;
use super::{Api, MAX_FORWARDS, Shared, body, idempotency};
use crate::agency::{Agency, AnswerError};
use crate::network::AskKind;
use crate::node::{ASK_DEADLINE, AskError};

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
    fn ask(self) -> AskKind {
        match self {
            Self::Ask => AskKind::Ask,
            Self::Audit => AskKind::Audit,
        }
    }

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
    let bytes = Arc::new(body::read(request, kind.max_bytes(), api).await?);
    let route = format!("{:?}/{}", kind.ask(), agency.0);
    let run = || async {
        let answer = match api.node.agencies.get(&agency) {
            Some(agency) => here(api, agency.clone(), bytes.clone(), kind).await?,
            None => elsewhere(api, caller, agency, bytes.to_vec(), kind).await?,
        };
        Ok(body::octets_reply(answer))
    };
    let outcome = api
        .memory
        .once(caller.client, &route, key, &bytes, run)
        .await;
    outcome.map(body::reply)
}

/// The agency's own node answers, a bounded number at once.
async fn here(
    api: &Api,
    agency: Arc<Agency<RocksStore>>,
    bytes: Arc<Received>,
    kind: Kind,
) -> Result<Vec<u8>, Problem> {
    let answer = || {
        let (agency, bytes) = (agency.clone(), bytes.clone());
        let work = move || match kind {
            Kind::Ask => agency.answer(&bytes, &mut OsRng),
            Kind::Audit => agency.answer_audit(&bytes, &mut OsRng),
        };
        api.answers.run(move || Ok(work()))
    };
    api.node.caught_up(answer).await?.map_err(problem)
}

/// Another node answers. What it is asked is sealed to it, so it only passes through here.
async fn elsewhere(
    api: &Api,
    caller: &Caller,
    agency: AgencyId,
    bytes: Vec<u8>,
    kind: Kind,
) -> Result<Vec<u8>, Problem> {
    let shares = &api.forward_shares;
    let over = || Problem::share("agency", shares.each(), "requests to other agencies");
    let _share = shares.take(caller.counted(), 1).ok_or_else(over)?;
    let _place = api.forwards.try_acquire().map_err(|_| {
        Problem::busy("too many requests wait for other agencies")
            .field("agency")
            .limit(MAX_FORWARDS as u64)
    })?;
    api.node
        .ask(agency, kind.ask(), bytes)
        .await
        .map_err(|error| match error {
            AskError::Malformed {
                field,
                limit,
                detail,
            } => malformed(field, limit, detail),
            AskError::Refused => Problem::refused(),
            AskError::Unavailable(agency) => unavailable(agency),
            AskError::Unknown(agency) => unknown(agency),
            AskError::NoAnswer { agency, detail } => {
                Problem::unreachable(agency, ASK_DEADLINE.as_secs(), &detail)
            }
        })
}

fn find(api: &Api, agency: Part) -> Result<AgencyId, Problem> {
    let bad = || Problem::malformed("agency", "an agency is a number, as in the genesis file");
    let Path(text) = agency.map_err(|_| bad())?;
    let id = AgencyId(text.parse().map_err(|_| bad())?);
    if !api.node.knows_agency(id) {
        return Err(unknown(id));
    }
    Ok(id)
}

fn unknown(agency: AgencyId) -> Problem {
    Problem::not_found("agency", format!("this node does not know {agency}"))
}

fn unavailable(agency: AgencyId) -> Problem {
    Problem::busy(format!("{agency} cannot answer at the moment")).field("agency")
}

fn malformed(field: String, limit: Option<u64>, detail: String) -> Problem {
    let problem = Problem::malformed(field, detail);
    match limit {
        Some(limit) => problem.limit(limit),
        None => problem,
    }
}

fn problem(error: AnswerError) -> Problem {
    match error {
        AnswerError::Malformed {
            field,
            limit,
            detail,
        } => malformed(field.to_owned(), limit, detail),
        AnswerError::Refused(_) => Problem::refused(),
        AnswerError::Unavailable => {
            Problem::busy("the agency cannot answer at the moment").field("agency")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MAX_FORWARDS_OF_ONE, Settings};
    use super::*;
    use crate::node::testing;

    #[tokio::test]
    async fn one_client_has_a_share_of_what_waits_for_other_agencies() {
        let directory = tempfile::tempdir().expect("a directory");
        let node = Arc::new(testing::node(directory.path()));
        let api = Api::new(node, Settings::default());
        let ask = async |caller: &Caller| {
            let asked = elsewhere(&api, caller, AgencyId(9), Vec::new(), Kind::Ask).await;
            asked.expect_err("there is no such agency").status()
        };
        let (one, other) = (Caller::at([192, 0, 2, 1]), Caller::at([192, 0, 2, 2]));
        let waiting = api.forward_shares.take(one.counted(), MAX_FORWARDS_OF_ONE);
        assert!(waiting.is_some());
        assert_eq!(ask(&one).await, 429);
        assert_eq!(ask(&other).await, 404);
        drop(waiting);
        assert_eq!(ask(&one).await, 404);
    }
}
