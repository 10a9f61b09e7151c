//! Phase 1: powers of tau (spec: `params/spec/ceremony.md`, heading "Phase 1").

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use rand_core::{CryptoRng, RngCore};
use zkbureau_circuits::ceremony::{Flaw, PowersSecrets, Standing, state_digest};
use zkbureau_circuits::encoding::Digest32;

use crate::progress::Progress;
use crate::ratio;
use crate::vectors::{self, append, geometric, scale};

pub(crate) const TAU_G1: &str = "tau in G1";
pub(crate) const TAU_G2: &str = "tau in G2";
pub(crate) const ALPHA_G1: &str = "alpha·tau in G1";
pub(crate) const BETA_G1: &str = "beta·tau in G1";
pub(crate) const BETA_G2: &str = "beta in G2";

/// `tau^i·G`, `tau^i·H`, `alpha·tau^i·G`, `beta·tau^i·G`, `beta·H`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Powers {
    /// 2n - 1 of them.
    pub(crate) tau_g1: Vec<G1Affine>,
    /// n.
    pub(crate) tau_g2: Vec<G2Affine>,
    /// n.
    pub(crate) alpha_g1: Vec<G1Affine>,
    /// n.
    pub(crate) beta_g1: Vec<G1Affine>,
    pub(crate) beta_g2: G2Affine,
}

impl Powers {
    /// tau = alpha = beta = 1.
    pub(crate) fn start(log_size: u8) -> Self {
        let n = 1usize << log_size;
        Self {
            tau_g1: vec![G1Affine::generator(); 2 * n - 1],
            tau_g2: vec![G2Affine::generator(); n],
            alpha_g1: vec![G1Affine::generator(); n],
            beta_g1: vec![G1Affine::generator(); n],
            beta_g2: G2Affine::generator(),
        }
    }

    /// Number of elements of the domain.
    #[must_use]
    pub fn size(&self) -> usize {
        self.tau_g2.len()
    }

    /// The powers with every secret multiplied.
    pub(crate) fn times(&self, secrets: &PowersSecrets, progress: &dyn Progress) -> Self {
        let n = self.size();
        let tau = geometric(Fr::from(1u64), &secrets.tau, self.tau_g1.len());
        let alpha = geometric(secrets.alpha, &secrets.tau, n);
        let beta = geometric(secrets.beta, &secrets.tau, n);
        Self {
            tau_g1: scale(TAU_G1, &self.tau_g1, &tau, progress),
            tau_g2: scale(TAU_G2, &self.tau_g2, &tau[..n], progress),
            alpha_g1: scale(ALPHA_G1, &self.alpha_g1, &alpha, progress),
            beta_g1: scale(BETA_G1, &self.beta_g1, &beta, progress),
            beta_g2: (self.beta_g2 * secrets.beta).into_affine(),
        }
    }

    pub(crate) fn append(&self, out: &mut Vec<u8>) {
        append(&self.tau_g1, out);
        append(&self.tau_g2, out);
        append(&self.alpha_g1, out);
        append(&self.beta_g1, out);
        append(&[self.beta_g2], out);
    }

    /// Reads powers off the front; nothing when there are too few bytes.
    pub(crate) fn take(
        log_size: u8,
        bytes: &mut &[u8],
        progress: &dyn Progress,
    ) -> Option<Result<Self, Flaw>> {
        let n = 1usize << log_size;
        macro_rules! vector {
            ($what:expr, $n:expr) => {
                match vectors::take($what, bytes, $n, progress)? {
                    Ok(vector) => vector,
                    Err(flaw) => return Some(Err(flaw)),
                }
            };
        }
        let tau_g1 = vector!(TAU_G1, 2 * n - 1);
        let tau_g2 = vector!(TAU_G2, n);
        let alpha_g1 = vector!(ALPHA_G1, n);
        let beta_g1 = vector!(BETA_G1, n);
        let beta_g2: Vec<G2Affine> = vector!(BETA_G2, 1);
        Some(Ok(Self {
            tau_g1,
            tau_g2,
            alpha_g1,
            beta_g1,
            beta_g2: beta_g2[0],
        }))
    }

    /// What contributors sign.
    pub(crate) fn digest(&self) -> Digest32 {
        let mut bytes = Vec::new();
        self.append(&mut bytes);
        state_digest(b"powers", &bytes)
    }

    /// Checks every power. `standing` says what the minutes ended with.
    pub(crate) fn check<R: RngCore + CryptoRng>(
        &self,
        standing: &Standing,
        state: &Digest32,
        rng: &mut R,
        progress: &dyn Progress,
    ) -> Result<(), Flaw> {
        const PART: &str = "check powers";
        progress.step(PART, 0, 5);
        let (g, h) = (G1Affine::generator(), G2Affine::generator());
        if self.tau_g1[0] != g {
            return Err(Flaw::Generator(TAU_G1));
        }
        if self.tau_g2[0] != h {
            return Err(Flaw::Generator(TAU_G2));
        }
        let [tau, alpha, beta] = standing.powers();
        for (what, got, expected) in [
            (TAU_G1, self.tau_g1[1], tau),
            (ALPHA_G1, self.alpha_g1[0], alpha),
            (BETA_G1, self.beta_g1[0], beta),
        ] {
            if got != expected {
                return Err(Flaw::Minutes(what));
            }
        }
        for (what, one, two) in [("tau", tau, self.tau_g2[1]), ("beta", beta, self.beta_g2)] {
            if !ratio::equal(one, h, g, two) {
                return Err(Flaw::Groups(what));
            }
        }
        // tau^n = 1 would make every element of the H query the identity.
        let contributed = !standing.powers_hashes().is_empty();
        if contributed && self.tau_g1[self.size()] == g {
            return Err(Flaw::Domain);
        }
        let mut weights = ratio::weights_rng(state, rng);
        let wrong = |what| {
            move |index| Flaw::Power {
                what,
                index,
                secret: "tau",
            }
        };
        let tau_g2 = self.tau_g2[1];
        progress.step(PART, 1, 5);
        ratio::powers_g1(&self.tau_g1, tau_g2, &mut weights).map_err(wrong(TAU_G1))?;
        progress.step(PART, 2, 5);
        ratio::powers_g2(&self.tau_g2, tau, &mut weights).map_err(wrong(TAU_G2))?;
        progress.step(PART, 3, 5);
        ratio::powers_g1(&self.alpha_g1, tau_g2, &mut weights).map_err(wrong(ALPHA_G1))?;
        progress.step(PART, 4, 5);
        ratio::powers_g1(&self.beta_g1, tau_g2, &mut weights).map_err(wrong(BETA_G1))?;
        progress.step(PART, 5, 5);
        Ok(())
    }
}
