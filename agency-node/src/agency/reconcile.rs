//! Vault and ledger agree again, whatever happened.
//!
//! With `L` the number of this agency's batches on the ledger, `F` those that the vault believes final
//! and `P` those in the vault (`F ≤ P`):
//!
//! | situation | how it comes about | what is done |
//! |---|---|---|
//! | `L = P` | nothing, or a crash before the vault heard | `F` becomes `P` |
//! | `F ≤ L < P` | a crash between vault and submit | `L+1 ..= P` are submitted, the same bytes |
//! | `L < F` | the end of the ledger's log was lost | the same, from `L+1` |
//! | `L > P` | the vault is an old copy | publishing is refused |
//!
//! Whatever is final must be, byte for byte, what the vault has under that number: two copies of
//! a vault that have both published are told apart here.

use serde::Serialize;
use zkbureau_circuits::encoding::Document;
use zkbureau_ledger::Store;
use zkbureau_ledger::ids::Height;
use zkbureau_ledger::transaction::Transaction;

use super::Agency;
use super::publish::{PublishError, Submitter};
use crate::vault::VaultError;

/// What reconciling did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reconciled {
    /// Batches that the ledger had and the vault did not know to be final.
    pub marked_final: u64,
    /// Batches that were submitted again.
    pub resubmitted: u64,
}

impl<S: Store> Agency<S> {
    /// Compares vault and ledger, and submits what the ledger does not have. Call it on start, as
    /// soon as blocks can be made; imports begin with it.
    ///
    /// # Errors
    /// [`PublishError`]; nothing is published as long as this fails.
    pub fn reconcile(&self, submitter: &dyn Submitter) -> Result<Reconciled, PublishError> {
        let _guard = self.publishing();
        self.reconcile_locked(submitter)
    }

    pub(super) fn reconcile_locked(
        &self,
        submitter: &dyn Submitter,
    ) -> Result<Reconciled, PublishError> {
        let mut done = Reconciled::default();
        let tip = self.ledger.tip().height;
        let on_ledger = self.ledger.column(tip, self.id())?.batches;
        let progress = self.vault.progress();
        if progress.last_block > tip.0 {
            // Blocks that the ledger has lost are looked at again when they are made again.
            self.vault.seen_block(tip)?;
        }
        if on_ledger > progress.prepared {
            return Err(PublishError::VaultBehind {
                ledger: on_ledger,
                vault: progress.prepared,
            });
        }
        if on_ledger < progress.last_final {
            tracing::warn!(
                agency = self.id().0,
                ledger = on_ledger,
                vault = progress.last_final,
                "the ledger has lost final batches; they are submitted again"
            );
            self.vault.unmark_final(on_ledger)?;
        }
        let before_history = Height(self.ledger.history_min_height()?.0.saturating_sub(1));
        // From the last one that both have: copies that diverged show there.
        for number in progress.last_final.min(on_ledger).max(1)..=on_ledger {
            let state = self
                .vault
                .batch(number)?
                .ok_or(VaultError::Damaged("batches"))?;
            let height = match self.ledger.transaction(&state.hash)? {
                Some((height, _)) => height,
                // A ledger that came from a snapshot has the state of earlier blocks and not their
                // transactions: there the vault is believed, and `vault verify` compares every leaf.
                None => match state.final_at.unwrap_or(before_history) {
                    height if height <= before_history && height > Height::GENESIS => height,
                    _ => return Err(PublishError::Diverged { number }),
                },
            };
            self.vault.mark_final(number, height)?;
            done.marked_final += u64::from(number > progress.last_final);
        }
        for number in on_ledger + 1..=progress.prepared {
            let bytes = self
                .vault
                .outbox(number)?
                .ok_or(PublishError::OutboxGone { number })?;
            let transaction =
                Transaction::from_bytes(&bytes).map_err(|_| VaultError::Damaged("outbox"))?;
            self.submit(number, transaction, submitter)?;
            done.resubmitted += 1;
        }
        Ok(done)
    }
}
