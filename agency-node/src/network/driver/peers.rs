//! Connections: who may have one, which one is used, and what the peers are told about it.

use std::time::{Duration, Instant};

use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use zkbureau_circuits::ids::AgencyId;

use super::{Driver, Link};
use crate::network::engine::EngineEvent;
use crate::network::frame::{Class, Header, MAX_LISTED};
use crate::network::queue::Lane;
use crate::network::registry::PeerName;

/// Two connections within this time were dialled at once.
const AT_ONCE: Duration = Duration::from_secs(5);

impl Driver {
    /// Applies the registry: admits who is new, closes and refuses who is gone.
    pub(super) fn admit(&mut self) {
        self.registry = self.inputs.registry.borrow_and_update().clone();
        let mut names = self.registry.peers();
        self.my_agency = match names.remove(&self.me) {
            Some(PeerName::Agency(agency)) => Some(agency),
            _ => None,
        };
        let allowed = &mut self.swarm.behaviour_mut().allowed;
        let gone: Vec<_> = allowed
            .allowed_peers()
            .iter()
            .filter(|peer| !names.contains_key(peer))
            .copied()
            .collect();
        for peer in &gone {
            allowed.disallow_peer(*peer);
        }
        for peer in names.keys() {
            allowed.allow_peer(*peer);
        }
        self.names = names;
        self.seen.retain(|peer| self.names.contains_key(peer));
        // Nothing more is read from or sent to them, even before their connections are closed.
        for peer in &gone {
            tracing::info!(%peer, "no longer in the registry");
            self.forget(peer);
        }
        // A member may have got another name: a seat, a number, an observer's place.
        let renamed: Vec<_> = self
            .links
            .iter()
            .filter(|(peer, link)| self.names.get(*peer) != Some(&link.name))
            .map(|(peer, link)| (*peer, link.connection))
            .collect();
        for (peer, connection) in renamed {
            self.swarm.close_connection(connection);
            self.forget(&peer);
        }
        self.set_dials(Instant::now());
        self.publish_view();
    }

    /// Whom to dial, from the registry and all known addresses.
    pub(super) fn set_dials(&mut self, now: Instant) {
        let grace = self.shared.limits.dial_grace;
        let me = self.me;
        let i_am_observer = self.my_agency.is_none();
        let targets: Vec<_> = self
            .names
            .iter()
            .filter_map(|(peer, name)| {
                let configured = match name {
                    PeerName::Agency(agency) => self.addresses.get(agency),
                    PeerName::Observer(_) => None,
                };
                let address = self.told.get(peer).or(configured)?;
                // Nobody knows an observer's address, so it dials at once.
                let first = me < *peer || i_am_observer;
                let grace = if first { Duration::ZERO } else { grace };
                Some((*peer, address.clone(), grace))
            })
            .collect();
        self.dials.set(targets, now);
    }

    /// Dials whoever is due.
    pub(super) fn dial(&mut self, now: Instant) {
        for (peer, address) in self.dials.due(now, |peer| self.links.contains_key(peer)) {
            let options = DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(vec![address])
                .allocate_new_port()
                .build();
            if self.swarm.dial(options).is_err() {
                self.dials.failed(&peer, now);
            }
        }
    }

    /// A connection is established. When there are two, both sides keep the same one.
    pub(super) fn connected(&mut self, peer: PeerId, connection: ConnectionId, dialled: bool) {
        self.dials.connected(&peer, Instant::now());
        let outbox = self.swarm.behaviour().links.outbox(connection);
        let (Some(name), Some(outbox)) = (self.names.get(&peer).copied(), outbox) else {
            self.swarm.close_connection(connection);
            return;
        };
        let smaller_dialled = dialled == (self.me < peer);
        if let Some(old) = self.links.get(&peer) {
            // Both may dial at once. Later, or from the same side, a second connection means that
            // the other side has lost the first.
            let at_once = old.since.elapsed() < AT_ONCE;
            if at_once && old.smaller_dialled && !smaller_dialled {
                self.swarm.close_connection(connection);
                return;
            }
            let old = old.connection;
            self.swarm.close_connection(old);
        }
        self.next_link += 1;
        let link = Link {
            connection,
            number: self.next_link,
            name,
            outbox,
            smaller_dialled,
            since: Instant::now(),
        };
        let is_new = self.links.insert(peer, link).is_none();
        if let PeerName::Agency(agency) = name {
            self.routes.up(agency);
        }
        if is_new {
            tracing::info!(%peer, %name, "connected");
            self.tell(EngineEvent::Connected(peer));
        }
        self.announce(Instant::now());
        self.send_again(&peer);
        self.publish_view();
        self.tell_listening(Instant::now());
    }

    /// A connection is closed.
    pub(super) fn closed(&mut self, peer: PeerId, connection: ConnectionId) {
        let in_use = self
            .links
            .get(&peer)
            .is_some_and(|link| link.connection == connection);
        if in_use {
            self.forget(&peer);
            self.publish_view();
        }
    }

    /// The link to a peer is no longer used.
    fn forget(&mut self, peer: &PeerId) {
        self.dials.lost(peer, Instant::now());
        let Some(link) = self.links.remove(peer) else {
            return;
        };
        tracing::info!(%peer, name = %link.name, "disconnected");
        if let PeerName::Agency(agency) = link.name {
            self.routes.down(agency);
            // What was in the queue may be lost; others bring it.
            self.hand_again(agency);
        }
        self.tell(EngineEvent::Disconnected(*peer));
        self.announce(Instant::now());
    }

    /// Closes a link and stops using it at once.
    pub(super) fn close(&mut self, peer: &PeerId) {
        if let Some(link) = self.links.get(peer) {
            let connection = link.connection;
            self.swarm.close_connection(connection);
            self.forget(peer);
            self.publish_view();
        }
    }

    /// Tells all peers which agencies we have links to.
    pub(super) fn announce(&mut self, now: Instant) {
        self.announced = now;
        let linked: Vec<AgencyId> = self.routes.linked().take(MAX_LISTED).collect();
        let frame = Header::Links(linked).frame(&bytes::Bytes::new());
        let peers: Vec<_> = self.links.keys().copied().collect();
        for peer in peers {
            self.push(&peer, Class::Small, Lane::Own, frame.clone());
        }
    }
}
