//! The Pedersen pair `(P, P')` of images and verdicts, and openings under it
//! (spec: `circuits/spec/linear_image.md`).

use std::fmt;
use std::io::{Read, Write};
use std::sync::OnceLock;

use borsh::{BorshDeserialize, BorshSerialize};
use bulletproofs::PedersenGens;
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::{RistrettoBasepointTable, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::encoding::{PointBytes, ScalarBytes};

/// `(P, P')`.
pub(crate) fn pair() -> &'static PedersenGens {
    static PAIR: OnceLock<PedersenGens> = OnceLock::new();
    PAIR.get_or_init(PedersenGens::default)
}

fn blinding_table() -> &'static RistrettoBasepointTable {
    static TABLE: OnceLock<RistrettoBasepointTable> = OnceLock::new();
    TABLE.get_or_init(|| RistrettoBasepointTable::create(&pair().B_blinding))
}

/// `value·P`, in constant time.
pub(crate) fn times_value(value: &Scalar) -> RistrettoPoint {
    value * RISTRETTO_BASEPOINT_TABLE
}

/// `blinding·P'`, in constant time.
pub(crate) fn times_blinding(blinding: &Scalar) -> RistrettoPoint {
    blinding * blinding_table()
}

/// `value·P + blinding·P'`, in constant time.
pub(crate) fn commit(value: &Scalar, blinding: &Scalar) -> RistrettoPoint {
    times_value(value) + times_blinding(blinding)
}

/// A signed number mod ℓ, in constant time.
pub(crate) fn signed(value: i64) -> Scalar {
    // value + 2^63 as an unsigned number has the sign bit flipped.
    let shifted = value.cast_unsigned() ^ (1 << 63);
    Scalar::from(shifted) - Scalar::from(1u64 << 63)
}

/// What an agency tells the wallet about one form, sealed: `Σ w·x` and the blinding `s_f` of the image.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct FormOpening {
    pub(crate) value: i64,
    pub(crate) blinding: Scalar,
}

impl FormOpening {
    /// An opening from its parts.
    #[must_use]
    pub fn from_parts(value: i64, blinding: Scalar) -> Self {
        Self { value, blinding }
    }

    /// `Σ w·x` over encoded values, without the public addend.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.value
    }

    /// Whether this opens an image.
    #[must_use]
    pub fn opens(&self, image: &PointBytes) -> bool {
        PointBytes::from(commit(&signed(self.value), &self.blinding)) == *image
    }
}

impl fmt::Debug for FormOpening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FormOpening(..)")
    }
}

impl BorshSerialize for FormOpening {
    fn serialize<W: Write>(&self, writer: &mut W) -> std::io::Result<()> {
        self.value.serialize(writer)?;
        ScalarBytes(self.blinding).serialize(writer)
    }
}

impl BorshDeserialize for FormOpening {
    fn deserialize_reader<R: Read>(reader: &mut R) -> std::io::Result<Self> {
        let value = i64::deserialize_reader(reader)?;
        let ScalarBytes(blinding) = ScalarBytes::deserialize_reader(reader)?;
        Ok(Self { value, blinding })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_numbers() {
        for v in [0, 1, -1, 5, -5, i64::MAX, i64::MIN, i64::MIN + 1] {
            let plain = if v < 0 {
                -Scalar::from(v.unsigned_abs())
            } else {
                Scalar::from(v.unsigned_abs())
            };
            assert_eq!(signed(v), plain, "{v}");
        }
    }

    #[test]
    fn tables_agree_with_the_pair() {
        let (v, s) = (Scalar::from(7u64), Scalar::from(9u64));
        assert_eq!(commit(&v, &s), pair().commit(v, s));
    }
}
