//! From powers to the queries of a circuit, with gamma = delta = 1 (spec: `params/spec/ceremony.md`,
//! heading "Specialisation"). Deterministic: a verifier does it again and compares.

use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInteger, One, PrimeField};
use ark_poly::{EvaluationDomain, GeneralEvaluationDomain};
use rayon::prelude::*;
use zkbureau_circuits::ceremony::{Flaw, Refused, Start, Step};

use crate::circuit::{Circuit, Column};
use crate::powers::Powers;
use crate::progress::Progress;
use crate::vectors::Group;

/// Above this many bits the curve's endomorphism pays.
const SHORT_BITS: u32 = 100;
/// From so many large coefficients on, a column is a multi-scalar multiplication.
const HEAVY: usize = 48;

/// The queries of a circuit before phase 2, but for B in G2, which only a finished key needs: it
/// follows from the powers like the others, and costs as much as they do together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specialised {
    pub(crate) a: Vec<G1Affine>,
    pub(crate) b_g1: Vec<G1Affine>,
    /// Bases of the public inputs, the constant's first.
    pub(crate) ic: Vec<G1Affine>,
    pub(crate) h: Vec<G1Affine>,
    pub(crate) l: Vec<G1Affine>,
}

impl Specialised {
    /// The queries of the circuit with these powers.
    ///
    /// # Errors
    /// [`Refused`] when the powers are for another size of domain.
    pub fn new(
        circuit: &Circuit,
        powers: &Powers,
        progress: &dyn Progress,
    ) -> Result<Self, Refused> {
        const PART: &str = "specialise";
        let n = powers.size();
        let domain = domain(circuit, n)?;
        progress.step(PART, 0, 5);
        let tau = lagrange::<G1Projective>(&domain, &powers.tau_g1[..n]);
        progress.step(PART, 1, 5);
        let alpha = lagrange::<G1Projective>(&domain, &powers.alpha_g1);
        progress.step(PART, 2, 5);
        let beta = lagrange::<G1Projective>(&domain, &powers.beta_g1);
        progress.step(PART, 3, 5);

        let [a, b, c] = &circuit.columns;
        // Every public input gets a constraint of its own, input·0 = 0, behind the circuit's: so
        // that the polynomials of inputs are independent.
        let own = circuit.constraints..circuit.constraints + circuit.instance;
        let mut a_query = columns::<G1Projective>(a, &tau);
        for (sum, i) in a_query.iter_mut().zip(own.clone()) {
            *sum += tau[i];
        }
        let b_g1 = columns::<G1Projective>(b, &tau);
        progress.step(PART, 4, 5);
        let mut ic = columns::<G1Projective>(a, &beta);
        for (sum, i) in ic.iter_mut().zip(own) {
            *sum += beta[i];
        }
        for other in [columns::<G1Projective>(b, &alpha), columns(c, &tau)] {
            for (sum, part) in ic.iter_mut().zip(other) {
                *sum += part;
            }
        }
        let l = ic.split_off(circuit.instance);
        // tau^i·(tau^n - 1)
        let h: Vec<_> = (0..n - 1)
            .map(|i| powers.tau_g1[i + n] - powers.tau_g1[i])
            .collect();
        let made = Self {
            a: G1Projective::normalize_batch(&a_query),
            b_g1: G1Projective::normalize_batch(&b_g1),
            ic: G1Projective::normalize_batch(&ic),
            h: G1Projective::normalize_batch(&h),
            l: G1Projective::normalize_batch(&l),
        };
        progress.step(PART, 5, 5);
        Ok(made)
    }

    /// What phase 2 starts from.
    #[must_use]
    pub fn start(&self) -> Start {
        Start::of(&self.ic, [&self.a, &self.b_g1], [&self.h, &self.l])
    }
}

/// Query B in G2.
pub(crate) fn b_g2(
    circuit: &Circuit,
    powers: &Powers,
    progress: &dyn Progress,
) -> Result<Vec<G2Affine>, Refused> {
    const PART: &str = "query B in G2";
    let domain = domain(circuit, powers.size())?;
    progress.step(PART, 0, 2);
    let tau_g2 = lagrange::<G2Projective>(&domain, &powers.tau_g2);
    progress.step(PART, 1, 2);
    let [_, b, _] = &circuit.columns;
    let query = G2Projective::normalize_batch(&columns::<G2Projective>(b, &tau_g2));
    progress.step(PART, 2, 2);
    Ok(query)
}

/// The circuit's domain, if it has `n` elements.
fn domain(circuit: &Circuit, n: usize) -> Result<GeneralEvaluationDomain<Fr>, Refused> {
    let got = n.trailing_zeros() as u8;
    let expected = circuit.log_size();
    GeneralEvaluationDomain::<Fr>::new(n)
        .filter(|domain| domain.size() == n && got == expected)
        .ok_or_else(|| Flaw::CircuitSize { expected, got }.at(Step::Specialisation))
}

/// `L_i(tau)` from `tau^i`: an inverse Fourier transform in the group.
fn lagrange<G: Group>(
    domain: &GeneralEvaluationDomain<Fr>,
    powers: &[G::Affine],
) -> Vec<G::Affine> {
    let n = domain.size();
    let bits = n.trailing_zeros();
    // In bit-reversed order, then halves, quarters and so on the other way round.
    let mut points: Vec<G> = (0..n)
        .map(|i| powers[i.reverse_bits() >> (usize::BITS - bits)].into_group())
        .collect();
    let roots: Vec<Fr> = {
        let root = domain.group_gen_inv();
        std::iter::successors(Some(Fr::one()), |x| Some(*x * root))
            .take(n / 2)
            .collect()
    };
    for layer in 0..bits {
        let half = 1usize << layer;
        let stride = n / (2 * half);
        // Late layers have few blocks and early ones small ones; pairs are balanced in all.
        points.par_chunks_mut(2 * half).for_each(|block| {
            let (low, high) = block.split_at_mut(half);
            (low.par_iter_mut().zip(high).enumerate())
                .with_min_len(8)
                .for_each(|(i, (a, b))| {
                    // The first root is 1.
                    let turned = if i == 0 {
                        *b
                    } else {
                        b.times(roots[i * stride])
                    };
                    *b = *a - turned;
                    *a += turned;
                });
        });
    }
    let size = domain.size_inv();
    points.par_iter_mut().for_each(|p| *p = p.times(size));
    G::normalize_batch(&points)
}

/// `Σ coefficient·values[constraint]` for every column.
///
/// Columns with many large coefficients are multi-scalar multiplications, one after the other, as
/// these are parallel themselves (nested in a parallel loop they overflowed the stack); the others are
/// summed side by side.
fn columns<G: Group>(columns: &[Column], values: &[G::Affine]) -> Vec<G> {
    let mut sums: Vec<G> = (columns.par_iter())
        .map(|column| {
            if is_heavy(column) {
                G::ZERO
            } else {
                light(column, values)
            }
        })
        .collect();
    for (sum, column) in sums.iter_mut().zip(columns) {
        if is_heavy(column) {
            let points: Vec<_> = column.iter().map(|(_, i)| values[*i]).collect();
            let scalars: Vec<_> = column.iter().map(|(x, _)| *x).collect();
            *sum = G::msm_unchecked(&points, &scalars);
        }
    }
    sums
}

fn is_heavy(column: &Column) -> bool {
    let large = |x: &Fr| {
        x.into_bigint().num_bits() > SHORT_BITS && (-*x).into_bigint().num_bits() > SHORT_BITS
    };
    column.len() >= HEAVY && column.iter().filter(|(x, _)| large(x)).count() >= HEAVY
}

fn light<G: Group>(column: &Column, values: &[G::Affine]) -> G {
    let mut sum = G::ZERO;
    for (coefficient, constraint) in column {
        let point = values[*constraint];
        if coefficient.is_one() {
            sum += point;
            continue;
        }
        // Most coefficients are small, or the negatives of small ones.
        let (positive, negative) = (coefficient.into_bigint(), (-*coefficient).into_bigint());
        if negative.num_bits() <= SHORT_BITS {
            sum -= point.mul_bigint(negative);
        } else if positive.num_bits() <= SHORT_BITS {
            sum += point.mul_bigint(positive);
        } else {
            sum += point.into_group().times(*coefficient);
        }
    }
    sum
}
