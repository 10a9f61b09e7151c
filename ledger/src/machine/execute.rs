//! A whole block. Proposers and validators run the same code; they differ in what a bad transaction
//! means: a proposer leaves it out, a validator refuses the block.
//!
//! # Order
//! Small transactions come first and are applied one after the other; batches come last and are
//! applied agency by agency in parallel. Batches of different agencies touch different trees and
//! columns, so the outcome does not depend on the number of threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use thiserror::Error;
use zkbureau_circuits::encoding::{Digest32, Document};

use super::batches::{AgencyBatches, AgencyChanges};
use super::context::Context;
use super::error::{GovernanceError, TxError};
use super::governance::genesis_parties;
use super::small::Small;
use super::stateless::Checked;
use super::view::View;
use crate::block::{Block, Header};
use crate::genesis::Genesis;
use crate::ids::{AgencyId, Height, TimeMs, TxHash};
use crate::schema_document::SchemaDocument;
use crate::state::{Columns, RegistryKey, value_hash};
use crate::store::{ChangeSet, Store, Table};
use crate::transaction::{PublishBatch, Transaction};
use crate::tree::{NodeCache, TreeError, TreeId, TreeRoot, TreeUpdate, Trees, Write, update};

/// Why a block is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BlockErrorKind {
    /// It belongs to another chain.
    #[error("it belongs to another chain")]
    Chain,
    /// It is not the next block.
    #[error("the next height is {expected}")]
    Height {
        /// The next height.
        expected: Height,
    },
    /// It does not follow the last block.
    #[error("it does not follow the last block")]
    Previous,
    /// Its time is not after the last block's, or beyond year 9999.
    #[error("its time {got} is not after {last}, or too late")]
    Time {
        /// Time of the last block.
        last: TimeMs,
        /// The block's time.
        got: TimeMs,
    },
    /// Its proposer is no validator.
    #[error("{0} is no validator")]
    Proposer(AgencyId),
    /// Its validators, or those it announces, are not the chain's.
    #[error("it names other validators")]
    Validators,
    /// It is too long.
    #[error("{got} bytes exceed the limit of {limit}")]
    Size {
        /// The policy's limit.
        limit: u64,
        /// The block's length.
        got: u64,
    },
    /// A small transaction comes after a batch.
    #[error("transaction {position}: batches come last")]
    Order {
        /// Position of the transaction.
        position: usize,
    },
    /// Its transactions are not the ones of its header.
    #[error("its transactions are not its header's")]
    TransactionsRoot,
    /// A transaction is not valid.
    #[error("transaction {position} ({hash}): {error}")]
    Transaction {
        /// Its position.
        position: usize,
        /// Its hash.
        hash: TxHash,
        /// What is wrong with it.
        error: TxError,
    },
    /// The state after it is not the one of its header.
    #[error("the state after it is not its header's")]
    StateRoot,
}

/// A transaction is not applied: it is invalid, or the state cannot be read.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Invalid(#[from] TxError),
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl From<GovernanceError> for Refusal {
    fn from(error: GovernanceError) -> Self {
        Self::Invalid(error.into())
    }
}

impl Refusal {
    /// Separates what ends the transaction from what ends the execution.
    fn split(result: Result<(), Self>) -> Result<Result<(), TxError>, TreeError> {
        match result {
            Ok(()) => Ok(Ok(())),
            Err(Self::Invalid(error)) => Ok(Err(error)),
            Err(Self::Tree(error)) => Err(error),
        }
    }
}

/// What a block follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parent {
    pub(crate) height: Height,
    pub(crate) hash: Digest32,
    pub(crate) time: TimeMs,
}

/// Transactions to apply, in the order of the block.
pub(crate) struct Plan {
    pub(crate) transactions: Vec<Arc<Checked>>,
    /// Transactions that found no room.
    pub(crate) left: Vec<TxHash>,
}

/// What applying a plan gives.
pub(crate) struct Outcome {
    /// One result per transaction of the plan.
    pub(crate) results: Vec<Result<(), TxError>>,
    /// The trees after the transactions that were applied.
    pub(crate) trees: Trees,
    /// Everything to write but the block itself.
    pub(crate) changes: ChangeSet,
    /// What is in force for the next block.
    pub(crate) next: Arc<Context>,
    /// Time spent on trees, added over agencies that were applied in parallel.
    pub(crate) tree_time: Duration,
}

impl Plan {
    /// What a validator applies: the block as it stands.
    pub(crate) fn of_block(transactions: Vec<Arc<Checked>>) -> Result<Self, BlockErrorKind> {
        let mut seen_batch = false;
        for (position, checked) in transactions.iter().enumerate() {
            let is_batch = batch_of(checked).is_some();
            if seen_batch && !is_batch {
                return Err(BlockErrorKind::Order { position });
            }
            seen_batch |= is_batch;
        }
        Ok(Self {
            transactions,
            left: Vec::new(),
        })
    }

    /// What a proposer applies: small transactions first, in the order anchors, revocations,
    /// inquiries, audit requests; then batches, in turn over the agencies, until the block is full.
    /// Whose turn is first changes with the height, so no agency's file starves another's.
    pub(crate) fn of_candidates(
        context: &Context,
        height: Height,
        candidates: Vec<Arc<Checked>>,
    ) -> Self {
        let policies = &context.consortium().policies;
        let mut room = (policies.max_block_bytes as usize).saturating_sub(EMPTY_BLOCK_BYTES);
        let mut plan = Self {
            transactions: Vec::new(),
            left: Vec::new(),
        };
        let mut take = |plan: &mut Self, checked: Arc<Checked>| {
            // Inside a block a transaction has no version byte.
            let size = checked.size() - 1;
            if size <= room {
                room -= size;
                plan.transactions.push(checked);
                true
            } else {
                plan.left.push(checked.hash());
                false
            }
        };
        let (batches, mut small): (Vec<_>, Vec<_>) = candidates
            .into_iter()
            .partition(|checked| batch_of(checked).is_some());
        small.sort_by_key(|checked| small_order(checked));
        for checked in small {
            take(&mut plan, checked);
        }
        let mut queues: BTreeMap<AgencyId, Vec<Arc<Checked>>> = BTreeMap::new();
        for checked in batches {
            if let Some(batch) = batch_of(&checked) {
                queues.entry(batch.body.agency).or_default().push(checked);
            }
        }
        let mut queues: Vec<_> = queues
            .into_values()
            .map(|mut queue| {
                // Taken from the end.
                queue.sort_by_key(|c| batch_of(c).map_or(0, |b| u64::MAX - b.body.number));
                queue
            })
            .collect();
        if !queues.is_empty() {
            let first = usize::try_from(height.0 % queues.len() as u64).unwrap_or(0);
            queues.rotate_left(first);
        }
        while queues.iter().any(|queue| !queue.is_empty()) {
            for queue in &mut queues {
                if let Some(checked) = queue.pop()
                    && !take(&mut plan, checked)
                {
                    // Later batches of this agency need this one.
                    plan.left.extend(queue.drain(..).rev().map(|c| c.hash()));
                }
            }
        }
        plan
    }
}

/// Bytes of a block without transactions.
pub(crate) const EMPTY_BLOCK_BYTES: usize = 1 + (32 + 8 + 8 + 32 + 4 + 4 * 32) + 4;

fn small_order(checked: &Checked) -> u8 {
    match checked.transaction() {
        Transaction::AnchorConsent(_) => 0,
        Transaction::RevokeConsent(_) => 1,
        Transaction::Inquiry(_) => 2,
        Transaction::AuditRequest(_) => 3,
        Transaction::GovernanceVote(_) => 4,
        Transaction::Evidence(_) => 5,
        Transaction::RegisterCard(_) => 6,
        Transaction::PublishBatch(_) => 7,
    }
}

fn batch_of(checked: &Checked) -> Option<&PublishBatch> {
    match checked.transaction() {
        Transaction::PublishBatch(batch) => Some(batch),
        _ => None,
    }
}

/// Checks what a header says of itself against the block before.
pub(crate) fn check_header(
    context: &Context,
    parent: &Parent,
    block: &Block,
) -> Result<(), BlockErrorKind> {
    let header = &block.header;
    if header.chain_id != *context.chain() {
        return Err(BlockErrorKind::Chain);
    }
    let expected = parent.height.next();
    if header.height != expected {
        return Err(BlockErrorKind::Height { expected });
    }
    if header.previous != parent.hash {
        return Err(BlockErrorKind::Previous);
    }
    check_time(parent, header.time_ms)?;
    check_validators(context, header)
}

/// Checks a block's time against the block before.
pub(crate) fn check_time(parent: &Parent, time: TimeMs) -> Result<(), BlockErrorKind> {
    if time <= parent.time || time > TimeMs::MAX {
        return Err(BlockErrorKind::Time {
            last: parent.time,
            got: time,
        });
    }
    Ok(())
}

fn check_validators(context: &Context, header: &Header) -> Result<(), BlockErrorKind> {
    let validators = context.consortium().validator_set();
    if validators.get(header.proposer).is_none() {
        return Err(BlockErrorKind::Proposer(header.proposer));
    }
    let hash = validators.hash();
    // Those it announces are known when it has been applied.
    if header.validators_hash != hash {
        return Err(BlockErrorKind::Validators);
    }
    Ok(())
}

/// Applies a plan to the state as the height `height`.
pub(crate) fn execute<S: Store>(
    context: &Arc<Context>,
    view: &View<'_, S>,
    height: Height,
    time: TimeMs,
    plan: &[Arc<Checked>],
) -> Result<Outcome, TreeError> {
    let mut results: Vec<Result<(), TxError>> = vec![Ok(()); plan.len()];
    let mut small = Small::new(context, view, height, time, plan)?;
    for (checked, result) in plan.iter().zip(&mut results) {
        *result = Refusal::split(small.apply(checked))?;
    }

    let mut queues: BTreeMap<AgencyId, Vec<usize>> = BTreeMap::new();
    for (position, checked) in plan.iter().enumerate() {
        if let (Some(batch), Ok(())) = (batch_of(checked), &results[position]) {
            queues.entry(batch.body.agency).or_default().push(position);
        }
    }
    let queues: Vec<_> = queues.into_iter().collect();
    let outcomes: Vec<_> = queues
        .into_par_iter()
        .map(|(agency, positions)| {
            agency_batches(view, &small, agency, height, time, plan, positions)
        })
        .collect::<Result<_, TreeError>>()?;

    let mut trees = view.trees.clone();
    let mut changes = ChangeSet::default();
    let mut tree_time = Duration::ZERO;
    for (agency_results, agency_changes) in outcomes {
        for (position, result) in agency_results {
            results[position] = result;
        }
        let Some(AgencyChanges {
            agency,
            column,
            tree,
            log,
            tree_time: spent,
        }) = agency_changes
        else {
            continue;
        };
        tree_time += spent;
        if let Some(slot) = small.columns_mut().get_mut(agency) {
            *slot = column;
        }
        if let Some(root) = trees.agency_mut(agency) {
            *root = tree.root;
        }
        changes.append(log);
        write_tree(&mut changes, agency.into(), height, tree);
    }
    let next = match small.amended() {
        None => context.clone(),
        Some(amended) => {
            for agency in &amended.admitted {
                trees.insert(*agency);
            }
            let (consortium, schema) = (amended.consortium.clone(), amended.schema.clone());
            Arc::new(context.amended(consortium, schema))
        }
    };
    let writes = small.writes();
    if !writes.is_empty() {
        let start = Instant::now();
        let tree = update_registry(view.store, trees.registry, height, writes)?;
        tree_time += start.elapsed();
        trees.registry = tree.root;
        write_tree(&mut changes, TreeId::REGISTRY, height, tree);
    }
    changes.put(
        Table::Trees,
        height.0.to_be_bytes(),
        borsh::to_vec(&trees).expect("encoding into memory"),
    );
    Ok(Outcome {
        results,
        trees,
        changes,
        next,
        tree_time,
    })
}

type BatchResults = Vec<(usize, Result<(), TxError>)>;

/// Applies the batches of one agency, in order.
fn agency_batches<S: Store>(
    view: &View<'_, S>,
    small: &Small<'_, S>,
    agency: AgencyId,
    height: Height,
    time: TimeMs,
    plan: &[Arc<Checked>],
    positions: Vec<usize>,
) -> Result<(BatchResults, Option<AgencyChanges>), TreeError> {
    let (Some(column), Some(root)) = (small.columns().get(agency), view.trees.agency(agency))
    else {
        let unknown = |position| (position, Err(TxError::UnknownAgency(agency)));
        return Ok((positions.into_iter().map(unknown).collect(), None));
    };
    // Its entries stand at indexes under the key that goes.
    if small.gets_new_directory(agency) {
        let refuse = |position| (position, Err(TxError::NewDirectory(agency)));
        return Ok((positions.into_iter().map(refuse).collect(), None));
    }
    let opened = small.opened().contains(&agency);
    let mut batches = AgencyBatches::new(view.store, agency, *column, *root, time, opened)?;
    let mut results = Vec::with_capacity(positions.len());
    for position in positions {
        if let Some(batch) = batch_of(&plan[position]) {
            let result = Refusal::split(batches.apply(&plan[position], batch))?;
            results.push((position, result));
        }
    }
    Ok((results, batches.finish(height)?))
}

fn update_registry<S: Store>(
    store: &S,
    root: TreeRoot,
    height: Height,
    mut writes: Vec<Write>,
) -> Result<TreeUpdate, TreeError> {
    writes.sort_unstable_by_key(|write| write.key);
    let mut cache = NodeCache::new(TreeId::REGISTRY, root);
    let keys: Vec<&Digest32> = writes.iter().map(|write| &write.key).collect();
    cache.load(store, &keys)?;
    update(&cache, height, writes, &|value| Some(value_hash(value)))
}

/// The new nodes, and a note of those they replace.
fn write_tree(changes: &mut ChangeSet, id: TreeId, height: Height, tree: TreeUpdate) {
    for (key, node) in &tree.nodes {
        changes.put(Table::Nodes, key.encode(id), node.encode(key.version));
    }
    if !tree.stale.is_empty() {
        let stale: Vec<Vec<u8>> = tree.stale.iter().map(|key| key.encode(id)).collect();
        changes.put(
            Table::Stale,
            stale_key(height, id),
            borsh::to_vec(&stale).expect("encoding into memory"),
        );
    }
}

fn stale_key(height: Height, tree: TreeId) -> Vec<u8> {
    [&height.0.to_be_bytes()[..], &tree.0.to_be_bytes()].concat()
}

/// Deletes what only heights below `oldest` reach: a node replaced at height `s` serves the heights
/// below `s`.
pub(crate) fn prune_height<S: Store>(
    store: &S,
    oldest: Height,
    changes: &mut ChangeSet,
) -> Result<(), TreeError> {
    changes.delete(Table::Trees, oldest.0.saturating_sub(1).to_be_bytes());
    let prefix = oldest.0.to_be_bytes();
    let mut damaged = None;
    store.scan(
        Table::Stale,
        &prefix,
        &prefix,
        &mut |key, value| match borsh::from_slice::<Vec<Vec<u8>>>(value) {
            Ok(nodes) => {
                for node in nodes {
                    changes.delete(Table::Nodes, node);
                }
                changes.delete(Table::Stale, key);
                true
            }
            Err(_) => {
                damaged = Some(TreeError::Damaged {
                    tree: TreeId::REGISTRY.0,
                    depth: 0,
                    version: oldest.0,
                });
                false
            }
        },
    )?;
    damaged.map_or(Ok(()), Err)
}

/// The state at height 0.
pub(crate) fn genesis_state<S: Store>(
    store: &S,
    genesis: &Genesis,
) -> Result<(Trees, ChangeSet), TreeError> {
    let write = |key: RegistryKey, value: Vec<u8>| Write {
        key: key.path(),
        record: value.clone(),
        value,
    };
    let columns = Columns::empty(genesis.agencies.iter().map(|a| a.id));
    let consortium = genesis.consortium();
    let (keys, parties) = genesis_parties(&consortium);
    let mut writes = vec![
        write(RegistryKey::Consortium, consortium.to_bytes()),
        write(
            RegistryKey::Schema,
            SchemaDocument(genesis.schema.clone()).to_bytes(),
        ),
        write(RegistryKey::Columns, columns.to_bytes()),
    ];
    let keys = keys.into_iter();
    writes.extend(keys.map(|(key, used)| write(RegistryKey::Key(key), used.to_bytes())));
    let parties = parties.into_iter();
    writes.extend(parties.map(|(party, state)| write(RegistryKey::Party(party), state.to_bytes())));
    let tree = update_registry(store, TreeRoot::EMPTY, Height::GENESIS, writes)?;
    let trees = Trees {
        registry: tree.root,
        agencies: genesis
            .agencies
            .iter()
            .map(|a| (a.id, TreeRoot::EMPTY))
            .collect(),
    };
    let mut changes = ChangeSet::default();
    write_tree(&mut changes, TreeId::REGISTRY, Height::GENESIS, tree);
    changes.put(
        Table::Trees,
        Height::GENESIS.0.to_be_bytes(),
        borsh::to_vec(&trees).expect("encoding into memory"),
    );
    Ok((trees, changes))
}
