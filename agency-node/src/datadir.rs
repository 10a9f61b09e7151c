//! What lies where in a node's data directory.
//!
//! ```text
//! DIR/genesis.json      who takes part, under which rules; public
//! DIR/vault.key         key of the vaults at rest, unless they have a passphrase
//! DIR/issuer.key        the devnet identity office's signing key
//! DIR/auditor.key       the devnet regulator's signing key
//! DIR/node.lock         held while a process has the databases open
//! DIR/admin.sock        administration of the running node
//! DIR/ledger/           RocksDB
//! DIR/agency-N/vault/   RocksDB, values and keys encrypted
//! ```
//!
//! Key files hold 32 bytes as hexadecimal digits on one line and are readable by their owner only.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use zeroize::Zeroizing;
use zkbureau_agency_node::vault::VaultKey;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::genesis::Genesis;

/// Identity of the devnet's issuer and auditor in the genesis file.
pub const DEVNET_ISSUER: u32 = 1;
/// See [`DEVNET_ISSUER`].
pub const DEVNET_AUDITOR: u32 = 1;

/// Longest genesis file: its canonical encoding is bounded tighter, but JSON is wordy.
pub const MAX_GENESIS_FILE: usize = 4 << 20;

/// A node's data directory.
#[derive(Clone, Debug)]
pub struct DataDir(PathBuf);

/// Held while a process has the databases open; released by the operating system on any exit.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, never read")] File);

impl DataDir {
    /// Creates an empty directory, readable by its owner only.
    pub fn create(path: &Path) -> Result<Self> {
        if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
            bail!("{}: the directory is not empty", path.display());
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| path.display().to_string())?;
        Ok(Self(path.to_owned()))
    }

    /// A directory that `devnet init` made.
    pub fn open(path: &Path) -> Result<Self> {
        let dir = Self(path.to_owned());
        if !dir.genesis_file().is_file() {
            bail!(
                "{}: no genesis.json here; make a network with `agency-node devnet init`",
                path.display()
            );
        }
        Ok(dir)
    }

    /// The genesis file.
    pub fn genesis_file(&self) -> PathBuf {
        self.0.join("genesis.json")
    }

    /// Key of the vaults at rest.
    pub fn vault_key_file(&self) -> PathBuf {
        self.0.join("vault.key")
    }

    /// The devnet identity office's signing key.
    pub fn issuer_key_file(&self) -> PathBuf {
        self.0.join("issuer.key")
    }

    /// The devnet regulator's signing key.
    pub fn auditor_key_file(&self) -> PathBuf {
        self.0.join("auditor.key")
    }

    /// The administration socket.
    pub fn socket(&self) -> PathBuf {
        self.0.join("admin.sock")
    }

    /// The ledger's database.
    pub fn ledger(&self) -> PathBuf {
        self.0.join("ledger")
    }

    /// An agency's own directory.
    pub fn agency(&self, agency: AgencyId) -> PathBuf {
        self.0.join(format!("agency-{}", agency.0))
    }

    /// An agency's vault.
    pub fn vault(&self, agency: AgencyId) -> PathBuf {
        self.agency(agency).join("vault")
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads and checks the genesis file; gives its bytes too.
    pub fn genesis(&self) -> Result<(Genesis, Vec<u8>)> {
        let path = self.genesis_file();
        let bytes = read_limited(&path, MAX_GENESIS_FILE)?;
        let genesis = Genesis::from_json(&bytes).map_err(|e| anyhow!("{}: {e}", path.display()))?;
        Ok((genesis, bytes))
    }

    /// The key of the vaults: from a passphrase file if one is given, else from the key file.
    pub fn vault_key(&self, passphrase: Option<&Path>) -> Result<VaultKey> {
        if let Some(path) = passphrase {
            return passphrase_key(path);
        }
        let path = self.vault_key_file();
        if !path.exists() {
            bail!(
                "{}: no vault.key here; if the vaults have a passphrase, give --passphrase-file",
                self.0.display()
            );
        }
        VaultKey::from_key_file(&path).map_err(|e| anyhow!("{}: {e}", path.display()))
    }

    /// Takes the lock of the databases, or says which process has it.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.0.join("node.lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| path.display().to_string())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The text is only a hint, so a failure to read it does not matter.
                let _ = (&file).take(32).read_to_string(&mut holder);
                bail!(
                    "{}: another process (pid {}) has this data directory open",
                    self.0.display(),
                    holder.trim()
                );
            }
            Err(TryLockError::Error(e)) => {
                return Err(e).with_context(|| path.display().to_string());
            }
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Lock(file))
    }
}

/// Reads a whole file that may have at most `limit` bytes.
pub fn read_limited(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| path.display().to_string())?;
    if bytes.len() > limit {
        bail!("{}: more than {limit} bytes", path.display());
    }
    Ok(bytes)
}

/// Writes a new public file durably. It must not exist.
pub fn write_public(path: &Path, contents: &[u8]) -> Result<()> {
    write_new(path, contents, 0o644)
}

fn write_new(path: &Path, contents: &[u8], mode: u32) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        file.write_all(contents)?;
        file.sync_all()
    };
    write().with_context(|| path.display().to_string())
}

/// Writes a key file.
pub fn write_key(path: &Path, key: &[u8; 32]) -> Result<()> {
    let mut line = Zeroizing::new(String::with_capacity(65));
    line.push_str(&Zeroizing::new(hex::encode(key)));
    line.push('\n');
    write_new(path, line.as_bytes(), 0o600)
}

/// Reads a key file.
pub fn read_key(path: &Path) -> Result<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(read_limited(path, 128)?);
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(bytes.trim_ascii(), &mut key[..]).map_err(|_| {
        anyhow!(
            "{}: a key file is one line of 64 hexadecimal digits",
            path.display()
        )
    })?;
    Ok(key)
}

/// The vaults' key from a passphrase file.
pub fn passphrase_key(path: &Path) -> Result<VaultKey> {
    VaultKey::passphrase(&read_passphrase(path)?).map_err(|e| anyhow!("{}: {e}", path.display()))
}

/// Reads a passphrase: the first line of a file, without its line end.
fn read_passphrase(path: &Path) -> Result<Zeroizing<String>> {
    const MAX: usize = 4096;
    let bytes = Zeroizing::new(read_limited(path, MAX)?);
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line)
        .map_err(|_| anyhow!("{}: a passphrase is UTF-8 text", path.display()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holds_the_lock_and_the_other_learns_who() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let data = DataDir::create(&dir.path().join("net")).expect("new");
        let lock = data.lock().expect("free");
        let refused = data.lock().expect_err("held").to_string();
        assert!(
            refused.contains(&format!("pid {}", std::process::id())),
            "{refused}"
        );
        drop(lock);
        data.lock().expect("free again");
        // The lock file makes the directory non-empty.
        assert!(DataDir::create(data.path()).is_err());
    }

    #[test]
    fn key_files_round_trip_and_are_private() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("a.key");
        write_key(&path, &[0xa5; 32]).expect("new");
        assert_eq!(*read_key(&path).expect("readable"), [0xa5; 32]);
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(write_key(&path, &[0; 32]).is_err(), "never overwritten");
        for bad in ["", "zz", &"a".repeat(63), &"a".repeat(66)] {
            let path = dir.path().join("bad.key");
            fs::write(&path, bad).expect("written");
            assert!(read_key(&path).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_passphrase_is_the_first_line() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("p");
        fs::write(&path, "correct horse\r\nsecond line\n").expect("written");
        assert_eq!(
            read_passphrase(&path).expect("readable").as_str(),
            "correct horse"
        );
        fs::write(&path, "\nx").expect("written");
        assert!(passphrase_key(&path).is_err(), "an empty passphrase");
    }
}
