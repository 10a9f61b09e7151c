//! The mapping: which column of a source becomes which attribute, written in TOML.
//!
//! ```toml
//! account = "account"                    # column that tells a subject's tradelines apart
//! delimiter = ","                        # optional
//! ignore = ["notes"]                     # columns that are deliberately not used; ["*"] for all
//!
//! [subject]
//! column = "subject"
//! id_type = "tw-national-id"
//!
//! [period]                               # leave out to take the period of the report
//! column = "period"                      # YYYY-MM; or: fixed = "2005-09"
//!
//! [attributes.balance]                   # sum, max and min: from the schema
//! column = "balance"
//! decimals = 2                           # "12.34" becomes 1234 minor units, exactly
//! multiply = 1000                        # the column counts thousands
//! codes = { "OK" = 0, "30+" = 1 }        # text to integer; other text is refused
//! if_empty = 0                           # else an empty field is refused
//! clamp_min = 0                          # smaller values count as this one
//!
//! [attributes.open_accounts]             # a count without column or condition: every tradeline
//!
//! [attributes.months_late]               # a count (or sum) of the tradelines that satisfy a condition
//! where = { column = "pay", at_least = 2 }
//! ```
//!
//! A count with a column counts the tradelines whose value is not zero. Every attribute of the schema
//! but `present` needs a rule and every column of the file must be used or ignored, so a misspelt
//! name is an error and never a missing amount.

mod amount;
mod bind;
mod parse;

pub use bind::{BadRow, Bound, Row};
use std::collections::BTreeMap;

use thiserror::Error;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::schema::Aggregate;

/// Rules for every attribute of a schema. Made by [`Mapping::parse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub(crate) delimiter: char,
    pub(crate) account: String,
    pub(crate) subject: String,
    pub(crate) id_type: String,
    pub(crate) period: PeriodRule,
    pub(crate) ignore: Vec<String>,
    /// One per attribute after `present`, in the order of the schema.
    pub(crate) rules: Vec<Rule>,
}

impl Mapping {
    /// The character between fields.
    #[must_use]
    pub fn delimiter(&self) -> char {
        self.delimiter
    }

    /// The column that tells a subject's tradelines apart.
    #[must_use]
    pub fn account_column(&self) -> &str {
        &self.account
    }
}

/// Where a row's period comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PeriodRule {
    Column(String),
    Fixed(Period),
    /// The period of the report.
    Reported,
}

/// How one attribute is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) attribute: String,
    pub(crate) aggregate: Aggregate,
    /// What one tradeline may contribute.
    pub(crate) min: i64,
    pub(crate) max: i64,
    pub(crate) number: Option<Number>,
    pub(crate) clamp_min: Option<i64>,
    pub(crate) condition: Option<Condition>,
}

/// How a column's text becomes an integer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) column: String,
    pub(crate) decimals: u32,
    pub(crate) multiply: i64,
    pub(crate) codes: Option<BTreeMap<String, i64>>,
    pub(crate) if_empty: Option<i64>,
}

/// Which tradelines take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) number: Number,
    pub(crate) at_least: Option<i64>,
    pub(crate) at_most: Option<i64>,
}

/// A mapping that cannot be used with this schema or this file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MappingError {
    /// Not TOML, or a value of another type; the text says where.
    #[error("{0}")]
    Toml(String),
    /// A key nobody knows.
    #[error("unknown key `{path}`{hint}")]
    UnknownKey {
        /// The key with the tables around it.
        path: String,
        /// What was probably meant.
        hint: String,
    },
    /// A rule for an attribute that the schema does not have.
    #[error("attributes.{name}: the schema has no such attribute{hint}")]
    UnknownAttribute {
        /// Name.
        name: String,
        /// What was probably meant.
        hint: String,
    },
    /// An attribute without a rule.
    #[error("attribute {0:?} of the schema has no rule: add [attributes.{0}]")]
    MissingRule(String),
    /// A rule that makes no sense.
    #[error("{path}: {what}")]
    Rule {
        /// Where.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The file lacks a column.
    #[error("{path}: the file has no column {column:?}{hint}")]
    MissingColumn {
        /// Who wants it.
        path: String,
        /// Column.
        column: String,
        /// What was probably meant.
        hint: String,
    },
    /// The file has a column that is neither used nor ignored.
    #[error("column {column:?} is unknown: use it in a rule or list it under `ignore`{hint}")]
    UnknownColumn {
        /// Column.
        column: String,
        /// What was probably meant.
        hint: String,
    },
    /// Neither the mapping nor the command says which period.
    #[error(
        "no period: name a column or a fixed period under [period], or the period of the report"
    )]
    NoPeriod,
}
