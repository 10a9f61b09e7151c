//! The log of a leaf: every report ever published for one subject at one agency, chained by
//! hashes, so that a suffix can be shown and nothing in it left out
//! (spec: `circuits/spec/log.md`).

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use zkbureau_params::domain;

use crate::encoding::{Digest32, PointBytes, hash_parts};
use crate::period::Period;

/// Head of a log without entries.
pub const EMPTY_LOG: Digest32 = [0; 32];

/// One report: 72 bytes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
pub struct LogEntry {
    /// The period that the report is about.
    pub effective_period: Period,
    /// The period in which it was published; never before `effective_period`.
    pub reported_period: Period,
    /// Commitment to the stocks.
    pub stocks: PointBytes,
    /// Commitment to the flows: the increment of this report.
    pub flows: PointBytes,
}

impl LogEntry {
    /// The head after appending this entry to a log with head `before`.
    #[must_use]
    pub fn chain(&self, before: &Digest32) -> Digest32 {
        hash_parts(
            domain::LOG,
            &[
                before,
                &self.effective_period.number().to_le_bytes(),
                &self.reported_period.number().to_le_bytes(),
                self.stocks.as_bytes(),
                self.flows.as_bytes(),
            ],
        )
    }
}

/// The head after appending `entries` in order.
#[must_use]
pub fn chain(before: &Digest32, entries: &[LogEntry]) -> Digest32 {
    entries
        .iter()
        .fold(*before, |head, entry| entry.chain(&head))
}
