//! The canonical encodings of everything that consensus sends or logs.
//!
//! Every message is a [`Document`]: one version byte, a borsh body, a limit that is checked before
//! anything is decoded, and nothing after the end. What borsh leaves open (number of signatures,
//! shape of a part, form of a peer's identifier) is checked in `wire`. So one message has one
//! encoding, and no input allocates more than its own length.

mod wire;

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use arc_malachitebft_app_channel::app::consensus::{
    LivenessMsg, ProposedValue, SignedConsensusMsg,
};
use arc_malachitebft_app_channel::app::types::codec::{Codec as EngineCodec, HasEncodedLen};
use arc_malachitebft_app_channel::app::types::core::{
    PolkaCertificate, RoundCertificate, ValidatorProof,
};
use arc_malachitebft_app_channel::app::types::streaming::StreamMessage;
use arc_malachitebft_app_channel::app::types::sync::{Request, Response, Status};
use bytes::Bytes;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::error::DecodeError;

use super::context::{Bureau, Part};

/// The codec of all messages. It has no state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Codec;

/// How a type of the engine is written.
trait Wire: Document {
    /// The engine's type.
    type Message;

    /// What is written for it.
    fn of(message: &Self::Message) -> Self;

    /// What was read, checked.
    fn into_message(self) -> Result<Self::Message, Malformed>;
}

/// Well-formed borsh that is none of our messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Malformed {
    #[error("more signatures than validators can give")]
    Signatures,
    #[error("a part whose number or length cannot be")]
    Part,
    #[error("not a peer's identifier")]
    Peer,
    #[error("a stream's name is too long")]
    Stream,
    #[error("too many blocks")]
    Blocks,
    #[error("a range that ends before it starts")]
    Range,
}

fn decode<W: Wire>(bytes: &[u8]) -> Result<W::Message, DecodeError> {
    W::from_bytes(bytes)?
        .into_message()
        .map_err(|e| DecodeError::Malformed {
            what: W::NAME,
            reason: e.to_string(),
        })
}

/// Writes nothing and counts what it is given.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

macro_rules! codec {
    ($($message:ty => $wire:ty),* $(,)?) => {$(
        impl EngineCodec<$message> for Codec {
            type Error = DecodeError;

            fn decode(&self, bytes: Bytes) -> Result<$message, DecodeError> {
                decode::<$wire>(&bytes)
            }

            fn encode(&self, message: &$message) -> Result<Bytes, DecodeError> {
                Ok(<$wire>::of(message).to_bytes().into())
            }
        }

        impl HasEncodedLen<$message> for Codec {
            fn encoded_len(&self, message: &$message) -> Result<usize, DecodeError> {
                // One byte for the version.
                let mut counter = Counter(1);
                borsh::to_writer(&mut counter, &<$wire>::of(message)).map_err(|e| {
                    DecodeError::Malformed {
                        what: <$wire>::NAME,
                        reason: e.to_string(),
                    }
                })?;
                Ok(counter.0)
            }
        }
    )*};
}

codec! {
    Part => wire::Part,
    StreamMessage<Part> => wire::Stream,
    SignedConsensusMsg<Bureau> => wire::Signed,
    LivenessMsg<Bureau> => wire::Liveness,
    PolkaCertificate<Bureau> => wire::Polka,
    RoundCertificate<Bureau> => wire::RoundVotes,
    ValidatorProof<Bureau> => wire::Proof,
    ProposedValue<Bureau> => wire::Proposed,
    Status<Bureau> => wire::Status,
    Request<Bureau> => wire::Request,
    Response<Bureau> => wire::Response,
}
