//! Tables of bytes (spec: `ledger/spec/state.md`, "Storage"). A store knows nothing of the ledger: it
//! reads keys and writes change sets, each as a whole or not at all.

mod memory;
#[cfg(feature = "store")]
mod rocks;

use std::path::PathBuf;

use thiserror::Error;

pub use memory::{MemoryStore, Tables};
#[cfg(feature = "store")]
pub use rocks::RocksStore;

/// The tables. Integers in keys are big endian, so that keys sort by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Nodes of all trees; leaves with their values. `tree ‖ version ‖ depth ‖ path`.
    Nodes,
    /// Log entries but the newest, which is stored with its leaf. `agency ‖ ordinal ‖ number`.
    Log,
    /// Nodes that a height replaced, to prune them later. `height ‖ tree`.
    Stale,
    /// Roots and versions of all trees. `height`.
    Trees,
    /// Signed headers. `height`.
    Headers,
    /// Validators that a header announced when it changed them. `height`.
    Validators,
    /// Transactions of blocks. `height`.
    Blocks,
    /// Where a transaction stands. `hash`.
    Transactions,
    /// The genesis file, the format's version, the tip.
    Meta,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 9] = [
        Self::Nodes,
        Self::Log,
        Self::Stale,
        Self::Trees,
        Self::Headers,
        Self::Validators,
        Self::Blocks,
        Self::Transactions,
        Self::Meta,
    ];

    /// The table's name on disk.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Log => "log",
            Self::Stale => "stale",
            Self::Trees => "trees",
            Self::Headers => "headers",
            Self::Validators => "validators",
            Self::Blocks => "blocks",
            Self::Transactions => "transactions",
            Self::Meta => "meta",
        }
    }
}

/// One key's new value; none deletes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub table: Table,
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Option<Vec<u8>>,
}

/// Everything that one block writes. A later change of a key wins over an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeSet {
    changes: Vec<Change>,
}

impl ChangeSet {
    /// Sets a value.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.changes.push(Change {
            table,
            key: key.into(),
            value: Some(value.into()),
        });
    }

    /// Deletes a key.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.changes.push(Change {
            table,
            key: key.into(),
            value: None,
        });
    }

    /// Adds another set's changes after this one's.
    pub fn append(&mut self, mut other: Self) {
        self.changes.append(&mut other.changes);
    }

    /// The changes, in order.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }
}

/// A store fails.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process has the directory open.
    #[error("{path:?} is in use by another process")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The directory cannot be opened.
    #[error("{path:?} cannot be opened: {reason}")]
    Open {
        /// The directory.
        path: PathBuf,
        /// What the database says.
        reason: String,
    },
    /// Reading or writing fails.
    #[error("the store fails: {0}")]
    Io(String),
}

/// Tables of bytes with atomic writes.
pub trait Store: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The values of many keys, given in ascending order.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails.
    fn get_many(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        keys.iter().map(|key| self.get(table, key)).collect()
    }

    /// Calls `visit` with every key that starts with `prefix` and is not below `from`, in ascending
    /// order, until it returns false.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails.
    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError>;

    /// Writes all changes or none; when it returns, they outlive a loss of power.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails.
    fn commit(&self, changes: &ChangeSet) -> Result<(), StoreError>;
}

impl<S: Store + ?Sized> Store for std::sync::Arc<S> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).get(table, key)
    }

    fn get_many(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        (**self).get_many(table, keys)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        (**self).scan(table, prefix, from, visit)
    }

    fn commit(&self, changes: &ChangeSet) -> Result<(), StoreError> {
        (**self).commit(changes)
    }
}
