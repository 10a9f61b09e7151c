//! Sums of subsets of fixed points, by table: one addition per byte of the subset's bit string.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::traits::Identity;
use rayon::prelude::*;

/// For every eight consecutive points, the sums of all 256 subsets (160 bytes each).
pub(super) struct SubsetSums {
    tables: Vec<[RistrettoPoint; 256]>,
}

impl SubsetSums {
    pub(super) fn new(points: &[RistrettoPoint]) -> Self {
        Self {
            tables: points.par_chunks(8).map(table).collect(),
        }
    }

    /// The sum of the points whose bit is set; bit `i % 8` of byte `i / 8` belongs to point `i`.
    /// Not constant time.
    pub(super) fn sum(&self, bits: &[u8]) -> RistrettoPoint {
        debug_assert!(bits.len() <= self.tables.len());
        let mut sum = RistrettoPoint::identity();
        for (byte, table) in bits.iter().zip(&self.tables) {
            sum += &table[usize::from(*byte)];
        }
        sum
    }
}

fn table(points: &[RistrettoPoint]) -> [RistrettoPoint; 256] {
    let mut table = [RistrettoPoint::identity(); 256];
    for (i, point) in points.iter().enumerate() {
        let (known, new) = table[..2 << i].split_at_mut(1 << i);
        for (sum, without) in new.iter_mut().zip(known) {
            *sum = *without + point;
        }
    }
    table
}
