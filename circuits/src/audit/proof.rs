//! The proof's encoding (spec: `circuits/spec/audit.md`).

use borsh::{BorshDeserialize, BorshSerialize};

use crate::encoding::{Document, PointBytes, ScalarBytes};
use crate::schema::MAX_ATTRIBUTES;

/// A Schnorr proof: one point, one response per attribute that stays hidden, one for the blinding.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ColumnProof {
    pub(super) t: PointBytes,
    pub(super) z: Vec<ScalarBytes>,
}

impl Document for ColumnProof {
    const NAME: &'static str = "zkbureau/column-proof/v1";
    const MAX_BYTES: usize = 1 + 32 + 4 + 32 * (MAX_ATTRIBUTES + 1);
}
