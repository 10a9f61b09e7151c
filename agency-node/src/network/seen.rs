//! Which frames have been seen, in bounded memory.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

use libp2p::PeerId;

use super::frame::{Class, Stamp};

/// How far back a frame's number is remembered. Older ones count as seen.
const WINDOW: u64 = 1 << 14;
/// Starts of one origin that are told apart. Normally there is one, after a restart two.
const EPOCHS: usize = 4;

/// Numbers of one origin, start and stream.
struct Window {
    epoch: u64,
    /// One above the highest number seen.
    next: u64,
    /// A ring of bits, one for each number in the window.
    bits: Vec<u64>,
}

impl Window {
    fn new(epoch: u64) -> Self {
        Self {
            epoch,
            next: 0,
            bits: vec![0; WINDOW as usize / 64],
        }
    }

    fn bit(number: u64) -> (usize, u64) {
        let at = number % WINDOW;
        (at as usize / 64, 1 << (at % 64))
    }

    fn contains(&self, number: u64) -> bool {
        if number >= self.next {
            return false;
        }
        let (word, mask) = Self::bit(number);
        self.next - number > WINDOW || self.bits[word] & mask != 0
    }

    fn insert(&mut self, number: u64) {
        if number >= self.next {
            // Whatever leaves the window is cleared; a leap clears everything once.
            if number - self.next >= WINDOW {
                self.bits.fill(0);
            } else {
                for skipped in self.next..=number {
                    let (word, mask) = Self::bit(skipped);
                    self.bits[word] &= !mask;
                }
            }
            self.next = number.saturating_add(1);
        }
        let (word, mask) = Self::bit(number);
        self.bits[word] |= mask;
    }
}

/// Frames seen, by origin, start and stream.
#[derive(Default)]
pub(super) struct Seen {
    windows: HashMap<(PeerId, usize), VecDeque<Window>>,
}

impl Seen {
    fn key(origin: PeerId, stamp: &Stamp) -> (PeerId, usize) {
        let class: Class = stamp.channel.class();
        (origin, class as usize)
    }

    /// Whether the frame was seen, or is too old to tell.
    pub fn contains(&self, origin: PeerId, stamp: &Stamp) -> bool {
        self.windows
            .get(&Self::key(origin, stamp))
            .and_then(|w| w.iter().find(|w| w.epoch == stamp.epoch))
            .is_some_and(|w| w.contains(stamp.number))
    }

    /// Remembers a frame whose origin is certain. Says whether it is new.
    pub fn insert(&mut self, origin: PeerId, stamp: &Stamp) -> bool {
        if self.contains(origin, stamp) {
            return false;
        }
        let windows = self.windows.entry(Self::key(origin, stamp)).or_default();
        let at = match windows.iter().position(|w| w.epoch == stamp.epoch) {
            Some(at) => at,
            None => {
                windows.truncate(EPOCHS - 1);
                windows.push_front(Window::new(stamp.epoch));
                0
            }
        };
        windows[at].insert(stamp.number);
        true
    }

    /// Forgets origins that are no longer members.
    pub fn retain(&mut self, keep: impl Fn(&PeerId) -> bool) {
        self.windows.retain(|(origin, _), _| keep(origin));
    }
}

/// The last `limit` things, with something known about each.
pub(super) struct Recent<K, V> {
    limit: usize,
    order: VecDeque<K>,
    known: HashMap<K, V>,
}

impl<K: Copy + Eq + Hash, V: Default> Recent<K, V> {
    /// Remembers nothing yet.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            order: VecDeque::new(),
            known: HashMap::new(),
        }
    }

    /// What is known about `key`, and whether it is new.
    pub fn entry(&mut self, key: K) -> (&mut V, bool) {
        let new = !self.known.contains_key(&key);
        if new {
            if self.order.len() >= self.limit
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.order.push_back(key);
        }
        (self.known.entry(key).or_default(), new)
    }
}

/// Links that are known to have something.
pub(super) type Holders = HashSet<u64>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::frame::Channel;

    fn stamp(epoch: u64, number: u64) -> Stamp {
        Stamp {
            channel: Channel::Consensus,
            epoch,
            number,
        }
    }

    #[test]
    fn a_frame_is_new_once() {
        let (a, b) = (PeerId::random(), PeerId::random());
        let mut seen = Seen::default();
        for number in [0, 5, 3, 4, WINDOW + 2, WINDOW * 3] {
            assert!(seen.insert(a, &stamp(1, number)), "{number}");
            assert!(!seen.insert(a, &stamp(1, number)), "{number}");
            assert!(seen.insert(b, &stamp(1, number)), "{number}");
        }
        // Out of the window: counts as seen. Inside and not seen: new.
        assert!(seen.contains(a, &stamp(1, WINDOW * 2)));
        assert!(seen.insert(a, &stamp(1, WINDOW * 2 + 1)));
        // Streams do not share numbers.
        let bulk = Stamp {
            channel: Channel::Parts,
            ..stamp(1, 5)
        };
        assert!(seen.insert(a, &bulk));
    }

    #[test]
    fn a_restarted_origin_starts_again_and_memory_stays_bounded() {
        let a = PeerId::random();
        let mut seen = Seen::default();
        for epoch in 0..100 {
            assert!(seen.insert(a, &stamp(epoch, 0)));
        }
        assert_eq!(
            seen.windows.values().map(VecDeque::len).sum::<usize>(),
            EPOCHS
        );
        assert!(seen.contains(a, &stamp(99, 0)));
        assert!(!seen.contains(a, &stamp(0, 0)));
        seen.retain(|_| false);
        assert!(seen.windows.is_empty());
    }

    #[test]
    fn recent_things_are_forgotten_in_order() {
        let mut recent = Recent::<u32, u32>::new(2);
        *recent.entry(1).0 = 11;
        assert!(recent.entry(2).1);
        assert_eq!(recent.entry(1), (&mut 11, false));
        assert!(recent.entry(3).1);
        assert!(recent.entry(1).1);
    }
}
