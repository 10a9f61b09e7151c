//! New versions of a tree, computed by the crate `jmt`.
//!
//! `jmt` expects a tree to have every version and wants a value where this ledger stores a leaf's
//! record; both are bridged here and nowhere else.

use std::collections::HashMap;

use jmt::storage::{LeafNode, Node as JmtNode, NodeKey as JmtNodeKey, TreeReader};
use jmt::{KeyHash, OwnedValue, Sha256Jmt, ValueHash, Version};
use zkbureau_circuits::encoding::Digest32;

use super::cache::NodeCache;
use super::node::{Child, Node, NodeKey};
use super::{TreeError, TreeRoot};
use crate::ids::Height;

/// A key's new value.
pub(crate) struct Write {
    pub(crate) key: Digest32,
    /// The bytes that stand in the tree: what proofs show.
    pub(crate) value: Vec<u8>,
    /// The bytes that are stored.
    pub(crate) record: Vec<u8>,
}

/// A new version of a tree.
pub(crate) struct TreeUpdate {
    pub(crate) root: TreeRoot,
    /// Nodes to write, by ascending key.
    pub(crate) nodes: Vec<(NodeKey, Node)>,
    /// Nodes that the new version no longer uses, by ascending key.
    pub(crate) stale: Vec<NodeKey>,
}

/// Writes `writes` into the tree as version `version`. The ways to all keys must have been loaded;
/// `value_hash` gives the hash under which a stored record stands in the tree.
pub(crate) fn update(
    cache: &NodeCache,
    version: Height,
    writes: Vec<Write>,
    value_hash: &dyn Fn(&[u8]) -> Option<Digest32>,
) -> Result<TreeUpdate, TreeError> {
    let mut records = HashMap::with_capacity(writes.len());
    let mut values: Vec<(KeyHash, OwnedValue)> = Vec::with_capacity(writes.len());
    for write in writes {
        records.insert(write.key, write.record);
        values.push((KeyHash(write.key), write.value));
    }
    let reader = CacheReader {
        cache,
        before: version.0.checked_sub(1),
        value_hash,
    };
    let (roots, batch) = Sha256Jmt::new(&reader)
        .batch_put_value_sets(vec![values], None, version.0)
        .map_err(|e| TreeError::Update(format!("{e:#}")))?;
    let [root] = roots.as_slice() else {
        return Err(TreeError::Update("one version has one root".into()));
    };

    let mut nodes = Vec::with_capacity(batch.node_batch.nodes().len());
    for (key, node) in batch.node_batch.nodes() {
        let node = match node {
            JmtNode::Null => continue,
            JmtNode::Internal(inner) => Node::Inner(
                inner
                    .children_sorted()
                    .map(|(nibble, child)| Child {
                        nibble: nibble.into(),
                        version: Height(child.version),
                        hash: child.hash,
                        is_leaf: child.is_leaf(),
                    })
                    .collect(),
            ),
            JmtNode::Leaf(leaf) => {
                let key = leaf.key_hash().0;
                // A leaf that only moved down keeps its record.
                let value = match records.remove(&key) {
                    Some(record) => record,
                    None => cache
                        .value(&key)
                        .ok_or_else(|| TreeError::Update("a moved leaf was not loaded".into()))?
                        .to_vec(),
                };
                Node::Leaf { key, value }
            }
        };
        nodes.push((reader.own_key(key), node));
    }
    let mut stale: Vec<NodeKey> = batch
        .stale_node_index_batch
        .iter()
        .map(|index| reader.own_key(&index.node_key))
        .collect();
    stale.sort_unstable();
    Ok(TreeUpdate {
        root: TreeRoot {
            version: Some(version),
            hash: root.0,
        },
        nodes,
        stale,
    })
}

/// Shows loaded nodes to `jmt`.
struct CacheReader<'a> {
    cache: &'a NodeCache,
    /// The version that `jmt` takes for the last one.
    before: Option<Version>,
    value_hash: &'a dyn Fn(&[u8]) -> Option<Digest32>,
}

impl CacheReader<'_> {
    /// Translates a key. `jmt` looks for the last root at the version before the new one; the tree
    /// may have been changed last by an older one.
    fn own_key(&self, key: &JmtNodeKey) -> NodeKey {
        let path = key.nibble_path();
        if path.is_empty()
            && Some(key.version()) == self.before
            && let Some(version) = self.cache.root().version
        {
            return NodeKey::root(version);
        }
        NodeKey::new(Height(key.version()), path.nibbles().map(u8::from))
    }
}

impl TreeReader for CacheReader<'_> {
    fn get_node_option(&self, key: &JmtNodeKey) -> anyhow::Result<Option<JmtNode>> {
        if key.nibble_path().is_empty() && self.cache.root().version.is_none() {
            // An empty tree: no node before genesis, a null root later.
            return Ok((Some(key.version()) == self.before).then_some(JmtNode::Null));
        }
        let Some(node) = self.cache.node(&self.own_key(key)) else {
            return Ok(None);
        };
        Ok(Some(match node {
            Node::Inner(children) => inner_of(children)?,
            Node::Leaf { key, value } => {
                let hash = (self.value_hash)(value)
                    .ok_or_else(|| anyhow::anyhow!("a stored record does not decode"))?;
                JmtNode::Leaf(LeafNode::new(KeyHash(*key), ValueHash(hash)))
            }
        }))
    }

    fn get_value_option(
        &self,
        _max_version: Version,
        _key_hash: KeyHash,
    ) -> anyhow::Result<Option<OwnedValue>> {
        // Updates read nodes only.
        Ok(None)
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(JmtNodeKey, LeafNode)>> {
        Ok(None)
    }
}

/// An inner node as `jmt` knows it. Its constructors are not exported, its encoding is: sixteen
/// optional children (hash, version, kind), their number, and the number of leaves below, which
/// `jmt` only adds up and this ledger does not store.
fn inner_of(children: &[Child]) -> std::io::Result<JmtNode> {
    const INNER: u8 = 1;
    const KIND_LEAF: u8 = 0;
    const KIND_INNER: u8 = 1;
    let mut bytes = Vec::with_capacity(17 + children.len() * 49 + 16);
    bytes.push(INNER);
    let mut next = children.iter().peekable();
    for nibble in 0..16 {
        let Some(child) = next.next_if(|c| c.nibble == nibble) else {
            bytes.push(0);
            continue;
        };
        bytes.push(1);
        bytes.extend_from_slice(&child.hash);
        bytes.extend_from_slice(&child.version.0.to_le_bytes());
        if child.is_leaf {
            bytes.push(KIND_LEAF);
        } else {
            bytes.push(KIND_INNER);
            bytes.extend_from_slice(&0u64.to_le_bytes());
        }
    }
    bytes.extend_from_slice(&(children.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&0u64.to_le_bytes());
    borsh::from_slice(&bytes)
}
