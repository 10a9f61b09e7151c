//! What the ledger remembers (spec: `ledger/spec/state.md`): leaves and logs of records, columns,
//! anchors and audits, governance, scorecards, and the trees that all of it stands in.

mod anchor;
mod card;
mod column;
mod governance;
mod leaf;
mod proof;
mod registry;
mod roots;

pub use anchor::{AnchorState, AnchorStatus, AuditState, Consumption, Revocation};
pub use card::{AgencyCards, CardState, MAX_CARDS_PER_AGENCY, NamedCard, card_name_hash};
pub use column::{Column, Columns, Opened};
pub use governance::{
    Ballot, EvidenceState, KeyRole, KeyUse, MAX_OPEN_PROPOSALS, MAX_PROPOSAL_DAYS, OpenProposal,
    OpenProposals, Party, PartyState, ProposalState,
};
pub use leaf::{Leaf, LogSuffix};
pub use proof::{EMPTY_TREE, OtherLeaf, TreeProof, inner_hash, leaf_hash, value_hash};
pub use registry::RegistryKey;
pub use roots::{LeafProof, RegistryProof, Roots};
