//! Headers and blocks.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zkbureau_circuits::encoding::{Digest32, Document, hash_parts};
use zkbureau_params::domain;

use crate::ids::{AgencyId, ChainId, Height, TimeMs, TxHash};
use crate::transaction::Transaction;

/// Largest block that any policy may allow: it must pass the network's message limits.
pub const MAX_BLOCK_BYTES: usize = 4 << 20;

/// What a block commits to. Its hash is what validators sign.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The chain.
    pub chain_id: ChainId,
    /// Number of the block; the first is 1.
    pub height: Height,
    /// When it was proposed; later than the block before.
    pub time_ms: TimeMs,
    /// Hash of the header before; the chain id in block 1.
    #[serde(with = "hex::serde")]
    pub previous: Digest32,
    /// Who proposed it.
    pub proposer: AgencyId,
    /// [`transactions_root`] of the block's transactions.
    #[serde(with = "hex::serde")]
    pub transactions_root: Digest32,
    /// Root over all trees after the block.
    #[serde(with = "hex::serde")]
    pub state_root: Digest32,
    /// The validators that sign this block.
    #[serde(with = "hex::serde")]
    pub validators_hash: Digest32,
    /// The validators that sign the next block.
    #[serde(with = "hex::serde")]
    pub next_validators_hash: Digest32,
}

impl Document for Header {
    const NAME: &'static str = "zkbureau/header/v1";
    const MAX_BYTES: usize = 256;
}

impl Header {
    /// The header's hash, the value that validators sign.
    #[must_use]
    pub fn hash(&self) -> Digest32 {
        self.digest()
    }
}

/// A header with its transactions.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// Its transactions; batches come last.
    pub transactions: Vec<Transaction>,
}

impl Block {
    /// The header and the number of transactions of an encoded block; the rest is not looked at.
    pub(crate) fn summary(bytes: &[u8]) -> Option<(Header, u32)> {
        let (_, mut body) = bytes.split_first().filter(|(v, _)| **v == Self::VERSION)?;
        <(Header, u32) as BorshDeserialize>::deserialize(&mut body).ok()
    }
}

impl Document for Block {
    const NAME: &'static str = "zkbureau/block/v1";
    const MAX_BYTES: usize = MAX_BLOCK_BYTES;
}

/// How far ahead of its own clock a validator lets a proposed block be.
pub const MAX_AHEAD_MS: u64 = 10_000;

/// A proposed block is from the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the block's time {got} is more than {MAX_AHEAD_MS} ms ahead of {now}")]
pub struct TimeAhead {
    /// The clock of whoever checks.
    pub now: TimeMs,
    /// The block's time.
    pub got: TimeMs,
}

/// For a validator that is about to vote on a *proposed* block: refuses one whose time is too far
/// ahead of its clock. The state machine has no clock, and a block that was decided is not compared
/// with one: by then the others' clocks have judged it.
///
/// # Errors
/// [`TimeAhead`].
pub fn check_time_ahead(header: &Header, now: TimeMs) -> Result<(), TimeAhead> {
    let got = header.time_ms;
    if got.0 > now.0.saturating_add(MAX_AHEAD_MS) {
        return Err(TimeAhead { now, got });
    }
    Ok(())
}

/// Root of a Merkle tree over transaction hashes. Leaves and inner nodes are hashed under different
/// domain strings, and the number of transactions goes into the root, so one list has one root.
#[must_use]
pub fn transactions_root(hashes: &[TxHash]) -> Digest32 {
    let mut level: Vec<Digest32> = hashes
        .iter()
        .map(|h| hash_parts(domain::TRANSACTION_LEAF, &[h.as_bytes()]))
        .collect();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => hash_parts(domain::TRANSACTION_NODE, &[left, right]),
                // The last of an odd number moves up unchanged.
                [last, ..] => *last,
                [] => unreachable!("chunks are not empty"),
            })
            .collect();
    }
    let count = (hashes.len() as u64).to_le_bytes();
    match level.first() {
        Some(top) => hash_parts(domain::TRANSACTIONS_ROOT, &[&count, top]),
        None => hash_parts(domain::TRANSACTIONS_ROOT, &[&count]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Day;
    use crate::keys::SecretKey;
    use crate::transaction::AnchorConsent;

    #[test]
    fn a_list_of_transactions_has_its_own_root() {
        let hash = |i: u8| TxHash([i; 32]);
        let mut seen = Vec::new();
        for length in 0..20u8 {
            let mut list: Vec<_> = (0..length).map(hash).collect();
            seen.push(transactions_root(&list));
            if length > 1 {
                list.swap(0, usize::from(length) - 1);
                seen.push(transactions_root(&list));
                list[0] = hash(99);
                seen.push(transactions_root(&list));
                // Doubling the last must differ from leaving it single.
                list.push(list[list.len() - 1]);
                seen.push(transactions_root(&list));
            }
        }
        let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len());
        // Neither leaves nor inner nodes can stand for each other.
        let two = transactions_root(&[hash(1), hash(2)]);
        let inner = hash_parts(
            domain::TRANSACTION_NODE,
            &[
                &hash_parts(domain::TRANSACTION_LEAF, &[&[1; 32]]),
                &hash_parts(domain::TRANSACTION_LEAF, &[&[2; 32]]),
            ],
        );
        assert_ne!(two, transactions_root(&[TxHash(inner)]));
    }

    #[test]
    fn a_summary_is_that_of_the_whole_block() {
        let header = Header {
            chain_id: ChainId([11; 32]),
            height: Height(2),
            time_ms: TimeMs(3),
            previous: [4; 32],
            proposer: AgencyId(5),
            transactions_root: [6; 32],
            state_root: [7; 32],
            validators_hash: [8; 32],
            next_validators_hash: [9; 32],
        };
        let key = SecretKey::from_seed(&[1; 32]).public();
        for count in [0_u32, 1, 3] {
            let anchor = |n: u32| AnchorConsent {
                commitment: [n as u8; 32],
                use_key: key,
                revocation_key: key,
                expiry: Day(9),
            };
            let transactions = (0..count).map(|n| anchor(n).into()).collect();
            let block = Block {
                header,
                transactions,
            };
            let bytes = block.to_bytes();
            assert_eq!(Block::summary(&bytes), Some((header, count)));
            assert_eq!(Block::summary(&bytes[1..]), None);
        }
        assert_eq!(Block::summary(&[]), None);
        assert_eq!(Block::summary(&[Block::VERSION; 9]), None);
    }
}
