//! Commitments of many records at once, for publishers.

use curve25519_dalek::ristretto::RistrettoPoint;
use rayon::prelude::*;

use super::bits::{check_records, class_bits};
use super::key::ProvingKey;
use crate::commitment::{Record, RecordBlindings};
use crate::encoding::PointBytes;
use crate::error::ProveError;
use crate::schema::Class;

/// Records whose points are encoded together; one field inversion each.
const CHUNK: usize = 256;

/// The stocks and flows commitments of records, the same points that
/// [`crate::commitment::CommitmentKey::commit`] makes. The blinding part is constant time; the
/// values are looked up in tables (protocol, section 5.3).
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
    let columns = &key.verifying.columns;
    let bytes = |class| {
        columns
            .iter()
            .filter(|c| c.class == class)
            .map(|c| c.bits as usize)
            .sum::<usize>()
            .div_ceil(8)
    };
    let (stock_bytes, flow_bytes) = (bytes(Class::Stock), bytes(Class::Flow));
    let chunks: Vec<Vec<PointBytes>> = records
        .par_chunks(CHUNK)
        .zip(blindings.par_chunks(CHUNK))
        .map(|(records, blindings)| {
            let mut buffer = vec![0; stock_bytes.max(flow_bytes)];
            let mut halves: Vec<RistrettoPoint> = Vec::with_capacity(2 * records.len());
            for (record, blinding) in records.iter().zip(blindings) {
                let bits = &mut buffer[..stock_bytes];
                class_bits(columns, Class::Stock, record, bits);
                halves.push(
                    key.half_present
                        + key.stock_sums.sum(bits)
                        + &blinding.stocks * &key.half_blinding,
                );
                let bits = &mut buffer[..flow_bytes];
                class_bits(columns, Class::Flow, record, bits);
                halves.push(key.flow_sums.sum(bits) + &blinding.flows * &key.half_blinding);
            }
            encode_doubles(&halves)
        })
        .collect();
    Ok(chunks
        .iter()
        .flat_map(|c| c.chunks_exact(2))
        .map(|pair| (pair[0], pair[1]))
        .unzip())
}

/// Encodings of the doubles of points, with one inversion for all.
pub(super) fn encode_doubles(halves: &[RistrettoPoint]) -> Vec<PointBytes> {
    RistrettoPoint::double_and_compress_batch(halves)
        .into_iter()
        .map(PointBytes::from)
        .collect()
}
