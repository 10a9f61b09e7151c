//! A block with what it changes, before it is final.

use std::sync::Arc;
use std::time::Duration;

use zkbureau_circuits::encoding::Digest32;

use super::block_writes;
use crate::block::{Block, Header};
use crate::consortium::Consortium;
use crate::ids::TxHash;
use crate::machine::{Context, Outcome, TxError};
use crate::state::Roots;
use crate::store::ChangeSet;
use crate::tree::Trees;

/// An executed block. It becomes final with [`Ledger::commit`](super::Ledger::commit); dropped, it
/// has changed nothing.
#[derive(Clone, Debug)]
pub struct Executed {
    block: Block,
    hash: Digest32,
    trees: Trees,
    changes: ChangeSet,
    next: Arc<Context>,
    tree_time: Duration,
}

impl Executed {
    pub(super) fn new(block: Block, hashes: &[TxHash], outcome: Outcome) -> Self {
        let mut changes = outcome.changes;
        changes.append(block_writes(&block, hashes));
        Self {
            hash: block.header.hash(),
            block,
            trees: outcome.trees,
            changes,
            next: outcome.next,
            tree_time: outcome.tree_time,
        }
    }

    /// The block.
    #[must_use]
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// Its header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.block.header
    }

    /// Hash of the header: what validators sign.
    #[must_use]
    pub fn hash(&self) -> Digest32 {
        self.hash
    }

    /// The roots after the block.
    #[must_use]
    pub fn roots(&self) -> Roots {
        self.trees.roots()
    }

    /// The consortium that is in force for the next block.
    #[must_use]
    pub fn next_consortium(&self) -> &Arc<Consortium> {
        self.next.consortium()
    }

    /// Time that executing it spent on trees, added over agencies that were applied in parallel.
    #[must_use]
    pub fn tree_time(&self) -> Duration {
        self.tree_time
    }

    pub(super) fn into_changes(self) -> (ChangeSet, Trees, Arc<Context>) {
        (self.changes, self.trees, self.next)
    }
}

/// A block made from candidates.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The block.
    pub executed: Executed,
    /// Candidates that are not valid, with what is wrong with them.
    pub dropped: Vec<(TxHash, TxError)>,
    /// Candidates that found no room or may be valid in the next block.
    pub deferred: Vec<TxHash>,
}
