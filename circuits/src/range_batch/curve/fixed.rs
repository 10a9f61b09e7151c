//! Products of secret scalars with fixed generators, in constant time.
//!
//! A scalar is 51 signed digits of 5 bits. A table holds the multiples 0 to 16 of a point; a digit
//! selects by reading all of them. The order of loops keeps one table in the first-level cache.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use rayon::prelude::*;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

use super::field::Fe;
use super::point::{Affine, Point};
use super::ristretto::from_dalek;

/// Bits of a digit.
const WIDTH: usize = 5;
/// Digits of a scalar: 255 bits.
const DIGITS: usize = 51;

/// Words of an affine point.
const WORDS: usize = 12;

/// Multiples 0 to 16 of a point, as words: `y + x`, `y - x`, `2·d·x·y`.
struct Multiples([[u64; WORDS]; 17]);

impl Multiples {
    fn new(point: &Affine) -> Self {
        let mut sum = Point::IDENTITY;
        let multiples: [Point; 17] = std::array::from_fn(|i| {
            if i > 0 {
                sum += point;
            }
            sum
        });
        let mut words = [[0; WORDS]; 17];
        for (words, affine) in words.iter_mut().zip(Point::to_affine(&multiples)) {
            for (words, part) in words.chunks_exact_mut(4).zip(affine.parts()) {
                words.copy_from_slice(&part.0);
            }
        }
        Self(words)
    }

    /// `digit` times the point, for a digit in -16..=16.
    #[inline(always)]
    fn select(&self, digit: i8) -> Affine {
        let sign = digit >> 7;
        let size = ((digit ^ sign) - sign) as u8;
        let mut words = [0u64; WORDS];
        for (multiple, entry) in (0u8..).zip(&self.0) {
            let mask = mask(size.ct_eq(&multiple));
            for (word, from) in words.iter_mut().zip(entry) {
                *word |= from & mask;
            }
        }
        let part = |i: usize| Fe(std::array::from_fn(|k| words[4 * i + k]));
        let multiple = Affine {
            y_plus_x: part(0),
            y_minus_x: part(1),
            xy2d: part(2),
        };
        multiple.negate_if(Choice::from((sign & 1) as u8))
    }
}

/// All ones if chosen.
#[inline(always)]
fn mask(choice: Choice) -> u64 {
    u64::from(choice.unwrap_u8()).wrapping_neg()
}

/// Signed digits, least significant first, each in -16..16.
fn digits(scalar: &Scalar) -> [i8; DIGITS] {
    let bytes = scalar.as_bytes();
    let mut carry = 0i8;
    let digits = std::array::from_fn(|i| {
        let at = i * WIDTH;
        let low = u16::from(bytes[at / 8]);
        let high = u16::from(bytes.get(at / 8 + 1).copied().unwrap_or(0));
        let digit = ((low | high << 8) >> (at % 8) & 31) as i8 + carry;
        carry = (digit + 16) >> WIDTH;
        digit - (carry << WIDTH)
    });
    // Scalars are below 2^253, so the last digit carries nothing.
    debug_assert_eq!(carry, 0);
    digits
}

/// One generator, with tables of `2^(5k)` times it.
pub(in super::super) struct FixedBase(Vec<Multiples>);

impl FixedBase {
    pub(in super::super) fn new(point: &RistrettoPoint) -> Self {
        let shift = Scalar::from(1u64 << WIDTH);
        let shifted: Vec<RistrettoPoint> = std::iter::successors(Some(*point), |p| Some(shift * p))
            .take(DIGITS)
            .collect();
        Self(from_dalek(&shifted).iter().map(Multiples::new).collect())
    }

    /// Adds `scalar·point` to every sum.
    pub(in super::super) fn add_products(&self, sums: &mut [Point], scalars: &[Scalar]) {
        assert_eq!(sums.len(), scalars.len());
        let digits: Zeroizing<Vec<_>> = Zeroizing::new(scalars.iter().map(digits).collect());
        for (k, table) in self.0.iter().enumerate() {
            for (sum, digits) in sums.iter_mut().zip(digits.iter()) {
                *sum += &table.select(digits[k]);
            }
        }
    }
}

/// Many generators, for one inner product with secret scalars.
pub(in super::super) struct FixedBases(Vec<Multiples>);

/// Points whose products are added up by one task.
const CHUNK: usize = 64;

impl FixedBases {
    pub(in super::super) fn new(points: &[Affine]) -> Self {
        Self(points.par_iter().map(Multiples::new).collect())
    }

    /// `Σ_i scalars[i]·points[i]`, over as many points as there are scalars.
    pub(in super::super) fn inner_product(&self, scalars: &[Scalar]) -> Point {
        assert!(scalars.len() <= self.0.len());
        let by_digit = self.0[..scalars.len()]
            .par_chunks(CHUNK)
            .zip(scalars.par_chunks(CHUNK))
            .map(|(tables, scalars)| {
                let mut sums = [Point::IDENTITY; DIGITS];
                for (table, scalar) in tables.iter().zip(scalars) {
                    let mut digits = digits(scalar);
                    // By reference: a copy of the array could not be wiped.
                    for (sum, digit) in sums.iter_mut().zip(&digits) {
                        *sum += &table.select(*digit);
                    }
                    digits.zeroize();
                }
                sums
            })
            .reduce(
                || [Point::IDENTITY; DIGITS],
                |mut a, b| {
                    for (a, b) in a.iter_mut().zip(&b) {
                        *a += b;
                    }
                    a
                },
            );
        by_digit.iter().rev().fold(Point::IDENTITY, |total, sum| {
            let mut total = (0..WIDTH).fold(total, |p, _| p.double());
            total += sum;
            total
        })
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::traits::MultiscalarMul;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::super::ristretto::encode_doubles;
    use super::*;
    use crate::encoding::PointBytes;

    fn scalars(count: usize) -> Vec<Scalar> {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let edges = [0u64, 1, 15, 16, 17, 31, 32, 511, 512];
        let mut scalars: Vec<Scalar> = edges.iter().map(|x| Scalar::from(*x)).collect();
        scalars.extend(edges.iter().map(|x| -Scalar::from(*x)));
        scalars.resize_with(count, || Scalar::random(&mut rng));
        scalars
    }

    #[test]
    fn agrees_with_dalek() {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let scalars = scalars(150);
        let points: Vec<RistrettoPoint> = scalars
            .iter()
            .map(|_| RistrettoPoint::random(&mut rng))
            .collect();

        let mut sums = vec![Point::IDENTITY; scalars.len()];
        FixedBase::new(&points[0]).add_products(&mut sums, &scalars);
        for (encoded, scalar) in encode_doubles(&sums).iter().zip(&scalars) {
            assert_eq!(*encoded, PointBytes::from((scalar + scalar) * points[0]));
        }

        let bases = FixedBases::new(&from_dalek(&points));
        for count in [0, 1, 63, 64, 65, 150] {
            let expected: RistrettoPoint =
                RistrettoPoint::multiscalar_mul(&scalars[..count], &points[..count]);
            let ours = encode_doubles(&[bases.inner_product(&scalars[..count])]);
            assert_eq!(ours, vec![PointBytes::from(expected + expected)], "{count}");
        }
    }
}
