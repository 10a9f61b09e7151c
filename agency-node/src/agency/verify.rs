//! The vault checked against the ledger: every commitment recomputed.
//!
//! For every person the directory index is derived again; every entry's two commitments are made
//! again from values and salt and compared with the log; the log is chained to the leaf; holder tag,
//! periods and the leaf's stocks are compared. Then the sums: the leaves' stocks and all flows add
//! up to the ledger's columns, and the kept openings open those columns.
//!
//! What is found is named by leaf index and entry number, which validators see anyway. Memory is
//! bounded by a chunk of people.

use rayon::prelude::*;
use serde::Serialize;
use zkbureau_circuits::RistrettoPoint;
use zkbureau_circuits::commitment::{Opening, Record, RecordBlindings};
use zkbureau_circuits::directory::{Index, vrf_input};
use zkbureau_circuits::encoding::PointBytes;
use zkbureau_circuits::log::{EMPTY_LOG, LogEntry, chain};
use zkbureau_circuits::range_batch::{ProvingKey, commit_records};
use zkbureau_circuits::schema::Class;
use zkbureau_ledger::ids::Height;
use zkbureau_ledger::{Column, Leaf, Store};

use super::rules::Rules;
use super::{Agency, AgencyError};
use crate::vault::{Handle, Subject, VaultError};

/// People looked at in parallel.
const CHUNK: usize = 512;
/// Differences that are named; all are counted.
const NAMED: usize = 20;

/// What a check of the vault found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VaultCheck {
    /// Height that was compared with.
    pub height: u64,
    /// People in the vault.
    pub subjects: u64,
    /// Leaves on the ledger.
    pub leaves: u64,
    /// Entries compared.
    pub entries: u64,
    /// Commitments recomputed.
    pub commitments: u64,
    /// Entries that wait to become final.
    pub pending: u64,
    /// Number of differences.
    pub differences: u64,
    /// The first of them.
    pub first: Vec<Difference>,
}

impl VaultCheck {
    /// Whether vault and ledger agree.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.differences == 0
    }

    fn note(&mut self, difference: Difference) {
        self.differences += 1;
        if self.first.len() < NAMED {
            self.first.push(difference);
        }
    }
}

/// One difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What differs.
    pub kind: DifferenceKind,
    /// The leaf, if it is about one.
    pub index: Option<Index>,
    /// The entry, counted from 0, if it is about one.
    pub entry: Option<u32>,
}

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// A person's record in the vault was changed or does not decrypt.
    Subject,
    /// The head of a person's log in the vault was changed or does not fit its entries.
    Head,
    /// An entry in the vault is missing, was changed or does not decrypt.
    Entry,
    /// The person's index does not follow from the directory key.
    Index,
    /// The ledger has no leaf, or another number of entries.
    Leaf,
    /// The ledger's log does not end in its leaf.
    Log,
    /// Effective or reported period.
    Period,
    /// The stocks commitment.
    Stocks,
    /// The flows commitment.
    Flows,
    /// The holder tag.
    HolderTag,
    /// Number of leaves.
    LeafCount,
    /// The leaves do not add up to the ledger's column.
    ColumnSum,
    /// The kept opening is missing or does not open the ledger's column.
    ColumnOpening,
}

/// What one person contributes.
struct Checked {
    found: Vec<Difference>,
    pending: u64,
    leaf: bool,
    entries: Vec<Expected>,
    stocks: RistrettoPoint,
    flows: RistrettoPoint,
}

/// One entry: what the vault says and what the ledger has.
struct Expected {
    index: Index,
    number: u32,
    record: Record,
    blindings: RecordBlindings,
    logged: LogEntry,
    /// Whether its stocks are the leaf's.
    latest: bool,
}

impl<S: Store> Agency<S> {
    /// Recomputes every commitment and compares it with the ledger. `progress` gets the number of
    /// people done. Publishing waits meanwhile.
    ///
    /// # Errors
    /// [`AgencyError`] when vault or ledger cannot be read; differences are no errors.
    pub fn verify(&self, progress: &dyn Fn(u64)) -> Result<VaultCheck, AgencyError> {
        let _guard = self.publishing();
        let at = self.ledger.tip().height;
        let column = self.ledger.column(at, self.id())?;
        let rules = self.rules_at(at)?;
        let key = ProvingKey::new(rules.schema(), 1)
            .map_err(|_| AgencyError::Contradiction("the schema has no attributes"))?;
        let mut check = VaultCheck {
            height: at.0,
            leaves: column.leaves,
            ..VaultCheck::default()
        };
        let mut points = [RistrettoPoint::default(); 2];
        let mut sums = [
            Sum::new(&Opening::zero(rules.schema(), Class::Stock)),
            Sum::new(&Opening::zero(rules.schema(), Class::Flow)),
        ];
        let mut leaves = 0;
        self.vault
            .for_subjects(CHUNK, |subjects| -> Result<(), AgencyError> {
                let checked = subjects
                    .par_iter()
                    .map(|(handle, subject)| {
                        self.check_subject(&rules, handle, subject.as_ref(), at, &column)
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                let mut entries = Vec::new();
                for person in checked {
                    check.subjects += 1;
                    check.pending += person.pending;
                    leaves += u64::from(person.leaf);
                    points[0] += person.stocks;
                    points[1] += person.flows;
                    person.found.into_iter().for_each(|d| check.note(d));
                    entries.extend(person.entries);
                }
                compare(&rules, &key, &entries, &mut sums, &mut check)?;
                progress(check.subjects);
                Ok(())
            })?;
        self.compare_columns(&rules, &column, leaves, (points, &sums), &mut check)?;
        Ok(check)
    }

    fn check_subject(
        &self,
        rules: &Rules,
        handle: &Handle,
        subject: Option<&Subject>,
        at: Height,
        column: &Column,
    ) -> Result<Checked, AgencyError> {
        let mut out = Checked {
            found: Vec::new(),
            pending: 0,
            leaf: false,
            entries: Vec::new(),
            stocks: RistrettoPoint::default(),
            flows: RistrettoPoint::default(),
        };
        let Some(subject) = subject.filter(|s| self.vault.handle(&s.subject) == *handle) else {
            out.found
                .push(difference(DifferenceKind::Subject, None, None));
            return Ok(out);
        };
        let index = subject.index;
        let mut note = |kind, entry| out.found.push(difference(kind, Some(index), entry));
        let input = vrf_input(self.chain().as_bytes(), &subject.subject);
        if self.keys().vrf().index(&input) != index {
            note(DifferenceKind::Index, None);
        }
        let leaf = self.ledger.leaf(at, self.id(), &index)?;
        let log = match &leaf {
            Some(_) => self.ledger.log(at, self.id(), &index)?,
            None => Vec::new(),
        };
        let head = match self.vault.head(handle) {
            Ok(Some(head)) => head,
            Ok(None) | Err(VaultError::Damaged(_)) => {
                note(DifferenceKind::Head, None);
                return Ok(out);
            }
            Err(error) => return Err(error.into()),
        };
        let latest = leaf.as_ref().and_then(|leaf| {
            log.iter()
                .rposition(|e| e.effective_period == leaf.stocks_period)
        });
        let mut final_entries = 0;
        for number in 0..head.entries {
            let entry = match self.vault.entry(handle, number) {
                Ok(entry) => entry,
                Err(VaultError::Damaged(_)) => {
                    note(DifferenceKind::Entry, Some(number));
                    final_entries += u32::from((number as usize) < log.len());
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if entry.batch > column.batches {
                out.pending += 1;
                continue;
            }
            final_entries += 1;
            let Some(logged) = log.get(number as usize) else {
                continue;
            };
            if (entry.effective_period, entry.reported_period)
                != (logged.effective_period, logged.reported_period)
            {
                note(DifferenceKind::Period, Some(number));
            }
            let opened = rules.opener.blindings(subject, &entry);
            let (Ok(blindings), Ok(record)) = (opened, rules.opener.record(&entry)) else {
                note(DifferenceKind::Entry, Some(number));
                continue;
            };
            out.entries.push(Expected {
                index,
                number,
                record,
                blindings,
                logged: *logged,
                latest: latest == Some(number as usize),
            });
        }
        if final_entries as usize != log.len() {
            note(DifferenceKind::Leaf, None);
        }
        if let Some(leaf) = &leaf {
            out.leaf = true;
            check_leaf(leaf, &log, latest, subject, &mut note);
            out.stocks = decode(&leaf.stocks)?;
            for entry in &log {
                out.flows += decode(&entry.flows)?;
            }
        }
        Ok(out)
    }

    fn compare_columns(
        &self,
        rules: &Rules,
        column: &Column,
        leaves: u64,
        (points, sums): ([RistrettoPoint; 2], &[Sum; 2]),
        check: &mut VaultCheck,
    ) -> Result<(), AgencyError> {
        if leaves != column.leaves {
            check.note(difference(DifferenceKind::LeafCount, None, None));
        }
        let kept = match self.vault.column(column.batches) {
            Ok(kept) => kept.and_then(|kept| kept.under(rules.schema())),
            Err(VaultError::Damaged(_)) => None,
            Err(error) => return Err(error.into()),
        };
        for ((class, on_ledger), (point, sum)) in
            [(Class::Stock, column.stocks), (Class::Flow, column.flows)]
                .into_iter()
                .zip(points.into_iter().zip(sums))
        {
            if PointBytes::from(point) != on_ledger {
                check.note(difference(DifferenceKind::ColumnSum, None, None));
            }
            let opens = match &kept {
                // An agency that has published nothing has nothing to keep.
                None => column.batches == 0,
                Some(kept) => {
                    let opening = kept.opening(class);
                    let point = rules.key.commit(class, opening).ok().map(PointBytes::from);
                    point == Some(on_ledger) && sum.is(opening) && kept.leaves == column.leaves
                }
            };
            if !opens {
                check.note(difference(DifferenceKind::ColumnOpening, None, None));
            }
        }
        Ok(())
    }
}

/// Makes the commitments of a chunk again.
fn compare(
    rules: &Rules,
    key: &ProvingKey,
    entries: &[Expected],
    sums: &mut [Sum; 2],
    check: &mut VaultCheck,
) -> Result<(), AgencyError> {
    let records: Vec<Record> = entries.iter().map(|e| e.record.clone()).collect();
    let blindings: Vec<RecordBlindings> = entries.iter().map(|e| e.blindings.clone()).collect();
    let (stocks, flows) = commit_records(key, &records, &blindings)
        .map_err(|_| AgencyError::Contradiction("a record is not of the schema"))?;
    for ((entry, stocks), flows) in entries.iter().zip(stocks).zip(flows) {
        check.entries += 1;
        check.commitments += 2;
        let (index, number) = (Some(entry.index), Some(entry.number));
        if stocks != entry.logged.stocks {
            check.note(difference(DifferenceKind::Stocks, index, number));
        }
        if flows != entry.logged.flows {
            check.note(difference(DifferenceKind::Flows, index, number));
        }
        let opening = |class, blinding| entry.record.opening(rules.schema(), class, blinding);
        if entry.latest {
            sums[0].add(&opening(Class::Stock, entry.blindings.stocks));
        }
        sums[1].add(&opening(Class::Flow, entry.blindings.flows));
    }
    Ok(())
}

/// A sum of openings, wide enough for any number of records.
struct Sum {
    x: Vec<u128>,
    blinding: zkbureau_circuits::Scalar,
}

impl Sum {
    fn new(zero: &Opening) -> Self {
        Self {
            x: vec![0; zero.encoded().len()],
            blinding: *zero.blinding(),
        }
    }

    fn add(&mut self, opening: &Opening) {
        for (sum, x) in self.x.iter_mut().zip(opening.encoded()) {
            *sum += u128::from(*x);
        }
        self.blinding += opening.blinding();
    }

    fn is(&self, opening: &Opening) -> bool {
        self.blinding == *opening.blinding()
            && self.x.iter().eq(opening
                .encoded()
                .iter()
                .map(|x| u128::from(*x))
                .collect::<Vec<_>>()
                .iter())
    }
}

/// The ledger's leaf against its own log and the vault's holder tag.
fn check_leaf(
    leaf: &Leaf,
    log: &[LogEntry],
    latest: Option<usize>,
    subject: &Subject,
    note: &mut impl FnMut(DifferenceKind, Option<u32>),
) {
    let ends_in_leaf = leaf.entries as usize == log.len()
        && chain(&EMPTY_LOG, log) == leaf.log_head
        && latest.is_some_and(|i| log[i].stocks == leaf.stocks);
    if !ends_in_leaf {
        note(DifferenceKind::Log, None);
    }
    if *leaf.holder_tag.as_bytes() != subject.holder_tag {
        note(DifferenceKind::HolderTag, None);
    }
}

fn difference(kind: DifferenceKind, index: Option<Index>, entry: Option<u32>) -> Difference {
    Difference { kind, index, entry }
}

fn decode(point: &PointBytes) -> Result<RistrettoPoint, AgencyError> {
    point
        .decode()
        .map_err(|_| AgencyError::Contradiction("the ledger holds bytes that are no element"))
}
