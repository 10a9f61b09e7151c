//! Stateless checks of batches: milliseconds each, much less each when several are checked together. Whoever
//! comes while a check runs waits, and the next check takes everybody who waits.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use zkbureau_ledger::transaction::Transaction;
use zkbureau_ledger::{Checked, Ledger, Store, TxError};

/// Most batches that are checked together: the gain is nearly all there, and nobody waits long for his own.
pub const TOGETHER: usize = 16;

type Verdict = Result<Arc<Checked>, TxError>;

/// Where those meet who want a batch checked.
#[derive(Default)]
pub struct Checks {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    running: bool,
}

struct Job {
    transaction: Transaction,
    verdict: Arc<Mutex<Option<Verdict>>>,
}

/// Lets the next one check, even if this one panicked.
struct Turn<'a>(&'a Checks);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().running = false;
        self.0.changed.notify_all();
    }
}

impl Checks {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks a transaction, together with others that arrive meanwhile. Blocks.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check<S: Store>(&self, ledger: &Ledger<S>, transaction: Transaction) -> Verdict {
        let verdict = Arc::new(Mutex::new(None));
        let mut state = self.lock();
        state.waiting.push_back(Job {
            transaction: transaction.clone(),
            verdict: verdict.clone(),
        });
        loop {
            let mine = verdict
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(verdict) = mine {
                return verdict;
            }
            if state.running {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let count = state.waiting.len().min(TOGETHER);
            let jobs: Vec<Job> = state.waiting.drain(..count).collect();
            if jobs.is_empty() {
                // Whoever took this one panicked.
                return check_alone(ledger, transaction);
            }
            state.running = true;
            drop(state);
            {
                let _turn = Turn(self);
                let (transactions, verdicts): (Vec<_>, Vec<_>) = jobs
                    .into_iter()
                    .map(|job| (job.transaction, job.verdict))
                    .unzip();
                let results = ledger.check_stateless(transactions);
                for (slot, result) in verdicts.iter().zip(results) {
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                }
            }
            state = self.lock();
        }
    }
}

/// Checks one transaction by itself.
///
/// # Errors
/// What is wrong with it.
pub fn check_alone<S: Store>(ledger: &Ledger<S>, transaction: Transaction) -> Verdict {
    ledger
        .check_stateless(vec![transaction])
        .pop()
        .expect("one result per transaction")
}
