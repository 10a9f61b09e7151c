//! The wallet's file at rest: XChaCha20-Poly1305 under a key that argon2id makes of a passphrase.
//!
//! A file is never changed in place. A second file `<wallet>.lock` keeps two commands from
//! overwriting one another's changes.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use borsh::{BorshDeserialize, BorshSerialize};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand_core::{CryptoRng, OsRng, RngCore};
use zeroize::Zeroizing;
use zkbureau_circuits::encoding::Document;

use super::WalletError;
use crate::files::{self, io_error};

/// Largest wallet in bytes.
pub(super) const MAX_PLAIN: usize = 64 << 20;

/// What a guess at the passphrase costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Cost {
    /// 64 MiB and three passes, the second choice of RFC 9106; about 0.15 s.
    pub const DEFAULT: Self = Self {
        memory_kib: 64 * 1024,
        passes: 3,
    };

    /// What a file may ask for: a changed file must not exhaust the machine.
    fn is_sane(self) -> bool {
        (8..=1024 * 1024).contains(&self.memory_kib) && (1..=32).contains(&self.passes)
    }
}

/// The file: how the key is made, and the encrypted wallet.
#[derive(BorshSerialize, BorshDeserialize)]
struct Envelope {
    head: Head,
    nonce: [u8; 24],
    ciphertext: Vec<u8>,
}

#[derive(Clone, Copy, BorshSerialize, BorshDeserialize)]
struct Head {
    salt: [u8; 16],
    cost: Cost,
}

impl Document for Envelope {
    const NAME: &'static str = "zkbureau/wallet/v1";
    const MAX_BYTES: usize = MAX_PLAIN + 128;
}

impl Head {
    fn key(&self, passphrase: &[u8]) -> Result<Zeroizing<[u8; 32]>, WalletError> {
        if passphrase.is_empty() {
            return Err(WalletError::EmptyPassphrase);
        }
        let mut key = Zeroizing::new([0; 32]);
        let params = Params::new(self.cost.memory_kib, self.cost.passes, 1, Some(32))
            .map_err(|_| WalletError::Passphrase)?;
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, &self.salt, key.as_mut())
            .map_err(|_| WalletError::Passphrase)?;
        Ok(key)
    }

    /// What the ciphertext is bound to besides the key.
    fn associated(&self) -> Vec<u8> {
        let mut bytes = Envelope::NAME.as_bytes().to_vec();
        bytes.extend(borsh::to_vec(self).expect("encoding into memory"));
        bytes
    }
}

/// A wallet's file, locked.
pub(super) struct WalletFile {
    path: PathBuf,
    head: Head,
    key: Zeroizing<[u8; 32]>,
    _lock: File,
}

impl WalletFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Prepares a new wallet's file; [`Self::write`] makes it.
    pub(super) fn create<R: RngCore + CryptoRng>(
        path: &Path,
        passphrase: &[u8],
        cost: Cost,
        rng: &mut R,
    ) -> Result<Self, WalletError> {
        let lock = lock(path)?;
        if path.exists() {
            return Err(WalletError::Exists(path.to_owned()));
        }
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        let head = Head { salt, cost };
        Ok(Self {
            path: path.to_owned(),
            key: head.key(passphrase)?,
            head,
            _lock: lock,
        })
    }

    /// Opens a file; gives the decrypted wallet.
    pub(super) fn open(
        path: &Path,
        passphrase: &[u8],
    ) -> Result<(Self, Zeroizing<Vec<u8>>), WalletError> {
        let format = || WalletError::Format(path.to_owned());
        // Asked first, so that a wrong path leaves no lock file behind.
        std::fs::metadata(path).map_err(|e| WalletError::File(io_error(path)(e)))?;
        let lock = lock(path)?;
        let bytes = files::read(path, Envelope::MAX_BYTES)?;
        let envelope = Envelope::from_bytes(&bytes).map_err(|_| format())?;
        if !envelope.head.cost.is_sane() {
            return Err(format());
        }
        let key = envelope.head.key(passphrase)?;
        let plain = XChaCha20Poly1305::new((&*key).into())
            .decrypt(
                XNonce::from_slice(&envelope.nonce),
                Payload {
                    msg: &envelope.ciphertext,
                    aad: &envelope.head.associated(),
                },
            )
            .map_err(|_| WalletError::Passphrase)?;
        let file = Self {
            path: path.to_owned(),
            head: envelope.head,
            key,
            _lock: lock,
        };
        Ok((file, Zeroizing::new(plain)))
    }

    /// Encrypts and replaces the file.
    pub(super) fn write(&self, plain: &[u8]) -> Result<(), WalletError> {
        // 24 random bytes: no two writes share a nonce.
        let mut nonce = [0; 24];
        OsRng.fill_bytes(&mut nonce);
        let ciphertext = XChaCha20Poly1305::new((&*self.key).into())
            .encrypt(
                XNonce::from_slice(&nonce),
                Payload {
                    msg: plain,
                    aad: &self.head.associated(),
                },
            )
            .map_err(|_| WalletError::Format(self.path.clone()))?;
        let envelope = Envelope {
            head: self.head,
            nonce,
            ciphertext,
        };
        files::replace(&self.path, &envelope.to_bytes(), true)?;
        Ok(())
    }
}

fn lock(path: &Path) -> Result<File, WalletError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let lock_path = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let file = options
        .open(&lock_path)
        .map_err(|e| WalletError::File(io_error(&lock_path)(e)))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(WalletError::InUse(path.to_owned())),
        Err(TryLockError::Error(e)) => Err(WalletError::File(io_error(&lock_path)(e))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost {
        memory_kib: 8,
        passes: 1,
    };

    #[test]
    fn opens_only_with_its_passphrase_and_unchanged() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("w");
        let file = WalletFile::create(&path, b"secret", CHEAP, &mut OsRng).expect("created");
        file.write(b"hello").expect("written");
        assert!(matches!(
            WalletFile::open(&path, b"secret"),
            Err(WalletError::InUse(_))
        ));
        drop(file);
        let (file, plain) = WalletFile::open(&path, b"secret").expect("opened");
        assert_eq!(plain.as_slice(), b"hello");
        drop(file);
        assert!(matches!(
            WalletFile::create(&path, b"secret", CHEAP, &mut OsRng),
            Err(WalletError::Exists(_))
        ));
        assert!(matches!(
            WalletFile::open(&path, b"Secret"),
            Err(WalletError::Passphrase)
        ));
        assert!(matches!(
            WalletFile::open(&path, b""),
            Err(WalletError::EmptyPassphrase)
        ));
        let good = std::fs::read(&path).expect("read");
        for i in 0..good.len() {
            // The cost's upper bytes would only make the key slow to compute.
            if (18..25).contains(&i) {
                continue;
            }
            let mut bad = good.clone();
            bad[i] ^= 1;
            std::fs::write(&path, &bad).expect("written");
            assert!(WalletFile::open(&path, b"secret").is_err(), "byte {i}");
        }
        std::fs::write(&path, &good[..good.len() - 1]).expect("written");
        assert!(WalletFile::open(&path, b"secret").is_err());
        assert!(WalletFile::open(&folder.path().join("none"), b"secret").is_err());
        assert!(!folder.path().join("none.lock").exists());
    }

    #[test]
    fn two_writes_share_no_ciphertext() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("w");
        let file = WalletFile::create(&path, b"secret", CHEAP, &mut OsRng).expect("created");
        file.write(&[7; 64]).expect("written");
        let first = std::fs::read(&path).expect("read");
        file.write(&[7; 64]).expect("written");
        let second = std::fs::read(&path).expect("read");
        assert_ne!(first[25..49], second[25..49]);
        assert_ne!(first[53..], second[53..]);
    }
}
