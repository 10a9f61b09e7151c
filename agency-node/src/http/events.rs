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

use axum::Extension;
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

use super::caller::Caller;
use super::metrics::Open;
use super::problem::Problem;
use super::shares::{Share, Shares};
use super::{Api, Shared};
use crate::node::Node;

/// Events that a subscriber may be behind before it is dropped.
const QUEUE: usize = 256;
/// Listeners of one client.
const MAX_OF_ONE: usize = 8;
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
    limit: u64,
    shares: Arc<Shares>,
    /// Returning clients that are still told what they missed: one of each reads blocks at a time.
    resuming: Arc<Shares>,
}

impl Events {
    /// No subscribers yet, and at most so many.
    pub fn new(subscribers: usize) -> Self {
        Self {
            sender: broadcast::Sender::new(QUEUE),
            places: Arc::new(Semaphore::new(subscribers)),
            limit: subscribers as u64,
            shares: Shares::new(MAX_OF_ONE),
            resuming: Shares::new(1),
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
    let Some((header, transactions)) = node.ledger.block_summary(height)? else {
        return Ok(None);
    };
    let data = BlockEvent {
        height,
        time_ms: header.time_ms,
        transactions: transactions.into(),
        state_root: header.state_root,
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
pub async fn events(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = match headers.get("last-event-id") {
        None => None,
        Some(value) => Some(last_event_id(value, api.node.ledger.tip().height)?),
    };
    let (events, client) = (&api.events, caller.counted());
    let over = |shares: &Shares, what| Problem::share("subscribers", shares.each(), what);
    let share = events.shares.take(client, 1);
    let share = share.ok_or_else(|| over(&events.shares, "streams of events"))?;
    let resuming = match after {
        None => None,
        Some(_) => Some(
            events
                .resuming
                .take(client, 1)
                .ok_or_else(|| over(&events.resuming, "streams that are told what they missed"))?,
        ),
    };
    let place = events.places.clone().try_acquire_owned().map_err(|_| {
        Problem::busy("too many subscribers")
            .field("subscribers")
            .limit(events.limit)
    })?;
    // Subscribed before the tip is read, so that no block falls between the two.
    let queue = api.events.sender.subscribe();
    let from = after.unwrap_or_else(|| api.node.ledger.tip().height);
    let subscriber = Subscriber {
        api: api.clone(),
        queue,
        told: from,
        caught_up: false,
        resuming,
        _held: (place, share, api.metrics.open_stream()),
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
    /// Until then.
    resuming: Option<Share>,
    _held: (OwnedSemaphorePermit, Share, Open),
}

type Item = Result<Bytes, Infallible>;

impl Subscriber {
    async fn next(mut self) -> Option<(Item, Self)> {
        if !self.caught_up {
            // An error: there is a gap that only a new subscription can fill, from the last height told.
            if let Some(text) = self.missed().await.ok()? {
                return Some((Ok(text), self));
            }
            self.caught_up = true;
            self.resuming = None;
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
    async fn missed(&mut self) -> Result<Option<Bytes>, Problem> {
        while self.told < self.api.node.ledger.tip().height && !self.api.node.is_stopping() {
            let height = Height(self.told.0 + 1);
            let node = self.api.node.clone();
            let event = self.api.reads.run(move || {
                block_event(&node, height).map_err(|error| {
                    tracing::error!(%error, "the ledger failed to answer");
                    Problem::internal()
                })
            });
            let event = event.await?;
            self.told = height;
            if let Some(event) = event {
                return Ok(Some(event.text));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use rand_core::OsRng;

    use super::*;
    use crate::http::Settings;
    use crate::http::gate::Gate;
    use crate::node::testing;
    use crate::vault::AgencyKeys;

    /// A node with three blocks.
    fn api(folder: &std::path::Path) -> Api {
        let keys = AgencyKeys::random(&mut OsRng);
        let node = testing::node_of(folder, &keys);
        for _ in 0..3 {
            testing::block(&node, &keys);
        }
        Api::new(Arc::new(node), Settings::default())
    }

    async fn ask(api: &Arc<Api>, after: Option<u64>) -> Result<Response, Problem> {
        let caller = Caller::at([192, 0, 2, 1]);
        let mut headers = HeaderMap::new();
        if let Some(height) = after {
            headers.insert("last-event-id", height.into());
        }
        events(State(api.clone()), Extension(caller), headers).await
    }

    /// The heights of the next events, as long as they are there at once.
    async fn heights(response: Response, count: usize) -> Vec<String> {
        let stream = response.into_body().into_data_stream().take(count);
        stream
            .map(|text| {
                let text = text.expect("never fails");
                let text = String::from_utf8_lossy(&text).into_owned();
                text.lines().next().unwrap_or_default().to_owned()
            })
            .collect()
            .await
    }

    #[tokio::test]
    async fn a_stream_ends_when_a_block_cannot_be_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let good = Arc::new(api(&directory.path().join("good")));
        let response = ask(&good, Some(1)).await.expect("a stream");
        assert_eq!(heights(response, 2).await, ["id: 2", "id: 3"]);
        // Every read is refused: the end, and not silence until the next block.
        let mut busy = api(&directory.path().join("busy"));
        busy.reads = Gate::new("reading", 1, 0);
        let response = ask(&Arc::new(busy), Some(1)).await.expect("a stream");
        let ended = tokio::time::timeout(KEEP_ALIVE / 3, heights(response, 2)).await;
        assert_eq!(ended.expect("it ends"), Vec::<String>::new());
    }

    #[tokio::test]
    async fn one_client_resumes_one_stream_at_a_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let api = Arc::new(api(directory.path()));
        let first = ask(&api, Some(0)).await.expect("a stream");
        let refused = ask(&api, Some(0)).await.expect_err("a second one");
        assert_eq!(refused.status(), 429);
        assert!(ask(&api, None).await.is_ok(), "it reads no blocks");
        // What it missed, and then it waits for what comes.
        let mut stream = first.into_body().into_data_stream();
        for _ in 0..3 {
            stream.next().await.expect("an event").expect("never fails");
        }
        let waiting = tokio::spawn(async move { stream.next().await });
        let client = Caller::at([192, 0, 2, 1]).counted();
        while api.events.resuming.take(client, 1).is_none() {
            assert!(!waiting.is_finished());
            tokio::task::yield_now().await;
        }
        assert!(ask(&api, Some(0)).await.is_ok());
        waiting.abort();
    }
}
