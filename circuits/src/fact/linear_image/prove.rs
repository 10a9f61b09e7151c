//! The agency's side (spec: `circuits/spec/linear_image.md`, heading "Prove"). Whatever touches a
//! value, a mask or a blinding runs in constant time; weights and counts are public.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, MultiscalarMul};
use merlin::{Transcript, TranscriptRng};
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::statement::{self, Images, LinearImageProof, Statement};
use crate::commitment::{CommitmentKey, Opening};
use crate::encoding::{Digest32, PointBytes};
use crate::error::ProveError;
use crate::fact::agency_plan::{AgencyPlan, Form};
use crate::fact::pedersen::{self, FormOpening, signed};
use crate::fact::{MAX_FORMS, MAX_SOURCES};
use crate::transcript::TranscriptExt;

/// Makes the images of a plan's forms, their proof, and the openings for the wallet.
///
/// `openings` has one opening per source, in order.
///
/// # Errors
/// [`ProveError`] when the openings do not open the sources, or the plan has no forms.
pub fn prove<R: RngCore + CryptoRng>(
    key: &CommitmentKey,
    context: &Digest32,
    plan: &AgencyPlan,
    openings: &[Opening],
    rng: &mut R,
) -> Result<(Images, Vec<FormOpening>), ProveError> {
    check(key, plan, openings)?;
    let transcript = statement::absorb_map(context, plan);
    let mut blindings = prover_rng(&transcript, openings, &[], rng);
    let form_openings = plan
        .forms()
        .iter()
        .map(|form| {
            Ok(FormOpening {
                value: value(form, openings)?,
                blinding: Scalar::random(&mut blindings),
            })
        })
        .collect::<Result<Vec<_>, ProveError>>()?;
    let points: Vec<PointBytes> = form_openings
        .iter()
        .map(|o| PointBytes::from(pedersen::commit(&signed(o.value), &o.blinding)))
        .collect();
    let statement = Statement {
        context,
        plan,
        images: &points,
    };
    let proof = prove_unchecked(key, &statement, openings, &form_openings, rng);
    Ok((Images { points, proof }, form_openings))
}

/// Checks that the openings open the sources.
fn check(key: &CommitmentKey, plan: &AgencyPlan, openings: &[Opening]) -> Result<(), ProveError> {
    if key.schema().digest() != *plan.schema() {
        return Err(ProveError::Unsatisfied("the plan is of another schema"));
    }
    for (what, max, got, min) in [
        ("forms", MAX_FORMS, plan.forms().len(), 1),
        ("sources", MAX_SOURCES, plan.sources().len(), 0),
    ] {
        if !(min..=max).contains(&got) {
            return Err(ProveError::Size {
                what,
                min,
                max,
                got,
            });
        }
    }
    if openings.len() != plan.sources().len() {
        return Err(ProveError::Length {
            what: "openings",
            expected: plan.sources().len(),
            got: openings.len(),
        });
    }
    for (source, opening) in plan.sources().iter().zip(openings) {
        if key.commit(source.class(), opening)? != *source.point() {
            return Err(ProveError::Unsatisfied(
                "an opening does not open its published commitment",
            ));
        }
    }
    Ok(())
}

/// `Σ w·x`.
fn value(form: &Form, openings: &[Opening]) -> Result<i64, ProveError> {
    let sum = form.weights().iter().try_fold(0i128, |sum, w| {
        let x = openings[w.source as usize].x[w.place as usize];
        sum.checked_add(i128::from(w.weight) * i128::from(x))
    });
    sum.and_then(|v| i64::try_from(v).ok())
        .ok_or(ProveError::Unsatisfied("a form leaves 63 bits"))
}

/// `Σ w·t` over masks of the sources' values.
pub(super) fn apply(form: &Form, values: &[&[Scalar]]) -> Scalar {
    let term =
        |w: &crate::fact::Weight| signed(w.weight) * values[w.source as usize][w.place as usize];
    form.weights().iter().map(term).sum()
}

/// Randomness keyed with the transcript, all openings and the caller's randomness.
fn prover_rng<R: RngCore + CryptoRng>(
    transcript: &Transcript,
    openings: &[Opening],
    form_openings: &[FormOpening],
    rng: &mut R,
) -> TranscriptRng {
    let mut builder = transcript.build_rng();
    for opening in openings {
        let mut bytes = Zeroizing::new(Vec::with_capacity(8 * opening.x.len()));
        for x in &opening.x {
            bytes.extend(x.to_le_bytes());
        }
        builder = builder
            .rekey_with_witness_bytes(b"x", &bytes)
            .rekey_with_witness_bytes(b"r", opening.blinding.as_bytes());
    }
    for opening in form_openings {
        builder = builder.rekey_with_witness_bytes(b"s", opening.blinding.as_bytes());
    }
    builder.finalize(rng)
}

/// Proves without looking: what a cheating agency would run.
pub(super) fn prove_unchecked<R: RngCore + CryptoRng>(
    key: &CommitmentKey,
    statement: &Statement<'_>,
    openings: &[Opening],
    form_openings: &[FormOpening],
    rng: &mut R,
) -> LinearImageProof {
    let plan = statement.plan;
    let mut transcript = statement.absorb();
    let mut nonces = prover_rng(&transcript, openings, form_openings, rng);
    let mut draw = |count: usize| -> Zeroizing<Vec<Scalar>> {
        Zeroizing::new((0..count).map(|_| Scalar::random(&mut nonces)).collect())
    };
    // Per source t_m, then ρ_m, at the end σ: the order of responses.
    let masks: Vec<Zeroizing<Vec<Scalar>>> = openings.iter().map(|o| draw(o.x.len() + 1)).collect();
    let sigmas = draw(plan.forms().len());

    let mut announcements = Vec::with_capacity(plan.sources().len() + plan.forms().len());
    for (source, mask) in plan.sources().iter().zip(&masks) {
        let (rho, t) = mask.split_last().expect("one more than values");
        let generators = key.class_generators(source.class());
        let values = if t.is_empty() {
            RistrettoPoint::identity()
        } else {
            RistrettoPoint::multiscalar_mul(t, generators)
        };
        announcements.push(PointBytes::from(values + key.blind(rho)));
    }
    let slices: Vec<&[Scalar]> = masks.iter().map(|m| m.as_slice()).collect();
    for (form, sigma) in plan.forms().iter().zip(sigmas.iter()) {
        let mask = Zeroizing::new(apply(form, &slices));
        announcements.push(PointBytes::from(pedersen::commit(&mask, sigma)));
    }
    transcript.append_points(b"T", &announcements);
    let e = transcript.challenge_scalar(b"e");

    let mut responses = Vec::new();
    for (mask, opening) in masks.iter().zip(openings) {
        let (rho, t) = mask.split_last().expect("one more than values");
        responses.extend(
            t.iter()
                .zip(&opening.x)
                .map(|(t, x)| t + e * Scalar::from(*x)),
        );
        responses.push(rho + e * opening.blinding);
    }
    for (sigma, opening) in sigmas.iter().zip(form_openings) {
        responses.push(sigma + e * opening.blinding);
    }
    LinearImageProof {
        announcements,
        responses,
    }
}
