//! Registered scorecards as the state holds them (spec: `ledger/spec/cards.md`).

use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;
use zkbureau_circuits::encoding::{Digest32, Document, hash_parts};
use zkbureau_circuits::scorecard::Card;

use crate::ids::{AgencyId, Height, TimeMs};

/// Most cards that one agency may ever register: they stay on the ledger for good.
pub const MAX_CARDS_PER_AGENCY: usize = 64;

/// A card on the ledger.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct CardState {
    /// The card.
    pub card: Card,
    /// Who registered it.
    pub agency: AgencyId,
    /// Height of the block.
    pub height: Height,
    /// Its time.
    pub time_ms: TimeMs,
}

impl Document for CardState {
    const NAME: &'static str = "zkbureau/card-state/v1";
    const MAX_BYTES: usize = Card::MAX_BYTES + 64;
}

/// Which card a name stands for: one for all times, so that people and consents may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct NamedCard(#[serde(with = "hex::serde")] pub Digest32);

impl Document for NamedCard {
    const NAME: &'static str = "zkbureau/named-card/v1";
    const MAX_BYTES: usize = 64;
}

/// The cards that an agency has registered, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AgencyCards(pub Vec<Digest32>);

impl Document for AgencyCards {
    const NAME: &'static str = "zkbureau/agency-cards/v1";
    const MAX_BYTES: usize = 8 + 32 * MAX_CARDS_PER_AGENCY;
}

/// Where a card's name stands in the registry.
#[must_use]
pub fn card_name_hash(name: &str) -> Digest32 {
    hash_parts("zkbureau/card-name/v1", &[name.as_bytes()])
}
