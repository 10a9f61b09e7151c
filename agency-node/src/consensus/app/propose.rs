//! A block of our own, and streaming it.

use arc_malachitebft_app_channel::app::consensus::VoteExtensionError;
use arc_malachitebft_app_channel::app::streaming::StreamContent;
use arc_malachitebft_app_channel::app::types::LocallyProposedValue;
use arc_malachitebft_app_channel::app::types::core::Round;
use arc_malachitebft_app_channel::app::types::streaming::{StreamId, StreamMessage};
use arc_malachitebft_app_channel::{NetworkMsg, Reply};
use bytes::Bytes;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::ids::TimeMs;
use zkbureau_ledger::{Executed, LedgerError};

use super::execute::encode;
use super::{App, blocking};
use crate::consensus::context::{Bureau, HeaderHash, Height, Part, PartHead};
use crate::consensus::error::ConsensusError;
use crate::consensus::limits::PART_BYTES;
use crate::consensus::pace::within;
use crate::consensus::payloads::Stored;
use crate::consensus::signing::ChainSigner;
use crate::node::{Node, now};

/// What is answered about a vote's extension, should one ever come here.
pub(super) fn no_extensions() -> VoteExtensionError {
    VoteExtensionError::InvalidVoteExtension
}

impl App {
    /// Answers with the block to propose in a round: after a crash the one that was proposed
    /// before it. Without an answer the round passes.
    pub(super) async fn get_value(
        &mut self,
        height: Height,
        round: Round,
        reply: Reply<LocallyProposedValue<Bureau>>,
    ) -> Result<(), ConsensusError> {
        let (Some(round), Some(signer)) = (round.as_u32(), self.signer.clone()) else {
            return Ok(());
        };
        if height.0 != self.height {
            tracing::warn!(%height, "asked to propose for another height");
            return Ok(());
        }
        let ours = signer.address().0;
        let before = self
            .proposals
            .values()
            .find(|s| s.round == round && s.proposer == ours && s.valid_round.is_none())
            .copied();
        let (value, bytes) = match before {
            Some(stored) if self.ensure_executed(stored.value).await? => {
                let Some(bytes) = self.payloads.block(self.height, &stored.value)? else {
                    return Ok(());
                };
                tracing::info!(%height, round, "proposing the block from before the restart");
                (stored.value, bytes)
            }
            _ => {
                let Some(made) = self.make_block(round, ours).await? else {
                    return Ok(());
                };
                made
            }
        };
        self.pace.block(round);
        let _ = reply.send(LocallyProposedValue::new(height, Round::new(round), value));
        self.stream(signer, height, round, None, value, bytes).await
    }

    /// Makes, executes and keeps a block.
    async fn make_block(
        &mut self,
        round: u32,
        ours: AgencyId,
    ) -> Result<Option<(HeaderHash, Bytes)>, ConsensusError> {
        let (node, meters) = (self.node.clone(), self.meters.clone());
        let (payloads, height) = (self.payloads.clone(), self.height);
        let budget = self.pace.budget();
        let made = blocking(move || -> Result<_, ConsensusError> {
            let executed = meters.propose.time(|| propose(&node, ours, budget))?;
            let Some(bytes) = encode(executed.block()) else {
                tracing::error!(%height, "the block that was made is too large to be sent");
                return Ok(None);
            };
            let stored = Stored {
                round,
                valid_round: None,
                proposer: ours,
                value: HeaderHash(executed.hash()),
            };
            meters.keep.time(|| payloads.put(height, &stored, &bytes))?;
            Ok(Some((executed, stored, bytes)))
        })
        .await??;
        Ok(made.map(|(executed, stored, bytes)| {
            self.remember(executed);
            self.proposals.insert((round, stored.value), stored);
            (stored.value, bytes)
        }))
    }

    /// Streams a block of an earlier round again, because it is proposed again.
    pub(super) async fn restream(
        &mut self,
        height: Height,
        round: Round,
        valid_round: Round,
        value: HeaderHash,
    ) -> Result<(), ConsensusError> {
        let (Some(round), Some(signer)) = (round.as_u32(), self.signer.clone()) else {
            return Ok(());
        };
        let Some(bytes) = self.payloads.block(height.0, &value)? else {
            tracing::warn!(%height, %value, "the block to send again is not here");
            return Ok(());
        };
        self.stream(signer, height, round, valid_round.as_u32(), value, bytes)
            .await
    }

    async fn stream(
        &mut self,
        signer: ChainSigner,
        height: Height,
        round: u32,
        valid_round: Option<u32>,
        value: HeaderHash,
        bytes: Bytes,
    ) -> Result<(), ConsensusError> {
        let head = PartHead {
            height,
            round,
            valid_round,
            proposer: signer.address(),
            value,
            index: 0,
            count: 0,
        };
        let parts = blocking(move || cut(&signer, head, &bytes)).await?;
        let mut stream = height.0.0.to_le_bytes().to_vec();
        stream.extend(round.to_le_bytes());
        let stream = StreamId::new(stream.into());
        for (sequence, part) in (0u64..).zip(parts) {
            let message = StreamMessage::new(stream.clone(), sequence, StreamContent::Data(part));
            let sent = self
                .network
                .send(NetworkMsg::PublishProposalPart(message))
                .await;
            if sent.is_err() {
                return Err(ConsensusError::NetworkStopped);
            }
        }
        Ok(())
    }
}

/// Cuts a block into signed parts.
pub(crate) fn cut(signer: &ChainSigner, head: PartHead, block: &Bytes) -> Vec<Part> {
    // A block has at most MAX_PARTS of them.
    let count = u16::try_from(block.len().div_ceil(PART_BYTES)).unwrap_or(u16::MAX);
    (0..count)
        .map(|index| {
            let from = usize::from(index) * PART_BYTES;
            let to = (from + PART_BYTES).min(block.len());
            let head = PartHead {
                index,
                count,
                ..head
            };
            signer.part(head, block.slice(from..to))
        })
        .collect()
}

/// Makes the next block from what waits, with batches of at most `budget` bytes.
pub(super) fn propose(node: &Node, ours: AgencyId, budget: usize) -> Result<Executed, LedgerError> {
    let candidates = within(budget, node.pool().candidates());
    let last = node.ledger.tip().time_ms;
    let time = TimeMs(now().0.max(last.0 + 1));
    let proposal = node.ledger.propose(ours, time, candidates)?;
    node.put_aside(&proposal.dropped, &proposal.deferred);
    Ok(proposal.executed)
}
