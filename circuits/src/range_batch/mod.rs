//! The batch range argument: one proof that every value of every record of a published batch is in
//! its range (spec: `circuits/spec/range_batch.md`).
//!
//! The records' bits are committed row by row, a sum-check over the rows shows that all of them are
//! bits, and one quadratic Schnorr proof about a random combination of the rows ties the bits to the
//! record commitments. Cost per record is a few point additions and a few hundred field operations.
//!
//! # Names
//! `K` slots (records), `n` bits a slot, `ρ = 2^p` slots a row, `m` rows, `q` rounds, `N = ρ·n`
//! columns; see [`Layout`].
//!
//! # Timing
//! Look-ups and field work on record bits are not constant time: the publisher works offline on its
//! own records (spec, end of "Prove"). Whatever involves a blinding or a mask is.

mod argument;
mod bits;
mod commit;
mod curve;
mod field;
mod key;
mod layout;
mod nonces;
mod prove;
mod statement;
mod sumcheck;
mod verify;

#[cfg(test)]
mod tests;

pub use argument::RangeArgument;
pub use commit::commit_records;
pub use key::{ProvingKey, RangeKeyError, VerifyingKey};
pub use layout::{Layout, MAX_SLOTS};
pub use prove::prove;
pub use statement::{Statement, Witness};
pub use verify::{BadBatches, verify, verify_many};
