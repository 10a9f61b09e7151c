//! Who may connect: the consortium's members as the ledger names them, and their libp2p identities.
//!
//! A PeerId is derived from the member's network key, so the two can never disagree.

use std::collections::BTreeMap;
use std::fmt;

use libp2p::PeerId;
use libp2p::identity::{PublicKey as IdentityKey, ed25519};
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
