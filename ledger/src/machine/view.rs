//! Reading the state as it stood at one height.

use zkbureau_circuits::encoding::{Digest32, Document};

use crate::ids::{AgencyId, AnchorId, AuditId, Height};
use crate::state::{
    AnchorState, AuditState, Columns, LeafProof, RegistryKey, RegistryProof, leaf_hash, value_hash,
};
use crate::store::Store;
use crate::tree::{Reader, TreeError, TreeId, Trees};

use super::stored_leaf::{StoredLeaf, stored_value_hash};

/// The state at one height.
pub(crate) struct View<'a, S> {
    pub(crate) store: &'a S,
    pub(crate) height: Height,
    pub(crate) trees: Trees,
}

impl<'a, S: Store> View<'a, S> {
    pub(crate) fn registry(&self) -> Reader<'a, S> {
        Reader::new(self.store, TreeId::REGISTRY, self.trees.registry)
    }

    /// None when there is no such agency.
    pub(crate) fn agency(&self, id: AgencyId) -> Option<Reader<'a, S>> {
        let root = self.trees.agency(id)?;
        Some(Reader::new(self.store, id.into(), *root))
    }

    pub(crate) fn value<T: Document>(&self, key: &RegistryKey) -> Result<Option<T>, TreeError> {
        let Some(bytes) = self.registry().get(&key.path())? else {
            return Ok(None);
        };
        T::from_bytes(&bytes)
            .map(Some)
            .map_err(|_| self.damaged(TreeId::REGISTRY))
    }

    pub(crate) fn columns(&self) -> Result<Columns, TreeError> {
        self.value(&RegistryKey::Columns)?
            .ok_or_else(|| self.damaged(TreeId::REGISTRY))
    }

    pub(crate) fn anchor(&self, id: AnchorId) -> Result<Option<AnchorState>, TreeError> {
        self.value(&RegistryKey::Anchor(id))
    }

    pub(crate) fn audit(&self, id: AuditId) -> Result<Option<AuditState>, TreeError> {
        self.value(&RegistryKey::Audit(id))
    }

    pub(crate) fn registry_proof(&self, key: &RegistryKey) -> Result<RegistryProof, TreeError> {
        let (value, path) = self
            .registry()
            .prove(&key.path(), |value| Some(value_hash(value)))?;
        Ok(RegistryProof { value, path })
    }

    /// None when there is no such agency.
    pub(crate) fn stored_leaf(
        &self,
        agency: AgencyId,
        index: &Digest32,
    ) -> Result<Option<StoredLeaf>, TreeError> {
        let Some(reader) = self.agency(agency) else {
            return Ok(None);
        };
        let Some(record) = reader.get(index)? else {
            return Ok(None);
        };
        StoredLeaf::decode(&record)
            .map(Some)
            .ok_or_else(|| self.damaged(agency.into()))
    }

    /// None when there is no such agency.
    pub(crate) fn leaf_proof(
        &self,
        agency: AgencyId,
        index: &Digest32,
    ) -> Result<Option<LeafProof>, TreeError> {
        let Some(reader) = self.agency(agency) else {
            return Ok(None);
        };
        let (record, path) = reader.prove(index, stored_value_hash)?;
        let leaf = match record {
            None => None,
            Some(record) => Some(
                StoredLeaf::decode(&record)
                    .ok_or_else(|| self.damaged(agency.into()))?
                    .leaf,
            ),
        };
        Ok(Some(LeafProof { leaf, path }))
    }

    /// Reads the root node of every tree and compares its hash with the root that is recorded.
    pub(crate) fn check_roots(&self) -> Result<(), TreeError> {
        self.check(|reader, hash| reader.root_hash(hash))
    }

    /// Recomputes every tree from its leaves.
    pub(crate) fn check_everything(&self) -> Result<(), TreeError> {
        self.check(|reader, hash| reader.recompute(hash))
    }

    fn check(
        &self,
        compute: impl Fn(
            &Reader<'a, S>,
            &dyn Fn(&Digest32, &[u8]) -> Option<Digest32>,
        ) -> Result<Digest32, TreeError>,
    ) -> Result<(), TreeError> {
        let plain = |key: &Digest32, value: &[u8]| Some(leaf_hash(key, &value_hash(value)));
        if compute(&self.registry(), &plain)? != self.trees.registry.hash {
            return Err(self.damaged(TreeId::REGISTRY));
        }
        let stored =
            |key: &Digest32, record: &[u8]| Some(leaf_hash(key, &stored_value_hash(record)?));
        for (agency, root) in &self.trees.agencies {
            let reader = Reader::new(self.store, (*agency).into(), *root);
            if compute(&reader, &stored)? != root.hash {
                return Err(self.damaged((*agency).into()));
            }
        }
        Ok(())
    }

    pub(crate) fn damaged(&self, tree: TreeId) -> TreeError {
        TreeError::Damaged {
            tree: tree.0,
            depth: 0,
            version: self.height.0,
        }
    }
}
