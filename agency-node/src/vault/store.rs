//! The database under the vault: opening it, and reading and writing single values.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use borsh::{BorshDeserialize, BorshSerialize};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, Direction, ErrorKind,
    IteratorMode, Options, WriteBatch, WriteOptions,
};
use zeroize::Zeroizing;
use zkbureau_circuits::directory::SubjectId;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_ledger::ids::ChainId;

use super::batch::Progress;
use super::cipher::Cipher;
use super::error::VaultError;
use super::key::{AgencyKeys, Header, UNBOUND, VaultKey};
use super::keyring::{KEYS_KEY, Keyring, SPARE_KEY};
use super::records::{Entry, Handle, Head, Subject};

/// Column families.
pub(super) mod family {
    pub const HEADER: &str = "header";
    pub const META: &str = "meta";
    pub const SUBJECTS: &str = "subjects";
    pub const HEADS: &str = "heads";
    pub const ENTRIES: &str = "entries";
    pub const TRADELINES: &str = "tradelines";
    pub const COLUMNS: &str = "columns";
    pub const BATCHES: &str = "batches";
    pub const OUTBOX: &str = "outbox";
    pub const UNDO: &str = "undo";
    pub const BUDGETS: &str = "budgets";
    pub const CONSENTS: &str = "consents";
    pub const AUDITS: &str = "audits";
    pub const ALL: [&str; 13] = [
        HEADER, META, SUBJECTS, HEADS, ENTRIES, TRADELINES, COLUMNS, BATCHES, OUTBOX, UNDO,
        BUDGETS, CONSENTS, AUDITS,
    ];
}

const HEADER_KEY: &[u8] = b"header";
const PROGRESS_KEY: &[u8] = b"progress";

/// Memory of unflushed writes, all families together.
const WRITE_BUFFER: usize = 32 << 20;
/// Memory of cached blocks.
const BLOCK_CACHE: usize = 16 << 20;
/// Open table files.
const OPEN_FILES: i32 = 256;
/// Bits per key of the Bloom filters, which spare most look-ups of unknown people a disk read.
const BLOOM_BITS: f64 = 10.0;

/// An agency's vault. See the module's documentation.
pub struct Vault {
    pub(super) db: DB,
    pub(super) cipher: Cipher,
    path: PathBuf,
    chain: ChainId,
    agency: AgencyId,
    keyring: Mutex<Keyring>,
    progress: Mutex<Progress>,
    pub(super) counters: Mutex<()>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({}, {})", self.agency, self.path.display())
    }
}

impl Vault {
    /// Makes a new vault for an agency's keys.
    ///
    /// # Errors
    /// [`VaultError::Exists`] when there is one at `path`, or a storage error.
    pub fn create(
        path: &Path,
        key: &VaultKey,
        chain: &ChainId,
        agency: AgencyId,
        keys: &AgencyKeys,
    ) -> Result<Self, VaultError> {
        let db = open_database(path, true)?;
        if db
            .get_cf(handle(&db, family::HEADER), HEADER_KEY)?
            .is_some()
        {
            return Err(VaultError::Exists(path.to_owned()));
        }
        restrict(path)?;
        let (header, data_key) = Header::create(chain, agency, key)?;
        let cipher = Cipher::new(&data_key);
        let mut batch = WriteBatch::default();
        batch.put_cf(
            handle(&db, family::HEADER),
            HEADER_KEY,
            borsh::to_vec(&header).expect("encoding into memory"),
        );
        batch.put_cf(
            handle(&db, family::META),
            KEYS_KEY,
            cipher.seal(family::META, KEYS_KEY, &keys.to_secret_bytes()),
        );
        let progress = borsh::to_vec(&Progress::default()).expect("encoding into memory");
        batch.put_cf(
            handle(&db, family::META),
            PROGRESS_KEY,
            cipher.seal(family::META, PROGRESS_KEY, &progress),
        );
        db.write_opt(batch, &synced())?;
        Self::load(db, cipher, path, chain, agency)
    }

    /// Opens a vault.
    ///
    /// # Errors
    /// [`VaultError`] says what does not fit: the key, the chain, the agency, the format, or that
    /// another process has it.
    pub fn open(
        path: &Path,
        key: &VaultKey,
        chain: &ChainId,
        agency: AgencyId,
    ) -> Result<Self, VaultError> {
        if !path.join("CURRENT").exists() {
            return Err(VaultError::Missing(path.to_owned()));
        }
        let db = open_database(path, false)?;
        let data_key = read_header(&db)?.open(chain, agency, key)?;
        Self::load(db, Cipher::new(&data_key), path, chain, agency)
    }

    /// Binds a vault that was made before its chain to that chain. One that is bound to it already stays.
    ///
    /// # Errors
    /// [`VaultError`]; a vault of another chain is never bound again.
    pub fn bind(path: &Path, key: &VaultKey, chain: &ChainId) -> Result<(), VaultError> {
        if !path.join("CURRENT").exists() {
            return Err(VaultError::Missing(path.to_owned()));
        }
        let db = open_database(path, false)?;
        let header = read_header(&db)?;
        if header.chain() != &UNBOUND {
            return Ok(());
        }
        let bound = header.bind(chain, key)?;
        let mut batch = WriteBatch::default();
        batch.put_cf(
            handle(&db, family::HEADER),
            HEADER_KEY,
            borsh::to_vec(&bound).expect("encoding into memory"),
        );
        Ok(db.write_opt(batch, &synced())?)
    }

    /// What the vault at a path says about itself, without being opened: chain and agency.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn describe(path: &Path) -> Result<(ChainId, AgencyId), VaultError> {
        if !path.join("CURRENT").exists() {
            return Err(VaultError::Missing(path.to_owned()));
        }
        let header = read_header(&open_database(path, false)?)?;
        Ok((*header.chain(), header.agency()))
    }

    fn load(
        db: DB,
        cipher: Cipher,
        path: &Path,
        chain: &ChainId,
        agency: AgencyId,
    ) -> Result<Self, VaultError> {
        let meta = |key: &[u8]| -> Result<Zeroizing<Vec<u8>>, VaultError> {
            db.get_cf(handle(&db, family::META), key)?
                .and_then(|sealed| cipher.open(family::META, key, &sealed))
                .ok_or(VaultError::Damaged(family::META))
        };
        let spare = match db.get_pinned_cf(handle(&db, family::META), SPARE_KEY)? {
            Some(_) => Some(meta(SPARE_KEY)?),
            None => None,
        };
        let keyring = Keyring::decode(&meta(KEYS_KEY)?, spare.as_ref().map(|s| s.as_slice()))
            .ok_or(VaultError::Damaged(family::META))?;
        let progress = borsh::from_slice(&meta(PROGRESS_KEY)?)
            .map_err(|_| VaultError::Damaged(family::META))?;
        Ok(Self {
            db,
            cipher,
            path: path.to_owned(),
            chain: *chain,
            agency,
            keyring: Mutex::new(keyring),
            progress: Mutex::new(progress),
            counters: Mutex::new(()),
        })
    }

    /// How far a copy of this vault has come. Nothing is written to the copy.
    pub(super) fn open_copy(&self, path: &Path) -> Result<Progress, VaultError> {
        let families = family::ALL;
        let db = DB::open_cf_for_read_only(&Options::default(), path, families, false)?;
        let sealed = db
            .get_cf(handle(&db, family::META), PROGRESS_KEY)?
            .ok_or(VaultError::Damaged(family::META))?;
        let plain = self.cipher.open(family::META, PROGRESS_KEY, &sealed);
        let plain = plain.ok_or(VaultError::Damaged(family::META))?;
        borsh::from_slice(&plain).map_err(|_| VaultError::Damaged(family::META))
    }

    pub(super) fn keyring(&self) -> MutexGuard<'_, Keyring> {
        // Every change is one assignment after a successful write, so a panic elsewhere leaves it whole.
        self.keyring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The agency.
    #[must_use]
    pub fn agency(&self) -> AgencyId {
        self.agency
    }

    /// The chain.
    #[must_use]
    pub fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// Where the vault is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a person's values stand.
    #[must_use]
    pub fn handle(&self, subject: &SubjectId) -> Handle {
        Handle(
            self.cipher
                .handle(family::SUBJECTS, &[&subject.canonical()]),
        )
    }

    /// A person by handle.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn subject(&self, handle: &Handle) -> Result<Option<Subject>, VaultError> {
        self.get(family::SUBJECTS, &handle.0)
    }

    /// The head of a person's log.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn head(&self, handle: &Handle) -> Result<Option<Head>, VaultError> {
        self.get(family::HEADS, &handle.0)
    }

    /// One entry of a person's log, counted from 0.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] when it is not there or was changed.
    pub fn entry(&self, handle: &Handle, number: u32) -> Result<Entry, VaultError> {
        self.get(family::ENTRIES, &entry_key(handle, number))?
            .ok_or(VaultError::Damaged(family::ENTRIES))
    }

    /// The encoded tradelines behind a person's record of a period.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn tradelines<T: BorshDeserialize>(
        &self,
        handle: &Handle,
        period: Period,
    ) -> Result<Option<T>, VaultError> {
        self.get(family::TRADELINES, &period_key(handle, period))
    }

    /// Calls `f` with up to `size` people at a time, all of them in the end. A person whose record
    /// does not decrypt is given as `None`.
    ///
    /// # Errors
    /// [`VaultError`], or what `f` returns.
    pub fn for_subjects<E: From<VaultError>>(
        &self,
        size: usize,
        mut f: impl FnMut(&[(Handle, Option<Subject>)]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut chunk = Vec::with_capacity(size);
        let families = self.db.iterator_cf(
            handle(&self.db, family::SUBJECTS),
            IteratorMode::From(&[], Direction::Forward),
        );
        for item in families {
            let (key, value) = item.map_err(VaultError::from)?;
            let handle = <[u8; 32]>::try_from(&*key)
                .map(Handle)
                .map_err(|_| VaultError::Damaged(family::SUBJECTS))?;
            let subject = self
                .cipher
                .open(family::SUBJECTS, &key, &value)
                .and_then(|plain| borsh::from_slice(&plain).ok());
            chunk.push((handle, subject));
            if chunk.len() == size {
                f(&chunk)?;
                chunk.clear();
            }
        }
        if chunk.is_empty() { Ok(()) } else { f(&chunk) }
    }

    pub(super) fn progress_lock(&self) -> MutexGuard<'_, Progress> {
        // Every change is one assignment after a successful write, so a panic elsewhere leaves it whole.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get<T: BorshDeserialize>(
        &self,
        family: &'static str,
        key: &[u8],
    ) -> Result<Option<T>, VaultError> {
        match self.get_bytes(family, key)? {
            None => Ok(None),
            Some(plain) => borsh::from_slice(&plain)
                .map(Some)
                .map_err(|_| VaultError::Damaged(family)),
        }
    }

    pub(super) fn get_bytes(
        &self,
        family: &'static str,
        key: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        match self.db.get_pinned_cf(handle(&self.db, family), key)? {
            None => Ok(None),
            Some(sealed) => self
                .cipher
                .open(family, key, &sealed)
                .map(Some)
                .ok_or(VaultError::Damaged(family)),
        }
    }

    /// Adds an encrypted value to a write.
    pub(super) fn put<T: BorshSerialize>(
        &self,
        batch: &mut WriteBatch,
        family: &'static str,
        key: &[u8],
        value: &T,
    ) {
        self.put_sealed(batch, family, key, &self.seal(family, key, value));
    }

    /// Encrypts a value for its place.
    pub(super) fn seal<T: BorshSerialize>(
        &self,
        family: &'static str,
        key: &[u8],
        value: &T,
    ) -> Vec<u8> {
        let plain = Zeroizing::new(borsh::to_vec(value).expect("encoding into memory"));
        self.cipher.seal(family, key, &plain)
    }

    pub(super) fn put_sealed(
        &self,
        batch: &mut WriteBatch,
        family: &'static str,
        key: &[u8],
        sealed: &[u8],
    ) {
        batch.put_cf(handle(&self.db, family), key, sealed);
    }

    pub(super) fn delete(&self, batch: &mut WriteBatch, family: &'static str, key: &[u8]) {
        batch.delete_cf(handle(&self.db, family), key);
    }

    pub(super) fn put_progress(&self, batch: &mut WriteBatch, progress: &Progress) {
        self.put(batch, family::META, PROGRESS_KEY, progress);
    }

    /// Writes, and returns when the disk has it.
    pub(super) fn write_synced(&self, batch: WriteBatch) -> Result<(), VaultError> {
        Ok(self.db.write_opt(batch, &synced())?)
    }

    /// Writes without waiting for the disk: for what the ledger can tell again.
    pub(super) fn write(&self, batch: WriteBatch) -> Result<(), VaultError> {
        Ok(self.db.write(batch)?)
    }
}

fn read_header(db: &DB) -> Result<Header, VaultError> {
    let header = db
        .get_cf(handle(db, family::HEADER), HEADER_KEY)?
        .ok_or(VaultError::Damaged(family::HEADER))?;
    Header::decode(&header)
}

fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

pub(super) fn entry_key(handle: &Handle, number: u32) -> [u8; 36] {
    let mut key = [0; 36];
    key[..32].copy_from_slice(&handle.0);
    key[32..].copy_from_slice(&number.to_be_bytes());
    key
}

pub(super) fn period_key(handle: &Handle, period: Period) -> [u8; 36] {
    entry_key(handle, period.number())
}

fn handle<'a>(db: &'a DB, family: &str) -> &'a ColumnFamily {
    db.cf_handle(family).expect("opened with every family")
}

fn open_database(path: &Path, create: bool) -> Result<DB, VaultError> {
    let mut options = Options::default();
    options.create_if_missing(create);
    options.create_missing_column_families(create);
    options.set_db_write_buffer_size(WRITE_BUFFER);
    // As for the ledger: tables go to files together, and only a torn tail of the log is forgiven.
    options.set_atomic_flush(true);
    options.set_wal_recovery_mode(rocksdb::DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_max_open_files(OPEN_FILES);
    options.set_keep_log_file_num(4);
    let cache = Cache::new_lru_cache(BLOCK_CACHE);
    let families = family::ALL.map(|name| {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&cache);
        table.set_bloom_filter(BLOOM_BITS, false);
        let mut options = Options::default();
        options.set_block_based_table_factory(&table);
        ColumnFamilyDescriptor::new(name, options)
    });
    DB::open_cf_descriptors(&options, path, families).map_err(|error| {
        let text = error.to_string();
        if error.kind() == ErrorKind::IOError
            && (text.contains("lock file") || text.contains("lock hold"))
        {
            VaultError::InUse(path.to_owned())
        } else {
            VaultError::Storage(text)
        }
    })
}

/// Only the owner may look into the directory.
fn restrict(path: &Path) -> Result<(), VaultError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
            .map_err(|e| VaultError::Storage(e.to_string()))?;
    }
    Ok(())
}
