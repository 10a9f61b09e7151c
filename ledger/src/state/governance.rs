//! What the registry remembers of governance (spec: `ledger/spec/governance.md`): proposals with
//! their votes, keys and identifiers ever used, evidence of double votes.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;
use zkbureau_circuits::encoding::Document;

use crate::block::{Validator, ValidatorSet};
use crate::ids::{AgencyId, AuditorId, Day, Height, IssuerId, ProposalId, TimeMs};
use crate::keys::PublicKey;
use crate::transaction::{Evidence, Proposal};

/// Most proposals that one agency may have opened and that still can be voted for.
pub const MAX_OPEN_PROPOSALS: usize = 4;
/// How many days ahead a proposal may expire.
pub const MAX_PROPOSAL_DAYS: u32 = 90;

/// A vote that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Ballot {
    /// Who voted.
    pub agency: AgencyId,
    /// The validator key that signed. A vote counts while this is the agency's key.
    pub key: PublicKey,
    /// Height of the block with the vote.
    pub height: Height,
}

/// A proposal with its votes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct ProposalState {
    /// The proposal.
    pub proposal: Proposal,
    /// Who voted first.
    pub opened_by: AgencyId,
    /// Height of the block with the first vote.
    pub opened: Height,
    /// The votes, by ascending agency identifier.
    pub ballots: Vec<Ballot>,
    /// Height of the block with the deciding vote; the changes are in force from the next.
    pub adopted: Option<Height>,
}

impl ProposalState {
    /// The validators whose votes count: the others have left, or replaced the key that they voted with.
    pub fn voters<'a>(
        &'a self,
        validators: &'a ValidatorSet,
    ) -> impl Iterator<Item = &'a Validator> + 'a {
        let voter = |b: &Ballot| validators.get(b.agency).filter(|v| v.key == b.key);
        self.ballots.iter().filter_map(voter)
    }
}

impl Document for ProposalState {
    const NAME: &'static str = "zkbureau/proposal-state/v1";
    const MAX_BYTES: usize = 96 << 10;
}

/// A proposal that can still be voted for, unless its day has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct OpenProposal {
    /// The proposal.
    pub id: ProposalId,
    /// Who voted first.
    pub opened_by: AgencyId,
    /// The last day on which it can be voted for.
    pub expires: Day,
}

/// The proposals that are neither adopted nor known to have expired, by ascending identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct OpenProposals(pub Vec<OpenProposal>);

impl Document for OpenProposals {
    const NAME: &'static str = "zkbureau/open-proposals/v1";
    const MAX_BYTES: usize = 64 << 10;
}

/// Somebody with an identifier or a key.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// An agency.
    Agency(AgencyId),
    /// An identity issuer.
    Issuer(IssuerId),
    /// An auditor.
    Auditor(AuditorId),
    /// An observer; they have no identifiers.
    Observer,
}

impl std::fmt::Display for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Agency(id) => id.fmt(f),
            Self::Issuer(id) => id.fmt(f),
            Self::Auditor(id) => id.fmt(f),
            Self::Observer => f.write_str("observer"),
        }
    }
}

/// What a key is for.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
)]
#[serde(rename_all = "snake_case")]
pub enum KeyRole {
    /// An agency signs batches and votes with it.
    Validator,
    /// An agency's directory.
    Vrf,
    /// An agency receives sealed asks with it.
    Sealing,
    /// A node's identity in the network.
    Network,
    /// An issuer or auditor signs with it.
    Signing,
}

/// Whose a key is or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct KeyUse {
    /// Its holder.
    pub party: Party,
    /// What for.
    pub role: KeyRole,
    /// Height of the block that brought it; in force from the next, at genesis from the first.
    pub since: Height,
    /// Height of the block that replaced it or removed its holder: the last at which it was in force.
    pub until: Option<Height>,
}

impl KeyUse {
    /// Whether the key was in force when the block of a height was made.
    #[must_use]
    pub fn in_force(&self, height: Height) -> bool {
        self.since < height && self.until.is_none_or(|until| height <= until)
    }
}

impl Document for KeyUse {
    const NAME: &'static str = "zkbureau/key-use/v1";
    const MAX_BYTES: usize = 32;
}

/// When a party came and left. Its identifier is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct PartyState {
    /// Height of the block that admitted it; 0 at genesis.
    pub since: Height,
    /// Height of the block that removed it: its last.
    pub left: Option<Height>,
}

impl Document for PartyState {
    const NAME: &'static str = "zkbureau/party-state/v1";
    const MAX_BYTES: usize = 32;
}

/// Evidence as it was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct EvidenceState {
    /// The two votes.
    pub evidence: Evidence,
    /// Height of the block with the evidence.
    pub height: Height,
    /// Its time.
    pub time_ms: TimeMs,
}

impl Document for EvidenceState {
    const NAME: &'static str = "zkbureau/evidence-state/v1";
    const MAX_BYTES: usize = 512;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;

    #[test]
    fn votes_of_who_left_or_changed_its_key_do_not_count() {
        let key = |seed: u8| SecretKey::from_seed(&[seed; 32]).public();
        let ballot = |(id, seed)| Ballot {
            agency: AgencyId(id),
            key: key(seed),
            height: Height(1),
        };
        let state = ProposalState {
            proposal: Proposal {
                title: String::new(),
                expires: Day(0),
                changes: Vec::new(),
            },
            opened_by: AgencyId(1),
            opened: Height(1),
            ballots: [(1, 1), (2, 2), (3, 3)].map(ballot).to_vec(),
            adopted: None,
        };
        let validator = |(id, seed)| Validator {
            agency: AgencyId(id),
            key: key(seed),
            power: 1,
        };
        // The second has left, and the third has another key now.
        let validators = ValidatorSet::new([(1, 1), (3, 9), (4, 4)].map(validator).to_vec());
        let voters: Vec<_> = state.voters(&validators).map(|v| v.agency).collect();
        assert_eq!(voters, [AgencyId(1)]);
    }
}
