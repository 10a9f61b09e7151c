//! The normal form of a comparison (spec: `circuits/spec/fact.md`, heading "Language").

use super::error::{FactError, FactErrorKind as Kind};
use super::language::{Fact, Relation, Scope, Term, check_bound};
use super::scan::Scan;
use super::template::FactTemplate;
use super::{MAX_FACT_TEXT, MAX_TERMS};
use crate::schema::Schema;

/// One side of a comparison: terms and an interval for the constant.
#[derive(Default)]
pub(super) struct Side {
    pub(super) terms: Vec<Term>,
    pub(super) low: i128,
    pub(super) high: i128,
}

/// `plus - minus`, in normal form. Errors about the whole stand at its first character.
pub(super) fn normal_form(
    scan: &Scan<'_>,
    schema: &Schema,
    scope: Option<Scope>,
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
        let same = |(t, _): &&mut (Term, i128)| t.position == term.position && t.when == term.when;
        match all.iter_mut().find(same) {
            Some((_, sum)) => *sum += weight,
            None => all.push((term, weight)),
        }
    }
    all.retain(|(_, weight)| *weight != 0);
    all.sort_by_key(|(t, _)| (t.position, t.when));
    let Some(scope) = scope.filter(|_| !all.is_empty()) else {
        return scan.error(0, Kind::NoTerms);
    };
    if all.len() > MAX_TERMS {
        return scan.error(0, Kind::TooManyTerms);
    }
    if relation == Relation::EqualsZero && all[0].1 < 0 {
        (low, high) = (-high, -low);
        for (_, weight) in &mut all {
            *weight = -*weight;
        }
    }
    let mut terms = Vec::with_capacity(all.len());
    for (mut term, weight) in all {
        term.weight = scan.number(0, weight)?;
        terms.push(term);
    }
    let (constant, high) = (scan.number(0, low)?, scan.number(0, high)?);
    for end in [constant, high] {
        if let Err(e) = check_bound(&terms, end, schema, 1) {
            return scan.error(0, e);
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
        return scan.error(0, Kind::TooLong { got });
    }
    Ok(template)
}
