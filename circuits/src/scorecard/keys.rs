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
use crate::ceremony::{Flaw, Minutes, Step, circuit_hash};
use crate::encoding::{Digest32, Document, hash_parts};

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
    /// The hash by which ceremonies name the circuit.
    pub(super) hash: Digest32,
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
        let hash = circuit_hash(&matrices, INPUTS + 1, cs.num_witness_variables());
        Shape {
            hash,
            matrices,
            constraints,
            witnesses: cs.num_witness_variables(),
            domain: domain.expect("BN254 has domains up to 2^28").size(),
        }
    })
}

/// Where a key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The bytes do not say, as those of test keys: somebody may know its trapdoor. Whether such a key
    /// is taken is for its content hash to say.
    Unstated,
    /// A ceremony with these minutes: complete, each contribution with its proof of knowledge, and the
    /// key's alpha, beta, gamma and delta are theirs.
    Ceremony(Box<Minutes>),
}

impl Origin {
    fn append(&self, out: &mut Vec<u8>) {
        if let Self::Ceremony(minutes) = self {
            out.extend(minutes.to_bytes());
        }
    }
}

/// A verifying key that passed every check.
#[derive(Clone)]
pub struct VerifyingKey {
    prepared: PreparedVerifyingKey<Bn254>,
    hash: Digest32,
    origin: Origin,
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifyingKey({})", hex::encode(self.hash))
    }
}

impl VerifyingKey {
    /// Length of the encoding.
    pub const BYTES: usize = G1_BYTES + 3 * G2_BYTES + LENGTH_BYTES + (INPUTS + 1) * G1_BYTES;
    /// Longest file: the key and the minutes of its ceremony.
    pub const MAX_BYTES: usize = Self::BYTES + Minutes::MAX_BYTES;

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
            origin: Origin::Unstated,
        })
    }

    /// Checks a key with the minutes of its ceremony.
    ///
    /// # Errors
    /// [`KeyError`], also when the ceremony was for another circuit, has fewer than two contributions in
    /// a phase, or ended with another alpha, beta or delta than the key's.
    pub fn of_ceremony(
        vk: ark_groth16::VerifyingKey<Bn254>,
        minutes: Minutes,
    ) -> Result<Self, KeyError> {
        let mut key = Self::new(vk)?;
        let standing = minutes.check_complete()?;
        let circuit = minutes.phase_two.as_ref().map(|two| two.circuit);
        if circuit != Some(shape().hash) || 1 << minutes.log_size != shape().domain {
            return Err(Flaw::Circuit.at(Step::Specialisation).into());
        }
        standing.check_key(&key.prepared.vk)?;
        key.origin = Origin::Ceremony(Box::new(minutes));
        Ok(key)
    }

    /// Reads a key: the bytes of [`Self::to_bytes`] or of [`Self::to_file`]. Every point is checked to
    /// be in its group, and the minutes of its ceremony, if there are any, as by
    /// [`Self::of_ceremony`].
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are no key, the key fails a check, or its content hash is not the
    /// expected one.
    pub fn from_bytes(bytes: &[u8], expected: &Digest32) -> Result<Self, KeyError> {
        let key = Self::read(bytes)?;
        if key.hash != *expected {
            return Err(KeyError::Hash);
        }
        Ok(key)
    }

    /// [`Self::from_bytes`] for whoever compares the content hash themselves.
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are no key, or the key fails a check.
    pub fn read(bytes: &[u8]) -> Result<Self, KeyError> {
        // The length bounds what the decoder allocates.
        let (own, minutes) = split(bytes, Self::BYTES)?;
        let vk = ark_groth16::VerifyingKey::deserialize_compressed(own)
            .map_err(|_| KeyError::Malformed)?;
        if compressed(&vk) != own {
            return Err(KeyError::Malformed);
        }
        match minutes {
            None => Self::new(vk),
            Some(minutes) => Self::of_ceremony(vk, minutes),
        }
    }

    /// The canonical bytes, without the minutes of a ceremony.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        compressed(&self.prepared.vk)
    }

    /// The bytes of a file: the key, and the minutes of its ceremony if there was one.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        let mut bytes = self.to_bytes();
        self.origin.append(&mut bytes);
        bytes
    }

    /// Where the key comes from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The key as arkworks knows it, for benches and ceremonies.
    #[must_use]
    pub fn arkworks(&self) -> &ark_groth16::VerifyingKey<Bn254> {
        &self.prepared.vk
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

/// The bytes of a key, and the minutes behind it.
fn split(bytes: &[u8], length: usize) -> Result<(&[u8], Option<Minutes>), KeyError> {
    let (own, rest) = (bytes.split_at_checked(length)).ok_or(KeyError::Malformed)?;
    if rest.is_empty() {
        return Ok((own, None));
    }
    let minutes = Minutes::from_bytes(rest).map_err(KeyError::Minutes)?;
    Ok((own, Some(minutes)))
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

    /// Longest file: the key and the minutes of its ceremony.
    #[must_use]
    pub fn max_bytes() -> usize {
        Self::bytes() + Minutes::MAX_BYTES
    }

    /// Checks a key.
    ///
    /// # Errors
    /// [`KeyError`], also when a part has another length than the circuit calls for, or delta or
    /// beta differ between the groups. Whether the queries belong to the circuit is for the
    /// ceremony's verification to say; a wrong query makes proofs that do not verify.
    pub fn new(pk: ark_groth16::ProvingKey<Bn254>) -> Result<Self, KeyError> {
        let verifying = VerifyingKey::new(pk.vk.clone())?;
        Self::with(pk, verifying)
    }

    /// Checks a key with the minutes of its ceremony.
    ///
    /// # Errors
    /// [`KeyError`], as [`Self::new`] and [`VerifyingKey::of_ceremony`].
    pub fn of_ceremony(
        pk: ark_groth16::ProvingKey<Bn254>,
        minutes: Minutes,
    ) -> Result<Self, KeyError> {
        let verifying = VerifyingKey::of_ceremony(pk.vk.clone(), minutes)?;
        Self::with(pk, verifying)
    }

    fn with(pk: ark_groth16::ProvingKey<Bn254>, verifying: VerifyingKey) -> Result<Self, KeyError> {
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

    /// Reads a key: the bytes of [`Self::to_bytes`] or of [`Self::to_file`]. Every point is checked to
    /// be in its group, and the minutes of its ceremony if there are any.
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are no key, the key fails a check, or the content hash of its
    /// verifying key is not the expected one.
    pub fn from_bytes(bytes: &[u8], expected: &Digest32) -> Result<Self, KeyError> {
        let key = Self::read(bytes)?;
        if key.verifying.hash != *expected {
            return Err(KeyError::Hash);
        }
        Ok(key)
    }

    /// [`Self::from_bytes`] for whoever compares the content hash themselves.
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are no key, or the key fails a check.
    pub fn read(bytes: &[u8]) -> Result<Self, KeyError> {
        let (own, minutes) = split(bytes, Self::bytes())?;
        let mut rest = own;
        let pk = ark_groth16::ProvingKey::deserialize_compressed(&mut rest)
            .map_err(|_| KeyError::Malformed)?;
        if !rest.is_empty() {
            return Err(KeyError::Malformed);
        }
        match minutes {
            None => Self::new(pk),
            Some(minutes) => Self::of_ceremony(pk, minutes),
        }
    }

    /// The canonical bytes, without the minutes of a ceremony.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        compressed(&self.inner)
    }

    /// The bytes of a file: the key, and the minutes of its ceremony if there was one.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        let mut bytes = self.to_bytes();
        self.verifying.origin.append(&mut bytes);
        bytes
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
