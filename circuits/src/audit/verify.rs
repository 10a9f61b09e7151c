//! Verifying a column opening (spec: `circuits/spec/audit.md`, heading "Verifier").

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};

use super::{ColumnProof, ColumnStatement};
use crate::error::VerifyError;
use crate::transcript::TranscriptExt;

/// Checks `Σ z·bases = e·D + T`.
///
/// # Errors
/// [`VerifyError`] when the claims are malformed or the proof does not prove them.
pub fn verify(statement: &ColumnStatement<'_>, proof: &ColumnProof) -> Result<(), VerifyError> {
    let reduced = statement.reduce().ok_or(VerifyError)?;
    if proof.z.len() != reduced.bases.len() {
        return Err(VerifyError);
    }
    let t = proof.t.decode().map_err(|_| VerifyError)?;

    let mut transcript = statement.absorb();
    transcript.append_point(b"T", &proof.t);
    let e = transcript.challenge_scalar(b"e");

    let scalars = proof.z.iter().map(|z| z.0).chain([-e, -Scalar::ONE]);
    let points = reduced.bases.iter().chain([&reduced.point, &t]);
    if RistrettoPoint::vartime_multiscalar_mul(scalars, points).is_identity() {
        Ok(())
    } else {
        Err(VerifyError)
    }
}
