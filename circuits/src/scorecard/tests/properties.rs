//! The circuit and the plain evaluator agree on random cards and values.

use std::collections::{BTreeSet, HashMap};

use ark_bn254::Fr;
use proptest::prelude::*;

use super::forge::walk;
use super::*;
use crate::encoding::Document;
use crate::scorecard::relation::{self, NO_REASONS_BAR, Public, RANKS, Witness};
use crate::scorecard::table::Table;
use crate::scorecard::{MAX_VARIABLES, claim::Claim};

/// A variable with 1 to 12 bins of random widths and points.
fn any_variable() -> impl Strategy<Value = (i64, Vec<(u64, i64)>)> {
    let bin = (
        prop_oneof![Just(1u64), 1u64..1000, 1u64..1 << 36],
        -2_000_000_000i64..2_000_000_000,
    );
    (-(1i64 << 57)..1 << 57, prop::collection::vec(bin, 1..=12))
}

fn any_card() -> impl Strategy<Value = Card> {
    (
        prop::collection::vec(any_variable(), 1..=32),
        -1_000_000i64..1_000_000,
    )
        .prop_map(|(variables, base)| {
            let variables = variables.into_iter().enumerate().map(|(i, (low, bins))| {
                let mut edges = vec![low];
                for (width, _) in &bins {
                    edges.push(edges[edges.len() - 1] + *width as i64);
                }
                let points: Vec<i64> = bins.iter().map(|b| b.1).collect();
                variable(&format!("v{i}"), &edges, &points)
            });
            Card::new("any".into(), 100, base, true, variables.collect()).expect("valid")
        })
}

/// Values at ends of bins more often than not.
fn values(card: &Card, picks: &[(usize, u64)]) -> Vec<i64> {
    (card.variables().iter().zip(picks.iter().cycle()))
        .map(|(v, (bin, inside))| {
            let b = &v.bins[bin % v.bins.len()];
            let width = b.to.abs_diff(b.from);
            b.from
                + match inside % 4 {
                    0 => 0,
                    1 => width - 1,
                    _ => inside / 4 % width,
                } as i64
        })
        .collect()
}

/// Whether the circuit takes a claim, with everything else filled in as a prover would.
fn circuit_takes(
    card: &Card,
    values: &[i64],
    bounds: (u64, u64),
    shown: Option<Reasons>,
    bar: u64,
) -> bool {
    let table = Table::new(card);
    let mut encoded = [0; MAX_VARIABLES];
    for ((e, v), value) in encoded.iter_mut().zip(card.variables()).zip(values) {
        *e = value.abs_diff(v.low());
    }
    let (k, r) = (Fr::from(17u64), Fr::from(4u64));
    let mut weights = [0; MAX_VARIABLES];
    for (i, c) in weights.iter_mut().take(values.len()).enumerate() {
        *c = u128::MAX - i as u128;
    }
    let sum: Fr = weights
        .iter()
        .zip(&encoded)
        .map(|(c, v)| Fr::from(*c) * Fr::from(*v))
        .sum();
    let public = Public {
        commitment: relation::commitment(&encoded, k, r),
        z: k + sum,
        lower: bounds.0,
        upper: bounds.1,
        full: shown.is_none_or(|r| r.full()),
        reasons: shown.map_or(0, |r| r.set.0),
        weights,
    };
    let witness = Witness {
        values: encoded,
        k,
        r,
        bar,
    };
    let check = walk(&table, &public, &witness, HashMap::new());
    let broken = check.broken();
    let expected = BTreeSet::from(["above", "below", "rank", "bar"]);
    assert!(broken.is_subset(&expected), "{broken:?}");
    broken.is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn circuit_is_the_plain_evaluator(
        card in any_card(),
        picks in prop::collection::vec((0usize..12, any::<u64>()), 32),
        step in prop_oneof![Just(0i64), Just(1), Just(-1), -4_000_000_000i64..4_000_000_000],
    ) {
        let values = values(&card, &picks);
        let score = card.evaluate(&values).expect("in range");
        prop_assert_eq!(score.points().iter().sum::<i64>() + card.base(), score.score());
        for claim in [Claim::AtLeast, Claim::Below, Claim::Exactly] {
            let claim = claim(score.score() + step);
            let takes = claim.bounds(&card).is_some_and(|bounds| {
                circuit_takes(&card, &values, bounds, None, NO_REASONS_BAR)
            });
            prop_assert_eq!(takes, claim.holds(score.score()), "{} of {}", claim, score.score());
        }
    }

    #[test]
    fn reasons_are_the_plain_evaluators(
        card in any_card(),
        picks in prop::collection::vec((0usize..12, any::<u64>()), 32),
        most in 1u8..=8,
        other in any::<u32>(),
    ) {
        let values = values(&card, &picks);
        let score = card.evaluate(&values).expect("in range");
        let set = score.reasons(most);
        let place = |a: usize| score.shortfalls()[a] * RANKS + RANKS - 1 - a as u64;
        let bounds = Claim::Exactly(score.score()).bounds(&card).expect("can hold");
        let used = ((1u64 << values.len()) - 1) as u32;
        for set in [set, ReasonSet(other & used), ReasonSet(set.0 ^ 1), ReasonSet(set.0 & other)] {
            let shown = Reasons { most, set };
            if !shown.fits(&card) {
                continue;
            }
            // The best bar there is: the lowest place that is shown, if one may be chosen.
            let lowest = set.indices().map(place).min().unwrap_or(RANKS);
            let bar = if shown.full() { lowest.saturating_sub(RANKS) } else { 0 };
            let takes = circuit_takes(&card, &values, bounds, Some(shown), bar);
            prop_assert_eq!(takes, set == score.reasons(most));
        }
    }

    #[test]
    fn cards_encode(card in any_card()) {
        let bytes = card.to_bytes();
        prop_assert!(bytes.len() <= Card::MAX_BYTES);
        let read = Card::from_bytes(&bytes).expect("its own bytes");
        prop_assert_eq!(read.content_hash(), card.content_hash());
        let json = serde_json::to_string(&card).expect("encodes");
        prop_assert_eq!(serde_json::from_str::<Card>(&json).expect("its own text"), card);
    }
}

#[test]
fn a_value_of_no_bin() {
    for value in [-1001, 100_000] {
        let mut values = VALUES;
        values[0] = value;
        let refused = card().evaluate(&values).expect_err("no bin");
        assert!(refused.to_string().contains("\"balance\""));
        assert!(!refused.to_string().contains(&value.to_string()) || value == 100_000);
    }
    assert!(card().evaluate(&VALUES[..3]).is_err());
    // A prover with an opening out of the range says so.
    let p = person(&card(), &VALUES, 1);
    let mut openings = p.openings.clone();
    openings[3] = ValueOpening::from_parts(1, Scalar::ONE);
    let commitments: Vec<Commitment> = openings.iter().map(ValueOpening::commit).collect();
    let statement = ScoreStatement {
        commitments: &commitments,
        ..p.claims(prepared(), Claim::AtLeast(0), None)
    };
    let refused = prove(key(), &statement, &openings, &mut rng(1));
    assert_eq!(
        refused,
        Err(ProveError::Unsatisfied("no bin takes a value"))
    );
}

#[test]
fn the_largest_card() {
    let edges: Vec<i64> = (0..12).chain([1 << 40]).map(|e| e - (1 << 57)).collect();
    let points: Vec<i64> = (0..12)
        .map(|i| if i == 0 { (1 << 32) - 1 } else { 0 })
        .collect();
    let variables: Vec<Variable> = (0..32)
        .map(|i| variable(&format!("v{i}"), &edges, &points))
        .collect();
    let card = Card::new("largest".into(), 1, 1 << 40, true, variables).expect("valid");
    let ready = PreparedCard::new(key().verifying(), &card);
    let values = vec![-(1i64 << 57) + (1 << 40) - 1; 32];
    let p = person(&card, &values, 1);
    let score = card.evaluate(&values).expect("in range");
    assert_eq!(score.score(), card.worst());
    let set = score.reasons(8);
    assert_eq!(set, ReasonSet(0xff));
    for (claim, shown) in [
        (Claim::Exactly(1 << 40), Some(Reasons { most: 8, set })),
        (Claim::Below((1 << 40) + 1), None),
        (Claim::AtLeast(1 << 40), None),
    ] {
        let statement = p.claims(&ready, claim, shown);
        let proof = prove(key(), &statement, &p.openings, &mut rng(1)).expect("holds");
        assert_eq!(check(&statement, &proof), Ok(()), "{claim}");
    }
}
