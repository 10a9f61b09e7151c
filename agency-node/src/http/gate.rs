//! How much blocking work is done at once, and how much may wait for its turn.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::problem::Problem;

/// A bounded number of workers with a bounded queue.
pub struct Gate {
    what: &'static str,
    workers: Arc<Semaphore>,
    places: Arc<Semaphore>,
    limit: u64,
}

impl Gate {
    /// At most `workers` at once, at most `places` of them and of those who wait.
    pub fn new(what: &'static str, workers: usize, places: usize) -> Self {
        Self {
            what,
            workers: Arc::new(Semaphore::new(workers)),
            places: Arc::new(Semaphore::new(places)),
            limit: places as u64,
        }
    }

    /// Runs `work` on a thread that may block. Refuses at once when the queue is full.
    pub async fn run<T, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Problem> + Send + 'static,
    {
        let busy = || {
            Problem::busy(format!("too many requests are waiting ({})", self.what))
                .field(self.what)
                .limit(self.limit)
        };
        let place = self
            .places
            .clone()
            .try_acquire_owned()
            .map_err(|_| busy())?;
        let worker = self
            .workers
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| busy())?;
        let task = tokio::task::spawn_blocking(move || {
            // Held by the work itself: a client that hangs up does not free the core.
            let _held = (place, worker);
            work()
        });
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, work = self.what, "a task failed");
            Err(Problem::internal())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_panic_is_an_internal_error() {
        let gate = Arc::new(Gate::new("testing", 1, 2));
        let (release, wait) = mpsc::channel::<()>();
        let first = tokio::spawn({
            let gate = gate.clone();
            async move {
                gate.run(move || {
                    // Ends when the sender is dropped.
                    let _ = wait.recv();
                    Ok(1)
                })
                .await
            }
        });
        let second = tokio::spawn({
            let gate = gate.clone();
            async move { gate.run(|| Ok(2)).await }
        });
        while gate.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let third = gate.run(|| Ok(3)).await.expect_err("no place");
        let busy = Problem::busy("too many requests are waiting (testing)");
        assert_eq!(third, busy.field("testing").limit(2));
        drop(release);
        assert_eq!(first.await.expect("joined"), Ok(1));
        assert_eq!(second.await.expect("joined"), Ok(2));
        let failed = gate.run(|| -> Result<(), _> { panic!("on purpose") }).await;
        assert_eq!(failed.expect_err("panicked").status(), 500);
        assert_eq!(gate.run(|| Ok(4)).await, Ok(4), "its place is free again");
    }
}
