//! What a column opening claims, and what prover and verifier both derive from it
//! (spec: `circuits/spec/audit.md`).

use borsh::{BorshDeserialize, BorshSerialize};
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use merlin::Transcript;
use serde::{Deserialize, Serialize};
use zkbureau_params::domain;

use crate::commitment::CommitmentKey;
use crate::encoding::{Digest32, PointBytes};
use crate::schema::Class;
use crate::transcript::TranscriptExt;

/// A claimed total.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct Total {
    /// Position of the attribute in the schema.
    pub attribute: u32,
    /// Sum of the real values over all leaves (stocks) or all reports (flows), in the attribute's
    /// unit.
    pub value: i128,
}

/// "The column of this class sums to these totals."
#[derive(Clone, Copy)]
pub struct ColumnStatement<'a> {
    /// Digest of everything that the opening is made for: chain, request, agency, height.
    pub context: Digest32,
    /// Schema and generators.
    pub key: &'a CommitmentKey,
    /// Stocks or flows.
    pub class: Class,
    /// The column total: the sum of the commitments of this class.
    pub column: PointBytes,
    /// Number of leaves that have a record.
    pub leaves: u64,
    /// The claims, attributes ascending, at least one.
    pub totals: &'a [Total],
}

/// The statement reduced to Schnorr's: `point = Σ w·bases`, the last base being `H`.
pub(super) struct Reduced {
    pub(super) point: RistrettoPoint,
    /// Positions, within the class, of the attributes that stay hidden.
    pub(super) hidden: Vec<usize>,
    pub(super) bases: Vec<RistrettoPoint>,
}

impl ColumnStatement<'_> {
    /// Checks the claims' form and subtracts what is public from the column. `None` when the
    /// claims are malformed, impossible, or the column is not an element.
    pub(super) fn reduce(&self) -> Option<Reduced> {
        let schema = self.key.schema();
        let generators = self.key.attribute_generators();
        let ascending = self
            .totals
            .windows(2)
            .all(|pair| pair[0].attribute < pair[1].attribute);
        if self.totals.is_empty() || !ascending {
            return None;
        }
        let mut point = self.column.decode().ok()?;
        if self.class == Class::Stock {
            point -= generators[0] * Scalar::from(self.leaves);
        }
        for total in self.totals {
            let (position, encoded) = self.encoded(total)?;
            point -= generators[position] * Scalar::from(encoded);
        }
        let claimed = |position: usize| {
            (self.class == Class::Stock && position == 0)
                || self.totals.iter().any(|t| t.attribute as usize == position)
        };
        let mut hidden = Vec::new();
        let mut bases = Vec::new();
        for (within, position) in schema.positions(self.class).enumerate() {
            if !claimed(position) {
                hidden.push(within);
                bases.push(generators[position]);
            }
        }
        bases.push(self.key.blinding_generator());
        Some(Reduced {
            point,
            hidden,
            bases,
        })
    }

    /// Position and encoded sum `v - min·leaves` of a claim; `None` when no column can have it.
    /// A stock's encoded sum is at most `R·leaves`; a flow's column holds fewer than 2^64 reports.
    /// Both stay far below ℓ, so equality modulo ℓ is equality.
    fn encoded(&self, total: &Total) -> Option<(usize, u128)> {
        let position = total.attribute as usize;
        let attribute = self.key.schema().attributes().get(position)?;
        if position == 0 || attribute.class != self.class {
            return None;
        }
        let (offset, records) = match self.class {
            Class::Stock => (
                i128::from(attribute.min) * i128::from(self.leaves),
                self.leaves,
            ),
            Class::Flow => (0, u64::MAX),
        };
        let encoded = u128::try_from(total.value.checked_sub(offset)?).ok()?;
        (encoded <= u128::from(attribute.range()) * u128::from(records))
            .then_some((position, encoded))
    }

    /// Everything public, before the first message. Called by [`super::prove`] and
    /// [`super::verify`].
    pub(super) fn absorb(&self) -> Transcript {
        let mut t = Transcript::new(domain::COLUMN_OPENING.as_bytes());
        t.append_message(b"context", &self.context);
        t.append_message(b"schema", &self.key.schema().digest());
        t.append_u64(
            b"class",
            match self.class {
                Class::Stock => 0,
                Class::Flow => 1,
            },
        );
        t.append_point(b"column", &self.column);
        t.append_u64(b"leaves", self.leaves);
        t.append_u64(b"totals", self.totals.len() as u64);
        for total in self.totals {
            t.append_u64(b"attribute", u64::from(total.attribute));
            t.append_message(b"value", &total.value.to_le_bytes());
        }
        t
    }
}
