//! Planning: everything that can be wrong with a file is found before anything is published.
//!
//! Two passes, with memory bounded by a partition:
//!
//! 1. Rows are read, mapped and spilled to partitions by hash of the subject, so that all rows of one
//!    subject are in one partition. A bad row leaves a mark there instead, which withholds the
//!    subject's whole period (its whole file, when the period was unreadable): half of a
//!    person's tradelines would be a wrong record, not a smaller one.
//! 2. Each partition is sorted by period and subject, repeated rows are found, rows fold into records
//!    and are compared with what was published before. What is left is the plan.
//!
//! The plan's order depends on the file's content only, not on the order of its rows.
//!
//! # What was published before
//!
//! The vault keeps, per subject and period, the [`Tradeline`]s behind what it published. New
//! rows are merged into them by account: an account in the file replaces the published one,
//! an account that the file does not mention stays (a file need not be complete; to withdraw an account,
//! report it with zeros). If nothing differs, nothing is published. If something does, that is a
//! correction and must be asked for ([`Options::correct`]): stocks are published as the new values, flows as the
//! increment over what the old tradelines folded to, since on the ledger increments add up. A flow that would
//! have to shrink is a reject: the schema needs an opposite flow for that.

mod merge;
mod partition;
mod plan;
mod reject;
mod spill;

pub use plan::{Import, ImportError, Options, Plan, Report};
pub use reject::{Reason, Reject, Repeat};

pub(crate) use plan::{Planned, PlannedReader};

use zkbureau_circuits::directory::SubjectId;
use zkbureau_circuits::period::Period;

use crate::tradeline::Tradeline;

/// What the vault published before. Nobody else may import between planning and the end of
/// publishing.
pub trait PublishedView: Sync {
    /// A failure to read.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The tradelines last published for a subject and period; `None` when there was no report.
    ///
    /// # Errors
    /// When the vault cannot be read.
    fn published(
        &self,
        subject: &SubjectId,
        period: Period,
    ) -> Result<Option<Vec<Tradeline>>, Self::Error>;
}

/// A view for checking a file without a vault.
#[derive(Clone, Copy, Debug, Default)]
pub struct NothingPublished;

impl PublishedView for NothingPublished {
    type Error = std::convert::Infallible;

    fn published(&self, _: &SubjectId, _: Period) -> Result<Option<Vec<Tradeline>>, Self::Error> {
        Ok(None)
    }
}
