//! Inclusion and exclusion in a Jellyfish Merkle tree, verified without the tree's own crate
//! (spec: `ledger/spec/state.md`, "Proofs").
//!
//! A tree is a binary tree over the bits of 256-bit keys, most significant first. A subtree without
//! leaves hashes to a constant, a subtree with one leaf to the hash of that leaf, any other to the
//! hash of its two halves:
//!
//! ```text
//! leaf  = SHA-256("JMT::LeafNode" ‖ key ‖ SHA-256(value))
//! inner = SHA-256("JMT::IntrnalNode" ‖ left ‖ right)
//! ```
//!
//! The two hash inputs differ in length and in their first bytes, so neither can stand for the other.

use std::io::{Error, ErrorKind, Read, Write};

use borsh::{BorshDeserialize, BorshSerialize};
use sha2::{Digest, Sha256};
use zkbureau_circuits::encoding::Digest32;
use zkbureau_circuits::error::VerifyError;

/// Hash of a tree, or a subtree, without leaves.
pub const EMPTY_TREE: Digest32 = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";
/// Deepest level of a tree: one per bit of the key.
const MAX_DEPTH: usize = 256;

/// Hash of a value, as leaves hold it.
#[must_use]
pub fn value_hash(value: &[u8]) -> Digest32 {
    Sha256::digest(value).into()
}

/// Hash of a leaf.
#[must_use]
pub fn leaf_hash(key: &Digest32, value_hash: &Digest32) -> Digest32 {
    let mut hasher = Sha256::new();
    hasher.update(b"JMT::LeafNode");
    hasher.update(key);
    hasher.update(value_hash);
    hasher.finalize().into()
}

/// Hash of a subtree with two halves.
#[must_use]
pub fn inner_hash(left: &Digest32, right: &Digest32) -> Digest32 {
    let mut hasher = Sha256::new();
    hasher.update(b"JMT::IntrnalNode");
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// The only leaf of the subtree in which a missing key would stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OtherLeaf {
    /// Its key.
    pub key: Digest32,
    /// Hash of its value.
    pub value_hash: Digest32,
}

/// The way from a leaf, or from an empty place, to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeProof {
    /// For a missing key: the leaf that stands where it would stand, if any does.
    pub other: Option<OtherLeaf>,
    /// Hashes of the subtrees beside the way, from the root down.
    pub siblings: Vec<Digest32>,
}

impl TreeProof {
    /// Verifies that `key` has `value` under `root`.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify_inclusion(
        &self,
        root: &Digest32,
        key: &Digest32,
        value: &[u8],
    ) -> Result<(), VerifyError> {
        if self.other.is_some() {
            return Err(VerifyError);
        }
        self.fold(root, key, leaf_hash(key, &value_hash(value)))
    }

    /// Verifies that `key` has no value under `root`.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify_exclusion(&self, root: &Digest32, key: &Digest32) -> Result<(), VerifyError> {
        let start = match &self.other {
            None => EMPTY_TREE,
            Some(other) => {
                // The other leaf must be another one, and stand on the key's own way.
                let shared = (0..MAX_DEPTH)
                    .take_while(|i| bit(key, *i) == bit(&other.key, *i))
                    .count();
                if shared == MAX_DEPTH || shared < self.siblings.len() {
                    return Err(VerifyError);
                }
                leaf_hash(&other.key, &other.value_hash)
            }
        };
        self.fold(root, key, start)
    }

    fn fold(&self, root: &Digest32, key: &Digest32, start: Digest32) -> Result<(), VerifyError> {
        if self.siblings.len() > MAX_DEPTH {
            return Err(VerifyError);
        }
        let computed =
            self.siblings
                .iter()
                .enumerate()
                .rev()
                .fold(start, |hash, (depth, sibling)| {
                    if bit(key, depth) {
                        inner_hash(sibling, &hash)
                    } else {
                        inner_hash(&hash, sibling)
                    }
                });
        if computed == *root {
            Ok(())
        } else {
            Err(VerifyError)
        }
    }
}

/// Bit `i` of a key, the most significant first.
fn bit(key: &Digest32, i: usize) -> bool {
    key[i / 8] >> (7 - i % 8) & 1 == 1
}

/// `other`, the depth as a u16, a bitmap (bit i, from the least significant of byte 0, is set iff
/// sibling i is not the empty tree), and the siblings whose bit is set.
impl BorshSerialize for TreeProof {
    fn serialize<W: Write>(&self, writer: &mut W) -> std::io::Result<()> {
        let depth = u16::try_from(self.siblings.len())
            .ok()
            .filter(|d| usize::from(*d) <= MAX_DEPTH)
            .ok_or_else(|| Error::new(ErrorKind::InvalidInput, "a proof deeper than a key"))?;
        self.other.serialize(writer)?;
        depth.serialize(writer)?;
        let mut bitmap = vec![0u8; self.siblings.len().div_ceil(8)];
        for (i, sibling) in self.siblings.iter().enumerate() {
            if *sibling != EMPTY_TREE {
                bitmap[i / 8] |= 1 << (i % 8);
            }
        }
        writer.write_all(&bitmap)?;
        for sibling in self.siblings.iter().filter(|s| **s != EMPTY_TREE) {
            writer.write_all(sibling)?;
        }
        Ok(())
    }
}

impl BorshDeserialize for TreeProof {
    fn deserialize_reader<R: Read>(reader: &mut R) -> std::io::Result<Self> {
        let invalid = |what: &'static str| Error::new(ErrorKind::InvalidData, what);
        let other = Option::<OtherLeaf>::deserialize_reader(reader)?;
        let depth = usize::from(u16::deserialize_reader(reader)?);
        if depth > MAX_DEPTH {
            return Err(invalid("a proof deeper than a key"));
        }
        let mut bitmap = [0u8; MAX_DEPTH / 8];
        reader.read_exact(&mut bitmap[..depth.div_ceil(8)])?;
        if depth % 8 != 0 && bitmap[depth / 8] >> (depth % 8) != 0 {
            return Err(invalid("unused bits of a proof's bitmap are set"));
        }
        let mut siblings = Vec::with_capacity(depth);
        for i in 0..depth {
            if bitmap[i / 8] >> (i % 8) & 1 == 0 {
                siblings.push(EMPTY_TREE);
                continue;
            }
            let mut sibling = [0; 32];
            reader.read_exact(&mut sibling)?;
            if sibling == EMPTY_TREE {
                return Err(invalid("an empty sibling is spelled out"));
            }
            siblings.push(sibling);
        }
        Ok(Self { other, siblings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(first: u8) -> Digest32 {
        let mut key = [0; 32];
        key[0] = first;
        key
    }

    /// Two leaves that part at the first bit, and an empty quarter beside the second.
    fn sample() -> (Digest32, TreeProof, TreeProof) {
        let left = leaf_hash(&key(0), &value_hash(b"left"));
        let right = leaf_hash(&key(0x80), &value_hash(b"right"));
        let root = inner_hash(&left, &right);
        (
            root,
            TreeProof {
                other: None,
                siblings: vec![right],
            },
            TreeProof {
                other: Some(OtherLeaf {
                    key: key(0x80),
                    value_hash: value_hash(b"right"),
                }),
                siblings: vec![left],
            },
        )
    }

    #[test]
    fn shows_what_is_there_and_what_is_not() {
        let (root, inclusion, exclusion) = sample();
        assert!(inclusion.verify_inclusion(&root, &key(0), b"left").is_ok());
        assert!(exclusion.verify_exclusion(&root, &key(0xc0)).is_ok());
        // Another value, another key, another root.
        assert!(inclusion.verify_inclusion(&root, &key(0), b"lefT").is_err());
        assert!(inclusion.verify_inclusion(&root, &key(1), b"left").is_err());
        assert!(
            inclusion
                .verify_inclusion(&key(9), &key(0), b"left")
                .is_err()
        );
        // Exclusion of a key that is there; of a key on another way than the leaf shown.
        assert!(exclusion.verify_exclusion(&root, &key(0x80)).is_err());
        assert!(exclusion.verify_exclusion(&root, &key(0x40)).is_err());
        // An inclusion proof is no exclusion proof, nor the other way round.
        assert!(inclusion.verify_exclusion(&root, &key(0)).is_err());
        assert!(
            exclusion
                .verify_inclusion(&root, &key(0x80), b"right")
                .is_err()
        );
        // One level too few or too many.
        let mut short = inclusion.clone();
        short.siblings.pop();
        assert!(short.verify_inclusion(&root, &key(0), b"left").is_err());
        let mut long = inclusion;
        long.siblings.push(EMPTY_TREE);
        assert!(long.verify_inclusion(&root, &key(0), b"left").is_err());
        long.siblings = vec![EMPTY_TREE; 257];
        assert!(long.verify_inclusion(&root, &key(0), b"left").is_err());
    }

    #[test]
    fn encoding_is_canonical() {
        let (_, _, exclusion) = sample();
        let mut proof = exclusion;
        proof.siblings.extend([EMPTY_TREE, [3; 32], EMPTY_TREE]);
        let bytes = borsh::to_vec(&proof).expect("encodes");
        assert_eq!(bytes.len(), 1 + 64 + 2 + 1 + 2 * 32);
        assert_eq!(
            borsh::from_slice::<TreeProof>(&bytes).expect("decodes"),
            proof
        );
        for cut in 0..bytes.len() {
            assert!(borsh::from_slice::<TreeProof>(&bytes[..cut]).is_err());
        }
        // An unused bit of the bitmap; an empty sibling spelled out; a depth beyond the key.
        let mut bad = bytes.clone();
        bad[67] |= 1 << 4;
        assert!(borsh::from_slice::<TreeProof>(&bad).is_err());
        let mut bad = bytes.clone();
        bad[100..132].copy_from_slice(&EMPTY_TREE);
        assert!(borsh::from_slice::<TreeProof>(&bad).is_err());
        let mut bad = bytes;
        bad[65..67].copy_from_slice(&257u16.to_le_bytes());
        assert!(borsh::from_slice::<TreeProof>(&bad).is_err());
    }
}
