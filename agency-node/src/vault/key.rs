//! What opens a vault, and what it protects: the wrapped data key in the header, and the agency's
//! own secret keys.

use std::fmt;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use borsh::{BorshDeserialize, BorshSerialize};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand_core::{CryptoRng, OsRng, RngCore};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};
use zkbureau_circuits::directory::VrfSecretKey;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::document::sealed::SealingSecretKey;
use zkbureau_ledger::genesis;
use zkbureau_ledger::ids::ChainId;
use zkbureau_ledger::keys::SecretKey;

use super::cipher::mac;
use super::error::VaultError;

/// Version of everything in a vault.
pub const FORMAT: u16 = 1;
/// The chain of a vault that was made before there was one.
pub const UNBOUND: ChainId = ChainId([0; 32]);
/// Longest passphrase in bytes.
pub const MAX_PASSPHRASE: usize = 1024;

/// argon2id for a new vault: 64 MiB, three passes (RFC 9106's second choice), one lane.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
/// Most that a header may ask for, so that a changed header cannot exhaust the machine.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
const MAX_PASSES: u32 = 64;

/// Text that is not a vault key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The passphrase is empty or too long.
    #[error("a passphrase has 1 to {MAX_PASSPHRASE} bytes")]
    Passphrase,
    /// Not 64 hexadecimal digits.
    #[error("a key file holds 64 hexadecimal digits")]
    Hex,
    /// The file cannot be read.
    #[error("the key file cannot be read: {0}")]
    File(String),
}

/// What an operator opens a vault with.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct VaultKey(Source);

#[derive(Zeroize, ZeroizeOnDrop)]
enum Source {
    Passphrase(String),
    File([u8; 32]),
}

impl VaultKey {
    /// A passphrase; the vault's header holds salt and cost of the derivation.
    ///
    /// # Errors
    /// [`KeyError::Passphrase`] when it is empty or too long.
    pub fn passphrase(text: &str) -> Result<Self, KeyError> {
        if (1..=MAX_PASSPHRASE).contains(&text.len()) {
            Ok(Self(Source::Passphrase(text.to_owned())))
        } else {
            Err(KeyError::Passphrase)
        }
    }

    /// A key of 64 hexadecimal digits; blanks and line ends around it do not count.
    ///
    /// # Errors
    /// [`KeyError::Hex`].
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let mut key = [0; 32];
        hex::decode_to_slice(text.trim(), &mut key).map_err(|_| KeyError::Hex)?;
        Ok(Self(Source::File(key)))
    }

    /// A key file.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_key_file(path: &Path) -> Result<Self, KeyError> {
        let text = Zeroizing::new(
            std::fs::read_to_string(path).map_err(|e| KeyError::File(e.to_string()))?,
        );
        Self::from_hex(&text)
    }

    /// The text of a fresh key file.
    pub fn generate_hex<R: RngCore + CryptoRng>(rng: &mut R) -> Zeroizing<String> {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *key);
        Zeroizing::new(hex::encode(*key))
    }
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::Passphrase(_) => "VaultKey(passphrase)",
            Source::File(_) => "VaultKey(file)",
        })
    }
}

/// How the wrapping key is made.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
enum Derivation {
    Argon2id {
        memory_kib: u32,
        passes: u32,
        salt: [u8; 16],
    },
    KeyFile,
}

/// The vault's first record, not encrypted. Everything but the wrapped key is authenticated with
/// it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Header {
    format: u16,
    chain: ChainId,
    agency: AgencyId,
    derivation: Derivation,
    nonce: [u8; 24],
    wrapped: Vec<u8>,
}

impl Header {
    /// Makes the header of a new vault, and the data key in it.
    pub(super) fn create(
        chain: &ChainId,
        agency: AgencyId,
        key: &VaultKey,
    ) -> Result<(Self, Zeroizing<[u8; 32]>), VaultError> {
        let derivation = match &key.0 {
            Source::Passphrase(_) => {
                let mut salt = [0; 16];
                OsRng.fill_bytes(&mut salt);
                Derivation::Argon2id {
                    memory_kib: MEMORY_KIB,
                    passes: PASSES,
                    salt,
                }
            }
            Source::File(_) => Derivation::KeyFile,
        };
        let mut data_key = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(&mut *data_key);
        let header = Self::wrap(chain, agency, key, derivation, &data_key)?;
        Ok((header, data_key))
    }

    fn wrap(
        chain: &ChainId,
        agency: AgencyId,
        key: &VaultKey,
        derivation: Derivation,
        data_key: &[u8; 32],
    ) -> Result<Self, VaultError> {
        let mut nonce = [0; 24];
        OsRng.fill_bytes(&mut nonce);
        let mut header = Self {
            format: FORMAT,
            chain: *chain,
            agency,
            derivation,
            nonce,
            wrapped: Vec::new(),
        };
        header.wrapped = XChaCha20Poly1305::new((&*header.wrapping_key(key)?).into())
            .encrypt(
                &XNonce::from(header.nonce),
                Payload {
                    msg: data_key,
                    aad: &header.authenticated(),
                },
            )
            .expect("a key fits the cipher");
        Ok(header)
    }

    /// The same vault, for a chain: a vault is made before its chain exists.
    pub(super) fn bind(&self, chain: &ChainId, key: &VaultKey) -> Result<Self, VaultError> {
        let data_key = self.open(&UNBOUND, self.agency, key)?;
        Self::wrap(chain, self.agency, key, self.derivation.clone(), &data_key)
    }

    /// The chain it says it is for, not authenticated.
    pub(super) fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// The agency it says it is of, not authenticated.
    pub(super) fn agency(&self) -> AgencyId {
        self.agency
    }

    /// Checks that the header is of this release, chain and agency, and unwraps the data key.
    pub(super) fn open(
        &self,
        chain: &ChainId,
        agency: AgencyId,
        key: &VaultKey,
    ) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        if self.chain != *chain {
            return Err(VaultError::OtherChain {
                vault: self.chain,
                wanted: *chain,
            });
        }
        if self.agency != agency {
            return Err(VaultError::OtherAgency {
                vault: self.agency,
                wanted: agency,
            });
        }
        let plain = XChaCha20Poly1305::new((&*self.wrapping_key(key)?).into())
            .decrypt(
                &XNonce::from(self.nonce),
                Payload {
                    msg: &self.wrapped,
                    aad: &self.authenticated(),
                },
            )
            .map(Zeroizing::new)
            .map_err(|_| VaultError::WrongKey)?;
        let bytes: [u8; 32] = plain
            .as_slice()
            .try_into()
            .map_err(|_| VaultError::WrongKey)?;
        Ok(Zeroizing::new(bytes))
    }

    /// Decodes a header; the format is checked before the rest, which may look different in other
    /// releases.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, VaultError> {
        let format = bytes
            .first_chunk::<2>()
            .map(|b| u16::from_le_bytes(*b))
            .ok_or(VaultError::Damaged("header"))?;
        if format != FORMAT {
            return Err(VaultError::Format {
                got: format,
                expected: FORMAT,
            });
        }
        borsh::from_slice(bytes).map_err(|_| VaultError::Damaged("header"))
    }

    fn authenticated(&self) -> Vec<u8> {
        let bare = Self {
            wrapped: Vec::new(),
            ..self.clone()
        };
        borsh::to_vec(&bare).expect("encoding into memory")
    }

    fn wrapping_key(&self, key: &VaultKey) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        let mut out = Zeroizing::new([0; 32]);
        match (&self.derivation, &key.0) {
            (
                Derivation::Argon2id {
                    memory_kib,
                    passes,
                    salt,
                },
                Source::Passphrase(text),
            ) => {
                if *memory_kib > MAX_MEMORY_KIB || *passes > MAX_PASSES {
                    return Err(VaultError::Damaged("header"));
                }
                let params = Params::new(*memory_kib, *passes, 1, Some(32))
                    .map_err(|_| VaultError::Damaged("header"))?;
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(text.as_bytes(), salt, &mut *out)
                    .map_err(|_| VaultError::Damaged("header"))?;
            }
            (Derivation::KeyFile, Source::File(file)) => {
                *out = mac(file, &[b"zkbureau/vault/wrap/v1", &self.nonce]);
            }
            (Derivation::Argon2id { .. }, _) => {
                return Err(VaultError::WrongKeyKind("a passphrase"));
            }
            (Derivation::KeyFile, _) => return Err(VaultError::WrongKeyKind("a key file")),
        }
        Ok(out)
    }
}

/// A kind of key that an agency has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// Signs batches and votes.
    Validator,
    /// Evaluates the directory.
    Vrf,
    /// Receives sealed asks.
    Sealing,
    /// The node's identity in the network.
    Network,
}

impl KeyKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Validator, Self::Vrf, Self::Sealing, Self::Network];
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Validator => "validator",
            Self::Vrf => "vrf",
            Self::Sealing => "sealing",
            Self::Network => "network",
        })
    }
}

/// An agency's secret keys.
pub struct AgencyKeys {
    validator: SecretKey,
    vrf: VrfSecretKey,
    sealing: SealingSecretKey,
    network: SecretKey,
}

impl AgencyKeys {
    /// Draws all keys.
    pub fn random<R: RngCore + CryptoRng>(rng: &mut R) -> Self {
        Self {
            validator: SecretKey::random(rng),
            vrf: VrfSecretKey::random(rng),
            sealing: SealingSecretKey::random(rng),
            network: SecretKey::random(rng),
        }
    }

    /// Signs batches and blocks.
    #[must_use]
    pub fn validator(&self) -> &SecretKey {
        &self.validator
    }

    /// Derives directory indexes.
    #[must_use]
    pub fn vrf(&self) -> &VrfSecretKey {
        &self.vrf
    }

    /// Opens asks.
    #[must_use]
    pub fn sealing(&self) -> &SealingSecretKey {
        &self.sealing
    }

    /// The node's identity in the network.
    #[must_use]
    pub fn network(&self) -> &SecretKey {
        &self.network
    }

    /// The agency's entry in a genesis file.
    #[must_use]
    pub fn agency(&self, id: AgencyId, name: &str) -> genesis::Agency {
        genesis::Agency {
            id,
            name: name.to_owned(),
            validator_key: self.validator.public(),
            vrf_key: self.vrf.public(),
            sealing_key: self.sealing.public(),
            network_key: self.network.public(),
        }
    }

    /// Length of [`Self::to_secret_bytes`].
    pub(super) const BYTES: usize = 128;

    /// Whether the ledger names this set's key of a kind.
    #[must_use]
    pub fn is(&self, kind: KeyKind, on_ledger: &genesis::Agency) -> bool {
        match kind {
            KeyKind::Validator => self.validator.public() == on_ledger.validator_key,
            KeyKind::Vrf => self.vrf.public() == on_ledger.vrf_key,
            KeyKind::Sealing => self.sealing.public() == on_ledger.sealing_key,
            KeyKind::Network => self.network.public() == on_ledger.network_key,
        }
    }

    /// The same keys, but new ones of some kinds.
    pub(super) fn with_new<R: RngCore + CryptoRng>(&self, kinds: &[KeyKind], rng: &mut R) -> Self {
        let new = Self::random(rng);
        let from = |kind| if kinds.contains(&kind) { &new } else { self };
        Self::pick(from)
    }

    /// One key of each kind from the set named for it.
    pub(super) fn assemble(chosen: &[(KeyKind, std::sync::Arc<Self>)]) -> Self {
        Self::pick(|kind| {
            let found = chosen.iter().find(|(k, _)| *k == kind);
            &found.expect("one set for every kind").1
        })
    }

    fn pick<'a>(from: impl Fn(KeyKind) -> &'a Self) -> Self {
        Self {
            validator: SecretKey::from_seed(&from(KeyKind::Validator).validator.to_seed()),
            vrf: VrfSecretKey::from_bytes(&from(KeyKind::Vrf).vrf.to_bytes())
                .expect("the bytes of a key"),
            sealing: SealingSecretKey::from_bytes(*from(KeyKind::Sealing).sealing.expose_bytes()),
            network: SecretKey::from_seed(&from(KeyKind::Network).network.to_seed()),
        }
    }

    pub(super) fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(Self::BYTES));
        out.extend_from_slice(&*self.validator.to_seed());
        out.extend_from_slice(&*self.vrf.to_bytes());
        out.extend_from_slice(self.sealing.expose_bytes());
        out.extend_from_slice(&*self.network.to_seed());
        out
    }

    pub(super) fn from_secret_bytes(bytes: &[u8]) -> Option<Self> {
        let (validator, rest) = bytes.split_first_chunk::<32>()?;
        let (vrf, rest) = rest.split_first_chunk::<32>()?;
        let (sealing, rest) = rest.split_first_chunk::<32>()?;
        let network: &[u8; 32] = rest.try_into().ok()?;
        Some(Self {
            validator: SecretKey::from_seed(validator),
            vrf: VrfSecretKey::from_bytes(vrf).ok()?,
            sealing: SealingSecretKey::from_bytes(*sealing),
            network: SecretKey::from_seed(network),
        })
    }
}

impl fmt::Debug for AgencyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgencyKeys(..)")
    }
}
