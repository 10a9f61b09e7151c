//! A cheating prover: overrides witnesses, and says which constraints it breaks.

use std::collections::{BTreeSet, HashMap};

use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use ark_relations::gr1cs::SynthesisError;

use super::*;
use crate::fact::pedersen;
use crate::scorecard::builder::{Builder, Name, Num};
use crate::scorecard::encoding::FrBytes;
use crate::scorecard::keys::shape;
use crate::scorecard::prove::{Secrets, prove_assignment};
use crate::scorecard::relation::{NO_REASONS_BAR, Public, Witness, synthesize};
use crate::scorecard::statement::draw_weights;
use crate::scorecard::table::Table;
use crate::scorecard::{MAX_VARIABLES, link};

/// Collects an assignment with overridden witnesses, and checks every constraint on the way.
#[derive(Default)]
pub(super) struct Check {
    pub(super) overrides: HashMap<Name, Fr>,
    pub(super) inputs: Vec<Fr>,
    pub(super) witness: Vec<Fr>,
    /// Every constraint, and whether it holds.
    pub(super) constraints: Vec<(Name, bool)>,
    hash: Fr,
    sum: Fr,
}

impl Builder for Check {
    fn constrains(&self) -> bool {
        false
    }

    fn input(&mut self, value: Fr) -> Result<Num, SynthesisError> {
        self.inputs.push(value);
        Ok(Num {
            value,
            ..Num::zero()
        })
    }

    fn witness(&mut self, name: Name, value: Fr) -> Result<Num, SynthesisError> {
        let value = self.overrides.remove(&name).unwrap_or(value);
        self.witness.push(value);
        Ok(Num {
            value,
            ..Num::zero()
        })
    }

    fn enforce(&mut self, name: Name, a: &Num, b: &Num, c: &Num) -> Result<(), SynthesisError> {
        match name.0 {
            "commitment" => self.hash = a.value,
            "z" => self.sum = a.value,
            _ => {}
        }
        self.constraints.push((name, a.value * b.value == c.value));
        Ok(())
    }
}

impl Check {
    /// Names of the broken constraints.
    pub(super) fn broken(&self) -> BTreeSet<&'static str> {
        let broken = self.constraints.iter().filter(|(_, holds)| !holds);
        broken.map(|(name, _)| name.0).collect()
    }

    pub(super) fn assignment(&self) -> Vec<Fr> {
        let mut all = vec![Fr::from(1u64)];
        all.extend(&self.inputs);
        all.extend(&self.witness);
        all
    }

    /// The rows of the matrices that the assignment breaks: the same constraints, seen by arkworks.
    pub(super) fn broken_rows(&self) -> Vec<usize> {
        let all = self.assignment();
        let value = |m: usize, row: usize| -> Fr {
            (shape().matrices[m][row].iter())
                .map(|(c, i)| *c * all[*i])
                .sum()
        };
        (0..shape().constraints)
            .filter(|row| value(0, *row) * value(1, *row) != value(2, *row))
            .collect()
    }
}

pub(super) fn walk(
    table: &Table,
    public: &Public,
    witness: &Witness,
    overrides: HashMap<Name, Fr>,
) -> Check {
    let mut check = Check {
        overrides,
        ..Check::default()
    };
    synthesize(&mut check, table, public, witness).expect("walks");
    assert!(
        check.overrides.is_empty(),
        "no such witness: {:?}",
        check.overrides
    );
    check
}

/// What the circuit hashes to.
pub(super) fn hash_with(table: &Table, witness: &Witness, overrides: HashMap<Name, Fr>) -> Fr {
    let public = Public {
        commitment: Fr::ZERO,
        z: Fr::ZERO,
        lower: 0,
        upper: 0,
        full: true,
        reasons: 0,
        weights: [0; MAX_VARIABLES],
    };
    walk(table, &public, witness, overrides).hash
}

/// Which part of the link a cheat keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Z {
    /// `z = k + Σ c·v` over the committed values: the link's equation holds.
    Committed,
    /// `z` as the circuit computes it.
    Circuit,
}

/// What a cheat does.
pub(super) struct Cheat<'a> {
    /// What it claims.
    pub(super) statement: ScoreStatement<'a>,
    /// What it puts in for the values.
    pub(super) values: Option<[u64; MAX_VARIABLES]>,
    pub(super) bar: u64,
    pub(super) z: Z,
    /// The Poseidon commitment, if another than the circuit's.
    pub(super) commitment: Option<Fr>,
    /// The table, if another than the card's.
    pub(super) table: Option<Table>,
}

impl<'a> Cheat<'a> {
    pub(super) fn new(statement: ScoreStatement<'a>) -> Self {
        Self {
            statement,
            values: None,
            bar: NO_REASONS_BAR,
            z: Z::Committed,
            commitment: None,
            table: None,
        }
    }

    pub(super) fn honest_values(person: &Person) -> [u64; MAX_VARIABLES] {
        let mut values = [0; MAX_VARIABLES];
        for (v, o) in values.iter_mut().zip(&person.openings) {
            *v = o.value;
        }
        values
    }

    /// Makes the proof; `overrides` may depend on the weights.
    pub(super) fn run(
        &self,
        person: &Person,
        overrides: impl Fn(&[u128; MAX_VARIABLES]) -> Vec<(Name, Fr)>,
    ) -> (Check, ScoreProof) {
        let mut rng = rng(11);
        let secrets = Secrets::draw(&mut rng);
        self.run_with(person, &secrets, overrides)
    }

    pub(super) fn run_with(
        &self,
        person: &Person,
        secrets: &Secrets,
        overrides: impl Fn(&[u128; MAX_VARIABLES]) -> Vec<(Name, Fr)>,
    ) -> (Check, ScoreProof) {
        let committed = Self::honest_values(person);
        let statement = &self.statement;
        let table = self.table.as_ref().unwrap_or(&statement.card.table);
        let k = link::as_fr(&secrets.k);
        let witness = Witness {
            values: self.values.unwrap_or(committed),
            k,
            r: secrets.r,
            bar: self.bar,
        };
        let bounds = statement.bounds().expect("a claim that can hold");
        let walk = |commitment, z, weights| {
            let public = statement.public(bounds, commitment, z, weights);
            self::walk(
                table,
                &public,
                &witness,
                overrides(&weights).into_iter().collect(),
            )
        };
        // The commitment does not depend on weights, but for overrides of the last products.
        let blank = walk(Fr::ZERO, Fr::ZERO, [0; MAX_VARIABLES]);
        let commitment = self.commitment.unwrap_or(blank.hash);
        let mask = PointBytes::from(pedersen::commit(&link::as_scalar(&secrets.k), &secrets.t));
        let weights = draw_weights(
            &mut statement.absorb(&commitment, &mask),
            person.openings.len(),
        );
        let z = match self.z {
            Z::Committed => link::answer(&secrets.k, &weights, &committed).expect("in range"),
            Z::Circuit => {
                let sum = walk(commitment, Fr::ZERO, weights).sum;
                let bytes = crate::scorecard::encoding::fr_bytes(&sum);
                bytes[..31].try_into().expect("31 bytes")
            }
        };
        let check = walk(commitment, link::as_fr(&z), weights);
        let blindings = weights.iter().zip(&person.openings);
        let s = *secrets.t
            + blindings
                .map(|(c, o)| Scalar::from(*c) * o.blinding)
                .sum::<Scalar>();
        let groth = prove_assignment(key(), check.assignment(), &mut rng(12)).expect("a domain");
        let proof = ScoreProof {
            groth,
            commitment: FrBytes(commitment),
            mask,
            z,
            s,
        };
        (check, proof)
    }
}
