//! When the next height starts.
//!
//! Once a height has started, rounds follow one another until it is decided, so an idle
//! consortium must not start one. The engine waits for our answer to a decided height, and that
//! answer is given when there is something to do: transactions wait here, a validator has started
//! without us (it signed a vote or a part for this height), the last blocks came by sync, others say that
//! they have more blocks, or an empty block is due so that header time moves on. Transactions are sent to everybody, so everybody
//! starts at about the same time. A validator that alone has a transaction starts alone; its vote wakes
//! the others, and in the end it is its turn to propose.
//!
//! What waits may be impossible for now (a batch without its predecessor). After an empty block with
//! a queue that is not empty, only a new arrival counts, or some patience; then the queue is tidied.

use std::time::{Duration, Instant};

use arc_malachitebft_app_channel::Reply;
use arc_malachitebft_app_channel::app::consensus::SignedConsensusMsg;
use arc_malachitebft_app_channel::app::engine::host::Next;
use arc_malachitebft_app_channel::app::engine::util::events::Event;
use arc_malachitebft_app_channel::app::types::core::{Validator as _, ValidatorSet as _};
use tokio::sync::broadcast::error::RecvError;
use zkbureau_ledger::block::MAX_BLOCK_BYTES;
use zkbureau_ledger::ids::Height;

use super::propose::propose;
use super::{App, blocking};
use crate::consensus::context::Bureau;
use crate::consensus::error::ConsensusError;
use crate::network::PeerName;
use crate::node::Node;

/// How often a queue that makes no progress is tidied.
const TIDY: Duration = Duration::from_secs(2);
/// How often an idle node looks whether others have more blocks. They need not say the truth, so this
/// bounds the empty blocks that a liar can cause.
const LOOK: Duration = Duration::from_secs(5);

/// What the application waits for.
#[derive(Default)]
pub(super) struct Idle {
    reply: Option<Reply<Next<Bureau>>>,
    /// The greatest height that a validator was seen working at since the present one started.
    seen: Option<Height>,
    /// The last block came by sync.
    synced: bool,
    /// Since when the queue has something.
    waiting: Option<Instant>,
    /// What waits has waited during the whole last height.
    collected: bool,
    /// The youngest transaction when a block was empty although something waited.
    stuck: Option<(u64, Instant)>,
    /// When it was last looked whether others have more blocks.
    looked: Option<Instant>,
    /// When to look again though nothing arrives; now, when that is not known.
    next: Option<Instant>,
}

impl Idle {
    /// The engine waits for the next height.
    pub(super) fn wait(&mut self, reply: Reply<Next<Bureau>>) {
        self.reply = Some(reply);
    }

    /// A height has started. Every message of a validator counts once only, so nobody makes empty
    /// blocks for ever with one signature.
    pub(super) fn started(&mut self) {
        self.seen = None;
        self.synced = false;
        self.waiting = None;
        self.collected = false;
    }

    /// A validator works at a height.
    pub(super) fn see(&mut self, height: Height) {
        self.seen = self.seen.max(Some(height));
    }

    /// A block came by sync.
    pub(super) fn sync(&mut self) {
        self.synced = true;
    }

    /// A block is final.
    pub(super) fn decided(&mut self, node: &Node, empty: bool) {
        let pool = node.pool();
        self.collected = !pool.is_empty();
        self.stuck = (empty && !pool.is_empty()).then(|| (pool.youngest(), Instant::now()));
    }

    /// Returns when there may be something to do: something has arrived, or the time has come. Never while
    /// the engine does not wait.
    pub(super) async fn wake(&self, node: &Node) {
        if self.reply.is_none() {
            return std::future::pending().await;
        }
        let Some(next) = self.next else { return };
        tokio::select! {
            () = node.arrival() => {}
            () = tokio::time::sleep_until(next.into()) => {}
        }
    }
}

impl App {
    /// Looks at a message that the engine received: a validator that works at a later height than ours is
    /// a reason to start.
    pub(super) fn notice(&mut self, event: Result<Event<Bureau>, RecvError>) {
        let Ok(Event::Received(message)) = event else {
            return;
        };
        let height = message.height().0;
        if height < self.height || self.idle.seen >= Some(height) {
            return;
        }
        let signed = match &message {
            SignedConsensusMsg::Vote(vote) => self
                .validators
                .get_by_address(&vote.message.voter)
                .is_some_and(|v| {
                    let verified =
                        self.verifier
                            .vote(&vote.message, &vote.signature, v.public_key());
                    verified.is_ok()
                }),
            SignedConsensusMsg::Proposal(proposal) => self
                .validators
                .get_by_address(&proposal.message.proposer)
                .is_some_and(|v| {
                    let (message, signature) = (&proposal.message, &proposal.signature);
                    let verified = self.verifier.proposal(message, signature, v.public_key());
                    verified.is_ok()
                }),
        };
        if signed {
            self.idle.see(height);
        }
    }

    /// Starts the next height if the engine waits for it and there is something to do.
    pub(super) async fn look_around(&mut self) -> Result<(), ConsensusError> {
        if self.idle.reply.is_none() {
            return Ok(());
        }
        self.idle.next = None;
        if self.has_work() {
            if let Some(reply) = self.idle.reply.take() {
                let (height, params) = self.start_height();
                let _ = reply.send(Next::Start(height, params));
            }
            return Ok(());
        }
        if let Some((_, since)) = self.idle.stuck
            && since.elapsed() >= TIDY
        {
            self.tidy().await?;
        }
        self.idle.next = Some(self.next_look());
        Ok(())
    }

    /// When there is something to do at the latest, or may be, if nothing arrives and nobody calls.
    fn next_look(&self) -> Instant {
        let idle = &self.idle;
        let looked = idle.looked.unwrap_or_else(Instant::now);
        let next = (self.last_block + self.timing.heartbeat).min(looked + LOOK);
        let pool = self.node.pool();
        if pool.is_empty() {
            return next;
        }
        let work = match (idle.stuck, idle.waiting) {
            (Some((youngest, since)), _) if youngest == pool.youngest() => since + TIDY,
            (_, Some(waiting)) if !idle.collected => {
                (waiting + self.timing.collect).max(self.last_block + self.timing.interval)
            }
            _ => self.last_block + self.timing.interval,
        };
        next.min(work)
    }

    /// Whether another agency says that it has more blocks.
    fn is_behind(&mut self) -> bool {
        if self.idle.looked.is_some_and(|at| at.elapsed() < LOOK) {
            return false;
        }
        self.idle.looked = Some(Instant::now());
        let ours = self.height;
        self.node.network().is_some_and(|network| {
            let mut peers = network.peers().into_iter();
            peers.any(|peer| {
                let agency = matches!(peer.name, PeerName::Agency(_));
                agency && peer.connected && peer.height >= Some(ours.0)
            })
        })
    }

    fn has_work(&mut self) -> bool {
        if self.is_behind() {
            return true;
        }
        let idle = &mut self.idle;
        let since = self.last_block.elapsed();
        // A new chain gets its first block at once, so that there is a header to verify.
        let first = self.height == Height::GENESIS.next();
        if first || idle.synced || idle.seen >= Some(self.height) || since >= self.timing.heartbeat
        {
            return true;
        }
        let pool = self.node.pool();
        if pool.is_empty() {
            idle.waiting = None;
            idle.stuck = None;
            return false;
        }
        if idle
            .stuck
            .is_some_and(|(youngest, _)| youngest == pool.youngest())
        {
            return false;
        }
        drop(pool);
        let collected = idle.collected
            || idle.waiting.get_or_insert_with(Instant::now).elapsed() >= self.timing.collect;
        collected && since >= self.timing.interval
    }

    /// Drops what waits in vain, and notices when something has become possible.
    async fn tidy(&mut self) -> Result<(), ConsensusError> {
        let node = self.node.clone();
        let possible = blocking(move || {
            propose(&node, node.proposer, MAX_BLOCK_BYTES).map(|executed| {
                node.announce(node.ledger.tip().height);
                !executed.block().transactions.is_empty()
            })
        })
        .await??;
        let youngest = self.node.pool().youngest();
        self.idle.stuck = (!possible).then(|| (youngest, Instant::now()));
        Ok(())
    }
}
