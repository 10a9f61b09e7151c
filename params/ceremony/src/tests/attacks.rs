//! Every way to tamper with a transcript that we could think of, each refused naming the step.
//!
//! Two kinds of cheats: somebody changes the file on its way (then it is not what the last contributor
//! signed), and a contributor makes wrong vectors and signs them (then the equations fail).

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{Field, UniformRand};
use ark_poly::{EvaluationDomain, GeneralEvaluationDomain};
use zkbureau_circuits::ceremony::{Minutes, PowersContribution};

use super::*;
use crate::powers::Powers;
use crate::queries::Queries;
use crate::specialise::Specialised;

fn off<P: AffineRepr>(p: &mut P) {
    *p = (*p + P::generator()).into_affine();
}

/// A third contributor makes powers, changes them, and signs.
fn dishonest_powers(change: impl FnOnce(&mut Powers)) -> String {
    let before = phase_one(2);
    let s = secrets(2);
    let mut powers = before.powers.times(&s, &Quiet);
    change(&mut powers);
    match before.sign_powers("Mallory", &s, powers, &mut rng(1)) {
        Ok((t, _)) => refusal(&t),
        Err(refused) => refused.to_string(),
    }
}

/// A second contributor to phase 2 makes queries, changes them, and signs.
fn dishonest_queries(change: impl FnOnce(&mut Queries)) -> String {
    let before = phase_two(1);
    let d = delta(1);
    let mut queries = before.queries.as_ref().expect("phase 2").times(&d, &Quiet);
    change(&mut queries);
    match before.sign_delta("Mallory", &d, queries, &mut rng(1)) {
        Ok((t, _)) => refusal(&t),
        Err(refused) => refused.to_string(),
    }
}

const POWERS_STEP: &str = "phase 1, powers after contribution 3 (\"Mallory\")";
const QUERIES_STEP: &str = "phase 2, queries after contribution 2 (\"Mallory\")";

#[test]
fn wrong_powers_that_are_signed() {
    // The helper itself refuses nothing honest.
    let honest = {
        let before = phase_one(2);
        let s = secrets(2);
        let powers = before.powers.times(&s, &Quiet);
        before
            .sign_powers("Mallory", &s, powers, &mut rng(1))
            .expect("honest")
            .0
    };
    assert_eq!(check(&honest, Goal::SoFar), Ok(()));

    let power = |what: &str, index: usize| {
        format!("{POWERS_STEP}: {what}, element {index}: not tau times the element before")
    };
    for i in [2, 3, 31, 32, 33, 61, 62] {
        assert_eq!(
            dishonest_powers(|p| off(&mut p.tau_g1[i])),
            power("tau in G1", i)
        );
    }
    for i in [2, 17, 31] {
        assert_eq!(
            dishonest_powers(|p| off(&mut p.tau_g2[i])),
            power("tau in G2", i)
        );
    }
    for i in [1, 2, 30, 31] {
        assert_eq!(
            dishonest_powers(|p| off(&mut p.alpha_g1[i])),
            power("alpha·tau in G1", i)
        );
        assert_eq!(
            dishonest_powers(|p| off(&mut p.beta_g1[i])),
            power("beta·tau in G1", i)
        );
    }
    for (change, says) in [
        (
            (|p: &mut Powers| off(&mut p.tau_g1[0])) as fn(&mut Powers),
            "tau in G1 does not start with the generator",
        ),
        (
            |p| off(&mut p.tau_g2[0]),
            "tau in G2 does not start with the generator",
        ),
        (
            |p| off(&mut p.tau_g1[1]),
            "tau in G1 is not what the contribution says",
        ),
        (|p| off(&mut p.tau_g2[1]), "tau differs between the groups"),
        (
            |p| off(&mut p.alpha_g1[0]),
            "alpha·tau in G1 is not what the contribution says",
        ),
        (
            |p| off(&mut p.beta_g1[0]),
            "beta·tau in G1 is not what the contribution says",
        ),
        (|p| off(&mut p.beta_g2), "beta differs between the groups"),
        // Consistent within a vector, with another tau.
        (
            |p| {
                let other = Fr::from(5u64);
                let mut x = other;
                for point in &mut p.alpha_g1[1..] {
                    *point = (*point * x).into_affine();
                    x *= other;
                }
            },
            "alpha·tau in G1, element 1: not tau times the element before",
        ),
        // Errors that cancel in a plain sum.
        (
            |p| {
                p.tau_g1[9] = (p.tau_g1[9] + G1Affine::generator()).into_affine();
                p.tau_g1[11] = (p.tau_g1[11] - G1Affine::generator()).into_affine();
            },
            "tau in G1, element 9: not tau times the element before",
        ),
        (
            |p| p.tau_g1.swap(4, 5),
            "tau in G1, element 4: not tau times the element before",
        ),
        // alpha and beta swapped.
        (
            |p| std::mem::swap(&mut p.alpha_g1, &mut p.beta_g1),
            "alpha·tau in G1 is not what the contribution says",
        ),
    ] {
        assert_eq!(dishonest_powers(change), format!("{POWERS_STEP}: {says}"));
    }
}

#[test]
fn wrong_queries_that_are_signed() {
    let honest = phase_two(2);
    assert_eq!(check(&honest, Goal::Complete), Ok(()));
    let wrong = |what: &str, i: usize| {
        format!("{QUERIES_STEP}: query {what}, element {i}: not what the transcript says")
    };
    for i in [0, 1, 15, 30] {
        assert_eq!(dishonest_queries(|q| off(&mut q.h[i])), wrong("H", i));
    }
    for i in [0, 1, 12] {
        assert_eq!(dishonest_queries(|q| off(&mut q.l[i])), wrong("L", i));
    }
    assert_eq!(
        dishonest_queries(|q| off(&mut q.delta_g2)),
        format!("{QUERIES_STEP}: delta differs between the groups")
    );
    // Not divided at all; divided twice.
    let d = delta(1);
    let whole = |q: &mut Queries, factor: Fr| {
        for point in &mut q.l {
            *point = (*point * factor).into_affine();
        }
    };
    assert_eq!(dishonest_queries(|q| whole(q, d)), wrong("L", 0));
    let inverse = d.inverse().expect("not zero");
    assert_eq!(dishonest_queries(|q| whole(q, inverse)), wrong("L", 0));
    // Two elements exchanged.
    assert_eq!(dishonest_queries(|q| q.h.swap(3, 7)), wrong("H", 3));
    // Another number of elements.
    for (change, says) in [
        (
            (|q: &mut Queries| q.l.truncate(12)) as fn(&mut Queries),
            "query L: the circuit has 13 elements, the key 12",
        ),
        (
            |q| q.h.push(G1Affine::generator()),
            "query H: the circuit has 31 elements, the key 32",
        ),
    ] {
        assert_eq!(dishonest_queries(change), format!("{QUERIES_STEP}: {says}"));
    }
}

#[test]
fn a_file_changed_on_its_way() {
    let signed = "the file has other vectors than the contribution signed";
    type Change = fn(&mut Transcript);
    let powers: [Change; 5] = [
        |t| off(&mut t.powers.tau_g1[7]),
        |t| off(&mut t.powers.tau_g2[7]),
        |t| off(&mut t.powers.alpha_g1[7]),
        |t| off(&mut t.powers.beta_g1[7]),
        |t| off(&mut t.powers.beta_g2),
    ];
    for change in powers {
        for (mut t, last) in [(phase_one(2), 2), (phase_two(2), 3)] {
            change(&mut t);
            let name = NAMES[last - 1];
            let step = format!("phase 1, powers after contribution {last} ({name:?})");
            assert_eq!(refusal(&t), format!("{step}: {signed}"));
        }
    }
    let queries: [fn(&mut Queries); 3] = [
        |q| off(&mut q.h[3]),
        |q| off(&mut q.l[3]),
        |q| off(&mut q.delta_g2),
    ];
    for change in queries {
        let mut t = phase_two(2);
        change(t.queries.as_mut().expect("phase 2"));
        let step = "phase 2, queries after contribution 2 (\"Agency B\")";
        assert_eq!(refusal(&t), format!("{step}: {signed}"));
        let mut t = phase_two(0);
        change(t.queries.as_mut().expect("phase 2"));
        assert_eq!(
            refusal(&t),
            format!("phase 2, queries at the start: {signed}")
        );
    }
    // Somebody begins with powers of their own.
    let mut t = phase_one(0);
    t.powers = t.powers.times(&secrets(7), &Quiet);
    assert_eq!(
        refusal(&t),
        format!("phase 1, powers at the start: {signed}")
    );
    // The powers before the last contribution, with its minutes; and the other way round.
    let mut t = phase_one(2);
    t.powers = phase_one(1).powers;
    assert!(refusal(&t).ends_with(signed));
    let mut t = phase_two(2);
    t.queries = phase_two(1).queries;
    assert!(refusal(&t).ends_with(signed));
    t.queries = None;
    assert_eq!(refusal(&t), "phase 2: has not begun");
}

fn minutes(change: impl FnOnce(&mut Minutes)) -> String {
    let mut t = phase_two(3);
    change(&mut t.minutes);
    refusal(&t)
}

const NOT_NEXT: &str = "does not continue the step before it: one was left out, moved, changed, or \
                        belongs to another ceremony";

#[test]
fn contributions_left_out_moved_replayed() {
    for (change, says) in [
        (
            (|m: &mut Minutes| drop(m.powers.remove(0))) as fn(&mut Minutes),
            "phase 1, contribution 1 (\"Agency B\")",
        ),
        (
            |m| drop(m.powers.remove(1)),
            "phase 1, contribution 2 (\"Agency C\")",
        ),
        (
            |m| m.powers.swap(0, 1),
            "phase 1, contribution 1 (\"Agency B\")",
        ),
        (
            |m| m.powers.swap(1, 2),
            "phase 1, contribution 2 (\"Agency C\")",
        ),
    ] {
        assert_eq!(minutes(change), format!("{says}: {NOT_NEXT}"));
    }
    // The last one of phase 1 left out: phase 2 continued what was signed then.
    assert_eq!(
        minutes(|m| drop(m.powers.pop())),
        format!("phase 2, contribution 1 (\"Agency A\"): {NOT_NEXT}")
    );
    let two = |change: fn(&mut Vec<zkbureau_circuits::ceremony::DeltaContribution>)| {
        minutes(|m| change(&mut m.phase_two.as_mut().expect("phase 2").contributions))
    };
    assert_eq!(
        two(|c| drop(c.remove(0))),
        format!("phase 2, contribution 1 (\"Agency B\"): {NOT_NEXT}")
    );
    assert_eq!(
        two(|c| c.swap(1, 2)),
        format!("phase 2, contribution 2 (\"Agency C\"): {NOT_NEXT}")
    );
    // The last one left out: the queries are those that it signed.
    assert_eq!(
        two(|c| drop(c.pop())),
        "phase 2, queries after contribution 2 (\"Agency B\"): the file has other vectors than the \
         contribution signed"
    );
    // A contribution said twice; under another name; from another ceremony.
    assert_eq!(
        two(|c| c.push(c[2].clone())),
        "phase 2, contribution 4 (\"Agency C\"): contributed to this phase before, as contribution 3"
    );
    let renamed = |c: &mut PowersContribution, name: &str| c.name = name.into();
    let again = minutes(|m| {
        let mut copy = m.powers[2].clone();
        renamed(&mut copy, "Agency E");
        m.powers.push(copy);
    });
    assert_eq!(
        again,
        format!("phase 1, contribution 4 (\"Agency E\"): {NOT_NEXT}")
    );
    let other = {
        let mut t = Transcript::new("another", circuit().log_size()).expect("a title");
        t = (t.contribute_powers("Agency A", &secrets(0), &mut rng(0), &Quiet))
            .expect("honest")
            .0;
        t.minutes.powers[0].clone()
    };
    assert_eq!(
        minutes(|m| m.powers[0] = other),
        format!("phase 1, contribution 1 (\"Agency A\"): {NOT_NEXT}")
    );
    // The whole ceremony under another title.
    assert_eq!(
        minutes(|m| m.title = "another".into()),
        format!("phase 1, contribution 1 (\"Agency A\"): {NOT_NEXT}")
    );
}

/// An attacker who rewrites the chain of hashes still has no proof of knowledge for it.
#[test]
fn a_rewritten_chain_has_no_proofs() {
    let knowledge = |step: &str, secret: &str| {
        format!(
            "{step}: the proof of knowledge of its secret for {secret} fails for this name, place and \
             transcript"
        )
    };
    // Dropping the first and re-linking: Agency B's proof was for another place and base.
    let mut t = phase_one(2);
    let first = t.minutes.powers.remove(0);
    t.minutes.powers[0].previous = first.previous;
    assert_eq!(
        refusal(&t),
        knowledge("phase 1, contribution 1 (\"Agency B\")", "tau")
    );
    // Everything a proof is bound to.
    let step = "phase 1, contribution 2 (\"Agency B\")";
    for (j, secret) in ["tau", "alpha", "beta"].into_iter().enumerate() {
        let mut t = phase_one(2);
        let others = phase_one(1).minutes.powers[0].knowledge[j].clone();
        t.minutes.powers[1].knowledge[j] = others;
        // A foreign commitment changes every challenge.
        assert_eq!(refusal(&t), knowledge(step, "tau"), "{secret}");
    }
    let mut t = phase_one(2);
    t.minutes.powers[1].name = "Agency Z".into();
    assert_eq!(
        refusal(&t),
        knowledge("phase 1, contribution 2 (\"Agency Z\")", "tau")
    );
    let mut t = phase_one(2);
    t.minutes.powers[1].state[0] ^= 1;
    assert_eq!(refusal(&t), knowledge(step, "tau"));
    for (j, secret) in ["tau", "alpha", "beta"].into_iter().enumerate() {
        // A point whose secret nobody proved, in one of the three places.
        let mut t = phase_one(2);
        let c = &mut t.minutes.powers[1];
        let place = [&mut c.tau, &mut c.alpha, &mut c.beta];
        let mut point = place[j].decode().expect("a point");
        off(&mut point);
        *[&mut c.tau, &mut c.alpha, &mut c.beta][j] = point.into();
        assert_eq!(refusal(&t), knowledge(step, "tau"), "{secret}");
    }
    let step = "phase 2, contribution 2 (\"Agency B\")";
    let mut t = phase_two(2);
    let c = &mut t.minutes.phase_two.as_mut().expect("phase 2").contributions[1];
    let mut point = c.delta.decode().expect("a point");
    off(&mut point);
    c.delta = point.into();
    assert_eq!(refusal(&t), knowledge(step, "delta"));
    let mut t = phase_two(2);
    let c = &mut t.minutes.phase_two.as_mut().expect("phase 2").contributions[1];
    c.name = "agency z".into();
    assert_eq!(
        refusal(&t),
        knowledge("phase 2, contribution 2 (\"agency z\")", "delta")
    );
    let mut t = phase_two(2);
    let two = t.minutes.phase_two.as_mut().expect("phase 2");
    two.contributions[1].knowledge = two.contributions[0].knowledge.clone();
    assert_eq!(refusal(&t), knowledge(step, "delta"));
}

/// Whoever comes last cannot get rid of the others: setting delta, or tau, to something of one's own
/// needs the logarithm to what was there before.
#[test]
fn a_contribution_that_throws_the_others_away() {
    let before = phase_two(1);
    let own = delta(77);
    // Queries with delta = own alone, as if nobody had contributed before.
    let mut start = phase_two(0).queries.expect("phase 2");
    start = start.times(&own, &Quiet);
    let mut t = (before.sign_delta("Mallory", &own, start, &mut rng(1)))
        .expect("signed")
        .0;
    assert_eq!(
        refusal(&t),
        format!("{QUERIES_STEP}: delta differs between the groups")
    );
    // With a point that fits the queries, the proof does not fit the point.
    let two = t.minutes.phase_two.as_mut().expect("phase 2");
    two.contributions[1].delta = (G1Affine::generator() * own).into_affine().into();
    assert_eq!(
        refusal(&t),
        "phase 2, contribution 2 (\"Mallory\"): the proof of knowledge of its secret for delta fails \
         for this name, place and transcript"
    );
}

#[test]
fn secrets_that_are_no_secrets() {
    let before = phase_one(1);
    let one = Fr::from(1u64);
    for (what, change) in [("tau", 0usize), ("alpha", 1), ("beta", 2)] {
        for (value, says) in [
            (one, format!("changes nothing: its secret for {what} is 1")),
            (
                Fr::from(0u64),
                format!(
                    "{what} is not a point of its group other than the identity, canonically encoded"
                ),
            ),
        ] {
            let mut s = secrets(5);
            *[&mut s.tau, &mut s.alpha, &mut s.beta][change] = value;
            let refused = before
                .contribute_powers("Mallory", &s, &mut rng(1), &Quiet)
                .expect_err("no secret");
            assert_eq!(
                refused.to_string(),
                format!("phase 1, contribution 2 (\"Mallory\"): {says}")
            );
        }
    }
    let before = phase_two(1);
    for (value, says) in [
        (one, "changes nothing: its secret for delta is 1"),
        (
            Fr::from(0u64),
            "delta is not a point of its group other than the identity, canonically encoded",
        ),
    ] {
        let refused = before
            .contribute_delta("Mallory", &value, &mut rng(1), &Quiet)
            .expect_err("no secret");
        assert_eq!(
            refused.to_string(),
            format!("phase 2, contribution 2 (\"Mallory\"): {says}")
        );
    }
}

/// tau in the domain makes Z(tau) = 0 and the H query the identity.
#[test]
fn tau_in_the_domain() {
    let domain = GeneralEvaluationDomain::<Fr>::new(32).expect("a domain");
    let before = phase_one(0);
    let mut s = secrets(1);
    s.tau = domain.group_gen();
    let t = before
        .contribute_powers("Mallory", &s, &mut rng(1), &Quiet)
        .expect("a secret")
        .0;
    assert_eq!(
        refusal(&t),
        "phase 1, powers after contribution 1 (\"Mallory\"): tau lies in the evaluation domain"
    );
    // The two of a pair of contributors who know each other's secrets can make tau = 1.
    let mut s = secrets(1);
    let t = before
        .contribute_powers("Mallory", &s, &mut rng(1), &Quiet)
        .expect("a secret")
        .0;
    s.tau = s.tau.inverse().expect("not zero");
    let t = t
        .contribute_powers("Mallet", &s, &mut rng(1), &Quiet)
        .expect("a secret")
        .0;
    assert_eq!(
        refusal(&t),
        "phase 1, powers after contribution 2 (\"Mallet\"): tau lies in the evaluation domain"
    );
}

/// Two contributors who collude to undo each other: delta = gamma.
#[test]
fn delta_equal_to_gamma() {
    let d = delta(3);
    let t = phase_two(0);
    let t = (t.contribute_delta("Mallory", &d, &mut rng(1), &Quiet))
        .expect("a secret")
        .0;
    let undo = d.inverse().expect("not zero");
    let t = (t.contribute_delta("Mallet", &undo, &mut rng(1), &Quiet))
        .expect("a secret")
        .0;
    let refused = check(&t, Goal::Complete).expect_err("delta = 1");
    assert_eq!(
        refused.to_string(),
        "phase 2, queries after contribution 2 (\"Mallet\"): delta equals gamma: with such a key \
         proofs are made without a witness"
    );
    // Not a key that somebody on the way should go on from unnoticed; the next one repairs it.
    let t = (t.contribute_delta("Agency A", &delta(1), &mut rng(1), &Quiet))
        .expect("a secret")
        .0;
    assert_eq!(check(&t, Goal::Complete), Ok(()));
}

#[test]
fn names() {
    let t = phase_one(2);
    for name in ["Agency A", "agency a", "AGENCY B"] {
        let refused = t
            .contribute_powers(name, &secrets(9), &mut rng(1), &Quiet)
            .expect_err("again");
        let before = if name == "AGENCY B" { 2 } else { 1 };
        assert_eq!(
            refused.to_string(),
            format!(
                "phase 1, contribution 3 ({name:?}): contributed to this phase before, as \
                 contribution {before}"
            )
        );
    }
    for name in [
        "",
        " x",
        "x ",
        "a  b",
        "Agenсy A",
        "a\nb",
        "\u{7f}",
        &"n".repeat(65),
    ] {
        let refused = t
            .contribute_powers(name, &secrets(9), &mut rng(1), &Quiet)
            .expect_err("no name");
        assert!(refused.to_string().contains("is no name"), "{refused}");
    }
    // In the other phase the same name may contribute again, as NAMES do.
    assert_eq!(phase_two(1).minutes.powers[0].name, "Agency A");
}

#[test]
fn another_circuit() {
    let other = Circuit::new(Other).expect("usable");
    assert_eq!(other.log_size(), circuit().log_size());
    assert_ne!(other.hash(), circuit().hash());
    let t = phase_two(2);
    let refused = verify(&t, &other, Goal::Complete, &mut rng(1), &Quiet).map(|_| ());
    assert_eq!(
        refused.map_err(|e| e.to_string()),
        Err("specialisation: another circuit".into())
    );
    // Phase 2 says this circuit, and starts from the queries of the other.
    let foreign = Specialised::new(&other, &phase_one(3).powers, &Quiet).expect("fits");
    let mut t = phase_one(3);
    (t.minutes
        .begin_phase_two(*circuit().hash(), foreign.start()))
    .expect("closed");
    t.queries = Some(Queries::start(&foreign));
    assert_eq!(
        refusal(&t),
        "specialisation: phase 2 did not start from the queries of this circuit with these powers"
    );
    // Says the right start, and has the other's queries.
    let own = Specialised::new(circuit(), &phase_one(3).powers, &Quiet).expect("fits");
    let mut t = phase_one(3);
    (t.minutes.begin_phase_two(*circuit().hash(), own.start())).expect("closed");
    t.queries = Some(Queries::start(&foreign));
    assert_eq!(
        refusal(&t),
        "phase 2, queries at the start: the file has other vectors than the contribution signed"
    );
    let q = Queries::start(&foreign).times(&delta(1), &Quiet);
    let t = (t.sign_delta("Mallory", &delta(1), q, &mut rng(1)))
        .expect("signed")
        .0;
    let says = refusal(&t);
    assert!(
        says.starts_with("phase 2, queries after contribution 1 (\"Mallory\"): query "),
        "{says}"
    );
    // Powers for another size.
    let small = Transcript::new("toy", 4).expect("a title");
    assert_eq!(
        refusal(&small),
        "title: the circuit calls for a domain of 2^5, the powers are for 2^4"
    );
    assert_eq!(
        small
            .specialise(circuit(), &Quiet)
            .map(|_| ())
            .map_err(|e| e.to_string()),
        Err("specialisation: the circuit calls for a domain of 2^5, the powers are for 2^4".into())
    );
    // Phase 1 cannot be entered again.
    let t = phase_two(1);
    assert_eq!(
        t.specialise(circuit(), &Quiet)
            .map(|_| ())
            .map_err(|e| e.to_string()),
        Err("phase 1: is closed: phase 2 has begun".into())
    );
}

/// One coefficient differs from [`Toy`].
struct Other;

impl ConstraintSynthesizer<Fr> for Other {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
        Toy { x: 2 }.generate_constraints(cs.clone())?;
        let x = cs.new_witness_variable(|| Ok(Fr::from(0u64)))?;
        cs.enforce_r1cs_constraint(|| x.into(), || x.into(), || x.into())
    }
}

#[test]
fn circuits_that_are_not_usable() {
    struct Unused;
    impl ConstraintSynthesizer<Fr> for Unused {
        fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
            Toy { x: 2 }.generate_constraints(cs.clone())?;
            let _ = cs.new_witness_variable(|| Ok(Fr::from(0u64)))?;
            Ok(())
        }
    }
    struct Empty;
    impl ConstraintSynthesizer<Fr> for Empty {
        fn generate_constraints(self, _: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
            Ok(())
        }
    }
    assert_eq!(
        Circuit::new(Unused).map(|_| ()).map_err(|e| e.to_string()),
        Err("specialisation: the circuit is not usable: a witness is in no constraint".into())
    );
    assert!(Circuit::new(Empty).is_err());
}

/// Points of G2's curve that are not in its group of prime order are no points of a transcript.
#[test]
fn points_outside_the_group() {
    let mut rng = rng(4);
    let outside = loop {
        let x = ark_bn254::Fq2::rand(&mut rng);
        let point = G2Affine::get_point_from_x_unchecked(x, true);
        if let Some(p) = point.filter(|p| !p.is_in_correct_subgroup_assuming_on_curve()) {
            break p;
        }
    };
    let mut t = phase_one(2);
    t.powers.tau_g2[9] = outside;
    let read = Transcript::from_bytes(&t.to_bytes(), &Quiet).map_err(|e| e.to_string());
    assert_eq!(
        read.map(|_| ()),
        Err(
            "phase 1, powers after contribution 2 (\"Agency B\"): tau in G2, element 9: not a point \
             of its group other than the identity, canonically encoded"
                .into()
        )
    );
    let mut t = phase_two(2);
    t.queries.as_mut().expect("phase 2").l[4] = G1Affine::identity();
    let read = Transcript::from_bytes(&t.to_bytes(), &Quiet).map_err(|e| e.to_string());
    assert_eq!(
        read.map(|_| ()),
        Err(
            "phase 2, queries after contribution 2 (\"Agency B\"): query L, element 4: not a point \
             of its group other than the identity, canonically encoded"
                .into()
        )
    );
}
