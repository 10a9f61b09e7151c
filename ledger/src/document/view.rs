//! What an agency's public data mean for a query: one rule for the agency that answers, the wallet
//! that assembles and the lender that verifies.
//!
//! | column | leaf | log and images | view |
//! |---|---|---|---|
//! | has not closed `as_of` | any | none | no answer: the agency's data are not there yet |
//! | has | none | none | no record |
//! | has | there | log iff a fact needs it | the leaf with the log's suffix |
//!
//! The column comes first: an exclusion proof says nothing about a period that the agency has not
//! published to its end.

use zkbureau_circuits::error::VerifyError;
use zkbureau_circuits::fact::{Query, RecordView, View};
use zkbureau_circuits::log::EMPTY_LOG;

use crate::{Column, Leaf, LogSuffix};

/// Reads an agency's column, leaf and log for a query. Column and leaf come from the state; the log
/// is checked here against the leaf.
///
/// # Errors
/// [`VerifyError`] when a log is shown that must not be, is missing, or does not end in the leaf.
pub fn view<'a>(
    query: &Query,
    column: Option<&Column>,
    leaf: Option<&Leaf>,
    log: Option<&'a LogSuffix>,
) -> Result<View<'a>, VerifyError> {
    let reached = column
        .and_then(|column| column.closed)
        .is_some_and(|period| period >= query.as_of());
    let view = match (reached, leaf) {
        (false, _) => View::NoAnswer,
        (true, None) => View::NoRecord,
        (true, Some(leaf)) => {
            let record = |entries, from_start| {
                View::Record(RecordView {
                    stocks: leaf.stocks,
                    stocks_period: leaf.stocks_period,
                    entries,
                    from_start,
                })
            };
            return match (query.log_needed(), log) {
                (None, None) => Ok(record(&[], false)),
                (Some(_), Some(log)) => {
                    log.check(leaf)?;
                    Ok(record(&log.entries, log.before == EMPTY_LOG))
                }
                _ => Err(VerifyError),
            };
        }
    };
    if log.is_some() {
        return Err(VerifyError);
    }
    Ok(view)
}
