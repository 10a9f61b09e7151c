//! Nodes as they are stored.
//!
//! A node is named by its tree, the version that wrote it, and its path of nibbles. An inner node
//! has up to 16 children; a leaf holds its key and its value, so that a value is stored once.
//!
//! ```text
//! key:   tree u32 ‖ version u64 ‖ depth u8 ‖ path, two nibbles a byte          (big endian)
//! inner: 0 ‖ children u16 ‖ leaves among them u16 ‖ per child: age varint ‖ hash
//! leaf:  1 ‖ key ‖ value
//! ```
//! A child's age is its parent's version less its own.

use zkbureau_circuits::encoding::Digest32;

use super::TreeId;
use crate::ids::Height;

/// Names a node within its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeKey {
    pub(crate) version: Height,
    depth: u8,
    /// The path's nibbles; zero behind them.
    path: [u8; 32],
}

impl NodeKey {
    /// The root of a version.
    pub(crate) fn root(version: Height) -> Self {
        Self {
            version,
            depth: 0,
            path: [0; 32],
        }
    }

    /// The node at the end of a path.
    pub(crate) fn new(version: Height, nibbles: impl Iterator<Item = u8>) -> Self {
        nibbles.fold(Self::root(version), |key, nibble| {
            key.child(version, nibble)
        })
    }

    /// The child at a nibble.
    pub(crate) fn child(&self, version: Height, nibble: u8) -> Self {
        let mut child = *self;
        child.version = version;
        let shift = if self.depth.is_multiple_of(2) { 4 } else { 0 };
        child.path[usize::from(self.depth / 2)] |= nibble << shift;
        child.depth += 1;
        child
    }

    /// Depth in nibbles.
    pub(crate) fn depth(&self) -> u8 {
        self.depth
    }

    /// The key's bytes in the store.
    pub(crate) fn encode(&self, tree: TreeId) -> Vec<u8> {
        let path = &self.path[..usize::from(self.depth.div_ceil(2))];
        let mut out = Vec::with_capacity(13 + path.len());
        out.extend_from_slice(&tree.0.to_be_bytes());
        out.extend_from_slice(&self.version.0.to_be_bytes());
        out.push(self.depth);
        out.extend_from_slice(path);
        out
    }
}

/// A child as its parent knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) nibble: u8,
    pub(crate) version: Height,
    pub(crate) hash: Digest32,
    pub(crate) is_leaf: bool,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Children by ascending nibble.
    Inner(Vec<Child>),
    Leaf {
        key: Digest32,
        value: Vec<u8>,
    },
}

impl Node {
    pub(crate) fn encode(&self, version: Height) -> Vec<u8> {
        match self {
            Self::Inner(children) => {
                let mut present = 0u16;
                let mut leaves = 0u16;
                for child in children {
                    present |= 1 << child.nibble;
                    leaves |= u16::from(child.is_leaf) << child.nibble;
                }
                let mut out = Vec::with_capacity(5 + children.len() * 34);
                out.push(0);
                out.extend_from_slice(&present.to_be_bytes());
                out.extend_from_slice(&leaves.to_be_bytes());
                for child in children {
                    write_varint(&mut out, version.0 - child.version.0);
                    out.extend_from_slice(&child.hash);
                }
                out
            }
            Self::Leaf { key, value } => {
                let mut out = Vec::with_capacity(33 + value.len());
                out.push(1);
                out.extend_from_slice(key);
                out.extend_from_slice(value);
                out
            }
        }
    }

    /// None when the bytes are not a node of this version.
    pub(crate) fn decode(version: Height, bytes: &[u8]) -> Option<Self> {
        let (tag, mut rest) = bytes.split_first()?;
        match tag {
            0 => {
                let present = u16::from_be_bytes(take(&mut rest)?);
                let leaves = u16::from_be_bytes(take(&mut rest)?);
                let mut children = Vec::with_capacity(present.count_ones() as usize);
                for nibble in (0..16u8).filter(|n| present >> n & 1 == 1) {
                    children.push(Child {
                        nibble,
                        version: Height(version.0.checked_sub(read_varint(&mut rest)?)?),
                        hash: take(&mut rest)?,
                        is_leaf: leaves >> nibble & 1 == 1,
                    });
                }
                (rest.is_empty() && !children.is_empty() && leaves & !present == 0)
                    .then_some(Self::Inner(children))
            }
            1 => Some(Self::Leaf {
                key: take(&mut rest)?,
                value: rest.to_vec(),
            }),
            _ => None,
        }
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = bytes.split_first_chunk::<N>()?;
    *bytes = tail;
    Some(*head)
}

/// Seven bits a byte, the least significant first.
pub(crate) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// None when the bytes end early or the number exceeds 64 bits.
pub(crate) fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take(bytes)?;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_sort_by_version_and_name_their_path() {
        let root = NodeKey::root(Height(7));
        let child = root.child(Height(6), 0xa).child(Height(5), 0xb);
        assert_eq!(child, NodeKey::new(Height(5), [0xa, 0xb].into_iter()));
        assert_eq!(
            child.encode(TreeId(1)),
            [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 2, 0xab]
        );
        assert!(child.encode(TreeId(1)) < root.encode(TreeId(1)));
        // An odd path and the even one that continues with a zero are different keys.
        let odd = child.child(Height(5), 1);
        assert_ne!(
            odd.encode(TreeId(1)),
            odd.child(Height(5), 0).encode(TreeId(1))
        );
    }

    fn node() -> impl Strategy<Value = Node> {
        let inner = prop::collection::btree_map(
            0..16u8,
            (0..100u64, any::<[u8; 32]>(), any::<bool>()),
            1..16,
        )
        .prop_map(|children| {
            Node::Inner(
                children
                    .into_iter()
                    .map(|(nibble, (version, hash, is_leaf))| Child {
                        nibble,
                        version: Height(version),
                        hash,
                        is_leaf,
                    })
                    .collect(),
            )
        });
        let leaf = (
            any::<[u8; 32]>(),
            prop::collection::vec(any::<u8>(), 0..200),
        )
            .prop_map(|(key, value)| Node::Leaf { key, value });
        prop_oneof![inner, leaf]
    }

    proptest! {
        #[test]
        fn nodes_round_trip(node in node(), version in 100..u64::MAX) {
            let bytes = node.encode(Height(version));
            prop_assert_eq!(Node::decode(Height(version), &bytes), Some(node.clone()));
            if let Node::Inner(_) = node {
                for cut in 0..bytes.len() {
                    prop_assert_eq!(Node::decode(Height(version), &bytes[..cut]), None);
                }
                let mut longer = bytes;
                longer.push(0);
                prop_assert_eq!(Node::decode(Height(version), &longer), None);
            }
        }

        #[test]
        fn varints_round_trip(value in any::<u64>()) {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            prop_assert_eq!(read_varint(&mut &out[..]), Some(value));
        }
    }
}
