//! How far a command has got; whoever runs it shows it.

/// Receives how far a part of the work is.
pub trait Progress: Sync {
    /// `done` of `total` items of this part are done. Called from one thread at a time.
    fn step(&self, part: &'static str, done: usize, total: usize);
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn step(&self, _: &'static str, _: usize, _: usize) {}
}
