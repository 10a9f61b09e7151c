//! How long a round may take and how large a block may be, from what blocks took lately.
//!
//! A proposer that works hard must not be taken for dead, so a round waits twice as long as the
//! slowest of the last blocks took, and every later round of a height twice as long as the one before.
//! And a block that takes long delays whoever waits for a small transaction, so a proposer puts fewer
//! batches into its next block when the last ones were slow, and more again when they were fast. That
//! goes for the rounds of one height, too: a block that came too late makes the next one smaller.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_malachitebft_app_channel::app::types::core::{
    Timeout, TimeoutKind, Timeouts as EngineTimeouts,
};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::Checked;
use zkbureau_ledger::block::MAX_BLOCK_BYTES;
use zkbureau_ledger::transaction::Transaction;

use super::context::Bureau;
use super::engine::Timing;

/// The times of this many blocks count.
const RECENT: usize = 16;
/// From the start of its round, a block should be there and checked within this time. What is left of a
/// second is for votes and the disk.
const WANTED: Duration = Duration::from_millis(700);
/// A block has room for this much of batches, however slow.
const LEAST_BYTES: usize = 256 << 10;
/// Before anything is known, a block has room for this much.
const FIRST_BYTES: usize = 1 << 20;
/// No round waits longer than this for its block.
const MAX_PROPOSE: Duration = Duration::from_secs(10);
/// No round waits longer than this for late votes.
const MAX_VOTES: Duration = Duration::from_secs(2);

/// The engine's timeouts of one height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The first round waits this long for its block, every later one twice as long as the one before.
    pub propose: Duration,
    /// The first round waits this long for late votes; later ones as much longer.
    pub votes: Duration,
    /// Votes are sent again after this long.
    pub rebroadcast: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let Timing {
            propose,
            votes,
            rebroadcast,
            ..
        } = Timing::default();
        Self {
            propose,
            votes,
            rebroadcast,
        }
    }
}

impl EngineTimeouts<Bureau> for Timeouts {
    fn duration_for(&self, timeout: Timeout) -> Duration {
        let round = timeout.round.as_u32().unwrap_or(0);
        match timeout.kind {
            TimeoutKind::Propose => {
                let longer = self.propose.saturating_mul(1 << round.min(10));
                longer.min(MAX_PROPOSE.max(self.propose))
            }
            TimeoutKind::Prevote | TimeoutKind::Precommit => {
                let longer = self.votes.saturating_mul(round.saturating_add(1));
                longer.min(MAX_VOTES.max(self.votes))
            }
            TimeoutKind::Rebroadcast => self.rebroadcast,
            TimeoutKind::FinalizeHeight(time) => time,
        }
    }
}

/// What blocks took lately.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the rounds of this height started that have no block yet.
    rounds: BTreeMap<u32, Instant>,
    recent: VecDeque<Duration>,
    budget: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            rounds: BTreeMap::new(),
            recent: VecDeque::new(),
            budget: FIRST_BYTES,
        }
    }
}

impl Pace {
    /// A round has started.
    pub(super) fn round(&mut self, round: u32) {
        self.rounds.entry(round).or_insert_with(Instant::now);
        // A round of long ago says nothing any more.
        while self.rounds.len() > RECENT {
            self.rounds.pop_first();
        }
    }

    /// The block of a round is there and checked, late or not.
    pub(super) fn block(&mut self, round: u32) {
        let Some(started) = self.rounds.remove(&round) else {
            return;
        };
        self.took(started.elapsed());
    }

    fn took(&mut self, time: Duration) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(time);
        // By at most a quarter up, and three quarters down.
        let permille = (WANTED.as_millis() * 1_000 / time.as_millis().max(1)).clamp(250, 1_250);
        let budget = self.budget as u128 * permille / 1_000;
        let budget = usize::try_from(budget).unwrap_or(MAX_BLOCK_BYTES);
        self.budget = budget.clamp(LEAST_BYTES, MAX_BLOCK_BYTES);
    }

    /// The height is decided.
    pub(super) fn decided(&mut self) {
        self.rounds.clear();
    }

    /// How long a round waits for its block.
    pub(super) fn propose(&self, least: Duration) -> Duration {
        let slowest = self.recent.iter().max().copied().unwrap_or_default();
        (slowest * 2).clamp(least, MAX_PROPOSE.max(least))
    }

    /// Bytes of batches in a block of our own.
    pub(super) fn budget(&self) -> usize {
        self.budget
    }
}

/// Leaves out batches beyond a budget: in turn over the agencies, each one's in its order, so that
/// nobody's file keeps out another's. Everything else stays, and one batch at least.
pub(super) fn within(budget: usize, candidates: Vec<Arc<Checked>>) -> Vec<Arc<Checked>> {
    let mut agencies: BTreeMap<AgencyId, VecDeque<Arc<Checked>>> = BTreeMap::new();
    let mut out = Vec::new();
    for candidate in candidates {
        match candidate.transaction() {
            Transaction::PublishBatch(batch) => {
                let agency = batch.body.agency;
                agencies.entry(agency).or_default().push_back(candidate);
            }
            _ => out.push(candidate),
        }
    }
    for queue in agencies.values_mut() {
        queue.make_contiguous().sort_by_key(|c| number(c));
    }
    let mut used = 0;
    while !agencies.is_empty() {
        agencies.retain(|_, queue| {
            let Some(candidate) = queue.pop_front() else {
                return false;
            };
            let size = candidate.size();
            let fits = used == 0 || used + size <= budget;
            if fits {
                used += size;
                out.push(candidate);
            }
            // Later ones of this agency need this one.
            fits
        });
    }
    out
}

fn number(candidate: &Checked) -> u64 {
    match candidate.transaction() {
        Transaction::PublishBatch(batch) => batch.body.number,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arc_malachitebft_app_channel::app::types::core::Round;

    #[test]
    fn slow_blocks_become_smaller_and_get_more_time_and_fast_ones_undo_it() {
        let mut pace = Pace::default();
        let least = Duration::from_secs(1);
        assert_eq!(pace.propose(least), least);
        pace.took(Duration::from_secs(2));
        assert_eq!(pace.propose(least), Duration::from_secs(4));
        for _ in 0..20 {
            pace.took(Duration::from_secs(60));
        }
        assert_eq!(pace.propose(least), MAX_PROPOSE);
        assert_eq!(pace.budget(), LEAST_BYTES);
        for _ in 0..40 {
            pace.took(Duration::from_millis(100));
        }
        assert_eq!(pace.propose(least), least);
        assert_eq!(pace.budget(), MAX_BLOCK_BYTES);
    }

    #[test]
    fn later_rounds_wait_longer_up_to_a_limit() {
        let timeouts = Timeouts::default();
        let of = |kind, round| timeouts.duration_for(Timeout::new(Round::new(round), kind));
        let seconds = |round| of(TimeoutKind::Propose, round).as_secs();
        assert_eq!([0, 1, 2, 3, 4, u32::MAX].map(seconds), [1, 2, 4, 8, 10, 10]);
        assert_eq!(of(TimeoutKind::Prevote, 0), timeouts.votes);
        assert_eq!(of(TimeoutKind::Precommit, 1), timeouts.votes * 2);
        assert_eq!(of(TimeoutKind::Precommit, u32::MAX), MAX_VOTES);
        // A dead proposer costs one round's wait for its block and for late votes.
        assert!(
            of(TimeoutKind::Propose, 0) + of(TimeoutKind::Precommit, 0)
                <= Duration::from_millis(1_500)
        );
    }

    #[test]
    fn a_block_counts_from_the_start_of_its_own_round() {
        let mut pace = Pace::default();
        pace.round(0);
        std::thread::sleep(Duration::from_millis(20));
        pace.round(1);
        pace.block(0);
        pace.block(0);
        assert_eq!(pace.recent.len(), 1);
        assert!(pace.recent[0] >= Duration::from_millis(20));
        pace.decided();
        pace.block(1);
        assert_eq!(pace.recent.len(), 1);
    }
}
