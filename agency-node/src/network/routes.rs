//! Who is linked to whom, as far as the peers say, and who carries what for us.

use std::collections::{BTreeMap, BTreeSet};

use zkbureau_circuits::ids::AgencyId;

use super::registry::Registry;

/// Links of agencies: our own, and those that our neighbours announce.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes {
    /// Agencies we have a link to, with what they announced.
    announced: BTreeMap<AgencyId, BTreeSet<AgencyId>>,
}

impl Routes {
    /// A link came up. Nothing is announced over it yet.
    pub fn up(&mut self, agency: AgencyId) {
        self.announced.insert(agency, BTreeSet::new());
    }

    /// A link is gone, and with it what was announced over it.
    pub fn down(&mut self, agency: AgencyId) {
        self.announced.remove(&agency);
    }

    /// A neighbour announced its links. Gives those that are new.
    pub fn announce(&mut self, agency: AgencyId, links: Vec<AgencyId>) -> Vec<AgencyId> {
        let Some(known) = self.announced.get_mut(&agency) else {
            return Vec::new();
        };
        let links: BTreeSet<_> = links.into_iter().collect();
        let new = links.difference(known).copied().collect();
        *known = links;
        new
    }

    /// Agencies we have a link to.
    pub fn linked(&self) -> impl Iterator<Item = AgencyId> + '_ {
        self.announced.keys().copied()
    }

    /// Whether we have a link to the agency.
    pub fn is_linked(&self, agency: AgencyId) -> bool {
        self.announced.contains_key(&agency)
    }

    /// Neighbours that have a link to the agency, those with a seat first. They are rotated by
    /// its id, so that not all traffic goes through the same one.
    pub fn carriers(&self, to: AgencyId, registry: &Registry) -> Vec<AgencyId> {
        let (mut seats, mut others): (Vec<_>, Vec<_>) = self
            .announced
            .iter()
            .filter(|(agency, links)| **agency != to && links.contains(&to))
            .map(|(agency, _)| *agency)
            .partition(|agency| registry.power(*agency) > 0);
        if !seats.is_empty() {
            let by = to.0 as usize % seats.len();
            seats.rotate_left(by);
        }
        seats.append(&mut others);
        seats
    }

    /// The carriers of our frames for everybody with a seat that we have no link to: at most
    /// f + 1 for each, so that at least one of them is honest.
    pub fn handing(&self, me: AgencyId, registry: &Registry) -> BTreeMap<AgencyId, Vec<AgencyId>> {
        let mut handing = BTreeMap::<_, Vec<_>>::new();
        let cut = registry
            .agencies
            .iter()
            .filter(|(id, m)| m.power > 0 && **id != me && !self.is_linked(**id));
        for (to, _) in cut {
            let carriers = self.carriers(*to, registry);
            for carrier in carriers.into_iter().take(registry.tolerated() + 1) {
                handing.entry(carrier).or_default().push(*to);
            }
        }
        handing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::NetworkKey;
    use crate::network::registry::Member;

    fn registry(seats: u32) -> Registry {
        let member = |n: u32| Member {
            network_key: NetworkKey::from_seed(&[n as u8; 32]).public(),
            power: u64::from(n <= seats),
        };
        Registry {
            agencies: (1..=seats + 1).map(|n| (AgencyId(n), member(n))).collect(),
            observers: Vec::new(),
        }
    }

    #[test]
    fn a_cut_link_is_handed_to_f_plus_one_neighbours_that_have_it() {
        let registry = registry(4);
        assert_eq!(registry.tolerated(), 1);
        let mut routes = Routes::default();
        for n in [3, 4, 5] {
            routes.up(AgencyId(n));
        }
        let me = AgencyId(1);
        assert!(routes.handing(me, &registry).is_empty());
        for n in [3, 4, 5] {
            assert_eq!(routes.announce(AgencyId(n), vec![me, AgencyId(2)]).len(), 2);
            assert!(
                routes
                    .announce(AgencyId(n), vec![me, AgencyId(2)])
                    .is_empty()
            );
        }
        // Agency 5 has no seat, so it comes last and is not needed.
        let handing = routes.handing(me, &registry);
        let to_2 = vec![AgencyId(2)];
        assert_eq!(
            handing,
            BTreeMap::from([(AgencyId(3), to_2.clone()), (AgencyId(4), to_2)])
        );
        assert_eq!(routes.carriers(AgencyId(2), &registry).len(), 3);
        routes.down(AgencyId(4));
        assert_eq!(
            routes.carriers(AgencyId(2), &registry),
            [AgencyId(3), AgencyId(5)]
        );
        routes.up(AgencyId(2));
        routes.up(AgencyId(4));
        assert!(routes.handing(me, &registry).is_empty());
    }
}
