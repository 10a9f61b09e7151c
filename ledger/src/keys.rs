//! Keys and signatures (spec: `ledger/spec/transactions.md`).
//!
//! Whatever is signed anywhere in zkBureau has the form `domain ‖ chain id ‖ parts`, each with its
//! length in front ([`signed_bytes`]), so that no signature can be read as one over something else
//! or for another chain.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::ids::ChainId;

/// The bytes under a signature: domain string, chain id and parts, each with its length in front
/// as 8 bytes, little endian.
#[must_use]
pub fn signed_bytes(domain: &str, chain: &ChainId, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(
        16 + domain.len() + 32 + parts.iter().map(|p| p.len() + 8).sum::<usize>(),
    );
    for part in [domain.as_bytes(), chain.as_bytes()]
        .iter()
        .chain(parts.iter())
    {
        out.extend_from_slice(&(part.len() as u64).to_le_bytes());
        out.extend_from_slice(part);
    }
    out
}

/// Bytes are not a key that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not the canonical encoding of a point.
    #[error("not the canonical encoding of a public key")]
    Encoding,
    /// A point of small order: signatures or secrets under it mean nothing.
    #[error("a weak key: its point has small order")]
    Weak,
}

/// A signature does not verify. It says nothing more on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the signature does not verify")]
pub struct SignatureError;

/// An Ed25519 public key: canonical, not weak.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Accepts a public key.
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are no canonical point or one of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Encoding)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::Encoding);
        }
        Ok(Self(*bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Verifies a signature over `domain ‖ chain ‖ parts`, with the strict rules that leave one
    /// signature one meaning.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(
        &self,
        domain: &str,
        chain: &ChainId,
        parts: &[&[u8]],
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| SignatureError)?;
        key.verify_strict(
            &signed_bytes(domain, chain, parts),
            &ed25519_dalek::Signature::from_bytes(&signature.0),
        )
        .map_err(|_| SignatureError)
    }
}

/// An X25519 public key that secrets are sealed to: not of small order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct SealingKey([u8; 32]);

impl SealingKey {
    /// Accepts a public key.
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are not reduced or the point has small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        // Canonical: below 2^255 - 19, most significant bit clear.
        let largest = {
            let mut p = [0xff; 32];
            (p[0], p[31]) = (0xec, 0x7f);
            p
        };
        if bytes.iter().rev().gt(largest.iter().rev()) {
            return Err(KeyError::Encoding);
        }
        // Any clamped scalar is a multiple of 8 and so takes every point of small order to zero.
        let shared = x25519_dalek::x25519([1; 32], *bytes);
        if shared == [0; 32] {
            return Err(KeyError::Weak);
        }
        Ok(Self(*bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Encodings shared by both kinds of public key.
macro_rules! public_key {
    ($name:ident) => {
        impl BorshDeserialize for $name {
            fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
                Self::from_bytes(&<[u8; 32]>::deserialize_reader(reader)?)
                    .map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&hex::encode(self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let bytes: [u8; 32] = hex::serde::deserialize(d)?;
                Self::from_bytes(&bytes).map_err(serde::de::Error::custom)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

public_key!(PublicKey);
public_key!(SealingKey);

/// An Ed25519 signing key. Erased when dropped.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Draws a key.
    pub fn random<R: RngCore + CryptoRng>(rng: &mut R) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self::from_seed(&seed)
    }

    /// The key of a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed, for a vault.
    #[must_use]
    pub fn to_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `domain ‖ chain ‖ parts`.
    #[must_use]
    pub fn sign(&self, domain: &str, chain: &ChainId, parts: &[&[u8]]) -> Signature {
        Signature(self.0.sign(&signed_bytes(domain, chain, parts)).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", hex::encode(self.0))
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        hex::serde::deserialize(d).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(byte: u8) -> ChainId {
        ChainId([byte; 32])
    }

    #[test]
    fn a_signature_holds_for_its_domain_chain_and_parts_only() {
        let key = SecretKey::from_seed(&[7; 32]);
        let public = key.public();
        assert_eq!(PublicKey::from_bytes(public.as_bytes()), Ok(public));
        let signature = key.sign("d", &chain(1), &[b"ab", b"c"]);
        let ok =
            |d: &str, c: u8, parts: &[&[u8]], s: &Signature| public.verify(d, &chain(c), parts, s);
        assert_eq!(ok("d", 1, &[b"ab", b"c"], &signature), Ok(()));
        assert_eq!(ok("e", 1, &[b"ab", b"c"], &signature), Err(SignatureError));
        assert_eq!(ok("d", 2, &[b"ab", b"c"], &signature), Err(SignatureError));
        assert_eq!(ok("d", 1, &[b"a", b"bc"], &signature), Err(SignatureError));
        assert_eq!(ok("d", 1, &[b"abc"], &signature), Err(SignatureError));
        for bit in 0..512 {
            let mut bad = signature;
            bad.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                ok("d", 1, &[b"ab", b"c"], &bad),
                Err(SignatureError),
                "{bit}"
            );
        }
        let other = SecretKey::from_seed(&[8; 32]).public();
        assert!(
            other
                .verify("d", &chain(1), &[b"ab", b"c"], &signature)
                .is_err()
        );
    }

    #[test]
    fn weak_and_non_canonical_keys_are_refused() {
        // The identity (y = 1), the point of order 2 (y = -1) and one of order 4 (y = 0).
        let mut one = [0; 32];
        one[0] = 1;
        let mut minus_one = [0xff; 32];
        (minus_one[0], minus_one[31]) = (0xec, 0x7f);
        for weak in [one, minus_one, [0; 32]] {
            assert_eq!(PublicKey::from_bytes(&weak), Err(KeyError::Weak));
        }
        // y = p + 3 encodes y = 3 a second time, should 3 be on the curve; it must not get in.
        for low in 0xed..=0xffu8 {
            let mut above = [0xff; 32];
            (above[0], above[31]) = (low, 0x7f);
            assert!(PublicKey::from_bytes(&above).is_err(), "{low}");
            assert_eq!(SealingKey::from_bytes(&above), Err(KeyError::Encoding));
        }
        assert_eq!(SealingKey::from_bytes(&[0; 32]), Err(KeyError::Weak));
        assert_eq!(SealingKey::from_bytes(&one), Err(KeyError::Weak));
        assert_eq!(SealingKey::from_bytes(&minus_one), Err(KeyError::Weak));
        let mut nine = [0; 32];
        nine[0] = 9;
        assert!(SealingKey::from_bytes(&nine).is_ok());
    }

    #[test]
    fn secrets_do_not_print() {
        let text = format!("{:?}", SecretKey::from_seed(&[0x5a; 32]));
        assert_eq!(text, "SecretKey(..)");
    }
}
