//! Keys that are refused, and the attack behind `delta = gamma`.

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::CurveGroup;
use ark_ff::UniformRand;
use ark_groth16::Proof;

use super::*;
use crate::scorecard::encoding::GrothBytes;

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
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(
        VerifyingKey::from_bytes(&longer, vk.hash()).err(),
        Some(KeyError::Malformed)
    );
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
