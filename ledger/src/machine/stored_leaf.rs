//! How a leaf is stored (spec: `ledger/spec/state.md`, "Storage").
//!
//! The newest entry of a log is stored with its leaf; when the next one comes it moves to the log
//! table. A leaf with one entry follows from that entry, so its head need not be stored. Together
//! this keeps a record well below 250 bytes, and a leaf read at an older height shows the log of
//! that height.
//!
//! ```text
//! first: 0 ‖ ordinal varint ‖ entry ‖ holder tag
//! later: 1 ‖ ordinal varint ‖ leaf ‖ effective period u32 ‖ flows [‖ stocks, if not the leaf's]
//! ```

use zkbureau_circuits::encoding::{Digest32, Document, PointBytes};
use zkbureau_circuits::log::LogEntry;
use zkbureau_circuits::period::Period;

use crate::ids::{AgencyId, HolderTag};
use crate::state::{Leaf, value_hash};

/// A leaf with what the store needs besides: the newest log entry, and the number under which the
/// older ones stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredLeaf {
    pub(crate) leaf: Leaf,
    pub(crate) newest: LogEntry,
    /// The how manieth leaf of its agency this is: a short name for its log.
    pub(crate) ordinal: u64,
}

const FIRST: u8 = 0;
const LATER: u8 = 1;

impl StoredLeaf {
    /// The leaf after its first report.
    pub(crate) fn first(entry: LogEntry, tag: HolderTag, ordinal: u64) -> Self {
        Self {
            leaf: Leaf::first(&entry, tag),
            newest: entry,
            ordinal,
        }
    }

    /// The leaf after one more report; none when the leaf does not take it.
    pub(crate) fn after(&self, entry: LogEntry, tag: HolderTag) -> Option<Self> {
        Some(Self {
            leaf: self.leaf.after(&entry, tag)?,
            newest: entry,
            ordinal: self.ordinal,
        })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(192);
        if self.leaf.entries == 1 {
            out.push(FIRST);
            crate::tree::write_varint(&mut out, self.ordinal);
            push(&mut out, &self.newest);
            push(&mut out, &self.leaf.holder_tag);
        } else {
            out.push(LATER);
            crate::tree::write_varint(&mut out, self.ordinal);
            push(&mut out, &self.leaf);
            push(&mut out, &self.newest.effective_period);
            push(&mut out, &self.newest.flows);
            if self.newest.stocks != self.leaf.stocks {
                push(&mut out, &self.newest.stocks);
            }
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, mut rest) = bytes.split_first()?;
        let ordinal = crate::tree::read_varint(&mut rest)?;
        match *kind {
            FIRST => {
                let (entry, tag) = borsh::from_slice::<(LogEntry, HolderTag)>(rest).ok()?;
                Some(Self::first(entry, tag, ordinal))
            }
            LATER => {
                type Fixed = (Leaf, Period, PointBytes);
                const STOCKS: usize = 32;
                let (fixed, stocks) = match rest.len() {
                    LATER_BYTES => (rest, None),
                    n if n == LATER_BYTES + STOCKS => {
                        let (fixed, stocks) = rest.split_at(LATER_BYTES);
                        (fixed, Some(PointBytes(stocks.try_into().ok()?)))
                    }
                    _ => return None,
                };
                let (leaf, effective_period, flows) = borsh::from_slice::<Fixed>(fixed).ok()?;
                Some(Self {
                    newest: LogEntry {
                        effective_period,
                        reported_period: leaf.last_reported,
                        stocks: stocks.unwrap_or(leaf.stocks),
                        flows,
                    },
                    leaf,
                    ordinal,
                })
            }
            _ => None,
        }
    }
}

/// Bytes of a later leaf whose newest entry has the leaf's stocks, behind the ordinal.
const LATER_BYTES: usize = 108 + 4 + 32;

fn push<T: borsh::BorshSerialize>(out: &mut Vec<u8>, value: &T) {
    value.serialize(out).expect("encoding into memory");
}

/// The hash under which a stored leaf stands in its tree.
pub(crate) fn stored_value_hash(record: &[u8]) -> Option<Digest32> {
    StoredLeaf::decode(record).map(|stored| value_hash(&stored.leaf.to_bytes()))
}

/// Key of a log entry: `agency ‖ ordinal ‖ number`.
pub(crate) fn log_key(agency: AgencyId, ordinal: u64, number: u32) -> Vec<u8> {
    let mut key = Vec::with_capacity(16);
    key.extend_from_slice(&agency.0.to_be_bytes());
    key.extend_from_slice(&ordinal.to_be_bytes());
    key.extend_from_slice(&number.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(effective: u32, reported: u32, byte: u8) -> LogEntry {
        let period = |month| Period::new(2005, month).expect("valid");
        LogEntry {
            effective_period: period(effective),
            reported_period: period(reported),
            stocks: PointBytes([byte; 32]),
            flows: PointBytes([byte + 1; 32]),
        }
    }

    #[test]
    fn what_is_stored_comes_back() {
        let first = StoredLeaf::first(entry(5, 5, 1), HolderTag([9; 32]), 300);
        let newer = first
            .after(entry(6, 6, 3), HolderTag([8; 32]))
            .expect("accepted");
        let late = newer
            .after(entry(4, 7, 5), HolderTag([7; 32]))
            .expect("accepted");
        assert_eq!(late.leaf.stocks, newer.leaf.stocks);
        assert!(late.after(entry(6, 6, 7), HolderTag([7; 32])).is_none());
        for (stored, length) in [(first, 107), (newer, 147), (late, 179)] {
            let bytes = stored.encode();
            assert_eq!(bytes.len(), length);
            assert_eq!(StoredLeaf::decode(&bytes), Some(stored));
            assert_eq!(
                stored_value_hash(&bytes),
                Some(value_hash(&stored.leaf.to_bytes()))
            );
            for cut in 0..bytes.len() {
                // A late leaf cut by exactly its stocks is the only prefix that is a leaf, too.
                let decoded = StoredLeaf::decode(&bytes[..cut]);
                assert!(decoded.is_none() || (length == 179 && cut == 147), "{cut}");
            }
        }
    }
}
