//! Others' blocks: in parts from their proposer, or whole by sync.

use std::sync::atomic::Ordering;

use arc_malachitebft_app_channel::app::engine::host::SyncedValueOutcome;
use arc_malachitebft_app_channel::app::types::core::{Round, Validator as _, Validity};
use arc_malachitebft_app_channel::app::types::streaming::StreamMessage;
use arc_malachitebft_app_channel::app::types::{PeerId, ProposedValue};
use bytes::Bytes;
use zkbureau_circuits::encoding::Document;
use zkbureau_ledger::Executed;
use zkbureau_ledger::block::Block;

use super::execute::{Execution, execute};
use super::{App, blocking, proposed};
use crate::consensus::assembly::{Added, Whole};
use crate::consensus::context::{Address, Bureau, HeaderHash, Height, Part, PartHead};
use crate::consensus::error::ConsensusError;
use crate::consensus::limits;
use crate::consensus::meters::Fault;
use crate::consensus::payloads::Stored;
use crate::node::{Node, now};

/// A proposed block may be this far ahead of our clock. Blocks by sync are final: nobody asks when.
const MAX_AHEAD_MS: u64 = 10_000;

/// What a proposed block is worth.
enum Judgement {
    /// It holds.
    Valid(Box<Executed>),
    /// It breaks a rule, whoever proposes it.
    Invalid(String),
    /// The proposal says nothing about the block that it names, or not now. The round passes, and
    /// the block may still come from somebody else.
    Refused(Fault, String),
}

impl App {
    /// Takes a part. The answer is the block's worth, once, when it is complete.
    pub(super) async fn received_part(
        &mut self,
        publisher: PeerId,
        message: StreamMessage<Part>,
    ) -> Result<Option<ProposedValue<Bureau>>, ConsensusError> {
        let Some(part) = message.content.into_data() else {
            return Ok(None);
        };
        if part.head.height.0 == self.height.next() {
            // Its sender has decided our height already.
            self.early.add(publisher, part);
            return Ok(None);
        }
        self.add_part(part).await
    }

    pub(super) async fn add_part(
        &mut self,
        part: Part,
    ) -> Result<Option<ProposedValue<Bureau>>, ConsensusError> {
        let head = part.head;
        if head.height.0 != self.height
            || head.round > self.round.saturating_add(limits::MAX_ROUNDS_AHEAD)
        {
            return Ok(None);
        }
        let proposer = self.validators.proposer(head.height, head.round);
        let signed = proposer
            .filter(|v| *v.address() == head.proposer)
            .is_some_and(|v| self.verifier.part(&part, v.public_key()).is_ok());
        if !signed {
            self.fault(&head, Fault::BadPart, "not a part of its round's proposer");
            return Ok(None);
        }
        self.idle.see(self.height);
        // The block may be here from an earlier round.
        if let Some(known) = self.known(&head)? {
            self.keep_signatures(&part)?;
            return Ok(known);
        }
        match self.assembly.add(&part) {
            Added::Complete(whole) => self.complete(head, whole).await,
            Added::Incomplete => Ok(None),
            Added::TooMany => {
                self.fault(&head, Fault::TooManyBlocks, "more blocks than a round has");
                Ok(None)
            }
        }
    }

    /// The answer for a block that was judged before. `Some(None)` when it was also given before.
    fn known(
        &mut self,
        head: &PartHead,
    ) -> Result<Option<Option<ProposedValue<Bureau>>>, ConsensusError> {
        if self.proposals.contains_key(&(head.round, head.value)) {
            return Ok(Some(None));
        }
        let stored = stored(head);
        if self.invalid.contains(&head.value) {
            // Once per block and proposal is enough, and the first part is as good as any.
            let answer = proposed(head.height, &stored, Validity::Invalid);
            return Ok(Some((head.index == 0).then_some(answer)));
        }
        if head.valid_round.is_some() && self.proposals.keys().any(|(_, v)| *v == head.value) {
            // A block that is proposed again and again must not be forgotten with its first round.
            self.payloads.put_again(head.height.0, &stored)?;
            self.proposals.insert((head.round, head.value), stored);
            self.pace.block(head.round);
            return Ok(Some(Some(proposed(head.height, &stored, Validity::Valid))));
        }
        Ok(None)
    }

    /// Collects the signatures of the parts of a block that is here already.
    fn keep_signatures(&mut self, part: &Part) -> Result<(), ConsensusError> {
        let head = part.head;
        let at = (head.round, head.value);
        if !self.proposals.contains_key(&at) || self.signatures.contains_key(&at) {
            return Ok(());
        }
        let Added::Complete(whole) = self.assembly.add(part) else {
            return Ok(());
        };
        // A proposer may have signed other bytes than the block's.
        if self.payloads.block(self.height, &head.value)? == Some(whole.bytes) {
            self.signatures.insert(at, (head, whole.signatures));
        }
        Ok(())
    }

    async fn complete(
        &mut self,
        head: PartHead,
        whole: Whole,
    ) -> Result<Option<ProposedValue<Bureau>>, ConsensusError> {
        let Whole { bytes, signatures } = whole;
        let (node, meters) = (self.node.clone(), self.meters.clone());
        let (payloads, stored) = (self.payloads.clone(), stored(&head));
        let verified = self.verified.clone();
        let judgement = blocking(move || -> Result<_, ConsensusError> {
            let judgement = match judge(&node, &head, &bytes) {
                Ok(block) => match execute(&node, &meters, &verified, &block) {
                    Ok(executed) => Judgement::Valid(Box::new(executed)),
                    Err(Execution::Invalid(reason)) => Judgement::Invalid(reason),
                    Err(Execution::Failed(error)) => return Err(error.into()),
                },
                Err(judgement) => judgement,
            };
            if matches!(judgement, Judgement::Valid(_)) {
                meters
                    .keep
                    .time(|| payloads.put(head.height.0, &stored, &bytes))?;
            }
            Ok(judgement)
        })
        .await??;
        match judgement {
            Judgement::Valid(executed) => {
                self.remember(*executed);
                let at = (head.round, head.value);
                self.proposals.insert(at, stored);
                self.signatures.insert(at, (head, signatures));
                self.pace.block(head.round);
                Ok(Some(proposed(head.height, &stored, Validity::Valid)))
            }
            Judgement::Invalid(reason) => {
                self.fault(&head, Fault::InvalidBlock, &reason);
                self.remember_invalid(head.value);
                Ok(Some(proposed(head.height, &stored, Validity::Invalid)))
            }
            Judgement::Refused(fault, reason) => {
                self.fault(&head, fault, &reason);
                Ok(None)
            }
        }
    }

    fn fault(&self, head: &PartHead, fault: Fault, reason: &str) {
        if !self.meters.fault(head.proposer.0, fault) {
            return;
        }
        tracing::warn!(height = %head.height, round = head.round, proposer = %head.proposer,
            fault = fault.name(), reason, "a proposal is refused");
    }

    /// Takes a block that others decided long ago. Its certificate was verified by the engine.
    pub(super) async fn synced_value(
        &mut self,
        height: Height,
        round: Round,
        bytes: Bytes,
    ) -> Result<SyncedValueOutcome<Bureau>, ConsensusError> {
        if height.0 != self.height {
            return Ok(SyncedValueOutcome::LocalTransientError);
        }
        let Ok(block) = Block::from_bytes(&bytes) else {
            return Ok(SyncedValueOutcome::PeerFault);
        };
        let stored = Stored {
            round: round.as_u32().unwrap_or(0),
            valid_round: None,
            proposer: block.header.proposer,
            value: HeaderHash(block.header.hash()),
        };
        let (node, meters) = (self.node.clone(), self.meters.clone());
        let (payloads, verified) = (self.payloads.clone(), self.verified.clone());
        let executed = blocking(move || -> Result<_, ConsensusError> {
            let executed = match execute(&node, &meters, &verified, &block) {
                Ok(executed) => executed,
                Err(Execution::Invalid(reason)) => return Ok(Err(reason)),
                Err(Execution::Failed(error)) => return Err(error.into()),
            };
            meters
                .keep
                .time(|| payloads.put_synced(height.0, &stored, &bytes))?;
            Ok(Ok(executed))
        })
        .await??;
        let validity = match executed {
            Ok(executed) => {
                // Not among the proposals: it need not be the certified one, and is never proposed by us.
                self.remember(executed);
                self.meters.synced_blocks.fetch_add(1, Ordering::Relaxed);
                // Where one came from there may be more.
                self.idle.sync();
                Validity::Valid
            }
            Err(reason) => {
                // Either the bytes are not the certified block (the engine compares the hash and blames
                // the peer), or more than two thirds finalized what these rules refuse.
                tracing::error!(%height, value = %stored.value, %reason, "a block by sync is not valid");
                Validity::Invalid
            }
        };
        Ok(SyncedValueOutcome::Verdict(proposed(
            height, &stored, validity,
        )))
    }
}

fn stored(head: &PartHead) -> Stored {
    let Address(proposer) = head.proposer;
    Stored {
        round: head.round,
        valid_round: head.valid_round,
        proposer,
        value: head.value,
    }
}

/// Checks a proposal against its block, without executing it.
fn judge(node: &Node, head: &PartHead, bytes: &Bytes) -> Result<Block, Judgement> {
    let refused = |fault, reason: &str| Judgement::Refused(fault, reason.to_owned());
    let Ok(block) = Block::from_bytes(bytes) else {
        return Err(refused(Fault::OtherBlock, "its bytes are not a block"));
    };
    let header = &block.header;
    if header.hash() != head.value.0 || header.height != head.height.0 {
        return Err(refused(
            Fault::OtherBlock,
            "its bytes are not the block that it names",
        ));
    }
    if head.valid_round.is_none() && header.proposer != head.proposer.0 {
        return Err(refused(
            Fault::OtherBlock,
            "its block names another proposer",
        ));
    }
    let latest = now().0.max(node.ledger.tip().time_ms.0) + MAX_AHEAD_MS;
    if header.time_ms.0 > latest {
        return Err(refused(
            Fault::Future,
            "its block is too far ahead of our clock",
        ));
    }
    Ok(block)
}
