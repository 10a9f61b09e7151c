//! A circuit as the ceremony needs it: its constraint matrices, column by column.

use ark_bn254::Fr;
use ark_poly::{EvaluationDomain, GeneralEvaluationDomain};
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystem, Matrix, OptimizationGoal, R1CS_PREDICATE_LABEL,
    SynthesisMode,
};
use zkbureau_circuits::ceremony::{Flaw, LOG_SIZES, Refused, Step, circuit_hash};
use zkbureau_circuits::encoding::Digest32;

/// Entries of one variable: coefficient and constraint.
pub(crate) type Column = Vec<(Fr, usize)>;

/// A circuit's constraints.
pub struct Circuit {
    /// A, B and C by variable: 1, public inputs, witnesses.
    pub(crate) columns: [Vec<Column>; 3],
    /// Public inputs with the constant 1.
    pub(crate) instance: usize,
    pub(crate) witnesses: usize,
    pub(crate) constraints: usize,
    log_size: u8,
    hash: Digest32,
}

impl std::fmt::Debug for Circuit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Circuit({})", hex::encode(self.hash))
    }
}

fn unusable(why: &'static str) -> Refused {
    Flaw::CircuitUnusable(why).at(Step::Specialisation)
}

impl Circuit {
    /// Walks through a circuit without an instance, as arkworks' generator does.
    ///
    /// # Errors
    /// [`Refused`] when the circuit cannot be synthesised, has a constraint that is not R1CS, is too
    /// large or too small, or has a witness in no constraint: its query would be the identity.
    pub fn new<C: ConstraintSynthesizer<Fr>>(circuit: C) -> Result<Self, Refused> {
        let cs = ConstraintSystem::new_ref();
        cs.set_optimization_goal(OptimizationGoal::Constraints);
        cs.set_mode(SynthesisMode::Setup);
        (circuit.generate_constraints(cs.clone())).map_err(|_| unusable("synthesis failed"))?;
        cs.finalize();
        let mut all = (cs.to_matrices()).map_err(|_| unusable("it has no matrices"))?;
        let matrices = (all.remove(R1CS_PREDICATE_LABEL)).unwrap_or_default();
        if !all.values().all(|m| m.iter().all(Vec::is_empty)) {
            return Err(unusable("a constraint is not R1CS"));
        }
        let [a, b, c] = matrices.as_slice() else {
            return Err(unusable("it has no R1CS constraints"));
        };
        let instance = cs.num_instance_variables();
        let witnesses = cs.num_witness_variables();
        let constraints = cs.num_constraints();
        let log_size = GeneralEvaluationDomain::<Fr>::new(constraints + instance)
            .and_then(|domain| u8::try_from(domain.log_size_of_group()).ok())
            .filter(|log| LOG_SIZES.contains(log))
            .ok_or(unusable("its domain is not supported"))?;
        let columns = [a, b, c].map(|m| transposed(m, instance + witnesses));
        if (instance..instance + witnesses).any(|j| columns.iter().all(|m| m[j].is_empty())) {
            return Err(unusable("a witness is in no constraint"));
        }
        Ok(Self {
            hash: circuit_hash(&matrices, instance, witnesses),
            columns,
            instance,
            witnesses,
            constraints,
            log_size,
        })
    }

    /// The hash that names the circuit.
    #[must_use]
    pub fn hash(&self) -> &Digest32 {
        &self.hash
    }

    /// The evaluation domain has 2^this elements.
    #[must_use]
    pub fn log_size(&self) -> u8 {
        self.log_size
    }

    /// Number of constraints.
    #[must_use]
    pub fn constraints(&self) -> usize {
        self.constraints
    }

    /// Number of public inputs, without the constant 1.
    #[must_use]
    pub fn public_inputs(&self) -> usize {
        self.instance - 1
    }

    /// Number of witnesses.
    #[must_use]
    pub fn witnesses(&self) -> usize {
        self.witnesses
    }
}

fn transposed(matrix: &Matrix<Fr>, variables: usize) -> Vec<Column> {
    let mut columns = vec![Column::new(); variables];
    for (constraint, row) in matrix.iter().enumerate() {
        for (coefficient, variable) in row {
            columns[*variable].push((*coefficient, constraint));
        }
    }
    columns
}
