//! Tradelines, and how several become one record.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use zeroize::{Zeroize, ZeroizeOnDrop};
use zkbureau_circuits::schema::{Aggregate, Schema};

/// Longest account identifier in bytes.
pub const MAX_ACCOUNT: usize = 64;

/// One account of one subject in one period: what it contributes to each attribute after `present`,
/// in the order of the schema. This is what the vault keeps, and two rows are the same row iff they
/// make the same tradeline.
#[derive(
    Clone, PartialEq, Eq, PartialOrd, Ord, Zeroize, ZeroizeOnDrop, BorshSerialize, BorshDeserialize,
)]
pub struct Tradeline {
    /// Tells the subject's tradelines apart.
    pub account: String,
    /// Contributions.
    pub values: Vec<i64>,
}

impl fmt::Debug for Tradeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tradeline(.., {} values)", self.values.len())
    }
}

/// Folds tradelines into one real value per attribute after `present`: sums and counts add,
/// max and min choose. Tradelines made under an earlier version of the schema lack the attributes
/// that were appended since and contribute nothing to them.
#[must_use]
pub(crate) fn fold(schema: &Schema, tradelines: &[Tradeline]) -> Vec<i128> {
    schema.attributes()[1..]
        .iter()
        .enumerate()
        .map(|(i, attribute)| {
            let values = tradelines
                .iter()
                .filter_map(|t| t.values.get(i).copied().map(i128::from));
            match attribute.aggregate {
                Aggregate::Sum | Aggregate::Count => values.sum(),
                // No value at all only happens where there is no tradeline.
                Aggregate::Max => values.max().unwrap_or_default(),
                Aggregate::Min => values.min().unwrap_or_default(),
            }
        })
        .collect()
}
