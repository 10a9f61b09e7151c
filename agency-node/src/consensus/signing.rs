//! Signatures of consensus: Ed25519 by `ledger::keys`, so that a light client verifies what the
//! engine collected without the engine.
//!
//! Votes are signed over [`vote_bytes`](zkbureau_ledger::block::vote_bytes). Proposals, parts and
//! validator proofs have their own domain strings; everything is bound to the chain.

use std::sync::Arc;

use arc_malachitebft_app_channel::app::types::core::{
    NilOrVal, Round, SignedExtension, SignedMessage, SigningScheme, ValidatorProof,
    VoteExtensionScope, VoteType,
};
use arc_malachitebft_signing::{Error, Signer, VerificationResult, Verifier};
use async_trait::async_trait;
use sha2::{Digest, Sha256};
use zkbureau_ledger::block::{VoteKind, sign_any_vote, verify_vote};
use zkbureau_ledger::ids::ChainId;
use zkbureau_ledger::keys::{KeyError, PublicKey, SecretKey, Signature, SignatureError};
use zkbureau_params::domain;

use super::context::{Address, Bureau, HeaderHash, Height, Part, PartHead, Proposal, Vote};
use super::guard::{Guard, GuardError, Step};

/// Bytes that are neither a key nor a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningDecodeError {
    /// Of another length.
    #[error("a key has 32 bytes and a signature 64")]
    Length,
    /// Not a key that may be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The engine's view of the ledger's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ed25519;

impl SigningScheme for Ed25519 {
    type DecodingError = SigningDecodeError;
    type Signature = Signature;
    type PublicKey = PublicKey;
    type PrivateKey = Arc<SecretKey>;

    fn decode_signature(bytes: &[u8]) -> Result<Signature, SigningDecodeError> {
        let bytes = bytes.try_into().map_err(|_| SigningDecodeError::Length)?;
        Ok(Signature(bytes))
    }

    fn encode_signature(signature: &Signature) -> Vec<u8> {
        signature.0.to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<PublicKey, SigningDecodeError> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| SigningDecodeError::Length)?;
        Ok(PublicKey::from_bytes(bytes)?)
    }

    fn encode_public_key(key: &PublicKey) -> Vec<u8> {
        key.as_bytes().to_vec()
    }
}

/// A round as signed bytes: absent, or a number.
fn round_bytes(round: Option<u32>) -> Vec<u8> {
    round.map_or_else(Vec::new, |r| r.to_le_bytes().to_vec())
}

fn proposal_parts(proposal: &Proposal) -> [Vec<u8>; 5] {
    [
        proposal.height.0.0.to_le_bytes().to_vec(),
        round_bytes(proposal.round.as_u32()),
        proposal.value.0.to_vec(),
        round_bytes(proposal.pol_round.as_u32()),
        proposal.proposer.0.0.to_le_bytes().to_vec(),
    ]
}

fn part_parts(head: &PartHead, bytes: &[u8]) -> [Vec<u8>; 8] {
    [
        head.height.0.0.to_le_bytes().to_vec(),
        head.round.to_le_bytes().to_vec(),
        round_bytes(head.valid_round),
        head.proposer.0.0.to_le_bytes().to_vec(),
        head.value.0.to_vec(),
        head.index.to_le_bytes().to_vec(),
        head.count.to_le_bytes().to_vec(),
        Sha256::digest(bytes).to_vec(),
    ]
}

fn slices<const N: usize>(parts: &[Vec<u8>; N]) -> [&[u8]; N] {
    std::array::from_fn(|i| parts[i].as_slice())
}

pub(super) fn kind(vote: &Vote) -> VoteKind {
    match vote.kind {
        VoteType::Prevote => VoteKind::Prevote,
        VoteType::Precommit => VoteKind::Precommit,
    }
}

pub(super) fn value(vote: &Vote) -> Option<&[u8; 32]> {
    match &vote.value {
        NilOrVal::Nil => None,
        NilOrVal::Val(value) => Some(&value.0),
    }
}

/// Verifies what validators of one chain signed.
#[derive(Clone, Copy, Debug)]
pub struct ChainVerifier {
    chain: ChainId,
}

impl ChainVerifier {
    /// The verifier of a chain.
    #[must_use]
    pub fn new(chain: ChainId) -> Self {
        Self { chain }
    }

    /// Verifies a vote.
    ///
    /// # Errors
    /// [`SignatureError`], also for a vote without a round.
    pub fn vote(
        &self,
        vote: &Vote,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<(), SignatureError> {
        let round = vote.round.as_u32().ok_or(SignatureError)?;
        verify_vote(
            &self.chain,
            kind(vote),
            vote.height.0,
            round,
            value(vote),
            vote.voter.0,
            key,
            signature,
        )
    }

    /// Verifies a proposal.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn proposal(
        &self,
        proposal: &Proposal,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<(), SignatureError> {
        let parts = proposal_parts(proposal);
        key.verify(
            domain::SIGN_PROPOSAL,
            &self.chain,
            &slices(&parts),
            signature,
        )
    }

    /// Verifies a part under the key of the proposer that it names.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn part(&self, part: &Part, key: &PublicKey) -> Result<(), SignatureError> {
        let parts = part_parts(&part.head, &part.bytes);
        key.verify(
            domain::SIGN_PROPOSAL_PART,
            &self.chain,
            &slices(&parts),
            &part.signature,
        )
    }
}

fn verdict(result: Result<(), SignatureError>) -> VerificationResult {
    VerificationResult::from_bool(result.is_ok())
}

#[async_trait]
impl Verifier<Bureau> for ChainVerifier {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(verdict(self.vote(vote, signature, key)))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(verdict(self.proposal(proposal, signature, key)))
    }

    /// No vote carries an extension, so none is valid.
    async fn verify_signed_vote_extension(
        &self,
        _: &VoteExtensionScope<Bureau>,
        (): &(),
        _: &Signature,
        _: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(
        &self,
        proof: &ValidatorProof<Bureau>,
    ) -> Result<VerificationResult, Error> {
        let Ok(key) = proof.decoded_public_key() else {
            return Ok(VerificationResult::Invalid);
        };
        Ok(verdict(key.verify(
            domain::SIGN_VALIDATOR_PROOF,
            &self.chain,
            &[&proof.public_key, &proof.peer_id],
            &proof.signature,
        )))
    }
}

/// Signs for one validator of one chain.
#[derive(Clone, Debug)]
pub struct ChainSigner {
    chain: ChainId,
    address: Address,
    key: Arc<SecretKey>,
    /// What was signed last, for the engine; absent where nothing is signed twice.
    guard: Option<Arc<Guard>>,
}

/// Asked to sign for somebody else, or a vote without a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not this validator's to sign")]
pub struct NotOurs;

impl ChainSigner {
    /// A validator's signer.
    #[must_use]
    pub fn new(chain: ChainId, address: Address, key: Arc<SecretKey>) -> Self {
        Self {
            chain,
            address,
            key,
            guard: None,
        }
    }

    /// Signs nothing for the engine that could contradict what was signed before, also in earlier processes.
    #[must_use]
    pub fn guarded(mut self, guard: Arc<Guard>) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Notes on disk what is about to be signed. Gives the value to sign.
    async fn note(
        &self,
        step: Step,
        height: Height,
        round: Round,
        value: Option<[u8; 32]>,
    ) -> Result<Option<[u8; 32]>, Error> {
        let (Some(guard), Some(round)) = (self.guard.clone(), round.as_u32()) else {
            return Ok(value);
        };
        let noted =
            tokio::task::spawn_blocking(move || guard.note(step, height.0, round, value)).await;
        let noted = noted.unwrap_or_else(|e| Err(GuardError::Disk(std::io::Error::other(e))));
        noted.map_err(|error| {
            tracing::error!(%error, "nothing is signed");
            Error::from_source(error)
        })
    }

    /// Whom it signs for.
    #[must_use]
    pub fn address(&self) -> Address {
        self.address
    }

    /// The key that verifies what it signs.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// Signs a vote.
    ///
    /// # Errors
    /// [`NotOurs`].
    pub fn vote(&self, vote: &Vote) -> Result<Signature, NotOurs> {
        let round = vote.round.as_u32().ok_or(NotOurs)?;
        if vote.voter != self.address {
            return Err(NotOurs);
        }
        Ok(sign_any_vote(
            &self.chain,
            kind(vote),
            vote.height.0,
            round,
            value(vote),
            vote.voter.0,
            &self.key,
        ))
    }

    /// Signs a proposal.
    ///
    /// # Errors
    /// [`NotOurs`].
    pub fn proposal(&self, proposal: &Proposal) -> Result<Signature, NotOurs> {
        if proposal.proposer != self.address || proposal.round == Round::Nil {
            return Err(NotOurs);
        }
        let parts = proposal_parts(proposal);
        Ok(self
            .key
            .sign(domain::SIGN_PROPOSAL, &self.chain, &slices(&parts)))
    }

    /// Signs a part of our own proposal.
    #[must_use]
    pub fn part(&self, head: PartHead, bytes: bytes::Bytes) -> Part {
        let head = PartHead {
            proposer: self.address,
            ..head
        };
        let parts = part_parts(&head, &bytes);
        let signature = self
            .key
            .sign(domain::SIGN_PROPOSAL_PART, &self.chain, &slices(&parts));
        Part {
            head,
            bytes,
            signature,
        }
    }
}

#[async_trait]
impl Signer<Bureau> for ChainSigner {
    async fn sign_vote(&self, mut vote: Vote) -> Result<SignedMessage<Bureau, Vote>, Error> {
        let step = match vote.kind {
            VoteType::Prevote => Step::Prevote,
            VoteType::Precommit => Step::Precommit,
        };
        let value = value(&vote).copied();
        let value = self.note(step, vote.height, vote.round, value).await?;
        vote.value = value.map_or(NilOrVal::Nil, |v| NilOrVal::Val(HeaderHash(v)));
        let signature = self.vote(&vote).map_err(Error::from_source)?;
        Ok(SignedMessage::new(vote, signature))
    }

    async fn sign_proposal(
        &self,
        proposal: Proposal,
    ) -> Result<SignedMessage<Bureau, Proposal>, Error> {
        let value = Some(proposal.value.0);
        self.note(Step::Proposal, proposal.height, proposal.round, value)
            .await?;
        let signature = self.proposal(&proposal).map_err(Error::from_source)?;
        Ok(SignedMessage::new(proposal, signature))
    }

    async fn sign_vote_extension(
        &self,
        _: VoteExtensionScope<Bureau>,
        (): (),
    ) -> Result<SignedExtension<Bureau>, Error> {
        Err(Error::from_source(NotOurs))
    }

    async fn sign_validator_proof(
        &self,
        public_key: Vec<u8>,
        peer_id: Vec<u8>,
    ) -> Result<ValidatorProof<Bureau>, Error> {
        let signature = self.key.sign(
            domain::SIGN_VALIDATOR_PROOF,
            &self.chain,
            &[&public_key, &peer_id],
        );
        Ok(ValidatorProof::new(public_key, peer_id, signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zkbureau_ledger::ids::{self, AgencyId};

    fn chain(byte: u8) -> ChainId {
        ChainId([byte; 32])
    }

    fn signer() -> ChainSigner {
        let key = Arc::new(SecretKey::from_seed(&[5; 32]));
        ChainSigner::new(chain(1), Address(AgencyId(3)), key)
    }

    fn height(n: u64) -> Height {
        Height(ids::Height(n))
    }

    #[test]
    fn a_part_is_signed_with_everything_it_says() {
        let head = PartHead {
            height: height(9),
            round: 2,
            valid_round: Some(1),
            proposer: Address(AgencyId(3)),
            value: HeaderHash([4; 32]),
            index: 1,
            count: 3,
        };
        let part = signer().part(head, bytes::Bytes::from_static(b"piece"));
        let key = signer().public();
        let verifies = |part: &Part| ChainVerifier::new(chain(1)).part(part, &key);
        assert_eq!(verifies(&part), Ok(()));
        assert!(ChainVerifier::new(chain(2)).part(&part, &key).is_err());
        let changes: [fn(&mut Part); 9] = [
            |p| p.head.height = height(10),
            |p| p.head.round = 3,
            |p| p.head.valid_round = None,
            |p| p.head.valid_round = Some(0),
            |p| p.head.proposer = Address(AgencyId(4)),
            |p| p.head.value = HeaderHash([5; 32]),
            |p| p.head.index = 2,
            |p| p.head.count = 4,
            |p| p.bytes = bytes::Bytes::from_static(b"peace"),
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut other = part.clone();
            change(&mut other);
            assert_eq!(verifies(&other), Err(SignatureError), "change {i}");
        }
    }

    #[test]
    fn votes_and_proposals_are_signed_with_everything_they_say() {
        let key = signer().public();
        let verifier = ChainVerifier::new(chain(1));
        let vote = Vote {
            kind: VoteType::Prevote,
            height: height(9),
            round: Round::new(2),
            value: NilOrVal::Val(HeaderHash([4; 32])),
            voter: Address(AgencyId(3)),
        };
        let signature = signer().vote(&vote).expect("ours");
        assert_eq!(verifier.vote(&vote, &signature, &key), Ok(()));
        let changes: [fn(&mut Vote); 6] = [
            |v| v.kind = VoteType::Precommit,
            |v| v.height = height(8),
            |v| v.round = Round::new(0),
            |v| v.round = Round::Nil,
            |v| v.value = NilOrVal::Nil,
            |v| v.voter = Address(AgencyId(4)),
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut other = vote;
            change(&mut other);
            assert!(
                verifier.vote(&other, &signature, &key).is_err(),
                "change {i}"
            );
        }
        let proposal = Proposal {
            height: height(9),
            round: Round::new(2),
            value: HeaderHash([4; 32]),
            pol_round: Round::Nil,
            proposer: Address(AgencyId(3)),
        };
        let signature = signer().proposal(&proposal).expect("ours");
        assert_eq!(verifier.proposal(&proposal, &signature, &key), Ok(()));
        let changes: [fn(&mut Proposal); 5] = [
            |p| p.height = height(8),
            |p| p.round = Round::new(3),
            |p| p.value = HeaderHash([5; 32]),
            |p| p.pol_round = Round::new(0),
            |p| p.proposer = Address(AgencyId(4)),
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut other = proposal;
            change(&mut other);
            assert!(
                verifier.proposal(&other, &signature, &key).is_err(),
                "change {i}"
            );
        }
    }

    #[test]
    fn nobody_signs_for_another() {
        let vote = Vote {
            kind: VoteType::Prevote,
            height: height(9),
            round: Round::new(2),
            value: NilOrVal::Nil,
            voter: Address(AgencyId(4)),
        };
        assert_eq!(signer().vote(&vote), Err(NotOurs));
        let without_round = Vote {
            voter: Address(AgencyId(3)),
            round: Round::Nil,
            ..vote
        };
        assert_eq!(signer().vote(&without_round), Err(NotOurs));
    }
}
