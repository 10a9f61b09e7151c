//! When to dial whom: the smaller of two identities dials, the other only after a grace time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use super::limits::Limits;

struct Target {
    address: Multiaddr,
    /// How long the other side has to dial before we do.
    grace: Duration,
    next: Instant,
    wait: Duration,
    busy: bool,
}

/// The peers we have addresses of.
pub(super) struct Dials {
    first_wait: Duration,
    longest_wait: Duration,
    targets: BTreeMap<PeerId, Target>,
}

impl Dials {
    /// Nobody to dial.
    pub fn new(limits: &Limits) -> Self {
        Self {
            first_wait: limits.dial_wait,
            longest_wait: limits.dial_wait_max,
            targets: BTreeMap::new(),
        }
    }

    /// These peers and no others, each with its address and the grace it has to dial us.
    pub fn set(
        &mut self,
        peers: impl IntoIterator<Item = (PeerId, Multiaddr, Duration)>,
        now: Instant,
    ) {
        let mut before = std::mem::take(&mut self.targets);
        for (peer, address, grace) in peers {
            let address = without_peer(&address);
            let target = match before.remove(&peer) {
                Some(target) if target.address == address => target,
                _ => Target {
                    address,
                    grace,
                    next: now + grace,
                    wait: self.first_wait,
                    busy: false,
                },
            };
            self.targets.insert(peer, target);
        }
    }

    /// Peers to dial now. Each is busy until [`Dials::failed`] or [`Dials::connected`].
    pub fn due(
        &mut self,
        now: Instant,
        connected: impl Fn(&PeerId) -> bool,
    ) -> Vec<(PeerId, Multiaddr)> {
        self.targets
            .iter_mut()
            .filter(|(peer, t)| !t.busy && t.next <= now && !connected(peer))
            .map(|(peer, target)| {
                target.busy = true;
                (*peer, target.address.clone())
            })
            .collect()
    }

    /// A dial failed. The next one is later, up to a limit.
    pub fn failed(&mut self, peer: &PeerId, now: Instant) {
        let longest = self.longest_wait;
        if let Some(target) = self.targets.get_mut(peer) {
            target.busy = false;
            target.next = now + target.wait;
            target.wait = (target.wait * 2).min(longest);
        }
    }

    /// There is a connection.
    pub fn connected(&mut self, peer: &PeerId) {
        let first = self.first_wait;
        if let Some(target) = self.targets.get_mut(peer) {
            target.busy = false;
            target.wait = first;
        }
    }

    /// The connection is gone.
    pub fn lost(&mut self, peer: &PeerId, now: Instant) {
        let first = self.first_wait;
        if let Some(target) = self.targets.get_mut(peer) {
            target.next = now + target.grace.max(first);
        }
    }
}

/// Admission goes by the registry's key, so an identity in an address says nothing.
fn without_peer(address: &Multiaddr) -> Multiaddr {
    address
        .iter()
        .filter(|part| !matches!(part, Protocol::P2p(_)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dials_wait_longer_and_longer_and_the_larger_identity_waits_first() {
        let limits = Limits {
            dial_wait: Duration::from_millis(100),
            dial_wait_max: Duration::from_millis(300),
            ..Limits::default()
        };
        let (a, b) = (PeerId::random(), PeerId::random());
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
        let grace = Duration::from_secs(3);
        let mut dials = Dials::new(&limits);
        let start = Instant::now();
        let peers = || {
            [
                (a, address.clone(), Duration::ZERO),
                (b, address.clone(), grace),
            ]
        };
        dials.set(peers(), start);
        let due = |dials: &mut Dials, ms| {
            let now = start + Duration::from_millis(ms);
            let due = dials.due(now, |_| false);
            due.iter().for_each(|(peer, _)| dials.failed(peer, now));
            due.into_iter().map(|(peer, _)| peer).collect::<Vec<_>>()
        };
        assert_eq!(due(&mut dials, 0), [a]);
        assert_eq!(due(&mut dials, 99), []);
        assert_eq!(due(&mut dials, 100), [a]);
        assert_eq!(due(&mut dials, 299), []);
        assert_eq!(due(&mut dials, 300), [a]);
        assert_eq!(due(&mut dials, 599), []);
        // A new registry with the same peers changes nothing.
        dials.set(peers(), start + grace);
        assert_eq!(due(&mut dials, 600), [a]);
        let mut all = due(&mut dials, 3_000);
        all.sort();
        let mut both = [a, b];
        both.sort();
        assert_eq!(all, both);
        dials.set([], start);
        assert_eq!(due(&mut dials, 9_000), []);
    }
}
