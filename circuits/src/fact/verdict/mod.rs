//! Verdicts: the wallet proves from the agencies' images that facts hold or do not
//! (spec: `circuits/spec/verdict.md`).

mod claims;
mod prove;
#[cfg(test)]
pub(super) mod tests;
mod verify;

use std::fmt;
use std::io::Read;
use std::sync::OnceLock;

use borsh::{BorshDeserialize, BorshSerialize};
use bulletproofs::BulletproofGens;
use serde::{Deserialize, Serialize};

pub use prove::{BadOpening, check_openings, prove_verdicts};
pub use verify::verify_verdicts;

use super::encoding::{bounded, bounded_bytes};
use super::{MAX_AGENCIES, MAX_CLAIMS_PER_PROOF, MAX_FACTS};
use crate::encoding::{PointBytes, ScalarBytes};
use crate::ids::AgencyId;

/// Bits of a range proof.
const RANGE_BITS: usize = 64;
/// Most range proofs of an answer.
const MAX_RANGE_PROOFS: usize = (MAX_AGENCIES * MAX_FACTS).div_ceil(MAX_CLAIMS_PER_PROOF);

/// On which side of zero a form is.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The form is negative: an inequality fails, or the left side of an equation is smaller.
    Below,
    /// The form is positive: the left side of an equation, as canonically written, is larger.
    Above,
}

/// What is said of one fact.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Proven: it holds.
    True,
    /// Proven: it does not hold.
    False {
        /// For `each`: an agency where it does not hold.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        at: Option<AgencyId>,
        /// On which side it misses.
        side: Side,
    },
    /// A log does not reach far enough back, which every reader recomputes.
    InsufficientHistory {
        /// Whose log; nobody's when no listed agency holds a record and that is no hit.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        at: Option<AgencyId>,
    },
    /// No answer of an agency, or only a stale one, which every reader recomputes.
    Unavailable {
        /// Whose.
        agency: AgencyId,
    },
    /// The wallet declines to say.
    Refused,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::True => f.write_str("true"),
            Self::False { at: None, .. } => f.write_str("false"),
            Self::False { at: Some(at), .. } => write!(f, "false at {at}"),
            Self::InsufficientHistory { at: None } => {
                f.write_str("insufficient history: no record")
            }
            Self::InsufficientHistory { at: Some(at) } => write!(f, "insufficient history at {at}"),
            Self::Unavailable { agency } => write!(f, "unavailable: {agency}"),
            Self::Refused => f.write_str("refused"),
        }
    }
}

/// The proof of all `true` and `false` of an answer.
#[derive(Clone, PartialEq, Eq, BorshSerialize)]
pub struct VerdictProof {
    /// Schnorr proof of all zero claims: announcement and response.
    zero: Option<(PointBytes, ScalarBytes)>,
    /// Aggregated Bulletproofs of the range claims.
    ranges: Vec<Vec<u8>>,
}

impl fmt::Debug for VerdictProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: usize = self.ranges.iter().map(Vec::len).sum();
        write!(
            f,
            "VerdictProof(zero: {}, ranges: {} in {bytes} bytes)",
            self.zero.is_some(),
            self.ranges.len()
        )
    }
}

impl BorshDeserialize for VerdictProof {
    fn deserialize_reader<R: Read>(reader: &mut R) -> std::io::Result<Self> {
        let zero = BorshDeserialize::deserialize_reader(reader)?;
        let ranges = bounded::<RangeProofBytes, _>(reader, MAX_RANGE_PROOFS)?;
        Ok(Self {
            zero,
            ranges: ranges.into_iter().map(|r| r.0).collect(),
        })
    }
}

/// Bytes of one range proof, bounded.
struct RangeProofBytes(Vec<u8>);

impl BorshDeserialize for RangeProofBytes {
    fn deserialize_reader<R: Read>(reader: &mut R) -> std::io::Result<Self> {
        bounded_bytes(reader, range_proof_bytes(MAX_CLAIMS_PER_PROOF)).map(Self)
    }
}

/// Parties of the proof of this many claims: padded to a power of two.
fn parties(claims: usize) -> usize {
    claims.next_power_of_two()
}

/// Length of the range proof of this many claims.
fn range_proof_bytes(claims: usize) -> usize {
    let rounds = (RANGE_BITS * parties(claims)).ilog2() as usize;
    32 * (2 * rounds + 9)
}

/// Generators for this many claims, made once per power of two.
fn generators(claims: usize) -> &'static BulletproofGens {
    const SIZES: usize = MAX_CLAIMS_PER_PROOF.ilog2() as usize + 1;
    static GENERATORS: [OnceLock<BulletproofGens>; SIZES] = [const { OnceLock::new() }; SIZES];
    let parties = parties(claims);
    GENERATORS[parties.ilog2() as usize].get_or_init(|| BulletproofGens::new(RANGE_BITS, parties))
}
