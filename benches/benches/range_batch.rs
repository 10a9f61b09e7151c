//! The batch range argument: CPU time per value to commit and prove, and to verify, with the ratio
//! to `bulletproofs` in the same run; how both grow with the number of records and threads.
//!
//! `cargo bench -p zkbureau-benches --bench range_batch` (add `-- quick` for the ratios only).

use std::time::{Duration, Instant};

use curve25519_dalek::scalar::Scalar;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use zkbureau_benches::{Peer, cpu, median, micros_per, on_threads, peak_rss_mib};
use zkbureau_circuits::commitment::{Record, RecordBlindings};
use zkbureau_circuits::encoding::PointBytes;
use zkbureau_circuits::range_batch::{
    MAX_SLOTS, ProvingKey, RangeArgument, Statement, Witness, commit_records, prove, verify_many,
};
use zkbureau_circuits::schema::{Aggregate, Attribute, Class, Schema};

/// Records of a batch in all but the last table.
const BATCH: usize = 8192;

fn schema(attributes: &[(&str, Class, i64, i64)]) -> Schema {
    let present = [("present", Class::Stock, 0, 1)];
    let attributes = present
        .iter()
        .chain(attributes)
        .map(|(name, class, min, max)| Attribute {
            name: (*name).into(),
            class: *class,
            aggregate: match *name {
                "present" => Aggregate::Max,
                _ => Aggregate::Sum,
            },
            min: *min,
            max: *max,
            unit: "units".into(),
            description: String::new(),
        })
        .collect();
    Schema::new(1, attributes).expect("a valid schema")
}

/// `present` and ten attributes of 32 bits, over stocks and flows.
fn reference() -> Schema {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let attributes: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            let class = if i < 6 { Class::Stock } else { Class::Flow };
            (*name, class, 0, u32::MAX.into())
        })
        .collect();
    schema(&attributes)
}

/// The attributes of the credit-card example.
fn credit_cards() -> Schema {
    schema(&[
        ("balance", Class::Stock, -10_000_000, 100_000_000),
        ("credit_limit", Class::Stock, 0, 100_000_000),
        ("months_in_arrears", Class::Stock, 0, 120),
        ("open_accounts", Class::Stock, 0, 100),
        ("payments", Class::Flow, 0, 100_000_000),
        ("months_late", Class::Flow, 0, 100),
        ("months_90_late", Class::Flow, 0, 100),
        ("statements", Class::Flow, 0, 100),
    ])
}

struct Batch {
    records: Vec<Record>,
    blindings: Vec<RecordBlindings>,
    stocks: Vec<PointBytes>,
    flows: Vec<PointBytes>,
    argument: Option<RangeArgument>,
    commit: Duration,
    prove: Duration,
}

impl Batch {
    fn random(schema: &Schema, slots: usize, rng: &mut ChaCha20Rng) -> Self {
        let mut record = || {
            let values: Vec<i64> = schema.attributes()[1..]
                .iter()
                .map(|a| a.min + (rng.next_u64() % (a.range() + 1)) as i64)
                .collect();
            Record::new(schema, &values).expect("in range")
        };
        let records = (0..slots).map(|_| record()).collect();
        let blindings = (0..slots)
            .map(|_| RecordBlindings {
                stocks: Scalar::random(rng),
                flows: Scalar::random(rng),
            })
            .collect();
        Self {
            records,
            blindings,
            stocks: Vec::new(),
            flows: Vec::new(),
            argument: None,
            commit: Duration::ZERO,
            prove: Duration::ZERO,
        }
    }

    fn statement(&self) -> Statement<'_> {
        Statement {
            chain: &[1; 32],
            agency: 1,
            batch: 1,
            body: &[2; 32],
            stocks: &self.stocks,
            flows: &self.flows,
        }
    }

    fn publish(&mut self, key: &ProvingKey, rng: &mut ChaCha20Rng) {
        let (commit, points) = cpu(|| commit_records(key, &self.records, &self.blindings));
        (self.stocks, self.flows) = points.expect("records of the schema");
        let witness = Witness {
            records: &self.records,
            blindings: &self.blindings,
        };
        let (proving, argument) = cpu(|| prove(key, &self.statement(), &witness, rng));
        self.argument = Some(argument.expect("an honest witness"));
        (self.commit, self.prove) = (commit, proving);
    }
}

/// CPU time to verify all batches in one call.
fn verify_all(key: &ProvingKey, batches: &[Batch], rng: &mut ChaCha20Rng) -> Duration {
    let all: Vec<_> = batches
        .iter()
        .map(|b| (b.statement(), b.argument.as_ref().expect("published")))
        .collect();
    let (time, result) = cpu(|| verify_many(key.verifying(), &all, rng));
    result.expect("honest batches");
    time
}

/// One schema on one thread, alternating with the peer, medians of `runs`.
fn ratios(name: &str, schema: &Schema, runs: usize, rng: &mut ChaCha20Rng) {
    let key = ProvingKey::new(schema, BATCH).expect("usable");
    let peer = Peer::new(rng);
    let values = BATCH * (schema.len() - 1);
    let mut times: [Vec<Duration>; 5] = Default::default();
    let mut batch = Batch::random(schema, BATCH, rng);
    for _ in 0..runs {
        for _ in 0..4 {
            let cost = peer.measure();
            times[3].push(cost.prove);
            times[4].push(cost.verify);
        }
        batch.publish(&key, rng);
        times[0].push(batch.commit);
        times[1].push(batch.prove);
        times[2].push(verify_all(&key, std::slice::from_ref(&batch), rng));
    }
    let [commit, proving, verify, peer_prove, peer_verify] = times.map(median);
    let (publish, check) = (
        micros_per(commit + proving, values),
        micros_per(verify, values),
    );
    let bits = schema.slot_bits();
    println!(
        "{name}: {} attributes, {bits} bits, {BATCH} records, 1 thread",
        schema.len() - 1
    );
    println!(
        "  commit {:.3} + prove {:.3} = {publish:.3} µs a value; bulletproofs {:.0}; ratio {:.0}",
        micros_per(commit, values),
        micros_per(proving, values),
        micros_per(peer_prove, 1),
        micros_per(peer_prove, 1) / publish,
    );
    println!(
        "  verify {check:.3} µs a value; bulletproofs {:.0}; ratio {:.0}",
        micros_per(peer_verify, 1),
        micros_per(peer_verify, 1) / check,
    );
    let layout = key.verifying().layout(BATCH).expect("served");
    println!(
        "  argument {:.1} bytes a record",
        RangeArgument::encoded_len(&layout) as f64 / BATCH as f64
    );
}

/// CPU and wall time per record as the number of records grows.
fn growth(schema: &Schema, rng: &mut ChaCha20Rng) {
    println!("growth, reference record, batches of at most {BATCH}:");
    println!("  records  threads   publish µs CPU (wall)    verify µs CPU (wall)   per record");
    for records in [1_000, 10_000, 100_000] {
        for threads in [1, 2] {
            on_threads(threads, || {
                let key = ProvingKey::new(schema, BATCH.min(records)).expect("usable");
                let mut batches: Vec<Batch> = (0..records)
                    .step_by(BATCH)
                    .map(|at| Batch::random(schema, BATCH.min(records - at), rng))
                    .collect();
                let start = Instant::now();
                for batch in &mut batches {
                    batch.publish(&key, rng);
                }
                let publish_wall = start.elapsed();
                let publish = batches.iter().map(|b| b.commit + b.prove).sum();
                let start = Instant::now();
                let verify = verify_all(&key, &batches, rng);
                println!(
                    "  {records:>7}  {threads:>7}   {:>14.2} ({:>6.2})   {:>14.2} ({:>6.2})",
                    micros_per(publish, records),
                    micros_per(publish_wall, records),
                    micros_per(verify, records),
                    micros_per(start.elapsed(), records),
                );
            });
        }
    }
}

/// The largest batch there is.
fn largest(schema: &Schema, rng: &mut ChaCha20Rng) {
    let key = ProvingKey::new(schema, MAX_SLOTS).expect("usable");
    let mut batch = Batch::random(schema, MAX_SLOTS, rng);
    batch.publish(&key, rng);
    let verify = verify_all(&key, std::slice::from_ref(&batch), rng);
    println!(
        "largest batch, {MAX_SLOTS} reference records: publish {:.2}, verify {:.2} µs a record",
        micros_per(batch.commit + batch.prove, MAX_SLOTS),
        micros_per(verify, MAX_SLOTS),
    );
}

fn main() {
    let quick = std::env::args().any(|a| a == "quick");
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let runs = if quick { 5 } else { 9 };
    on_threads(1, || {
        ratios("reference record", &reference(), runs, &mut rng);
        ratios("credit-card record", &credit_cards(), runs, &mut rng);
    });
    if !quick {
        on_threads(1, || largest(&reference(), &mut rng));
        growth(&reference(), &mut rng);
    }
    if let Some(mib) = peak_rss_mib() {
        println!("peak resident memory {mib} MiB");
    }
}
