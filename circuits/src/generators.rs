//! Generators: each is its own hash-to-group of a domain string, so that nobody knows a relation
//! between any two (spec: `circuits/spec/commitment.md`; RFC 9496, one-way map of SHA-512 output).

use curve25519_dalek::ristretto::RistrettoPoint;
use sha2::{Digest, Sha512};
use zkbureau_params::domain;

use crate::schema::{Attribute, Class};

/// Hashes a domain string and length-prefixed parts to a group element.
#[must_use]
pub fn hash_to_group(domain: &str, parts: &[&[u8]]) -> RistrettoPoint {
    let mut hasher = Sha512::new();
    hasher.update((domain.len() as u64).to_le_bytes());
    hasher.update(domain.as_bytes());
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    RistrettoPoint::from_uniform_bytes(&hasher.finalize().into())
}

/// `H`, which carries blindings.
#[must_use]
pub fn blinding() -> RistrettoPoint {
    hash_to_group(domain::GENERATOR_BLINDING, &[])
}

/// `G`, which carries scalars inside proofs.
#[must_use]
pub fn scalar() -> RistrettoPoint {
    hash_to_group(domain::GENERATOR_SCALAR, &[])
}

/// `G[a]`, bound to name, class, min and unit.
#[must_use]
pub fn attribute(a: &Attribute) -> RistrettoPoint {
    let class = match a.class {
        Class::Stock => 0u8,
        Class::Flow => 1,
    };
    hash_to_group(
        domain::GENERATOR_ATTRIBUTE,
        &[
            a.name.as_bytes(),
            &[class],
            &a.min.to_le_bytes(),
            a.unit.as_bytes(),
        ],
    )
}

/// `Bit[s, a, l]` for slot `s` of a row, position `a` in the schema, bit `l`.
#[must_use]
pub fn bit(slot: u32, attribute: u32, bit: u32) -> RistrettoPoint {
    hash_to_group(
        domain::GENERATOR_BIT,
        &[
            &slot.to_le_bytes(),
            &attribute.to_le_bytes(),
            &bit.to_le_bytes(),
        ],
    )
}
