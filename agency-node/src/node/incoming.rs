//! Batches of other nodes on their way to be checked, and who is not listened to for a while.
//!
//! # Correctness
//! - Every sender has a share of the memory, and the next check takes from all senders in turn: a sender's
//!   flood delays its own batches.
//! - An honest node passes on only what it has verified. Whoever sends again and again what does not
//!   verify costs checks for a moment, and is then not heard until some time has passed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zkbureau_ledger::TxError;
use zkbureau_ledger::transaction::Transaction;

use crate::network::PeerName;

/// Bytes of batches that wait to be checked.
const MAX_BYTES: usize = 64 << 20;
/// Those of one sender.
const MAX_OF_SENDER: usize = 8 << 20;
/// Transactions that do not verify, within [`MEMORY`], before a sender is not heard.
const STRIKES: u32 = 16;
/// How long a strike counts.
const MEMORY: Duration = Duration::from_secs(60);
/// How long a sender is not heard.
const MUTED: Duration = Duration::from_secs(20);

/// Batches that wait.
#[derive(Default)]
pub(super) struct Incoming {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    senders: BTreeMap<PeerName, Sender>,
    bytes: usize,
    /// Who had its turn last.
    last: Option<PeerName>,
    closed: bool,
}

#[derive(Default)]
struct Sender {
    batches: VecDeque<(Transaction, usize)>,
    bytes: usize,
}

impl Incoming {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a batch, if there is room for it.
    pub fn push(&self, from: PeerName, batch: Transaction, bytes: usize) {
        let mut state = self.lock();
        let used = state.senders.get(&from).map_or(0, |sender| sender.bytes);
        if used + bytes > MAX_OF_SENDER || state.bytes + bytes > MAX_BYTES {
            return;
        }
        state.bytes += bytes;
        let sender = state.senders.entry(from).or_default();
        sender.bytes += bytes;
        sender.batches.push_back((batch, bytes));
        self.arrived.notify_one();
    }

    /// Waits for batches and gives at most `most` of them, in turn over the senders. Nothing at the end.
    pub fn next(&self, most: usize) -> Option<Vec<(PeerName, Transaction)>> {
        let mut state = self.lock();
        while state.senders.is_empty() && !state.closed {
            state = self
                .arrived
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        (!state.closed).then(|| state.take(most))
    }

    /// Nothing is wanted any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }
}

impl State {
    fn take(&mut self, most: usize) -> Vec<(PeerName, Transaction)> {
        let mut out = Vec::new();
        while out.len() < most {
            let after = |last: PeerName| self.senders.keys().find(|name| **name > last).copied();
            let first = || self.senders.keys().next().copied();
            let Some(name) = self.last.and_then(after).or_else(first) else {
                break;
            };
            self.last = Some(name);
            let Some(sender) = self.senders.get_mut(&name) else {
                break;
            };
            if let Some((batch, bytes)) = sender.batches.pop_front() {
                sender.bytes -= bytes;
                self.bytes -= bytes;
                out.push((name, batch));
            }
            if sender.batches.is_empty() {
                self.senders.remove(&name);
            }
        }
        out
    }
}

/// Who sends what does not verify.
#[derive(Default)]
pub(super) struct Strikes(Mutex<BTreeMap<PeerName, Strike>>);

struct Strike {
    count: u32,
    since: Instant,
    until: Option<Instant>,
}

impl Strikes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PeerName, Strike>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a sender is heard.
    pub fn hears(&self, name: &PeerName, now: Instant) -> bool {
        let strikes = self.lock();
        let until = strikes.get(name).and_then(|strike| strike.until);
        until.is_none_or(|until| now >= until)
    }

    /// Notes why a sender's transaction was refused.
    pub fn refused(&self, name: PeerName, error: &TxError, now: Instant) {
        if !is_forged(error) {
            return;
        }
        let mut strikes = self.lock();
        strikes.retain(|_, strike| {
            now.saturating_duration_since(strike.since) < MEMORY
                || strike.until.is_some_and(|until| now < until)
        });
        let strike = strikes.entry(name).or_insert(Strike {
            count: 0,
            since: now,
            until: None,
        });
        strike.count += 1;
        if strike.count >= STRIKES {
            tracing::warn!(%name, seconds = MUTED.as_secs(),
                "sends transactions that do not verify; it is not heard for a while");
            *strike = Strike {
                count: 0,
                since: now,
                until: Some(now + MUTED),
            };
        }
    }
}

/// What no state of the ledger and no haste excuses.
fn is_forged(error: &TxError) -> bool {
    matches!(
        error,
        TxError::Signature { .. }
            | TxError::RangeArgument { .. }
            | TxError::Point { .. }
            | TxError::OtherChain
            | TxError::Evidence(_)
    )
}

#[cfg(test)]
mod tests {
    use zkbureau_circuits::ids::AgencyId;
    use zkbureau_ledger::ids::Day;
    use zkbureau_ledger::keys::SecretKey;
    use zkbureau_ledger::transaction::AnchorConsent;

    use super::*;

    fn transaction(n: u8) -> Transaction {
        let key = SecretKey::from_seed(&[1; 32]).public();
        Transaction::AnchorConsent(AnchorConsent {
            commitment: [n; 32],
            use_key: key,
            revocation_key: key,
            expiry: Day(1),
        })
    }

    fn agency(n: u32) -> PeerName {
        PeerName::Agency(AgencyId(n))
    }

    #[test]
    fn a_flood_delays_only_its_sender() {
        let incoming = Incoming::default();
        for n in 0..200 {
            incoming.push(agency(4), transaction(n), 1 << 20);
        }
        incoming.push(agency(1), transaction(201), 1 << 20);
        incoming.push(agency(2), transaction(202), 1 << 20);
        incoming.push(agency(1), transaction(203), 1 << 20);
        let next = |most| {
            let taken = incoming.next(most).expect("open");
            let senders: Vec<u32> = taken
                .iter()
                .map(|(name, _)| match name {
                    PeerName::Agency(id) => id.0,
                    PeerName::Observer(_) => 0,
                })
                .collect();
            senders
        };
        assert_eq!(next(4), [1, 2, 4, 1]);
        assert_eq!(next(100), [4; 7], "eight fit in a share");
        incoming.close();
        assert!(incoming.next(1).is_none());
    }

    #[test]
    fn whoever_sends_forgeries_is_not_heard_for_a_while() {
        let strikes = Strikes::default();
        let start = Instant::now();
        let forged = TxError::OtherChain;
        for _ in 0..STRIKES - 1 {
            strikes.refused(agency(4), &forged, start);
        }
        strikes.refused(agency(3), &forged, start);
        assert!(strikes.hears(&agency(4), start));
        // Old strikes do not count.
        let later = start + MEMORY;
        strikes.refused(agency(4), &forged, later);
        assert!(strikes.hears(&agency(4), later));
        for _ in 0..STRIKES {
            let early = TxError::UnknownAgency(AgencyId(9));
            strikes.refused(agency(3), &early, later);
            strikes.refused(agency(4), &forged, later);
        }
        assert!(!strikes.hears(&agency(4), later));
        assert!(strikes.hears(&agency(3), later), "too early is no forgery");
        assert!(strikes.hears(&agency(4), later + MUTED));
    }
}
