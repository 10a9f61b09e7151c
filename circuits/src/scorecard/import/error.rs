//! Why a file is not imported.

use thiserror::Error;

use super::MAX_IMPORT_BYTES;
use crate::scorecard::CardError;

/// A file is not a card that can be imported.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImportError {
    /// The file is too large.
    #[error("{0} bytes exceed the limit of {MAX_IMPORT_BYTES}")]
    TooLong(usize),
    /// The file cannot be read.
    #[error("not readable: {0}")]
    Syntax(String),
    /// The file is readable and no card.
    #[error("not a card: {0}")]
    Format(&'static str),
    /// The mapping names a variable that the card lacks.
    #[error("the mapping names variable {0:?}, which the card does not have")]
    UnknownVariable(String),
    /// A variable, or one of its bins, cannot be imported.
    #[error("variable {variable:?}{}: {problem}", bin.map(|b| format!(", bin {b}")).unwrap_or_default())]
    Variable {
        /// Which variable.
        variable: String,
        /// Which bin, from 1.
        bin: Option<usize>,
        /// What is wrong.
        problem: Problem,
    },
    /// The card breaks a rule.
    #[error(transparent)]
    Card(#[from] CardError),
}

/// What is wrong with a variable.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// A part of the format that a card cannot express.
    #[error("{0}")]
    Unsupported(&'static str),
    /// A number that is none.
    #[error("{0:?} is not a number")]
    Number(String),
    /// An interval that is none.
    #[error("{0:?} is not an interval [a,b)")]
    Interval(String),
    /// A number beyond what a card holds.
    #[error("{0} is too large for a card")]
    TooLarge(String),
    /// More decimals than the card's scale.
    #[error("points {points} have more than {decimals} decimals; say how many to keep")]
    Decimals {
        /// The points as written.
        points: String,
        /// Decimals that a card can hold.
        decimals: u32,
    },
    /// Something is missing.
    #[error("has no {0}")]
    Lacks(&'static str),
    /// A category without a code.
    #[error("the mapping gives category {0:?} no code")]
    Category(String),
    /// Values without a bin.
    #[error("no bin takes the values from {from} to {to}")]
    Uncovered {
        /// The first.
        from: i64,
        /// The last.
        to: i64,
    },
    /// Predicates over several fields.
    #[error("reads the fields {first:?} and {second:?}; a variable of a card reads one")]
    Fields {
        /// The first.
        first: String,
        /// The second.
        second: String,
    },
}

/// Names the variable, and the bin from 1.
pub(super) fn at(variable: &str, bin: Option<usize>) -> impl FnOnce(Problem) -> ImportError {
    move |problem| ImportError::Variable {
        variable: variable.to_owned(),
        bin,
        problem,
    }
}
