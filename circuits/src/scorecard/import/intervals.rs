//! Sets of integers as sorted, disjoint half-open intervals.

/// Stands for minus infinity. Ends of bins lie far inside.
pub(super) const MINUS_INFINITY: i64 = -(1 << 62);
/// Stands for infinity.
pub(super) const INFINITY: i64 = 1 << 62;

/// A set of integers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Integers(Vec<(i64, i64)>);

impl Integers {
    pub(super) fn none() -> Self {
        Self::default()
    }

    pub(super) fn all() -> Self {
        Self::between(MINUS_INFINITY, INFINITY)
    }

    /// `[from, to)`.
    pub(super) fn between(from: i64, to: i64) -> Self {
        let (from, to) = (from.max(MINUS_INFINITY), to.min(INFINITY));
        Self(if from < to { vec![(from, to)] } else { vec![] })
    }

    pub(super) fn one(value: i64) -> Self {
        Self::between(value, value.saturating_add(1))
    }

    pub(super) fn intervals(&self) -> &[(i64, i64)] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn complement(&self) -> Self {
        let mut out = Vec::new();
        let mut from = MINUS_INFINITY;
        for (a, b) in &self.0 {
            if from < *a {
                out.push((from, *a));
            }
            from = *b;
        }
        if from < INFINITY {
            out.push((from, INFINITY));
        }
        Self(out)
    }

    pub(super) fn and(&self, other: &Self) -> Self {
        let mut out = Vec::new();
        let (mut i, mut j) = (0, 0);
        while let (Some((a, b)), Some((c, d))) = (self.0.get(i), other.0.get(j)) {
            let (from, to) = (*a.max(c), *b.min(d));
            if from < to {
                out.push((from, to));
            }
            if b < d {
                i += 1;
            } else {
                j += 1;
            }
        }
        Self(out)
    }

    pub(super) fn or(&self, other: &Self) -> Self {
        // Complements of sorted, disjoint, non-adjacent intervals are such again.
        self.complement().and(&other.complement()).complement()
    }

    pub(super) fn without(&self, other: &Self) -> Self {
        self.and(&other.complement())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(bits: u32) -> Integers {
        (0..16)
            .filter(|i| bits >> i & 1 == 1)
            .fold(Integers::none(), |s, i| s.or(&Integers::one(i)))
    }

    fn has(s: &Integers, x: i64) -> bool {
        s.intervals().iter().any(|(a, b)| (*a..*b).contains(&x))
    }

    proptest! {
        #[test]
        fn are_sets(a in 0u32..1 << 16, b in 0u32..1 << 16) {
            let (s, t) = (set(a), set(b));
            for x in -1..17 {
                let bit = |bits: u32| (0..16).contains(&x) && bits >> x & 1 == 1;
                prop_assert_eq!(has(&s.and(&t), x), bit(a) && bit(b));
                prop_assert_eq!(has(&s.or(&t), x), bit(a) || bit(b));
                prop_assert_eq!(has(&s.without(&t), x), bit(a) && !bit(b));
                prop_assert_eq!(has(&s.complement(), x), !bit(a));
            }
            prop_assert_eq!(s.complement().complement(), s);
        }
    }
}
