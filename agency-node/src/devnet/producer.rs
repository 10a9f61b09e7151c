//! Makes blocks: one when there is something to put into it, and an empty one now and then so
//! that header time moves on. One validator signs here; several of them are a later matter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use zkbureau_agency_node::failpoint;
use zkbureau_ledger::block::{Certificate, sign_vote};
use zkbureau_ledger::ids::{Height, TimeMs};

use zkbureau_agency_node::node::{Node, now};

/// When blocks are made.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Transactions are collected for this long.
    pub delay: Duration,
    /// An empty block is made after this long without one.
    pub heartbeat: Duration,
}

/// Makes blocks until the node stops.
///
/// # Errors
/// When the ledger cannot be written. The node must then stop: what is on disk is still whole.
pub fn run(node: &Arc<Node>, pace: Pace) -> Result<()> {
    // A new chain gets its first block at once, so that there is a header to verify.
    let mut fresh = node.ledger.tip().height == Height::GENESIS;
    let mut last_block = Instant::now();
    // The youngest transaction when a round ended without progress: wait for a younger one.
    let mut stuck_at = None;
    loop {
        let due = if fresh {
            last_block
        } else {
            last_block + pace.heartbeat
        };
        let something = loop {
            let pool = node.pool();
            if node.is_stopping() {
                return Ok(());
            }
            if !pool.is_empty() && stuck_at != Some(pool.youngest()) {
                break true;
            }
            let mut wake = due;
            if !pool.is_empty() {
                // Those put aside are tried again, and given up in time.
                wake = wake.min(Instant::now() + Duration::from_secs(1));
            }
            drop(node.wait_change(pool, wake));
            if Instant::now() >= wake {
                break wake < due;
            }
        };
        if something {
            collect(node, pace.delay);
        }
        let progress = make_block(node, Instant::now() >= due)?;
        if progress {
            fresh = false;
            last_block = Instant::now();
            stuck_at = None;
        } else {
            stuck_at = Some(node.pool().youngest());
        }
    }
}

/// Lets transactions come in for a moment.
fn collect(node: &Node, delay: Duration) {
    let until = Instant::now() + delay;
    while Instant::now() < until && !node.is_stopping() {
        drop(node.wait_change(node.pool(), until));
    }
}

/// Makes one block. Says whether it did: a block without transactions is made only when `even_empty`.
fn make_block(node: &Arc<Node>, even_empty: bool) -> Result<bool> {
    let candidates = node.pool().candidates();
    let tip = node.ledger.tip();
    let time = TimeMs(now().0.max(tip.time_ms.0 + 1));
    let proposal = node
        .ledger
        .propose(node.proposer, time, candidates)
        .context("proposing a block")?;
    node.put_aside(&proposal.dropped, &proposal.deferred);
    let executed = proposal.executed;
    if executed.block().transactions.is_empty() && !even_empty {
        // Somebody may wait for a transaction that was refused.
        node.announce(tip.height);
        return Ok(false);
    }
    let certificate = certify(node, &executed.hash(), executed.header().height);
    let block = executed.block().clone();
    failpoint::hit("before-block-write");
    let start = Instant::now();
    let tip = node
        .ledger
        .commit(executed, certificate)
        .context("committing a block")?;
    failpoint::hit("after-block-write");
    let written = start.elapsed();
    node.committed(&block);
    tracing::debug!(
        height = tip.height.0,
        transactions = block.transactions.len(),
        deferred = proposal.deferred.len(),
        write_ms = written.as_millis() as u64,
        "block"
    );
    Ok(true)
}

/// The certificate of the one validator.
fn certify(node: &Node, hash: &[u8; 32], height: Height) -> Certificate {
    let keys = node.agencies[&node.proposer].keys();
    let chain = node.ledger.chain_id();
    let signature = sign_vote(chain, height, 0, hash, node.proposer, keys.validator());
    Certificate {
        height,
        round: 0,
        value: *hash,
        signatures: vec![(node.proposer, signature)],
    }
}

/// Runs the producer on its own thread. `on_end` is called when it ends, however it does.
pub fn spawn(
    node: Arc<Node>,
    pace: Pace,
    on_end: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<Result<()>>> {
    std::thread::Builder::new()
        .name("blocks".to_owned())
        .spawn(move || {
            /// Calls back even when the thread panics: a node without blocks must not linger.
            struct OnEnd<F: FnOnce()>(Option<F>);
            impl<F: FnOnce()> Drop for OnEnd<F> {
                fn drop(&mut self) {
                    if let Some(f) = self.0.take() {
                        f();
                    }
                }
            }
            let _on_end = OnEnd(Some(on_end));
            run(&node, pace)
        })
}
