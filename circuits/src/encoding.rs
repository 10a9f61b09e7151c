//! Canonical encodings (spec: `circuits/spec/encoding.md`).
//!
//! The body of every type is its [borsh](https://borsh.io) encoding, which is canonical: one value
//! has one encoding, and trailing bytes are refused. A [`Document`] puts a version byte in front
//! and bounds the whole. The same bytes are hashed, signed, stored and sent.

use std::fmt;
use std::io::{Error, ErrorKind, Read, Write};

use borsh::{BorshDeserialize, BorshSerialize};
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::error::DecodeError;

/// A SHA-256 digest.
pub type Digest32 = [u8; 32];

/// SHA-256 over a domain string and length-prefixed parts, so that no two lists of parts collide.
#[must_use]
pub fn hash_parts(domain: &str, parts: &[&[u8]]) -> Digest32 {
    let mut hasher = Sha256::new();
    hasher.update((domain.len() as u64).to_le_bytes());
    hasher.update(domain.as_bytes());
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// A type with a versioned, bounded, canonical encoding.
pub trait Document: BorshSerialize + BorshDeserialize {
    /// What errors and hashes call this type; a domain string such as `zkbureau/consent/v1`.
    const NAME: &'static str;
    /// The version byte that starts the encoding.
    const VERSION: u8 = 1;
    /// Largest encoding in bytes, version byte included.
    const MAX_BYTES: usize;

    /// The canonical bytes: version byte, then the body.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![Self::VERSION];
        // Writing into a Vec cannot fail.
        self.serialize(&mut out).expect("encoding into memory");
        out
    }

    /// Decodes canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`] when the input is too long, of another version, truncated, not canonical or
    /// has trailing bytes.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(DecodeError::TooLong {
                what: Self::NAME,
                limit: Self::MAX_BYTES,
                got: bytes.len(),
            });
        }
        let malformed = |reason: String| DecodeError::Malformed {
            what: Self::NAME,
            reason,
        };
        let (version, body) = bytes
            .split_first()
            .ok_or_else(|| malformed("empty input".into()))?;
        if *version != Self::VERSION {
            return Err(DecodeError::Version {
                what: Self::NAME,
                expected: Self::VERSION,
                got: *version,
            });
        }
        Self::try_from_slice(body).map_err(|e| malformed(e.to_string()))
    }

    /// SHA-256 of the name and the canonical bytes.
    fn digest(&self) -> Digest32 {
        hash_parts(Self::NAME, &[&self.to_bytes()])
    }
}

/// 32 bytes that claim to encode a ristretto255 element. Decoding the bytes into this type does
/// not check the claim (it costs 3 µs and is done in parallel by verifiers); [`Self::decode`] does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct PointBytes(pub [u8; 32]);

impl PointBytes {
    /// The encoding of the identity.
    pub const IDENTITY: Self = Self([0; 32]);

    /// Decodes the element.
    ///
    /// # Errors
    /// [`DecodeError::Point`] when the bytes are not canonical.
    pub fn decode(&self) -> Result<RistrettoPoint, DecodeError> {
        CompressedRistretto(self.0)
            .decompress()
            .ok_or(DecodeError::Point)
    }

    /// Whether this encodes the identity.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        CompressedRistretto(self.0) == CompressedRistretto::identity()
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<RistrettoPoint> for PointBytes {
    fn from(point: RistrettoPoint) -> Self {
        Self(point.compress().0)
    }
}

impl From<CompressedRistretto> for PointBytes {
    fn from(point: CompressedRistretto) -> Self {
        Self(point.0)
    }
}

impl fmt::Debug for PointBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PointBytes({})", hex::encode(self.0))
    }
}

impl Serialize for PointBytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for PointBytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        hex::serde::deserialize(d).map(Self)
    }
}

/// A scalar modulo ℓ on the wire. Only canonical encodings decode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ScalarBytes(pub Scalar);

impl fmt::Debug for ScalarBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Responses are public, but the same type may carry an opening; never print it.
        f.write_str("ScalarBytes(..)")
    }
}

impl BorshSerialize for ScalarBytes {
    fn serialize<W: Write>(&self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(self.0.as_bytes())
    }
}

impl BorshDeserialize for ScalarBytes {
    fn deserialize_reader<R: Read>(reader: &mut R) -> std::io::Result<Self> {
        let bytes = <[u8; 32]>::deserialize_reader(reader)?;
        Option::<Scalar>::from(Scalar::from_canonical_bytes(bytes))
            .map(Self)
            .ok_or_else(|| Error::new(ErrorKind::InvalidData, "scalar is not reduced modulo ℓ"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, BorshSerialize, BorshDeserialize)]
    struct Sample {
        point: PointBytes,
        scalar: ScalarBytes,
        list: Vec<u16>,
    }

    impl Document for Sample {
        const NAME: &'static str = "zkbureau/test-sample/v1";
        const MAX_BYTES: usize = 128;
    }

    fn sample() -> Sample {
        Sample {
            point: PointBytes::IDENTITY,
            scalar: ScalarBytes(Scalar::from(7u64)),
            list: vec![1, 2, 3],
        }
    }

    #[test]
    fn round_trip_and_refusals() {
        let bytes = sample().to_bytes();
        assert_eq!(Sample::from_bytes(&bytes), Ok(sample()));
        for cut in 0..bytes.len() {
            assert!(Sample::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(Sample::from_bytes(&longer).is_err());
        let mut version = bytes.clone();
        version[0] = 2;
        assert!(matches!(
            Sample::from_bytes(&version),
            Err(DecodeError::Version { got: 2, .. })
        ));
        assert!(matches!(
            Sample::from_bytes(&[1; 129]),
            Err(DecodeError::TooLong { got: 129, .. })
        ));
        let mut not_reduced = bytes;
        not_reduced[33..65].fill(0xff);
        assert!(Sample::from_bytes(&not_reduced).is_err());
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(
            hash_parts("d", &[b"ab", b"c"]),
            hash_parts("d", &[b"a", b"bc"])
        );
        assert_ne!(hash_parts("d", &[]), hash_parts("d", &[b""]));
    }
}
