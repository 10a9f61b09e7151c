//! Where secrets come from (spec: `params/spec/ceremony.md`, heading "Secrets").

use ark_bn254::Fr;
use ark_ff::{PrimeField, Zero};
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;
use zkbureau_circuits::ceremony::PowersSecrets;
use zkbureau_params::domain;

/// 64 bytes of the operating system's randomness, and what the contributor adds. Secrets are hashes
/// of both: as unpredictable as the better of the two. Wiped when dropped.
pub struct Entropy {
    seed: Zeroizing<[u8; 64]>,
}

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy(..)")
    }
}

impl Entropy {
    /// Draws from `rng`, which is the operating system's but in tests, and adds `extra`.
    pub fn draw<R: RngCore + CryptoRng>(rng: &mut R, extra: &[u8]) -> Self {
        let mut own = Zeroizing::new([0u8; 64]);
        rng.fill_bytes(&mut *own);
        let mut hasher = Sha512::new();
        hasher.update(domain::CEREMONY_SECRET);
        hasher.update(*own);
        hasher.update(extra);
        let mut seed = Zeroizing::new([0u8; 64]);
        seed.copy_from_slice(&hasher.finalize());
        Self { seed }
    }

    /// A scalar that is neither 0 nor 1.
    fn scalar(&self, what: &str) -> Zeroizing<Fr> {
        for attempt in 0u64.. {
            let mut hasher = Sha512::new();
            hasher.update(domain::CEREMONY_SECRET);
            hasher.update(*self.seed);
            hasher.update(what);
            hasher.update(attempt.to_le_bytes());
            let mut wide = Zeroizing::new([0u8; 64]);
            wide.copy_from_slice(&hasher.finalize());
            let scalar = Zeroizing::new(Fr::from_le_bytes_mod_order(&*wide));
            if !scalar.is_zero() && *scalar != Fr::from(1u64) {
                return scalar;
            }
        }
        unreachable!("a hash is not 0 or 1 modulo p for 2^64 inputs")
    }

    /// Factors of phase 1.
    pub(crate) fn powers(&self) -> PowersSecrets {
        PowersSecrets {
            tau: *self.scalar("tau"),
            alpha: *self.scalar("alpha"),
            beta: *self.scalar("beta"),
        }
    }

    /// Factor of phase 2.
    pub(crate) fn delta(&self) -> Zeroizing<Fr> {
        self.scalar("delta")
    }
}
