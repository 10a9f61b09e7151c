//! Where the prover's secrets come from: merlin's transcript RNG, keyed with everything public so
//! far, all openings, and the caller's randomness. Nothing is stored or derived from vault salts.

use curve25519_dalek::scalar::Scalar;
use merlin::{Transcript, TranscriptRng};
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest, Sha512};
use zeroize::Zeroize;

use super::statement::Witness;

/// A hash of all openings of a batch; secret.
pub(super) struct OpeningsKey([u8; 64]);

impl OpeningsKey {
    pub(super) fn new(witness: &Witness<'_>) -> Self {
        let mut hasher = Sha512::new();
        // Never reallocated: freed memory could not be wiped.
        let values = witness.records.first().map_or(0, |r| r.encoded().len());
        let mut buffer = Vec::with_capacity(8 * values + 64);
        for (record, blindings) in witness.records.iter().zip(witness.blindings) {
            for x in record.encoded() {
                buffer.extend_from_slice(&x.to_le_bytes());
            }
            buffer.extend_from_slice(blindings.stocks.as_bytes());
            buffer.extend_from_slice(blindings.flows.as_bytes());
            hasher.update(&buffer);
            buffer.zeroize();
        }
        Self(hasher.finalize().into())
    }
}

impl Drop for OpeningsKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A stream of secret scalars, bound to one point of the transcript and one label.
pub(super) struct Nonces(TranscriptRng);

impl Nonces {
    pub(super) fn new<R: RngCore + CryptoRng>(
        transcript: &Transcript,
        label: &'static [u8],
        key: &OpeningsKey,
        rng: &mut R,
    ) -> Self {
        Self(
            transcript
                .build_rng()
                .rekey_with_witness_bytes(label, &key.0)
                .finalize(rng),
        )
    }

    pub(super) fn scalar(&mut self) -> Scalar {
        let mut wide = [0u8; 64];
        self.0.fill_bytes(&mut wide);
        let scalar = Scalar::from_bytes_mod_order_wide(&wide);
        wide.zeroize();
        scalar
    }

    pub(super) fn scalars(&mut self, count: usize) -> Vec<Scalar> {
        (0..count).map(|_| self.scalar()).collect()
    }
}
