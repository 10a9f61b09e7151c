//! Reading facts and templates (spec: `circuits/spec/fact.md`, heading "Language").
//!
//! One pass, no recursion: a side is a list of products. Every position is a byte offset into the
//! text and becomes a column when an error is made.

use super::error::{FactError, FactErrorKind as Kind};
use super::language::{Fact, Relation, Scope, Term, When, check_bound};
use super::template::FactTemplate;
use super::{MAX_FACT_TEXT, MAX_TERMS, MAX_WINDOW_MONTHS};
use crate::period::Period;
use crate::schema::{Class, PRESENT, Schema};

/// Largest absolute value of a number.
const MAX_NUMBER: i128 = i64::MAX as i128;

/// Reads an exact fact.
pub(super) fn fact(text: &str, schema: &Schema) -> Result<Fact, FactError> {
    let parsed = Parser::new(text, schema).comparison(false)?;
    Ok(parsed.shape)
}

/// Reads a template.
pub(super) fn template(text: &str, schema: &Schema) -> Result<FactTemplate, FactError> {
    Parser::new(text, schema).comparison(true)
}

/// One side of a comparison: terms and an interval for the constant.
#[derive(Default)]
struct Side {
    terms: Vec<Term>,
    low: i128,
    high: i128,
}

/// A product: a number, times at most one value.
struct Product {
    number: i128,
    value: Option<Term>,
}

struct Parser<'a> {
    text: &'a str,
    schema: &'a Schema,
    at: usize,
    scope: Option<Scope>,
    terms: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, schema: &'a Schema) -> Self {
        Self {
            text,
            schema,
            at: 0,
            scope: None,
            terms: 0,
        }
    }

    fn error<T>(&self, offset: usize, kind: impl Into<Kind>) -> Result<T, FactError> {
        Err(FactError {
            column: self.text[..offset].chars().count() + 1,
            offset,
            kind: kind.into(),
        })
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
    }

    /// Takes `token` after blanks, if it is next.
    fn take(&mut self, token: &str) -> bool {
        self.skip_blanks();
        let next = self.rest().starts_with(token);
        if next {
            self.at += token.len();
        }
        next
    }

    /// Takes the longest run of characters that satisfy `f`.
    fn take_while(&mut self, f: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let run = &rest[..rest.find(|c| !f(c)).unwrap_or(rest.len())];
        self.at += run.len();
        run
    }

    /// An error that names what stands here instead of `expected`.
    fn unexpected<T>(&self, expected: &'static str) -> Result<T, FactError> {
        let rest = self.rest();
        let found = match rest.chars().next() {
            None => "the end".to_owned(),
            Some(c) if c.is_ascii_alphanumeric() || c == '_' => {
                let word: String = rest
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .take(40)
                    .collect();
                format!("`{word}`")
            }
            Some(c) => format!("`{}`", c.escape_debug()),
        };
        self.error(self.at, Kind::Unexpected { expected, found })
    }

    fn comparison(mut self, ranges: bool) -> Result<FactTemplate, FactError> {
        if self.text.len() > MAX_FACT_TEXT {
            // The first character that does not fit.
            let offset = self
                .text
                .char_indices()
                .map(|(i, c)| (i, i + c.len_utf8()))
                .find(|(_, end)| *end > MAX_FACT_TEXT)
                .map_or(0, |(i, _)| i);
            return self.error(
                offset,
                Kind::TooLong {
                    got: self.text.len(),
                },
            );
        }
        let left = self.side(ranges)?;
        let operator = self.operator()?;
        let right = self.side(ranges)?;
        self.skip_blanks();
        if !self.rest().is_empty() {
            if self.comparison_next() {
                return self.error(
                    self.at,
                    Kind::Operator {
                        found: "a second comparison",
                        hint: "ask two facts",
                    },
                );
            }
            return self.unexpected("`+`, `-`, `*` or the end");
        }
        let (relation, plus, minus) = match operator {
            Operator::AtMost => (Relation::AtLeastZero, right, left),
            Operator::AtLeast => (Relation::AtLeastZero, left, right),
            Operator::Equal => (Relation::EqualsZero, left, right),
        };
        self.normal_form(relation, plus, minus)
    }

    fn comparison_next(&self) -> bool {
        self.rest().starts_with(['<', '>', '=', '!', '≤', '≥', '≠'])
    }

    fn operator(&mut self) -> Result<Operator, FactError> {
        for (token, operator) in [
            ("<=", Operator::AtMost),
            (">=", Operator::AtLeast),
            ("==", Operator::Equal),
        ] {
            if self.take(token) {
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
            if self.rest().starts_with(found) {
                return self.error(self.at, Kind::Operator { found, hint });
            }
        }
        self.unexpected("`<=`, `>=`, `==`, `+`, `-` or `*`")
    }

    fn side(&mut self, ranges: bool) -> Result<Side, FactError> {
        let mut side = Side::default();
        let mut negative = self.take("-");
        let mut first = true;
        loop {
            self.skip_blanks();
            let start = self.at;
            let product = self.product()?;
            let signed = if negative {
                -product.number
            } else {
                product.number
            };
            let range_at = self.at;
            if self.take("..") {
                if !ranges {
                    return self.error(
                        range_at,
                        Kind::Range("a range of constants stands only in a consent's template"),
                    );
                }
                if !first || product.value.is_some() {
                    return self.error(
                        start,
                        Kind::Range("a range of constants stands alone on its side"),
                    );
                }
                return self.range_end(signed);
            }
            match product.value {
                Some(mut term) => {
                    term.weight = self.number(start, signed)?;
                    self.terms += 1;
                    // Merging comes later, so this bounds work, not meaning.
                    if self.terms > 4 * MAX_TERMS {
                        return self.error(start, Kind::TooManyTerms);
                    }
                    side.terms.push(term);
                }
                None => {
                    side.low += signed;
                    side.high += signed;
                    self.number(start, side.low)?;
                }
            }
            first = false;
            negative = if self.take("+") {
                false
            } else if self.take("-") {
                true
            } else {
                return Ok(side);
            };
        }
    }

    /// The rest of a range, after `..`.
    fn range_end(&mut self, low: i128) -> Result<Side, FactError> {
        let negative = self.take("-");
        self.skip_blanks();
        let start = self.at;
        let product = self.product()?;
        if product.value.is_some() {
            return self.error(start, Kind::Range("a range ends with a constant"));
        }
        let high = if negative {
            -product.number
        } else {
            product.number
        };
        if low > high {
            return self.error(start, Kind::Range("a range ends with its larger constant"));
        }
        self.skip_blanks();
        if self.rest().starts_with(['+', '-']) {
            return self.error(
                self.at,
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
            self.skip_blanks();
            let start = self.at;
            match self.rest().chars().next() {
                Some(c) if c.is_ascii_digit() => {
                    let number = self.integer()?;
                    product.number *= number;
                    self.number(start, product.number)?;
                }
                Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                    if product.value.is_some() {
                        return self.error(start, Kind::NotLinear);
                    }
                    product.value = Some(self.value()?);
                }
                _ => return self.unexpected("a number, `total(..)` or `each(..)`"),
            }
            if !self.take("*") {
                return Ok(product);
            }
        }
    }

    fn integer(&mut self) -> Result<i128, FactError> {
        let start = self.at;
        let digits = self.take_while(|c| c.is_ascii_digit() || c == '_');
        if digits.ends_with('_') || digits.contains("__") {
            return self.error(
                start,
                Kind::Unexpected {
                    expected: "single underscores between digits",
                    found: format!("`{}`", digits.chars().take(40).collect::<String>()),
                },
            );
        }
        let mut number = 0i128;
        for digit in digits.bytes().filter(u8::is_ascii_digit) {
            number = number * 10 + i128::from(digit - b'0');
            if number > MAX_NUMBER {
                return self.error(start, Kind::Number);
            }
        }
        Ok(number)
    }

    /// A number as 64 bits, refused beyond 63 and a sign.
    fn number(&self, offset: usize, number: i128) -> Result<i64, FactError> {
        if number.abs() > MAX_NUMBER {
            return self.error(offset, Kind::Number);
        }
        Ok(i64::try_from(number).expect("just compared"))
    }

    /// `total(name, when)`, weight still to be set.
    fn value(&mut self) -> Result<Term, FactError> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let start = self.at;
        let scope = match self.take_while(word) {
            "total" => Scope::Total,
            "each" => Scope::Each,
            other => {
                return self.error(start, Kind::Function(other.chars().take(40).collect()));
            }
        };
        match self.scope {
            Some(first) if first != scope => {
                let first = first.name();
                return self.error(start, Kind::MixedScope { first });
            }
            _ => self.scope = Some(scope),
        }
        if !self.take("(") {
            return self.unexpected("`(`");
        }
        self.skip_blanks();
        let name_at = self.at;
        let name = self.take_while(word);
        if name.is_empty() {
            return self.unexpected("the name of an attribute");
        }
        let Some((position, attribute)) = self.schema.find(name) else {
            let kind = Kind::UnknownAttribute {
                name: name.chars().take(64).collect(),
                suggestion: closest(name, self.schema),
            };
            return self.error(name_at, kind);
        };
        if scope == Scope::Total && !attribute.aggregate.is_additive() && name != PRESENT {
            return self.error(name_at, Kind::NotAdditive(name.to_owned()));
        }
        let after_name = self.at;
        let when = if self.take(",") {
            let when_at = {
                self.skip_blanks();
                self.at
            };
            let when = self.when()?;
            match (attribute.class, when) {
                (Class::Stock, When::Window(_)) => {
                    return self.error(when_at, Kind::StockHasNoWindow(name.to_owned()));
                }
                (Class::Flow, When::At(_)) => {
                    return self.error(when_at, Kind::FlowNeedsWindow(name.to_owned()));
                }
                _ => when,
            }
        } else if attribute.class == Class::Flow {
            return self.error(after_name, Kind::FlowNeedsWindow(name.to_owned()));
        } else {
            When::Latest
        };
        if !self.take(")") {
            return self.unexpected(match when {
                When::Latest => "`,` or `)`",
                When::At(_) | When::Window(_) => "`)`",
            });
        }
        Ok(Term {
            position,
            attribute: name.to_owned(),
            when,
            weight: 0,
        })
    }

    fn when(&mut self) -> Result<When, FactError> {
        let start = self.at;
        let word = self.take_while(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if let Some(months) = word.strip_suffix('m')
            && !months.is_empty()
            && months.bytes().all(|b| b.is_ascii_digit())
        {
            return match months.parse::<u32>() {
                Ok(months) if (1..=MAX_WINDOW_MONTHS).contains(&months) => Ok(When::Window(months)),
                _ => self.error(start, Kind::Window),
            };
        }
        let dated = word.contains('-') && word.starts_with(|c: char| c.is_ascii_digit());
        match word.parse::<Period>() {
            Ok(period) => Ok(When::At(period)),
            Err(_) if dated => self.error(start, Kind::Period),
            Err(_) => {
                self.at = start;
                self.unexpected("a window such as `6m` or a period such as `2005-07`")
            }
        }
    }

    /// `plus - minus`, in normal form. Errors about the whole stand at its first character.
    fn normal_form(
        &self,
        relation: Relation,
        plus: Side,
        minus: Side,
    ) -> Result<FactTemplate, FactError> {
        let mut low = plus.low - minus.high;
        let mut high = plus.high - minus.low;
        let mut all: Vec<(Term, i128)> = Vec::new();
        let signed = |sign: i128| move |t: Term| (sign * i128::from(t.weight), t);
        for (weight, term) in plus
            .terms
            .into_iter()
            .map(signed(1))
            .chain(minus.terms.into_iter().map(signed(-1)))
        {
            let same =
                |(t, _): &&mut (Term, i128)| t.position == term.position && t.when == term.when;
            match all.iter_mut().find(same) {
                Some((_, sum)) => *sum += weight,
                None => all.push((term, weight)),
            }
        }
        all.retain(|(_, weight)| *weight != 0);
        all.sort_by_key(|(t, _)| (t.position, t.when));
        let Some(scope) = self.scope.filter(|_| !all.is_empty()) else {
            return self.error(0, Kind::NoTerms);
        };
        if all.len() > MAX_TERMS {
            return self.error(0, Kind::TooManyTerms);
        }
        if relation == Relation::EqualsZero && all[0].1 < 0 {
            (low, high) = (-high, -low);
            for (_, weight) in &mut all {
                *weight = -*weight;
            }
        }
        let mut terms = Vec::with_capacity(all.len());
        for (mut term, weight) in all {
            term.weight = self.number(0, weight)?;
            terms.push(term);
        }
        let (constant, high) = (self.number(0, low)?, self.number(0, high)?);
        for end in [constant, high] {
            if let Err(e) = check_bound(&terms, end, self.schema, 1) {
                return self.error(0, e);
            }
        }
        let shape = Fact {
            scope,
            relation,
            terms,
            constant,
        };
        let template = FactTemplate { shape, high };
        let got = template.to_string().len();
        if got > MAX_FACT_TEXT {
            return self.error(0, Kind::TooLong { got });
        }
        Ok(template)
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
