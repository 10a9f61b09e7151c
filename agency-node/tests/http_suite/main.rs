//! The HTTP server with settings of its own, in this process: quotas, signatures, TLS, timeouts,
//! events, and whatever makes no sense sent to every route of its own OpenAPI document.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

#[path = "../support/mod.rs"]
mod support;

mod callers;
mod connections;
mod events;
mod forwarding;
mod governance;
mod nonsense;
mod server;
mod signing;
