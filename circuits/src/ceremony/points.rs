//! Points of BN254 on the wire: compressed as arkworks does it, on their curve, in their group, and
//! never the identity.

use ark_bn254::{G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use borsh::{BorshDeserialize, BorshSerialize};

macro_rules! point_bytes {
    ($name:ident, $point:ty, $bytes:expr, $group:literal) => {
        #[doc = concat!("Bytes that claim to be a point of ", $group, "; [`Self::decode`] checks.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// Length of the encoding.
            pub const BYTES: usize = $bytes;

            /// The point; nothing when the bytes are no point, a point outside the group of prime
            /// order, the identity, or not canonical.
            #[must_use]
            pub fn decode(&self) -> Option<$point> {
                let point = <$point>::deserialize_compressed(&self.0[..]).ok()?;
                // Encoding again refuses whatever second encoding a decoder may take.
                (!point.is_zero() && Self::from(point) == *self).then_some(point)
            }
        }

        impl From<$point> for $name {
            fn from(point: $point) -> Self {
                let mut bytes = [0; $bytes];
                (point.serialize_compressed(&mut bytes[..])).expect("the array holds a point");
                Self(bytes)
            }
        }
    };
}

point_bytes!(G1Bytes, G1Affine, 32, "G1");
point_bytes!(G2Bytes, G2Affine, 64, "G2");
