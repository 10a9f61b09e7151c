//! Scorecard proofs beside arkworks' own prover and verifier (spec: `circuits/spec/scorecard.md`,
//! heading "Cost"). Argument `quick`: few runs, a small batch.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ark_bn254::Bn254;
use ark_groth16::{Groth16, prepare_verifying_key};
use ark_snark::SNARK;
use curve25519_dalek::scalar::Scalar;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use zkbureau_benches::{cpu, median, on_threads};
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::scorecard::import::{Mapping, from_scorecardpy};
use zkbureau_circuits::scorecard::{
    Bin, Card, Claim, Commitment, Measure, PreparedCard, ProvingKey, Reasons, Reference,
    ScoreProof, ScoreStatement, Span, ValueOpening, Variable, arkworks_instance, prove, test_key,
    verify, verify_batch,
};

const CONTEXT: [u8; 32] = [7; 32];

/// The published card of the quick start: 18 variables.
fn published() -> Card {
    let json = include_bytes!("../../data/uci_taiwan_default/scorecard.json");
    from_scorecardpy(json, &Mapping::default())
        .expect("imports")
        .card
}

/// The largest card there is.
fn largest() -> Card {
    let variable = |i: i64| Variable {
        name: format!("v{i}"),
        reference: Reference {
            attribute: format!("v{i}"),
            lag: 0,
            measure: Measure::Level,
            span: Span::Total,
        },
        reason: String::new(),
        bins: (0..12)
            .map(|b| Bin {
                from: b << 36,
                to: (b + 1) << 36,
                points: b * i,
                label: String::new(),
            })
            .collect(),
    };
    Card::new(
        "largest".into(),
        1,
        0,
        true,
        (0..32).map(variable).collect(),
    )
    .expect("valid")
}

struct Person {
    openings: Vec<ValueOpening>,
    commitments: Vec<Commitment>,
    claim: Claim,
    reasons: Reasons,
}

fn person(card: &Card, rng: &mut ChaCha20Rng) -> Person {
    let values: Vec<i64> = (card.variables().iter())
        .map(|v| {
            let b = &v.bins[rng.next_u32() as usize % v.bins.len()];
            let width = b.to.abs_diff(b.from).min(1 << 20);
            b.from + i64::try_from(rng.next_u64() % width).expect("small")
        })
        .collect();
    let score = card.evaluate(&values).expect("in range");
    let openings: Vec<ValueOpening> = (card.variables().iter().zip(&values))
        .map(|(v, x)| ValueOpening::from_parts(x.abs_diff(v.low()), Scalar::random(rng)))
        .collect();
    Person {
        commitments: openings.iter().map(ValueOpening::commit).collect(),
        openings,
        claim: Claim::about(500, score.score()),
        reasons: Reasons {
            most: 4,
            set: score.reasons(4),
        },
    }
}

impl Person {
    fn statement<'a>(&'a self, card: &'a PreparedCard, reasons: bool) -> ScoreStatement<'a> {
        ScoreStatement {
            context: &CONTEXT,
            card,
            claim: self.claim,
            reasons: reasons.then_some(self.reasons),
            commitments: &self.commitments,
        }
    }
}

/// Median CPU and wall time after one run to warm up.
fn time<T: Send>(runs: usize, threads: usize, work: impl Fn() -> T + Sync) -> (Duration, Duration) {
    on_threads(threads, || {
        black_box(work());
        let (mut cpus, mut walls) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            let start = Instant::now();
            cpus.push(cpu(|| black_box(work())).0);
            walls.push(start.elapsed());
        }
        (median(cpus), median(walls))
    })
}

fn line(name: &str, (cpu, wall): (Duration, Duration), per: u32) {
    let ms = |t: Duration| t.as_secs_f64() * 1000.0 / f64::from(per);
    println!("{name:<52}{:>10.3} ms{:>10.3} ms", ms(cpu), ms(wall));
}

fn proving(key: &ProvingKey, name: &str, card: &Card, runs: usize) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let ready = PreparedCard::new(key.verifying(), card);
    let p = person(card, &mut rng);
    for (threads, reasons) in [(1, false), (2, false), (2, true)] {
        let statement = p.statement(&ready, reasons);
        let times = time(runs, threads, || {
            prove(
                key,
                &statement,
                &p.openings,
                &mut ChaCha20Rng::seed_from_u64(2),
            )
            .expect("holds")
        });
        let what = if reasons { ", 4 reasons" } else { "" };
        line(
            &format!("prove, {name}{what}, {threads} thread(s)"),
            times,
            1,
        );
    }
    let statement = p.statement(&ready, false);
    let (circuit, _) = arkworks_instance(&statement, &p.openings, &mut rng).expect("can hold");
    let times = time(runs, 2, || {
        let rng = &mut ChaCha20Rng::seed_from_u64(2);
        Groth16::<Bn254>::prove(key.arkworks(), circuit.clone(), rng).expect("satisfied")
    });
    line(
        &format!("  Groth16::prove of arkworks, {name}, 2 thread(s)"),
        times,
        1,
    );
}

fn verifying(key: &ProvingKey, card: &Card, batch: usize, runs: usize) {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let ready = PreparedCard::new(key.verifying(), card);
    let times = time(runs, 1, || PreparedCard::new(key.verifying(), card));
    line("prepare a card, once", times, 1);
    let people: Vec<Person> = (0..batch).map(|_| person(card, &mut rng)).collect();
    let statements: Vec<_> = people.iter().map(|p| p.statement(&ready, true)).collect();
    let proofs: Vec<ScoreProof> = (statements.iter().zip(&people))
        .map(|(s, p)| prove(key, s, &p.openings, &mut rng).expect("holds"))
        .collect();
    let rng = || ChaCha20Rng::seed_from_u64(4);
    let one = |i: usize| {
        verify(key.verifying(), &statements[i], &proofs[i], &mut rng()).expect("verifies")
    };
    for threads in [1, 2] {
        line(
            &format!("verify one, {threads} thread(s)"),
            time(runs, threads, || one(0)),
            1,
        );
    }
    let plain = people[0].statement(&ready, false);
    let (circuit, inputs) =
        arkworks_instance(&plain, &people[0].openings, &mut rng()).expect("can hold");
    let proof = Groth16::<Bn254>::prove(key.arkworks(), circuit, &mut rng()).expect("satisfied");
    let prepared = prepare_verifying_key(&key.arkworks().vk);
    let times = time(runs, 1, || {
        assert!(Groth16::<Bn254>::verify_proof(&prepared, &proof, &inputs).is_ok_and(|v| v));
    });
    line("  verify_proof of arkworks (869 inputs, no link)", times, 1);
    let mut n = 1;
    while n <= batch {
        let items: Vec<_> = statements[..n].iter().copied().zip(&proofs).collect();
        for threads in [1, 2] {
            let times = time(runs.min(5), threads, || {
                verify_batch(key.verifying(), &items, &mut rng()).expect("verifies");
            });
            line(
                &format!("verify a batch of {n}, each, {threads} thread(s)"),
                times,
                n as u32,
            );
        }
        n *= 4;
    }
    let times = time(runs.min(3), 1, || (0..batch).for_each(one));
    line(&format!("  {batch} one by one, each"), times, batch as u32);
    println!(
        "proof and link {} bytes, commitments {} bytes",
        proofs[0].to_bytes().len(),
        32 * card.variables().len()
    );
}

fn main() {
    let quick = std::env::args().any(|a| a == "quick");
    let runs = if quick { 3 } else { 15 };
    let start = Instant::now();
    let key = test_key(1);
    println!(
        "test key made in {:.1} s; proving key {} bytes",
        start.elapsed().as_secs_f64(),
        ProvingKey::bytes()
    );
    println!("{:<52}{:>13}{:>13}", "", "CPU", "wall");
    proving(&key, "18 variables", &published(), runs);
    if !quick {
        proving(&key, "32 variables of 12 bins", &largest(), runs);
    }
    verifying(&key, &published(), if quick { 16 } else { 256 }, runs);
}
