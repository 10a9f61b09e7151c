//! What can be wrong with a vault.

use std::path::PathBuf;

use thiserror::Error;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::ids::ChainId;

/// The vault cannot be used. The text is for the agency's operator.
#[derive(Debug, Error)]
pub enum VaultError {
    /// The passphrase or key file is not this vault's.
    #[error("the vault does not open with this passphrase or key file")]
    WrongKey,
    /// A passphrase was given for a key file's vault, or the other way round.
    #[error("this vault opens with {0}")]
    WrongKeyKind(&'static str),
    /// The vault belongs to another chain.
    #[error("the vault is for chain {vault}, this node runs chain {wanted}")]
    OtherChain {
        /// The vault's chain.
        vault: ChainId,
        /// The chain it was opened for.
        wanted: ChainId,
    },
    /// The vault belongs to another agency.
    #[error("the vault is of {vault}, it was opened for {wanted}")]
    OtherAgency {
        /// The vault's agency.
        vault: AgencyId,
        /// The agency it was opened for.
        wanted: AgencyId,
    },
    /// Another process, or another part of this one, holds the vault.
    #[error("the vault at {0} is in use by another process")]
    InUse(PathBuf),
    /// There is no vault.
    #[error("there is no vault at {0}")]
    Missing(PathBuf),
    /// There is one already.
    #[error("there is a vault at {0} already")]
    Exists(PathBuf),
    /// The vault was written by another release.
    #[error("the vault has format {got}, this release reads format {expected}")]
    Format {
        /// The vault's format.
        got: u16,
        /// The format of this release.
        expected: u16,
    },
    /// A value is missing, was changed, moved, or does not decode. Names the column family only.
    #[error("the vault is damaged: a value in `{0}` is missing or was changed")]
    Damaged(&'static str),
    /// A batch is not the one whose turn it is.
    #[error("batch {got} was given to the vault, {expected} is next")]
    BatchNumber {
        /// The number whose turn it is.
        expected: u64,
        /// The number given.
        got: u64,
    },
    /// The publisher's blindings are not those that the vault would derive again.
    #[error("a prepared record's blindings do not follow from its salt")]
    Blindings,
    /// A column total leaves 64 bits.
    #[error("a column total leaves the range of 64 bits")]
    ColumnRange,
    /// RocksDB failed.
    #[error("the vault's storage failed: {0}")]
    Storage(String),
}

impl From<rocksdb::Error> for VaultError {
    fn from(error: rocksdb::Error) -> Self {
        Self::Storage(error.into_string())
    }
}
