//! The prover (spec: "Relation" and "Transcript").

use ark_curve25519::Fr;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::MultiscalarMul;
use rand_core::{CryptoRng, RngCore};
use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use super::argument::RangeArgument;
use super::bits::{BitRows, check_records};
use super::commit::chunk_size;
use super::curve::point::Point;
use super::curve::ristretto::encode_doubles;
use super::field::{eq_scalars, powers, to_fr, to_scalar};
use super::key::{ProvingKey, VerifyingKey};
use super::layout::{Layout, MAX_SLOTS};
use super::nonces::{Nonces, OpeningsKey};
use super::statement::{
    MaskPoints, Statement, Witness, absorb_masks, absorb_round, absorb_rows, absorb_statement,
    draw_sigma,
};
use super::sumcheck::sum_check;
use crate::encoding::{PointBytes, ScalarBytes};
use crate::error::ProveError;
use crate::schema::Class;

/// Proves that every value of every record is in range.
///
/// The commitments in the statement are taken as given: [`super::commit_records`] makes them. For
/// others the argument comes out, and does not verify.
///
/// # Errors
/// [`ProveError`] when lengths differ, the batch is empty or too large for the key, or a record is
/// not of the key's schema.
pub fn prove<R: RngCore + CryptoRng>(
    key: &ProvingKey,
    statement: &Statement<'_>,
    witness: &Witness<'_>,
    rng: &mut R,
) -> Result<RangeArgument, ProveError> {
    let layout = check(key, statement, witness)?;
    let verifying = &key.verifying;
    let openings = OpeningsKey::new(witness);
    let mut transcript = absorb_statement(&verifying.digest, &layout, statement);

    // Rows of bits.
    let bits = BitRows::new(&layout, &verifying.columns, witness.records);
    let deltas =
        Zeroizing::new(Nonces::new(&transcript, b"delta", &openings, rng).scalars(layout.rows));
    let rows = commit_rows(key, &bits, &deltas);
    let (y, tau) = absorb_rows(&mut transcript, &layout, &rows);

    // Sum-check, with a commitment to every round polynomial.
    let y_powers = powers(to_fr(&y), layout.columns());
    let tau_fr: Vec<Fr> = tau.iter().map(to_fr).collect();
    let mut alphas = Nonces::new(&transcript, b"alpha", &openings, rng);
    let mut rounds = Vec::with_capacity(layout.rounds);
    let mut r = Vec::with_capacity(layout.rounds);
    let mut beta = Zeroizing::new(Scalar::ZERO);
    let mut u = sum_check(&bits, &layout, &y_powers, &tau_fr, |a1, a2| {
        let (alpha1, alpha2) = (
            Zeroizing::new(alphas.scalar()),
            Zeroizing::new(alphas.scalar()),
        );
        let a1 = scalar_commitment(verifying, &Zeroizing::new(to_scalar(&a1)), &alpha1);
        let a2 = scalar_commitment(verifying, &Zeroizing::new(to_scalar(&a2)), &alpha2);
        let challenge = absorb_round(&mut transcript, &a1, &a2);
        let tau = tau[r.len()];
        *beta += (challenge - tau) * *alpha1 + (challenge * challenge - tau) * *alpha2;
        rounds.push((a1, a2));
        r.push(challenge);
        to_fr(&challenge)
    });
    let sigma = draw_sigma(&mut transcript, &layout);

    // Blindings of the folded commitments.
    let eq_rows = eq_scalars(&r);
    let eq_slots = eq_scalars(&sigma);
    let delta: Zeroizing<Scalar> =
        Zeroizing::new(deltas.iter().zip(&eq_rows).map(|(d, e)| d * e).sum());
    let (omega_stocks, omega_flows) = fold_blindings(witness, &eq_rows, &eq_slots);
    let omega_stocks = Zeroizing::new(omega_stocks);
    let omega_flows = Zeroizing::new(omega_flows);

    // The quadratic Schnorr proof.
    let mut nonces = Nonces::new(&transcript, b"mask", &openings, rng);
    let mask = Mask {
        t: nonces.scalars(layout.columns()),
        theta: nonces.scalar(),
        phi_stocks: nonces.scalar(),
        phi_flows: nonces.scalar(),
        kappa1: nonces.scalar(),
        kappa0: nonces.scalar(),
    };
    let u_scalars = Zeroizing::new(u.iter().map(to_scalar).collect::<Vec<_>>());
    u.zeroize();
    let points = commit_mask(key, &mask, &u_scalars, &y_powers, &eq_slots);
    let e = absorb_masks(&mut transcript, &points);
    Ok(RangeArgument {
        rows,
        rounds,
        t: points.t,
        t_stocks: points.t_stocks,
        t_flows: points.t_flows,
        e1: points.e1,
        e0: points.e0,
        z: u_scalars
            .iter()
            .zip(&mask.t)
            .map(|(u, t)| ScalarBytes(e * u + t))
            .collect(),
        theta: ScalarBytes(e * *delta + mask.theta),
        phi_stocks: ScalarBytes(e * *omega_stocks + mask.phi_stocks),
        phi_flows: ScalarBytes(e * *omega_flows + mask.phi_flows),
        kappa: ScalarBytes(e * (e * *beta + mask.kappa1) + mask.kappa0),
    })
}

fn check(
    key: &ProvingKey,
    statement: &Statement<'_>,
    witness: &Witness<'_>,
) -> Result<Layout, ProveError> {
    let slots = statement.stocks.len();
    let layout = key.verifying.layout(slots).ok_or(ProveError::Size {
        what: "records",
        min: 1,
        max: key.verifying.max_slots.min(MAX_SLOTS),
        got: slots,
    })?;
    for (what, got) in [
        ("flows", statement.flows.len()),
        ("records", witness.records.len()),
        ("blindings", witness.blindings.len()),
    ] {
        if got != slots {
            return Err(ProveError::Length {
                what,
                expected: slots,
                got,
            });
        }
    }
    check_records(&key.verifying.schema, witness.records)?;
    Ok(layout)
}

/// `D[j] = Σ_i b[j,i]·Bit[i] + δ_j·H`.
fn commit_rows(key: &ProvingKey, bits: &BitRows, deltas: &[Scalar]) -> Vec<PointBytes> {
    let chunk = chunk_size(deltas.len());
    deltas
        .par_chunks(chunk)
        .enumerate()
        .flat_map_iter(|(i, deltas)| {
            let from = i * chunk;
            let mut halves = vec![Point::IDENTITY; deltas.len()];
            let rows = bits.rows(from, from + deltas.len());
            key.row_sums.add_subsets(&mut halves, rows, bits.stride());
            key.blinding_base.add_products(&mut halves, deltas);
            encode_doubles(&halves)
        })
        .collect()
}

/// `value·G + blinding·H`.
fn scalar_commitment(key: &VerifyingKey, value: &Scalar, blinding: &Scalar) -> PointBytes {
    RistrettoPoint::multiscalar_mul([value, blinding], [key.scalar, key.blinding]).into()
}

/// `ω_c = Σ_k eq(σ,s)·eq(r,j)·r[k,c]` for both classes.
fn fold_blindings(
    witness: &Witness<'_>,
    eq_rows: &[Scalar],
    eq_slots: &[Scalar],
) -> (Scalar, Scalar) {
    witness
        .blindings
        .par_chunks(eq_slots.len())
        .zip(eq_rows)
        .map(|(slots, row)| {
            let (mut stocks, mut flows) = (Scalar::ZERO, Scalar::ZERO);
            for (blindings, slot) in slots.iter().zip(eq_slots) {
                stocks += slot * blindings.stocks;
                flows += slot * blindings.flows;
            }
            (row * stocks, row * flows)
        })
        .reduce(
            || (Scalar::ZERO, Scalar::ZERO),
            |(a, b), (c, d)| (a + c, b + d),
        )
}

/// The masks of the last step.
#[derive(zeroize::ZeroizeOnDrop)]
struct Mask {
    t: Vec<Scalar>,
    theta: Scalar,
    phi_stocks: Scalar,
    phi_flows: Scalar,
    kappa1: Scalar,
    kappa0: Scalar,
}

fn commit_mask(
    proving: &ProvingKey,
    mask: &Mask,
    u: &[Scalar],
    y_powers: &[Fr],
    eq_slots: &[Scalar],
) -> MaskPoints {
    let key = &proving.verifying;
    let (mut e1, mut e0) = (Zeroizing::new(Scalar::ZERO), Zeroizing::new(Scalar::ZERO));
    for ((t, u), y) in mask.t.iter().zip(u).zip(y_powers) {
        let yt = to_scalar(y) * t;
        *e1 += yt * (u + u - Scalar::ONE);
        *e0 += yt * t;
    }
    let image = Zeroizing::new(linear_image(key, &mask.t, eq_slots));
    let class = |class, phi: &Scalar| -> PointBytes {
        let mut scalars = Zeroizing::new(Vec::with_capacity(1 + key.columns.len()));
        scalars.push(*phi);
        let mut points = vec![key.blinding];
        for (column, value) in key.columns.iter().zip(image.iter()) {
            if column.class == class {
                scalars.push(*value);
                points.push(key.attributes[column.position]);
            }
        }
        RistrettoPoint::multiscalar_mul(scalars.iter(), &points).into()
    };
    let mut t = [proving.bit_bases.inner_product(&mask.t)];
    proving.blinding_base.add_products(&mut t, &[mask.theta]);
    MaskPoints {
        t: encode_doubles(&t)[0],
        t_stocks: class(Class::Stock, &mask.phi_stocks),
        t_flows: class(Class::Flow, &mask.phi_flows),
        e1: scalar_commitment(key, &e1, &mask.kappa1),
        e0: scalar_commitment(key, &e0, &mask.kappa0),
    }
}

/// `L(v)[a] = Σ_s eq(σ,s)·Σ_l weight[a,l]·v[s,a,l]`, one value per ranged attribute.
pub(super) fn linear_image(key: &VerifyingKey, v: &[Scalar], eq_slots: &[Scalar]) -> Vec<Scalar> {
    let n = v.len() / eq_slots.len();
    key.columns
        .iter()
        .map(|column| {
            let mut folded = Scalar::ZERO;
            for l in 0..column.bits {
                let at = column.offset + l as usize;
                let bit: Scalar = eq_slots
                    .iter()
                    .enumerate()
                    .map(|(s, eq)| eq * v[s * n + at])
                    .sum();
                folded += VerifyingKey::weight(column, l) * bit;
            }
            folded
        })
        .collect()
}
