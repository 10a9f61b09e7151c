//! A tree from its leaves in ascending order, with only the way to the last leaf in memory.
//!
//! A leaf stands one nibble below where it parts from the nearer of its neighbours, so its place is
//! known when the next leaf is. An inner node is complete when a leaf comes that is not below it.

use zkbureau_circuits::encoding::Digest32;

use super::node::{Child, Node, NodeKey};
use super::prove::{nibble, subtree_hash};
use super::{TreeId, TreeRoot};
use crate::ids::Height;
use crate::store::{ChangeSet, Table};

/// Builds one version of a tree.
pub(crate) struct Builder {
    tree: TreeId,
    version: Height,
    /// Children so far of the inner nodes on the way to the last leaf, from the root down.
    spine: Vec<Vec<Child>>,
    last: Option<LastLeaf>,
}

struct LastLeaf {
    key: Digest32,
    hash: Digest32,
    record: Vec<u8>,
    /// Nibbles that it shares with the leaf before; none for the first leaf.
    shared: Option<usize>,
}

/// Keys do not ascend strictly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfOrder;

impl Builder {
    pub(crate) fn new(tree: TreeId, version: Height) -> Self {
        Self {
            tree,
            version,
            spine: Vec::new(),
            last: None,
        }
    }

    /// Adds a leaf; `hash` is the leaf's hash in the tree, `record` what is stored.
    pub(crate) fn push(
        &mut self,
        key: Digest32,
        hash: Digest32,
        record: Vec<u8>,
        changes: &mut ChangeSet,
    ) -> Result<(), OutOfOrder> {
        let mut shared = None;
        if let Some(last) = self.last.take() {
            if last.key >= key {
                return Err(OutOfOrder);
            }
            let common = common_nibbles(&last.key, &key);
            let depth = last.shared.map_or(common, |before| before.max(common)) + 1;
            self.place(&last, depth, changes);
            self.close(&last.key, common + 1, changes);
            shared = Some(common);
        }
        self.last = Some(LastLeaf {
            key,
            hash,
            record,
            shared,
        });
        Ok(())
    }

    /// Writes what is left; gives the root.
    pub(crate) fn finish(mut self, changes: &mut ChangeSet) -> TreeRoot {
        let Some(last) = self.last.take() else {
            return TreeRoot::EMPTY;
        };
        let hash = match last.shared {
            // A single leaf is the root.
            None => {
                self.write(NodeKey::root(self.version), leaf_of(&last), changes);
                last.hash
            }
            Some(shared) => {
                self.place(&last, shared + 1, changes);
                self.close(&last.key, 1, changes);
                let children = self.spine.pop().unwrap_or_default();
                let hash = subtree_hash(&children, 0, 16);
                let root = NodeKey::root(self.version);
                self.write(root, Node::Inner(children), changes);
                hash
            }
        };
        TreeRoot {
            version: Some(self.version),
            hash,
        }
    }

    /// Writes a leaf at a depth of at least 1 and adds it to its parent.
    fn place(&mut self, leaf: &LastLeaf, depth: usize, changes: &mut ChangeSet) {
        self.write(self.key(&leaf.key, depth), leaf_of(leaf), changes);
        if self.spine.len() < depth {
            self.spine.resize_with(depth, Vec::new);
        }
        self.spine[depth - 1].push(Child {
            nibble: nibble(&leaf.key, (depth - 1) as u8),
            version: self.version,
            hash: leaf.hash,
            is_leaf: true,
        });
    }

    /// Completes the inner nodes on the way to `key` until `levels` of them are left open.
    fn close(&mut self, key: &Digest32, levels: usize, changes: &mut ChangeSet) {
        while self.spine.len() > levels {
            let children = self.spine.pop().unwrap_or_default();
            let depth = self.spine.len();
            let child = Child {
                nibble: nibble(key, (depth - 1) as u8),
                version: self.version,
                hash: subtree_hash(&children, 0, 16),
                is_leaf: false,
            };
            self.write(self.key(key, depth), Node::Inner(children), changes);
            self.spine[depth - 1].push(child);
        }
    }

    fn key(&self, key: &Digest32, depth: usize) -> NodeKey {
        NodeKey::new(self.version, (0..depth).map(|d| nibble(key, d as u8)))
    }

    fn write(&self, at: NodeKey, node: Node, changes: &mut ChangeSet) {
        changes.put(
            Table::Nodes,
            at.encode(self.tree),
            node.encode(self.version),
        );
    }
}

fn leaf_of(leaf: &LastLeaf) -> Node {
    Node::Leaf {
        key: leaf.key,
        value: leaf.record.clone(),
    }
}

/// Nibbles that two different keys share; at most 63.
fn common_nibbles(a: &Digest32, b: &Digest32) -> usize {
    (0..64)
        .take_while(|d| nibble(a, *d as u8) == nibble(b, *d as u8))
        .count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{NodeCache, Reader, Visit, Write, update};
    use super::*;
    use crate::state::{leaf_hash, value_hash};
    use crate::store::{MemoryStore, Store};

    const TREE: TreeId = TreeId(7);

    fn built(leaves: &[(Digest32, Vec<u8>)]) -> (MemoryStore, TreeRoot) {
        let mut changes = ChangeSet::default();
        let mut builder = Builder::new(TREE, Height(9));
        for (key, value) in leaves {
            let hash = leaf_hash(key, &value_hash(value));
            builder
                .push(*key, hash, value.clone(), &mut changes)
                .expect("ascending");
        }
        let root = builder.finish(&mut changes);
        let store = MemoryStore::new();
        store.commit(&changes).expect("memory");
        (store, root)
    }

    /// The same leaves by way of `jmt`: root and nodes must be the same, byte for byte.
    fn check(keys: impl IntoIterator<Item = Digest32>) {
        let mut leaves: Vec<(Digest32, Vec<u8>)> = keys
            .into_iter()
            .map(|key| (key, key[..5].to_vec()))
            .collect();
        leaves.sort_unstable();
        leaves.dedup();
        let (store, root) = built(&leaves);
        if leaves.is_empty() {
            assert_eq!(root, TreeRoot::EMPTY);
            return;
        }
        let writes = leaves
            .iter()
            .map(|(key, value)| Write {
                key: *key,
                value: value.clone(),
                record: value.clone(),
            })
            .collect();
        let cache = NodeCache::new(TREE, TreeRoot::EMPTY);
        let expected = update(&cache, Height(9), writes, &|v| Some(value_hash(v))).expect("jmt");
        assert_eq!(root, expected.root);
        let mut other = ChangeSet::default();
        for (key, node) in &expected.nodes {
            other.put(Table::Nodes, key.encode(TREE), node.encode(key.version));
        }
        let reference = MemoryStore::new();
        reference.commit(&other).expect("memory");
        assert_eq!(store.snapshot(), reference.snapshot());
        let mut walked = Vec::new();
        Reader::new(&store, TREE, root)
            .walk(&[0; 32], &mut |key, value| {
                walked.push((*key, value.to_vec()));
                Visit::Continue
            })
            .expect("walk");
        assert_eq!(walked, leaves);
    }

    #[test]
    fn few_and_close_leaves() {
        check([]);
        check([[5; 32]]);
        // Neighbours that part in the last nibble, the last byte, the first.
        let mut last = [5; 32];
        last[31] = 6;
        let mut low = [5; 32];
        low[31] = 0x15;
        let mut first = [5; 32];
        first[0] = 0x15;
        check([[5; 32], last]);
        check([[5; 32], last, low]);
        check([[5; 32], last, low, first, [0; 32], [0xff; 32]]);
        check((0..=255).map(|i| [i; 32]));
        check((0..=255).map(|i| {
            let mut key = [0; 32];
            key[31] = i;
            key
        }));
    }

    #[test]
    fn keys_must_ascend() {
        let mut changes = ChangeSet::default();
        for second in [[3; 32], [2; 32]] {
            let mut builder = Builder::new(TREE, Height(1));
            let mut push = |key| builder.push(key, [0; 32], Vec::new(), &mut changes);
            assert_eq!(push([3; 32]), Ok(()));
            assert_eq!(push(second), Err(OutOfOrder));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_leaves(
            // Few different bytes, so that keys share long beginnings.
            keys in prop::collection::vec(prop::collection::vec(0u8..3, 6), 0..60),
            spread in prop::collection::vec(any::<[u8; 32]>(), 0..60),
        ) {
            let close = keys.into_iter().map(|start| {
                let mut key = [0; 32];
                key[..6].copy_from_slice(&start);
                key
            });
            check(close.chain(spread));
        }
    }
}
