//! A small circuit through the whole ceremony, and every step tampered with.

mod attacks;
mod format;
mod honest;
mod keys;

use std::sync::LazyLock;

use ark_bn254::{Bn254, Fr};
use ark_ff::UniformRand;
use ark_groth16::ProvingKey;
use ark_relations::gr1cs::{ConstraintSynthesizer, ConstraintSystemRef, SynthesisError};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zkbureau_circuits::ceremony::{PowersSecrets, Refused};

use crate::{Circuit, Goal, Quiet, Transcript, verify};

/// `y = x^5 + 3x + product` with a public factor list: 15 constraints, 3 inputs, domain 2^5.
#[derive(Clone, Copy)]
pub(super) struct Toy {
    pub(super) x: u64,
}

impl Toy {
    /// Public inputs of a satisfied instance.
    pub(super) fn inputs(self) -> Vec<Fr> {
        let x = Fr::from(self.x);
        let mut power = x;
        for _ in 0..ROUNDS {
            power = power * x + Fr::from(3u64);
        }
        vec![power, x * x, Fr::from(7u64) - x]
    }
}

const ROUNDS: usize = 13;

impl ConstraintSynthesizer<Fr> for Toy {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
        let inputs = self.inputs();
        let y = cs.new_input_variable(|| Ok(inputs[0]))?;
        let square = cs.new_input_variable(|| Ok(inputs[1]))?;
        let seven = cs.new_input_variable(|| Ok(inputs[2]))?;
        let one = ark_relations::gr1cs::Variable::One;
        let x_value = Fr::from(self.x);
        let x = cs.new_witness_variable(|| Ok(x_value))?;
        cs.enforce_r1cs_constraint(|| x.into(), || x.into(), || square.into())?;
        // Coefficients of every kind: 1, -1, small, negative, large.
        let large = Fr::from(u128::MAX) * Fr::from(u128::MAX);
        cs.enforce_r1cs_constraint(
            || ark_relations::lc!() + (large, x) - (large, one),
            || ark_relations::lc!() + one,
            || ark_relations::lc!() + (large * Fr::from(6u64), one) - (large, seven),
        )?;
        let mut power = x;
        let mut value = x_value;
        for i in 0..ROUNDS {
            value = value * x_value + Fr::from(3u64);
            let next = if i + 1 == ROUNDS {
                y
            } else {
                let value = value;
                cs.new_witness_variable(|| Ok(value))?
            };
            cs.enforce_r1cs_constraint(
                || power.into(),
                || x.into(),
                || ark_relations::lc!() + next - (Fr::from(3u64), one),
            )?;
            power = next;
        }
        Ok(())
    }
}

pub(super) fn circuit() -> &'static Circuit {
    static CIRCUIT: LazyLock<Circuit> =
        LazyLock::new(|| Circuit::new(Toy { x: 2 }).expect("usable"));
    &CIRCUIT
}

pub(super) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(super) fn secrets(seed: u64) -> PowersSecrets {
    let mut rng = rng(seed);
    PowersSecrets {
        tau: Fr::rand(&mut rng),
        alpha: Fr::rand(&mut rng),
        beta: Fr::rand(&mut rng),
    }
}

pub(super) fn delta(seed: u64) -> Fr {
    Fr::rand(&mut rng(1000 + seed))
}

pub(super) const NAMES: [&str; 4] = ["Agency A", "Agency B", "Agency C", "Agency D"];

/// A transcript after this many contributions to phase 1.
pub(super) fn phase_one(contributions: usize) -> Transcript {
    let mut t = Transcript::new("toy", circuit().log_size()).expect("a title");
    for (i, name) in NAMES.iter().enumerate().take(contributions) {
        t = (t.contribute_powers(name, &secrets(i as u64), &mut rng(i as u64), &Quiet))
            .expect("honest")
            .0;
    }
    t
}

/// The transcript after three contributions to phase 1 and so many to phase 2.
pub(super) fn phase_two(contributions: usize) -> Transcript {
    static START: LazyLock<Transcript> =
        LazyLock::new(|| phase_one(3).specialise(circuit(), &Quiet).expect("fits"));
    let mut t = START.clone();
    for (i, name) in NAMES.iter().enumerate().take(contributions) {
        t = (t.contribute_delta(name, &delta(i as u64), &mut rng(i as u64), &Quiet))
            .expect("honest")
            .0;
    }
    t
}

pub(super) fn check(t: &Transcript, goal: Goal) -> Result<(), Refused> {
    verify(t, circuit(), goal, &mut rng(99), &Quiet).map(|_| ())
}

/// What a refusal says.
pub(super) fn refusal(t: &Transcript) -> String {
    check(t, Goal::SoFar)
        .expect_err("must be refused")
        .to_string()
}

pub(super) fn key() -> &'static ProvingKey<Bn254> {
    static KEY: LazyLock<ProvingKey<Bn254>> = LazyLock::new(|| {
        let t = phase_two(2);
        (verify(&t, circuit(), Goal::Complete, &mut rng(1), &Quiet).expect("honest"))
            .proving_key(&Quiet)
            .expect("complete")
    });
    &KEY
}
