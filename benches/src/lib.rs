//! What the benches share: CPU time, medians, memory, and the peer they compare themselves with.
//!
//! A figure is CPU time per unit, a median of several runs, quoted as a ratio to a peer measured in
//! the same run on the same number of threads: machines differ, and this one may be shared.

use std::time::Duration;

use bulletproofs::{BulletproofGens, PedersenGens, RangeProof};
use curve25519_dalek::scalar::Scalar;
use merlin::Transcript;
use rand_core::{CryptoRng, RngCore};
use rustix::time::{ClockId, clock_gettime};

/// CPU time of this process so far, over all threads.
#[must_use]
pub fn cpu_time() -> Duration {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(t.tv_sec).expect("time since start"),
        u32::try_from(t.tv_nsec).expect("below 10^9"),
    )
}

/// CPU time that `work` takes, and its result.
pub fn cpu<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = cpu_time();
    let result = work();
    (cpu_time() - start, result)
}

/// The median of a list that is not empty.
#[must_use]
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Median CPU time of `runs` runs.
pub fn median_cpu<T>(runs: usize, mut work: impl FnMut() -> T) -> Duration {
    median((0..runs).map(|_| cpu(&mut work).0).collect())
}

/// Microseconds per unit.
#[must_use]
pub fn micros_per(time: Duration, units: usize) -> f64 {
    time.as_secs_f64() * 1e6 / units as f64
}

/// Largest resident memory of this process so far, in MiB.
#[must_use]
pub fn peak_rss_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024)
}

/// Runs `work` on a pool of this many threads.
///
/// # Panics
/// When the pool cannot be started.
pub fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("a thread pool")
        .install(work)
}

/// The peer of the range argument: `bulletproofs`, 32-bit values, 16 to a proof.
pub struct Peer {
    generators: BulletproofGens,
    pedersen: PedersenGens,
    values: Vec<u64>,
    blindings: Vec<Scalar>,
}

/// CPU time per value of the peer.
#[derive(Clone, Copy, Debug)]
pub struct PeerCost {
    /// To commit and prove.
    pub prove: Duration,
    /// To verify.
    pub verify: Duration,
}

impl Peer {
    /// Values in a proof.
    pub const VALUES: usize = 16;
    /// Bits of a value.
    pub const BITS: usize = 32;

    /// Draws values and blindings.
    pub fn new<R: RngCore + CryptoRng>(rng: &mut R) -> Self {
        Self {
            generators: BulletproofGens::new(Self::BITS, Self::VALUES),
            pedersen: PedersenGens::default(),
            values: (0..Self::VALUES).map(|_| rng.next_u32().into()).collect(),
            blindings: (0..Self::VALUES).map(|_| Scalar::random(rng)).collect(),
        }
    }

    /// One proof and one verification.
    ///
    /// # Panics
    /// When the peer refuses its own proof.
    #[must_use]
    pub fn measure(&self) -> PeerCost {
        let (prove, (proof, commitments)) = cpu(|| {
            RangeProof::prove_multiple(
                &self.generators,
                &self.pedersen,
                &mut Transcript::new(b"peer"),
                &self.values,
                &self.blindings,
                Self::BITS,
            )
            .expect("values in range")
        });
        let (verify, result) = cpu(|| {
            proof.verify_multiple(
                &self.generators,
                &self.pedersen,
                &mut Transcript::new(b"peer"),
                &commitments,
                Self::BITS,
            )
        });
        result.expect("the peer's own proof");
        PeerCost {
            prove: prove / Self::VALUES as u32,
            verify: verify / Self::VALUES as u32,
        }
    }
}
