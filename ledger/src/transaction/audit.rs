//! A regulator's request for openings of columns (spec: `ledger/spec/transactions.md`, "Audits").

use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;
use zkbureau_circuits::encoding::{Document, hash_parts};
use zkbureau_circuits::period::Period;
use zkbureau_params::domain;

use crate::ids::{AgencyId, AuditId, AuditorId, ChainId};
use crate::keys::{PublicKey, SecretKey, Signature, SignatureError};

/// Most attributes of one request.
pub const MAX_AUDIT_ATTRIBUTES: usize = 64;

/// Asks agencies to open totals of a period's end.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct AuditRequest {
    /// Who asks.
    pub auditor: AuditorId,
    /// Makes every request another one.
    #[serde(with = "hex::serde")]
    pub nonce: [u8; 32],
    /// Which agencies, in strictly ascending order.
    pub agencies: Vec<AgencyId>,
    /// Which attributes, by name, in strictly ascending order.
    pub attributes: Vec<String>,
    /// The period whose end is opened: every column named must stand at it.
    pub period: Period,
    /// By the auditor's key.
    pub signature: Signature,
}

impl Document for AuditRequest {
    const NAME: &'static str = "zkbureau/audit-request/v1";
    const MAX_BYTES: usize = 8 << 10;
}

impl AuditRequest {
    /// Signs a request. Agencies and attributes are brought into order.
    #[must_use]
    pub fn sign(
        chain: &ChainId,
        auditor: AuditorId,
        nonce: [u8; 32],
        mut agencies: Vec<AgencyId>,
        mut attributes: Vec<String>,
        period: Period,
        key: &SecretKey,
    ) -> Self {
        agencies.sort_unstable();
        agencies.dedup();
        attributes.sort_unstable();
        attributes.dedup();
        let mut request = Self {
            auditor,
            nonce,
            agencies,
            attributes,
            period,
            signature: Signature([0; 64]),
        };
        request.signature = key.sign(domain::SIGN_AUDIT, chain, &[&request.unsigned()]);
        request
    }

    /// The request's identifier: the hash of what is signed, so that a request has one identifier
    /// whatever its signature's bytes are.
    #[must_use]
    pub fn id(&self) -> AuditId {
        AuditId(hash_parts(Self::NAME, &[&self.unsigned()]))
    }

    /// Verifies the signature under the auditor's key.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_signature(&self, chain: &ChainId, key: &PublicKey) -> Result<(), SignatureError> {
        key.verify(
            domain::SIGN_AUDIT,
            chain,
            &[&self.unsigned()],
            &self.signature,
        )
    }

    fn unsigned(&self) -> Vec<u8> {
        borsh::to_vec(&(
            self.auditor,
            self.nonce,
            &self.agencies,
            &self.attributes,
            self.period,
        ))
        .expect("encoding into memory")
    }
}
