//! Publishing: a plan's records become batches with their range arguments, in order.
//!
//! ```text
//! plan ─▶ cut ─▶ directory (VRF) ─▶ sort by index ─▶ commit ─▶ prove ─▶ sink: vault, then submit
//! ```
//!
//! One batch is prepared, on all cores, while the sink works on the one before: two batches are
//! alive at any time, whatever the size of the file.
//!
//! The sink must make a batch durable before it submits it, and its error stops the pipeline: later
//! batches carry later numbers, so none of them may go out before.

mod prepare;
mod publish;

use std::time::Duration;

use borsh::BorshSerialize;
use serde::Serialize;
use thiserror::Error;
use zkbureau_circuits::commitment::{Record, RecordBlindings, SubjectSalt};
use zkbureau_circuits::directory::{Index, SubjectId, VrfSecretKey};
use zkbureau_circuits::encoding::{Digest32, PointBytes};
use zkbureau_circuits::error::ProveError;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::range_batch::{ProvingKey, RangeArgument};

use crate::tradeline::Tradeline;

/// Records in a batch, unless asked otherwise: large enough that the argument's fixed part is small, small
/// enough that a batch takes well under a second to prove.
pub const DEFAULT_BATCH: usize = 8192;

/// Where batches go.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Chain identifier.
    pub chain: Digest32,
    /// The publishing agency.
    pub agency: AgencyId,
    /// Key of the ledger's schema.
    pub key: &'a ProvingKey,
    /// The agency's directory key.
    pub vrf: &'a VrfSecretKey,
    /// The period in which the batches are published.
    pub reported_period: Period,
    /// Whether the last batch closes the period: nothing more of it follows.
    pub closes: bool,
    /// Number of the first batch; the others count up from it.
    pub first_batch: u64,
    /// Most records in a batch; no more than the key serves.
    pub batch_records: usize,
}

/// What the vault keeps about a subject.
#[derive(Clone, Debug)]
pub struct KnownSubject {
    /// Where the subject's leaf stands.
    pub index: Index,
    /// Source of its blindings.
    pub salt: SubjectSalt,
    /// The leaf's holder tag.
    pub holder_tag: Digest32,
}

/// The vault's subjects, and the ledger's hash of a batch.
pub trait Subjects: Sync {
    /// A failure to read.
    type Error: std::error::Error + Send + Sync + 'static;

    /// A subject that has published before.
    ///
    /// # Errors
    /// When the vault cannot be read.
    fn known(&self, subject: &SubjectId) -> Result<Option<KnownSubject>, Self::Error>;

    /// A subject that has not: draws a salt, makes a holder tag. It is stored with the batch
    /// ([`KeptEntry::new_subject`]), not before.
    ///
    /// # Errors
    /// When that is impossible.
    fn admit(&self, subject: &SubjectId, index: Index) -> Result<KnownSubject, Self::Error>;

    /// Hash of everything that a batch says, which the argument binds.
    fn body_hash(&self, number: u64, closes: bool, entries: &[PublicEntry]) -> Digest32;
}

/// The public part of a record, as it goes on the ledger.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct PublicEntry {
    /// Where the leaf stands.
    pub index: Index,
    /// The period that the record is about.
    pub effective_period: Period,
    /// Commitment to the stocks.
    pub stocks: PointBytes,
    /// Commitment to the flows' increment.
    pub flows: PointBytes,
    /// The leaf's holder tag.
    pub holder_tag: Digest32,
}

/// The part that stays in the vault.
#[derive(Clone, Debug)]
pub struct KeptEntry {
    /// Whose record it is.
    pub subject: SubjectId,
    /// What to keep about the subject.
    pub known: KnownSubject,
    /// Whether [`Subjects::admit`] made it for this batch.
    pub new_subject: bool,
    /// Encoded values: stocks, and the flows' increment.
    pub record: Record,
    /// Blindings of the two commitments.
    pub blindings: RecordBlindings,
    /// Replaces what the vault keeps for this subject and period.
    pub tradelines: Vec<Tradeline>,
}

/// A batch that is ready to be stored and submitted.
#[derive(Debug)]
pub struct PreparedBatch {
    /// Number.
    pub number: u64,
    /// The period in which it is published.
    pub period: Period,
    /// Whether it closes the period.
    pub closes: bool,
    /// Public parts, indexes strictly ascending.
    pub entries: Vec<PublicEntry>,
    /// Private parts, in the same order.
    pub kept: Vec<KeptEntry>,
    /// Proof that every value is in range.
    pub argument: RangeArgument,
    /// What took how long.
    pub timings: Timings,
}

/// Wall-clock time of a batch's stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timings {
    /// Indexes and salts.
    pub directory: Duration,
    /// Blindings and commitments.
    pub commit: Duration,
    /// The range argument.
    pub prove: Duration,
}

/// What was published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Batches that the sink accepted.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Subjects that were new.
    pub new_subjects: u64,
    /// Bytes of their range arguments.
    pub argument_bytes: u64,
    /// Sums over the batches.
    pub timings: Timings,
    /// From the first record to the last batch accepted.
    pub elapsed: Duration,
}

/// Why publishing stopped. Batches that the sink had accepted stay published.
#[derive(Debug, Error)]
pub enum PublishError<S, E> {
    /// The plan has rejects, and nobody said to publish the rest.
    #[error("{0} fields were rejected; nothing is published unless rejects are allowed")]
    Rejects(u64),
    /// The plan has records of a later period.
    #[error("the plan has records of {period}, after {reported}, the period of the report")]
    AfterReport {
        /// Latest period of the plan.
        period: Period,
        /// Period of the report.
        reported: Period,
    },
    /// Batches would be empty, or larger than the key serves.
    #[error("a batch has 1 to {max} records, not {got}")]
    BatchRecords {
        /// Records that the key serves.
        max: usize,
        /// Records asked for.
        got: usize,
    },
    /// A spill file could not be read.
    #[error("cannot read the spill directory: {0}")]
    Spill(std::io::Error),
    /// The vault could not be read.
    #[error("cannot read the vault: {0}")]
    Subjects(S),
    /// The vault gave two subjects one index.
    #[error("two subjects have the index {0}: the vault is damaged")]
    SameIndex(Index),
    /// The argument could not be made.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// The sink refused a batch.
    #[error("batch {number}: {error}")]
    Sink {
        /// Number of the batch.
        number: u64,
        /// What the sink said.
        error: E,
    },
}
