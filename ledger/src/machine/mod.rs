//! The state machine (spec: `ledger/spec/transactions.md`): which transactions are valid, and what
//! they change. Pure: state and time come in, changes go out.
//!
//! - `stateless`: what needs no state; in parallel, all range arguments at once;
//! - `small`: anchors, revocations, inquiries, audit requests, votes, evidence, one after the other;
//! - `governance`: what a proposal's changes make of the consortium;
//! - `batches`: batches, agency by agency in parallel;
//! - `execute`: a whole block, for proposers and for validators.

mod batches;
mod cards;
mod context;
mod error;
mod execute;
mod governance;
mod small;
mod stateless;
mod stored_leaf;
mod view;

pub use context::{Context, Epoch};
pub use error::{GovernanceError, TxError};
pub use execute::BlockErrorKind;
pub use governance::ChangeError;
pub use stateless::{Checked, check_stateless};

pub(crate) use execute::{
    EMPTY_BLOCK_BYTES, Outcome, Parent, Plan, check_header, check_time, execute, genesis_state,
    prune_height,
};
pub(crate) use stateless::recheck;
pub(crate) use stored_leaf::{StoredLeaf, log_key};
pub(crate) use view::View;
