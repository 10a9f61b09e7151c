//! The types with which the engine is instantiated (design: one value is the hash of one header).
//!
//! The engine's traits and the ledger's types are both foreign to this crate, so thin newtypes
//! carry the ledger's identifiers through the engine.

use std::fmt;
use std::sync::Arc;

use arc_malachitebft_app_channel::app::types::core::{
    Address as EngineAddress, Context, Height as EngineHeight, NilOrVal,
    Proposal as EngineProposal, ProposalPart as EngineProposalPart, Round, SignedExtension,
    Validator as EngineValidator, ValidatorSet as EngineValidatorSet, Value as EngineValue,
    Vote as EngineVote, VoteType, VotingPower,
};
use bytes::Bytes;
use zkbureau_circuits::encoding::Digest32;
use zkbureau_ledger::block;
use zkbureau_ledger::ids::{self, AgencyId};
use zkbureau_ledger::keys::{PublicKey, Signature};

use super::pace::Timeouts;
use super::signing::Ed25519;

/// The instantiation of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bureau;

/// A validator's address: its agency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub AgencyId);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl EngineAddress for Address {}

/// Number of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Height(pub ids::Height);

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl EngineHeight for Height {
    const ZERO: Self = Self(ids::Height(0));
    const INITIAL: Self = Self(ids::Height(1));

    fn increment_by(&self, n: u64) -> Self {
        Self(ids::Height(self.0.0.saturating_add(n)))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.0.checked_sub(n).map(|h| Self(ids::Height(h)))
    }

    fn as_u64(&self) -> u64 {
        self.0.0
    }
}

/// What validators agree on: the hash of a header. It is its own identifier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderHash(pub Digest32);

impl fmt::Display for HeaderHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for HeaderHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeaderHash({self})")
    }
}

impl EngineValue for HeaderHash {
    type Id = Self;

    fn id(&self) -> Self {
        *self
    }
}

/// A part of a proposed block, complete in itself: it says which block, which part of how many,
/// and carries the proposer's signature. So parts may come in any order, twice, or through
/// anybody, and nobody but the proposer can spoil its block.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// What the signature covers besides the bytes.
    pub head: PartHead,
    /// Its piece of the block's encoding.
    pub bytes: Bytes,
    /// The proposer's signature.
    pub signature: Signature,
}

/// Which part of which block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartHead {
    /// Height of the block.
    pub height: Height,
    /// The round it is proposed in.
    pub round: u32,
    /// The round in which it found its votes already, when it is proposed again.
    pub valid_round: Option<u32>,
    /// Proposer of this round.
    pub proposer: Address,
    /// The block's header hash.
    pub value: HeaderHash,
    /// Number of this part, from 0.
    pub index: u16,
    /// Number of all parts.
    pub count: u16,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("head", &self.head)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl EngineProposalPart<Bureau> for Part {
    fn is_first(&self) -> bool {
        self.head.index == 0
    }

    fn is_last(&self) -> bool {
        self.head.index + 1 == self.head.count
    }
}

/// What the proposer of a round proposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Height of the block.
    pub height: Height,
    /// The round.
    pub round: Round,
    /// The block's header hash.
    pub value: HeaderHash,
    /// The round in which it found its votes already, or none.
    pub pol_round: Round,
    /// The proposer.
    pub proposer: Address,
}

impl EngineProposal<Bureau> for Proposal {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &HeaderHash {
        &self.value
    }

    fn take_value(self) -> HeaderHash {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Address {
        &self.proposer
    }
}

/// A vote of a round. Votes carry no extensions here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Prevote or precommit.
    pub kind: VoteType,
    /// Height of the block.
    pub height: Height,
    /// The round.
    pub round: Round,
    /// A block or none.
    pub value: NilOrVal<HeaderHash>,
    /// Who votes.
    pub voter: Address,
}

impl EngineVote<Bureau> for Vote {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<HeaderHash> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<HeaderHash> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Address {
        &self.voter
    }

    fn extension(&self) -> Option<&SignedExtension<Bureau>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<Bureau>> {
        None
    }

    /// The policy of every height disables extensions, so the engine never comes here.
    fn extend(self, _: SignedExtension<Bureau>) -> Self {
        self
    }
}

/// A member of a validator set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validator {
    address: Address,
    key: PublicKey,
    power: VotingPower,
}

impl EngineValidator<Bureau> for Validator {
    fn address(&self) -> &Address {
        &self.address
    }

    fn public_key(&self) -> &PublicKey {
        &self.key
    }

    fn voting_power(&self) -> VotingPower {
        self.power
    }
}

/// The validators of a height, by ascending agency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSet(Arc<[Validator]>);

impl From<&block::ValidatorSet> for ValidatorSet {
    fn from(set: &block::ValidatorSet) -> Self {
        Self(
            set.validators()
                .iter()
                .map(|v| Validator {
                    address: Address(v.agency),
                    key: v.key,
                    power: v.power,
                })
                .collect(),
        )
    }
}

impl ValidatorSet {
    /// The proposer of a round: everybody in turn, and the next one when a round fails. `None` only
    /// for an empty set, which no genesis and no vote can make.
    #[must_use]
    pub fn proposer(&self, height: Height, round: u32) -> Option<&Validator> {
        let turn = height.0.0.wrapping_add(u64::from(round));
        let index = turn.checked_rem(self.0.len() as u64)?;
        self.0.get(usize::try_from(index).ok()?)
    }
}

impl EngineValidatorSet<Bureau> for ValidatorSet {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn total_voting_power(&self) -> VotingPower {
        // At most MAX_AGENCIES · MAX_POWER, far from overflow.
        self.0.iter().map(|v| v.power).sum()
    }

    fn get_by_address(&self, address: &Address) -> Option<&Validator> {
        let found = self.0.binary_search_by_key(address, |v| v.address);
        found.ok().map(|i| &self.0[i])
    }

    fn get_by_index(&self, index: usize) -> Option<&Validator> {
        self.0.get(index)
    }
}

impl Context for Bureau {
    type Address = Address;
    type Height = Height;
    type ProposalPart = Part;
    type Proposal = Proposal;
    type Validator = Validator;
    type ValidatorSet = ValidatorSet;
    type Timeouts = Timeouts;
    type Value = HeaderHash;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = Ed25519;

    fn select_proposer<'a>(
        &self,
        validators: &'a ValidatorSet,
        height: Height,
        round: Round,
    ) -> &'a Validator {
        validators
            .proposer(height, round.as_u32().unwrap_or(0))
            .expect("a validator set is never empty")
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        value: HeaderHash,
        pol_round: Round,
        proposer: Address,
    ) -> Proposal {
        Proposal {
            height,
            round,
            value,
            pol_round,
            proposer,
        }
    }

    fn new_prevote(
        &self,
        height: Height,
        round: Round,
        value: NilOrVal<HeaderHash>,
        voter: Address,
    ) -> Vote {
        Vote {
            kind: VoteType::Prevote,
            height,
            round,
            value,
            voter,
        }
    }

    fn new_precommit(
        &self,
        height: Height,
        round: Round,
        value: NilOrVal<HeaderHash>,
        voter: Address,
    ) -> Vote {
        Vote {
            kind: VoteType::Precommit,
            height,
            round,
            value,
            voter,
        }
    }
}
