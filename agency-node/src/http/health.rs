//! Whether the process lives, whether the node is fit for use, and the figures of both.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, http::HeaderName};
use serde::Serialize;
use utoipa::ToSchema;
use zkbureau_ledger::ids::Height;

use super::caller::Caller;
use super::problem::Problem;
use super::{Shared, body};

/// What the text of the metrics is.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Answers about this moment are not kept by anybody.
const NO_STORE: (HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "node",
    responses((status = 200, description = "The process lives", content_type = "text/plain", body = String)))]
pub async fn healthz() -> Response {
    ([NO_STORE], "ok\n").into_response()
}

/// A node that is fit for use.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    /// Always true.
    ready: bool,
    /// The newest height.
    #[schema(value_type = u64)]
    height: Height,
}

/// Whether the node is fit for use: not while it starts, stops or is behind.
#[utoipa::path(get, path = "/readyz", tag = "node",
    responses((status = 200, description = "Fit for use", body = Ready)))]
pub async fn readyz(State(api): Shared) -> Response {
    if let Err(reason) = api.node.readiness() {
        return Problem::not_ready(reason.to_string()).into_response();
    }
    let height = api.node.ledger.tip().height;
    let ready = Ready {
        ready: true,
        height,
    };
    ([NO_STORE], body::json(&ready)).into_response()
}

/// Figures for Prometheus. For operators.
#[utoipa::path(get, path = "/metrics", tag = "node",
    responses((status = 200, description = "OpenMetrics text", content_type = "application/openmetrics-text", body = String)))]
pub async fn metrics(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    caller.operator()?;
    let text = {
        let api = api.clone();
        api.clone()
            .reads
            .run(move || Ok(api.metrics.text()))
            .await?
    };
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static(METRICS_TYPE));
    Ok(([NO_STORE, kind], text).into_response())
}
