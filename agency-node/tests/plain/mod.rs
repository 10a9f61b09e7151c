//! What the files say, in plain integers: read from the CSV, added up with `i128`, compared with
//! `<=`, `>=` and `==`. Nothing here comes from the project's own code, so that a test can ask
//! whether the proofs say the same.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

pub mod draw;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The attributes in the order of the schema.
pub const ATTRIBUTES: [&str; 9] = [
    "present",
    "balance",
    "credit_limit",
    "months_in_arrears",
    "open_accounts",
    "payments",
    "months_late",
    "months_90_late",
    "statements",
];
pub const PRESENT: usize = 0;
pub const BALANCE: usize = 1;
pub const LIMIT: usize = 2;
pub const ARREARS: usize = 3;
pub const ACCOUNTS: usize = 4;
pub const PAYMENTS: usize = 5;
/// From here on attributes are flows.
pub const FIRST_FLOW: usize = PAYMENTS;
const LATE: usize = 6;
const LATE_90: usize = 7;
const STATEMENTS: usize = 8;

/// One record: a value per attribute.
pub type Record = [i128; ATTRIBUTES.len()];
/// One person's records at one agency, by month.
pub type History = BTreeMap<i32, Record>;
/// One person's histories, by agency.
pub type Person = BTreeMap<u32, History>;

/// A month as a number.
pub const fn month(year: i32, month: i32) -> i32 {
    year * 12 + month - 1
}

/// A month as it is written.
pub fn month_text(month: i32) -> String {
    format!("{:04}-{:02}", month / 12, month % 12 + 1)
}

/// Everybody's records, read from the files `agency-A-MONTH.csv`.
pub fn read(folder: &Path, agencies: u32, months: &[i32]) -> BTreeMap<String, Person> {
    let mut people: BTreeMap<String, Person> = BTreeMap::new();
    for agency in 1..=agencies {
        for &period in months {
            let name = format!("agency-{agency}-{}.csv", month_text(period));
            let text = fs::read_to_string(folder.join(name)).unwrap();
            let mut lines = text.lines();
            assert_eq!(
                lines.next(),
                Some("account,subject,period,balance,credit_limit,pay,payment")
            );
            for line in lines {
                let fields: Vec<&str> = line.split(',').collect();
                assert_eq!(
                    (fields.len(), fields[2]),
                    (7, &*month_text(period)),
                    "{line}"
                );
                let number = |i: usize| fields[i].parse::<i128>().unwrap();
                let (pay, flag) = (number(5), |holds: bool| i128::from(holds));
                let record = people
                    .entry(fields[1].to_owned())
                    .or_default()
                    .entry(agency)
                    .or_default()
                    .entry(period)
                    .or_default();
                record[PRESENT] = 1;
                record[BALANCE] += number(3);
                record[LIMIT] += number(4);
                record[ARREARS] = record[ARREARS].max(pay);
                record[ACCOUNTS] += 1;
                record[PAYMENTS] += number(6);
                record[LATE] += flag(pay >= 2);
                record[LATE_90] += flag(pay >= 3);
                record[STATEMENTS] += 1;
            }
        }
    }
    people
}

/// The time that a value is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    Latest,
    At(i32),
    /// So many months, `as_of` included.
    Window(i32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    pub weight: i128,
    pub attribute: usize,
    pub when: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    AtMost,
    AtLeast,
    Equal,
}

/// Σ weight·value RELATION bound, over all agencies or at each.
#[derive(Clone, Debug)]
pub struct Fact {
    pub each: bool,
    pub terms: Vec<Term>,
    pub relation: Relation,
    pub bound: i128,
}

/// What a lender asks.
#[derive(Clone, Debug)]
pub struct Question {
    pub agencies: Vec<u32>,
    pub as_of: i32,
    /// Nobody's figures are zero, rather than nothing to go by.
    pub no_record_is_zero: bool,
    pub facts: Vec<Fact>,
}

/// Which side a false fact misses on: of zero, when it is written as `form >= 0`, or of its right
/// side, when it is an equation that begins with a positive weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Below,
    Above,
}

/// What must come out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    True,
    /// Over all agencies.
    False(Side),
    /// At one of these agencies.
    FalseAt(BTreeMap<u32, Side>),
    /// Of one of these agencies; nobody's if there is no record at all.
    InsufficientHistory(BTreeSet<u32>),
}

impl Fact {
    /// The fact as a lender would write it: what is subtracted stands on the right.
    pub fn text(&self) -> String {
        let side = |sign: i128| -> Vec<String> {
            let scope = if self.each { "each" } else { "total" };
            (self.terms.iter().filter(|t| t.weight.signum() == sign))
                .map(|term| {
                    let name = ATTRIBUTES[term.attribute];
                    let value = match term.when {
                        When::Latest => format!("{scope}({name})"),
                        When::At(period) => format!("{scope}({name}, {})", month_text(period)),
                        When::Window(months) => format!("{scope}({name}, {months}m)"),
                    };
                    match term.weight.abs() {
                        1 => value,
                        weight => format!("{weight}*{value}"),
                    }
                })
                .collect()
        };
        let relation = match self.relation {
            Relation::AtMost => "<=",
            Relation::AtLeast => ">=",
            Relation::Equal => "==",
        };
        let mut right = side(-1).join(" + ");
        if right.is_empty() {
            right = self.bound.to_string();
        } else if self.bound != 0 {
            let sign = if self.bound < 0 { '-' } else { '+' };
            right = format!("{right} {sign} {}", self.bound.abs());
        }
        format!("{} {relation} {right}", side(1).join(" + "))
    }

    /// The left side at one agency; none if its history does not reach back far enough.
    pub fn value_at(&self, history: &History, as_of: i32) -> Option<i128> {
        let first = *history.keys().next()?;
        let mut sum = 0;
        for term in &self.terms {
            sum += term.weight
                * match term.when {
                    When::Latest => history.values().next_back()?[term.attribute],
                    When::At(period) => history.get(&period)?[term.attribute],
                    When::Window(months) => {
                        let start = as_of - months + 1;
                        if start < first {
                            return None;
                        }
                        history
                            .range(start..=as_of)
                            .map(|(_, record)| record[term.attribute])
                            .sum()
                    }
                };
        }
        Some(sum)
    }

    /// Compares a value of the left side with the bound.
    fn misses(&self, value: i128) -> Option<Side> {
        match self.relation {
            Relation::AtMost => (value > self.bound).then_some(Side::Below),
            Relation::AtLeast => (value < self.bound).then_some(Side::Below),
            Relation::Equal if value == self.bound => None,
            Relation::Equal => {
                let first = self.terms.iter().min_by_key(|t| (t.attribute, t.when));
                let flipped = first.is_some_and(|t| t.weight < 0);
                Some(if (value < self.bound) != flipped {
                    Side::Below
                } else {
                    Side::Above
                })
            }
        }
    }
}

impl Question {
    /// The listed agencies that hold a record.
    pub fn holders<'a>(&self, person: &'a Person) -> BTreeMap<u32, &'a History> {
        (self.agencies.iter())
            .filter_map(|agency| Some((*agency, person.get(agency)?)))
            .collect()
    }

    /// What must come out for a fact.
    pub fn expected(&self, fact: &Fact, person: &Person) -> Expected {
        let holders = self.holders(person);
        if holders.is_empty() && !self.no_record_is_zero {
            return Expected::InsufficientHistory(BTreeSet::new());
        }
        let values: BTreeMap<u32, Option<i128>> = (holders.iter())
            .map(|(agency, history)| (*agency, fact.value_at(history, self.as_of)))
            .collect();
        let short: BTreeSet<u32> = (values.iter().filter(|(_, value)| value.is_none()))
            .map(|(agency, _)| *agency)
            .collect();
        if !short.is_empty() {
            return Expected::InsufficientHistory(short);
        }
        if fact.each {
            let missing: BTreeMap<u32, Side> = (values.iter())
                .filter_map(|(agency, value)| Some((*agency, fact.misses((*value)?)?)))
                .collect();
            return if missing.is_empty() {
                Expected::True
            } else {
                Expected::FalseAt(missing)
            };
        }
        match fact.misses(values.values().flatten().sum()) {
            None => Expected::True,
            Some(side) => Expected::False(side),
        }
    }
}

#[test]
fn plain_arithmetic_is_right_on_an_example() {
    let record = |balance, payments| {
        let mut record: Record = [0; ATTRIBUTES.len()];
        (record[PRESENT], record[BALANCE], record[PAYMENTS]) = (1, balance, payments);
        record
    };
    let (july, august) = (month(2005, 7), month(2005, 8));
    let person = Person::from([
        (
            1,
            History::from([(july, record(-5, 10)), (august, record(7, 20))]),
        ),
        (
            3,
            History::from([(july, record(100, 1)), (august, record(200, 2))]),
        ),
    ]);
    let question = |agencies: &[u32]| Question {
        agencies: agencies.to_vec(),
        as_of: august,
        no_record_is_zero: true,
        facts: Vec::new(),
    };
    let fact = |each, attribute, when, relation, bound| Fact {
        each,
        terms: vec![Term {
            weight: 2,
            attribute,
            when,
        }],
        relation,
        bound,
    };
    let total = fact(false, BALANCE, When::Latest, Relation::AtMost, 414);
    assert_eq!(total.text(), "2*total(balance) <= 414");
    let all = question(&[1, 2, 3]);
    assert_eq!(all.expected(&total, &person), Expected::True);
    let less = Fact {
        bound: 413,
        ..total.clone()
    };
    assert_eq!(all.expected(&less, &person), Expected::False(Side::Below));
    let each = fact(true, BALANCE, When::At(july), Relation::Equal, -10);
    assert_eq!(each.text(), "2*each(balance, 2005-07) == -10");
    let at = BTreeMap::from([(3, Side::Above)]);
    assert_eq!(all.expected(&each, &person), Expected::FalseAt(at));
    assert_eq!(question(&[1, 4]).expected(&each, &person), Expected::True);
    let window = fact(false, PAYMENTS, When::Window(2), Relation::AtLeast, 66);
    assert_eq!(window.text(), "2*total(payments, 2m) >= 66");
    assert_eq!(all.expected(&window, &person), Expected::True);
    let longer = fact(false, PAYMENTS, When::Window(3), Relation::AtLeast, 66);
    let short = BTreeSet::from([1, 3]);
    assert_eq!(
        all.expected(&longer, &person),
        Expected::InsufficientHistory(short)
    );
    let nobody = question(&[2, 4]);
    assert_eq!(
        nobody.expected(&longer, &person),
        Expected::False(Side::Below)
    );
    let no_hit = Question {
        no_record_is_zero: false,
        ..nobody
    };
    assert_eq!(
        no_hit.expected(&longer, &person),
        Expected::InsufficientHistory(BTreeSet::new())
    );
}
