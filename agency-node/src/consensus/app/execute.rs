//! Executing blocks, each transaction checked once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use zkbureau_circuits::encoding::Document;
use zkbureau_ledger::block::{Block, MAX_BLOCK_BYTES};
use zkbureau_ledger::ids::TxHash;
use zkbureau_ledger::{Checked, Executed, LedgerError};

use crate::consensus::limits;
use crate::consensus::meters::Meters;
use crate::node::Node;

/// Bytes of transactions that are remembered of one height.
const MAX_REMEMBERED: usize = 4 * MAX_BLOCK_BYTES;

/// Why a block was not executed.
pub(super) enum Execution {
    /// It breaks a rule.
    Invalid(String),
    /// The ledger failed: that says nothing about the block.
    Failed(LedgerError),
}

impl From<LedgerError> for Execution {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Block(error) => Self::Invalid(error.to_string()),
            error => Self::Failed(error),
        }
    }
}

/// Transactions that were checked for a block and are not in the queue. When a round fails, the
/// next proposer's block has mostly the same ones.
#[derive(Clone, Default)]
pub(super) struct Verified(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    checked: HashMap<TxHash, Arc<Checked>>,
    bytes: usize,
}

impl Verified {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, hash: &TxHash) -> Option<Arc<Checked>> {
        self.lock().checked.get(hash).cloned()
    }

    fn add(&self, checked: &Arc<Checked>) {
        let mut inner = self.lock();
        if inner.bytes + checked.size() <= MAX_REMEMBERED {
            inner.bytes += checked.size();
            inner.checked.insert(checked.hash(), checked.clone());
        }
    }

    /// Forgets everything: the next height may have other rules.
    pub(super) fn clear(&self) {
        *self.lock() = Inner::default();
    }
}

/// Decodes and executes a block.
pub(super) fn execute_bytes(
    node: &Node,
    meters: &Meters,
    verified: &Verified,
    bytes: &Bytes,
) -> Result<Executed, Execution> {
    let block = Block::from_bytes(bytes).map_err(|e| Execution::Invalid(e.to_string()))?;
    execute(node, meters, verified, &block)
}

/// Executes a block. What waits in the queue, or was in another block of this height, is not checked a
/// second time.
pub(super) fn execute(
    node: &Node,
    meters: &Meters,
    verified: &Verified,
    block: &Block,
) -> Result<Executed, Execution> {
    let mut checked: BTreeMap<TxHash, Arc<Checked>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for transaction in &block.transactions {
        let hash = transaction.hash();
        match node.known(&hash).or_else(|| verified.get(&hash)) {
            Some(known) => {
                checked.insert(hash, known);
            }
            None => unknown.push(transaction.clone()),
        }
    }
    if !unknown.is_empty() {
        let hashes: Vec<TxHash> = unknown.iter().map(|t| t.hash()).collect();
        let results = meters.verify.time(|| node.ledger.check_stateless(unknown));
        for (hash, result) in hashes.into_iter().zip(results) {
            match result {
                Ok(fresh) => {
                    verified.add(&fresh);
                    checked.insert(hash, fresh);
                }
                Err(error) => {
                    return Err(Execution::Invalid(format!("transaction {hash}: {error}")));
                }
            }
        }
    }
    let executed = meters.execute.time(|| {
        node.ledger
            .execute_with(block, &|hash| checked.get(hash).cloned())
    })?;
    meters.tree.add(executed.tree_time());
    Ok(executed)
}

/// The block as it goes over the network, if it may.
pub(super) fn encode(block: &Block) -> Option<Bytes> {
    let bytes = block.to_bytes();
    (bytes.len() <= Block::MAX_BYTES && bytes.len() <= limits::MAX_PARTS * limits::PART_BYTES)
        .then(|| Bytes::from(bytes))
}
