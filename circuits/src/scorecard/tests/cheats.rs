//! One cheat per constraint: each breaks that constraint and no other, claims something that does not
//! hold, and is refused.

use std::collections::BTreeSet;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

use super::forge::{Cheat, Check, Z, hash_with};
use super::*;
use crate::scorecard::builder::Name;
use crate::scorecard::prove::Secrets;
use crate::scorecard::relation::{NO_REASONS_BAR, Witness};
use crate::scorecard::verify::which_hold;
use crate::scorecard::{MAX_VARIABLES, link};

/// The constraints that some cheat of this file breaks, each alone.
const ALL: [&str; 23] = [
    "selector",
    "one bin",
    "lo",
    "hi",
    "shortfall",
    "from low bit",
    "to high bit",
    "in bin",
    "above bit",
    "above",
    "below bit",
    "below",
    "bar bit",
    "bar",
    "side",
    "rank bit",
    "rank",
    "weighted",
    "z",
    "sbox square",
    "sbox fourth",
    "sbox fifth",
    "commitment",
];

fn fr(x: i64) -> Fr {
    if x < 0 {
        -Fr::from(x.unsigned_abs())
    } else {
        Fr::from(x.unsigned_abs())
    }
}

/// Breaks exactly this constraint, in the eyes of arkworks, too; keeps the link's equation; is refused.
fn alone(name: &str, (check, proof): &(Check, ScoreProof), statement: &ScoreStatement<'_>) {
    assert!(ALL.contains(&name));
    assert_eq!(check.broken(), BTreeSet::from([name]), "{name}");
    let named: Vec<usize> = (0..)
        .zip(&check.constraints)
        .filter(|(_, (_, holds))| !holds)
        .map(|(i, _)| i)
        .collect();
    assert_eq!(check.broken_rows(), named, "{name}");
    assert_eq!(
        which_hold(key().verifying(), statement, proof),
        (true, false),
        "{name}"
    );
    assert_eq!(super::check(statement, proof), Err(VerifyError), "{name}");
}

fn none(_: &[u128; MAX_VARIABLES]) -> Vec<(Name, Fr)> {
    Vec::new()
}

fn values(person: &Person, variable: usize, value: u64) -> Option<[u64; MAX_VARIABLES]> {
    let mut values = Cheat::honest_values(person);
    values[variable] = value;
    Some(values)
}

#[test]
fn without_a_cheat_it_verifies() {
    let p = person(&card(), &VALUES, 1);
    for shown in [None, reasons(2, &[1, 2]), reasons(4, &[0, 1, 2])] {
        let statement = p.claims(prepared(), Claim::Exactly(SCORE), shown);
        let mut cheat = Cheat::new(statement);
        cheat.bar = match shown {
            None => NO_REASONS_BAR,
            Some(r) if r.most == 2 => 35 * 32 + 30 - 32,
            Some(_) => 0,
        };
        let (check, proof) = cheat.run(&p, none);
        assert_eq!(check.broken(), BTreeSet::new());
        assert_eq!(check.broken_rows(), [0; 0]);
        assert_eq!(super::check(&statement, &proof), Ok(()));
    }
    // Each kind of constraint is walked through, and has its cheat.
    let (check, _) = Cheat::new(p.claims(prepared(), Claim::Exactly(SCORE), None)).run(&p, none);
    let walked: BTreeSet<&str> = check.constraints.iter().map(|(name, _)| name.0).collect();
    assert_eq!(walked, BTreeSet::from(ALL));
}

/// Balance 700 stands in the third bin, [500, 2000), with a shortfall of 25; the second is best.
/// Counted from -1000: ends 0, 1000, 1500, 3000, 101000, value 1700.
#[test]
fn bins_and_values() {
    let p = person(&card(), &VALUES, 1);
    let better = p.claims(prepared(), Claim::AtLeast(SCORE + 25), None);
    let cheat = Cheat::new(better);
    let moved = |to: usize| {
        vec![
            (("selector", 0, 2), Fr::ZERO),
            (("selector", 0, to), Fr::ONE),
        ]
    };
    let with = |mut a: Vec<(Name, Fr)>, b: Vec<(Name, Fr)>| {
        a.extend(b);
        move |_: &[u128; MAX_VARIABLES]| a.clone()
    };

    // Half of one bin and half of the next: [1250, 2250) for 12.5, and of utilisation, 255 in
    // [250, 360), [205, 305) for 31.5; that is 16 less than 25 + 35.
    let gentler = p.claims(prepared(), Claim::AtLeast(SCORE + 16), None);
    let half = Fr::from(2u64).inverse().expect("two");
    let halves = [(0, 1), (0, 2), (1, 4), (1, 5)].map(|(a, i)| (("selector", a, i), half));
    let forged = Cheat::new(gentler).run(&p, |_| halves.to_vec());
    alone("selector", &forged, &gentler);

    // Two bins at once: bins 0 and 2 span [1500, 4000), and cost 17 + 25.
    // No bin at all would need a value below 0. So a value that two bins take: it costs more, and a
    // score below the true one is claimed.
    let worse = p.claims(prepared(), Claim::Below(SCORE), None);
    let forged = Cheat::new(worse).run(&p, |_| vec![(("selector", 0, 0), Fr::ONE)]);
    alone("one bin", &forged, &worse);

    // The start, or the end, of another bin.
    let forged = cheat.run(&p, with(moved(1), vec![(("hi", 0, 1), fr(1701))]));
    alone("hi", &forged, &better);
    // -1 is just below the second bin.
    let low = person(&card(), &[-1, 255, 29_999, 7], 1);
    let lower = low.claims(prepared(), Claim::AtLeast(SCORE + 25), None);
    let from_below = vec![
        (("selector", 0, 0), Fr::ZERO),
        (("selector", 0, 1), Fr::ONE),
    ];
    let forged = Cheat::new(lower).run(
        &low,
        with(from_below.clone(), vec![(("lo", 0, 1), fr(999))]),
    );
    alone("lo", &forged, &lower);
    let forged = cheat.run(&p, |_| vec![(("shortfall", 0, 2), Fr::ZERO)]);
    alone("shortfall", &forged, &better);

    // Below the bin, above the bin: a distance that is negative.
    let bit = |name, value: i64, bits: usize| {
        let zeros = (1..bits).map(move |i| ((name, 0, i), Fr::ZERO));
        std::iter::once(((name, 0, 0), fr(value)))
            .chain(zeros)
            .collect::<Vec<_>>()
    };
    let forged = Cheat::new(lower).run(&low, with(from_below, bit("from low bit", -1, 40)));
    alone("from low bit", &forged, &lower);
    let forged = cheat.run(&p, with(moved(1), bit("to high bit", 1500 - 1 - 1700, 40)));
    alone("to high bit", &forged, &better);
    let forged = cheat.run(&p, with(moved(1), vec![]));
    alone("in bin", &forged, &better);
}

#[test]
fn bounds_of_the_score() {
    let p = person(&card(), &VALUES, 1);
    let higher = p.claims(prepared(), Claim::AtLeast(SCORE + 1), None);
    let lower = p.claims(prepared(), Claim::Below(SCORE), None);
    let minus_one = |name: &'static str| {
        move |_: &[u128; MAX_VARIABLES]| {
            let zeros = (1..38).map(move |i| ((name, 0, i), Fr::ZERO));
            std::iter::once(((name, 0, 0), -Fr::ONE))
                .chain(zeros)
                .collect::<Vec<_>>()
        }
    };
    alone("below", &Cheat::new(higher).run(&p, none), &higher);
    alone(
        "below bit",
        &Cheat::new(higher).run(&p, minus_one("below bit")),
        &higher,
    );
    alone("above", &Cheat::new(lower).run(&p, none), &lower);
    alone(
        "above bit",
        &Cheat::new(lower).run(&p, minus_one("above bit")),
        &lower,
    );
}

/// Shortfalls 25, 35, 1000, 0: places 25·32 + 31, 35·32 + 30, 1000·32 + 29, 28.
#[test]
fn false_reasons() {
    let p = person(&card(), &VALUES, 1);
    let claim = Claim::Below(500);
    // Utilisation is left out, balance shown instead.
    let wrong = p.claims(prepared(), claim, reasons(2, &[0, 2]));
    let mut cheat = Cheat::new(wrong);
    let bar: i64 = 25 * 32 + 31;
    cheat.bar = bar.unsigned_abs() - 32;
    // Place of utilisation above the bar: -g - 1 is negative.
    let g: i64 = 35 * 32 + 30 - bar;
    alone("rank", &cheat.run(&p, none), &wrong);
    let negative = |_: &[u128; MAX_VARIABLES]| {
        let zeros = (1..38).map(|i| (("rank bit", 1, i), Fr::ZERO));
        std::iter::once((("rank bit", 1, 0), fr(-g - 1)))
            .chain(zeros)
            .collect::<Vec<_>>()
    };
    alone("rank bit", &cheat.run(&p, negative), &wrong);
    alone(
        "side",
        &cheat.run(&p, |_| vec![(("side", 1, 0), fr(g + 1))]),
        &wrong,
    );

    // Fewer than asked for are shown, though others have a shortfall.
    let few = p.claims(prepared(), claim, reasons(3, &[2]));
    let mut cheat = Cheat::new(few);
    cheat.bar = 900 * 32;
    alone("bar", &cheat.run(&p, none), &few);
    // A reason without a shortfall: a bar of 28.
    let many = p.claims(prepared(), claim, reasons(4, &[0, 1, 2, 3]));
    let forged = Cheat::new(many).run(&p, |_| {
        let zeros = (1..38).map(|i| (("bar bit", 0, i), Fr::ZERO));
        std::iter::once((("bar bit", 0, 0), fr(-4)))
            .chain(zeros)
            .collect()
    });
    alone("bar bit", &forged, &many);
}

/// The circuit runs on a balance of 0 (1000 from the smallest), which the ledger does not have.
#[test]
fn values_that_are_not_committed() {
    let p = person(&card(), &VALUES, 1);
    let better = p.claims(prepared(), Claim::AtLeast(SCORE + 25), None);
    let mut cheat = Cheat::new(better);
    cheat.values = values(&p, 0, 1000);
    // z as the link wants it.
    alone("z", &cheat.run(&p, none), &better);
    // The product as the link wants it.
    let forged = cheat.run(&p, |c| {
        vec![(("weighted", 0, 0), Fr::from(c[0]) * fr(1700))]
    });
    alone("weighted", &forged, &better);
    // With k moved, the commitment is no longer to the k in K. k is drawn before the weights, so the
    // cheat needs the Poseidon constraint gone: a commitment made before, k chosen after.
    cheat.commitment = Some(Fr::from(99u64));
    let forged = cheat.run(&p, |c| {
        let secrets = Secrets::draw(&mut rng(11));
        let k = link::as_fr(&secrets.k) + Fr::from(c[0]) * fr(700);
        vec![(("k", 0, 0), k)]
    });
    alone("commitment", &forged, &better);
    // z that the circuit computes: then the link fails.
    cheat.commitment = None;
    cheat.z = Z::Circuit;
    let (check, proof) = cheat.run(&p, none);
    assert_eq!(check.broken(), BTreeSet::new());
    assert_eq!(
        which_hold(key().verifying(), &better, &proof),
        (false, true)
    );
    assert_eq!(super::check(&better, &proof), Err(VerifyError));
}

/// Any other output of a box breaks that box alone: what follows is computed from it.
#[test]
fn boxes_of_the_hash() {
    let p = person(&card(), &VALUES, 1);
    let statement = p.claims(prepared(), Claim::Exactly(SCORE), None);
    for name in ["sbox square", "sbox fourth", "sbox fifth"] {
        // A full round, a partial round, the last round.
        for (round, i) in [(0, 3), (40, 0), (70, 8)] {
            let forged =
                Cheat::new(statement).run(&p, |_| vec![((name, round, i), Fr::from(7u64))]);
            alone(name, &forged, &statement);
        }
    }
}

/// What free boxes would be good for: with one of them the hash opens to a `k` that is chosen after
/// the weights, and so to values that are not committed.
#[test]
fn a_hash_with_a_free_box_binds_nothing() {
    let p = person(&card(), &VALUES, 1);
    let better = p.claims(prepared(), Claim::AtLeast(SCORE + 25), None);
    let mut cheat = Cheat::new(better);
    cheat.values = values(&p, 0, 1000);
    let target = Fr::from(99u64);
    cheat.commitment = Some(target);
    let secrets = Secrets::draw(&mut rng(11));
    let last = ("sbox fifth", 70, 0);
    let forged = cheat.run(&p, |c| {
        let k = link::as_fr(&secrets.k) + Fr::from(c[0]) * fr(700);
        // The hash is affine in the last round's boxes.
        let [at_0, at_1] = [Fr::ZERO, Fr::ONE].map(|y| {
            let witness = Witness {
                values: cheat.values.expect("values"),
                k,
                r: secrets.r,
                bar: NO_REASONS_BAR,
            };
            hash_with(&better.card.table, &witness, [(last, y)].into())
        });
        let y = (target - at_0) * (at_1 - at_0).inverse().expect("the box counts");
        vec![(("k", 0, 0), k), (last, y)]
    });
    alone("sbox fifth", &forged, &better);
}
