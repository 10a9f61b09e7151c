//! Writing what was decided, and the evidence that came with it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arc_malachitebft_app_channel::app::types::MisbehaviorEvidence;
use arc_malachitebft_app_channel::app::types::core::{
    CommitCertificate, ExtendedCommitCertificate, ExtendedCommitSignature, Round, SignedVote,
    Validator as _, ValidatorSet as _,
};
use arc_malachitebft_app_channel::app::types::sync::RawDecidedValue;
use zkbureau_circuits::encoding::Document;
use zkbureau_ledger::LedgerError;
use zkbureau_ledger::block::{Certificate, VoteKind};
use zkbureau_ledger::ids;
use zkbureau_ledger::transaction::{Evidence, SignedVote as LedgerVote, Transaction};

use super::{App, blocking, validators};
use crate::consensus::context::{Address, Bureau, HeaderHash, Height};
use crate::consensus::error::ConsensusError;
use crate::consensus::limits;
use crate::consensus::meters::Fault;
use crate::consensus::signing;
use crate::failpoint;
use crate::node::Node;

/// Bytes of blocks in one answer to a node that is behind. The engine takes more, but every answer
/// under way is in memory.
const MAX_ANSWER_BYTES: usize = 4 << 20;

impl App {
    /// Makes a block final: block, certificate and state in one write.
    pub(super) async fn decided(
        &mut self,
        certificate: CommitCertificate<Bureau>,
    ) -> Result<(), ConsensusError> {
        let height = certificate.height.0;
        let value = certificate.value_id;
        if height < self.height {
            // Written before a crash; the engine replays its log.
            return Ok(());
        }
        if height > self.height || !self.ensure_executed(value).await? {
            return Err(ConsensusError::Missing { height, value });
        }
        let Some(at) = self.executed.iter().position(|(v, _)| *v == value) else {
            return Err(ConsensusError::Missing { height, value });
        };
        let (_, executed) = self.executed.swap_remove(at);
        let certificate = ledger_certificate(&certificate)?;
        let round = certificate.round;
        let (node, meters) = (self.node.clone(), self.meters.clone());
        let (payloads, empty) = (
            self.payloads.clone(),
            executed.block().transactions.is_empty(),
        );
        let count = executed.block().transactions.len();
        blocking(move || -> Result<(), ConsensusError> {
            let block = executed.block().clone();
            failpoint::hit("before-block-write");
            meters
                .write
                .time(|| node.ledger.commit(executed, certificate))?;
            failpoint::hit("after-block-write");
            meters.follow.time(|| node.committed(&block));
            payloads.prune(height)?;
            Ok(())
        })
        .await??;
        self.meters
            .transactions
            .fetch_add(count as u64, Ordering::Relaxed);
        if empty {
            self.meters.empty_blocks.fetch_add(1, Ordering::Relaxed);
        }
        self.meters.height.add(self.height_started.elapsed());
        self.meters.interval.add(self.last_block.elapsed());
        self.last_block = Instant::now();
        tracing::debug!(%height, round, transactions = count, "block");
        self.idle.decided(&self.node, empty);
        self.next_height();
        Ok(())
    }

    fn next_height(&mut self) {
        self.height = self.height.next();
        self.round = 0;
        let next = validators(&self.node);
        self.previous_validators = std::mem::replace(&mut self.validators, next);
        self.assembly.clear();
        self.proposals.clear();
        self.signatures.clear();
        self.executed.clear();
        self.invalid.clear();
        self.verified.clear();
        self.pace.decided();
    }

    /// Names whoever signed twice, and puts what the ledger knows as evidence into the queue.
    pub(super) fn report(&self, evidence: &MisbehaviorEvidence<Bureau>) {
        for (address, proposals) in evidence.proposals.iter() {
            self.meters.fault(address.0, Fault::DoubleProposal);
            tracing::warn!(agency = %address, count = proposals.len(), "signed two proposals of one round");
        }
        for (address, votes) in evidence.votes.iter() {
            self.meters.fault(address.0, Fault::DoubleVote);
            tracing::warn!(agency = %address, count = votes.len(), "signed two votes of one round");
            for (first, second) in votes {
                if let Some(evidence) = self.evidence(*address, first, second) {
                    submit(self.node.clone(), evidence);
                }
            }
        }
    }

    /// Two votes as the ledger takes them. The set of the height may have changed since, so the key is
    /// the one that verifies.
    fn evidence(
        &self,
        address: Address,
        first: &SignedVote<Bureau>,
        second: &SignedVote<Bureau>,
    ) -> Option<Evidence> {
        let vote = &first.message;
        let key = self
            .previous_validators
            .get_by_address(&address)
            .or_else(|| self.validators.get_by_address(&address))
            .map(|v| *v.public_key())?;
        self.verifier.vote(vote, &first.signature, &key).ok()?;
        let kind = signing::kind(vote);
        let ledger_vote = |signed: &SignedVote<Bureau>| LedgerVote {
            value: signing::value(&signed.message).copied(),
            signature: signed.signature,
        };
        let votes = [ledger_vote(first), ledger_vote(second)];
        Some(Evidence::new(
            address.0,
            key,
            kind,
            vote.height.0,
            vote.round.as_u32()?,
            votes,
        ))
    }
}

/// Hands a double vote in, as anybody would.
fn submit(node: Arc<Node>, evidence: Evidence) {
    let kind = match evidence.kind {
        VoteKind::Prevote => "prevote",
        VoteKind::Precommit => "precommit",
    };
    tokio::task::spawn_blocking(move || {
        let (agency, height) = (evidence.agency, evidence.height);
        match node.submit(Transaction::Evidence(evidence)) {
            Ok(_) => tracing::info!(%agency, %height, kind, "evidence of a double vote is queued"),
            // Others saw it, too, and were faster.
            Err(error) => tracing::info!(%agency, %height, kind, %error, "evidence is not queued"),
        }
    });
}

/// The engine's certificate as the light client verifies it: ascending by agency.
fn ledger_certificate(
    certificate: &CommitCertificate<Bureau>,
) -> Result<Certificate, ConsensusError> {
    let mut signatures: Vec<_> = certificate
        .commit_signatures
        .iter()
        .map(|s| (s.address.0, s.signature))
        .collect();
    signatures.sort_unstable();
    signatures.dedup_by_key(|(agency, _)| *agency);
    let round = certificate
        .round
        .as_u32()
        .ok_or(ConsensusError::NoRound(certificate.height.0))?;
    Ok(Certificate {
        height: certificate.height.0,
        round,
        value: certificate.value_id.0,
        signatures,
    })
}

/// Final blocks with their certificates, as many as fit into one answer.
pub(super) fn read_decided(
    node: &Node,
    first: ids::Height,
    last: ids::Height,
) -> Result<Vec<RawDecidedValue<Bureau>>, LedgerError> {
    let mut values = Vec::new();
    let mut bytes = 0;
    let mut height = first;
    while height <= last && values.len() < limits::MAX_SYNC_BATCH {
        let (Some(signed), Some(block)) = (
            node.ledger.signed_header(height)?,
            node.ledger.block(height)?,
        ) else {
            break;
        };
        let block = block.to_bytes();
        bytes += block.len() + limits::MAX_CERTIFICATE_BYTES;
        if bytes > MAX_ANSWER_BYTES && !values.is_empty() {
            break;
        }
        let certificate = signed.certificate;
        values.push(RawDecidedValue::new(
            block.into(),
            ExtendedCommitCertificate {
                height: Height(height),
                round: Round::new(certificate.round),
                value_id: HeaderHash(certificate.value),
                commit_signatures: certificate
                    .signatures
                    .into_iter()
                    .map(|(agency, signature)| {
                        ExtendedCommitSignature::new(Address(agency), signature, None)
                    })
                    .collect(),
            },
        ));
        height = height.next();
    }
    Ok(values)
}
