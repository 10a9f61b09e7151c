//! What waits to be written to one stream of one peer, bounded in bytes.
//!
//! Three lanes, the first one first: our own messages, what we relay, transactions. Each has its
//! own bound, so neither a busy relayed origin nor a flood of transactions displaces a vote.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures::task::AtomicWaker;

use super::frame::Frame;

/// What a frame costs beside its bytes, so that a queue of tiny frames is bounded, too.
const OVERHEAD: usize = 128;

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Our own messages.
    Own = 0,
    /// Messages of others that we relay.
    Relayed = 1,
    /// Transactions.
    Gossip = 2,
}

/// There is no room in the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

#[derive(Default)]
struct Waiting {
    lanes: [VecDeque<Frame>; 3],
    bytes: [usize; 3],
    dropped: u64,
}

/// The queue of one stream. One writer takes from it.
pub(super) struct Queue {
    limit: usize,
    waiting: Mutex<Waiting>,
    writer: AtomicWaker,
}

impl Queue {
    /// An empty queue with `limit` bytes in each lane.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            waiting: Mutex::default(),
            writer: AtomicWaker::new(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here panics half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a frame at a lane's end.
    pub fn push(&self, lane: Lane, frame: Frame) -> Result<(), Full> {
        let cost = frame.len() + OVERHEAD;
        let lane = lane as usize;
        {
            let mut waiting = self.waiting();
            if waiting.bytes[lane] + cost > self.limit {
                waiting.dropped += 1;
                return Err(Full);
            }
            waiting.bytes[lane] += cost;
            waiting.lanes[lane].push_back(frame);
        }
        self.writer.wake();
        Ok(())
    }

    /// The next frame, if any.
    pub fn try_pop(&self) -> Option<Frame> {
        let mut waiting = self.waiting();
        let lane = waiting.lanes.iter().position(|lane| !lane.is_empty())?;
        let frame = waiting.lanes[lane].pop_front()?;
        waiting.bytes[lane] -= frame.len() + OVERHEAD;
        Some(frame)
    }

    /// Waits for the next frame.
    pub async fn pop(&self) -> Frame {
        futures::future::poll_fn(|cx| {
            // Registered before looking, so that a push in between is not missed.
            self.writer.register(cx.waker());
            self.try_pop().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Bytes that wait, and frames that found no room.
    pub fn load(&self) -> (usize, u64) {
        let waiting = self.waiting();
        (waiting.bytes.iter().sum(), waiting.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::frame::Header;

    fn frame(len: usize) -> Frame {
        Header::Status.frame(&vec![0; len].into())
    }

    #[test]
    fn lanes_are_bounded_each_for_itself_and_served_in_order() {
        let queue = Queue::new(1_000);
        assert_eq!(queue.push(Lane::Gossip, frame(700)), Ok(()));
        assert_eq!(queue.push(Lane::Gossip, frame(700)), Err(Full));
        assert_eq!(queue.push(Lane::Own, frame(10)), Ok(()));
        assert_eq!(queue.push(Lane::Relayed, frame(20)), Ok(()));
        assert_eq!(queue.load().1, 1);
        let sizes: Vec<_> = std::iter::from_fn(|| queue.try_pop())
            .map(|f| f.payload.len())
            .collect();
        assert_eq!(sizes, [10, 20, 700]);
        assert_eq!(queue.load().0, 0);
    }

    #[test]
    fn empty_frames_fill_it_too() {
        let queue = Queue::new(10 * (OVERHEAD + 1));
        let queued = (0..1_000)
            .filter(|_| queue.push(Lane::Own, frame(0)).is_ok())
            .count();
        assert_eq!(queued, 10);
    }
}
