//! What is written for each of the engine's types.

use std::io::{Read, Write};

use arc_malachitebft_app_channel::app::consensus::{
    LivenessMsg, ProposedValue, SignedConsensusMsg,
};
use arc_malachitebft_app_channel::app::streaming::StreamContent;
use arc_malachitebft_app_channel::app::types::core::{
    ExtendedCommitCertificate, ExtendedCommitSignature, NilOrVal, PolkaCertificate, PolkaSignature,
    Round, RoundCertificate, RoundCertificateType, RoundSignature, SignedMessage, SignedProposal,
    SignedVote, ValidatorProof, Validity, VoteType,
};
use arc_malachitebft_app_channel::app::types::streaming::{StreamId, StreamMessage};
use arc_malachitebft_app_channel::app::types::{PeerId, sync};
use arc_malachitebft_sync::{ValueRequest, ValueResponse};
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use zkbureau_circuits::encoding::{Digest32, Document};
use zkbureau_ledger::genesis::MAX_AGENCIES;
use zkbureau_ledger::ids::{AgencyId, Height};
use zkbureau_ledger::keys::Signature;

use super::{Malformed, Wire};
use crate::consensus::context::{self, Address, Bureau, HeaderHash, PartHead};
use crate::consensus::limits;

fn height(height: context::Height) -> Height {
    height.0
}

fn round(round: Option<u32>) -> Round {
    round.map_or(Round::Nil, Round::Some)
}

fn value(value: &NilOrVal<HeaderHash>) -> Option<Digest32> {
    match value {
        NilOrVal::Nil => None,
        NilOrVal::Val(value) => Some(value.0),
    }
}

fn nil_or(value: Option<Digest32>) -> NilOrVal<HeaderHash> {
    value.map_or(NilOrVal::Nil, |v| NilOrVal::Val(HeaderHash(v)))
}

fn few<T>(signatures: Vec<T>, limit: usize) -> Result<Vec<T>, Malformed> {
    if signatures.len() > limit {
        return Err(Malformed::Signatures);
    }
    Ok(signatures)
}

/// Bytes with their length in front, without a copy on the way out.
fn write_bytes<W: Write>(bytes: &Bytes, writer: &mut W) -> std::io::Result<()> {
    bytes.as_ref().serialize(writer)
}

fn read_bytes<R: Read>(reader: &mut R) -> std::io::Result<Bytes> {
    Vec::<u8>::deserialize_reader(reader).map(Bytes::from)
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) enum Kind {
    Prevote,
    Precommit,
}

impl From<VoteType> for Kind {
    fn from(kind: VoteType) -> Self {
        match kind {
            VoteType::Prevote => Self::Prevote,
            VoteType::Precommit => Self::Precommit,
        }
    }
}

impl From<Kind> for VoteType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Prevote => Self::Prevote,
            Kind::Precommit => Self::Precommit,
        }
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct Part {
    height: Height,
    round: u32,
    valid_round: Option<u32>,
    proposer: AgencyId,
    value: Digest32,
    index: u16,
    count: u16,
    #[borsh(serialize_with = "write_bytes", deserialize_with = "read_bytes")]
    bytes: Bytes,
    signature: Signature,
}

impl Document for Part {
    const NAME: &'static str = "zkbureau/consensus/part/v1";
    const MAX_BYTES: usize = limits::MAX_PART_MESSAGE_BYTES - 64;
}

impl Wire for Part {
    type Message = context::Part;

    fn of(part: &context::Part) -> Self {
        Self {
            height: height(part.head.height),
            round: part.head.round,
            valid_round: part.head.valid_round,
            proposer: part.head.proposer.0,
            value: part.head.value.0,
            index: part.head.index,
            count: part.head.count,
            bytes: part.bytes.clone(),
            signature: part.signature,
        }
    }

    fn into_message(self) -> Result<context::Part, Malformed> {
        let last = u32::from(self.index) + 1 == u32::from(self.count);
        // All parts but the last are full, so a block is cut in one way only.
        let length = match last {
            true => (1..=limits::PART_BYTES).contains(&self.bytes.len()),
            false => self.bytes.len() == limits::PART_BYTES,
        };
        if self.index >= self.count || usize::from(self.count) > limits::MAX_PARTS || !length {
            return Err(Malformed::Part);
        }
        Ok(context::Part {
            head: PartHead {
                height: context::Height(self.height),
                round: self.round,
                valid_round: self.valid_round,
                proposer: Address(self.proposer),
                value: HeaderHash(self.value),
                index: self.index,
                count: self.count,
            },
            bytes: self.bytes,
            signature: self.signature,
        })
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct Stream {
    stream: Vec<u8>,
    sequence: u64,
    /// The end of the stream, when absent.
    part: Option<Part>,
}

impl Document for Stream {
    const NAME: &'static str = "zkbureau/consensus/stream/v1";
    const MAX_BYTES: usize = limits::MAX_PART_MESSAGE_BYTES;
}

impl Wire for Stream {
    type Message = StreamMessage<context::Part>;

    fn of(message: &Self::Message) -> Self {
        Self {
            stream: message.stream_id.to_bytes().to_vec(),
            sequence: message.sequence,
            part: message.content.as_data().map(Part::of),
        }
    }

    fn into_message(self) -> Result<Self::Message, Malformed> {
        if self.stream.len() > limits::MAX_STREAM_ID_BYTES {
            return Err(Malformed::Stream);
        }
        let content = match self.part {
            Some(part) => StreamContent::Data(part.into_message()?),
            None => StreamContent::Fin,
        };
        Ok(StreamMessage::new(
            StreamId::new(self.stream.into()),
            self.sequence,
            content,
        ))
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct Vote {
    kind: Kind,
    height: Height,
    round: Option<u32>,
    value: Option<Digest32>,
    voter: AgencyId,
    signature: Signature,
}

impl From<&SignedVote<Bureau>> for Vote {
    fn from(signed: &SignedVote<Bureau>) -> Self {
        let vote = &signed.message;
        Self {
            kind: vote.kind.into(),
            height: height(vote.height),
            round: vote.round.as_u32(),
            value: value(&vote.value),
            voter: vote.voter.0,
            signature: signed.signature,
        }
    }
}

impl From<Vote> for SignedVote<Bureau> {
    fn from(vote: Vote) -> Self {
        SignedMessage::new(
            context::Vote {
                kind: vote.kind.into(),
                height: context::Height(vote.height),
                round: round(vote.round),
                value: nil_or(vote.value),
                voter: Address(vote.voter),
            },
            vote.signature,
        )
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct Proposal {
    height: Height,
    round: Option<u32>,
    value: Digest32,
    pol_round: Option<u32>,
    proposer: AgencyId,
    signature: Signature,
}

impl From<&SignedProposal<Bureau>> for Proposal {
    fn from(signed: &SignedProposal<Bureau>) -> Self {
        let proposal = &signed.message;
        Self {
            height: height(proposal.height),
            round: proposal.round.as_u32(),
            value: proposal.value.0,
            pol_round: proposal.pol_round.as_u32(),
            proposer: proposal.proposer.0,
            signature: signed.signature,
        }
    }
}

impl From<Proposal> for SignedProposal<Bureau> {
    fn from(proposal: Proposal) -> Self {
        SignedMessage::new(
            context::Proposal {
                height: context::Height(proposal.height),
                round: round(proposal.round),
                value: HeaderHash(proposal.value),
                pol_round: round(proposal.pol_round),
                proposer: Address(proposal.proposer),
            },
            proposal.signature,
        )
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) enum Signed {
    Vote(Vote),
    Proposal(Proposal),
}

impl Document for Signed {
    const NAME: &'static str = "zkbureau/consensus/signed/v1";
    const MAX_BYTES: usize = limits::MAX_CONSENSUS_MESSAGE_BYTES;
}

impl Wire for Signed {
    type Message = SignedConsensusMsg<Bureau>;

    fn of(message: &Self::Message) -> Self {
        match message {
            SignedConsensusMsg::Vote(vote) => Self::Vote(vote.into()),
            SignedConsensusMsg::Proposal(proposal) => Self::Proposal(proposal.into()),
        }
    }

    fn into_message(self) -> Result<Self::Message, Malformed> {
        Ok(match self {
            Self::Vote(vote) => SignedConsensusMsg::Vote(vote.into()),
            Self::Proposal(proposal) => SignedConsensusMsg::Proposal(proposal.into()),
        })
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct Polka {
    height: Height,
    round: Option<u32>,
    value: Digest32,
    signatures: Vec<(AgencyId, Signature)>,
}

impl Document for Polka {
    const NAME: &'static str = "zkbureau/consensus/polka/v1";
    const MAX_BYTES: usize = limits::MAX_CERTIFICATE_BYTES;
}

impl Wire for Polka {
    type Message = PolkaCertificate<Bureau>;

    fn of(certificate: &Self::Message) -> Self {
        Self {
            height: height(certificate.height),
            round: certificate.round.as_u32(),
            value: certificate.value_id.0,
            signatures: certificate
                .polka_signatures
                .iter()
                .map(|s| (s.address.0, s.signature))
                .collect(),
        }
    }

    fn into_message(self) -> Result<Self::Message, Malformed> {
        Ok(PolkaCertificate {
            height: context::Height(self.height),
            round: round(self.round),
            value_id: HeaderHash(self.value),
            polka_signatures: few(self.signatures, MAX_AGENCIES)?
                .into_iter()
                .map(|(agency, signature)| PolkaSignature::new(Address(agency), signature))
                .collect(),
        })
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) enum RoundKind {
    Skip,
    Precommit,
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct RoundVotes {
    height: Height,
    round: Option<u32>,
    kind: RoundKind,
    signatures: Vec<(Kind, Option<Digest32>, AgencyId, Signature)>,
}

impl Document for RoundVotes {
    const NAME: &'static str = "zkbureau/consensus/round-votes/v1";
    const MAX_BYTES: usize = limits::MAX_CERTIFICATE_BYTES;
}

impl Wire for RoundVotes {
    type Message = RoundCertificate<Bureau>;

    fn of(certificate: &Self::Message) -> Self {
        Self {
            height: height(certificate.height),
            round: certificate.round.as_u32(),
            kind: match certificate.cert_type {
                RoundCertificateType::Skip => RoundKind::Skip,
                RoundCertificateType::Precommit => RoundKind::Precommit,
            },
            signatures: certificate
                .round_signatures
                .iter()
                .map(|s| {
                    (
                        s.vote_type.into(),
                        value(&s.value_id),
                        s.address.0,
                        s.signature,
                    )
                })
                .collect(),
        }
    }

    fn into_message(self) -> Result<Self::Message, Malformed> {
        Ok(RoundCertificate {
            height: context::Height(self.height),
            round: round(self.round),
            cert_type: match self.kind {
                RoundKind::Skip => RoundCertificateType::Skip,
                RoundKind::Precommit => RoundCertificateType::Precommit,
            },
            // A validator may occur with both of its votes.
            round_signatures: few(self.signatures, 2 * MAX_AGENCIES)?
                .into_iter()
                .map(|(kind, value, agency, signature)| {
                    RoundSignature::new(kind.into(), nil_or(value), Address(agency), signature)
                })
                .collect(),
        })
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) enum Liveness {
    Vote(Vote),
    Polka(Polka),
    SkipRound(RoundVotes),
}

impl Document for Liveness {
    const NAME: &'static str = "zkbureau/consensus/liveness/v1";
    const MAX_BYTES: usize = limits::MAX_LIVENESS_MESSAGE_BYTES;
}

impl Wire for Liveness {
    type Message = LivenessMsg<Bureau>;

    fn of(message: &Self::Message) -> Self {
        match message {
            LivenessMsg::Vote(vote) => Self::Vote(vote.into()),
            LivenessMsg::PolkaCertificate(c) => Self::Polka(Polka::of(c)),
            LivenessMsg::SkipRoundCertificate(c) => Self::SkipRound(RoundVotes::of(c)),
        }
    }

    fn into_message(self) -> Result<Self::Message, Malformed> {
        Ok(match self {
            Self::Vote(vote) => LivenessMsg::Vote(vote.into()),
            Self::Polka(c) => LivenessMsg::PolkaCertificate(c.into_message()?),
            Self::SkipRound(c) => LivenessMsg::SkipRoundCertificate(c.into_message()?),
        })
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct Proof {
    public_key: Vec<u8>,
    peer: Vec<u8>,
    signature: Signature,
}

impl Document for Proof {
    const NAME: &'static str = "zkbureau/consensus/validator-proof/v1";
    const MAX_BYTES: usize = 256;
}

impl Wire for Proof {
    type Message = ValidatorProof<Bureau>;

    fn of(proof: &Self::Message) -> Self {
        Self {
            public_key: proof.public_key.clone(),
            peer: proof.peer_id.clone(),
            signature: proof.signature,
        }
    }

    fn into_message(self) -> Result<Self::Message, Malformed> {
        Ok(ValidatorProof::new(
            self.public_key,
            self.peer,
            self.signature,
        ))
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct Proposed {
    height: Height,
    round: Option<u32>,
    valid_round: Option<u32>,
    proposer: AgencyId,
    value: Digest32,
    valid: bool,
}

impl Document for Proposed {
    const NAME: &'static str = "zkbureau/consensus/proposed-value/v1";
    const MAX_BYTES: usize = limits::MAX_CONSENSUS_MESSAGE_BYTES;
}

impl Wire for Proposed {
    type Message = ProposedValue<Bureau>;

    fn of(proposed: &Self::Message) -> Self {
        Self {
            height: height(proposed.height),
            round: proposed.round.as_u32(),
            valid_round: proposed.valid_round.as_u32(),
            proposer: proposed.proposer.0,
            value: proposed.value.0,
            valid: proposed.validity.is_valid(),
        }
    }

    fn into_message(self) -> Result<Self::Message, Malformed> {
        Ok(ProposedValue {
            height: context::Height(self.height),
            round: round(self.round),
            valid_round: round(self.valid_round),
            proposer: Address(self.proposer),
            value: HeaderHash(self.value),
            validity: Validity::from_bool(self.valid),
        })
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct Status {
    peer: Vec<u8>,
    tip: Height,
    history_min: Height,
}

impl Document for Status {
    const NAME: &'static str = "zkbureau/consensus/status/v1";
    const MAX_BYTES: usize = limits::MAX_STATUS_BYTES;
}

impl Wire for Status {
    type Message = sync::Status<Bureau>;

    fn of(status: &Self::Message) -> Self {
        Self {
            peer: status.peer_id.to_bytes(),
            tip: height(status.tip_height),
            history_min: height(status.history_min_height),
        }
    }

    fn into_message(self) -> Result<Self::Message, Malformed> {
        let peer_id = PeerId::from_bytes(&self.peer).map_err(|_| Malformed::Peer)?;
        // The identifier has variable-length integers inside.
        if peer_id.to_bytes() != self.peer {
            return Err(Malformed::Peer);
        }
        Ok(sync::Status {
            peer_id,
            tip_height: context::Height(self.tip),
            history_min_height: context::Height(self.history_min),
        })
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) enum Request {
    Blocks { first: Height, last: Height },
}

impl Document for Request {
    const NAME: &'static str = "zkbureau/consensus/sync-request/v1";
    const MAX_BYTES: usize = limits::MAX_SYNC_REQUEST_BYTES;
}

impl Wire for Request {
    type Message = sync::Request<Bureau>;

    fn of(request: &Self::Message) -> Self {
        let sync::Request::ValueRequest(request) = request;
        Self::Blocks {
            first: height(*request.range.start()),
            last: height(*request.range.end()),
        }
    }

    fn into_message(self) -> Result<Self::Message, Malformed> {
        let Self::Blocks { first, last } = self;
        if first > last {
            return Err(Malformed::Range);
        }
        let range = context::Height(first)..=context::Height(last);
        Ok(sync::Request::ValueRequest(ValueRequest::new(range)))
    }
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) struct Decided {
    #[borsh(serialize_with = "write_bytes", deserialize_with = "read_bytes")]
    block: Bytes,
    height: Height,
    round: Option<u32>,
    value: Digest32,
    signatures: Vec<(AgencyId, Signature)>,
}

#[derive(BorshSerialize, BorshDeserialize)]
pub(super) enum Response {
    Blocks { first: Height, blocks: Vec<Decided> },
}

impl Document for Response {
    const NAME: &'static str = "zkbureau/consensus/sync-response/v1";
    const MAX_BYTES: usize = limits::MAX_SYNC_RESPONSE_BYTES;
}

impl Wire for Response {
    type Message = sync::Response<Bureau>;

    fn of(response: &Self::Message) -> Self {
        let sync::Response::ValueResponse(response) = response;
        Self::Blocks {
            first: height(response.start_height),
            blocks: response
                .values
                .iter()
                .map(|value| Decided {
                    block: value.value_bytes.clone(),
                    height: height(value.certificate.height),
                    round: value.certificate.round.as_u32(),
                    value: value.certificate.value_id.0,
                    signatures: value
                        .certificate
                        .commit_signatures
                        .iter()
                        .map(|s| (s.address.0, s.signature))
                        .collect(),
                })
                .collect(),
        }
    }

    fn into_message(self) -> Result<Self::Message, Malformed> {
        let Self::Blocks { first, blocks } = self;
        if blocks.len() > limits::MAX_SYNC_BATCH {
            return Err(Malformed::Blocks);
        }
        let values = blocks
            .into_iter()
            .map(|decided| {
                let signatures = few(decided.signatures, MAX_AGENCIES)?
                    .into_iter()
                    .map(|(agency, signature)| {
                        ExtendedCommitSignature::new(Address(agency), signature, None)
                    })
                    .collect();
                Ok(sync::RawDecidedValue::new(
                    decided.block,
                    ExtendedCommitCertificate {
                        height: context::Height(decided.height),
                        round: round(decided.round),
                        value_id: HeaderHash(decided.value),
                        commit_signatures: signatures,
                    },
                ))
            })
            .collect::<Result<_, Malformed>>()?;
        Ok(sync::Response::ValueResponse(ValueResponse::new(
            context::Height(first),
            values,
        )))
    }
}
