//! Caps on handshakes, before any cryptography.
//!
//! Each address may have a few handshakes under way and begin a few each second; all addresses
//! that are not those of configured peers share one more cap. So a flood of silent sockets fills
//! its own share and never that of a member that comes back.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

use super::counters::Counters;
use super::limits::Limits;
use super::rate::Bucket;

/// Addresses whose rate is remembered.
const REMEMBERED: usize = 4_096;

/// A handshake was refused.
#[derive(Debug)]
struct TooMany;

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many handshakes")
    }
}

impl std::error::Error for TooMany {}

/// Counts handshakes that others begin with us.
pub(super) struct Gate {
    limits: Limits,
    counters: Arc<Counters>,
    /// Addresses of configured peers.
    known: HashSet<IpAddr>,
    pending: HashMap<ConnectionId, IpAddr>,
    per_ip: HashMap<IpAddr, usize>,
    strangers: usize,
    rates: HashMap<IpAddr, Bucket>,
}

impl Gate {
    /// Nothing pending.
    pub fn new(limits: &Limits, known: HashSet<IpAddr>, counters: Arc<Counters>) -> Self {
        Self {
            limits: limits.clone(),
            counters,
            known,
            pending: HashMap::new(),
            per_ip: HashMap::new(),
            strangers: 0,
            rates: HashMap::new(),
        }
    }

    fn begin(&mut self, id: ConnectionId, ip: IpAddr, now: Instant) -> Result<(), TooMany> {
        let stranger = !self.known.contains(&ip);
        if self.per_ip.get(&ip).copied().unwrap_or(0) >= self.limits.handshakes_per_ip
            || stranger && self.strangers >= self.limits.handshakes_of_strangers
            || !self.in_rate(ip, stranger, now)
        {
            return Err(TooMany);
        }
        self.strangers += usize::from(stranger);
        *self.per_ip.entry(ip).or_default() += 1;
        self.pending.insert(id, ip);
        Ok(())
    }

    fn in_rate(&mut self, ip: IpAddr, stranger: bool, now: Instant) -> bool {
        if self.rates.len() >= REMEMBERED && !self.rates.contains_key(&ip) {
            self.rates.retain(|_, bucket| !bucket.is_full(now));
            if self.rates.len() >= REMEMBERED {
                // So many addresses at once: only configured peers go on.
                return !stranger;
            }
        }
        let rate = self.limits.handshake_rate;
        self.rates
            .entry(ip)
            .or_insert_with(|| Bucket::new(rate, 4 * rate, now))
            .try_one(now)
    }

    fn end(&mut self, id: ConnectionId) {
        let Some(ip) = self.pending.remove(&id) else {
            return;
        };
        if !self.known.contains(&ip) {
            self.strangers -= 1;
        }
        if let Some(count) = self.per_ip.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.per_ip.remove(&ip);
            }
        }
    }
}

/// The IP address of a multiaddress. Of version 6 only the network's half: whoever has one address
/// has all of its network.
pub(super) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(match ip.to_ipv4_mapped() {
            Some(ip) => ip.into(),
            None => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        }),
        _ => None,
    })
}

/// The socket address at the start of a multiaddress.
pub(super) fn socket_of(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some((ip, port).into()),
        _ => None,
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let Some(ip) = ip_of(remote) else {
            return Err(ConnectionDenied::new(TooMany));
        };
        self.begin(id, ip, Instant::now()).map_err(|denied| {
            self.counters.handshakes_capped.one();
            ConnectionDenied::new(denied)
        })
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.end(id);
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        // Also after a refusal by the allow list, which comes before this behaviour.
        if let FromSwarm::ListenFailure(failure) = event {
            self.end(failure.connection_id);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        never: THandlerOutEvent<Self>,
    ) {
        match never {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn strangers_cannot_use_up_the_share_of_a_known_peer() {
        let limits = Limits {
            handshakes_per_ip: 3,
            handshakes_of_strangers: 5,
            handshake_rate: 1,
            ..Limits::default()
        };
        let known = IpAddr::from([10, 0, 0, 1]);
        let stranger = |n| IpAddr::from([192, 0, 2, n]);
        let mut gate = Gate::new(&limits, HashSet::from([known]), Arc::default());
        let now = Instant::now();
        let mut id = (0..).map(ConnectionId::new_unchecked);
        let mut begin = |gate: &mut Gate, ip, now| {
            let id = id.next().unwrap_or(ConnectionId::new_unchecked(0));
            gate.begin(id, ip, now).map(|()| id)
        };
        let first: Vec<_> = (0..9).map(|_| begin(&mut gate, stranger(1), now)).collect();
        assert_eq!(first.iter().filter(|r| r.is_ok()).count(), 3);
        let more = (2..99).filter(|n| begin(&mut gate, stranger(*n), now).is_ok());
        assert_eq!(more.count(), 2);
        assert!(begin(&mut gate, known, now).is_ok());
        // What ended makes room again, and the rate is kept: four at once, one each second.
        for id in first.into_iter().flatten() {
            gate.end(id);
        }
        assert!(begin(&mut gate, stranger(1), now).is_ok());
        assert!(begin(&mut gate, stranger(1), now).is_err());
        assert!(begin(&mut gate, stranger(1), now + Duration::from_secs(1)).is_ok());
    }
}
