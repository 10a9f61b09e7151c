//! Records in, proofs out: how an agency's tradelines become published batches.
//!
//! ```text
//! file ──source──▶ rows ──mapping──▶ tradelines ──spill, fold──▶ plan ──pipeline──▶ batches, in order
//! ```
//!
//! - [`mapping`]: which column becomes which attribute, written in TOML;
//! - [`source`]: reading files; a file that is cut or malformed is refused as a whole;
//! - [`tradeline`]: one account of one subject in one period, and how several fold into a record;
//! - [`import`]: reads a file, finds everything that is wrong with it, and plans what to publish;
//! - [`pipeline`]: turns the plan into batches with their range arguments.
//!
//! Planning publishes nothing, so a file is either understood completely or leaves no trace. Memory
//! is bounded by a batch and a partition of the file, never by the file: rows are spilled to unnamed
//! temporary files, encrypted under a key that never leaves memory.
//!
//! The crate knows neither the ledger nor the vault. It asks for what was published before through
//! [`PublishedView`] and [`Subjects`], and hands batches to a closure. Constant time is not a goal here:
//! it runs on the agency's own machine, on the agency's own data (see the range argument's page).

pub mod import;
pub mod mapping;
pub mod pipeline;
pub mod progress;
pub mod source;
pub mod tradeline;

pub mod nearest;

pub use import::{
    Import, ImportError, NothingPublished, Options, Plan, PublishedView, Reason, Reject, Report,
};
pub use mapping::{Mapping, MappingError};
pub use pipeline::{
    DEFAULT_BATCH, KeptEntry, KnownSubject, PreparedBatch, PublicEntry, PublishError, Subjects,
    Summary, Target, Timings,
};
pub use progress::{Event, Progress, Quiet};
pub use tradeline::Tradeline;
