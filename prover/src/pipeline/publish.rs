//! The stream of batches: cut, prepare, hand over in order.

use std::collections::HashSet;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use rand_core::{CryptoRng, RngCore};
use zkbureau_circuits::encoding::Document;

use super::prepare::{Admitted, PrepareError, prepare};
use super::{PreparedBatch, PublishError, Subjects, Summary, Target};
use crate::import::{Plan, Planned, PlannedReader};
use crate::progress::{Event, Progress};

impl Plan {
    /// Publishes the plan: prepares its batches and hands them to `sink` in order, on the caller's
    /// thread. A plan with rejects publishes nothing unless `allow_rejects`.
    ///
    /// # Errors
    /// [`PublishError`]; what the sink accepted before stays published.
    pub fn publish<S, R, E, F>(
        self,
        target: &Target<'_>,
        subjects: &S,
        allow_rejects: bool,
        rng: &mut R,
        mut sink: F,
        progress: &dyn Progress,
    ) -> Result<Summary, PublishError<S::Error, E>>
    where
        S: Subjects,
        R: RngCore + CryptoRng + Send,
        F: FnMut(PreparedBatch) -> Result<(), E>,
    {
        let report = self.report();
        if report.reject_count > 0 && !allow_rejects {
            return Err(PublishError::Rejects(report.reject_count));
        }
        let latest = report.periods.keys().next_back().copied();
        if let Some(period) = latest.filter(|p| *p > target.reported_period) {
            return Err(PublishError::AfterReport {
                period,
                reported: target.reported_period,
            });
        }
        let max = target.key.verifying().max_slots();
        if !(1..=max).contains(&target.batch_records) {
            return Err(PublishError::BatchRecords {
                max,
                got: target.batch_records,
            });
        }
        let total = report.records;
        let cutter = Cutter {
            records: self.into_records(),
            next: None,
            limit: target.batch_records,
        };

        let start = Instant::now();
        let mut summary = Summary::default();
        thread::scope(|scope| {
            // Without a buffer: one batch is prepared while the sink works on the one before.
            let (sender, receiver) = sync_channel(0);
            scope.spawn(move || produce(cutter, target, subjects, rng, &sender));
            for batch in receiver {
                let batch = batch.map_err(|e| match e {
                    ProduceError::Spill(e) => PublishError::Spill(e),
                    ProduceError::Prepare(PrepareError::Subjects(e)) => PublishError::Subjects(e),
                    ProduceError::Prepare(PrepareError::SameIndex(i)) => PublishError::SameIndex(i),
                    ProduceError::Prepare(PrepareError::Prove(e)) => PublishError::Prove(e),
                })?;
                let number = batch.number;
                let after = summary.with(&batch);
                sink(batch).map_err(|error| PublishError::Sink { number, error })?;
                summary = after;
                progress.event(Event::Published {
                    records: summary.records,
                    total,
                });
            }
            summary.elapsed = start.elapsed();
            Ok(summary)
        })
    }
}

impl Summary {
    fn with(mut self, batch: &PreparedBatch) -> Self {
        self.batches += 1;
        self.records += batch.entries.len() as u64;
        self.new_subjects += batch.kept.iter().filter(|k| k.new_subject).count() as u64;
        self.argument_bytes += batch.argument.to_bytes().len() as u64;
        self.timings.directory += batch.timings.directory;
        self.timings.commit += batch.timings.commit;
        self.timings.prove += batch.timings.prove;
        self
    }
}

enum ProduceError<S> {
    Spill(io::Error),
    Prepare(PrepareError<S>),
}

/// Prepares batch after batch until the plan ends, something fails, or nobody listens any more.
fn produce<S: Subjects, R: RngCore + CryptoRng>(
    mut cutter: Cutter,
    target: &Target<'_>,
    subjects: &S,
    rng: &mut R,
    sender: &SyncSender<Result<PreparedBatch, ProduceError<S::Error>>>,
) {
    // The sink may still be storing the batch before, so the vault may not know its new subjects.
    let mut admitted = Admitted::new();
    for number in target.first_batch.. {
        let prepared = match cutter.next_batch() {
            Ok((planned, _)) if planned.is_empty() => return,
            Ok((planned, last)) => {
                let place = (number, last && target.closes);
                prepare(planned, place, target, subjects, &admitted, rng)
                    .map_err(ProduceError::Prepare)
            }
            Err(e) => Err(ProduceError::Spill(e)),
        };
        if let Ok(batch) = &prepared {
            admitted = batch
                .kept
                .iter()
                .filter(|kept| kept.new_subject)
                .map(|kept| (kept.subject.clone(), kept.known.clone()))
                .collect();
        }
        let failed = prepared.is_err();
        if sender.send(prepared).is_err() || failed {
            return;
        }
    }
}

/// Cuts the plan into batches. A batch ends when it is full, or before a subject that is in it
/// already: on the ledger an index occurs once in a batch.
struct Cutter {
    records: PlannedReader,
    next: Option<Planned>,
    limit: usize,
}

impl Cutter {
    /// The next batch, and whether it is the last one.
    fn next_batch(&mut self) -> io::Result<(Vec<Planned>, bool)> {
        let mut batch = Vec::new();
        let mut seen = HashSet::new();
        while batch.len() < self.limit {
            let Some(planned) = self
                .next
                .take()
                .map_or_else(|| self.records.next(), |p| Ok(Some(p)))?
            else {
                break;
            };
            if !seen.insert(planned.subject.clone()) {
                self.next = Some(planned);
                break;
            }
            batch.push(planned);
        }
        if self.next.is_none() {
            self.next = self.records.next()?;
        }
        Ok((batch, self.next.is_none()))
    }
}
