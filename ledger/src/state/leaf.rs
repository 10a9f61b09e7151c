//! The leaf of one subject at one agency, and what is shown of its log
//! (spec: `ledger/spec/state.md`, "Leaves").

use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;
use zkbureau_circuits::encoding::{Digest32, Document, PointBytes};
use zkbureau_circuits::error::VerifyError;
use zkbureau_circuits::log::{self, EMPTY_LOG, LogEntry};
use zkbureau_circuits::period::Period;

use crate::ids::HolderTag;

/// Everything the state says about one subject at one agency: 108 bytes, whatever its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Leaf {
    /// The current stocks.
    pub stocks: PointBytes,
    /// The period that the current stocks are about.
    pub stocks_period: Period,
    /// The period of the latest report.
    pub last_reported: Period,
    /// Head of the log.
    #[serde(with = "hex::serde")]
    pub log_head: Digest32,
    /// Length of the log.
    pub entries: u32,
    /// Binds the leaf to its holder, as of the latest report.
    pub holder_tag: HolderTag,
}

impl Document for Leaf {
    const NAME: &'static str = "zkbureau/leaf/v1";
    const MAX_BYTES: usize = 109;
}

impl Leaf {
    /// The leaf after the first report.
    #[must_use]
    pub fn first(entry: &LogEntry, holder_tag: HolderTag) -> Self {
        Self {
            stocks: entry.stocks,
            stocks_period: entry.effective_period,
            last_reported: entry.reported_period,
            log_head: entry.chain(&EMPTY_LOG),
            entries: 1,
            holder_tag,
        }
    }

    /// The leaf after one more report. The stocks change iff the report is about the same period as
    /// the current ones or a later one, so a late report never overwrites a newer one. None when the
    /// report is older than the latest or the log is full.
    #[must_use]
    pub fn after(&self, entry: &LogEntry, holder_tag: HolderTag) -> Option<Self> {
        if entry.reported_period < self.last_reported {
            return None;
        }
        let newer = entry.effective_period >= self.stocks_period;
        Some(Self {
            stocks: if newer { entry.stocks } else { self.stocks },
            stocks_period: self.stocks_period.max(entry.effective_period),
            last_reported: entry.reported_period,
            log_head: entry.chain(&self.log_head),
            entries: self.entries.checked_add(1)?,
            holder_tag,
        })
    }
}

/// The end of a leaf's log, with the head before it: nothing in it can be left out.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LogSuffix {
    /// The head before the first entry shown.
    pub before: Digest32,
    /// The entries, oldest first.
    pub entries: Vec<LogEntry>,
}

impl LogSuffix {
    /// Whether the suffix claims to be the whole log.
    #[must_use]
    pub fn from_start(&self) -> bool {
        self.before == EMPTY_LOG
    }

    /// Checks the suffix against its leaf.
    ///
    /// # Errors
    /// [`VerifyError`] when the entries do not lead to the leaf's head, or their number does not fit
    /// the leaf's.
    pub fn check(&self, leaf: &Leaf) -> Result<(), VerifyError> {
        let shown = self.entries.len() as u64;
        let all = u64::from(leaf.entries);
        // The numbers are implied by the hashes; compared first, because it costs nothing.
        let fits = if self.from_start() {
            shown == all
        } else {
            shown < all
        };
        if fits && log::chain(&self.before, &self.entries) == leaf.log_head {
            Ok(())
        } else {
            Err(VerifyError)
        }
    }
}
