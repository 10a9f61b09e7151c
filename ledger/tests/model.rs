//! Random histories against a naive model that keeps everything in the clear: leaves, logs, column
//! totals, anchors. Valid transactions are accepted, invalid ones refused, and after every block
//! the ledger says exactly what the model says.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use common::*;
use proptest::prelude::*;
use zkbureau_circuits::RistrettoPoint;
use zkbureau_circuits::commitment::Opening;
use zkbureau_circuits::directory::Index;
use zkbureau_circuits::encoding::PointBytes;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::schema::Class;
use zkbureau_ledger::state::AnchorStatus;
use zkbureau_ledger::{
    AgencyId, AnchorId, Day, Inquiry, Ledger, MemoryStore, RevokeConsent, Transaction,
};

/// One step of a history, small numbers that collide often.
#[derive(Clone, Debug)]
enum Step {
    /// Agency, months to add to the column's period (negative: back), rows (subject, months late).
    Publish(u8, i8, Vec<(u8, u8, u16, u8)>),
    /// A batch with a number that is not the next.
    WrongNumber(u8, u8),
    Anchor(u8, i8),
    Use(u8),
    Revoke(u8),
    /// Agencies as bits.
    Audit(u8),
}

fn step_strategy() -> impl Strategy<Value = Step> {
    let rows = prop::collection::vec((0..12u8, 0..4u8, 0..=1000u16, 0..=15u8), 1..6);
    prop_oneof![
        6 => (1..=2u8, -1..3i8, rows).prop_map(|(a, m, r)| Step::Publish(a, m, r)),
        1 => (1..=2u8, 0..4u8).prop_map(|(a, n)| Step::WrongNumber(a, n)),
        2 => (0..6u8, -1..3i8).prop_map(|(n, d)| Step::Anchor(n, d)),
        2 => (0..6u8).prop_map(Step::Use),
        1 => (0..6u8).prop_map(Step::Revoke),
        2 => (1..4u8).prop_map(Step::Audit),
    ]
}

/// A report: reported and effective period, openings of stocks and flows.
type Report = (Period, Period, [Opening; 2]);

#[derive(Default)]
struct ModelColumn {
    period: Option<Period>,
    batches: u64,
    /// Every report, per subject.
    reports: BTreeMap<[u8; 32], Vec<Report>>,
    /// Period of the last opening, and reports since.
    opened: Option<Period>,
    since: Vec<([u8; 32], Period, bool)>,
}

impl ModelColumn {
    fn current(reports: &[Report]) -> &Opening {
        // The last report among those about the newest period.
        let newest = reports.iter().map(|r| r.1).max().unwrap();
        &reports.iter().rfind(|r| r.1 == newest).unwrap().2[0]
    }

    /// Distinct subjects, each by its first report in a period after the opening's (or ever), if
    /// that changed the stocks: straight from the text of the rule.
    fn changed(&self) -> u64 {
        let mut seen = BTreeSet::new();
        self.since
            .iter()
            .filter(|(_, reported, _)| self.opened.is_none_or(|opened| *reported > opened))
            .filter(|(subject, _, replaces)| seen.insert(*subject) && *replaces)
            .count() as u64
    }
}

#[derive(Default)]
struct Model {
    columns: BTreeMap<u32, ModelColumn>,
    anchors: HashMap<AnchorId, (Day, bool, bool)>,
    audits: u8,
}

fn sum<'a>(class: Class, openings: impl Iterator<Item = &'a Opening>) -> Opening {
    let mut total = Opening::zero(&schema(), class);
    for opening in openings {
        total += opening;
    }
    total
}

fn commit(class: Class, opening: &Opening) -> PointBytes {
    commitment_key().commit(class, opening).unwrap().into()
}

impl Model {
    /// The transaction of a step, and whether it must be accepted; the model is updated if so.
    fn apply(&mut self, ledger: &Ledger<MemoryStore>, step: &Step) -> Option<(Transaction, bool)> {
        let chain = *ledger.chain_id();
        let day = today(ledger);
        Some(match step {
            Step::Publish(agency, months, rows) => {
                let id = AgencyId(u32::from(*agency));
                let column = self.columns.entry(id.0).or_default();
                let base = column.period.unwrap_or(period("2023-01"));
                let number = i64::from(base.number()) + i64::from(*months);
                let reported = Period::from_number(number as u32).unwrap();
                let mut distinct = BTreeMap::new();
                for (subject, late, balance, payments) in rows {
                    distinct.insert(
                        *subject,
                        Row {
                            index: index(u64::from(*subject)),
                            effective: reported.minus(u32::from(*late)),
                            balance: i64::from(*balance),
                            payments: i64::from(*payments),
                            tag: *subject,
                        },
                    );
                }
                let rows: Vec<Row> = distinct.into_values().collect();
                let (body, rows) = body(id, column.batches + 1, reported, &rows);
                let transaction = seal(&chain, body, &rows).into();
                let ahead = reported > ledger.tip().time_ms.month();
                let valid = column.period.is_none_or(|p| reported >= p) && !ahead;
                if valid {
                    column.batches += 1;
                    column.period = Some(reported);
                    for row in rows {
                        let reports = column.reports.entry(row.index).or_default();
                        let replaces = reports.iter().all(|r| r.1 <= row.effective);
                        let openings = openings(id, column.batches, &row);
                        reports.push((reported, row.effective, openings));
                        column.since.push((row.index, reported, replaces));
                    }
                }
                (transaction, valid)
            }
            Step::WrongNumber(agency, off) => {
                let id = AgencyId(u32::from(*agency));
                let column = self.columns.entry(id.0).or_default();
                let next = column.batches + 1;
                let number = if u64::from(*off) == next {
                    next + 1
                } else {
                    u64::from(*off)
                };
                let reported = column.period.unwrap_or(period("2023-01"));
                let row = Row {
                    effective: reported,
                    ..row(1, "2023-01", 1, 1)
                };
                let (body, rows) = body(id, number, reported, &[row]);
                (seal(&chain, body, &rows).into(), false)
            }
            Step::Anchor(n, days) => {
                let expiry = Day((i64::from(day.0) + i64::from(*days)) as u32);
                let anchor = anchor(*n, expiry);
                let valid = *days >= 0 && !self.anchors.contains_key(&anchor.id());
                if valid {
                    self.anchors.insert(anchor.id(), (expiry, false, false));
                }
                (anchor.into(), valid)
            }
            Step::Use(n) => {
                let id = anchor(*n, day).id();
                let inquiry = Inquiry::sign(&chain, id, [*n; 32], &use_key(*n));
                let state = self.anchors.get_mut(&id);
                let valid = state
                    .as_ref()
                    .is_some_and(|(_, used, revoked)| !used && !revoked);
                if let Some(state) = state.filter(|_| valid) {
                    state.1 = true;
                }
                (inquiry.into(), valid)
            }
            Step::Revoke(n) => {
                let id = anchor(*n, day).id();
                let revocation = RevokeConsent::sign(&chain, id, &revocation_key(*n));
                let state = self.anchors.get_mut(&id);
                let valid = state.as_ref().is_some_and(|(_, _, revoked)| !revoked);
                if let Some(state) = state.filter(|_| valid) {
                    state.2 = true;
                }
                (revocation.into(), valid)
            }
            Step::Audit(bits) => {
                let agencies: Vec<AgencyId> = (1..=2)
                    .filter(|a| bits >> (a - 1) & 1 == 1)
                    .map(AgencyId)
                    .collect();
                let at = self.columns.get(&agencies[0].0).and_then(|c| c.period)?;
                self.audits += 1;
                let request = audit(&chain, self.audits, &agencies, &at.to_string());
                let valid = agencies.iter().all(|a| {
                    self.columns.get(&a.0).is_some_and(|c| {
                        let unmoved = c.opened.is_some() && c.since.is_empty();
                        c.period == Some(at) && (unmoved || c.changed() >= 3)
                    })
                });
                if valid {
                    for agency in agencies {
                        let column = self.columns.get_mut(&agency.0).unwrap();
                        if !column.since.is_empty() {
                            column.opened = Some(at);
                            column.since.clear();
                        }
                    }
                }
                (request.into(), valid)
            }
        })
    }

    fn compare(&self, ledger: &Ledger<MemoryStore>) {
        let tip = ledger.tip();
        for (agency, column) in &self.columns {
            let agency = AgencyId(*agency);
            let found = ledger.column(tip.height, agency).unwrap();
            assert_eq!(found.batches, column.batches);
            assert_eq!(found.period, column.period);
            assert_eq!(found.leaves, column.reports.len() as u64);
            assert_eq!(found.changed, column.changed());
            let all = || column.reports.values().flatten();
            assert_eq!(found.records, all().count() as u64);
            let flows = sum(Class::Flow, all().map(|r| &r.2[1]));
            assert_eq!(found.flows, commit(Class::Flow, &flows));
            let current = || column.reports.values().map(|r| ModelColumn::current(r));
            let stocks = sum(Class::Stock, current());
            assert_eq!(found.stocks, commit(Class::Stock, &stocks));
            // The number of leaves is what `present` adds up to.
            assert_eq!(stocks.encoded()[0], found.leaves);

            let leaves: Vec<_> = ledger
                .leaves(tip.height, agency)
                .map(|leaf| leaf.unwrap())
                .collect();
            assert_eq!(leaves.len(), column.reports.len());
            let mut points = RistrettoPoint::default();
            for ((index, leaf), (expected, reports)) in leaves.iter().zip(&column.reports) {
                assert_eq!(index.0, *expected);
                assert_eq!(leaf.entries as usize, reports.len());
                assert_eq!(leaf.last_reported, reports.last().unwrap().0);
                assert_eq!(
                    leaf.stocks,
                    commit(Class::Stock, ModelColumn::current(reports))
                );
                points += leaf.stocks.decode().unwrap();
                let log = ledger.log(tip.height, agency, index).unwrap();
                for (entry, report) in log.iter().zip(reports) {
                    assert_eq!(entry.reported_period, report.0);
                    assert_eq!(entry.effective_period, report.1);
                    assert_eq!(entry.stocks, commit(Class::Stock, &report.2[0]));
                    assert_eq!(entry.flows, commit(Class::Flow, &report.2[1]));
                }
            }
            assert_eq!(PointBytes::from(points), found.stocks);
            // Subjects that were never reported.
            let nobody = Index(index(77));
            assert_eq!(ledger.leaf(tip.height, agency, &nobody).unwrap(), None);
        }
        for (id, (expiry, used, revoked)) in &self.anchors {
            let state = ledger.anchor(tip.height, *id).unwrap().unwrap();
            let status = match (revoked, used) {
                (true, _) => AnchorStatus::Revoked,
                (_, true) => AnchorStatus::Consumed,
                _ => AnchorStatus::Authorised,
            };
            assert_eq!(state.status(*expiry), status);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_says_what_the_model_says(
        steps in prop::collection::vec(step_strategy(), 1..40),
        together in 1..4usize,
    ) {
        let ledger = Ledger::open(MemoryStore::new(), &genesis(2)).unwrap();
        let mut model = Model::default();
        let mut waiting = Vec::new();
        for one in &steps {
            // Small transactions overtake batches within a block, so only steps of one kind go
            // together; a refused one always goes alone.
            let is_batch = matches!(one, Step::Publish(..) | Step::WrongNumber(..));
            let Some((transaction, valid)) = model.apply(&ledger, one) else { continue };
            if is_batch && valid && waiting.len() < together {
                waiting.push(transaction);
                continue;
            }
            if !valid {
                // Its predecessors first: the refusal is about the state after them.
                if !waiting.is_empty() {
                    step(&ledger, &std::mem::take(&mut waiting));
                }
                refusal(&ledger, transaction);
            } else if is_batch {
                waiting.push(transaction);
                step(&ledger, &std::mem::take(&mut waiting));
            } else {
                if !waiting.is_empty() {
                    step(&ledger, &std::mem::take(&mut waiting));
                }
                step(&ledger, &[transaction]);
            }
            if waiting.is_empty() {
                model.compare(&ledger);
            }
        }
        if !waiting.is_empty() {
            step(&ledger, &waiting);
        }
        model.compare(&ledger);
        ledger.check_everything().unwrap();
    }
}
