//! `GET /v1/events`: new blocks and refused transactions as server-sent events.
//!
//! ```text
//! id: 17
//! event: block
//! data: {"height":17,"time_ms":1700000000000,"transactions":3,"state_root":"…"}
//!
//! event: refused
//! data: {"hash":"…"}
//! ```
//!
//! The identifier of an event is its height, so a client that comes back with `Last-Event-ID` gets
//! every block after it. Subscribers are bounded. Each has a bounded queue: one that reads too
//! slowly is dropped and may come back the same way.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use utoipa::ToSchema;
use zkbureau_circuits::encoding::Digest32;
use zkbureau_ledger::LedgerError;
use zkbureau_ledger::ids::{Height, TimeMs, TxHash};

use super::metrics::Open;
use super::problem::Problem;
use super::{Api, Shared};
use crate::node::Node;

/// Events that a subscriber may be behind before it is dropped.
const QUEUE: usize = 256;
/// Blocks that a returning client may have missed.
const MAX_RESUME: u64 = 10_000;
/// A silent stream shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a block's event says. Convenience: nothing here is proven.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct BlockEvent {
    /// Height of the block.
    #[schema(value_type = u64)]
    pub height: Height,
    /// Its time.
    #[schema(value_type = u64)]
    pub time_ms: TimeMs,
    /// How many transactions it has.
    pub transactions: u64,
    /// Root over all trees after it.
    #[serde(with = "hex::serde")]
    #[schema(value_type = String)]
    pub state_root: Digest32,
}

/// What a refusal's event says.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RefusedEvent {
    /// The transaction; its reason is at `/v1/transactions/{hash}`.
    #[schema(value_type = String)]
    pub hash: TxHash,
}

/// An event, written once for all subscribers.
#[derive(Clone, Debug)]
struct Event {
    /// The height of a block; none for anything else.
    height: Option<Height>,
    text: Bytes,
}

/// Where events come from.
#[derive(Debug)]
pub struct Events {
    sender: broadcast::Sender<Event>,
    places: Arc<Semaphore>,
}

impl Events {
    /// No subscribers yet, and at most so many.
    pub fn new(subscribers: usize) -> Self {
        Self {
            sender: broadcast::Sender::new(QUEUE),
            places: Arc::new(Semaphore::new(subscribers)),
        }
    }

    /// Tells subscribers of every block until the node stops.
    pub async fn run(&self, node: Arc<Node>) {
        let mut blocks = node.watch();
        let mut refusals = node.refusals();
        let mut told = node.ledger.tip().height;
        while !node.is_stopping() {
            tokio::select! {
                changed = blocks.changed() => if changed.is_err() {
                    return;
                },
                refused = refusals.recv() => {
                    match refused {
                        Ok(hash) => self.send(refused_event(hash)),
                        // Some were missed: a flood of refusals. Whoever waits for one asks for it.
                        Err(broadcast::error::RecvError::Lagged(_)) => {}
                        Err(broadcast::error::RecvError::Closed) => return,
                    }
                    continue;
                }
            }
            let tip = node.ledger.tip().height;
            while told < tip {
                told = Height(told.0 + 1);
                // Without subscribers nothing is read from disk.
                if self.sender.receiver_count() == 0 {
                    continue;
                }
                let node = node.clone();
                let event = tokio::task::spawn_blocking(move || block_event(&node, told)).await;
                match event {
                    Ok(Ok(Some(event))) => self.send(event),
                    // A node that took a snapshot jumps over heights.
                    Ok(Ok(None)) => {}
                    Ok(Err(error)) => tracing::error!(%error, "the ledger failed to answer"),
                    Err(error) => tracing::error!(%error, "reading a block for its event"),
                }
            }
        }
    }

    fn send(&self, event: Event) {
        // An error means that nobody listens.
        let _ = self.sender.send(event);
    }
}

fn block_event(node: &Node, height: Height) -> Result<Option<Event>, LedgerError> {
    let Some(block) = node.ledger.block(height)? else {
        return Ok(None);
    };
    let data = BlockEvent {
        height,
        time_ms: block.header.time_ms,
        transactions: block.transactions.len() as u64,
        state_root: block.header.state_root,
    };
    let data = serde_json::to_string(&data).expect("plain data");
    Ok(Some(Event {
        height: Some(height),
        text: format!("id: {height}\nevent: block\ndata: {data}\n\n").into(),
    }))
}

fn refused_event(hash: TxHash) -> Event {
    let data = serde_json::to_string(&RefusedEvent { hash }).expect("plain data");
    Event {
        height: None,
        text: format!("event: refused\ndata: {data}\n\n").into(),
    }
}

/// New blocks and refused transactions, as they come.
#[utoipa::path(get, path = "/v1/events", tag = "ledger",
    params(("Last-Event-ID" = Option<u64>, Header, description = "Start after this height")),
    responses((status = 200, description = "A stream of `block` and `refused` events", content_type = "text/event-stream", body = BlockEvent)))]
pub async fn events(State(api): Shared, headers: HeaderMap) -> Result<Response, Problem> {
    let after = match headers.get("last-event-id") {
        None => None,
        Some(value) => Some(last_event_id(value, api.node.ledger.tip().height)?),
    };
    let place = api.events.places.clone().try_acquire_owned();
    let place = place.map_err(|_| Problem::busy("too many subscribers").field("subscribers"))?;
    // Subscribed before the tip is read, so that no block falls between the two.
    let queue = api.events.sender.subscribe();
    let from = after.unwrap_or_else(|| api.node.ledger.tip().height);
    let subscriber = Subscriber {
        api: api.clone(),
        queue,
        told: from,
        caught_up: false,
        _held: (place, api.metrics.open_stream()),
    };
    let stream = stream::unfold(subscriber, Subscriber::next);
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(stream)).into_response())
}

fn last_event_id(value: &HeaderValue, tip: Height) -> Result<Height, Problem> {
    let height = value
        .to_str()
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Problem::malformed("last-event-id", "a height is a decimal number"))?;
    if tip.0.saturating_sub(height) > MAX_RESUME {
        return Err(Problem::too_far_back(MAX_RESUME));
    }
    // A height that is not there yet was said by another node: go on from here.
    Ok(Height(height).min(tip))
}

/// One subscriber's place in the stream.
struct Subscriber {
    api: Arc<Api>,
    queue: broadcast::Receiver<Event>,
    /// The last height told.
    told: Height,
    /// Whether the queue is enough from here on.
    caught_up: bool,
    _held: (OwnedSemaphorePermit, Open),
}

type Item = Result<Bytes, Infallible>;

impl Subscriber {
    async fn next(mut self) -> Option<(Item, Self)> {
        if !self.caught_up {
            if let Some(text) = self.missed().await {
                return Some((Ok(text), self));
            }
            self.caught_up = true;
        }
        let mut stopping = self.api.node.watch();
        loop {
            if self.api.node.is_stopping() {
                return None;
            }
            let event = tokio::select! {
                event = self.queue.recv() => event,
                _ = stopping.changed() => continue,
                () = tokio::time::sleep(KEEP_ALIVE) => {
                    return Some((Ok(Bytes::from_static(b": alive\n\n")), self));
                }
            };
            // An error: it was too slow, or the end has come.
            let event = event.ok()?;
            match event.height {
                Some(height) if height <= self.told => continue,
                Some(height) => self.told = height,
                None => {}
            }
            return Some((Ok(event.text), self));
        }
    }

    /// The next block between the last one told and the newest.
    async fn missed(&mut self) -> Option<Bytes> {
        while self.told < self.api.node.ledger.tip().height && !self.api.node.is_stopping() {
            let height = Height(self.told.0 + 1);
            let node = self.api.node.clone();
            let event = self.api.reads.run(move || {
                block_event(&node, height).map_err(|error| {
                    tracing::error!(%error, "the ledger failed to answer");
                    Problem::internal()
                })
            });
            // Too busy now: it comes back.
            let event = event.await.ok()?;
            self.told = height;
            if let Some(event) = event {
                return Some(event.text);
            }
        }
        None
    }
}
