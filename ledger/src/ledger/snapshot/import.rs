//! Reading a snapshot into an empty store.
//!
//! # Correctness
//! The first write marks the store as being imported into, the last one removes the mark together
//! with naming the tip: in between, nothing opens it, and the next import clears it first. Nothing of
//! a chunk is believed: changes of validators and the header are verified by the light client before
//! anything else is read, and every tree's root is compared with the header's.

use std::io;

use borsh::BorshDeserialize;
use zkbureau_circuits::encoding::{Digest32, Document};
use zkbureau_circuits::log::LogEntry;

use super::{CHUNK_VERSION, Item, Manifest, SnapshotError};
use crate::genesis::Genesis;
use crate::ids::{AgencyId, HolderTag};
use crate::ledger::{
    FORMAT, Ledger, LedgerError, META_FIRST_BLOCK, META_FORMAT, META_GENESIS, META_IMPORT,
    META_OLDEST, META_TIP, context_of,
};
use crate::light::{LightClient, ValidatorChange};
use crate::machine::{StoredLeaf, View, log_key};
use crate::state::{leaf_hash, value_hash};
use crate::store::{ChangeSet, Store, Table};
use crate::tree::{Builder, TreeId, TreeRoot, Trees};

/// Keys deleted with one write when an import starts again.
const CLEARED_AT_ONCE: usize = 10_000;

impl<S: Store> Ledger<S> {
    /// Reads a snapshot into an empty store, or one whose import was interrupted. `source` gives the
    /// chunk of a number. Memory holds one chunk at a time.
    ///
    /// # Errors
    /// [`SnapshotError`] says what is refused. The store then holds an unfinished import: it cannot be
    /// opened, and another import may be tried.
    pub fn import_snapshot(
        store: S,
        genesis: &Genesis,
        manifest: &Manifest,
        mut source: impl FnMut(u32) -> io::Result<Vec<u8>>,
    ) -> Result<Self, SnapshotError> {
        let client = check_manifest(genesis, manifest)?;
        prepare(&store)?;
        let mut import = Import {
            manifest,
            client,
            stage: Stage::Trust,
            trees: Trees {
                registry: TreeRoot::EMPTY,
                agencies: Vec::new(),
            },
            changes: ChangeSet::default(),
        };
        for number in 0..manifest.chunks.len() {
            let number = u32::try_from(number).map_err(|_| SnapshotError::TooLarge)?;
            let bytes = source(number)?;
            let refuse = |reason| SnapshotError::Chunk { number, reason };
            if !manifest.is_chunk(number, &bytes) {
                return Err(refuse("it is not the one that the manifest names"));
            }
            let Some((&CHUNK_VERSION, mut rest)) = bytes.split_first() else {
                return Err(refuse("its version is unknown"));
            };
            if rest.is_empty() {
                return Err(refuse("it is empty"));
            }
            while !rest.is_empty() {
                let item =
                    Item::deserialize(&mut rest).map_err(|_| refuse("an item does not decode"))?;
                if matches!(item, Item::Change(_)) != (number < manifest.trust_chunks) {
                    return Err(refuse(
                        "changes of validators come first, in their own chunks",
                    ));
                }
                import.item(item).map_err(|stop| match stop {
                    Stop::Malformed(reason) => refuse(reason),
                    Stop::Other(error) => error,
                })?;
            }
            let changes = std::mem::take(&mut import.changes);
            store.commit(&changes).map_err(LedgerError::from)?;
        }
        import.finish(&store, genesis)?;
        Ok(Self::open(store, genesis)?)
    }
}

fn check_manifest(genesis: &Genesis, manifest: &Manifest) -> Result<LightClient, SnapshotError> {
    let client = LightClient::from_genesis(genesis).map_err(LedgerError::from)?;
    let header = &manifest.signed.header;
    if manifest.chain_id != *client.chain_id() || header.chain_id != *client.chain_id() {
        return Err(SnapshotError::Manifest("another chain"));
    }
    if header.state_root != manifest.roots.state_root() {
        return Err(SnapshotError::Manifest("the roots are not the header's"));
    }
    if manifest.trust_chunks as usize > manifest.chunks.len() {
        return Err(SnapshotError::Manifest("more first chunks than chunks"));
    }
    Ok(client)
}

/// Marks the store; what an interrupted import left is deleted.
fn prepare<S: Store>(store: &S) -> Result<(), SnapshotError> {
    let mark = || -> Result<(), LedgerError> {
        let mut changes = ChangeSet::default();
        changes.put(Table::Meta, META_IMPORT, [1]);
        Ok(store.commit(&changes)?)
    };
    let unfinished = store
        .get(Table::Meta, META_IMPORT)
        .map_err(LedgerError::from)?
        .is_some();
    for table in Table::ALL {
        // A scan goes on where the last one ended: it would pass all that was deleted otherwise.
        let mut from = Vec::new();
        loop {
            let mut changes = ChangeSet::default();
            let mut keys = 0;
            store
                .scan(table, &[], &from.clone(), &mut |key, _| {
                    if !(table == Table::Meta && key == META_IMPORT) {
                        changes.delete(table, key);
                        from = key.to_vec();
                        keys += 1;
                    }
                    keys < CLEARED_AT_ONCE
                })
                .map_err(LedgerError::from)?;
            if keys == 0 {
                break;
            }
            if !unfinished {
                return Err(SnapshotError::NotEmpty);
            }
            store.commit(&changes).map_err(LedgerError::from)?;
        }
    }
    Ok(mark()?)
}

/// An item is refused.
enum Stop {
    Malformed(&'static str),
    Other(SnapshotError),
}

impl<E: Into<SnapshotError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

struct Import<'a> {
    manifest: &'a Manifest,
    client: LightClient,
    stage: Stage,
    /// Trees that are complete.
    trees: Trees,
    changes: ChangeSet,
}

/// What is being read.
enum Stage {
    /// Changes of validators, up to the header.
    Trust,
    Registry(Builder),
    Agency(Box<Leaves>),
}

/// An agency's leaves.
struct Leaves {
    agency: AgencyId,
    builder: Builder,
    /// Leaves so far, the open one included: leaves are numbered in the order in which they come.
    count: u64,
    /// The leaf whose log is being read.
    open: Option<OpenLeaf>,
}

struct OpenLeaf {
    index: Digest32,
    holder_tag: HolderTag,
    /// Entries that have not come yet.
    missing: u32,
    /// After the entries that have.
    stored: Option<StoredLeaf>,
}

impl Import<'_> {
    fn item(&mut self, item: Item) -> Result<(), Stop> {
        let stage = std::mem::replace(&mut self.stage, Stage::Trust);
        self.stage = match (stage, item) {
            (Stage::Trust, Item::Change(change)) => {
                self.change(&change)?;
                Stage::Trust
            }
            (Stage::Trust, Item::Value { path, value }) => {
                // Nothing of the state is read before the header is known to be final.
                self.client.verify_header(&self.manifest.signed)?;
                let builder = Builder::new(TreeId::REGISTRY, self.manifest.height());
                self.value(builder, path, value)?
            }
            (Stage::Registry(builder), Item::Value { path, value }) => {
                self.value(builder, path, value)?
            }
            (Stage::Registry(builder), Item::Agency(agency)) => {
                self.close_registry(builder)?;
                self.agency(agency)?
            }
            (Stage::Agency(leaves), Item::Agency(agency)) => {
                self.close_agency(*leaves)?;
                self.agency(agency)?
            }
            (
                Stage::Agency(mut leaves),
                Item::Leaf {
                    index,
                    holder_tag,
                    entries,
                },
            ) => {
                if leaves.open.is_some() || entries == 0 {
                    return Err(Stop::Malformed("a log is not complete"));
                }
                leaves.count += 1;
                leaves.open = Some(OpenLeaf {
                    index,
                    holder_tag,
                    missing: entries,
                    stored: None,
                });
                Stage::Agency(leaves)
            }
            (Stage::Agency(mut leaves), Item::Entry(entry)) => {
                self.entry(&mut leaves, entry)?;
                Stage::Agency(leaves)
            }
            _ => return Err(Stop::Malformed("an item is out of order")),
        };
        Ok(())
    }

    fn change(&mut self, change: &ValidatorChange) -> Result<(), Stop> {
        let header = &change.signed.header;
        if header.height >= self.manifest.height()
            || header.next_validators_hash == header.validators_hash
        {
            return Err(Stop::Malformed("no change of validators before the header"));
        }
        self.client.advance(&change.signed, &change.next)?;
        let key = header.height.0.to_be_bytes();
        self.changes
            .put(Table::Headers, key, change.signed.to_bytes());
        self.changes
            .put(Table::Validators, key, change.next.to_bytes());
        Ok(())
    }

    fn value(&mut self, builder: Builder, path: Digest32, value: Vec<u8>) -> Result<Stage, Stop> {
        let mut builder = builder;
        let hash = leaf_hash(&path, &value_hash(&value));
        builder
            .push(path, hash, value, &mut self.changes)
            .map_err(|_| Stop::Malformed("values do not ascend"))?;
        Ok(Stage::Registry(builder))
    }

    fn agency(&mut self, agency: AgencyId) -> Result<Stage, Stop> {
        // The header commits to this list.
        let expected = self.manifest.roots.agencies.get(self.trees.agencies.len());
        if expected.map(|(id, _)| *id) != Some(agency) {
            return Err(Stop::Malformed("another agency comes next"));
        }
        Ok(Stage::Agency(Box::new(Leaves {
            agency,
            builder: Builder::new(agency.into(), self.manifest.height()),
            count: 0,
            open: None,
        })))
    }

    fn entry(&mut self, leaves: &mut Leaves, entry: LogEntry) -> Result<(), Stop> {
        let ordinal = leaves.count.saturating_sub(1);
        let Some(open) = &mut leaves.open else {
            return Err(Stop::Malformed("an entry without a leaf"));
        };
        let stored = match open.stored {
            None => StoredLeaf::first(entry, open.holder_tag, ordinal),
            Some(before) => {
                self.changes.put(
                    Table::Log,
                    log_key(leaves.agency, ordinal, before.leaf.entries - 1),
                    borsh::to_vec(&before.newest).expect("encoding into memory"),
                );
                before
                    .after(entry, open.holder_tag)
                    .ok_or(Stop::Malformed("a leaf does not take an entry"))?
            }
        };
        open.stored = Some(stored);
        open.missing -= 1;
        if open.missing == 0 {
            let hash = leaf_hash(&open.index, &value_hash(&stored.leaf.to_bytes()));
            leaves
                .builder
                .push(open.index, hash, stored.encode(), &mut self.changes)
                .map_err(|_| Stop::Malformed("leaves do not ascend"))?;
            leaves.open = None;
        }
        Ok(())
    }

    fn close_registry(&mut self, builder: Builder) -> Result<(), SnapshotError> {
        self.trees.registry = builder.finish(&mut self.changes);
        if self.trees.registry.hash != self.manifest.roots.registry {
            let tree = "the registry".into();
            return Err(SnapshotError::Root { tree });
        }
        Ok(())
    }

    fn close_agency(&mut self, leaves: Leaves) -> Result<(), Stop> {
        if leaves.open.is_some() {
            return Err(Stop::Malformed("a log is not complete"));
        }
        let root = leaves.builder.finish(&mut self.changes);
        let expected = self.manifest.roots.agency(leaves.agency);
        if expected != Some(&root.hash) {
            let tree = format!("the tree of {}", leaves.agency);
            return Err(SnapshotError::Root { tree }.into());
        }
        self.trees.agencies.push((leaves.agency, root));
        Ok(())
    }

    /// The last tree, the comparison of everything, and the write that makes the store usable.
    fn finish<S: Store>(mut self, store: &S, genesis: &Genesis) -> Result<(), SnapshotError> {
        let incomplete = SnapshotError::Manifest("chunks are missing");
        match std::mem::replace(&mut self.stage, Stage::Trust) {
            Stage::Agency(leaves) => self.close_agency(*leaves).map_err(|stop| match stop {
                Stop::Malformed(_) => incomplete,
                Stop::Other(error) => error,
            })?,
            Stage::Trust | Stage::Registry(_) => return Err(incomplete),
        }
        if self.trees.roots() != self.manifest.roots {
            return Err(SnapshotError::Manifest("trees are missing"));
        }
        // Verified before the state was read; what is stored is this very header.
        let trusted = self.client.verify_header(&self.manifest.signed)?;
        let mut changes = std::mem::take(&mut self.changes);
        store.commit(&changes).map_err(LedgerError::from)?;
        let height = trusted.height();
        let view = View {
            store,
            height,
            trees: self.trees.clone(),
        };
        let context = context_of(&view, genesis.chain_id())?;
        let next = context.consortium().validator_set();
        if trusted.header().next_validators_hash != next.hash() {
            return Err(SnapshotError::Manifest("the header announces others"));
        }
        changes = ChangeSet::default();
        let key = height.0.to_be_bytes();
        if trusted.header().next_validators_hash != trusted.header().validators_hash {
            changes.put(Table::Validators, key, next.to_bytes());
        }
        changes.put(Table::Headers, key, self.manifest.signed.to_bytes());
        let trees = borsh::to_vec(&self.trees).expect("encoding into memory");
        changes.put(Table::Trees, key, trees);
        changes.put(Table::Meta, META_FORMAT, FORMAT);
        changes.put(Table::Meta, META_GENESIS, genesis.to_bytes());
        changes.put(Table::Meta, META_TIP, key);
        changes.put(Table::Meta, META_OLDEST, key);
        changes.put(Table::Meta, META_FIRST_BLOCK, height.next().0.to_be_bytes());
        changes.delete(Table::Meta, META_IMPORT);
        Ok(store.commit(&changes).map_err(LedgerError::from)?)
    }
}
