//! Multi-scalar multiplication of public data: buckets (Pippenger), with signed digits and windows
//! that grow with the number of points. Not constant time.

use curve25519_dalek::scalar::Scalar;
use rayon::prelude::*;
use subtle::Choice;

use super::point::{Affine, Point};

/// Bits of a scalar. Signed digits carry nothing out of them, although the windows may cover no bit
/// more: scalars from 2^252 on have only zeros below it down to bit 125, and all others have a zero
/// on top.
const BITS: usize = 253;

/// Bits of a window: about `n` additions a window for the points and `2^bits` for its buckets.
fn window_bits(points: usize) -> usize {
    (4..=15)
        .min_by_key(|bits| BITS.div_ceil(*bits) * (points + (1 << bits) + bits))
        .expect("a window")
}

/// `Σ_i scalars[i]·points[i]`.
pub(in super::super) fn msm(scalars: &[Scalar], points: &[Affine]) -> Point {
    assert_eq!(scalars.len(), points.len());
    let bits = window_bits(points.len());
    let windows = BITS.div_ceil(bits);
    let digits: Vec<i16> = digits(scalars, bits, windows);
    let sums: Vec<Point> = digits
        .par_chunks(points.len().max(1))
        .map(|digits| window_sum(digits, points, bits))
        .collect();
    sums.iter().rev().fold(Point::IDENTITY, |total, sum| {
        let mut total = (0..bits).fold(total, |p, _| p.double());
        total += sum;
        total
    })
}

/// Signed digits in `-2^(bits-1)+1..=2^(bits-1)`, window by window, least significant first.
fn digits(scalars: &[Scalar], bits: usize, windows: usize) -> Vec<i16> {
    let n = scalars.len();
    let mut digits = vec![0i16; n * windows];
    for (i, scalar) in scalars.iter().enumerate() {
        let mut bytes = [0u8; 40];
        bytes[..32].copy_from_slice(scalar.as_bytes());
        let mut carry = 0;
        for w in 0..windows {
            let at = w * bits;
            let word: [u8; 4] = bytes[at / 8..at / 8 + 4].try_into().expect("4 bytes");
            let digit = (u32::from_le_bytes(word) >> (at % 8) & ((1 << bits) - 1)) as i32 + carry;
            carry = i32::from(digit > 1 << (bits - 1));
            digits[w * n + i] = (digit - (carry << bits)) as i16;
        }
        debug_assert_eq!(carry, 0);
    }
    digits
}

/// `Σ_i digits[i]·points[i]`.
#[inline(never)]
fn window_sum(digits: &[i16], points: &[Affine], bits: usize) -> Point {
    let mut buckets = vec![Point::IDENTITY; 1 << (bits - 1)];
    for (digit, point) in digits.iter().zip(points) {
        // Signs are random: a branch on them would be mispredicted half of the time.
        let sign = Choice::from(u8::from(*digit < 0));
        if let Some(bucket) = usize::from(digit.unsigned_abs()).checked_sub(1) {
            buckets[bucket] += &point.negate_if(sign);
        }
    }
    // Σ_k k·bucket[k] as a sum of sums from the top.
    let (mut running, mut total) = (Point::IDENTITY, Point::IDENTITY);
    for bucket in buckets.iter().rev() {
        running += bucket;
        total += &running;
    }
    total
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::ristretto::RistrettoPoint;
    use curve25519_dalek::traits::VartimeMultiscalarMul;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::super::ristretto::{encode_doubles, from_dalek};
    use super::*;
    use crate::encoding::PointBytes;

    #[test]
    fn agrees_with_dalek() {
        let mut rng = ChaCha20Rng::seed_from_u64(6);
        let points: Vec<RistrettoPoint> = (0..3000)
            .map(|_| RistrettoPoint::random(&mut rng))
            .collect();
        let mut scalars: Vec<Scalar> = (0..3000).map(|_| Scalar::random(&mut rng)).collect();
        let edges = [
            0u64,
            1,
            2,
            7,
            8,
            9,
            15,
            16,
            17,
            255,
            256,
            511,
            512,
            1024,
            2048,
            u64::MAX,
        ];
        for (i, x) in edges.iter().enumerate() {
            scalars[2 * i] = Scalar::from(*x);
            scalars[2 * i + 1] = -Scalar::from(*x);
        }
        // Largest digits everywhere, below and above 2^252.
        let power = (0..252).fold(Scalar::ONE, |x, _| x + x);
        scalars[40] = power;
        scalars[41] = power - Scalar::ONE;
        scalars[42] = power + Scalar::from(u64::MAX);
        let affine = from_dalek(&points);
        for count in [0, 1, 2, 45, 100, 1000, 3000] {
            let expected =
                RistrettoPoint::vartime_multiscalar_mul(&scalars[..count], &points[..count]);
            let ours = encode_doubles(&[msm(&scalars[..count], &affine[..count])]);
            assert_eq!(ours, vec![PointBytes::from(expected + expected)], "{count}");
        }
    }

    #[test]
    fn digits_of_every_width_recombine() {
        let power = |n: usize| (0..n).fold(Scalar::ONE, |x, _| x + x);
        for bits in 4..=15 {
            let windows = BITS.div_ceil(bits);
            // All digits at the largest value that is not carried, and one above.
            let repeated = |digit: Scalar| {
                (0..252 / bits).fold(Scalar::ZERO, |sum, w| sum + digit * power(w * bits))
            };
            let half = power(bits - 1);
            let scalars = [
                Scalar::ZERO,
                Scalar::ONE,
                -Scalar::ONE,
                power(252),
                power(252) - Scalar::ONE,
                power(252) + Scalar::ONE,
                power(128) - Scalar::ONE,
                repeated(half),
                repeated(half + Scalar::ONE),
            ];
            let digits = digits(&scalars, bits, windows);
            for (i, scalar) in scalars.iter().enumerate() {
                let sum = (0..windows).rev().fold(Scalar::ZERO, |sum, w| {
                    let digit = digits[w * scalars.len() + i];
                    let magnitude = Scalar::from(u64::from(digit.unsigned_abs()));
                    let signed = if digit < 0 { -magnitude } else { magnitude };
                    sum * power(bits) + signed
                });
                assert_eq!(sum, *scalar, "{bits} bits, scalar {i}");
            }
        }
    }

    #[test]
    fn windows_grow() {
        assert_eq!(window_bits(0), 4);
        assert!(window_bits(100) < window_bits(10_000));
        assert!(window_bits(10_000) < window_bits(1_000_000));
        assert!(window_bits(usize::MAX >> 10) <= 15);
    }
}
