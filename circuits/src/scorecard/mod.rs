//! Points-based scorecards in zero knowledge: a person's score under a public card is at least `T`,
//! below `T`, or exactly `S`, over values that are committed on the ledger
//! (spec: `circuits/spec/scorecard.md`).
//!
//! ```text
//! card    import -> Card (validated) -> Table (the circuit's public inputs)
//! wallet  Card + openings of C[a] -> prove      Groth16 over BN254, linked to ristretto255
//! lender  PreparedCard + C[a]     -> verify, verify_batch
//! anyone  Card + values           -> evaluate   the plain evaluator
//! ```
//!
//! One circuit, and so one key, serves every card up to 32 variables of 12 bins: the card's table is
//! a list of public inputs, whose part of the verifier's work is done once a card.

mod answer;
mod ask;
mod batch;
mod builder;
mod card;
mod claim;
mod encoding;
mod error;
mod evaluate;
#[cfg(feature = "import")]
pub mod import;
mod keys;
mod link;
mod poseidon;
mod prove;
mod relation;
mod statement;
mod table;
mod validate;
mod verify;

#[cfg(test)]
mod tests;

pub use answer::{ScoreVerdict, prove_scores, score_context, verify_scores};
pub use ask::{
    AskError, MAX_SCORE_TEXT, MAX_THRESHOLD, Question, ScoreAsk, ScoreTemplate, ScoreText,
    ScoreTextError, ScoreTextErrorKind,
};
pub use batch::{ProveJob, prove_batch};
pub use card::{Bin, Card, Measure, Reference, Span, Variable};
pub use claim::{Claim, ReasonSet, Reasons};
pub(crate) use encoding::{FrBytes, fr_bytes};
pub use error::{CardError, KeyError, SchemaMismatch};
pub use evaluate::{EvaluateError, Score};
pub use keys::{Origin, ProvingKey, VerifyingKey, test_key};
pub use link::{Commitment, ValueOpening, commitment, opening};
pub use prove::{arkworks_instance, prove};
pub use relation::ScorecardCircuit;
pub use statement::{ScoreProof, ScoreStatement};
pub use table::PreparedCard;
pub use verify::{verify, verify_batch};

/// Most variables of a card.
pub const MAX_VARIABLES: usize = 32;
/// Most bins of a variable.
pub const MAX_BINS: usize = 12;
/// Bits of a value, counted from the variable's smallest.
pub const VALUE_BITS: u32 = 40;
/// Bits of a shortfall: what a bin's points lack of the variable's best.
pub const SHORTFALL_BITS: u32 = 32;
/// Largest points of a bin, and base points, in absolute value: sums stay far below 63 bits.
pub const MAX_POINTS: i64 = 1 << 40;
/// Largest end of a bin in absolute value.
pub const MAX_EDGE: i64 = 1 << 58;
/// Largest scale: points in units of a billionth.
pub const MAX_SCALE: u32 = 1_000_000_000;
/// Longest lag of a variable in periods.
pub const MAX_LAG: u32 = 120;
/// Longest name of a card or a variable, and longest reason code, in bytes.
pub const MAX_NAME: usize = 64;
/// Longest label of a bin in bytes.
pub const MAX_LABEL: usize = 64;
/// Most scores that a request may ask for.
pub const MAX_SCORES: usize = 4;
/// Most reasons that a claim may ask for. Notices name at most four; credit bureaus add a fifth.
pub const MAX_REASONS: u8 = 8;
