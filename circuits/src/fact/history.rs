//! What an agency shows of a leaf and its log, and which records a time refers to
//! (spec: `circuits/spec/fact.md`, heading "History").

use thiserror::Error;

use super::language::When;
use super::query::Query;
use super::{MAX_WINDOW_ENTRIES, Status};
use crate::encoding::PointBytes;
use crate::log::LogEntry;
use crate::period::Period;

/// What one listed agency shows.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    /// Proven: the agency holds no record.
    NoRecord,
    /// The agency did not answer.
    NoAnswer,
    /// The agency holds a record.
    Record(RecordView<'a>),
}

/// A leaf and a suffix of its log, which the caller has checked against each other and against
/// the state root.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// The leaf's stocks.
    pub stocks: PointBytes,
    /// The period of the leaf's stocks.
    pub stocks_period: Period,
    /// A suffix of the leaf's log; may be empty when no fact needs the log.
    pub entries: &'a [LogEntry],
    /// Whether the suffix is the whole log.
    pub from_start: bool,
}

/// A view is not a valid answer. This is no verdict: an honest agency never shows such a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HistoryError {
    /// The suffix begins too late.
    #[error("the log must be shown from an entry reported before {needed}, or from its start")]
    SuffixTooShort {
        /// The earliest period that matters.
        needed: Period,
    },
    /// Entries that no validator would have accepted.
    #[error("log entry {entry} is reported before its effective period or before its predecessor")]
    OutOfOrder {
        /// Which entry of the suffix, from 0.
        entry: usize,
    },
    /// Bytes that are not a commitment.
    #[error("a commitment of the leaf or its log is not a ristretto255 element")]
    Point,
}

/// The records behind a source, for whoever holds the openings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// The leaf's stocks.
    Latest,
    /// The stocks of one shown entry.
    Entry(usize),
    /// The sum of the flows of shown entries; possibly none.
    Entries(Vec<usize>),
}

/// Index of the entry with which the shown suffix of a log begins: the last one reported before
/// `needed`, or the first of all, when the suffix is the whole log. Nothing is shown when nothing is
/// needed.
#[must_use]
pub fn suffix_start(log: &[LogEntry], needed: Option<Period>) -> usize {
    needed.map_or(log.len(), |needed| {
        log.iter()
            .rposition(|entry| entry.reported_period < needed)
            .unwrap_or(0)
    })
}

impl RecordView<'_> {
    /// Checks that nothing which the query needs can be missing from the suffix.
    pub(super) fn check(&self, query: &Query) -> Result<(), HistoryError> {
        let mut reported = None;
        for (entry, e) in self.entries.iter().enumerate() {
            if e.reported_period < e.effective_period || reported > Some(e.reported_period) {
                return Err(HistoryError::OutOfOrder { entry });
            }
            reported = Some(e.reported_period);
        }
        match query.log_needed() {
            Some(needed)
                if !self.from_start
                    && self
                        .entries
                        .first()
                        .is_none_or(|e| e.reported_period >= needed) =>
            {
                Err(HistoryError::SuffixTooShort { needed })
            }
            _ => Ok(()),
        }
    }

    /// The records of a time, or why there are none: [`Status::Unavailable`] or
    /// [`Status::InsufficientHistory`].
    pub(super) fn records(&self, query: &Query, when: When) -> Result<Records, Status> {
        match when {
            When::Latest => Ok(Records::Latest),
            When::At(period) => self
                .entries
                .iter()
                .rposition(|e| e.effective_period == period)
                .map(Records::Entry)
                .ok_or(Status::InsufficientHistory),
            When::Window(months) => self.flows(query.window_start(months), query.as_of()),
            When::During(period) => self.flows(period, period),
        }
    }

    /// The entries of a window; both ends are inside.
    fn flows(&self, start: Period, end: Period) -> Result<Records, Status> {
        let window = start..=end;
        let inside: Vec<usize> = (0..self.entries.len())
            .filter(|i| window.contains(&self.entries[*i].effective_period))
            .collect();
        if inside.len() > MAX_WINDOW_ENTRIES {
            return Err(Status::Unavailable);
        }
        let earliest = self.entries.iter().map(|e| e.effective_period).min();
        if self.from_start && earliest.is_none_or(|e| e > start) {
            return Err(Status::InsufficientHistory);
        }
        Ok(Records::Entries(inside))
    }
}
