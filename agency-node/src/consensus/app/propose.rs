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
use zkbureau_ledger::keys::Signature;
use zkbureau_ledger::{Executed, LedgerError};

use super::execute::encode;
use super::{App, blocking};
use crate::consensus::context::{Address, Bureau, HeaderHash, Height, Part, PartHead};
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
            meters.tree.add(executed.tree_time());
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

    /// Streams a block again: one of an earlier round that we propose again, or another proposer's, which
    /// everybody must have because votes were locked on it.
    pub(super) async fn restream(
        &mut self,
        height: Height,
        round: Round,
        valid_round: Round,
        proposer: Address,
        value: HeaderHash,
    ) -> Result<(), ConsensusError> {
        let (Some(round), Some(signer)) = (round.as_u32(), self.signer.clone()) else {
            return Ok(());
        };
        let Some(bytes) = self.payloads.block(height.0, &value)? else {
            tracing::warn!(%height, %value, "the block to send again is not here");
            return Ok(());
        };
        if proposer == signer.address() {
            return self
                .stream(signer, height, round, valid_round.as_u32(), value, bytes)
                .await;
        }
        let Some((head, signatures)) = self.signatures.get(&(round, value)) else {
            // After a restart. Others have them, too.
            tracing::debug!(%height, %value, "the proposer's signatures are not here any more");
            return Ok(());
        };
        let parts = signed_parts(*head, signatures, &bytes);
        self.send(height, round, parts).await
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
        self.send(height, round, parts).await
    }

    async fn send(
        &self,
        height: Height,
        round: u32,
        parts: Vec<Part>,
    ) -> Result<(), ConsensusError> {
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
    pieces(head, block)
        .map(|(head, bytes)| signer.part(head, bytes))
        .collect()
}

/// The parts of another proposer's block, as it signed them.
fn signed_parts(head: PartHead, signatures: &[Signature], block: &Bytes) -> Vec<Part> {
    pieces(head, block)
        .zip(signatures)
        .map(|((head, bytes), signature)| Part {
            head,
            bytes,
            signature: *signature,
        })
        .collect()
}

/// A block's pieces with their heads.
fn pieces(head: PartHead, block: &Bytes) -> impl Iterator<Item = (PartHead, Bytes)> {
    // A block has at most MAX_PARTS of them.
    let count = u16::try_from(block.len().div_ceil(PART_BYTES)).unwrap_or(u16::MAX);
    (0..count).map(move |index| {
        let from = usize::from(index) * PART_BYTES;
        let to = (from + PART_BYTES).min(block.len());
        let head = PartHead {
            index,
            count,
            ..head
        };
        (head, block.slice(from..to))
    })
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use zkbureau_ledger::ids::{self, ChainId};
    use zkbureau_ledger::keys::SecretKey;

    use super::*;
    use crate::consensus::assembly::{Added, Assembly};
    use crate::consensus::signing::ChainVerifier;

    #[test]
    fn whoever_has_a_whole_block_can_send_its_proposers_parts_again() {
        let chain = ChainId([7; 32]);
        let key = Arc::new(SecretKey::from_seed(&[1; 32]));
        let signer = ChainSigner::new(chain, Address(AgencyId(1)), key.clone());
        let head = PartHead {
            height: Height(ids::Height(3)),
            round: 11,
            valid_round: Some(2),
            proposer: signer.address(),
            value: HeaderHash([5; 32]),
            index: 0,
            count: 0,
        };
        let block = Bytes::from(vec![9; 2 * PART_BYTES + 17]);
        let parts = cut(&signer, head, &block);
        let mut assembly = Assembly::default();
        let mut whole = None;
        let mut last = head;
        for part in [2, 0, 1].map(|i| &parts[i]) {
            last = part.head;
            if let Added::Complete(complete) = assembly.add(part) {
                whole = Some(complete);
            }
        }
        let whole = whole.expect("complete");
        let again = signed_parts(last, &whole.signatures, &whole.bytes);
        assert_eq!(again, parts);
        let verifier = ChainVerifier::new(chain);
        for part in &again {
            assert_eq!(verifier.part(part, &key.public()), Ok(()));
        }
    }
}
