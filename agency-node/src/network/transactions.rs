//! Transactions between the network and the node: both ways bounded in bytes, best effort.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::counters::Counters;
use super::handle::Services;
use super::registry::PeerName;
use super::seen::{Holders, Recent};

/// Transactions whose holders are known.
const REMEMBERED: usize = 1 << 16;
/// After this time a transaction counts as new again: somebody submits it again for a reason.
const REMEMBERED_FOR: Duration = Duration::from_secs(4);
/// What a transaction costs beside its bytes while it waits.
const OVERHEAD: usize = 256;

/// A channel bounded by the bytes in it.
pub(super) struct Sender<T> {
    limit: usize,
    bytes: Arc<AtomicUsize>,
    channel: mpsc::UnboundedSender<(usize, T)>,
}

/// The other end of a [`Sender`].
pub(super) struct Receiver<T> {
    bytes: Arc<AtomicUsize>,
    channel: mpsc::UnboundedReceiver<(usize, T)>,
}

/// A channel that holds at most `limit` bytes.
pub(super) fn channel<T>(limit: usize) -> (Sender<T>, Receiver<T>) {
    let bytes = Arc::<AtomicUsize>::default();
    let (sender, receiver) = mpsc::unbounded_channel();
    (
        Sender {
            limit,
            bytes: bytes.clone(),
            channel: sender,
        },
        Receiver {
            bytes,
            channel: receiver,
        },
    )
}

impl<T> Sender<T> {
    /// Puts something of `len` bytes in, if there is room and somebody to take it.
    pub fn send(&self, len: usize, thing: T) -> bool {
        let cost = len + OVERHEAD;
        let before = self.bytes.fetch_add(cost, Ordering::AcqRel);
        if before + cost > self.limit || self.channel.send((cost, thing)).is_err() {
            self.bytes.fetch_sub(cost, Ordering::AcqRel);
            return false;
        }
        true
    }
}

impl<T> Receiver<T> {
    fn taken(&self, (cost, thing): (usize, T)) -> T {
        self.bytes.fetch_sub(cost, Ordering::AcqRel);
        thing
    }

    /// The next thing; nothing when all senders are gone.
    pub async fn recv(&mut self) -> Option<T> {
        let next = self.channel.recv().await?;
        Some(self.taken(next))
    }

    /// Like `recv`, for a thread.
    fn blocking_recv(&mut self) -> Option<T> {
        let next = self.channel.blocking_recv()?;
        Some(self.taken(next))
    }
}

/// Gives transactions to the node, one after the other, on a thread of its own: checking one may
/// take milliseconds.
pub(super) fn deliver(
    services: Arc<dyn Services>,
    mut incoming: Receiver<(PeerName, Vec<u8>)>,
) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("transactions".into())
        .spawn(move || {
            while let Some((from, bytes)) = incoming.blocking_recv() {
                services.transaction(from, bytes);
            }
        })
        .map(drop)
}

/// What is known about one transaction.
#[derive(Default)]
struct Known {
    since: Option<Instant>,
    holders: Holders,
}

/// Which links are known to have which transaction.
pub(super) struct Gossip {
    recent: Recent<[u8; 32], Known>,
    incoming: Sender<(PeerName, Vec<u8>)>,
    counters: Arc<Counters>,
}

impl Gossip {
    /// New transactions go to `incoming`.
    pub fn new(incoming: Sender<(PeerName, Vec<u8>)>, counters: Arc<Counters>) -> Self {
        Self {
            recent: Recent::new(REMEMBERED),
            incoming,
            counters,
        }
    }

    /// What is known now, and whether it is a new one.
    fn known(&mut self, bytes: &[u8], now: Instant) -> (&mut Holders, bool) {
        let (known, _) = self.recent.entry(Sha256::digest(bytes).into());
        let fresh = known
            .since
            .is_some_and(|since| now.duration_since(since) < REMEMBERED_FOR);
        if !fresh {
            known.since = Some(now);
            known.holders.clear();
        }
        (&mut known.holders, !fresh)
    }

    /// A transaction came over a link.
    pub fn received(&mut self, link: u64, from: PeerName, bytes: &[u8], now: Instant) {
        let (holders, new) = self.known(bytes, now);
        holders.insert(link);
        if !new {
            return;
        }
        self.counters.transactions_received.one();
        if !self.incoming.send(bytes.len(), (from, bytes.to_vec())) {
            self.counters.transactions_dropped.one();
        }
    }

    /// Our node has a transaction for everybody. Says which of the links do not have it.
    pub fn missing(&mut self, bytes: &[u8], links: &[u64], now: Instant) -> Vec<u64> {
        let (holders, _) = self.known(bytes, now);
        links
            .iter()
            .copied()
            .filter(|link| holders.insert(*link))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zkbureau_circuits::ids::AgencyId;

    #[test]
    fn a_transaction_goes_to_those_that_lack_it_and_to_the_node_once() {
        let (sender, mut receiver) = channel(1_000);
        let mut gossip = Gossip::new(sender, Arc::default());
        let from = PeerName::Agency(AgencyId(1));
        let now = Instant::now();
        gossip.received(1, from, b"tx", now);
        gossip.received(2, from, b"tx", now);
        assert_eq!(
            receiver.channel.try_recv().map(|t| t.1),
            Ok((from, b"tx".to_vec()))
        );
        assert!(receiver.channel.try_recv().is_err());
        assert_eq!(gossip.missing(b"tx", &[1, 2, 3], now), [3]);
        assert!(gossip.missing(b"tx", &[1, 2, 3], now).is_empty());
        // Submitted again much later: everybody gets it again.
        let later = now + REMEMBERED_FOR;
        assert_eq!(gossip.missing(b"tx", &[1, 2, 3], later), [1, 2, 3]);
    }

    #[test]
    fn what_the_node_does_not_take_is_dropped_and_counted() {
        let (sender, _receiver) = channel(1_000);
        let mut gossip = Gossip::new(sender, Arc::default());
        for n in 0..100_u8 {
            gossip.received(1, PeerName::Agency(AgencyId(1)), &[n; 44], Instant::now());
        }
        assert_eq!(gossip.counters.transactions_received.get(), 100);
        assert_eq!(gossip.counters.transactions_dropped.get(), 97);
    }
}
