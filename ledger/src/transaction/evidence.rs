//! Evidence of a double vote (spec: `ledger/spec/governance.md`, "Evidence").

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zkbureau_circuits::encoding::{Digest32, Document};

use crate::block::{VoteKind, vote_parts};
use crate::ids::{AgencyId, ChainId, Height};
use crate::keys::{PublicKey, Signature};
use zkbureau_params::domain;

/// One of the two votes: a value and the signature over it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct SignedVote {
    /// The header's hash; none for a vote for nothing.
    #[serde(with = "optional_digest")]
    pub value: Option<Digest32>,
    /// By the validator's key.
    pub signature: Signature,
}

/// Two different votes of one validator at the same height, round and kind.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Who voted twice.
    pub agency: AgencyId,
    /// The validator key that signed: the agency's, then or now.
    pub key: PublicKey,
    /// Prevote or precommit.
    pub kind: VoteKind,
    /// The height.
    pub height: Height,
    /// The round.
    pub round: u32,
    /// The vote for the lower value; none is the lowest.
    pub first: SignedVote,
    /// The vote for the higher value.
    pub second: SignedVote,
}

impl Document for Evidence {
    const NAME: &'static str = "zkbureau/evidence/v1";
    const MAX_BYTES: usize = 512;
}

/// Two votes are not evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EvidenceError {
    /// They do not contradict each other, or stand in the wrong order.
    #[error("the votes are for the same value or out of order")]
    Order,
    /// A signature does not verify.
    #[error("the signature of vote {0} does not verify")]
    Signature(u8),
}

impl Evidence {
    /// Brings two votes into order.
    #[must_use]
    pub fn new(
        agency: AgencyId,
        key: PublicKey,
        kind: VoteKind,
        height: Height,
        round: u32,
        votes: [SignedVote; 2],
    ) -> Self {
        let [a, b] = votes;
        let (first, second) = if a.value <= b.value { (a, b) } else { (b, a) };
        Self {
            agency,
            key,
            kind,
            height,
            round,
            first,
            second,
        }
    }

    /// Verifies that the votes contradict each other and were both signed. Whether the key is the
    /// agency's, the state knows.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn verify(&self, chain: &ChainId) -> Result<(), EvidenceError> {
        if self.first.value >= self.second.value {
            return Err(EvidenceError::Order);
        }
        for (number, vote) in [(1, &self.first), (2, &self.second)] {
            let value = vote.value.as_ref();
            let parts = vote_parts(self.kind, self.height, self.round, value, self.agency);
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            self.key
                .verify(domain::SIGN_VOTE, chain, &parts, &vote.signature)
                .map_err(|_| EvidenceError::Signature(number))?;
        }
        Ok(())
    }
}

/// Hexadecimal, or null.
mod optional_digest {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use zkbureau_circuits::encoding::Digest32;

    #[derive(Serialize, Deserialize)]
    struct Hex(#[serde(with = "hex::serde")] Digest32);

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Digest32>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(Hex).serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Digest32>, D::Error> {
        Ok(Option::<Hex>::deserialize(d)?.map(|hex| hex.0))
    }
}
