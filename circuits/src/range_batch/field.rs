//! Field work on public data and record bits, in Montgomery form.
//!
//! arkworks' `Fr` of curve25519 is the same field as dalek's `Scalar` and multiplies about three
//! times faster, but not in constant time. So nothing with a blinding or a mask comes here.

use ark_curve25519::Fr;
use ark_ff::{BigInt, Field, PrimeField};
use curve25519_dalek::scalar::Scalar;

/// The same residue as an arkworks element.
pub(super) fn to_fr(scalar: &Scalar) -> Fr {
    let mut limbs = [0u64; 4];
    for (limb, bytes) in limbs.iter_mut().zip(scalar.as_bytes().chunks_exact(8)) {
        *limb = u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
    }
    Fr::from_bigint(BigInt(limbs)).expect("scalars are reduced")
}

/// The same residue as a dalek scalar.
pub(super) fn to_scalar(element: &Fr) -> Scalar {
    let mut bytes = [0u8; 32];
    for (chunk, limb) in bytes.chunks_exact_mut(8).zip(element.into_bigint().0) {
        chunk.copy_from_slice(&limb.to_le_bytes());
    }
    Scalar::from_bytes_mod_order(bytes)
}

/// `base^1 … base^count`.
pub(super) fn powers(base: Fr, count: usize) -> Vec<Fr> {
    std::iter::successors(Some(base), |power| Some(*power * base))
        .take(count)
        .collect()
}

/// `eq(point, j)` for every `j` below `2^point.len()`; the first coordinate belongs to the most
/// significant bit of `j`.
pub(super) fn eq_table(point: &[Fr]) -> Vec<Fr> {
    let mut table = Vec::with_capacity(1 << point.len());
    table.push(Fr::ONE);
    for coordinate in point {
        table = table
            .iter()
            .flat_map(|value| {
                let one = *value * coordinate;
                [*value - one, one]
            })
            .collect();
    }
    table
}

/// [`eq_table`] in dalek scalars, for products with blindings.
pub(super) fn eq_scalars(point: &[Scalar]) -> Vec<Scalar> {
    let point: Vec<Fr> = point.iter().map(to_fr).collect();
    eq_table(&point).iter().map(to_scalar).collect()
}

#[cfg(test)]
mod tests {
    use ark_ff::AdditiveGroup;

    use super::*;

    #[test]
    fn both_fields_agree() {
        let a = Scalar::hash_from_bytes::<sha2::Sha512>(b"a");
        let b = Scalar::hash_from_bytes::<sha2::Sha512>(b"b");
        for (x, y) in [(a, b), (a, Scalar::ZERO), (-Scalar::ONE, b)] {
            assert_eq!(to_scalar(&(to_fr(&x) * to_fr(&y))), x * y);
            assert_eq!(to_scalar(&(to_fr(&x) + to_fr(&y))), x + y);
        }
    }

    #[test]
    fn eq_selects_corners() {
        let corner = [Fr::ONE, Fr::ZERO, Fr::ONE];
        let table = eq_table(&corner);
        assert_eq!(table.len(), 8);
        for (j, value) in table.iter().enumerate() {
            assert_eq!(*value, if j == 0b101 { Fr::ONE } else { Fr::ZERO });
        }
        assert_eq!(eq_table(&[]), vec![Fr::ONE]);
    }
}
