//! Request bodies and answers: bounded reads, canonical bytes, JSON.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderValue, Request, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use zkbureau_circuits::encoding::Document;

use super::problem::Problem;

/// Content type of canonical bytes.
const OCTETS: &str = "application/octet-stream";
/// A body must arrive within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

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

/// Reads a document of canonical bytes, at most as many as its type allows.
pub async fn read_document<T: Document>(
    request: Request<Body>,
    budget: &Budget,
) -> Result<T, Problem> {
    let bytes = read(request, T::MAX_BYTES, budget).await?;
    T::from_bytes(&bytes).map_err(|e| Problem::decode(&e))
}

/// Reads a body of at most `limit` bytes.
pub async fn read(
    request: Request<Body>,
    limit: usize,
    budget: &Budget,
) -> Result<Vec<u8>, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind != OCTETS) {
        return Err(Problem::media_type(OCTETS));
    }
    let body = request.into_body();
    // A declared length is refused before a byte is read; without one the worst is assumed.
    let declared = body.size_hint().exact().unwrap_or(limit as u64);
    let Some(bytes) = usize::try_from(declared).ok().filter(|b| *b <= limit) else {
        return Err(Problem::too_large(limit));
    };
    let _held = budget.take(bytes)?;
    let read = axum::body::to_bytes(body, limit);
    let bytes = tokio::time::timeout(BODY_TIMEOUT, read)
        .await
        .map_err(|_| Problem::timeout(BODY_TIMEOUT.as_secs()).field("body"))?
        .map_err(|error| {
            // The limit shows as a source of the error; anything else is a broken connection.
            let text = std::error::Error::source(&error).map(ToString::to_string);
            if text.is_some_and(|t| t.contains("length limit")) {
                Problem::too_large(limit)
            } else {
                Problem::malformed("body", "the body ended early")
            }
        })?;
    Ok(bytes.into())
}

/// Answers with canonical bytes.
pub fn octets(bytes: Vec<u8>) -> Response {
    with_type(bytes, OCTETS)
}

/// Answers with JSON.
pub fn json<T: Serialize>(value: &T) -> Response {
    let bytes = serde_json::to_vec(value).expect("plain data");
    json_bytes(bytes)
}

/// Answers with bytes that are JSON.
pub fn json_bytes(bytes: Vec<u8>) -> Response {
    with_type(bytes, "application/json")
}

fn with_type(bytes: Vec<u8>, kind: &'static str) -> Response {
    (
        [(header::CONTENT_TYPE, HeaderValue::from_static(kind))],
        bytes,
    )
        .into_response()
}
