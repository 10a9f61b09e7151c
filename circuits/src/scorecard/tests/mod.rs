//! Fixtures: a card that uses every part of the relation, people, a test key, a cheating prover.

mod attacks;
mod batch;
mod cards;
mod cheats;
mod encodings;
mod forge;
mod keys;
mod properties;
mod vectors;

use std::sync::OnceLock;

use curve25519_dalek::scalar::Scalar;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::encoding::{Digest32, PointBytes};
use crate::error::{ProveError, VerifyError};

pub(super) const CONTEXT: Digest32 = [5; 32];

pub(super) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// One key for all tests of this binary.
pub(super) fn key() -> &'static ProvingKey {
    static KEY: OnceLock<ProvingKey> = OnceLock::new();
    KEY.get_or_init(|| test_key(1))
}

pub(super) fn variable(name: &str, edges: &[i64], points: &[i64]) -> Variable {
    assert_eq!(edges.len(), points.len() + 1);
    Variable {
        name: name.into(),
        reference: Reference {
            attribute: name.into(),
            lag: 0,
            measure: Measure::Level,
            span: Span::Total,
        },
        reason: String::new(),
        bins: (edges.windows(2).zip(points))
            .map(|(e, points)| Bin {
                from: e[0],
                to: e[1],
                points: *points,
                label: String::new(),
            })
            .collect(),
    }
}

/// Four variables: negative values, twelve bins, 40 bits, a single value. Scores are 216 to 1353.
pub(super) fn card() -> Card {
    let edges: Vec<i64> = (0..=12).map(|i| i * i * 10).collect();
    let points: Vec<i64> = (0..12).map(|i| 60 - 7 * i).collect();
    let variables = vec![
        variable(
            "balance",
            &[-1000, 0, 500, 2000, 100_000],
            &[3, 20, -5, -40],
        ),
        variable("utilisation", &edges, &points),
        variable("income", &[-5, 30_000, (1 << 40) - 5], &[0, 1000]),
        variable("constant", &[7, 8], &[12]),
    ];
    Card::new("a test card".into(), 1, 261, true, variables).expect("valid")
}

/// Values that score 261 - 5 + 25 + 0 + 12 = 293, with shortfalls 25, 35, 1000, 0.
pub(super) const VALUES: [i64; 4] = [700, 255, 29_999, 7];
pub(super) const SCORE: i64 = 293;

pub(super) fn prepared() -> &'static PreparedCard {
    static CARD: OnceLock<PreparedCard> = OnceLock::new();
    CARD.get_or_init(|| PreparedCard::new(key().verifying(), &card()))
}

pub(super) struct Person {
    pub(super) values: Vec<i64>,
    pub(super) openings: Vec<ValueOpening>,
    pub(super) commitments: Vec<Commitment>,
}

pub(super) fn person(card: &Card, values: &[i64], seed: u64) -> Person {
    let mut rng = rng(seed);
    let openings: Vec<ValueOpening> = (card.variables().iter().zip(values))
        .map(|(v, x)| ValueOpening::from_parts(x.abs_diff(v.low()), Scalar::random(&mut rng)))
        .collect();
    Person {
        values: values.to_vec(),
        commitments: openings.iter().map(ValueOpening::commit).collect(),
        openings,
    }
}

impl Person {
    pub(super) fn claims<'a>(
        &'a self,
        card: &'a PreparedCard,
        claim: Claim,
        reasons: Option<Reasons>,
    ) -> ScoreStatement<'a> {
        ScoreStatement {
            context: &CONTEXT,
            card,
            claim,
            reasons,
            commitments: &self.commitments,
        }
    }
}

pub(super) fn reasons(most: u8, set: &[usize]) -> Option<Reasons> {
    Some(Reasons {
        most,
        set: ReasonSet::from_indices(set),
    })
}

pub(super) fn check(statement: &ScoreStatement<'_>, proof: &ScoreProof) -> Result<(), VerifyError> {
    verify(key().verifying(), statement, proof, &mut rng(6))
}

fn made(statement: &ScoreStatement<'_>, person: &Person) -> Result<ScoreProof, ProveError> {
    prove(key(), statement, &person.openings, &mut rng(7))
}

#[test]
fn claims_that_hold_are_proven_and_others_are_not() {
    let p = person(&card(), &VALUES, 1);
    assert_eq!(card().evaluate(&p.values).expect("in range").score(), SCORE);
    let (best, worst) = (card().best(), card().worst());
    for (claim, holds) in [
        (Claim::AtLeast(SCORE), true),
        (Claim::AtLeast(SCORE + 1), false),
        (Claim::AtLeast(worst), true),
        (Claim::AtLeast(i64::MIN), true),
        (Claim::AtLeast(best + 1), false),
        (Claim::AtLeast(i64::MAX), false),
        (Claim::Below(SCORE), false),
        (Claim::Below(SCORE + 1), true),
        (Claim::Below(best + 1), true),
        (Claim::Below(i64::MAX), true),
        (Claim::Below(worst), false),
        (Claim::Below(i64::MIN), false),
        (Claim::Exactly(SCORE), true),
        (Claim::Exactly(SCORE - 1), false),
        (Claim::Exactly(SCORE + 1), false),
    ] {
        let statement = p.claims(prepared(), claim, None);
        match made(&statement, &p) {
            Ok(proof) => {
                assert!(holds, "{claim}");
                assert_eq!(check(&statement, &proof), Ok(()), "{claim}");
            }
            Err(e) => {
                assert!(!holds, "{claim}");
                assert!(matches!(e, ProveError::Unsatisfied(_)));
            }
        }
    }
    assert_eq!(Claim::about(SCORE, SCORE), Claim::AtLeast(SCORE));
    assert_eq!(Claim::about(SCORE + 1, SCORE), Claim::Below(SCORE + 1));
}

#[test]
fn reasons_are_the_largest_shortfalls() {
    let p = person(&card(), &VALUES, 1);
    for (most, set, holds) in [
        (1, &[2][..], true),
        (2, &[1, 2], true),
        (3, &[0, 1, 2], true),
        // Three variables have a shortfall, so four asked for are three shown.
        (4, &[0, 1, 2], true),
        (4, &[0, 1, 2, 3], false),
        (1, &[0], false),
        (2, &[0, 2], false),
        (2, &[2], false),
        (1, &[], false),
        (0, &[], false),
        (9, &[0, 1, 2], false),
        (1, &[1, 2], false),
        (1, &[31], false),
    ] {
        let statement = p.claims(prepared(), Claim::Below(500), reasons(most, set));
        let proof = made(&statement, &p);
        assert_eq!(proof.is_ok(), holds, "{most} {set:?}");
        if let Ok(proof) = proof {
            assert_eq!(check(&statement, &proof), Ok(()), "{most} {set:?}");
        }
    }
}

#[test]
fn equal_shortfalls_rank_in_the_cards_order() {
    let variables = (0..6).map(|i| variable(&format!("v{i}"), &[0, 10, 20], &[5, 0]));
    let card = Card::new("ties".into(), 1, 0, true, variables.collect()).expect("valid");
    let ready = PreparedCard::new(key().verifying(), &card);
    let p = person(&card, &[3, 13, 13, 3, 13, 13], 1);
    assert_eq!(
        card.evaluate(&p.values).expect("in range").reasons(3),
        ReasonSet::from_indices(&[1, 2, 4])
    );
    for (set, holds) in [([1, 2, 4], true), ([1, 2, 5], false), ([2, 4, 5], false)] {
        let statement = p.claims(&ready, Claim::AtLeast(0), reasons(3, &set));
        let proof = made(&statement, &p);
        assert_eq!(proof.is_ok(), holds, "{set:?}");
        if let Ok(proof) = proof {
            assert_eq!(check(&statement, &proof), Ok(()));
            // The proof is for this set.
            let other = p.claims(&ready, Claim::AtLeast(0), reasons(3, &[1, 2, 5]));
            assert_eq!(check(&other, &proof), Err(VerifyError));
        }
    }
}

#[test]
fn commitments_from_images() {
    let card = card();
    let v = &card.variables()[0];
    let mut rng = rng(3);
    // Two agencies with balances 300 and -50, encoded from -1000 each.
    let forms: Vec<crate::fact::FormOpening> = [1300, 950]
        .map(|x| crate::fact::FormOpening::from_parts(x, Scalar::random(&mut rng)))
        .into();
    let images: Vec<_> = (forms.iter())
        .map(|o| {
            crate::fact::pedersen::commit(&Scalar::from(o.value().unsigned_abs()), &o.blinding)
        })
        .collect();
    let opening = opening(v, &forms, -2000).expect("in range");
    assert_eq!(opening.value(), 1250);
    assert_eq!(opening.commit(), commitment(v, &images, -2000));
    assert!(super::opening(v, &forms, -2000 - 1251).is_none());
    assert!(super::opening(v, &forms, 200_000).is_none());
    assert_eq!(format!("{opening:?}"), "ValueOpening(..)");
}
