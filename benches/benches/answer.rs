//! Answers and audits: CPU time to make and to verify, bytes, and how they grow with agencies,
//! people and log entries.
//!
//! `cargo bench -p zkbureau-benches --bench answer` (add `-- quick` for the reference answer only).

#![allow(clippy::unwrap_used)]

#[path = "../../client/tests/support/mod.rs"]
mod support;

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{OsRng, SeedableRng};
use support::{World, period, person};
use zkbureau_benches::{cpu, median, median_cpu};
use zkbureau_circuits::audit::{self, ColumnStatement};
use zkbureau_circuits::directory::SubjectId;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::fact::Verdict;
use zkbureau_circuits::schema::{Aggregate, Attribute, Class, Schema};
use zkbureau_client::chain::Chain;
use zkbureau_client::lender::{DEFAULT_MAX_AGE_MS, verify};
use zkbureau_ledger::document::evidence::AgencyAnswer;
use zkbureau_ledger::document::sealed::{Sealed, SealingSecretKey};

/// Runs per figure.
const RUNS: usize = 9;
/// Records of a batch.
const BATCH: usize = 8192;

/// The reference record: ten attributes of 32 bits, six stocks and four flows.
fn schema() -> Schema {
    let attribute = |name: &str, class, aggregate, max| Attribute {
        name: name.into(),
        class,
        aggregate,
        min: 0,
        max,
        unit: "units".into(),
        description: String::new(),
    };
    let mut list = vec![attribute("present", Class::Stock, Aggregate::Max, 1)];
    for (i, name) in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]
        .into_iter()
        .enumerate()
    {
        let class = if i < 6 { Class::Stock } else { Class::Flow };
        list.push(attribute(name, class, Aggregate::Sum, u32::MAX.into()));
    }
    Schema::new(1, list).unwrap()
}

const LATEST: [&str; 3] = [
    "total(a) <= 40000",
    "10*total(b) <= 8*total(c)",
    "total(d) + total(e) >= 3",
];
const WINDOWS: [&str; 3] = [
    "total(g, 12m) >= 100",
    "total(h, 6m) <= 90000",
    "total(i, 3m) - total(j, 3m) >= 0",
];

/// A world in which one person, and `others` more, are at every agency for some months.
fn world(agencies: u32, others: usize, months: u32) -> World {
    let mut world = World::with_schema(agencies, 1, schema(), BATCH);
    let subject = person("the-subject");
    let people: Vec<SubjectId> = (0..others)
        .map(|i| person(&format!("person-{i}")))
        .collect();
    for month in 1..=months {
        let now = period(&format!("2024-{month:02}"));
        for agency in 0..agencies as usize {
            let values = [1_000, 2_000, 3_000, 4, 5, 6, 70, 80, 90, 10];
            let all: Vec<(&SubjectId, [i64; 10])> = std::iter::once(&subject)
                .chain(&people)
                .map(|id| (id, values))
                .collect();
            let last = all.len().div_ceil(BATCH) - 1;
            for (i, records) in all.chunks(BATCH).enumerate() {
                world.publish_part(agency, now, now, records, i == last);
            }
        }
    }
    world
}

struct Figures {
    agencies: Duration,
    wallet: Duration,
    verify: Duration,
    bytes: usize,
    entries: usize,
}

/// What an agency's reply costs on its way, sealed and opened.
fn deliver(reply: AgencyAnswer) -> AgencyAnswer {
    let key = SealingSecretKey::random(&mut OsRng);
    let bytes = reply.to_bytes();
    let sealed = Sealed::seal_padded(&key.public(), "p", b"c", &bytes, &mut OsRng).unwrap();
    AgencyAnswer::from_bytes(&sealed.open_padded(&key, "p", b"c").unwrap()).unwrap()
}

fn measure(world: &mut World, facts: &[&str], as_of: &str) -> Figures {
    let subject = person("the-subject");
    let request = world.request(&subject, facts, as_of);
    let holder = world.enrol(&subject);
    let scene = world.scene(request, holder);
    let query = world.query(&scene.request);
    let (mut agencies, mut wallet, mut checks) = (Vec::new(), Vec::new(), Vec::new());
    let (mut bytes, mut entries) = (0, 0);
    for _ in 0..=RUNS {
        let (time, replies) = cpu(|| {
            let replies = world.replies(&scene, &query);
            replies.into_iter().map(deliver).collect::<Vec<_>>()
        });
        agencies.push(time);
        let (time, made) = cpu(|| world.assemble(&scene, replies));
        wallet.push(time);
        assert_eq!(made.verdicts, [Verdict::True; 3]);
        bytes = made.answer.to_bytes().len();
        let (time, verified) = cpu(|| {
            verify(
                &scene.request,
                &made.answer,
                &world.chain,
                &world.lender,
                &subject,
                world.time,
                DEFAULT_MAX_AGE_MS,
                &mut OsRng,
            )
            .unwrap()
        });
        checks.push(time);
        entries = verified.agencies.iter().map(|a| a.log_entries).sum();
    }
    // The first run builds the generators of the range proofs, once a process.
    let warm = |times: Vec<Duration>| median(times[1..].to_vec());
    Figures {
        agencies: warm(agencies),
        wallet: warm(wallet),
        verify: warm(checks),
        bytes,
        entries,
    }
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

fn line(name: &str, f: &Figures) {
    println!(
        "{name:<34}{:>11}{:>11}{:>11}{:>11}{:>9} B{:>9}",
        ms(f.agencies),
        ms(f.wallet),
        ms(f.agencies + f.wallet),
        ms(f.verify),
        f.bytes,
        f.entries
    );
}

fn heading(title: &str) {
    println!("\n{title}");
    println!(
        "{:<34}{:>11}{:>11}{:>11}{:>11}{:>11}{:>9}",
        "", "agencies", "wallet", "made", "verified", "answer", "entries"
    );
}

fn audits(others: usize) {
    let world = world(1, others, 1);
    let opening = world.column_opening(0);
    let at = world.ledger.tip().height;
    let column = world.ledger.column(at, world.agencies[0].id).unwrap();
    let key = world.chain.key();
    let totals = audit::totals(key, Class::Stock, column.leaves, &opening, &[1]).unwrap();
    let statement = ColumnStatement {
        context: [7; 32],
        key,
        class: Class::Stock,
        column: column.stocks,
        leaves: column.leaves,
        totals: &totals,
    };
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let make = median_cpu(RUNS, || {
        audit::prove(&statement, &opening, &mut rng).unwrap()
    });
    let proof = audit::prove(&statement, &opening, &mut rng).unwrap();
    let check = median_cpu(RUNS, || audit::verify(&statement, &proof).unwrap());
    println!(
        "{:<34}{:>11}{:>11}{:>9} B",
        format!("{} leaves", column.leaves),
        ms(make),
        ms(check),
        proof.to_bytes().len()
    );
}

fn main() {
    let quick = std::env::args().any(|a| a == "quick");
    heading("CPU time of an answer to three `total` facts, a record at every agency");
    for agencies in if quick { &[4][..] } else { &[1, 4, 10, 20] } {
        let figures = measure(&mut world(*agencies, 99, 1), &LATEST, "2024-01");
        line(&format!("{agencies} agencies"), &figures);
    }
    let chain = world(4, 0, 1);
    let genesis = median_cpu(RUNS, || Chain::from_genesis(chain.genesis.clone()).unwrap());
    println!("reading the genesis file, once: {}", ms(genesis));
    if quick {
        return;
    }
    heading("The same over 4 agencies, by people at each");
    for others in [99, 9_999, 99_999] {
        let figures = measure(&mut world(4, others, 1), &LATEST, "2024-01");
        line(&format!("{} people", others + 1), &figures);
    }
    heading("Over 4 agencies and 12 months, three facts over windows");
    line(
        "windows of 12, 6, 3 months",
        &measure(&mut world(4, 9, 12), &WINDOWS, "2024-12"),
    );

    println!("\nCPU time of opening one of six stocks of a column");
    println!("{:<34}{:>11}{:>11}{:>11}", "", "made", "verified", "proof");
    for others in [99, 9_999, 99_999] {
        audits(others);
    }
}
