//! An agency's batches on their way into a block, from the process that holds its vault.
//!
//! # Correctness
//! A batch that other nodes may have must not be taken back because *this* node cannot use it now: another
//! proposer may still put it into a block. So only a lasting refusal (the batch can never be valid) ends in
//! [`SubmitError::Refused`]; after anything else the batch stays in the vault and is submitted again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use zkbureau_ledger::TxError;
use zkbureau_ledger::ids::Height;
use zkbureau_ledger::transaction::Transaction;

use super::mempool::Refusal;
use super::{Node, QueueError, Queued, Standing, now};
use crate::agency::{SubmitError, Submitter};

/// A batch that is given up this often for want of something else ends the import.
const ATTEMPTS: u32 = 3;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Submits an agency's batches to the queue of its own process and measures them.
pub struct Submission<'a> {
    node: &'a Node,
    totals: Mutex<Totals>,
}

/// What was submitted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Batches.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of their transactions.
    pub bytes: u64,
    /// Time of their stateless checks.
    pub verifying: Duration,
    /// Time from submission to finality, checks included.
    pub waiting: Duration,
}

/// Whether a refused batch can never be valid again, whatever the others do.
pub(crate) fn is_lasting(error: &TxError) -> bool {
    match error {
        TxError::Size { .. }
        | TxError::Order { .. }
        | TxError::OtherChain
        | TxError::Signature { .. }
        | TxError::EffectivePeriod { .. }
        | TxError::Point { .. }
        | TxError::RangeArgument { .. }
        | TxError::PeriodBack { .. }
        | TxError::LogFull { .. } => true,
        TxError::Schema { expected, got } => got < expected,
        TxError::Number { expected, got, .. } => got < expected,
        _ => false,
    }
}

impl<'a> Submission<'a> {
    /// Nothing submitted yet.
    #[must_use]
    pub fn new(node: &'a Node) -> Self {
        Self {
            node,
            totals: Mutex::default(),
        }
    }

    /// What was submitted so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the batch into the queue, or waits for room: our own bulk waits like everybody's.
    fn queue(&self, transaction: &Transaction) -> Result<Queued, SubmitError> {
        loop {
            match self.node.check_and_queue(transaction.clone(), false) {
                Ok(queued) => return Ok(queued),
                Err(QueueError::Refused(error)) if is_lasting(&error) => {
                    return Err(SubmitError::Refused {
                        reason: error.to_string(),
                    });
                }
                Err(QueueError::Full(_)) => self.pause(),
                Err(error) => return Err(unavailable(&error)),
            }
        }
    }

    fn pause(&self) {
        let deadline = Instant::now() + PAUSE;
        drop(self.node.wait_change(self.node.pool(), deadline));
    }

    /// Waits until the batch is in a block. What the queue has lost is put into it again.
    fn wait(&self, transaction: &Transaction, mut queued: Queued) -> Result<Height, SubmitError> {
        let mut attempts = 0;
        loop {
            match self
                .node
                .full_standing(queued.hash)
                .map_err(|e| unavailable(&e))?
            {
                (Standing::Final { height }, _) => return Ok(height),
                (Standing::Refused { reason }, Some(Refusal { lasting: true, .. })) => {
                    return Err(SubmitError::Refused { reason });
                }
                (Standing::Refused { reason }, _) => {
                    attempts += 1;
                    if attempts == ATTEMPTS {
                        return Err(unavailable(&reason));
                    }
                    self.pause();
                    queued = self.queue(transaction)?;
                }
                (Standing::Unknown, _) => queued = self.queue(transaction)?,
                (Standing::Pending, _) => {}
            }
            if self.node.is_stopping() {
                return Err(unavailable(&QueueError::Stopping));
            }
            let pool = self.node.pool();
            if pool.contains(&queued.hash) {
                let deadline = Instant::now() + Duration::from_secs(1);
                drop(self.node.wait_change(pool, deadline));
            }
        }
    }
}

fn unavailable(reason: &dyn std::fmt::Display) -> SubmitError {
    SubmitError::Unavailable {
        reason: reason.to_string(),
    }
}

impl Submitter for Submission<'_> {
    fn submit(&self, transaction: Transaction) -> Result<Height, SubmitError> {
        // Nobody has seen it yet, so what could become valid later may still be taken back.
        if let Transaction::PublishBatch(batch) = &transaction
            && batch.body.period > now().month()
        {
            let (limit, got) = (now().month(), batch.body.period);
            return Err(SubmitError::Refused {
                reason: TxError::PeriodAhead { limit, got }.to_string(),
            });
        }
        let start = Instant::now();
        let queued = self.queue(&transaction)?;
        let height = self.wait(&transaction, queued)?;
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.batches += 1;
        if let Transaction::PublishBatch(batch) = &transaction {
            totals.records += batch.body.entries.len() as u64;
        }
        totals.bytes += queued.bytes as u64;
        totals.verifying += queued.checked_in;
        totals.waiting += start.elapsed();
        Ok(height)
    }
}
