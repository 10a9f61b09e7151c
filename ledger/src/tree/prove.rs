//! Reading one tree at one version: values, proofs, walks over all leaves.

use zkbureau_circuits::encoding::Digest32;

use super::node::{Child, Node, NodeKey};
use super::{TreeError, TreeId, TreeRoot};
use crate::state::{EMPTY_TREE, OtherLeaf, TreeProof, inner_hash};
use crate::store::{Store, Table};

/// Reads one tree as it stood at one height.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a, S> {
    store: &'a S,
    tree: TreeId,
    root: TreeRoot,
}

/// Whether a walk goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    Continue,
    Stop,
}

/// What a walk down to a key met.
struct Descent {
    /// Hashes beside the way, from the root down.
    siblings: Vec<Digest32>,
    /// The leaf at its end, which need not be the key's own.
    leaf: Option<(Digest32, Vec<u8>)>,
}

impl<'a, S: Store> Reader<'a, S> {
    pub(crate) fn new(store: &'a S, tree: TreeId, root: TreeRoot) -> Self {
        Self { store, tree, root }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &Digest32) -> Result<Option<Vec<u8>>, TreeError> {
        let descent = self.descend(key, false)?;
        Ok(descent
            .leaf
            .filter(|(found, _)| found == key)
            .map(|(_, value)| value))
    }

    /// The value of a key, if any, with the proof of its presence or absence. `value_hash` gives
    /// the hash under which a stored value stands in the tree.
    pub(crate) fn prove(
        &self,
        key: &Digest32,
        value_hash: impl Fn(&[u8]) -> Option<Digest32>,
    ) -> Result<(Option<Vec<u8>>, TreeProof), TreeError> {
        let Descent { siblings, leaf } = self.descend(key, true)?;
        Ok(match leaf {
            Some((found, value)) if found == *key => (
                Some(value),
                TreeProof {
                    other: None,
                    siblings,
                },
            ),
            Some((found, value)) => {
                let value_hash =
                    value_hash(&value).ok_or_else(|| self.damaged(&self.root_key()))?;
                let other = Some(OtherLeaf {
                    key: found,
                    value_hash,
                });
                (None, TreeProof { other, siblings })
            }
            None => (
                None,
                TreeProof {
                    other: None,
                    siblings,
                },
            ),
        })
    }

    /// Calls `visit` with every key and value, in ascending order of keys from `from` on.
    pub(crate) fn walk(
        &self,
        from: &Digest32,
        visit: &mut dyn FnMut(&Digest32, &[u8]) -> Visit,
    ) -> Result<(), TreeError> {
        if self.root.version.is_none() {
            return Ok(());
        }
        self.walk_from(&self.root_key(), Some(from), visit)
            .map(|_| ())
    }

    /// Recomputes the hash of the whole tree from its leaves and compares every hash on the way.
    pub(crate) fn recompute(
        &self,
        leaf_hash: &dyn Fn(&Digest32, &[u8]) -> Option<Digest32>,
    ) -> Result<Digest32, TreeError> {
        if self.root.version.is_none() {
            return Ok(EMPTY_TREE);
        }
        self.recompute_node(&self.root_key(), leaf_hash)
    }

    /// The hash of the root node as it is stored.
    pub(crate) fn root_hash(
        &self,
        leaf_hash: &dyn Fn(&Digest32, &[u8]) -> Option<Digest32>,
    ) -> Result<Digest32, TreeError> {
        if self.root.version.is_none() {
            return Ok(EMPTY_TREE);
        }
        let key = self.root_key();
        match self.node(&key)? {
            Node::Inner(children) => Ok(subtree_hash(&children, 0, 16)),
            Node::Leaf { key: at, value } => {
                leaf_hash(&at, &value).ok_or_else(|| self.damaged(&key))
            }
        }
    }

    fn recompute_node(
        &self,
        key: &NodeKey,
        leaf_hash: &dyn Fn(&Digest32, &[u8]) -> Option<Digest32>,
    ) -> Result<Digest32, TreeError> {
        match self.node(key)? {
            Node::Leaf { key: at, value } => leaf_hash(&at, &value).ok_or(self.damaged(key)),
            Node::Inner(children) => {
                for child in &children {
                    let below = key.child(child.version, child.nibble);
                    if self.recompute_node(&below, leaf_hash)? != child.hash {
                        return Err(self.damaged(&below));
                    }
                }
                Ok(subtree_hash(&children, 0, 16))
            }
        }
    }

    fn walk_from(
        &self,
        key: &NodeKey,
        from: Option<&Digest32>,
        visit: &mut dyn FnMut(&Digest32, &[u8]) -> Visit,
    ) -> Result<Visit, TreeError> {
        match self.node(key)? {
            Node::Leaf { key: at, value } => {
                if from.is_some_and(|from| at < *from) {
                    return Ok(Visit::Continue);
                }
                Ok(visit(&at, &value))
            }
            Node::Inner(children) => {
                for child in children {
                    // Children before the start are skipped, the one on its way keeps the start.
                    let bound = from.map(|f| nibble(f, key.depth()));
                    let from = match bound {
                        Some(bound) if child.nibble < bound => continue,
                        Some(bound) if child.nibble == bound => from,
                        _ => None,
                    };
                    let below = key.child(child.version, child.nibble);
                    if self.walk_from(&below, from, visit)? == Visit::Stop {
                        return Ok(Visit::Stop);
                    }
                }
                Ok(Visit::Continue)
            }
        }
    }

    fn descend(&self, key: &Digest32, with_siblings: bool) -> Result<Descent, TreeError> {
        let mut siblings = Vec::new();
        if self.root.version.is_none() {
            return Ok(Descent {
                siblings,
                leaf: None,
            });
        }
        let mut at = self.root_key();
        loop {
            let children = match self.node(&at)? {
                Node::Leaf { key, value } => {
                    return Ok(Descent {
                        siblings,
                        leaf: Some((key, value)),
                    });
                }
                Node::Inner(children) => children,
            };
            if at.depth() >= 64 {
                return Err(self.damaged(&at));
            }
            let next = narrow(&children, nibble(key, at.depth()), |start, width| {
                if with_siblings {
                    siblings.push(subtree_hash(&children, start, width));
                }
            });
            match next {
                None => {
                    return Ok(Descent {
                        siblings,
                        leaf: None,
                    });
                }
                Some(child) => at = at.child(child.version, child.nibble),
            }
        }
    }

    /// Only called on a tree that is not empty.
    fn root_key(&self) -> NodeKey {
        NodeKey::root(self.root.version.unwrap_or_default())
    }

    fn node(&self, key: &NodeKey) -> Result<Node, TreeError> {
        self.store
            .get(Table::Nodes, &key.encode(self.tree))?
            .and_then(|bytes| Node::decode(key.version, &bytes))
            .ok_or_else(|| self.damaged(key))
    }

    fn damaged(&self, key: &NodeKey) -> TreeError {
        TreeError::Damaged {
            tree: self.tree.0,
            depth: key.depth(),
            version: key.version.0,
        }
    }
}

/// Nibble `depth` of a key.
pub(super) fn nibble(key: &Digest32, depth: u8) -> u8 {
    let byte = key[usize::from(depth / 2)];
    if depth.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 0xf
    }
}

/// Walks the four binary levels inside an inner node towards `nibble`. Calls `beside` with the start
/// and width of the half beside the way at each level, until the half on the way has no children or
/// is a single leaf. Returns the child at the end.
fn narrow(children: &[Child], nibble: u8, mut beside: impl FnMut(u8, u8)) -> Option<Child> {
    for level in (0..4).rev() {
        let width = 1 << level;
        let start = nibble >> level << level;
        beside(start ^ width, width);
        match only(children, start, width) {
            Range::Empty => return None,
            Range::One(child) => return Some(child),
            Range::Many => {}
        }
    }
    None
}

/// What stands in a range of an inner node's places.
enum Range {
    Empty,
    /// One child that stands for the whole range: a leaf, or the only place of the range.
    One(Child),
    Many,
}

fn only(children: &[Child], start: u8, width: u8) -> Range {
    let mut inside = children
        .iter()
        .filter(|c| (start..start + width).contains(&c.nibble));
    match (inside.next(), inside.next()) {
        (None, _) => Range::Empty,
        (Some(child), None) if child.is_leaf || width == 1 => Range::One(*child),
        _ => Range::Many,
    }
}

/// The hash over a range of an inner node's places.
pub(super) fn subtree_hash(children: &[Child], start: u8, width: u8) -> Digest32 {
    match only(children, start, width) {
        Range::Empty => EMPTY_TREE,
        Range::One(child) => child.hash,
        Range::Many => {
            let half = width / 2;
            inner_hash(
                &subtree_hash(children, start, half),
                &subtree_hash(children, start + half, half),
            )
        }
    }
}
