//! Frames on the two streams of a link: a header and, behind it, untouched, the payload.
//!
//! A frame of consensus has an origin, an epoch (drawn at the origin's start) and a number in its
//! stream. When a member has no link to the origin, the origin signs the frame and hands it to
//! members that have one; the receiver believes a relayed frame only with the origin's signature,
//! so whoever relays can neither invent nor alter one. Copies are told by epoch and number.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::ids::ChainId;
use zkbureau_ledger::keys::{PublicKey, Signature, SignatureError};
use zkbureau_params::domain::SIGN_FRAME;

use super::NetworkKey;

/// Most agencies in a list of one frame.
pub(super) const MAX_LISTED: usize = 256;
/// The most that a header takes: one list of agencies and some fields.
pub(super) const MAX_HEADER: usize = 4 * MAX_LISTED + 256;

/// One of the two streams of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    /// Votes, proposals, status, small transactions.
    Small = 0,
    /// Proposal parts and large transactions.
    Bulk = 1,
}

impl Class {
    pub const BOTH: [Self; 2] = [Self::Small, Self::Bulk];
}

/// What a frame's payload is to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Channel {
    /// Votes and proposals.
    Consensus = 0,
    /// Certificates and votes sent again.
    Liveness = 1,
    /// Parts of a proposed block.
    Parts = 2,
}

impl Channel {
    pub(super) fn class(self) -> Class {
        match self {
            Self::Consensus | Self::Liveness => Class::Small,
            Self::Parts => Class::Bulk,
        }
    }
}

/// Identifies a frame of one origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub(super) struct Stamp {
    pub channel: Channel,
    /// Drawn at random when the origin started.
    pub epoch: u64,
    /// Counts the origin's frames on this stream.
    pub number: u64,
}

/// What stands before the payload.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) enum Header {
    /// The agencies the sender has a link to.
    Links(Vec<AgencyId>),
    /// The engine's status.
    Status,
    /// A transaction.
    Transaction,
    /// A frame of the sender itself.
    Own(Stamp),
    /// A frame of the sender itself, signed, to be forwarded to these agencies.
    Hand {
        stamp: Stamp,
        to: Vec<AgencyId>,
        signature: Signature,
    },
    /// A frame of another agency.
    Relayed {
        origin: AgencyId,
        stamp: Stamp,
        signature: Signature,
    },
}

/// A frame is not as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame that cannot be read")]
pub(super) struct BadFrame;

impl Header {
    /// Splits a frame that was read.
    pub fn read(frame: &Bytes) -> Result<(Self, Bytes), BadFrame> {
        // The limit bounds what the decoder allocates, whatever lengths the header claims.
        let head = &frame[..frame.len().min(MAX_HEADER)];
        let mut rest = head;
        let header = Self::deserialize(&mut rest).map_err(|_| BadFrame)?;
        let listed = match &header {
            Self::Links(list) | Self::Hand { to: list, .. } => list.len(),
            _ => 0,
        };
        if listed > MAX_LISTED {
            return Err(BadFrame);
        }
        Ok((header, frame.slice(head.len() - rest.len()..)))
    }

    /// A frame to write.
    pub fn frame(&self, payload: &Bytes) -> Frame {
        let mut head = Vec::with_capacity(32);
        // Writing into a vector cannot fail.
        let _ = self.serialize(&mut head);
        Frame {
            head: head.into(),
            payload: payload.clone(),
        }
    }
}

/// A frame to write. Header and payload stay apart, so that all peers share one payload.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub head: Arc<[u8]>,
    pub payload: Bytes,
}

impl Frame {
    /// Bytes on the wire without the length.
    pub fn len(&self) -> usize {
        self.head.len() + self.payload.len()
    }
}

/// Signs a frame for relaying.
pub(super) fn sign(
    key: &NetworkKey,
    chain: &ChainId,
    origin: AgencyId,
    stamp: &Stamp,
    payload: &[u8],
) -> Signature {
    key.secret
        .sign(SIGN_FRAME, chain, &[&statement(origin, stamp, payload)])
}

/// Checks a relayed frame's signature.
pub(super) fn verify(
    key: &PublicKey,
    chain: &ChainId,
    origin: AgencyId,
    stamp: &Stamp,
    payload: &[u8],
    signature: &Signature,
) -> Result<(), SignatureError> {
    key.verify(
        SIGN_FRAME,
        chain,
        &[&statement(origin, stamp, payload)],
        signature,
    )
}

fn statement(origin: AgencyId, stamp: &Stamp, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(&origin.0.to_le_bytes());
    out.push(stamp.channel as u8);
    out.extend_from_slice(&stamp.epoch.to_le_bytes());
    out.extend_from_slice(&stamp.number.to_le_bytes());
    out.extend_from_slice(&Sha256::digest(payload));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            channel: Channel::Parts,
            epoch: 7,
            number: 9,
        }
    }

    #[test]
    fn a_frame_comes_back_as_it_was() {
        let headers = [
            Header::Links(vec![AgencyId(1), AgencyId(4)]),
            Header::Status,
            Header::Transaction,
            Header::Own(stamp()),
            Header::Hand {
                stamp: stamp(),
                to: (0..MAX_LISTED as u32).map(AgencyId).collect(),
                signature: Signature([5; 64]),
            },
            Header::Relayed {
                origin: AgencyId(3),
                stamp: stamp(),
                signature: Signature([6; 64]),
            },
        ];
        let payload = Bytes::from(vec![8; 3_000]);
        for header in headers {
            let frame = header.frame(&payload);
            let mut wire = frame.head.to_vec();
            wire.extend_from_slice(&frame.payload);
            assert_eq!(Header::read(&wire.into()), Ok((header, payload.clone())));
        }
    }

    #[test]
    fn lists_beyond_the_limit_and_nonsense_are_refused() {
        let long = Header::Links((0..=MAX_LISTED as u32).map(AgencyId).collect());
        let frame = long.frame(&Bytes::new());
        assert_eq!(Header::read(&frame.head.to_vec().into()), Err(BadFrame));
        // A list that claims four thousand million entries, and nothing behind it.
        assert_eq!(
            Header::read(&vec![0, 0xff, 0xff, 0xff, 0xff].into()),
            Err(BadFrame)
        );
        assert_eq!(Header::read(&Bytes::new()), Err(BadFrame));
        assert_eq!(Header::read(&vec![6, 0].into()), Err(BadFrame));
        assert_eq!(Header::read(&vec![3, 3].into()), Err(BadFrame));
    }

    #[test]
    fn a_signature_holds_for_one_origin_stamp_payload_and_chain() {
        let key = NetworkKey::from_seed(&[3; 32]);
        let public = key.public();
        let chain = ChainId([1; 32]);
        let signature = sign(&key, &chain, AgencyId(1), &stamp(), b"part");
        let ok = |chain: &ChainId, origin, stamp: &Stamp, payload: &[u8]| {
            verify(&public, chain, AgencyId(origin), stamp, payload, &signature).is_ok()
        };
        assert!(ok(&chain, 1, &stamp(), b"part"));
        assert!(!ok(&ChainId([2; 32]), 1, &stamp(), b"part"));
        assert!(!ok(&chain, 2, &stamp(), b"part"));
        assert!(!ok(&chain, 1, &stamp(), b"pars"));
        for other in [
            Stamp {
                channel: Channel::Consensus,
                ..stamp()
            },
            Stamp {
                epoch: 8,
                ..stamp()
            },
            Stamp {
                number: 8,
                ..stamp()
            },
        ] {
            assert!(!ok(&chain, 1, &other, b"part"));
        }
    }
}
