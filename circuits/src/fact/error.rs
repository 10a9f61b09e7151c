//! Errors of the request language (spec: `circuits/spec/fact.md`, heading "Language").

use thiserror::Error;

use super::{MAX_FACT_TEXT, MAX_TERMS, MAX_WINDOW_MONTHS};

/// A text is not a fact, or not one that can be answered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("at column {column}: {kind}")]
pub struct FactError {
    /// Where, in characters from 1.
    pub column: usize,
    /// Where, in bytes from 0.
    pub offset: usize,
    /// What.
    pub kind: FactErrorKind,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FactErrorKind {
    /// The text, or its canonical form, is too long.
    #[error(
        "a fact has at most {MAX_FACT_TEXT} bytes, as written and in canonical form; this one has {got}"
    )]
    TooLong {
        /// Bytes.
        got: usize,
    },
    /// Something else was expected here.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What may stand here.
        expected: &'static str,
        /// What stands here.
        found: String,
    },
    /// A comparison that the language does not have.
    #[error("`{found}` is not supported: {hint}")]
    Operator {
        /// The operator.
        found: &'static str,
        /// What to write instead.
        hint: &'static str,
    },
    /// A word that is not a scope.
    #[error("unknown function `{0}`; a value is `total(attribute)` or `each(attribute)`")]
    Function(String),
    /// No such attribute in the schema.
    #[error("unknown attribute `{name}`{}", suggestion.as_ref().map(|s| format!("; did you mean `{s}`?")).unwrap_or_default())]
    UnknownAttribute {
        /// The name.
        name: String,
        /// A name that is close.
        suggestion: Option<String>,
    },
    /// `total` and `each` in one fact.
    #[error("a fact has one scope: this one began with `{first}`")]
    MixedScope {
        /// The scope of the first value.
        first: &'static str,
    },
    /// A total over values that do not add up.
    #[error(
        "`{0}` is a largest or smallest value, which does not add up over agencies; use `each({0})`"
    )]
    NotAdditive(String),
    /// A flow without a window.
    #[error("`{0}` is a flow and needs a window in months, such as `{0}, 6m`")]
    FlowNeedsWindow(String),
    /// A stock with a window.
    #[error(
        "`{0}` is a stock and has no window; leave it out, or name a period such as `{0}, 2005-07`"
    )]
    StockHasNoWindow(String),
    /// A window outside its limits.
    #[error("a window has 1 to {MAX_WINDOW_MONTHS} months")]
    Window,
    /// A period that does not exist.
    #[error("a period is written YYYY-MM, from 1900-01 to 9999-12")]
    Period,
    /// A number beyond 63 bits.
    #[error("the number leaves 63 bits (the limit is 9223372036854775807)")]
    Number,
    /// A product of two values.
    #[error("a fact is linear: a product has at most one value")]
    NotLinear,
    /// Too many terms.
    #[error("a fact has at most {MAX_TERMS} terms")]
    TooManyTerms,
    /// Only constants, or values that cancel out.
    #[error("a fact names at least one value that does not cancel out")]
    NoTerms,
    /// A range where none may stand.
    #[error("{0}")]
    Range(&'static str),
    /// The form may leave 63 bits.
    #[error(transparent)]
    Bound(#[from] BoundError),
}

/// A form may leave 63 bits.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BoundError {
    /// The sum is too large.
    #[error(
        "the form can leave 63 bits: |const| + Σ|weight|·max(|min|, |max|, max - min)·entries·agencies \
         must be below 2^63, with 120 entries for a window and {agencies} agencies"
    )]
    Exceeded {
        /// Number of agencies for which it was computed.
        agencies: usize,
    },
    /// The fact was written for another schema.
    #[error("the schema has no attribute `{0}` at its place")]
    Schema(String),
}
