//! Registering scorecards (spec: `ledger/spec/cards.md`).

use borsh::{BorshDeserialize, BorshSerialize};
use zkbureau_circuits::encoding::Digest32;
use zkbureau_circuits::scorecard::Card;
use zkbureau_params::domain;

use crate::ids::{AgencyId, ChainId};
use crate::keys::{SecretKey, Signature, SignatureError};

/// An agency puts a scorecard on the ledger, of its own or for a lender.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RegisterCard {
    /// Who registers it.
    pub agency: AgencyId,
    /// The card. Decoding validates it.
    pub card: Card,
    /// By the agency's validator key, over agency and the card's content hash.
    pub signature: Signature,
}

impl RegisterCard {
    /// Signs a registration.
    #[must_use]
    pub fn sign(chain: &ChainId, agency: AgencyId, card: Card, key: &SecretKey) -> Self {
        let hash = card.content_hash();
        let parts: [&[u8]; 2] = [&agency.0.to_le_bytes(), &hash];
        Self {
            signature: key.sign(domain::SIGN_CARD, chain, &parts),
            agency,
            card,
        }
    }

    /// Content hash of the card.
    #[must_use]
    pub fn card_hash(&self) -> Digest32 {
        self.card.content_hash()
    }

    /// Verifies the signature under the agency's validator key.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_signature(
        &self,
        chain: &ChainId,
        key: &crate::keys::PublicKey,
    ) -> Result<(), SignatureError> {
        let parts: [&[u8]; 2] = [&self.agency.0.to_le_bytes(), &self.card_hash()];
        key.verify(domain::SIGN_CARD, chain, &parts, &self.signature)
    }
}
