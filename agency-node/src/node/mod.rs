//! The running node: the ledger, the agencies' vaults and the queue between them.
//!
//! - [`mempool`]: what waits for a block; [`checks`]: batches checked together;
//! - [`submission`]: an agency's own batches on their way into a block;
//! - [`ask`]: asks to agencies, here or at another node; [`services`]: what other nodes want of this one;
//! - [`snapshots`]: the ledger's state for others; [`join`]: a new node gets it from them;
//! - [`readiness`]: whether it is fit for use.
//!
//! Two drivers make blocks: the development network's producer, and the consensus of several nodes. Both
//! take [`Node::pool`]'s candidates and end with [`Node::committed`].
//!
//! # Correctness
//! - Only the driver commits blocks, so nothing moves under its feet.
//! - Every agency is told of every block after it is committed; one that misses some (a crash)
//!   catches up by itself.
//! - Nothing here holds two locks at once.

pub mod ask;
pub mod checks;
mod incoming;
pub mod join;
pub mod mempool;
pub mod readiness;
pub mod services;
pub mod snapshots;
pub mod submission;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use thiserror::Error;
use tokio::sync::{Notify, Semaphore, broadcast, watch};
use zkbureau_circuits::encoding::{Digest32, Document};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::block::Block;
use zkbureau_ledger::ids::{Height, TimeMs, TxHash};
use zkbureau_ledger::transaction::Transaction;
use zkbureau_ledger::{Checked, Ledger, LedgerError, RocksStore, TxError};

use self::checks::Checks;
use self::mempool::{Arrival, Full, Lane, Mempool, Refusal};
use self::snapshots::Spool;
use self::submission::is_lasting;
use crate::agency::Agency;
use crate::consensus::Meters;
use crate::network::NetworkHandle;

pub use self::ask::{AskError, DEADLINE as ASK_DEADLINE};
pub use self::mempool::Limits;
pub use self::readiness::NotReady;
pub use self::services::Gateway;
pub use self::submission::Submission;

/// A transaction that waits for something else is given up after this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Batches that are looked at again after one block.
const OVERDUE_PER_BLOCK: usize = 4;
/// Transactions that are checked again together when the rules change.
const RECHECKED: usize = 64;
/// Refusals that a listener may be behind before it misses some.
const REFUSALS: usize = 256;

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
    checks: Checks,
    /// Something changed: an arrival, a block, the end.
    changed: Condvar,
    /// Something has arrived in the queue, for the one that makes blocks.
    arrived: Notify,
    height: watch::Sender<Height>,
    /// Transactions that were given up, for whoever listens.
    refused: broadcast::Sender<TxHash>,
    /// Digest of the consortium's rules after the last block.
    rules: watch::Sender<Digest32>,
    stopping: AtomicBool,
    /// Snapshots for nodes that join.
    snapshots: Spool,
    /// Whether a snapshot is being fetched.
    fetching: AtomicBool,
    /// The other nodes; none in a sandbox, and before it is started.
    network: RwLock<Option<NetworkHandle>>,
    /// Held during an import: one at a time, because each of them uses every core.
    pub importing: Mutex<()>,
    /// Places for asks that wait for a block.
    catching_up: Semaphore,
    /// When the last block was committed, or the node started.
    last_commit: Mutex<Instant>,
    /// A block is due after this time without one, if that is known.
    heartbeat: Option<Duration>,
    /// What consensus does and how long it takes, once it runs.
    meters: Mutex<Option<Arc<Meters>>>,
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
        let rules = watch::Sender::new(rules_of(&ledger));
        Self {
            ledger,
            agencies,
            proposer,
            genesis_file,
            pool: Mutex::new(Mempool::new(Limits::default())),
            checks: Checks::default(),
            changed: Condvar::new(),
            arrived: Notify::new(),
            height,
            refused: broadcast::Sender::new(REFUSALS),
            rules,
            stopping: AtomicBool::new(false),
            snapshots: Spool::default(),
            fetching: AtomicBool::new(false),
            network: RwLock::new(None),
            importing: Mutex::new(()),
            catching_up: Semaphore::new(ask::CATCHING_UP),
            last_commit: Mutex::new(Instant::now()),
            heartbeat: None,
            meters: Mutex::new(None),
        }
    }

    /// With other limits of the queue.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.pool = Mutex::new(Mempool::new(limits));
        self
    }

    /// With the time after which a block is due although nothing waits: one that does not come makes the node
    /// not ready.
    #[must_use]
    pub fn with_heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = Some(heartbeat);
        self
    }

    /// With a place for snapshots that other nodes ask for.
    #[must_use]
    pub fn with_snapshots(mut self, spool: Spool) -> Self {
        self.snapshots = spool;
        self
    }

    /// The other nodes, if this one is connected to any.
    pub fn network(&self) -> Option<NetworkHandle> {
        self.network
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Connects the node, or takes the connection away.
    pub fn set_network(&self, network: Option<NetworkHandle>) {
        *self.network.write().unwrap_or_else(PoisonError::into_inner) = network;
    }

    /// Says that a snapshot is being fetched, or is no longer.
    pub fn set_fetching(&self, fetching: bool) {
        self.fetching.store(fetching, Ordering::SeqCst);
    }

    fn is_fetching(&self) -> bool {
        self.fetching.load(Ordering::SeqCst)
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
        let lane = Lane::of(&transaction);
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
            pool.room(bytes, lane).map_err(QueueError::Full)?;
            pool.is_empty()
        };
        if self.ledger.transaction(&hash)?.is_some() {
            return Ok(queued(Duration::ZERO));
        }
        let start = Instant::now();
        let checked = if lane.is_bulk() {
            let took = |time| self.checked_in(time);
            self.checks.check(&self.ledger, transaction, &took)
        } else {
            let checked = checks::check_alone(&self.ledger, transaction);
            self.checked_in(start.elapsed());
            checked
        }
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
        if self.insert(checked.clone(), bytes, true)? {
            self.pool().sent(&hash);
            self.pass_on(checked.transaction().to_bytes().into());
        }
        Ok(queued(checked_in))
    }

    /// Queues a checked transaction. Says whether it is new.
    fn insert(&self, checked: Arc<Checked>, bytes: usize, own: bool) -> Result<bool, QueueError> {
        let arrival = Arrival {
            hash: checked.hash(),
            bytes,
            lane: Lane::of(checked.transaction()),
            own,
        };
        let new = self
            .pool()
            .insert(arrival, checked)
            .map_err(QueueError::Full)?;
        if new {
            self.changed.notify_all();
            self.arrived.notify_one();
        }
        Ok(new)
    }

    /// Returns when something has arrived in the queue since the last call. For one caller.
    pub async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// Checks and queues a small transaction that another node has passed on.
    fn queue_foreign(&self, transaction: Transaction) -> Result<(), QueueError> {
        if self.is_stopping() {
            return Err(QueueError::Stopping);
        }
        let bytes = transaction.to_bytes().len();
        let lane = Lane::of(&transaction);
        self.pool().room(bytes, lane).map_err(QueueError::Full)?;
        let start = Instant::now();
        let checked = checks::check_alone(&self.ledger, transaction);
        self.checked_in(start.elapsed());
        let checked = checked.map_err(QueueError::Refused)?;
        match self.ledger.check_stateful(&checked, now()) {
            Ok(()) => {}
            Err(LedgerError::Transaction(e)) if e.is_temporary() => {}
            Err(LedgerError::Transaction(e)) => return Err(QueueError::Refused(e)),
            Err(e) => return Err(QueueError::Ledger(e)),
        }
        self.insert(checked, bytes, false).map(|_| ())
    }

    /// A transaction that was checked and waits, so that a block with it needs no second check.
    #[must_use]
    pub fn known(&self, hash: &TxHash) -> Option<Arc<Checked>> {
        self.pool().get(hash)
    }

    /// Where a transaction stands.
    pub fn standing(&self, hash: TxHash) -> Result<Standing, LedgerError> {
        self.full_standing(hash).map(|(standing, _)| standing)
    }

    /// Where a transaction stands, with the refusal if there is one.
    fn full_standing(&self, hash: TxHash) -> Result<(Standing, Option<Refusal>), LedgerError> {
        let waiting = self.pool().contains(&hash);
        // The queue is asked first: a transaction leaves it only after its block is written.
        if let Some((height, _)) = self.ledger.transaction(&hash)? {
            return Ok((Standing::Final { height }, None));
        }
        if waiting {
            return Ok((Standing::Pending, None));
        }
        let refusal = self.pool().refusal(&hash).cloned();
        let standing = match &refusal {
            Some(refusal) => Standing::Refused {
                reason: refusal.reason.clone(),
            },
            None => Standing::Unknown,
        };
        Ok((standing, refusal))
    }

    /// Changes whenever a block is committed or given up on something.
    pub fn watch(&self) -> watch::Receiver<Height> {
        self.height.subscribe()
    }

    /// Returns when the chain has a block, or when the node stops.
    pub fn wait_for_first_block(&self) {
        while self.ledger.tip().height == Height::GENESIS && !self.is_stopping() {
            // A block and the end wake us.
            let pool = self.pool();
            if self.ledger.tip().height == Height::GENESIS && !self.is_stopping() {
                drop(self.wait_change(pool, Instant::now() + Duration::from_secs(1)));
            }
        }
    }

    /// What follows a committed block: the agencies look at it, the queue forgets its transactions, and
    /// whoever waits is told. The driver calls it once after every commit, in order.
    pub fn committed(self: &Arc<Self>, block: &Block) {
        let now = Instant::now();
        *self
            .last_commit
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = now;
        for agency in self.agencies.values() {
            if let Err(error) = agency.on_block(block) {
                tracing::error!(agency = agency.id().0, %error, "the agency could not follow a block");
            }
        }
        {
            let mut pool = self.pool();
            for transaction in &block.transactions {
                pool.remove(&transaction.hash());
            }
        }
        let rules = rules_of(&self.ledger);
        if *self.rules.borrow() != rules {
            tracing::info!(
                height = block.header.height.0,
                "the consortium's rules changed"
            );
            self.recheck();
            self.rules.send_replace(rules);
        }
        self.announce(block.header.height);
    }

    /// What consensus does and how long it takes; nothing in a development network.
    pub fn meters(&self) -> Option<Arc<Meters>> {
        let meters = self.meters.lock();
        meters.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Consensus has started, and counts here.
    pub fn set_meters(&self, meters: Arc<Meters>) {
        let mut place = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(meters);
    }

    /// Stateless checks on arrival took so long.
    fn checked_in(&self, time: Duration) {
        if let Some(meters) = self.meters() {
            meters.check.add(time);
        }
    }

    /// Transactions that are given up from now on.
    pub fn refusals(&self) -> broadcast::Receiver<TxHash> {
        self.refused.subscribe()
    }

    /// Changes whenever a block changes the consortium: its members, keys, schema or policies.
    pub fn watch_rules(&self) -> watch::Receiver<Digest32> {
        self.rules.subscribe()
    }

    /// Checks everything that waits by the rules that hold now. Until that is done nothing of it is
    /// offered to a block.
    fn recheck(self: &Arc<Self>) {
        let waiting = self.pool().make_stale();
        if waiting.is_empty() {
            return;
        }
        let node = self.clone();
        std::thread::spawn(move || {
            for some in waiting.chunks(RECHECKED) {
                if node.is_stopping() {
                    return;
                }
                let transactions = some.iter().map(|c| c.transaction().clone()).collect();
                let results = checks::apart(|| node.ledger.check_stateless(transactions));
                for (old, result) in some.iter().zip(results) {
                    match result {
                        Ok(checked) => node.pool().renew(&old.hash(), checked),
                        Err(error) => node.refuse(&old.hash(), &error),
                    }
                }
                node.changed.notify_all();
            }
        });
    }

    /// Tells everybody who waits about a new height, or about refusals at the same one.
    pub fn announce(&self, height: Height) {
        self.height.send_replace(height);
        // Taking the lock orders this with a waiter that has just looked.
        drop(self.pool());
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
        let refusal = Refusal {
            reason: error.to_string(),
            lasting: is_lasting(error),
        };
        self.pool().refuse(hash, refusal);
        // An error means that nobody listens.
        let _ = self.refused.send(*hash);
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

/// A digest of everything that governance may change.
fn rules_of(ledger: &Ledger<RocksStore>) -> Digest32 {
    ledger.consortium().digest()
}

/// The wall clock.
pub fn now() -> TimeMs {
    let ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis());
    TimeMs(u64::try_from(ms).unwrap_or(u64::MAX))
}
