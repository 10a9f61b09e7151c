//! Openings of column totals: an agency's sum of an attribute over all its leaves, proven without
//! touching a leaf (spec: `circuits/spec/audit.md`).
//!
//! ```text
//! D = column - leaves·G[present] - Σ (v[a] - min[a]·leaves)·G[a]      over the claimed attributes
//! D = Σ x[b]·G[b] + r·H                                               over the others: Schnorr
//! ```
//!
//! The cost depends on the number of attributes only, not on the number of leaves.

mod proof;
mod prove;
mod statement;
mod verify;

pub use proof::ColumnProof;
pub use prove::{prove, totals};
pub use statement::{ColumnStatement, Total};
pub use verify::verify;
