//! What every committed block means for the vault.

use zkbureau_ledger::Store;
use zkbureau_ledger::block::Block;
use zkbureau_ledger::ids::Height;
use zkbureau_ledger::transaction::Transaction;

use super::{Agency, AgencyError};

impl<S: Store> Agency<S> {
    /// Looks at a block that the ledger has committed: marks own batches final, makes the answers to
    /// audits, drops what is no longer needed. Call it after every block, in order; blocks that
    /// were missed, for example while the process was down, are caught up from the ledger.
    ///
    /// # Errors
    /// [`AgencyError`]; then the next call tries again.
    pub fn on_block(&self, block: &Block) -> Result<(), AgencyError> {
        let height = block.header.height;
        // A ledger that came from a snapshot has neither the blocks before nor their audits' columns.
        let first = self.ledger.history_min_height()?.0;
        for missed in (self.vault.progress().last_block + 1).max(first)..height.0 {
            if let Some(block) = self.ledger.block(Height(missed))? {
                self.look_at(&block)?;
            }
        }
        self.look_at(block)?;
        Ok(self.vault.seen_block(height)?)
    }

    fn look_at(&self, block: &Block) -> Result<(), AgencyError> {
        let height = block.header.height;
        for transaction in &block.transactions {
            match transaction {
                Transaction::PublishBatch(batch) if batch.body.agency == self.id() => {
                    let number = batch.body.number;
                    let ours = self
                        .vault
                        .batch(number)?
                        .is_some_and(|state| state.hash == transaction.hash());
                    if ours {
                        self.vault.mark_final(number, height)?;
                    } else {
                        tracing::error!(
                            agency = self.id().0,
                            number,
                            "the ledger has a batch of this agency that the vault does not have"
                        );
                    }
                }
                Transaction::AuditRequest(request) if request.agencies.contains(&self.id()) => {
                    if let Err(error) = self.keep_audit(request, height) {
                        tracing::error!(agency = self.id().0, %error, "an audit cannot be answered");
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
