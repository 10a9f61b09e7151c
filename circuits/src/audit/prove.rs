//! Proving a column opening (spec: `circuits/spec/audit.md`, heading "Prover").

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::MultiscalarMul;
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::{ColumnProof, ColumnStatement, Total};
use crate::commitment::{CommitmentKey, Opening};
use crate::encoding::{PointBytes, ScalarBytes};
use crate::error::ProveError;
use crate::schema::Class;
use crate::transcript::TranscriptExt;

/// The real totals of the attributes at `positions`, from the column's opening.
///
/// # Errors
/// [`ProveError`] when the opening is not of this class or a position is not an attribute of it.
pub fn totals(
    key: &CommitmentKey,
    class: Class,
    leaves: u64,
    opening: &Opening,
    positions: &[u32],
) -> Result<Vec<Total>, ProveError> {
    let of_class: Vec<usize> = key.schema().positions(class).collect();
    check_length(&of_class, opening)?;
    positions
        .iter()
        .map(|wanted| {
            let within = of_class
                .iter()
                .position(|p| *p == *wanted as usize && *p != 0)
                .ok_or(ProveError::Unsatisfied("attribute is not of this class"))?;
            let attribute = &key.schema().attributes()[of_class[within]];
            let offset = match class {
                Class::Stock => i128::from(attribute.min) * i128::from(leaves),
                Class::Flow => 0,
            };
            Ok(Total {
                attribute: *wanted,
                value: i128::from(opening.encoded()[within]) + offset,
            })
        })
        .collect()
}

/// Proves that the column opens to the claimed totals. Constant time in the opening.
///
/// # Errors
/// [`ProveError`] when the claims are malformed or the opening does not satisfy them.
pub fn prove<R: RngCore + CryptoRng>(
    statement: &ColumnStatement<'_>,
    opening: &Opening,
    rng: &mut R,
) -> Result<ColumnProof, ProveError> {
    let key = statement.key;
    let of_class: Vec<usize> = key.schema().positions(statement.class).collect();
    check_length(&of_class, opening)?;
    let reduced = statement
        .reduce()
        .ok_or(ProveError::Unsatisfied("malformed or impossible totals"))?;

    let mut witness: Zeroizing<Vec<Scalar>> = Zeroizing::new(
        reduced
            .hidden
            .iter()
            .map(|within| Scalar::from(opening.encoded()[*within]))
            .collect(),
    );
    witness.push(*opening.blinding());
    // One check of the whole relation: the hidden part opens what the claims leave over.
    if RistrettoPoint::multiscalar_mul(witness.iter(), &reduced.bases) != reduced.point {
        return Err(ProveError::Unsatisfied(
            "the opening is not the column's, or the totals are not its totals",
        ));
    }

    let mut transcript = statement.absorb();
    let mut nonces = transcript.build_rng();
    for w in witness.iter() {
        nonces = nonces.rekey_with_witness_bytes(b"witness", w.as_bytes());
    }
    let mut nonces = nonces.finalize(rng);
    let masks: Zeroizing<Vec<Scalar>> = Zeroizing::new(
        witness
            .iter()
            .map(|_| Scalar::random(&mut nonces))
            .collect(),
    );

    let t = PointBytes::from(RistrettoPoint::multiscalar_mul(
        masks.iter(),
        &reduced.bases,
    ));
    transcript.append_point(b"T", &t);
    let e = transcript.challenge_scalar(b"e");
    let z = witness
        .iter()
        .zip(masks.iter())
        .map(|(w, mask)| ScalarBytes(e * w + mask))
        .collect();
    Ok(ColumnProof { t, z })
}

fn check_length(of_class: &[usize], opening: &Opening) -> Result<(), ProveError> {
    if of_class.len() == opening.encoded().len() {
        Ok(())
    } else {
        Err(ProveError::Length {
            what: "opening",
            expected: of_class.len(),
            got: opening.encoded().len(),
        })
    }
}
