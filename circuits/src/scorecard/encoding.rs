//! Field elements and points of BN254 as canonical bytes (spec: `circuits/spec/scorecard.md`,
//! heading "Encoding").

use std::io::{Error, ErrorKind, Read, Write};

use ark_bn254::{Bn254, Fr};
use ark_ec::AffineRepr;
use ark_ff::{BigInteger, PrimeField};
use ark_groth16::Proof;
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use borsh::{BorshDeserialize, BorshSerialize};

/// Bytes of a compressed Groth16 proof: 32 for A, 64 for B, 32 for C.
pub(super) const PROOF_BYTES: usize = 128;

/// 32 little-endian bytes of a field element.
pub(crate) fn fr_bytes(x: &Fr) -> [u8; 32] {
    let bytes = x.into_bigint().to_bytes_le();
    bytes.try_into().expect("four words are 32 bytes")
}

/// A field element; nothing when the bytes are not reduced.
pub(super) fn fr_from_bytes(bytes: &[u8; 32]) -> Option<Fr> {
    let mut words = [0u64; 4];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
    }
    // `from_bigint` is the canonical conversion: nothing at or above the modulus.
    Fr::from_bigint(ark_ff::BigInt::new(words))
}

/// A field element on the wire. Only reduced elements decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrBytes(pub(crate) Fr);

impl BorshSerialize for FrBytes {
    fn serialize<W: Write>(&self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(&fr_bytes(&self.0))
    }
}

impl BorshDeserialize for FrBytes {
    fn deserialize_reader<R: Read>(reader: &mut R) -> std::io::Result<Self> {
        fr_from_bytes(&<[u8; 32]>::deserialize_reader(reader)?)
            .map(Self)
            .ok_or_else(|| Error::new(ErrorKind::InvalidData, "element is not reduced modulo p"))
    }
}

/// A Groth16 proof on the wire: compressed points, each on its curve, in its group and not the
/// identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GrothBytes(pub(super) [u8; PROOF_BYTES]);

impl GrothBytes {
    pub(super) fn new(proof: &Proof<Bn254>) -> Self {
        let mut bytes = [0; PROOF_BYTES];
        proof
            .serialize_compressed(&mut bytes[..])
            .expect("128 bytes hold a proof");
        Self(bytes)
    }

    /// Decodes the points.
    pub(super) fn decode(&self) -> Option<Proof<Bn254>> {
        let proof = Proof::<Bn254>::deserialize_compressed(&self.0[..]).ok()?;
        let identity = proof.a.is_zero() || proof.b.is_zero() || proof.c.is_zero();
        // Encoding again refuses whatever second encoding of a point a decoder may take.
        (!identity && Self::new(&proof) == *self).then_some(proof)
    }
}
