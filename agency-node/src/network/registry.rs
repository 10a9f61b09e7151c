//! Who may connect: the consortium's members as the ledger names them, and their libp2p identities.
//!
//! A PeerId is derived from the member's network key, so the two can never disagree.

use std::collections::BTreeMap;
use std::fmt;

use libp2p::identity::{PublicKey as IdentityKey, ed25519};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::consortium::{Agency, Consortium};
use zkbureau_ledger::keys::PublicKey;

/// A member's name on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerName {
    /// An agency, with or without a seat.
    Agency(AgencyId),
    /// An observer, known by its network key.
    Observer(PublicKey),
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agency(id) => id.fmt(f),
            Self::Observer(key) => {
                f.write_str("observer ")?;
                key.as_bytes()[..4]
                    .iter()
                    .try_for_each(|b| write!(f, "{b:02x}"))
            }
        }
    }
}

/// An agency as the network sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The Ed25519 key of its libp2p identity.
    pub network_key: PublicKey,
    /// Its voting power; zero without a seat.
    pub power: u64,
}

/// Everybody who may connect, at one height of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    /// Agencies, with and without a seat.
    pub agencies: BTreeMap<AgencyId, Member>,
    /// Network keys of observers.
    pub observers: Vec<PublicKey>,
}

impl From<&Consortium> for Registry {
    fn from(consortium: &Consortium) -> Self {
        let power: BTreeMap<_, _> = consortium
            .validators
            .iter()
            .map(|seat| (seat.agency, seat.power))
            .collect();
        let member = |agency: &Agency| Member {
            network_key: agency.network_key,
            power: power.get(&agency.id).copied().unwrap_or(0),
        };
        Self {
            agencies: consortium
                .agencies
                .iter()
                .map(|agency| (agency.id, member(agency)))
                .collect(),
            observers: consortium.observers.iter().map(|o| o.network_key).collect(),
        }
    }
}

impl Registry {
    /// All members with their libp2p identities. An agency goes before an observer with the same
    /// key.
    pub fn peers(&self) -> BTreeMap<PeerId, PeerName> {
        let observers = self
            .observers
            .iter()
            .filter_map(|key| Some((peer_id(key)?, PeerName::Observer(*key))));
        let agencies = self.agencies.iter().filter_map(|(id, member)| {
            Some((peer_id(&member.network_key)?, PeerName::Agency(*id)))
        });
        observers.chain(agencies).collect()
    }

    /// With the identities that an operator has put into addresses (`…/p2p/12D3…`): agencies that are not here
    /// yet, and those whose key is newer. For a node whose ledger knows nothing but its beginning.
    #[must_use]
    pub fn with_addresses<'a>(
        mut self,
        addresses: impl IntoIterator<Item = (&'a AgencyId, &'a Multiaddr)>,
    ) -> Self {
        for (id, address) in addresses {
            let named = address.iter().find_map(|part| match part {
                Protocol::P2p(peer) => network_key(&peer),
                _ => None,
            });
            if let Some(network_key) = named {
                let power = self.agencies.get(id).map_or(0, |member| member.power);
                self.agencies.insert(*id, Member { network_key, power });
            }
        }
        self
    }

    /// The libp2p identity of an agency.
    pub fn peer_of(&self, agency: AgencyId) -> Option<PeerId> {
        peer_id(&self.agencies.get(&agency)?.network_key)
    }

    /// Voting power of an agency, zero when it has no seat.
    pub fn power(&self, agency: AgencyId) -> u64 {
        self.agencies.get(&agency).map_or(0, |m| m.power)
    }

    /// Power of all seats.
    pub fn total_power(&self) -> u64 {
        self.agencies
            .values()
            .fold(0, |sum, m| sum.saturating_add(m.power))
    }

    /// How many seats may be faulty: the largest f with 3f < n.
    pub fn tolerated(&self) -> usize {
        let seats = self.agencies.values().filter(|m| m.power > 0).count();
        seats.saturating_sub(1) / 3
    }
}

/// The libp2p identity of a network key. A key of the ledger is always a point, so this gives
/// nothing only for keys libp2p refuses.
pub fn peer_id(key: &PublicKey) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(key.as_bytes()).ok()?;
    Some(IdentityKey::from(key).to_peer_id())
}

/// The network key of a libp2p identity, which holds it when it is an Ed25519 key.
fn network_key(peer: &PeerId) -> Option<PublicKey> {
    let digest = libp2p::multihash::Multihash::<64>::from_bytes(&peer.to_bytes()).ok()?;
    let key = IdentityKey::try_decode_protobuf(digest.digest()).ok()?;
    PublicKey::from_bytes(&key.try_into_ed25519().ok()?.to_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::NetworkKey;

    #[test]
    fn an_address_may_name_a_member_that_is_not_in_the_ledger_yet() {
        let key = |n| NetworkKey::from_seed(&[n; 32]);
        let address = |text: String| -> Multiaddr { text.parse().expect("an address") };
        let named = |n| address(format!("/ip4/127.0.0.1/tcp/1/p2p/{}", key(n).peer_id()));
        let member = |n, power| Member {
            network_key: key(n).public(),
            power,
        };
        let registry = Registry {
            agencies: [1, 2]
                .map(|n| (AgencyId(n.into()), member(n, 1)))
                .into_iter()
                .collect(),
            observers: Vec::new(),
        };
        let addresses = BTreeMap::from([
            (AgencyId(1), address("/ip4/127.0.0.1/tcp/1".into())),
            (AgencyId(2), named(22)),
            (AgencyId(5), named(5)),
        ]);
        let with = registry.with_addresses(&addresses);
        let expected = [(1, member(1, 1)), (2, member(22, 1)), (5, member(5, 0))];
        let expected = expected.map(|(n, m)| (AgencyId(n), m));
        assert_eq!(with.agencies, BTreeMap::from(expected));
        assert_eq!(with.peer_of(AgencyId(5)), Some(key(5).peer_id()));
    }
}
