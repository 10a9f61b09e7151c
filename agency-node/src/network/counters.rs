//! Counters for metrics, since the start of the process.

use std::sync::atomic::{AtomicU64, Ordering};

/// One number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds one. Says whether it is worth a line in the log: less and less often, so that nobody fills a disk
    /// by provoking it.
    pub fn one(&self) -> bool {
        let now = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        now.is_power_of_two()
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What the network counts.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Count,)*
        }

        impl Counters {
            /// Names and numbers, in the order of declaration.
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get()),)*]
            }
        }
    };
}

counters! {
    /// Frames written to peers.
    frames_sent,
    /// Bytes of those frames.
    bytes_sent,
    /// Frames read from peers.
    frames_received,
    /// Bytes of those frames.
    bytes_received,
    /// Frames not queued because the peer reads too slowly.
    frames_dropped_slow_peer,
    /// Links closed because even small frames could not be queued.
    links_closed_slow_peer,
    /// Links closed for a frame above the limit or one that could not be read.
    links_closed_bad_frame,
    /// Frames seen before.
    frames_duplicate,
    /// Relayed frames whose signature does not fit their origin, or that may not be relayed.
    frames_forged,
    /// Frames forwarded for another agency.
    frames_relayed,
    /// Frames of ours that were handed to relayers.
    frames_handed_to_relayers,
    /// Messages that could not be decoded.
    messages_undecodable,
    /// Transactions received that were new to the network module.
    transactions_received,
    /// Transactions dropped because the node took them too slowly.
    transactions_dropped,
    /// Requests answered for peers.
    requests_answered,
    /// Requests refused because too many were under way.
    requests_refused,
    /// Requests forwarded for another agency.
    requests_relayed,
    /// Connections refused because the peer is not in the registry.
    connections_not_registered,
    /// Handshakes refused because of the caps.
    handshakes_capped,
    /// Times that reading from a peer paused because of its rate limit.
    rate_limit_pauses,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines() {
        let count = Count::default();
        assert_eq!((0..1_000_000).filter(|_| count.one()).count(), 20);
        assert_eq!(count.get(), 1_000_000);
    }
}
