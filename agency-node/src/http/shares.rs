//! Shares of what there is little of: how much one client may hold at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::quota::{Circle, Client};

/// What is held, by client and by the networks around it.
#[derive(Debug)]
pub struct Shares {
    each: usize,
    held: Mutex<HashMap<Circle, usize>>,
}

/// A part of a client's share, given back when this is dropped.
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    /// None for whoever is not counted.
    client: Option<Client>,
    units: usize,
}

impl Shares {
    /// Nothing is held, and at most `each` by one client.
    pub fn new(each: usize) -> Arc<Self> {
        Arc::new(Self {
            each,
            held: Mutex::default(),
        })
    }

    /// Holds `units` for a client, or for nobody who is counted. None when that is more than its share.
    pub fn take(self: &Arc<Self>, client: Option<Client>, units: usize) -> Option<Share> {
        self.add(client, units).then(|| Share {
            shares: self.clone(),
            client,
            units,
        })
    }

    /// What one client may hold.
    pub fn each(&self) -> u64 {
        self.each as u64
    }

    fn add(&self, client: Option<Client>, units: usize) -> bool {
        let Some(client) = client else {
            return true;
        };
        let mut held = self.held();
        let fits = client.circles().all(|(circle, times)| {
            let now = held.get(&circle).copied().unwrap_or(0);
            now.saturating_add(units) <= self.each.saturating_mul(times as usize)
        });
        if fits && units > 0 {
            for (circle, _) in client.circles() {
                *held.entry(circle).or_default() += units;
            }
        }
        fits
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Circle, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Holds more. Says whether there was so much left.
    pub fn grow(&mut self, units: usize) -> bool {
        let grown = self.shares.add(self.client, units);
        if grown {
            self.units += units;
        }
        grown
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some(client) = self.client else {
            return;
        };
        let mut held = self.shares.held();
        for (circle, _) in client.circles() {
            if let Some(count) = held.get_mut(&circle) {
                *count = count.saturating_sub(self.units);
                if *count == 0 {
                    held.remove(&circle);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Option<Client> {
        Some(Client::of(text.parse().expect("an address")))
    }

    #[test]
    fn a_share_is_bounded_and_comes_back() {
        let shares = Shares::new(3);
        let one = client("192.0.2.1");
        let mut first = shares.take(one, 1).expect("its share");
        let second = shares.take(one, 1).expect("its share");
        assert!(first.grow(1) && !first.grow(1));
        assert!(shares.take(one, 1).is_none());
        assert!(shares.take(client("192.0.2.2"), 3).is_some(), "another's");
        assert!(shares.take(None, 100).is_some(), "not counted");
        drop(first);
        let third = shares.take(one, 2).expect("given back");
        drop((second, third));
        assert!(shares.held().is_empty());
    }

    #[test]
    fn networks_around_an_ipv6_client_hold_a_few_shares() {
        let shares = Shares::new(2);
        let hold = |range: std::ops::Range<u32>| -> Vec<Share> {
            let of = |n: u32| client(&format!("2001:db8:0:{n:x}::1"));
            range.filter_map(|n| shares.take(of(n), 2)).collect()
        };
        // Of one /56 two clients' shares, of a /48 four.
        let near = hold(0..256);
        assert_eq!(near.len(), 2);
        let far = hold(256..1024);
        assert_eq!(far.len(), 2);
        assert!(shares.take(client("2001:db8:1::1"), 2).is_some());
        drop((near, far));
        assert!(shares.held().is_empty());
    }
}
