//! From powers to the queries of a circuit, with gamma = delta = 1 (spec: `params/spec/ceremony.md`,
//! heading "Specialisation"). Deterministic: a verifier does it again and compares.

use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInteger, One, PrimeField};
use ark_poly::domain::DomainCoeff;
use ark_poly::{EvaluationDomain, GeneralEvaluationDomain};
use rayon::prelude::*;
use zkbureau_circuits::ceremony::{Flaw, Refused, Step};
use zkbureau_circuits::encoding::Digest32;

use crate::circuit::{Circuit, Column};
use crate::powers::{Powers, digest, zero};
use crate::progress::Progress;
use crate::vectors::Point;

/// Above this many bits the curve's endomorphism pays.
const SHORT_BITS: u32 = 100;

/// The queries of a circuit before phase 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specialised {
    pub(crate) a: Vec<G1Affine>,
    pub(crate) b_g1: Vec<G1Affine>,
    pub(crate) b_g2: Vec<G2Affine>,
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
        let got = n.trailing_zeros() as u8;
        let expected = circuit.log_size();
        let domain = GeneralEvaluationDomain::<Fr>::new(n)
            .filter(|domain| domain.size() == n && got == expected);
        let Some(domain) = domain else {
            return Err(Flaw::CircuitSize { expected, got }.at(Step::Specialisation));
        };
        progress.step(PART, 0, 6);
        let tau = lagrange::<G1Affine, G1Projective>(&domain, &powers.tau_g1[..n]);
        progress.step(PART, 1, 6);
        let alpha = lagrange::<G1Affine, G1Projective>(&domain, &powers.alpha_g1);
        progress.step(PART, 2, 6);
        let beta = lagrange::<G1Affine, G1Projective>(&domain, &powers.beta_g1);
        progress.step(PART, 3, 6);
        let tau_g2 = lagrange::<G2Affine, G2Projective>(&domain, &powers.tau_g2);
        progress.step(PART, 4, 6);

        let [a, b, c] = &circuit.columns;
        let variables = circuit.instance + circuit.witnesses;
        // Every public input gets a constraint of its own, input·0 = 0, behind the circuit's: so
        // that the polynomials of inputs are independent.
        let own = |j: usize| (j < circuit.instance).then(|| circuit.constraints + j);
        let all = |f: &(dyn Fn(usize) -> G1Projective + Sync)| {
            let sums: Vec<_> = (0..variables).into_par_iter().map(f).collect();
            G1Projective::normalize_batch(&sums)
        };
        let a_query = all(&|j| column(&a[j], &tau) + own(j).map_or_else(G1Affine::zero, |i| tau[i]));
        let b_g1 = all(&|j| column(&b[j], &tau));
        progress.step(PART, 5, 6);
        let mut ic = all(&|j| {
            column(&a[j], &beta)
                + column(&b[j], &alpha)
                + column(&c[j], &tau)
                + own(j).map_or_else(G1Affine::zero, |i| beta[i])
        });
        let l = ic.split_off(circuit.instance);
        let sums: Vec<_> = (b.par_iter()).map(|b| column(b, &tau_g2)).collect();
        let b_g2 = G2Projective::normalize_batch(&sums);
        // tau^i·(tau^n - 1)
        let h: Vec<_> = (0..n - 1)
            .map(|i| powers.tau_g1[i + n] - powers.tau_g1[i])
            .collect();
        let made = Self {
            a: a_query,
            b_g1,
            b_g2,
            ic,
            h: G1Projective::normalize_batch(&h),
            l,
        };
        progress.step(PART, 6, 6);
        Ok(made)
    }

    /// What phase 2 starts from.
    #[must_use]
    pub fn digest(&self) -> Digest32 {
        // A and B may hold the identity, for variables that are not on that side; arkworks encodes it.
        let mut bytes = Vec::new();
        for part in [&self.a, &self.b_g1, &self.ic, &self.h, &self.l] {
            part.iter().for_each(|p| p.append(&mut bytes));
        }
        self.b_g2.iter().for_each(|p| p.append(&mut bytes));
        digest(b"specialised", &bytes)
    }
}

/// `L_i(tau)` from `tau^i`: an inverse Fourier transform in the group.
fn lagrange<P, G>(domain: &GeneralEvaluationDomain<Fr>, powers: &[P]) -> Vec<P>
where
    P: AffineRepr<Group = G>,
    G: CurveGroup<Affine = P> + DomainCoeff<Fr>,
{
    let mut points: Vec<G> = powers.iter().map(|p| p.into_group()).collect();
    domain.ifft_in_place(&mut points);
    G::normalize_batch(&points)
}

/// `Σ coefficient·values[constraint]`.
fn column<P: AffineRepr<ScalarField = Fr>>(column: &Column, values: &[P]) -> P::Group {
    let mut sum = zero::<P>();
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
            sum += point * coefficient;
        }
    }
    sum
}
