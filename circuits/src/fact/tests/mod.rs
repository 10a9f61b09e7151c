//! Tests of facts. This file holds what they share: a schema, agencies with records, and a whole
//! answer made from them.

mod encodings;
mod evaluation;
mod history;
mod language;
mod vectors;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::commitment::{CommitmentKey, Opening, Record};
use crate::encoding::{Digest32, PointBytes};
use crate::error::VerifyError;
use crate::ids::AgencyId;
use crate::log::LogEntry;
use crate::period::Period;
use crate::schema::{Aggregate, Attribute, Class, Schema};
use curve25519_dalek::scalar::Scalar;

pub(crate) fn schema() -> Schema {
    let attribute = |name: &str, class, aggregate, min, max| Attribute {
        name: name.into(),
        class,
        aggregate,
        min,
        max,
        unit: "units".into(),
        description: String::new(),
    };
    use Aggregate::{Count, Max, Sum};
    use Class::{Flow, Stock};
    Schema::new(
        1,
        vec![
            attribute("present", Stock, Max, 0, 1),
            attribute("balance", Stock, Sum, -1_000_000, 10_000_000),
            attribute("credit_limit", Stock, Sum, 0, 10_000_000),
            attribute("months_in_arrears", Stock, Max, 0, 99),
            attribute("payments", Flow, Sum, 0, 5_000_000),
            attribute("months_90_late", Flow, Count, 0, 9),
        ],
    )
    .expect("valid")
}

pub(crate) fn period(text: &str) -> Period {
    text.parse().expect("a period")
}

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// One report: effective period, reported period, values without `present`.
pub(crate) type Report = (Period, Period, Vec<i64>);

/// A monthly report that came on time.
pub(crate) fn on_time(month: &str, values: [i64; 5]) -> Report {
    (period(month), period(month), values.to_vec())
}

/// One agency's record of the person.
pub(crate) struct Holder {
    pub(crate) reports: Vec<Report>,
    pub(crate) entries: Vec<LogEntry>,
    openings: Vec<(Opening, Opening)>,
}

impl Holder {
    pub(crate) fn new(key: &CommitmentKey, reports: Vec<Report>, rng: &mut ChaCha20Rng) -> Self {
        let mut entries = Vec::new();
        let mut openings = Vec::new();
        for (effective_period, reported_period, values) in &reports {
            let record = Record::new(key.schema(), values).expect("in range");
            let mut open = |class| record.opening(key.schema(), class, Scalar::random(rng));
            let (stocks, flows) = (open(Class::Stock), open(Class::Flow));
            let commit = |class, o| PointBytes::from(key.commit(class, o).expect("of the class"));
            entries.push(LogEntry {
                effective_period: *effective_period,
                reported_period: *reported_period,
                stocks: commit(Class::Stock, &stocks),
                flows: commit(Class::Flow, &flows),
            });
            openings.push((stocks, flows));
        }
        Self {
            reports,
            entries,
            openings,
        }
    }

    /// Index of the report whose stocks the leaf has.
    pub(crate) fn latest(&self) -> usize {
        let mut latest = 0;
        for (i, (effective, _, _)) in self.reports.iter().enumerate() {
            if *effective >= self.reports[latest].0 {
                latest = i;
            }
        }
        latest
    }

    /// What the agency shows for a query: the shortest suffix.
    pub(crate) fn view(&self, query: &Query) -> View<'_> {
        let start = suffix_start(&self.entries, query.log_needed());
        let latest = self.latest();
        View::Record(RecordView {
            stocks: self.entries[latest].stocks,
            stocks_period: self.entries[latest].effective_period,
            entries: &self.entries[start..],
            from_start: start == 0,
        })
    }

    /// Openings of a plan's sources, as the vault makes them.
    pub(crate) fn openings(
        &self,
        key: &CommitmentKey,
        query: &Query,
        plan: &AgencyPlan,
    ) -> Vec<Opening> {
        let start = suffix_start(&self.entries, query.log_needed());
        plan.sources()
            .iter()
            .map(|source| match source.records() {
                Records::Latest => self.openings[self.latest()].0.clone(),
                Records::Entry(i) => self.openings[start + i].0.clone(),
                Records::Entries(entries) => {
                    let mut sum = Opening::zero(key.schema(), Class::Flow);
                    for i in entries {
                        sum += &self.openings[start + i].1;
                    }
                    sum
                }
            })
            .collect()
    }
}

pub(crate) fn agencies(count: u32) -> Vec<AgencyId> {
    (1..=count).map(AgencyId).collect()
}

pub(crate) fn facts(schema: &Schema, texts: &[&str]) -> Vec<Fact> {
    let parse = |t: &&str| Fact::parse(t, schema).unwrap_or_else(|e| panic!("{t}: {e}"));
    texts.iter().map(parse).collect()
}

pub(crate) const CONTEXT: Digest32 = [7; 32];

/// The context of one agency's image.
pub(crate) fn context_of(agency: usize) -> Digest32 {
    let mut context = CONTEXT;
    context[0] = u8::try_from(agency).expect("few agencies");
    context
}

/// An answer, with what its makers knew.
pub(crate) struct Answer {
    pub(crate) key: CommitmentKey,
    pub(crate) plan: Plan,
    pub(crate) images: Vec<Option<Images>>,
    pub(crate) openings: Vec<Vec<FormOpening>>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) proof: VerdictProof,
}

pub(crate) fn points(images: &[Option<Images>]) -> Vec<&[PointBytes]> {
    images
        .iter()
        .map(|i| i.as_ref().map_or(&[][..], |i| &i.points))
        .collect()
}

pub(crate) fn slices<T>(lists: &[Vec<T>]) -> Vec<&[T]> {
    lists.iter().map(Vec::as_slice).collect()
}

impl Answer {
    /// Agencies, then the wallet.
    pub(crate) fn make(query: &Query, holders: &[Option<Holder>], seed: u64) -> Self {
        let key = CommitmentKey::new(&schema());
        let mut rng = rng(seed);
        let views: Vec<View<'_>> = holders
            .iter()
            .map(|h| h.as_ref().map_or(View::NoRecord, |h| h.view(query)))
            .collect();
        let plan = Plan::new(query, &views).expect("valid views");
        let mut images = Vec::new();
        let mut openings = Vec::new();
        for (i, (agency, holder)) in plan.agencies().iter().zip(holders).enumerate() {
            if agency.forms().is_empty() {
                images.push(None);
                openings.push(Vec::new());
                continue;
            }
            let holder = holder.as_ref().expect("forms need a record");
            let of = holder.openings(&key, query, agency);
            let (image, opening) =
                super::linear_image::prove(&key, &context_of(i), agency, &of, &mut rng)
                    .expect("openings open");
            images.push(Some(image));
            openings.push(opening);
        }
        let (p, o) = (points(&images), slices(&openings));
        check_openings(&plan, &p, &o).expect("openings open");
        let (verdicts, proof) =
            prove_verdicts(&CONTEXT, &plan, &p, &o, &[], &mut rng).expect("provable");
        Self {
            key,
            plan,
            images,
            openings,
            verdicts,
            proof,
        }
    }

    pub(crate) fn verify_images(&self) -> Result<(), VerifyError> {
        let items: Vec<(Digest32, &AgencyPlan, &Images)> = (self.plan.agencies().iter())
            .zip(&self.images)
            .enumerate()
            .filter_map(|(i, (plan, images))| Some((context_of(i), plan, images.as_ref()?)))
            .collect();
        super::linear_image::verify_batch(&self.key, &items, &mut rng(0))
    }

    pub(crate) fn verify_verdicts(&self) -> Result<(), VerifyError> {
        verify_verdicts(
            &CONTEXT,
            &self.plan,
            &points(&self.images),
            &self.verdicts,
            &self.proof,
            &mut rng(0),
        )
    }

    pub(crate) fn verify(&self) -> Result<(), VerifyError> {
        self.verify_images()?;
        self.verify_verdicts()
    }
}

/// Three holders among four agencies; balances 100, -30, 930; one late month at the third.
pub(crate) fn holders(key: &CommitmentKey) -> Vec<Option<Holder>> {
    let mut rng = rng(1);
    let mut holder = |reports| Some(Holder::new(key, reports, &mut rng));
    vec![
        holder(vec![
            on_time("2005-03", [80, 1000, 0, 50, 0]),
            on_time("2005-08", [90, 1000, 0, 40, 0]),
            on_time("2005-09", [100, 1000, 1, 60, 0]),
        ]),
        None,
        holder(vec![
            on_time("2005-04", [0, 500, 0, 0, 0]),
            on_time("2005-09", [-30, 500, 0, 5, 0]),
        ]),
        holder(vec![
            on_time("2005-01", [700, 2000, 0, 0, 0]),
            (
                period("2005-07"),
                period("2005-09"),
                vec![800, 2000, 2, 10, 1],
            ),
            on_time("2005-09", [930, 2000, 3, 20, 0]),
        ]),
    ]
}

pub(crate) fn query(texts: &[&str]) -> Query {
    let schema = schema();
    let facts = facts(&schema, texts);
    Query::new(
        &schema,
        facts,
        agencies(4),
        period("2005-09"),
        HitPolicy::Zero,
    )
    .expect("valid")
}

pub(crate) fn answer(texts: &[&str]) -> Answer {
    let key = CommitmentKey::new(&schema());
    Answer::make(&query(texts), &holders(&key), 2)
}
