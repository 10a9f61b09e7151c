//! What an agency gives to a wallet: evidence that goes on to the lender, and openings that stay.

use borsh::{BorshDeserialize, BorshSerialize};
use zkbureau_circuits::directory::VrfProof;
use zkbureau_circuits::encoding::{Digest32, Document, hash_parts};
use zkbureau_circuits::fact::{FormOpening, Images, MAX_FORMS};
use zkbureau_circuits::ids::AgencyId;

use super::bounded::bounded;
use crate::ids::{ChainId, Height};
use crate::{AnchorId, LeafProof, LogSuffix};

/// Most directory keys an agency may have had.
pub const MAX_VRF_KEYS: usize = 16;

/// Evidence about one subject at one agency at one height. The lender checks all of it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AgencyEvidence {
    /// The agency.
    pub agency: AgencyId,
    /// Under every directory key the agency ever had, in the order of the ledger: the index, and
    /// what the tree holds there.
    #[borsh(deserialize_with = "bounded::<_, _, MAX_VRF_KEYS>")]
    pub directory: Vec<DirectoryEvidence>,
    /// The part of the log that the facts need; absent when none needs it or there is no record.
    pub log: Option<LogSuffix>,
    /// The forms' commitments and their proof; absent when no form can be evaluated here.
    pub images: Option<Images>,
}

/// Where a subject stands in an agency's directory under one key.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DirectoryEvidence {
    /// Proof of the subject's index.
    pub vrf: VrfProof,
    /// The leaf at that index, or proof that there is none.
    pub leaf: LeafProof,
}

/// What a linear image proof is bound to.
#[must_use]
pub fn image_context(
    chain: &ChainId,
    request: &Digest32,
    anchor: &AnchorId,
    height: Height,
    agency: AgencyId,
) -> Digest32 {
    hash_parts(
        "zkbureau/image-context/v1",
        &[
            chain.as_bytes(),
            request,
            &anchor.0,
            &height.0.to_le_bytes(),
            &agency.0.to_le_bytes(),
        ],
    )
}

/// An agency's reply to a fact ask. Travels sealed to the wallet.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct AgencyAnswer {
    /// Goes on to the lender.
    pub evidence: AgencyEvidence,
    /// One per image, in order. Stays in the wallet.
    #[borsh(deserialize_with = "bounded::<_, _, MAX_FORMS>")]
    pub openings: Vec<FormOpening>,
}

impl std::fmt::Debug for AgencyAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AgencyAnswer({})", self.evidence.agency)
    }
}

impl Document for AgencyAnswer {
    const NAME: &'static str = "zkbureau/agency-answer/v1";
    const MAX_BYTES: usize = 1 << 20;
}
