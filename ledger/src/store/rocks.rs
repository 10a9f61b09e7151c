//! The store on disk: RocksDB, one column family per table, one synced write batch per change set.

use std::path::{Path, PathBuf};

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    Direction, IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions,
};

use super::{ChangeSet, Store, StoreError, Table};

/// Blocks read from disk that stay in memory.
const CACHE_BYTES: usize = 64 << 20;
/// Writes gathered in memory, over all tables, before they go to files.
const WRITE_BUFFER_BYTES: usize = 64 << 20;
/// Size of a block in a file: larger blocks share more of their keys' prefixes.
const BLOCK_BYTES: usize = 8 << 10;
/// Bits per key of the filters that keep misses off the disk.
const FILTER_BITS: f64 = 8.0;
/// Info logs kept in the directory.
const LOG_FILES: usize = 2;

/// The store on disk.
pub struct RocksStore {
    db: DB,
    path: PathBuf,
}

impl std::fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RocksStore({:?})", self.path)
    }
}

impl RocksStore {
    /// Opens a directory, creating it if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it open, [`StoreError::Open`] otherwise.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_keep_log_file_num(LOG_FILES);
        options.set_db_write_buffer_size(WRITE_BUFFER_BYTES);
        // All tables go to files together. Otherwise a log whose tail is lost could leave one table
        // ahead of another, and a block would be half there.
        options.set_atomic_flush(true);
        // A tail of the log that was cut off by a crash is dropped; a damaged middle is an error.
        options.set_wal_recovery_mode(rocksdb::DBRecoveryMode::TolerateCorruptedTailRecords);
        let cache = Cache::new_lru_cache(CACHE_BYTES);
        let families = Table::ALL
            .map(|table| ColumnFamilyDescriptor::new(table.name(), table_options(table, &cache)));
        let db = DB::open_cf_descriptors(&options, path, families).map_err(|e| {
            let reason = e.to_string();
            let path = path.to_path_buf();
            if reason.contains("lock file") || reason.contains("lock hold") {
                StoreError::Locked { path }
            } else {
                StoreError::Open { path, reason }
            }
        })?;
        Ok(Self {
            db,
            path: path.to_path_buf(),
        })
    }

    /// Compacts every table, so that the files hold live data only.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails.
    pub fn compact(&self) -> Result<(), StoreError> {
        for table in Table::ALL {
            let family = self.family(table)?;
            self.db.flush_cf(family).map_err(io)?;
            self.db
                .compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
        }
        Ok(())
    }

    /// Bytes of a table's files.
    ///
    /// # Errors
    /// [`StoreError`] when the disk fails.
    pub fn file_bytes(&self, table: Table) -> Result<u64, StoreError> {
        let property = self
            .db
            .property_int_value_cf(
                self.family(table)?,
                rocksdb::properties::TOTAL_SST_FILES_SIZE,
            )
            .map_err(io)?;
        Ok(property.unwrap_or(0))
    }

    fn family(&self, table: Table) -> Result<&ColumnFamily, StoreError> {
        self.db
            .cf_handle(table.name())
            .ok_or_else(|| StoreError::Io(format!("table {} is missing", table.name())))
    }
}

fn table_options(table: Table, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_block_size(BLOCK_BYTES);
    blocks.set_format_version(6);
    if matches!(table, Table::Transactions) {
        blocks.set_bloom_filter(FILTER_BITS, false);
    }
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES / 2);
    // Digests and points do not compress.
    options.set_compression_type(DBCompressionType::None);
    options
}

fn io(error: rocksdb::Error) -> StoreError {
    StoreError::Io(error.to_string())
}

impl Store for RocksStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.get_cf(self.family(table)?, key).map_err(io)
    }

    fn get_many(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.db
            .batched_multi_get_cf(self.family(table)?, keys, true)
            .into_iter()
            .map(|found| Ok(found.map_err(io)?.map(|value| value.to_vec())))
            .collect()
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let family = self.family(table)?;
        let start = prefix.max(from);
        let mode = IteratorMode::From(start, Direction::Forward);
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        for item in self.db.iterator_cf_opt(family, options, mode) {
            let (key, value) = item.map_err(io)?;
            if !key.starts_with(prefix) || !visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn commit(&self, changes: &ChangeSet) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        for change in changes.changes() {
            let family = self.family(change.table)?;
            match &change.value {
                Some(value) => batch.put_cf(family, &change.key, value),
                None => batch.delete_cf(family, &change.key),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db.write_opt(batch, &options).map_err(io)
    }
}
