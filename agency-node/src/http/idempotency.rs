//! `Idempotency-Key`: the same request again gets the same answer, without being carried out again.
//!
//! Remembered per client (key or address), route and key; bounded in number, bytes and time, for each
//! client and for all together. What may be different next time (no room, too busy, timeouts,
//! failures) is not remembered, nor what costs nothing to find out again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::problem::Problem;
use super::quota::{Circle, Client};

/// Longest key.
const MAX_KEY: usize = 128;
/// Answers remembered.
const MAX_ENTRIES: usize = 4096;
/// Of these, one client's.
const MAX_ENTRIES_OF_ONE: usize = 256;
/// Bytes of answers remembered.
const MAX_BYTES: usize = 32 << 20;
/// Of these, one client's.
const MAX_BYTES_OF_ONE: usize = 4 << 20;
/// How long.
pub const KEPT: Duration = Duration::from_secs(3600);

/// An answer that can be given again.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its content type.
    pub kind: &'static str,
    /// Its body.
    pub body: Bytes,
}

/// What a handler says.
pub type Outcome = Result<Reply, Problem>;

/// Which request it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    client: Client,
    route: String,
    key: String,
}

#[derive(Debug)]
struct Entry {
    body: [u8; 32],
    state: State,
}

#[derive(Debug)]
enum State {
    /// The first request is at work; the channel closes when it ends.
    Running(watch::Receiver<()>),
    /// It has ended.
    Done(Outcome),
}

/// The memory.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Name, Entry>,
    /// Finished ones, oldest first.
    finished: BTreeMap<u64, Finished>,
    /// Whose they are: clients, and networks around them.
    of: HashMap<Circle, Held>,
    bytes: usize,
    next: u64,
}

#[derive(Debug)]
struct Finished {
    at: Instant,
    name: Name,
    bytes: usize,
}

/// The finished ones of one client or network.
#[derive(Debug, Default)]
struct Held {
    numbers: BTreeSet<u64>,
    bytes: usize,
}

/// The key of a request, if it has one.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .filter(|text| values.next().is_none() && (1..=MAX_KEY).contains(&text.len()))
        .map(|text| Some(text.to_owned()))
        .ok_or_else(|| {
            Problem::malformed("idempotency-key", "one key of 1 to 128 visible characters")
                .limit(MAX_KEY as u64)
        })
}

/// Ends a run, however it ends.
struct Run<'a> {
    memory: &'a Memory,
    name: Name,
    /// Dropped last: those who wait look at the table again.
    _running: watch::Sender<()>,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let mut table = self.memory.table();
        let unfinished = |e: &Entry| matches!(e.state, State::Running(_));
        if table.entries.get(&self.name).is_some_and(unfinished) {
            table.entries.remove(&self.name);
        }
    }
}

impl Memory {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out `work`, unless the same request has been carried out before; waits for it if it is
    /// at work right now.
    pub async fn once<F: Future<Output = Outcome>>(
        self: &Arc<Self>,
        client: Client,
        route: &str,
        key: Option<String>,
        body: &[u8],
        work: impl FnOnce() -> F,
    ) -> Outcome {
        let Some(key) = key else {
            return work().await;
        };
        let name = Name {
            client,
            route: route.to_owned(),
            key,
        };
        let digest: [u8; 32] = Sha256::digest(body).into();
        let run = loop {
            let mut other = match self.begin(&name, digest)? {
                Begin::First(run) => break run,
                Begin::Done(outcome) => return outcome,
                Begin::Wait(other) => other,
            };
            // An error is the end of the other request: look again.
            while other.changed().await.is_ok() {}
        };
        let outcome = work().await;
        self.finish(run, &outcome);
        outcome
    }

    fn begin(&self, name: &Name, body: [u8; 32]) -> Result<Begin<'_>, Problem> {
        let mut table = self.table();
        table.forget(Instant::now());
        if let Some(entry) = table.entries.get(name) {
            if entry.body != body {
                return Err(Problem::key_reused());
            }
            return Ok(match &entry.state {
                State::Running(other) => Begin::Wait(other.clone()),
                State::Done(outcome) => Begin::Done(outcome.clone()),
            });
        }
        // Those that run are bounded by the connections, so the oldest finished one makes room.
        while table.entries.len() >= MAX_ENTRIES && table.drop_oldest() {}
        let (running, waiting) = watch::channel(());
        let state = State::Running(waiting);
        table.entries.insert(name.clone(), Entry { body, state });
        Ok(Begin::First(Run {
            memory: self,
            name: name.clone(),
            _running: running,
        }))
    }

    fn finish(&self, run: Run<'_>, outcome: &Outcome) {
        let bytes = match outcome {
            Ok(reply) => reply.body.len(),
            Err(problem) if problem.is_final() => 512,
            // The run forgets itself.
            Err(_) => return,
        };
        let mut table = self.table();
        if table.make_room(run.name.client, bytes)
            && let Some(entry) = table.entries.get_mut(&run.name)
        {
            entry.state = State::Done(outcome.clone());
            table.finished(run.name.clone(), bytes);
        }
        // The run's end takes the lock itself.
        drop(table);
        drop(run);
    }
}

enum Begin<'a> {
    First(Run<'a>),
    Done(Outcome),
    Wait(watch::Receiver<()>),
}

impl Table {
    fn forget(&mut self, now: Instant) {
        while self
            .finished
            .first_key_value()
            .is_some_and(|(_, f)| now.saturating_duration_since(f.at) > KEPT)
        {
            self.drop_oldest();
        }
    }

    /// Makes room for an answer, first among what the client and the networks around it have. Says
    /// whether there is.
    fn make_room(&mut self, client: Client, bytes: usize) -> bool {
        if bytes > MAX_BYTES_OF_ONE {
            return false;
        }
        for (circle, times) in client.circles() {
            let times = times as usize;
            while let Some(held) = self.of.get(&circle)
                && (held.numbers.len() >= times * MAX_ENTRIES_OF_ONE
                    || held.bytes + bytes > times * MAX_BYTES_OF_ONE)
                && let Some(oldest) = held.numbers.first().copied()
            {
                self.remove(oldest);
            }
        }
        while self.bytes + bytes > MAX_BYTES && self.drop_oldest() {}
        self.bytes + bytes <= MAX_BYTES
    }

    fn finished(&mut self, name: Name, bytes: usize) {
        let number = self.next;
        self.next += 1;
        self.bytes += bytes;
        for (circle, _) in name.client.circles() {
            let held = self.of.entry(circle).or_default();
            held.numbers.insert(number);
            held.bytes += bytes;
        }
        let at = Instant::now();
        self.finished.insert(number, Finished { at, name, bytes });
    }

    fn drop_oldest(&mut self) -> bool {
        let oldest = self.finished.first_key_value().map(|(number, _)| *number);
        oldest.is_some_and(|number| self.remove(number))
    }

    fn remove(&mut self, number: u64) -> bool {
        let Some(Finished { name, bytes, .. }) = self.finished.remove(&number) else {
            return false;
        };
        self.entries.remove(&name);
        self.bytes -= bytes;
        for (circle, _) in name.client.circles() {
            if let Some(held) = self.of.get_mut(&circle) {
                held.numbers.remove(&number);
                held.bytes -= bytes;
                if held.numbers.is_empty() {
                    self.of.remove(&circle);
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn client(n: u32) -> Client {
        Client::of(IpAddr::V4(n.into()))
    }

    fn reply(body: Vec<u8>) -> Outcome {
        Ok(Reply {
            status: StatusCode::OK,
            kind: "text/plain",
            body: body.into(),
        })
    }

    async fn ask(
        memory: &Arc<Memory>,
        who: u32,
        key: &str,
        body: &[u8],
        answer: Outcome,
    ) -> Outcome {
        let key = Some(key.to_owned());
        memory
            .once(client(who), "/r", key, body, || async { answer })
            .await
    }

    #[tokio::test]
    async fn the_same_again_is_answered_the_same_and_another_body_is_refused() {
        let memory = Arc::new(Memory::default());
        let first = reply(vec![1]);
        assert_eq!(ask(&memory, 1, "k", b"a", first.clone()).await, first);
        assert_eq!(ask(&memory, 1, "k", b"a", reply(vec![2])).await, first);
        let refused = ask(&memory, 1, "k", b"b", reply(vec![3])).await;
        assert_eq!(refused.expect_err("reused").status(), 422);
        // Another client's keys are its own.
        assert_eq!(
            ask(&memory, 2, "k", b"b", reply(vec![4])).await,
            reply(vec![4])
        );
        let no = || Err(Problem::unacceptable("no"));
        assert_eq!(ask(&memory, 1, "no", b"", no()).await, no());
        assert_eq!(ask(&memory, 1, "no", b"", reply(vec![5])).await, no());
        // What the ledger's state decided says nothing about later either.
        for open in [
            Problem::refused(),
            Problem::unacceptable("no anchor yet").transient(),
        ] {
            let key = open.status().to_string();
            assert!(ask(&memory, 1, &key, b"", Err(open)).await.is_err());
            assert_eq!(
                ask(&memory, 1, &key, b"", reply(vec![7])).await,
                reply(vec![7])
            );
        }
        // Too busy now says nothing about later.
        assert!(
            ask(&memory, 1, "busy", b"", Err(Problem::busy("now")))
                .await
                .is_err()
        );
        assert_eq!(
            ask(&memory, 1, "busy", b"", reply(vec![6])).await,
            reply(vec![6])
        );
    }

    #[tokio::test]
    async fn a_second_request_waits_for_the_first_and_takes_over_when_it_is_cut_off() {
        let memory = Arc::new(Memory::default());
        let runs = Arc::new(AtomicUsize::new(0));
        let go = Arc::new(tokio::sync::Semaphore::new(0));
        let start = || {
            let (memory, runs, go) = (memory.clone(), runs.clone(), go.clone());
            tokio::spawn(async move {
                let key = Some("k".to_owned());
                memory
                    .once(client(1), "/r", key, b"", || async {
                        let n = runs.fetch_add(1, Ordering::SeqCst);
                        let _ = go.acquire().await;
                        reply(vec![n as u8])
                    })
                    .await
            })
        };
        let first = start();
        while runs.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let (second, third) = (start(), start());
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1, "they wait");
        first.abort();
        assert!(first.await.is_err());
        while runs.load(Ordering::SeqCst) == 1 {
            tokio::task::yield_now().await;
        }
        go.add_permits(1);
        assert_eq!(second.await.expect("joined"), reply(vec![1]));
        assert_eq!(third.await.expect("joined"), reply(vec![1]));
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn memory_is_bounded_in_number_bytes_and_time() {
        let memory = Arc::new(Memory::default());
        for n in 0..MAX_ENTRIES as u32 + 10 {
            let _ = ask(&memory, n, "k", b"", reply(vec![0])).await;
        }
        assert_eq!(memory.table().entries.len(), MAX_ENTRIES);
        assert_eq!(
            ask(&memory, 0, "k", b"", reply(vec![9])).await,
            reply(vec![9])
        );
        for n in 0..40 {
            let _ = ask(&memory, n, "large", b"", reply(vec![0; 1 << 20])).await;
        }
        assert!(memory.table().bytes <= MAX_BYTES);
        let mut table = memory.table();
        table.forget(Instant::now() + KEPT + Duration::from_secs(1));
        assert_eq!((table.entries.len(), table.bytes), (0, 0));
        assert!(table.finished.is_empty() && table.of.is_empty());
    }

    #[tokio::test]
    async fn one_client_pushes_out_its_own_answers_only() {
        let memory = Arc::new(Memory::default());
        let first = reply(vec![1]);
        assert_eq!(ask(&memory, 1, "k", b"", first.clone()).await, first);
        for n in 0..MAX_ENTRIES {
            let _ = ask(&memory, 2, &n.to_string(), b"", reply(vec![2])).await;
        }
        assert_eq!(memory.table().entries.len(), 1 + MAX_ENTRIES_OF_ONE);
        for n in 0..40 {
            let _ = ask(&memory, 3, &n.to_string(), b"", reply(vec![3; 1 << 20])).await;
        }
        assert!(memory.table().bytes <= MAX_BYTES_OF_ONE + 1 + MAX_ENTRIES_OF_ONE);
        // The other's is still the first one, and so is the newest of each.
        let other = reply(vec![9]);
        assert_eq!(ask(&memory, 1, "k", b"", other.clone()).await, first);
        let last = (MAX_ENTRIES - 1).to_string();
        let second = ask(&memory, 2, &last, b"", other.clone()).await;
        assert_eq!(second, reply(vec![2]));
        assert_eq!(ask(&memory, 2, "0", b"", other.clone()).await, other);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_not_remembered() {
        let memory = Arc::new(Memory::default());
        for problem in [Problem::malformed("body", "cut"), Problem::too_large(9)] {
            let key = problem.status().to_string();
            assert!(ask(&memory, 1, &key, b"a", Err(problem)).await.is_err());
            let answer = reply(vec![1]);
            assert_eq!(ask(&memory, 1, &key, b"b", answer.clone()).await, answer);
        }
    }
}
