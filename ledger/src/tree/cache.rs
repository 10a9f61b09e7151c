//! The nodes that a block touches, read once.
//!
//! A batch's keys are looked up level by level, with one read for all nodes of a level. The same
//! nodes then serve the tree's update, which therefore reads nothing from the store.

use std::collections::HashMap;

use zkbureau_circuits::encoding::Digest32;

use super::node::{Node, NodeKey};
use super::prove::nibble;
use super::{TreeError, TreeId, TreeRoot};
use crate::store::{Store, Table};

/// Nodes of one tree at one version.
pub(crate) struct NodeCache {
    tree: TreeId,
    root: TreeRoot,
    nodes: HashMap<NodeKey, Node>,
}

impl NodeCache {
    pub(crate) fn new(tree: TreeId, root: TreeRoot) -> Self {
        Self {
            tree,
            root,
            nodes: HashMap::new(),
        }
    }

    pub(crate) fn root(&self) -> &TreeRoot {
        &self.root
    }

    pub(crate) fn node(&self, key: &NodeKey) -> Option<&Node> {
        self.nodes.get(key)
    }

    /// Reads every node on the ways to `keys`, which ascend strictly.
    pub(crate) fn load<S: Store>(
        &mut self,
        store: &S,
        keys: &[&Digest32],
    ) -> Result<(), TreeError> {
        let Some(version) = self.root.version else {
            return Ok(());
        };
        // The nodes of one level, each with the keys whose ways lead through it.
        let mut level: Vec<(NodeKey, &[&Digest32])> = vec![(NodeKey::root(version), keys)];
        while !level.is_empty() {
            let missing: Vec<NodeKey> = level
                .iter()
                .map(|(key, _)| *key)
                .filter(|key| !self.nodes.contains_key(key))
                .collect();
            self.read(store, &missing)?;
            let mut below = Vec::new();
            for (at, mut keys) in level {
                let Some(Node::Inner(children)) = self.nodes.get(&at) else {
                    continue;
                };
                if at.depth() >= 64 {
                    return Err(self.damaged(&at));
                }
                while let Some(first) = keys.first() {
                    let here = nibble(first, at.depth());
                    let count = keys.partition_point(|key| nibble(key, at.depth()) == here);
                    let (inside, rest) = keys.split_at(count);
                    keys = rest;
                    if let Some(child) = children.iter().find(|c| c.nibble == here) {
                        below.push((at.child(child.version, here), inside));
                    }
                }
            }
            level = below;
        }
        Ok(())
    }

    /// The value of a key that was loaded.
    pub(crate) fn value(&self, key: &Digest32) -> Option<&[u8]> {
        let mut at = NodeKey::root(self.root.version?);
        loop {
            match self.nodes.get(&at)? {
                Node::Leaf { key: found, value } => {
                    return (found == key).then_some(value.as_slice());
                }
                Node::Inner(children) => {
                    let here = nibble(key, at.depth());
                    let child = children.iter().find(|c| c.nibble == here)?;
                    at = at.child(child.version, here);
                }
            }
        }
    }

    fn read<S: Store>(&mut self, store: &S, missing: &[NodeKey]) -> Result<(), TreeError> {
        // Stores want their keys in order; nodes of one level differ in their versions.
        let mut wanted: Vec<(Vec<u8>, NodeKey)> = missing
            .iter()
            .map(|key| (key.encode(self.tree), *key))
            .collect();
        wanted.sort_unstable();
        let (encoded, wanted): (Vec<_>, Vec<_>) = wanted.into_iter().unzip();
        let found = store.get_many(Table::Nodes, &encoded)?;
        for (key, bytes) in wanted.into_iter().zip(found) {
            let node = bytes
                .and_then(|bytes| Node::decode(key.version, &bytes))
                .ok_or_else(|| self.damaged(&key))?;
            self.nodes.insert(key, node);
        }
        Ok(())
    }

    fn damaged(&self, key: &NodeKey) -> TreeError {
        TreeError::Damaged {
            tree: self.tree.0,
            depth: key.depth(),
            version: key.version.0,
        }
    }
}
