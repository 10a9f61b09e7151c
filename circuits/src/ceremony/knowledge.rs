//! Proofs of knowledge of a contribution's secrets (spec: `params/spec/ceremony.md`, heading
//! "Proof of knowledge"): Schnorr proofs in G1 for `to = x·from`, bound to everything that the
//! contribution says.

use ark_bn254::{Fr, G1Affine};
use ark_ec::CurveGroup;
use ark_ff::PrimeField;
use borsh::{BorshDeserialize, BorshSerialize};
use merlin::{Transcript, TranscriptRng};
use rand_core::{CryptoRng, RngCore};
use zeroize::{Zeroize, Zeroizing};
use zkbureau_params::domain;

use super::points::G1Bytes;
use crate::encoding::Digest32;
use crate::scorecard::{FrBytes, fr_bytes};

/// A proof that somebody knows `x` with `to = x·from`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Knowledge {
    commitment: G1Bytes,
    response: FrBytes,
}

/// One secret's effect.
pub(super) struct Change {
    /// Name of the secret.
    pub(super) what: &'static str,
    pub(super) from: G1Affine,
    pub(super) to: G1Affine,
}

/// What the proofs of a contribution are bound to.
pub(super) struct Statement<'a> {
    pub(super) phase: u64,
    /// Counted from 1 within the phase.
    pub(super) number: u64,
    pub(super) name: &'a str,
    /// Hash of everything before.
    pub(super) previous: &'a Digest32,
    /// Digest of the vectors that the contribution makes.
    pub(super) state: &'a Digest32,
    pub(super) changes: &'a [Change],
}

impl Statement<'_> {
    fn absorb(&self) -> Transcript {
        let mut t = Transcript::new(domain::CEREMONY_KNOWLEDGE.as_bytes());
        t.append_u64(b"phase", self.phase);
        t.append_u64(b"number", self.number);
        t.append_message(b"name", self.name.as_bytes());
        t.append_message(b"previous", self.previous);
        t.append_message(b"state", self.state);
        t.append_u64(b"secrets", self.changes.len() as u64);
        for change in self.changes {
            t.append_message(b"secret", change.what.as_bytes());
            t.append_message(b"from", &G1Bytes::from(change.from).0);
            t.append_message(b"to", &G1Bytes::from(change.to).0);
        }
        t
    }

    /// Proves knowledge of every secret. `secrets` are in the order of the changes.
    pub(super) fn prove<R: RngCore + CryptoRng>(
        &self,
        secrets: &[&Fr],
        rng: &mut R,
    ) -> Vec<Knowledge> {
        let mut t = self.absorb();
        // Hedged: a broken source of randomness does not repeat a nonce for another statement.
        let mut builder = t.build_rng();
        for secret in secrets {
            builder =
                builder.rekey_with_witness_bytes(b"secret", &*Zeroizing::new(fr_bytes(secret)));
        }
        let mut nonces = builder.finalize(rng);
        let mut made: Vec<(Fr, G1Bytes)> = (self.changes.iter())
            .map(|change| {
                let nonce = nonce(&mut nonces);
                (nonce, G1Bytes::from((change.from * nonce).into_affine()))
            })
            .collect();
        for (_, commitment) in &made {
            t.append_message(b"R", &commitment.0);
        }
        (made.iter_mut().zip(secrets))
            .map(|((nonce, commitment), secret)| {
                let response = *nonce + challenge(&mut t) * *secret;
                nonce.zeroize();
                Knowledge {
                    commitment: *commitment,
                    response: FrBytes(response),
                }
            })
            .collect()
    }

    /// Verifies; names the first secret whose proof fails.
    pub(super) fn verify(&self, proofs: &[Knowledge]) -> Result<(), &'static str> {
        let mut t = self.absorb();
        for proof in proofs {
            t.append_message(b"R", &proof.commitment.0);
        }
        for (i, change) in self.changes.iter().enumerate() {
            let c = challenge(&mut t);
            let proof = proofs.get(i).ok_or(change.what)?;
            let commitment = proof.commitment.decode().ok_or(change.what)?;
            // s·from = R + c·to
            if change.from * proof.response.0 != change.to * c + commitment {
                return Err(change.what);
            }
        }
        Ok(())
    }
}

/// A uniform scalar.
fn nonce(rng: &mut TranscriptRng) -> Fr {
    let mut bytes = Zeroizing::new([0u8; 64]);
    rng.fill_bytes(&mut *bytes);
    Fr::from_le_bytes_mod_order(&*bytes)
}

fn challenge(t: &mut Transcript) -> Fr {
    let mut bytes = [0u8; 64];
    t.challenge_bytes(b"c", &mut bytes);
    Fr::from_le_bytes_mod_order(&bytes)
}

impl Knowledge {
    /// A proof of nothing, in place of one that is not made yet.
    pub(super) fn blank() -> Self {
        Self {
            commitment: G1Bytes([0; 32]),
            response: FrBytes(Fr::from(0u64)),
        }
    }
}
