//! Registering cards: each content and each name once, so many per agency
//! (spec: `ledger/spec/cards.md`).

use std::collections::BTreeMap;

use zkbureau_circuits::encoding::{Digest32, Document};

use super::error::TxError;
use super::execute::Refusal;
use super::view::View;
use crate::ids::{AgencyId, Height, TimeMs};
use crate::state::{
    AgencyCards, CardState, MAX_CARDS_PER_AGENCY, NamedCard, RegistryKey, card_name_hash,
};
use crate::store::Store;
use crate::transaction::RegisterCard;

/// What a block registers.
#[derive(Default)]
pub(super) struct NewCards {
    cards: BTreeMap<Digest32, CardState>,
    names: BTreeMap<Digest32, NamedCard>,
    agencies: BTreeMap<AgencyId, AgencyCards>,
}

impl NewCards {
    /// Registers a card, or changes nothing.
    pub(super) fn register<S: Store>(
        &mut self,
        view: &View<'_, S>,
        height: Height,
        time_ms: TimeMs,
        register: &RegisterCard,
    ) -> Result<(), Refusal> {
        let (agency, hash) = (register.agency, register.card_hash());
        if self.cards.contains_key(&hash)
            || view.value::<CardState>(&RegistryKey::Card(hash))?.is_some()
        {
            return Err(TxError::CardExists(hash).into());
        }
        let name = card_name_hash(register.card.name());
        let taken = match self.names.get(&name) {
            Some(card) => Some(*card),
            None => view.value(&RegistryKey::CardName(name))?,
        };
        if let Some(NamedCard(card)) = taken {
            return Err(TxError::CardName(card).into());
        }
        let mut own = match self.agencies.get(&agency) {
            Some(own) => own.clone(),
            None => (view.value(&RegistryKey::AgencyCards(agency))?).unwrap_or_default(),
        };
        if own.0.len() >= MAX_CARDS_PER_AGENCY {
            let limit = MAX_CARDS_PER_AGENCY;
            return Err(TxError::TooManyCards { agency, limit }.into());
        }
        own.0.push(hash);
        self.agencies.insert(agency, own);
        self.names.insert(name, NamedCard(hash));
        let card = register.card.clone();
        self.cards.insert(
            hash,
            CardState {
                card,
                agency,
                height,
                time_ms,
            },
        );
        Ok(())
    }

    /// What is to be written.
    pub(super) fn values(&self) -> impl Iterator<Item = (RegistryKey, Vec<u8>)> + '_ {
        let cards = (self.cards.iter()).map(|(h, c)| (RegistryKey::Card(*h), c.to_bytes()));
        let names = (self.names.iter()).map(|(n, c)| (RegistryKey::CardName(*n), c.to_bytes()));
        let own = (self.agencies.iter()).map(|(a, c)| (RegistryKey::AgencyCards(*a), c.to_bytes()));
        cards.chain(names).chain(own)
    }
}
