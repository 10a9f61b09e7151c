//! From bins as files have them, in order of precedence, to a partition of a range of integers.

use std::collections::BTreeMap;

use super::decimal::Decimal;
use super::error::{ImportError, Problem, at};
use super::intervals::{INFINITY, Integers, MINUS_INFINITY};
use super::mapping::{Mapping, VariableMapping};
use super::{Imported, MISSING};
use crate::scorecard::card::{Bin, Card, Variable};
use crate::scorecard::{MAX_LABEL, MAX_NAME, MAX_SCALE, VALUE_BITS};

/// A bin of a file: the first that has a value takes it.
pub(super) struct RawBin {
    /// Its values.
    pub(super) values: Integers,
    /// Its points.
    pub(super) points: Decimal,
    /// The points as written.
    pub(super) text: String,
    /// What people call it.
    pub(super) label: String,
    /// Its place in the file, from 1.
    pub(super) number: usize,
}

/// A variable of a file.
pub(super) struct RawVariable {
    pub(super) name: String,
    /// What the mapping may call it besides.
    pub(super) field: String,
    pub(super) reason: String,
    pub(super) bins: Vec<RawBin>,
    pub(super) codes: BTreeMap<String, i64>,
}

/// A card of a file.
pub(super) struct RawCard {
    pub(super) name: Option<String>,
    pub(super) base: Decimal,
    pub(super) base_text: String,
    pub(super) reasons: bool,
    pub(super) variables: Vec<RawVariable>,
}

/// The mapping of a variable, by the name of the variable or of what it reads.
pub(super) fn mapping_of<'a>(mapping: &'a Mapping, name: &str, field: &str) -> &'a VariableMapping {
    static DEFAULT: std::sync::OnceLock<VariableMapping> = std::sync::OnceLock::new();
    (mapping.variables.get(name))
        .or_else(|| mapping.variables.get(field))
        .unwrap_or_else(|| DEFAULT.get_or_init(VariableMapping::default))
}

impl RawCard {
    /// The card.
    pub(super) fn finish(self, mapping: &Mapping) -> Result<Imported, ImportError> {
        for name in mapping.variables.keys() {
            if !self
                .variables
                .iter()
                .any(|v| v.name == *name || v.field == *name)
            {
                return Err(ImportError::UnknownVariable(name.clone()));
            }
        }
        let decimals = self.decimals(mapping)?;
        let scale = 10u32.pow(decimals);
        let base = self
            .base
            .scaled(decimals)
            .ok_or(ImportError::Format("base points are too large"))?;
        let mut codes = BTreeMap::new();
        let mut variables = Vec::with_capacity(self.variables.len());
        for v in self.variables {
            let m = mapping_of(mapping, &v.name, &v.field);
            if !v.codes.is_empty() {
                codes.insert(v.name.clone(), v.codes.clone());
            }
            let reason = if v.reason.is_empty() {
                m.reason.as_deref().unwrap_or("")
            } else {
                &v.reason
            };
            variables.push(Variable {
                reference: m.reference(&v.field),
                reason: shorten(reason, MAX_NAME),
                bins: partition(&v, m, decimals)?,
                name: v.name,
            });
        }
        let name = (mapping.name.clone().or(self.name)).unwrap_or_else(|| "scorecard".into());
        let card = Card::new(card_name(&name), scale, base, self.reasons, variables)?;
        Ok(Imported { card, codes })
    }

    /// Decimals of the card's points.
    fn decimals(&self, mapping: &Mapping) -> Result<u32, ImportError> {
        let most = MAX_SCALE.ilog10();
        if let Some(decimals) = mapping.decimals {
            return if decimals <= most {
                Ok(decimals)
            } else {
                Err(ImportError::Format("a card has at most 9 decimals"))
            };
        }
        if self.base.decimals() > most {
            return Err(at("base points", None)(Problem::Decimals {
                points: self.base_text.clone(),
                decimals: most,
            }));
        }
        let mut decimals = self.base.decimals();
        for v in &self.variables {
            for bin in &v.bins {
                if bin.points.decimals() > most {
                    return Err(at(&v.name, Some(bin.number))(Problem::Decimals {
                        points: bin.text.clone(),
                        decimals: most,
                    }));
                }
                decimals = decimals.max(bin.points.decimals());
            }
        }
        Ok(decimals)
    }
}

/// The bins as a partition of the variable's range.
fn partition(v: &RawVariable, m: &VariableMapping, decimals: u32) -> Result<Vec<Bin>, ImportError> {
    let mut rest = Integers::all();
    // (from, to, which bin)
    let mut pieces: Vec<(i64, i64, usize)> = Vec::new();
    for (i, bin) in v.bins.iter().enumerate() {
        let here = rest.and(&bin.values);
        pieces.extend(here.intervals().iter().map(|(a, b)| (*a, *b, i)));
        rest = rest.without(&bin.values);
    }
    pieces.sort_unstable();
    let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else {
        return Err(at(&v.name, None)(Problem::Lacks("bin with a value")));
    };
    let (low, high) = range(m, &v.codes, first.0, last.1);
    let inside = Integers::between(low, high);
    if let Some((a, b)) = rest.and(&inside).intervals().first() {
        return Err(at(&v.name, None)(Problem::Uncovered {
            from: *a,
            to: b - 1,
        }));
    }
    let mut bins: Vec<(Bin, usize)> = Vec::new();
    for (a, b, i) in pieces {
        let (from, to) = (a.max(low), b.min(high));
        if from >= to {
            continue;
        }
        let raw = &v.bins[i];
        let points = (raw.points.scaled(decimals))
            .ok_or_else(|| at(&v.name, Some(raw.number))(Problem::TooLarge(raw.text.clone())))?;
        match bins.last_mut() {
            Some((bin, before)) if *before == i => bin.to = to,
            _ => bins.push((
                Bin {
                    from,
                    to,
                    points,
                    label: shorten(&raw.label, MAX_LABEL),
                },
                i,
            )),
        }
    }
    Ok(bins.into_iter().map(|(bin, _)| bin).collect())
}

/// Ends of the range: the mapping's, the bins', or as far as 40 bits reach.
fn range(m: &VariableMapping, codes: &BTreeMap<String, i64>, first: i64, last: i64) -> (i64, i64) {
    let span = 1i64 << VALUE_BITS;
    let low = m.low.or((first != MINUS_INFINITY).then_some(first));
    let high = m.high.or((last != INFINITY).then_some(last));
    let (low, high) = match (low, high) {
        (Some(low), Some(high)) => (low, high),
        (Some(low), None) => (low, low.saturating_add(span)),
        (None, Some(high)) => (high.saturating_sub(span), high),
        (None, None) => (-span / 2, span / 2),
    };
    // A missing value may stand below everything else.
    let missing = codes.get(MISSING).copied();
    (low.min(missing.unwrap_or(low)), high)
}

/// A name as cards have it: what they may not have becomes a space.
fn card_name(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || (c.is_ascii_graphic() && c != '"');
    let spaced: String = (text.chars())
        .map(|c| if plain(c) { c } else { ' ' })
        .collect();
    let mut name = String::new();
    for word in spaced.split_whitespace() {
        let gap = usize::from(!name.is_empty());
        let room = MAX_NAME.saturating_sub(name.len() + gap);
        let mut end = word.len().min(room);
        while !word.is_char_boundary(end) {
            end -= 1;
        }
        if end == 0 {
            break;
        }
        name.extend((gap == 1).then_some(' '));
        name.push_str(&word[..end]);
        if end < word.len() {
            break;
        }
    }
    if name.is_empty() {
        name.push_str("scorecard");
    }
    name
}

/// A text without control characters, cut to a length in bytes.
pub(super) fn shorten(text: &str, limit: usize) -> String {
    let mut out: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if out.len() > limit {
        let mut end = limit - '…'.len_utf8();
        while !out.is_char_boundary(end) {
            end -= 1;
        }
        out.truncate(end);
        out.push('…');
    }
    out
}

/// Codes of categories: the mapping's; or the integers that they are, without holes; or their order.
pub(super) fn assign_codes(
    variable: &str,
    m: &VariableMapping,
    categories: &[String],
) -> Result<BTreeMap<String, i64>, ImportError> {
    if !m.codes.is_empty() {
        if let Some(lacking) = categories.iter().find(|c| !m.codes.contains_key(*c)) {
            return Err(at(variable, None)(Problem::Category(lacking.clone())));
        }
        return Ok(m.codes.clone());
    }
    let integers: Option<Vec<i64>> = (categories.iter())
        .map(|c| {
            Decimal::parse(c)
                .ok()?
                .floor()
                .and_then(|(x, exact)| exact.then_some(x))
        })
        .collect();
    if let Some(integers) = integers {
        let mut sorted = integers.clone();
        sorted.sort_unstable();
        let distinct = sorted.windows(2).all(|w| w[0] != w[1]);
        let dense = sorted.first().zip(sorted.last());
        if distinct && dense.is_some_and(|(a, b)| b.abs_diff(*a) + 1 == sorted.len() as u64) {
            return Ok(categories.iter().cloned().zip(integers).collect());
        }
    }
    Ok(categories.iter().cloned().zip(0..).collect())
}

/// The code of a missing value: the mapping's, or one below everything that the card names.
pub(super) fn missing_code(m: &VariableMapping, named: &[Integers]) -> i64 {
    m.missing.unwrap_or_else(|| {
        let ends = named.iter().flat_map(|s| s.intervals());
        match ends.map(|(a, _)| *a).min() {
            // Nothing but the range is below an unbounded bin.
            Some(MINUS_INFINITY) | None => m.low.unwrap_or(-(1 << (VALUE_BITS - 1))),
            Some(low) => m.low.unwrap_or(low - 1),
        }
    })
}
