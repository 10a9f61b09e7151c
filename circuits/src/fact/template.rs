//! Templates: facts whose constant is a range, as consents hold them
//! (spec: `circuits/spec/fact.md`, heading "Language").

use std::fmt;

use super::error::FactError;
use super::language::{Fact, FactText, Relation, write_terms};
use super::parse;
use crate::schema::Schema;

/// A fact's shape and an inclusive range for its constant, such as
/// `total(balance) <= 100000..500000`. `Display` is its canonical text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FactTemplate {
    /// The fact with the smallest constant.
    pub(crate) shape: Fact,
    /// The largest constant.
    pub(crate) high: i64,
}

impl FactTemplate {
    /// Reads a template. A fact is a template with one constant.
    ///
    /// # Errors
    /// [`FactError`] says what, where in the text, and the limit.
    pub fn parse(text: &str, schema: &Schema) -> Result<Self, FactError> {
        parse::template(text, schema)
    }

    /// The template that covers one fact only.
    #[must_use]
    pub fn exact(fact: &Fact) -> Self {
        Self {
            high: fact.constant,
            shape: fact.clone(),
        }
    }

    /// Whether a fact has this shape and a constant in the range.
    #[must_use]
    pub fn covers(&self, fact: &Fact) -> bool {
        self.shape.scope == fact.scope
            && self.shape.relation == fact.relation
            && self.shape.terms == fact.terms
            && (self.shape.constant..=self.high).contains(&fact.constant)
    }

    /// The canonical text, ready to be stored.
    #[must_use]
    pub fn text(&self) -> FactText {
        FactText(self.to_string())
    }
}

impl fmt::Display for FactTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fact {
            scope,
            relation,
            terms,
            constant,
        } = &self.shape;
        let (low, high) = (i128::from(*constant), i128::from(self.high));
        if low == high {
            return self.shape.fmt(f);
        }
        let negative = terms.iter().any(|t| t.weight < 0);
        match relation {
            Relation::AtLeastZero if negative => {
                write_terms(f, *scope, -1, terms.iter())?;
                write!(f, " <= {low}..{high}")
            }
            Relation::AtLeastZero => {
                write_terms(f, *scope, 1, terms.iter())?;
                write!(f, " >= {}..{}", -high, -low)
            }
            Relation::EqualsZero => {
                write_terms(f, *scope, 1, terms.iter())?;
                write!(f, " == {}..{}", -high, -low)
            }
        }
    }
}
