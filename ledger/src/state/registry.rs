//! Keys of the registry tree (spec: `ledger/spec/state.md`, "Registry").

use zkbureau_circuits::encoding::{Digest32, hash_parts};
use zkbureau_params::domain;

use crate::ids::{AnchorId, AuditId};

/// What stands in the registry tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegistryKey {
    /// The [`Consortium`](crate::genesis::Consortium).
    Consortium,
    /// The schema in force.
    Schema,
    /// The [`Columns`](super::Columns) of all agencies.
    Columns,
    /// An [`AnchorState`](super::AnchorState).
    Anchor(AnchorId),
    /// An [`AuditState`](super::AuditState).
    Audit(AuditId),
}

impl RegistryKey {
    /// Where the value stands in the tree: the hash of its name and, if there are many, its
    /// identifier.
    #[must_use]
    pub fn path(&self) -> Digest32 {
        let (name, id): (&str, Option<&Digest32>) = match self {
            Self::Consortium => ("consortium", None),
            Self::Schema => ("schema", None),
            Self::Columns => ("columns", None),
            Self::Anchor(id) => ("anchor", Some(&id.0)),
            Self::Audit(id) => ("audit", Some(&id.0)),
        };
        match id {
            Some(id) => hash_parts(domain::REGISTRY_KEY, &[name.as_bytes(), id]),
            None => hash_parts(domain::REGISTRY_KEY, &[name.as_bytes()]),
        }
    }
}
