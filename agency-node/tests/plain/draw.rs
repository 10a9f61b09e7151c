//! Draws questions about people. Bounds lie at the true value, one beside it or somewhere near it,
//! so that true and false are about as frequent and a difference of one would be seen.

use super::{
    ACCOUNTS, ARREARS, ATTRIBUTES, BALANCE, FIRST_FLOW, Fact, History, LIMIT, PAYMENTS, PRESENT,
    Person, Question, Relation, Term, When,
};
use crate::support::people::Random;

/// Agencies of the network.
const AGENCIES: u32 = 4;

/// What a fact is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A sum of latest stocks.
    Latest,
    /// A sum of a past month's stocks.
    Past,
    /// How many agencies hold a record.
    Holders,
    /// A sum of flows.
    Window,
    /// Stocks at each agency.
    EachStock,
    /// Flows at each agency.
    EachWindow,
    /// Balance against a share of the credit limit.
    Utilisation,
    /// A stock against the same stock in another month.
    Trend,
    /// What was paid against what is owed.
    Repayment,
    /// Several attributes and times with weights.
    Mixed,
    /// An amount owed that is negative.
    Overpaid,
    /// Further back than there are records.
    TooFarBack,
}

pub const KINDS: [Kind; 12] = [
    Kind::Latest,
    Kind::Past,
    Kind::Holders,
    Kind::Window,
    Kind::EachStock,
    Kind::EachWindow,
    Kind::Utilisation,
    Kind::Trend,
    Kind::Repayment,
    Kind::Mixed,
    Kind::Overpaid,
    Kind::TooFarBack,
];

/// Where a bound lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    Exact,
    OneBeside,
    Near,
    /// Not chosen by the value.
    Natural,
}

/// What is known of a fact besides itself.
#[derive(Clone, Copy, Debug)]
pub struct Drawn {
    pub kind: Kind,
    pub bound: Bound,
}

/// Draws a question about a person, of three or four different facts.
pub fn question(random: &mut Random, person: &Person, months: &[i32]) -> (Question, Vec<Drawn>) {
    let (first, last) = (months[0], months[months.len() - 1]);
    let as_of = if random.one_in(5) {
        first + random.up_to(last - first - 1)
    } else {
        last
    };
    let mut agencies: Vec<u32> = (1..=AGENCIES).collect();
    if random.one_in(6) {
        let chosen = 1 + random.below((1 << AGENCIES) - 1);
        agencies.retain(|agency| chosen >> (agency - 1) & 1 == 1);
    }
    let mut question = Question {
        agencies,
        as_of,
        no_record_is_zero: random.one_in(2),
        facts: Vec::new(),
    };
    let holders: Vec<&History> = question.holders(person).into_values().collect();
    let overpaid: Vec<i32> = (first..=as_of)
        .filter(|period| holders.iter().map(|h| h[period][BALANCE]).sum::<i128>() < 0)
        .collect();
    let count = 3 + random.below(2) as usize;
    let mut drawn = Vec::new();
    while question.facts.len() < count {
        let kind = if question.facts.is_empty() && !overpaid.is_empty() {
            Kind::Overpaid
        } else {
            random.pick(&KINDS)
        };
        if kind == Kind::Overpaid && overpaid.is_empty() {
            continue;
        }
        let dates = Dates {
            first,
            as_of,
            overpaid: &overpaid,
        };
        let (fact, bound) = fact(random, kind, &holders, &dates);
        let text = fact.text();
        if question.facts.iter().all(|other| other.text() != text) {
            question.facts.push(fact);
            drawn.push(Drawn { kind, bound });
        }
    }
    (question, drawn)
}

struct Dates<'a> {
    first: i32,
    as_of: i32,
    overpaid: &'a [i32],
}

fn fact(random: &mut Random, kind: Kind, holders: &[&History], dates: &Dates<'_>) -> (Fact, Bound) {
    let (terms, spread) = terms(random, kind, dates);
    let mut fact = Fact {
        each: match kind {
            Kind::EachStock | Kind::EachWindow => true,
            Kind::Utilisation | Kind::Trend | Kind::Repayment | Kind::TooFarBack => {
                random.one_in(4)
            }
            _ => false,
        },
        terms,
        relation: random.pick(&[
            Relation::AtMost,
            Relation::AtMost,
            Relation::AtLeast,
            Relation::AtLeast,
            Relation::Equal,
        ]),
        bound: 0,
    };
    if kind == Kind::Utilisation && random.one_in(2) {
        return (fact, Bound::Natural);
    }
    let value = |history: &&History| fact.value_at(history, dates.as_of).unwrap_or_default();
    let base = if !fact.each {
        holders.iter().map(value).sum()
    } else if holders.is_empty() {
        0
    } else {
        value(&random.pick(holders))
    };
    let (delta, bound) = match random.below(7) {
        0..=1 => (0, Bound::Exact),
        2 => (1, Bound::OneBeside),
        3 => (-1, Bound::OneBeside),
        _ => (random.within(spread), Bound::Near),
    };
    fact.bound = base + delta;
    (fact, bound)
}

/// The left side of a fact, and how far its bound may lie from the value.
fn terms(random: &mut Random, kind: Kind, dates: &Dates<'_>) -> (Vec<Term>, i128) {
    let &Dates { first, as_of, .. } = dates;
    let term = |weight, attribute, when| Term {
        weight,
        attribute,
        when,
    };
    let one = |attribute, when| (vec![term(1, attribute, when)], spread(attribute));
    let past = |random: &mut Random| When::At(first + random.up_to(as_of - first));
    let window = |random: &mut Random| When::Window(1 + random.up_to(as_of - first));
    let flow = |random: &mut Random| {
        FIRST_FLOW + random.below((ATTRIBUTES.len() - FIRST_FLOW) as u64) as usize
    };
    let summed = [BALANCE, BALANCE, LIMIT, ACCOUNTS];
    match kind {
        Kind::Latest => one(random.pick(&summed), When::Latest),
        Kind::Past => one(random.pick(&summed), past(random)),
        Kind::Holders => {
            let when = if random.one_in(2) {
                When::Latest
            } else {
                past(random)
            };
            one(PRESENT, when)
        }
        Kind::Window => one(flow(random), window(random)),
        Kind::EachStock => {
            let attribute = random.pick(&[BALANCE, LIMIT, ARREARS, ARREARS, ACCOUNTS]);
            let when = if random.one_in(2) {
                When::Latest
            } else {
                past(random)
            };
            one(attribute, when)
        }
        Kind::EachWindow => one(flow(random), window(random)),
        Kind::Utilisation => {
            let share = 1 + i128::from(random.below(10));
            let when = if random.one_in(2) {
                When::Latest
            } else {
                past(random)
            };
            (
                vec![term(10, BALANCE, when), term(-share, LIMIT, when)],
                500_000,
            )
        }
        Kind::Trend => {
            let attribute = random.pick(&summed);
            let terms = vec![
                term(1, attribute, When::Latest),
                term(-1, attribute, past(random)),
            ];
            (terms, spread(attribute))
        }
        Kind::Repayment => {
            let terms = vec![
                term(10, PAYMENTS, window(random)),
                term(-1, BALANCE, When::Latest),
            ];
            (terms, 100_000)
        }
        Kind::Mixed => {
            let mut terms = vec![term(1, BALANCE, When::Latest)];
            for _ in 0..2 + random.below(3) {
                let sign = if random.one_in(2) { 1 } else { -1 };
                let weight = sign * (1 + i128::from(random.below(30)));
                let (attribute, when) = if random.one_in(2) {
                    (flow(random), window(random))
                } else {
                    (random.pick(&summed), past(random))
                };
                if terms
                    .iter()
                    .all(|t| (t.attribute, t.when) != (attribute, when))
                {
                    terms.push(term(weight, attribute, when));
                }
            }
            (terms, 1_000_000)
        }
        Kind::Overpaid => {
            let when = When::At(random.pick(dates.overpaid));
            (vec![term(1, BALANCE, when)], 2_000)
        }
        Kind::TooFarBack => {
            let when = random.one_in(2);
            let early = 1 + random.up_to(30);
            if when {
                one(random.pick(&summed), When::At(first - early))
            } else {
                one(flow(random), When::Window(as_of - first + 1 + early))
            }
        }
    }
}

fn spread(attribute: usize) -> i128 {
    match attribute {
        BALANCE | LIMIT => 50_000,
        PAYMENTS => 5_000,
        _ => 3,
    }
}

impl Random {
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// From 0 to the limit, both included.
    fn up_to(&mut self, limit: i32) -> i32 {
        self.below(limit as u64 + 1) as i32
    }

    /// From minus the limit to the limit.
    fn within(&mut self, limit: i128) -> i128 {
        i128::from(self.below(2 * limit as u64 + 1)) - limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}
