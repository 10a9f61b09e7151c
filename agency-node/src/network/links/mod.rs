//! Two long-lived streams for each direction of a link: small messages and bulk.
//!
//! Each side opens two streams that it writes to, and reads two that the other side opened. A
//! frame is its length (u32, little endian) and so many bytes. A broken stream closes the link.

mod handler;
mod io;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::counters::Counters;
use super::frame::{Class, Frame};
use super::limits::Limits;
use super::queue::{Full, Lane, Queue};

pub(super) use handler::Handler;
pub(super) use io::{Broken, read_exactly};

/// Frames read and not yet looked at, over all peers. Their bytes are bounded for each peer.
const INBOX: usize = 4_096;

/// A frame that was read. Its room is given back when it is dropped.
pub(super) struct Inbound {
    pub peer: PeerId,
    pub connection: ConnectionId,
    pub class: Class,
    pub bytes: Bytes,
    pub room: OwnedSemaphorePermit,
}

/// What all streams share.
pub(super) struct Common {
    pub limits: Limits,
    pub protocols: [StreamProtocol; 2],
    pub inbox: mpsc::Sender<Inbound>,
    pub counters: Arc<Counters>,
}

/// The queues of one connection.
#[derive(Clone)]
pub(super) struct Outbox {
    queues: [Arc<Queue>; 2],
}

impl Outbox {
    fn new(limits: &Limits) -> Self {
        Self {
            queues: [
                Arc::new(Queue::new(limits.small_queue)),
                Arc::new(Queue::new(limits.bulk_queue)),
            ],
        }
    }

    /// Queues a frame.
    pub fn push(&self, class: Class, lane: Lane, frame: Frame) -> Result<(), Full> {
        self.queues[class as usize].push(lane, frame)
    }

    /// Bytes that wait, and frames that found no room.
    pub fn load(&self) -> (usize, u64) {
        self.queues
            .iter()
            .map(|q| q.load())
            .fold((0, 0), |sum, q| (sum.0 + q.0, sum.1 + q.1))
    }
}

/// A stream of a connection broke, and the connection is being closed.
#[derive(Debug)]
pub(super) struct LinkBroken {
    pub peer: PeerId,
    pub why: Broken,
}

/// Gives every connection a handler with two streams in each direction.
pub(super) struct Links {
    common: Arc<Common>,
    outboxes: HashMap<ConnectionId, Outbox>,
    events: VecDeque<ToSwarm<LinkBroken, THandlerInEvent<Self>>>,
    waker: Option<Waker>,
}

impl Links {
    /// Frames come out of the receiver.
    pub fn new(
        limits: &Limits,
        chain: &str,
        counters: Arc<Counters>,
    ) -> Result<(Self, mpsc::Receiver<Inbound>), libp2p::swarm::InvalidProtocol> {
        let (inbox, receiver) = mpsc::channel(INBOX);
        let links = Self {
            common: Arc::new(Common {
                limits: limits.clone(),
                protocols: [
                    StreamProtocol::try_from_owned(format!("/zkbureau/{chain}/small/1"))?,
                    StreamProtocol::try_from_owned(format!("/zkbureau/{chain}/bulk/1"))?,
                ],
                inbox,
                counters,
            }),
            outboxes: HashMap::new(),
            events: VecDeque::new(),
            waker: None,
        };
        Ok((links, receiver))
    }

    /// The queues of an established connection.
    pub fn outbox(&self, connection: ConnectionId) -> Option<Outbox> {
        self.outboxes.get(&connection).cloned()
    }

    fn handler(&mut self, peer: PeerId, connection: ConnectionId) -> Handler {
        let outbox = Outbox::new(&self.common.limits);
        self.outboxes.insert(connection, outbox.clone());
        Handler::new(peer, connection, outbox.queues, self.common.clone())
    }
}

impl NetworkBehaviour for Links {
    type ConnectionHandler = Handler;
    type ToSwarm = LinkBroken;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, connection))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, connection))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        // A connection denied by a later behaviour never becomes established; it ends as a
        // failure to listen or to dial.
        let ended = match event {
            FromSwarm::ConnectionClosed(closed) => closed.connection_id,
            FromSwarm::ListenFailure(failure) => failure.connection_id,
            FromSwarm::DialFailure(failure) => failure.connection_id,
            _ => return,
        };
        self.outboxes.remove(&ended);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        why: THandlerOutEvent<Self>,
    ) {
        self.events.push_back(ToSwarm::CloseConnection {
            peer_id: peer,
            connection: CloseConnection::One(connection),
        });
        self.events
            .push_back(ToSwarm::GenerateEvent(LinkBroken { peer, why }));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
