//! Commitments of many records at once, for publishers.

use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use super::bits::{check_records, class_bits, class_stride};
use super::curve::point::Point;
use super::curve::ristretto::encode_doubles;
use super::key::ProvingKey;
use crate::commitment::{Record, RecordBlindings};
use crate::encoding::PointBytes;
use crate::error::ProveError;
use crate::schema::Class;

/// The stocks and flows commitments of records, the same points that
/// [`crate::commitment::CommitmentKey::commit`] makes. The blinding part is constant time; the
/// values are looked up in tables (see the module's "Timing").
///
/// # Errors
/// [`ProveError`] when the lengths differ or a record is not of the key's schema.
pub fn commit_records(
    key: &ProvingKey,
    records: &[Record],
    blindings: &[RecordBlindings],
) -> Result<(Vec<PointBytes>, Vec<PointBytes>), ProveError> {
    if records.len() != blindings.len() {
        return Err(ProveError::Length {
            what: "blindings",
            expected: records.len(),
            got: blindings.len(),
        });
    }
    check_records(&key.verifying.schema, records)?;
    let chunk = chunk_size(records.len());
    let commit = |class| {
        records
            .par_chunks(chunk)
            .zip(blindings.par_chunks(chunk))
            .flat_map_iter(|(records, blindings)| commit_class(key, class, records, blindings))
            .collect()
    };
    Ok((commit(Class::Stock), commit(Class::Flow)))
}

fn commit_class(
    key: &ProvingKey,
    class: Class,
    records: &[Record],
    blindings: &[RecordBlindings],
) -> Vec<PointBytes> {
    let columns = &key.verifying.columns;
    let mut halves = vec![Point::IDENTITY; records.len()];
    let stride = class_stride(columns, class);
    if stride > 0 {
        let mut bits = vec![0; records.len() * stride];
        for (record, bits) in records.iter().zip(bits.chunks_exact_mut(stride)) {
            class_bits(columns, class, record, bits);
        }
        let sums = match class {
            Class::Stock => &key.stock_sums,
            Class::Flow => &key.flow_sums,
        };
        sums.add_subsets(&mut halves, &bits, stride);
        bits.zeroize();
    }
    let blindings: Zeroizing<Vec<_>> = Zeroizing::new(
        blindings
            .iter()
            .map(|b| match class {
                Class::Stock => b.stocks,
                Class::Flow => b.flows,
            })
            .collect(),
    );
    key.blinding_base.add_products(&mut halves, &blindings);
    encode_doubles(&halves)
}

/// Sums that one task works on: as many as share a table while it is in the cache, but a part for
/// every thread.
pub(super) fn chunk_size(sums: usize) -> usize {
    sums.div_ceil(rayon::current_num_threads()).clamp(64, 2048)
}
