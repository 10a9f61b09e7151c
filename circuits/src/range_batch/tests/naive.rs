//! A second prover, written from the page without any of the fast one's methods: every sum is the
//! formula. It takes field elements for bits and openings that need not fit the statement, so that
//! attack tests can lie in one place and be honest everywhere else.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::MultiscalarMul;
use rand_core::{CryptoRng, RngCore};

use super::super::nonces::{Nonces, OpeningsKey};
use super::super::statement::{
    MaskPoints, absorb_masks, absorb_round, absorb_rows, absorb_statement, draw_sigma,
};
use super::*;
use crate::encoding::ScalarBytes;
use crate::generators;

/// What the prover claims to know, and where it lies.
pub(super) struct Claim {
    /// `b[k][offset + l]`: one element per bit, for `m·ρ` slots.
    pub bits: Vec<Vec<Scalar>>,
    /// Blindings of stocks and flows, per record.
    pub blindings: Vec<[Scalar; 2]>,
    /// Added to `a1` of one round before it is committed.
    pub shift_a1: Option<(usize, Scalar)>,
    /// Added to `a2` of one round before it is committed.
    pub shift_a2: Option<(usize, Scalar)>,
    /// Replaces one row's commitment.
    pub replace_row: Option<(usize, PointBytes)>,
}

impl Claim {
    /// The truth about a batch.
    pub(super) fn honest(batch: &Batch) -> Self {
        let layout = batch.layout();
        let schema = batch.key.verifying().schema();
        let mut bits: Vec<Vec<Scalar>> = batch
            .records
            .iter()
            .map(|record| {
                schema
                    .ranged()
                    .flat_map(|r| {
                        let x = r.attribute.decompose(record.encoded()[r.position]);
                        (0..r.bits).map(move |l| Scalar::from(x >> l & 1))
                    })
                    .collect()
            })
            .collect();
        bits.resize(
            layout.rows * layout.row_slots(),
            vec![Scalar::ZERO; layout.slot_bits],
        );
        Self {
            bits,
            blindings: batch
                .blindings
                .iter()
                .map(|b| [b.stocks, b.flows])
                .collect(),
            shift_a1: None,
            shift_a2: None,
            replace_row: None,
        }
    }
}

fn commit(scalars: &[Scalar], points: &[RistrettoPoint], blinding: &Scalar) -> PointBytes {
    (RistrettoPoint::multiscalar_mul(scalars, points) + blinding * generators::blinding()).into()
}

/// `eq(point, j)`, straight from the page.
fn eq(point: &[Scalar], j: usize) -> Scalar {
    point
        .iter()
        .rev()
        .enumerate()
        .map(|(bit, x)| {
            if j >> bit & 1 == 1 {
                *x
            } else {
                Scalar::ONE - x
            }
        })
        .product()
}

/// `Σ_i y^(i+1)·(f_i² - f_i)`.
fn bitness(y: &Scalar, f: &[Scalar]) -> Scalar {
    let mut weight = Scalar::ONE;
    f.iter()
        .map(|f| {
            weight *= y;
            weight * (f * f - f)
        })
        .sum()
}

/// Proves a claim about a batch, true or not.
pub(super) fn prove_claim<R: RngCore + CryptoRng>(
    batch: &Batch,
    claim: &Claim,
    rng: &mut R,
) -> RangeArgument {
    let layout = batch.layout();
    let (rho, columns) = (layout.row_slots(), layout.columns());
    let schema = batch.key.verifying().schema();
    let openings = OpeningsKey::new(&batch.witness());
    let mut transcript = absorb_statement(&schema.digest(), &layout, &batch.statement());
    let generators_of_bits: Vec<RistrettoPoint> = (0..rho as u32)
        .flat_map(|s| {
            schema.ranged().flat_map(move |r| {
                (0..r.bits).map(move |l| generators::bit(s, r.position as u32, l))
            })
        })
        .collect();

    let b: Vec<Vec<Scalar>> = claim.bits.chunks(rho).map(<[_]>::concat).collect();
    let deltas = Nonces::new(&transcript, b"delta", &openings, rng).scalars(layout.rows);
    let mut rows: Vec<PointBytes> = b
        .iter()
        .zip(&deltas)
        .map(|(row, delta)| commit(row, &generators_of_bits, delta))
        .collect();
    if let Some((j, point)) = claim.replace_row {
        rows[j] = point;
    }
    let (y, tau) = absorb_rows(&mut transcript, &layout, &rows);

    let g = [generators::scalar()];
    let mut alphas = Nonces::new(&transcript, b"alpha", &openings, rng);
    let (mut rounds, mut r, mut beta) = (vec![], vec![], Scalar::ZERO);
    for k in 0..layout.rounds {
        // g(X) = Σ over later bits; read off a1 and a2 from g(0), g(1), g(2).
        let later = layout.rounds - k - 1;
        let at = |x: Scalar| -> Scalar {
            let mut point = r.clone();
            point.push(x);
            (0..1usize << later)
                .map(|low| {
                    let mut f = vec![Scalar::ZERO; columns];
                    for high in 0..1usize << (k + 1) {
                        let weight = eq(&point, high);
                        if let Some(row) = b.get(high << later | low) {
                            f.iter_mut().zip(row).for_each(|(f, b)| *f += weight * b);
                        }
                    }
                    eq(&tau[k + 1..], low) * bitness(&y, &f)
                })
                .sum()
        };
        let (g0, g1, g2) = (at(Scalar::ZERO), at(Scalar::ONE), at(Scalar::from(2u64)));
        let half = Scalar::from(2u64).invert();
        let mut a2 = (g2 - g1 - g1 + g0) * half;
        let mut a1 = g1 - g0 - a2;
        if let Some((round, shift)) = claim.shift_a1 {
            a1 += if round == k { shift } else { Scalar::ZERO };
        }
        if let Some((round, shift)) = claim.shift_a2 {
            a2 += if round == k { shift } else { Scalar::ZERO };
        }
        let (alpha1, alpha2) = (alphas.scalar(), alphas.scalar());
        let pair = (commit(&[a1], &g, &alpha1), commit(&[a2], &g, &alpha2));
        let challenge = absorb_round(&mut transcript, &pair.0, &pair.1);
        beta += (challenge - tau[k]) * alpha1 + (challenge * challenge - tau[k]) * alpha2;
        rounds.push(pair);
        r.push(challenge);
    }
    let sigma = draw_sigma(&mut transcript, &layout);

    let mut u = vec![Scalar::ZERO; columns];
    for (j, row) in b.iter().enumerate() {
        let weight = eq(&r, j);
        u.iter_mut().zip(row).for_each(|(u, b)| *u += weight * b);
    }
    let delta: Scalar = deltas.iter().enumerate().map(|(j, d)| eq(&r, j) * d).sum();
    let omega = [0, 1].map(|class| {
        claim
            .blindings
            .iter()
            .enumerate()
            .map(|(k, b)| eq(&sigma, k % rho) * eq(&r, k / rho) * b[class])
            .sum::<Scalar>()
    });

    let mut nonces = Nonces::new(&transcript, b"mask", &openings, rng);
    let t = nonces.scalars(columns);
    let [theta, phi_stocks, phi_flows, kappa1, kappa0] = std::array::from_fn(|_| nonces.scalar());
    let image = |class: Class, blinding: &Scalar| {
        let (mut values, mut points) = (vec![], vec![]);
        for a in schema.ranged().filter(|a| a.attribute.class == class) {
            let mut value = Scalar::ZERO;
            for s in 0..rho {
                for l in 0..a.bits {
                    value += eq(&sigma, s)
                        * Scalar::from(a.attribute.weight(l))
                        * t[s * layout.slot_bits + a.offset + l as usize];
                }
            }
            values.push(value);
            points.push(generators::attribute(a.attribute));
        }
        commit(&values, &points, blinding)
    };
    let (mut e1, mut e0, mut weight) = (Scalar::ZERO, Scalar::ZERO, Scalar::ONE);
    for (t, u) in t.iter().zip(&u) {
        weight *= y;
        e1 += weight * t * (u + u - Scalar::ONE);
        e0 += weight * t * t;
    }
    let points = MaskPoints {
        t: commit(&t, &generators_of_bits, &theta),
        t_stocks: image(Class::Stock, &phi_stocks),
        t_flows: image(Class::Flow, &phi_flows),
        e1: commit(&[e1], &g, &kappa1),
        e0: commit(&[e0], &g, &kappa0),
    };
    let e = absorb_masks(&mut transcript, &points);
    RangeArgument {
        rows,
        rounds,
        t: points.t,
        t_stocks: points.t_stocks,
        t_flows: points.t_flows,
        e1: points.e1,
        e0: points.e0,
        z: u.iter()
            .zip(&t)
            .map(|(u, t)| ScalarBytes(e * u + t))
            .collect(),
        theta: ScalarBytes(e * delta + theta),
        phi_stocks: ScalarBytes(e * omega[0] + phi_stocks),
        phi_flows: ScalarBytes(e * omega[1] + phi_flows),
        kappa: ScalarBytes(e * e * beta + e * kappa1 + kappa0),
    }
}

/// With the same randomness both provers write the same bytes, whatever the shape.
#[test]
fn both_provers_agree() {
    let flows_only = schema(&[(Class::Flow, 5)]);
    let one_bit = schema(&[(Class::Stock, 1)]);
    for (schema, slots) in [
        (mixed(), 1),
        (mixed(), 2),
        (mixed(), 3),
        (mixed(), 49),
        (mixed(), 51),
        (one_bit.clone(), 1),
        (one_bit.clone(), 9),
        (one_bit, 150),
        (flows_only.clone(), 7),
        (flows_only, 100),
    ] {
        let mut batch = Batch::random(&schema, slots, slots as u64);
        let slow = prove_claim(&batch, &Claim::honest(&batch), &mut batch.rng.clone());
        let fast = prove(
            &batch.key,
            &batch.statement(),
            &batch.witness(),
            &mut batch.rng.clone(),
        )
        .expect("honest");
        assert_eq!(slow, fast, "{slots} slots");
        assert!(batch.accepts(&fast), "{slots} slots");
        batch.number += 1;
        assert!(!batch.accepts(&fast), "{slots} slots, another number");
    }
}
