//! What the wallet assembles for the lender: verdicts with everything needed to check them from
//! the genesis file alone.

use std::io::Read;

use borsh::{BorshDeserialize, BorshSerialize};
use zkbureau_circuits::directory::SubjectSecret;
use zkbureau_circuits::encoding::{Digest32, Document, hash_parts};
use zkbureau_circuits::fact::{MAX_AGENCIES, MAX_FACTS, Verdict, VerdictProof};
use zkbureau_circuits::scorecard::{MAX_SCORES, ScoreVerdict, VerifyingKey};

use super::bounded::bounded;
use super::consent::ConsentView;
use super::enrolment::EnrolmentCertificate;
use super::evidence::AgencyEvidence;
use super::sealed::{MAX_SEALED, Sealed};
use crate::{AnchorId, RegistryProof, Roots, SignedHeader};

/// Purpose string of answers sealed to a lender.
pub const ANSWER_SEAL: &str = "zkbureau/seal/fact-answer/v1";

/// An answer on its way to the lender.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FactAnswer {
    /// The request it answers.
    pub request: Digest32,
    /// The [`AnswerBody`], sealed to the request's `lender_sealing_key` with the request's digest
    /// as context.
    pub sealed: Sealed,
}

impl Document for FactAnswer {
    const NAME: &'static str = "zkbureau/fact-answer/v1";
    const MAX_BYTES: usize = 32 + MAX_SEALED;
}

/// The state that an answer speaks about.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StateEvidence {
    /// The header of the inquiry's block, with its certificate.
    pub header: SignedHeader,
    /// The tree roots under the header's state root.
    pub roots: Roots,
    /// The consortium: agencies with their keys, issuers.
    pub consortium: RegistryProof,
    /// The columns of all agencies, with their periods.
    pub columns: RegistryProof,
    /// The anchor, consumed by the inquiry.
    pub anchor: RegistryProof,
    /// The cards of the request, in its order, as they are registered.
    #[borsh(deserialize_with = "bounded::<_, _, MAX_SCORES>")]
    pub cards: Vec<RegistryProof>,
}

/// The right to the answer.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct AuthorityEvidence {
    /// The subject's certificate.
    pub certificate: EnrolmentCertificate,
    /// Salt of its commitment; the lender knows the identifier.
    pub subject_salt: SubjectSecret,
    /// The consent, every field shown.
    pub consent: ConsentView,
    /// Which use of the consent this is.
    pub use_number: u32,
    /// Salt of the anchor's commitment.
    pub anchor_salt: [u8; 32],
    /// The anchor.
    pub anchor_id: AnchorId,
    /// Nonce of the inquiry's digest.
    pub inquiry_nonce: [u8; 32],
}

impl std::fmt::Debug for AuthorityEvidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthorityEvidence(..)")
    }
}

/// The inside of a [`FactAnswer`].
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub struct AnswerBody {
    /// The ledger's part.
    pub state: StateEvidence,
    /// The borrower's part.
    pub authority: AuthorityEvidence,
    /// The agencies' parts, in the order of the request; an agency that did not answer is missing.
    #[borsh(deserialize_with = "bounded::<_, _, MAX_AGENCIES>")]
    pub agencies: Vec<AgencyEvidence>,
    /// One verdict per fact.
    #[borsh(deserialize_with = "bounded::<_, _, MAX_FACTS>")]
    pub verdicts: Vec<Verdict>,
    /// Their proof.
    pub proof: VerdictProof,
    /// One verdict per score, each with its proof.
    #[borsh(deserialize_with = "bounded::<_, _, MAX_SCORES>")]
    pub scores: Vec<ScoreVerdict>,
    /// The verifying key of the scores' proofs, if there are any, with its origin. The ledger names it
    /// by its hash.
    pub score_key: Option<ScoreKeyBytes>,
}

/// The file of a verifying key: the key and its origin.
#[derive(Clone, PartialEq, Eq, BorshSerialize)]
pub struct ScoreKeyBytes(pub Vec<u8>);

impl std::fmt::Debug for ScoreKeyBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScoreKeyBytes({} bytes)", self.0.len())
    }
}

impl BorshDeserialize for ScoreKeyBytes {
    fn deserialize_reader<R: Read>(reader: &mut R) -> std::io::Result<Self> {
        bounded::<_, _, { VerifyingKey::MAX_BYTES }>(reader).map(Self)
    }
}

impl Document for AnswerBody {
    const NAME: &'static str = "zkbureau/answer-body/v1";
    const MAX_BYTES: usize = 1 << 22;
}

/// What the verdicts' proof is bound to: request, header, anchor and the evidence of every agency.
#[must_use]
pub fn verdict_context(
    request: &Digest32,
    header_hash: &Digest32,
    anchor: &AnchorId,
    agencies: &[AgencyEvidence],
) -> Digest32 {
    let evidence = borsh::to_vec(agencies).expect("encoding into memory");
    hash_parts(
        "zkbureau/verdict-context/v1",
        &[request, header_hash, &anchor.0, &evidence],
    )
}
