//! What provers and verifiers of one schema share.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use rayon::prelude::*;
use thiserror::Error;

use super::bits::Column;
use super::curve::fixed::{FixedBase, FixedBases};
use super::curve::point::Affine;
use super::curve::ristretto::from_dalek;
use super::curve::subset::SubsetSums;
use super::layout::{Layout, MAX_SLOTS};
use crate::encoding::Digest32;
use crate::generators;
use crate::schema::{Class, Schema};

/// A key cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RangeKeyError {
    /// The schema has no attribute besides `present`, so there is nothing to prove.
    #[error("the schema has no attribute besides `present`")]
    NoAttributes,
    /// The largest batch is empty or too large.
    #[error("a batch has 1 to {MAX_SLOTS} records, not {0}")]
    Slots(usize),
}

/// The generators of a schema's argument, for batches up to a largest size.
pub struct VerifyingKey {
    pub(super) schema: Schema,
    pub(super) digest: Digest32,
    pub(super) columns: Vec<Column>,
    pub(super) max_slots: usize,
    /// `Bit[i]` for the columns of the largest batch; smaller batches use a prefix.
    pub(super) bits: Vec<Affine>,
    /// `G[a]` by position in the schema.
    pub(super) attributes: Vec<RistrettoPoint>,
    /// `G`.
    pub(super) scalar: RistrettoPoint,
    /// `H`.
    pub(super) blinding: RistrettoPoint,
    /// All `G[a]`, then `G`, then `H`.
    pub(super) others: Vec<Affine>,
}

impl VerifyingKey {
    /// Derives the generators (about 10 µs each, in parallel).
    ///
    /// # Errors
    /// [`RangeKeyError`] when the schema has nothing to prove or `max_slots` is out of range.
    pub fn new(schema: &Schema, max_slots: usize) -> Result<Self, RangeKeyError> {
        Self::with_bits(schema, max_slots).map(|(key, _)| key)
    }

    /// The key, and `Bit[i]` for further tables.
    fn with_bits(
        schema: &Schema,
        max_slots: usize,
    ) -> Result<(Self, Vec<RistrettoPoint>), RangeKeyError> {
        let n = schema.slot_bits();
        if n == 0 {
            return Err(RangeKeyError::NoAttributes);
        }
        let layout = Layout::new(n, max_slots).ok_or(RangeKeyError::Slots(max_slots))?;
        let columns = Column::all(schema);
        let names: Vec<(u32, u32, u32)> = (0..layout.row_slots() as u32)
            .flat_map(|slot| {
                columns
                    .iter()
                    .flat_map(move |c| (0..c.bits).map(move |l| (slot, c.position as u32, l)))
            })
            .collect();
        let bits: Vec<RistrettoPoint> = names
            .into_par_iter()
            .map(|(slot, position, l)| generators::bit(slot, position, l))
            .collect();
        let attributes: Vec<RistrettoPoint> = schema
            .attributes()
            .iter()
            .map(generators::attribute)
            .collect();
        let (scalar, blinding) = (generators::scalar(), generators::blinding());
        let mut others = attributes.clone();
        others.extend([scalar, blinding]);
        let key = Self {
            digest: schema.digest(),
            schema: schema.clone(),
            columns,
            max_slots,
            bits: from_dalek(&bits),
            others: from_dalek(&others),
            attributes,
            scalar,
            blinding,
        };
        Ok((key, bits))
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Most records in a batch.
    #[must_use]
    pub fn max_slots(&self) -> usize {
        self.max_slots
    }

    /// Sizes of a batch of this many records; none if this key does not serve it.
    #[must_use]
    pub fn layout(&self, slots: usize) -> Option<Layout> {
        Layout::new(self.schema.slot_bits(), slots).filter(|_| slots <= self.max_slots)
    }

    /// Weight of bit `l` of a column, as a scalar.
    pub(super) fn weight(column: &Column, l: u32) -> Scalar {
        Scalar::from(if l + 1 == column.bits {
            column.top_weight
        } else {
            1 << l
        })
    }
}

/// A [`VerifyingKey`] with the tables that make proving fast: about 16 MiB for the reference record
/// in batches of 8,192.
///
/// All tables are of halved generators, because the batch encoding of points doubles them.
pub struct ProvingKey {
    pub(super) verifying: VerifyingKey,
    /// Subsets of `Bit[i]/2`.
    pub(super) row_sums: SubsetSums,
    /// Multiples of `Bit[i]/2`, in constant time.
    pub(super) bit_bases: FixedBases,
    /// Subsets of `weight·G[a]/2` over the bits of all stocks, `G[present]/2` first.
    pub(super) stock_sums: SubsetSums,
    /// Subsets of `weight·G[a]/2` over the bits of all flows.
    pub(super) flow_sums: SubsetSums,
    /// Multiples of `H/2`, in constant time.
    pub(super) blinding_base: FixedBase,
}

impl ProvingKey {
    /// Derives generators and tables.
    ///
    /// # Errors
    /// See [`VerifyingKey::new`].
    pub fn new(schema: &Schema, max_slots: usize) -> Result<Self, RangeKeyError> {
        let (verifying, bits) = VerifyingKey::with_bits(schema, max_slots)?;
        let half = Scalar::from(2u64).invert();
        let halves: Vec<RistrettoPoint> = bits.par_iter().map(|p| half * p).collect();
        let halves = from_dalek(&halves);
        let class_sums = |class, first: Option<RistrettoPoint>| {
            let points: Vec<RistrettoPoint> = first
                .into_iter()
                .chain(
                    verifying
                        .columns
                        .iter()
                        .filter(|c| c.class == class)
                        .flat_map(|c| {
                            let g = half * verifying.attributes[c.position];
                            (0..c.bits).map(move |l| VerifyingKey::weight(c, l) * g)
                        }),
                )
                .collect();
            SubsetSums::new(&from_dalek(&points))
        };
        Ok(Self {
            row_sums: SubsetSums::new(&halves),
            bit_bases: FixedBases::new(&halves),
            stock_sums: class_sums(Class::Stock, Some(half * verifying.attributes[0])),
            flow_sums: class_sums(Class::Flow, None),
            blinding_base: FixedBase::new(&(half * verifying.blinding)),
            verifying,
        })
    }

    /// The part that verifiers need.
    #[must_use]
    pub fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }
}
