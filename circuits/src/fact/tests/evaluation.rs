//! Verdicts equal plain integer arithmetic, on random records and facts.

use proptest::prelude::*;
use rand_chacha::rand_core::RngCore;

use super::*;

/// A value as a generator chose it: attribute (index in the record, without `present`), time.
#[derive(Clone, Copy, Debug)]
enum Value {
    Latest(usize),
    At(usize, u32),
    Window(usize, u32),
    Present,
}

/// A random fact as chosen, before it is text.
#[derive(Clone, Debug)]
struct Chosen {
    each: bool,
    terms: Vec<(i64, Value, bool)>,
    comparison: &'static str,
    nudge: i64,
}

const NAMES: [&str; 5] = [
    "balance",
    "credit_limit",
    "months_in_arrears",
    "payments",
    "months_90_late",
];
const AS_OF: &str = "2005-09";

fn below(rng: &mut ChaCha20Rng, n: u64) -> u64 {
    rng.next_u64() % n
}

fn number(rng: &mut ChaCha20Rng, n: usize) -> usize {
    usize::try_from(below(rng, n as u64)).expect("small")
}

fn choose(rng: &mut ChaCha20Rng) -> Chosen {
    let each = below(rng, 3) == 0;
    let terms = (0..=number(rng, 3))
        .map(|_| {
            let stock = number(rng, if each { 3 } else { 2 });
            let value = match below(rng, 6) {
                0 | 1 => Value::Latest(stock),
                2 => Value::At(stock, u32::try_from(below(rng, 3)).expect("small")),
                3 | 4 => Value::Window(
                    3 + number(rng, 2),
                    1 + u32::try_from(below(rng, 6)).expect("small"),
                ),
                _ => Value::Present,
            };
            let weight = i64::try_from(below(rng, 21)).expect("small") - 10;
            (
                if weight == 0 { 1_000_003 } else { weight },
                value,
                below(rng, 3) == 0,
            )
        })
        .collect();
    Chosen {
        each,
        terms,
        comparison: ["<=", ">=", "=="][number(rng, 3)],
        nudge: i64::try_from(below(rng, 5)).expect("small") - 2,
    }
}

/// The value of one term at one holder, in plain arithmetic; `None` without history.
fn plain(value: Value, reports: &[Report]) -> Option<i128> {
    let as_of = period(AS_OF);
    match value {
        Value::Present => Some(1),
        Value::Latest(a) => {
            let newest = reports.iter().map(|r| r.0).max()?;
            let last = reports.iter().rfind(|r| r.0 == newest)?;
            Some(last.2[a].into())
        }
        Value::At(a, back) => {
            let last = reports.iter().rfind(|r| r.0 == as_of.minus(back))?;
            Some(last.2[a].into())
        }
        Value::Window(a, months) => {
            let start = as_of.minus(months - 1);
            if reports.iter().all(|r| r.0 > start) {
                return None;
            }
            let inside = reports.iter().filter(|r| r.0 >= start && r.0 <= as_of);
            Some(inside.map(|r| i128::from(r.2[a])).sum())
        }
    }
}

fn write(value: Value) -> String {
    match value {
        Value::Present => "(present)".into(),
        Value::Latest(a) => format!("({})", NAMES[a]),
        Value::At(a, back) => format!("({}, {})", NAMES[a], period(AS_OF).minus(back)),
        Value::Window(a, months) => format!("({}, {months}m)", NAMES[a]),
    }
}

/// Left minus right of the comparison, without constant, at one holder.
fn form(chosen: &Chosen, reports: &[Report]) -> Option<i128> {
    chosen
        .terms
        .iter()
        .try_fold(0, |sum, (weight, value, right)| {
            let product = i128::from(*weight) * plain(*value, reports)?;
            Some(if *right { sum - product } else { sum + product })
        })
}

fn random_reports(rng: &mut ChaCha20Rng) -> Vec<Report> {
    let mut reports = Vec::new();
    let first = 1 + below(rng, 8);
    for month in first..=9 {
        let now = period(&format!("2005-{month:02}"));
        let values = |rng: &mut ChaCha20Rng| -> Vec<i64> {
            [
                (-1_000_000, 11_000_001),
                (0, 10_000_001),
                (0, 100),
                (0, 5_000_001),
                (0, 10),
            ]
            .map(|(min, count)| {
                let small = below(rng, 2) == 0;
                let offset = if small {
                    below(rng, count.min(4))
                } else {
                    below(rng, count)
                };
                min + i64::try_from(offset).expect("small")
            })
            .to_vec()
        };
        if below(rng, 4) > 0 || month == 9 {
            reports.push((now, now, values(rng)));
        }
        if below(rng, 5) == 0 {
            // A late report about an earlier month.
            let late = u32::try_from(below(rng, 4)).expect("small");
            reports.push((now.minus(late), now, values(rng)));
        }
    }
    reports
}

fn compare(left: i128, comparison: &str, right: i128) -> bool {
    match comparison {
        "<=" => left <= right,
        ">=" => left >= right,
        _ => left == right,
    }
}

fn check(seed: u64) {
    let mut rng = rng(seed);
    let key = CommitmentKey::new(&schema());
    let count = 1 + number(&mut rng, 4);
    let holders: Vec<Option<Holder>> = (0..count)
        .map(|_| {
            (below(&mut rng, 4) > 0).then(|| {
                let reports = random_reports(&mut rng);
                Holder::new(&key, reports, &mut rng)
            })
        })
        .collect();
    let held: Vec<(AgencyId, &Holder)> = (1u32..)
        .zip(&holders)
        .filter_map(|(i, h)| Some((AgencyId(i), h.as_ref()?)))
        .collect();
    let mut texts = Vec::new();
    let mut expected: Vec<Box<dyn Fn(Verdict) -> bool>> = Vec::new();
    for _ in 0..4 {
        let chosen = choose(&mut rng);
        let forms: Option<Vec<i128>> = held
            .iter()
            .map(|(_, h)| form(&chosen, &h.reports))
            .collect();
        // A right side near the boundary: the sum, or one holder's form, and a nudge.
        let near = forms.as_deref().unwrap_or_default();
        let near = if chosen.each {
            near.first().copied().unwrap_or(0)
        } else {
            near.iter().sum()
        };
        let right = near + i128::from(chosen.nudge);
        let scope = if chosen.each { "each" } else { "total" };
        let side = |on_right: bool| -> String {
            let terms: Vec<String> = (chosen.terms.iter())
                .filter(|(_, _, r)| *r == on_right)
                .map(|(w, v, _)| {
                    format!(
                        " {} {}*{scope}{}",
                        if *w < 0 { "-" } else { "+" },
                        w.abs(),
                        write(*v)
                    )
                })
                .collect();
            format!("0{}", terms.concat())
        };
        let sign = if right < 0 { "-" } else { "+" };
        let text = format!(
            "{} {} {} {sign} {}",
            side(false),
            chosen.comparison,
            side(true),
            right.abs()
        );
        if Fact::parse(&text, &schema()).is_err_and(|e| e.kind == FactErrorKind::NoTerms) {
            continue;
        }
        // Terms that cancel out need no history.
        let all_cancel_safe =
            Fact::parse(&text, &schema()).expect("valid").terms().len() == chosen.terms.len();
        if !all_cancel_safe && forms.is_none() {
            continue;
        }
        texts.push(text);
        let each = chosen.each;
        let comparison = chosen.comparison;
        let ids: Vec<AgencyId> = held.iter().map(|(id, _)| *id).collect();
        expected.push(Box::new(move |verdict| match &forms {
            None => matches!(verdict, Verdict::InsufficientHistory { at: Some(_) }),
            Some(forms) if each => {
                let holds: Vec<bool> = forms
                    .iter()
                    .map(|f| compare(*f, comparison, right))
                    .collect();
                match verdict {
                    Verdict::True => holds.iter().all(|h| *h),
                    Verdict::False { at: Some(at), .. } => {
                        ids.iter().zip(&holds).any(|(id, h)| *id == at && !h)
                    }
                    _ => false,
                }
            }
            Some(forms) => {
                let holds = compare(forms.iter().sum(), comparison, right);
                match verdict {
                    Verdict::True => holds,
                    Verdict::False { at: None, .. } => !holds,
                    _ => false,
                }
            }
        }));
    }
    if texts.is_empty() {
        return;
    }
    let schema = schema();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let query = Query::new(
        &schema,
        facts(&schema, &texts),
        agencies(u32::try_from(count).expect("small")),
        period(AS_OF),
        HitPolicy::Zero,
    )
    .expect("valid");
    let answer = Answer::make(&query, &holders, seed);
    assert_eq!(answer.verify(), Ok(()), "seed {seed}");
    for ((verdict, expected), text) in answer.verdicts.iter().zip(&expected).zip(&texts) {
        assert!(expected(*verdict), "seed {seed}: {text}: {verdict}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn verdicts_equal_plain_arithmetic(seed in any::<u64>()) {
        check(seed);
    }
}

#[test]
fn every_kind_of_verdict_occurs() {
    let answer = answer(&[
        "total(balance) <= 1000",
        "total(balance) <= 999",
        "total(balance) == 1000",
        "total(balance) == 1001",
        "total(balance) == 999",
        "each(months_in_arrears) <= 2",
        "each(months_in_arrears) <= 3",
        "total(payments, 6m) >= 125",
        "total(payments, 9m) >= 1",
        "total(present) == 3",
        "each(balance) == 7",
        "total(months_90_late, 6m) == 0",
    ]);
    assert_eq!(answer.verify(), Ok(()));
    let no = |side| Verdict::False { at: None, side };
    let expected = [
        Verdict::True,
        no(Side::Below),
        Verdict::True,
        no(Side::Below),
        no(Side::Above),
        Verdict::False {
            at: Some(AgencyId(4)),
            side: Side::Below,
        },
        Verdict::True,
        Verdict::True,
        Verdict::InsufficientHistory {
            at: Some(AgencyId(1)),
        },
        Verdict::True,
    ];
    assert_eq!(answer.verdicts[..10], expected);
    assert!(matches!(
        answer.verdicts[10],
        Verdict::False { at: Some(_), .. }
    ));
    assert_eq!(answer.verdicts[11], no(Side::Above));
}
