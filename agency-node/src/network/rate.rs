//! A token bucket, and the pair of them that a stream is read through.

use std::time::{Duration, Instant};

use super::limits::Rate;

/// Tokens that grow with time up to a burst. A taker may overdraw it once and then waits.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn new(per_second: u64, burst: u64, now: Instant) -> Self {
        Self {
            per_second: per_second.max(1) as f64,
            burst: burst as f64,
            tokens: burst as f64,
            at: now,
        }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        self.at = now;
    }

    /// Takes `n` and says how long to wait until they would have been there.
    pub fn take(&mut self, n: u64, now: Instant) -> Duration {
        self.refill(now);
        self.tokens -= n as f64;
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(-self.tokens / self.per_second)
    }

    /// Takes one if it is there.
    pub fn try_one(&mut self, now: Instant) -> bool {
        self.refill(now);
        let there = self.tokens >= 1.0;
        if there {
            self.tokens -= 1.0;
        }
        there
    }

    /// Whether nothing has been taken for long enough to forget about it.
    pub fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens >= self.burst
    }
}

/// The rate at which one stream is read.
#[derive(Debug)]
pub(super) struct Meter {
    bytes: Bucket,
    frames: Bucket,
}

impl Meter {
    /// A meter that has seen nothing.
    pub fn new(rate: &Rate) -> Self {
        let now = Instant::now();
        Self {
            bytes: Bucket::new(rate.bytes, rate.bytes_burst, now),
            frames: Bucket::new(rate.frames, rate.frames_burst, now),
        }
    }

    /// How long to wait before a frame of `len` bytes is read.
    pub fn wait(&mut self, len: usize) -> Duration {
        let now = Instant::now();
        let bytes = self.bytes.take(len as u64, now);
        bytes.max(self.frames.take(1, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 100, start);
        assert_eq!(bucket.take(100, start), Duration::ZERO);
        assert_eq!(bucket.take(5, start), Duration::from_millis(500));
        // The debt is paid first.
        let later = start + Duration::from_secs(1);
        assert_eq!(bucket.take(5, later), Duration::ZERO);
        assert!(!bucket.try_one(later));
        assert!(bucket.try_one(later + Duration::from_millis(200)));
        assert!(!bucket.is_full(later));
        assert!(bucket.is_full(later + Duration::from_secs(60)));
    }
}
