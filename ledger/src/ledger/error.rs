//! What can go wrong with a ledger.

use thiserror::Error;

use crate::block::CertificateError;
use crate::genesis::GenesisError;
use crate::ids::{AgencyId, ChainId, Height};
use crate::machine::{BlockErrorKind, TxError};
use crate::store::StoreError;
use crate::tree::TreeError;

/// A block is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("block {height}: {kind}")]
pub struct BlockError {
    /// Its height.
    pub height: Height,
    /// What is wrong with it.
    pub kind: BlockErrorKind,
}

/// The ledger refuses or fails.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The genesis file is not valid.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The store belongs to another chain.
    #[error("the store belongs to chain {got}, not {expected}")]
    OtherChain {
        /// Chain of the genesis file.
        expected: ChainId,
        /// Chain of the store.
        got: ChainId,
    },
    /// The store was written in a format that this release does not read.
    #[error("the store was written by a release that this one does not understand")]
    Format,
    /// The import of a snapshot was interrupted; it must be started again.
    #[error("the import of a snapshot was not finished; start it again")]
    ImportUnfinished,
    /// Something that must be in the store is not, or is not what it must be.
    #[error("the store is damaged: {0}")]
    Damaged(&'static str),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A tree cannot be read or changed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A block is not valid.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A transaction is not valid.
    #[error(transparent)]
    Transaction(TxError),
    /// A certificate does not make its block final.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Another block was committed in between.
    #[error("block {got} does not follow the last block, {last}")]
    NotNext {
        /// Height of the last block.
        last: Height,
        /// Height of the block.
        got: Height,
    },
    /// The state at this height is no longer kept, or not there yet.
    #[error("the state at height {at} is not kept; the last block is {last}")]
    Pruned {
        /// The height asked for.
        at: Height,
        /// Height of the last block.
        last: Height,
    },
    /// There is no such agency.
    #[error("there is no {0}")]
    UnknownAgency(AgencyId),
}
