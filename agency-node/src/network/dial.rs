//! When to dial whom: the smaller of two identities dials, the other only after a grace time.
//!
//! A connection that the other side closes at once is a refusal: whoever is not in the others' registry any
//! more tries again later and later.

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
    /// When the present or last connection began.
    since: Option<Instant>,
}

/// A connection that lasts for so long was no refusal.
const LASTING: Duration = Duration::from_secs(5);

/// The peers we have addresses of.
pub(super) struct Dials {
    first_wait: Duration,
    longest_wait: Duration,
    longest_refused: Duration,
    targets: BTreeMap<PeerId, Target>,
}

impl Dials {
    /// Nobody to dial.
    pub fn new(limits: &Limits) -> Self {
        Self {
            first_wait: limits.dial_wait,
            longest_wait: limits.dial_wait_max,
            longest_refused: limits.refused_wait_max,
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
                    since: None,
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
    pub fn connected(&mut self, peer: &PeerId, now: Instant) {
        if let Some(target) = self.targets.get_mut(peer) {
            target.busy = false;
            target.since = Some(now);
        }
    }

    /// The connection is gone.
    pub fn lost(&mut self, peer: &PeerId, now: Instant) {
        let (first, longest) = (self.first_wait, self.longest_refused);
        let Some(target) = self.targets.get_mut(peer) else {
            return;
        };
        let Some(since) = target.since.take() else {
            return;
        };
        if now.duration_since(since) >= LASTING {
            target.wait = first;
        }
        target.next = now + target.grace.max(target.wait);
        target.wait = (target.wait * 2).min(longest);
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

    #[test]
    fn whoever_is_turned_away_tries_less_and_less_often() {
        let limits = Limits {
            dial_wait: Duration::from_millis(100),
            dial_wait_max: Duration::from_millis(300),
            refused_wait_max: Duration::from_secs(10),
            ..Limits::default()
        };
        let peer = PeerId::random();
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
        let mut dials = Dials::new(&limits);
        let start = Instant::now();
        dials.set([(peer, address, Duration::ZERO)], start);
        let mut tries = Vec::new();
        for ms in 0..60_000 {
            let now = start + Duration::from_millis(ms);
            for (peer, _) in dials.due(now, |_| false) {
                tries.push(ms);
                dials.connected(&peer, now);
                dials.lost(&peer, now);
            }
        }
        assert_eq!(tries[..5], [0, 100, 300, 700, 1_500]);
        assert!(tries.len() <= 12, "{tries:?}");
        // A connection that lasts makes good for all of it.
        let later = start + Duration::from_secs(100);
        dials.due(later, |_| false);
        dials.connected(&peer, later);
        dials.lost(&peer, later + LASTING);
        let due = later + LASTING + Duration::from_millis(100);
        assert_eq!(dials.due(due, |_| false).len(), 1);
    }
}
