//! The HTTP API (`spec/http.md`): canonical bytes for whatever is verified, JSON for people's eyes,
//! `application/problem+json` for every error.
//!
//! ```text
//! serve ─▶ tls ─▶ hyper ─▶ routes ─▶ log, caller (signature, quota), time ─▶ handler ─▶ gate ─▶ node
//! ```
//!
//! - `serve`, `tls`, `stream`: connections, their bounds and timeouts; `settings`;
//! - `routes`, `openapi`: what is served, and its description;
//! - `ledger`, `transactions`, `agencies`, `status`, `governance`, `events`, `health`: the handlers;
//! - `caller`, `signature`, `quota`, `shares`: who asks, how often, and how much at once;
//! - `problem`, `body`, `idempotency`, `gate`, `metrics`: what handlers share.
//!
//! Nothing about a person is ever part of a URL, so nothing about a person is in an access log.

mod agencies;
mod body;
mod caller;
mod cards;
mod events;
mod gate;
mod governance;
mod health;
mod idempotency;
mod ledger;
mod metrics;
pub mod openapi;
mod problem;
mod quota;
mod routes;
mod serve;
pub mod settings;
mod shares;
pub mod signature;
mod status;
mod stream;
mod tls;
mod transactions;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use self::body::Budget;
use self::caller::Callers;
use self::events::Events;
use self::gate::Gate;
use self::idempotency::Memory;
use self::metrics::Metrics;
use self::problem::Problem;
pub use self::settings::{Settings, SettingsError};
use self::shares::Shares;
pub use self::status::Status;
use self::tls::Certificates;
use crate::node::Node;

/// Longest time a client may ask to be kept waiting.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// No request takes longer than this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Asks that wait for other nodes at once.
const MAX_FORWARDS: usize = 128;
/// Of these, one client's.
const MAX_FORWARDS_OF_ONE: usize = 16;

/// What handlers share.
pub struct Api {
    node: Arc<Node>,
    settings: Settings,
    /// Checks of transactions: milliseconds of every core each.
    checks: Gate,
    /// Answers of agencies: milliseconds of one core each.
    answers: Gate,
    /// Asks that wait for other nodes.
    forwards: Semaphore,
    forward_shares: Arc<Shares>,
    /// Reads of the ledger.
    reads: Gate,
    /// Memory for bodies.
    bodies: Budget,
    /// Answers that may be given again.
    memory: Arc<Memory>,
    /// Quotas and signatures.
    callers: Callers,
    /// Subscribers.
    events: Events,
    metrics: Metrics,
}

impl Api {
    fn new(node: Arc<Node>, settings: Settings) -> Self {
        let cores = || std::thread::available_parallelism().map_or(2, usize::from);
        let workers = settings.workers.unwrap_or_else(cores);
        Self {
            checks: Gate::new("checking transactions", workers, 256),
            answers: Gate::new("answering", workers, 128),
            forwards: Semaphore::new(MAX_FORWARDS),
            forward_shares: Shares::new(MAX_FORWARDS_OF_ONE),
            reads: Gate::new("reading", 4 * workers, 512),
            bodies: Budget::new(),
            memory: Arc::default(),
            callers: Callers::new(&settings),
            events: Events::new(settings.limits.subscribers),
            metrics: Metrics::new(node.clone()),
            node,
            settings,
        }
    }
}

type Shared = State<Arc<Api>>;

fn router(api: &Arc<Api>) -> Router {
    routes::routes()
        .router
        .layer(middleware::from_fn(limit_time))
        .layer(middleware::from_fn_with_state(
            api.clone(),
            caller::identify,
        ))
        .layer(middleware::from_fn_with_state(api.clone(), log))
        .with_state(api.clone())
}

async fn limit_time(request: Request<Body>, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::timeout("request", REQUEST_TIMEOUT.as_secs()).into_response(),
    }
}

/// Logs and counts the route, never the URL, and the outcome.
async fn log(State(api): Shared, request: Request<Body>, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let start = Instant::now();
    let response = next.run(request).await;
    let status = response.status();
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    let took = start.elapsed();
    api.metrics.request(route, &method, status, took);
    let ms = took.as_millis() as u64;
    if status.is_server_error()
        && status != StatusCode::SERVICE_UNAVAILABLE
        && status != StatusCode::GATEWAY_TIMEOUT
    {
        tracing::error!(%method, route, status = status.as_u16(), ms, "request");
    } else {
        tracing::debug!(%method, route, status = status.as_u16(), ms, "request");
    }
    response
}

/// A server with settings that make sense for its address.
pub struct Server {
    listener: TcpListener,
    api: Arc<Api>,
    certificates: Option<Certificates>,
}

impl Server {
    /// Checks the settings and reads the certificate.
    ///
    /// # Errors
    /// [`SettingsError`] names the setting that is wrong.
    pub fn new(
        listener: TcpListener,
        node: Arc<Node>,
        settings: Settings,
    ) -> Result<Self, SettingsError> {
        let address = listener
            .local_addr()
            .map_err(|e| SettingsError::Listen(e.to_string()))?;
        settings.validate(address)?;
        let certificates = settings.tls.clone().map(Certificates::open).transpose()?;
        Ok(Self {
            listener,
            api: Arc::new(Api::new(node, settings)),
            certificates,
        })
    }

    /// Where it is served, such as `https://192.0.2.1:7600`.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub fn url(&self) -> std::io::Result<String> {
        let scheme = if self.certificates.is_some() {
            "https"
        } else {
            "http"
        };
        Ok(format!("{scheme}://{}", self.listener.local_addr()?))
    }

    /// Serves until `stopped` resolves and the requests in hand are done.
    ///
    /// # Errors
    /// None at present: a failed accept is tried again.
    pub async fn run(self, stopped: impl Future<Output = ()> + Send) -> std::io::Result<()> {
        let events = tokio::spawn({
            let api = self.api.clone();
            async move { api.events.run(api.node.clone()).await }
        });
        let router = router(&self.api);
        let served = serve::run(self.listener, router, self.api, self.certificates, stopped).await;
        events.abort();
        served
    }
}
