//! One file on its way to the ledger, and the figures about it.

use std::fs::File;
use std::sync::{PoisonError, TryLockError};
use std::time::Instant;

use anyhow::{Context, anyhow};
use rand_core::OsRng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zkbureau_agency_node::agency::{ImportError, ImportJob};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_prover::{Event, Mapping, Progress as ProverProgress};

use super::protocol::{ImportRequest, Progress, Step};
use super::{Failure, Reporter};
use crate::datadir::DataDir;
use zkbureau_agency_node::node::{Node, Submission};

/// The answer to an import request.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImportResult {
    /// Who published.
    pub agency: AgencyId,
    /// The reported period.
    pub period: Period,
    /// What the file holds; see the prover's report.
    pub report: Value,
    /// What was published; absent when nothing was.
    pub published: Option<Published>,
    /// What an interrupted import had left to finish.
    pub reconciled: Value,
    /// Leaves of the agency afterwards.
    pub leaves: u64,
    /// Wall-clock seconds of the whole import.
    pub seconds: f64,
    /// Processor seconds of the node during the import, all of its work included.
    pub cpu_s: Option<f64>,
}

/// Figures about what was published. Times are wall-clock seconds on `threads` threads.
#[derive(Debug, Serialize, Deserialize)]
pub struct Published {
    /// Records.
    pub records: u64,
    /// Leaves that were not there before.
    pub new_leaves: u64,
    /// Batches.
    pub batches: u64,
    /// Bytes of the batches as they went to the ledger.
    pub bytes: u64,
    /// Values in a record, `present` not counted.
    pub values_per_record: u64,
    /// Threads that worked.
    pub threads: usize,
    /// Directory indexes.
    pub directory_s: f64,
    /// Commitments.
    pub commit_s: f64,
    /// Range arguments.
    pub prove_s: f64,
    /// Their verification.
    pub verify_s: f64,
    /// From submission to finality, verification included.
    pub finality_s: f64,
}

impl Published {
    /// Microseconds of commitments and arguments per value.
    pub fn prove_us_per_value(&self) -> f64 {
        (self.commit_s + self.prove_s) * 1e6 / self.values()
    }

    /// Microseconds of verification per value.
    pub fn verify_us_per_value(&self) -> f64 {
        self.verify_s * 1e6 / self.values()
    }

    /// Bytes on the wire per record.
    pub fn bytes_per_record(&self) -> f64 {
        self.bytes as f64 / (self.records.max(1)) as f64
    }

    /// Values published.
    pub fn values(&self) -> f64 {
        (self.records * self.values_per_record).max(1) as f64
    }
}

/// Publishes a file.
pub fn run(
    request: &ImportRequest,
    node: &Node,
    data: &DataDir,
    reporter: &Reporter<'_>,
) -> Result<Value, Failure> {
    let agency = super::agency_of(node, request.agency)?;
    let schema = node.ledger.schema();
    let mapping = Mapping::parse(&request.map, &schema)
        .map_err(|e| Failure::usage(anyhow!("the mapping: {e}")))?;
    let name = request.file.display();
    let file = File::open(&request.file)
        .with_context(|| name.to_string())
        .map_err(Failure::usage)?;
    let meta = file.metadata().with_context(|| name.to_string())?;
    if !meta.is_file() {
        return Err(Failure::usage(anyhow!("{name}: not a file")));
    }
    let _turn = match node.importing.try_lock() {
        Ok(turn) => turn,
        Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
        Err(TryLockError::WouldBlock) => {
            reporter.progress(Progress {
                step: Step::Waiting,
                done: 0,
                total: None,
            });
            node.importing
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        }
    };
    let start = Instant::now();
    let cpu = process_cpu();
    let submission = Submission::new(node);
    let job = ImportJob {
        mapping: &mapping,
        reported_period: request.period,
        correct: request.correct,
        allow_rejects: request.allow_rejects,
        more_follows: request.more_follows,
        close: request.close,
        dry_run: request.dry_run,
        spill_dir: &data.agency(agency.id()),
    };
    let outcome = agency
        .import(
            file,
            Some(meta.len()),
            &job,
            &submission,
            &Forward(reporter),
            &mut OsRng,
        )
        .map_err(|error| Failure {
            usage: is_usage(&error),
            error: anyhow!("{name}: {error}"),
        })?;
    let tip = node.ledger.tip();
    let leaves = node
        .ledger
        .columns(tip.height)?
        .get(agency.id())
        .map_or(0, |column| column.leaves);
    let totals = submission.totals();
    let published = outcome.summary.as_ref().map(|summary| Published {
        records: summary.records,
        new_leaves: summary.new_subjects,
        batches: summary.batches,
        bytes: totals.bytes,
        values_per_record: schema.len() as u64 - 1,
        threads: rayon::current_num_threads(),
        directory_s: summary.timings.directory.as_secs_f64(),
        commit_s: summary.timings.commit.as_secs_f64(),
        prove_s: summary.timings.prove.as_secs_f64(),
        verify_s: totals.verifying.as_secs_f64(),
        finality_s: totals.waiting.as_secs_f64(),
    });
    let result = ImportResult {
        agency: agency.id(),
        period: request.period,
        report: serde_json::to_value(&outcome.report)?,
        published,
        reconciled: serde_json::to_value(outcome.reconciled)?,
        leaves,
        seconds: start.elapsed().as_secs_f64(),
        cpu_s: process_cpu().zip(cpu).map(|(after, before)| after - before),
    };
    tracing::info!(
        agency = agency.id().0,
        period = %request.period,
        records = result.published.as_ref().map_or(0, |p| p.records),
        rejected = outcome.report.reject_count,
        seconds = result.seconds,
        "import"
    );
    Ok(serde_json::to_value(result)?)
}

/// Processor seconds that this process has used, where the system tells.
fn process_cpu() -> Option<f64> {
    /// Ticks a second in this file, on every Linux.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program may hold blanks; it ends with the last bracket.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

/// Whether the file or mapping is at fault, not the node.
fn is_usage(error: &ImportError) -> bool {
    use zkbureau_prover::ImportError as FileError;
    matches!(
        error,
        ImportError::File(FileError::Csv(_) | FileError::Mapping(_) | FileError::Repeated { .. })
            | ImportError::Key(_)
    )
}

/// Passes the prover's progress on.
struct Forward<'a>(&'a Reporter<'a>);

impl ProverProgress for Forward<'_> {
    fn event(&self, event: Event) {
        let (step, done, total) = match event {
            Event::Read { bytes, total } => (Step::Reading, bytes, total),
            Event::Checked { parts, total } => (Step::Checking, parts, Some(total)),
            Event::Published { records, total } => (Step::Publishing, records, Some(total)),
        };
        self.0.progress(Progress { step, done, total });
    }
}
