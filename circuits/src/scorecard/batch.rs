//! Many proofs at once (spec: `circuits/spec/score_answer.md`, heading "Many proofs").
//!
//! A proof's multi-scalar multiplications run on the rayon pool that calls them. Side by side, proofs
//! would nest them in each other's tasks: stacks grow with the nesting, memory with the tasks that
//! wait. So every thread here has a pool of one, and a proof stays on its thread. Key and constraint
//! matrices are shared; what a thread holds besides is one proof's working memory, whatever the number
//! of jobs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::keys::ProvingKey;
use super::link::ValueOpening;
use super::prove::prove;
use super::statement::{ScoreProof, ScoreStatement};
use crate::error::ProveError;

/// Stack of a proving thread.
const STACK_BYTES: usize = 8 << 20;

/// One proof to be made.
#[derive(Debug)]
pub struct ProveJob<'a> {
    /// What is proven.
    pub statement: ScoreStatement<'a>,
    /// One opening per commitment.
    pub openings: &'a [ValueOpening],
}

/// Makes many proofs on `threads` threads (at least one), each as [`prove`] does. Results are in the
/// order of the jobs, and one that fails does not stop the others.
///
/// Every proof has randomness of its own, drawn from `rng` before the first starts.
pub fn prove_batch<R: RngCore + CryptoRng>(
    key: &ProvingKey,
    jobs: &[ProveJob<'_>],
    threads: usize,
    rng: &mut R,
) -> Vec<Result<ScoreProof, ProveError>> {
    let seeds: Vec<Zeroizing<[u8; 32]>> = (jobs.iter())
        .map(|_| {
            let mut seed = Zeroizing::new([0; 32]);
            rng.fill_bytes(seed.as_mut());
            seed
        })
        .collect();
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<ScoreProof, ProveError>>>> =
        jobs.iter().map(|_| Mutex::new(None)).collect();
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let (Some(job), Some(seed)) = (jobs.get(number), seeds.get(number)) else {
                return;
            };
            let mut rng = ChaCha20Rng::from_seed(**seed);
            let proof = prove(key, &job.statement, job.openings, &mut rng);
            *results[number]
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(proof);
        }
    };
    let pool = || {
        rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .stack_size(STACK_BYTES)
            .build()
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| match pool() {
                Ok(pool) => pool.install(work),
                // No thread to be had: the proofs are made all the same, on the pool there is.
                Err(_) => work(),
            });
        }
    });
    (results.into_iter())
        .map(|result| {
            (result.into_inner())
                .unwrap_or_else(PoisonError::into_inner)
                .unwrap_or(Err(ProveError::Unsatisfied("a proving thread ended")))
        })
        .collect()
}
