//! One connection: opens the two streams that are written, accepts the two that are read.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, ConnectionId, Stream, SubstreamProtocol,
};
use libp2p::{PeerId, StreamProtocol};

use super::super::frame::Class;
use super::super::queue::Queue;
use super::Common;
use super::io::{Broken, Reader, write_frames};

/// Offers some of the two protocols and says which one was chosen.
#[derive(Clone)]
pub(in super::super) struct Offer(Vec<(Class, StreamProtocol)>);

/// A protocol's name with the class it stands for.
#[derive(Clone)]
pub(in super::super) struct Named(Class, StreamProtocol);

impl AsRef<str> for Named {
    fn as_ref(&self) -> &str {
        self.1.as_ref()
    }
}

impl UpgradeInfo for Offer {
    type Info = Named;
    type InfoIter = std::vec::IntoIter<Named>;

    fn protocol_info(&self) -> Self::InfoIter {
        let named: Vec<_> = self.0.iter().cloned().map(|(c, p)| Named(c, p)).collect();
        named.into_iter()
    }
}

impl InboundUpgrade<Stream> for Offer {
    type Output = (Class, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, chosen: Named) -> Self::Future {
        ready(Ok((chosen.0, stream)))
    }
}

impl OutboundUpgrade<Stream> for Offer {
    type Output = (Class, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, chosen: Named) -> Self::Future {
        ready(Ok((chosen.0, stream)))
    }
}

/// Ends only when its stream is broken.
type Work = BoxFuture<'static, Broken>;

/// The streams of one connection.
pub(in super::super) struct Handler {
    peer: PeerId,
    connection: ConnectionId,
    queues: [Arc<Queue>; 2],
    common: Arc<Common>,
    /// Streams still to be opened.
    to_open: Vec<Class>,
    readers: [Option<Work>; 2],
    writers: [Option<Work>; 2],
    broken: Option<Broken>,
    /// The behaviour was told; nothing more is done on this connection.
    told: bool,
}

impl Handler {
    /// A handler that opens its two streams at once.
    pub fn new(
        peer: PeerId,
        connection: ConnectionId,
        queues: [Arc<Queue>; 2],
        common: Arc<Common>,
    ) -> Self {
        Self {
            peer,
            connection,
            queues,
            common,
            to_open: Class::BOTH.to_vec(),
            readers: [None, None],
            writers: [None, None],
            broken: None,
            told: false,
        }
    }

    fn offer(&self, classes: &[Class]) -> Offer {
        Offer(
            classes
                .iter()
                .map(|c| (*c, self.common.protocols[*c as usize].clone()))
                .collect(),
        )
    }

    fn accept(&mut self, class: Class, stream: Stream) {
        let slot = &mut self.readers[class as usize];
        if slot.is_some() {
            self.broken.get_or_insert(Broken::SecondStream);
            return;
        }
        let reader = Reader::new(self.peer, self.connection, class, self.common.clone());
        *slot = Some(reader.run(stream).boxed());
    }

    fn write(&mut self, class: Class, stream: Stream) {
        let queue = self.queues[class as usize].clone();
        let counters = self.common.counters.clone();
        self.writers[class as usize] = Some(write_frames(stream, queue, counters).boxed());
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Broken;
    type InboundProtocol = Offer;
    type OutboundProtocol = Offer;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Offer> {
        SubstreamProtocol::new(self.offer(&Class::BOTH), ())
    }

    fn connection_keep_alive(&self) -> bool {
        !self.told
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Offer, (), Broken>> {
        if self.told {
            return Poll::Pending;
        }
        if self.broken.is_none() {
            let work = self.readers.iter_mut().chain(&mut self.writers).flatten();
            for stream in work {
                if let Poll::Ready(why) = stream.poll_unpin(cx) {
                    self.broken = Some(why);
                    break;
                }
            }
        }
        if let Some(why) = self.broken.take() {
            self.told = true;
            self.readers = [None, None];
            self.writers = [None, None];
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(why));
        }
        match self.to_open.pop() {
            Some(class) => Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(self.offer(&[class]), ()),
            }),
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, never: Infallible) {
        match never {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Offer, Offer>) {
        if self.told {
            return;
        }
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (class, stream),
                ..
            }) => self.accept(class, stream),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (class, stream),
                ..
            }) => self.write(class, stream),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { .. }) => {
                self.broken.get_or_insert(Broken::NotSpoken);
            }
            _ => {}
        }
    }
}
