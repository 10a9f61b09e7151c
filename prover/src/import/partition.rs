//! Partitions: all rows of a subject are in one of them, and one of them fits memory.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use zkbureau_circuits::directory::SubjectId;
use zkbureau_circuits::period::Period;

use super::merge::{Merged, Rules};
use super::plan::Planned;
use super::spill::{SpillKey, SpillReader, SpillWriter};
use super::{PublishedView, Reject, Repeat};
use crate::tradeline::Tradeline;

/// Source bytes that make one partition; in memory its rows take about eight times as much.
const PARTITION_BYTES: u64 = 4 << 20;
/// Most partitions: each is an open file.
const MAX_PARTITIONS: u64 = 256;
/// Partitions for a source of unknown size.
const UNKNOWN_PARTITIONS: u64 = 64;
/// Write buffer of one partition.
const BUFFER: usize = 16 * 1024;

/// What is spilled.
#[derive(BorshSerialize, BorshDeserialize)]
pub(super) enum Entry {
    /// A good row.
    Row {
        subject: SubjectId,
        period: Period,
        line: u64,
        tradeline: Tradeline,
    },
    /// A bad one: withhold the subject's period, or everything when the period is unknown.
    Withhold {
        subject: SubjectId,
        period: Option<Period>,
    },
}

impl Entry {
    fn subject(&self) -> &SubjectId {
        match self {
            Self::Row { subject, .. } | Self::Withhold { subject, .. } => subject,
        }
    }
}

/// Partitions being written.
pub(super) struct Partitions {
    writers: Vec<SpillWriter>,
}

impl Partitions {
    pub(super) fn new(directory: &Path, key: &SpillKey, size: Option<u64>) -> io::Result<Self> {
        let count = size.map_or(UNKNOWN_PARTITIONS, |bytes| {
            bytes.div_ceil(PARTITION_BYTES).clamp(1, MAX_PARTITIONS)
        });
        let writers = (0..count)
            .map(|number| SpillWriter::new(directory, key, number, BUFFER))
            .collect::<io::Result<_>>()?;
        Ok(Self { writers })
    }

    /// A number that no partition's file has.
    pub(super) fn next_number(&self) -> u64 {
        self.writers.len() as u64
    }

    pub(super) fn push(&mut self, entry: &Entry) -> io::Result<()> {
        let hash = Sha256::digest(&*entry.subject().canonical());
        let mut head = [0; 8];
        head.copy_from_slice(&hash[..8]);
        let count = self.writers.len() as u64;
        let which = usize::try_from(u64::from_le_bytes(head) % count).expect("small");
        self.writers[which].push(entry)
    }

    pub(super) fn finish(self) -> io::Result<Vec<SpillReader>> {
        self.writers.into_iter().map(SpillWriter::finish).collect()
    }
}

/// What came of one partition.
#[derive(Default)]
pub(super) struct Checked {
    /// By period, then subject.
    pub(super) planned: Vec<Planned>,
    pub(super) rejects: Vec<Reject>,
    pub(super) repeats: Vec<Repeat>,
    /// Subjects and periods withheld, unchanged, corrected.
    pub(super) withheld: u64,
    pub(super) unchanged: u64,
    pub(super) corrected: u64,
}

struct Row {
    period: Period,
    subject: SubjectId,
    line: u64,
    tradeline: Tradeline,
}

/// What came of one subject and period.
enum Outcome {
    Withheld {
        /// Whether the period itself was marked.
        marked: bool,
    },
    Unchanged,
    Planned {
        planned: Planned,
        correction: bool,
    },
    Rejected(Vec<Reject>),
    Repeated(Vec<Repeat>),
}

/// Loads a partition, folds it and compares it with what was published.
pub(super) fn check<V: PublishedView>(
    mut reader: SpillReader,
    rules: &Rules<'_>,
    view: &V,
) -> Result<Checked, CheckError<V::Error>> {
    let mut rows = Vec::new();
    let mut withhold: HashSet<(SubjectId, Option<Period>)> = HashSet::new();
    while let Some(entry) = reader.next::<Entry>()? {
        match entry {
            Entry::Row {
                subject,
                period,
                line,
                tradeline,
            } => rows.push(Row {
                period,
                subject,
                line,
                tradeline,
            }),
            Entry::Withhold { subject, period } => {
                withhold.insert((subject, period));
            }
        }
    }
    drop(reader);
    rows.par_sort_unstable_by(|a, b| {
        (a.period, &a.subject, &a.tradeline.account, a.line).cmp(&(
            b.period,
            &b.subject,
            &b.tradeline.account,
            b.line,
        ))
    });

    let mut groups: Vec<Vec<Row>> = Vec::new();
    for row in rows {
        match groups.last_mut() {
            Some(group) if group[0].period == row.period && group[0].subject == row.subject => {
                group.push(row);
            }
            _ => groups.push(vec![row]),
        }
    }
    let outcomes = groups
        .into_par_iter()
        .map(|group| one(group, &withhold, rules, view))
        .collect::<Result<Vec<_>, V::Error>>()
        .map_err(CheckError::View)?;

    // Every marked period is withheld, also one whose every row was bad; and every period of a
    // subject with an unreadable one.
    let mut checked = Checked {
        withheld: withhold
            .iter()
            .filter(|(_, period)| period.is_some())
            .count() as u64,
        ..Checked::default()
    };
    for outcome in outcomes {
        match outcome {
            Outcome::Withheld { marked } => checked.withheld += u64::from(!marked),
            Outcome::Unchanged => checked.unchanged += 1,
            Outcome::Planned {
                planned,
                correction,
            } => {
                checked.corrected += u64::from(correction);
                checked.planned.push(planned);
            }
            Outcome::Rejected(rejects) => {
                checked.withheld += 1;
                checked.rejects.extend(rejects);
            }
            Outcome::Repeated(repeats) => checked.repeats.extend(repeats),
        }
    }
    Ok(checked)
}

fn one<V: PublishedView>(
    group: Vec<Row>,
    withhold: &HashSet<(SubjectId, Option<Period>)>,
    rules: &Rules<'_>,
    view: &V,
) -> Result<Outcome, V::Error> {
    let (subject, period) = (group[0].subject.clone(), group[0].period);
    let repeats: Vec<Repeat> = group
        .chunk_by(|a, b| a.tradeline.account == b.tradeline.account)
        .flat_map(|same| {
            same[1..].iter().map(|again| Repeat {
                line: again.line,
                first_line: same[0].line,
            })
        })
        .collect();
    if !repeats.is_empty() {
        return Ok(Outcome::Repeated(repeats));
    }
    let has_mark = |period| withhold.contains(&(subject.clone(), period));
    let marked = has_mark(Some(period));
    if marked || has_mark(None) {
        return Ok(Outcome::Withheld { marked });
    }
    let published = view.published(&subject, period)?;
    let correction = published.is_some();
    let rows = group.into_iter().map(|r| (r.line, r.tradeline)).collect();
    Ok(match rules.merge(period, rows, published) {
        Ok(None) => Outcome::Unchanged,
        Ok(Some(Merged { record, tradelines })) => Outcome::Planned {
            planned: Planned {
                subject,
                period,
                record,
                tradelines,
            },
            correction,
        },
        Err(rejects) => Outcome::Rejected(rejects),
    })
}

/// A partition could not be checked.
pub(super) enum CheckError<E> {
    Spill(io::Error),
    View(E),
}

impl<E> From<io::Error> for CheckError<E> {
    fn from(e: io::Error) -> Self {
        Self::Spill(e)
    }
}
