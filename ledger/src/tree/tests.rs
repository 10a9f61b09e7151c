//! The trees against the crate `jmt` itself: random writes give its roots, and the compact proofs
//! hold exactly when its own do.

use std::collections::{BTreeMap, HashMap};
use std::sync::RwLock;

use jmt::storage::{
    LeafNode, Node as JmtNode, NodeBatch, NodeKey as JmtNodeKey, TreeReader, TreeWriter,
};
use jmt::{KeyHash, OwnedValue, RootHash, Sha256Jmt, Version};
use proptest::prelude::*;

use super::prove::Visit;
use super::*;
use crate::state::{TreeProof, leaf_hash, value_hash};
use crate::store::{ChangeSet, MemoryStore, Store, Table};

/// The store that `jmt` is used with normally, every version kept.
#[derive(Default)]
struct Reference {
    nodes: RwLock<HashMap<JmtNodeKey, JmtNode>>,
    values: RwLock<BTreeMap<(KeyHash, Version), Option<OwnedValue>>>,
}

impl TreeReader for Reference {
    fn get_node_option(&self, key: &JmtNodeKey) -> anyhow::Result<Option<JmtNode>> {
        Ok(self.nodes.read().expect("lock").get(key).cloned())
    }

    fn get_value_option(
        &self,
        max_version: Version,
        key: KeyHash,
    ) -> anyhow::Result<Option<OwnedValue>> {
        let values = self.values.read().expect("lock");
        let last = values.range((key, 0)..=(key, max_version)).next_back();
        Ok(last.and_then(|(_, value)| value.clone()))
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(JmtNodeKey, LeafNode)>> {
        Ok(None)
    }
}

impl TreeWriter for Reference {
    fn write_node_batch(&self, batch: &NodeBatch) -> anyhow::Result<()> {
        for (key, node) in batch.nodes() {
            self.nodes
                .write()
                .expect("lock")
                .insert(key.clone(), node.clone());
        }
        for ((version, key), value) in batch.values() {
            self.values
                .write()
                .expect("lock")
                .insert((*key, *version), value.clone());
        }
        Ok(())
    }
}

/// Keys that share long prefixes: a few different nibbles at the start, then one in the middle.
fn key() -> impl Strategy<Value = Digest32> {
    (
        0..3u8,
        0..3u8,
        prop::sample::select(vec![0usize, 1, 2, 15, 31]),
        any::<u8>(),
    )
        .prop_map(|(first, second, place, byte)| {
            let mut key = [0x55; 32];
            key[0] = first << 6 | second;
            key[place] ^= byte & 0x83;
            key
        })
}

const TREE: TreeId = TreeId(5);

fn plain(value: &[u8]) -> Option<Digest32> {
    Some(value_hash(value))
}

/// Our proof from jmt's own: its siblings stand from the leaf up, spelled out by kind.
fn converted(proof: &jmt::proof::SparseMerkleProof<sha2::Sha256>) -> TreeProof {
    use borsh::BorshDeserialize;
    let bytes = borsh::to_vec(proof).expect("encodes");
    let mut rest = &bytes[..];
    let leaf = Option::<(Digest32, Digest32)>::deserialize(&mut rest).expect("leaf");
    let count = u32::deserialize(&mut rest).expect("count");
    let mut siblings: Vec<Digest32> = (0..count)
        .map(|_| match u8::deserialize(&mut rest).expect("kind") {
            0 => EMPTY_TREE,
            1 => {
                let (left, right) = <(Digest32, Digest32)>::deserialize(&mut rest).expect("inner");
                crate::state::inner_hash(&left, &right)
            }
            _ => {
                let (key, value) = <(Digest32, Digest32)>::deserialize(&mut rest).expect("leaf");
                leaf_hash(&key, &value)
            }
        })
        .collect();
    assert!(rest.is_empty());
    siblings.reverse();
    TreeProof {
        other: leaf.map(|(key, value_hash)| crate::state::OtherLeaf { key, value_hash }),
        siblings,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn roots_and_proofs_are_those_of_jmt(
        blocks in prop::collection::vec(
            // A block may leave the tree alone; ours then has no new version, theirs does.
            prop::collection::btree_map(key(), 0..4u8, 0..12),
            1..8,
        ),
        probes in prop::collection::vec(key(), 12),
    ) {
        let store = MemoryStore::new();
        let reference = Reference::default();
        let mut root = TreeRoot::EMPTY;
        let mut model: BTreeMap<Digest32, Vec<u8>> = BTreeMap::new();
        let mut history = Vec::new();
        for (version, block) in (0u64..).zip(blocks) {
            let theirs = Sha256Jmt::new(&reference);
            let writes = block.iter().map(|(k, v)| (KeyHash(*k), Some(vec![*v; 3])));
            let (expected, batch) = theirs.put_value_set(writes, version).expect("writes");
            reference.write_node_batch(&batch.node_batch).expect("writes");

            if !block.is_empty() {
                let mut cache = NodeCache::new(TREE, root);
                let keys: Vec<_> = block.keys().collect();
                cache.load(&store, &keys).expect("loads");
                for key in &keys {
                    prop_assert_eq!(cache.value(key), model.get(*key).map(Vec::as_slice));
                }
                let writes = block
                    .iter()
                    .map(|(k, v)| Write { key: *k, value: vec![*v; 3], record: vec![*v; 3] })
                    .collect();
                let update = update(&cache, Height(version), writes, &plain).expect("updates");
                let mut changes = ChangeSet::default();
                for (key, node) in &update.nodes {
                    changes.put(Table::Nodes, key.encode(TREE), node.encode(key.version));
                }
                store.commit(&changes).expect("commits");
                root = update.root;
                model.extend(block.iter().map(|(k, v)| (*k, vec![*v; 3])));
                // What is stale was there before, and nothing that is still used is stale.
                for stale in &update.stale {
                    prop_assert!(cache.node(stale).is_some());
                }
            }
            prop_assert_eq!(RootHash(root.hash), expected);
            history.push((root, model.clone()));
        }
        // Every version, keys that are there and keys that are not.
        for (version, (root, model)) in (0u64..).zip(&history) {
            let reader = Reader::new(&store, TREE, *root);
            let theirs = Sha256Jmt::new(&reference);
            prop_assert_eq!(reader.recompute(&|k, v| Some(leaf_hash(k, &value_hash(v)))).expect("reads"), root.hash);
            prop_assert_eq!(reader.root_hash(&|k, v| Some(leaf_hash(k, &value_hash(v)))).expect("reads"), root.hash);
            for key in model.keys().chain(&probes) {
                let (value, proof) = reader.prove(key, plain).expect("proves");
                let (their_value, their_proof) =
                    theirs.get_with_proof(KeyHash(*key), version).expect("proves");
                prop_assert_eq!(&value, &their_value);
                prop_assert_eq!(value.as_ref(), model.get(key));
                prop_assert_eq!(&reader.get(key).expect("reads"), &value);
                let mut same = converted(&their_proof);
                match &value {
                    Some(value) => {
                        same.other = None;
                        prop_assert!(proof.verify_inclusion(&root.hash, key, value).is_ok());
                        prop_assert!(proof.verify_inclusion(&root.hash, key, b"other").is_err());
                        prop_assert!(proof.verify_exclusion(&root.hash, key).is_err());
                        prop_assert!(their_proof.verify_existence(RootHash(root.hash), KeyHash(*key), value).is_ok());
                    }
                    None => {
                        prop_assert!(proof.verify_exclusion(&root.hash, key).is_ok());
                        prop_assert!(proof.verify_inclusion(&root.hash, key, b"").is_err());
                        prop_assert!(their_proof.verify_nonexistence(RootHash(root.hash), KeyHash(*key)).is_ok());
                    }
                }
                prop_assert_eq!(&proof, &same);
                // For any other key our verdict on the proof is theirs.
                for other in &probes {
                    let ours = proof.verify_exclusion(&root.hash, other).is_ok();
                    let leaf_is_key = value.is_some();
                    if !leaf_is_key {
                        let theirs = their_proof
                            .verify_nonexistence(RootHash(root.hash), KeyHash(*other))
                            .is_ok();
                        prop_assert_eq!(ours, theirs);
                    } else {
                        prop_assert!(!ours || model.get(other).is_none());
                    }
                }
            }
            // A walk from anywhere sees the rest in order.
            for from in probes.iter().take(3) {
                let mut seen = Vec::new();
                reader.walk(from, &mut |k, v| {
                    seen.push((*k, v.to_vec()));
                    Visit::Continue
                }).expect("walks");
                let expected: Vec<_> = model.range(*from..).map(|(k, v)| (*k, v.clone())).collect();
                prop_assert_eq!(seen, expected);
            }
        }
    }
}
