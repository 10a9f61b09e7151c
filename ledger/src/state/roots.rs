//! The roots under a header's state root, and the documents that show values under them
//! (spec: `ledger/spec/state.md`, "Proofs").

use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;
use zkbureau_circuits::encoding::{Digest32, Document, hash_parts};
use zkbureau_params::domain;

use super::leaf::Leaf;
use super::proof::TreeProof;
use crate::genesis::MAX_AGENCIES_EVER;
use crate::ids::AgencyId;

/// Largest encoding of a proof's way to the root.
const MAX_PATH: usize = 1 + 64 + 2 + 32 + 256 * 32;

/// The roots of all trees.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Roots {
    /// Root of the registry tree.
    #[serde(with = "hex::serde")]
    pub registry: Digest32,
    /// Root of every agency's tree of leaves, by ascending identifier.
    pub agencies: Vec<(AgencyId, Digest32)>,
}

impl Document for Roots {
    const NAME: &'static str = "zkbureau/roots/v1";
    const MAX_BYTES: usize = 1 + 32 + 4 + MAX_AGENCIES_EVER * 36;
}

impl Roots {
    /// `SHA-256(domain ‖ registry root ‖ (agency id ‖ tree root) in order of id)`.
    #[must_use]
    pub fn state_root(&self) -> Digest32 {
        let mut agencies = Vec::with_capacity(self.agencies.len() * 36);
        for (agency, root) in &self.agencies {
            agencies.extend_from_slice(&agency.0.to_le_bytes());
            agencies.extend_from_slice(root);
        }
        hash_parts(domain::STATE_ROOT, &[&self.registry, &agencies])
    }

    /// The root of an agency's tree.
    #[must_use]
    pub fn agency(&self, id: AgencyId) -> Option<&Digest32> {
        let found = self.agencies.binary_search_by_key(&id, |(a, _)| *a);
        found.ok().map(|i| &self.agencies[i].1)
    }
}

/// A value of the registry, or its absence, with the way to the registry's root.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RegistryProof {
    /// The canonical bytes of the value; none if there is none.
    pub value: Option<Vec<u8>>,
    /// The way to the root.
    pub path: TreeProof,
}

impl Document for RegistryProof {
    const NAME: &'static str = "zkbureau/registry-proof/v1";
    const MAX_BYTES: usize = (256 << 10) + MAX_PATH + 8;
}

/// A leaf, or its absence, with the way to its agency's root.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LeafProof {
    /// The leaf; none if the agency has none at this index.
    pub leaf: Option<Leaf>,
    /// The way to the root.
    pub path: TreeProof,
}

impl Document for LeafProof {
    const NAME: &'static str = "zkbureau/leaf-proof/v1";
    const MAX_BYTES: usize = 1 + 1 + 109 + MAX_PATH;
}
