//! A network in memory: one actor per node, as the engine wants it, and everything can be cut.
//! Messages are encoded and decoded on the way, so what the codecs refuse does not arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_malachitebft_app_channel::app::consensus::{LivenessMsg, SignedConsensusMsg};
use arc_malachitebft_app_channel::app::engine::network::{
    Msg, NetworkEvent, NetworkRef, Status, Subscriber,
};
use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_app_channel::app::types::streaming::StreamMessage;
use arc_malachitebft_app_channel::app::types::{PeerId, sync};
use arc_malachitebft_sync::{InboundRequestId, OutboundRequestId};
use async_trait::async_trait;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use zkbureau_agency_node::consensus::context::Part;
use zkbureau_agency_node::consensus::{Bureau, Codec};

pub type Signed = SignedConsensusMsg<Bureau>;
pub type PartMessage = StreamMessage<Part>;

/// A frame as a node publishes it.
#[derive(Clone, Debug)]
pub enum Frame {
    Signed(Signed),
    Liveness(LivenessMsg<Bureau>),
    Part(PartMessage),
    /// Bytes that are sent as a part, whatever they are.
    RawPart(Vec<u8>),
}

/// What a dishonest node does with a frame before it is sent: frames, each for some nodes or for all.
pub type Twist = Box<dyn FnMut(Frame) -> Vec<(Option<u32>, Frame)> + Send>;

/// Everything that is connected.
#[derive(Default)]
pub struct Hub {
    ports: Mutex<BTreeMap<u32, Arc<Subscribers>>>,
    /// Nodes that reach nobody.
    cut: Mutex<BTreeSet<u32>>,
    twists: Mutex<BTreeMap<u32, Twist>>,
    statuses: Mutex<BTreeMap<u32, Status<Bureau>>>,
    requests: Mutex<BTreeMap<String, (u32, OutboundRequestId)>>,
    number: AtomicU64,
    /// Frames that a codec refused, by sender.
    pub refused: Mutex<BTreeMap<u32, u64>>,
}

type Subscribers = Mutex<Vec<Box<dyn Subscriber<NetworkEvent<Bureau>>>>>;

/// The identity of a node: an identity multihash over its number.
pub fn peer(number: u32) -> PeerId {
    let mut bytes = vec![0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
    bytes.extend([0; 28]);
    bytes.extend(number.to_be_bytes());
    PeerId::from_bytes(&bytes).unwrap()
}

fn number(peer: &PeerId) -> u32 {
    let bytes = peer.to_bytes();
    u32::from_be_bytes(bytes[bytes.len() - 4..].try_into().unwrap())
}

impl Hub {
    /// Connects a node.
    pub async fn connect(self: &Arc<Self>, me: u32) -> NetworkRef<Bureau> {
        let actor = Wire {
            hub: self.clone(),
            me,
        };
        Actor::spawn(None, actor, ()).await.unwrap().0
    }

    /// A node's frames go through this from now on.
    pub fn twist(&self, node: u32, twist: Twist) {
        self.twists.lock().unwrap().insert(node, twist);
    }

    /// A node reaches nobody from now on, and nobody reaches it.
    pub fn cut(&self, node: u32) {
        self.cut.lock().unwrap().insert(node);
    }

    /// The node is back. As over a real network, peers say how far they are.
    pub fn heal(&self, node: u32) {
        self.cut.lock().unwrap().remove(&node);
        let statuses = self.statuses.lock().unwrap().clone();
        for (from, status) in &statuses {
            for to in self.others(*from) {
                if *from == node || to == node {
                    self.deliver_status(*from, to, status);
                }
            }
        }
    }

    fn is_cut(&self, a: u32, b: u32) -> bool {
        let cut = self.cut.lock().unwrap();
        cut.contains(&a) || cut.contains(&b)
    }

    fn others(&self, me: u32) -> Vec<u32> {
        let ports = self.ports.lock().unwrap();
        ports.keys().copied().filter(|n| *n != me).collect()
    }

    fn deliver(&self, from: u32, to: u32, event: NetworkEvent<Bureau>) {
        if self.is_cut(from, to) {
            return;
        }
        let port = self.ports.lock().unwrap().get(&to).cloned();
        if let Some(port) = port {
            for subscriber in port.lock().unwrap().iter() {
                subscriber.send(event.clone());
            }
        }
    }

    fn deliver_status(&self, from: u32, to: u32, status: &Status<Bureau>) {
        let status = sync::Status {
            peer_id: peer(from),
            tip_height: status.tip_height,
            history_min_height: status.history_min_height,
        };
        let status: sync::Status<Bureau> = through(&status).unwrap();
        let status = Status::new(status.tip_height, status.history_min_height);
        self.deliver(from, to, NetworkEvent::Status(peer(from), status));
    }

    fn publish(&self, from: u32, frame: Frame) {
        let frames = match self.twists.lock().unwrap().get_mut(&from) {
            Some(twist) => twist(frame),
            None => vec![(None, frame)],
        };
        for (only, frame) in frames {
            let peer = peer(from);
            let event = match frame {
                Frame::Signed(message) => through(&message).map(|m| match m {
                    SignedConsensusMsg::Vote(vote) => NetworkEvent::Vote(peer, vote),
                    SignedConsensusMsg::Proposal(p) => NetworkEvent::Proposal(peer, p),
                }),
                Frame::Liveness(message) => through(&message).map(|m| match m {
                    LivenessMsg::Vote(vote) => NetworkEvent::Vote(peer, vote),
                    LivenessMsg::PolkaCertificate(c) => NetworkEvent::PolkaCertificate(peer, c),
                    LivenessMsg::SkipRoundCertificate(c) => NetworkEvent::RoundCertificate(peer, c),
                }),
                Frame::Part(part) => {
                    through(&part).map(|p| NetworkEvent::ProposalPart(peer, Some(peer), p))
                }
                Frame::RawPart(bytes) => Codec
                    .decode(bytes.into())
                    .ok()
                    .map(|p| NetworkEvent::ProposalPart(peer, Some(peer), p)),
            };
            let Some(event) = event else {
                *self.refused.lock().unwrap().entry(from).or_default() += 1;
                continue;
            };
            for to in self.others(from) {
                if only.is_none_or(|only| only == to) {
                    self.deliver(from, to, event.clone());
                }
            }
        }
    }
}

fn through<T>(message: &T) -> Option<T>
where
    Codec: arc_malachitebft_app_channel::app::types::codec::Codec<T>,
{
    Codec.decode(Codec.encode(message).ok()?).ok()
}

struct Wire {
    hub: Arc<Hub>,
    me: u32,
}

#[async_trait]
impl Actor for Wire {
    type Msg = Msg<Bureau>;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Self::Msg>, (): ()) -> Result<(), ActorProcessingErr> {
        let mut ports = self.hub.ports.lock().unwrap();
        ports.insert(self.me, Arc::default());
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<Self::Msg>,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        self.hub.ports.lock().unwrap().remove(&self.me);
        for to in self.hub.others(self.me) {
            let gone = NetworkEvent::PeerDisconnected(peer(self.me));
            self.hub.deliver(self.me, to, gone);
        }
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        let (hub, me) = (&self.hub, self.me);
        match message {
            Msg::Subscribe(subscriber) => {
                let address = "/memory/1".parse().unwrap();
                subscriber.send(NetworkEvent::Listening(address));
                for other in hub.others(me) {
                    subscriber.send(NetworkEvent::PeerConnected(peer(other)));
                    hub.deliver(me, other, NetworkEvent::PeerConnected(peer(me)));
                }
                let port = hub.ports.lock().unwrap()[&me].clone();
                port.lock().unwrap().push(subscriber);
                let statuses = hub.statuses.lock().unwrap().clone();
                for (from, status) in statuses.iter().filter(|(from, _)| **from != me) {
                    hub.deliver_status(*from, me, status);
                }
            }
            Msg::PublishConsensusMsg(message) => hub.publish(me, Frame::Signed(message)),
            Msg::PublishLivenessMsg(message) => hub.publish(me, Frame::Liveness(message)),
            Msg::PublishProposalPart(part) => hub.publish(me, Frame::Part(part)),
            Msg::BroadcastStatus(status) => {
                for to in hub.others(me) {
                    hub.deliver_status(me, to, &status);
                }
                hub.statuses.lock().unwrap().insert(me, status);
            }
            Msg::OutgoingRequest(to, request, reply) => {
                let n = hub.number.fetch_add(1, Ordering::Relaxed);
                let id = OutboundRequestId::new(n);
                let inbound = InboundRequestId::new(n);
                let asker = (me, id.clone());
                hub.requests.lock().unwrap().insert(n.to_string(), asker);
                reply.send(id)?;
                let request = through(&request).unwrap();
                let event = NetworkEvent::SyncRequest(inbound, peer(me), request);
                hub.deliver(me, number(&to), event);
            }
            Msg::OutgoingResponse(id, response) => {
                let asker = hub.requests.lock().unwrap().remove(&id.to_string());
                if let Some((asker, id)) = asker {
                    let response = through(&response);
                    let event = NetworkEvent::SyncResponse(id, peer(me), response);
                    hub.deliver(me, asker, event);
                }
            }
            Msg::DumpState(reply) => reply.send(None)?,
            Msg::UpdatePersistentPeers(_, reply) => reply.send(Ok(()))?,
            Msg::CancelRequest(_)
            | Msg::CancelInboundRequest(_)
            | Msg::UpdateValidatorSet(_)
            | Msg::ValidatorProofVerified { .. }
            | Msg::NewEvent(_) => {}
        }
        Ok(())
    }
}
