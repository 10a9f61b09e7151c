//! Attacks on answers, with nothing but the public interface: a wallet that shows another part of a
//! log, agencies whose errors cancel each other, values and constants at the ends of the bound.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use zkbureau_circuits::commitment::{CommitmentKey, Opening, Record};
use zkbureau_circuits::encoding::{Digest32, PointBytes, ScalarBytes};
use zkbureau_circuits::error::VerifyError;
use zkbureau_circuits::fact::{
    AgencyPlan, Fact, FormOpening, HistoryError, HitPolicy, Images, MAX_WINDOW_ENTRIES, Plan,
    Query, RecordView, Records, Side, Status, Verdict, VerdictProof, View, check_openings,
    linear_image, prove_verdicts, suffix_start, verify_verdicts,
};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::log::LogEntry;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::schema::{Aggregate, Attribute, Class, Schema};
use zkbureau_circuits::{RistrettoPoint, Scalar};

const CONTEXT: Digest32 = [5; 32];

fn schema(stock: (i64, i64), flow: i64) -> Schema {
    let attribute = |name: &str, class, aggregate, min, max| Attribute {
        name: name.into(),
        class,
        aggregate,
        min,
        max,
        unit: "units".into(),
        description: String::new(),
    };
    Schema::new(
        1,
        vec![
            attribute("present", Class::Stock, Aggregate::Max, 0, 1),
            attribute("stock", Class::Stock, Aggregate::Sum, stock.0, stock.1),
            attribute("flow", Class::Flow, Aggregate::Sum, 0, flow),
        ],
    )
    .unwrap()
}

fn month(number: u32) -> Period {
    Period::from_number(2005 * 12 + number).unwrap()
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A log with its openings.
struct Log {
    entries: Vec<LogEntry>,
    openings: Vec<(Opening, Opening)>,
}

impl Log {
    /// Reports of (effective month, reported month, stock, flow).
    fn new(key: &CommitmentKey, reports: &[(u32, u32, i64, i64)], rng: &mut ChaCha20Rng) -> Self {
        let mut log = Self {
            entries: Vec::new(),
            openings: Vec::new(),
        };
        for (effective, reported, stock, flow) in reports {
            let record = Record::new(key.schema(), &[*stock, *flow]).unwrap();
            let mut open = |class| record.opening(key.schema(), class, Scalar::random(rng));
            let (stocks, flows) = (open(Class::Stock), open(Class::Flow));
            let point = |class, o| PointBytes::from(key.commit(class, o).unwrap());
            log.entries.push(LogEntry {
                effective_period: month(*effective),
                reported_period: month(*reported),
                stocks: point(Class::Stock, &stocks),
                flows: point(Class::Flow, &flows),
            });
            log.openings.push((stocks, flows));
        }
        log
    }

    /// Which entry the leaf's stocks are from.
    fn latest(&self) -> usize {
        let newest = self.entries.iter().map(|e| e.effective_period).max();
        self.entries
            .iter()
            .rposition(|e| Some(e.effective_period) == newest)
            .unwrap()
    }

    fn view(&self, start: usize) -> View<'_> {
        let latest = &self.entries[self.latest()];
        View::Record(RecordView {
            stocks: latest.stocks,
            stocks_period: latest.effective_period,
            entries: &self.entries[start..],
            from_start: start == 0,
        })
    }

    fn openings(&self, key: &CommitmentKey, start: usize, plan: &AgencyPlan) -> Vec<Opening> {
        let of = |records: &Records| match records {
            Records::Latest => self.openings[self.latest()].0.clone(),
            Records::Entry(i) => self.openings[start + i].0.clone(),
            Records::Entries(all) => {
                let mut sum = Opening::zero(key.schema(), Class::Flow);
                for i in all {
                    sum += &self.openings[start + i].1;
                }
                sum
            }
        };
        plan.sources().iter().map(|s| of(s.records())).collect()
    }
}

fn query(schema: &Schema, facts: &[&str], agencies: u32, as_of: u32) -> Query {
    let facts = facts
        .iter()
        .map(|t| Fact::parse(t, schema).unwrap())
        .collect();
    let agencies = (1..=agencies).map(AgencyId).collect();
    Query::new(schema, facts, agencies, month(as_of), HitPolicy::Zero).unwrap()
}

/// A whole answer by honest agencies and an honest wallet.
struct Answer {
    key: CommitmentKey,
    plan: Plan,
    images: Vec<Images>,
    verdicts: Vec<Verdict>,
    proof: VerdictProof,
}

fn context(agency: usize) -> Digest32 {
    [u8::try_from(agency).unwrap(); 32]
}

impl Answer {
    fn make(query: &Query, schema: &Schema, logs: &[Log]) -> Self {
        let key = CommitmentKey::new(schema);
        let starts: Vec<usize> = logs
            .iter()
            .map(|l| suffix_start(&l.entries, query.log_needed()))
            .collect();
        let views: Vec<View<'_>> = logs.iter().zip(&starts).map(|(l, s)| l.view(*s)).collect();
        let plan = Plan::new(query, &views).unwrap();
        let mut images = Vec::new();
        let mut openings = Vec::new();
        for (i, (log, agency)) in logs.iter().zip(plan.agencies()).enumerate() {
            let of = log.openings(&key, starts[i], agency);
            let (image, opening) =
                linear_image::prove(&key, &context(i), agency, &of, &mut rng(i as u64)).unwrap();
            images.push(image);
            openings.push(opening);
        }
        let points: Vec<&[PointBytes]> = images.iter().map(|i| i.points.as_slice()).collect();
        let opened: Vec<&[FormOpening]> = openings.iter().map(Vec::as_slice).collect();
        check_openings(&plan, &points, &opened).unwrap();
        let (verdicts, proof) =
            prove_verdicts(&CONTEXT, &plan, &points, &opened, &[], &mut rng(9)).unwrap();
        Self {
            key,
            plan,
            images,
            verdicts,
            proof,
        }
    }

    fn verify_images(&self, images: &[Images], seed: u64) -> Result<(), VerifyError> {
        let items: Vec<_> = (self.plan.agencies().iter().zip(images).enumerate())
            .map(|(i, (plan, images))| (context(i), plan, images))
            .collect();
        linear_image::verify_batch(&self.key, &items, &mut rng(seed))
    }

    fn verify_verdicts(&self, verdicts: &[Verdict]) -> Result<(), VerifyError> {
        let points: Vec<&[PointBytes]> = self.images.iter().map(|i| i.points.as_slice()).collect();
        let (plan, proof) = (&self.plan, &self.proof);
        verify_verdicts(&CONTEXT, plan, &points, verdicts, proof, &mut rng(1))
    }
}

/// Adds to the response that is `from_end` scalars before the end of an encoding.
fn shift(images: &Images, from_end: usize, by: Scalar) -> Images {
    let mut bytes = borsh::to_vec(images).unwrap();
    let at = bytes.len() - 32 * from_end;
    let ScalarBytes(old) = borsh::from_slice(&bytes[at..at + 32]).unwrap();
    bytes[at..at + 32].copy_from_slice((old + by).as_bytes());
    borsh::from_slice(&bytes).unwrap()
}

/// Responses come after the challenge, so errors in them are free to choose. Two that cancel in the
/// plain sum of all equations must not pass, be they of two agencies or of two forms of one.
#[test]
fn errors_that_cancel_each_other_are_found() {
    let schema = schema((0, 1000), 1000);
    let key = CommitmentKey::new(&schema);
    let query = query(&schema, &["total(stock) <= 500", "total(stock) >= 3"], 2, 8);
    let logs: Vec<Log> = (0..2)
        .map(|i| Log::new(&key, &[(8, 8, 100, 0)], &mut rng(i)))
        .collect();
    let answer = Answer::make(&query, &schema, &logs);
    assert_eq!(answer.verify_images(&answer.images, 0), Ok(()));

    let one = Scalar::ONE;
    // The last two responses are the blindings of the two images: errors ±P'.
    let [a, b] = [&answer.images[0], &answer.images[1]];
    let forged = [
        [shift(a, 1, one), shift(b, 1, -one)],
        [shift(a, 1, -one), shift(b, 2, one)],
        [shift(&shift(a, 1, one), 2, -one), b.clone()],
        // The response before them is the blinding of the source: errors ±H.
        [shift(a, 3, one), shift(b, 3, -one)],
    ];
    for (i, images) in forged.iter().enumerate() {
        for seed in 0..4 {
            let result = answer.verify_images(images, seed);
            assert_eq!(result, Err(VerifyError), "forgery {i}, seed {seed}");
        }
    }
}

/// One agency's proof does not speak for another agency, even if both hold the same commitments.
#[test]
fn an_agency_cannot_repeat_another_agencys_images() {
    let schema = schema((0, 1000), 1000);
    let key = CommitmentKey::new(&schema);
    let query = query(&schema, &["total(stock) <= 500"], 2, 8);
    // The second agency has copied the first one's published commitments.
    let logs: Vec<Log> = (0..2)
        .map(|_| Log::new(&key, &[(8, 8, 100, 0)], &mut rng(7)))
        .collect();
    assert_eq!(logs[0].entries, logs[1].entries);
    let answer = Answer::make(&query, &schema, &logs);
    let [a, b] = [&answer.images[0], &answer.images[1]];
    assert_eq!(answer.verify_images(&[a.clone(), b.clone()], 0), Ok(()));
    assert!(answer.verify_images(&[a.clone(), a.clone()], 0).is_err());
    assert!(answer.verify_images(&[b.clone(), a.clone()], 0).is_err());
}

fn no(side: Side) -> Verdict {
    Verdict::False { at: None, side }
}

/// That an answer proves `right`, and that its proof proves nothing else.
fn only(answer: &Answer, right: Verdict, text: &str) {
    assert_eq!(answer.verdicts, [right], "{text}");
    assert_eq!(answer.verify_images(&answer.images, 0), Ok(()), "{text}");
    assert_eq!(answer.verify_verdicts(&[right]), Ok(()), "{text}");
    for wrong in [Verdict::True, no(Side::Below), no(Side::Above)] {
        let result = answer.verify_verdicts(&[wrong]);
        assert_eq!(result.is_ok(), wrong == right, "{text}: {wrong}");
    }
}

/// Two agencies with values at an end of a range whose offset dominates: forms at the ends of the
/// bound, where a wrong constant or a wrap would show, and forms that are missed by one.
#[test]
fn forms_at_the_ends_of_the_bound_have_one_verdict() {
    const LEAST: i64 = -(1 << 50);
    const R: i64 = (1 << 40) - 1;
    let schema = schema((LEAST, LEAST + R), 1);
    let key = CommitmentKey::new(&schema);
    let write = |weight: i64, constant: i64, relation: &str| {
        let sign = if constant < 0 { '-' } else { '+' };
        let constant = constant.unsigned_abs();
        format!("{weight}*total(stock) {sign} {constant} {relation} 0")
    };
    // 2·4095·2^50 + END = 2^63 - 1.
    const END: i64 = i64::MAX - 2 * 4095 * (1 << 50);
    for (constant, fits) in [(END, true), (END + 1, false)] {
        let fact = Fact::parse(&write(-4095, constant, ">="), &schema).unwrap();
        assert_eq!(fact.check_bound(&schema, 2).is_ok(), fits);
    }
    for value in [LEAST, LEAST + R] {
        let logs: Vec<Log> = (0..2)
            .map(|i| Log::new(&key, &[(8, 8, value, 0)], &mut rng(i)))
            .collect();
        let met = 2 * 2047 * value;
        for (weight, constant) in [
            (4095, END),
            (4095, -END),
            (-4095, END),
            (-4095, -END),
            (2047, -met - 1),
            (2047, -met),
            (2047, -met + 1),
            (-2047, met - 1),
            (-2047, met),
            (-2047, met + 1),
        ] {
            let form = 2 * i128::from(weight) * i128::from(value) + i128::from(constant);
            for relation in [">=", "=="] {
                let text = write(weight, constant, relation);
                // An equation is turned so that its first weight is positive.
                let right = match (relation, form.signum() * i128::from(weight.signum())) {
                    (">=", _) if form >= 0 => Verdict::True,
                    (">=", _) => no(Side::Below),
                    (_, 0) => Verdict::True,
                    (_, -1) => no(Side::Below),
                    _ => no(Side::Above),
                };
                let query = query(&schema, &[&text], 2, 8);
                only(&Answer::make(&query, &schema, &logs), right, &text);
            }
        }
    }
}

/// As many entries as a window may have, each with the largest flow; one more gives no verdict.
#[test]
fn the_fullest_window_neither_wraps_nor_is_exceeded() {
    const R: i64 = (1 << 40) - 1;
    const FULL: i64 = MAX_WINDOW_ENTRIES as i64;
    // The values take half of the bound and the constant nearly all of the rest.
    const WEIGHT: i64 = i64::MAX / (2 * R * FULL);
    let schema = schema((0, 1), R);
    let key = CommitmentKey::new(&schema);
    let log = |entries: i64| {
        let reports = (0..entries).map(|_| (8, 8, 1, R)).collect::<Vec<_>>();
        Log::new(&key, &reports, &mut rng(3))
    };
    let total = WEIGHT * R * FULL;
    for (bound, right) in [(total, Verdict::True), (total - 1, no(Side::Below))] {
        let text = format!("{WEIGHT}*total(flow, 1m) <= {bound}");
        let query = query(&schema, &[&text], 1, 8);
        only(&Answer::make(&query, &schema, &[log(FULL)]), right, &text);

        let more = log(FULL + 1);
        let plan = AgencyPlan::new(&query, AgencyId(1), &more.view(0)).unwrap();
        assert_eq!(plan.statuses(), [Status::Unavailable]);
    }
}

/// What a plan makes of a view: everything that verdicts depend on.
type Meaning = (
    Vec<u8>,
    Vec<PointBytes>,
    Vec<(usize, Vec<(u32, u32, i64)>, i64)>,
);

fn meaning(plan: &AgencyPlan) -> Meaning {
    let status = |s: &Status| match s {
        Status::Elsewhere => unreachable!("facts are everywhere"),
        Status::NoRecord => 0,
        Status::Unavailable => 1,
        Status::InsufficientHistory => 2,
        Status::Form(_) => 3,
    };
    (
        plan.statuses().iter().map(status).collect(),
        plan.sources().iter().map(|s| s.commitment()).collect(),
        plan.forms()
            .iter()
            .map(|f| {
                let weights = f.weights().iter().map(|w| (w.source, w.place, w.weight));
                (f.fact(), weights.collect(), f.offset())
            })
            .collect(),
    )
}

/// The same from the whole log by the words of the specification, for the facts of the test below.
fn expected(log: &Log, as_of: u32, months: u32, past: u32) -> (Vec<u8>, Vec<PointBytes>) {
    let entries = &log.entries;
    if entries[log.latest()].effective_period < month(as_of) {
        return (vec![1, 1], Vec::new());
    }
    let first = month(as_of - (months - 1));
    let long_enough = entries.iter().any(|e| e.effective_period <= first);
    let mut flows = RistrettoPoint::default();
    for e in entries {
        if e.effective_period >= first && e.effective_period <= month(as_of) {
            flows += e.flows.decode().unwrap();
        }
    }
    let stocks = entries
        .iter()
        .rev()
        .find(|e| e.effective_period == month(past))
        .map(|e| e.stocks);
    let mut sources = Vec::new();
    sources.extend(stocks);
    if long_enough {
        sources.push(flows.into());
    }
    let code = |good| if good { 3 } else { 2 };
    (vec![code(stocks.is_some()), code(long_enough)], sources)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The holder of an answer chooses where the shown part of a log begins. Whatever it chooses,
    /// the statement is the one that the whole log makes, or the view is refused: no start hides a
    /// late report or a correction, shortens a history or lengthens it.
    #[test]
    fn no_choice_of_suffix_changes_the_statement(seed in any::<u64>()) {
        let mut random = rng(seed);
        let mut below = |n: u64| u32::try_from(random.next_u64() % n).unwrap();
        let schema = schema((-5, 5), 9);
        let key = CommitmentKey::new(&schema);
        let mut reported = 20 + below(4);
        let mut reports = Vec::new();
        for _ in 0..=below(9) {
            reported += below(3);
            // On time, late, or a correction of a month that was reported before.
            let effective = reported - if below(2) == 0 { 0 } else { below(12) };
            reports.push((effective, reported, 1, 1));
        }
        let as_of = 24 + below(8);
        let (months, past) = (1 + below(10), as_of - below(10));
        let log = Log::new(&key, &reports, &mut rng(seed));
        let facts = [
            format!("total(stock, {}) >= 0", month(past)),
            format!("total(flow, {months}m) >= 1"),
        ];
        let query = query(&schema, &[&facts[0], &facts[1]], 1, as_of);

        let whole = meaning(&AgencyPlan::new(&query, AgencyId(1), &log.view(0)).unwrap());
        let (statuses, sources) = expected(&log, as_of, months, past);
        prop_assert_eq!(&whole.0, &statuses);
        prop_assert_eq!(&whole.1, &sources);
        let shortest = suffix_start(&log.entries, query.log_needed());
        for start in 0..=log.entries.len() {
            match AgencyPlan::new(&query, AgencyId(1), &log.view(start)) {
                Ok(plan) => {
                    prop_assert!(start <= shortest);
                    prop_assert_eq!(&meaning(&plan), &whole);
                }
                Err(HistoryError::SuffixTooShort { .. }) => prop_assert!(start > shortest),
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
    }
}
