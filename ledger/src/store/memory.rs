//! A store in memory, for tests and simulations.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use super::{ChangeSet, Store, StoreError, Table};

/// All tables, in order.
pub type Tables = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: RwLock<Tables>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything in the store, for comparisons.
    #[must_use]
    pub fn snapshot(&self) -> Tables {
        self.tables
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Store for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        Ok(tables.get(&(table, key.to_vec())).cloned())
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let start = (table, prefix.max(from).to_vec());
        for ((found, key), value) in tables.range(start..) {
            if *found != table || !key.starts_with(prefix) || !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn commit(&self, changes: &ChangeSet) -> Result<(), StoreError> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes.changes() {
            let key = (change.table, change.key.clone());
            match &change.value {
                Some(value) => tables.insert(key, value.clone()),
                None => tables.remove(&key),
            };
        }
        Ok(())
    }
}
