//! Facts, amounts and verdicts in words.

use zkbureau_circuits::fact::{Fact, Query, Relation, Scope, Side, Term, Verdict, When};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::schema::{Attribute, PRESENT, Schema};
use zkbureau_circuits::scorecard::Question;

/// An integer with thin groups of three: `1,536,699,927`.
#[must_use]
pub fn amount(value: i128) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = String::new();
    if value < 0 {
        out.push('-');
    }
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `total / count` to two decimals, rounded to the nearest; `None` without a count.
#[must_use]
pub fn mean(total: i128, count: u64) -> Option<String> {
    if count == 0 {
        return None;
    }
    let count = i128::from(count);
    let hundredths = (total * 100 * 2 + count * total.signum()) / (count * 2);
    let sign = if hundredths < 0 { "-" } else { "" };
    let (whole, part) = (hundredths.abs() / 100, hundredths.abs() % 100);
    Some(format!("{sign}{}.{part:02}", amount(whole)))
}

/// An attribute's name for people: `months_90_late` is "months 90 late".
#[must_use]
pub fn name(attribute: &str) -> String {
    if attribute == PRESENT {
        "number of agencies with a record".into()
    } else {
        attribute.replace('_', " ")
    }
}

/// A fact as a sentence, such as "Over all agencies asked, balance is at most 500,000 NT$."
#[must_use]
pub fn fact(fact: &Fact, schema: &Schema, as_of: Period) -> String {
    let scope = match fact.scope() {
        Scope::Total => "Added up over the agencies asked",
        Scope::Each => "At every agency asked that holds a record",
    };
    let sides = Sides::of(fact);
    let unit = unit(fact, schema);
    let relation = match (fact.relation(), sides.at_most) {
        (Relation::EqualsZero, _) => "is exactly",
        (Relation::AtLeastZero, true) => "is at most",
        (Relation::AtLeastZero, false) => "is at least",
    };
    format!(
        "{scope}, {} {relation} {}.",
        side(&sides.left, 0, fact, as_of, ""),
        side(&sides.right, sides.constant, fact, as_of, &unit)
    )
}

/// The two sides of a fact, with positive weights: `left <= right + constant` if `at_most`.
struct Sides<'a> {
    left: Vec<(u64, &'a Term)>,
    right: Vec<(u64, &'a Term)>,
    constant: i128,
    at_most: bool,
}

impl<'a> Sides<'a> {
    fn of(fact: &'a Fact) -> Self {
        let with = |negative: bool| {
            (fact.terms().iter())
                .filter(|t| (t.weight() < 0) == negative)
                .map(|t| (t.weight().unsigned_abs(), t))
                .collect::<Vec<_>>()
        };
        let constant = i128::from(fact.constant());
        // As in the canonical text: an inequality with a negative weight reads "at most".
        let at_most = fact.relation() == Relation::AtLeastZero && !with(true).is_empty();
        if at_most {
            Self {
                left: with(true),
                right: with(false),
                constant,
                at_most,
            }
        } else {
            Self {
                left: with(false),
                right: with(true),
                constant: -constant,
                at_most,
            }
        }
    }
}

fn side(terms: &[(u64, &Term)], constant: i128, fact: &Fact, as_of: Period, unit: &str) -> String {
    let mut words: Vec<String> = (terms.iter())
        .map(|(weight, term)| {
            let times = if *weight == 1 {
                String::new()
            } else {
                format!("{} × ", amount(i128::from(*weight)))
            };
            format!("{times}{}", value(term, as_of))
        })
        .collect();
    if terms.is_empty() || constant > 0 {
        let unit = if fact.terms().len() > 1 { "" } else { unit };
        let unit = match (constant, unit.strip_suffix('s')) {
            (1, Some(one)) => one,
            _ => unit,
        };
        let constant = amount(constant);
        words.push(if unit.is_empty() {
            constant
        } else {
            format!("{constant} {unit}")
        });
        return words.join(" plus ");
    }
    let sum = words.join(" plus ");
    if constant < 0 {
        format!("{sum} minus {}", amount(-constant))
    } else {
        sum
    }
}

fn value(term: &Term, as_of: Period) -> String {
    let name = name(term.attribute());
    match term.when() {
        When::Latest => name,
        When::At(period) | When::During(period) => format!("{name} in {period}"),
        When::Window(1) => format!("{name} in {as_of}"),
        When::Window(months) => {
            format!("{name} from {} to {as_of}", as_of.minus(months - 1))
        }
    }
}

fn unit(fact: &Fact, schema: &Schema) -> String {
    (fact.terms().first())
        .and_then(|t| schema.find(t.attribute()))
        .filter(|(_, a)| a.name != PRESENT)
        .map_or_else(String::new, |(_, a)| a.unit.clone())
}

/// The attributes that facts and cards name, each once, in the order of the schema.
#[must_use]
pub fn attributes<'a>(query: &Query, schema: &'a Schema) -> Vec<&'a Attribute> {
    let read = |name: &str| {
        let mut terms = query.facts().iter().flat_map(Fact::terms);
        let mut variables = query.scores().iter().flat_map(|s| s.card().variables());
        terms.any(|t| t.attribute() == name) || variables.any(|v| v.reference.attribute == name)
    };
    (schema.attributes().iter())
        .filter(|a| read(&a.name))
        .collect()
}

/// Whether the answer has a score itself.
#[must_use]
pub fn shows_score(query: &Query) -> bool {
    (query.scores().iter()).any(|score| score.ask().question == Question::Exact)
}

/// The attributes that nothing names, as people call them.
#[must_use]
pub fn untouched(query: &Query, schema: &Schema) -> Vec<String> {
    let touched = attributes(query, schema);
    (schema.attributes().iter())
        .filter(|a| a.name != PRESENT && !touched.contains(a))
        .map(|a| name(&a.name))
        .collect()
}

/// Somebody else's words without control characters, which could act on a terminal.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// A verdict in a word or two, and what more there is to say.
#[must_use]
pub fn verdict(verdict: &Verdict, agency: impl Fn(AgencyId) -> String) -> (&'static str, String) {
    match verdict {
        Verdict::True => ("TRUE", String::new()),
        Verdict::False { at, side } => {
            let at = at.map(|id| format!("at {}", agency(id)));
            let side = (*side == Side::Above).then(|| "the left side is larger".to_owned());
            let more: Vec<String> = at.into_iter().chain(side).collect();
            ("FALSE", more.join(", "))
        }
        Verdict::InsufficientHistory { at: None } => {
            ("NO HISTORY", "no agency asked holds a record".into())
        }
        Verdict::InsufficientHistory { at: Some(id) } => (
            "NO HISTORY",
            format!("{} does not reach that far back", agency(*id)),
        ),
        Verdict::Unavailable { agency: id } => (
            "UNAVAILABLE",
            format!(
                "no answer of {}, or its data are older than asked",
                agency(*id)
            ),
        ),
        Verdict::Refused => ("REFUSED", "the person declines to say".into()),
    }
}

/// The exit code of a list of verdicts: 0 all true, else 10 if any is false, else 21 if any is
/// refused, else 30 if any is unavailable, else 11.
#[must_use]
pub fn exit_code<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>) -> u8 {
    let (mut code, mut rank) = (0, 0);
    for verdict in verdicts {
        let (this, this_rank) = match verdict {
            Verdict::True => (0, 0),
            Verdict::InsufficientHistory { .. } => (11, 1),
            Verdict::Unavailable { .. } => (30, 2),
            Verdict::Refused => (21, 3),
            Verdict::False { .. } => (10, 4),
        };
        if this_rank > rank {
            (code, rank) = (this, this_rank);
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use zkbureau_circuits::schema::{Aggregate, Class};

    fn schema() -> Schema {
        let attribute = |name: &str, class, aggregate, unit: &str| Attribute {
            name: name.into(),
            class,
            aggregate,
            min: 0,
            max: 10_000,
            unit: unit.into(),
            description: String::new(),
        };
        let mut present = attribute("present", Class::Stock, Aggregate::Max, "record");
        present.max = 1;
        Schema::new(
            1,
            vec![
                present,
                attribute("balance", Class::Stock, Aggregate::Sum, "NT$"),
                attribute("credit_limit", Class::Stock, Aggregate::Sum, "NT$"),
                attribute("arrears", Class::Stock, Aggregate::Max, "months"),
                attribute("payments", Class::Flow, Aggregate::Sum, "NT$"),
            ],
        )
        .expect("a valid schema")
    }

    #[test]
    fn facts_read_as_sentences() {
        let as_of: Period = "2005-09".parse().expect("a period");
        for (text, words) in [
            (
                "total(balance) <= 500_000",
                "Added up over the agencies asked, balance is at most 500,000 NT$.",
            ),
            (
                "total(payments, 6m) >= 1000",
                "Added up over the agencies asked, payments from 2005-04 to 2005-09 is at least 1,000 NT$.",
            ),
            (
                "10*total(balance) <= 8*total(credit_limit)",
                "Added up over the agencies asked, 10 × balance is at most 8 × credit limit.",
            ),
            (
                "each(arrears) <= 1",
                "At every agency asked that holds a record, arrears is at most 1 month.",
            ),
            (
                "total(balance, 2005-07) == 0",
                "Added up over the agencies asked, balance in 2005-07 is exactly 0 NT$.",
            ),
            (
                "total(present) <= 3",
                "Added up over the agencies asked, number of agencies with a record is at most 3.",
            ),
            (
                "total(balance) <= total(credit_limit) - 100",
                "Added up over the agencies asked, balance is at most credit limit minus 100.",
            ),
            (
                "total(balance) + total(credit_limit) >= 5",
                "Added up over the agencies asked, balance plus credit limit is at least 5.",
            ),
        ] {
            let parsed = Fact::parse(text, &schema()).expect(text);
            assert_eq!(fact(&parsed, &schema(), as_of), words);
        }
    }

    #[test]
    fn amounts_and_means() {
        assert_eq!(amount(1_536_699_927), "1,536,699,927");
        assert_eq!(amount(-1_000), "-1,000");
        assert_eq!(amount(999), "999");
        assert_eq!(mean(10, 3).as_deref(), Some("3.33"));
        assert_eq!(mean(-10, 3).as_deref(), Some("-3.33"));
        assert_eq!(mean(20, 3).as_deref(), Some("6.67"));
        assert_eq!(mean(-1, 1000).as_deref(), Some("0.00"));
        assert_eq!(mean(5, 1000).as_deref(), Some("0.01"));
        assert_eq!(mean(1, 0), None);
    }

    #[test]
    fn the_gravest_verdict_makes_the_exit_code() {
        let agency = AgencyId(1);
        let no = Verdict::False {
            at: None,
            side: Side::Below,
        };
        let old = Verdict::Unavailable { agency };
        let short = Verdict::InsufficientHistory { at: None };
        assert_eq!(exit_code(&[Verdict::True, Verdict::True]), 0);
        assert_eq!(exit_code(&[Verdict::True, short]), 11);
        assert_eq!(exit_code(&[old, short]), 30);
        assert_eq!(exit_code(&[old, Verdict::Refused]), 21);
        assert_eq!(exit_code(&[no, old, Verdict::Refused, Verdict::True]), 10);
    }
}
