//! Frames on a stream.

use std::sync::Arc;

use futures::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use futures::{AsyncRead, AsyncWrite};
use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use thiserror::Error;
use tokio::sync::Semaphore;

use super::super::counters::Counters;
use super::super::frame::{Class, Frame};
use super::super::queue::Queue;
use super::super::rate::Meter;
use super::{Common, Inbound};

/// What a frame costs beside its bytes while it waits to be looked at.
const OVERHEAD: usize = 256;
/// Memory reserved for a frame before its bytes arrive.
const FIRST_RESERVED: usize = 64 << 10;
/// Small frames are written together.
const WRITE_BUFFER: usize = 32 << 10;

/// Why a link is closed.
#[derive(Debug, Error)]
pub(in super::super) enum Broken {
    /// The peer announced a frame larger than the stream carries.
    #[error("a frame of {0} bytes, more than the stream carries")]
    TooLarge(usize),
    /// The peer opened a stream that it has opened already.
    #[error("a second stream of one kind")]
    SecondStream,
    /// The peer does not speak our protocol, or is of another chain.
    #[error("the peer does not speak this chain's protocol")]
    NotSpoken,
    /// The stream ended.
    #[error("the stream ended: {0}")]
    Io(#[from] std::io::Error),
    /// The network is stopping.
    #[error("the network is stopping")]
    Stopping,
}

/// Reads one stream.
pub(super) struct Reader {
    peer: PeerId,
    connection: ConnectionId,
    class: Class,
    common: Arc<Common>,
    limit: usize,
    meter: Meter,
    /// Bytes that may be read before earlier ones were looked at.
    room: Arc<Semaphore>,
    room_total: usize,
}

impl Reader {
    pub fn new(peer: PeerId, connection: ConnectionId, class: Class, common: Arc<Common>) -> Self {
        let limits = &common.limits;
        let (limit, rate) = match class {
            Class::Small => (limits.small_frame, &limits.small_rate),
            Class::Bulk => (limits.bulk_frame, &limits.bulk_rate),
        };
        // One frame of the largest size must fit.
        let room_total = limits.inbound.max(limit + OVERHEAD).min(u32::MAX as usize);
        Self {
            meter: Meter::new(rate),
            room: Arc::new(Semaphore::new(room_total)),
            room_total,
            peer,
            connection,
            class,
            limit,
            common,
        }
    }

    /// Reads until the stream breaks.
    pub async fn run(mut self, mut stream: impl AsyncRead + Unpin) -> Broken {
        loop {
            if let Err(why) = self.frame(&mut stream).await {
                return why;
            }
        }
    }

    async fn frame(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<(), Broken> {
        let mut len = [0; 4];
        stream.read_exact(&mut len).await?;
        let len = u32::from_le_bytes(len) as usize;
        if len > self.limit {
            self.common.counters.links_closed_bad_frame.one();
            return Err(Broken::TooLarge(len));
        }
        let pause = self.meter.wait(len);
        if !pause.is_zero() {
            self.common.counters.rate_limit_pauses.one();
            tokio::time::sleep(pause).await;
        }
        let cost = (len + OVERHEAD).min(self.room_total) as u32;
        let room = self.room.clone().acquire_many_owned(cost).await;
        let room = room.map_err(|_| Broken::Stopping)?;
        let bytes = read_exactly(stream, len).await?;
        self.common.counters.frames_received.one();
        self.common.counters.bytes_received.add(len as u64);
        let inbound = Inbound {
            peer: self.peer,
            connection: self.connection,
            class: self.class,
            bytes: bytes.into(),
            room,
        };
        let sent = self.common.inbox.send(inbound).await;
        sent.map_err(|_| Broken::Stopping)
    }
}

/// Reads `len` bytes. Memory grows with what has arrived, not with what was announced.
pub(in super::super) async fn read_exactly(
    stream: &mut (impl AsyncRead + Unpin),
    len: usize,
) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len.min(FIRST_RESERVED));
    while bytes.len() < len {
        let read = bytes.len();
        let step = len.min((2 * read).max(FIRST_RESERVED));
        bytes.reserve_exact(step - read);
        bytes.resize(step, 0);
        stream.read_exact(&mut bytes[read..]).await?;
    }
    Ok(bytes)
}

/// Writes what the queue holds until the stream breaks.
pub(super) async fn write_frames(
    stream: impl AsyncWrite + Unpin,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
) -> Broken {
    let mut stream = BufWriter::with_capacity(WRITE_BUFFER, stream);
    loop {
        let frame = match queue.try_pop() {
            Some(frame) => frame,
            None => {
                if let Err(error) = stream.flush().await {
                    return error.into();
                }
                queue.pop().await
            }
        };
        if let Err(error) = write(&mut stream, &frame).await {
            return error.into();
        }
        counters.frames_sent.one();
        counters.bytes_sent.add(frame.len() as u64);
    }
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> std::io::Result<()> {
    // Larger frames than a u32 says are not made: every payload is below the stream's limit.
    stream
        .write_all(&(frame.len() as u32).to_le_bytes())
        .await?;
    stream.write_all(&frame.head).await?;
    stream.write_all(&frame.payload).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_follows_what_arrives() {
        let bytes: Vec<u8> = (0..300_000_u32).map(|i| i as u8).collect();
        for len in [0, 1, FIRST_RESERVED, FIRST_RESERVED + 1, 300_000] {
            let read = read_exactly(&mut &bytes[..], len).await;
            assert_eq!(read.ok().as_deref(), Some(&bytes[..len]));
        }
        // Announced and not sent.
        assert!(read_exactly(&mut &bytes[..], 1 << 30).await.is_err());
    }
}
