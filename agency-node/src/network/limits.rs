//! Every size, rate and time of the network in one place.

use std::time::Duration;

use zkbureau_ledger::block::MAX_BLOCK_BYTES;

use super::frame::MAX_HEADER;
use crate::consensus::limits::{
    MAX_LIVENESS_MESSAGE_BYTES, MAX_PART_MESSAGE_BYTES, MAX_SYNC_REQUEST_BYTES,
    MAX_SYNC_RESPONSE_BYTES,
};

/// Bytes of a [`Limits::small_frame`].
const SMALL_FRAME: usize = 256 << 10;
/// Bytes of a [`Limits::bulk_frame`]: a block's 4 MiB and room for the envelope.
const BULK_FRAME: usize = 5 << 20;
/// Bytes of a [`Limits::sync_request`].
const SYNC_REQUEST: usize = 64 << 10;

// What consensus may send fits, and so does a transaction as large as a block.
const _: () = assert!(SMALL_FRAME >= MAX_HEADER + MAX_LIVENESS_MESSAGE_BYTES);
const _: () = assert!(BULK_FRAME >= MAX_HEADER + MAX_PART_MESSAGE_BYTES);
const _: () = assert!(BULK_FRAME >= MAX_HEADER + MAX_BLOCK_BYTES);
const _: () = assert!(SYNC_REQUEST >= MAX_SYNC_REQUEST_BYTES);

/// How fast a peer may send. Reading pauses above it, so the peer's own queue fills, not ours.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Bytes per second.
    pub bytes: u64,
    /// Bytes that may come at once.
    pub bytes_burst: u64,
    /// Frames per second.
    pub frames: u64,
    /// Frames that may come at once.
    pub frames_burst: u64,
}

/// Limits of the network. The defaults suit a consortium over a wide area.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest frame of the stream of small messages.
    pub small_frame: usize,
    /// Largest frame of the bulk stream.
    pub bulk_frame: usize,
    /// Bytes waiting for one peer in one lane of the small stream. A peer that lets our own
    /// messages fill it is disconnected: consensus needs every one of them.
    pub small_queue: usize,
    /// Bytes waiting for one peer in one lane of the bulk stream. What does not fit is dropped.
    pub bulk_queue: usize,
    /// Bytes of one peer and stream that were read and not yet given on.
    pub inbound: usize,
    /// Rate of the stream of small messages.
    pub small_rate: Rate,
    /// Rate of the bulk stream.
    pub bulk_rate: Rate,
    /// Transactions waiting for the node, and waiting to be sent, in bytes.
    pub transactions: usize,
    /// Own frames of the current height kept for peers that come late, in bytes.
    pub replay: usize,
    /// Largest request of the engine's sync.
    pub sync_request: usize,
    /// Largest response of the engine's sync.
    pub sync_response: usize,
    /// Largest request to an agency.
    pub ask_request: usize,
    /// Largest reply of an agency.
    pub ask_reply: usize,
    /// Requests of one peer under way here.
    pub asks_per_peer: usize,
    /// The longest that a request may take.
    pub ask_time: Duration,
    /// The longest that a handshake may take.
    pub handshake_time: Duration,
    /// Handshakes at once with one address.
    pub handshakes_per_ip: usize,
    /// Handshakes at once with addresses that are not those of configured peers.
    pub handshakes_of_strangers: usize,
    /// Handshakes per second that one address may begin.
    pub handshake_rate: u64,
    /// Time between pings.
    pub ping_interval: Duration,
    /// A ping without answer for this time closes the connection.
    pub ping_timeout: Duration,
    /// The first wait before a peer is dialled again; it doubles with every failure.
    pub dial_wait: Duration,
    /// The longest wait before a peer is dialled again.
    pub dial_wait_max: Duration,
    /// The same for a peer that closes every connection at once.
    pub refused_wait_max: Duration,
    /// How long the peer with the larger identity leaves dialling to the other.
    pub dial_grace: Duration,
    /// How long consensus waits for more than two thirds of the power to be connected.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            small_frame: SMALL_FRAME,
            bulk_frame: BULK_FRAME,
            small_queue: 4 << 20,
            bulk_queue: 32 << 20,
            inbound: 16 << 20,
            // A frame costs a signature check at most: what one peer may send is a fifth of a core.
            small_rate: Rate {
                bytes: 16 << 20,
                bytes_burst: 16 << 20,
                frames: 3_000,
                frames_burst: 10_000,
            },
            // Ten of the largest blocks each second. The engine's mailbox has no bound of its own.
            bulk_rate: Rate {
                bytes: 48 << 20,
                bytes_burst: 64 << 20,
                frames: 2_000,
                frames_burst: 4_000,
            },
            transactions: 64 << 20,
            replay: 16 << 20,
            sync_request: SYNC_REQUEST,
            sync_response: MAX_SYNC_RESPONSE_BYTES,
            ask_request: 256 << 10,
            ask_reply: 16 << 20,
            asks_per_peer: 64,
            ask_time: Duration::from_secs(120),
            handshake_time: Duration::from_secs(4),
            handshakes_per_ip: 8,
            handshakes_of_strangers: 128,
            handshake_rate: 10,
            ping_interval: Duration::from_secs(5),
            ping_timeout: Duration::from_secs(10),
            dial_wait: Duration::from_millis(200),
            dial_wait_max: Duration::from_secs(3),
            refused_wait_max: Duration::from_secs(30),
            dial_grace: Duration::from_secs(3),
            patience: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// Many nodes on one loopback address.
    pub fn for_one_host() -> Self {
        Self {
            handshakes_per_ip: 256,
            handshakes_of_strangers: 256,
            handshake_rate: 1_000,
            ..Self::default()
        }
    }
}
