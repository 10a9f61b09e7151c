//! The ceremony that makes Groth16 keys over BN254 without anybody knowing their trapdoor
//! (spec: `params/spec/ceremony.md`).
//!
//! ```text
//! new         Transcript::new              tau = alpha = beta = 1
//! contribute  Transcript::contribute       phase 1: times tau', alpha', beta'
//! specialise  Transcript::specialise       powers -> queries of the circuit, gamma = delta = 1
//! contribute  Transcript::contribute       phase 2: times delta'
//! verify      verify                       the whole transcript
//! finish      Verified::proving_key        a key as arkworks' prover takes it
//! ```
//!
//! One transcript is passed from contributor to contributor: the current powers and queries, and the
//! [`Minutes`](zkbureau_circuits::ceremony::Minutes) with a proof of knowledge per contribution.
//! Whoever contributes verifies first. Anybody can verify at the end; nobody needs the files in
//! between.

mod circuit;
mod finish;
mod format;
mod powers;
mod progress;
mod queries;
mod ratio;
mod secret;
mod specialise;
mod transcript;
mod vectors;

#[cfg(test)]
mod tests;

pub use circuit::Circuit;
pub use format::{FormatError, MAX_BYTES};
pub use powers::Powers;
pub use progress::{Progress, Quiet};
pub use queries::Queries;
pub use secret::Entropy;
pub use specialise::Specialised;
pub use transcript::{Contributed, Goal, Transcript, Verified, verify};
