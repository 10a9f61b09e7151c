//! A file becomes published batches.

use std::io::Read;
use std::path::Path;

use rand_core::{CryptoRng, RngCore};
use serde::Serialize;
use thiserror::Error;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::range_batch::{ProvingKey, RangeKeyError};
use zkbureau_ledger::Store;
use zkbureau_prover as prover;

use super::publish::{PublishError, Submitter, VaultView};
use super::{Agency, AgencyError, Reconciled};
use crate::vault::VaultError;

/// How a file is imported.
#[derive(Clone, Copy, Debug)]
pub struct ImportJob<'a> {
    /// What its columns mean.
    pub mapping: &'a prover::Mapping,
    /// The period of the report.
    pub reported_period: Period,
    /// Rows that differ from what was published are corrections.
    pub correct: bool,
    /// Publish what is good although some of the file is not.
    pub allow_rejects: bool,
    /// More files of this period follow, so this one does not close it.
    pub more_follows: bool,
    /// Close the period although records are withheld.
    pub close: bool,
    /// Publish nothing.
    pub dry_run: bool,
    /// Where rows are spilled, encrypted.
    pub spill_dir: &'a Path,
}

/// What an import did.
#[derive(Clone, Debug, Serialize)]
pub struct ImportOutcome {
    /// What was found in the file.
    pub report: prover::Report,
    /// What was published; absent when there was nothing to publish, or rejects stood in the way.
    pub summary: Option<prover::Summary>,
    /// What was left over from before.
    pub reconciled: Reconciled,
}

/// Why an import stopped. What it published before stays published, and the same file again imports
/// exactly the rest.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The file.
    #[error(transparent)]
    File(#[from] prover::ImportError<VaultError>),
    /// The schema cannot be published.
    #[error(transparent)]
    Key(#[from] RangeKeyError),
    /// The agency may not publish.
    #[error(transparent)]
    Standing(#[from] AgencyError),
    /// Vault and ledger could not be reconciled first.
    #[error(transparent)]
    Reconcile(PublishError),
    /// A batch could not be made or published.
    #[error(transparent)]
    Publish(#[from] prover::PublishError<VaultError, PublishError>),
}

impl<S: Store> Agency<S> {
    /// Imports a file: reads and checks all of it, then publishes what is new.
    ///
    /// # Errors
    /// [`ImportError`].
    pub fn import<R: RngCore + CryptoRng + Send>(
        &self,
        source: impl Read,
        size: Option<u64>,
        job: &ImportJob<'_>,
        submitter: &dyn Submitter,
        progress: &dyn prover::Progress,
        rng: &mut R,
    ) -> Result<ImportOutcome, ImportError> {
        self.check_standing()?;
        let _guard = self.publishing();
        let reconciled = if job.dry_run {
            Reconciled::default()
        } else {
            self.reconcile_locked(submitter)
                .map_err(ImportError::Reconcile)?
        };
        // A schema that changes meanwhile makes the ledger refuse the batches; the file is then imported again.
        let rules = self.rules();
        let view = VaultView {
            vault: &self.vault,
            chain: self.chain(),
            schema: rules.schema().version(),
            reported_period: job.reported_period,
        };
        let plan = prover::Import {
            schema: rules.schema(),
            mapping: job.mapping,
            options: prover::Options {
                reported_period: Some(job.reported_period),
                correct: job.correct,
                ..prover::Options::default()
            },
            spill_dir: job.spill_dir,
        }
        .plan(source, size, &view, progress)?;
        let report = plan.report().clone();
        let held_back = report.reject_count > 0 && !job.allow_rejects;
        if held_back || report.records == 0 || job.dry_run {
            return Ok(ImportOutcome {
                report,
                summary: None,
                reconciled,
            });
        }
        let limit = self.ledger.consortium().policies.max_batch_slots as usize;
        let batch_records = prover::DEFAULT_BATCH.min(limit);
        let key = ProvingKey::new(rules.schema(), batch_records)?;
        let keys = self.keys();
        let target = prover::Target {
            chain: *self.chain().as_bytes(),
            agency: self.id(),
            key: &key,
            vrf: keys.vrf(),
            reported_period: job.reported_period,
            // Closing says that everything of the period is published.
            closes: !job.more_follows && (report.withheld == 0 || job.close),
            first_batch: self.vault.progress().prepared + 1,
            batch_records,
        };
        let summary = plan.publish(
            &target,
            &view,
            job.allow_rejects,
            rng,
            |batch| self.publish_batch(batch, &rules, submitter),
            progress,
        )?;
        Ok(ImportOutcome {
            report,
            summary: Some(summary),
            reconciled,
        })
    }
}
