//! Snapshots: the verified state at a certified header, in chunks (spec: `ledger/spec/snapshot.md`).
//!
//! Whoever imports one trusts the genesis file alone: validators are followed to the header, every
//! tree is rebuilt, and its root must be the one that the header commits to.

mod export;
mod import;

use std::io;

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;
use zkbureau_circuits::encoding::{Digest32, Document, hash_parts};
use zkbureau_circuits::log::LogEntry;
use zkbureau_params::domain;

use super::LedgerError;
use crate::block::SignedHeader;
use crate::ids::{AgencyId, ChainId, Height, HolderTag};
use crate::light::{LightError, ValidatorChange};
use crate::state::Roots;

/// Largest chunk in bytes.
pub const MAX_CHUNK_BYTES: usize = 1 << 20;
/// First byte of every chunk.
const CHUNK_VERSION: u8 = 1;

/// What a snapshot holds, and the hashes of its chunks. It is not believed: it only names early what
/// the state root would refuse in the end.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Manifest {
    /// The chain.
    pub chain_id: ChainId,
    /// The header whose state this is.
    pub signed: SignedHeader,
    /// The roots under it.
    pub roots: Roots,
    /// How many of the chunks, the first ones, hold changes of validators. The others are the same
    /// whoever makes them; certificates, and so these, may differ.
    pub trust_chunks: u32,
    /// Hash of every chunk.
    pub chunks: Vec<Digest32>,
}

impl Document for Manifest {
    const NAME: &'static str = "zkbureau/snapshot-manifest/v1";
    const MAX_BYTES: usize = 1 << 20;
}

impl Manifest {
    /// The height of the state.
    #[must_use]
    pub fn height(&self) -> Height {
        self.signed.header.height
    }

    /// Whether bytes are the chunk of this number, so that whoever downloads can ask somebody else.
    #[must_use]
    pub fn is_chunk(&self, number: u32, bytes: &[u8]) -> bool {
        let expected = usize::try_from(number)
            .ok()
            .and_then(|n| self.chunks.get(n));
        bytes.len() <= MAX_CHUNK_BYTES && expected == Some(&chunk_hash(bytes))
    }
}

/// Hash of a chunk, as the manifest has it.
#[must_use]
pub fn chunk_hash(bytes: &[u8]) -> Digest32 {
    hash_parts(domain::SNAPSHOT_CHUNK, &[bytes])
}

/// What chunks hold, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
enum Item {
    /// A change of validators below the header, oldest first.
    Change(Box<ValidatorChange>),
    /// A value of the registry, by ascending place in its tree.
    Value { path: Digest32, value: Vec<u8> },
    /// The leaves that follow are this agency's. Every agency with a tree, in ascending order.
    Agency(AgencyId),
    /// A leaf; as many entries of its log follow, oldest first. The leaf follows from them.
    Leaf {
        index: Digest32,
        holder_tag: HolderTag,
        entries: u32,
    },
    /// An entry of the last leaf's log.
    Entry(LogEntry),
}

/// A snapshot cannot be made or is refused.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The store has something in it already.
    #[error("the store is not empty")]
    NotEmpty,
    /// There is no header at this height.
    #[error("there is no header at height {0}")]
    NoHeader(Height),
    /// The state has more chunks than a manifest names.
    #[error("the state has too many chunks for a manifest")]
    TooLarge,
    /// The manifest contradicts itself or the genesis file.
    #[error("the manifest is not this chain's, or contradicts itself: {0}")]
    Manifest(&'static str),
    /// A chunk is not the one that the manifest names, or not well formed.
    #[error("chunk {number}: {reason}")]
    Chunk {
        /// Its number.
        number: u32,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The validators do not lead to the header.
    #[error(transparent)]
    Light(#[from] LightError),
    /// A rebuilt tree has another root than the header commits to.
    #[error("{tree} has another root than the header commits to")]
    Root {
        /// The registry, or an agency's tree.
        tree: String,
    },
    /// Chunks could not be written or read.
    #[error("a chunk cannot be moved: {0}")]
    Io(#[from] io::Error),
    /// The ledger fails.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}
