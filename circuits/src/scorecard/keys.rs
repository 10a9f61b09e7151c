//! Keys: what is checked when one is loaded, and the constraint matrices that go with a proving key
//! (spec: `circuits/spec/scorecard.md`, heading "Keys").

use std::sync::OnceLock;

use ark_bn254::{Bn254, Fr, G1Affine};
use ark_ec::AffineRepr;
use ark_ec::pairing::Pairing;
use ark_groth16::{Groth16, PreparedVerifyingKey, prepare_verifying_key};
use ark_poly::{EvaluationDomain, GeneralEvaluationDomain};
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystem, Matrix, OptimizationGoal, R1CS_PREDICATE_LABEL,
    SynthesisMode,
};
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use zkbureau_params::domain;

use super::error::KeyError;
use super::relation::{INPUTS, ScorecardCircuit};
use crate::encoding::{Digest32, hash_parts};

/// Bytes of a compressed point of G1, of G2, and of a list's length.
const G1_BYTES: usize = 32;
const G2_BYTES: usize = 64;
const LENGTH_BYTES: usize = 8;

/// The circuit's constraints, computed once a process.
pub(super) struct Shape {
    pub(super) matrices: Vec<Matrix<Fr>>,
    pub(super) constraints: usize,
    pub(super) witnesses: usize,
    /// Size of the evaluation domain.
    pub(super) domain: usize,
}

pub(super) fn shape() -> &'static Shape {
    static SHAPE: OnceLock<Shape> = OnceLock::new();
    SHAPE.get_or_init(|| {
        // As arkworks' generator walks through a circuit.
        let cs = ConstraintSystem::new_ref();
        cs.set_optimization_goal(OptimizationGoal::Constraints);
        cs.set_mode(SynthesisMode::Setup);
        (ScorecardCircuit::blank().generate_constraints(cs.clone()))
            .expect("setup assigns nothing");
        cs.finalize();
        assert_eq!(cs.num_instance_variables(), INPUTS + 1);
        let mut all = cs.to_matrices().expect("setup makes matrices");
        let matrices = (all.remove(R1CS_PREDICATE_LABEL)).expect("all constraints are R1CS");
        let constraints = cs.num_constraints();
        let domain = GeneralEvaluationDomain::<Fr>::new(constraints + INPUTS + 1);
        Shape {
            matrices,
            constraints,
            witnesses: cs.num_witness_variables(),
            domain: domain.expect("BN254 has domains up to 2^28").size(),
        }
    })
}

/// A verifying key that passed every check.
#[derive(Clone)]
pub struct VerifyingKey {
    prepared: PreparedVerifyingKey<Bn254>,
    hash: Digest32,
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifyingKey({})", hex::encode(self.hash))
    }
}

impl VerifyingKey {
    /// Length of the encoding.
    pub const BYTES: usize = G1_BYTES + 3 * G2_BYTES + LENGTH_BYTES + (INPUTS + 1) * G1_BYTES;

    /// Checks a key.
    ///
    /// # Errors
    /// [`KeyError`] when the number of public inputs is not the circuit's, a point is the identity,
    /// or delta = gamma.
    pub fn new(vk: ark_groth16::VerifyingKey<Bn254>) -> Result<Self, KeyError> {
        if vk.gamma_abc_g1.len() != INPUTS + 1 {
            return Err(KeyError::Count {
                what: "public inputs",
                expected: INPUTS,
                got: vk.gamma_abc_g1.len().saturating_sub(1),
            });
        }
        for (what, identity) in [
            ("alpha", vk.alpha_g1.is_zero()),
            ("beta", vk.beta_g2.is_zero()),
            ("gamma", vk.gamma_g2.is_zero()),
            ("delta", vk.delta_g2.is_zero()),
            // With an identity here, the proof would not depend on that input.
            (
                "the base of a public input",
                vk.gamma_abc_g1.iter().any(G1Affine::is_zero),
            ),
        ] {
            if identity {
                return Err(KeyError::Identity(what));
            }
        }
        if vk.delta_g2 == vk.gamma_g2 {
            return Err(KeyError::DeltaGamma);
        }
        let hash = hash_parts(domain::SCORECARD_KEY, &[&compressed(&vk)]);
        Ok(Self {
            prepared: prepare_verifying_key(&vk),
            hash,
        })
    }

    /// Reads a key. Every point is checked to be in its group.
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are no key, the key fails a check, or its content hash is not the
    /// expected one.
    pub fn from_bytes(bytes: &[u8], expected: &Digest32) -> Result<Self, KeyError> {
        // The length bounds what the decoder allocates.
        if bytes.len() != Self::BYTES {
            return Err(KeyError::Malformed);
        }
        let vk = ark_groth16::VerifyingKey::deserialize_compressed(bytes)
            .map_err(|_| KeyError::Malformed)?;
        if compressed(&vk) != bytes {
            return Err(KeyError::Malformed);
        }
        let key = Self::new(vk)?;
        if key.hash != *expected {
            return Err(KeyError::Hash);
        }
        Ok(key)
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        compressed(&self.prepared.vk)
    }

    /// The content hash, under which the ledger names the key.
    #[must_use]
    pub fn hash(&self) -> &Digest32 {
        &self.hash
    }

    /// The bases of the public inputs, the constant's first.
    pub(super) fn bases(&self) -> &[G1Affine] {
        &self.prepared.vk.gamma_abc_g1
    }

    pub(super) fn prepared(&self) -> &PreparedVerifyingKey<Bn254> {
        &self.prepared
    }
}

fn compressed<T: CanonicalSerialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.compressed_size());
    value
        .serialize_compressed(&mut bytes)
        .expect("encoding into memory");
    bytes
}

/// A proving key with the circuit's matrices: load it once and share it.
pub struct ProvingKey {
    pub(super) inner: ark_groth16::ProvingKey<Bn254>,
    verifying: VerifyingKey,
}

impl std::fmt::Debug for ProvingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProvingKey({})", hex::encode(self.verifying.hash))
    }
}

impl ProvingKey {
    /// Length of the encoding: the verifying key, two points, five queries.
    #[must_use]
    pub fn bytes() -> usize {
        let s = shape();
        let variables = INPUTS + 1 + s.witnesses;
        let g1 = 2 + 2 * variables + (s.domain - 1) + s.witnesses;
        VerifyingKey::BYTES + g1 * G1_BYTES + variables * G2_BYTES + 5 * LENGTH_BYTES
    }

    /// Checks a key.
    ///
    /// # Errors
    /// [`KeyError`], also when a part has another length than the circuit calls for, or delta or
    /// beta differ between the groups. Whether the queries belong to the circuit is for the
    /// ceremony's verification to say; a wrong query makes proofs that do not verify.
    pub fn new(pk: ark_groth16::ProvingKey<Bn254>) -> Result<Self, KeyError> {
        let verifying = VerifyingKey::new(pk.vk.clone())?;
        let s = shape();
        let variables = INPUTS + 1 + s.witnesses;
        for (what, expected, got) in [
            ("A query", variables, pk.a_query.len()),
            ("B query in G1", variables, pk.b_g1_query.len()),
            ("B query in G2", variables, pk.b_g2_query.len()),
            ("H query", s.domain - 1, pk.h_query.len()),
            ("L query", s.witnesses, pk.l_query.len()),
        ] {
            if expected != got {
                return Err(KeyError::Count {
                    what,
                    expected,
                    got,
                });
            }
        }
        for (what, point) in [("beta", &pk.beta_g1), ("delta", &pk.delta_g1)] {
            if point.is_zero() {
                return Err(KeyError::Identity(what));
            }
        }
        // log delta / log beta is the same in both groups.
        if Bn254::pairing(pk.delta_g1, pk.vk.beta_g2) != Bn254::pairing(pk.beta_g1, pk.vk.delta_g2)
        {
            return Err(KeyError::Disagree("delta"));
        }
        Ok(Self {
            inner: pk,
            verifying,
        })
    }

    /// Reads a key. Every point is checked to be in its group.
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are no key, the key fails a check, or the content hash of its
    /// verifying key is not the expected one.
    pub fn from_bytes(bytes: &[u8], expected: &Digest32) -> Result<Self, KeyError> {
        if bytes.len() != Self::bytes() {
            return Err(KeyError::Malformed);
        }
        let mut rest = bytes;
        let pk = ark_groth16::ProvingKey::deserialize_compressed(&mut rest)
            .map_err(|_| KeyError::Malformed)?;
        if !rest.is_empty() {
            return Err(KeyError::Malformed);
        }
        let key = Self::new(pk)?;
        if key.verifying.hash != *expected {
            return Err(KeyError::Hash);
        }
        Ok(key)
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        compressed(&self.inner)
    }

    /// The verifying key.
    #[must_use]
    pub fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// The key as arkworks knows it, for benches and ceremonies.
    #[must_use]
    pub fn arkworks(&self) -> &ark_groth16::ProvingKey<Bn254> {
        &self.inner
    }
}

/// A key for tests and the quick start: whoever knows the seed can forge proofs under it. Takes a
/// second or two.
///
/// # Panics
/// Never: the circuit is a constant.
#[must_use]
pub fn test_key(seed: u64) -> ProvingKey {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let circuit = ScorecardCircuit::blank();
    let pk = Groth16::<Bn254>::generate_random_parameters_with_reduction(circuit, &mut rng)
        .expect("the circuit has a domain");
    ProvingKey::new(pk).expect("a generated key passes the checks")
}
