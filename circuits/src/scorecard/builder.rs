//! Two ways to walk through the relation: collecting the assignment (to prove), or emitting
//! constraints (for keys and matrices). One function, [`super::relation::synthesize`], drives both,
//! so an assignment cannot drift from the constraints.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField};
use ark_relations::gr1cs::{ConstraintSystemRef, LinearCombination, SynthesisError, Variable};

/// Names a constraint, or a witness: what it is, of which variable, and which of several.
pub(super) type Name = (&'static str, usize, usize);

/// A number in the circuit: its value, and the linear combination that stands for it. When only the
/// assignment is wanted, the combination stays empty.
#[derive(Clone, Debug)]
pub(super) struct Num {
    pub(super) value: Fr,
    pub(super) lc: LinearCombination<Fr>,
}

impl Num {
    pub(super) fn zero() -> Self {
        Self {
            value: Fr::ZERO,
            lc: LinearCombination::zero(),
        }
    }
}

/// Where the walk goes.
pub(super) trait Builder {
    /// Whether constraints are wanted.
    fn constrains(&self) -> bool;
    /// A public input.
    fn input(&mut self, value: Fr) -> Result<Num, SynthesisError>;
    /// A witness.
    fn witness(&mut self, name: Name, value: Fr) -> Result<Num, SynthesisError>;
    /// `a·b = c`.
    fn enforce(&mut self, name: Name, a: &Num, b: &Num, c: &Num) -> Result<(), SynthesisError>;

    /// A constant.
    fn constant(&self, value: Fr) -> Num {
        let mut lc = LinearCombination::zero();
        if self.constrains() {
            lc.0.push((value, Variable::One));
        }
        Num { value, lc }
    }

    /// `Σ coefficient·term`.
    fn sum<'a>(&self, terms: impl IntoIterator<Item = (Fr, &'a Num)>) -> Num {
        let mut sum = Num::zero();
        for (coefficient, term) in terms {
            sum.value += coefficient * term.value;
            if self.constrains() {
                (sum.lc.0).extend(term.lc.iter().map(|(c, v)| (coefficient * c, *v)));
            }
        }
        sum.lc.compactify();
        sum
    }

    /// A witness for `a·b`, with its constraint.
    fn product(&mut self, name: Name, a: &Num, b: &Num) -> Result<Num, SynthesisError> {
        let product = self.witness(name, a.value * b.value)?;
        self.enforce(name, a, b, &product)?;
        Ok(product)
    }

    /// A witness that is 0 or 1.
    fn bit(&mut self, name: Name, value: bool) -> Result<Num, SynthesisError> {
        let bit = self.witness(name, Fr::from(value))?;
        let one = self.constant(Fr::ONE);
        let rest = self.sum([(Fr::ONE, &one), (-Fr::ONE, &bit)]);
        self.enforce(name, &bit, &rest, &Num::zero())?;
        Ok(bit)
    }

    /// A number of this many bits, made of fresh bits of `value`.
    fn bits(
        &mut self,
        name: &'static str,
        a: usize,
        value: Fr,
        n: u32,
    ) -> Result<Num, SynthesisError> {
        let integer = value.into_bigint();
        let mut bits = Vec::with_capacity(n as usize);
        for i in 0..n as usize {
            bits.push(self.bit((name, a, i), integer.get_bit(i))?);
        }
        let mut weight = Fr::ONE;
        Ok(self.sum(bits.iter().map(|bit| {
            let term = (weight, bit);
            weight.double_in_place();
            term
        })))
    }

    /// `x = y`.
    fn equal(&mut self, name: Name, x: &Num, y: &Num) -> Result<(), SynthesisError> {
        let one = self.constant(Fr::ONE);
        self.enforce(name, x, &one, y)
    }

    /// `0 <= x < 2^n`.
    fn range(
        &mut self,
        name: &'static str,
        equal: &'static str,
        a: usize,
        x: &Num,
        n: u32,
    ) -> Result<(), SynthesisError> {
        let bits = self.bits(name, a, x.value, n)?;
        self.equal((equal, a, 0), &bits, x)
    }
}

/// Emits constraints into an arkworks constraint system.
pub(super) struct Emit {
    pub(super) cs: ConstraintSystemRef<Fr>,
}

impl Builder for Emit {
    fn constrains(&self) -> bool {
        true
    }

    fn input(&mut self, value: Fr) -> Result<Num, SynthesisError> {
        let variable = self.cs.new_input_variable(|| Ok(value))?;
        Ok(Num {
            value,
            lc: variable.into(),
        })
    }

    fn witness(&mut self, _: Name, value: Fr) -> Result<Num, SynthesisError> {
        let variable = self.cs.new_witness_variable(|| Ok(value))?;
        Ok(Num {
            value,
            lc: variable.into(),
        })
    }

    fn enforce(&mut self, _: Name, a: &Num, b: &Num, c: &Num) -> Result<(), SynthesisError> {
        self.cs
            .enforce_r1cs_constraint(|| a.lc.clone(), || b.lc.clone(), || c.lc.clone())
    }
}

/// Collects the assignment alone.
#[derive(Default)]
pub(super) struct Assign {
    pub(super) inputs: Vec<Fr>,
    pub(super) witness: Vec<Fr>,
}

impl Builder for Assign {
    fn constrains(&self) -> bool {
        false
    }

    fn input(&mut self, value: Fr) -> Result<Num, SynthesisError> {
        self.inputs.push(value);
        Ok(Num {
            value,
            lc: LinearCombination::zero(),
        })
    }

    fn witness(&mut self, _: Name, value: Fr) -> Result<Num, SynthesisError> {
        self.witness.push(value);
        Ok(Num {
            value,
            lc: LinearCombination::zero(),
        })
    }

    fn enforce(&mut self, _: Name, _: &Num, _: &Num, _: &Num) -> Result<(), SynthesisError> {
        Ok(())
    }
}
