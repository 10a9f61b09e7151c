//! Poseidon over BN254 with circom's parameters: the hash, and its constraints
//! (spec: `circuits/spec/scorecard.md`, heading "Relation").

use std::sync::OnceLock;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use ark_relations::gr1cs::SynthesisError;
use light_poseidon::PoseidonParameters;
use light_poseidon::parameters::bn254_x5::get_poseidon_parameters;

use super::builder::{Builder, Num};

/// Inputs of the commitment's one call: six words of values, k and r.
pub(super) const INPUTS: usize = 8;

fn parameters() -> &'static PoseidonParameters<Fr> {
    static PARAMETERS: OnceLock<PoseidonParameters<Fr>> = OnceLock::new();
    PARAMETERS.get_or_init(|| {
        let width = u8::try_from(INPUTS + 1).expect("nine");
        get_poseidon_parameters(width).expect("circom has parameters for this width")
    })
}

/// `Poseidon(inputs)` with its constraints: state (0, inputs), the first element after the last round.
pub(super) fn hash<B: Builder>(b: &mut B, inputs: &[Num; INPUTS]) -> Result<Num, SynthesisError> {
    let p = parameters();
    let mut state = vec![Num::zero()];
    state.extend_from_slice(inputs);
    let half = p.full_rounds / 2;
    for round in 0..p.full_rounds + p.partial_rounds {
        for (i, x) in state.iter_mut().enumerate() {
            let constant = b.constant(p.ark[round * p.width + i]);
            *x = b.sum([(Fr::ONE, &*x), (Fr::ONE, &constant)]);
        }
        let full = round < half || round >= half + p.partial_rounds;
        let boxes = if full { p.width } else { 1 };
        for (i, x) in state.iter_mut().enumerate().take(boxes) {
            *x = fifth_power(b, round, i, x)?;
        }
        state = (0..p.width)
            .map(|i| b.sum(p.mds[i].iter().copied().zip(&state)))
            .collect();
    }
    Ok(state.swap_remove(0))
}

fn fifth_power<B: Builder>(
    b: &mut B,
    round: usize,
    i: usize,
    x: &Num,
) -> Result<Num, SynthesisError> {
    let x2 = b.product(("sbox square", round, i), x, x)?;
    let x4 = b.product(("sbox fourth", round, i), &x2, &x2)?;
    b.product(("sbox fifth", round, i), &x4, x)
}

/// The hash alone.
pub(super) fn hash_values(inputs: &[Fr; INPUTS]) -> Fr {
    let p = parameters();
    let mut state = [Fr::ZERO; INPUTS + 1];
    state[1..].copy_from_slice(inputs);
    let half = p.full_rounds / 2;
    for round in 0..p.full_rounds + p.partial_rounds {
        for (x, constant) in state.iter_mut().zip(&p.ark[round * p.width..]) {
            *x += constant;
        }
        let full = round < half || round >= half + p.partial_rounds;
        let boxes = if full { p.width } else { 1 };
        for x in state.iter_mut().take(boxes) {
            *x *= x.square().square();
        }
        let mut next = [Fr::ZERO; INPUTS + 1];
        for (y, row) in next.iter_mut().zip(&p.mds) {
            *y = row.iter().zip(&state).map(|(m, x)| *m * x).sum();
        }
        state = next;
    }
    state[0]
}

#[cfg(test)]
mod tests {
    use ark_ff::UniformRand;
    use light_poseidon::{Poseidon, PoseidonHasher};
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::scorecard::builder::Assign;

    #[test]
    fn agrees_with_light_poseidon() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for round in 0..20 {
            let inputs: [Fr; INPUTS] = std::array::from_fn(|i| match round {
                0 => Fr::ZERO,
                1 => Fr::from(i as u64),
                2 => -Fr::ONE,
                _ => Fr::rand(&mut rng),
            });
            let expected = Poseidon::<Fr>::new_circom(INPUTS)
                .expect("eight")
                .hash(&inputs)
                .expect("eight");
            assert_eq!(hash_values(&inputs), expected);
            let mut b = Assign::default();
            let inputs = inputs.map(|x| b.constant(x));
            assert_eq!(hash(&mut b, &inputs).expect("walks").value, expected);
        }
    }
}
