//! Transactions that wait for a block.
//!
//! Every kind has a quota of its own, and every agency one for its batches. So one agency's monthly file
//! never keeps another's out, and neither do consent anchors, which nobody signs for, keep out a borrower's
//! revocation or inquiry, an audit or a vote. What comes first in a block is the ledger's decision.
//!
//! What waits here has passed the stateless checks. They are repeated when the consortium's rules change:
//! until then such an entry is *stale* and not offered to a block.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::ids::TxHash;
use zkbureau_ledger::transaction::{Kind, Transaction};

/// Reasons of refusal that are remembered for whoever asks.
const MAX_REMEMBERED: usize = 4_096;

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of batches, of all agencies together.
    pub bulk_bytes: usize,
    /// Bytes of batches of one agency.
    pub agency_bulk_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Sixteen of the largest batches, and four of each agency.
            bulk_bytes: 64 << 20,
            agency_bulk_bytes: 16 << 20,
        }
    }
}

/// What a transaction is counted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Batches of an agency; counted in bytes.
    Batches(AgencyId),
    /// Any other kind; counted in transactions.
    Small(Kind),
}

impl Lane {
    /// The lane of a transaction.
    #[must_use]
    pub fn of(transaction: &Transaction) -> Self {
        match transaction {
            Transaction::PublishBatch(batch) => Self::Batches(batch.body.agency),
            other => Self::Small(other.kind()),
        }
    }

    /// Whether it is bulk, which yields to everything else.
    #[must_use]
    pub fn is_bulk(self) -> bool {
        matches!(self, Self::Batches(_))
    }

    /// Most transactions of a small kind.
    fn places(kind: Kind) -> usize {
        match kind {
            // Nobody signs for them, so they are what a flood would be made of.
            Kind::AnchorConsent => 8_192,
            Kind::RevokeConsent | Kind::Inquiry => 8_192,
            // Few parties sign these.
            _ => 1_024,
        }
    }
}

/// The queue. `T` is a checked transaction; cloning it is cheap.
#[derive(Debug)]
pub struct Mempool<T> {
    limits: Limits,
    next: u64,
    waiting: BTreeMap<u64, Entry<T>>,
    numbers: HashMap<TxHash, u64>,
    /// Transactions of each lane, and their bytes.
    lanes: HashMap<Lane, Used>,
    bulk_bytes: usize,
    refused: HashMap<TxHash, Refusal>,
    refused_order: VecDeque<TxHash>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    count: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<T> {
    hash: TxHash,
    bytes: usize,
    lane: Lane,
    since: Instant,
    /// When it was last sent to other nodes from here.
    sent: Option<Instant>,
    /// Handed in here, so this node keeps telling the others about it.
    own: bool,
    stale: bool,
    item: T,
}

/// A part of the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// What is counted.
    pub what: &'static str,
    /// How much of it fits.
    pub limit: u64,
    /// When it is worth trying again.
    pub retry_after: Duration,
}

/// Why a transaction was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For people.
    pub reason: String,
    /// Whether it can never be valid again, whatever the others do.
    pub lasting: bool,
}

/// What is to be added.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Its hash.
    pub hash: TxHash,
    /// Its size.
    pub bytes: usize,
    /// What it is counted with.
    pub lane: Lane,
    /// Whether it was handed in at this node.
    pub own: bool,
}

impl<T: Clone> Mempool<T> {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            next: 0,
            waiting: BTreeMap::new(),
            numbers: HashMap::new(),
            lanes: HashMap::new(),
            bulk_bytes: 0,
            refused: HashMap::new(),
            refused_order: VecDeque::new(),
        }
    }

    /// Whether one more transaction of this size fits. Asked before the expensive checks.
    ///
    /// # Errors
    /// [`Full`] says which part is full.
    pub fn room(&self, bytes: usize, lane: Lane) -> Result<(), Full> {
        let used = self.lanes.get(&lane).copied().unwrap_or_default();
        let full = |what, limit: usize, seconds| Full {
            what,
            limit: limit as u64,
            retry_after: Duration::from_secs(seconds),
        };
        match lane {
            Lane::Batches(_) => {
                let Limits {
                    bulk_bytes,
                    agency_bulk_bytes,
                } = self.limits;
                if used.bytes + bytes > agency_bulk_bytes {
                    return Err(full("bytes of an agency's batches", agency_bulk_bytes, 2));
                }
                if self.bulk_bytes + bytes > bulk_bytes {
                    return Err(full("bytes of batches", bulk_bytes, 2));
                }
            }
            Lane::Small(kind) => {
                let places = Lane::places(kind);
                if used.count >= places {
                    return Err(full("transactions of this kind", places, 1));
                }
            }
        }
        Ok(())
    }

    /// Adds a transaction. Says whether it is new: one that waits already is not added twice.
    ///
    /// # Errors
    /// [`Full`].
    pub fn insert(&mut self, arrival: Arrival, item: T) -> Result<bool, Full> {
        let Arrival {
            hash,
            bytes,
            lane,
            own,
        } = arrival;
        if let Some(entry) = self
            .numbers
            .get(&hash)
            .and_then(|n| self.waiting.get_mut(n))
        {
            entry.own |= own;
            return Ok(false);
        }
        self.room(bytes, lane)?;
        let used = self.lanes.entry(lane).or_default();
        used.count += 1;
        used.bytes += bytes;
        if lane.is_bulk() {
            self.bulk_bytes += bytes;
        }
        self.forget_refusal(&hash);
        self.numbers.insert(hash, self.next);
        self.waiting.insert(
            self.next,
            Entry {
                hash,
                bytes,
                lane,
                since: Instant::now(),
                sent: None,
                own,
                stale: false,
                item,
            },
        );
        self.next += 1;
        Ok(true)
    }

    /// Takes a transaction out, because it is in a block.
    pub fn remove(&mut self, hash: &TxHash) {
        let Some(number) = self.numbers.remove(hash) else {
            return;
        };
        let Some(entry) = self.waiting.remove(&number) else {
            return;
        };
        if entry.lane.is_bulk() {
            self.bulk_bytes -= entry.bytes;
        }
        if let Some(used) = self.lanes.get_mut(&entry.lane) {
            used.count -= 1;
            used.bytes -= entry.bytes;
            if used.count == 0 {
                self.lanes.remove(&entry.lane);
            }
        }
    }

    /// Takes a transaction out for good and remembers why.
    pub fn refuse(&mut self, hash: &TxHash, refusal: Refusal) {
        self.remove(hash);
        if self.refused.insert(*hash, refusal).is_none() {
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
    #[must_use]
    pub fn contains(&self, hash: &TxHash) -> bool {
        self.numbers.contains_key(hash)
    }

    /// A transaction that waits and is not stale.
    #[must_use]
    pub fn get(&self, hash: &TxHash) -> Option<T> {
        let entry = self.waiting.get(self.numbers.get(hash)?)?;
        (!entry.stale).then(|| entry.item.clone())
    }

    /// A transaction that has been waiting for longer than `time`.
    #[must_use]
    pub fn waiting_longer_than(&self, hash: &TxHash, time: Duration) -> Option<T> {
        let entry = self.waiting.get(self.numbers.get(hash)?)?;
        (entry.since.elapsed() > time).then(|| entry.item.clone())
    }

    /// Why a transaction was refused, if that is remembered.
    #[must_use]
    pub fn refusal(&self, hash: &TxHash) -> Option<&Refusal> {
        self.refused.get(hash)
    }

    /// Everything that may go into a block, oldest first.
    #[must_use]
    pub fn candidates(&self) -> Vec<T> {
        let fresh = self.waiting.values().filter(|e| !e.stale);
        fresh.map(|e| e.item.clone()).collect()
    }

    /// Marks everything as checked under rules that no longer hold; gives it all.
    pub fn make_stale(&mut self) -> Vec<T> {
        for entry in self.waiting.values_mut() {
            entry.stale = true;
        }
        self.waiting.values().map(|e| e.item.clone()).collect()
    }

    /// Replaces a stale transaction by one that was checked again.
    pub fn renew(&mut self, hash: &TxHash, item: T) {
        if let Some(entry) = self
            .numbers
            .get(hash)
            .and_then(|number| self.waiting.get_mut(number))
        {
            entry.item = item;
            entry.stale = false;
        }
    }

    /// Notes that a transaction was sent to the other nodes.
    pub fn sent(&mut self, hash: &TxHash) {
        if let Some(entry) = self
            .numbers
            .get(hash)
            .and_then(|number| self.waiting.get_mut(number))
        {
            entry.sent = Some(Instant::now());
        }
    }

    /// Transactions that the other nodes may not have: own ones that were not sent for `own_after`, and any
    /// that was never sent from here and is older than `any_after`. At most `most`; they count as sent.
    pub fn unsent(&mut self, own_after: Duration, any_after: Duration, most: usize) -> Vec<T> {
        let due = |entry: &Entry<T>| match entry.sent {
            Some(sent) => entry.own && sent.elapsed() >= own_after,
            None => entry.own || entry.since.elapsed() >= any_after,
        };
        let mut out = Vec::new();
        for entry in self.waiting.values_mut() {
            if out.len() == most {
                break;
            }
            if !entry.stale && due(entry) {
                entry.sent = Some(Instant::now());
                out.push(entry.item.clone());
            }
        }
        out
    }

    /// Hashes of everything that waits, oldest first.
    pub fn hashes(&self) -> impl Iterator<Item = TxHash> {
        self.waiting.values().map(|entry| entry.hash)
    }

    /// Number of the youngest transaction, to notice arrivals; 0 before the first.
    #[must_use]
    pub fn youngest(&self) -> u64 {
        self.next
    }

    /// Transactions waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Bytes of batches waiting.
    #[must_use]
    pub fn bulk_bytes(&self) -> usize {
        self.bulk_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Limits = Limits {
        bulk_bytes: 100,
        agency_bulk_bytes: 40,
    };

    fn hash(n: u32) -> TxHash {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        TxHash(bytes)
    }

    fn batch(n: u32, agency: u32, bytes: usize) -> Arrival {
        Arrival {
            hash: hash(n),
            bytes,
            lane: Lane::Batches(AgencyId(agency)),
            own: false,
        }
    }

    fn small(n: u32, kind: Kind) -> Arrival {
        Arrival {
            hash: hash(n),
            bytes: 200,
            lane: Lane::Small(kind),
            own: false,
        }
    }

    fn refusal(text: String) -> Refusal {
        Refusal {
            reason: text,
            lasting: true,
        }
    }

    #[test]
    fn an_agency_fills_its_own_share_and_not_the_others() {
        let mut pool = Mempool::new(SMALL);
        pool.insert(batch(1, 1, 20), 1).expect("room");
        pool.insert(batch(2, 1, 20), 2).expect("room");
        let full = pool.insert(batch(3, 1, 1), 3).expect_err("its share");
        assert_eq!(
            (full.limit, full.what),
            (40, "bytes of an agency's batches")
        );
        assert!(full.retry_after > Duration::ZERO);
        pool.insert(batch(4, 2, 40), 4).expect("another's share");
        let full = pool.insert(batch(5, 3, 21), 5).expect_err("everybody's");
        assert_eq!(full.limit, 100);
        pool.remove(&hash(1));
        pool.insert(batch(3, 1, 1), 3).expect("room again");
        assert_eq!(pool.candidates(), [2, 4, 3]);
        assert_eq!(pool.bulk_bytes(), 61);
    }

    #[test]
    fn anchors_cannot_crowd_out_what_somebody_signed() {
        let mut pool = Mempool::new(SMALL);
        let mut n = 0;
        while pool.insert(small(n, Kind::AnchorConsent), n).is_ok() {
            n += 1;
        }
        assert_eq!(n as usize, Lane::places(Kind::AnchorConsent));
        for (i, kind) in [Kind::RevokeConsent, Kind::Inquiry, Kind::AuditRequest]
            .into_iter()
            .enumerate()
        {
            pool.insert(small(1_000_000 + i as u32, kind), 0)
                .expect("room");
        }
        pool.insert(batch(2_000_000, 1, 40), 0).expect("bulk fits");
    }

    #[test]
    fn nothing_waits_twice_and_sizes_add_up() {
        let mut pool = Mempool::new(SMALL);
        assert!(pool.insert(batch(1, 1, 10), ()).expect("room"));
        assert!(!pool.insert(batch(1, 1, 10), ()).expect("known"));
        assert_eq!((pool.len(), pool.bulk_bytes()), (1, 10));
        pool.remove(&hash(1));
        pool.remove(&hash(1));
        assert_eq!((pool.len(), pool.bulk_bytes()), (0, 0));
        assert!(pool.lanes.is_empty());
    }

    #[test]
    fn refusals_are_remembered_up_to_a_bound_and_forgotten_when_tried_again() {
        let mut pool = Mempool::new(SMALL);
        for n in 0..MAX_REMEMBERED as u32 + 5 {
            pool.refuse(&hash(n), refusal(format!("reason {n}")));
        }
        assert_eq!(pool.refusal(&hash(4)), None);
        assert_eq!(pool.refusal(&hash(5)), Some(&refusal("reason 5".into())));
        pool.insert(small(5, Kind::Inquiry), ()).expect("room");
        assert_eq!(pool.refusal(&hash(5)), None);
        assert!(pool.contains(&hash(5)));
    }

    #[test]
    fn stale_transactions_keep_their_place_and_are_not_offered() {
        let mut pool = Mempool::new(SMALL);
        pool.insert(batch(1, 1, 10), 1).expect("room");
        pool.insert(batch(2, 1, 10), 2).expect("room");
        assert_eq!(pool.make_stale(), [1, 2]);
        assert_eq!(pool.candidates(), [] as [i32; 0]);
        assert!(pool.contains(&hash(1)));
        assert_eq!(pool.get(&hash(1)), None);
        pool.renew(&hash(2), 20);
        assert_eq!(pool.candidates(), [20]);
        pool.refuse(&hash(1), refusal("old rules".into()));
        assert_eq!(pool.bulk_bytes(), 10);
    }

    #[test]
    fn own_transactions_are_sent_until_they_are_final_and_others_once() {
        let mut pool = Mempool::new(SMALL);
        let own = Arrival {
            own: true,
            ..batch(1, 1, 10)
        };
        pool.insert(own, 1).expect("room");
        pool.insert(batch(2, 2, 10), 2).expect("room");
        let (soon, late) = (Duration::ZERO, Duration::from_secs(3600));
        assert_eq!(pool.unsent(late, late, 9), [1], "own ones at once");
        assert_eq!(pool.unsent(late, late, 9), [] as [i32; 0]);
        assert_eq!(pool.unsent(soon, soon, 1), [1], "again, one at a time");
        assert_eq!(pool.unsent(late, soon, 9), [2], "another's when it is late");
        assert_eq!(pool.unsent(soon, soon, 9), [1], "and never again");
        pool.remove(&hash(1));
        assert_eq!(pool.unsent(soon, soon, 9), [] as [i32; 0]);
    }
}
