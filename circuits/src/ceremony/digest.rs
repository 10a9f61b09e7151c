//! Digests of vectors of points: what contributors sign, what phase 2 starts from, and a key's queries
//! against them (spec: `params/spec/ceremony.md`, heading "Minutes").

use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::pairing::Pairing;
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
use ark_groth16::ProvingKey;
use borsh::{BorshDeserialize, BorshSerialize};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use zkbureau_params::domain;

use super::minutes::PhaseTwo;
use super::points::{G1Bytes, G2Bytes};
use super::refused::{Flaw, Refused, Step};
use crate::encoding::{Digest32, hash_parts};

/// Digest of a state of the ceremony.
#[must_use]
pub fn state_digest(what: &[u8], bytes: &[u8]) -> Digest32 {
    hash_parts(domain::CEREMONY_STATE, &[what, bytes])
}

/// Digest of what phase 2 changes.
#[must_use]
pub fn queries_digest(delta: &G2Affine, h: &[G1Affine], l: &[G1Affine]) -> Digest32 {
    let mut bytes = G2Bytes::from(*delta).0.to_vec();
    append(&[h, l], &mut bytes);
    state_digest(b"queries", &bytes)
}

/// What phase 2 starts from: three digests, so that a loader can check the parts that do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Start {
    /// Of the bases of the public inputs.
    pub inputs: Digest32,
    /// Of the queries A and B in G1.
    pub fixed: Digest32,
    /// Of what phase 2 changes, with delta = 1.
    pub queries: Digest32,
}

impl Start {
    /// The digests of the circuit's queries with delta = 1.
    #[must_use]
    pub fn of(inputs: &[G1Affine], [a, b]: [&[G1Affine]; 2], [h, l]: [&[G1Affine]; 2]) -> Self {
        Self {
            inputs: inputs_digest(inputs),
            fixed: fixed_digest(a, b),
            queries: queries_digest(&G2Affine::generator(), h, l),
        }
    }
}

fn inputs_digest(inputs: &[G1Affine]) -> Digest32 {
    let mut bytes = Vec::new();
    append(&[inputs], &mut bytes);
    state_digest(b"inputs", &bytes)
}

/// A and B may hold the identity, for variables that are not on that side; arkworks encodes it.
fn fixed_digest(a: &[G1Affine], b: &[G1Affine]) -> Digest32 {
    let mut bytes = Vec::new();
    append(&[a, b], &mut bytes);
    state_digest(b"fixed", &bytes)
}

fn append(vectors: &[&[G1Affine]], out: &mut Vec<u8>) {
    for point in vectors.iter().copied().flatten() {
        out.extend(G1Bytes::from(*point).0);
    }
}

impl PhaseTwo {
    /// Checks that the bases of public inputs are those that phase 2 started from.
    ///
    /// # Errors
    /// [`Refused`] at [`Step::Key`].
    pub fn check_inputs(&self, bases: &[G1Affine]) -> Result<(), Refused> {
        part(
            "the bases of public inputs",
            inputs_digest(bases) == self.start.inputs,
        )
    }

    /// Checks that a key's queries are those that phase 2 started from and ended with. That they are the
    /// circuit's, only the whole transcript can tell.
    ///
    /// # Errors
    /// [`Refused`] at [`Step::Key`], naming the query.
    pub fn check_queries(&self, key: &ProvingKey<Bn254>) -> Result<(), Refused> {
        let fixed = fixed_digest(&key.a_query, &key.b_g1_query);
        part("query A or B in G1", fixed == self.start.fixed)?;
        part(
            "query B in G2",
            same_in_both(&key.b_g1_query, &key.b_g2_query),
        )?;
        let ended = queries_digest(&key.vk.delta_g2, &key.h_query, &key.l_query);
        let signed = self.contributions.last().map(|last| last.state);
        part("query H or L", Some(ended) == signed)
    }
}

fn part(what: &'static str, same: bool) -> Result<(), Refused> {
    if same {
        Ok(())
    } else {
        Err(Flaw::Part(what).at(Step::Key))
    }
}

/// Whether two vectors have the same logarithms, by weights of 128 bits drawn from both: a chance of 2^-127
/// that others pass, however they were chosen.
fn same_in_both(one: &[G1Affine], two: &[G2Affine]) -> bool {
    if one.len() != two.len() {
        return false;
    }
    let mut bytes = Vec::new();
    append(&[one], &mut bytes);
    for point in two {
        bytes.extend(G2Bytes::from(*point).0);
    }
    let mut rng = ChaCha20Rng::from_seed(state_digest(b"both groups", &bytes));
    let weights: Vec<Fr> = (one.iter())
        .map(|_| {
            let mut weight = [0; 16];
            rng.fill_bytes(&mut weight);
            Fr::from(u128::from_le_bytes(weight) | 1)
        })
        .collect();
    let sums = (
        G1Projective::msm(one, &weights),
        G2Projective::msm(two, &weights),
    );
    let (Ok(one), Ok(two)) = sums else {
        return false;
    };
    Bn254::pairing(one.into_affine(), G2Affine::generator())
        == Bn254::pairing(G1Affine::generator(), two.into_affine())
}
