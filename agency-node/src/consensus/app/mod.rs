//! The application under the engine: it makes, checks, keeps and commits blocks.
//!
//! One task answers the engine's messages in their order. What takes long (executing, proposing,
//! the disk) runs on threads that may block; the engine's own tasks never wait for them except where
//! it asked for their result.
//!
//! - [`propose`]: a block of our own, and streaming it;
//! - [`receive`]: parts of others' blocks, and blocks that come by sync;
//! - [`execute`]: executing a block, each transaction checked once;
//! - [`decide`]: writing what was decided, and the evidence that came with it;
//! - [`idle`]: when the next height starts.
//!
//! # Correctness
//! - A block is called valid only after it was executed on the last block's state and gave its
//!   header's roots; that goes for blocks by sync, too.
//! - A block is on the disk before the engine hears of it ([`super::payloads`]).
//! - Only this task commits, so the last block moves in [`decide`] only.

mod decide;
mod execute;
mod idle;
mod propose;
mod receive;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arc_malachitebft_app_channel::app::engine::host::HeightParams;
use arc_malachitebft_app_channel::app::types::ProposedValue;
use arc_malachitebft_app_channel::app::types::core::{Round, Validity};
use arc_malachitebft_app_channel::app::types::sync::RawDecidedValue;
use arc_malachitebft_app_channel::{AppMsg, Channels, NetworkMsg};
use tokio::sync::mpsc;
use zkbureau_ledger::Executed;
use zkbureau_ledger::ids;
use zkbureau_ledger::keys::Signature;

use self::execute::{Execution, Verified, execute_bytes};
use self::idle::Idle;
use super::Timing;
use super::assembly::{Assembly, Early};
use super::context::{Address, Bureau, HeaderHash, Height, PartHead, ValidatorSet};
use super::error::ConsensusError;
use super::meters::Meters;
use super::pace::{Pace, Timeouts};
use super::payloads::{Payloads, Stored};
use super::signing::{ChainSigner, ChainVerifier};
use crate::node::Node;

/// Executed blocks of the present height that are kept so that deciding one costs no second
/// execution. Another one is executed again.
const MAX_EXECUTED: usize = 4;
/// Blocks of the present height that are remembered as invalid.
const MAX_INVALID: usize = 256;

/// The application.
pub(super) struct App {
    node: Arc<Node>,
    signer: Option<ChainSigner>,
    verifier: ChainVerifier,
    network: mpsc::Sender<NetworkMsg<Bureau>>,
    payloads: Payloads,
    meters: Arc<Meters>,
    timing: Timing,
    /// Nothing is signed until this height is decided.
    silent: Option<ids::Height>,
    /// The height that is being decided: the one after the last block.
    height: ids::Height,
    /// Its latest round that has started.
    round: u32,
    validators: ValidatorSet,
    /// Those of the last block.
    previous_validators: ValidatorSet,
    assembly: Assembly,
    early: Early,
    /// Valid blocks of this height, by round; all of them are on the disk.
    proposals: BTreeMap<(u32, HeaderHash), Stored>,
    /// The proposers' signatures of their parts, so that others' blocks can be sent again, too.
    signatures: BTreeMap<(u32, HeaderHash), Signed>,
    executed: Vec<(HeaderHash, Executed)>,
    invalid: BTreeSet<HeaderHash>,
    verified: Verified,
    height_started: Instant,
    last_block: Instant,
    pace: Pace,
    idle: Idle,
}

/// A block's first head and the signatures of all its parts.
type Signed = (PartHead, Vec<Signature>);

/// What the application is made of.
pub(super) struct Parts {
    pub(super) node: Arc<Node>,
    pub(super) signer: Option<ChainSigner>,
    pub(super) verifier: ChainVerifier,
    pub(super) network: mpsc::Sender<NetworkMsg<Bureau>>,
    pub(super) payloads: Payloads,
    pub(super) meters: Arc<Meters>,
    pub(super) timing: Timing,
    pub(super) silent: Option<ids::Height>,
}

impl App {
    pub(super) fn new(parts: Parts) -> Result<Self, ConsensusError> {
        let tip = parts.node.ledger.tip();
        parts.payloads.prune(tip.height)?;
        let mut app = Self {
            validators: validators(&parts.node),
            previous_validators: validators(&parts.node),
            node: parts.node,
            signer: parts.signer,
            verifier: parts.verifier,
            network: parts.network,
            payloads: parts.payloads,
            meters: parts.meters,
            timing: parts.timing,
            silent: parts.silent,
            height: tip.height.next(),
            round: 0,
            assembly: Assembly::default(),
            early: Early::default(),
            proposals: BTreeMap::new(),
            signatures: BTreeMap::new(),
            executed: Vec::new(),
            invalid: BTreeSet::new(),
            verified: Verified::default(),
            height_started: Instant::now(),
            last_block: Instant::now(),
            pace: Pace::default(),
            idle: Idle::default(),
        };
        app.load_proposals()?;
        Ok(app)
    }

    /// What a crash left of the present height.
    fn load_proposals(&mut self) -> Result<(), ConsensusError> {
        self.proposals = self
            .payloads
            .of_height(self.height)?
            .into_iter()
            .map(|stored| ((stored.round, stored.value), stored))
            .collect();
        Ok(())
    }

    /// Answers the engine until it stops or something fails for good.
    pub(super) async fn run(mut self, channels: Channels<Bureau>) -> Result<(), ConsensusError> {
        let Channels {
            mut consensus,
            events,
            // Held, so that the engine's side stays open.
            requests: _requests,
            net_requests: _net_requests,
            ..
        } = channels;
        let mut events = events.subscribe();
        loop {
            tokio::select! {
                message = consensus.recv() => match message {
                    Some(message) => self.answer(message).await?,
                    None => return Ok(()),
                },
                event = events.recv() => self.notice(event),
                () = self.idle.wake(&self.node) => {}
            }
            self.look_around().await?;
        }
    }

    async fn answer(&mut self, message: AppMsg<Bureau>) -> Result<(), ConsensusError> {
        // A reply that nobody waits for any more is no error: the engine has moved on.
        match message {
            AppMsg::ConsensusReady { reply } => {
                tracing::info!(height = %self.height, "consensus starts");
                let _ = reply.send(self.start_height());
            }
            AppMsg::StartedRound {
                height,
                round,
                proposer,
                reply_value,
                ..
            } => {
                let values = self.started_round(height, round, proposer).await?;
                let _ = reply_value.send(values);
            }
            AppMsg::GetValue {
                height,
                round,
                reply,
                ..
            } => self.get_value(height, round, reply).await?,
            // Extensions are disabled for every height.
            AppMsg::ExtendVote { reply, .. } => {
                let _ = reply.send(None);
            }
            AppMsg::VerifyVoteExtensions {
                extensions, reply, ..
            } => {
                let none = |(address, ())| (address, Err(propose::no_extensions()));
                let _ = reply.send(extensions.into_iter().map(none).collect());
            }
            AppMsg::RestreamProposal {
                height,
                round,
                valid_round,
                address,
                value_id,
            } => {
                self.restream(height, round, valid_round, address, value_id)
                    .await?;
            }
            AppMsg::GetHistoryMinHeight { reply } => {
                let _ = reply.send(self.history_min()?);
            }
            AppMsg::ReceivedProposalPart {
                from,
                published_by,
                part,
                reply,
            } => {
                let value = self
                    .received_part(published_by.unwrap_or(from), part)
                    .await?;
                let _ = reply.send(value);
            }
            AppMsg::Decided {
                certificate, reply, ..
            } => {
                self.decided(certificate).await?;
                if self.silent.is_some_and(|until| self.height > until) {
                    return Err(ConsensusError::MaySign);
                }
                let _ = reply.send(());
            }
            AppMsg::Finalized {
                evidence, reply, ..
            } => {
                self.report(&evidence);
                self.idle.wait(reply);
            }
            AppMsg::GetDecidedValues { range, reply } => {
                let _ = reply.send(self.decided_values(range).await?);
            }
            AppMsg::ProcessSyncedValue {
                height,
                round,
                value_bytes,
                reply,
                ..
            } => {
                let outcome = self.synced_value(height, round, value_bytes).await?;
                let _ = reply.send(outcome);
            }
        }
        Ok(())
    }

    /// The present height with its validators and timeouts.
    fn start_height(&mut self) -> (Height, HeightParams<Bureau>) {
        self.height_started = Instant::now();
        self.idle.started();
        let params = HeightParams::new(self.validators.clone(), self.timeouts(), None);
        (Height(self.height), params)
    }

    /// A dead proposer costs the time to propose, and a little for late votes.
    fn timeouts(&self) -> Timeouts {
        Timeouts {
            propose: self.pace.propose(self.timing.propose),
            votes: self.timing.votes,
            rebroadcast: self.timing.rebroadcast,
        }
    }

    async fn started_round(
        &mut self,
        height: Height,
        round: Round,
        proposer: Address,
    ) -> Result<Vec<ProposedValue<Bureau>>, ConsensusError> {
        let round = round.as_u32().unwrap_or(0);
        self.meters.rounds.fetch_add(1, Ordering::Relaxed);
        if round > 0 {
            self.meters.failed_rounds.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%height, round, %proposer, "another round");
        }
        if height.0 != self.height {
            return Ok(Vec::new());
        }
        self.round = round;
        self.pace.round(round);
        for part in self.early.take() {
            self.add_part(part).await?;
        }
        let values: Vec<HeaderHash> = self
            .proposals
            .range((round, HeaderHash([0; 32]))..)
            .take_while(|((r, _), _)| *r == round)
            .map(|((_, value), _)| *value)
            .collect();
        let mut out = Vec::new();
        for value in values {
            // After a crash it was not executed by this process.
            if self.ensure_executed(value).await?
                && let Some(stored) = self.proposals.get(&(round, value))
            {
                out.push(proposed(height, stored, Validity::Valid));
            }
        }
        Ok(out)
    }

    /// Executes a block that is on the disk, if that was not done yet. Says whether it is valid.
    async fn ensure_executed(&mut self, value: HeaderHash) -> Result<bool, ConsensusError> {
        if self.executed.iter().any(|(v, _)| *v == value) {
            return Ok(true);
        }
        let Some(bytes) = self.payloads.block(self.height, &value)? else {
            return Ok(false);
        };
        let (node, meters) = (self.node.clone(), self.meters.clone());
        let verified = self.verified.clone();
        let executed = blocking(move || execute_bytes(&node, &meters, &verified, &bytes)).await?;
        match executed {
            Ok(executed) if executed.hash() == value.0 => {
                self.remember(executed);
                Ok(true)
            }
            Ok(_) => {
                tracing::error!(%value, "a block on the disk is another one");
                Ok(false)
            }
            Err(Execution::Invalid(reason)) => {
                tracing::error!(%value, %reason, "a block on the disk is not valid");
                Ok(false)
            }
            Err(Execution::Failed(error)) => Err(error.into()),
        }
    }

    fn remember(&mut self, executed: Executed) {
        let value = HeaderHash(executed.hash());
        self.executed.retain(|(v, _)| *v != value);
        if self.executed.len() == MAX_EXECUTED {
            self.executed.remove(0);
        }
        self.executed.push((value, executed));
    }

    fn remember_invalid(&mut self, value: HeaderHash) {
        if self.invalid.len() < MAX_INVALID {
            self.invalid.insert(value);
        }
    }

    /// Blocks and certificates that another node asks for: as many as fit into an answer.
    async fn decided_values(
        &self,
        range: std::ops::RangeInclusive<Height>,
    ) -> Result<Vec<RawDecidedValue<Bureau>>, ConsensusError> {
        let first = range.start().0.max(self.history_min()?.0);
        let last = range.end().0.min(self.node.ledger.tip().height);
        if first != range.start().0 || first > last {
            return Ok(Vec::new());
        }
        let node = self.node.clone();
        let values = blocking(move || decide::read_decided(&node, first, last)).await??;
        self.meters
            .served_blocks
            .fetch_add(values.len() as u64, Ordering::Relaxed);
        Ok(values)
    }

    /// The oldest block that this node can give to others.
    fn history_min(&self) -> Result<Height, ConsensusError> {
        Ok(Height(self.node.ledger.history_min_height()?))
    }
}

/// Runs something that takes long on a thread that may block.
async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ConsensusError> {
    tokio::task::spawn_blocking(run)
        .await
        .map_err(|_| ConsensusError::Panicked)
}

/// The validators of the next height.
fn validators(node: &Node) -> ValidatorSet {
    ValidatorSet::from(&node.ledger.consortium().validator_set())
}

fn proposed(height: Height, stored: &Stored, validity: Validity) -> ProposedValue<Bureau> {
    ProposedValue {
        height,
        round: Round::new(stored.round),
        valid_round: stored.valid_round.map_or(Round::Nil, Round::new),
        proposer: Address(stored.proposer),
        value: stored.value,
        validity,
    }
}
