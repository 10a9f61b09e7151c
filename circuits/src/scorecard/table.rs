//! A card as the circuit sees it: a table of 32 variables, each 13 ends of bins and 12 shortfalls,
//! and its part of the verifier's work (spec: `circuits/spec/scorecard.md`, heading "Table").

use ark_bn254::{Fr, G1Projective};
use ark_ec::VariableBaseMSM;

use super::card::Card;
use super::keys::VerifyingKey;
use super::relation::{FIRST_TABLE_INPUT, TABLE_INPUTS};
use super::{MAX_BINS, MAX_VARIABLES};
use crate::encoding::Digest32;

/// One variable's row. Values count from the variable's smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Bin `i` is `[ends[i], ends[i + 1])`; padding bins are empty.
    pub(super) ends: [u64; MAX_BINS + 1],
    /// What each bin's points lack of the variable's best.
    pub(super) shortfalls: [u64; MAX_BINS],
}

impl Row {
    /// An unused variable: the only value is 0, and it costs nothing.
    const UNUSED: Self = {
        let mut ends = [1; MAX_BINS + 1];
        ends[0] = 0;
        Self {
            ends,
            shortfalls: [0; MAX_BINS],
        }
    };
}

/// A card's table. Made from a validated card only, so ends ascend, bins are a partition of
/// `[0, high - low)`, and nothing wraps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) rows: [Row; MAX_VARIABLES],
}

impl Table {
    pub(super) fn new(card: &Card) -> Self {
        let mut rows = [Row::UNUSED; MAX_VARIABLES];
        for (row, v) in rows.iter_mut().zip(card.variables()) {
            let (low, best) = (v.low(), v.best());
            // Padding repeats the last end.
            row.ends = [v.high().abs_diff(low); MAX_BINS + 1];
            for (i, bin) in v.bins.iter().enumerate() {
                row.ends[i] = bin.from.abs_diff(low);
                row.shortfalls[i] = best.abs_diff(bin.points);
            }
        }
        Self { rows }
    }

    /// The table as public inputs: per variable its ends, then its shortfalls.
    pub(super) fn inputs(&self) -> Vec<Fr> {
        (self.rows.iter())
            .flat_map(|row| row.ends.iter().chain(&row.shortfalls))
            .map(|x| Fr::from(*x))
            .collect()
    }
}

/// A card with all that is computed once for a verifying key: its hash, table, and the commitment to
/// its part of the public inputs.
#[derive(Clone, Debug)]
pub struct PreparedCard {
    card: Card,
    hash: Digest32,
    key: Digest32,
    pub(super) table: Table,
    pub(super) commitment: G1Projective,
}

impl PreparedCard {
    /// Prepares a card for a key (a few milliseconds).
    #[must_use]
    pub fn new(key: &VerifyingKey, card: &Card) -> Self {
        let table = Table::new(card);
        let inputs = table.inputs();
        let bases = &key.bases()[FIRST_TABLE_INPUT..][..TABLE_INPUTS];
        Self {
            card: card.clone(),
            hash: card.content_hash(),
            key: *key.hash(),
            commitment: G1Projective::msm_unchecked(bases, &inputs),
            table,
        }
    }

    /// The card.
    #[must_use]
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Its content hash.
    #[must_use]
    pub fn hash(&self) -> &Digest32 {
        &self.hash
    }

    /// Content hash of the verifying key it was prepared for.
    #[must_use]
    pub fn key(&self) -> &Digest32 {
        &self.key
    }
}
