//! Attacks on the link and on the statement (spec: `circuits/spec/scorecard.md`, heading "Attacks").

use std::collections::HashMap;

use ark_bn254::{Bn254, Fr};
use ark_ff::{AdditiveGroup, Field};
use ark_groth16::Groth16;
use ark_snark::SNARK;
use zeroize::Zeroizing;

use super::forge::{Cheat, Z, walk};
use super::*;
use crate::fact::pedersen;
use crate::scorecard::builder::Name;
use crate::scorecard::encoding::FrBytes;
use crate::scorecard::prove::{Secrets, prove_assignment};
use crate::scorecard::relation::{INPUTS, NO_REASONS_BAR, Public, Witness};
use crate::scorecard::statement::draw_weights;
use crate::scorecard::table::Table;
use crate::scorecard::verify::which_hold;
use crate::scorecard::{MAX_VARIABLES, link};

fn honest() -> (Person, ScoreProof) {
    let p = person(&card(), &VALUES, 1);
    let statement = p.claims(prepared(), Claim::Below(500), reasons(2, &[1, 2]));
    let proof = prove(key(), &statement, &p.openings, &mut rng(7)).expect("holds");
    assert_eq!(check(&statement, &proof), Ok(()));
    (p, proof)
}

fn none(_: &[u128; MAX_VARIABLES]) -> Vec<(Name, Fr)> {
    Vec::new()
}

#[test]
fn another_statement() {
    let (p, proof) = honest();
    let honest = p.claims(prepared(), Claim::Below(500), reasons(2, &[1, 2]));
    let refused =
        |statement: ScoreStatement<'_>| assert_eq!(check(&statement, &proof), Err(VerifyError));
    // An old request: another context.
    refused(ScoreStatement {
        context: &[6; 32],
        ..honest
    });
    // A threshold that was raised after the proof, lowered, turned around, or made exact; claims that hold.
    for claim in [
        Claim::Below(501),
        Claim::Below(499),
        Claim::AtLeast(200),
        Claim::Exactly(SCORE),
    ] {
        refused(ScoreStatement { claim, ..honest });
    }
    // Reasons: none, others, more asked for. All of them are true.
    refused(ScoreStatement {
        reasons: None,
        ..honest
    });
    refused(ScoreStatement {
        reasons: reasons(3, &[0, 1, 2]),
        ..honest
    });
    refused(ScoreStatement {
        reasons: reasons(1, &[2]),
        ..honest
    });
    refused(ScoreStatement {
        reasons: reasons(3, &[1, 2]),
        ..honest
    });
    // Another card: another name, another edge, other points, another order, same table.
    let with = |change: &dyn Fn(&mut Vec<Variable>)| {
        let mut variables = card().variables().to_vec();
        change(&mut variables);
        Card::new("a test card".into(), 1, 261, true, variables).expect("valid")
    };
    for card in [
        Card::new(
            "a test cart".into(),
            1,
            261,
            true,
            card().variables().to_vec(),
        )
        .expect("valid"),
        Card::new(
            "a test card".into(),
            1,
            262,
            true,
            card().variables().to_vec(),
        )
        .expect("valid"),
        with(&|v| v[0].bins[1].points += 1),
        with(&|v| v[1].reason.push('x')),
        with(&|v| {
            v[2].bins[0].to += 1;
            v[2].bins[1].from += 1;
        }),
    ] {
        let other = PreparedCard::new(key().verifying(), &card);
        refused(ScoreStatement {
            card: &other,
            ..honest
        });
    }
    // Another person's commitments; one of them; in another order; one too few or too many.
    let other = person(&card(), &VALUES, 2);
    refused(ScoreStatement {
        commitments: &other.commitments,
        ..honest
    });
    for a in 0..4 {
        let mut commitments = p.commitments.clone();
        commitments[a] = other.commitments[a];
        refused(ScoreStatement {
            commitments: &commitments,
            ..honest
        });
        // Off by one.
        let one = pedersen::times_value(&Scalar::ONE);
        for shifted in [one, -one] {
            let mut commitments = p.commitments.clone();
            commitments[a] = (commitments[a].point() + shifted).into();
            refused(ScoreStatement {
                commitments: &commitments,
                ..honest
            });
        }
    }
    let mut swapped = p.commitments.clone();
    swapped.swap(0, 1);
    refused(ScoreStatement {
        commitments: &swapped,
        ..honest
    });
    refused(ScoreStatement {
        commitments: &p.commitments[..3],
        ..honest
    });
    let mut longer = p.commitments.clone();
    longer.push(Commitment::try_from(PointBytes::IDENTITY).expect("the identity"));
    refused(ScoreStatement {
        commitments: &longer,
        ..honest
    });
    // Bytes that are no point.
    assert!(Commitment::try_from(PointBytes([0xff; 32])).is_err());
}

#[test]
fn another_key() {
    let (p, proof) = honest();
    let other = test_key(2);
    let ready = PreparedCard::new(other.verifying(), &card());
    let mine = p.claims(prepared(), Claim::Below(500), reasons(2, &[1, 2]));
    let theirs = ScoreStatement {
        card: &ready,
        ..mine
    };
    assert_eq!(
        verify(other.verifying(), &theirs, &proof, &mut rng(6)),
        Err(VerifyError)
    );
    // A card that is prepared for another key is not taken.
    assert_eq!(
        verify(key().verifying(), &theirs, &proof, &mut rng(6)),
        Err(VerifyError)
    );
    assert_eq!(
        verify(other.verifying(), &mine, &proof, &mut rng(6)),
        Err(VerifyError)
    );
    let proof = prove(&other, &theirs, &p.openings, &mut rng(7)).expect("holds");
    assert_eq!(
        verify(other.verifying(), &theirs, &proof, &mut rng(6)),
        Ok(())
    );
    let refused = prove(&other, &mine, &p.openings, &mut rng(7));
    assert!(matches!(refused, Err(ProveError::Unsatisfied(_))));
}

/// The prover makes a whole new proof for values that are off by one from the committed ones.
#[test]
fn a_value_off_by_one() {
    let p = person(&card(), &VALUES, 1);
    let statement = p.claims(prepared(), Claim::Exactly(SCORE), None);
    for a in 0..3 {
        for up in [true, false] {
            let mut cheat = Cheat::new(statement);
            let mut values = Cheat::honest_values(&p);
            values[a] = if up { values[a] + 1 } else { values[a] - 1 };
            // Income 29,999 + 1 is in another bin, with another score.
            cheat.statement.claim = Claim::Exactly(if a == 2 && up { SCORE + 1000 } else { SCORE });
            cheat.values = Some(values);
            for (z, holds) in [(Z::Circuit, (false, true)), (Z::Committed, (true, false))] {
                cheat.z = z;
                let (_, proof) = cheat.run(&p, none);
                assert_eq!(
                    which_hold(key().verifying(), &cheat.statement, &proof),
                    holds
                );
                assert_eq!(check(&cheat.statement, &proof), Err(VerifyError));
            }
        }
    }
}

/// 1/2 modulo p in the circuit, 1/2 modulo ℓ on the ledger: where every weight is even, both equations
/// of the link would hold. The circuit's ranges refuse it.
#[test]
fn one_half_in_both_groups() {
    let half = Fr::from(2u64).inverse().expect("two");
    let half_l = Scalar::from(2u64).invert();
    // The link alone: z = k + c/2 in both groups for an even c.
    let (k, c) = (Scalar::from(77u64), Scalar::from(0x1234_5678u64));
    assert_eq!(k + c * half_l, Scalar::from(77u64 + 0x1234_5678 / 2));
    assert_eq!(
        Fr::from(77u64) + Fr::from(0x1234_5678u64) * half,
        Fr::from(77u64 + 0x1234_5678 / 2)
    );
    // In the circuit 1/2 needs a bit that is none, in its value or in its distance to the end.
    let p = person(&card(), &VALUES, 1);
    let statement = p.claims(prepared(), Claim::Exactly(SCORE), None);
    let zeros = |name: &'static str, first: Fr| {
        let rest = (1..40).map(move |i| ((name, 0, i), Fr::ZERO));
        std::iter::once(((name, 0, 0), first)).chain(rest)
    };
    let (check, _) = Cheat::new(statement).run(&p, |_| {
        let low = zeros("from low bit", half);
        low.chain(zeros("to high bit", Fr::from(1499u64) - half))
            .collect()
    });
    let broken: Vec<_> = check.broken().into_iter().collect();
    // The link's z is of the committed value.
    assert_eq!(broken, ["from low bit", "to high bit", "z"]);
}

/// A `z` that wraps around p: `k` close to p makes the sum small. Both equations hold with K to
/// match; only the lower end of z's range refuses it.
#[test]
fn a_wrapped_z() {
    let p = person(&card(), &VALUES, 1);
    let statement = p.claims(prepared(), Claim::Exactly(SCORE), None);
    let values = Cheat::honest_values(&p);
    let (k, r, t) = (-Fr::ONE, Fr::from(5u64), Scalar::from(9u64));
    let commitment = crate::scorecard::relation::commitment(&values, k, r);
    // k - p = -1.
    let mask = PointBytes::from(pedersen::commit(&-Scalar::ONE, &t));
    let weights = draw_weights(&mut statement.absorb(&commitment, &mask), 4);
    let sum: Fr = weights
        .iter()
        .zip(&values)
        .map(|(c, v)| Fr::from(*c) * Fr::from(*v))
        .sum();
    let z = k + sum;
    let bounds = statement.bounds().expect("can hold");
    let public = statement.public(bounds, commitment, z, weights);
    let witness = Witness {
        values,
        k,
        r,
        bar: NO_REASONS_BAR,
    };
    let made = walk(&statement.card.table, &public, &witness, HashMap::new());
    assert!(made.broken().is_empty());
    let s = t + weights
        .iter()
        .zip(&p.openings)
        .map(|(c, o)| Scalar::from(*c) * o.blinding)
        .sum::<Scalar>();
    let bytes = crate::scorecard::encoding::fr_bytes(&z);
    let proof = ScoreProof {
        groth: prove_assignment(key(), made.assignment(), &mut rng(3)).expect("a domain"),
        commitment: FrBytes(commitment),
        mask,
        z: bytes[..31].try_into().expect("31 bytes"),
        s,
    };
    assert_eq!(
        which_hold(key().verifying(), &statement, &proof),
        (true, true)
    );
    assert!(!link::in_range(&proof.z));
    assert_eq!(check(&statement, &proof), Err(VerifyError));
}

/// An honest prover starts again when z leaves its range.
#[test]
fn z_out_of_range_is_not_sent() {
    let weights = [u128::MAX; MAX_VARIABLES];
    let values = [(1 << 40) - 1; MAX_VARIABLES];
    assert!(link::answer(&[0xff; 31], &weights, &values).is_none());
    assert!(link::answer(&[0; 31], &[1; MAX_VARIABLES], &values).is_none());
    assert!(link::answer(&[0x7f; 31], &weights, &values).is_some());
}

/// Weights in another order in the circuit than in the link.
#[test]
fn swapped_weights() {
    let p = person(&card(), &VALUES, 1);
    let statement = p.claims(prepared(), Claim::Exactly(SCORE), None);
    let secrets = Secrets::draw(&mut rng(4));
    let values = Cheat::honest_values(&p);
    let k = link::as_fr(&secrets.k);
    let commitment = crate::scorecard::relation::commitment(&values, k, secrets.r);
    let mask = PointBytes::from(pedersen::commit(&link::as_scalar(&secrets.k), &secrets.t));
    let weights = draw_weights(&mut statement.absorb(&commitment, &mask), 4);
    let mut swapped = weights;
    swapped.swap(0, 1);
    for (weights, holds) in [(weights, true), (swapped, false)] {
        let z = link::answer(&secrets.k, &weights, &values).expect("in range");
        let public = statement.public(
            statement.bounds().expect("can hold"),
            commitment,
            link::as_fr(&z),
            weights,
        );
        let witness = Witness {
            values,
            k,
            r: secrets.r,
            bar: NO_REASONS_BAR,
        };
        let made = walk(&statement.card.table, &public, &witness, HashMap::new());
        assert!(made.broken().is_empty());
        let s = *secrets.t
            + weights
                .iter()
                .zip(&p.openings)
                .map(|(c, o)| Scalar::from(*c) * o.blinding)
                .sum::<Scalar>();
        let proof = ScoreProof {
            groth: prove_assignment(key(), made.assignment(), &mut rng(3)).expect("a domain"),
            commitment: FrBytes(commitment),
            mask,
            z,
            s,
        };
        assert_eq!(
            which_hold(key().verifying(), &statement, &proof),
            (holds, holds)
        );
        assert_eq!(check(&statement, &proof).is_ok(), holds);
    }
}

/// Two proofs with one k would give the value away: z - z' = (c - c')·v. Nonces depend on the
/// statement and the openings, so a broken source of randomness does not repeat them.
#[test]
fn a_reused_k() {
    let card = Card::new(
        "one".into(),
        1,
        0,
        true,
        vec![variable("v", &[0, 1000], &[5])],
    )
    .expect("valid");
    let ready = PreparedCard::new(key().verifying(), &card);
    let p = person(&card, &[437], 1);
    let statement = |context| ScoreStatement {
        context,
        ..p.claims(&ready, Claim::AtLeast(0), None)
    };
    let secrets = || {
        let mut secrets = Secrets::draw(&mut rng(9));
        secrets.k = Zeroizing::new([0x55; 31]);
        secrets
    };
    let proofs = [&[1; 32], &[2; 32]].map(|context| {
        let (_, proof) = Cheat::new(statement(context)).run_with(&p, &secrets(), none);
        assert_eq!(check(&statement(context), &proof), Ok(()));
        let c = draw_weights(
            &mut statement(context).absorb(&proof.commitment.0, &proof.mask),
            1,
        )[0];
        (link::as_scalar(&proof.z), Scalar::from(c))
    });
    let difference = (proofs[0].0 - proofs[1].0) * (proofs[0].1 - proofs[1].1).invert();
    assert_eq!(difference, Scalar::from(437u64));

    let again = |context, seed| {
        prove(key(), &statement(context), &p.openings, &mut rng(seed)).expect("holds")
    };
    let first = again(&[1; 32], 7);
    assert_eq!(again(&[1; 32], 7), first);
    for other in [again(&[2; 32], 7), again(&[1; 32], 8)] {
        assert_ne!(other.mask, first.mask);
        assert_ne!(other.commitment, first.commitment);
        assert_ne!(other.z, first.z);
        assert_ne!(other.groth, first.groth);
    }
}

/// A table whose bins overlap gives one value two scores, and the circuit proves both: why a card is
/// validated, and a table made from nothing but a card.
#[test]
fn overlapping_bins() {
    let mut table = prepared().table.clone();
    // Balance: [0, 1000), [1000, 1500), [1500, 3000), ...: let the second bin reach to 2000, over the third.
    table.rows[0].ends[2] = 2000;
    table.rows[0].ends[3] = 1500;
    // Now bin 2 is [2000, 1500) and bin 3, with the worst points, [1500, 101000).
    let values = Cheat::honest_values(&person(&card(), &VALUES, 1));
    let best = 60 - 25 + 1000;
    for (bin, total) in [(1, best), (3, best + 60)] {
        let public = Public {
            commitment: Fr::ZERO,
            z: Fr::ZERO,
            lower: total,
            upper: total,
            full: true,
            reasons: 0,
            weights: [0; MAX_VARIABLES],
        };
        let witness = Witness {
            values,
            k: Fr::ZERO,
            r: Fr::ZERO,
            bar: NO_REASONS_BAR,
        };
        let overrides = [
            (("selector", 0, 1), Fr::from(bin == 1)),
            (("selector", 0, 3), Fr::from(bin == 3)),
        ];
        let check = walk(&table, &public, &witness, overrides.into());
        // P is not filled in here.
        assert_eq!(
            check.broken().into_iter().collect::<Vec<_>>(),
            ["commitment"],
            "{bin}"
        );
    }
    let mut variables = card().variables().to_vec();
    variables[0].bins[1].to = 1000;
    let refused = Card::new("c".into(), 1, 0, true, variables.clone());
    assert!(
        matches!(refused, Err(CardError::Overlap { ref variable, bin: 3, .. }) if variable == "balance")
    );
    // A table is made of cards, and a card's bytes are validated when they are read.
    let made = Table::new(&card());
    assert_eq!(made, prepared().table);
}

/// arkworks takes a list of public inputs that is too long, and one too short (with zeros): this
/// verifier makes the list itself, and a key with another number of bases is refused.
#[test]
fn the_number_of_public_inputs() {
    let p = person(&card(), &VALUES, 1);
    let statement = p.claims(prepared(), Claim::Exactly(SCORE), None);
    let (circuit, inputs) =
        arkworks_instance(&statement, &p.openings, &mut rng(3)).expect("can hold");
    assert_eq!(inputs.len(), INPUTS);
    let pk = key().arkworks();
    let proof = Groth16::<Bn254>::prove(pk, circuit, &mut rng(4)).expect("satisfied");
    let accepts =
        |inputs: &[Fr]| Groth16::<Bn254>::verify(&pk.vk, inputs, &proof).expect("a verdict");
    assert!(accepts(&inputs));
    let mut longer = inputs.clone();
    longer.extend([Fr::ONE, Fr::from(7u64)]);
    assert!(
        accepts(&longer),
        "arkworks now counts inputs: the spec page says that it does not"
    );
    // The last shortfalls of an unused variable are 0.
    assert!(accepts(&inputs[..INPUTS - 12]));
    let mut vk = pk.vk.clone();
    vk.gamma_abc_g1.pop();
    let expected = KeyError::Count {
        what: "public inputs",
        expected: INPUTS,
        got: INPUTS - 1,
    };
    assert_eq!(
        VerifyingKey::new(vk.clone(), Origin::Test(1)).err(),
        Some(expected)
    );
    vk.gamma_abc_g1.extend_from_slice(&pk.vk.gamma_abc_g1[..2]);
    let expected = KeyError::Count {
        what: "public inputs",
        expected: INPUTS,
        got: INPUTS + 1,
    };
    assert_eq!(VerifyingKey::new(vk, Origin::Test(1)).err(), Some(expected));
}

#[test]
fn batches() {
    let cards: Vec<PreparedCard> = (1..4)
        .map(|n| {
            let variables =
                (0..n).map(|i| variable(&format!("v{i}"), &[0, 10, 20, 30], &[1, 5, 3]));
            let card =
                Card::new(format!("card {n}"), 1, 0, true, variables.collect()).expect("valid");
            PreparedCard::new(key().verifying(), &card)
        })
        .collect();
    let people: Vec<Person> = (0..12)
        .map(|i| {
            let card = cards[i % 3].card();
            let values: Vec<i64> = (0..card.variables().len())
                .map(|a| (7 * i + 11 * a) as i64 % 30)
                .collect();
            person(card, &values, i as u64)
        })
        .collect();
    let statements: Vec<ScoreStatement<'_>> = people
        .iter()
        .enumerate()
        .map(|(i, p)| {
            let card = &cards[i % 3];
            let score = card.card().evaluate(&p.values).expect("in range");
            p.claims(
                card,
                Claim::about(6, score.score()),
                Some(Reasons {
                    most: 1,
                    set: score.reasons(1),
                }),
            )
        })
        .collect();
    let proofs: Vec<ScoreProof> = (statements.iter().zip(&people))
        .map(|(s, p)| prove(key(), s, &p.openings, &mut rng(1)).expect("holds"))
        .collect();
    let verify = |items: &[(ScoreStatement<'_>, &ScoreProof)]| {
        verify_batch(key().verifying(), items, &mut rng(2))
    };
    assert_eq!(verify(&[]), Ok(()));
    let items: Vec<_> = statements.iter().copied().zip(&proofs).collect();
    for n in 1..=items.len() {
        assert_eq!(verify(&items[..n]), Ok(()), "{n}");
    }
    // One bad proof spoils the batch, wherever it stands, whichever part is bad.
    for bad in 0..items.len() {
        for part in 0..4 {
            let mut forged = proofs[bad].clone();
            match part {
                0 => forged.s += Scalar::ONE,
                1 => forged.z[30] ^= 1,
                2 => forged.commitment.0 += Fr::ONE,
                _ => forged.groth = proofs[(bad + 3) % 12].groth.clone(),
            }
            let mut items = items.clone();
            items[bad].1 = &forged;
            assert_eq!(verify(&items), Err(VerifyError), "{bad} {part}");
        }
    }
    // Errors that would cancel each other without weights.
    let (mut a, mut b) = (proofs[0].clone(), proofs[3].clone());
    a.s += Scalar::ONE;
    b.s -= Scalar::ONE;
    let mut cancel = items.clone();
    cancel[0].1 = &a;
    cancel[3].1 = &b;
    assert_eq!(verify(&cancel), Err(VerifyError));
    // Proofs that are swapped.
    let mut swapped = items.clone();
    (swapped[0].1, swapped[3].1) = (items[3].1, items[0].1);
    assert_eq!(verify(&swapped), Err(VerifyError));
}
