//! The verifier: all equations of all batches in one multi-scalar multiplication
//! (spec: "Verification").

use curve25519_dalek::scalar::Scalar;
use merlin::Transcript;
use rand_core::{CryptoRng, RngCore};
use rayon::prelude::*;
use thiserror::Error;

use super::argument::RangeArgument;
use super::curve::msm::msm;
use super::curve::point::Affine;
use super::curve::ristretto::decode_all;
use super::field::{eq_scalars, powers, to_fr, to_scalar};
use super::key::VerifyingKey;
use super::layout::Layout;
use super::prove::linear_image;
use super::statement::{
    Statement, absorb_masks, absorb_round, absorb_rows, absorb_statement, draw_sigma,
};
use crate::encoding::{PointBytes, ScalarBytes};
use crate::error::VerifyError;
use crate::schema::Class;
use crate::transcript::TranscriptExt;

/// Transcript that joins the batches of one call. Never part of a format.
const JOIN: &[u8] = b"zkbureau/range-batch-join/v1";

/// Some batches do not verify.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the range arguments of {} batches do not verify", indices.len())]
pub struct BadBatches {
    /// Positions of the bad batches in the input, ascending.
    pub indices: Vec<usize>,
}

/// Verifies the argument of one batch.
///
/// # Errors
/// [`VerifyError`] when the statement is not one the key serves or the argument does not hold.
pub fn verify<R: RngCore + CryptoRng>(
    key: &VerifyingKey,
    statement: &Statement<'_>,
    argument: &RangeArgument,
    rng: &mut R,
) -> Result<(), VerifyError> {
    verify_many(key, &[(*statement, argument)], rng).map_err(|_| VerifyError)
}

/// Verifies the arguments of many batches with one multi-scalar multiplication. When it fails, the
/// bad batches are found by bisection.
///
/// # Errors
/// [`BadBatches`] names every batch that does not verify.
pub fn verify_many<R: RngCore + CryptoRng>(
    key: &VerifyingKey,
    batches: &[(Statement<'_>, &RangeArgument)],
    rng: &mut R,
) -> Result<(), BadBatches> {
    let replayed: Vec<Option<Replayed>> = batches
        .par_iter()
        .map(|(statement, argument)| Replayed::new(key, statement, argument))
        .collect();
    let mut join = Transcript::new(JOIN);
    for replayed in replayed.iter().flatten() {
        join.append_message(b"batch", &replayed.digest);
    }
    let mut weights = join.build_rng().finalize(rng);
    let mut draw = || {
        let mut bytes = [0u8; 32];
        weights.fill_bytes(&mut bytes[..16]);
        Scalar::from_bytes_mod_order(bytes)
    };
    let weights: Vec<[Scalar; 4]> = batches
        .iter()
        .map(|_| [draw(), draw(), draw(), draw()])
        .collect();
    let mut bad = Vec::new();
    let mut checks = Vec::new();
    for (index, ((replayed, weights), (statement, argument))) in
        replayed.into_iter().zip(weights).zip(batches).enumerate()
    {
        let check = replayed.and_then(|r| Check::new(key, statement, argument, &r, &weights));
        match check {
            Some(check) => checks.push((index, check)),
            None => bad.push(index),
        }
    }
    bisect(key, &checks, &mut bad);
    if bad.is_empty() {
        Ok(())
    } else {
        bad.sort_unstable();
        Err(BadBatches { indices: bad })
    }
}

/// Names the checks that fail; a group that holds as a whole is good.
fn bisect(key: &VerifyingKey, checks: &[(usize, Check)], bad: &mut Vec<usize>) {
    if checks.is_empty() || Check::hold(key, checks) {
        return;
    }
    if let [(index, _)] = checks {
        bad.push(*index);
        return;
    }
    let (left, right) = checks.split_at(checks.len() / 2);
    bisect(key, left, bad);
    bisect(key, right, bad);
}

/// The challenges of one batch.
pub(super) struct Replayed {
    pub layout: Layout,
    pub y: Scalar,
    pub tau: Vec<Scalar>,
    pub r: Vec<Scalar>,
    pub sigma: Vec<Scalar>,
    pub e: Scalar,
    /// Hash of the transcript and the responses.
    pub digest: [u8; 32],
}

impl Replayed {
    /// Replays the transcript; none when a count is not the statement's.
    pub(super) fn new(
        key: &VerifyingKey,
        statement: &Statement<'_>,
        argument: &RangeArgument,
    ) -> Option<Self> {
        let layout = key.layout(statement.stocks.len())?;
        if statement.flows.len() != layout.slots || !argument.fits(&layout) {
            return None;
        }
        let mut t = absorb_statement(&key.digest, &layout, statement);
        let (y, tau) = absorb_rows(&mut t, &layout, &argument.rows);
        let r = argument
            .rounds
            .iter()
            .map(|(a1, a2)| absorb_round(&mut t, a1, a2))
            .collect();
        let sigma = draw_sigma(&mut t, &layout);
        let e = absorb_masks(&mut t, &argument.masks());
        for ScalarBytes(z) in &argument.z {
            t.append_scalar(b"z", z);
        }
        for (label, ScalarBytes(response)) in [
            (&b"theta"[..], &argument.theta),
            (b"phi-stocks", &argument.phi_stocks),
            (b"phi-flows", &argument.phi_flows),
            (b"kappa", &argument.kappa),
        ] {
            t.append_scalar(label, response);
        }
        let mut digest = [0; 32];
        t.challenge_bytes(b"digest", &mut digest);
        Some(Self {
            layout,
            y,
            tau,
            r,
            sigma,
            e,
            digest,
        })
    }
}

/// The weighted sum of one batch's equations, as scalars of fixed and of its own points. It holds
/// when the sum is the identity.
struct Check {
    bits: Vec<Scalar>,
    attributes: Vec<Scalar>,
    scalar: Scalar,
    blinding: Scalar,
    scalars: Vec<Scalar>,
    points: Vec<Affine>,
}

impl Check {
    /// None when a point does not decode.
    fn new(
        key: &VerifyingKey,
        statement: &Statement<'_>,
        argument: &RangeArgument,
        replayed: &Replayed,
        weights: &[Scalar; 4],
    ) -> Option<Self> {
        let [w_rows, w_stocks, w_flows, w_square] = weights;
        let e = &replayed.e;
        let z: Vec<Scalar> = argument.z.iter().map(|z| z.0).collect();
        let eq_rows = eq_scalars(&replayed.r);
        let eq_slots = eq_scalars(&replayed.sigma);
        let slots = replayed.layout.slots;

        let encoded: Vec<PointBytes> = argument
            .rows
            .iter()
            .chain(statement.stocks)
            .chain(statement.flows)
            .chain(argument.rounds.iter().flat_map(|(a1, a2)| [a1, a2]))
            .chain([
                &argument.t,
                &argument.t_stocks,
                &argument.t_flows,
                &argument.e1,
                &argument.e0,
            ])
            .copied()
            .collect();
        let points = decode_all(&encoded)?;

        // <z,Bit> + θ'·H - e·U - T
        let bits = z.iter().map(|z| w_rows * z).collect();
        let minus_e = -(w_rows * e);
        let mut scalars: Vec<Scalar> = eq_rows[..argument.rows.len()]
            .iter()
            .map(|eq| minus_e * eq)
            .collect();

        // Σ_a L(z)[a]·G[a] + φ'·H - e·W - T[c], per class
        let image = linear_image(key, &z, &eq_slots);
        let mut attributes = vec![Scalar::ZERO; key.attributes.len()];
        for (column, value) in key.columns.iter().zip(&image) {
            attributes[column.position] = value
                * match column.class {
                    Class::Stock => w_stocks,
                    Class::Flow => w_flows,
                };
        }
        for weight in [w_stocks, w_flows] {
            let minus_e = -(weight * e);
            let per_slot: Vec<Scalar> = eq_slots.iter().map(|eq| minus_e * eq).collect();
            scalars.extend(
                eq_rows
                    .iter()
                    .flat_map(|row| per_slot.iter().map(move |slot| row * slot))
                    .take(slots),
            );
        }
        // W[stocks] is less the present records.
        let stocks = &scalars[argument.rows.len()..][..slots];
        attributes[0] = -stocks.iter().sum::<Scalar>();

        // (Σ y^(i+1)(z² - e·z))·G + κ'·H - e²·Q - e·E1 - E0
        let y_powers = powers(to_fr(&replayed.y), z.len());
        let square: Scalar = z
            .iter()
            .zip(&y_powers)
            .map(|(z, y)| to_scalar(y) * z * (z - e))
            .sum();
        let minus_e2 = -(w_square * e * e);
        for (r, tau) in replayed.r.iter().zip(&replayed.tau) {
            scalars.push(minus_e2 * (r - tau));
            scalars.push(minus_e2 * (r * r - tau));
        }
        scalars.extend([-w_rows, -w_stocks, -w_flows, -(w_square * e), -w_square]);

        Some(Self {
            bits,
            attributes,
            scalar: w_square * square,
            blinding: w_rows * argument.theta.0
                + w_stocks * argument.phi_stocks.0
                + w_flows * argument.phi_flows.0
                + w_square * argument.kappa.0,
            scalars,
            points,
        })
    }

    /// Whether the sum over all given checks is the identity.
    fn hold(key: &VerifyingKey, checks: &[(usize, Self)]) -> bool {
        let columns = checks.iter().map(|(_, c)| c.bits.len()).max().unwrap_or(0);
        let mut scalars = vec![Scalar::ZERO; columns + key.others.len()];
        for (_, check) in checks {
            let own = check
                .bits
                .iter()
                .chain(std::iter::repeat_n(
                    &Scalar::ZERO,
                    columns - check.bits.len(),
                ))
                .chain(&check.attributes)
                .chain([&check.scalar, &check.blinding]);
            for (sum, scalar) in scalars.iter_mut().zip(own) {
                *sum += scalar;
            }
        }
        let mut points = key.bits[..columns].to_vec();
        points.extend(&key.others);
        for (_, check) in checks {
            scalars.extend(&check.scalars);
            points.extend(&check.points);
        }
        msm(&scalars, &points).is_identity()
    }
}
