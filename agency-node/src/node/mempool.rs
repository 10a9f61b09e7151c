//! Transactions that wait for a block.
//!
//! Small transactions (consents, revocations, inquiries, audit requests) and bulk (batches of
//! records) are bounded apart, so that one agency's monthly file never keeps a borrower's
//! revocation out. Which of them come first in a block is the ledger's decision.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use zkbureau_ledger::ids::TxHash;

/// Most small transactions waiting.
pub const MAX_SMALL: usize = 16_384;
/// Most bytes of batches waiting: sixteen of the largest.
pub const MAX_BULK_BYTES: usize = 64 << 20;
/// Reasons of refusal that are remembered for whoever asks.
const MAX_REMEMBERED: usize = 4_096;

/// The queue. `T` is a checked transaction; cloning it is cheap.
#[derive(Debug)]
pub struct Mempool<T> {
    next: u64,
    waiting: BTreeMap<u64, Entry<T>>,
    numbers: HashMap<TxHash, u64>,
    small: usize,
    bulk_bytes: usize,
    refused: HashMap<TxHash, String>,
    refused_order: VecDeque<TxHash>,
}

#[derive(Debug)]
struct Entry<T> {
    bytes: usize,
    bulk: bool,
    since: Instant,
    item: T,
}

/// A part of the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// What is counted.
    pub what: &'static str,
    /// How much of it fits.
    pub limit: u64,
}

impl<T: Clone> Mempool<T> {
    /// An empty queue.
    pub fn new() -> Self {
        Self {
            next: 0,
            waiting: BTreeMap::new(),
            numbers: HashMap::new(),
            small: 0,
            bulk_bytes: 0,
            refused: HashMap::new(),
            refused_order: VecDeque::new(),
        }
    }

    /// Whether one more transaction of this size fits. Asked before the expensive checks.
    pub fn room(&self, bytes: usize, bulk: bool) -> Result<(), Full> {
        if bulk && self.bulk_bytes + bytes > MAX_BULK_BYTES {
            return Err(Full {
                what: "bytes of batches",
                limit: MAX_BULK_BYTES as u64,
            });
        }
        if !bulk && self.small >= MAX_SMALL {
            return Err(Full {
                what: "transactions",
                limit: MAX_SMALL as u64,
            });
        }
        Ok(())
    }

    /// Adds a transaction. One that waits already is not added twice.
    pub fn insert(&mut self, hash: TxHash, bytes: usize, bulk: bool, item: T) -> Result<(), Full> {
        if self.numbers.contains_key(&hash) {
            return Ok(());
        }
        self.room(bytes, bulk)?;
        if bulk {
            self.bulk_bytes += bytes;
        } else {
            self.small += 1;
        }
        self.forget_refusal(&hash);
        self.numbers.insert(hash, self.next);
        self.waiting.insert(
            self.next,
            Entry {
                bytes,
                bulk,
                since: Instant::now(),
                item,
            },
        );
        self.next += 1;
        Ok(())
    }

    /// Takes a transaction out, because it is in a block.
    pub fn remove(&mut self, hash: &TxHash) {
        if let Some(number) = self.numbers.remove(hash)
            && let Some(entry) = self.waiting.remove(&number)
        {
            if entry.bulk {
                self.bulk_bytes -= entry.bytes;
            } else {
                self.small -= 1;
            }
        }
    }

    /// Takes a transaction out for good and remembers why.
    pub fn refuse(&mut self, hash: &TxHash, reason: String) {
        self.remove(hash);
        if self.refused.insert(*hash, reason).is_none() {
            self.refused_order.push_back(*hash);
        }
        if self.refused_order.len() > MAX_REMEMBERED
            && let Some(oldest) = self.refused_order.pop_front()
        {
            self.refused.remove(&oldest);
        }
    }

    fn forget_refusal(&mut self, hash: &TxHash) {
        if self.refused.remove(hash).is_some() {
            self.refused_order.retain(|h| h != hash);
        }
    }

    /// Whether a transaction waits.
    pub fn contains(&self, hash: &TxHash) -> bool {
        self.numbers.contains_key(hash)
    }

    /// A transaction that has been waiting for longer than `time`.
    pub fn waiting_longer_than(&self, hash: &TxHash, time: Duration) -> Option<T> {
        let entry = self.waiting.get(self.numbers.get(hash)?)?;
        (entry.since.elapsed() > time).then(|| entry.item.clone())
    }

    /// Why a transaction was refused, if that is remembered.
    pub fn refusal(&self, hash: &TxHash) -> Option<&str> {
        self.refused.get(hash).map(String::as_str)
    }

    /// Everything that waits, oldest first.
    pub fn candidates(&self) -> Vec<T> {
        self.waiting.values().map(|e| e.item.clone()).collect()
    }

    /// Number of the youngest transaction, to notice arrivals; 0 before the first.
    pub fn youngest(&self) -> u64 {
        self.next
    }

    /// Transactions waiting.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of batches waiting.
    pub fn bulk_bytes(&self) -> usize {
        self.bulk_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u32) -> TxHash {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        TxHash(bytes)
    }

    #[test]
    fn a_full_bulk_queue_leaves_room_for_small_ones_and_the_other_way_round() {
        let mut pool = Mempool::new();
        let half = MAX_BULK_BYTES / 2;
        pool.insert(hash(1), half, true, 1).expect("room");
        pool.insert(hash(2), half, true, 2).expect("room");
        let full = pool.insert(hash(3), 1, true, 3).expect_err("full");
        assert_eq!(full.limit, MAX_BULK_BYTES as u64);
        pool.insert(hash(4), 100, false, 4).expect("small fits");
        pool.remove(&hash(1));
        pool.insert(hash(3), 1, true, 3).expect("room again");
        assert_eq!(pool.candidates(), [2, 4, 3]);

        for n in 10..10 + MAX_SMALL as u32 - 1 {
            pool.insert(hash(n), 100, false, 0).expect("room");
        }
        assert!(pool.insert(hash(5), 100, false, 5).is_err());
        pool.insert(hash(6), 1, true, 6).expect("bulk fits");
    }

    #[test]
    fn nothing_waits_twice_and_sizes_add_up() {
        let mut pool = Mempool::new();
        pool.insert(hash(1), 10, true, ()).expect("room");
        pool.insert(hash(1), 10, true, ()).expect("known");
        assert_eq!((pool.len(), pool.bulk_bytes()), (1, 10));
        pool.remove(&hash(1));
        pool.remove(&hash(1));
        assert_eq!((pool.len(), pool.bulk_bytes()), (0, 0));
    }

    #[test]
    fn refusals_are_remembered_up_to_a_bound_and_forgotten_when_tried_again() {
        let mut pool = Mempool::new();
        for n in 0..MAX_REMEMBERED as u32 + 5 {
            pool.refuse(&hash(n), format!("reason {n}"));
        }
        assert_eq!(pool.refusal(&hash(4)), None);
        assert_eq!(pool.refusal(&hash(5)), Some("reason 5"));
        pool.insert(hash(5), 1, false, ()).expect("room");
        assert_eq!(pool.refusal(&hash(5)), None);
        assert!(pool.contains(&hash(5)));
    }
}
