//! Request bodies and answers: bounded reads, canonical bytes, JSON.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use futures::StreamExt as _;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Api;
use super::caller::Caller;
use super::idempotency::Reply;
use super::problem::Problem;
use super::quota::Client;
use super::shares::{Share, Shares};

/// Content type of canonical bytes.
const OCTETS: &str = "application/octet-stream";
/// Content type of JSON.
const JSON: &str = "application/json";
/// Memory for bodies, over all connections.
const BUDGET_BYTES: usize = 64 << 20;
/// Of these, for small bodies only: batches do not keep out what people wait for.
const RESERVED_BYTES: usize = 16 << 20;
/// A small body: every ask, and every transaction but a batch.
const SMALL_BYTES: usize = 256 << 10;
/// The beginning of a body is not counted: the number of connections bounds it, and a revocation
/// or an inquiry is no longer than that.
const FREE_BYTES: usize = 16 << 10;
/// Of the budget, what one client may hold.
const SHARE_BYTES: usize = 8 << 20;
/// What the budget is counted in.
const UNIT: usize = 1 << 10;

/// Bounds the memory of bodies, from their first byte until the work with them is done.
pub struct Budget {
    common: Arc<Semaphore>,
    reserved: Arc<Semaphore>,
    shares: Arc<Shares>,
}

impl Budget {
    /// Nothing is being read.
    pub fn new() -> Self {
        let pool = |bytes: usize| Arc::new(Semaphore::new(bytes / UNIT));
        Self {
            common: pool(BUDGET_BYTES - RESERVED_BYTES),
            reserved: pool(RESERVED_BYTES),
            shares: Shares::new(SHARE_BYTES / UNIT),
        }
    }

    /// An empty body of a client, or of nobody who is counted.
    fn open(&self, client: Option<Client>) -> Result<Received, Problem> {
        Ok(Received {
            bytes: Vec::new(),
            held: Vec::new(),
            share: self.shares.take(client, 0).ok_or_else(over_share)?,
            units: 0,
        })
    }

    /// What is held now, in units.
    #[cfg(test)]
    pub fn in_use(&self) -> usize {
        let free = self.common.available_permits() + self.reserved.available_permits();
        BUDGET_BYTES / UNIT - free
    }

    fn take(&self, units: usize, small: bool) -> Result<OwnedSemaphorePermit, Problem> {
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let of = |pool: &Arc<Semaphore>| pool.clone().try_acquire_many_owned(units).ok();
        let reserved = if small { of(&self.reserved) } else { None };
        reserved.or_else(|| of(&self.common)).ok_or_else(|| {
            Problem::busy("too many bodies are being read")
                .field("body")
                .limit(BUDGET_BYTES as u64)
        })
    }
}

fn over_share() -> Problem {
    Problem::share("body", SHARE_BYTES as u64, "bytes of bodies")
}

/// A body, and its part of the budget, which comes back when this is dropped. Whoever works with
/// the bytes on another thread takes it along.
pub struct Received {
    bytes: Vec<u8>,
    held: Vec<OwnedSemaphorePermit>,
    share: Share,
    units: usize,
}

impl Received {
    /// Adds a piece to a body that will have `most` bytes at most. Room is counted before it is
    /// taken, in doubling steps: what was only declared costs nothing.
    fn add(&mut self, budget: &Budget, piece: &[u8], most: usize) -> Result<(), Problem> {
        let (bytes, room) = (self.bytes.len() + piece.len(), self.bytes.capacity());
        if bytes > room {
            let room = (2 * room).max(FREE_BYTES).min(most).max(bytes);
            let units = room.saturating_sub(FREE_BYTES).div_ceil(UNIT);
            let more = units.saturating_sub(self.units);
            if more > 0 {
                if !self.share.grow(more) {
                    return Err(over_share());
                }
                self.units = units;
                self.held.push(budget.take(more, most <= SMALL_BYTES)?);
            }
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a body of at most `limit` bytes, within the time for it. A signed request's body is what
/// was signed.
pub async fn read(request: Request<Body>, limit: usize, api: &Api) -> Result<Received, Problem> {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        tracing::error!("a request without a caller");
        return Err(Problem::internal());
    };
    // A page in a browser cannot declare this type without being asked first whether it may.
    let kind = request.headers().get(header::CONTENT_TYPE);
    if kind.is_none_or(|kind| kind != OCTETS) {
        return Err(Problem::media_type(OCTETS));
    }
    let body = request.into_body();
    // A declared length is refused before a byte is read.
    let declared = body.size_hint().exact().unwrap_or(limit as u64);
    let Some(most) = usize::try_from(declared).ok().filter(|b| *b <= limit) else {
        return Err(Problem::too_large(limit));
    };
    let mut received = api.bodies.open(caller.counted())?;
    let mut pieces = body.into_data_stream();
    let reading = async {
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| Problem::malformed("body", "the body ended early"))?;
            if piece.len() > limit - received.len() {
                return Err(Problem::too_large(limit));
            }
            received.add(&api.bodies, &piece, most)?;
        }
        Ok(())
    };
    let seconds = api.settings.limits.body_seconds;
    tokio::time::timeout(Duration::from_secs(seconds), reading)
        .await
        .map_err(|_| Problem::timeout("body", seconds))??;
    if (caller.digest).is_some_and(|digest| !digest.matches(&received)) {
        return Err(Problem::malformed(
            "content-digest",
            "the body is not the one that was signed",
        ));
    }
    Ok(received)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u32) -> Option<Client> {
        Some(Client::of(std::net::IpAddr::V4(n.into())))
    }

    /// Receives so many bytes, in pieces as they come from a connection.
    fn receive(budget: &Budget, of: Option<Client>, bytes: usize) -> Result<Received, Problem> {
        let mut received = budget.open(of)?;
        for piece in vec![7; bytes].chunks(64 << 10) {
            received.add(budget, piece, bytes)?;
        }
        assert_eq!(received.len(), bytes);
        Ok(received)
    }

    #[test]
    fn one_client_has_a_share_and_what_is_short_is_always_read() {
        let budget = Budget::new();
        let large = 4 << 20;
        let held = [1, 1].map(|n| receive(&budget, client(n), large).expect("its share"));
        let refused = receive(&budget, client(1), large).err().expect("no more");
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(receive(&budget, client(2), large).is_ok());
        assert!(receive(&budget, client(1), FREE_BYTES).is_ok());
        drop(held);
        assert!(receive(&budget, client(1), large).is_ok(), "given back");
        assert_eq!(budget.common.available_permits(), 48 << 10);
    }

    #[test]
    fn large_bodies_of_many_clients_leave_room_for_small_ones() {
        let budget = Budget::new();
        let large: Vec<_> = (0..40)
            .filter_map(|n| receive(&budget, client(n), 4 << 20).ok())
            .collect();
        assert_eq!(large.len(), 12);
        let refused = receive(&budget, client(99), 4 << 20).err().expect("full");
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        let small: Vec<_> = (100..1000)
            .filter_map(|n| receive(&budget, client(n), SMALL_BYTES).ok())
            .collect();
        assert!(small.len() >= 64, "{}", small.len());
        // What is not counted needs no room.
        assert!(receive(&budget, client(2000), FREE_BYTES).is_ok());
    }

    #[test]
    fn nothing_is_held_for_bytes_that_have_not_come() {
        let budget = Budget::new();
        let stalled: Vec<_> = (0..1000)
            .map(|_| {
                let mut received = budget.open(client(1)).expect("opened");
                received.add(&budget, b"abc", 4 << 20).expect("three bytes");
                received
            })
            .collect();
        assert!(stalled.iter().all(|r| r.bytes.capacity() <= FREE_BYTES));
        assert!(receive(&budget, client(1), 4 << 20).is_ok());
    }
}
