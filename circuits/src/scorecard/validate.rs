//! What makes a card valid, alone and with a schema (spec: `circuits/spec/scorecard.md`, heading "Card").

use super::card::{Card, Measure, Span, Variable};
use super::error::{CardError, SchemaMismatch};
use super::{
    MAX_BINS, MAX_EDGE, MAX_LABEL, MAX_LAG, MAX_NAME, MAX_POINTS, MAX_SCALE, MAX_VARIABLES,
    SHORTFALL_BITS, VALUE_BITS,
};
use crate::ids::AgencyId;
use crate::schema::{Attribute, Class, PRESENT, Schema};

fn text(s: &str, limit: usize) -> bool {
    s.len() <= limit && !s.chars().any(char::is_control)
}

/// Whether people can tell the name from others, and where it ends: letters and digits of any script,
/// printable ASCII but for the quotation mark, single spaces inside.
fn name(s: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || (' '..='~').contains(&c) && c != '"';
    text(s, MAX_NAME)
        && s.chars().all(plain)
        && !s.starts_with(' ')
        && !s.ends_with(' ')
        && !s.contains("  ")
}

impl Card {
    /// Checks every rule of a card.
    pub(super) fn validate(&self) -> Result<(), CardError> {
        if self.name().is_empty() || !name(self.name()) {
            return Err(CardError::Name);
        }
        if !(1..=MAX_SCALE).contains(&self.scale()) {
            return Err(CardError::Scale(self.scale()));
        }
        if self.base().abs_diff(0) > MAX_POINTS.unsigned_abs() {
            return Err(CardError::Base(self.base()));
        }
        let variables = self.variables();
        if variables.is_empty() || variables.len() > MAX_VARIABLES {
            return Err(CardError::Variables(variables.len()));
        }
        for (i, v) in variables.iter().enumerate() {
            if v.name.is_empty() || !text(&v.name, MAX_NAME) {
                return Err(CardError::VariableName {
                    number: i + 1,
                    name: v.name.clone(),
                });
            }
            if variables[..i].iter().any(|w| w.name == v.name) {
                return Err(CardError::Duplicate(v.name.clone()));
            }
            validate_variable(v)?;
        }
        Ok(())
    }

    /// Checks that the schema has what the card reads, and that every value which the listed
    /// agencies can have together falls into a bin.
    ///
    /// # Errors
    /// [`SchemaMismatch`] names the variable.
    pub fn check_schema(
        &self,
        schema: &Schema,
        agencies: &[AgencyId],
    ) -> Result<(), SchemaMismatch> {
        for v in self.variables() {
            let name = || v.name.clone();
            let reference = &v.reference;
            let (_, attribute) =
                schema
                    .find(&reference.attribute)
                    .ok_or_else(|| SchemaMismatch::Unknown {
                        variable: name(),
                        attribute: reference.attribute.clone(),
                    })?;
            let class = match (attribute.class, reference.measure) {
                (Class::Stock, Measure::Flow) => Some(("stock", "level")),
                (Class::Flow, Measure::Level) => Some(("flow", "flow")),
                _ => None,
            };
            if let Some((class, measure)) = class {
                return Err(SchemaMismatch::Class {
                    variable: name(),
                    attribute: attribute.name.clone(),
                    class,
                    measure,
                });
            }
            let holders = match reference.span {
                Span::Agency(agency) if !agencies.contains(&agency) => {
                    return Err(SchemaMismatch::Agency {
                        variable: name(),
                        agency,
                    });
                }
                Span::Agency(_) => 1,
                Span::Total if adds_up(attribute) => agencies.len().max(1),
                Span::Total => {
                    return Err(SchemaMismatch::Total {
                        variable: name(),
                        attribute: attribute.name.clone(),
                    });
                }
            };
            let (min, max) = total_range(attribute, holders);
            if min < i128::from(v.low()) || max >= i128::from(v.high()) {
                return Err(SchemaMismatch::Range {
                    variable: name(),
                    min,
                    max,
                    low: v.low(),
                    high: v.high(),
                });
            }
        }
        Ok(())
    }
}

fn adds_up(attribute: &Attribute) -> bool {
    attribute.aggregate.is_additive() || attribute.name == PRESENT
}

/// The values that a sum over 1 to `holders` records can have.
pub(crate) fn total_range(attribute: &Attribute, holders: usize) -> (i128, i128) {
    let (min, max) = (i128::from(attribute.min), i128::from(attribute.max));
    let n = holders as i128;
    (min.min(min * n), max.max(max * n))
}

fn validate_variable(v: &Variable) -> Result<(), CardError> {
    let variable = || v.name.clone();
    if !text(&v.reason, MAX_NAME) {
        return Err(CardError::Reason(variable()));
    }
    let attribute = &v.reference.attribute;
    if attribute.len() > MAX_NAME
        || !attribute.starts_with(|c: char| c.is_ascii_lowercase())
        || !(attribute.bytes()).all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    {
        return Err(CardError::Attribute(variable()));
    }
    if v.reference.lag > MAX_LAG {
        return Err(CardError::Lag {
            variable: variable(),
            lag: v.reference.lag,
        });
    }
    if v.bins.is_empty() || v.bins.len() > MAX_BINS {
        return Err(CardError::Bins {
            variable: variable(),
            bins: v.bins.len(),
        });
    }
    let mut before = None;
    for (bin, b) in (1..).zip(&v.bins) {
        let (from, to) = (b.from, b.to);
        if from >= to {
            return Err(CardError::Empty {
                variable: variable(),
                bin,
                from,
                to,
            });
        }
        if from < -MAX_EDGE || to > MAX_EDGE {
            return Err(CardError::Edge {
                variable: variable(),
                bin,
                from,
                to,
            });
        }
        match before {
            Some(before) if from < before => {
                return Err(CardError::Overlap {
                    variable: variable(),
                    bin,
                    from,
                    before,
                });
            }
            Some(before) if from > before => {
                return Err(CardError::Gap {
                    variable: variable(),
                    bin,
                    from,
                    before,
                });
            }
            _ => {}
        }
        before = Some(to);
        if b.points.abs_diff(0) > MAX_POINTS.unsigned_abs() {
            return Err(CardError::Points {
                variable: variable(),
                bin,
                points: b.points,
            });
        }
        if !text(&b.label, MAX_LABEL) {
            return Err(CardError::Label {
                variable: variable(),
                bin,
            });
        }
    }
    let (low, high) = (v.low(), v.high());
    if high.abs_diff(low) > 1 << VALUE_BITS {
        return Err(CardError::Range {
            variable: variable(),
            low,
            high,
        });
    }
    let best = v.best();
    for (bin, b) in (1..).zip(&v.bins) {
        if best.abs_diff(b.points) >> SHORTFALL_BITS != 0 {
            return Err(CardError::Spread {
                variable: variable(),
                bin,
                points: b.points,
                best,
            });
        }
    }
    Ok(())
}
