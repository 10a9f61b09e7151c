//! The link between the circuit's values and ristretto255 commitments: the commitments' arithmetic,
//! and integers `k`, `z` (spec: `circuits/spec/scorecard.md`, heading "Link").

use std::fmt;

use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use rand_core::{CryptoRng, RngCore};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::card::Variable;
use super::{MAX_VARIABLES, VALUE_BITS};
use crate::encoding::PointBytes;
use crate::error::DecodeError;
use crate::fact::{FormOpening, pedersen};

/// Bits of a weight.
pub(super) const WEIGHT_BITS: u32 = 128;
/// `w`: `Σ c·v` over 32 variables is below `2^w`.
pub(super) const SUM_BITS: u32 = WEIGHT_BITS + VALUE_BITS + MAX_VARIABLES.ilog2();
/// Bytes of `k` and `z`: both are below 2^248.
pub(super) const Z_BYTES: usize = 31;

/// One variable's commitment `C[a]`, which counts from the variable's smallest value. Holds the point
/// and its encoding, so that nothing is decoded that has just been added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitment {
    bytes: PointBytes,
    point: RistrettoPoint,
}

impl Commitment {
    /// The encoding.
    #[must_use]
    pub fn bytes(&self) -> &PointBytes {
        &self.bytes
    }

    /// The point.
    #[must_use]
    pub fn point(&self) -> &RistrettoPoint {
        &self.point
    }
}

impl From<RistrettoPoint> for Commitment {
    fn from(point: RistrettoPoint) -> Self {
        Self {
            bytes: point.into(),
            point,
        }
    }
}

impl TryFrom<PointBytes> for Commitment {
    type Error = DecodeError;

    fn try_from(bytes: PointBytes) -> Result<Self, DecodeError> {
        let point = bytes.decode()?;
        Ok(Self { bytes, point })
    }
}

/// The opening of one variable's commitment `C = v·P + ρ·P'`, where `v` counts from the variable's
/// smallest value.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct ValueOpening {
    pub(super) value: u64,
    pub(super) blinding: Scalar,
}

impl ValueOpening {
    /// An opening from its parts.
    #[must_use]
    pub fn from_parts(value: u64, blinding: Scalar) -> Self {
        Self { value, blinding }
    }

    /// `v`, counted from the variable's smallest value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.value
    }

    /// The commitment that this opens, in constant time.
    #[must_use]
    pub fn commit(&self) -> Commitment {
        pedersen::commit(&Scalar::from(self.value), &self.blinding).into()
    }
}

impl fmt::Debug for ValueOpening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ValueOpening(..)")
    }
}

/// A variable's commitment from the agencies' images of its identity form: `Σ images + (offset -
/// low)·P`, where `offset` is the sum of the forms' public addends `min·records`.
#[must_use]
pub fn commitment(variable: &Variable, images: &[RistrettoPoint], offset: i64) -> Commitment {
    let shift = pedersen::signed(offset) - pedersen::signed(variable.low());
    (images.iter().sum::<RistrettoPoint>() + pedersen::times_value(&shift)).into()
}

/// The opening of [`commitment`], from the openings of the images; nothing when no bin takes the value.
#[must_use]
pub fn opening(variable: &Variable, forms: &[FormOpening], offset: i64) -> Option<ValueOpening> {
    let encoded: i128 = forms.iter().map(|o| i128::from(o.value())).sum();
    let value = encoded + i128::from(offset);
    let inside = (i128::from(variable.low())..i128::from(variable.high())).contains(&value);
    let value = u64::try_from(value - i128::from(variable.low())).ok()?;
    inside.then(|| ValueOpening {
        value,
        blinding: forms.iter().map(|o| o.blinding).sum(),
    })
}

/// A fresh `k`, uniform below 2^248.
pub(super) fn draw_k<R: RngCore + CryptoRng>(rng: &mut R) -> Zeroizing<[u8; Z_BYTES]> {
    let mut k = Zeroizing::new([0; Z_BYTES]);
    rng.fill_bytes(&mut *k);
    k
}

fn padded(bytes: &[u8; Z_BYTES]) -> Zeroizing<[u8; 32]> {
    let mut all = Zeroizing::new([0; 32]);
    all[..Z_BYTES].copy_from_slice(bytes);
    all
}

/// The integer in the field of the circuit.
pub(super) fn as_fr(bytes: &[u8; Z_BYTES]) -> Fr {
    Fr::from_le_bytes_mod_order(bytes)
}

/// The integer modulo ℓ; 2^248 is below ℓ.
pub(super) fn as_scalar(bytes: &[u8; Z_BYTES]) -> Scalar {
    Scalar::from_bytes_mod_order(*padded(bytes))
}

/// `z = k + Σ c·v` over the integers; nothing unless `2^w <= z < 2^248`.
pub(super) fn answer(
    k: &[u8; Z_BYTES],
    weights: &[u128; MAX_VARIABLES],
    values: &[u64; MAX_VARIABLES],
) -> Option<[u8; Z_BYTES]> {
    // Below 2^248 + 2^173, so the field does not wrap.
    let sum: Fr = (weights.iter().zip(values))
        .map(|(c, v)| Fr::from(*c) * Fr::from(*v))
        .sum();
    let bytes = (as_fr(k) + sum).into_bigint().to_bytes_le();
    let (low, high) = bytes.split_at(Z_BYTES);
    let z: [u8; Z_BYTES] = low.try_into().expect("31 bytes");
    (high == [0] && in_range(&z)).then_some(z)
}

/// Whether `2^w <= z`; `z < 2^248` by its length.
pub(super) fn in_range(z: &[u8; Z_BYTES]) -> bool {
    let (byte, bit) = ((SUM_BITS / 8) as usize, SUM_BITS % 8);
    z[byte] >> bit != 0 || z[byte + 1..].iter().any(|b| *b != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_end_of_z() {
        assert_eq!(SUM_BITS, 173);
        let mut z = [0xff; Z_BYTES];
        assert!(in_range(&z));
        // 2^173 - 1, then 2^173.
        z[22..].fill(0);
        z[21] = 0x1f;
        assert!(!in_range(&z));
        let mut z = [0; Z_BYTES];
        z[21] = 0x20;
        assert!(in_range(&z));
    }
}
