//! Facts: the request language, what a leaf and its log mean for it, the agencies' linear images
//! and the wallet's verdicts (spec: `circuits/spec/{fact,linear_image,verdict}.md`).
//!
//! The same code runs at three parties, in this order:
//!
//! ```text
//! lender   Fact::parse -> Query
//! agency   Query + View -> AgencyPlan -> linear_image::prove        (its own leaf and log)
//! wallet   Query + Views -> Plan -> linear_image::verify_batch, check_openings, prove_verdicts
//! lender   Query + Views -> Plan -> linear_image::verify_batch, verify_verdicts
//! ```
//!
//! Everything but openings is public. The plan, not the prover, makes the statements: which
//! commitments count, with which weights, is recomputed by every reader.

mod agency_plan;
mod encoding;
mod error;
mod history;
mod language;
pub mod linear_image;
mod normal;
mod parse;
pub(crate) mod pedersen;
mod plan;
mod query;
mod scan;
mod template;
pub mod verdict;

#[cfg(test)]
mod tests;

pub use agency_plan::{AgencyPlan, Form, Source, Status, Weight};
pub use error::{BoundError, FactError, FactErrorKind};
pub use history::{HistoryError, RecordView, Records, View, suffix_start};
pub use language::{Fact, FactText, Relation, Scope, Term, When};
pub use linear_image::{Images, LinearImageProof};
pub use pedersen::FormOpening;
pub use plan::{Outcome, Plan, PlanError};
pub use query::{HitPolicy, Query, QueryError, ScoreQuery};
pub use template::FactTemplate;
pub use verdict::{
    BadOpening, Side, Verdict, VerdictProof, check_openings, prove_verdicts, verify_verdicts,
};

/// Longest text of a fact or template in bytes.
pub const MAX_FACT_TEXT: usize = 1024;
/// Most terms of a fact.
pub const MAX_TERMS: usize = 16;
/// Most facts of a request.
pub const MAX_FACTS: usize = 16;
/// Most different values that the scores of a request may read.
pub const MAX_SCORE_VALUES: usize = 64;
/// Most forms of a request: facts, and values that scores read.
pub const MAX_FORMS: usize = MAX_FACTS + MAX_SCORE_VALUES;
/// Longest window in months.
pub const MAX_WINDOW_MONTHS: u32 = 120;
/// Most log entries that a window may sum; part of the bound on forms.
pub const MAX_WINDOW_ENTRIES: usize = 120;
/// Most agencies that a request may list.
pub const MAX_AGENCIES: usize = 64;
/// Most sources of a request: latest stocks, distinct past periods, distinct windows.
pub const MAX_SOURCES: usize = 32;
/// Most claims of one aggregated Bulletproof; more claims make more proofs.
pub const MAX_CLAIMS_PER_PROOF: usize = 64;
