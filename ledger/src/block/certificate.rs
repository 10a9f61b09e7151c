//! Certificates: the votes that make a block final.
//!
//! A validator signs `domain ‖ chain id ‖ kind ‖ height ‖ round ‖ value ‖ agency`, each with its
//! length in front. A certificate holds votes of validators with more than two thirds of the power.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zkbureau_circuits::encoding::{Digest32, Document};
use zkbureau_params::domain;

use super::header::Header;
use super::validators::ValidatorSet;
use crate::genesis::MAX_AGENCIES;
use crate::ids::{AgencyId, ChainId, Height};
use crate::keys::{PublicKey, SecretKey, Signature, SignatureError};

/// The two votes of a round.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[borsh(use_discriminant = true)]
pub enum VoteKind {
    /// The first vote of a round. It certifies nothing.
    Prevote = 0,
    /// The vote that certificates hold.
    Precommit = 1,
}

/// The parts of a vote's signed bytes; a vote for no value has an empty one.
pub(crate) fn vote_parts(
    kind: VoteKind,
    height: Height,
    round: u32,
    value: Option<&Digest32>,
    agency: AgencyId,
) -> [Vec<u8>; 5] {
    [
        vec![kind as u8],
        height.0.to_le_bytes().to_vec(),
        round.to_le_bytes().to_vec(),
        value.map_or_else(Vec::new, |v| v.to_vec()),
        agency.0.to_le_bytes().to_vec(),
    ]
}

/// The bytes that a validator signs with a vote.
#[must_use]
pub fn vote_bytes(
    chain: &ChainId,
    kind: VoteKind,
    height: Height,
    round: u32,
    value: Option<&Digest32>,
    agency: AgencyId,
) -> Vec<u8> {
    let parts = vote_parts(kind, height, round, value, agency);
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    crate::keys::signed_bytes(domain::SIGN_VOTE, chain, &parts)
}

/// Signs a vote of either kind, for a header or for none.
#[must_use]
pub fn sign_any_vote(
    chain: &ChainId,
    kind: VoteKind,
    height: Height,
    round: u32,
    value: Option<&Digest32>,
    agency: AgencyId,
    key: &SecretKey,
) -> Signature {
    let parts = vote_parts(kind, height, round, value, agency);
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    key.sign(domain::SIGN_VOTE, chain, &parts)
}

/// Verifies a vote of either kind, for a header or for none.
///
/// # Errors
/// [`SignatureError`].
#[expect(clippy::too_many_arguments, reason = "a vote has this many fields")]
pub fn verify_vote(
    chain: &ChainId,
    kind: VoteKind,
    height: Height,
    round: u32,
    value: Option<&Digest32>,
    agency: AgencyId,
    key: &PublicKey,
    signature: &Signature,
) -> Result<(), SignatureError> {
    let parts = vote_parts(kind, height, round, value, agency);
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    key.verify(domain::SIGN_VOTE, chain, &parts, signature)
}

/// Signs a precommit for a header.
#[must_use]
pub fn sign_vote(
    chain: &ChainId,
    height: Height,
    round: u32,
    value: &Digest32,
    agency: AgencyId,
    key: &SecretKey,
) -> Signature {
    let kind = VoteKind::Precommit;
    sign_any_vote(chain, kind, height, round, Some(value), agency, key)
}

/// Precommits that make a header final.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Height of the block.
    pub height: Height,
    /// The round that decided it.
    pub round: u32,
    /// Hash of the header.
    #[serde(with = "hex::serde")]
    pub value: Digest32,
    /// One signature per validator, by strictly ascending agency identifier.
    pub signatures: Vec<(AgencyId, Signature)>,
}

impl BorshDeserialize for Certificate {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let certificate = Self {
            height: Height::deserialize_reader(reader)?,
            round: u32::deserialize_reader(reader)?,
            value: <[u8; 32]>::deserialize_reader(reader)?,
            signatures: Vec::deserialize_reader(reader)?,
        };
        if certificate.signatures.len() > MAX_AGENCIES {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "more signatures than there may be validators",
            ));
        }
        Ok(certificate)
    }
}

impl Document for Certificate {
    const NAME: &'static str = "zkbureau/certificate/v1";
    const MAX_BYTES: usize = 8 << 10;
}

/// A certificate does not make a header final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// It is about another header.
    #[error("the certificate is about another header")]
    Value,
    /// It is about another height.
    #[error("the certificate is about height {got}, the header about {expected}")]
    Height {
        /// Height of the header.
        expected: Height,
        /// Height of the certificate.
        got: Height,
    },
    /// The header names other validators.
    #[error("the header's validators are not the trusted ones")]
    Validators,
    /// Somebody signed who is no validator.
    #[error("{0} is no validator")]
    UnknownSigner(AgencyId),
    /// Signers do not ascend, so one may count twice.
    #[error("the signature of {0} is out of order or occurs twice")]
    Order(AgencyId),
    /// A signature does not verify.
    #[error("the signature of {0} does not verify")]
    Signature(AgencyId),
    /// Not more than two thirds signed.
    #[error("signed by a power of {got}; more than two thirds of {total} are needed")]
    Power {
        /// Power of those who signed.
        got: u128,
        /// Power of all validators.
        total: u128,
    },
}

impl Certificate {
    /// A certificate of a single precommit, for a chain with one validator.
    #[must_use]
    pub fn single(header: &Header, round: u32, agency: AgencyId, key: &SecretKey) -> Self {
        let value = header.hash();
        let signature = sign_vote(&header.chain_id, header.height, round, &value, agency, key);
        Self {
            height: header.height,
            round,
            value,
            signatures: vec![(agency, signature)],
        }
    }

    /// Verifies the certificate of `header` under the validators that the caller trusts.
    ///
    /// # Errors
    /// [`CertificateError`] names the first signer that is unknown, out of order or whose
    /// signature is bad, or the power that is missing.
    pub fn verify(
        &self,
        header: &Header,
        validators: &ValidatorSet,
    ) -> Result<(), CertificateError> {
        if self.height != header.height {
            return Err(CertificateError::Height {
                expected: header.height,
                got: self.height,
            });
        }
        if self.value != header.hash() {
            return Err(CertificateError::Value);
        }
        if header.validators_hash != validators.hash() {
            return Err(CertificateError::Validators);
        }
        let mut last = None;
        let mut power = 0;
        for (agency, _) in &self.signatures {
            let validator = validators
                .get(*agency)
                .ok_or(CertificateError::UnknownSigner(*agency))?;
            if last.is_some_and(|last| last >= *agency) {
                return Err(CertificateError::Order(*agency));
            }
            last = Some(*agency);
            power += u128::from(validator.power);
        }
        let total = validators.total_power();
        if 3 * power <= 2 * total {
            return Err(CertificateError::Power { got: power, total });
        }
        for (agency, signature) in &self.signatures {
            let parts = vote_parts(
                VoteKind::Precommit,
                self.height,
                self.round,
                Some(&self.value),
                *agency,
            );
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            validators
                .get(*agency)
                .ok_or(CertificateError::UnknownSigner(*agency))?
                .key
                .verify(domain::SIGN_VOTE, &header.chain_id, &parts, signature)
                .map_err(|_| CertificateError::Signature(*agency))?;
        }
        Ok(())
    }
}

/// A header with the certificate that makes it final.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHeader {
    /// The header.
    pub header: Header,
    /// Its certificate.
    pub certificate: Certificate,
}

impl Document for SignedHeader {
    const NAME: &'static str = "zkbureau/signed-header/v1";
    const MAX_BYTES: usize = 9 << 10;
}
