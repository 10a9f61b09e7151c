//! An agency at work: publishing what it knows, answering those who may ask, checking itself.
//!
//! - [`publish`]: a file becomes batches, durable in the vault before they are submitted;
//! - [`reconcile`]: vault and ledger agree again after a crash;
//! - [`blocks`]: what every committed block means for the vault;
//! - [`rights`]: who may have an answer;
//! - `rules`: what follows from the schema in force at a height;
//! - [`answer`]: evidence and openings for a wallet;
//! - [`report`]: a person's own records;
//! - [`audit`]: openings of column totals;
//! - [`verify`]: every commitment recomputed and compared with the ledger.
//!
//! What they exchange is specified in `ledger/spec/documents.md` and `ledger/spec/transactions.md`.
//!
//! Everything blocks, takes `&self` and may be called from several threads: publishing and checking
//! run one at a time, answers run beside them.

pub mod answer;
pub mod audit;
pub mod blocks;
pub mod import;
pub mod publish;
pub mod reconcile;
pub mod refusal;
pub mod report;
pub mod rights;
mod rules;
pub mod verify;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use thiserror::Error;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::scorecard::Card;
use zkbureau_ledger::ids::ChainId;
use zkbureau_ledger::transaction::{RegisterCard, Transaction};
use zkbureau_ledger::{Ledger, LedgerError, Store};

pub use answer::ask_context;
pub use import::{ImportError, ImportJob, ImportOutcome};
pub use publish::{PublishError, SubmitError, Submitter};
pub use reconcile::Reconciled;
pub use refusal::{AnswerError, Refusal};
pub use verify::{Difference, DifferenceKind, VaultCheck};

use self::rules::Rules;
use crate::vault::{AgencyKeys, Followed, KeyKind, Vault, VaultError};

/// An agency: its vault, and the ledger that it publishes to and answers about.
pub struct Agency<S: Store> {
    vault: Vault,
    ledger: Arc<Ledger<S>>,
    /// What follows from the schemas used last.
    rules: Mutex<Vec<Arc<Rules>>>,
    /// Held while batches enter or leave the vault, and while the vault is checked.
    publishing: Mutex<()>,
}

/// An agency cannot work. The text is for its operator.
#[derive(Debug, Error)]
pub enum AgencyError {
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The ledger.
    #[error("the ledger cannot be read: {0}")]
    Ledger(#[from] LedgerError),
    /// The ledger has no such agency.
    #[error("{0} is not on the ledger")]
    NotOnLedger(AgencyId),
    /// The ledger has other keys for this agency.
    #[error("the vault's keys are not those of {0} on the ledger")]
    OtherKeys(AgencyId),
    /// The vault and the ledger contradict one another.
    #[error("vault and ledger contradict one another: {0}")]
    Contradiction(&'static str),
}

/// Where an agency stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The agency.
    pub agency: AgencyId,
    /// People with a record.
    pub subjects: u64,
    /// Records ever prepared.
    pub entries: u64,
    /// Number of the last batch in the vault.
    pub prepared: u64,
    /// Number of the last batch known to be final.
    #[serde(rename = "final")]
    pub last_final: u64,
    /// Batches that are in the vault and not yet final.
    pub pending: u64,
    /// Height of the last block looked at.
    pub last_block: u64,
}

impl<S: Store> Agency<S> {
    /// Joins a vault and a ledger, and checks that they are of one agency.
    ///
    /// # Errors
    /// [`AgencyError`] when the ledger does not know the agency or knows it under other keys.
    pub fn open(vault: Vault, ledger: Arc<Ledger<S>>) -> Result<Self, AgencyError> {
        let agency = Self::join(vault, ledger)?;
        agency.check_standing()?;
        Ok(agency)
    }

    /// Joins a vault and a ledger that may be behind: the agency may not be on it yet, or under keys that it
    /// has replaced since. Until [`Self::check_standing`] passes the agency neither publishes nor answers.
    ///
    /// # Errors
    /// [`AgencyError::OtherKeys`] when they are not of one chain.
    pub fn join(vault: Vault, ledger: Arc<Ledger<S>>) -> Result<Self, AgencyError> {
        if vault.chain() != ledger.chain_id() {
            return Err(AgencyError::OtherKeys(vault.agency()));
        }
        let agency = Self {
            rules: Mutex::default(),
            vault,
            ledger,
            publishing: Mutex::new(()),
        };
        agency.follow_keys()?;
        Ok(agency)
    }

    /// Uses the keys that the ledger names, if it names the agency. Says whether they changed.
    ///
    /// # Errors
    /// [`AgencyError`].
    pub fn follow_keys(&self) -> Result<bool, AgencyError> {
        let consortium = self.ledger.consortium();
        let Some(on_ledger) = consortium.agency(self.id()) else {
            return Ok(false);
        };
        match self.vault.follow_keys(on_ledger)? {
            Followed::Same => Ok(false),
            Followed::Changed => {
                tracing::info!(agency = self.id().0, "the agency uses its new keys");
                Ok(true)
            }
            Followed::Missing(kind) => {
                tracing::warn!(agency = self.id().0, %kind, "the ledger names a key that this vault does not have");
                Ok(false)
            }
        }
    }

    /// Whether the agency is on the ledger, under the keys of its vault.
    ///
    /// # Errors
    /// [`AgencyError::NotOnLedger`] or [`AgencyError::OtherKeys`].
    pub fn check_standing(&self) -> Result<(), AgencyError> {
        let (id, keys) = (self.id(), self.keys());
        let consortium = self.ledger.consortium();
        let on_ledger = consortium.agency(id).ok_or(AgencyError::NotOnLedger(id))?;
        if KeyKind::ALL.iter().all(|kind| keys.is(*kind, on_ledger)) {
            Ok(())
        } else {
            Err(AgencyError::OtherKeys(id))
        }
    }

    /// The vault, for its backup and its keys.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The agency's identifier.
    #[must_use]
    pub fn id(&self) -> AgencyId {
        self.vault.agency()
    }

    /// The agency's secret keys.
    #[must_use]
    pub fn keys(&self) -> Arc<AgencyKeys> {
        self.vault.keys()
    }

    /// A scorecard in the agency's name, to be submitted (spec: `ledger/spec/cards.md`). Whoever calls this
    /// has decided whose cards the agency takes: they are public, and stay.
    #[must_use]
    pub fn register_card(&self, card: Card) -> Transaction {
        let chain = self.ledger.chain_id();
        RegisterCard::sign(chain, self.id(), card, self.keys().validator()).into()
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger<S>> {
        &self.ledger
    }

    /// Where the agency stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let progress = self.vault.progress();
        Status {
            agency: self.id(),
            subjects: progress.subjects,
            entries: progress.entries,
            prepared: progress.prepared,
            last_final: progress.last_final,
            pending: progress.prepared - progress.last_final,
            last_block: progress.last_block,
        }
    }

    fn chain(&self) -> &ChainId {
        self.vault.chain()
    }

    fn publishing(&self) -> MutexGuard<'_, ()> {
        // The lock orders work; what it protects is on disk and whole after a panic.
        self.publishing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
