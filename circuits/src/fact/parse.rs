//! Reading facts and templates (spec: `circuits/spec/fact.md`, heading "Language").
//!
//! One pass, no recursion: a side is a list of products. Every position is a byte offset into the
//! text and becomes a column when an error is made.

use super::error::{FactError, FactErrorKind as Kind};
use super::language::{Fact, Relation, Scope, Term, When};
use super::normal::{Side, normal_form};
use super::scan::Scan;
use super::template::FactTemplate;
use super::{MAX_FACT_TEXT, MAX_TERMS};
use crate::schema::{Class, PRESENT, Schema};

/// Reads an exact fact.
pub(super) fn fact(text: &str, schema: &Schema) -> Result<Fact, FactError> {
    let parsed = Parser::new(text, schema).comparison(false)?;
    Ok(parsed.shape)
}

/// Reads a template.
pub(super) fn template(text: &str, schema: &Schema) -> Result<FactTemplate, FactError> {
    Parser::new(text, schema).comparison(true)
}

/// A product: a number, times at most one value.
struct Product {
    number: i128,
    value: Option<Term>,
}

struct Parser<'a> {
    scan: Scan<'a>,
    schema: &'a Schema,
    scope: Option<Scope>,
    terms: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, schema: &'a Schema) -> Self {
        Self {
            scan: Scan { text, at: 0 },
            schema,
            scope: None,
            terms: 0,
        }
    }

    fn comparison(mut self, ranges: bool) -> Result<FactTemplate, FactError> {
        if self.scan.text.len() > MAX_FACT_TEXT {
            // The first character that does not fit.
            let offset = self
                .scan
                .text
                .char_indices()
                .map(|(i, c)| (i, i + c.len_utf8()))
                .find(|(_, end)| *end > MAX_FACT_TEXT)
                .map_or(0, |(i, _)| i);
            return self.scan.error(
                offset,
                Kind::TooLong {
                    got: self.scan.text.len(),
                },
            );
        }
        let left = self.side(ranges)?;
        let operator = self.operator()?;
        let right = self.side(ranges)?;
        self.scan.skip_blanks();
        if !self.scan.rest().is_empty() {
            if self.comparison_next() {
                return self.scan.error(
                    self.scan.at,
                    Kind::Operator {
                        found: "a second comparison",
                        hint: "ask two facts",
                    },
                );
            }
            return self.scan.unexpected("`+`, `-`, `*` or the end");
        }
        let (relation, plus, minus) = match operator {
            Operator::AtMost => (Relation::AtLeastZero, right, left),
            Operator::AtLeast => (Relation::AtLeastZero, left, right),
            Operator::Equal => (Relation::EqualsZero, left, right),
        };
        normal_form(&self.scan, self.schema, self.scope, relation, plus, minus)
    }

    fn comparison_next(&self) -> bool {
        self.scan
            .rest()
            .starts_with(['<', '>', '=', '!', '≤', '≥', '≠'])
    }

    fn operator(&mut self) -> Result<Operator, FactError> {
        for (token, operator) in [
            ("<=", Operator::AtMost),
            (">=", Operator::AtLeast),
            ("==", Operator::Equal),
        ] {
            if self.scan.take(token) {
                return Ok(operator);
            }
        }
        for (found, hint) in [
            (
                "!=",
                "use `<=` or `>=`, or ask for `==`: a proven `false` says the same",
            ),
            ("<", "values are integers, so write `x <= 4` for `x < 5`"),
            (">", "values are integers, so write `x >= 6` for `x > 5`"),
            ("=", "write `==`"),
            ("≤", "write `<=`"),
            ("≥", "write `>=`"),
            (
                "≠",
                "use `<=` or `>=`, or ask for `==`: a proven `false` says the same",
            ),
        ] {
            if self.scan.rest().starts_with(found) {
                return self
                    .scan
                    .error(self.scan.at, Kind::Operator { found, hint });
            }
        }
        self.scan.unexpected("`<=`, `>=`, `==`, `+`, `-` or `*`")
    }

    fn side(&mut self, ranges: bool) -> Result<Side, FactError> {
        let mut side = Side::default();
        let mut negative = self.scan.take("-");
        let mut first = true;
        loop {
            self.scan.skip_blanks();
            let start = self.scan.at;
            let product = self.product()?;
            let signed = if negative {
                -product.number
            } else {
                product.number
            };
            let range_at = self.scan.at;
            if self.scan.take("..") {
                if !ranges {
                    return self.scan.error(
                        range_at,
                        Kind::Range("a range of constants stands only in a consent's template"),
                    );
                }
                if !first || product.value.is_some() {
                    return self.scan.error(
                        start,
                        Kind::Range("a range of constants stands alone on its side"),
                    );
                }
                return self.range_end(signed);
            }
            match product.value {
                Some(mut term) => {
                    term.weight = self.scan.number(start, signed)?;
                    self.terms += 1;
                    // Merging comes later, so this bounds work, not meaning.
                    if self.terms > 4 * MAX_TERMS {
                        return self.scan.error(start, Kind::TooManyTerms);
                    }
                    side.terms.push(term);
                }
                None => {
                    side.low += signed;
                    side.high += signed;
                    self.scan.number(start, side.low)?;
                }
            }
            first = false;
            negative = if self.scan.take("+") {
                false
            } else if self.scan.take("-") {
                true
            } else {
                return Ok(side);
            };
        }
    }

    /// The rest of a range, after `..`.
    fn range_end(&mut self, low: i128) -> Result<Side, FactError> {
        let negative = self.scan.take("-");
        self.scan.skip_blanks();
        let start = self.scan.at;
        let product = self.product()?;
        if product.value.is_some() {
            return self
                .scan
                .error(start, Kind::Range("a range ends with a constant"));
        }
        let high = if negative {
            -product.number
        } else {
            product.number
        };
        if low > high {
            return self
                .scan
                .error(start, Kind::Range("a range ends with its larger constant"));
        }
        self.scan.skip_blanks();
        if self.scan.rest().starts_with(['+', '-']) {
            return self.scan.error(
                self.scan.at,
                Kind::Range("a range of constants stands alone on its side"),
            );
        }
        Ok(Side {
            terms: Vec::new(),
            low,
            high,
        })
    }

    fn product(&mut self) -> Result<Product, FactError> {
        let mut product = Product {
            number: 1,
            value: None,
        };
        loop {
            self.scan.skip_blanks();
            let start = self.scan.at;
            match self.scan.rest().chars().next() {
                Some(c) if c.is_ascii_digit() => {
                    let number = self.scan.integer()?;
                    product.number *= number;
                    self.scan.number(start, product.number)?;
                }
                Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                    if product.value.is_some() {
                        return self.scan.error(start, Kind::NotLinear);
                    }
                    product.value = Some(self.value()?);
                }
                _ => return self.scan.unexpected("a number, `total(..)` or `each(..)`"),
            }
            if !self.scan.take("*") {
                return Ok(product);
            }
        }
    }

    /// `total(name, when)`, weight still to be set.
    fn value(&mut self) -> Result<Term, FactError> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let start = self.scan.at;
        let scope = match self.scan.take_while(word) {
            "total" => Scope::Total,
            "each" => Scope::Each,
            other => {
                return self
                    .scan
                    .error(start, Kind::Function(other.chars().take(40).collect()));
            }
        };
        match self.scope {
            Some(first) if first != scope => {
                let first = first.name();
                return self.scan.error(start, Kind::MixedScope { first });
            }
            _ => self.scope = Some(scope),
        }
        if !self.scan.take("(") {
            return self.scan.unexpected("`(`");
        }
        self.scan.skip_blanks();
        let name_at = self.scan.at;
        let name = self.scan.take_while(word);
        if name.is_empty() {
            return self.scan.unexpected("the name of an attribute");
        }
        let Some((position, attribute)) = self.schema.find(name) else {
            let kind = Kind::UnknownAttribute {
                name: name.chars().take(64).collect(),
                suggestion: closest(name, self.schema),
            };
            return self.scan.error(name_at, kind);
        };
        if scope == Scope::Total && !attribute.aggregate.is_additive() && name != PRESENT {
            return self.scan.error(name_at, Kind::NotAdditive(name.to_owned()));
        }
        let after_name = self.scan.at;
        let when = if self.scan.take(",") {
            let when_at = {
                self.scan.skip_blanks();
                self.scan.at
            };
            let when = self.scan.when()?;
            match (attribute.class, when) {
                (Class::Stock, When::Window(_)) => {
                    return self
                        .scan
                        .error(when_at, Kind::StockHasNoWindow(name.to_owned()));
                }
                (Class::Flow, When::At(_)) => {
                    return self
                        .scan
                        .error(when_at, Kind::FlowNeedsWindow(name.to_owned()));
                }
                _ => when,
            }
        } else if attribute.class == Class::Flow {
            return self
                .scan
                .error(after_name, Kind::FlowNeedsWindow(name.to_owned()));
        } else {
            When::Latest
        };
        if !self.scan.take(")") {
            return self.scan.unexpected(match when {
                When::Latest => "`,` or `)`",
                When::At(_) | When::Window(_) | When::During(_) => "`)`",
            });
        }
        Ok(Term {
            position,
            attribute: name.to_owned(),
            when,
            weight: 0,
        })
    }
}

enum Operator {
    AtMost,
    AtLeast,
    Equal,
}

/// The attribute whose name is closest, if it is close.
fn closest(name: &str, schema: &Schema) -> Option<String> {
    let limit = (name.len() / 3).clamp(1, 3);
    if name.len() > 2 * crate::schema::MAX_NAME {
        return None;
    }
    schema
        .attributes()
        .iter()
        .map(|a| (distance(name.as_bytes(), a.name.as_bytes()), &a.name))
        .min()
        .filter(|(d, _)| *d <= limit)
        .map(|(_, name)| name.clone())
}

/// Edits between two names.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replace = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
