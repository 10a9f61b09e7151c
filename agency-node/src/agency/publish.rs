//! Batches on their way to the ledger: durable in the vault first, then submitted, then final
//! (spec: `ledger/spec/transactions.md`, "PublishBatch").
//!
//! ```text
//! prepared ──put──▶ vault, outbox ──submit──▶ ledger ──▶ final
//!                        ▲   │ refused: rolled back
//!                  crash └───┘ unknown: stays, reconcile decides
//! ```
//!
//! # Correctness
//! The vault knows a batch before the ledger can, so no record on the ledger is ever unopenable.
//! The outbox holds the transaction's exact bytes, and its number makes the ledger accept it
//! once, so submitting it again after a crash neither loses nor doubles it.

use std::time::Instant;

use rand_core::OsRng;
use thiserror::Error;
use zkbureau_circuits::commitment::SubjectSalt;
use zkbureau_circuits::directory::{Index, SubjectId};
use zkbureau_circuits::encoding::{Digest32, Document};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_ledger::ids::{ChainId, Height, HolderTag};
use zkbureau_ledger::transaction::{BatchBody, BatchEntry, PublishBatch, Transaction, body_hash};
use zkbureau_ledger::{LedgerError, Store};
use zkbureau_prover::{
    KnownSubject, PreparedBatch, PublicEntry, PublishedView, Subjects, Tradeline,
};

use super::Agency;
use super::rules::Rules;
use crate::failpoint;
use crate::vault::{NewBatch, Subject, Vault, VaultError};

/// Brings a transaction to the ledger.
pub trait Submitter: Sync {
    /// Returns when the transaction is in a committed block, with the block's height, or when the
    /// ledger has refused it.
    ///
    /// # Errors
    /// [`SubmitError`].
    fn submit(&self, transaction: Transaction) -> Result<Height, SubmitError>;
}

/// A transaction did not become final.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SubmitError {
    /// The ledger refused it: it will never be in a block as it is.
    #[error("the ledger refused the batch: {reason}")]
    Refused {
        /// What the ledger said.
        reason: String,
    },
    /// Nobody knows whether it will be in a block.
    #[error("the ledger cannot be reached: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
    },
}

/// Why publishing stopped.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The ledger refused a batch; the vault is as it was before the batch.
    #[error("the ledger refused batch {number}: {reason}")]
    Refused {
        /// Number of the batch.
        number: u64,
        /// What the ledger said.
        reason: String,
    },
    /// A batch is in the vault and its fate is open; the next start or import resolves it.
    #[error("batch {number} is stored and waits to be submitted again: {reason}")]
    Unavailable {
        /// Number of the batch.
        number: u64,
        /// What happened.
        reason: String,
    },
    /// The ledger has batches that the vault does not have: the vault is an old copy or was damaged.
    #[error(
        "the ledger has {ledger} batches of this agency, the vault only {vault}: this vault is an old copy; \
         restore the latest one before publishing"
    )]
    VaultBehind {
        /// Batches on the ledger.
        ledger: u64,
        /// Batches in the vault.
        vault: u64,
    },
    /// The ledger has another batch under a number of the vault.
    #[error(
        "batch {number} on the ledger is not the vault's batch {number}: two copies of this vault have published; \
         restore the one that is on the ledger"
    )]
    Diverged {
        /// Number of the batch.
        number: u64,
    },
    /// The ledger lost a batch so long ago that its bytes are gone.
    #[error(
        "the ledger has lost batch {number}, which was final long ago, and its bytes are no longer kept; \
         restore the ledger"
    )]
    OutboxGone {
        /// Number of the batch.
        number: u64,
    },
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The ledger.
    #[error("the ledger cannot be read: {0}")]
    Ledger(#[from] LedgerError),
}

impl<S: Store> Agency<S> {
    /// What the prover's sink does with a batch.
    pub(super) fn publish_batch(
        &self,
        prepared: PreparedBatch,
        rules: &Rules,
        submitter: &dyn Submitter,
    ) -> Result<(), PublishError> {
        failpoint!("before-vault");
        let start = Instant::now();
        let (number, records) = (prepared.number, prepared.entries.len());
        let body = batch_body(
            self.id(),
            number,
            rules.schema().version(),
            (prepared.period, prepared.closes),
            &prepared.entries,
        );
        let transaction = Transaction::from(PublishBatch::sign(
            self.chain(),
            body,
            prepared.argument,
            self.keys().validator(),
        ));
        let bytes = transaction.to_bytes();
        self.vault.put_batch(
            &rules.opener,
            &NewBatch {
                number,
                reported_period: prepared.period,
                entries: &prepared.entries,
                kept: &prepared.kept,
                hash: transaction.hash(),
                bytes: &bytes,
            },
        )?;
        failpoint!("vault-written");
        let stored = start.elapsed();
        self.submit(number, transaction, submitter)?;
        tracing::debug!(
            agency = self.id().0,
            number,
            records,
            stored_us = stored.as_micros(),
            submitted_us = (start.elapsed() - stored).as_micros(),
            "batch published"
        );
        Ok(())
    }

    /// Submits the last batch of the vault. A refused batch is rolled back.
    pub(super) fn submit(
        &self,
        number: u64,
        transaction: Transaction,
        submitter: &dyn Submitter,
    ) -> Result<(), PublishError> {
        match submitter.submit(transaction) {
            Ok(height) => {
                failpoint!("before-final");
                Ok(self.vault.mark_final(number, height)?)
            }
            Err(SubmitError::Refused { reason }) => {
                for later in (number..=self.vault.progress().prepared).rev() {
                    self.vault.roll_back(later)?;
                }
                Err(PublishError::Refused { number, reason })
            }
            Err(SubmitError::Unavailable { reason }) => {
                Err(PublishError::Unavailable { number, reason })
            }
        }
    }
}

/// A batch's body as the ledger has it.
fn batch_body(
    agency: AgencyId,
    number: u64,
    schema: u32,
    (period, closes): (Period, bool),
    entries: &[PublicEntry],
) -> BatchBody {
    BatchBody {
        agency,
        number,
        schema,
        period,
        closes,
        entries: entries
            .iter()
            .map(|entry| BatchEntry {
                index: entry.index,
                effective_period: entry.effective_period,
                stocks: entry.stocks,
                flows: entry.flows,
                holder_tag: HolderTag(entry.holder_tag),
            })
            .collect(),
    }
}

/// The vault as the prover sees it.
pub(super) struct VaultView<'a> {
    pub vault: &'a Vault,
    pub chain: &'a ChainId,
    pub schema: u32,
    pub reported_period: Period,
}

impl PublishedView for VaultView<'_> {
    type Error = VaultError;

    fn published(
        &self,
        subject: &SubjectId,
        period: Period,
    ) -> Result<Option<Vec<Tradeline>>, VaultError> {
        self.vault.tradelines(&self.vault.handle(subject), period)
    }
}

impl Subjects for VaultView<'_> {
    type Error = VaultError;

    fn known(&self, subject: &SubjectId) -> Result<Option<KnownSubject>, VaultError> {
        let known = self.vault.subject(&self.vault.handle(subject))?;
        Ok(known.map(|known| KnownSubject {
            index: known.index,
            salt: known.salt,
            holder_tag: known.holder_tag,
        }))
    }

    fn admit(&self, subject: &SubjectId, index: Index) -> Result<KnownSubject, VaultError> {
        let salt = SubjectSalt::random(&mut OsRng);
        let new = Subject::new(self.vault.agency(), subject.clone(), index, salt);
        Ok(KnownSubject {
            index,
            salt: new.salt,
            holder_tag: new.holder_tag,
        })
    }

    fn body_hash(&self, number: u64, closes: bool, entries: &[PublicEntry]) -> Digest32 {
        let body = batch_body(
            self.vault.agency(),
            number,
            self.schema,
            (self.reported_period, closes),
            entries,
        );
        body_hash(self.chain, &body)
    }
}
