//! Integers modulo p = 2^255 - 19 in four words of 64 bits. Constant time.
//!
//! Any 256-bit integer stands for its residue, so no operation has a bound to respect: what leaves
//! the four words comes back 38-fold, because 2^256 = 38 modulo p.

use std::ops::{Add, Mul, Neg, Sub};

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// A residue modulo p; not necessarily the smallest one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fe(pub(super) [u64; 4]);

/// `sum + a·b + carry`, low word first.
#[inline(always)]
fn multiply_add(sum: u64, a: u64, b: u64, carry: u64) -> (u64, u64) {
    let wide = u128::from(sum) + u128::from(a) * u128::from(b) + u128::from(carry);
    (wide as u64, (wide >> 64) as u64)
}

/// 38 if `carry`, else 0.
#[inline(always)]
fn wrapped(carry: bool) -> u64 {
    u64::from(carry).wrapping_neg() & 38
}

/// Adds a small number, twice around: the second carry can only follow a sum that wrapped to less
/// than the number added, so there is no third.
#[inline(always)]
fn add_small(words: [u64; 4], small: u64) -> Fe {
    let (r0, c) = words[0].carrying_add(small, false);
    let (r1, c) = words[1].carrying_add(0, c);
    let (r2, c) = words[2].carrying_add(0, c);
    let (r3, c) = words[3].carrying_add(0, c);
    Fe([r0.wrapping_add(wrapped(c)), r1, r2, r3])
}

/// Reduces eight words.
#[inline(always)]
fn fold(r: [u64; 8]) -> Fe {
    let (o0, c) = multiply_add(r[0], r[4], 38, 0);
    let (o1, c) = multiply_add(r[1], r[5], 38, c);
    let (o2, c) = multiply_add(r[2], r[6], 38, c);
    let (o3, c) = multiply_add(r[3], r[7], 38, c);
    add_small([o0, o1, o2, o3], 38 * c)
}

impl Fe {
    pub(super) const ZERO: Self = Self([0; 4]);
    pub(super) const ONE: Self = Self([1, 0, 0, 0]);
    /// `d` of the curve.
    pub(super) const D: Self = Self([
        0x75eb_4dca_1359_78a3,
        0x0070_0a4d_4141_d8ab,
        0x8cc7_4079_7779_e898,
        0x5203_6cee_2b6f_fe73,
    ]);
    /// `2·d`.
    pub(super) const D2: Self = Self([
        0xebd6_9b94_26b2_f159,
        0x00e0_149a_8283_b156,
        0x198e_80f2_eef3_d130,
        0x2406_d9dc_56df_fce7,
    ]);
    /// The square root of -1 that is even.
    pub(super) const SQRT_M1: Self = Self([
        0xc4ee_1b27_4a0e_a0b0,
        0x2f43_1806_ad2f_e478,
        0x2b4d_0099_3dfb_d7a7,
        0x2b83_2480_4fc1_df0b,
    ]);
    /// `1/√(a - d)`, the even one.
    pub(super) const INVSQRT_A_MINUS_D: Self = Self([
        0x99c8_fdaa_805d_40ea,
        0x9d2f_1617_5a41_72be,
        0x16c2_7b91_fe01_d840,
        0x786c_8905_cfaf_fca2,
    ]);

    /// Reads 32 bytes as a little-endian integer.
    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(std::array::from_fn(|i| {
            let word: [u8; 8] = bytes[8 * i..8 * i + 8].try_into().expect("8 bytes");
            u64::from_le_bytes(word)
        }))
    }

    /// The smallest residue, little endian.
    pub(super) fn to_bytes(self) -> [u8; 32] {
        const LOW: u64 = u64::MAX >> 1;
        let [w0, w1, w2, w3] = self.0;
        // Below 2^255 + 19, and q = 1 iff at least p.
        let value = add_small([w0, w1, w2, w3 & LOW], 19 * (w3 >> 63)).0;
        let q = add_small(value, 19).0[3] >> 63;
        let mut words = add_small(value, 19 * q).0;
        words[3] &= LOW;
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Whether the smallest residue is odd.
    pub(super) fn is_negative(self) -> Choice {
        (self.to_bytes()[0] & 1).into()
    }

    pub(super) fn is_zero(self) -> Choice {
        self.to_bytes().ct_eq(&[0; 32])
    }

    #[inline(always)]
    pub(super) fn square(&self) -> Self {
        let a = &self.0;
        // Products of different words, once; then doubled.
        let (r1, c) = multiply_add(0, a[0], a[1], 0);
        let (r2, c) = multiply_add(0, a[0], a[2], c);
        let (r3, r4) = multiply_add(0, a[0], a[3], c);
        let (r3, c) = multiply_add(r3, a[1], a[2], 0);
        let (r4, r5) = multiply_add(r4, a[1], a[3], c);
        let (r5, r6) = multiply_add(r5, a[2], a[3], 0);
        let doubled = [
            r1 << 1,
            r2 << 1 | r1 >> 63,
            r3 << 1 | r2 >> 63,
            r4 << 1 | r3 >> 63,
            r5 << 1 | r4 >> 63,
            r6 << 1 | r5 >> 63,
            r6 >> 63,
        ];
        let (r0, s0) = multiply_add(0, a[0], a[0], 0);
        let (s1, s2) = multiply_add(0, a[1], a[1], 0);
        let (s3, s4) = multiply_add(0, a[2], a[2], 0);
        let (s5, s6) = multiply_add(0, a[3], a[3], 0);
        let (r1, c) = doubled[0].carrying_add(s0, false);
        let (r2, c) = doubled[1].carrying_add(s1, c);
        let (r3, c) = doubled[2].carrying_add(s2, c);
        let (r4, c) = doubled[3].carrying_add(s3, c);
        let (r5, c) = doubled[4].carrying_add(s4, c);
        let (r6, c) = doubled[5].carrying_add(s5, c);
        let (r7, _) = doubled[6].carrying_add(s6, c);
        fold([r0, r1, r2, r3, r4, r5, r6, r7])
    }

    /// `self^(p - 2)`: the inverse, or zero.
    pub(super) fn invert(self) -> Self {
        let ([t], [x11]) = pow_250_and_11([self]);
        let [t] = square_times([t], 5);
        x11 * t
    }

    /// `self^((p - 5)/8)` of several elements at once: one chain of squarings leaves the processor
    /// waiting, two do not.
    pub(super) fn pow_p58<const L: usize>(elements: [Self; L]) -> [Self; L] {
        let (t, _) = pow_250_and_11(elements);
        product(square_times(t, 2), elements)
    }

    /// Replaces every element that is not zero by its inverse, with one exponentiation for all.
    pub(super) fn invert_all(elements: &mut [Self]) {
        let mut before = Vec::with_capacity(elements.len());
        let mut product = Self::ONE;
        for element in &*elements {
            before.push(product);
            product = Self::conditional_select(&(product * *element), &product, element.is_zero());
        }
        let mut inverse = product.invert();
        for (element, before) in elements.iter_mut().zip(before).rev() {
            let zero = element.is_zero();
            let next = inverse * *element;
            *element = Self::conditional_select(&(inverse * before), element, zero);
            inverse = Self::conditional_select(&next, &inverse, zero);
        }
    }
}

/// `x^(2^k)`, lane by lane.
#[inline(always)]
fn square_times<const L: usize>(mut lanes: [Fe; L], k: u32) -> [Fe; L] {
    for _ in 0..k {
        for x in &mut lanes {
            *x = x.square();
        }
    }
    lanes
}

#[inline(always)]
fn product<const L: usize>(a: [Fe; L], b: [Fe; L]) -> [Fe; L] {
    std::array::from_fn(|i| a[i] * b[i])
}

/// `(x^(2^250 - 1), x^11)`: the common start of both exponentiations.
fn pow_250_and_11<const L: usize>(x: [Fe; L]) -> ([Fe; L], [Fe; L]) {
    let x2 = square_times(x, 1);
    let x9 = product(x, square_times(x2, 2));
    let x11 = product(x2, x9);
    let t5 = product(x9, square_times(x11, 1));
    let t10 = product(t5, square_times(t5, 5));
    let t20 = product(t10, square_times(t10, 10));
    let t40 = product(t20, square_times(t20, 20));
    let t50 = product(t10, square_times(t40, 10));
    let t100 = product(t50, square_times(t50, 50));
    let t200 = product(t100, square_times(t100, 100));
    (product(t50, square_times(t200, 50)), x11)
}

impl ConditionallySelectable for Fe {
    #[inline(always)]
    fn conditional_select(a: &Self, b: &Self, choice: Choice) -> Self {
        Self(std::array::from_fn(|i| {
            u64::conditional_select(&a.0[i], &b.0[i], choice)
        }))
    }
}

impl Add for Fe {
    type Output = Self;

    #[inline(always)]
    fn add(self, b: Self) -> Self {
        let (a, b) = (self.0, b.0);
        let (r0, c) = a[0].carrying_add(b[0], false);
        let (r1, c) = a[1].carrying_add(b[1], c);
        let (r2, c) = a[2].carrying_add(b[2], c);
        let (r3, c) = a[3].carrying_add(b[3], c);
        add_small([r0, r1, r2, r3], wrapped(c))
    }
}

impl Sub for Fe {
    type Output = Self;

    #[inline(always)]
    fn sub(self, b: Self) -> Self {
        let (a, b) = (self.0, b.0);
        let (r0, c) = a[0].borrowing_sub(b[0], false);
        let (r1, c) = a[1].borrowing_sub(b[1], c);
        let (r2, c) = a[2].borrowing_sub(b[2], c);
        let (r3, c) = a[3].borrowing_sub(b[3], c);
        let (r0, c) = r0.borrowing_sub(wrapped(c), false);
        let (r1, c) = r1.borrowing_sub(0, c);
        let (r2, c) = r2.borrowing_sub(0, c);
        let (r3, c) = r3.borrowing_sub(0, c);
        Self([r0.wrapping_sub(wrapped(c)), r1, r2, r3])
    }
}

impl Neg for Fe {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        Self::ZERO - self
    }
}

impl Mul for Fe {
    type Output = Self;

    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        let mut r = [0u64; 8];
        for i in 0..4 {
            let mut carry = 0;
            for j in 0..4 {
                (r[i + j], carry) = multiply_add(r[i + j], self.0[i], b.0[j], carry);
            }
            r[i + 4] = carry;
        }
        fold(r)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Bits = Vec<bool>;

    fn bits(words: [u64; 4]) -> Bits {
        (0..256)
            .map(|i| words[i / 64] >> (i % 64) & 1 == 1)
            .collect()
    }

    /// Twice a residue, plus a bit, reduced with comparisons: the slowest possible arithmetic, which
    /// shares nothing with the code above.
    fn double_plus(x: [u64; 4], bit: bool) -> [u64; 4] {
        let p = [u64::MAX - 18, u64::MAX, u64::MAX, u64::MAX >> 1];
        let mut y = [0; 4];
        for i in 0..4 {
            let below = if i == 0 {
                u64::from(bit)
            } else {
                x[i - 1] >> 63
            };
            y[i] = x[i] << 1 | below;
        }
        if y.iter().rev().cmp(p.iter().rev()).is_ge() {
            let mut borrow = false;
            for i in 0..4 {
                (y[i], borrow) = y[i].borrowing_sub(p[i], borrow);
            }
        }
        y
    }

    fn reduced(words: [u64; 4]) -> [u64; 4] {
        bits(words)
            .iter()
            .rev()
            .fold([0; 4], |x, bit| double_plus(x, *bit))
    }

    /// `a + b` by carrying into bits.
    fn sum(a: [u64; 4], b: [u64; 4]) -> [u64; 4] {
        let mut out = bits([0; 4]);
        let mut carry = false;
        for (i, (a, b)) in bits(a).into_iter().zip(bits(b)).enumerate() {
            out[i] = a ^ b ^ carry;
            carry = (a & b) | (a & carry) | (b & carry);
        }
        out.push(carry);
        out.iter().rev().fold([0; 4], |x, bit| double_plus(x, *bit))
    }

    fn slow_product(a: [u64; 4], b: [u64; 4]) -> [u64; 4] {
        let a = reduced(a);
        bits(b).iter().rev().fold([0; 4], |x, bit| {
            let twice = double_plus(x, false);
            if *bit { sum(twice, a) } else { twice }
        })
    }

    fn words(x: Fe) -> [u64; 4] {
        Fe::from_bytes(&x.to_bytes()).0
    }

    fn element() -> impl Strategy<Value = [u64; 4]> {
        let word = prop_oneof![
            4 => any::<u64>(),
            1 => 0u64..40,
            1 => (0u64..40).prop_map(|x| u64::MAX - x),
            1 => (0u64..2).prop_map(|x| (u64::MAX >> 1) + x),
        ];
        [word.clone(), word.clone(), word.clone(), word]
    }

    proptest! {
        #[test]
        fn agrees_with_slow_arithmetic(a in element(), b in element()) {
            let (x, y) = (Fe(a), Fe(b));
            prop_assert_eq!(words(x), reduced(a));
            prop_assert_eq!(words(x * y), slow_product(a, b));
            prop_assert_eq!(words(x.square()), slow_product(a, a));
            prop_assert_eq!(words(x + y), sum(reduced(a), reduced(b)));
            prop_assert_eq!(words((x - y) + y), reduced(a));
            prop_assert_eq!(words(x + -x), [0; 4]);
        }

        #[test]
        fn inverts(a in element(), b in element()) {
            let elements = [Fe(a), Fe(b), Fe::ZERO, Fe(a) * Fe(b)];
            let mut all = elements;
            Fe::invert_all(&mut all);
            for (inverse, element) in all.into_iter().zip(elements) {
                prop_assert_eq!(words(inverse), words(element.invert()));
                let expected = if bool::from(element.is_zero()) { [0; 4] } else { [1, 0, 0, 0] };
                prop_assert_eq!(words(inverse * element), expected);
            }
            // x^((p-5)/8) to the 8th, times x^4, is x^(p-1).
            let [x, y] = Fe::pow_p58([Fe(a), Fe(b)]);
            for (root, x) in [(x, Fe(a)), (y, Fe(b))] {
                let [eighth] = square_times([root], 3);
                let [fourth] = square_times([x], 2);
                let expected = if bool::from(x.is_zero()) { [0; 4] } else { [1, 0, 0, 0] };
                prop_assert_eq!(words(eighth * fourth), expected);
            }
        }
    }

    #[test]
    fn extremes() {
        let p = [u64::MAX - 18, u64::MAX, u64::MAX, u64::MAX >> 1];
        let two_p = [u64::MAX - 37, u64::MAX, u64::MAX, u64::MAX];
        let all = [u64::MAX; 4];
        let top = [0, 0, 0, 1 << 63];
        let mut cases = vec![[0; 4], [1, 0, 0, 0], p, two_p, all, top];
        for base in [p, two_p] {
            cases.push([base[0] - 1, base[1], base[2], base[3]]);
            cases.push([base[0] + 1, base[1], base[2], base[3]]);
            cases.push([base[0] + 18, base[1], base[2], base[3]]);
        }
        for a in &cases {
            assert_eq!(words(Fe(*a)), reduced(*a), "{a:x?}");
            for b in &cases {
                let (x, y) = (Fe(*a), Fe(*b));
                assert_eq!(words(x * y), slow_product(*a, *b), "{a:x?} {b:x?}");
                assert_eq!(words(x + y), sum(reduced(*a), reduced(*b)), "{a:x?} {b:x?}");
                assert_eq!(words((x - y) + y), reduced(*a), "{a:x?} {b:x?}");
            }
            assert_eq!(words(Fe(*a).square()), slow_product(*a, *a), "{a:x?}");
        }
    }

    #[test]
    fn constants() {
        let minus_one = -Fe::ONE;
        assert_eq!(words(Fe::SQRT_M1.square()), words(minus_one));
        assert_eq!(words(Fe::D + Fe::D), words(Fe::D2));
        let root = Fe::INVSQRT_A_MINUS_D;
        assert_eq!(words(root.square() * (minus_one - Fe::D)), [1, 0, 0, 0]);
        assert!(!bool::from(root.is_negative()) && !bool::from(Fe::SQRT_M1.is_negative()));
        // d = -121665/121666
        let fraction = Fe([121_666, 0, 0, 0]) * Fe::D + Fe([121_665, 0, 0, 0]);
        assert!(bool::from(fraction.is_zero()));
    }
}
