//! Stateless checks of batches: milliseconds each, much less each when several are checked together. Whoever
//! comes while a check runs waits, and the next check takes everybody who waits.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};
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

    /// Checks a transaction, together with others that arrive meanwhile. Blocks. `took` is told how long
    /// a check took, once for all that were checked together.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check<S: Store>(
        &self,
        ledger: &Ledger<S>,
        transaction: Transaction,
        took: &dyn Fn(Duration),
    ) -> Verdict {
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
                let start = Instant::now();
                let results = apart(|| ledger.check_stateless(transactions));
                took(start.elapsed());
                for (slot, result) in verdicts.iter().zip(results) {
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                }
            }
            state = self.lock();
        }
    }
}

/// Runs checks of what arrives on threads of their own, on half of the cores. A block is executed on the common
/// ones, which finish what they have before they take anything else: behind seconds of batches its round would
/// fail.
pub fn apart<T: Send>(check: impl FnOnce() -> T + Send) -> T {
    static THREADS: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let threads = THREADS.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let named = ThreadPoolBuilder::new().thread_name(|i| format!("check-{i}"));
        named.num_threads(cores.div_ceil(2)).build().ok()
    });
    match threads {
        Some(threads) => threads.install(check),
        // The system gives no more threads.
        None => check(),
    }
}

/// Checks one transaction by itself, at once: it does not wait for batches.
///
/// # Errors
/// What is wrong with it.
pub fn check_alone<S: Store>(ledger: &Ledger<S>, transaction: Transaction) -> Verdict {
    ledger
        .check_stateless(vec![transaction])
        .pop()
        .expect("one result per transaction")
}

#[cfg(test)]
mod tests {
    use rand_core::OsRng;
    use zkbureau_circuits::period::Period;
    use zkbureau_ledger::genesis::{Genesis, Policies, Seat};
    use zkbureau_ledger::ids::{AgencyId, AuditorId, TimeMs};
    use zkbureau_ledger::transaction::AuditRequest;
    use zkbureau_ledger::{MemoryStore, TxError};

    use super::*;
    use crate::vault::AgencyKeys;

    const SCHEMA: &str = r#"
        version = 1
        [[attributes]]
        name = "present"
        class = "stock"
        aggregate = "max"
        min = 0
        max = 1
        unit = "record"
        description = "1 in every record"
        [[attributes]]
        name = "balance"
        class = "stock"
        aggregate = "sum"
        min = 0
        max = 100
        unit = "EUR"
        description = "amount owed"
    "#;

    #[test]
    fn everybody_gets_the_verdict_on_his_own_transaction() {
        let keys = AgencyKeys::random(&mut OsRng);
        let genesis = Genesis {
            name: "checks".into(),
            time_ms: TimeMs(1),
            agencies: vec![keys.agency(AgencyId(1), "One")],
            validators: vec![Seat {
                agency: AgencyId(1),
                power: 1,
            }],
            issuers: Vec::new(),
            auditors: Vec::new(),
            observers: Vec::new(),
            schema: toml::from_str(SCHEMA).expect("a schema"),
            policies: Policies::default(),
            score_key: None,
        };
        let ledger = Ledger::open(MemoryStore::default(), &genesis).expect("a ledger");
        let checks = Checks::default();
        std::thread::scope(|scope| {
            for n in 1..=4 * TOGETHER as u32 {
                let (checks, ledger, keys) = (&checks, &ledger, &keys);
                scope.spawn(move || {
                    let request = AuditRequest::sign(
                        ledger.chain_id(),
                        AuditorId(n),
                        [0; 32],
                        vec![AgencyId(1)],
                        vec!["balance".into()],
                        Period::new(2024, 1).expect("a month"),
                        keys.validator(),
                    );
                    let verdict = checks.check(ledger, request.into(), &|_| {});
                    // Nobody of these is an auditor, so each error names who asked.
                    let error = verdict.map(|_| ()).expect_err("refused");
                    assert_eq!(error, TxError::UnknownAuditor(AuditorId(n)));
                });
            }
        });
        assert!(checks.lock().waiting.is_empty());
        assert!(!checks.lock().running);
    }
}
