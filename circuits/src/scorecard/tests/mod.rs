//! Fixtures: a card that uses every part of the relation, people, a test key.

use std::sync::OnceLock;

use curve25519_dalek::scalar::Scalar;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::encoding::{Digest32, PointBytes};
use crate::error::VerifyError;

const CONTEXT: Digest32 = [5; 32];

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// One key for all tests of this binary.
fn key() -> &'static ProvingKey {
    static KEY: OnceLock<ProvingKey> = OnceLock::new();
    KEY.get_or_init(|| test_key(1))
}

fn variable(name: &str, edges: &[i64], points: &[i64]) -> Variable {
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

/// Four variables: negative values, twelve bins, 40 bits, a single value.
fn card() -> Card {
    let edges: Vec<i64> = (0..=12).map(|i| i * i * 10).collect();
    let points: Vec<i64> = (0..12).map(|i| 60 - 7 * i).collect();
    let variables = vec![
        variable("balance", &[-1000, 0, 500, 2000, 100_000], &[3, 20, -5, -40]),
        variable("utilisation", &edges, &points),
        variable("income", &[-5, 30_000, (1 << 40) - 5], &[0, 1000]),
        variable("constant", &[7, 8], &[12]),
    ];
    Card::new("a test card".into(), 1, 300, true, variables).expect("valid")
}

struct Person {
    values: Vec<i64>,
    openings: Vec<ValueOpening>,
    commitments: Vec<PointBytes>,
}

fn person(card: &Card, values: &[i64], seed: u64) -> Person {
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

fn cpu() -> std::time::Duration {
    let mut ns = 0u64;
    for t in std::fs::read_dir("/proc/self/task").unwrap() {
        let s = std::fs::read_to_string(t.unwrap().path().join("schedstat")).unwrap();
        ns += s.split_whitespace().next().unwrap().parse::<u64>().unwrap();
    }
    std::time::Duration::from_nanos(ns)
}

#[test]
fn measure() {
    let s = super::keys::shape();
    println!("constraints {} witnesses {} domain {} nonzero {:?}", s.constraints, s.witnesses, s.domain,
        s.matrices.iter().map(|m| m.iter().map(Vec::len).sum::<usize>()).collect::<Vec<_>>());
    let t = cpu();
    let key = key();
    println!("key {:?} {} bytes", (cpu() - t), ProvingKey::bytes());
    assert_eq!(key.to_bytes().len(), ProvingKey::bytes());
    assert_eq!(key.verifying().to_bytes().len(), VerifyingKey::BYTES);
    for n in [1, 18, 32] {
    let edges: Vec<i64> = (0..=5).map(|i| i * 30000).collect();
    let points: Vec<i64> = (0..5).map(|i| 60 - 7 * i).collect();
    let card = Card::new("c".into(), 1, 100, true, (0..n).map(|i| variable(&format!("v{i}"), &edges, &points)).collect()).unwrap();
    let t = cpu();
    let prepared = PreparedCard::new(key.verifying(), &card);
    println!("{n} card {:?}", (cpu() - t));
    let p = person(&card, &(0..n).map(|i| i * 400 + 17).collect::<Vec<_>>(), 1);
    let score = card.evaluate(&p.values).unwrap();
    let statement = ScoreStatement {
        context: &CONTEXT, card: &prepared, claim: Claim::AtLeast(score.score() - 3),
        reasons: Some(Reasons { most: 4, set: score.reasons(4) }), commitments: &p.commitments };
    let mut proof = None;
    for _ in 0..5 {
        let t = cpu();
        proof = Some(prove(key, &statement, &p.openings, &mut rng(3)).unwrap());
        print!("prove {:?} ", (cpu() - t));
    }
    let proof = proof.unwrap();
    for _ in 0..5 {
        let t = cpu();
        verify(key.verifying(), &statement, &proof, &mut rng(4)).unwrap();
        print!("verify {:?} ", (cpu() - t));
    }
    let bad = ScoreStatement { claim: Claim::AtLeast(score.score() - 4), ..statement };
    assert_eq!(verify(key.verifying(), &bad, &proof, &mut rng(4)), Err(VerifyError));
    for k in [16, 256] {
        let items: Vec<_> = (0..k).map(|_| (statement, &proof)).collect();
        let t = cpu();
        verify_batch(key.verifying(), &items, &mut rng(4)).unwrap();
        println!("batch {k}: {:?} each", (cpu() - t) / k);
    }
    }
}
