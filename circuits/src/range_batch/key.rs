//! What provers and verifiers of one schema share.

use curve25519_dalek::ristretto::{RistrettoBasepointTable, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use rayon::prelude::*;
use thiserror::Error;

use super::bits::Column;
use super::layout::{Layout, MAX_SLOTS};
use super::subset::SubsetSums;
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
    pub(super) bits: Vec<RistrettoPoint>,
    /// `G[a]` by position in the schema.
    pub(super) attributes: Vec<RistrettoPoint>,
    /// `G`.
    pub(super) scalar: RistrettoPoint,
    /// `H`.
    pub(super) blinding: RistrettoPoint,
}

impl VerifyingKey {
    /// Derives the generators (about 10 µs each, in parallel).
    ///
    /// # Errors
    /// [`RangeKeyError`] when the schema has nothing to prove or `max_slots` is out of range.
    pub fn new(schema: &Schema, max_slots: usize) -> Result<Self, RangeKeyError> {
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
        Ok(Self {
            digest: schema.digest(),
            schema: schema.clone(),
            columns,
            max_slots,
            bits: names
                .into_par_iter()
                .map(|(slot, position, l)| generators::bit(slot, position, l))
                .collect(),
            attributes: schema
                .attributes()
                .iter()
                .map(generators::attribute)
                .collect(),
            scalar: generators::scalar(),
            blinding: generators::blinding(),
        })
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

/// A [`VerifyingKey`] with the tables that make proving fast: 20 KiB per 8 columns.
pub struct ProvingKey {
    pub(super) verifying: VerifyingKey,
    /// Subset sums of `Bit[i]/2`.
    pub(super) row_sums: SubsetSums,
    /// Subset sums of `weight·G[a]/2` over the bits of all stocks.
    pub(super) stock_sums: SubsetSums,
    /// The same over the flows.
    pub(super) flow_sums: SubsetSums,
    /// `G[present]/2`.
    pub(super) half_present: RistrettoPoint,
    /// `H/2`, in constant time.
    pub(super) half_blinding: RistrettoBasepointTable,
}

impl ProvingKey {
    /// Derives generators and tables. All tables are of halved generators, because the batch
    /// encoding of points doubles them.
    ///
    /// # Errors
    /// See [`VerifyingKey::new`].
    pub fn new(schema: &Schema, max_slots: usize) -> Result<Self, RangeKeyError> {
        let verifying = VerifyingKey::new(schema, max_slots)?;
        let half = Scalar::from(2u64).invert();
        let halved: Vec<RistrettoPoint> = verifying.bits.par_iter().map(|p| half * p).collect();
        let class_sums = |class| {
            let points: Vec<RistrettoPoint> = verifying
                .columns
                .iter()
                .filter(|c| c.class == class)
                .flat_map(|c| {
                    let g = half * verifying.attributes[c.position];
                    (0..c.bits).map(move |l| VerifyingKey::weight(c, l) * g)
                })
                .collect();
            SubsetSums::new(&points)
        };
        Ok(Self {
            row_sums: SubsetSums::new(&halved),
            stock_sums: class_sums(Class::Stock),
            flow_sums: class_sums(Class::Flow),
            half_present: half * verifying.attributes[0],
            half_blinding: RistrettoBasepointTable::create(&(half * verifying.blinding)),
            verifying,
        })
    }

    /// The part that verifiers need.
    #[must_use]
    pub fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }
}
