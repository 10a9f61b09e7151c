//! What a wallet sends to an agency, sealed to the agency's key.

use borsh::{BorshDeserialize, BorshSerialize};
use zkbureau_circuits::directory::{SubjectId, SubjectSecret};
use zkbureau_circuits::encoding::{Digest32, Document, hash_parts};
use zkbureau_circuits::ids::AgencyId;

use super::consent::ConsentView;
use super::enrolment::EnrolmentCertificate;
use super::request::{RequestTerms, request_digest};
use crate::AnchorId;
use crate::ids::{ChainId, Height, TimeMs};
use crate::keys::{SealingKey, SecretKey, Signature, SignatureError};

const ASK_DOMAIN: &str = "zkbureau/agency-ask-signature/v1";
/// Purpose string of asks sealed to an agency.
pub const ASK_SEAL: &str = "zkbureau/seal/agency-ask/v1";
/// Purpose string of an agency's replies sealed to a wallet.
pub const REPLY_SEAL: &str = "zkbureau/seal/agency-reply/v1";

/// Who asks: a certified key and the identifier behind the certificate.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct Identity {
    /// The certificate.
    pub certificate: EnrolmentCertificate,
    /// The identifier that the certificate commits to.
    pub subject: SubjectId,
    /// Salt of the certificate's commitment.
    pub salt: SubjectSecret,
}

/// What is asked.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub enum AskBody {
    /// Facts, under a consent and an inquiry.
    Facts(Box<FactsAsk>),
    /// The subject's own records.
    Report,
}

/// The facts of a request, and the right to them.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct FactsAsk {
    /// The agencies' part of the request.
    pub terms: RequestTerms,
    /// Hash of the other part.
    pub parties_digest: Digest32,
    /// The consent; lender and purpose hidden.
    pub consent: ConsentView,
    /// Which use of the consent this is, from 0.
    pub use_number: u32,
    /// Salt of the anchor's commitment.
    pub anchor_salt: [u8; 32],
    /// The anchor on the ledger.
    pub anchor_id: AnchorId,
    /// Nonce of the inquiry's digest.
    pub inquiry_nonce: [u8; 32],
    /// Height of the block that holds the inquiry. All agencies answer at this height.
    pub height: Height,
}

impl FactsAsk {
    /// Digest of the request that the terms belong to.
    #[must_use]
    pub fn request_digest(&self) -> Digest32 {
        request_digest(&self.terms, &self.parties_digest)
    }
}

/// A signed ask.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct AgencyAsk {
    /// The chain.
    pub chain: ChainId,
    /// The agency asked.
    pub agency: AgencyId,
    /// Who asks.
    pub identity: Identity,
    /// What.
    pub body: AskBody,
    /// A fresh key that the reply is sealed to.
    pub reply_key: SealingKey,
    /// When it was signed.
    pub time: TimeMs,
    /// By the subject's key.
    pub signature: Signature,
}

impl std::fmt::Debug for AgencyAsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AgencyAsk({})", self.agency)
    }
}

impl Document for AgencyAsk {
    const NAME: &'static str = "zkbureau/agency-ask/v1";
    const MAX_BYTES: usize = 128 * 1024;
}

impl AgencyAsk {
    /// Signs an ask.
    #[must_use]
    pub fn new(
        chain: ChainId,
        agency: AgencyId,
        identity: Identity,
        body: AskBody,
        reply_key: SealingKey,
        time: TimeMs,
        subject: &SecretKey,
    ) -> Self {
        let mut ask = Self {
            chain,
            agency,
            identity,
            body,
            reply_key,
            time,
            signature: Signature([0; 64]),
        };
        ask.signature = subject.sign(ASK_DOMAIN, &chain, &[&ask.signed()]);
        ask
    }

    /// Checks the signature under the certificate's key. The certificate is checked apart.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_signature(&self) -> Result<(), SignatureError> {
        self.identity.certificate.subject_key.verify(
            ASK_DOMAIN,
            &self.chain,
            &[&self.signed()],
            &self.signature,
        )
    }

    fn signed(&self) -> Digest32 {
        let unsigned = Self {
            signature: Signature([0; 64]),
            ..self.clone()
        };
        hash_parts(Self::NAME, &[&unsigned.to_bytes()])
    }
}
