//! Keys that are refused, and the attack behind `delta = gamma`.

use std::sync::OnceLock;

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::UniformRand;
use ark_groth16::Proof;

use super::*;
use crate::ceremony::{Minutes, PowersSecrets};
use crate::encoding::Document;
use crate::scorecard::encoding::GrothBytes;
use crate::scorecard::{Origin, ScorecardCircuit};

type Vk = ark_groth16::VerifyingKey<Bn254>;

fn changed(change: impl FnOnce(&mut Vk)) -> Option<KeyError> {
    let mut vk = key().arkworks().vk.clone();
    change(&mut vk);
    VerifyingKey::new(vk).err()
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
    assert_eq!(ProvingKey::new(pk).err(), Some(KeyError::Disagree("delta")));
    let mut pk = key().arkworks().clone();
    pk.l_query.pop();
    assert!(matches!(
        ProvingKey::new(pk),
        Err(KeyError::Count {
            what: "L query",
            ..
        })
    ));
    let mut pk = key().arkworks().clone();
    pk.h_query.push(pk.vk.alpha_g1);
    assert!(matches!(
        ProvingKey::new(pk),
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
    let bytes = vk.to_bytes();
    assert_eq!(bytes.len(), VerifyingKey::BYTES);
    let read = VerifyingKey::from_bytes(&bytes, vk.hash()).expect("its own bytes");
    assert_eq!(read.hash(), vk.hash());
    assert_eq!(
        VerifyingKey::from_bytes(&bytes, &[0; 32]).err(),
        Some(KeyError::Hash)
    );
    for cut in [0, 1, 32, bytes.len() - 1] {
        assert_eq!(
            VerifyingKey::from_bytes(&bytes[..cut], vk.hash()).err(),
            Some(KeyError::Malformed)
        );
    }
    // What follows a key are minutes.
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(
        VerifyingKey::from_bytes(&longer, vk.hash()).err(),
        Some(KeyError::Minutes(_))
    ));
    for byte in (0..bytes.len()).step_by(997).chain(0..8).chain(224..232) {
        let mut flipped = bytes.clone();
        flipped[byte] ^= 1;
        assert!(
            VerifyingKey::from_bytes(&flipped, vk.hash()).is_err(),
            "byte {byte}"
        );
    }
    let bytes = key().to_bytes();
    assert_eq!(bytes.len(), ProvingKey::bytes());
    let read = ProvingKey::from_bytes(&bytes, vk.hash()).expect("its own bytes");
    assert_eq!(read.to_bytes(), bytes);
    assert_eq!(
        ProvingKey::from_bytes(&bytes, &[0; 32]).err(),
        Some(KeyError::Hash)
    );
    assert_eq!(
        ProvingKey::from_bytes(&bytes[1..], vk.hash()).err(),
        Some(KeyError::Malformed)
    );
    // Test keys are made of their seed.
    assert_eq!(test_key(1).verifying().hash(), vk.hash());
    assert_ne!(test_key(2).verifying().hash(), vk.hash());
}

/// A key as a ceremony of two would make it, from secrets that the test knows.
fn ceremony() -> &'static (ark_groth16::ProvingKey<Bn254>, Minutes) {
    static MADE: OnceLock<(ark_groth16::ProvingKey<Bn254>, Minutes)> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut draws = rng(5);
        let mut minutes = Minutes::new("test", 13).expect("a title");
        let (mut alpha, mut beta, mut delta) = (Fr::from(1u64), Fr::from(1u64), Fr::from(1u64));
        for name in ["A", "B"] {
            let secrets = PowersSecrets {
                tau: Fr::rand(&mut draws),
                alpha: Fr::rand(&mut draws),
                beta: Fr::rand(&mut draws),
            };
            alpha *= secrets.alpha;
            beta *= secrets.beta;
            let made = minutes.contribute_powers(name, [0; 32], &secrets, &mut rng(1));
            made.expect("honest");
        }
        let circuit = super::super::keys::shape().hash;
        minutes.begin_phase_two(circuit, [0; 32]).expect("two");
        for name in ["A", "B"] {
            let secret = Fr::rand(&mut draws);
            delta *= secret;
            let made = minutes.contribute_delta(name, [0; 32], &secret, &mut rng(1));
            made.expect("honest");
        }
        let pk = ark_groth16::Groth16::<Bn254>::generate_parameters_with_qap(
            ScorecardCircuit::blank(),
            alpha,
            beta,
            Fr::from(1u64),
            delta,
            G1Affine::generator().into(),
            G2Affine::generator().into(),
            &mut draws,
        );
        (pk.expect("a key"), minutes)
    })
}

#[test]
fn keys_of_a_ceremony() {
    let (pk, minutes) = ceremony();
    let key = ProvingKey::of_ceremony(pk.clone(), minutes.clone()).expect("its own minutes");
    let vk = key.verifying();
    assert_eq!(vk.origin(), &Origin::Ceremony(Box::new(minutes.clone())));
    // The hash is the key's, with minutes or without.
    let bare = VerifyingKey::from_bytes(&vk.to_bytes(), vk.hash()).expect("its own bytes");
    assert_eq!(bare.origin(), &Origin::Unstated);
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
            .map(|e| e.to_string().contains("minutes")),
        Some(true)
    );

    let refused = |change: &dyn Fn(&mut ark_groth16::ProvingKey<Bn254>, &mut Minutes)| {
        let (mut pk, mut minutes) = (pk.clone(), minutes.clone());
        change(&mut pk, &mut minutes);
        let own = ProvingKey::of_ceremony(pk.clone(), minutes.clone()).expect_err("refused");
        // The same through a file, unless the key is refused alone.
        if let Ok(key) = ProvingKey::new(pk) {
            let minutes = minutes.to_bytes();
            let file = [key.to_bytes(), minutes.clone()].concat();
            assert_eq!(ProvingKey::read(&file).err(), Some(own.clone()));
            let file = [key.verifying().to_bytes(), minutes].concat();
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
    // Minutes of a ceremony for another circuit, complete and in order.
    let other = {
        let mut m = minutes.clone();
        let contributed = m.phase_two.take().is_some();
        assert!(contributed);
        m.begin_phase_two([1; 32], [0; 32]).expect("two");
        for (name, secret) in [("A", 3u64), ("B", 5)] {
            let made = m.contribute_delta(name, [0; 32], &Fr::from(secret), &mut rng(1));
            made.expect("honest");
        }
        m
    };
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
