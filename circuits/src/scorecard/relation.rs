//! The relation in R1CS (spec: `circuits/spec/scorecard.md`, heading "Relation"; the names of
//! constraints are those of its table).

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use ark_relations::gr1cs::{ConstraintSynthesizer, ConstraintSystemRef, SynthesisError};

use super::builder::{Assign, Builder, Emit, Num};
use super::poseidon;
use super::table::{Row, Table};
use super::{MAX_BINS, MAX_VARIABLES, SHORTFALL_BITS, VALUE_BITS};

/// Inputs that differ between proofs: P, z, lower, upper, full, then 32 flags and 32 weights.
pub(super) const CLAIM_INPUTS: usize = 5 + 2 * MAX_VARIABLES;
/// Inputs of the card's table.
pub(super) const TABLE_INPUTS: usize = MAX_VARIABLES * (2 * MAX_BINS + 1);
/// Public inputs without the constant 1. The verifier checks the number: arkworks does not.
pub(super) const INPUTS: usize = CLAIM_INPUTS + TABLE_INPUTS;
/// Place of the table's first input among a verifying key's bases, whose first stands for 1.
pub(super) const FIRST_TABLE_INPUT: usize = 1 + CLAIM_INPUTS;

/// Bits of a sum of 32 shortfalls, and of its distance to a bound, with one to spare.
pub(super) const TOTAL_BITS: u32 = SHORTFALL_BITS + 6;
/// Values in one word of the Poseidon commitment.
pub(super) const WORD: usize = 6;
/// A shortfall's place in the order of reasons is `32·shortfall + 31 - variable`.
pub(super) const RANKS: u64 = MAX_VARIABLES as u64;
/// Bits of the bar above 32, and of places' distances to it.
pub(super) const BAR_BITS: u32 = SHORTFALL_BITS + 6;
/// A bar above every place: no reasons are shown.
pub(super) const NO_REASONS_BAR: u64 = 1 << (SHORTFALL_BITS + 5);

/// The public inputs, in their order.
#[derive(Clone, Debug)]
pub(super) struct Public {
    pub(super) commitment: Fr,
    pub(super) z: Fr,
    pub(super) lower: u64,
    pub(super) upper: u64,
    /// 1: variables that are not shown may have shortfalls.
    pub(super) full: bool,
    /// Which variables are shown as reasons.
    pub(super) reasons: u32,
    pub(super) weights: [u128; MAX_VARIABLES],
}

impl Public {
    /// The inputs that differ between proofs.
    pub(super) fn claim_inputs(&self) -> Vec<Fr> {
        let mut inputs = vec![
            self.commitment,
            self.z,
            Fr::from(self.lower),
            Fr::from(self.upper),
            Fr::from(self.full),
        ];
        inputs.extend((0..MAX_VARIABLES).map(|a| Fr::from(self.reasons >> a & 1 == 1)));
        inputs.extend(self.weights.map(Fr::from));
        inputs
    }
}

/// What the prover knows.
#[derive(Clone)]
pub(super) struct Witness {
    /// Values, counted from each variable's smallest.
    pub(super) values: [u64; MAX_VARIABLES],
    pub(super) k: Fr,
    pub(super) r: Fr,
    /// Places at or above `32 + bar` are reasons.
    pub(super) bar: u64,
}

/// The words that the Poseidon commitment hashes: six values of 40 bits to each, then k and r.
pub(super) fn commitment(values: &[u64; MAX_VARIABLES], k: Fr, r: Fr) -> Fr {
    let mut inputs = [Fr::ZERO; poseidon::INPUTS];
    for (word, values) in inputs.iter_mut().zip(values.chunks(WORD)) {
        for value in values.iter().rev() {
            *word = *word * shift() + Fr::from(*value);
        }
    }
    inputs[poseidon::INPUTS - 2] = k;
    inputs[poseidon::INPUTS - 1] = r;
    poseidon::hash_values(&inputs)
}

fn shift() -> Fr {
    Fr::from(1u64 << VALUE_BITS)
}

struct RowInputs {
    ends: Vec<Num>,
    shortfalls: Vec<Num>,
}

fn numbers<B: Builder>(
    b: &mut B,
    values: impl IntoIterator<Item = u64>,
) -> Result<Vec<Num>, SynthesisError> {
    (values.into_iter()).map(|x| b.input(Fr::from(x))).collect()
}

/// Walks through the relation.
pub(super) fn synthesize<B: Builder>(
    b: &mut B,
    table: &Table,
    public: &Public,
    witness: &Witness,
) -> Result<(), SynthesisError> {
    // Public inputs, in their order.
    let commitment = b.input(public.commitment)?;
    let z = b.input(public.z)?;
    let lower = b.input(Fr::from(public.lower))?;
    let upper = b.input(Fr::from(public.upper))?;
    let full = b.input(Fr::from(public.full))?;
    let flags = (0..MAX_VARIABLES)
        .map(|a| b.input(Fr::from(public.reasons >> a & 1 == 1)))
        .collect::<Result<Vec<_>, _>>()?;
    let weights = (public.weights.iter())
        .map(|c| b.input(Fr::from(*c)))
        .collect::<Result<Vec<_>, _>>()?;
    let rows = (table.rows.iter())
        .map(|row| {
            Ok(RowInputs {
                ends: numbers(b, row.ends)?,
                shortfalls: numbers(b, row.shortfalls)?,
            })
        })
        .collect::<Result<Vec<_>, SynthesisError>>()?;

    // Every variable: its bin, its value within the bin, its shortfall.
    let mut values = Vec::with_capacity(MAX_VARIABLES);
    let mut shortfalls = Vec::with_capacity(MAX_VARIABLES);
    for (a, (inputs, row)) in rows.iter().zip(&table.rows).enumerate() {
        let (value, shortfall) = variable(b, a, inputs, row, witness.values[a])?;
        values.push(value);
        shortfalls.push(shortfall);
    }

    // lower <= F <= upper.
    let total = b.sum(shortfalls.iter().map(|f| (Fr::ONE, f)));
    let above = b.sum([(Fr::ONE, &total), (-Fr::ONE, &lower)]);
    b.range("above bit", "above", 0, &above, TOTAL_BITS)?;
    let below = b.sum([(Fr::ONE, &upper), (-Fr::ONE, &total)]);
    b.range("below bit", "below", 0, &below, TOTAL_BITS)?;

    reasons(b, &flags, &full, &shortfalls, witness.bar)?;

    // z = k + Σ c·v.
    let k = b.witness(("k", 0, 0), witness.k)?;
    let mut products = Vec::with_capacity(MAX_VARIABLES);
    for (a, (weight, value)) in weights.iter().zip(&values).enumerate() {
        products.push(b.product(("weighted", a, 0), weight, value)?);
    }
    let right = b.sum(std::iter::once((Fr::ONE, &k)).chain(products.iter().map(|p| (Fr::ONE, p))));
    b.equal(("z", 0, 0), &right, &z)?;

    // P = Poseidon(words, k, r).
    let r = b.witness(("r", 0, 0), witness.r)?;
    let mut words: Vec<Num> = (values.chunks(WORD))
        .map(|chunk| {
            let mut weight = Fr::ONE;
            b.sum(chunk.iter().map(|value| {
                let term = (weight, value);
                weight *= shift();
                term
            }))
        })
        .collect();
    words.extend([k, r]);
    let words: [Num; poseidon::INPUTS] = words.try_into().expect("six words, k and r");
    let hash = poseidon::hash(b, &words)?;
    b.equal(("commitment", 0, 0), &hash, &commitment)
}

/// One variable: one-hot selectors `s`, `v = Σ s·lo + d`, `Σ s·hi = v + 1 + e`, `f = Σ s·shortfall`.
fn variable<B: Builder>(
    b: &mut B,
    a: usize,
    inputs: &RowInputs,
    row: &Row,
    value: u64,
) -> Result<(Num, Num), SynthesisError> {
    let bin = (0..MAX_BINS)
        .find(|i| (row.ends[*i]..row.ends[i + 1]).contains(&value))
        .unwrap_or(0);
    let one = b.constant(Fr::ONE);
    let mut selectors = Vec::with_capacity(MAX_BINS);
    for i in 0..MAX_BINS {
        selectors.push(b.bit(("selector", a, i), i == bin)?);
    }
    let sum = b.sum(selectors.iter().map(|s| (Fr::ONE, s)));
    b.equal(("one bin", a, 0), &sum, &one)?;
    let (mut lo, mut hi, mut shortfall) = (Vec::new(), Vec::new(), Vec::new());
    for (i, s) in selectors.iter().enumerate() {
        lo.push(b.product(("lo", a, i), s, &inputs.ends[i])?);
        hi.push(b.product(("hi", a, i), s, &inputs.ends[i + 1])?);
        shortfall.push(b.product(("shortfall", a, i), s, &inputs.shortfalls[i])?);
    }
    let [lo, hi, shortfall] =
        [&lo, &hi, &shortfall].map(|all| b.sum(all.iter().map(|x| (Fr::ONE, x))));
    let from_low = b.bits("from low bit", a, Fr::from(value) - lo.value, VALUE_BITS)?;
    let v = b.sum([(Fr::ONE, &lo), (Fr::ONE, &from_low)]);
    let to_high = b.bits("to high bit", a, hi.value - v.value - Fr::ONE, VALUE_BITS)?;
    let end = b.sum([(Fr::ONE, &v), (Fr::ONE, &one), (Fr::ONE, &to_high)]);
    b.equal(("in bin", a, 0), &end, &hi)?;
    Ok((v, shortfall))
}

/// The flagged variables are those whose place is at or above the bar; the bar is 32, below which
/// there is no shortfall, unless `full`.
fn reasons<B: Builder>(
    b: &mut B,
    flags: &[Num],
    full: &Num,
    shortfalls: &[Num],
    bar: u64,
) -> Result<(), SynthesisError> {
    let one = b.constant(Fr::ONE);
    let rest = b.bits("bar bit", 0, Fr::from(bar), BAR_BITS)?;
    let not_full = b.sum([(Fr::ONE, &one), (-Fr::ONE, full)]);
    b.enforce(("bar", 0, 0), &not_full, &rest, &Num::zero())?;
    let bar = b.sum([(Fr::ONE, &rest), (Fr::from(RANKS), &one)]);
    for (a, (flag, shortfall)) in flags.iter().zip(shortfalls).enumerate() {
        let rank = RANKS - 1 - a as u64;
        // g = place - bar; shown: g >= 0, else -g - 1 >= 0.
        let g = b.sum([
            (Fr::from(RANKS), shortfall),
            (Fr::from(rank), &one),
            (-Fr::ONE, &bar),
        ]);
        let double = b.sum([(Fr::from(2u64), &g), (Fr::ONE, &one)]);
        let signed = b.product(("side", a, 0), flag, &double)?;
        let distance = b.sum([(Fr::ONE, &signed), (-Fr::ONE, &g), (-Fr::ONE, &one)]);
        b.range("rank bit", "rank", a, &distance, BAR_BITS)?;
    }
    Ok(())
}

/// The full assignment: 1, the public inputs, the witness.
pub(super) fn assignment(
    table: &Table,
    public: &Public,
    witness: &Witness,
) -> Result<Vec<Fr>, SynthesisError> {
    let mut b = Assign::default();
    synthesize(&mut b, table, public, witness)?;
    debug_assert_eq!(b.inputs.len(), INPUTS);
    let mut all = vec![Fr::ONE];
    all.append(&mut b.inputs);
    all.append(&mut b.witness);
    Ok(all)
}

/// The circuit, for generators of keys and for arkworks' own prover. Without an instance it has the
/// right constraints and meaningless values.
#[derive(Clone, Default)]
pub struct ScorecardCircuit {
    pub(super) instance: Option<Box<Instance>>,
}

#[derive(Clone)]
pub(super) struct Instance {
    pub(super) table: Table,
    pub(super) public: Public,
    pub(super) witness: Witness,
}

impl Instance {
    /// Values that satisfy nothing, for keys.
    fn blank() -> Self {
        let row = Row {
            ends: [0; MAX_BINS + 1],
            shortfalls: [0; MAX_BINS],
        };
        Self {
            table: Table {
                rows: [row; MAX_VARIABLES],
            },
            public: Public {
                commitment: Fr::ZERO,
                z: Fr::ZERO,
                lower: 0,
                upper: 0,
                full: false,
                reasons: 0,
                weights: [0; MAX_VARIABLES],
            },
            witness: Witness {
                values: [0; MAX_VARIABLES],
                k: Fr::ZERO,
                r: Fr::ZERO,
                bar: 0,
            },
        }
    }
}

impl ScorecardCircuit {
    /// The circuit without an instance: all that a ceremony needs.
    #[must_use]
    pub fn blank() -> Self {
        Self::default()
    }
}

impl ConstraintSynthesizer<Fr> for ScorecardCircuit {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
        let i = self.instance.unwrap_or_else(|| Box::new(Instance::blank()));
        synthesize(&mut Emit { cs }, &i.table, &i.public, &i.witness)
    }
}
