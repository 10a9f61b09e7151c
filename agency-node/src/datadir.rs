//! What lies where in a node's data directory.
//!
//! ```text
//! DIR/agency.toml       how an agency's node is run; a devnet has none
//! DIR/agency-part.json  what the agency gives to the others; public
//! DIR/genesis.json      who takes part, under which rules; public
//! DIR/vault.key         key of the vaults at rest, unless they have a passphrase
//! DIR/issuer.key        a devnet's identity office: its signing key
//! DIR/auditor.key       a devnet's regulator: its signing key
//! DIR/node.lock         held while a process has the databases open
//! DIR/admin.sock        administration of the running node
//! DIR/ledger/           RocksDB
//! DIR/ledger.joining/   a ledger that is being filled from a snapshot
//! DIR/snapshots/        the ledger's state for nodes that join
//! DIR/consensus/        the engine's log, and proposals that are not decided
//! DIR/consensus.signed  what the validator signed last, so that it never contradicts itself
//! DIR/agency-N/vault/   RocksDB, values and keys encrypted
//! ```
//!
//! Key files hold 32 bytes as hexadecimal digits on one line and are readable by their owner only.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use zeroize::Zeroizing;
use zkbureau_agency_node::config::{self, Config};
use zkbureau_agency_node::vault::VaultKey;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::genesis::Genesis;

/// Identity of the devnet's issuer and auditor in the genesis file.
pub const DEVNET_ISSUER: u32 = 1;
/// See [`DEVNET_ISSUER`].
pub const DEVNET_AUDITOR: u32 = 1;

/// Longest genesis file: its canonical encoding is bounded tighter, but JSON is wordy.
pub const MAX_GENESIS_FILE: usize = 4 << 20;

/// How long a start waits for another process to let go of the data directory.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A node's data directory.
#[derive(Clone, Debug)]
pub struct DataDir(PathBuf);

/// A node: where its data are and, unless it is a devnet, how it is run.
#[derive(Debug)]
pub struct Located {
    /// Where its data are.
    pub data: DataDir,
    /// How it is run.
    pub config: Option<Config>,
}

impl Located {
    /// Finds a node by its data directory or its configuration.
    pub fn find(data: Option<&Path>, file: Option<&Path>) -> Result<Self> {
        let config = match (file, data) {
            (Some(file), _) => Some(file.to_owned()),
            (None, Some(data)) => Some(data.join(config::FILE)).filter(|file| file.is_file()),
            (None, None) => bail!("give --data DIR or --config FILE"),
        };
        let config = config.map(|file| read_config(&file)).transpose()?;
        let path = data.or(config.as_ref().map(|c| c.data.as_path()));
        let path = path.context("give --data DIR or --config FILE")?;
        if !path.is_dir() {
            bail!("{}: there is no such directory", path.display());
        }
        let data = DataDir(path.to_owned());
        Ok(Self { data, config })
    }

    /// The configuration of an agency's node.
    pub fn config(&self) -> Result<&Config> {
        self.config.as_ref().with_context(|| {
            format!(
                "{}: no {} here; make an agency with `agency-node init`",
                self.data.path().display(),
                config::FILE
            )
        })
    }

    /// What opens the vaults.
    pub fn vault_key(&self, passphrase: Option<&Path>) -> Result<VaultKey> {
        match (&self.config, passphrase) {
            (Some(config), None) => Ok(config.vault.key()?),
            _ => self.data.vault_key(passphrase),
        }
    }
}

/// Reads a configuration file.
pub fn read_config(file: &Path) -> Result<Config> {
    let name = file.display();
    let text = String::from_utf8(read_limited(file, config::MAX_FILE)?)
        .map_err(|_| anyhow!("{name}: not UTF-8 text"))?;
    let file = std::path::absolute(file).with_context(|| name.to_string())?;
    let folder = file.parent().unwrap_or(Path::new("."));
    Config::parse(&text, folder).map_err(|e| anyhow!("{name}: {e}"))
}

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

    /// How the node is run.
    pub fn config_file(&self) -> PathBuf {
        self.0.join(config::FILE)
    }

    /// What the agency gives to the others.
    pub fn part_file(&self) -> PathBuf {
        self.0.join("agency-part.json")
    }

    /// A ledger that is being filled from a snapshot.
    pub fn joining(&self) -> PathBuf {
        self.0.join("ledger.joining")
    }

    /// Snapshots for others.
    pub fn snapshots(&self) -> PathBuf {
        self.0.join("snapshots")
    }

    /// Puts the ledger that came from a snapshot in the place of the empty one.
    pub fn take_joined(&self) -> Result<()> {
        let swap = || {
            if self.ledger().exists() {
                fs::remove_dir_all(self.ledger())?;
            }
            fs::rename(self.joining(), self.ledger())
        };
        swap().with_context(|| self.ledger().display().to_string())
    }

    /// The consensus engine's files.
    pub fn consensus(&self) -> PathBuf {
        self.0.join("consensus")
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
        if !path.is_file() {
            bail!(
                "{}: no genesis.json here; put the consortium's there (`agency-node genesis` makes it)",
                self.0.display()
            );
        }
        let bytes = read_limited(&path, MAX_GENESIS_FILE)?;
        let genesis = Genesis::from_json(&bytes).map_err(|e| anyhow!("{}: {e}", path.display()))?;
        Ok((genesis, bytes))
    }

    /// A directory that exists.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
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

    /// Like [`Self::lock`], but waits for a process that is about to end.
    pub fn lock_patiently(&self) -> Result<Lock> {
        let start = Instant::now();
        let mut told = false;
        loop {
            match self.lock() {
                Ok(lock) => return Ok(lock),
                Err(error) if start.elapsed() >= PATIENCE => return Err(error),
                Err(error) => {
                    if !told {
                        tracing::warn!("{error}; waiting up to {} s for it", PATIENCE.as_secs());
                        told = true;
                    }
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
        }
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

/// Reads a genesis file.
pub fn read_genesis(path: &Path) -> Result<Genesis> {
    let bytes = read_limited(path, MAX_GENESIS_FILE)?;
    Genesis::from_json(&bytes).map_err(|e| anyhow!("{}: {e}", path.display()))
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
