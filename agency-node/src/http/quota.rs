//! Token buckets: how often one client may ask. The table is bounded; what does not fit shares one
//! bucket, so that a flood of addresses cannot get more by pushing others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zkbureau_ledger::keys::PublicKey;

use super::settings::Quota;

/// Buckets that are kept.
const MAX_BUCKETS: usize = 1 << 16;
/// A full table is searched for buckets that nobody needs, no more often than this.
const SWEEP: Duration = Duration::from_secs(1);
/// How much wider the shared bucket is than one client's.
const SHARED: u32 = 10;
/// Networks around an IPv6 client that are counted as well, in bits, and how many times one client's share each of
/// them has. Whoever has one /64 mostly has a /56 or a /48 of them.
const WIDER: [(u32, u32); 2] = [(56, 2), (48, 4)];

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Client {
    /// A known key.
    Key(PublicKey),
    /// An address: all of IPv4, the first 64 bits of IPv6.
    Address(IpAddr),
}

impl Client {
    /// The client of an address.
    pub fn of(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let network = u128::from(v6) & !u128::from(u64::MAX);
                IpAddr::V6(network.into())
            }
            v4 => v4,
        })
    }

    /// What is counted when this client asks, each with how many times one client's share it has: the client
    /// itself, then the networks around it.
    pub fn circles(self) -> impl Iterator<Item = (Circle, u32)> {
        let own = Circle {
            client: self,
            bits: 128,
        };
        let network = match self {
            Self::Address(IpAddr::V6(network)) => Some(u128::from(network)),
            _ => None,
        };
        let around = network.into_iter().flat_map(|network| {
            WIDER.map(|(bits, times)| {
                let network = network & (u128::MAX << (128 - bits));
                let client = Self::Address(IpAddr::V6(network.into()));
                (Circle { client, bits }, times)
            })
        });
        std::iter::once((own, 1)).chain(around)
    }
}

/// A client, or a network around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Circle {
    client: Client,
    bits: u32,
}

/// More than a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// The quota: the client's own, or that of a network around it.
    pub quota: Quota,
    /// In how many seconds to try again.
    pub seconds: u32,
}

/// The buckets of one kind of request.
#[derive(Debug)]
pub struct Buckets {
    quota: Quota,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    buckets: HashMap<Circle, Bucket>,
    shared: Bucket,
    swept: Option<Instant>,
}

/// Tokens in thousandths, so that slow refills are not lost to rounding.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    quota: Quota,
    milli: u64,
    at: Instant,
}

impl Bucket {
    fn full(quota: Quota, now: Instant) -> Self {
        Self {
            quota,
            milli: u64::from(quota.burst) * 1000,
            at: now,
        }
    }

    fn is_full(&self) -> bool {
        self.milli >= u64::from(self.quota.burst) * 1000
    }

    fn refill(&mut self, now: Instant) {
        // One token a second is one thousandth a millisecond.
        let ms = now.saturating_duration_since(self.at).as_millis();
        let ms = u64::try_from(ms).unwrap_or(u64::MAX);
        let more = ms.saturating_mul(self.quota.per_second.into());
        self.milli = self
            .milli
            .saturating_add(more)
            .min(u64::from(self.quota.burst) * 1000);
        self.at += Duration::from_millis(ms);
    }

    /// Whether there is a token, or in how many seconds there is one.
    fn check(&mut self, now: Instant) -> Result<(), Over> {
        self.refill(now);
        if self.milli >= 1000 {
            return Ok(());
        }
        let per_second = u64::from(self.quota.per_second.max(1)) * 1000;
        let seconds = (1000 - self.milli).div_ceil(per_second);
        Err(Over {
            quota: self.quota,
            seconds: u32::try_from(seconds).unwrap_or(u32::MAX).max(1),
        })
    }

    fn spend(&mut self) {
        self.milli = self.milli.saturating_sub(1000);
    }
}

impl Table {
    /// Whether a client is counted apart, or can be.
    fn has_room(&mut self, client: Client, now: Instant) -> bool {
        let known = |table: &Self| {
            let own = client.circles().next();
            own.is_some_and(|(own, _)| table.buckets.contains_key(&own))
        };
        if self.buckets.len() < MAX_BUCKETS || known(self) {
            return true;
        }
        let due = self
            .swept
            .is_none_or(|at| now.saturating_duration_since(at) >= SWEEP);
        if due {
            self.swept = Some(now);
            // A full bucket is the same as none.
            self.buckets.retain(|_, bucket| {
                bucket.refill(now);
                !bucket.is_full()
            });
        }
        self.buckets.len() < MAX_BUCKETS
    }
}

impl Buckets {
    /// Full buckets for everybody.
    pub fn new(quota: Quota) -> Self {
        Self {
            quota,
            table: Mutex::new(Table {
                buckets: HashMap::new(),
                shared: Bucket::full(wider(quota, SHARED), Instant::now()),
                swept: None,
            }),
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// [`Over`].
    pub fn take(&self, client: Client) -> Result<(), Over> {
        self.take_at(client, Instant::now())
    }

    fn take_at(&self, client: Client, now: Instant) -> Result<(), Over> {
        let mut table = self.table();
        if !table.has_room(client, now) {
            table.shared.check(now)?;
            table.shared.spend();
            return Ok(());
        }
        // Of all of them or of none: whoever is refused takes nothing from those around it.
        for (circle, times) in client.circles() {
            let full = || Bucket::full(wider(self.quota, times), now);
            let bucket = table.buckets.entry(circle).or_insert_with(full);
            bucket.check(now)?;
        }
        for (circle, _) in client.circles() {
            if let Some(bucket) = table.buckets.get_mut(&circle) {
                bucket.spend();
            }
        }
        Ok(())
    }

    /// Whether there is a token, without taking it.
    ///
    /// # Errors
    /// [`Over`].
    pub fn check(&self, client: Client) -> Result<(), Over> {
        let (mut table, now) = (self.table(), Instant::now());
        if !table.has_room(client, now) {
            return table.shared.check(now);
        }
        for (circle, _) in client.circles() {
            if let Some(bucket) = table.buckets.get_mut(&circle) {
                bucket.check(now)?;
            }
        }
        Ok(())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wider(quota: Quota, times: u32) -> Quota {
    Quota {
        per_second: quota.per_second.saturating_mul(times),
        burst: quota.burst.saturating_mul(times),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> Client {
        Client::of(IpAddr::V4(n.into()))
    }

    #[test]
    fn a_burst_then_a_rate_and_a_time_to_wait() {
        let buckets = Buckets::new(Quota::new(2, 3));
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        for _ in 0..3 {
            assert_eq!(buckets.take_at(address(1), at(0)), Ok(()));
        }
        let over = Over {
            quota: Quota::new(2, 3),
            seconds: 1,
        };
        assert_eq!(buckets.take_at(address(1), at(0)), Err(over));
        assert_eq!(
            buckets.take_at(address(2), at(0)),
            Ok(()),
            "others are not touched"
        );
        assert_eq!(buckets.take_at(address(1), at(499)), Err(over));
        assert_eq!(buckets.take_at(address(1), at(500)), Ok(()));
        assert_eq!(buckets.take_at(address(1), at(600)), Err(over));
        for _ in 0..3 {
            assert_eq!(buckets.take_at(address(1), at(60_000)), Ok(()));
        }
        assert!(
            buckets.take_at(address(1), at(60_000)).is_err(),
            "no more than a burst"
        );
        // An older clock takes nothing away.
        assert!(buckets.take_at(address(1), at(0)).is_err());
    }

    #[test]
    fn a_flood_of_addresses_shares_one_bucket_and_is_forgotten_later() {
        let quota = Quota::new(1, 2);
        let buckets = Buckets::new(quota);
        let start = Instant::now();
        for n in 0..MAX_BUCKETS as u32 {
            assert_eq!(buckets.take_at(address(n), start), Ok(()));
        }
        let more: Vec<_> = (0..100)
            .map(|n| buckets.take_at(address(MAX_BUCKETS as u32 + n), start))
            .collect();
        let taken = more.iter().filter(|r| r.is_ok()).count();
        assert_eq!(taken as u32, quota.burst * SHARED);
        assert_eq!(buckets.take_at(address(5), start), Ok(()), "its own bucket");
        let later = start + Duration::from_secs(5);
        assert_eq!(buckets.take_at(address(1 << 20), later), Ok(()));
        let table = buckets.table.lock().expect("not poisoned");
        assert_eq!(table.buckets.len(), 1, "full buckets were dropped");
    }

    #[test]
    fn one_client_is_an_ipv4_address_or_an_ipv6_network() {
        let client = |text: &str| Client::of(text.parse().expect("an address"));
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("192.0.2.2"), client("192.0.2.1"));
    }

    #[test]
    fn networks_around_an_ipv6_client_have_a_few_clients_shares() {
        let client = |text: &str| Client::of(text.parse().expect("an address"));
        let buckets = Buckets::new(Quota::new(1, 10));
        let now = Instant::now();
        let taken = |clients: Vec<Client>| {
            let once = |client| buckets.take_at(client, now).is_ok();
            let take = |client: Client| (0..20).filter(|_| once(client)).count();
            clients.into_iter().map(take).sum::<usize>()
        };
        // Networks of one /56, then of other /56 of the same /48, then of another /48.
        let of = |range: std::ops::Range<u32>| {
            let text = |n: u32| format!("2001:db8:0:{n:x}::1");
            range.map(|n| client(&text(n))).collect()
        };
        assert_eq!(taken(vec![client("2001:db8::1")]), 10);
        assert_eq!(taken(of(1..256)), 10);
        assert_eq!(taken(of(256..1 << 12)), 20);
        assert_eq!(taken(vec![client("2001:db8:1::1")]), 10);
        assert_eq!(taken(vec![client("192.0.2.1"), client("192.0.2.2")]), 20);
        let over = buckets.take_at(client("2001:db8:0:ff00::1"), now);
        assert_eq!(over.expect_err("of the /48").quota, Quota::new(4, 40));
        // Looking takes nothing.
        let other = client("2001:db8:2::1");
        for _ in 0..50 {
            assert_eq!(buckets.check(other), Ok(()));
        }
        assert_eq!(taken(vec![other]), 10);
        assert!(buckets.check(other).is_err());
    }
}
