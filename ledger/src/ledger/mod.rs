//! A ledger on a store: the tip, proposing, executing and committing blocks, and reading
//! (spec: `ledger/spec/blocks.md`).
//!
//! # Correctness
//! Only [`Ledger::commit`] writes, one change set per block. Trees are versioned, so a reader at one
//! height never sees half a block; readers and the committer need no lock against each other.

mod error;
mod executed;
mod history;
mod reads;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rand_core::OsRng;
use zkbureau_circuits::encoding::{Digest32, Document};
use zkbureau_circuits::schema::Schema;

use crate::block::{Block, Certificate, Header, SignedHeader, transactions_root};
use crate::genesis::{Consortium, Genesis};
use crate::ids::{AgencyId, ChainId, Height, TimeMs, TxHash};
use crate::machine::{self, Checked, Context, Outcome, Parent, Plan, TxError, View};
use crate::schema_document::SchemaDocument;
use crate::state::RegistryKey;
use crate::store::{ChangeSet, Store, Table};
use crate::transaction::Transaction;
use crate::tree::Trees;

pub use error::{BlockError, LedgerError};
pub use executed::{Executed, Proposal};
pub use history::Pin;
pub use reads::Leaves;
pub use snapshot::{MAX_CHUNK_BYTES, Manifest, SnapshotError, chunk_hash};

const META_FORMAT: &[u8] = b"format";
const META_GENESIS: &[u8] = b"genesis";
const META_TIP: &[u8] = b"tip";
/// The lowest height whose state is kept.
const META_OLDEST: &[u8] = b"oldest";
/// The first height whose block is kept, or will be.
const META_FIRST_BLOCK: &[u8] = b"first-block";
/// There while a snapshot is being imported.
const META_IMPORT: &[u8] = b"import";
/// The format of the tables. Format 1 had no governance, format 2 did not know until when a key was in
/// force; nothing of either is in use.
const FORMAT: &[u8] = &[3];
/// Heights whose state is deleted with one block. More than one, so that a lower `kept_versions`
/// takes effect; few, so that no block takes long.
const MAX_PRUNED_PER_BLOCK: usize = 8;

/// The last block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its height; 0 before the first block.
    pub height: Height,
    /// Hash of its header; the chain id before the first block.
    pub hash: Digest32,
    /// Its time.
    pub time_ms: TimeMs,
    /// Root over all trees after it.
    pub state_root: Digest32,
}

/// The last block with what it left.
#[derive(Clone, Debug)]
struct TipState {
    tip: Tip,
    trees: Trees,
    /// What is in force for the next block.
    context: Arc<Context>,
    /// The lowest height whose state is kept.
    oldest: Height,
}

/// A ledger on a store.
pub struct Ledger<S> {
    store: S,
    genesis: Genesis,
    chain: ChainId,
    tip: RwLock<Arc<TipState>>,
    commit: Mutex<()>,
    /// Heights whose state must stay, and how often each is asked for.
    pins: Mutex<BTreeMap<Height, usize>>,
}

impl<S> std::fmt::Debug for Ledger<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ledger({})", self.chain)
    }
}

impl<S: Store> Ledger<S> {
    /// Opens the ledger of a genesis file. An empty store gets the genesis state; any other must
    /// belong to the same genesis file, and its last block's state root must be the one that its
    /// trees have.
    ///
    /// # Errors
    /// [`LedgerError`] when the genesis file is not valid or not the store's, or the store is damaged.
    pub fn open(store: S, genesis: &Genesis) -> Result<Self, LedgerError> {
        genesis.validate()?;
        let chain = genesis.chain_id();
        if store.get(Table::Meta, META_IMPORT)?.is_some() {
            return Err(LedgerError::ImportUnfinished);
        }
        match store.get(Table::Meta, META_GENESIS)? {
            None => Self::initialize(&store, genesis)?,
            Some(bytes) => {
                if store.get(Table::Meta, META_FORMAT)?.as_deref() != Some(FORMAT) {
                    return Err(LedgerError::Format);
                }
                let got = Genesis::from_bytes(&bytes)
                    .map_err(|_| LedgerError::Damaged("the genesis file"))?
                    .chain_id();
                if got != chain {
                    let expected = chain;
                    return Err(LedgerError::OtherChain { expected, got });
                }
            }
        }
        let tip = Self::load_tip(&store, genesis)?;
        Ok(Self {
            store,
            genesis: genesis.clone(),
            chain,
            tip: RwLock::new(Arc::new(tip)),
            commit: Mutex::new(()),
            pins: Mutex::default(),
        })
    }

    fn initialize(store: &S, genesis: &Genesis) -> Result<(), LedgerError> {
        let (_, mut changes) = machine::genesis_state(store, genesis)?;
        changes.put(Table::Meta, META_FORMAT, FORMAT);
        changes.put(Table::Meta, META_GENESIS, genesis.to_bytes());
        changes.put(Table::Meta, META_TIP, 0u64.to_be_bytes());
        changes.put(Table::Meta, META_OLDEST, 0u64.to_be_bytes());
        changes.put(Table::Meta, META_FIRST_BLOCK, 1u64.to_be_bytes());
        store.commit(&changes)?;
        Ok(())
    }

    fn load_tip(store: &S, genesis: &Genesis) -> Result<TipState, LedgerError> {
        let height = load_height(store, META_TIP, "the tip")?;
        let trees = load_trees(store, height)?.ok_or(LedgerError::Damaged("the trees' roots"))?;
        let state_root = trees.roots().state_root();
        let tip = if height == Height::GENESIS {
            Tip {
                height,
                hash: genesis.chain_id().0,
                time_ms: genesis.time_ms,
                state_root,
            }
        } else {
            let header = load_header(store, height)?
                .ok_or(LedgerError::Damaged("the last header"))?
                .header;
            if header.state_root != state_root || header.height != height {
                return Err(LedgerError::Damaged("the state root"));
            }
            Tip {
                height,
                hash: header.hash(),
                time_ms: header.time_ms,
                state_root,
            }
        };
        let view = View {
            store,
            height,
            trees,
        };
        view.check_roots()?;
        let context = context_of(&view, genesis.chain_id())?;
        Ok(TipState {
            tip,
            trees: view.trees,
            context: Arc::new(context),
            oldest: load_height(store, META_OLDEST, "the oldest height")?,
        })
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The chain.
    #[must_use]
    pub fn chain_id(&self) -> &ChainId {
        &self.chain
    }

    /// The genesis file.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Who takes part in the next block: what is in force after the last one.
    #[must_use]
    pub fn consortium(&self) -> Arc<Consortium> {
        self.tip_state().context.consortium().clone()
    }

    /// The schema in force for the next block.
    #[must_use]
    pub fn schema(&self) -> Arc<Schema> {
        self.tip_state().context.schema().clone()
    }

    /// What stateless checks of the next block's transactions need.
    #[must_use]
    pub fn context(&self) -> Arc<Context> {
        self.tip_state().context.clone()
    }

    /// The last block.
    #[must_use]
    pub fn tip(&self) -> Tip {
        self.tip_state().tip
    }

    fn tip_state(&self) -> Arc<TipState> {
        self.tip
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Checks transactions without state, in parallel; the range arguments of all batches in one
    /// verification. What passes is kept and handed to [`Self::propose`].
    #[must_use]
    pub fn check_stateless(
        &self,
        transactions: Vec<Transaction>,
    ) -> Vec<Result<Arc<Checked>, TxError>> {
        machine::check_stateless(&self.context(), transactions, &mut OsRng)
    }

    /// Checks a transaction against the state after the last block, as if the next block had the
    /// time `now`. It may fail later all the same.
    ///
    /// # Errors
    /// [`LedgerError::Transaction`] says what is wrong with it.
    pub fn check_stateful(&self, checked: &Arc<Checked>, now: TimeMs) -> Result<(), LedgerError> {
        let state = self.tip_state();
        let time = now.max(TimeMs(state.tip.time_ms.0 + 1));
        let plan = machine::recheck(&state.context, vec![checked.clone()], &mut OsRng)
            .into_iter()
            .collect::<Result<Vec<_>, TxError>>()
            .map_err(LedgerError::Transaction)?;
        let outcome = self.run(&state, time, &plan)?;
        match outcome.results.into_iter().next() {
            Some(Err(error)) => Err(LedgerError::Transaction(error)),
            _ => Ok(()),
        }
    }

    /// Makes the next block from candidates. Those that are not valid are dropped with their
    /// reasons; those that find no room, or may be valid in the next block, are deferred. Nothing is
    /// written.
    ///
    /// # Errors
    /// [`LedgerError`] when the time is not after the last block's or the state cannot be read.
    pub fn propose(
        &self,
        proposer: AgencyId,
        time_ms: TimeMs,
        candidates: Vec<Arc<Checked>>,
    ) -> Result<Proposal, LedgerError> {
        let state = self.tip_state();
        let parent = parent_of(&state);
        let height = parent.height.next();
        machine::check_time(&parent, time_ms).map_err(|kind| BlockError { height, kind })?;
        let hashes: Vec<TxHash> = candidates.iter().map(|c| c.hash()).collect();
        let mut dropped = Vec::new();
        let mut valid = Vec::with_capacity(hashes.len());
        let checked = machine::recheck(&state.context, candidates, &mut OsRng);
        for (hash, checked) in hashes.into_iter().zip(checked) {
            match checked {
                Ok(checked) => valid.push(checked),
                Err(error) => dropped.push((hash, error)),
            }
        }
        let mut plan = Plan::of_candidates(&state.context, height, valid);
        let mut deferred = std::mem::take(&mut plan.left);
        // Leaving out a transaction changes the state that later ones meet, but never makes one
        // invalid that was applied: what was refused changed nothing.
        let outcome = self.run(&state, time_ms, &plan.transactions)?;
        let mut accepted = Vec::new();
        for (checked, result) in plan.transactions.into_iter().zip(&outcome.results) {
            match result {
                Ok(()) => accepted.push(checked),
                Err(error) if error.is_temporary() => deferred.push(checked.hash()),
                Err(error) => dropped.push((checked.hash(), error.clone())),
            }
        }
        let hashes: Vec<TxHash> = accepted.iter().map(|c| c.hash()).collect();
        let header = Header {
            chain_id: *self.chain_id(),
            height,
            time_ms,
            previous: parent.hash,
            proposer,
            transactions_root: transactions_root(&hashes),
            state_root: outcome.trees.roots().state_root(),
            validators_hash: state.context.consortium().validator_set().hash(),
            next_validators_hash: outcome.next.consortium().validator_set().hash(),
        };
        let transactions = accepted.iter().map(|c| c.transaction().clone()).collect();
        let block = Block {
            header,
            transactions,
        };
        Ok(Proposal {
            executed: Executed::new(block, &hashes, outcome),
            dropped,
            deferred,
        })
    }

    /// Executes the next block as a validator: everything must hold, and the state after it must be
    /// the one that its header names. Nothing is written.
    ///
    /// # Errors
    /// [`LedgerError::Block`] names the height and what does not hold.
    pub fn execute(&self, block: &Block) -> Result<Executed, LedgerError> {
        self.execute_with(block, &|_| None)
    }

    /// Like [`Self::execute`]; `known` gives transactions that were checked before, by hash.
    ///
    /// # Errors
    /// [`LedgerError::Block`] names the height and what does not hold.
    pub fn execute_with(
        &self,
        block: &Block,
        known: &dyn Fn(&TxHash) -> Option<Arc<Checked>>,
    ) -> Result<Executed, LedgerError> {
        let state = self.tip_state();
        let height = block.header.height;
        let refuse = |kind| LedgerError::Block(BlockError { height, kind });
        machine::check_header(&state.context, &parent_of(&state), block).map_err(refuse)?;
        let hashes: Vec<TxHash> = block.transactions.iter().map(Transaction::hash).collect();
        if transactions_root(&hashes) != block.header.transactions_root {
            return Err(refuse(machine::BlockErrorKind::TransactionsRoot));
        }
        let checked = self
            .checked_transactions(&state.context, block, &hashes, known)
            .map_err(refuse)?;
        let size = machine::EMPTY_BLOCK_BYTES + checked.iter().map(|c| c.size() - 1).sum::<usize>();
        let limit = u64::from(state.context.consortium().policies.max_block_bytes);
        if size as u64 > limit {
            let got = size as u64;
            return Err(refuse(machine::BlockErrorKind::Size { limit, got }));
        }
        let plan = Plan::of_block(checked).map_err(refuse)?;
        let outcome = self.run(&state, block.header.time_ms, &plan.transactions)?;
        for (position, result) in outcome.results.iter().enumerate() {
            if let Err(error) = result {
                return Err(refuse(machine::BlockErrorKind::Transaction {
                    position,
                    hash: hashes[position],
                    error: error.clone(),
                }));
            }
        }
        let announced = outcome.next.consortium().validator_set().hash();
        if announced != block.header.next_validators_hash {
            return Err(refuse(machine::BlockErrorKind::Validators));
        }
        if outcome.trees.roots().state_root() != block.header.state_root {
            return Err(refuse(machine::BlockErrorKind::StateRoot));
        }
        Ok(Executed::new(block.clone(), &hashes, outcome))
    }

    /// The block's transactions, checked; those that are not known are checked now.
    fn checked_transactions(
        &self,
        context: &Context,
        block: &Block,
        hashes: &[TxHash],
        known: &dyn Fn(&TxHash) -> Option<Arc<Checked>>,
    ) -> Result<Vec<Arc<Checked>>, machine::BlockErrorKind> {
        let found: Vec<Option<Arc<Checked>>> = hashes
            .iter()
            .map(|hash| {
                known(hash)
                    .filter(|checked| checked.hash() == *hash && checked.epoch() == context.epoch())
            })
            .collect();
        let missing = block
            .transactions
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none())
            .map(|(transaction, _)| transaction.clone())
            .collect();
        let mut fresh = machine::check_stateless(context, missing, &mut OsRng).into_iter();
        let mut checked = Vec::with_capacity(found.len());
        for (position, found) in found.into_iter().enumerate() {
            let result = match found {
                Some(found) => Ok(found),
                None => fresh
                    .next()
                    .unwrap_or_else(|| unreachable!("one per missing")),
            };
            checked.push(
                result.map_err(|error| machine::BlockErrorKind::Transaction {
                    position,
                    hash: hashes[position],
                    error,
                })?,
            );
        }
        Ok(checked)
    }

    fn run(
        &self,
        state: &TipState,
        time: TimeMs,
        plan: &[Arc<Checked>],
    ) -> Result<Outcome, LedgerError> {
        let view = View {
            store: &self.store,
            height: state.tip.height,
            trees: state.trees.clone(),
        };
        let height = state.tip.height.next();
        Ok(machine::execute(&state.context, &view, height, time, plan)?)
    }

    /// Makes an executed block final: block, certificate, state and indices in one write.
    ///
    /// # Errors
    /// [`LedgerError`] when the certificate does not make the block final, another block was
    /// committed since it was executed, or the disk fails. Nothing is written then.
    pub fn commit(&self, executed: Executed, certificate: Certificate) -> Result<Tip, LedgerError> {
        let _one_at_a_time = self.commit.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.tip_state();
        let last = before.tip;
        let header = *executed.header();
        if header.previous != last.hash || header.height != last.height.next() {
            return Err(LedgerError::NotNext {
                last: last.height,
                got: header.height,
            });
        }
        let validators = before.context.consortium().validator_set();
        certificate.verify(&header, &validators)?;
        let tip = Tip {
            height: header.height,
            hash: executed.hash(),
            time_ms: header.time_ms,
            state_root: header.state_root,
        };
        let (mut changes, trees, context) = executed.into_changes();
        let signed = SignedHeader {
            header,
            certificate,
        };
        let key = header.height.0.to_be_bytes();
        changes.put(Table::Headers, key, signed.to_bytes());
        changes.put(Table::Meta, META_TIP, key);
        if header.next_validators_hash != header.validators_hash {
            let next = context.consortium().validator_set();
            changes.put(Table::Validators, key, next.to_bytes());
        }
        // Nobody can ask for a height to stay between the decision and the write.
        let pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = before.context.consortium().policies.kept_versions;
        let oldest = self.prune(&before, header.height, kept, &pins, &mut changes)?;
        self.store.commit(&changes)?;
        let state = TipState {
            tip,
            trees,
            context,
            oldest,
        };
        *self.tip.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
        drop(pins);
        Ok(tip)
    }

    /// Deletes the state of heights that need not be kept, a few per block; says which is the lowest
    /// that remains. With `kept` versions after `height` that is `height - kept + 1`.
    fn prune(
        &self,
        before: &TipState,
        height: Height,
        kept: u64,
        pins: &BTreeMap<Height, usize>,
        changes: &mut ChangeSet,
    ) -> Result<Height, LedgerError> {
        let mut limit = Height((height.0 + 1).saturating_sub(kept));
        if let Some((pinned, _)) = pins.first_key_value() {
            limit = limit.min(*pinned);
        }
        let mut oldest = before.oldest;
        for _ in 0..MAX_PRUNED_PER_BLOCK {
            if oldest >= limit {
                break;
            }
            oldest = oldest.next();
            machine::prune_height(&self.store, oldest, changes)?;
        }
        changes.put(Table::Meta, META_OLDEST, oldest.0.to_be_bytes());
        Ok(oldest)
    }

    /// Recomputes every hash of every tree from the leaves. Takes a while.
    ///
    /// # Errors
    /// [`LedgerError`] names the first node that does not fit.
    pub fn check_everything(&self) -> Result<(), LedgerError> {
        let state = self.tip_state();
        let view = View {
            store: &self.store,
            height: state.tip.height,
            trees: state.trees.clone(),
        };
        Ok(view.check_everything()?)
    }
}

/// What is in force after a height.
fn context_of<S: Store>(view: &View<'_, S>, chain: ChainId) -> Result<Context, LedgerError> {
    let consortium: Consortium = view
        .value(&RegistryKey::Consortium)?
        .ok_or(LedgerError::Damaged("the consortium"))?;
    let schema: SchemaDocument = view
        .value(&RegistryKey::Schema)?
        .ok_or(LedgerError::Damaged("the schema"))?;
    if schema.0.digest() != consortium.schema {
        return Err(LedgerError::Damaged("the schema"));
    }
    Ok(Context::of(chain, consortium, Arc::new(schema.0)))
}

fn load_height<S: Store>(store: &S, key: &[u8], what: &'static str) -> Result<Height, LedgerError> {
    store
        .get(Table::Meta, key)?
        .and_then(|bytes| Some(Height(u64::from_be_bytes(bytes.try_into().ok()?))))
        .ok_or(LedgerError::Damaged(what))
}

fn parent_of(state: &TipState) -> Parent {
    Parent {
        height: state.tip.height,
        hash: state.tip.hash,
        time: state.tip.time_ms,
    }
}

fn load_trees<S: Store>(store: &S, height: Height) -> Result<Option<Trees>, LedgerError> {
    store
        .get(Table::Trees, &height.0.to_be_bytes())?
        .map(|bytes| {
            borsh::from_slice(&bytes).map_err(|_| LedgerError::Damaged("the trees' roots"))
        })
        .transpose()
}

fn load_header<S: Store>(store: &S, height: Height) -> Result<Option<SignedHeader>, LedgerError> {
    store
        .get(Table::Headers, &height.0.to_be_bytes())?
        .map(|bytes| SignedHeader::from_bytes(&bytes).map_err(|_| LedgerError::Damaged("a header")))
        .transpose()
}

/// The writes of a block besides state: its transactions, and where each stands.
fn block_writes(block: &Block, hashes: &[TxHash]) -> ChangeSet {
    let mut changes = ChangeSet::default();
    let height = block.header.height.0.to_be_bytes();
    changes.put(Table::Blocks, height, block.to_bytes());
    for (position, hash) in (0u32..).zip(hashes) {
        let place = [&height[..], &position.to_be_bytes()].concat();
        changes.put(Table::Transactions, hash.as_bytes().to_vec(), place);
    }
    changes
}
