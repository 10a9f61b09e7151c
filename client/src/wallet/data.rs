//! What a wallet's file holds, before encryption.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use zeroize::{Zeroize, ZeroizeOnDrop};
use zkbureau_circuits::directory::{SubjectId, SubjectSecret};
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::fact::Verdict;
use zkbureau_ledger::document::consent::Consent;
use zkbureau_ledger::document::enrolment::EnrolmentCertificate;
use zkbureau_ledger::document::request::FactRequest;
use zkbureau_ledger::genesis::Genesis;
use zkbureau_ledger::ids::{Height, TimeMs};
use zkbureau_ledger::keys::SecretKey;
use zkbureau_ledger::transaction::AnchorConsent;

use super::file::MAX_PLAIN;
use crate::chain::Learnt;

/// Seed of a signing key.
#[derive(Clone, Zeroize, ZeroizeOnDrop, BorshSerialize, BorshDeserialize)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The seed of a key.
    #[must_use]
    pub fn of(key: &SecretKey) -> Self {
        Self(*key.to_seed())
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> SecretKey {
        SecretKey::from_seed(&self.0)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// Everything in a wallet.
#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct WalletData {
    pub(super) genesis: Genesis,
    pub(super) learnt: Learnt,
    pub(super) person: SubjectId,
    pub(super) person_salt: SubjectSecret,
    pub(super) key: Seed,
    pub(super) certificate: Option<EnrolmentCertificate>,
    pub(super) consents: Vec<ConsentRecord>,
    pub(super) inquiries: Vec<InquiryRecord>,
}

impl Document for WalletData {
    const NAME: &'static str = "zkbureau/wallet-data/v1";
    const MAX_BYTES: usize = MAX_PLAIN;
}

/// A consent and its anchors.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub struct ConsentRecord {
    /// The consent.
    pub consent: Consent,
    /// The lender's name, for lists; the consent itself names its key.
    pub lender_name: String,
    /// One anchor per use, by use number.
    pub anchors: Vec<AnchorRecord>,
    /// When the person revoked it.
    pub revoked: Option<TimeMs>,
}

impl ConsentRecord {
    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> &[u8; 16] {
        &self.consent.fields.consent_id
    }

    /// The number of the first use that is on the ledger and not taken.
    #[must_use]
    pub fn free_use(&self) -> Option<u32> {
        let position = self
            .anchors
            .iter()
            .position(|a| matches!(a.state, AnchorUse::Anchored(_)))?;
        u32::try_from(position).ok()
    }

    /// Whether some of its anchors have not reached the ledger, as far as the wallet knows.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.anchors.iter().any(|a| a.state == AnchorUse::Prepared)
    }
}

/// One anchor with the keys that only the wallet has.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub struct AnchorRecord {
    /// The anchor.
    pub anchor: AnchorConsent,
    /// Signs the inquiry.
    pub use_key: Seed,
    /// Signs the revocation.
    pub revocation_key: Seed,
    /// How far it has come.
    pub state: AnchorUse,
}

/// How far an anchor has come, as the wallet knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum AnchorUse {
    /// Made, maybe handed to a node.
    Prepared,
    /// On the ledger at this height.
    Anchored(Height),
    /// An inquiry was signed with its key.
    Used,
    /// Revoked on the ledger at this height.
    Revoked(Height),
}

/// One inquiry.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub struct InquiryRecord {
    /// The request.
    pub request: FactRequest,
    /// Under which consent.
    pub consent_id: [u8; 16],
    /// Which use of it.
    pub use_number: u32,
    /// Nonce of its digest.
    pub nonce: [u8; 32],
    /// When the wallet signed it.
    pub made: TimeMs,
    /// Its block.
    pub height: Option<Height>,
    /// What came of it.
    pub outcome: Option<Outcome>,
}

/// What came of an inquiry.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Outcome {
    /// An answer with these verdicts was made.
    Answered(Vec<Verdict>),
    /// The ledger refused the inquiry.
    RefusedByLedger(String),
}
