//! The OpenAPI document, made from the handlers' own annotations. `agency-node/openapi.json` is this
//! text; `agency-node openapi` writes it.

use std::sync::OnceLock;

use axum::response::Response;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, HttpMethod, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi, ToSchema};

use super::{
    agencies, body, cards, events, governance, health, ledger, problem, status, transactions,
};

/// Canonical bytes (`circuits/spec/encoding.md`).
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct Canonical(#[expect(dead_code, reason = "describes a format")] Vec<u8>);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "zkBureau agency node",
        version = "1",
        description = "Whatever is verified travels as canonical bytes; JSON is for people's eyes and proves nothing. Errors are application/problem+json (RFC 9457). Requests may be signed (RFC 9421); see agency-node/spec/http.md.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")
    ),
    paths(
        health::healthz,
        health::readyz,
        health::metrics,
        document,
        ledger::genesis,
        status::status,
        events::events,
        ledger::latest_header,
        ledger::header,
        transactions::submit,
        transactions::transaction,
        ledger::roots,
        ledger::registry_proof,
        ledger::anchor_proof,
        ledger::audit_proof,
        governance::proposal_proof,
        governance::key_proof,
        governance::party_proof,
        governance::evidence_proof,
        cards::card_proof,
        cards::card_name_proof,
        cards::agency_cards_proof,
        cards::register,
        ledger::anchor,
        governance::validator_changes,
        governance::governance,
        agencies::ask,
        agencies::audit,
    ),
    components(schemas(problem::ProblemBody, events::RefusedEvent)),
    tags(
        (name = "ledger", description = "Transactions in, headers out"),
        (name = "proofs", description = "Values of the registry with proofs"),
        (name = "agencies", description = "Sealed asks and answers"),
        (name = "node", description = "The node itself")
    ),
    modifiers(&Errors)
)]
struct Document;

/// Describes what every route can answer besides its own.
struct Errors;

impl Modify for Errors {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut document.paths.paths {
            let signed = matches!(path.as_str(), "/metrics" | "/v1/agencies/{agency}/cards");
            for operation in [item.get.as_mut(), item.post.as_mut()]
                .into_iter()
                .flatten()
            {
                let post = operation.request_body.is_some();
                add(operation, "default", "Any other problem", false);
                add(operation, "429", "More than the quota, or no room", true);
                add(
                    operation,
                    "503",
                    "Not now: busy, starting, behind or stopping",
                    true,
                );
                if signed {
                    add(
                        operation,
                        "401",
                        "Only for operators: sign the request",
                        false,
                    );
                }
                if post && path.contains("{agency}") && !path.ends_with("/cards") {
                    add(operation, "504", "The agency cannot be reached", true);
                }
            }
        }
    }
}

fn add(operation: &mut Operation, status: &str, description: &str, retry: bool) {
    let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let mut response = ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content);
    if retry {
        let seconds = HeaderBuilder::new().description(Some("Seconds to wait"));
        response = response.header("Retry-After", seconds.build());
    }
    let responses = &mut operation.responses.responses;
    responses.insert(status.to_owned(), RefOr::T(response.build()));
}

/// The document's text.
#[must_use]
pub fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let mut text = Document::openapi().to_pretty_json().expect("plain data");
        text.push('\n');
        text
    })
}

/// Method and template of everything described.
#[must_use]
pub fn described() -> Vec<(HttpMethodName, String)> {
    let document = Document::openapi();
    let mut list = Vec::new();
    for (path, item) in document.paths.paths {
        for (method, operation) in [
            (HttpMethod::Get, &item.get),
            (HttpMethod::Post, &item.post),
            (HttpMethod::Put, &item.put),
            (HttpMethod::Delete, &item.delete),
            (HttpMethod::Patch, &item.patch),
        ] {
            if operation.is_some() {
                list.push((name(&method), path.clone()));
            }
        }
    }
    list
}

/// Such as `GET`.
pub type HttpMethodName = &'static str;

fn name(method: &HttpMethod) -> HttpMethodName {
    match method {
        HttpMethod::Get => "GET",
        HttpMethod::Post => "POST",
        HttpMethod::Put => "PUT",
        HttpMethod::Delete => "DELETE",
        _ => "other",
    }
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "node",
    responses((status = 200, description = "The OpenAPI document", content_type = "application/json", body = Object)))]
pub async fn document() -> Response {
    body::json_bytes(text().as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_document_is_this_one() {
        let committed = include_str!("../../openapi.json");
        assert!(
            committed == super::text(),
            "openapi.json is old: run `agency-node openapi > agency-node/openapi.json`"
        );
    }
}
