//! Copies of a vault: consistent at one moment, encrypted as the vault is, with a manifest of every file.
//!
//! ```text
//! BACKUP/manifest.json   agency, chain, time, files with sizes and SHA-256, and a code over all of it
//! BACKUP/vault/…         RocksDB's checkpoint
//! ```
//!
//! # Correctness
//! A checkpoint is what one moment's reader of the database would see, whatever is written meanwhile. The code
//! is keyed by the vault's own key, so files of two backups cannot be mixed without notice.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};

use rocksdb::checkpoint::Checkpoint;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zkbureau_ledger::ids::{AgencyId, ChainId, TimeMs};

use super::error::VaultError;
use super::key::VaultKey;
use super::store::Vault;

/// Name of the manifest.
const MANIFEST: &str = "manifest.json";
/// Folder of the database's files.
const FILES: &str = "vault";
const FORMAT: &str = "zkbureau/vault-backup/v1";
/// Longest manifest: some tens of thousands of files.
const MAX_MANIFEST: u64 = 8 << 20;
/// Most files of a database.
const MAX_FILES: usize = 65_536;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    /// Whose vault.
    pub agency: AgencyId,
    /// Of which chain.
    pub chain: ChainId,
    /// When it was made.
    pub made_ms: TimeMs,
    /// Batches in the vault.
    pub batches: u64,
    /// Entries in the vault.
    pub entries: u64,
    /// The files by name.
    pub files: BTreeMap<String, FileEntry>,
    /// Over everything else, under the vault's key.
    #[serde(with = "hex::serde")]
    code: [u8; 32],
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its contents.
    #[serde(with = "hex::serde")]
    pub sha256: [u8; 32],
}

/// A backup cannot be made or used.
#[derive(Debug, Error)]
pub enum BackupError {
    /// A file or folder.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
    /// The manifest is none.
    #[error("{0}: {1}")]
    Manifest(PathBuf, String),
    /// A file is not the one that was backed up.
    #[error("{0}: {1}; the backup is damaged")]
    Damaged(PathBuf, &'static str),
    /// Another agency's, or another chain's.
    #[error("the backup is of {agency} on chain {chain}")]
    Other {
        /// Whose it is.
        agency: AgencyId,
        /// Of which chain.
        chain: ChainId,
    },
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> BackupError {
    let path = path.to_owned();
    |error| BackupError::File { path, error }
}

impl Manifest {
    /// What the code is over.
    fn authenticated(&self) -> Vec<u8> {
        let bare = Self {
            code: [0; 32],
            ..self.clone()
        };
        serde_json::to_vec(&bare).expect("plain data")
    }

    /// Whose vault a backup says it is of.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn owner(folder: &Path) -> Result<AgencyId, BackupError> {
        Ok(Self::read(folder)?.agency)
    }

    fn read(folder: &Path) -> Result<Self, BackupError> {
        let path = folder.join(MANIFEST);
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(MAX_MANIFEST).read_to_end(&mut bytes))
            .map_err(at(&path))?;
        let bad = |what: &str| BackupError::Manifest(path.clone(), what.to_owned());
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|e| bad(&e.to_string()))?;
        if manifest.format != FORMAT {
            return Err(bad("not a backup that this release reads"));
        }
        // Names lead nowhere but into the folder.
        let plain = |name: &String| {
            let mut parts = Path::new(name).components();
            matches!(
                (parts.next(), parts.next()),
                (Some(Component::Normal(_)), None)
            )
        };
        if manifest.files.len() > MAX_FILES || !manifest.files.keys().all(plain) {
            return Err(bad("files: names that no backup has"));
        }
        Ok(manifest)
    }
}

impl Vault {
    /// Copies the vault into a new folder. It may be written meanwhile.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn backup(&self, folder: &Path, now: TimeMs) -> Result<Manifest, BackupError> {
        fs::create_dir(folder).map_err(at(folder))?;
        restrict(folder)?;
        let files = folder.join(FILES);
        Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(&files))
            .map_err(VaultError::from)?;
        restrict(&files)?;
        let mut entries = BTreeMap::new();
        for item in fs::read_dir(&files).map_err(at(&files))? {
            let item = item.map_err(at(&files))?;
            let path = item.path();
            let name = item
                .file_name()
                .into_string()
                .map_err(|_| BackupError::Damaged(path.clone(), "its name is not text"))?;
            entries.insert(name, sync_and_hash(&path)?);
        }
        // As they are in the copy, not as they are by now.
        let copy = self.open_copy(&files)?;
        let mut manifest = Manifest {
            format: FORMAT.to_owned(),
            agency: self.agency(),
            chain: *self.chain(),
            made_ms: now,
            batches: copy.prepared,
            entries: copy.entries,
            files: entries,
            code: [0; 32],
        };
        manifest.code = self.code(&manifest);
        let path = folder.join(MANIFEST);
        let json = serde_json::to_vec_pretty(&manifest).expect("plain data");
        // Last, because its presence says that the backup is complete.
        let write = || {
            let mut file = File::create_new(&path)?;
            file.write_all(&json)?;
            file.sync_all()?;
            File::open(folder)?.sync_all()
        };
        write().map_err(at(&path))?;
        Ok(manifest)
    }

    fn code(&self, manifest: &Manifest) -> [u8; 32] {
        self.cipher.handle("backup", &[&manifest.authenticated()])
    }

    /// Puts a backup at the place of a vault that does not exist, and verifies all of it.
    ///
    /// # Errors
    /// [`BackupError`]; then there is no vault at that place.
    pub fn restore(
        folder: &Path,
        path: &Path,
        key: &VaultKey,
        chain: Option<&ChainId>,
        agency: AgencyId,
    ) -> Result<Manifest, BackupError> {
        let manifest = Manifest::read(folder)?;
        if manifest.agency != agency || chain.is_some_and(|chain| *chain != manifest.chain) {
            return Err(BackupError::Other {
                agency: manifest.agency,
                chain: manifest.chain,
            });
        }
        if path.exists() {
            return Err(VaultError::Exists(path.to_owned()).into());
        }
        let parent = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(at(parent))?;
        let partial = parent.join("vault.restoring");
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(at(&partial))?;
        }
        fs::create_dir(&partial).map_err(at(&partial))?;
        restrict(&partial)?;
        let copy = || -> Result<(), BackupError> {
            for (name, entry) in &manifest.files {
                let (from, to) = (folder.join(FILES).join(name), partial.join(name));
                fs::copy(&from, &to).map_err(at(&from))?;
                let found = sync_and_hash(&to)?;
                if found != *entry {
                    return Err(BackupError::Damaged(from, "not the file of the manifest"));
                }
            }
            let vault = Self::open(&partial, key, &manifest.chain, agency)?;
            if vault.code(&manifest) != manifest.code {
                return Err(BackupError::Damaged(
                    folder.join(MANIFEST),
                    "its code is wrong",
                ));
            }
            drop(vault);
            fs::rename(&partial, path).map_err(at(path))?;
            File::open(parent)
                .and_then(|folder| folder.sync_all())
                .map_err(at(parent))
        };
        let outcome = copy();
        if outcome.is_err() {
            // What is left over would only be in the way.
            let _ = fs::remove_dir_all(&partial);
        }
        outcome.map(|()| manifest)
    }
}

/// Waits until the disk has a file, and hashes it.
fn sync_and_hash(path: &Path) -> Result<FileEntry, BackupError> {
    let hash = || -> std::io::Result<FileEntry> {
        let mut file = File::open(path)?;
        file.sync_all()?;
        let mut digest = Sha256::new();
        let bytes = std::io::copy(&mut file, &mut digest)?;
        Ok(FileEntry {
            bytes,
            sha256: digest.finalize().into(),
        })
    };
    hash().map_err(at(path))
}

fn restrict(path: &Path) -> Result<(), BackupError> {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(at(path))
}

#[cfg(test)]
mod tests {
    use rand_core::OsRng;

    use super::*;
    use crate::vault::AgencyKeys;

    const AGENCY: AgencyId = AgencyId(4);
    const CHAIN: ChainId = ChainId([7; 32]);

    /// A vault and its backup, and the key of both.
    fn vault(dir: &Path) -> (Vault, VaultKey) {
        let key = VaultKey::from_hex(&"5a".repeat(32)).expect("a key");
        let keys = AgencyKeys::random(&mut OsRng);
        let vault = Vault::create(&dir.join("v"), &key, &CHAIN, AGENCY, &keys).expect("new");
        (vault, key)
    }

    fn restore(dir: &Path, key: &VaultKey) -> Result<Manifest, BackupError> {
        Vault::restore(
            &dir.join("b"),
            &dir.join("home/vault"),
            key,
            Some(&CHAIN),
            AGENCY,
        )
    }

    #[test]
    fn a_backup_is_the_vault_of_its_moment() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let dir = dir.path();
        let (vault, key) = vault(dir);
        let public = vault.keys().validator().public();
        let manifest = vault.backup(&dir.join("b"), TimeMs(1)).expect("a backup");
        // What is written afterwards is not in it.
        vault
            .new_keys(&[crate::vault::KeyKind::Validator], &mut OsRng)
            .expect("written");
        assert!(vault.backup(&dir.join("b"), TimeMs(2)).is_err(), "exists");
        assert_eq!(restore(dir, &key).expect("restored"), manifest);
        let restored = Vault::open(&dir.join("home/vault"), &key, &CHAIN, AGENCY).expect("opens");
        assert_eq!(restored.keys().validator().public(), public);
        assert_eq!(restored.all_keys().len(), 1);
        assert_eq!(vault.all_keys().len(), 2);
        drop(restored);
        assert!(matches!(
            restore(dir, &key),
            Err(BackupError::Vault(VaultError::Exists(_)))
        ));
    }

    #[test]
    fn damage_and_other_vaults_are_refused_and_leave_nothing() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let dir = dir.path();
        let (vault, key) = vault(dir);
        let manifest = vault.backup(&dir.join("b"), TimeMs(1)).expect("a backup");
        let refused = |what: &str| {
            let error = restore(dir, &key).expect_err(what).to_string();
            assert!(!dir.join("home/vault").exists(), "{what}");
            assert!(!dir.join("home/vault.restoring").exists(), "{what}");
            error
        };
        for name in manifest.files.keys() {
            let path = dir.join("b").join(FILES).join(name);
            let good = fs::read(&path).expect("there");
            let mut bad = good.clone();
            bad.push(0);
            fs::write(&path, &bad).expect("written");
            assert!(refused(name).contains("damaged"), "{name}");
            fs::write(&path, &good).expect("written");
        }
        let path = dir.join("b").join(MANIFEST);
        let good = fs::read_to_string(&path).expect("there");
        fs::write(&path, good.replace("\"batches\": 0", "\"batches\": 1")).expect("written");
        assert!(refused("the code").contains("code is wrong"));
        fs::write(&path, good.replace("CURRENT", "../../CURRENT")).expect("written");
        assert!(refused("a name").contains("names that no backup has"));
        fs::write(&path, &good).expect("written");
        let other = VaultKey::from_hex(&"5b".repeat(32)).expect("a key");
        assert!(restore(dir, &other).is_err());
        let moved = Vault::restore(
            &dir.join("b"),
            &dir.join("home/vault"),
            &key,
            Some(&ChainId([8; 32])),
            AGENCY,
        );
        assert!(matches!(moved, Err(BackupError::Other { .. })));
        restore(dir, &key).expect("the good one");
    }

    #[test]
    fn keys_that_the_ledger_names_are_used() {
        use crate::vault::{Followed, KeyKind};

        let dir = tempfile::tempdir().expect("temporary directory");
        let (vault, key) = vault(dir.path());
        let old = vault.keys().agency(AGENCY, "a");
        let first = vault
            .new_keys(&[KeyKind::Validator], &mut OsRng)
            .expect("new");
        let second = vault
            .new_keys(&[KeyKind::Network], &mut OsRng)
            .expect("new");
        assert_eq!(vault.follow_keys(&old).expect("followed"), Followed::Same);
        // Both proposals are adopted, in whatever order: each key comes from its own set.
        let mut ledger = old.clone();
        ledger.validator_key = first.validator().public();
        ledger.network_key = second.network().public();
        assert_eq!(
            vault.follow_keys(&ledger).expect("followed"),
            Followed::Changed
        );
        assert_eq!(vault.keys().agency(AGENCY, "a"), ledger);
        drop(vault);
        let vault = Vault::open(&dir.path().join("v"), &key, &CHAIN, AGENCY).expect("opens");
        assert_eq!(vault.keys().agency(AGENCY, "a"), ledger);
        let foreign = AgencyKeys::random(&mut OsRng).agency(AGENCY, "a");
        let missing = vault.follow_keys(&foreign).expect("followed");
        assert_eq!(missing, Followed::Missing(KeyKind::Validator));
        assert_eq!(vault.keys().agency(AGENCY, "a"), ledger);
        assert_eq!(
            vault.follow_keys(&old).expect("followed"),
            Followed::Changed
        );
    }
}
