//! What is wrong with a row: line, field and limit, never the value, which is somebody's datum.

use std::fmt;

use serde::{Serialize, Serializer};
use thiserror::Error;
use zkbureau_circuits::directory::SubjectIdError;
use zkbureau_circuits::period::{Period, PeriodError};

use crate::tradeline::MAX_ACCOUNT;

/// Why a field is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reason {
    /// An empty field without `if_empty`.
    #[error("is empty")]
    Empty,
    /// Not an integer.
    #[error("is not an integer")]
    NotInteger,
    /// Not a decimal number, or too many places.
    #[error("is not a number with at most {decimals} decimal places")]
    NotDecimal {
        /// Places the mapping allows.
        decimals: u32,
    },
    /// More than 64 bits.
    #[error("does not fit 64 bits")]
    TooLarge,
    /// Text that the code table lacks.
    #[error("is not in the code table")]
    UnknownCode,
    /// One tradeline's contribution is outside the attribute's range.
    #[error("is outside {min}..={max}")]
    OutOfRange {
        /// Smallest value allowed.
        min: i64,
        /// Largest value allowed.
        max: i64,
    },
    /// The record made of all tradelines is outside the attribute's range.
    #[error("folded over {rows} tradelines is outside {min}..={max}")]
    FoldedOutOfRange {
        /// Number of tradelines.
        rows: usize,
        /// Smallest value allowed.
        min: i64,
        /// Largest value allowed.
        max: i64,
    },
    /// Not a subject identifier.
    #[error("{0}")]
    Subject(#[from] SubjectIdError),
    /// Not an account.
    #[error("an account has 1 to {MAX_ACCOUNT} bytes and no control characters")]
    Account,
    /// Not a period.
    #[error("{0}")]
    Period(#[from] PeriodError),
    /// A period after the one that is being reported.
    #[error("is after {reported}, the period of the report")]
    AfterReport {
        /// Period of the report.
        reported: Period,
    },
    /// Another value was published for this account and period.
    #[error("differs from what was published for {period} (a correction must be asked for)")]
    Changed {
        /// Period.
        period: Period,
    },
    /// The period was published without this account.
    #[error("was not among the accounts published for {period} (a correction must be asked for)")]
    NewAccount {
        /// Period.
        period: Period,
    },
    /// A correction would take back part of a published flow.
    #[error(
        "is a flow and cannot shrink below what was published for {period}: use an opposite flow"
    )]
    NegativeIncrement {
        /// Period.
        period: Period,
    },
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A field that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reject {
    /// Line of the row; for a folded record, of its first row.
    pub line: u64,
    /// Column, or attribute of a folded record.
    pub field: String,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, {}: {}", self.line, self.field, self.reason)
    }
}

/// Two rows with the same account, subject and period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repeat {
    /// Line of the repetition.
    pub line: u64,
    /// Line of the first of them.
    pub first_line: u64,
}

impl fmt::Display for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lines {} and {}", self.first_line, self.line)
    }
}

/// The rejects with the smallest line numbers, and how many there are in all.
pub(super) struct Rejects {
    limit: usize,
    listed: Vec<Reject>,
    pub(super) count: u64,
}

impl Rejects {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            listed: Vec::new(),
            count: 0,
        }
    }

    pub(super) fn push(&mut self, reject: Reject) {
        self.count += 1;
        self.listed.push(reject);
        if self.listed.len() > 2 * self.limit + 1000 {
            self.prune();
        }
    }

    fn prune(&mut self) {
        self.listed.sort_by_key(|r| r.line);
        self.listed.truncate(self.limit);
    }

    pub(super) fn into_listed(mut self) -> Vec<Reject> {
        self.prune();
        self.listed
    }
}
