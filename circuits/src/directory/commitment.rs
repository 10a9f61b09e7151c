//! Commitments to subject identifiers, as enrolment certificates carry them
//! (spec: `circuits/spec/directory.md`).

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};
use zkbureau_params::domain;

use super::SubjectId;
use crate::encoding::hash_parts;
use crate::error::VerifyError;

/// The salt that hides an identifier in its commitment. Identifiers are guessable, so whoever has
/// commitment and salt has the person; keep it like the identifier itself.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, BorshSerialize, BorshDeserialize)]
pub struct SubjectSecret([u8; 32]);

impl SubjectSecret {
    /// Draws a salt.
    pub fn random<R: RngCore + CryptoRng>(rng: &mut R) -> Self {
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        Self(salt)
    }

    /// A salt from bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SubjectSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectSecret(..)")
    }
}

/// `SHA-256(domain ‖ canonical subject id ‖ salt)`, every part with its length in front.
#[derive(Clone, Copy, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct SubjectCommitment(pub [u8; 32]);

impl SubjectCommitment {
    /// Commits to an identifier.
    #[must_use]
    pub fn commit(subject: &SubjectId, secret: &SubjectSecret) -> Self {
        Self(hash_parts(
            domain::SUBJECT,
            &[&subject.canonical(), &secret.0],
        ))
    }

    /// Checks an opening.
    ///
    /// # Errors
    /// [`VerifyError`] when identifier and salt do not open this commitment.
    pub fn verify(&self, subject: &SubjectId, secret: &SubjectSecret) -> Result<(), VerifyError> {
        if bool::from(Self::commit(subject, secret).0.ct_eq(&self.0)) {
            Ok(())
        } else {
            Err(VerifyError)
        }
    }
}

impl fmt::Debug for SubjectCommitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectCommitment({})", hex::encode(self.0))
    }
}

impl Serialize for SubjectCommitment {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for SubjectCommitment {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        hex::serde::deserialize(d).map(Self)
    }
}
