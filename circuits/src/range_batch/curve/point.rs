//! The group law on the twisted Edwards curve -x² + y² = 1 + d·x²·y² in extended coordinates
//! (Hisil, Wong, Carter, Dawson 2008): complete, so no case is special. Constant time.

use std::ops::AddAssign;

use subtle::{Choice, ConditionallySelectable};

use super::field::Fe;

/// `(X : Y : Z : T)` with x = X/Z, y = Y/Z, xy = T/Z.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Point {
    pub(super) x: Fe,
    pub(super) y: Fe,
    pub(super) z: Fe,
    pub(super) t: Fe,
}

/// An affine point, ready to be added: `(y + x, y - x, 2·d·x·y)`.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Affine {
    pub(super) y_plus_x: Fe,
    pub(super) y_minus_x: Fe,
    pub(super) xy2d: Fe,
}

impl Point {
    pub(in super::super) const IDENTITY: Self = Self {
        x: Fe::ZERO,
        y: Fe::ONE,
        z: Fe::ONE,
        t: Fe::ZERO,
    };

    #[inline(always)]
    fn complete(e: Fe, f: Fe, g: Fe, h: Fe) -> Self {
        Self {
            x: e * f,
            y: g * h,
            z: f * g,
            t: e * h,
        }
    }

    #[inline]
    pub(in super::super) fn double(&self) -> Self {
        let (xx, yy) = (self.x.square(), self.y.square());
        let zz = self.z.square();
        let h = xx + yy;
        let e = h - (self.x + self.y).square();
        let g = xx - yy;
        Self::complete(e, zz + zz + g, g, h)
    }

    /// Whether this is the identity of the group, that is one of the four points of its coset.
    pub(in super::super) fn is_identity(&self) -> bool {
        bool::from(self.x.is_zero() | self.y.is_zero())
    }

    /// The affine forms of many points, with one inversion.
    pub(in super::super) fn to_affine(points: &[Self]) -> Vec<Affine> {
        let mut inverses: Vec<Fe> = points.iter().map(|p| p.z).collect();
        Fe::invert_all(&mut inverses);
        points
            .iter()
            .zip(inverses)
            .map(|(p, inverse)| Affine::new(p.x * inverse, p.y * inverse))
            .collect()
    }
}

impl Affine {
    /// From coordinates.
    pub(super) fn new(x: Fe, y: Fe) -> Self {
        Self {
            y_plus_x: y + x,
            y_minus_x: y - x,
            xy2d: x * y * Fe::D2,
        }
    }

    /// The negative if chosen: the first two coordinates change places, the third its sign.
    #[inline(always)]
    pub(super) fn negate_if(&self, negative: Choice) -> Self {
        let pick = |a: &Fe, b: &Fe| Fe::conditional_select(a, b, negative);
        Self {
            y_plus_x: pick(&self.y_plus_x, &self.y_minus_x),
            y_minus_x: pick(&self.y_minus_x, &self.y_plus_x),
            xy2d: pick(&self.xy2d, &-self.xy2d),
        }
    }

    /// The three coordinates, in order.
    pub(super) fn parts(&self) -> [Fe; 3] {
        [self.y_plus_x, self.y_minus_x, self.xy2d]
    }
}

impl AddAssign<&Affine> for Point {
    #[inline(always)]
    fn add_assign(&mut self, p: &Affine) {
        let a = (self.y - self.x) * p.y_minus_x;
        let b = (self.y + self.x) * p.y_plus_x;
        let c = self.t * p.xy2d;
        let d = self.z + self.z;
        *self = Self::complete(b - a, d - c, d + c, b + a);
    }
}

impl AddAssign<&Self> for Point {
    #[inline]
    fn add_assign(&mut self, p: &Self) {
        let a = (self.y - self.x) * (p.y - p.x);
        let b = (self.y + self.x) * (p.y + p.x);
        let c = self.t * Fe::D2 * p.t;
        let zz = self.z * p.z;
        let d = zz + zz;
        *self = Self::complete(b - a, d - c, d + c, b + a);
    }
}
