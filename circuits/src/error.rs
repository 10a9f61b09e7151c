//! Errors of proving, verifying and decoding.

use thiserror::Error;

/// A proof was not accepted. It says nothing more on purpose: a verifier that explains where a
/// forged proof fails helps the forger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the proof does not verify")]
pub struct VerifyError;

/// A prover's inputs do not satisfy the relation, so no proof exists.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProveError {
    /// Two inputs that must have the same length do not.
    #[error("{what}: expected {expected} items, got {got}")]
    Length {
        /// Which input.
        what: &'static str,
        /// Number of items the statement calls for.
        expected: usize,
        /// Number of items given.
        got: usize,
    },
    /// A size is outside what the relation supports.
    #[error("{what}: {got} is outside {min}..={max}")]
    Size {
        /// Which size.
        what: &'static str,
        /// Smallest size allowed.
        min: usize,
        /// Largest size allowed.
        max: usize,
        /// The size given.
        got: usize,
    },
    /// The witness does not satisfy the statement.
    #[error("the witness does not satisfy the statement: {0}")]
    Unsatisfied(&'static str),
    /// The proof that was made does not verify: the proving key is not the one that belongs to its
    /// verifying key, or the machine is faulty. It is not given away.
    #[error("the proof that was made does not verify: the proving key is broken")]
    Key,
}

/// Bytes are not a canonical encoding.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The input is longer than the type may ever be.
    #[error("{what}: {got} bytes exceed the limit of {limit}")]
    TooLong {
        /// Which document.
        what: &'static str,
        /// Largest encoding in bytes.
        limit: usize,
        /// Bytes given.
        got: usize,
    },
    /// The version byte is not one this release reads.
    #[error("{what}: version {got} is not supported (this release reads version {expected})")]
    Version {
        /// Which document.
        what: &'static str,
        /// The version this release reads.
        expected: u8,
        /// The version byte found.
        got: u8,
    },
    /// The body is truncated, has trailing bytes, or holds a value that is not canonical.
    #[error("{what}: {reason}")]
    Malformed {
        /// Which document.
        what: &'static str,
        /// What the decoder met.
        reason: String,
    },
    /// 32 bytes are not the canonical encoding of a ristretto255 element.
    #[error("not a canonical ristretto255 element")]
    Point,
}
