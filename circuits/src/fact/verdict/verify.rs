//! The lender's side (spec: `circuits/spec/verdict.md`, heading "Prove and verify").

use bulletproofs::RangeProof;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use merlin::Transcript;
use rand_core::{CryptoRng, RngCore};

use super::claims::{self, Kind};
use super::{RANGE_BITS, Verdict, VerdictProof, generators, parties, range_proof_bytes};
use crate::encoding::{Digest32, PointBytes};
use crate::error::VerifyError;
use crate::fact::MAX_CLAIMS_PER_PROOF;
use crate::fact::pedersen;
use crate::fact::plan::Plan;
use crate::transcript::TranscriptExt;

/// Verifies the verdicts of an answer, one per fact.
///
/// `images` has one list per listed agency, empty where the agency has no forms. That the images are
/// the agencies' is a separate, required check:
/// [`verify_batch`](crate::fact::linear_image::verify_batch).
///
/// # Errors
/// [`VerifyError`] when a verdict is not proven, or not possible under the plan.
pub fn verify_verdicts<R: RngCore + CryptoRng>(
    context: &Digest32,
    plan: &Plan,
    images: &[&[PointBytes]],
    verdicts: &[Verdict],
    proof: &VerdictProof,
    rng: &mut R,
) -> Result<(), VerifyError> {
    let decoded = claims::decode_images(plan, images)?;
    let claims = claims::claims(plan, verdicts)?;
    let points: Vec<RistrettoPoint> = claims.iter().map(|c| c.point(&decoded)).collect();
    let encoded: Vec<PointBytes> = points.iter().map(|p| PointBytes::from(*p)).collect();
    let mut t = claims::absorb(context, plan, images, verdicts, &claims, &encoded);

    let weights = claims::zero_weights(&mut t, &claims);
    // A list, because the multiplication asks for iterators of known length.
    let zeros: Vec<RistrettoPoint> = (claims.iter().zip(&points))
        .filter(|(c, _)| c.kind == Kind::Zero)
        .map(|(_, p)| *p)
        .collect();
    verify_zeros(&mut t, &weights, &zeros, proof)?;

    let ranged: Vec<CompressedRistretto> = (claims.iter().zip(&encoded))
        .filter(|(c, _)| c.kind == Kind::Range)
        .map(|(_, p)| CompressedRistretto(p.0))
        .collect();
    verify_ranges(&mut t, &ranged, proof, rng)
}

/// `z·P' = e·Σ γ·Z + T`.
fn verify_zeros(
    t: &mut Transcript,
    weights: &[Scalar],
    zeros: &[RistrettoPoint],
    proof: &VerdictProof,
) -> Result<(), VerifyError> {
    let Some((announcement, response)) = &proof.zero else {
        return if weights.is_empty() {
            Ok(())
        } else {
            Err(VerifyError)
        };
    };
    if weights.is_empty() {
        return Err(VerifyError);
    }
    let decoded = announcement.decode().map_err(|_| VerifyError)?;
    t.append_point(b"T", announcement);
    let e = t.challenge_scalar(b"e");
    t.append_scalar(b"z", &response.0);
    let left_minus_right = RistrettoPoint::vartime_multiscalar_mul(
        weights
            .iter()
            .map(|w| -e * w)
            .chain([response.0, -Scalar::ONE]),
        zeros.iter().chain([&pedersen::pair().B_blinding, &decoded]),
    );
    if left_minus_right.is_identity() {
        Ok(())
    } else {
        Err(VerifyError)
    }
}

/// One aggregated Bulletproof for each 64 claims.
fn verify_ranges<R: RngCore + CryptoRng>(
    t: &mut Transcript,
    claims: &[CompressedRistretto],
    proof: &VerdictProof,
    rng: &mut R,
) -> Result<(), VerifyError> {
    let chunks = claims.chunks(MAX_CLAIMS_PER_PROOF);
    if proof.ranges.len() != chunks.len() {
        return Err(VerifyError);
    }
    for (chunk, bytes) in chunks.zip(&proof.ranges) {
        if bytes.len() != range_proof_bytes(chunk.len()) {
            return Err(VerifyError);
        }
        let range = RangeProof::from_bytes(bytes).map_err(|_| VerifyError)?;
        let mut points = chunk.to_vec();
        points.resize(parties(chunk.len()), CompressedRistretto::default());
        range
            .verify_multiple_with_rng(
                generators(chunk.len()),
                pedersen::pair(),
                t,
                &points,
                RANGE_BITS,
                rng,
            )
            .map_err(|_| VerifyError)?;
    }
    Ok(())
}
