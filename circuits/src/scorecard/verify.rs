//! The lender's side (spec: `circuits/spec/scorecard.md`, heading "Verify"): one pairing product and
//! one multi-scalar multiplication, for one proof or for many.

use ark_bn254::{Bn254, Fr, G1Affine, G1Projective};
use ark_ec::pairing::{MillerLoopOutput, Pairing};
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::{AdditiveGroup, Field};
use ark_groth16::{PreparedVerifyingKey, Proof};
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use merlin::Transcript;
use rand_core::{CryptoRng, RngCore};
use rayon::prelude::*;

use super::keys::VerifyingKey;
use super::link::{self, Commitment};
use super::relation::{CLAIM_INPUTS, Public};
use super::statement::{ScoreProof, ScoreStatement, draw_weights};
use crate::encoding::Digest32;
use crate::error::VerifyError;
use crate::fact::pedersen;

/// Where pairings end.
type Gt = <Bn254 as Pairing>::TargetField;

/// Pairs of one Miller loop of a batch.
const PAIRS: usize = 8;

/// Verifies one proof.
///
/// # Errors
/// [`VerifyError`] when the statement is not proven.
pub fn verify<R: RngCore + CryptoRng>(
    key: &VerifyingKey,
    statement: &ScoreStatement<'_>,
    proof: &ScoreProof,
    rng: &mut R,
) -> Result<(), VerifyError> {
    verify_batch(key, &[(*statement, proof)], rng)
}

/// Verifies proofs under one key together, over any cards. An empty list verifies.
///
/// # Errors
/// [`VerifyError`] when any statement is not proven; [`verify`] tells which.
pub fn verify_batch<R: RngCore + CryptoRng>(
    key: &VerifyingKey,
    items: &[(ScoreStatement<'_>, &ScoreProof)],
    rng: &mut R,
) -> Result<(), VerifyError> {
    // `2^w <= z`; `z < 2^248` by its length.
    if items.iter().any(|(_, proof)| !link::in_range(&proof.z)) {
        return Err(VerifyError);
    }
    // Decoding a proof's points costs as much as its Miller loop.
    let checked = items
        .par_iter()
        .map(|(statement, proof)| Checked::new(key, statement, proof))
        .collect::<Result<Vec<_>, _>>()?;
    equations(key, &checked, rng)
}

/// Both equations of every item.
fn equations<R: RngCore + CryptoRng>(
    key: &VerifyingKey,
    checked: &[Checked<'_>],
    rng: &mut R,
) -> Result<(), VerifyError> {
    if checked.is_empty() {
        return Ok(());
    }
    // The weights depend on all of every statement and proof, and on the verifier's randomness.
    let mut all = Transcript::new(b"zkbureau/scorecard/batch");
    for item in checked {
        all.append_message(b"item", &item.summary);
    }
    let mut weights = all.build_rng().finalize(rng);
    let mut draw = |_| {
        let mut bytes = [0; 16];
        weights.fill_bytes(&mut bytes);
        // Never 0: an item of weight 0 would not be checked.
        u128::from_le_bytes(bytes).max(1)
    };
    let rhos: Vec<u128> = match checked.len() {
        1 => vec![1],
        n => (0..n).map(&mut draw).collect(),
    };
    let links: Vec<u128> = match checked.len() {
        1 => vec![1],
        n => (0..n).map(&mut draw).collect(),
    };
    let hold = rayon::join(
        || links_hold(checked, &links),
        || pairings_hold(key, checked, &rhos),
    );
    if hold == (true, true) {
        Ok(())
    } else {
        Err(VerifyError)
    }
}

/// An item whose counts and encodings are right, with its weights.
struct Checked<'a> {
    card: &'a super::PreparedCard,
    public: Public,
    groth: Proof<Bn254>,
    commitments: &'a [Commitment],
    mask: RistrettoPoint,
    z: Scalar,
    s: Scalar,
    summary: Digest32,
}

impl<'a> Checked<'a> {
    fn new(
        key: &VerifyingKey,
        statement: &ScoreStatement<'a>,
        proof: &ScoreProof,
    ) -> Result<Self, VerifyError> {
        // A card prepared for another key has another commitment to its table.
        if statement.card.key() != key.hash() {
            return Err(VerifyError);
        }
        let bounds = statement.bounds().ok_or(VerifyError)?;
        let mask = proof.mask.decode().map_err(|_| VerifyError)?;
        let groth = proof.groth.decode().ok_or(VerifyError)?;
        let mut t = statement.absorb(&proof.commitment.0, &proof.mask);
        let weights = draw_weights(&mut t, statement.commitments.len());
        let z = link::as_fr(&proof.z);
        let public = statement.public(bounds, proof.commitment.0, z, weights);
        t.append_message(b"groth", &proof.groth.0);
        t.append_message(b"z", &proof.z);
        t.append_message(b"s", proof.s.as_bytes());
        let mut summary = [0; 32];
        t.challenge_bytes(b"summary", &mut summary);
        Ok(Self {
            card: statement.card,
            public,
            groth,
            commitments: statement.commitments,
            mask,
            z: link::as_scalar(&proof.z),
            s: proof.s,
            summary,
        })
    }
}

/// `Σ ω·(z·P + s·P' - K - Σ c·C) = 0`.
fn links_hold(items: &[Checked<'_>], omegas: &[u128]) -> bool {
    let (mut value, mut blinding) = (Scalar::ZERO, Scalar::ZERO);
    let (mut scalars, mut points) = (Vec::new(), Vec::new());
    for (item, omega) in items.iter().zip(omegas) {
        let omega = Scalar::from(*omega);
        value += omega * item.z;
        blinding += omega * item.s;
        scalars.push(-omega);
        points.push(item.mask);
        for (c, point) in item.public.weights.iter().zip(item.commitments) {
            scalars.push(-omega * Scalar::from(*c));
            points.push(*point.point());
        }
    }
    let pair = pedersen::pair();
    scalars.extend([value, blinding]);
    points.extend([pair.B, pair.B_blinding]);
    RistrettoPoint::vartime_multiscalar_mul(scalars, points).is_identity()
}

/// `Π e(ρ·A, B) = e(Σ ρ·α, β)·e(Σ ρ·inputs, γ)·e(Σ ρ·C, δ)`.
fn pairings_hold(key: &VerifyingKey, items: &[Checked<'_>], rhos: &[u128]) -> bool {
    let prepared = key.prepared();
    let rhos: Vec<Fr> = rhos.iter().map(|r| Fr::from(*r)).collect();
    let inputs = committed_inputs(key, items, &rhos);
    if let [item] = items {
        return one_pairing(prepared, &item.groth, inputs);
    }
    // A prepared point of G2 has 17 KiB: a few at a time stay in the cache.
    let proofs = items.par_chunks(PAIRS).zip(rhos.par_chunks(PAIRS));
    let products = proofs.map(|(items, rhos)| {
        let left: Vec<G1Projective> = (items.iter().zip(rhos))
            .map(|(item, rho)| item.groth.a * rho)
            .collect();
        let right = items.iter().map(|item| item.groth.b);
        Bn254::multi_miller_loop(G1Projective::normalize_batch(&left), right).0
    });
    let product: Gt = products.product();
    let c: Vec<G1Affine> = items.iter().map(|item| item.groth.c).collect();
    let sum: Fr = rhos.iter().sum();
    let left = [
        -(prepared.vk.alpha_g1 * sum),
        inputs,
        G1Projective::msm_unchecked(&c, &rhos),
    ];
    let right = [
        prepared.vk.beta_g2.into(),
        prepared.gamma_g2_neg_pc.clone(),
        prepared.delta_g2_neg_pc.clone(),
    ];
    let rest = Bn254::multi_miller_loop(G1Projective::normalize_batch(&left), right).0;
    Bn254::final_exponentiation(MillerLoopOutput(product * rest)).is_some_and(|x| x.0 == Gt::ONE)
}

/// One proof alone: three Miller loops, with `e(α, β)` computed when the key was loaded.
fn one_pairing(
    prepared: &PreparedVerifyingKey<Bn254>,
    proof: &Proof<Bn254>,
    inputs: G1Projective,
) -> bool {
    let product = Bn254::multi_miller_loop(
        [proof.a, inputs.into_affine(), proof.c],
        [
            proof.b.into(),
            prepared.gamma_g2_neg_pc.clone(),
            prepared.delta_g2_neg_pc.clone(),
        ],
    );
    Bn254::final_exponentiation(product).is_some_and(|x| x.0 == prepared.alpha_g1_beta_g2)
}

/// `Σ ρ·(base of 1 + Σ input·base)`: the claims' inputs in one multi-scalar multiplication, the
/// tables' parts as the cards have them. The number of inputs is the circuit's: arkworks would take
/// any (spec: heading "Verify").
fn committed_inputs(key: &VerifyingKey, items: &[Checked<'_>], rhos: &[Fr]) -> G1Projective {
    let mut scalars = [Fr::ZERO; CLAIM_INPUTS + 1];
    let mut cards: Vec<(&super::PreparedCard, Fr)> = Vec::new();
    for (item, rho) in items.iter().zip(rhos) {
        scalars[0] += rho;
        let inputs = item.public.claim_inputs();
        assert_eq!(inputs.len(), CLAIM_INPUTS, "one input per base");
        for (sum, input) in scalars[1..].iter_mut().zip(inputs) {
            *sum += *rho * input;
        }
        match cards.iter_mut().find(|(c, _)| std::ptr::eq(*c, item.card)) {
            Some((_, sum)) => *sum += rho,
            None => cards.push((item.card, *rho)),
        }
    }
    let claims = G1Projective::msm_unchecked(&key.bases()[..=CLAIM_INPUTS], &scalars);
    let tables = cards.into_iter().map(|(card, sum)| {
        if sum == Fr::ONE {
            card.commitment
        } else {
            card.commitment * sum
        }
    });
    claims + tables.sum::<G1Projective>()
}

/// Whether a proof satisfies the link's equation, and Groth16's, apart from the range of `z`: attack
/// tests show with it which check stops them.
#[cfg(test)]
pub(super) fn which_hold(
    key: &VerifyingKey,
    statement: &ScoreStatement<'_>,
    proof: &ScoreProof,
) -> (bool, bool) {
    let items = [Checked::new(key, statement, proof).expect("well formed")];
    (links_hold(&items, &[1]), pairings_hold(key, &items, &[1]))
}
