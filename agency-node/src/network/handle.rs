//! What the node gives to the network and takes from it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use thiserror::Error;
use zkbureau_circuits::ids::AgencyId;

use super::counters::Counters;
use super::registry::{PeerName, Registry};
use super::shared::Shared;

/// A request that one agency sends to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AskKind {
    /// A wallet's sealed ask.
    Ask = 0,
    /// An auditor's sealed request.
    Audit = 1,
    /// One chunk of the snapshot at a height.
    Snapshot = 2,
}

impl AskKind {
    /// The kind of a byte on the wire.
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Ask, Self::Audit, Self::Snapshot]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// The way a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// Over our own connection to the agency.
    Direct,
    /// Through another agency that has one.
    Through(AgencyId),
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Direct => f.write_str("directly"),
            Self::Through(agency) => write!(f, "through {agency}"),
        }
    }
}

/// A request found no answer. The asker learns which agency it waited for, and how.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The ledger names no such agency.
    #[error("{to} is not in the registry")]
    Unknown {
        /// The agency that was asked.
        to: AgencyId,
    },
    /// The agency is our own.
    #[error("our own agency is not asked over the network")]
    Ourselves,
    /// The request is larger than the network carries.
    #[error("the request has {bytes} bytes, at most {limit} are carried")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// No answer came in time.
    #[error("{to} did not answer in time ({tries} tries, last {last:?})", last = .last.map(|p| p.to_string()))]
    Deadline {
        /// The agency that was waited for.
        to: AgencyId,
        /// How often it was tried.
        tries: u32,
        /// The last path, if there was one at all.
        last: Option<Path>,
    },
    /// The network has stopped.
    #[error("the network has stopped")]
    Stopped,
}

/// A request that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which agency is waited for.
    pub to: AgencyId,
    /// What it was asked for.
    pub kind: AskKind,
    /// The path of the present try; nothing while there is none.
    pub path: Option<Path>,
    /// How often it was tried.
    pub tries: u32,
}

/// A member of the consortium as seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Who.
    pub name: PeerName,
    /// Its libp2p identity, as text.
    pub peer_id: String,
    /// Whether there is a connection.
    pub connected: bool,
    /// Agencies that could carry a request to it when there is no connection.
    pub through: Vec<AgencyId>,
    /// Bytes that wait to be sent to it.
    pub queued_bytes: usize,
    /// Frames to it that were dropped because it reads too slowly.
    pub dropped_frames: u64,
    /// The height that it last said it has.
    pub height: Option<u64>,
}

/// The network as everybody else sees it. Cloneable, cheap.
#[derive(Clone)]
pub struct NetworkHandle {
    pub(super) shared: Arc<Shared>,
}

impl NetworkHandle {
    /// Sends a transaction to every connected peer that is not known to have it. Best effort,
    /// bounded.
    pub fn broadcast_transaction(&self, bytes: Arc<[u8]>) {
        self.shared.broadcast_transaction(bytes);
    }

    /// Asks an agency: over our own connection, else through another agency, tried again over
    /// other paths until the deadline. An answerer may see one request more than once.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(
        &self,
        to: AgencyId,
        protocol: AskKind,
        body: Vec<u8>,
        deadline: Duration,
    ) -> Result<Vec<u8>, RequestError> {
        self.request_by(to, protocol, body, deadline)
            .await
            .map(|(body, _)| body)
    }

    /// Like [`NetworkHandle::request`], and says which way the answer came.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request_by(
        &self,
        to: AgencyId,
        protocol: AskKind,
        body: Vec<u8>,
        deadline: Duration,
    ) -> Result<(Vec<u8>, Path), RequestError> {
        self.shared.request(to, protocol, body, deadline).await
    }

    /// Requests under way: which agency is waited for, and over which path.
    pub fn waiting(&self) -> Vec<Waiting> {
        self.shared.waiting()
    }

    /// Who may connect from now on. Whoever is removed is disconnected and refused.
    pub fn set_registry(&self, registry: Registry) {
        self.shared.set_registry(registry);
    }

    /// Members of the consortium, ourselves left out, for status and metrics.
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.shared.peers()
    }

    /// Counters since the start, for metrics.
    pub fn counters(&self) -> Arc<Counters> {
        self.shared.counters.clone()
    }

    /// Returns when the network has stopped, whatever the reason. The node must not outlive it.
    pub async fn stopped(&self) {
        self.shared.stopped().await;
    }
}

/// What the network calls in the node. Calls come through bounded queues, so they may take their
/// time, but not for ever.
pub trait Services: Send + Sync + 'static {
    /// A transaction from a peer: check it, queue it, and broadcast it when it is new.
    fn transaction(&self, from: PeerName, bytes: Vec<u8>);

    /// A request to our own agency: the sealed bytes in; status (u16, little endian) ‖ body out.
    fn answer(&self, from: PeerName, kind: AskKind, body: Vec<u8>) -> BoxFuture<'static, Vec<u8>>;
}
