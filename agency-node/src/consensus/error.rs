//! What ends consensus. The node must then stop: what is on disk is whole.

use zkbureau_ledger::LedgerError;
use zkbureau_ledger::ids::Height;

use super::context::HeaderHash;
use crate::network::StartError;

/// Consensus cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ConsensusError {
    /// The disk failed.
    #[error("consensus: the disk failed: {0}")]
    Disk(#[from] std::io::Error),
    /// The ledger failed.
    #[error("consensus: {0}")]
    Ledger(#[from] LedgerError),
    /// The block that was decided is not here, or does not hold here.
    #[error(
        "block {height} ({value}) was decided, but it is not on this disk or not valid by this node's \
         rules; if other nodes go on, restore this one from a snapshot"
    )]
    Missing {
        /// Its height.
        height: Height,
        /// Its header hash.
        value: HeaderHash,
    },
    /// The height at which this validator signed last is decided: it may sign again after a new start.
    #[error("consensus starts again, with this validator's votes")]
    MaySign,
    /// A certificate without a round.
    #[error("the certificate of block {0} has no round")]
    NoRound(Height),
    /// Some work panicked.
    #[error("consensus: a task panicked")]
    Panicked,
    /// The network did not start.
    #[error(transparent)]
    Network(#[from] StartError),
    /// The network did not take the engine.
    #[error("{0}")]
    Attach(String),
    /// The network is gone.
    #[error("consensus: the network has stopped")]
    NetworkStopped,
    /// The engine did not start.
    #[error("the consensus engine did not start: {0}")]
    Engine(String),
    /// The engine stopped by itself.
    #[error("the consensus engine has stopped")]
    EngineStopped,
    /// Another process holds the log.
    #[error(
        "another process still holds the consensus log {path} after {waited} s; is another \
         agency-node running on this data directory?"
    )]
    Locked {
        /// The log.
        path: String,
        /// How long it was waited for.
        waited: u64,
    },
}
