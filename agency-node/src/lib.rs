//! An agency of the consortium: its vault, publishing from it, and answering from it.
//!
//! - [`vault`]: raw values, salts and keys on disk, every value encrypted;
//! - [`agency`]: publishing in order and crash-safe, answers to wallets and auditors, self-check;
//! - [`mod@failpoint`]: named places at which crash tests kill the process.
//!
//! The binary `agency-node` wires these to a ledger and to HTTP in its own modules. Nothing here
//! knows a network.

pub mod agency;
pub mod failpoint;
pub mod vault;
