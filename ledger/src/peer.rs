//! Peer identifiers of the network (spec: `ledger/spec/governance.md`, "Keys").
//!
//! The ledger holds a node's network key, never its peer identifier: that one is derived, so the two
//! can never disagree. No network crate is needed for it:
//!
//! ```text
//! identity multihash 00 24 ‖ protobuf of the key: 08 01 (type Ed25519) 12 20 (32 bytes) ‖ key
//! ```
//! as text in base58 with Bitcoin's alphabet.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::keys::PublicKey;

/// Multihash "identity" of 36 bytes, which are the protobuf of an Ed25519 key.
const PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
/// Bytes of a peer identifier.
pub const PEER_ID_BYTES: usize = 38;
/// Longest text of a peer identifier; 52 characters in fact, since the first bytes are fixed.
const MAX_TEXT: usize = 60;
const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Bytes or text are not the peer identifier of an Ed25519 key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the peer identifier of an Ed25519 key")]
pub struct PeerIdError;

/// The peer identifier of a network key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(PublicKey);

impl PeerId {
    /// The key it is derived from.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.0
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; PEER_ID_BYTES] {
        let mut bytes = [0; PEER_ID_BYTES];
        let (prefix, key) = bytes.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(&PREFIX);
        key.copy_from_slice(self.0.as_bytes());
        bytes
    }

    /// Reads the bytes of a peer identifier.
    ///
    /// # Errors
    /// [`PeerIdError`] when they are none, or the key in them is not canonical or weak.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PeerIdError> {
        let key = bytes.strip_prefix(&PREFIX).ok_or(PeerIdError)?;
        let key = key.try_into().map_err(|_| PeerIdError)?;
        PublicKey::from_bytes(key)
            .map(Self)
            .map_err(|_| PeerIdError)
    }
}

impl PublicKey {
    /// The peer identifier of a network key.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        PeerId(*self)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base58(&self.to_bytes()))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

impl FromStr for PeerId {
    type Err = PeerIdError;

    fn from_str(text: &str) -> Result<Self, PeerIdError> {
        Self::from_bytes(&from_base58(text)?)
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Digits of the number that the bytes are, most significant first; one `1` per leading zero byte.
fn base58(bytes: &[u8]) -> String {
    // Digits by ascending weight.
    let mut digits: Vec<u8> = Vec::with_capacity(MAX_TEXT);
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    std::iter::repeat_n(0, zeros)
        .chain(digits.into_iter().rev())
        .map(|digit| char::from(ALPHABET[usize::from(digit)]))
        .collect()
}

fn from_base58(text: &str) -> Result<Vec<u8>, PeerIdError> {
    if text.len() > MAX_TEXT {
        return Err(PeerIdError);
    }
    // Bytes by ascending weight.
    let mut bytes: Vec<u8> = Vec::with_capacity(MAX_TEXT);
    for character in text.bytes() {
        let digit = ALPHABET.iter().position(|c| *c == character);
        let mut carry = digit.ok_or(PeerIdError)? as u32;
        for byte in &mut bytes {
            carry += u32::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        while carry > 0 {
            bytes.push(carry as u8);
            carry >>= 8;
        }
    }
    let zeros = text.bytes().take_while(|c| *c == ALPHABET[0]).count();
    bytes.extend(std::iter::repeat_n(0, zeros));
    bytes.reverse();
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;

    /// First byte of a secret seed whose other bytes are zero, and its peer identifier as libp2p's
    /// own tutorial on hole punching prints it.
    const KNOWN: [(u8, &str); 2] = [
        (0, "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"),
        (1, "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X"),
    ];

    #[test]
    fn known_peer_identifiers() {
        for (first, text) in KNOWN {
            let mut seed = [0; 32];
            seed[0] = first;
            let key = SecretKey::from_seed(&seed).public();
            assert_eq!(key.peer_id().to_string(), text);
            assert_eq!(text.parse(), Ok(key.peer_id()));
            let bytes = key.peer_id().to_bytes();
            assert_eq!(PeerId::from_bytes(&bytes), Ok(key.peer_id()));
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        let (_, text) = KNOWN[0];
        let good: PeerId = text.parse().expect("known");
        let bytes = good.to_bytes();
        for cut in 0..bytes.len() {
            assert_eq!(PeerId::from_bytes(&bytes[..cut]), Err(PeerIdError));
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        assert_eq!(PeerId::from_bytes(&longer), Err(PeerIdError));
        for position in 0..PREFIX.len() {
            let mut other = bytes;
            other[position] ^= 1;
            assert_eq!(PeerId::from_bytes(&other), Err(PeerIdError));
        }
        // A weak key: all zeros after the prefix.
        let mut weak = [0; PEER_ID_BYTES];
        weak[..PREFIX.len()].copy_from_slice(&PREFIX);
        assert_eq!(PeerId::from_bytes(&weak), Err(PeerIdError));
        let longest = "z".repeat(61);
        for text in ["", "1", "0OIl", "12D3KooW", "ä", &text[1..], &longest] {
            assert!(text.parse::<PeerId>().is_err(), "{text}");
        }
        // Neither an RSA key's identifier nor one more leading zero byte is this one.
        assert!(format!("1{text}").parse::<PeerId>().is_err());
        assert!(
            "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
                .parse::<PeerId>()
                .is_err()
        );
    }
}
