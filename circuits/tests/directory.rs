//! The directory's vectors and refusals (spec: `circuits/spec/directory.md`).

use std::path::PathBuf;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use zkbureau_circuits::directory::{
    Index, SubjectCommitment, SubjectId, SubjectIdError, SubjectSecret, VrfProof, VrfPublicKey,
    VrfSecretKey, vrf_input,
};
use zkbureau_circuits::error::VerifyError;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Vector {
    name: String,
    chain: String,
    id_type: String,
    id: String,
    canonical: String,
    public_key: VrfPublicKey,
    proof: VrfProof,
    index: Index,
    salt: String,
    commitment: SubjectCommitment,
}

/// What must be refused: the same fields with one thing wrong.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Bad {
    name: String,
    chain: String,
    id_type: String,
    id: String,
    public_key: String,
    proof: String,
}

fn vectors(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("vectors/v1")
        .join(file)
}

/// Compares with the committed file, or writes it when `ZKBUREAU_BLESS=1`.
fn check_vectors<T>(file: &str, made: &T)
where
    T: Serialize + for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug,
{
    let path = vectors(file);
    if std::env::var_os("ZKBUREAU_BLESS").is_some_and(|v| v == "1") {
        let text = serde_json::to_string_pretty(made).expect("json") + "\n";
        std::fs::write(&path, text).expect("writable");
    }
    let text = std::fs::read_to_string(&path).expect("committed vectors");
    let committed: T = serde_json::from_str(&text).expect("well-formed vectors");
    assert_eq!(&committed, made, "{file}");
}

fn key(seed: u64) -> VrfSecretKey {
    VrfSecretKey::random(&mut ChaCha20Rng::seed_from_u64(seed))
}

fn chain(byte: u8) -> [u8; 32] {
    [byte; 32]
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text)
        .expect("hex")
        .try_into()
        .expect("right length")
}

fn good() -> Vec<Vector> {
    [
        ("short", 1, "tw-national-id", "A123456789"),
        (
            "lower case and blanks",
            2,
            "tw-national-id",
            "  a123456789 ",
        ),
        ("longest", 3, "x_0-9", "Z".repeat(128).leak() as &str),
    ]
    .into_iter()
    .map(|(name, n, id_type, id)| {
        let subject = SubjectId::new(id_type, id).expect("valid");
        let secret = key(u64::from(n));
        let input = vrf_input(&chain(n), &subject);
        let (index, proof) = secret.evaluate(&input);
        let salt = SubjectSecret::from_bytes([n; 32]);
        Vector {
            name: name.into(),
            chain: hex::encode(chain(n)),
            id_type: id_type.into(),
            id: id.into(),
            canonical: hex::encode(&*subject.canonical()),
            public_key: secret.public(),
            proof,
            index,
            salt: hex::encode(salt.as_bytes()),
            commitment: SubjectCommitment::commit(&subject, &salt),
        }
    })
    .collect()
}

#[test]
fn good_vectors() {
    let made = good();
    check_vectors("directory.json", &made);
    for v in &made {
        let subject = SubjectId::new(&v.id_type, &v.id).expect("valid");
        assert_eq!(hex::encode(&*subject.canonical()), v.canonical);
        let input = vrf_input(&bytes(&v.chain), &subject);
        assert_eq!(v.public_key.verify(&input, &v.proof), Ok(v.index));
        let salt = SubjectSecret::from_bytes(bytes(&v.salt));
        assert_eq!(v.commitment.verify(&subject, &salt), Ok(()));
    }
}

#[test]
fn bad_vectors() {
    let base = &good()[0];
    let proof = hex::encode(base.proof.0);
    let bad = |name: &str, change: &dyn Fn(&mut Bad)| {
        let mut b = Bad {
            name: name.into(),
            chain: base.chain.clone(),
            id_type: base.id_type.clone(),
            id: base.id.clone(),
            public_key: hex::encode(base.public_key.as_bytes()),
            proof: proof.clone(),
        };
        change(&mut b);
        b
    };
    let made = vec![
        bad("another chain", &|b| b.chain = "00".repeat(32)),
        bad("another identifier", &|b| b.id.push('0')),
        bad("another kind of identifier", &|b| b.id_type.push('0')),
        bad("a byte moved from kind to identifier", &|b| {
            b.id_type.pop();
            b.id.insert(0, 'D');
        }),
        bad("another key", &|b| {
            b.public_key = hex::encode(key(99).public().as_bytes());
        }),
        bad("identity key", &|b| b.public_key = "00".repeat(32)),
        bad("key not canonical", &|b| b.public_key = "ff".repeat(32)),
        bad("gamma is the identity", &|b| {
            b.proof = "00".repeat(32) + &proof[64..];
        }),
        bad("gamma not canonical", &|b| {
            b.proof = "ff".repeat(32) + &proof[64..];
        }),
        bad("response not reduced", &|b| {
            b.proof = proof[..96].to_owned() + &"ff".repeat(32);
        }),
        bad("challenge of zero", &|b| {
            b.proof = proof[..64].to_owned() + &"00".repeat(16) + &proof[96..];
        }),
    ];
    check_vectors("directory_bad.json", &made);
    for b in &made {
        let input = vrf_input(
            &bytes(&b.chain),
            &SubjectId::new(&b.id_type, &b.id).expect("valid"),
        );
        let verdict = VrfPublicKey::from_bytes(&bytes(&b.public_key))
            .map_err(|_| VerifyError)
            .and_then(|k| k.verify(&input, &VrfProof(bytes(&b.proof))));
        assert_eq!(verdict, Err(VerifyError), "{}", b.name);
    }
}

/// The index without a proof is the index that a proof by the crate `vrf-r255` gives.
#[test]
fn fast_index_is_the_proven_index() {
    for seed in 0..20 {
        let secret = key(seed);
        let subject = SubjectId::new("t", &format!("P{seed}")).expect("valid");
        let input = vrf_input(&chain(7), &subject);
        let (index, proof) = secret.evaluate(&input);
        assert_eq!(secret.index(&input), index);
        assert_eq!(secret.public().verify(&input, &proof), Ok(index));
    }
}

#[test]
fn every_bit_of_a_proof_counts() {
    let v = &good()[0];
    let subject = SubjectId::new(&v.id_type, &v.id).expect("valid");
    let input = vrf_input(&bytes(&v.chain), &subject);
    for bit in 0..640 {
        let mut proof = v.proof;
        proof.0[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            v.public_key.verify(&input, &proof),
            Err(VerifyError),
            "bit {bit}"
        );
    }
}

#[test]
fn encodings_are_strict() {
    let subject = SubjectId::new("t", "ABC").expect("valid");
    let encoded = borsh::to_vec(&subject).expect("memory");
    assert_eq!(
        borsh::from_slice::<SubjectId>(&encoded).expect("canonical"),
        subject
    );
    for cut in 0..encoded.len() {
        assert!(borsh::from_slice::<SubjectId>(&encoded[..cut]).is_err());
    }
    for (kind, id) in [
        ("t", "abc"),
        ("t", " ABC"),
        ("T", "ABC"),
        ("t", ""),
        ("", "A"),
        ("t", "Ä"),
    ] {
        let raw = borsh::to_vec(&(kind, id)).expect("memory");
        assert!(borsh::from_slice::<SubjectId>(&raw).is_err(), "{kind} {id}");
    }
    // JSON is written by people: it is brought into canonical form.
    let json = r#"{"id_type":"t","id":" abc"}"#;
    assert_eq!(
        serde_json::from_str::<SubjectId>(json).expect("valid"),
        subject
    );
    assert!(serde_json::from_str::<SubjectId>(r#"{"id_type":"t","id":"A","x":1}"#).is_err());

    let public = key(1).public();
    let encoded = borsh::to_vec(&public).expect("memory");
    assert_eq!(
        borsh::from_slice::<VrfPublicKey>(&encoded).expect("valid"),
        public
    );
    assert!(borsh::from_slice::<VrfPublicKey>(&[0; 32]).is_err());
    assert!(borsh::from_slice::<VrfPublicKey>(&[0xff; 32]).is_err());
    assert!(borsh::from_slice::<VrfPublicKey>(&encoded[..31]).is_err());
    let zero = format!("\"{}\"", "00".repeat(32));
    assert!(serde_json::from_str::<VrfPublicKey>(&zero).is_err());

    let secret = key(1);
    let again = VrfSecretKey::from_bytes(&secret.to_bytes()).expect("own bytes");
    assert_eq!(again.public(), secret.public());
    assert!(VrfSecretKey::from_bytes(&[0; 32]).is_err());
    assert!(VrfSecretKey::from_bytes(&[0xff; 32]).is_err());
}

#[test]
fn identifiers_have_limits() {
    let long = "a".repeat(33);
    for kind in ["", "A", "a b", "ä", &long] {
        assert_eq!(SubjectId::new(kind, "A"), Err(SubjectIdError::Type));
    }
    let long = "A".repeat(129);
    for id in ["", "   ", &long] {
        assert_eq!(SubjectId::new("t", id), Err(SubjectIdError::Length));
    }
    for id in ["A\tB", "A\n", "A\0", "Ä", "\u{ff21}", "\x7f"] {
        assert_eq!(SubjectId::new("t", id), Err(SubjectIdError::Characters));
    }
    assert_eq!(
        SubjectId::new("t", &"A".repeat(128))
            .expect("valid")
            .id()
            .len(),
        128
    );
}

#[test]
fn secrets_do_not_print() {
    let secret = key(5);
    let subject = SubjectId::new("t", "QQ1234").expect("valid");
    let salt = SubjectSecret::from_bytes([0xab; 32]);
    let input = vrf_input(&chain(1), &subject);
    let text = format!("{secret:?} {subject:?} {salt:?} {input:?}");
    assert!(!text.contains(&hex::encode(*secret.to_bytes())));
    assert!(!text.contains("QQ1234") && !text.contains("abab") && !text.contains("171"));
}

#[test]
fn a_commitment_opens_to_one_subject_and_salt() {
    let subject = SubjectId::new("t", "A1").expect("valid");
    let salt = SubjectSecret::random(&mut ChaCha20Rng::seed_from_u64(1));
    let commitment = SubjectCommitment::commit(&subject, &salt);
    assert_eq!(commitment.verify(&subject, &salt), Ok(()));
    let other = SubjectId::new("t", "A2").expect("valid");
    let kind = SubjectId::new("ta", "1").expect("valid");
    let another = SubjectSecret::random(&mut ChaCha20Rng::seed_from_u64(2));
    assert_eq!(commitment.verify(&other, &salt), Err(VerifyError));
    assert_eq!(commitment.verify(&kind, &salt), Err(VerifyError));
    assert_eq!(commitment.verify(&subject, &another), Err(VerifyError));
}

proptest! {
    #[test]
    fn canonical_form_is_a_fixed_point(id in "[ -~]{1,140}") {
        if let Ok(subject) = SubjectId::new("t", &id) {
            let again = SubjectId::new("t", subject.id()).expect("canonical");
            prop_assert_eq!(&again, &subject);
            let encoded = borsh::to_vec(&subject).expect("memory");
            prop_assert_eq!(borsh::from_slice::<SubjectId>(&encoded).expect("canonical"), subject);
        }
    }
}
