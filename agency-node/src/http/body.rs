//! Request bodies and answers: bounded reads, canonical bytes, JSON.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Api;
use super::caller::Caller;
use super::idempotency::Reply;
use super::problem::Problem;

/// Content type of canonical bytes.
const OCTETS: &str = "application/octet-stream";
/// Content type of JSON.
const JSON: &str = "application/json";
/// Memory for bodies that are being read, over all connections.
const BUDGET_BYTES: usize = 64 << 20;
/// What the budget is counted in.
const UNIT: usize = 1 << 10;

/// Bounds the memory of bodies that are being read.
pub struct Budget(Semaphore);

impl Budget {
    /// Nothing is being read.
    pub fn new() -> Self {
        Self(Semaphore::new(BUDGET_BYTES / UNIT))
    }

    fn take(&self, bytes: usize) -> Result<SemaphorePermit<'_>, Problem> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        self.0
            .try_acquire_many(units)
            .map_err(|_| Problem::busy("too many large bodies are being read").field("body"))
    }
}

/// Reads a body of at most `limit` bytes, within the time for it. A signed request's body is what
/// was signed.
pub async fn read(request: Request<Body>, limit: usize, api: &Api) -> Result<Vec<u8>, Problem> {
    let digest = request
        .extensions()
        .get::<Caller>()
        .and_then(|caller| caller.digest.clone());
    let kind = request.headers().get(header::CONTENT_TYPE);
    if kind.is_none_or(|kind| kind != OCTETS) {
        return Err(Problem::media_type(OCTETS));
    }
    let body = request.into_body();
    // A declared length is refused before a byte is read; without one the worst is assumed.
    let declared = body.size_hint().exact().unwrap_or(limit as u64);
    let Some(bytes) = usize::try_from(declared).ok().filter(|b| *b <= limit) else {
        return Err(Problem::too_large(limit));
    };
    let _held = api.bodies.take(bytes)?;
    let seconds = api.settings.limits.body_seconds;
    let read = axum::body::to_bytes(body, limit);
    let bytes = tokio::time::timeout(Duration::from_secs(seconds), read)
        .await
        .map_err(|_| Problem::timeout(seconds).field("body"))?
        .map_err(|error| {
            // The limit shows as a source of the error; anything else is a broken connection.
            let text = std::error::Error::source(&error).map(ToString::to_string);
            if text.is_some_and(|t| t.contains("length limit")) {
                Problem::too_large(limit)
            } else {
                Problem::malformed("body", "the body ended early")
            }
        })?;
    if digest.is_some_and(|digest| !digest.matches(&bytes)) {
        return Err(Problem::malformed(
            "content-digest",
            "the body is not the one that was signed",
        ));
    }
    Ok(bytes.into())
}

/// Canonical bytes as an answer that may be given again.
pub fn octets_reply(bytes: Vec<u8>) -> Reply {
    Reply {
        status: StatusCode::OK,
        kind: OCTETS,
        body: bytes.into(),
    }
}

/// JSON as an answer that may be given again.
pub fn json_reply<T: Serialize>(value: &T) -> Reply {
    Reply {
        status: StatusCode::OK,
        kind: JSON,
        body: serde_json::to_vec(value).expect("plain data").into(),
    }
}

/// Gives an answer.
pub fn reply(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = reply.status;
    let kind = HeaderValue::from_static(reply.kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Answers with canonical bytes.
pub fn octets(bytes: Vec<u8>) -> Response {
    reply(octets_reply(bytes))
}

/// Answers with JSON.
pub fn json<T: Serialize>(value: &T) -> Response {
    reply(json_reply(value))
}

/// Answers with bytes that are JSON.
pub fn json_bytes(bytes: Vec<u8>) -> Response {
    reply(Reply {
        status: StatusCode::OK,
        kind: JSON,
        body: bytes.into(),
    })
}
