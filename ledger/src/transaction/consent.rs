//! Consents on the ledger (spec: `ledger/spec/transactions.md`, "Consents").
//!
//! One anchor stands for one use of one consent. Nothing links anchors to each other or to a
//! person: the commitment is salted and both keys are fresh. Nobody signs for an anchor, because a
//! signature would be a link; what bounds a flood is a limit per block.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use zkbureau_circuits::encoding::{Digest32, Document, hash_parts};
use zkbureau_params::domain;

use crate::ids::{AnchorId, ChainId, Day};
use crate::keys::{PublicKey, SecretKey, Signature, SignatureError};

/// One use of a consent, anchored.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct AnchorConsent {
    /// [`AnchorConsent::commitment`].
    #[serde(with = "hex::serde")]
    pub commitment: Digest32,
    /// Signs the inquiry.
    pub use_key: PublicKey,
    /// Signs the revocation.
    pub revocation_key: PublicKey,
    /// The last day on which an inquiry may be made.
    pub expiry: Day,
}

impl Document for AnchorConsent {
    const NAME: &'static str = "zkbureau/anchor/v1";
    const MAX_BYTES: usize = 128;
}

impl AnchorConsent {
    /// `SHA-256(document ‖ use number ‖ salt)`: opened towards agencies and the lender only.
    #[must_use]
    pub fn commitment(document: &Digest32, use_number: u32, salt: &[u8; 32]) -> Digest32 {
        hash_parts(
            domain::ANCHOR_COMMITMENT,
            &[document, &use_number.to_le_bytes(), salt],
        )
    }

    /// The anchor's identifier: the hash of the whole anchor.
    #[must_use]
    pub fn id(&self) -> AnchorId {
        AnchorId(self.digest())
    }
}

/// An anchor may no longer be used, or its answer no longer be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RevokeConsent {
    /// The anchor.
    pub anchor: AnchorId,
    /// By the anchor's revocation key.
    pub signature: Signature,
}

impl RevokeConsent {
    /// Signs a revocation.
    #[must_use]
    pub fn sign(chain: &ChainId, anchor: AnchorId, key: &SecretKey) -> Self {
        Self {
            anchor,
            signature: key.sign(domain::SIGN_REVOCATION, chain, &[anchor.as_bytes()]),
        }
    }

    /// Verifies the signature under the anchor's revocation key.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_signature(&self, chain: &ChainId, key: &PublicKey) -> Result<(), SignatureError> {
        key.verify(
            domain::SIGN_REVOCATION,
            chain,
            &[self.anchor.as_bytes()],
            &self.signature,
        )
    }
}

/// An anchor is used: from this block on agencies answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Inquiry {
    /// The anchor.
    pub anchor: AnchorId,
    /// [`Inquiry::digest`] of what is asked.
    pub digest: Digest32,
    /// By the anchor's use key.
    pub signature: Signature,
}

impl Inquiry {
    /// `SHA-256(request ‖ nonce)`: opened towards agencies and the lender only.
    #[must_use]
    pub fn digest(request: &Digest32, nonce: &[u8; 32]) -> Digest32 {
        hash_parts(domain::INQUIRY, &[request, nonce])
    }

    /// Signs an inquiry.
    #[must_use]
    pub fn sign(chain: &ChainId, anchor: AnchorId, digest: Digest32, key: &SecretKey) -> Self {
        Self {
            anchor,
            digest,
            signature: key.sign(domain::SIGN_INQUIRY, chain, &[anchor.as_bytes(), &digest]),
        }
    }

    /// Verifies the signature under the anchor's use key.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_signature(&self, chain: &ChainId, key: &PublicKey) -> Result<(), SignatureError> {
        key.verify(
            domain::SIGN_INQUIRY,
            chain,
            &[self.anchor.as_bytes(), &self.digest],
            &self.signature,
        )
    }
}
