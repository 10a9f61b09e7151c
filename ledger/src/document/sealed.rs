//! Public-key encryption of documents: HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256),
//! HKDF-SHA256, ChaCha20-Poly1305, one message per key encapsulation.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use rand_core::{CryptoRng, RngCore};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};
use zkbureau_circuits::encoding::Document;

use crate::keys::SealingKey;

/// A message cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// The recipient's key is not a usable X25519 key.
    #[error("the recipient's sealing key is not valid")]
    Key,
    /// The message is for another key, another purpose, or was changed on the way.
    #[error("the sealed message is not for this key and purpose, or was changed on the way")]
    Open,
}

/// X25519 secret key that opens sealed messages.
#[derive(Clone, Zeroize, ZeroizeOnDrop, BorshSerialize, BorshDeserialize)]
pub struct SealingSecretKey([u8; 32]);

impl fmt::Debug for SealingSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingSecretKey(..)")
    }
}

impl SealingSecretKey {
    /// Draws a key.
    pub fn random<R: RngCore + CryptoRng>(rng: &mut R) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        Self(seed)
    }

    /// A key from 32 secret bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret bytes, for a vault.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> SealingKey {
        let (_, public) = X25519HkdfSha256::derive_keypair(&self.0);
        let bytes: [u8; 32] = public.to_bytes().into();
        SealingKey::from_bytes(&bytes).expect("a derived key is valid")
    }
}

/// Largest sealed message in bytes.
pub const MAX_SEALED: usize = 4 << 20;

/// An encrypted message.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Sealed {
    encapsulated: [u8; 32],
    ciphertext: Vec<u8>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.ciphertext.len())
    }
}

impl Document for Sealed {
    const NAME: &'static str = "zkbureau/sealed/v1";
    const MAX_BYTES: usize = MAX_SEALED;
}

impl Sealed {
    /// Encrypts `plaintext` to `recipient`. `purpose` and `context` must be the same on opening.
    ///
    /// # Errors
    /// [`SealError::Key`] when the recipient's key is of small order.
    pub fn seal<R: RngCore + CryptoRng>(
        recipient: &SealingKey,
        purpose: &str,
        context: &[u8],
        plaintext: &[u8],
        rng: &mut R,
    ) -> Result<Self, SealError> {
        let key = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(recipient.as_bytes())
            .map_err(|_| SealError::Key)?;
        let (encapsulated, ciphertext) =
            hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256, _>(
                &OpModeS::Base,
                &key,
                purpose.as_bytes(),
                plaintext,
                context,
                rng,
            )
            .map_err(|_| SealError::Key)?;
        Ok(Self {
            encapsulated: encapsulated.to_bytes().into(),
            ciphertext,
        })
    }

    /// Decrypts.
    ///
    /// # Errors
    /// [`SealError::Open`] when anything does not match.
    pub fn open(
        &self,
        secret: &SealingSecretKey,
        purpose: &str,
        context: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let (key, _) = X25519HkdfSha256::derive_keypair(&secret.0);
        let encapsulated =
            <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&self.encapsulated)
                .map_err(|_| SealError::Open)?;
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &key,
            &encapsulated,
            purpose.as_bytes(),
            &self.ciphertext,
            context,
        )
        .map_err(|_| SealError::Open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::OsRng;

    #[test]
    fn opens_only_for_its_key_purpose_and_context() {
        let secret = SealingSecretKey::random(&mut OsRng);
        let sealed =
            Sealed::seal(&secret.public(), "p", b"c", b"hello", &mut OsRng).expect("valid key");
        assert_eq!(sealed.open(&secret, "p", b"c").as_deref(), Ok(&b"hello"[..]));
        assert_eq!(sealed.open(&secret, "q", b"c"), Err(SealError::Open));
        assert_eq!(sealed.open(&secret, "p", b"d"), Err(SealError::Open));
        let other = SealingSecretKey::random(&mut OsRng);
        assert_eq!(sealed.open(&other, "p", b"c"), Err(SealError::Open));
        let bytes = sealed.to_bytes();
        for i in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 1;
            let opened = Sealed::from_bytes(&changed)
                .ok()
                .and_then(|s| s.open(&secret, "p", b"c").ok());
            assert_eq!(opened, None, "byte {i}");
        }
        assert!(SealingKey::from_bytes(&[0; 32]).is_err());
    }
}
