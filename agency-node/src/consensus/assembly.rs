//! Putting proposed blocks together from their parts.
//!
//! Parts that come here were signed by the proposer of their round, and the round is not far ahead, so
//! nobody else can fill this memory. A proposer may send two blocks in one round (and is found out by its
//! two proposals), not more, finished ones included; all blocks that are under way together have a limit,
//! and the oldest rounds go first.

use std::collections::{BTreeMap, HashMap};

use bytes::{Bytes, BytesMut};
use zkbureau_ledger::block::MAX_BLOCK_BYTES;

use arc_malachitebft_app_channel::app::types::PeerId;

use zkbureau_ledger::keys::Signature;

use super::context::{HeaderHash, Part, PartHead};
use super::limits::PART_BYTES;

/// Blocks of one round.
const MAX_OF_ROUND: usize = 2;
/// Bytes of all blocks that may be under way.
const MAX_BYTES: usize = 8 * MAX_BLOCK_BYTES;
/// Bytes that one publisher may send ahead.
const MAX_EARLY_OF_PUBLISHER: usize = MAX_BLOCK_BYTES + PART_BYTES;
/// Bytes that all publishers together may send ahead.
const MAX_EARLY: usize = 8 * MAX_BLOCK_BYTES;

/// Everything that the parts of one block have in common, besides its height.
type Key = (u32, HeaderHash, Option<u32>, u16);

fn key(head: &PartHead) -> Key {
    (head.round, head.value, head.valid_round, head.count)
}

/// Blocks of one height that are under way.
#[derive(Debug, Default)]
pub struct Assembly {
    open: BTreeMap<Key, BTreeMap<u16, (Bytes, Signature)>>,
    bytes: usize,
    /// Every block that was ever begun, by round.
    begun: BTreeMap<u32, Vec<Key>>,
}

/// A block with all its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// The bytes of the block.
    pub bytes: Bytes,
    /// The proposer's signatures of its parts, in order: with them anybody can send the parts again.
    pub signatures: Vec<Signature>,
}

/// What became of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It was the last that was missing.
    Complete(Whole),
    /// More is missing, or it was here already.
    Incomplete,
    /// The proposer sends more blocks in one round than it may.
    TooMany,
}

impl Assembly {
    /// Adds a part whose signature was checked.
    pub fn add(&mut self, part: &Part) -> Added {
        let key = key(&part.head);
        let begun = self.begun.entry(key.0).or_default();
        if !begun.contains(&key) {
            if begun.len() >= MAX_OF_ROUND {
                return Added::TooMany;
            }
            begun.push(key);
        }
        let parts = self.open.entry(key).or_default();
        if parts.contains_key(&part.head.index) {
            return Added::Incomplete;
        }
        parts.insert(part.head.index, (part.bytes.clone(), part.signature));
        self.bytes += part.bytes.len();
        if parts.len() == usize::from(part.head.count) {
            let parts = self.open.remove(&key).unwrap_or_default();
            let mut block = BytesMut::with_capacity(parts.values().map(|(b, _)| b.len()).sum());
            let mut signatures = Vec::with_capacity(parts.len());
            for (bytes, signature) in parts.into_values() {
                block.extend_from_slice(&bytes);
                signatures.push(signature);
            }
            self.bytes -= block.len();
            return Added::Complete(Whole {
                bytes: block.freeze(),
                signatures,
            });
        }
        while self.bytes > MAX_BYTES {
            let Some((_, parts)) = self.open.pop_first() else {
                break;
            };
            self.bytes -= parts.values().map(|(b, _)| b.len()).sum::<usize>();
        }
        Added::Incomplete
    }

    /// Forgets everything: the height is decided.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Parts of the height after the one that is being decided. Who may propose there is not known
/// yet, so they wait unchecked, bounded per publisher.
#[derive(Debug, Default)]
pub struct Early {
    parts: Vec<Part>,
    publishers: HashMap<PeerId, usize>,
    bytes: usize,
}

impl Early {
    /// Keeps a part, if there is room.
    pub fn add(&mut self, publisher: PeerId, part: Part) {
        // All parts but a block's last are full, so a flood of tiny ones gains nothing.
        let size = part.bytes.len().max(PART_BYTES);
        let used = self.publishers.entry(publisher).or_default();
        if *used + size <= MAX_EARLY_OF_PUBLISHER && self.bytes + size <= MAX_EARLY {
            *used += size;
            self.bytes += size;
            self.parts.push(part);
        }
    }

    /// Gives all parts.
    pub fn take(&mut self) -> Vec<Part> {
        std::mem::take(self).parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::context::{Address, Height};
    use zkbureau_ledger::ids::{self, AgencyId};
    use zkbureau_ledger::keys::Signature;

    fn part(round: u32, value: u8, index: u16, count: u16, length: usize) -> Part {
        Part {
            head: PartHead {
                height: Height(ids::Height(1)),
                round,
                valid_round: None,
                proposer: Address(AgencyId(1)),
                value: HeaderHash([value; 32]),
                index,
                count,
            },
            bytes: vec![index as u8; length].into(),
            signature: Signature([0; 64]),
        }
    }

    #[test]
    fn parts_come_in_any_order_and_twice() {
        let mut assembly = Assembly::default();
        for index in [2, 0, 2, 0] {
            assert_eq!(assembly.add(&part(0, 1, index, 3, 4)), Added::Incomplete);
        }
        let block = Bytes::from_static(&[0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
        let whole = Whole {
            bytes: block,
            signatures: vec![Signature([0; 64]); 3],
        };
        assert_eq!(assembly.add(&part(0, 1, 1, 3, 4)), Added::Complete(whole));
        assert_eq!(assembly.bytes, 0);
    }

    #[test]
    fn a_proposer_has_two_blocks_of_a_round_at_most() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.add(&part(0, 1, 0, 2, 4)), Added::Incomplete);
        assert_eq!(assembly.add(&part(0, 2, 0, 2, 4)), Added::Incomplete);
        assert_eq!(assembly.add(&part(0, 3, 0, 2, 4)), Added::TooMany);
        // Another number of parts is another block.
        assert_eq!(assembly.add(&part(0, 1, 0, 3, 4)), Added::TooMany);
        assert_eq!(assembly.add(&part(1, 3, 0, 2, 4)), Added::Incomplete);
        assert!(matches!(
            assembly.add(&part(0, 1, 1, 2, 4)),
            Added::Complete(_)
        ));
        // One that is complete still counts.
        assert_eq!(assembly.add(&part(0, 3, 0, 1, 4)), Added::TooMany);
        // The same one again is looked at again: why it was refused may have passed.
        for _ in 0..2 {
            assembly.add(&part(0, 1, 0, 2, 4));
            assert!(matches!(
                assembly.add(&part(0, 1, 1, 2, 4)),
                Added::Complete(_)
            ));
        }
    }

    #[test]
    fn memory_is_bounded_and_old_rounds_go_first() {
        let mut assembly = Assembly::default();
        for round in 0..200 {
            assembly.add(&part(round, 1, 0, 16, PART_BYTES));
            assert!(assembly.bytes <= MAX_BYTES);
        }
        assert_eq!(assembly.open.len(), MAX_BYTES / PART_BYTES);
        assert!(assembly.open.keys().all(|k| k.0 >= 200 - 128));

        let mut early = Early::default();
        let publisher = |n: u8| {
            let mut bytes = vec![0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
            bytes.extend([n; 32]);
            PeerId::from_bytes(&bytes).expect("a peer")
        };
        for index in 0..100 {
            early.add(publisher(1), part(0, 1, index, 200, PART_BYTES));
        }
        assert_eq!(early.parts.len(), MAX_EARLY_OF_PUBLISHER / PART_BYTES);
        for n in 2..100 {
            for index in 0..16 {
                early.add(publisher(n), part(0, 1, index, 200, PART_BYTES));
            }
        }
        assert!(early.bytes <= MAX_EARLY);
        assert_eq!(early.take().len(), MAX_EARLY / PART_BYTES);
        assert_eq!(early.bytes, 0);
        // Parts of one byte each.
        for round in 0..100_000 {
            early.add(publisher(1), part(round, 1, 0, 1, 1));
        }
        assert_eq!(early.take().len(), MAX_EARLY_OF_PUBLISHER / PART_BYTES);
    }
}
