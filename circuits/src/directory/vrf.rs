//! The verifiable random function, ECVRF-RISTRETTO255-SHA512 (spec: `circuits/spec/directory.md`).
//!
//! Proofs are made and checked by the crate `vrf-r255`. Its secret key is `Copy` and prints itself,
//! so it exists here only inside [`VrfSecretKey::evaluate`]; a key at rest is a scalar that is wiped.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha512};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};
use zkbureau_params::domain;

use super::SubjectId;
use crate::encoding::Digest32;
use crate::error::{DecodeError, VerifyError};

/// Suite string of ECVRF-RISTRETTO255-SHA512.
const SUITE: &[u8] = b"\xFFc2sp.org/vrf-r255";
/// Domain separator of its encode-to-curve.
const ENCODE_TO_CURVE: &[u8] = b"\x82";
/// Domain separators of RFC 9381's proof-to-hash.
const PROOF_TO_HASH: [&[u8]; 2] = [b"\x03", b"\x00"];

/// What the function is evaluated on; it contains the identifier in the clear.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct VrfInput(Vec<u8>);

impl fmt::Debug for VrfInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VrfInput(..)")
    }
}

/// The input for a subject on a chain: `domain ‖ chain ‖ canonical subject id`. Domain and chain
/// have fixed lengths, and the canonical identifier separates its own parts.
#[must_use]
pub fn vrf_input(chain: &Digest32, subject: &SubjectId) -> VrfInput {
    let canonical = subject.canonical();
    let mut bytes = Vec::with_capacity(domain::DIRECTORY.len() + chain.len() + canonical.len());
    bytes.extend_from_slice(domain::DIRECTORY.as_bytes());
    bytes.extend_from_slice(chain);
    bytes.extend_from_slice(&canonical);
    VrfInput(bytes)
}

/// An agency's secret key.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct VrfSecretKey {
    x: Scalar,
    #[zeroize(skip)]
    public: VrfPublicKey,
}

impl VrfSecretKey {
    /// Draws a key.
    pub fn random<R: RngCore + CryptoRng>(rng: &mut R) -> Self {
        loop {
            if let Ok(key) = Self::from_scalar(Scalar::random(rng)) {
                return key;
            }
        }
    }

    /// A key from its 32 bytes.
    ///
    /// # Errors
    /// [`DecodeError`] when they are not a reduced scalar, or zero.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, DecodeError> {
        Option::<Scalar>::from(Scalar::from_canonical_bytes(*bytes))
            .ok_or_else(|| DecodeError::Malformed {
                what: "VRF secret key",
                reason: "scalar is not reduced modulo ℓ".into(),
            })
            .and_then(Self::from_scalar)
    }

    fn from_scalar(x: Scalar) -> Result<Self, DecodeError> {
        let public = VrfPublicKey::from_bytes(&RistrettoPoint::mul_base(&x).compress().0)?;
        Ok(Self { x, public })
    }

    /// The key's bytes, for the vault.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.x.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> VrfPublicKey {
        self.public
    }

    /// A subject's index and the proof that it is the only one.
    #[must_use]
    pub fn evaluate(&self, input: &VrfInput) -> (Index, VrfProof) {
        let key =
            Option::<vrf_r255::SecretKey>::from(vrf_r255::SecretKey::from_bytes(self.x.to_bytes()))
                .expect("checked when made");
        let proof = key.prove(&input.0).to_bytes();
        let mut gamma = [0; 32];
        gamma.copy_from_slice(&proof[..32]);
        (Index::from_gamma(&gamma), VrfProof(proof))
    }

    /// A subject's index without a proof: a third of the work, for publishing.
    #[must_use]
    pub fn index(&self, input: &VrfInput) -> Index {
        let mut hasher = Sha512::new_with_prefix(SUITE);
        hasher.update(ENCODE_TO_CURVE);
        hasher.update(self.public.0);
        hasher.update(&input.0);
        let h = RistrettoPoint::from_uniform_bytes(&hasher.finalize().into());
        Index::from_gamma(&(self.x * h).compress().0)
    }
}

impl fmt::Debug for VrfSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VrfSecretKey(.., {:?})", self.public)
    }
}

/// An agency's public key: a canonical element that is not the identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct VrfPublicKey([u8; 32]);

impl VrfPublicKey {
    /// Checks and wraps a key's bytes.
    ///
    /// # Errors
    /// [`DecodeError`] when they are not a canonical element or are the identity, under which
    /// every index would be the same.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, DecodeError> {
        if vrf_r255::PublicKey::from_bytes(*bytes).is_some() {
            Ok(Self(*bytes))
        } else if CompressedRistretto(*bytes).decompress().is_some() {
            Err(DecodeError::Malformed {
                what: "VRF public key",
                reason: "the identity is not a key".into(),
            })
        } else {
            Err(DecodeError::Point)
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks a proof and gives the index it proves.
    ///
    /// # Errors
    /// [`VerifyError`] when the proof is malformed or of another key or input.
    pub fn verify(&self, input: &VrfInput, proof: &VrfProof) -> Result<Index, VerifyError> {
        let key = vrf_r255::PublicKey::from_bytes(self.0).ok_or(VerifyError)?;
        let decoded = vrf_r255::Proof::from_bytes(proof.0).ok_or(VerifyError)?;
        let beta = Option::<[u8; 64]>::from(key.verify(&input.0, &decoded)).ok_or(VerifyError)?;
        Ok(Index::from_beta(&beta))
    }
}

impl fmt::Debug for VrfPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VrfPublicKey({})", hex::encode(self.0))
    }
}

impl BorshDeserialize for VrfPublicKey {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        Self::from_bytes(&<[u8; 32]>::deserialize_reader(reader)?)
            .map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
    }
}

impl Serialize for VrfPublicKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for VrfPublicKey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let bytes: [u8; 32] = hex::serde::deserialize(d)?;
        Self::from_bytes(&bytes).map_err(serde::de::Error::custom)
    }
}

/// A proof of 80 bytes: Γ, a 128-bit challenge, a response. [`VrfPublicKey::verify`] decodes it.
#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VrfProof(pub [u8; 80]);

impl fmt::Debug for VrfProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VrfProof({}..)", hex::encode(&self.0[..8]))
    }
}

impl Serialize for VrfProof {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for VrfProof {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        hex::serde::deserialize(d).map(Self)
    }
}

/// Where a subject's leaf stands in an agency's tree: the first half of the function's output.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Index(pub [u8; 32]);

impl Index {
    fn from_beta(beta: &[u8; 64]) -> Self {
        let mut index = [0; 32];
        index.copy_from_slice(&beta[..32]);
        Self(index)
    }

    /// RFC 9381's proof-to-hash, from Γ's encoding.
    fn from_gamma(gamma: &[u8; 32]) -> Self {
        let mut hasher = Sha512::new_with_prefix(SUITE);
        hasher.update(PROOF_TO_HASH[0]);
        hasher.update(gamma);
        hasher.update(PROOF_TO_HASH[1]);
        Self::from_beta(&hasher.finalize().into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Index({self})")
    }
}

impl Serialize for Index {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Index {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        hex::serde::deserialize(d).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The suite's own vector (c2sp.org/vrf-r255).
    #[test]
    fn published_vector() {
        let bytes = |text: &str| hex::decode(text).expect("hex");
        let secret = VrfSecretKey::from_bytes(
            &bytes("3431c2b03533e280b23232e280b34e2c3132c2b03238e280b23131e280b34500")
                .try_into()
                .expect("32 bytes"),
        )
        .expect("valid");
        assert_eq!(
            hex::encode(secret.public().as_bytes()),
            "54136cd90d99fbd1d4e855d9556efea87ba0337f2a6ce22028d0f5726fcb854e"
        );
        let input = VrfInput(bytes("633273702e6f72672f7672662d72323535"));
        let index = "dd653f0879b48c3ef69e13551239bec4cbcc1c18fe8894de2e9e1c790e182736";
        let (proven, proof) = secret.evaluate(&input);
        assert_eq!(proven.to_string(), index);
        assert_eq!(secret.index(&input).to_string(), index);
        assert_eq!(
            hex::encode(proof.0),
            "0a97d961262fb549b4175c5117860f42ae44a123f93c476c439eddd1c0cff9265c805525233e2284dbed45e593b8eea31d5ca9734d72bcbba9738d5237f955f3b2422351149d1312503b6441a47c940c"
        );
    }
}
