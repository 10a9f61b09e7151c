//! The table of routes: what the router serves and what the OpenAPI document describes.

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodRouter, get, post};
use std::sync::Arc;

use super::problem::Problem;
use super::{
    Api, agencies, cards, events, governance, health, ledger, openapi, status, transactions,
};

/// A router that knows its routes.
pub struct Routes {
    /// The router.
    pub router: Router<Arc<Api>>,
    /// Method and template of every route.
    pub list: Vec<(Method, &'static str)>,
}

impl Routes {
    fn add(mut self, method: Method, path: &'static str, to: MethodRouter<Arc<Api>>) -> Self {
        self.router = self.router.route(path, to);
        self.list.push((method, path));
        self
    }

    fn get<H: Handler<T, Arc<Api>>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.add(Method::GET, path, get(handler))
    }

    fn post<H: Handler<T, Arc<Api>>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.add(Method::POST, path, post(handler))
    }
}

/// Every route of the API.
pub fn routes() -> Routes {
    let mut routes = Routes {
        router: Router::new(),
        list: Vec::new(),
    }
    .get("/healthz", health::healthz)
    .get("/readyz", health::readyz)
    .get("/metrics", health::metrics)
    .get("/openapi.json", openapi::document)
    .get("/v1/genesis", ledger::genesis)
    .get("/v1/status", status::status)
    .get("/v1/events", events::events)
    .get("/v1/headers/latest", ledger::latest_header)
    .get("/v1/headers/{height}", ledger::header)
    .post("/v1/transactions", transactions::submit)
    .get("/v1/transactions/{hash}", transactions::transaction)
    .get("/v1/proofs/{height}/roots", ledger::roots)
    .get(
        "/v1/proofs/{height}/registry/{value}",
        ledger::registry_proof,
    )
    .get("/v1/proofs/{height}/anchors/{id}", ledger::anchor_proof)
    .get("/v1/proofs/{height}/audits/{id}", ledger::audit_proof)
    .get(
        "/v1/proofs/{height}/proposals/{id}",
        governance::proposal_proof,
    )
    .get("/v1/proofs/{height}/keys/{key}", governance::key_proof)
    .get(
        "/v1/proofs/{height}/parties/{kind}/{id}",
        governance::party_proof,
    )
    .get(
        "/v1/proofs/{height}/evidence/{agency}/{at}",
        governance::evidence_proof,
    )
    .get("/v1/proofs/{height}/cards/{id}", cards::card_proof)
    .get(
        "/v1/proofs/{height}/card-names/{id}",
        cards::card_name_proof,
    )
    .get(
        "/v1/proofs/{height}/agency-cards/{agency}",
        cards::agency_cards_proof,
    )
    .post("/v1/agencies/{agency}/cards", cards::register)
    .get("/v1/anchors/{id}", ledger::anchor)
    .get("/v1/validators/changes", governance::validator_changes)
    .get("/v1/governance", governance::governance)
    .post("/v1/agencies/{agency}/asks", agencies::ask)
    .post("/v1/agencies/{agency}/audits", agencies::audit);
    routes.router = routes
        .router
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(async || Problem::method());
    routes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_everything_described_is_a_route() {
        let served: BTreeSet<String> = routes()
            .list
            .iter()
            .map(|(method, path)| format!("{method} {path}"))
            .collect();
        let described: BTreeSet<String> = openapi::described()
            .into_iter()
            .map(|(method, path)| format!("{method} {path}"))
            .collect();
        assert_eq!(served, described);
        assert_eq!(served.len(), routes().list.len(), "no route twice");
    }

    #[test]
    fn nothing_about_a_person_is_in_a_template() {
        // Whoever adds a parameter decides here that it may be in an access log.
        let public = [
            "height", "hash", "value", "id", "agency", "key", "kind", "at",
        ];
        for (_, path) in routes().list {
            for part in path.split('/').filter_map(|p| p.strip_prefix('{')) {
                let name = part.trim_end_matches('}');
                assert!(public.contains(&name), "{path}");
            }
        }
    }
}
