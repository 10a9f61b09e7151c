//! A finished key against its transcript.

use ark_ec::{AffineRepr, CurveGroup};

use super::*;

fn changed(change: impl FnOnce(&mut ProvingKey<Bn254>)) -> String {
    let t = phase_two(2);
    let verified = verify(&t, circuit(), Goal::Complete, &mut rng(1), &Quiet).expect("honest");
    let mut pk = key().clone();
    change(&mut pk);
    match verified.check_proving_key(&pk, &Quiet) {
        Ok(()) => "accepted".into(),
        Err(refused) => refused.to_string(),
    }
}

fn off<P: AffineRepr>(p: &mut P) {
    *p = (*p + P::generator()).into_affine();
}

type Change = fn(&mut ProvingKey<Bn254>);

#[test]
fn every_part_of_a_key_is_compared() {
    assert_eq!(changed(|_| {}), "accepted");
    let cases: [(Change, &str); 16] = [
        (|k| off(&mut k.vk.alpha_g1), "alpha is"),
        (|k| off(&mut k.vk.beta_g2), "beta is"),
        (|k| off(&mut k.vk.gamma_g2), "gamma is"),
        (|k| off(&mut k.vk.delta_g2), "delta is"),
        (|k| off(&mut k.beta_g1), "beta in G1 is"),
        (|k| off(&mut k.delta_g1), "delta in G1 is"),
        (
            |k| off(&mut k.vk.gamma_abc_g1[2]),
            "bases of public inputs, element 2:",
        ),
        (|k| off(&mut k.a_query[5]), "query A, element 5:"),
        (|k| off(&mut k.b_g1_query[0]), "query B in G1, element 0:"),
        (|k| off(&mut k.b_g2_query[7]), "query B in G2, element 7:"),
        (|k| off(&mut k.h_query[30]), "query H, element 30:"),
        (|k| off(&mut k.l_query[12]), "query L, element 12:"),
        (
            |k| k.a_query.truncate(16),
            "query A: the circuit has 17 elements, the key 16",
        ),
        (
            |k| k.vk.gamma_abc_g1.push(k.vk.alpha_g1),
            "bases of public inputs: the circuit has 4 elements, the key 5",
        ),
        (
            |k| k.vk.delta_g2 = k.vk.gamma_g2,
            "delta equals gamma: with such a key",
        ),
        (
            |k| std::mem::swap(&mut k.a_query, &mut k.b_g1_query),
            "query A, element",
        ),
    ];
    for (change, says) in cases {
        let refused = changed(change);
        assert!(refused.starts_with(&format!("key: {says}")), "{refused}");
    }
}

/// The minutes alone, as a loader has them, tell another ceremony's key.
#[test]
fn minutes_against_a_verifying_key() {
    let t = phase_two(2);
    let standing = t.minutes().check_complete().expect("complete");
    assert_eq!(standing.check_key(&key().vk), Ok(()));
    let cases: [(Change, &str); 9] = [
        (|k| off(&mut k.vk.alpha_g1), "key: alpha is not"),
        (|k| off(&mut k.vk.beta_g2), "key: beta is not"),
        (|k| off(&mut k.vk.gamma_g2), "key: gamma is not"),
        (|k| off(&mut k.vk.delta_g2), "key: delta is not"),
        (|k| k.vk.delta_g2 = k.vk.gamma_g2, "key: delta equals gamma"),
        (|k| k.vk.gamma_g2 = k.vk.delta_g2, "key: delta equals gamma"),
        (
            |k| k.vk.alpha_g1 = AffineRepr::zero(),
            "key: alpha is the identity",
        ),
        (
            |k| k.vk.beta_g2 = AffineRepr::zero(),
            "key: beta is the identity",
        ),
        (
            |k| k.vk.delta_g2 = AffineRepr::zero(),
            "key: delta is the identity",
        ),
    ];
    for (change, says) in cases {
        let mut pk = key().clone();
        change(&mut pk);
        let refused = standing.check_key(&pk.vk).expect_err("another key");
        assert!(refused.to_string().starts_with(says), "{refused}");
    }
    // Of a ceremony with one contribution more.
    let later = phase_two(3);
    let standing = later.minutes().check_complete().expect("complete");
    assert!(standing.check_key(&key().vk).is_err());
}
