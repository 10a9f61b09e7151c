//! "Every element is the one before times the same secret", by random weights and one pairing
//! equation a vector (spec: `params/spec/ceremony.md`, heading "Batched checks").

use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::pairing::Pairing;
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, RngCore, SeedableRng};
use zkbureau_circuits::encoding::{Digest32, hash_parts};
use zkbureau_params::domain;

/// The verifier's randomness, hashed with what it verifies: nobody knows the weights before the
/// points are fixed, even if the verifier's source of randomness is weak.
pub(crate) fn weights_rng<R: RngCore + CryptoRng>(state: &Digest32, rng: &mut R) -> ChaCha20Rng {
    let mut own = [0u8; 32];
    rng.fill_bytes(&mut own);
    ChaCha20Rng::from_seed(hash_parts(domain::CEREMONY_WEIGHTS, &[state, &own]))
}

/// Weights of 128 bits, never 0.
pub(crate) fn weights(n: usize, rng: &mut ChaCha20Rng) -> Vec<Fr> {
    (0..n)
        .map(|_| {
            let mut bytes = [0u8; 16];
            rng.fill_bytes(&mut bytes);
            Fr::from(u128::from_le_bytes(bytes) | 1)
        })
        .collect()
}

/// `e(a, x) = e(b, y)`.
pub(crate) fn equal(a: G1Affine, x: G2Affine, b: G1Affine, y: G2Affine) -> bool {
    // One final exponentiation for both sides.
    let product = Bn254::multi_pairing([a, -b], [x, y]);
    product.0 == ark_ff::Field::ONE
}

fn sum_g1(points: &[G1Affine], weights: &[Fr]) -> G1Affine {
    G1Projective::msm_unchecked(points, weights).into_affine()
}

fn sum_g2(points: &[G2Affine], weights: &[Fr]) -> G2Affine {
    G2Projective::msm_unchecked(points, weights).into_affine()
}

/// Whether each element is `tau` times the one before; `tau` is `(x·H, H)`. Gives the first that is
/// not.
pub(crate) fn powers_g1(v: &[G1Affine], tau: G2Affine, rng: &mut ChaCha20Rng) -> Result<(), usize> {
    let w = weights(v.len().saturating_sub(1), rng);
    first_wrong(w.len(), |m| {
        equal(
            sum_g1(&v[..m], &w[..m]),
            tau,
            sum_g1(&v[1..=m], &w[..m]),
            G2Affine::generator(),
        )
    })
    .map_err(|m| m + 1)
}

/// [`powers_g1`] in G2; `tau` is `x·G`.
pub(crate) fn powers_g2(v: &[G2Affine], tau: G1Affine, rng: &mut ChaCha20Rng) -> Result<(), usize> {
    let w = weights(v.len().saturating_sub(1), rng);
    first_wrong(w.len(), |m| {
        equal(
            tau,
            sum_g2(&v[..m], &w[..m]),
            G1Affine::generator(),
            sum_g2(&v[1..=m], &w[..m]),
        )
    })
    .map_err(|m| m + 1)
}

/// Whether `before_i = delta·after_i` for all i. Gives the first for which it does not hold.
pub(crate) fn divided(
    before: &[G1Affine],
    after: &[G1Affine],
    delta: G2Affine,
    rng: &mut ChaCha20Rng,
) -> Result<(), usize> {
    let w = weights(before.len(), rng);
    first_wrong(w.len(), |m| {
        equal(
            sum_g1(&after[..m], &w[..m]),
            delta,
            sum_g1(&before[..m], &w[..m]),
            G2Affine::generator(),
        )
    })
}

/// Whether a check that holds for prefixes holds for all `n`; if not, the index by which it first
/// fails, found by halving.
fn first_wrong(n: usize, holds: impl Fn(usize) -> bool) -> Result<(), usize> {
    if n == 0 || holds(n) {
        return Ok(());
    }
    let (mut good, mut bad) = (0, n);
    while bad - good > 1 {
        let middle = good.midpoint(bad);
        if holds(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Err(bad - 1)
}
