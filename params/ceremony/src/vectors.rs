//! Vectors of points: scaling them by secrets, their bytes.

use ark_bn254::{Fr, g1, g2};
use ark_ec::scalar_mul::glv::GLVConfig;
use ark_ec::short_weierstrass::{Affine, Projective};
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
use ark_ff::{AdditiveGroup, Field};
use rayon::prelude::*;
use zeroize::Zeroizing;
use zkbureau_circuits::ceremony::{Flaw, G1Bytes, G2Bytes};

use crate::progress::Progress;

/// Points between two reports of progress.
const CHUNK: usize = 1024;

/// A point with its wire format.
pub(crate) trait Point: AffineRepr<ScalarField = Fr> {
    /// Bytes of one.
    const BYTES: usize;
    /// Appends the compressed point.
    fn append(&self, out: &mut Vec<u8>);
    /// The point that so many bytes encode, unless it is the identity.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

impl Point for Affine<g1::Config> {
    const BYTES: usize = G1Bytes::BYTES;
    fn append(&self, out: &mut Vec<u8>) {
        out.extend(G1Bytes::from(*self).0);
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        G1Bytes(bytes.try_into().ok()?).decode()
    }
}

impl Point for Affine<g2::Config> {
    const BYTES: usize = G2Bytes::BYTES;
    fn append(&self, out: &mut Vec<u8>) {
        out.extend(G2Bytes::from(*self).0);
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        G2Bytes(bytes.try_into().ok()?).decode()
    }
}

/// A group in which vectors are scaled, transformed and summed.
pub(crate) trait Group:
    CurveGroup<ScalarField = Fr> + VariableBaseMSM<MulBase = Self::Affine>
{
    /// A multiple, by the curve's endomorphism: arkworks uses it by itself in G1 only.
    fn times(self, scalar: Fr) -> Self;
}

impl Group for Projective<g1::Config> {
    fn times(self, scalar: Fr) -> Self {
        g1::Config::glv_mul_projective(self, scalar)
    }
}

impl Group for Projective<g2::Config> {
    fn times(self, scalar: Fr) -> Self {
        g2::Config::glv_mul_projective(self, scalar)
    }
}

/// `first·1, first·x, first·x^2, ..`
pub(crate) fn geometric(first: Fr, x: &Fr, n: usize) -> Zeroizing<Vec<Fr>> {
    let mut powers = Zeroizing::new(Vec::with_capacity(n));
    let mut next = first;
    for _ in 0..n {
        powers.push(next);
        next *= x;
    }
    powers
}

/// Element i times scalar i. Scalars are repeated when there is one only.
pub(crate) fn scale<P: Point>(
    part: &'static str,
    points: &[P],
    scalars: &[Fr],
    progress: &dyn Progress,
) -> Vec<P>
where
    P::Group: Group,
{
    let one = scalars.len() == 1;
    let mut out = Vec::with_capacity(points.len());
    for (i, chunk) in points.chunks(CHUNK).enumerate() {
        progress.step(part, i * CHUNK, points.len());
        let scaled: Vec<P::Group> = (chunk.par_iter().enumerate())
            .map(|(j, p)| {
                p.into_group()
                    .times(scalars[if one { 0 } else { i * CHUNK + j }])
            })
            .collect();
        out.extend(P::Group::normalize_batch(&scaled));
    }
    progress.step(part, points.len(), points.len());
    out
}

/// Appends a vector's bytes.
pub(crate) fn append<P: Point>(points: &[P], out: &mut Vec<u8>) {
    for p in points {
        p.append(out);
    }
}

/// Reads `n` points off the front. Every one is checked; nothing is allocated beyond what the bytes
/// hold. `None` when there are too few bytes.
pub(crate) fn take<P: Point>(
    what: &'static str,
    bytes: &mut &[u8],
    n: usize,
    progress: &dyn Progress,
) -> Option<Result<Vec<P>, Flaw>> {
    let (own, rest) = bytes.split_at_checked(n.checked_mul(P::BYTES)?)?;
    *bytes = rest;
    let mut points = Vec::with_capacity(n);
    for (i, chunk) in own.chunks(CHUNK * P::BYTES).enumerate() {
        progress.step(what, i * CHUNK, n);
        let decoded: Vec<Option<P>> = chunk.par_chunks(P::BYTES).map(P::decode).collect();
        for point in decoded {
            let Some(point) = point else {
                let index = points.len();
                return Some(Err(Flaw::Element { what, index }));
            };
            points.push(point);
        }
    }
    progress.step(what, n, n);
    Some(Ok(points))
}

/// `1/x`; secrets are never zero.
pub(crate) fn inverse(x: &Fr) -> Zeroizing<Fr> {
    Zeroizing::new(x.inverse().unwrap_or(Fr::ZERO))
}
