//! Facts and their canonical text (spec: `circuits/spec/fact.md`, heading "Language").
//!
//! A fact in normal form is `Σ w·value + const >= 0` or `= 0`. Amounts are integers in the
//! attribute's unit.

use std::fmt;
use std::io::{Error, ErrorKind, Read};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::error::{BoundError, FactError};
use super::parse;
use super::{MAX_FACT_TEXT, MAX_WINDOW_ENTRIES};
use crate::error::DecodeError;
use crate::period::Period;
use crate::schema::{Attribute, Schema};

/// Over which agencies a form is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Once, over the sum of the listed agencies.
    Total,
    /// At every listed agency that holds a record.
    Each,
}

impl Scope {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Each => "each",
        }
    }
}

/// The time of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum When {
    /// The leaf's stocks.
    Latest,
    /// The stocks of a past period.
    At(Period),
    /// The flows of this many months up to `as_of`.
    Window(u32),
    /// The flows of one period: what scorecards read. The language of facts has no word for it.
    During(Period),
}

/// What is said of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// `form >= 0`.
    AtLeastZero,
    /// `form = 0`.
    EqualsZero,
}

/// One term `weight·value` of a form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    pub(crate) position: usize,
    pub(crate) attribute: String,
    pub(crate) when: When,
    pub(crate) weight: i64,
}

impl Term {
    /// The weight; never 0.
    #[must_use]
    pub fn weight(&self) -> i64 {
        self.weight
    }

    /// Name of the attribute.
    #[must_use]
    pub fn attribute(&self) -> &str {
        &self.attribute
    }

    /// The time of the value.
    #[must_use]
    pub fn when(&self) -> When {
        self.when
    }
}

/// A fact in normal form. `Display` is its canonical text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fact {
    pub(crate) scope: Scope,
    pub(crate) relation: Relation,
    pub(crate) terms: Vec<Term>,
    pub(crate) constant: i64,
}

impl Fact {
    /// Reads a fact, and checks the bound for one agency.
    ///
    /// # Errors
    /// [`FactError`] says what, where in the text, and the limit.
    pub fn parse(text: &str, schema: &Schema) -> Result<Self, FactError> {
        parse::fact(text, schema)
    }

    /// Scope of all terms.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// What is said of the form.
    #[must_use]
    pub fn relation(&self) -> Relation {
        self.relation
    }

    /// The terms, in order of (position in the schema, time).
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The constant of the form.
    #[must_use]
    pub fn constant(&self) -> i64 {
        self.constant
    }

    /// The canonical text, ready to be stored.
    #[must_use]
    pub fn text(&self) -> FactText {
        FactText(self.to_string())
    }

    /// Checks that the form stays within 63 bits over this many agencies:
    /// `|const| + Σ|w|·max(|min|, |max|, max - min)·entries·agencies < 2^63`.
    ///
    /// # Errors
    /// [`BoundError`], also when the schema lacks an attribute of the fact.
    pub fn check_bound(&self, schema: &Schema, agencies: usize) -> Result<(), BoundError> {
        check_bound(&self.terms, self.constant, schema, agencies)
    }
}

/// The bound, over terms and a constant.
pub(crate) fn check_bound(
    terms: &[Term],
    constant: i64,
    schema: &Schema,
    agencies: usize,
) -> Result<(), BoundError> {
    let reach = |term: &Term, attribute: &Attribute| -> Option<u128> {
        let size = attribute
            .min
            .unsigned_abs()
            .max(attribute.max.unsigned_abs())
            .max(attribute.range());
        let entries = match term.when {
            When::Window(_) | When::During(_) => MAX_WINDOW_ENTRIES,
            When::Latest | When::At(_) => 1,
        };
        u128::from(term.weight.unsigned_abs())
            .checked_mul(u128::from(size))?
            .checked_mul(entries as u128)?
            .checked_mul(agencies as u128)
    };
    let mut sum = Some(u128::from(constant.unsigned_abs()));
    for term in terms {
        let attribute = schema
            .attributes()
            .get(term.position)
            .filter(|a| a.name == term.attribute)
            .ok_or_else(|| BoundError::Schema(term.attribute.clone()))?;
        sum = sum
            .zip(reach(term, attribute))
            .and_then(|(a, b)| a.checked_add(b));
    }
    match sum {
        Some(sum) if sum < 1 << 63 => Ok(()),
        _ => Err(BoundError::Exceeded { agencies }),
    }
}

/// Writes `Σ sign·w·value`, and `true` if anything was written.
pub(crate) fn write_terms<'a>(
    f: &mut fmt::Formatter<'_>,
    scope: Scope,
    sign: i128,
    terms: impl Iterator<Item = &'a Term>,
) -> Result<bool, fmt::Error> {
    let mut first = true;
    for term in terms {
        let weight = sign * i128::from(term.weight);
        match (first, weight < 0) {
            (true, true) => f.write_str("-")?,
            (true, false) => {}
            (false, true) => f.write_str(" - ")?,
            (false, false) => f.write_str(" + ")?,
        }
        first = false;
        if weight.unsigned_abs() != 1 {
            write!(f, "{}*", weight.unsigned_abs())?;
        }
        write!(f, "{}({}", scope.name(), term.attribute)?;
        match term.when {
            When::Latest => f.write_str(")")?,
            When::At(period) | When::During(period) => write!(f, ", {period})")?,
            When::Window(months) => write!(f, ", {months}m)")?,
        }
    }
    Ok(!first)
}

/// Writes a constant after terms, or alone.
fn write_constant(f: &mut fmt::Formatter<'_>, after_terms: bool, constant: i128) -> fmt::Result {
    match (after_terms, constant) {
        (true, 0) => Ok(()),
        (true, c) if c < 0 => write!(f, " - {}", c.unsigned_abs()),
        (true, c) => write!(f, " + {c}"),
        (false, c) => write!(f, "{c}"),
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let positive = || self.terms.iter().filter(|t| t.weight > 0);
        let negative = || self.terms.iter().filter(|t| t.weight < 0);
        let constant = i128::from(self.constant);
        match self.relation {
            Relation::AtLeastZero if negative().next().is_some() => {
                write_terms(f, self.scope, -1, negative())?;
                f.write_str(" <= ")?;
                let any = write_terms(f, self.scope, 1, positive())?;
                write_constant(f, any, constant)
            }
            Relation::AtLeastZero => {
                write_terms(f, self.scope, 1, positive())?;
                f.write_str(" >= ")?;
                write_constant(f, false, -constant)
            }
            Relation::EqualsZero => {
                write_terms(f, self.scope, 1, positive())?;
                f.write_str(" == ")?;
                let any = write_terms(f, self.scope, -1, negative())?;
                write_constant(f, any, -constant)
            }
        }
    }
}

/// The text of a fact or template as requests and consents store it: at most 1,024 bytes. Holding
/// one says nothing about its grammar; [`Fact::parse`] does.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct FactText(pub(crate) String);

impl FactText {
    /// Takes a text of at most 1,024 bytes.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`].
    pub fn new(text: impl Into<String>) -> Result<Self, DecodeError> {
        let text = text.into();
        if text.len() > MAX_FACT_TEXT {
            return Err(DecodeError::TooLong {
                what: "fact",
                limit: MAX_FACT_TEXT,
                got: text.len(),
            });
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FactText {
    type Error = DecodeError;

    fn try_from(text: String) -> Result<Self, DecodeError> {
        Self::new(text)
    }
}

impl From<FactText> for String {
    fn from(text: FactText) -> Self {
        text.0
    }
}

impl fmt::Display for FactText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl BorshDeserialize for FactText {
    fn deserialize_reader<R: Read>(reader: &mut R) -> std::io::Result<Self> {
        let bytes = super::encoding::bounded_bytes(reader, MAX_FACT_TEXT)?;
        String::from_utf8(bytes)
            .map(Self)
            .map_err(|e| Error::new(ErrorKind::InvalidData, e))
    }
}
