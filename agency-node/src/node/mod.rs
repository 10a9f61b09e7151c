//! The running node: the ledger, the agencies' vaults and the queue between them.
//!
//! # Correctness
//! - Only the block producer's thread commits blocks, so nothing moves under its feet.
//! - Every agency is told of every block after it is committed; one that misses some (a crash)
//!   catches up by itself.
//! - Nothing here holds two locks at once.

pub mod mempool;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::agency::{Agency, SubmitError, Submitter};
use serde::Serialize;
use thiserror::Error;
use tokio::sync::watch;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::ids::{Height, TimeMs, TxHash};
use zkbureau_ledger::transaction::Transaction;
use zkbureau_ledger::{Checked, Ledger, LedgerError, RocksStore, TxError};

use self::mempool::{Full, Mempool};

/// A transaction that waits for something else is given up after this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Batches that are looked at again after one block.
const OVERDUE_PER_BLOCK: usize = 4;

/// The running node.
pub struct Node {
    /// The ledger.
    pub ledger: Arc<Ledger<RocksStore>>,
    /// The agencies of this process.
    pub agencies: BTreeMap<AgencyId, Arc<Agency<RocksStore>>>,
    /// The agency that signs blocks.
    pub proposer: AgencyId,
    /// The genesis file, byte for byte.
    pub genesis_file: Vec<u8>,
    pool: Mutex<Mempool<Arc<Checked>>>,
    /// Something changed: an arrival, a block, the end.
    changed: Condvar,
    height: watch::Sender<Height>,
    stopping: AtomicBool,
    /// Held during an import: one at a time, because each of them uses every core.
    pub importing: Mutex<()>,
}

/// A transaction was not queued.
#[derive(Debug, Error)]
pub enum QueueError {
    /// It breaks a rule.
    #[error("{0}")]
    Refused(TxError),
    /// There is no room.
    #[error("the queue holds at most {} {}", .0.limit, .0.what)]
    Full(Full),
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Stopping,
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Where a transaction stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Standing {
    /// In a block.
    Final {
        /// The block's height.
        height: Height,
    },
    /// Waiting.
    Pending,
    /// Given up.
    Refused {
        /// Why.
        reason: String,
    },
    /// Never seen, or forgotten.
    Unknown,
}

impl Standing {
    /// Whether waiting longer may change it.
    pub fn may_change(&self) -> bool {
        matches!(self, Self::Pending | Self::Unknown)
    }
}

/// A queued transaction.
#[derive(Clone, Copy, Debug)]
pub struct Queued {
    /// Its hash.
    pub hash: TxHash,
    /// Its size.
    pub bytes: usize,
    /// How long its stateless checks took.
    pub checked_in: Duration,
}

impl Node {
    /// Puts the parts together.
    pub fn new(
        ledger: Arc<Ledger<RocksStore>>,
        agencies: BTreeMap<AgencyId, Arc<Agency<RocksStore>>>,
        proposer: AgencyId,
        genesis_file: Vec<u8>,
    ) -> Self {
        let height = watch::Sender::new(ledger.tip().height);
        Self {
            ledger,
            agencies,
            proposer,
            genesis_file,
            pool: Mutex::new(Mempool::new()),
            changed: Condvar::new(),
            height,
            stopping: AtomicBool::new(false),
            importing: Mutex::new(()),
        }
    }

    /// The queue.
    pub fn pool(&self) -> MutexGuard<'_, Mempool<Arc<Checked>>> {
        // The queue is consistent between its own calls, so a panic elsewhere does not spoil it.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something changes, at most until `deadline`. Gives the queue back.
    pub fn wait_change<'a>(
        &self,
        pool: MutexGuard<'a, Mempool<Arc<Checked>>>,
        deadline: Instant,
    ) -> MutexGuard<'a, Mempool<Arc<Checked>>> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.changed.wait_timeout(pool, left) {
            Ok((pool, _)) => pool,
            Err(poisoned) => poisoned.into_inner().0,
        }
    }

    /// Checks a transaction against its own rules and the state, and queues it. Costs milliseconds
    /// for a batch: call it on a thread that may block.
    pub fn submit(&self, transaction: Transaction) -> Result<Queued, QueueError> {
        self.check_and_queue(transaction, true)
    }

    /// `against_state` executes the transaction once more than its block will. Whoever waits for
    /// the end anyway hears of a refusal just as soon without.
    fn check_and_queue(
        &self,
        transaction: Transaction,
        against_state: bool,
    ) -> Result<Queued, QueueError> {
        if self.is_stopping() {
            return Err(QueueError::Stopping);
        }
        let hash = transaction.hash();
        let bytes = transaction.to_bytes().len();
        let bulk = matches!(transaction, Transaction::PublishBatch(_));
        let queued = |checked_in| Queued {
            hash,
            bytes,
            checked_in,
        };
        let alone = {
            let pool = self.pool();
            if pool.contains(&hash) {
                return Ok(queued(Duration::ZERO));
            }
            pool.room(bytes, bulk).map_err(QueueError::Full)?;
            pool.len() == 0
        };
        if self.ledger.transaction(&hash)?.is_some() {
            return Ok(queued(Duration::ZERO));
        }
        let start = Instant::now();
        let checked = self
            .ledger
            .check_stateless(vec![transaction])
            .pop()
            .expect("one result per transaction")
            .map_err(QueueError::Refused)?;
        let checked_in = start.elapsed();
        let accepted = if against_state {
            self.ledger.check_stateful(&checked, now())
        } else {
            Ok(())
        };
        match accepted {
            Ok(()) => {}
            // What is missing may be waiting. If nothing is, the answer is no, and it is told now.
            Err(LedgerError::Transaction(e)) if e.is_temporary() && !alone => {}
            // It may have become final since the look-up above.
            Err(LedgerError::Transaction(_)) if self.ledger.transaction(&hash)?.is_some() => {
                return Ok(queued(checked_in));
            }
            Err(LedgerError::Transaction(e)) => return Err(QueueError::Refused(e)),
            Err(e) => return Err(QueueError::Ledger(e)),
        }
        self.pool()
            .insert(hash, bytes, bulk, checked)
            .map_err(QueueError::Full)?;
        self.changed.notify_all();
        Ok(queued(checked_in))
    }

    /// Where a transaction stands.
    pub fn standing(&self, hash: TxHash) -> Result<Standing, LedgerError> {
        let waiting = self.pool().contains(&hash);
        // The queue is asked first: a transaction leaves it only after its block is written.
        if let Some((height, _)) = self.ledger.transaction(&hash)? {
            return Ok(Standing::Final { height });
        }
        if waiting {
            return Ok(Standing::Pending);
        }
        Ok(match self.pool().refusal(&hash) {
            Some(reason) => Standing::Refused {
                reason: reason.to_owned(),
            },
            None => Standing::Unknown,
        })
    }

    /// Changes whenever a block is committed or given up on something.
    pub fn watch(&self) -> watch::Receiver<Height> {
        self.height.subscribe()
    }

    /// Returns when the chain has a block, or when the node stops.
    pub fn wait_for_first_block(&self) {
        while self.ledger.tip().height == Height::GENESIS && !self.is_stopping() {
            let soon = Instant::now() + Duration::from_millis(50);
            drop(self.wait_change(self.pool(), soon));
        }
    }

    /// Tells everybody who waits about a new height, or about refusals at the same one.
    pub fn announce(&self, height: Height) {
        self.height.send_replace(height);
        self.changed.notify_all();
    }

    /// Takes out for good what a proposer dropped, and what has been waiting for too long for
    /// something that does not come. What only finds no room stays. Only batches wait for something
    /// (their predecessors), and only a few are looked at per block: nobody can make blocks slow by
    /// leaving small transactions about.
    pub fn put_aside(&self, dropped: &[(TxHash, TxError)], deferred: &[TxHash]) {
        for (hash, error) in dropped {
            self.refuse(hash, error);
        }
        let overdue: Vec<Arc<Checked>> = {
            let pool = self.pool();
            deferred
                .iter()
                .filter_map(|hash| pool.waiting_longer_than(hash, PATIENCE))
                .filter(|checked| matches!(checked.transaction(), Transaction::PublishBatch(_)))
                .take(OVERDUE_PER_BLOCK)
                .collect()
        };
        for checked in overdue {
            if let Err(LedgerError::Transaction(error)) =
                self.ledger.check_stateful(&checked, now())
            {
                self.refuse(&checked.hash(), &error);
            }
        }
    }

    fn refuse(&self, hash: &TxHash, error: &TxError) {
        tracing::info!(transaction = %hash, reason = %error, "transaction refused");
        self.pool().refuse(hash, error.to_string());
    }

    /// Asks everything to finish.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Taking the lock orders this with a waiter that has just looked at the flag.
        drop(self.pool());
        self.height.send_modify(|_| {});
        self.changed.notify_all();
    }

    /// Whether everything should finish.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

/// The wall clock.
pub fn now() -> TimeMs {
    let ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis());
    TimeMs(u64::try_from(ms).unwrap_or(u64::MAX))
}

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

impl<'a> Submission<'a> {
    /// Nothing submitted yet.
    pub fn new(node: &'a Node) -> Self {
        Self {
            node,
            totals: Mutex::default(),
        }
    }

    /// What was submitted so far.
    pub fn totals(&self) -> Totals {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Submitter for Submission<'_> {
    fn submit(&self, transaction: Transaction) -> Result<Height, SubmitError> {
        let unavailable = |reason: String| SubmitError::Unavailable { reason };
        let start = Instant::now();
        let queued = loop {
            match self.node.check_and_queue(transaction.clone(), false) {
                Ok(queued) => break queued,
                Err(QueueError::Refused(e)) => {
                    return Err(SubmitError::Refused {
                        reason: e.to_string(),
                    });
                }
                // Our own bulk waits for room like everybody's.
                Err(QueueError::Full(_)) => {
                    let deadline = Instant::now() + Duration::from_millis(200);
                    drop(self.node.wait_change(self.node.pool(), deadline));
                }
                Err(e) => return Err(unavailable(e.to_string())),
            }
        };
        let height = loop {
            match self.node.standing(queued.hash) {
                Ok(Standing::Final { height }) => break height,
                Ok(Standing::Refused { reason }) => return Err(SubmitError::Refused { reason }),
                Ok(Standing::Pending) => {}
                Ok(Standing::Unknown) => {
                    return Err(unavailable("the node forgot the batch".to_owned()));
                }
                Err(e) => return Err(unavailable(e.to_string())),
            }
            if self.node.is_stopping() {
                return Err(unavailable("the node is shutting down".to_owned()));
            }
            let pool = self.node.pool();
            if pool.contains(&queued.hash) {
                drop(
                    self.node
                        .wait_change(pool, Instant::now() + Duration::from_secs(1)),
                );
            }
        };
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
