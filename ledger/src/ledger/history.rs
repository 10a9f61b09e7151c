//! What the ledger knows of its own past: who was in force when, which validators signed, which
//! heights are kept (spec: `ledger/spec/governance.md`, "Following validators").

use std::sync::{Arc, PoisonError};

use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::schema::Schema;

use super::{Ledger, LedgerError, META_FIRST_BLOCK, context_of, load_header, load_height};
use crate::block::ValidatorSet;
use crate::consortium::Consortium;
use crate::ids::{AgencyId, Height, ProposalId};
use crate::light::ValidatorChange;
use crate::schema_document::SchemaDocument;
use crate::state::{EvidenceState, OpenProposals, ProposalState, RegistryKey};
use crate::store::{Store, Table};

impl<S: Store> Ledger<S> {
    /// Who is in force after the block at a height: who takes part in the next one.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height is not kept.
    pub fn consortium_at(&self, at: Height) -> Result<Arc<Consortium>, LedgerError> {
        let context = context_of(&self.view(at)?, *self.chain_id());
        // A height that was pruned meanwhile is no damage.
        self.view(at)?;
        Ok(context?.consortium().clone())
    }

    /// The schema in force after the block at a height.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height is not kept.
    pub fn schema_at(&self, at: Height) -> Result<Schema, LedgerError> {
        let found = self.read(at, |view| {
            view.value::<SchemaDocument>(&RegistryKey::Schema)
        })?;
        found
            .map(|document| document.0)
            .ok_or(LedgerError::Damaged("the schema"))
    }

    /// The validators that sign a height, from 1 to one above the last; none beyond.
    ///
    /// # Errors
    /// [`LedgerError`] when the store fails.
    pub fn validators(&self, height: Height) -> Result<Option<ValidatorSet>, LedgerError> {
        if height == Height::GENESIS || height > self.tip().height.next() {
            return Ok(None);
        }
        let mut last = None;
        let mut damaged = false;
        self.store()
            .scan(Table::Validators, &[], &[], &mut |key, value| {
                let announced = key.try_into().map(u64::from_be_bytes);
                if announced.is_ok_and(|announced| announced >= height.0) {
                    return false;
                }
                last = ValidatorSet::from_bytes(value).ok();
                damaged |= last.is_none() || announced.is_err();
                !damaged
            })?;
        if damaged {
            return Err(LedgerError::Damaged("the validators"));
        }
        Ok(Some(last.unwrap_or_else(|| self.genesis().validator_set())))
    }

    /// Every change of validators announced at `from` or later, oldest first, at most `limit`: what
    /// a light client needs to follow them.
    ///
    /// # Errors
    /// [`LedgerError`] when the store fails.
    pub fn validator_changes(
        &self,
        from: Height,
        limit: usize,
    ) -> Result<Vec<ValidatorChange>, LedgerError> {
        let mut found = Vec::new();
        let mut damaged = false;
        self.store().scan(
            Table::Validators,
            &[],
            &from.0.to_be_bytes(),
            &mut |key, value| {
                if found.len() >= limit {
                    return false;
                }
                match (key.try_into(), ValidatorSet::from_bytes(value)) {
                    (Ok(key), Ok(next)) => found.push((Height(u64::from_be_bytes(key)), next)),
                    _ => damaged = true,
                }
                !damaged
            },
        )?;
        if damaged {
            return Err(LedgerError::Damaged("the validators"));
        }
        found
            .into_iter()
            .map(|(height, next)| {
                let signed = load_header(self.store(), height)?
                    .ok_or(LedgerError::Damaged("a header that changes validators"))?;
                Ok(ValidatorChange { signed, next })
            })
            .collect()
    }

    /// The first height whose block this ledger has, or will have: 1, or after an import one above
    /// the snapshot's.
    ///
    /// # Errors
    /// [`LedgerError`] when the store fails.
    pub fn history_min_height(&self) -> Result<Height, LedgerError> {
        load_height(self.store(), META_FIRST_BLOCK, "the first block")
    }

    /// The lowest height whose state can be read.
    #[must_use]
    pub fn oldest_state(&self) -> Height {
        self.tip_state().oldest
    }

    /// A proposal with its votes.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height is not kept.
    pub fn proposal(
        &self,
        at: Height,
        id: ProposalId,
    ) -> Result<Option<ProposalState>, LedgerError> {
        self.read(at, |view| view.value(&RegistryKey::Proposal(id)))
    }

    /// The proposals that are not adopted; some may have expired.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height is not kept.
    pub fn open_proposals(&self, at: Height) -> Result<OpenProposals, LedgerError> {
        let open = self.read(at, |view| view.value(&RegistryKey::OpenProposals))?;
        Ok(open.unwrap_or_default())
    }

    /// Evidence of an agency's double vote at a height.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height `at` is not kept.
    pub fn evidence(
        &self,
        at: Height,
        agency: AgencyId,
        height: Height,
    ) -> Result<Option<EvidenceState>, LedgerError> {
        self.read(at, |view| {
            view.value(&RegistryKey::Evidence(agency, height))
        })
    }

    /// Keeps the state of a height until the pin is dropped.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height is not kept.
    pub fn pin(&self, at: Height) -> Result<Pin<'_, S>, LedgerError> {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that no block is about to delete it.
        self.view(at)?;
        *pins.entry(at).or_default() += 1;
        Ok(Pin { ledger: self, at })
    }
}

/// Keeps the state of a height readable while it lives.
#[derive(Debug)]
pub struct Pin<'a, S: Store> {
    ledger: &'a Ledger<S>,
    at: Height,
}

impl<S: Store> Drop for Pin<'_, S> {
    fn drop(&mut self) {
        let pins = &self.ledger.pins;
        let mut pins = pins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = pins.get_mut(&self.at) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.at);
            }
        }
    }
}
