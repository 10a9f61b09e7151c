//! What a ceremony leaves for everybody who loads a key: its **minutes**, the list of contributions
//! with their proofs of knowledge, and the check of a key against them
//! (spec: `params/spec/ceremony.md`).
//!
//! The ceremony itself, with its powers and queries, is `params/ceremony`. The minutes are here
//! because every loader of a key reads them: they are a few kilobytes, and verify in milliseconds.
//!
//! ```text
//! contribution   name, hash of what came before, digest of the vectors, new points, proofs
//! minutes        title, phase 1: [contribution], phase 2: circuit, start, [contribution]
//! ```

mod check;
mod circuit;
mod digest;
mod knowledge;
mod minutes;
mod points;
mod refused;

#[cfg(test)]
mod tests;

pub use check::Standing;
pub use circuit::circuit_hash;
pub use digest::{Start, queries_digest, state_digest};
pub use knowledge::Knowledge;
pub use minutes::{
    DeltaContribution, Minutes, PhaseTwo, PowersContribution, PowersSecrets, check_name,
};
pub use points::{G1Bytes, G2Bytes};
pub use refused::{Flaw, Refused, Step};

/// Fewest contributions of a phase. One honest contributor suffices; with a single one everybody
/// else would have to trust it.
pub const MIN_CONTRIBUTIONS: usize = 2;
/// Most contributions of a phase.
pub const MAX_CONTRIBUTIONS: usize = 256;
/// Longest name of a contributor, and longest title, in bytes.
pub const MAX_NAME: usize = 64;
/// Smallest and largest domain: 2^2 to 2^20.
pub const LOG_SIZES: std::ops::RangeInclusive<u8> = 2..=20;
