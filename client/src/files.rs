//! Files: replaced as a whole or not at all, and readable by their owner only where they hold
//! secrets.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rand_core::{CryptoRng, OsRng, RngCore};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::scorecard::{KeyError, ProvingKey};
use zkbureau_ledger::document::armour::{self, ArmourError};
use zkbureau_ledger::document::sealed::SealingSecretKey;
use zkbureau_ledger::genesis::{Genesis, GenesisError};
use zkbureau_ledger::keys::SecretKey;

/// Largest genesis file in bytes.
pub const MAX_GENESIS: usize = 4 << 20;
/// Largest document file in bytes.
const MAX_DOCUMENT: usize = 8 << 20;

/// A file cannot be read, written or understood.
#[derive(Debug, Error)]
pub enum FileError {
    /// Reading or writing failed.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is longer than such a file can be.
    #[error("{}: longer than {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Limit in bytes.
        limit: usize,
    },
    /// It holds something else.
    #[error("{}: {error}", path.display())]
    Armour {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: ArmourError,
    },
    /// It is not a key file.
    #[error("{}: {what}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// It is not a proving key.
    #[error("{}: {error}", path.display())]
    ProvingKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: KeyError,
    },
    /// It is not a genesis file.
    #[error("{}: {error}", path.display())]
    Genesis {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: GenesisError,
    },
}

pub(crate) fn io_error(path: &Path) -> impl Fn(io::Error) -> FileError + '_ {
    move |error| FileError::Io {
        path: path.to_owned(),
        error,
    }
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// [`FileError`].
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(io_error(path))?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(io_error(path))?;
    if bytes.len() > limit {
        return Err(FileError::TooLong {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

/// Replaces a file: the new bytes are on disk under another name before they take the old name,
/// so that a crash leaves the old file or the new one. `private` files are for their owner only.
///
/// # Errors
/// [`FileError`].
pub fn replace(path: &Path, bytes: &[u8], private: bool) -> Result<(), FileError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.new", OsRng.next_u64()));
    let temporary = folder.join(name);
    let written = (|| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(if private { 0o600 } else { 0o644 });
        }
        let mut file = options.open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // The new name itself must survive a crash.
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(io_error(path))
}

/// Reads a document in text form.
///
/// # Errors
/// [`FileError`] says what the file holds instead, or where it is damaged.
pub fn read_document<T: Document>(path: &Path) -> Result<T, FileError> {
    armour::decode(&read(path, MAX_DOCUMENT)?).map_err(|error| FileError::Armour {
        path: path.to_owned(),
        error,
    })
}

/// Writes a document in text form.
///
/// # Errors
/// [`FileError`].
pub fn write_document<T: Document>(path: &Path, document: &T) -> Result<(), FileError> {
    // Requests and answers name their parties, so they are private too.
    replace(path, armour::encode(document).as_bytes(), true)
}

/// Reads and checks a genesis file.
///
/// # Errors
/// [`FileError`].
pub fn read_genesis(path: &Path) -> Result<Genesis, FileError> {
    Genesis::from_json(&read(path, MAX_GENESIS)?).map_err(|error| FileError::Genesis {
        path: path.to_owned(),
        error,
    })
}

/// Reads a proving key for scores. Every point of it is checked; whether it is the key in force, only
/// the ledger can tell.
///
/// # Errors
/// [`FileError`].
pub fn read_proving_key(path: &Path) -> Result<ProvingKey, FileError> {
    let bytes = read(path, ProvingKey::max_bytes())?;
    ProvingKey::read(&bytes).map_err(|error| FileError::ProvingKey {
        path: path.to_owned(),
        error,
    })
}

/// A lender's keys: one signs requests, one opens answers.
pub struct LenderKeys {
    /// Signs requests.
    pub signing: SecretKey,
    /// Opens answers.
    pub sealing: SealingSecretKey,
}

#[derive(Serialize, Deserialize, Zeroize)]
#[zeroize(drop)]
#[serde(deny_unknown_fields)]
struct LenderFile {
    kind: String,
    signing: String,
    sealing: String,
}

const LENDER_KIND: &str = "zkbureau lender keys v1";

impl LenderKeys {
    /// Draws new keys.
    pub fn random<R: RngCore + CryptoRng>(rng: &mut R) -> Self {
        Self {
            signing: SecretKey::random(rng),
            sealing: SealingSecretKey::random(rng),
        }
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let wrong = |what| FileError::Key {
            path: path.to_owned(),
            what,
        };
        let bytes = Zeroizing::new(read(path, 4096)?);
        let file: LenderFile = serde_json::from_slice(&bytes)
            .map_err(|_| wrong("not a lender's key file as `zkbureau request` makes it"))?;
        if file.kind != LENDER_KIND {
            return Err(wrong("a key file of another kind or version"));
        }
        let seed =
            |text: &str| parse_seed(text).ok_or_else(|| wrong("a key is 64 hexadecimal digits"));
        Ok(Self {
            signing: SecretKey::from_seed(&*seed(&file.signing)?),
            sealing: SealingSecretKey::from_bytes(*seed(&file.sealing)?),
        })
    }

    /// Writes a key file for its owner only.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let file = LenderFile {
            kind: LENDER_KIND.into(),
            signing: hex::encode(*self.signing.to_seed()),
            sealing: hex::encode(self.sealing.expose_bytes()),
        };
        let text = Zeroizing::new(serde_json::to_string_pretty(&file).unwrap_or_default() + "\n");
        replace(path, text.as_bytes(), true)
    }
}

/// Reads a signing key: one line of 64 hexadecimal digits.
///
/// # Errors
/// [`FileError`].
pub fn read_signing_key(path: &Path) -> Result<SecretKey, FileError> {
    let bytes = Zeroizing::new(read(path, 4096)?);
    std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| parse_seed(text.trim()))
        .map(|seed| SecretKey::from_seed(&seed))
        .ok_or_else(|| FileError::Key {
            path: path.to_owned(),
            what: "a signing key is one line of 64 hexadecimal digits",
        })
}

fn parse_seed(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text, seed.as_mut()).ok()?;
    Some(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_files_and_keeps_secrets_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lender.key");
        let keys = LenderKeys::random(&mut OsRng);
        keys.write(&path).expect("written");
        keys.write(&path).expect("replaced");
        let read = LenderKeys::read(&path).expect("read");
        assert_eq!(read.signing.public(), keys.signing.public());
        assert_eq!(read.sealing.public(), keys.sealing.public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
        fs::write(&path, "{}").expect("written");
        assert!(matches!(
            LenderKeys::read(&path),
            Err(FileError::Key { .. })
        ));
        assert!(matches!(
            read_signing_key(&path),
            Err(FileError::Key { .. })
        ));
        assert!(matches!(
            super::read(&path, 1),
            Err(FileError::TooLong { .. })
        ));
    }
}
