//! Keys that are refused, and the attack behind `delta = gamma`.

use std::sync::OnceLock;

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::UniformRand;
use ark_groth16::Proof;

use super::*;
use crate::ceremony::{Minutes, PowersSecrets, Start, queries_digest};
use crate::encoding::{Digest32, Document};
use crate::scorecard::encoding::GrothBytes;
use crate::scorecard::keys::compressed;
use crate::scorecard::{Origin, ScorecardCircuit};

type Vk = ark_groth16::VerifyingKey<Bn254>;

fn changed(change: impl FnOnce(&mut Vk)) -> Option<KeyError> {
    let mut vk = key().arkworks().vk.clone();
    change(&mut vk);
    VerifyingKey::new(vk, Origin::Test(1)).err()
}

/// A key with nothing checked about its origin.
fn alone(pk: ark_groth16::ProvingKey<Bn254>) -> Result<ProvingKey, KeyError> {
    let verifying = VerifyingKey::new(pk.vk.clone(), Origin::Test(1))?;
    ProvingKey::with(pk, verifying)
}

#[test]
fn keys_that_prove_anything_are_refused() {
    assert_eq!(changed(|_| {}), None);
    assert_eq!(
        changed(|vk| vk.delta_g2 = vk.gamma_g2),
        Some(KeyError::DeltaGamma)
    );
    assert_eq!(
        changed(|vk| vk.delta_g2 = G2Affine::identity()),
        Some(KeyError::Identity("delta"))
    );
    assert_eq!(
        changed(|vk| vk.gamma_g2 = G2Affine::identity()),
        Some(KeyError::Identity("gamma"))
    );
    assert_eq!(
        changed(|vk| vk.beta_g2 = G2Affine::identity()),
        Some(KeyError::Identity("beta"))
    );
    assert_eq!(
        changed(|vk| vk.alpha_g1 = G1Affine::identity()),
        Some(KeyError::Identity("alpha"))
    );
    for i in [0, 1, 5, 70, 869] {
        assert_eq!(
            changed(|vk| vk.gamma_abc_g1[i] = G1Affine::identity()),
            Some(KeyError::Identity("the base of a public input"))
        );
    }
    let mut pk = key().arkworks().clone();
    pk.delta_g1 = (pk.delta_g1 + pk.delta_g1).into_affine();
    assert_eq!(alone(pk).err(), Some(KeyError::Disagree("delta")));
    let mut pk = key().arkworks().clone();
    pk.l_query.pop();
    assert!(matches!(
        alone(pk),
        Err(KeyError::Count {
            what: "L query",
            ..
        })
    ));
    let mut pk = key().arkworks().clone();
    pk.h_query.push(pk.vk.alpha_g1);
    assert!(matches!(
        alone(pk),
        Err(KeyError::Count {
            what: "H query",
            ..
        })
    ));
}

/// With delta = gamma, `A = α`, `B = β`, `C = -inputs` is a proof of anything: nobody needs a witness.
#[test]
fn delta_equal_to_gamma_forges() {
    let mut vk = key().arkworks().vk.clone();
    vk.delta_g2 = vk.gamma_g2;
    let weak = ark_groth16::prepare_verifying_key(&vk);
    let inputs: Vec<Fr> = (0..vk.gamma_abc_g1.len() - 1)
        .map(|_| Fr::rand(&mut rng(3)))
        .collect();
    let committed = ark_groth16::Groth16::<Bn254>::prepare_inputs(&weak, &inputs).expect("as many");
    let forged = Proof {
        a: vk.alpha_g1,
        b: vk.beta_g2,
        c: (-committed).into_affine(),
    };
    let verdict = ark_groth16::Groth16::<Bn254>::verify_proof(&weak, &forged, &inputs);
    assert!(verdict.expect("a verdict"));
    // Under a key that is taken, the same shape proves nothing.
    let p = person(&card(), &VALUES, 1);
    let statement = p.claims(prepared(), Claim::AtLeast(SCORE + 1), None);
    let mut proof = prove(
        key(),
        &p.claims(prepared(), Claim::AtLeast(SCORE), None),
        &p.openings,
        &mut rng(1),
    )
    .expect("holds");
    proof.groth = GrothBytes::new(&forged);
    assert_eq!(check(&statement, &proof), Err(VerifyError));
}

#[test]
fn encodings_of_keys() {
    let vk = key().verifying();
    assert_eq!(vk.to_bytes().len(), VerifyingKey::BYTES);
    let file = vk.to_file();
    assert!(file.starts_with(&vk.to_bytes()));
    let read = VerifyingKey::from_bytes(&file, vk.hash()).expect("its own file");
    assert_eq!(read.hash(), vk.hash());
    assert_eq!(read.to_file(), file);
    assert_eq!(
        VerifyingKey::from_bytes(&file, &[0; 32]).err(),
        Some(KeyError::Hash)
    );
    for cut in [0, 1, 32, VerifyingKey::BYTES - 1] {
        assert_eq!(
            VerifyingKey::read(&file[..cut]).err(),
            Some(KeyError::Malformed)
        );
    }
    for byte in (0..VerifyingKey::BYTES)
        .step_by(997)
        .chain(0..8)
        .chain(224..232)
    {
        let mut flipped = file.clone();
        flipped[byte] ^= 1;
        assert_eq!(
            VerifyingKey::from_bytes(&flipped, vk.hash()).err(),
            Some(KeyError::Hash),
            "byte {byte}"
        );
    }
    for byte in [3, 226, VerifyingKey::BYTES - 1] {
        let mut flipped = file.clone();
        flipped[byte] ^= 1;
        assert!(VerifyingKey::read(&flipped).is_err(), "byte {byte}");
    }
    let file = key().to_file();
    assert_eq!(key().to_bytes().len(), ProvingKey::bytes());
    let read = ProvingKey::from_bytes(&file, vk.hash()).expect("its own file");
    assert_eq!(read.to_file(), file);
    assert_eq!(
        ProvingKey::from_bytes(&file, &[0; 32]).err(),
        Some(KeyError::Hash)
    );
    assert_eq!(
        ProvingKey::read(&file[..ProvingKey::bytes() - 1]).err(),
        Some(KeyError::Malformed)
    );
    // Test keys are made of their seed.
    assert_eq!(test_key(1).verifying().hash(), vk.hash());
    assert_ne!(test_key(2).verifying().hash(), vk.hash());
}

/// One contributor's key does not pass, whatever it says of itself.
#[test]
fn a_key_says_where_it_comes_from() {
    let of_one = ceremony().0.clone();
    let proving = compressed(&of_one);
    let verifying = compressed(&of_one.vk);
    let read = |origin: &[u8]| {
        let pk = ProvingKey::read(&[&proving, origin].concat()).err();
        let vk = VerifyingKey::read(&[&verifying, origin].concat()).err();
        assert_eq!(pk, vk);
        pk
    };
    assert_eq!(read(&[]), Some(KeyError::NoOrigin));
    assert_eq!(
        read(&Origin::Test(1).to_bytes()),
        Some(KeyError::NotTest(1))
    );
    for garbage in [
        &[0][..],
        &[1, 2],
        &[1, 0, 1],
        &[1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        assert!(matches!(read(garbage), Some(KeyError::Origin(_))));
    }
}

/// A key as a ceremony of two would make it, from secrets that the test knows.
pub(super) fn ceremony() -> &'static (ark_groth16::ProvingKey<Bn254>, Minutes) {
    static MADE: OnceLock<(ark_groth16::ProvingKey<Bn254>, Minutes)> = OnceLock::new();
    MADE.get_or_init(|| {
        let shares = shares();
        let [_, alpha, beta, delta] = std::array::from_fn(|i| shares[0][i] * shares[1][i]);
        let pk = ark_groth16::Groth16::<Bn254>::generate_parameters_with_qap(
            ScorecardCircuit::blank(),
            alpha,
            beta,
            Fr::from(1u64),
            delta,
            G1Affine::generator().into(),
            G2Affine::generator().into(),
            &mut rng(5),
        );
        let pk = pk.expect("a key");
        let minutes = minutes_of(&pk, super::super::keys::shape().hash, &shares);
        (pk, minutes)
    })
}

/// Two contributors' tau, alpha, beta, delta.
fn shares() -> [[Fr; 4]; 2] {
    [6, 7].map(|seed| {
        let mut draws = rng(seed);
        std::array::from_fn(|_| Fr::rand(&mut draws))
    })
}

/// The minutes of contributors with these secrets, tau, alpha, beta and delta, to this key. Powers are
/// not in them, so it does not matter that the key has another tau.
fn minutes_of(
    pk: &ark_groth16::ProvingKey<Bn254>,
    circuit: Digest32,
    shares: &[[Fr; 4]],
) -> Minutes {
    let mut minutes = Minutes::new("test", 13).expect("a title");
    let names = ["A", "B"];
    for (name, &[tau, alpha, beta, _]) in names.into_iter().zip(shares) {
        let secrets = PowersSecrets { tau, alpha, beta };
        let made = minutes.contribute_powers(name, [0; 32], &secrets, &mut rng(1));
        made.expect("honest");
    }
    let start = Start::of(
        &pk.vk.gamma_abc_g1,
        [&pk.a_query, &pk.b_g1_query],
        [&[], &[]],
    );
    minutes.begin_phase_two(circuit, start).expect("two");
    let state = queries_digest(&pk.vk.delta_g2, &pk.h_query, &pk.l_query);
    for (name, [.., delta]) in names.into_iter().zip(shares) {
        let made = minutes.contribute_delta(name, state, delta, &mut rng(1));
        made.expect("honest");
    }
    minutes
}

#[test]
fn keys_of_a_ceremony() {
    let (pk, minutes) = ceremony();
    let key = ProvingKey::of_ceremony(pk.clone(), minutes.clone()).expect("its own minutes");
    let vk = key.verifying();
    assert_eq!(vk.origin(), &Origin::Ceremony(Box::new(minutes.clone())));
    let file = vk.to_file();
    assert!(file.len() > VerifyingKey::BYTES && file.len() <= VerifyingKey::MAX_BYTES);
    let read = VerifyingKey::from_bytes(&file, vk.hash()).expect("its own file");
    assert_eq!(read.origin(), vk.origin());
    let file = key.to_file();
    assert!(file.len() <= ProvingKey::max_bytes());
    let read = ProvingKey::from_bytes(&file, vk.hash()).expect("its own file");
    assert_eq!(read.to_file(), file);
    assert_eq!(
        ProvingKey::read(&file[..file.len() - 1])
            .err()
            .map(|e| matches!(e, KeyError::Origin(_))),
        Some(true)
    );

    let refused = |change: &dyn Fn(&mut ark_groth16::ProvingKey<Bn254>, &mut Minutes)| {
        let (mut pk, mut minutes) = (pk.clone(), minutes.clone());
        change(&mut pk, &mut minutes);
        let own = ProvingKey::of_ceremony(pk.clone(), minutes.clone()).expect_err("refused");
        // The same through a file, unless the key is refused alone.
        if let Ok(key) = alone(pk) {
            let origin = Origin::Ceremony(Box::new(minutes)).to_bytes();
            let file = [key.to_bytes(), origin.clone()].concat();
            assert_eq!(ProvingKey::read(&file).err(), Some(own.clone()));
            let file = [key.verifying().to_bytes(), origin].concat();
            assert_eq!(VerifyingKey::read(&file).err(), Some(own.clone()));
        }
        own.to_string()
    };
    let two = |m: &mut Minutes, keep| {
        if let Some(two) = &mut m.phase_two {
            two.contributions.truncate(keep);
        }
    };
    assert_eq!(
        refused(&|_, m| m.powers.truncate(1)),
        "the key's ceremony: phase 1: 1 contributions; at least 2 are needed"
    );
    assert_eq!(
        refused(&|_, m| two(m, 1)),
        "the key's ceremony: phase 2: 1 contributions; at least 2 are needed"
    );
    assert_eq!(
        refused(&|_, m| m.phase_two = None),
        "the key's ceremony: phase 2: has not begun"
    );
    assert_eq!(
        refused(&|pk, _| pk.vk.delta_g2 = pk.vk.gamma_g2),
        KeyError::DeltaGamma.to_string()
    );
    for (what, part) in [
        (
            "alpha",
            &(|pk: &mut ark_groth16::ProvingKey<Bn254>| {
                pk.vk.alpha_g1 = (pk.vk.alpha_g1 + pk.vk.alpha_g1).into_affine();
            }) as &dyn Fn(&mut ark_groth16::ProvingKey<Bn254>),
        ),
        ("gamma", &|pk| {
            pk.vk.gamma_g2 = (pk.vk.gamma_g2 + pk.vk.gamma_g2).into_affine()
        }),
        // Both groups agree, and it is not the ceremony's.
        ("delta", &|pk| {
            pk.vk.delta_g2 = (pk.vk.delta_g2 + pk.vk.delta_g2).into_affine();
            pk.delta_g1 = (pk.delta_g1 + pk.delta_g1).into_affine();
        }),
        ("beta", &|pk| {
            pk.vk.beta_g2 = (pk.vk.beta_g2 + pk.vk.beta_g2).into_affine();
            pk.beta_g1 = (pk.beta_g1 + pk.beta_g1).into_affine();
        }),
    ] {
        assert_eq!(
            refused(&|pk, _| part(pk)),
            format!("the key's ceremony: key: {what} is not what the transcript says")
        );
    }
    // Bases that the minutes do not tell: with base j a known multiple of delta, anybody could forge.
    assert_eq!(
        refused(&|pk, _| pk.vk.gamma_abc_g1[7] = pk.delta_g1),
        "the key's ceremony: key: the bases of public inputs is not what the transcript says"
    );
    // Queries with which a proof would tell about the witness.
    type Query<'a> = &'a dyn Fn(&mut ark_groth16::ProvingKey<Bn254>);
    let queries: [(&str, Query<'_>); 6] = [
        ("query A or B in G1", &|pk| off(&mut pk.a_query[900])),
        ("query B in G2", &|pk| {
            let at = pk.b_g2_query.iter().position(|p| !p.is_zero());
            off(&mut pk.b_g2_query[at.expect("a variable in B")]);
        }),
        ("query A or B in G1", &|pk| {
            let at = pk.b_g1_query.iter().position(|p| !p.is_zero());
            let at = at.expect("a variable in B");
            off(&mut pk.b_g1_query[at]);
            off(&mut pk.b_g2_query[at]);
        }),
        ("query H or L", &|pk| off(&mut pk.h_query[8190])),
        ("query H or L", &|pk| off(&mut pk.l_query[0])),
        ("query H or L", &|pk| pk.l_query.swap(3, 4)),
    ];
    for (what, change) in queries {
        let mut other = pk.clone();
        change(&mut other);
        let own = ProvingKey::of_ceremony(other.clone(), minutes.clone()).expect_err("refused");
        assert_eq!(
            own.to_string(),
            format!("the key's ceremony: key: {what} is not what the transcript says")
        );
    }
    let mut other = pk.clone();
    off(&mut other.l_query[0]);
    let file = [compressed(&other), vk.origin().to_bytes()].concat();
    assert!(matches!(
        ProvingKey::read(&file),
        Err(KeyError::Ceremony(_))
    ));
    // Minutes of a ceremony for another circuit, complete and in order.
    let shares = [3u64, 5].map(|s| [Fr::from(s); 4]);
    let other = minutes_of(pk, [1; 32], &shares);
    assert_eq!(
        refused(&|_, m| *m = other.clone()),
        "the key's ceremony: specialisation: another circuit"
    );
    // A test key with somebody's minutes.
    let test = key_of_tests();
    assert_eq!(
        refused(&|pk, _| *pk = test.clone()),
        "the key's ceremony: key: gamma is not what the transcript says"
    );
}

fn key_of_tests() -> ark_groth16::ProvingKey<Bn254> {
    key().arkworks().clone()
}

fn off<P: AffineRepr>(point: &mut P) {
    *point = (*point + P::generator()).into_affine();
}

/// The hash is that of the key with its origin: other minutes are another key.
#[test]
fn the_hash_names_the_origin() {
    let (pk, minutes) = ceremony();
    let key = VerifyingKey::of_ceremony(pk.vk.clone(), minutes.clone()).expect("its own");
    let file = key.to_file();
    assert_eq!(VerifyingKey::content_hash(&file), Some(*key.hash()));
    let mut again = minutes.clone();
    let last = again
        .phase_two
        .as_mut()
        .and_then(|two| two.contributions.pop());
    let last = last.expect("two");
    // The last contributor signs other queries, with the same factor.
    let [.., factor] = &shares()[1];
    (again.contribute_delta(&last.name, [7; 32], factor, &mut rng(1))).expect("its own factor");
    let other = VerifyingKey::of_ceremony(pk.vk.clone(), again).expect("the same alpha to delta");
    assert_eq!(other.to_bytes(), key.to_bytes());
    assert_ne!(other.hash(), key.hash());
    assert_eq!(
        VerifyingKey::from_bytes(&other.to_file(), key.hash()).err(),
        Some(KeyError::Hash)
    );
}

/// A proof is not given away unless it verifies: one of a broken key tells about the witness.
#[test]
fn a_broken_key_gives_no_proof() {
    let p = person(&card(), &VALUES, 1);
    let statement = p.claims(prepared(), Claim::AtLeast(SCORE), None);
    let mut pk = key().arkworks().clone();
    pk.l_query.iter_mut().for_each(off);
    let broken = alone(pk).expect("a key by form");
    let made = prove(&broken, &statement, &p.openings, &mut rng(3));
    assert_eq!(made.err(), Some(ProveError::Key));
    assert!(prove(key(), &statement, &p.openings, &mut rng(3)).is_ok());
}
