//! Consensus of several nodes in one process, over a network in memory (design: `consensus.md`).
//! Every node has its own ledger, vault and log on disk; messages go through the real codecs.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod byzantine;
mod changes;
mod cluster;
mod honest;
mod hub;
mod imports;
