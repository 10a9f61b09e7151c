//! Reading a mapping, and checking it against the schema.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Table, Value};
use zkbureau_circuits::directory::SubjectId;
use zkbureau_circuits::schema::{Aggregate, Attribute, PRESENT, Schema};

use super::{Condition, Mapping, MappingError, Number, PeriodRule, Rule};
use crate::nearest::hint;

/// Most decimal places an amount may have.
const MAX_DECIMALS: u32 = 12;

#[derive(Deserialize)]
struct RawMapping {
    account: String,
    #[serde(default = "comma")]
    delimiter: char,
    #[serde(default)]
    ignore: Vec<String>,
    subject: RawSubject,
    period: Option<RawPeriod>,
    #[serde(default)]
    attributes: BTreeMap<String, RawRule>,
}

fn comma() -> char {
    ','
}

#[derive(Deserialize)]
struct RawSubject {
    column: String,
    id_type: String,
}

#[derive(Deserialize)]
struct RawPeriod {
    column: Option<String>,
    fixed: Option<String>,
}

#[derive(Deserialize)]
struct RawRule {
    column: Option<String>,
    decimals: Option<u32>,
    multiply: Option<i64>,
    codes: Option<BTreeMap<String, i64>>,
    if_empty: Option<i64>,
    clamp_min: Option<i64>,
    #[serde(rename = "where")]
    condition: Option<RawCondition>,
}

#[derive(Deserialize)]
struct RawCondition {
    column: String,
    decimals: Option<u32>,
    multiply: Option<i64>,
    codes: Option<BTreeMap<String, i64>>,
    if_empty: Option<i64>,
    at_least: Option<i64>,
    at_most: Option<i64>,
    equals: Option<i64>,
}

const TOP: &[&str] = &[
    "account",
    "delimiter",
    "ignore",
    "subject",
    "period",
    "attributes",
];
const SUBJECT: &[&str] = &["column", "id_type"];
const PERIOD: &[&str] = &["column", "fixed"];
const RULE: &[&str] = &[
    "column",
    "decimals",
    "multiply",
    "codes",
    "if_empty",
    "clamp_min",
    "where",
];
const CONDITION: &[&str] = &[
    "column", "decimals", "multiply", "codes", "if_empty", "at_least", "at_most", "equals",
];

impl Mapping {
    /// Reads a mapping for a schema.
    ///
    /// # Errors
    /// [`MappingError`] names the key or attribute, and what was probably meant.
    pub fn parse(text: &str, schema: &Schema) -> Result<Self, MappingError> {
        let table: Table = text
            .parse()
            .map_err(|e: toml::de::Error| MappingError::Toml(e.to_string()))?;
        check_keys(&table)?;
        let raw: RawMapping =
            toml::from_str(text).map_err(|e| MappingError::Toml(e.to_string()))?;
        if matches!(raw.delimiter, '"' | '\n' | '\r') {
            return Err(rule_error(
                "delimiter",
                "not a quotation mark or a line break",
            ));
        }
        if SubjectId::new(&raw.subject.id_type, "X").is_err() {
            return Err(rule_error(
                "subject.id_type",
                "1 to 32 characters of a-z, 0-9, _ and -",
            ));
        }
        let names: Vec<&str> = schema.attributes()[1..]
            .iter()
            .map(|a| a.name.as_str())
            .collect();
        for name in raw.attributes.keys() {
            if name == PRESENT {
                return Err(rule_error(
                    "attributes.present",
                    "`present` is 1 in every record and needs no rule",
                ));
            }
            if !names.contains(&name.as_str()) {
                return Err(MappingError::UnknownAttribute {
                    name: name.clone(),
                    hint: hint(name, names.iter().copied()),
                });
            }
        }
        let mut attributes = raw.attributes;
        let rules = schema.attributes()[1..]
            .iter()
            .map(|attribute| {
                let rule = attributes
                    .remove(&attribute.name)
                    .ok_or_else(|| MappingError::MissingRule(attribute.name.clone()))?;
                rule.check(attribute)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            delimiter: raw.delimiter,
            account: raw.account,
            subject: raw.subject.column,
            id_type: raw.subject.id_type,
            period: period_rule(raw.period)?,
            ignore: raw.ignore,
            rules,
        })
    }
}

fn period_rule(raw: Option<RawPeriod>) -> Result<PeriodRule, MappingError> {
    match raw {
        None => Ok(PeriodRule::Reported),
        Some(RawPeriod {
            column: Some(column),
            fixed: None,
        }) => Ok(PeriodRule::Column(column)),
        Some(RawPeriod {
            column: None,
            fixed: Some(text),
        }) => text.parse().map(PeriodRule::Fixed).map_err(|_| {
            rule_error(
                "period.fixed",
                "a period is written YYYY-MM, from 1900-01 to 9999-12",
            )
        }),
        Some(_) => Err(rule_error("period", "either `column` or `fixed`")),
    }
}

impl RawRule {
    fn check(self, attribute: &Attribute) -> Result<Rule, MappingError> {
        let path = format!("attributes.{}", attribute.name);
        let aggregate = attribute.aggregate;
        let number = match self.column {
            Some(column) => Some(number(
                &path,
                column,
                self.decimals,
                self.multiply,
                self.codes,
                self.if_empty,
            )?),
            None if aggregate != Aggregate::Count => {
                return Err(rule_error(
                    &path,
                    "`column` is missing (only a count does without one)",
                ));
            }
            None if self.decimals.is_some()
                || self.multiply.is_some()
                || self.codes.is_some()
                || self.if_empty.is_some()
                || self.clamp_min.is_some() =>
            {
                return Err(rule_error(&path, "these keys need a `column`"));
            }
            None => None,
        };
        let condition = match self.condition {
            Some(_) if !aggregate.is_additive() => {
                return Err(rule_error(
                    &path,
                    "`where` is for sums and counts (a max or min of no tradelines has no value)",
                ));
            }
            Some(raw) => Some(raw.check(&format!("{path}.where"))?),
            None => None,
        };
        // One tradeline of a sum or count may contribute nothing even where a whole record may not.
        let (min, max) = match aggregate {
            Aggregate::Sum => (attribute.min.min(0), attribute.max.max(0)),
            Aggregate::Count => (0, 1),
            Aggregate::Max | Aggregate::Min => (attribute.min, attribute.max),
        };
        Ok(Rule {
            attribute: attribute.name.clone(),
            aggregate,
            min,
            max,
            number,
            clamp_min: self.clamp_min,
            condition,
        })
    }
}

impl RawCondition {
    fn check(self, path: &str) -> Result<Condition, MappingError> {
        let (at_least, at_most) = match (self.equals, self.at_least, self.at_most) {
            (Some(v), None, None) => (Some(v), Some(v)),
            (None, None, None) | (Some(_), _, _) => {
                return Err(rule_error(
                    path,
                    "either `equals`, or `at_least` or `at_most` or both",
                ));
            }
            (None, low, high) => (low, high),
        };
        let number = number(
            path,
            self.column,
            self.decimals,
            self.multiply,
            self.codes,
            self.if_empty,
        )?;
        Ok(Condition {
            number,
            at_least,
            at_most,
        })
    }
}

fn number(
    path: &str,
    column: String,
    decimals: Option<u32>,
    multiply: Option<i64>,
    codes: Option<BTreeMap<String, i64>>,
    if_empty: Option<i64>,
) -> Result<Number, MappingError> {
    if decimals.is_some_and(|d| d > MAX_DECIMALS) {
        return Err(rule_error(path, "`decimals` is at most 12"));
    }
    if multiply == Some(0) {
        return Err(rule_error(path, "`multiply` by 0 makes every value 0"));
    }
    if codes.is_some() && (decimals.is_some() || multiply.is_some()) {
        return Err(rule_error(
            path,
            "`codes` give the value itself: no `decimals`, no `multiply`",
        ));
    }
    Ok(Number {
        column,
        decimals: decimals.unwrap_or(0),
        multiply: multiply.unwrap_or(1),
        codes,
        if_empty,
    })
}

fn rule_error(path: &str, what: &'static str) -> MappingError {
    MappingError::Rule {
        path: path.to_owned(),
        what,
    }
}

/// Finds the first key that nobody reads. Done by hand for the sake of path and hint.
fn check_keys(top: &Table) -> Result<(), MappingError> {
    only(top, "", TOP)?;
    for (name, allowed) in [("subject", SUBJECT), ("period", PERIOD)] {
        if let Some(Value::Table(table)) = top.get(name) {
            only(table, &format!("{name}."), allowed)?;
        }
    }
    let Some(Value::Table(attributes)) = top.get("attributes") else {
        return Ok(());
    };
    for (name, rule) in attributes {
        if let Value::Table(rule) = rule {
            only(rule, &format!("attributes.{name}."), RULE)?;
            if let Some(Value::Table(condition)) = rule.get("where") {
                only(condition, &format!("attributes.{name}.where."), CONDITION)?;
            }
        }
    }
    Ok(())
}

fn only(table: &Table, prefix: &str, allowed: &[&str]) -> Result<(), MappingError> {
    match table.keys().find(|key| !allowed.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(MappingError::UnknownKey {
            path: format!("{prefix}{key}"),
            hint: hint(key, allowed.iter().copied()),
        }),
    }
}
