//! The HTTP API, on loopback: canonical bytes for whatever is verified, JSON for people's eyes,
//! `application/problem+json` for every error.
//!
//! - [`ledger`]: transactions, headers, proofs; [`agencies`]: asks and audits;
//! - [`problem`], [`body`]: answers and bounded reads;
//! - [`gate`]: how much work is done at once; [`listener`]: how many connections are open.
//!
//! Nothing about a person is ever part of a URL, so nothing about a person is in an access log.

mod agencies;
mod body;
mod gate;
mod ledger;
mod listener;
mod problem;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;

use self::body::Budget;
use self::gate::Gate;
pub use self::ledger::Status;
use self::listener::Bounded;
use self::problem::Problem;
use crate::node::Node;

/// Longest time a client may ask to be kept waiting.
pub const MAX_WAIT: Duration = Duration::from_secs(30);
/// No request takes longer than this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections open at once.
const MAX_CONNECTIONS: usize = 512;

/// What handlers share.
pub struct Api {
    node: Arc<Node>,
    /// Checks of transactions: milliseconds of every core each.
    checks: Gate,
    /// Answers of agencies: milliseconds of one core each.
    answers: Gate,
    /// Reads of the ledger.
    reads: Gate,
    /// Memory for bodies.
    bodies: Budget,
}

impl Api {
    fn new(node: Arc<Node>) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            node,
            checks: Gate::new("checking transactions", cores, 256),
            answers: Gate::new("answering", cores, 128),
            reads: Gate::new("reading", 4 * cores, 512),
            bodies: Budget::new(),
        }
    }
}

type Shared = axum::extract::State<Arc<Api>>;

fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/v1/genesis", get(ledger::genesis))
        .route("/v1/status", get(ledger::status))
        .route("/v1/headers/latest", get(ledger::latest_header))
        .route("/v1/headers/{height}", get(ledger::header))
        .route("/v1/transactions", post(ledger::submit))
        .route("/v1/transactions/{hash}", get(ledger::transaction))
        .route("/v1/proofs/{height}/roots", get(ledger::roots))
        .route(
            "/v1/proofs/{height}/registry/{value}",
            get(ledger::registry_proof),
        )
        .route(
            "/v1/proofs/{height}/anchors/{id}",
            get(ledger::anchor_proof),
        )
        .route("/v1/proofs/{height}/audits/{id}", get(ledger::audit_proof))
        .route("/v1/anchors/{id}", get(ledger::anchor))
        .route("/v1/agencies/{agency}/asks", post(agencies::ask))
        .route("/v1/agencies/{agency}/audits", post(agencies::audit))
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(async || Problem::method())
        .layer(middleware::from_fn(limit_time))
        .layer(middleware::from_fn(log))
        .with_state(Arc::new(Api::new(node)))
}

async fn limit_time(request: Request<Body>, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::timeout(REQUEST_TIMEOUT.as_secs()).into_response(),
    }
}

/// Logs the route, never the URL, and the outcome.
async fn log(request: Request<Body>, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let start = Instant::now();
    let response = next.run(request).await;
    let status = response.status();
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    let ms = start.elapsed().as_millis() as u64;
    if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
        tracing::error!(%method, route, status = status.as_u16(), ms, "request");
    } else {
        tracing::debug!(%method, route, status = status.as_u16(), ms, "request");
    }
    response
}

/// Serves until `stopped` resolves and the requests in hand are done.
pub async fn serve(
    listener: TcpListener,
    node: Arc<Node>,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(Bounded::new(listener, MAX_CONNECTIONS), router(node))
        .with_graceful_shutdown(stopped)
        .await
}
