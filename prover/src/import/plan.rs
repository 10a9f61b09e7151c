//! Reading a file into a plan, and the report on it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;
use thiserror::Error;
use zkbureau_circuits::commitment::Record;
use zkbureau_circuits::directory::SubjectId;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::schema::Schema;

use super::merge::Rules;
use super::partition::{CheckError, Entry, Partitions, check};
use super::reject::Rejects;
use super::spill::{SpillKey, SpillReader, SpillWriter};
use super::{PublishedView, Reason, Reject, Repeat};
use crate::mapping::{BadRow, Mapping, MappingError, Row};
use crate::progress::{Event, Progress};
use crate::source::{CsvError, CsvReader};
use crate::tradeline::Tradeline;

/// Rows between two reports of progress.
const ROWS_PER_EVENT: u64 = 16 * 1024;
/// Repeated rows that an error lists.
const LISTED_REPEATS: usize = 100;

/// How strict an import is.
#[derive(Clone, Debug)]
pub struct Options {
    /// The period of the report: no row may be of a later one, and rows without a period are of this
    /// one.
    pub reported_period: Option<Period>,
    /// Publish corrections of periods that were published before.
    pub correct: bool,
    /// Rejects that the report lists; all are counted.
    pub listed_rejects: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reported_period: None,
            correct: false,
            listed_rejects: 10_000,
        }
    }
}

/// What is needed to read a file.
#[derive(Clone, Debug)]
pub struct Import<'a> {
    /// Schema of the ledger.
    pub schema: &'a Schema,
    /// Mapping made for this schema.
    pub mapping: &'a Mapping,
    /// Options.
    pub options: Options,
    /// Where rows are spilled: unnamed, encrypted files.
    pub spill_dir: &'a Path,
}

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum ImportError<E> {
    /// The file is not readable.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// The mapping does not fit the file.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// One account, subject and period in several rows: nobody knows which is right.
    #[error(
        "the same account, subject and period more than once: {}{}",
        join(.repeats),
        and_more(*.more)
    )]
    Repeated {
        /// The first of them, by line.
        repeats: Vec<Repeat>,
        /// How many are not listed.
        more: u64,
    },
    /// A spill file could not be written or read.
    #[error("cannot use the spill directory: {0}")]
    Spill(io::Error),
    /// The vault could not be read.
    #[error("cannot read what was published before: {0}")]
    Published(E),
}

fn join(repeats: &[Repeat]) -> String {
    let all: Vec<String> = repeats.iter().map(ToString::to_string).collect();
    all.join(", ")
}

fn and_more(more: u64) -> String {
    if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    }
}

impl<E> From<CheckError<E>> for ImportError<E> {
    fn from(e: CheckError<E>) -> Self {
        match e {
            CheckError::Spill(e) => Self::Spill(e),
            CheckError::View(e) => Self::Published(e),
        }
    }
}

/// What is in a file, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Bytes read.
    pub bytes: u64,
    /// SHA-256 of the file.
    #[serde(serialize_with = "hex::serde::serialize")]
    pub sha256: [u8; 32],
    /// Rows, without header and blank lines.
    pub rows: u64,
    /// Rows with a field that is refused.
    pub rejected_rows: u64,
    /// Records to publish: one per subject and period.
    pub records: u64,
    /// Of these, corrections of published periods.
    pub corrected: u64,
    /// Subjects and periods that are exactly as published.
    pub unchanged: u64,
    /// Subjects and periods that are withheld because of rejects.
    pub withheld: u64,
    /// Records to publish, per period.
    pub periods: BTreeMap<Period, u64>,
    /// Fields refused, over rows and folded records.
    pub reject_count: u64,
    /// The first of them, by line.
    pub rejects: Vec<Reject>,
}

/// A file that was understood: its records wait on disk to be published.
pub struct Plan {
    pub(super) report: Report,
    pub(super) records: SpillReader,
}

impl Plan {
    /// What was found.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    pub(crate) fn into_records(self) -> PlannedReader {
        PlannedReader(self.records)
    }
}

/// A record to publish.
#[derive(BorshSerialize, BorshDeserialize)]
pub(crate) struct Planned {
    pub(crate) subject: SubjectId,
    pub(crate) period: Period,
    pub(crate) record: Record,
    pub(crate) tradelines: Vec<Tradeline>,
}

/// The plan's records, in order.
pub(crate) struct PlannedReader(SpillReader);

impl PlannedReader {
    pub(crate) fn next(&mut self) -> io::Result<Option<Planned>> {
        self.0.next()
    }
}

impl Import<'_> {
    /// Reads a whole source, finds everything that is wrong with it and plans what to publish.
    /// Publishes nothing. `size` is the source's length in bytes, where known.
    ///
    /// # Errors
    /// [`ImportError`] when the file as a whole is unusable. Bad rows are not errors: they are in the
    /// report.
    pub fn plan<V: PublishedView>(
        &self,
        source: impl Read,
        size: Option<u64>,
        view: &V,
        progress: &dyn Progress,
    ) -> Result<Plan, ImportError<V::Error>> {
        let key = SpillKey::random();
        let mut partitions =
            Partitions::new(self.spill_dir, &key, size).map_err(ImportError::Spill)?;
        let plan_number = partitions.next_number();
        let mut rejects = Rejects::new(self.options.listed_rejects);

        let mut reader = CsvReader::new(source, self.mapping.delimiter())?;
        let mut report = self.read(&mut reader, size, &mut partitions, &mut rejects, progress)?;

        let rules = Rules {
            schema: self.schema,
            account_column: self.mapping.account_column(),
            correct: self.options.correct,
        };
        let mut planned = SpillWriter::new(self.spill_dir, &key, plan_number, 256 * 1024)
            .map_err(ImportError::Spill)?;
        let (mut repeats, mut repeat_count) = (Vec::new(), 0);
        let partitions = partitions.finish().map_err(ImportError::Spill)?;
        let total = partitions.len() as u64;
        for (done, partition) in partitions.into_iter().enumerate() {
            let checked = check(partition, &rules, view)?;
            report.withheld += checked.withheld;
            report.unchanged += checked.unchanged;
            report.corrected += checked.corrected;
            repeat_count += checked.repeats.len() as u64;
            repeats.extend(checked.repeats);
            repeats.sort();
            repeats.truncate(LISTED_REPEATS);
            checked.rejects.into_iter().for_each(|r| rejects.push(r));
            for record in &checked.planned {
                report.records += 1;
                *report.periods.entry(record.period).or_default() += 1;
                planned.push(record).map_err(ImportError::Spill)?;
            }
            progress.event(Event::Checked {
                parts: done as u64 + 1,
                total,
            });
        }
        if !repeats.is_empty() {
            let more = repeat_count - repeats.len() as u64;
            return Err(ImportError::Repeated { repeats, more });
        }
        report.reject_count = rejects.count;
        report.rejects = rejects.into_listed();
        Ok(Plan {
            report,
            records: planned.finish().map_err(ImportError::Spill)?,
        })
    }

    /// The first pass: rows into partitions.
    fn read<E>(
        &self,
        reader: &mut CsvReader<impl Read>,
        size: Option<u64>,
        partitions: &mut Partitions,
        rejects: &mut Rejects,
        progress: &dyn Progress,
    ) -> Result<Report, ImportError<E>> {
        let reported = self.options.reported_period;
        let bound = self.mapping.bind(reader.header(), reported)?;
        let (mut rows, mut rejected_rows) = (0, 0);
        while let Some((line, fields)) = reader.next_row()? {
            rows += 1;
            let row = bound.read(fields).and_then(|row| match reported {
                Some(reported) if row.period > reported => Err(BadRow {
                    problems: vec![(bound.period_column(), Reason::AfterReport { reported })],
                    subject: Some(row.subject),
                    period: Some(row.period),
                }),
                _ => Ok(row),
            });
            let entry = match row {
                Ok(Row {
                    subject,
                    period,
                    tradeline,
                }) => Some(Entry::Row {
                    subject,
                    period,
                    line,
                    tradeline,
                }),
                Err(bad) => {
                    rejected_rows += 1;
                    for (field, reason) in bad.problems {
                        rejects.push(Reject {
                            line,
                            field,
                            reason,
                        });
                    }
                    let period = bad.period;
                    bad.subject
                        .map(|subject| Entry::Withhold { subject, period })
                }
            };
            if let Some(entry) = entry {
                partitions.push(&entry).map_err(ImportError::Spill)?;
            }
            if rows % ROWS_PER_EVENT == 0 {
                progress.event(Event::Read {
                    bytes: reader.bytes(),
                    total: size,
                });
            }
        }
        progress.event(Event::Read {
            bytes: reader.bytes(),
            total: size,
        });
        Ok(Report {
            bytes: reader.bytes(),
            sha256: reader.digest(),
            rows,
            rejected_rows,
            records: 0,
            corrected: 0,
            unchanged: 0,
            withheld: 0,
            periods: BTreeMap::new(),
            reject_count: 0,
            rejects: Vec::new(),
        })
    }
}
