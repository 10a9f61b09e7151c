//! The ledger: a deterministic state machine, its trees, blocks and certificates, storage, and the
//! light client that verifies all of it from the genesis file alone.
//!
//! By default the crate holds what a client needs: types, transactions, blocks, proofs and the
//! [`light`] client. Feature `state` adds execution, the trees and an in-memory store; feature
//! `store` the store on disk (RocksDB). There is no clock, no network and no randomness here: times
//! and bytes come in, blocks and change sets go out.
//!
//! Pages: `ledger/spec/state.md`, `ledger/spec/transactions.md`, `ledger/spec/governance.md`,
//! `ledger/spec/blocks.md`, `ledger/spec/snapshot.md`.

pub mod block;
pub mod consortium;
pub mod document;
pub mod genesis;
pub mod ids;
pub mod keys;
#[cfg(feature = "state")]
pub mod ledger;
pub mod light;
#[cfg(feature = "state")]
pub mod machine;
pub mod peer;
mod schema_document;
pub mod state;
#[cfg(feature = "state")]
pub mod store;
pub mod transaction;
#[cfg(feature = "state")]
mod tree;

pub use block::{Block, Certificate, Header, SignedHeader, ValidatorSet};
pub use genesis::{Consortium, Genesis};
pub use ids::{
    AgencyId, AnchorId, AuditId, AuditorId, ChainId, Day, Height, HolderTag, IssuerId, ProposalId,
    TimeMs, TxHash,
};
pub use keys::{PublicKey, SealingKey, SecretKey, Signature, SignatureError};
#[cfg(feature = "state")]
pub use ledger::{BlockError, Executed, Ledger, LedgerError, Proposal, Tip};
pub use light::{
    Checkpoint, LightClient, LightError, TrustedHeader, TrustedRoots, ValidatorChange,
};
#[cfg(feature = "state")]
pub use machine::{Checked, Context, Epoch, GovernanceError, TxError};
pub use peer::PeerId;
pub use state::{
    AnchorState, AuditState, Column, Columns, Leaf, LeafProof, LogSuffix, RegistryKey,
    RegistryProof, Roots,
};
#[cfg(feature = "store")]
pub use store::RocksStore;
#[cfg(feature = "state")]
pub use store::{MemoryStore, Store, StoreError};
pub use transaction::{
    AnchorConsent, AuditRequest, BatchBody, BatchEntry, Change, Evidence, GovernanceVote, Inquiry,
    PublishBatch, RevokeConsent, Transaction,
};
#[cfg(feature = "state")]
pub use tree::TreeError;
