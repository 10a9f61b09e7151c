//! Sums of subsets of fixed generators, by look-up: one addition per [`WINDOW`] bits of the
//! subset's bit string. Not constant time (protocol, section 5.3).

use rayon::prelude::*;

use super::point::{Affine, Point};

/// Points of one table. 2^10 entries of 96 bytes stay in a second-level cache while many sums use
/// them.
const WINDOW: usize = 10;

/// For every [`WINDOW`] consecutive points, the sums of all subsets.
pub(in super::super) struct SubsetSums(Vec<Vec<Affine>>);

impl SubsetSums {
    pub(in super::super) fn new(points: &[Affine]) -> Self {
        Self(points.par_chunks(WINDOW).map(table).collect())
    }

    /// Adds to every sum the points whose bit is set in its string of `stride` bytes; bit `i % 8` of
    /// byte `i / 8` belongs to point `i`.
    pub(in super::super) fn add_subsets(&self, sums: &mut [Point], bits: &[u8], stride: usize) {
        debug_assert_eq!(bits.len(), sums.len() * stride);
        for (w, table) in self.0.iter().enumerate() {
            let at = w * WINDOW;
            if at >= 8 * stride {
                break;
            }
            for (sum, bits) in sums.iter_mut().zip(bits.chunks_exact(stride)) {
                *sum += &table[window(bits, at) & (table.len() - 1)];
            }
        }
    }
}

/// The [`WINDOW`] bits from `at` on; zero beyond the end.
#[inline(always)]
fn window(bits: &[u8], at: usize) -> usize {
    let byte = |i: usize| usize::from(bits.get(i).copied().unwrap_or(0));
    let i = at / 8;
    ((byte(i) | byte(i + 1) << 8 | byte(i + 2) << 16) >> (at % 8)) & ((1 << WINDOW) - 1)
}

fn table(points: &[Affine]) -> Vec<Affine> {
    let mut sums = vec![Point::IDENTITY; 1 << points.len()];
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
        for count in [1usize, 9, 10, 11, 16, 24, 67] {
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
