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
use borsh::{BorshDeserialize, BorshSerialize};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use zkbureau_params::domain;

use super::error::KeyError;
use super::relation::{INPUTS, ScorecardCircuit};
use crate::ceremony::{Flaw, Minutes, Standing, Step, circuit_hash};
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

/// Where a key comes from. Keys without an origin are not taken: one contributor could have made them.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Origin {
    /// [`test_key`] makes the key from this seed, so everybody can forge proofs under it. Loaders make it
    /// again: no other key passes for one.
    Test(u64),
    /// A ceremony with these minutes: complete, each contribution with its proof of knowledge, and the
    /// key's alpha, beta, gamma and delta are theirs.
    Ceremony(Box<Minutes>),
}

impl Document for Origin {
    const NAME: &'static str = "zkbureau/scorecard-key-origin/v1";
    const MAX_BYTES: usize = 1 + Minutes::MAX_BYTES;
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
    /// Longest file: the key and its origin.
    pub const MAX_BYTES: usize = Self::BYTES + Origin::MAX_BYTES;

    /// Checks a key of an origin that the caller has checked: the number of public inputs is the circuit's,
    /// no point is the identity, delta is not gamma.
    pub(super) fn new(
        vk: ark_groth16::VerifyingKey<Bn254>,
        origin: Origin,
    ) -> Result<Self, KeyError> {
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
        let hash = content_hash(&compressed(&vk), &origin.to_bytes());
        Ok(Self {
            prepared: prepare_verifying_key(&vk),
            hash,
            origin,
        })
    }

    /// Checks a key with the minutes of its ceremony.
    ///
    /// # Errors
    /// [`KeyError`] when the number of public inputs is not the circuit's, a point is the identity, delta =
    /// gamma, or the ceremony was for another circuit, has fewer than two contributions in a phase, or
    /// ended with another alpha, beta or delta than the key's.
    pub fn of_ceremony(
        vk: ark_groth16::VerifyingKey<Bn254>,
        minutes: Minutes,
    ) -> Result<Self, KeyError> {
        Self::checked(vk, minutes).map(|(key, _)| key)
    }

    /// The key, and where its minutes end.
    fn checked(
        vk: ark_groth16::VerifyingKey<Bn254>,
        minutes: Minutes,
    ) -> Result<(Self, Standing), KeyError> {
        let standing = minutes.check_complete()?;
        let two = (minutes.phase_two.as_ref()).filter(|two| two.circuit == shape().hash);
        let Some(two) = two.filter(|_| 1 << minutes.log_size == shape().domain) else {
            return Err(Flaw::Circuit.at(Step::Specialisation).into());
        };
        let same_inputs = two.check_inputs(&vk.gamma_abc_g1);
        let key = Self::new(vk, Origin::Ceremony(Box::new(minutes)))?;
        standing.check_key(&key.prepared.vk)?;
        same_inputs?;
        Ok((key, standing))
    }

    /// Reads a key: the bytes of [`Self::to_file`]. Every point is checked to be in its group, the
    /// minutes of its ceremony as by [`Self::of_ceremony`]; a test key is made again, which takes a second.
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are no key with its origin, the key fails a check, or its content hash
    /// is not the expected one.
    pub fn from_bytes(bytes: &[u8], expected: &Digest32) -> Result<Self, KeyError> {
        // First, because it costs least.
        if Self::content_hash(bytes) != Some(*expected) {
            return Err(KeyError::Hash);
        }
        Self::read(bytes)
    }

    /// The content hash of a file, whether it has a key or not. None if it is too short.
    #[must_use]
    pub fn content_hash(file: &[u8]) -> Option<Digest32> {
        let (own, origin) = file.split_at_checked(Self::BYTES)?;
        Some(content_hash(own, origin))
    }

    /// [`Self::from_bytes`] for whoever compares the content hash themselves.
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are no key, or the key fails a check.
    pub fn read(bytes: &[u8]) -> Result<Self, KeyError> {
        // The length bounds what the decoder allocates.
        let (own, origin) = split(bytes, Self::BYTES)?;
        let vk = ark_groth16::VerifyingKey::deserialize_compressed(own)
            .map_err(|_| KeyError::Malformed)?;
        if compressed(&vk) != own {
            return Err(KeyError::Malformed);
        }
        match origin {
            Origin::Ceremony(minutes) => Self::of_ceremony(vk, *minutes),
            Origin::Test(seed) if vk == test_key(seed).inner.vk => {
                Self::new(vk, Origin::Test(seed))
            }
            Origin::Test(seed) => Err(KeyError::NotTest(seed)),
        }
    }

    /// The canonical bytes of the key alone.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        compressed(&self.prepared.vk)
    }

    /// The bytes of a file: the key and its origin.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        [self.to_bytes(), self.origin.to_bytes()].concat()
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

    /// The content hash, under which the ledger names the key: of the key and its origin.
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

/// What the ledger names a key by. With its origin: so it names the proving key, too, whose queries the
/// minutes tell.
fn content_hash(own: &[u8], origin: &[u8]) -> Digest32 {
    hash_parts(domain::SCORECARD_KEY, &[own, origin])
}

/// The bytes of a key, and the origin behind it.
fn split(bytes: &[u8], length: usize) -> Result<(&[u8], Origin), KeyError> {
    let (own, rest) = (bytes.split_at_checked(length)).ok_or(KeyError::Malformed)?;
    if rest.is_empty() {
        return Err(KeyError::NoOrigin);
    }
    let origin = Origin::from_bytes(rest).map_err(KeyError::Origin)?;
    Ok((own, origin))
}

pub(super) fn compressed<T: CanonicalSerialize>(value: &T) -> Vec<u8> {
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

    /// Longest file: the key and its origin.
    #[must_use]
    pub fn max_bytes() -> usize {
        Self::bytes() + Origin::MAX_BYTES
    }

    /// Checks a key with the minutes of its ceremony.
    ///
    /// # Errors
    /// [`KeyError`], also when a part has another length than the circuit calls for, delta or beta differ
    /// between the groups, or a query is not the one that the ceremony started from or ended with. Whether
    /// those belong to the circuit is for the ceremony's verification to say.
    pub fn of_ceremony(
        pk: ark_groth16::ProvingKey<Bn254>,
        minutes: Minutes,
    ) -> Result<Self, KeyError> {
        let (verifying, standing) = VerifyingKey::checked(pk.vk.clone(), minutes)?;
        let key = Self::with(pk, verifying)?;
        standing.check_proving_key(&key.inner)?;
        if let Origin::Ceremony(minutes) = &key.verifying.origin
            && let Some(two) = &minutes.phase_two
        {
            two.check_queries(&key.inner)?;
        }
        Ok(key)
    }

    pub(super) fn with(
        pk: ark_groth16::ProvingKey<Bn254>,
        verifying: VerifyingKey,
    ) -> Result<Self, KeyError> {
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

    /// Reads a key: the bytes of [`Self::to_file`]. Every point is checked to be in its group, the
    /// minutes of its ceremony as by [`Self::of_ceremony`]; a test key is made again.
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are no key with its origin, the key fails a check, or the content hash
    /// of its verifying key is not the expected one.
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
        let (own, origin) = split(bytes, Self::bytes())?;
        let mut rest = own;
        let pk = ark_groth16::ProvingKey::deserialize_compressed(&mut rest)
            .map_err(|_| KeyError::Malformed)?;
        if !rest.is_empty() {
            return Err(KeyError::Malformed);
        }
        match origin {
            Origin::Ceremony(minutes) => Self::of_ceremony(pk, *minutes),
            Origin::Test(seed) => {
                let key = test_key(seed);
                (key.inner == pk)
                    .then_some(key)
                    .ok_or(KeyError::NotTest(seed))
            }
        }
    }

    /// The canonical bytes of the key alone.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        compressed(&self.inner)
    }

    /// The bytes of a file: the key and its origin.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        [self.to_bytes(), self.verifying.origin.to_bytes()].concat()
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
    let verifying = VerifyingKey::new(pk.vk.clone(), Origin::Test(seed));
    verifying
        .and_then(|verifying| ProvingKey::with(pk, verifying))
        .expect("a generated key passes the checks")
}
