//! Openings of column totals for regulators. The request is a ledger transaction; this is how its
//! answer is fetched and what it holds.

use borsh::{BorshDeserialize, BorshSerialize};
use zkbureau_circuits::audit::{ColumnProof, Total};
use zkbureau_circuits::encoding::{Digest32, Document, hash_parts};
use zkbureau_circuits::ids::AgencyId;

use crate::AuditId;
use crate::ids::{ChainId, Height};
use crate::keys::{PublicKey, SealingKey, SecretKey, Signature, SignatureError};

const AUDIT_DOMAIN: &str = "zkbureau/audit-ask-signature/v1";
/// Purpose string of audit answers sealed to an auditor.
pub const AUDIT_SEAL: &str = "zkbureau/seal/audit-answer/v1";

/// An auditor fetches the answer to an audit request on the ledger.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub struct AuditAsk {
    /// The chain.
    pub chain: ChainId,
    /// The agency asked.
    pub agency: AgencyId,
    /// Identifier of the audit request on the ledger.
    pub audit: AuditId,
    /// A fresh key that the answer is sealed to.
    pub reply_key: SealingKey,
    /// By the auditor's key.
    pub signature: Signature,
}

impl Document for AuditAsk {
    const NAME: &'static str = "zkbureau/audit-ask/v1";
    const MAX_BYTES: usize = 512;
}

impl AuditAsk {
    /// Signs an ask.
    #[must_use]
    pub fn new(
        chain: ChainId,
        agency: AgencyId,
        audit: AuditId,
        reply_key: SealingKey,
        auditor: &SecretKey,
    ) -> Self {
        let mut ask = Self {
            chain,
            agency,
            audit,
            reply_key,
            signature: Signature([0; 64]),
        };
        ask.signature = auditor.sign(AUDIT_DOMAIN, &chain, &[&ask.signed()]);
        ask
    }

    /// Checks the signature under the auditor's key.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, auditor: &PublicKey) -> Result<(), SignatureError> {
        auditor.verify(
            AUDIT_DOMAIN,
            &self.chain,
            &[&self.signed()],
            &self.signature,
        )
    }

    fn signed(&self) -> Digest32 {
        hash_parts(
            Self::NAME,
            &[
                &self.agency.0.to_le_bytes(),
                &self.audit.0,
                self.reply_key.as_bytes(),
            ],
        )
    }
}

/// What binds a column opening to its audit: the opening's transcript starts with this.
#[must_use]
pub fn audit_context(
    chain: &ChainId,
    audit: &AuditId,
    agency: AgencyId,
    height: Height,
) -> Digest32 {
    hash_parts(
        "zkbureau/audit-context/v1",
        &[
            chain.as_bytes(),
            &audit.0,
            &agency.0.to_le_bytes(),
            &height.0.to_le_bytes(),
        ],
    )
}

/// Totals of one class at one agency, with their proof. The verifier takes the column and the
/// number of leaves from the ledger at the audit's height.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ColumnAnswer {
    /// `false` for stocks, `true` for flows.
    pub flows: bool,
    /// Real totals; attributes in ascending order of their position.
    pub totals: Vec<Total>,
    /// The proof.
    pub proof: ColumnProof,
}

/// One agency's answer to an audit.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AuditAnswer {
    /// The agency.
    pub agency: AgencyId,
    /// Identifier of the audit request.
    pub audit: AuditId,
    /// At most one for stocks and one for flows.
    pub columns: Vec<ColumnAnswer>,
}

impl Document for AuditAnswer {
    const NAME: &'static str = "zkbureau/audit-answer/v1";
    const MAX_BYTES: usize = 16 * 1024;
}
