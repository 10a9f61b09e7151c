//! Progress reports; whoever runs an import draws the bar.

/// Something moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The source was read up to here.
    Read {
        /// Bytes read.
        bytes: u64,
        /// Bytes of the source, where known.
        total: Option<u64>,
    },
    /// Partitions were folded and compared with what was published before.
    Checked {
        /// Partitions done.
        parts: u64,
        /// All partitions.
        total: u64,
    },
    /// Records were handed over in batches that the sink accepted.
    Published {
        /// Records done.
        records: u64,
        /// All records of the plan.
        total: u64,
    },
}

/// Receives [`Event`]s. Called a few times per second at most, from one thread at a time.
pub trait Progress {
    /// Something moved.
    fn event(&self, event: Event);
}

/// Draws nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn event(&self, _: Event) {}
}
