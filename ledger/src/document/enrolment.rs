//! Enrolment: an identity issuer certifies that a committed subject identifier belongs to a key.

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;
use zkbureau_circuits::directory::{SubjectCommitment, SubjectId, SubjectSecret};
use zkbureau_circuits::encoding::{Digest32, Document, hash_parts};

use crate::ids::{ChainId, Day, IssuerId};
use crate::keys::{PublicKey, SecretKey, Signature, SignatureError};

const REQUEST_DOMAIN: &str = "zkbureau/enrolment-request-signature/v1";
const CERTIFICATE_DOMAIN: &str = "zkbureau/enrolment-certificate-signature/v1";

/// What a wallet hands to an identity issuer. It holds the identifier in the clear: the issuer
/// must check it against the person.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct EnrolmentRequest {
    /// The chain.
    pub chain: ChainId,
    /// The subject's identifier.
    pub subject: SubjectId,
    /// Salt of the commitment to the identifier.
    pub salt: SubjectSecret,
    /// The key that will speak for the subject.
    pub subject_key: PublicKey,
    /// Proof that the wallet holds the key.
    pub signature: Signature,
}

impl std::fmt::Debug for EnrolmentRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EnrolmentRequest(..)")
    }
}

impl Document for EnrolmentRequest {
    const NAME: &'static str = "zkbureau/enrolment-request/v1";
    const MAX_BYTES: usize = 1024;
}

impl EnrolmentRequest {
    /// Makes and signs a request.
    #[must_use]
    pub fn new(chain: ChainId, subject: SubjectId, salt: SubjectSecret, key: &SecretKey) -> Self {
        let mut request = Self {
            chain,
            subject,
            salt,
            subject_key: key.public(),
            signature: Signature([0; 64]),
        };
        request.signature = key.sign(REQUEST_DOMAIN, &chain, &[&request.signed()]);
        request
    }

    /// Checks the proof of possession.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self) -> Result<(), SignatureError> {
        self.subject_key.verify(
            REQUEST_DOMAIN,
            &self.chain,
            &[&self.signed()],
            &self.signature,
        )
    }

    /// The commitment that the certificate will carry.
    #[must_use]
    pub fn commitment(&self) -> SubjectCommitment {
        SubjectCommitment::commit(&self.subject, &self.salt)
    }

    fn signed(&self) -> Digest32 {
        let commitment = borsh::to_vec(&self.commitment()).expect("encoding into memory");
        hash_parts(Self::NAME, &[&commitment, self.subject_key.as_bytes()])
    }
}

/// An issuer's statement: whoever is committed to in `subject` speaks through `subject_key`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EnrolmentCertificate {
    /// The chain.
    pub chain: ChainId,
    /// The issuer, whose key is on the ledger.
    pub issuer: IssuerId,
    /// Commitment to the subject's identifier.
    pub subject: SubjectCommitment,
    /// The subject's key.
    pub subject_key: PublicKey,
    /// Last day on which the certificate is valid.
    pub expiry: Day,
    /// The issuer's signature.
    pub signature: Signature,
}

impl Document for EnrolmentCertificate {
    const NAME: &'static str = "zkbureau/enrolment-certificate/v1";
    const MAX_BYTES: usize = 512;
}

/// A certificate is not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// It names another chain.
    #[error("the enrolment certificate is for another chain")]
    Chain,
    /// The issuer's signature is wrong.
    #[error("the enrolment certificate's signature does not verify")]
    Signature,
    /// It is no longer valid.
    #[error("the enrolment certificate expired after {expiry}, today is {today}")]
    Expired {
        /// Last valid day.
        expiry: Day,
        /// The day it was checked for.
        today: Day,
    },
}

impl EnrolmentCertificate {
    /// Issues a certificate for a request that the issuer has checked.
    #[must_use]
    pub fn issue(
        request: &EnrolmentRequest,
        issuer: IssuerId,
        expiry: Day,
        key: &SecretKey,
    ) -> Self {
        let mut certificate = Self {
            chain: request.chain,
            issuer,
            subject: request.commitment(),
            subject_key: request.subject_key,
            expiry,
            signature: Signature([0; 64]),
        };
        certificate.signature = key.sign(
            CERTIFICATE_DOMAIN,
            &certificate.chain,
            &[&certificate.signed()],
        );
        certificate
    }

    /// Checks chain, signature and expiry.
    ///
    /// # Errors
    /// [`CertificateError`] says which.
    pub fn verify(
        &self,
        chain: &ChainId,
        issuer_key: &PublicKey,
        today: Day,
    ) -> Result<(), CertificateError> {
        if self.chain != *chain {
            return Err(CertificateError::Chain);
        }
        issuer_key
            .verify(
                CERTIFICATE_DOMAIN,
                chain,
                &[&self.signed()],
                &self.signature,
            )
            .map_err(|_| CertificateError::Signature)?;
        if today > self.expiry {
            return Err(CertificateError::Expired {
                expiry: self.expiry,
                today,
            });
        }
        Ok(())
    }

    fn signed(&self) -> Digest32 {
        let unsigned = Self {
            signature: Signature([0; 64]),
            ..self.clone()
        };
        unsigned.digest()
    }
}
