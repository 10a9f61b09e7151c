//! An agency of the consortium: its vault, publishing from it, and answering from it.
//!
//! - [`vault`]: raw values, salts and keys on disk, every value encrypted;
//! - [`agency`]: publishing in order and crash-safe, answers to wallets and auditors, self-check;
//! - [`config`]: how a node is run;
//! - [`node`]: the running node: ledger, agencies and the queue between them;
//! - [`http`]: its API for wallets, lenders and regulators;
//! - [`consensus`]: the agreement of the consortium's nodes on blocks;
//! - [`network`]: the network between them;
//! - [`mod@failpoint`]: named places at which crash tests kill the process.
//!
//! The binary `agency-node` wires these to consensus and the command line.

pub mod agency;
pub mod config;
pub mod consensus;
pub mod failpoint;
pub mod http;
pub mod network;
pub mod node;
pub mod vault;
