use std::fmt::Debug;

use arc_malachitebft_app_channel::app::streaming::StreamContent;
use arc_malachitebft_app_channel::app::types::PeerId;
use arc_malachitebft_app_channel::app::types::core::{
    ExtendedCommitCertificate, ExtendedCommitSignature, NilOrVal, PolkaSignature, Round,
    RoundCertificateType, RoundSignature, SignedMessage, Validity, VoteType,
};
use arc_malachitebft_app_channel::app::types::streaming::StreamId;
use arc_malachitebft_app_channel::app::types::sync::RawDecidedValue;
use arc_malachitebft_sync::{ValueRequest, ValueResponse};
use zkbureau_ledger::genesis::MAX_AGENCIES;
use zkbureau_ledger::ids::{self, AgencyId};
use zkbureau_ledger::keys::Signature;

use super::*;
use crate::consensus::context::{Address, HeaderHash, Height, PartHead, Proposal, Vote};
use crate::consensus::limits;

const HEIGHT: Height = Height(ids::Height(0x0102_0304_0506_0708));
const VALUE: HeaderHash = HeaderHash([0xab; 32]);

fn address(n: u32) -> Address {
    Address(AgencyId(n))
}

fn signature(n: u8) -> Signature {
    Signature([n; 64])
}

/// A message keeps its bytes; every truncation and extension is refused; a flipped bit is refused
/// or is another message, whose one encoding is those very bytes.
fn check<T: PartialEq + Debug>(message: &T)
where
    Codec: EngineCodec<T, Error = DecodeError> + HasEncodedLen<T>,
{
    let bytes = Codec.encode(message).expect("encodes");
    assert_eq!(Codec.encoded_len(message), Ok(bytes.len()));
    assert_eq!(Codec.decode(bytes.clone()).as_ref(), Ok(message));
    // Long messages are cut at the places that matter: around the start and the end.
    let near = |i: usize| i < 300 || i + 300 > bytes.len();
    for end in (0..bytes.len()).filter(|i| near(*i)) {
        assert!(Codec.decode(bytes.slice(..end)).is_err(), "cut at {end}");
    }
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert!(Codec.decode(longer.into()).is_err());
    for bit in (0..bytes.len() * 8).filter(|bit| near(bit / 8)) {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = Codec.decode(flipped.clone().into()) {
            assert_ne!(other, *message, "bit {bit}");
            assert_eq!(Codec.encode(&other).expect("encodes"), flipped, "bit {bit}");
        }
    }
}

fn part(index: u16, count: u16, length: usize) -> Part {
    Part {
        head: PartHead {
            height: HEIGHT,
            round: 3,
            valid_round: Some(1),
            proposer: address(7),
            value: VALUE,
            index,
            count,
        },
        bytes: vec![0x5a; length].into(),
        signature: signature(9),
    }
}

fn votes() -> [SignedMessage<Bureau, Vote>; 2] {
    [
        (VoteType::Prevote, NilOrVal::Nil),
        (VoteType::Precommit, NilOrVal::Val(VALUE)),
    ]
    .map(|(kind, value)| {
        let vote = Vote {
            kind,
            height: HEIGHT,
            round: Round::new(2),
            value,
            voter: address(5),
        };
        SignedMessage::new(vote, signature(1))
    })
}

fn polka(signers: usize) -> PolkaCertificate<Bureau> {
    PolkaCertificate {
        height: HEIGHT,
        round: Round::new(4),
        value_id: VALUE,
        polka_signatures: (0..signers)
            .map(|i| PolkaSignature::new(address(i as u32), signature(i as u8)))
            .collect(),
    }
}

fn round_votes(signers: usize) -> RoundCertificate<Bureau> {
    RoundCertificate {
        height: HEIGHT,
        round: Round::new(4),
        cert_type: RoundCertificateType::Precommit,
        round_signatures: (0..signers)
            .map(|i| {
                RoundSignature::new(
                    VoteType::Precommit,
                    NilOrVal::Val(VALUE),
                    address(i as u32),
                    signature(i as u8),
                )
            })
            .collect(),
    }
}

fn response(blocks: usize, bytes: usize, signers: usize) -> Response<Bureau> {
    let decided = |n: usize| {
        RawDecidedValue::new(
            vec![n as u8; bytes].into(),
            ExtendedCommitCertificate {
                height: HEIGHT,
                round: Round::new(0),
                value_id: VALUE,
                commit_signatures: (0..signers)
                    .map(|i| {
                        ExtendedCommitSignature::new(address(i as u32), signature(i as u8), None)
                    })
                    .collect(),
            },
        )
    };
    Response::ValueResponse(ValueResponse::new(
        HEIGHT,
        (0..blocks).map(decided).collect(),
    ))
}

#[test]
fn votes_and_proposals_have_one_encoding() {
    for vote in votes() {
        check(&SignedConsensusMsg::<Bureau>::Vote(vote.clone()));
        check(&LivenessMsg::<Bureau>::Vote(vote));
    }
    for pol_round in [Round::Nil, Round::new(1)] {
        let proposal = Proposal {
            height: HEIGHT,
            round: Round::new(2),
            value: VALUE,
            pol_round,
            proposer: address(1),
        };
        let signed = SignedMessage::new(proposal, signature(2));
        check(&SignedConsensusMsg::<Bureau>::Proposal(signed));
    }
    for validity in [Validity::Valid, Validity::Invalid] {
        check(&ProposedValue::<Bureau> {
            height: HEIGHT,
            round: Round::new(2),
            valid_round: Round::Nil,
            proposer: address(1),
            value: VALUE,
            validity,
        });
    }
}

#[test]
fn certificates_have_one_encoding_and_a_limit() {
    check(&polka(3));
    check(&round_votes(3));
    check(&LivenessMsg::PolkaCertificate(polka(2)));
    check(&LivenessMsg::SkipRoundCertificate(round_votes(2)));
    // The largest that a consortium can make pass; one more signature does not.
    let largest = Codec.encode(&polka(MAX_AGENCIES)).expect("encodes");
    assert!(EngineCodec::<PolkaCertificate<Bureau>>::decode(&Codec, largest).is_ok());
    let more = Codec.encode(&polka(MAX_AGENCIES + 1)).expect("encodes");
    assert!(EngineCodec::<PolkaCertificate<Bureau>>::decode(&Codec, more).is_err());
    let largest = LivenessMsg::SkipRoundCertificate(round_votes(2 * MAX_AGENCIES));
    let largest = Codec.encode(&largest).expect("encodes");
    assert!(EngineCodec::<LivenessMsg<Bureau>>::decode(&Codec, largest).is_ok());
    let more = LivenessMsg::SkipRoundCertificate(round_votes(2 * MAX_AGENCIES + 1));
    let more = Codec.encode(&more).expect("encodes");
    assert!(EngineCodec::<LivenessMsg<Bureau>>::decode(&Codec, more).is_err());
    check(&ValidatorProof::<Bureau>::new(
        vec![1; 32],
        vec![2; 38],
        signature(3),
    ));
}

#[test]
fn parts_have_one_encoding_and_one_shape() {
    check(&part(0, 1, 10));
    check(&part(1, 3, limits::PART_BYTES));
    check(&part(2, 3, 1));
    let stream = |content| StreamMessage::new(StreamId::new(vec![1; 12].into()), 5, content);
    check(&stream(StreamContent::Data(part(0, 1, 10))));
    check(&stream(StreamContent::Fin));
    let last = limits::MAX_PARTS as u16;
    check(&part(last - 1, last, limits::PART_BYTES));
    for bad in [
        part(0, 0, 10),                     // no parts at all
        part(1, 1, 10),                     // beyond the last
        part(0, 2, 10),                     // not the last, and not full
        part(0, 1, 0),                      // empty
        part(0, 1, limits::PART_BYTES + 1), // too long
        part(last, last + 1, 10),           // more than the largest block has
        part(u16::MAX, u16::MAX, 10),
    ] {
        let bytes = Codec.encode(&bad).expect("encodes");
        assert!(
            EngineCodec::<Part>::decode(&Codec, bytes).is_err(),
            "{bad:?}"
        );
    }
    let long = StreamMessage::new(
        StreamId::new(vec![1; limits::MAX_STREAM_ID_BYTES + 1].into()),
        0,
        StreamContent::<Part>::Fin,
    );
    let bytes = Codec.encode(&long).expect("encodes");
    assert!(EngineCodec::<StreamMessage<Part>>::decode(&Codec, bytes).is_err());
}

#[test]
fn sync_messages_have_one_encoding_and_a_limit() {
    // An Ed25519 key, inline.
    let mut peer = vec![0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
    peer.extend([7; 32]);
    check(&Status::<Bureau> {
        peer_id: PeerId::from_bytes(&peer).expect("a peer"),
        tip_height: HEIGHT,
        history_min_height: Height(ids::Height(1)),
    });
    let range = Height(ids::Height(5))..=Height(ids::Height(9));
    check(&Request::<Bureau>::ValueRequest(ValueRequest::new(range)));
    let turned = Height(ids::Height(9))..=Height(ids::Height(5));
    let turned = Request::<Bureau>::ValueRequest(ValueRequest::new(turned));
    let bytes = Codec.encode(&turned).expect("encodes");
    assert!(EngineCodec::<Request<Bureau>>::decode(&Codec, bytes).is_err());
    check(&response(0, 0, 0));
    check(&response(2, 40, 3));
    let many = Codec
        .encode(&response(limits::MAX_SYNC_BATCH + 1, 1, 1))
        .expect("encodes");
    assert!(EngineCodec::<Response<Bureau>>::decode(&Codec, many).is_err());
    let large = Codec
        .encode(&response(9, 4 << 20, MAX_AGENCIES))
        .expect("encodes");
    assert!(large.len() > limits::MAX_SYNC_RESPONSE_BYTES);
    assert!(EngineCodec::<Response<Bureau>>::decode(&Codec, large).is_err());
}

#[test]
fn a_declared_length_does_not_allocate() {
    // Four gigabytes of blocks, announced in a few bytes.
    let mut bytes = Codec.encode(&response(1, 4, 1)).expect("encodes").to_vec();
    for at in 0..bytes.len() - 4 {
        let kept: [u8; 4] = bytes[at..at + 4].try_into().expect("four");
        bytes[at..at + 4].fill(0xff);
        let decoded = EngineCodec::<Response<Bureau>>::decode(&Codec, bytes.clone().into());
        if let Ok(other) = decoded {
            assert_eq!(Codec.encode(&other).expect("encodes"), bytes);
        }
        bytes[at..at + 4].copy_from_slice(&kept);
    }
}
