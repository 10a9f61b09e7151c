//! Token buckets: how often one client may ask. The table is bounded; what does not fit shares one
//! bucket, so that a flood of addresses cannot get more by pushing others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use zkbureau_ledger::keys::PublicKey;

use super::settings::Quota;

/// Buckets that are kept.
const MAX_BUCKETS: usize = 1 << 16;
/// A full table is searched for buckets that nobody needs, no more often than this.
const SWEEP: Duration = Duration::from_secs(1);
/// How much wider the shared bucket is than one client's.
const SHARED: u32 = 10;

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
}

/// The buckets of one kind of request.
#[derive(Debug)]
pub struct Buckets {
    quota: Quota,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    buckets: HashMap<Client, Bucket>,
    shared: Bucket,
    swept: Option<Instant>,
}

/// Tokens in thousandths, so that slow refills are not lost to rounding.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    milli: u64,
    at: Instant,
}

impl Bucket {
    fn full(quota: Quota, now: Instant) -> Self {
        Self {
            milli: u64::from(quota.burst) * 1000,
            at: now,
        }
    }

    fn refill(&mut self, quota: Quota, now: Instant) {
        // One token a second is one thousandth a millisecond.
        let ms = now.saturating_duration_since(self.at).as_millis();
        let ms = u64::try_from(ms).unwrap_or(u64::MAX);
        let more = ms.saturating_mul(quota.per_second.into());
        self.milli = self
            .milli
            .saturating_add(more)
            .min(u64::from(quota.burst) * 1000);
        self.at += Duration::from_millis(ms);
    }

    /// Takes a token, or says in how many seconds there is one.
    fn take(&mut self, quota: Quota, now: Instant) -> Result<(), u32> {
        self.refill(quota, now);
        if let Some(left) = self.milli.checked_sub(1000) {
            self.milli = left;
            return Ok(());
        }
        let per_second = u64::from(quota.per_second.max(1)) * 1000;
        let seconds = (1000 - self.milli).div_ceil(per_second);
        Err(u32::try_from(seconds).unwrap_or(u32::MAX).max(1))
    }
}

impl Buckets {
    /// Full buckets for everybody.
    pub fn new(quota: Quota) -> Self {
        Self {
            quota,
            table: Mutex::new(Table {
                buckets: HashMap::new(),
                shared: Bucket::full(wider(quota), Instant::now()),
                swept: None,
            }),
        }
    }

    /// What a client may do.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// Takes a token.
    ///
    /// # Errors
    /// In how many seconds to try again.
    pub fn take(&self, client: Client) -> Result<(), u32> {
        self.take_at(client, Instant::now())
    }

    fn take_at(&self, client: Client, now: Instant) -> Result<(), u32> {
        let quota = self.quota;
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let table = &mut *table;
        if !table.buckets.contains_key(&client) && table.buckets.len() >= MAX_BUCKETS {
            let due = table
                .swept
                .is_none_or(|at| now.saturating_duration_since(at) >= SWEEP);
            if due {
                table.swept = Some(now);
                // A full bucket is the same as none.
                table.buckets.retain(|_, bucket| {
                    bucket.refill(quota, now);
                    bucket.milli < u64::from(quota.burst) * 1000
                });
            }
            if table.buckets.len() >= MAX_BUCKETS {
                return table.shared.take(wider(quota), now);
            }
        }
        table
            .buckets
            .entry(client)
            .or_insert_with(|| Bucket::full(quota, now))
            .take(quota, now)
    }
}

fn wider(quota: Quota) -> Quota {
    Quota {
        per_second: quota.per_second.saturating_mul(SHARED),
        burst: quota.burst.saturating_mul(SHARED),
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
        assert_eq!(buckets.take_at(address(1), at(0)), Err(1));
        assert_eq!(
            buckets.take_at(address(2), at(0)),
            Ok(()),
            "others are not touched"
        );
        assert_eq!(buckets.take_at(address(1), at(499)), Err(1));
        assert_eq!(buckets.take_at(address(1), at(500)), Ok(()));
        assert_eq!(buckets.take_at(address(1), at(600)), Err(1));
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
}
