//! A dishonest validator: the others refuse what it sends, name it, and go on.
//!
//! Validator 4 runs like the others, but what it publishes goes through a twist that holds its key:
//! it proposes another block than its node made, or says two things at once.

use std::sync::Mutex;

use arc_malachitebft_app_channel::app::consensus::SignedConsensusMsg;
use arc_malachitebft_app_channel::app::streaming::StreamContent;
use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_app_channel::app::types::core::{NilOrVal, SignedMessage};
use zkbureau_agency_node::agency::{SubmitError, Submitter};
use zkbureau_agency_node::consensus::Codec;
use zkbureau_agency_node::consensus::context::{Address, HeaderHash, Part, PartHead, Vote};
use zkbureau_agency_node::consensus::limits::PART_BYTES;
use zkbureau_agency_node::consensus::meters::Fault;
use zkbureau_agency_node::consensus::signing::ChainSigner;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::block::transactions_root;
use zkbureau_ledger::transaction::PublishBatch;
use zkbureau_ledger::{Block, Day, Height, Transaction, TxError};

use crate::cluster::{Cluster, anchor};
use crate::hub::{Frame, PartMessage, Signed, Twist};

/// The dishonest one.
const VILLAIN: u32 = 4;

fn signer(cluster: &Cluster) -> ChainSigner {
    let key = cluster.validator_key(VILLAIN);
    let chain = cluster.genesis.chain_id();
    ChainSigner::new(chain, Address(AgencyId(VILLAIN)), key)
}

/// Proposes something else instead of every block: `forge` gives the bytes, and the value that they
/// are said to have.
fn other_block(
    signer: ChainSigner,
    mut forge: impl FnMut(Block) -> (Vec<u8>, HeaderHash) + Send + 'static,
) -> Twist {
    // A proposal waits here until its block has come by.
    let mut waiting: Vec<Signed> = Vec::new();
    let mut forged: Vec<(HeaderHash, HeaderHash)> = Vec::new();
    Box::new(move |frame| {
        let mut out = Vec::new();
        match frame {
            Frame::Part(part) => {
                let StreamContent::Data(data) = &part.content else {
                    return vec![(None, Frame::Part(part))];
                };
                // The blocks of these tests have one part.
                assert_eq!(data.head.count, 1);
                let block = Block::from_bytes(&data.bytes).unwrap();
                let (bytes, value) = forge(block);
                forged.push((data.head.value, value));
                let head = PartHead { value, ..data.head };
                let content = StreamContent::Data(signer.part(head, bytes.into()));
                let forged_part = PartMessage::new(part.stream_id, part.sequence, content);
                out.push((None, Frame::Part(forged_part)));
            }
            Frame::Signed(message @ SignedConsensusMsg::Proposal(_)) => waiting.push(message),
            other => out.push((None, other)),
        }
        waiting.retain(|message| {
            let SignedConsensusMsg::Proposal(proposal) = message else {
                return false;
            };
            let mut proposal = proposal.message;
            let Some((_, value)) = forged.iter().find(|(v, _)| *v == proposal.value) else {
                return true;
            };
            proposal.value = *value;
            let signature = signer.proposal(&proposal).unwrap();
            let message = SignedConsensusMsg::Proposal(SignedMessage::new(proposal, signature));
            out.push((None, Frame::Signed(message)));
            false
        });
        out
    })
}

/// Lets the villain play, and sees that the honest go on and blame it.
async fn honest_go_on(twist: impl FnOnce(&Cluster) -> Twist, fault: Option<Fault>) -> Cluster {
    let cluster = Cluster::new(4, 4);
    let twist = twist(&cluster);
    play(cluster, twist, fault).await
}

async fn play(mut cluster: Cluster, twist: Twist, fault: Option<Fault>) -> Cluster {
    cluster.hub.twist(VILLAIN, twist);
    for id in 1..=4 {
        if !cluster.running.contains_key(&id) {
            cluster.start_node(id).await;
        }
    }
    for _ in 0..8 {
        let hash = cluster.submit_new().await;
        cluster
            .until("a transaction is final at the honest nodes", |c| {
                (1..=3).all(|id| c.node(id).ledger.transaction(&hash).unwrap().is_some())
            })
            .await;
    }
    if let Some(fault) = fault {
        for id in 1..=3 {
            let faults = cluster.meters(id).faults();
            assert!(
                faults.contains_key(&(AgencyId(VILLAIN), fault)),
                "node {id}: {faults:?}"
            );
            assert!(
                faults.keys().all(|(agency, _)| agency.0 == VILLAIN),
                "node {id} blames the innocent: {faults:?}"
            );
        }
    }
    cluster.stop_node(VILLAIN).await;
    cluster.level().await;
    cluster.agree();
    // Its own node is none the worse for it.
    cluster.start_node(VILLAIN).await;
    let height = cluster.height(1).0;
    cluster
        .until("the villain's node follows", |c| {
            c.height(VILLAIN).0 >= height
        })
        .await;
    cluster.agree();
    cluster
}

fn resealed(block: Block) -> (Vec<u8>, HeaderHash) {
    let value = HeaderHash(block.header.hash());
    (block.to_bytes(), value)
}

/// A block with one more transaction, with a header that fits it but for the state.
fn with(mut block: Block, transaction: Transaction) -> (Vec<u8>, HeaderHash) {
    block.transactions.push(transaction);
    let hashes: Vec<_> = block.transactions.iter().map(Transaction::hash).collect();
    block.header.transactions_root = transactions_root(&hashes);
    resealed(block)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_state_root_is_refused() {
    let twist = |c: &Cluster| {
        other_block(signer(c), |mut block| {
            block.header.state_root[0] ^= 1;
            resealed(block)
        })
    };
    honest_go_on(twist, Some(Fault::InvalidBlock)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_break_a_rule_are_refused() {
    // One that no state makes valid.
    let twist = |c: &Cluster| {
        other_block(signer(c), |block| {
            let Transaction::AnchorConsent(mut expired) = anchor() else {
                unreachable!("an anchor");
            };
            expired.expiry = Day(1);
            with(block, Transaction::AnchorConsent(expired))
        })
    };
    honest_go_on(twist, Some(Fault::InvalidBlock)).await;
    // One twice.
    let twist = |c: &Cluster| {
        other_block(signer(c), |block| {
            let twice = block.transactions.first().cloned();
            with(block, twice.unwrap_or_else(anchor))
        })
    };
    honest_go_on(twist, Some(Fault::InvalidBlock)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_another_block_are_refused() {
    let twist = |c: &Cluster| {
        other_block(signer(c), |mut block| {
            let named = HeaderHash(block.header.hash());
            block.header.time_ms.0 += 1;
            (block.to_bytes(), named)
        })
    };
    honest_go_on(twist, Some(Fault::OtherBlock)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_from_the_future_is_refused() {
    let twist = |c: &Cluster| {
        other_block(signer(c), |mut block| {
            block.header.time_ms.0 += 60_000;
            resealed(block)
        })
    };
    honest_go_on(twist, Some(Fault::Future)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_part_does_not_arrive() {
    let twist = |c: &Cluster| -> Twist {
        let signer = signer(c);
        Box::new(move |frame| match frame {
            Frame::Part(PartMessage {
                stream_id,
                sequence,
                content: StreamContent::Data(part),
            }) => {
                let large = signer.part(part.head, vec![7; PART_BYTES + 1].into());
                let large = PartMessage::new(stream_id, sequence, StreamContent::Data(large));
                vec![(None, Frame::RawPart(Codec.encode(&large).unwrap().to_vec()))]
            }
            other => vec![(None, other)],
        })
    };
    let cluster = honest_go_on(twist, None).await;
    assert!(cluster.hub.refused.lock().unwrap()[&VILLAIN] > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_with_a_bad_signature_are_refused() {
    let twist = |_: &Cluster| -> Twist {
        Box::new(move |frame| match frame {
            Frame::Part(PartMessage {
                stream_id,
                sequence,
                content: StreamContent::Data(part),
            }) => {
                let mut signature = part.signature;
                signature.0[0] ^= 1;
                let part = Part { signature, ..part };
                let part = PartMessage::new(stream_id, sequence, StreamContent::Data(part));
                vec![(None, Frame::Part(part))]
            }
            other => vec![(None, other)],
        })
    };
    honest_go_on(twist, Some(Fault::BadPart)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_votes_of_one_round_are_noticed() {
    let twist = |c: &Cluster| -> Twist {
        let signer = signer(c);
        Box::new(move |frame| match frame {
            Frame::Signed(SignedConsensusMsg::Vote(signed)) => {
                let other = Vote {
                    value: NilOrVal::Val(HeaderHash([0xee; 32])),
                    ..signed.message
                };
                let signature = signer.vote(&other).unwrap();
                let other = SignedConsensusMsg::Vote(SignedMessage::new(other, signature));
                vec![
                    (None, Frame::Signed(other)),
                    (None, Frame::Signed(SignedConsensusMsg::Vote(signed))),
                ]
            }
            other => vec![(None, other)],
        })
    };
    let mut cluster = honest_go_on(twist, Some(Fault::DoubleVote)).await;
    // The proof is on the ledger: both votes, which anybody can verify.
    let hash = cluster.submit_new().await;
    cluster.finality(hash).await;
    let proof = |c: &Cluster, id| {
        let ledger = c.node(id).ledger.clone();
        (1..=c.height(id).0).find_map(|height| {
            let block = ledger.block(Height(height)).unwrap().unwrap();
            block.transactions.into_iter().find_map(|t| match t {
                Transaction::Evidence(evidence) => Some(evidence),
                _ => None,
            })
        })
    };
    cluster
        .until("evidence is final", |c| {
            (1..=3).all(|id| proof(c, id).is_some())
        })
        .await;
    let evidence = proof(&cluster, 1).unwrap();
    assert_eq!(evidence.agency, AgencyId(VILLAIN));
    assert_ne!(evidence.first.value, evidence.second.value);
    for vote in [&evidence.first, &evidence.second] {
        let verified = zkbureau_ledger::block::verify_vote(
            &cluster.genesis.chain_id(),
            evidence.kind,
            evidence.height,
            evidence.round,
            vote.value.as_ref(),
            AgencyId(VILLAIN),
            &cluster.validator_key(VILLAIN).public(),
            &vote.signature,
        );
        assert_eq!(verified, Ok(()));
    }
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_blocks_for_later_rounds_is_not_taken() {
    let twist = |c: &Cluster| -> Twist {
        let signer = signer(c);
        Box::new(move |frame| {
            let Frame::Part(part) = &frame else {
                return vec![(None, frame)];
            };
            let StreamContent::Data(data) = &part.content else {
                return vec![(None, frame)];
            };
            let block = Block::from_bytes(&data.bytes).unwrap();
            // Valid blocks: one for each of its next turns, and many for the next one.
            let turns = (1..=100).map(|n| data.head.round + 4 * n);
            let rounds = turns.chain([data.head.round + 4; 20]);
            let mut out: Vec<_> = (1..)
                .zip(rounds)
                .map(|(later, round)| {
                    let mut other = block.clone();
                    other.header.time_ms.0 += later;
                    let (bytes, value) = resealed(other);
                    let head = PartHead {
                        value,
                        round,
                        ..data.head
                    };
                    let content = StreamContent::Data(signer.part(head, bytes.into()));
                    let stream = part.stream_id.clone();
                    let part = PartMessage::new(stream, part.sequence, content);
                    (None, Frame::Part(part))
                })
                .collect();
            out.push((None, frame));
            out
        })
    };
    let cluster = honest_go_on(twist, Some(Fault::TooManyBlocks)).await;
    for id in 1..=3 {
        let (kept, blocks) = (cluster.meters(id).keep.count(), cluster.meters(id).blocks());
        println!("node {id} kept {kept} blocks for {blocks} heights");
        assert!(kept <= 6 * blocks, "node {id}: {kept} for {blocks} heights");
    }
}

/// Keeps what it is given instead of submitting it.
#[derive(Default)]
struct Capture(Mutex<Option<Transaction>>);

impl Submitter for Capture {
    fn submit(&self, transaction: Transaction) -> Result<Height, SubmitError> {
        *self.0.lock().unwrap() = Some(transaction);
        Err(SubmitError::Refused {
            reason: "captured".into(),
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_a_forged_range_argument_is_refused() {
    let mut cluster = Cluster::new(4, 4);
    cluster.start_node(VILLAIN).await;
    let capture = Capture::default();
    let (node, home) = (cluster.node(VILLAIN).clone(), cluster.home(VILLAIN));
    let refused =
        tokio::task::block_in_place(|| crate::imports::import(&node, VILLAIN, 20, &home, &capture));
    assert!(refused.is_err());
    let Some(Transaction::PublishBatch(batch)) = capture.0.lock().unwrap().take() else {
        panic!("a batch");
    };
    drop(node);
    let chain = cluster.genesis.chain_id();
    let key = cluster.validator_key(VILLAIN);
    let check = |batch: PublishBatch| {
        let node = cluster.node(VILLAIN);
        let checked = node.ledger.check_stateless(vec![batch.into()]).remove(0);
        checked.map(|_| ())
    };
    assert_eq!(check(batch.clone()), Ok(()));
    // The argument is of other commitments: somebody's balance is not what was proved.
    let mut body = batch.body.clone();
    let other = body.entries[1].stocks;
    body.entries[0].stocks = other;
    let forged = PublishBatch::sign(&chain, body, batch.argument, &key);
    assert!(matches!(
        check(forged.clone()),
        Err(TxError::RangeArgument { .. })
    ));
    let signer = signer(&cluster);
    let twist = other_block(signer, move |block| with(block, forged.clone().into()));
    play(cluster, twist, Some(Fault::InvalidBlock)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_proposals_of_one_round_are_noticed() {
    let twist = |c: &Cluster| -> Twist {
        let signer = signer(c);
        Box::new(move |frame| match frame {
            Frame::Signed(SignedConsensusMsg::Proposal(signed)) => {
                let mut other = signed.message;
                other.value = HeaderHash([0xee; 32]);
                let signature = signer.proposal(&other).unwrap();
                let other = SignedConsensusMsg::Proposal(SignedMessage::new(other, signature));
                vec![
                    (None, Frame::Signed(SignedConsensusMsg::Proposal(signed))),
                    (None, Frame::Signed(other)),
                ]
            }
            other => vec![(None, other)],
        })
    };
    honest_go_on(twist, Some(Fault::DoubleProposal)).await;
}
