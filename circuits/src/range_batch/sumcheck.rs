//! The prover's sum-check over rows of bits (spec: "Relation").
//!
//! Round `k` needs `a1` and `a2` of `Σ eq(later variables)·Σ_i y^(i+1)·(f_i(X)² - f_i(X))`, where `f`
//! is the rows folded by the challenges so far. Only the quadratic part needs vectors. It is done in
//! two stages:
//!
//! 1. For the first [`HEAD`] rounds a folded row is a combination of up to 16 rows of bits, so every
//!    round polynomial is a quadratic form in 16 unknowns. Its coefficients are sums of `y^(i+1)`
//!    over columns where two rows both have a bit: bytes are ANDed and looked up, nothing is
//!    multiplied.
//! 2. The rows are folded 16 to 1 by look-ups, and the other rounds work on a sixteenth of the rows.
//!
//! Not constant time in the records' bits, and independent of every blinding.

use ark_curve25519::Fr;
use ark_ff::{AdditiveGroup, BigInt, Field, PrimeField};
use rayon::prelude::*;

use super::bits::BitRows;
use super::field::eq_table;
use super::layout::Layout;

/// Rounds of the first stage.
const HEAD: usize = 4;
/// Rows that the first stage folds into one.
const HEADS: usize = 1 << HEAD;

/// Quadratic form in the coefficients of folded head rows: symmetric, row-major.
type Form = [[Fr; HEADS]; HEADS];

/// For every eight columns, the sums of `y^(i+1)` over all 256 subsets, as words.
struct WeightSums(Vec<[[u64; 4]; 256]>);

impl WeightSums {
    fn new(y_powers: &[Fr]) -> Self {
        let words = |element: Fr| element.0.0;
        Self(
            y_powers
                .par_chunks(8)
                .map(|powers| subset_sums(powers).map(words))
                .collect(),
        )
    }
}

/// Sums of all subsets of up to eight elements.
fn subset_sums(elements: &[Fr]) -> [Fr; 256] {
    let mut sums = [Fr::ZERO; 256];
    for (i, element) in elements.iter().enumerate() {
        let (known, new) = sums[..2 << i].split_at_mut(1 << i);
        for (sum, without) in new.iter_mut().zip(known) {
            *sum = *without + element;
        }
    }
    sums
}

/// Runs the sum-check. `round` gets `(a1, a2)` of every round and returns its challenge; the result
/// is `u = Σ_j eq(r,j)·b[j,·]`.
pub(super) fn sum_check(
    rows: &BitRows,
    layout: &Layout,
    y_powers: &[Fr],
    tau: &[Fr],
    mut round: impl FnMut(Fr, Fr) -> Fr,
) -> Vec<Fr> {
    let head = tau.len().min(HEAD);
    let (head_tau, tail_tau) = tau.split_at(head);
    let tails = 1 << tail_tau.len();
    let eq_tail = eq_table(tail_tau);

    let mut form = head_form(rows, tails, &WeightSums::new(y_powers), &eq_tail);
    let mut linear: [Fr; HEADS] = std::array::from_fn(|h| form[h][h]);
    let mut challenges = Vec::with_capacity(head);
    for k in 0..head {
        let half = 1 << (head - k - 1);
        let (a1, a2) = form_round(&form, &linear, half, &eq_table(&head_tau[k + 1..]));
        let r = round(a1, a2);
        fold_form(&mut form, &mut linear, half, r);
        challenges.push(r);
    }

    let columns = layout.columns();
    let mut folded = fold_heads(rows, tails, columns, &eq_table(&challenges));
    for k in 0..tail_tau.len() {
        let half = (tails >> (k + 1)) * columns;
        let (low, high) = folded.split_at_mut(half);
        let (a1, a2) = tail_round(low, high, y_powers, &eq_table(&tail_tau[k + 1..]));
        let r = round(a1, a2);
        low.par_chunks_mut(columns)
            .zip(high.par_chunks_mut(columns))
            .for_each(|(low, high)| {
                for (l, h) in low.iter_mut().zip(high) {
                    *l += (*h - *l) * r;
                    *h = Fr::ZERO;
                }
            });
        folded.truncate(half);
    }
    folded
}

/// `form[g][h] = Σ_tail eq(tail)·Σ_i y^(i+1)·b[(g,tail),i]·b[(h,tail),i]`. On the diagonal this is
/// also the linear part, since the rows are bits.
fn head_form(rows: &BitRows, tails: usize, weights: &WeightSums, eq_tail: &[Fr]) -> Form {
    let zero = || Box::new([[Fr::ZERO; HEADS]; HEADS]);
    let mut form = (0..tails)
        .into_par_iter()
        .fold(zero, |mut form, tail| {
            add_block(&mut form, &block(rows, tail, tails), weights, eq_tail[tail]);
            form
        })
        .reduce(zero, |mut a, b| {
            for (x, y) in a.iter_mut().flatten().zip(b.iter().flatten()) {
                *x += y;
            }
            a
        });
    for g in 0..HEADS {
        for h in 0..g {
            form[g][h] = form[h][g];
        }
    }
    *form
}

/// The rows that fold into one: those with the same tail.
fn block(rows: &BitRows, tail: usize, tails: usize) -> Vec<&[u8]> {
    (tail..rows.len())
        .step_by(tails)
        .map(|j| rows.row(j))
        .collect()
}

/// Bytes of a row whose tables (8 KiB each) are used together, and stay in the first-level cache.
const TILE: usize = 4;

/// Adds one block's products of rows, times `weight`, above the diagonal.
#[inline(never)]
fn add_block(form: &mut Form, block: &[&[u8]], weights: &WeightSums, weight: Fr) {
    let mut sums = [[Unreduced::ZERO; HEADS]; HEADS];
    for (tile, tables) in weights.0.chunks(TILE).enumerate() {
        let bytes = tile * TILE..tile * TILE + tables.len();
        for (g, left) in block.iter().enumerate() {
            let left = &left[bytes.clone()];
            for (h, right) in block.iter().enumerate().skip(g) {
                let right = &right[bytes.clone()];
                let mut words = [0; 4];
                for ((l, r), table) in left.iter().zip(right).zip(tables) {
                    add_words(&mut words, &table[usize::from(l & r)]);
                }
                sums[g][h].add(words);
            }
        }
    }
    for g in 0..block.len() {
        for h in g..block.len() {
            form[g][h] += sums[g][h].reduce() * weight;
        }
    }
}

/// Adds reduced elements, below 2^253; up to eight of them fit.
#[inline(always)]
fn add_words(sum: &mut [u64; 4], words: &[u64; 4]) -> bool {
    let mut carry = false;
    for (sum, word) in sum.iter_mut().zip(words) {
        (*sum, carry) = sum.carrying_add(*word, carry);
    }
    carry
}

/// A sum of elements in Montgomery form, reduced only at the end. It holds some 2^60 of them.
#[derive(Clone, Copy)]
struct Unreduced {
    low: [u64; 4],
    high: u64,
}

impl Unreduced {
    const ZERO: Self = Self {
        low: [0; 4],
        high: 0,
    };

    #[inline(always)]
    fn add(&mut self, words: [u64; 4]) {
        self.high += u64::from(add_words(&mut self.low, &words));
    }

    /// With ℓ = 2^252 + c, `x = low + 2^252·high` is `low - c·high`, plus ℓ if that is negative.
    fn reduce(self) -> Fr {
        let [w0, w1, w2, w3] = self.low;
        let high = u128::from(self.high << 4 | w3 >> 60);
        let [c0, c1, _, _] = Fr::MODULUS.0;
        let product0 = u128::from(c0) * high;
        let product1 = u128::from(c1) * high + (product0 >> 64);
        let words = [product0 as u64, product1 as u64, (product1 >> 64) as u64, 0];
        let mut value = [w0, w1, w2, w3 & (u64::MAX >> 4)];
        let mut borrow = false;
        for (value, word) in value.iter_mut().zip(words) {
            (*value, borrow) = value.borrowing_sub(word, borrow);
        }
        if borrow {
            add_words(&mut value, &Fr::MODULUS.0);
        }
        Fr::new_unchecked(BigInt(value))
    }
}

/// `(a1, a2)` of one round of the first stage; `eq` belongs to the later head variables.
fn form_round(form: &Form, linear: &[Fr; HEADS], half: usize, eq: &[Fr]) -> (Fr, Fr) {
    let (mut a1, mut a2) = (Fr::ZERO, Fr::ZERO);
    for (x, weight) in eq.iter().enumerate() {
        let (s00, s01, s11) = (form[x][x], form[x][x + half], form[x + half][x + half]);
        let d01 = s01 - s00;
        a1 += (d01.double() - (linear[x + half] - linear[x])) * weight;
        a2 += (s11 - s01 - d01) * weight;
    }
    (a1, a2)
}

/// Binds the most significant head variable to `r`.
fn fold_form(form: &mut Form, linear: &mut [Fr; HEADS], half: usize, r: Fr) {
    for row in form.iter_mut() {
        for x in 0..half {
            row[x] = row[x] + (row[x + half] - row[x]) * r;
        }
    }
    for x in 0..half {
        let (low, high) = form.split_at_mut(x + half);
        for (l, h) in low[x].iter_mut().zip(&high[0]).take(half) {
            *l += (*h - *l) * r;
        }
        linear[x] = linear[x] + (linear[x + half] - linear[x]) * r;
    }
}

/// Folds up to 16 rows of bits into one row of `Σ_h eq[h]·b[(h,tail),·]` per tail.
fn fold_heads(rows: &BitRows, tails: usize, columns: usize, eq: &[Fr]) -> Vec<Fr> {
    let sums = [
        subset_sums(&eq[..eq.len().min(8)]),
        subset_sums(eq.get(8..).unwrap_or(&[])),
    ];
    let mut folded = vec![Fr::ZERO; tails * columns];
    folded
        .par_chunks_mut(columns)
        .enumerate()
        .for_each(|(tail, out)| fold_block(&block(rows, tail, tails), &sums, out));
    folded
}

#[inline(never)]
fn fold_block(block: &[&[u8]], sums: &[[Fr; 256]; 2], out: &mut [Fr]) {
    let (low, high) = block.split_at(block.len().min(8));
    for (c, out) in out.chunks_mut(8).enumerate() {
        let (low, high) = (column_bits(low, c), column_bits(high, c));
        for (value, (l, h)) in out.iter_mut().zip(low.into_iter().zip(high)) {
            *value = sums[0][usize::from(l)] + sums[1][usize::from(h)];
        }
    }
}

/// The bits of up to eight rows in columns `8c..8c + 8`, column by column.
fn column_bits(rows: &[&[u8]], c: usize) -> [u8; 8] {
    let mut bytes = [0u8; 8];
    for (byte, row) in bytes.iter_mut().zip(rows) {
        *byte = row[c];
    }
    transpose(bytes)
}

/// Transposes an 8 × 8 matrix of bits: bit `i` of byte `j` becomes bit `j` of byte `i`.
fn transpose(bytes: [u8; 8]) -> [u8; 8] {
    let mut x = u64::from_le_bytes(bytes);
    let mut swap = |shift: u32, mask: u64| {
        let t = (x ^ (x >> shift)) & mask;
        x ^= t ^ (t << shift);
    };
    swap(7, 0x00aa_00aa_00aa_00aa);
    swap(14, 0x0000_cccc_0000_cccc);
    swap(28, 0x0000_0000_f0f0_f0f0);
    x.to_le_bytes()
}

/// `(a1, a2)` of one round of the second stage. With `d = high - low`:
/// `a1 = Σ y^(i+1)·d·(2·low - 1)` and `a2 = Σ y^(i+1)·d²`, weighted with `eq` per pair of rows.
fn tail_round(low: &[Fr], high: &[Fr], y_powers: &[Fr], eq: &[Fr]) -> (Fr, Fr) {
    let columns = y_powers.len();
    low.par_chunks(columns)
        .zip(high.par_chunks(columns))
        .zip(eq)
        .map(|((low, high), weight)| {
            let (a1, a2) = tail_pair(low, high, y_powers);
            (a1 * weight, a2 * weight)
        })
        .reduce(|| (Fr::ZERO, Fr::ZERO), |(a, b), (c, d)| (a + c, b + d))
}

#[inline(never)]
fn tail_pair(low: &[Fr], high: &[Fr], y_powers: &[Fr]) -> (Fr, Fr) {
    let (mut a1, mut a2) = (Fr::ZERO, Fr::ZERO);
    for ((l, h), y) in low.iter().zip(high).zip(y_powers) {
        let d = *h - l;
        let yd = d * y;
        a1 += yd * (l.double() - Fr::ONE);
        a2 += yd * d;
    }
    (a1, a2)
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::scalar::Scalar;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::range_batch::field::to_fr;

    #[test]
    fn sums_reduce() {
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        let mut elements = vec![Fr::ZERO, Fr::ONE, -Fr::ONE];
        // The largest Montgomery form there is, and random ones.
        let mut largest = Fr::MODULUS.0;
        largest[0] -= 1;
        elements.push(Fr::new_unchecked(BigInt(largest)));
        elements.resize_with(20, || to_fr(&Scalar::random(&mut rng)));
        for element in &elements {
            let (mut sum, mut expected) = (Unreduced::ZERO, Fr::ZERO);
            for _ in 0..3000 {
                assert_eq!(sum.reduce(), expected);
                let mut eight = [0; 4];
                for _ in 0..8 {
                    assert!(!add_words(&mut eight, &element.0.0));
                    expected += element;
                }
                sum.add(eight);
            }
        }
        let mut mixed = Unreduced::ZERO;
        for element in &elements {
            mixed.add(element.0.0);
        }
        assert_eq!(mixed.reduce(), elements.iter().sum::<Fr>());
    }

    #[test]
    fn transposes_bits() {
        let bytes = [0x01, 0x80, 0xff, 0x00, 0x5a, 0x13, 0xc4, 0x7e];
        let out = transpose(bytes);
        for (j, byte) in bytes.iter().enumerate() {
            for (i, row) in out.iter().enumerate() {
                assert_eq!(byte >> i & 1, row >> j & 1, "bit {i} of byte {j}");
            }
        }
    }
}
