//! Errors of the HTTP API as `application/problem+json` (RFC 9457), with the field that is wrong
//! and its limit where there is one.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use zkbureau_circuits::error::DecodeError;
use zkbureau_circuits::ids::AgencyId;

/// An error answer. Boxed, because it is the rare end of many functions.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug, PartialEq)]
struct Parts {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    field: Option<String>,
    limit: Option<Value>,
    retry_after_s: Option<u32>,
    /// The same request may fare better later.
    transient: bool,
}

/// The body of every error answer (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// `urn:zkbureau:problem:` and a name.
    r#type: String,
    /// Short, the same for every problem of the type.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What happened.
    detail: &'a str,
    /// Which part of the request is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// The limit that it broke.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a Value>,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: String) -> Self {
        Self(Box::new(Parts {
            status,
            kind,
            title,
            detail,
            field: None,
            limit: None,
            retry_after_s: None,
            transient: false,
        }))
    }

    /// Says that the same request may fare better later, as the ledger goes on.
    pub fn transient(mut self) -> Self {
        self.0.transient = true;
        self
    }

    /// 400: a part of the request cannot be read.
    pub fn malformed(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed",
            "The request cannot be read",
            detail.into(),
        )
        .field(field)
    }

    /// 400 or 413 from a document that does not decode.
    pub fn decode(error: &DecodeError) -> Self {
        match error {
            DecodeError::TooLong { limit, .. } => Self::too_large(*limit),
            _ => Self::malformed("body", error.to_string()),
        }
    }

    /// 401: a right is needed and not proven.
    pub fn unsigned(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "signature",
            "A valid signature is needed",
            detail.into(),
        )
        .field("signature")
    }

    /// 403: no right to an answer. The same for every reason on purpose.
    pub fn refused() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "refused",
            "The agency refused to answer",
            "the agency's checks of identity, consent and inquiry did not all hold; \
             your wallet can tell you what is wrong with your own documents"
                .to_owned(),
        )
    }

    /// 404: no such thing.
    pub fn not_found(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "Not found",
            detail.into(),
        )
        .field(field)
    }

    /// 404: no such route.
    pub fn no_route() -> Self {
        Self::not_found("path", "there is no such route")
    }

    /// 405: the route exists, with other methods.
    pub fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "Method not allowed",
            "the route exists, but not with this method; the Allow header lists its methods"
                .to_owned(),
        )
        .field("method")
    }

    /// 408: the request took too long to arrive (`body`) or to answer (`request`).
    pub fn timeout(field: &'static str, limit_s: u64) -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            "Timeout",
            format!("the request was not finished within {limit_s} seconds"),
        )
        .field(field)
        .limit(limit_s)
    }

    /// 410: the height is older than what is kept.
    pub fn pruned(kept: u64) -> Self {
        Self::new(
            StatusCode::GONE,
            "pruned",
            "No longer kept",
            format!("proofs are kept for the last {kept} heights"),
        )
        .field("height")
        .limit(kept)
    }

    /// 410: a stream of events cannot be resumed from so far back.
    pub fn too_far_back(blocks: u64) -> Self {
        Self::new(
            StatusCode::GONE,
            "too-far-back",
            "Too far back",
            format!("a stream resumes at most {blocks} blocks back; read the headers instead"),
        )
        .field("last-event-id")
        .limit(blocks)
    }

    /// 413: the body is larger than the route takes.
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "Body too large",
            format!("the body exceeds {limit} bytes"),
        )
        .field("body")
        .limit(limit as u64)
    }

    /// 415: another content type than the route takes.
    pub fn media_type(expected: &'static str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "Unsupported media type",
            format!("send the body as {expected}"),
        )
        .field("content-type")
    }

    /// 422: well-formed, but against a rule.
    pub fn unacceptable(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "unacceptable",
            "Not accepted",
            detail.into(),
        )
    }

    /// 422: an idempotency key that was used for something else.
    pub fn key_reused() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "Idempotency key used before",
            "this key was used for a request with another body".to_owned(),
        )
        .field("idempotency-key")
    }

    /// 429: more than the client's quota. `per_second` of `what` come back.
    pub fn quota(what: &'static str, per_second: u32, retry_after_s: u32) -> Self {
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "quota",
            "Too many requests",
            format!("more {what} than the quota of {per_second} a second and its burst"),
        )
        .field(what)
        .limit(per_second);
        problem.0.retry_after_s = Some(retry_after_s);
        problem
    }

    /// 429: one client holds as much of something as it may at once. `what` are counted.
    pub fn share(field: impl Into<String>, limit: u64, what: &str) -> Self {
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "quota",
            "Too many requests",
            format!("one client may have {limit} {what} at once"),
        )
        .field(field)
        .limit(limit);
        problem.0.retry_after_s = Some(1);
        problem
    }

    /// 429: the queue of transactions is full.
    pub fn queue_full(what: &'static str, limit: u64, retry_after: Duration) -> Self {
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "queue-full",
            "Too many transactions are waiting",
            format!("the queue holds at most {limit} {what}; try again in a moment"),
        )
        .field(what)
        .limit(limit);
        // Whole seconds, and never at once.
        let seconds = retry_after.as_secs_f64().ceil().max(1.0);
        problem.0.retry_after_s = Some(seconds as u32);
        problem
    }

    /// 500: something failed here. The log says what.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Internal error",
            "the node failed to answer; its log says why".to_owned(),
        )
    }

    /// 503: too much at once, or shutting down.
    pub fn busy(detail: impl Into<String>) -> Self {
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "Try again later",
            detail.into(),
        );
        problem.0.retry_after_s = Some(1);
        problem
    }

    /// 503: the node is not fit for use: it is behind, starting or stopping.
    pub fn not_ready(reason: impl Into<String>) -> Self {
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not-ready",
            "The node is not ready",
            reason.into(),
        );
        problem.0.retry_after_s = Some(5);
        problem
    }

    /// 504: another agency's node did not answer in time.
    pub fn unreachable(agency: AgencyId, deadline_s: u64, detail: &str) -> Self {
        let mut problem = Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "unreachable",
            "The agency cannot be reached",
            format!("waited up to {deadline_s} seconds for {agency}: {detail}"),
        )
        .field("agency")
        .limit(deadline_s);
        problem.0.retry_after_s = Some(5);
        problem
    }

    /// Whether the same request would fare the same next time, and finding that out again costs work.
    pub fn is_final(&self) -> bool {
        let status = self.0.status;
        // A refusal may have been for want of a block or of an anchor; what cannot be read costs
        // as little the next time.
        !self.0.transient
            && status.is_client_error()
            && !matches!(
                status,
                StatusCode::BAD_REQUEST
                    | StatusCode::PAYLOAD_TOO_LARGE
                    | StatusCode::FORBIDDEN
                    | StatusCode::REQUEST_TIMEOUT
                    | StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::NOT_FOUND
                    | StatusCode::UNAUTHORIZED
            )
    }

    /// Names the field that is wrong.
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Names the limit that was exceeded.
    pub fn limit(mut self, limit: impl Into<Value>) -> Self {
        self.0.limit = Some(limit.into());
        self
    }

    /// The status.
    #[cfg(test)]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            r#type: format!("urn:zkbureau:problem:{}", self.0.kind),
            title: self.0.title,
            status: self.0.status.as_u16(),
            detail: &self.0.detail,
            field: self.0.field.as_deref(),
            limit: self.0.limit.as_ref(),
        };
        let json = serde_json::to_vec(&body).expect("plain data");
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.0.status == StatusCode::UNAUTHORIZED {
            // What a signature should cover: RFC 9421, section 5.
            headers.insert(
                "accept-signature",
                HeaderValue::from_static(
                    "sig=(\"@method\" \"@target-uri\" \"content-digest\");created;nonce;keyid;alg=\"ed25519\"",
                ),
            );
        }
        if let Some(seconds) = self.0.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
