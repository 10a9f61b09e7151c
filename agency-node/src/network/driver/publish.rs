//! Frames: ours to everybody, everybody's to us, and those that we carry.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use libp2p::PeerId;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::keys::Signature;

use super::Driver;
use crate::network::engine::EngineEvent;
use crate::network::frame::{self, Channel, Class, Frame, Header, MAX_HEADER, MAX_LISTED, Stamp};
use crate::network::links::Inbound;
use crate::network::queue::Lane;
use crate::network::registry::PeerName;

/// Larger transactions go over the bulk stream.
const SMALL_TRANSACTION: usize = 16 << 10;
/// A neighbour that says it has found a link gets our frames for it no more often than this.
const HAND_AGAIN: Duration = Duration::from_secs(3);
/// Frames that are kept at most, whatever their size.
const KEPT: usize = 4_096;

/// Our own frames of this height and the last one, for peers that come late.
pub(super) struct Replay {
    limit: usize,
    bytes: usize,
    frames: VecDeque<(Stamp, Bytes)>,
    /// How many of the frames are of the last height.
    earlier: usize,
}

impl Replay {
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            bytes: 0,
            frames: VecDeque::new(),
            earlier: 0,
        }
    }

    /// Keeps a frame, and forgets the oldest ones when there is no room.
    fn keep(&mut self, stamp: Stamp, payload: Bytes) {
        self.bytes += payload.len();
        self.frames.push_back((stamp, payload));
        while self.bytes > self.limit || self.frames.len() > KEPT {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, payload)) = self.frames.pop_front() {
            self.bytes -= payload.len();
            self.earlier = self.earlier.saturating_sub(1);
        }
    }

    /// What was kept for the height before the last is not needed any more.
    pub fn new_height(&mut self) {
        for _ in 0..self.earlier {
            self.drop_oldest();
        }
        self.earlier = self.frames.len();
    }
}

impl Driver {
    /// Queues a frame for a peer. When our own small messages find no room, the peer is too slow
    /// to take part: the link is closed, and everything of this height sent again over the next.
    pub(super) fn push(&mut self, peer: &PeerId, class: Class, lane: Lane, frame: Frame) {
        let Some(link) = self.links.get(peer) else {
            return;
        };
        if link.outbox.push(class, lane, frame).is_ok() {
            return;
        }
        if class == Class::Small && lane == Lane::Own {
            tracing::warn!(%peer, name = %link.name, "too slow, closing");
            self.shared.counters.links_closed_slow_peer.one();
            self.close(peer);
        } else {
            self.shared.counters.frames_dropped_slow_peer.one();
        }
    }

    fn frame_limit(&self, class: Class) -> usize {
        let limits = &self.shared.limits;
        let limit = match class {
            Class::Small => limits.small_frame,
            Class::Bulk => limits.bulk_frame,
        };
        limit.saturating_sub(MAX_HEADER)
    }

    /// Sends a message of ours to everybody.
    pub(super) fn publish(&mut self, channel: Channel, payload: Bytes) {
        let class = channel.class();
        if payload.len() > self.frame_limit(class) {
            tracing::error!(bytes = payload.len(), ?channel, "a message above the limit");
            return;
        }
        let number = &mut self.numbers[class as usize];
        let stamp = Stamp {
            channel,
            epoch: self.epoch,
            number: *number,
        };
        *number += 1;
        self.replay.keep(stamp, payload.clone());

        let handing = match self.my_agency {
            Some(me) => self.routes.handing(me, &self.registry),
            None => Default::default(),
        };
        let signed = (!handing.is_empty()).then(|| self.sign(&stamp, &payload));
        let own = Header::Own(stamp).frame(&payload);
        let peers: Vec<_> = self.links.iter().map(|(p, l)| (*p, l.name)).collect();
        for (peer, name) in peers {
            let to = match name {
                PeerName::Agency(agency) => handing.get(&agency),
                PeerName::Observer(_) => None,
            };
            let frame = match (to, signed) {
                (Some(to), Some(Some(signature))) => {
                    self.shared.counters.frames_handed_to_relayers.one();
                    hand(stamp, to.clone(), signature, &payload)
                }
                _ => own.clone(),
            };
            self.push(&peer, class, Lane::Own, frame);
        }
    }

    fn sign(&self, stamp: &Stamp, payload: &[u8]) -> Option<Signature> {
        let me = self.my_agency?;
        let shared = &self.shared;
        Some(frame::sign(&shared.key, &shared.chain, me, stamp, payload))
    }

    /// Sends our status to all direct peers and remembers it for those that come.
    pub(super) fn publish_status(&mut self, payload: Bytes) {
        if payload.len() > self.frame_limit(Class::Small) {
            return;
        }
        let frame = Header::Status.frame(&payload);
        self.status = Some(payload);
        let peers: Vec<_> = self.links.keys().copied().collect();
        for peer in peers {
            self.push(&peer, Class::Small, Lane::Own, frame.clone());
        }
    }

    /// Sends a new peer our status and our frames of this height.
    pub(super) fn send_again(&mut self, peer: &PeerId) {
        if let Some(status) = &self.status {
            let frame = Header::Status.frame(status);
            self.push(peer, Class::Small, Lane::Own, frame);
        }
        for (stamp, payload) in self.replay.frames.clone() {
            let frame = Header::Own(stamp).frame(&payload);
            self.push(peer, stamp.channel.class(), Lane::Own, frame);
        }
    }

    /// Has our frames of this height carried to an agency that we have no link to.
    pub(super) fn hand_again(&mut self, to: AgencyId) {
        let carriers = self.routes.carriers(to, &self.registry);
        for carrier in carriers.into_iter().take(self.registry.tolerated() + 1) {
            self.hand_again_through(carrier, to);
        }
    }

    fn hand_again_through(&mut self, carrier: AgencyId, to: AgencyId) {
        let has_seat = self.registry.power(to) > 0;
        let Some(peer) = self.registry.peer_of(carrier).filter(|_| has_seat) else {
            return;
        };
        for (stamp, payload) in self.replay.frames.clone() {
            let Some(signature) = self.sign(&stamp, &payload) else {
                return;
            };
            let frame = hand(stamp, vec![to], signature, &payload);
            self.shared.counters.frames_handed_to_relayers.one();
            self.push(&peer, stamp.channel.class(), Lane::Own, frame);
        }
    }

    /// Sends a transaction of our node to those that are not known to have it.
    pub(super) fn broadcast(&mut self, bytes: &[u8]) {
        let class = if bytes.len() <= SMALL_TRANSACTION {
            Class::Small
        } else {
            Class::Bulk
        };
        if bytes.len() > self.frame_limit(class) {
            self.shared.counters.transactions_dropped.one();
            return;
        }
        let links: Vec<_> = self.links.values().map(|link| link.number).collect();
        let missing = self.gossip.missing(bytes, &links, Instant::now());
        let frame = Header::Transaction.frame(&Bytes::copy_from_slice(bytes));
        for link in self.links.values() {
            if missing.contains(&link.number)
                && link
                    .outbox
                    .push(class, Lane::Gossip, frame.clone())
                    .is_err()
            {
                self.shared.counters.frames_dropped_slow_peer.one();
            }
        }
    }

    /// A frame came in.
    pub(super) fn frame(&mut self, inbound: Inbound) {
        let peer = inbound.peer;
        // Frames of a connection that is no longer used, or of a member that was removed.
        let Some(link) = self.links.get(&peer) else {
            return;
        };
        if link.connection != inbound.connection {
            return;
        }
        let (name, number) = (link.name, link.number);
        let Ok((header, payload)) = Header::read(&inbound.bytes) else {
            self.bad_frame(&peer, "cannot be read");
            return;
        };
        let fits = match &header {
            Header::Own(stamp) | Header::Hand { stamp, .. } | Header::Relayed { stamp, .. } => {
                stamp.channel.class() == inbound.class
            }
            Header::Transaction => true,
            Header::Links(_) | Header::Status => inbound.class == Class::Small,
        };
        if !fits {
            self.bad_frame(&peer, "on the wrong stream");
            return;
        }
        match header {
            Header::Links(linked) => self.linked(name, linked),
            Header::Status if self.has_engine() => self.tell(EngineEvent::Status {
                from: peer,
                bytes: payload,
                room: inbound.room,
            }),
            Header::Status => {}
            Header::Transaction => {
                self.gossip.received(number, name, &payload, Instant::now());
            }
            Header::Own(stamp) => self.deliver(inbound, peer, stamp, payload),
            Header::Hand {
                stamp,
                to,
                signature,
            } => {
                self.carry(name, stamp, &to, signature, &payload);
                self.deliver(inbound, peer, stamp, payload);
            }
            Header::Relayed {
                origin,
                stamp,
                signature,
            } => {
                if let Some(origin) = self.relayed(name, origin, &stamp, &signature, &payload) {
                    self.deliver(inbound, origin, stamp, payload);
                }
            }
        }
    }

    /// Everything of a height is signed and sent again when a link is announced, so a neighbour must not
    /// announce one again and again.
    fn may_hand_again(&mut self, carrier: AgencyId, to: AgencyId) -> bool {
        let now = Instant::now();
        self.handed
            .retain(|_, at| now.duration_since(*at) < HAND_AGAIN);
        let free = !self.handed.contains_key(&(carrier, to));
        if free {
            self.handed.insert((carrier, to), now);
        }
        free
    }

    fn bad_frame(&mut self, peer: &PeerId, why: &str) {
        tracing::warn!(%peer, "a frame {why}, closing");
        self.shared.counters.links_closed_bad_frame.one();
        self.close(peer);
    }

    /// Gives a message to the engine unless it had it already. Its origin is certain.
    fn deliver(&mut self, inbound: Inbound, origin: PeerId, stamp: Stamp, payload: Bytes) {
        if !self.has_engine() {
            return;
        }
        if !self.seen.insert(origin, &stamp) {
            self.shared.counters.frames_duplicate.one();
            return;
        }
        self.tell(EngineEvent::Message {
            from: inbound.peer,
            origin,
            channel: stamp.channel,
            bytes: payload,
            room: inbound.room,
        });
    }

    /// A neighbour announced its links. Who can be reached through it now gets what it missed.
    fn linked(&mut self, name: PeerName, linked: Vec<AgencyId>) {
        let PeerName::Agency(carrier) = name else {
            return;
        };
        let tolerated = self.registry.tolerated();
        let new = self.routes.announce(carrier, linked);
        for to in new {
            let needed = Some(to) != self.my_agency
                && !self.routes.is_linked(to)
                && self.registry.power(to) > 0
                && self.routes.carriers(to, &self.registry).len() <= tolerated + 1;
            if needed && self.may_hand_again(carrier, to) {
                self.hand_again_through(carrier, to);
            }
        }
        self.publish_view();
    }

    /// Forwards a neighbour's frame to agencies that lack a link to it.
    fn carry(
        &mut self,
        name: PeerName,
        stamp: Stamp,
        to: &[AgencyId],
        signature: Signature,
        payload: &Bytes,
    ) {
        let PeerName::Agency(origin) = name else {
            self.shared.counters.frames_forged.one();
            return;
        };
        if to.len() > MAX_LISTED || !self.is_signed(origin, &stamp, &signature, payload) {
            self.shared.counters.frames_forged.one();
            return;
        }
        let relayed = Header::Relayed {
            origin,
            stamp,
            signature,
        };
        let frame = relayed.frame(payload);
        // Each at most once, whatever the list says.
        let mut to = to.to_vec();
        to.sort_unstable();
        to.dedup();
        for agency in to {
            if agency != origin
                && let Some(peer) = self.registry.peer_of(agency)
                && self.links.contains_key(&peer)
            {
                self.shared.counters.frames_relayed.one();
                self.push(&peer, stamp.channel.class(), Lane::Relayed, frame.clone());
            }
        }
    }

    /// The origin of a relayed frame, when it is certain and the frame is new.
    fn relayed(
        &mut self,
        carrier: PeerName,
        origin: AgencyId,
        stamp: &Stamp,
        signature: &Signature,
        payload: &[u8],
    ) -> Option<PeerId> {
        let peer = self.registry.peer_of(origin);
        let peer = peer.filter(|peer| {
            *peer != self.me
                && self.registry.power(origin) > 0
                && matches!(carrier, PeerName::Agency(_))
        });
        let Some(peer) = peer else {
            self.shared.counters.frames_forged.one();
            return None;
        };
        // The signature costs more than a look at what was seen.
        if self.seen.contains(peer, stamp) {
            self.shared.counters.frames_duplicate.one();
            return None;
        }
        if !self.is_signed(origin, stamp, signature, payload) {
            if self.shared.counters.frames_forged.one() {
                tracing::warn!(%carrier, %origin, "a relayed frame that its origin did not sign");
            }
            return None;
        }
        Some(peer)
    }

    fn is_signed(
        &self,
        origin: AgencyId,
        stamp: &Stamp,
        signature: &Signature,
        payload: &[u8],
    ) -> bool {
        self.registry.agencies.get(&origin).is_some_and(|member| {
            let chain = &self.shared.chain;
            frame::verify(
                &member.network_key,
                chain,
                origin,
                stamp,
                payload,
                signature,
            )
            .is_ok()
        })
    }
}

fn hand(stamp: Stamp, to: Vec<AgencyId>, signature: Signature, payload: &Bytes) -> Frame {
    Header::Hand {
        stamp,
        to,
        signature,
    }
    .frame(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_heights_are_kept_within_the_limit() {
        let stamp = |number| Stamp {
            channel: Channel::Parts,
            epoch: 0,
            number,
        };
        let mut replay = Replay::new(1_000);
        let kept = |replay: &Replay| replay.frames.iter().map(|f| f.0.number).collect::<Vec<_>>();
        replay.keep(stamp(0), vec![0; 300].into());
        replay.new_height();
        replay.keep(stamp(1), vec![0; 300].into());
        assert_eq!(kept(&replay), [0, 1]);
        replay.new_height();
        assert_eq!(kept(&replay), [1]);
        for number in 2..9 {
            replay.keep(stamp(number), vec![0; 300].into());
        }
        assert_eq!(kept(&replay), [6, 7, 8]);
        replay.new_height();
        replay.new_height();
        assert_eq!((replay.frames.len(), replay.bytes), (0, 0));
    }
}
