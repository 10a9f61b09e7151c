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
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};
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
pub const MAX_SEALED: usize = (4 << 20) + (128 << 10);

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
        let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&self.encapsulated)
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

impl Sealed {
    /// Like [`Self::seal`], and the ciphertext's length says only in which step it lies: replies
    /// of agencies would otherwise tell whoever carries them who holds a record.
    ///
    /// # Errors
    /// [`SealError::Key`] when the recipient's key is of small order.
    pub fn seal_padded<R: RngCore + CryptoRng>(
        recipient: &SealingKey,
        purpose: &str,
        context: &[u8],
        plaintext: &[u8],
        rng: &mut R,
    ) -> Result<Self, SealError> {
        let mut padded = Zeroizing::new(vec![0; padded_len(plaintext.len())]);
        let (length, rest) = padded.split_at_mut(LENGTH_BYTES);
        length.copy_from_slice(&(plaintext.len() as u64).to_le_bytes());
        rest[..plaintext.len()].copy_from_slice(plaintext);
        Self::seal(recipient, purpose, context, &padded, rng)
    }

    /// Decrypts what [`Self::seal_padded`] made.
    ///
    /// # Errors
    /// [`SealError::Open`] when anything does not match, the padding included.
    pub fn open_padded(
        &self,
        secret: &SealingSecretKey,
        purpose: &str,
        context: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let mut padded = self.open(secret, purpose, context)?;
        let (length, _) = padded
            .split_first_chunk::<LENGTH_BYTES>()
            .ok_or(SealError::Open)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| SealError::Open)?;
        let canonical = length <= padded.len() - LENGTH_BYTES
            && padded_len(length) == padded.len()
            && padded[LENGTH_BYTES + length..].iter().all(|b| *b == 0);
        if !canonical {
            return Err(SealError::Open);
        }
        padded.truncate(LENGTH_BYTES + length);
        padded.drain(..LENGTH_BYTES);
        Ok(padded)
    }
}

/// Bytes of the length before a padded message.
const LENGTH_BYTES: usize = 8;
/// Smallest padded message: an answer to three facts, with or without a record, fits.
const MIN_PADDED: usize = 8 * 1024;
/// Up to here a padded message is a power of two long, beyond it a multiple of this.
const PAD_STEP: usize = 64 * 1024;

/// Length of a message of `length` bytes with its padding.
#[must_use]
pub fn padded_len(length: usize) -> usize {
    let length = length.saturating_add(LENGTH_BYTES).max(MIN_PADDED);
    if length <= PAD_STEP {
        length.next_power_of_two()
    } else {
        length.div_ceil(PAD_STEP).saturating_mul(PAD_STEP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::OsRng;

    #[test]
    fn padding_hides_the_length_and_is_canonical() {
        let secret = SealingSecretKey::random(&mut OsRng);
        let seal = |length: usize| {
            let message = vec![7; length];
            let sealed = Sealed::seal_padded(&secret.public(), "p", b"c", &message, &mut OsRng)
                .expect("key");
            assert_eq!(sealed.open_padded(&secret, "p", b"c"), Ok(message));
            sealed.to_bytes().len()
        };
        assert_eq!(seal(0), seal(8 * 1024 - 8));
        assert!(seal(0) < seal(8 * 1024 - 7));
        assert_eq!(seal(64 * 1024 - 7), seal(128 * 1024 - 8));
        // A longer padding, a length beyond the end, a byte in the padding.
        let mut wrong = vec![
            vec![0; 16 * 1024],
            vec![0; 8 * 1024],
            vec![0; 8 * 1024],
            vec![0; 4],
        ];
        wrong[1][..8].copy_from_slice(&u64::MAX.to_le_bytes());
        wrong[2][8 * 1024 - 1] = 1;
        for plain in wrong {
            let sealed =
                Sealed::seal(&secret.public(), "p", b"c", &plain, &mut OsRng).expect("key");
            assert_eq!(sealed.open_padded(&secret, "p", b"c"), Err(SealError::Open));
        }
    }

    #[test]
    fn opens_only_for_its_key_purpose_and_context() {
        let secret = SealingSecretKey::random(&mut OsRng);
        let sealed =
            Sealed::seal(&secret.public(), "p", b"c", b"hello", &mut OsRng).expect("valid key");
        assert_eq!(
            sealed.open(&secret, "p", b"c").as_deref(),
            Ok(&b"hello"[..])
        );
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
