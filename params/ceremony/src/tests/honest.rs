//! What honest contributors get, against a second implementation: arkworks' own generator, given the
//! products of all secrets.

use ark_bn254::{Bn254, Fr, G1Projective, G2Projective};
use ark_ec::PrimeGroup;
use ark_ff::{Field, UniformRand};
use ark_groth16::{Groth16, prepare_verifying_key};
use ark_poly::{EvaluationDomain, GeneralEvaluationDomain};
use ark_snark::SNARK;
use proptest::prelude::*;
use zkbureau_circuits::ceremony::{LOG_SIZES, PowersSecrets};

use super::*;
use crate::Entropy;

#[test]
fn the_finished_key_proves_and_verifies() {
    let pk = key();
    assert_eq!(circuit().log_size(), 5);
    let toy = Toy { x: 5 };
    let proof = Groth16::<Bn254>::prove(pk, toy, &mut rng(1)).expect("satisfied");
    let pvk = prepare_verifying_key(&pk.vk);
    let verdict = |inputs: &[Fr]| {
        Groth16::<Bn254>::verify_proof(&pvk, &proof, inputs).expect("right number of inputs")
    };
    assert!(verdict(&toy.inputs()));
    for i in 0..3 {
        let mut wrong = toy.inputs();
        wrong[i] += Fr::from(1u64);
        assert!(!verdict(&wrong), "input {i}");
    }
    assert!(!verdict(&Toy { x: 6 }.inputs()));
}

/// A ceremony whose secrets multiply to what arkworks' generator will draw from `seed`.
fn equals_direct_setup(seed: u64, contributors: usize) -> Result<(), TestCaseError> {
    let circuit = circuit();
    let mut generator = rng(seed);
    let (alpha, beta, delta) = {
        let mut rng = rng(seed + 1);
        (Fr::rand(&mut rng), Fr::rand(&mut rng), Fr::rand(&mut rng))
    };
    // arkworks draws tau from the generator it is given.
    let domain =
        GeneralEvaluationDomain::<Fr>::new(circuit.constraints() + circuit.public_inputs() + 1)
            .expect("a domain");
    let tau = domain.sample_element_outside_domain(&mut generator.clone());
    let direct = Groth16::<Bn254>::generate_parameters_with_qap(
        Toy { x: 2 },
        alpha,
        beta,
        Fr::from(1u64),
        delta,
        G1Projective::generator(),
        G2Projective::generator(),
        &mut generator,
    )
    .expect("a key");

    // Shares of each secret: all but the last are random.
    let mut draws = rng(seed + 2);
    let mut shares = |secret: Fr| {
        let mut shares: Vec<Fr> = (1..contributors).map(|_| Fr::rand(&mut draws)).collect();
        let product: Fr = shares.iter().product();
        shares.push(secret * product.inverse().expect("not zero"));
        shares
    };
    let (taus, alphas, betas, deltas) = (shares(tau), shares(alpha), shares(beta), shares(delta));
    let mut t = Transcript::new("property", circuit.log_size()).expect("a title");
    for i in 0..contributors {
        let secrets = PowersSecrets {
            tau: taus[i],
            alpha: alphas[i],
            beta: betas[i],
        };
        let name = format!("agency {i}");
        t = (t.contribute_powers(&name, &secrets, &mut rng(1), &Quiet))
            .expect("honest")
            .0;
    }
    t = t.specialise(circuit, &Quiet).expect("fits");
    for (i, delta) in deltas.iter().enumerate() {
        let name = format!("agency {i}");
        t = (t.contribute_delta(&name, delta, &mut rng(1), &Quiet))
            .expect("honest")
            .0;
    }
    let verified = verify(&t, circuit, Goal::Complete, &mut rng(9), &Quiet).expect("honest");
    let pk = verified.proving_key(&Quiet).expect("complete");
    prop_assert_eq!(&pk, &direct);
    verified
        .check_proving_key(&direct, &Quiet)
        .expect("the same key");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn a_ceremony_equals_a_direct_setup(seed in any::<u32>(), contributors in 2usize..5) {
        equals_direct_setup(u64::from(seed), contributors)?;
    }
}

#[test]
fn every_stage_verifies_and_no_stage_is_complete_too_early() {
    for contributions in 0..4 {
        let t = phase_one(contributions);
        assert_eq!(check(&t, Goal::SoFar), Ok(()));
        let closed = check(&t, Goal::PhaseOne).map_err(|e| e.to_string());
        if contributions < 2 {
            let expected = format!("phase 1: {contributions} contributions; at least 2 are needed");
            assert_eq!(closed, Err(expected.clone()));
            let early = t.specialise(circuit(), &Quiet).map(|_| ());
            assert_eq!(early.map_err(|e| e.to_string()), Err(expected));
        } else {
            assert_eq!(closed, Ok(()));
        }
        assert_eq!(
            check(&t, Goal::Complete).map_err(|e| e.to_string()),
            Err("phase 2: has not begun".into())
        );
    }
    for contributions in 0..4 {
        let t = phase_two(contributions);
        assert_eq!(check(&t, Goal::SoFar), Ok(()));
        let complete = check(&t, Goal::Complete).map_err(|e| e.to_string());
        let verified =
            verify(&t, circuit(), Goal::SoFar, &mut rng(1), &Quiet).expect("sound so far");
        assert!(verified.proving_key(&Quiet).is_err());
        if contributions < 2 {
            assert_eq!(
                complete,
                Err(format!(
                    "phase 2: {contributions} contributions; at least 2 are needed"
                ))
            );
        } else {
            assert_eq!(complete, Ok(()));
        }
    }
}

#[test]
fn contributions_from_entropy() {
    let start = phase_one(0);
    let extra = b"dice: 4 1 6 6 2";
    let draw = |seed, extra: &[u8]| {
        let entropy = Entropy::draw(&mut rng(seed), extra);
        assert_eq!(format!("{entropy:?}"), "Entropy(..)");
        (start.contribute("Agency A", &entropy, &mut rng(1), &Quiet))
            .expect("honest")
            .0
    };
    // Both sources count, and nothing else.
    assert_eq!(draw(1, extra), draw(1, extra));
    assert_ne!(draw(1, extra).powers, draw(2, extra).powers);
    assert_ne!(draw(1, extra).powers, draw(1, b"").powers);
    let t = draw(1, extra);
    assert_eq!(check(&t, Goal::SoFar), Ok(()));
    // Four secrets, all different.
    let entropy = Entropy::draw(&mut rng(3), b"");
    let powers = entropy.powers();
    let all = [powers.tau, powers.alpha, powers.beta, *entropy.delta()];
    for i in 0..4 {
        for j in 0..i {
            assert_ne!(all[i], all[j]);
        }
    }
    assert_eq!(format!("{powers:?}"), "PowersSecrets(..)");
}

#[test]
fn sizes_and_titles() {
    for log_size in [0, 1, 21, 255] {
        assert!(!LOG_SIZES.contains(&log_size));
        assert_eq!(
            Transcript::new("toy", log_size)
                .map_err(|e| e.to_string())
                .err(),
            Some(format!(
                "title: the domain is 2^2 to 2^20, not 2^{log_size}"
            ))
        );
    }
    for title in ["", " a", "a ", "a  b", "naïve", "tab\t", &"x".repeat(65)] {
        assert!(Transcript::new(title, 4).is_err(), "{title:?}");
    }
}
