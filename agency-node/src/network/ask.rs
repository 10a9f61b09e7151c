//! Requests from one agency to another, as they travel.
//!
//! The asker signs the request and the answerer the reply, so an agency that carries them for the
//! two can neither ask in another's name nor answer in another's place. Bodies are sealed before
//! they come here; whoever carries them passes on the same bytes.

use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::ids::ChainId;
use zkbureau_ledger::keys::{PublicKey, Signature};
use zkbureau_params::domain::{SIGN_NETWORK_ASK, SIGN_NETWORK_REPLY};

use super::NetworkKey;
use super::handle::AskKind;

/// What a request or a reply takes beside its body.
pub(super) const ENVELOPE: usize = 256;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Ask {
    /// Who shall answer.
    pub to: AgencyId,
    /// The asker's network key.
    pub origin: PublicKey,
    kind: u8,
    /// Drawn at random; the same when it is sent again over another path.
    pub id: [u8; 16],
    /// The sealed request.
    pub body: Vec<u8>,
    signature: Signature,
}

impl Ask {
    /// A signed request.
    pub fn new(
        key: &NetworkKey,
        chain: &ChainId,
        to: AgencyId,
        kind: AskKind,
        id: [u8; 16],
        body: Vec<u8>,
    ) -> Self {
        let mut ask = Self {
            to,
            origin: key.public(),
            kind: kind as u8,
            id,
            body,
            signature: Signature([0; 64]),
        };
        ask.signature = key
            .secret
            .sign(SIGN_NETWORK_ASK, chain, &[&ask.statement()]);
        ask
    }

    fn statement(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.extend_from_slice(&self.to.0.to_le_bytes());
        out.push(self.kind);
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&Sha256::digest(&self.body));
        out
    }

    /// What is asked for, when the signature is the origin's.
    pub fn check(&self, chain: &ChainId) -> Option<AskKind> {
        self.origin
            .verify(
                SIGN_NETWORK_ASK,
                chain,
                &[&self.statement()],
                &self.signature,
            )
            .ok()?;
        AskKind::from_byte(self.kind)
    }

    /// The bytes to send.
    pub fn bytes(&self) -> Bytes {
        to_bytes(self)
    }

    /// Reads a request.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Self::try_from_slice(bytes).ok()
    }
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) enum Reply {
    /// The answerer's reply.
    Answer {
        /// Status and sealed body.
        body: Vec<u8>,
        /// The answerer's signature.
        signature: Signature,
    },
    /// The carrier has no link to the answerer.
    NoLink,
    /// Too much is under way.
    Busy,
    /// The request is not one: unreadable, forged, from nobody we know.
    Refused,
}

impl Reply {
    /// A signed answer.
    pub fn answer(key: &NetworkKey, chain: &ChainId, ask: &Ask, body: Vec<u8>) -> Self {
        let signature = key
            .secret
            .sign(SIGN_NETWORK_REPLY, chain, &[&about(ask, &body)]);
        Self::Answer { body, signature }
    }

    /// The body, when the answerer with this key signed it for this request.
    pub fn check(self, key: &PublicKey, chain: &ChainId, ask: &Ask) -> Option<Vec<u8>> {
        let Self::Answer { body, signature } = self else {
            return None;
        };
        key.verify(SIGN_NETWORK_REPLY, chain, &[&about(ask, &body)], &signature)
            .ok()?;
        Some(body)
    }

    /// The bytes to send.
    pub fn bytes(&self) -> Bytes {
        to_bytes(self)
    }

    /// Reads a reply.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Self::try_from_slice(bytes).ok()
    }
}

fn about(ask: &Ask, body: &[u8]) -> Vec<u8> {
    let mut out = ask.statement();
    out.extend_from_slice(ask.origin.as_bytes());
    out.extend_from_slice(&Sha256::digest(body));
    out
}

fn to_bytes(value: &impl BorshSerialize) -> Bytes {
    let mut out = Vec::new();
    // Writing into a vector cannot fail.
    let _ = value.serialize(&mut out);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: ChainId = ChainId([4; 32]);

    fn ask(key: &NetworkKey) -> Ask {
        Ask::new(
            key,
            &CHAIN,
            AgencyId(2),
            AskKind::Audit,
            [9; 16],
            vec![1, 2],
        )
    }

    #[test]
    fn a_carrier_can_alter_neither_request_nor_reply() {
        let (asker, answerer) = (
            NetworkKey::from_seed(&[1; 32]),
            NetworkKey::from_seed(&[2; 32]),
        );
        let ask = ask(&asker);
        assert_eq!(Ask::read(&ask.bytes()).as_ref(), Some(&ask));
        assert_eq!(ask.check(&CHAIN), Some(AskKind::Audit));
        assert_eq!(ask.check(&ChainId([5; 32])), None);
        let bytes = ask.bytes();
        for i in 0..bytes.len() {
            let mut altered = bytes.to_vec();
            altered[i] ^= 1;
            let read = Ask::read(&altered);
            assert_eq!(read.and_then(|a| a.check(&CHAIN)), None, "byte {i}");
        }
        let reply = Reply::answer(&answerer, &CHAIN, &ask, vec![3; 9]);
        let check = |reply: Reply| reply.check(&answerer.public(), &CHAIN, &ask);
        assert_eq!(check(reply.clone()), Some(vec![3; 9]));
        assert_eq!(reply.clone().check(&asker.public(), &CHAIN, &ask), None);
        let bytes = reply.bytes();
        for i in 0..bytes.len() {
            let mut altered = bytes.to_vec();
            altered[i] ^= 1;
            assert_eq!(Reply::read(&altered).and_then(check), None, "byte {i}");
        }
        // A reply to another request is none to this one.
        let other = Ask::new(
            &asker,
            &CHAIN,
            AgencyId(2),
            AskKind::Audit,
            [8; 16],
            vec![1, 2],
        );
        assert_eq!(reply.check(&answerer.public(), &CHAIN, &other), None);
    }
}
