//! The wallet's side (spec: `circuits/spec/verdict.md`, heading "Prove and verify").

use bulletproofs::RangeProof;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use merlin::Transcript;
use rand_core::{CryptoRng, RngCore};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::claims::{self, Claim, Kind, OpenForm};
use super::{RANGE_BITS, Verdict, VerdictProof, generators, parties};
use crate::encoding::{Digest32, PointBytes, ScalarBytes};
use crate::error::ProveError;
use crate::fact::MAX_CLAIMS_PER_PROOF;
use crate::fact::language::Scope;
use crate::fact::pedersen::{self, FormOpening};
use crate::fact::plan::{Outcome, Plan, failing_side};
use crate::ids::AgencyId;
use crate::transcript::TranscriptExt;

/// An agency gave the wallet an opening that does not open its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{agency}: fact {fact}: the opening does not open the image")]
pub struct BadOpening {
    /// The culprit.
    pub agency: AgencyId,
    /// Which fact, from 1.
    pub fact: usize,
}

/// Checks what agencies gave the wallet: one opening per image, each opening its image.
///
/// # Errors
/// [`BadOpening`] names the first agency at fault. A count that differs is reported as the first fact
/// that has no opening or no image.
pub fn check_openings(
    plan: &Plan,
    images: &[&[PointBytes]],
    openings: &[&[FormOpening]],
) -> Result<(), BadOpening> {
    for (i, agency) in plan.agencies().iter().enumerate() {
        let images = images.get(i).copied().unwrap_or_default();
        let openings = openings.get(i).copied().unwrap_or_default();
        for (f, form) in agency.forms().iter().enumerate() {
            let opens = match (images.get(f), openings.get(f)) {
                (Some(image), Some(opening)) => opening.opens(image),
                _ => false,
            };
            if !opens {
                return Err(BadOpening {
                    agency: plan.query().agencies()[i],
                    fact: form.fact() + 1,
                });
            }
        }
    }
    Ok(())
}

/// Opening of a claim.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct ClaimOpening {
    pub(super) value: u64,
    pub(super) blinding: Scalar,
}

/// Decides every fact and proves the decisions.
///
/// `images` and `openings` have one list per listed agency, empty where the agency has no forms; the
/// openings have passed [`check_openings`]. `refused` are the indexes of facts that the wallet declines.
///
/// # Errors
/// [`ProveError`] when counts differ or an opening does not open its image.
pub fn prove_verdicts<R: RngCore + CryptoRng>(
    context: &Digest32,
    plan: &Plan,
    images: &[&[PointBytes]],
    openings: &[&[FormOpening]],
    refused: &[usize],
    rng: &mut R,
) -> Result<(Vec<Verdict>, VerdictProof), ProveError> {
    let decoded = claims::decode_images(plan, images)
        .map_err(|_| ProveError::Unsatisfied("images are not those of the plan"))?;
    if openings.len() != images.len()
        || openings.iter().zip(images).any(|(o, i)| o.len() != i.len())
    {
        return Err(ProveError::Unsatisfied("one opening per image"));
    }
    let verdicts = (0..plan.outcomes().len())
        .map(|fact| {
            if refused.contains(&fact) {
                Ok(Verdict::Refused)
            } else {
                decide(plan, fact, openings, rng)
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    let proof = prove(context, plan, images, &decoded, openings, &verdicts, rng)?;
    Ok((verdicts, proof))
}

/// The verdict that the openings say.
fn decide<R: RngCore>(
    plan: &Plan,
    fact: usize,
    openings: &[&[FormOpening]],
    rng: &mut R,
) -> Result<Verdict, ProveError> {
    if let Outcome::Decided(verdict) = plan.outcomes()[fact] {
        return Ok(verdict);
    }
    let about = &plan.query().facts()[fact];
    let mut failing = Vec::new();
    for form in OpenForm::of(plan, fact) {
        let value = form
            .value(|a, f| openings[a][f].value)
            .ok_or(ProveError::Unsatisfied("a form leaves 63 bits"))?;
        let at = match about.scope() {
            Scope::Total => None,
            Scope::Each => Some(plan.query().agencies()[form.agency()]),
        };
        if let Some(side) = failing_side(about.relation(), value) {
            failing.push(Verdict::False { at, side });
        }
    }
    if failing.is_empty() {
        return Ok(Verdict::True);
    }
    // Any of them, at random: naming the first would say that the ones before it hold.
    let pick = rng.next_u64() % failing.len() as u64;
    Ok(failing[usize::try_from(pick).expect("below a length")])
}

/// Proves given verdicts. Fails if they are not what the openings say.
pub(super) fn prove<R: RngCore + CryptoRng>(
    context: &Digest32,
    plan: &Plan,
    images: &[&[PointBytes]],
    decoded: &[Vec<RistrettoPoint>],
    openings: &[&[FormOpening]],
    verdicts: &[Verdict],
    rng: &mut R,
) -> Result<VerdictProof, ProveError> {
    let claims = claims::claims(plan, verdicts)
        .map_err(|_| ProveError::Unsatisfied("a verdict is not possible under the plan"))?;
    let opened = claims
        .iter()
        .map(|claim| open(claim, openings))
        .collect::<Result<Vec<_>, _>>()?;
    let points: Vec<PointBytes> = claims
        .iter()
        .map(|claim| PointBytes::from(claim.point(decoded)))
        .collect();
    for (point, opening) in points.iter().zip(&opened) {
        let commitment = pedersen::commit(&Scalar::from(opening.value), &opening.blinding);
        if PointBytes::from(commitment) != *point {
            return Err(ProveError::Unsatisfied(
                "an opening does not open its image",
            ));
        }
    }
    let transcript = claims::absorb(context, plan, images, verdicts, &claims, &points);
    prove_claims(transcript, &claims, &opened, openings, rng)
}

/// Proves claims, given the transcript that holds everything public.
pub(super) fn prove_claims<R: RngCore + CryptoRng>(
    mut t: Transcript,
    claims: &[Claim],
    opened: &[ClaimOpening],
    openings: &[&[FormOpening]],
    rng: &mut R,
) -> Result<VerdictProof, ProveError> {
    let mut builder = t.build_rng();
    for opening in openings.iter().flat_map(|o| o.iter()) {
        builder = builder
            .rekey_with_witness_bytes(b"v", &Zeroizing::new(opening.value.to_le_bytes())[..])
            .rekey_with_witness_bytes(b"s", opening.blinding.as_bytes());
    }
    let mut nonces = builder.finalize(rng);

    let of = |kind| {
        claims
            .iter()
            .zip(opened)
            .filter(move |(c, _)| c.kind == kind)
    };
    let weights = claims::zero_weights(&mut t, claims);
    let zero = (!weights.is_empty()).then(|| {
        let mask = Zeroizing::new(Scalar::random(&mut nonces));
        let announcement = PointBytes::from(pedersen::times_blinding(&mask));
        t.append_point(b"T", &announcement);
        let e = t.challenge_scalar(b"e");
        let blinding: Scalar = of(Kind::Zero)
            .zip(&weights)
            .map(|((_, opening), weight)| opening.blinding * weight)
            .sum();
        let response = *mask + e * blinding;
        t.append_scalar(b"z", &response);
        (announcement, ScalarBytes(response))
    });

    let ranged: Vec<&ClaimOpening> = of(Kind::Range).map(|(_, o)| o).collect();
    let mut ranges = Vec::new();
    for chunk in ranged.chunks(MAX_CLAIMS_PER_PROOF) {
        let padding = parties(chunk.len()) - chunk.len();
        let zeros = std::iter::repeat_n(0, padding);
        let values: Zeroizing<Vec<u64>> =
            Zeroizing::new(chunk.iter().map(|o| o.value).chain(zeros).collect());
        let zeros = std::iter::repeat_n(Scalar::ZERO, padding);
        let blindings: Zeroizing<Vec<Scalar>> =
            Zeroizing::new(chunk.iter().map(|o| o.blinding).chain(zeros).collect());
        let (proof, _): (RangeProof, Vec<CompressedRistretto>) =
            RangeProof::prove_multiple_with_rng(
                generators(chunk.len()),
                pedersen::pair(),
                &mut t,
                &values,
                &blindings,
                RANGE_BITS,
                &mut nonces,
            )
            .map_err(|_| ProveError::Unsatisfied("range proof"))?;
        ranges.push(proof.to_bytes());
    }
    Ok(VerdictProof { zero, ranges })
}

/// Opens a claim; its value must be what the claim says.
fn open(claim: &Claim, openings: &[&[FormOpening]]) -> Result<ClaimOpening, ProveError> {
    let value = claim
        .value(|a, f| openings[a][f].value)
        .filter(|v| (0..=i128::from(i64::MAX)).contains(v))
        .filter(|v| claim.kind == Kind::Range || *v == 0)
        .ok_or(ProveError::Unsatisfied(
            "a verdict is not what the values say",
        ))?;
    Ok(ClaimOpening {
        value: u64::try_from(value).expect("within 63 bits"),
        blinding: claim.blinding(|a, f| &openings[a][f].blinding),
    })
}
