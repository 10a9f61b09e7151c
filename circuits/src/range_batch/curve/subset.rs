//! Sums of subsets of fixed generators, by look-up: one addition per byte of the subset's bit
//! string. Not constant time (see "Timing" of the module `range_batch`).

use rayon::prelude::*;

use super::point::{Affine, Point};

/// For every eight consecutive points, the sums of all 256 subsets: 24 KiB. Larger tables save
/// additions and lose more to the memory they touch.
pub(in super::super) struct SubsetSums(Vec<Vec<Affine>>);

impl SubsetSums {
    pub(in super::super) fn new(points: &[Affine]) -> Self {
        Self(points.par_chunks(8).map(table).collect())
    }

    /// Adds to every sum the points whose bit is set in its string of `stride` bytes; bit `i % 8` of
    /// byte `i / 8` belongs to point `i`. Table by table, so that one table serves all sums while it
    /// is in the cache.
    pub(in super::super) fn add_subsets(&self, sums: &mut [Point], bits: &[u8], stride: usize) {
        assert_eq!(bits.len(), sums.len() * stride);
        assert!(stride <= self.0.len());
        for (byte, table) in self.0.iter().enumerate().take(stride) {
            for (sum, bits) in sums.iter_mut().zip(bits.chunks_exact(stride)) {
                *sum += &table[usize::from(bits[byte])];
            }
        }
    }
}

fn table(points: &[Affine]) -> Vec<Affine> {
    let mut sums = vec![Point::IDENTITY; 256];
    for (i, point) in points.iter().enumerate() {
        let (known, new) = sums[..2 << i].split_at_mut(1 << i);
        for (sum, without) in new.iter_mut().zip(known) {
            *sum = *without;
            *sum += point;
        }
    }
    Point::to_affine(&sums)
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::ristretto::RistrettoPoint;
    use curve25519_dalek::traits::Identity;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};

    use super::super::ristretto::{encode_doubles, from_dalek};
    use super::*;
    use crate::encoding::PointBytes;

    #[test]
    fn adds_the_points_whose_bits_are_set() {
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        for count in [1usize, 7, 8, 9, 16, 67] {
            let points: Vec<RistrettoPoint> = (0..count)
                .map(|_| RistrettoPoint::random(&mut rng))
                .collect();
            let table = SubsetSums::new(&from_dalek(&points));
            let stride = count.div_ceil(8);
            let mut bits = vec![0u8; 20 * stride];
            rng.fill_bytes(&mut bits);
            for row in bits.chunks_exact_mut(stride) {
                if count % 8 != 0 {
                    row[stride - 1] &= (1 << (count % 8)) - 1;
                }
            }
            let mut sums = vec![Point::IDENTITY; 20];
            table.add_subsets(&mut sums, &bits, stride);
            for (encoded, row) in encode_doubles(&sums).iter().zip(bits.chunks_exact(stride)) {
                let expected = (0..count)
                    .filter(|i| row[i / 8] >> (i % 8) & 1 == 1)
                    .fold(RistrettoPoint::identity(), |sum, i| sum + points[i]);
                assert_eq!(*encoded, PointBytes::from(expected + expected), "{count}");
            }
        }
    }
}
