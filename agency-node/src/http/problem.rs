//! Errors of the HTTP API as `application/problem+json` (RFC 9457), with the field that is wrong
//! and its limit where there is one.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use zkbureau_circuits::error::DecodeError;

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
}

#[derive(Serialize)]
struct ProblemBody<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
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
        }))
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

    /// 408: the request took too long to arrive or to answer.
    pub fn timeout(limit_s: u64) -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            "Timeout",
            format!("the request was not finished within {limit_s} seconds"),
        )
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

    /// 429: the queue of transactions is full.
    pub fn queue_full(what: &'static str, limit: u64) -> Self {
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "queue-full",
            "Too many transactions are waiting",
            format!("the queue holds at most {limit} {what}; try again in a moment"),
        )
        .limit(limit);
        problem.0.retry_after_s = Some(1);
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
        if let Some(seconds) = self.0.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
