//! The wallet's side (spec: `circuits/spec/scorecard.md`, heading "Prove").

use ark_bn254::{Bn254, Fr};
use ark_ff::UniformRand;
use ark_groth16::Groth16;
use curve25519_dalek::scalar::Scalar;
use merlin::TranscriptRng;
use rand_core::{CryptoRng, RngCore};
use zeroize::{Zeroize, Zeroizing};

use super::MAX_VARIABLES;
use super::claim::Reasons;
use super::encoding::{FrBytes, GrothBytes};
use super::keys::{ProvingKey, shape};
use super::link::{self, ValueOpening, Z_BYTES};
use super::relation::{self, INPUTS, NO_REASONS_BAR, RANKS, Witness};
use super::statement::{ScoreProof, ScoreStatement, draw_weights};
use super::verify::verify;
use crate::encoding::PointBytes;
use crate::error::ProveError;
use crate::fact::pedersen;

/// Attempts at a `z` in range. One fails with a chance of 2^-75.
const ATTEMPTS: usize = 16;

/// Proves that the values behind the commitments score as claimed. `openings` has one opening per
/// commitment, in order.
///
/// Multi-scalar multiplications run on the current rayon pool. To make many proofs at once, give
/// each a pool of one thread instead of calling this from a parallel iterator.
///
/// # Errors
/// [`ProveError`] when an opening does not open its commitment, the claim does not hold, the
/// reasons are not the largest shortfalls, or the proof does not verify because the key is broken.
pub fn prove<R: RngCore + CryptoRng>(
    key: &ProvingKey,
    statement: &ScoreStatement<'_>,
    openings: &[ValueOpening],
    rng: &mut R,
) -> Result<ScoreProof, ProveError> {
    let bar = check(key, statement, openings)?;
    let mut values = Zeroizing::new([0; MAX_VARIABLES]);
    for (v, o) in values.iter_mut().zip(openings) {
        *v = o.value;
    }
    let mut nonces = prover_rng(statement, openings, rng);
    for _ in 0..ATTEMPTS {
        let secrets = Secrets::draw(&mut nonces);
        let made = attempt(
            key,
            statement,
            openings,
            &values,
            bar,
            &secrets,
            &mut nonces,
        )?;
        if let Some(proof) = made {
            // A proof that a wrong key made could tell its sender about the witness.
            verify(key.verifying(), statement, &proof, rng).map_err(|_| ProveError::Key)?;
            return Ok(proof);
        }
    }
    Err(ProveError::Unsatisfied(
        "the random numbers repeat themselves",
    ))
}

/// What hides the values.
pub(super) struct Secrets {
    pub(super) k: Zeroizing<[u8; Z_BYTES]>,
    pub(super) t: Zeroizing<Scalar>,
    pub(super) r: Fr,
}

impl Secrets {
    pub(super) fn draw<R: RngCore + CryptoRng>(rng: &mut R) -> Self {
        Self {
            k: link::draw_k(rng),
            t: Zeroizing::new(Scalar::random(rng)),
            r: Fr::rand(rng),
        }
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        self.r.zeroize();
    }
}

/// One attempt: nothing when `z` is out of its range.
fn attempt<R: RngCore + CryptoRng>(
    key: &ProvingKey,
    statement: &ScoreStatement<'_>,
    openings: &[ValueOpening],
    values: &[u64; MAX_VARIABLES],
    bar: u64,
    secrets: &Secrets,
    nonces: &mut R,
) -> Result<Option<ScoreProof>, ProveError> {
    let k = link::as_fr(&secrets.k);
    let commitment = relation::commitment(values, k, secrets.r);
    let mask = PointBytes::from(pedersen::commit(&link::as_scalar(&secrets.k), &secrets.t));
    let mut t = statement.absorb(&commitment, &mask);
    let weights = draw_weights(&mut t, openings.len());
    let Some(z) = link::answer(&secrets.k, &weights, values) else {
        return Ok(None);
    };
    let blindings = (weights.iter().zip(openings)).map(|(c, o)| Scalar::from(*c) * o.blinding);
    let s = *secrets.t + blindings.sum::<Scalar>();
    let bounds = statement.bounds().ok_or(UNPROVABLE)?;
    let public = statement.public(bounds, commitment, link::as_fr(&z), weights);
    let mut witness = Witness {
        values: *values,
        k,
        r: secrets.r,
        bar,
    };
    let assignment = relation::assignment(&statement.card.table, &public, &witness);
    witness.zeroize();
    let groth = prove_assignment(key, assignment.map_err(|_| UNPROVABLE)?, nonces)?;
    Ok(Some(ScoreProof {
        groth,
        commitment: FrBytes(commitment),
        mask,
        z,
        s,
    }))
}

const UNPROVABLE: ProveError = ProveError::Unsatisfied("the claim holds for no score of this card");

/// The Groth16 proof of a full assignment, whether it satisfies the constraints or not.
pub(super) fn prove_assignment<R: RngCore + CryptoRng>(
    key: &ProvingKey,
    mut assignment: Vec<Fr>,
    rng: &mut R,
) -> Result<GrothBytes, ProveError> {
    let shape = shape();
    let (mut r, mut s) = (Fr::rand(rng), Fr::rand(rng));
    let proof = Groth16::<Bn254>::create_proof_with_reduction_and_matrices(
        &key.inner,
        r,
        s,
        &shape.matrices,
        INPUTS + 1,
        shape.constraints,
        &assignment,
    );
    assignment.zeroize();
    r.zeroize();
    s.zeroize();
    let proof = proof.map_err(|_| ProveError::Unsatisfied("the circuit has no domain"))?;
    Ok(GrothBytes::new(&proof))
}

/// Checks that the statement holds for the openings; gives the bar between reasons and others.
fn check(
    key: &ProvingKey,
    statement: &ScoreStatement<'_>,
    openings: &[ValueOpening],
) -> Result<u64, ProveError> {
    if statement.card.key() != key.verifying().hash() {
        return Err(ProveError::Unsatisfied(
            "the card is prepared for another key",
        ));
    }
    let card = statement.card.card();
    let variables = card.variables();
    for (what, got) in [
        ("commitments", statement.commitments.len()),
        ("openings", openings.len()),
    ] {
        if got != variables.len() {
            return Err(ProveError::Length {
                what,
                expected: variables.len(),
                got,
            });
        }
    }
    if statement.bounds().is_none() {
        return Err(UNPROVABLE);
    }
    let mut values = Zeroizing::new(Vec::with_capacity(variables.len()));
    for ((v, o), c) in variables.iter().zip(openings).zip(statement.commitments) {
        if o.commit() != *c {
            return Err(ProveError::Unsatisfied(
                "an opening does not open its commitment",
            ));
        }
        // No bin takes a value that leaves the range; `evaluate` says so.
        values.push(v.low().saturating_add_unsigned(o.value));
    }
    let score =
        (card.evaluate(&values)).map_err(|_| ProveError::Unsatisfied("no bin takes a value"))?;
    if !statement.claim.holds(score.score()) {
        return Err(ProveError::Unsatisfied("the score is not as claimed"));
    }
    let Some(Reasons { most, set }) = statement.reasons else {
        return Ok(NO_REASONS_BAR);
    };
    if score.reasons(most) != set {
        return Err(ProveError::Unsatisfied(
            "the reasons are not the largest shortfalls",
        ));
    }
    if set.count() < u32::from(most) {
        return Ok(0);
    }
    let place = |a: usize| score.shortfalls()[a] * RANKS + RANKS - 1 - a as u64;
    let lowest = set.indices().map(place).min();
    Ok(lowest.map_or(0, |place| place - RANKS))
}

/// Randomness keyed with the statement, all openings and the caller's randomness.
fn prover_rng<R: RngCore + CryptoRng>(
    statement: &ScoreStatement<'_>,
    openings: &[ValueOpening],
    rng: &mut R,
) -> TranscriptRng {
    let mut builder = statement.absorb_statement().build_rng();
    for o in openings {
        builder = builder
            .rekey_with_witness_bytes(b"v", &*Zeroizing::new(o.value.to_le_bytes()))
            .rekey_with_witness_bytes(b"rho", o.blinding.as_bytes());
    }
    builder.finalize(rng)
}

impl Witness {
    fn zeroize(&mut self) {
        self.values.zeroize();
        self.k.zeroize();
        self.r.zeroize();
        self.bar.zeroize();
    }
}

/// The circuit with an instance, and its public inputs, for arkworks' own prover and verifier, with
/// which benches compare. For statements without reasons.
///
/// # Errors
/// [`ProveError::Unsatisfied`] when the claim holds for no score of the card, or reasons are shown.
pub fn arkworks_instance<R: RngCore + CryptoRng>(
    statement: &ScoreStatement<'_>,
    openings: &[ValueOpening],
    rng: &mut R,
) -> Result<(relation::ScorecardCircuit, Vec<Fr>), ProveError> {
    if statement.reasons.is_some() {
        return Err(ProveError::Unsatisfied("reasons are shown"));
    }
    let secrets = Secrets::draw(rng);
    let mut values = [0; MAX_VARIABLES];
    for (v, o) in values.iter_mut().zip(openings) {
        *v = o.value;
    }
    let k = link::as_fr(&secrets.k);
    let commitment = relation::commitment(&values, k, secrets.r);
    let mask = PointBytes::from(pedersen::commit(&link::as_scalar(&secrets.k), &secrets.t));
    let weights = draw_weights(&mut statement.absorb(&commitment, &mask), openings.len());
    let z = link::answer(&secrets.k, &weights, &values).ok_or(UNPROVABLE)?;
    let bounds = statement.bounds().ok_or(UNPROVABLE)?;
    let public = statement.public(bounds, commitment, link::as_fr(&z), weights);
    let mut inputs = public.claim_inputs();
    inputs.extend(statement.card.table.inputs());
    let instance = relation::Instance {
        table: statement.card.table.clone(),
        public,
        witness: Witness {
            values,
            k,
            r: secrets.r,
            bar: NO_REASONS_BAR,
        },
    };
    let circuit = relation::ScorecardCircuit {
        instance: Some(Box::new(instance)),
    };
    Ok((circuit, inputs))
}
