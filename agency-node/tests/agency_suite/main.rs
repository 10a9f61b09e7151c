//! The agency on a real vault and a real ledger in memory: publishing and its crashes, answers and
//! every refusal, reports, audits, and what a damaged vault looks like.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod ask;
mod audits;
mod cost;
mod lender;
mod publishing;
mod refusals;
mod reports;
mod schemas;
mod vaults;
mod world;
