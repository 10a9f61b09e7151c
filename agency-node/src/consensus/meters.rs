//! What consensus does and how long it takes: plain counters, for metrics and benches.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use zkbureau_circuits::ids::AgencyId;

/// Upper bounds of the buckets of a [`Stopwatch`], in milliseconds.
pub const BUCKETS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000];

/// Appends the engine's own figures, of all engines of this process, as OpenMetrics text.
pub fn engine_figures(text: &mut String) {
    arc_malachitebft_app_channel::app::metrics::export(text);
}

/// How often something happened and how long it took.
#[derive(Debug, Default)]
pub struct Stopwatch {
    count: AtomicU64,
    nanos: AtomicU64,
    /// One more than bounds: the last counts what is above all of them.
    buckets: [AtomicU64; BUCKETS_MS.len() + 1],
}

impl Stopwatch {
    /// Adds one time.
    pub fn add(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_MS.partition_point(|ms| ms * 1_000_000 < nanos);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
    }

    /// Runs something and adds its time.
    pub fn time<T>(&self, run: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let out = run();
        self.add(start.elapsed());
        out
    }

    /// How often.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// How long altogether.
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    /// How often within each bucket's bounds, the one above all bounds last.
    pub fn buckets(&self) -> [u64; BUCKETS_MS.len() + 1] {
        std::array::from_fn(|i| self.buckets[i].load(Ordering::Relaxed))
    }
}

/// Why somebody's message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Its block breaks a rule.
    InvalidBlock,
    /// Its bytes are not the block that it names.
    OtherBlock,
    /// Its block is too far in the future.
    Future,
    /// It sends more blocks in a round than it may.
    TooManyBlocks,
    /// A part names it as the proposer, and it is not, or the signature is bad. The agency is the one
    /// that the part names, which need not be the one that sent it.
    BadPart,
    /// It signed two proposals of one round.
    DoubleProposal,
    /// It signed two votes of one round.
    DoubleVote,
}

impl Fault {
    /// Its name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidBlock => "invalid_block",
            Self::OtherBlock => "other_block",
            Self::Future => "future",
            Self::TooManyBlocks => "too_many_blocks",
            Self::BadPart => "bad_part",
            Self::DoubleProposal => "double_proposal",
            Self::DoubleVote => "double_vote",
        }
    }
}

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Meters {
    /// From the start of a height to its decision.
    pub height: Stopwatch,
    /// Between two blocks.
    pub interval: Stopwatch,
    /// Making a block of our own, its execution included.
    pub propose: Stopwatch,
    /// Stateless checks of transactions on their way into the queue, those checked together once.
    pub check: Stopwatch,
    /// Stateless checks of transactions that a block had and the queue had not.
    pub verify: Stopwatch,
    /// Executing somebody's block: rules that need the state, and all trees.
    pub execute: Stopwatch,
    /// Trees: part of `propose` and `execute`, added over agencies whose batches are applied in parallel.
    pub tree: Stopwatch,
    /// Writing a proposed block, before it is voted on.
    pub keep: Stopwatch,
    /// Writing a final block.
    pub write: Stopwatch,
    /// The agency's own work after a block.
    pub follow: Stopwatch,
    /// Rounds started.
    pub rounds: AtomicU64,
    /// Rounds after the first of their height: somebody was too slow or down.
    pub failed_rounds: AtomicU64,
    /// Blocks without transactions.
    pub empty_blocks: AtomicU64,
    /// Transactions in final blocks.
    pub transactions: AtomicU64,
    /// Blocks that came by sync.
    pub synced_blocks: AtomicU64,
    /// Blocks given to others by sync.
    pub served_blocks: AtomicU64,
    faults: Mutex<BTreeMap<(AgencyId, Fault), u64>>,
}

impl Meters {
    /// Blocks made final.
    pub fn blocks(&self) -> u64 {
        self.write.count()
    }

    /// Counts a fault of an agency. Says whether it is worth a line in the log: less and less often, so that
    /// nobody fills a disk with its faults.
    pub fn fault(&self, agency: AgencyId, fault: Fault) -> bool {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        // One entry per agency that a message may name; a message may name anything.
        if faults.len() >= 1_024 && !faults.contains_key(&(agency, fault)) {
            return false;
        }
        let count = faults.entry((agency, fault)).or_default();
        *count += 1;
        count.is_power_of_two()
    }

    /// Faults seen, by agency and kind.
    pub fn faults(&self) -> BTreeMap<(AgencyId, Fault), u64> {
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_faults_is_a_few_lines_and_entries() {
        let meters = Meters::default();
        let told = (0..100_000).filter(|_| meters.fault(AgencyId(4), Fault::BadPart));
        assert_eq!(told.count(), 17);
        assert_eq!(meters.faults()[&(AgencyId(4), Fault::BadPart)], 100_000);
        for n in 0..10_000 {
            meters.fault(AgencyId(n), Fault::BadPart);
        }
        assert_eq!(meters.faults().len(), 1_024);
    }

    #[test]
    fn a_stopwatch_counts_adds_up_and_sorts() {
        let watch = Stopwatch::default();
        for ms in [1, 2, 3, 20_000] {
            watch.add(Duration::from_millis(ms));
        }
        assert_eq!(watch.count(), 4);
        assert_eq!(watch.total(), Duration::from_millis(20_006));
        let buckets = watch.buckets();
        assert_eq!((buckets[0], buckets[1], buckets[2]), (1, 1, 1));
        assert_eq!(buckets[BUCKETS_MS.len()], 1);
    }
}
