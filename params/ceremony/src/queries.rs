//! Phase 2: dividing the queries H and L by delta (spec: `params/spec/ceremony.md`, heading
//! "Phase 2").

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use rand_core::{CryptoRng, RngCore};
use zkbureau_circuits::ceremony::{Flaw, Standing, queries_digest};
use zkbureau_circuits::encoding::Digest32;

use crate::progress::Progress;
use crate::ratio;
use crate::specialise::Specialised;
use crate::vectors::{append, inverse, scale, take};

pub(crate) const H: &str = "query H";
pub(crate) const L: &str = "query L";
pub(crate) const DELTA_G2: &str = "delta in G2";

/// What phase 2 changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queries {
    pub(crate) delta_g2: G2Affine,
    /// n - 1 of them.
    pub(crate) h: Vec<G1Affine>,
    /// One per witness.
    pub(crate) l: Vec<G1Affine>,
}

impl Queries {
    /// delta = 1.
    pub(crate) fn start(specialised: &Specialised) -> Self {
        Self {
            delta_g2: G2Affine::generator(),
            h: specialised.h.clone(),
            l: specialised.l.clone(),
        }
    }

    /// The queries with delta multiplied.
    pub(crate) fn times(&self, delta: &Fr, progress: &dyn Progress) -> Self {
        let inverse = inverse(delta);
        Self {
            delta_g2: (self.delta_g2 * delta).into_affine(),
            h: scale(H, &self.h, &[*inverse], progress),
            l: scale(L, &self.l, &[*inverse], progress),
        }
    }

    pub(crate) fn append(&self, out: &mut Vec<u8>) {
        append(&[self.delta_g2], out);
        append(&self.h, out);
        append(&self.l, out);
    }

    /// Reads queries off the front; nothing when there are too few bytes.
    pub(crate) fn take(
        log_size: u8,
        witnesses: usize,
        bytes: &mut &[u8],
        progress: &dyn Progress,
    ) -> Option<Result<Self, Flaw>> {
        macro_rules! vector {
            ($what:expr, $n:expr) => {
                match take($what, bytes, $n, progress)? {
                    Ok(vector) => vector,
                    Err(flaw) => return Some(Err(flaw)),
                }
            };
        }
        let delta_g2: Vec<G2Affine> = vector!(DELTA_G2, 1);
        let h = vector!(H, (1usize << log_size) - 1);
        let l = vector!(L, witnesses);
        Some(Ok(Self {
            delta_g2: delta_g2[0],
            h,
            l,
        }))
    }

    /// What contributors sign.
    pub(crate) fn digest(&self) -> Digest32 {
        queries_digest(&self.delta_g2, &self.h, &self.l)
    }

    /// Checks that the queries are the circuit's, divided by the delta the minutes ended with.
    pub(crate) fn check<R: RngCore + CryptoRng>(
        &self,
        specialised: &Specialised,
        standing: &Standing,
        state: &Digest32,
        rng: &mut R,
        progress: &dyn Progress,
    ) -> Result<(), Flaw> {
        const PART: &str = "check queries";
        progress.step(PART, 0, 2);
        for (what, expected, got) in [
            (H, specialised.h.len(), self.h.len()),
            (L, specialised.l.len(), self.l.len()),
        ] {
            if expected != got {
                return Err(Flaw::Length {
                    what,
                    expected,
                    got,
                });
            }
        }
        let (g, h) = (G1Affine::generator(), G2Affine::generator());
        if !ratio::equal(standing.delta(), h, g, self.delta_g2) {
            return Err(Flaw::Groups("delta"));
        }
        let mut weights = ratio::weights_rng(state, rng);
        let wrong = |what| move |index| Flaw::Query { what, index };
        ratio::divided(&specialised.h, &self.h, self.delta_g2, &mut weights).map_err(wrong(H))?;
        progress.step(PART, 1, 2);
        ratio::divided(&specialised.l, &self.l, self.delta_g2, &mut weights).map_err(wrong(L))?;
        progress.step(PART, 2, 2);
        Ok(())
    }
}
