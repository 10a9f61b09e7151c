//! The trees (spec: `ledger/spec/state.md`, "Trees").
//!
//! One Jellyfish Merkle tree per agency and one for the registry. The crate `jmt` computes updates
//! ([`update`]); reading, proving and storing nodes is done here, on a node format that holds each
//! leaf's value once. A tree's version is the height of the block that last changed it.

mod build;
mod cache;
mod node;
mod prove;
#[cfg(test)]
mod tests;
mod update;

use thiserror::Error;

pub(crate) use build::Builder;
pub(crate) use cache::NodeCache;
pub(crate) use node::{read_varint, write_varint};
pub(crate) use prove::{Reader, Visit};
pub(crate) use update::{TreeUpdate, Write, update};

use borsh::{BorshDeserialize, BorshSerialize};
use zkbureau_circuits::encoding::Digest32;

use crate::ids::{AgencyId, Height};
use crate::state::{EMPTY_TREE, Roots};
use crate::store::StoreError;

/// Names a tree: an agency's identifier, or [`TreeId::REGISTRY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TreeId(pub(crate) u32);

impl TreeId {
    /// The tree of everything that is no leaf. Genesis refuses agencies of this number.
    pub(crate) const REGISTRY: Self = Self(u32::MAX);
}

impl From<AgencyId> for TreeId {
    fn from(agency: AgencyId) -> Self {
        Self(agency.0)
    }
}

/// Where a tree stood at some height: its root and the version of its root node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct TreeRoot {
    /// None while the tree is empty.
    pub(crate) version: Option<Height>,
    pub(crate) hash: Digest32,
}

impl TreeRoot {
    pub(crate) const EMPTY: Self = Self {
        version: None,
        hash: EMPTY_TREE,
    };
}

/// Where all trees stood at some height.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Trees {
    pub(crate) registry: TreeRoot,
    /// By ascending identifier.
    pub(crate) agencies: Vec<(AgencyId, TreeRoot)>,
}

impl Trees {
    pub(crate) fn agency(&self, id: AgencyId) -> Option<&TreeRoot> {
        let found = self.agencies.binary_search_by_key(&id, |(a, _)| *a);
        found.ok().map(|i| &self.agencies[i].1)
    }

    pub(crate) fn agency_mut(&mut self, id: AgencyId) -> Option<&mut TreeRoot> {
        let found = self.agencies.binary_search_by_key(&id, |(a, _)| *a);
        found.ok().map(|i| &mut self.agencies[i].1)
    }

    /// An empty tree for a new agency.
    pub(crate) fn insert(&mut self, id: AgencyId) {
        if let Err(at) = self.agencies.binary_search_by_key(&id, |(a, _)| *a) {
            self.agencies.insert(at, (id, TreeRoot::EMPTY));
        }
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots {
            registry: self.registry.hash,
            agencies: self.agencies.iter().map(|(a, r)| (*a, r.hash)).collect(),
        }
    }
}

/// A tree cannot be read or changed.
#[derive(Debug, Error)]
pub enum TreeError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A node is missing or does not decode: the store is damaged.
    #[error("a node of tree {tree} at depth {depth}, version {version}, is missing or damaged")]
    Damaged {
        /// The tree: an agency's identifier, or the registry's number.
        tree: u32,
        /// Depth of the node, in nibbles.
        depth: u8,
        /// Its version.
        version: u64,
    },
    /// The tree's own crate refuses an update.
    #[error("the tree cannot be updated: {0}")]
    Update(String),
}
