//! Four validators on one machine, each a process of its own, every one verifying everything:
//! records that become final per second while four agencies publish, where the time goes, and
//! how long an inquiry takes meanwhile.
//!
//! Batches are proven before, as agencies do on machines of their own; from the first that is handed in
//! to the last that is final, everything is counted.
//!
//! `cargo bench -p zkbureau-agency-node --bench cluster [-- PEOPLE]`
#![allow(
    clippy::unwrap_used,
    reason = "a bench that cannot go on should say where"
)]
#![allow(
    dead_code,
    reason = "drills use the rest of what they share with this bench"
)]

#[path = "../tests/cluster/drill.rs"]
mod drill;
#[path = "../tests/cluster/files.rs"]
mod files;
#[path = "../tests/cluster/ground.rs"]
mod ground;
#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use drill::{Drill, LONG};
use rand_core::OsRng;
use support::http;
use support::people::Random;
use zkbureau_agency_node::agency::{Agency, ImportJob, SubmitError, Submitter};
use zkbureau_agency_node::node::now;
use zkbureau_agency_node::vault::{Vault, VaultKey};
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::ids::{ChainId, Day, Height};
use zkbureau_ledger::keys::SecretKey;
use zkbureau_ledger::transaction::{AnchorConsent, Inquiry, Transaction};
use zkbureau_ledger::{Genesis, Ledger, MemoryStore};
use zkbureau_prover::{Mapping, Quiet, Timings};

/// People of each agency, one record each and month: a batch.
const PEOPLE: u64 = 8_000;
const MONTHS: u64 = 12;
/// Pause between inquiries.
const PAUSE: Duration = Duration::from_millis(150);
const NAMES: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

/// `present` and ten attributes of 32 bits: six stocks and four flows.
fn schema() -> String {
    let mut text = "version = 1\n".to_owned();
    let mut attribute = |name: &str, class: &str, aggregate: &str, max: u64| {
        writeln!(
            text,
            "[[attributes]]\nname = \"{name}\"\nclass = \"{class}\"\naggregate = \"{aggregate}\"\n\
             min = 0\nmax = {max}\nunit = \"units\"\ndescription = \"\""
        )
        .unwrap();
    };
    attribute("present", "stock", "max", 1);
    for (i, name) in NAMES.iter().enumerate() {
        let class = if i < 6 { "stock" } else { "flow" };
        attribute(name, class, "sum", u32::MAX.into());
    }
    text
}

fn map() -> String {
    let mut text = "account = \"account\"\n[subject]\ncolumn = \"subject\"\nid_type = \"person\"\n\
                    [period]\ncolumn = \"period\"\n"
        .to_owned();
    for name in NAMES {
        writeln!(text, "[attributes.{name}]\ncolumn = \"{name}\"").unwrap();
    }
    text
}

fn file(people: u64, month: &str, seed: u64) -> String {
    let mut random = Random(seed);
    let mut text = format!("account,subject,period,{}\n", NAMES.join(","));
    for person in 0..people {
        write!(text, "A{person},P{person:07},{month}").unwrap();
        for _ in NAMES {
            write!(text, ",{}", random.below(1 << 32)).unwrap();
        }
        text.push('\n');
    }
    text
}

/// Keeps batches instead of handing them in. Each comes again with every later import, because no
/// ledger ever has it.
#[derive(Default)]
struct Kept(Mutex<Vec<Transaction>>);

impl Submitter for Kept {
    fn submit(&self, transaction: Transaction) -> Result<Height, SubmitError> {
        let mut kept = self.0.lock().unwrap();
        if !kept.contains(&transaction) {
            kept.push(transaction);
        }
        Ok(Height(1))
    }
}

/// Proves an agency's batches, with a copy of its vault.
fn prove(drill: &Drill, node: usize, people: u64) -> (Vec<Transaction>, Timings) {
    let (backup, copy) = (
        drill.file(&format!("backup-{node}")),
        drill.file(&format!("copy-{node}")),
    );
    let mut command = support::binary();
    command.args(["vault", "backup", "--data"]);
    command.arg(drill.home(node)).arg("--out").arg(&backup);
    support::assert_success(&command.output().unwrap());
    let key = VaultKey::from_key_file(&drill.home(node).join("vault.key")).unwrap();
    let (chain, id) = (drill.chain(), AgencyId(node as u32 + 1));
    Vault::restore(&backup, &copy, &key, Some(&chain), id).unwrap();
    let vault = Vault::open(&copy, &key, &chain, id).unwrap();
    let genesis = std::fs::read(drill.file("genesis.json")).unwrap();
    let genesis = Genesis::from_json(&genesis).unwrap();
    let ledger = Ledger::open(MemoryStore::default(), &genesis).unwrap();
    let agency = Agency::open(vault, Arc::new(ledger)).unwrap();

    let mapping = Mapping::parse(&map(), &genesis.schema).unwrap();
    let (kept, mut timings) = (Kept::default(), Timings::default());
    for month in (0..MONTHS).map(files::month) {
        let job = ImportJob {
            mapping: &mapping,
            reported_period: month.parse().unwrap(),
            correct: false,
            allow_rejects: false,
            more_follows: false,
            close: false,
            dry_run: false,
            spill_dir: Path::new(&copy),
        };
        let text = file(people, &month, node as u64);
        let done = agency
            .import(text.as_bytes(), None, &job, &kept, &Quiet, &mut OsRng)
            .unwrap();
        let spent = done.summary.unwrap().timings;
        timings.directory += spent.directory;
        timings.commit += spent.commit;
        timings.prove += spent.prove;
    }
    (kept.0.into_inner().unwrap(), timings)
}

/// Hands batches in at a node, as fast as it takes them.
fn hand_in(url: &str, batches: &[Transaction]) {
    for batch in batches {
        let bytes = batch.to_bytes();
        loop {
            let taken = http::post(url, "/v1/transactions", &bytes);
            match taken.status {
                202 => break,
                429 => std::thread::sleep(PAUSE),
                _ => panic!("{:?}", taken.json()),
            }
        }
    }
}

/// Everything that is counted.
struct Reading {
    at: Instant,
    records: u64,
    height: u64,
    nodes: Vec<BTreeMap<String, f64>>,
    cpu: Vec<f64>,
}

impl Reading {
    fn of(drill: &Drill) -> Self {
        Self {
            at: Instant::now(),
            records: drill.records(0),
            height: drill.height(0),
            nodes: (0..4).map(|node| drill.metrics(node)).collect(),
            cpu: (0..4).map(|node| drill.cpu_seconds(node)).collect(),
        }
    }
}

fn main() {
    let people: u64 = std::env::args()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(PEOPLE);
    let drill = Drill::start_with(
        ground::Turn::wait(),
        ground::Ground::Loopback,
        4,
        &schema(),
        &map(),
    );
    let start = Instant::now();
    let (batches, proving): (Vec<_>, Vec<_>) =
        (0..4).map(|node| prove(&drill, node, people)).unzip();
    let total = 4 * people * MONTHS;
    println!(
        "{total} records proven in {:.1} s",
        start.elapsed().as_secs_f64()
    );

    let before = Reading::of(&drill);
    let chain = drill.chain();
    let (waits, done) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let after = std::thread::scope(|scope| {
        for (node, batches) in batches.iter().enumerate() {
            let (url, waits, done, chain) = (drill.url(node), &waits, &done, &chain);
            scope.spawn({
                let url = url.clone();
                move || hand_in(&url, batches)
            });
            scope.spawn(move || {
                for number in (node as u64..).step_by(4) {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let took = inquire(&url, chain, number);
                    waits.lock().unwrap().push(took);
                    std::thread::sleep(PAUSE);
                }
            });
        }
        loop {
            let now = Reading::of(&drill);
            if now.records == total {
                done.store(true, Ordering::Relaxed);
                break now;
            }
            assert!(now.at - before.at < LONG * 4, "{} records", now.records);
            std::thread::sleep(PAUSE);
        }
    });
    report(&before, &after, &proving, waits.into_inner().unwrap());
    drill.agree();
    drill.stop();
}

/// Anchors a consent, then posts an inquiry: how long the inquiry takes to be final.
fn inquire(url: &str, chain: &ChainId, number: u64) -> Duration {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    let key = SecretKey::from_seed(&seed);
    let anchor = AnchorConsent {
        commitment: AnchorConsent::commitment(&seed, 0, &seed),
        use_key: key.public(),
        revocation_key: key.public(),
        expiry: Day(now().day().0 + 30),
    };
    finalize(url, &anchor.into());
    finalize(url, &Inquiry::sign(chain, anchor.id(), seed, &key).into())
}

/// From handing a transaction in to hearing that it is final.
fn finalize(url: &str, transaction: &Transaction) -> Duration {
    let start = Instant::now();
    let taken = http::post(url, "/v1/transactions", &transaction.to_bytes());
    assert_eq!(taken.status, 202, "{:?}", taken.json());
    let path = format!("/v1/transactions/{}?wait_ms=30000", transaction.hash());
    let standing = http::get(url, &path).json();
    assert_eq!(standing["status"], "final", "{standing}");
    start.elapsed()
}

fn report(before: &Reading, after: &Reading, proving: &[Timings], mut waits: Vec<Duration>) {
    assert!(!waits.is_empty(), "too few people for a steady state");
    let seconds = (after.at - before.at).as_secs_f64();
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let records = (after.records - before.records) as f64;
    let blocks = (after.height - before.height) as f64;
    println!(
        "{records} records of 10 attributes in {seconds:.1} s: {:.0} records/s, {:.2} blocks/s, by four validators and four publishers on {cores} cores",
        records / seconds,
        blocks / seconds,
    );
    waits.sort();
    // Nearest rank: with fewer than twenty, the 95th percentile is the slowest.
    let at = |share: f64| {
        let rank = (waits.len() as f64 * share).ceil() as usize;
        waits[rank.max(1) - 1].as_secs_f64()
    };
    println!(
        "{} inquiries meanwhile: final after {:.2} s (p50), {:.2} s (p95), {:.2} s (max)",
        waits.len(),
        at(0.5),
        at(0.95),
        at(1.0)
    );

    // Wall-clock seconds of one node, on average over the four, which share the cores.
    let spent = |names: &[&str]| -> f64 {
        let of = |reading: &Reading| -> f64 {
            let sum = |node: &BTreeMap<String, f64>| -> f64 {
                names
                    .iter()
                    .filter_map(|name| node.get(&format!("zkbureau_{name}_seconds_sum")))
                    .sum()
            };
            reading.nodes.iter().map(sum).sum()
        };
        (of(after) - of(before)) / after.nodes.len() as f64
    };
    let count = |name: &str| -> f64 {
        let of = |reading: &Reading| -> f64 { reading.nodes.iter().map(|node| node[name]).sum() };
        (of(after) - of(before)) / after.nodes.len() as f64
    };
    let trees = spent(&["consensus_tree"]);
    let rules = spent(&["consensus_propose", "consensus_execute"]) - trees;
    let late = spent(&["consensus_verify"]);
    let disk = spent(&["consensus_keep", "consensus_write"]);
    let follow = spent(&["consensus_follow"]);
    let interval = spent(&["consensus_interval"]);
    let rest = interval - trees - rules - late - disk - follow;
    let share = |part: f64| 100.0 * part / interval;
    println!(
        "a block takes {:.2} s; of it: trees {:.0} %, rules {:.0} %, verification of what did not wait {:.0} %, disk {:.0} %, the agency's own work {:.0} %, consensus, network and waiting {:.0} %",
        interval / blocks,
        share(trees),
        share(rules),
        share(late),
        share(disk),
        share(follow),
        share(rest),
    );
    println!(
        "rounds that failed: {:.1} of {:.1}",
        count("zkbureau_consensus_failed_rounds_total"),
        count("zkbureau_consensus_rounds_total"),
    );
    println!(
        "beside the blocks each node verifies batches for {:.0} % of the time",
        100.0 * spent(&["consensus_check"]) / seconds
    );
    let cpu: Vec<f64> = std::iter::zip(&after.cpu, &before.cpu)
        .map(|(after, before)| after - before)
        .collect();
    let all: f64 = cpu.iter().sum();
    println!(
        "processor: {:.0} % of all cores, {:.0} µs per record and node",
        100.0 * all / (seconds * cores),
        1e6 * all / (records * cpu.len() as f64),
    );
    let sum = |of: fn(&Timings) -> Duration| -> f64 {
        proving.iter().map(|t| of(t).as_secs_f64()).sum::<f64>() * cores
    };
    println!(
        "proving took, by the clock of all cores: {:.0} µs a record for indices, {:.0} for commitments, {:.0} for range arguments",
        1e6 * sum(|t| t.directory) / records,
        1e6 * sum(|t| t.commit) / records,
        1e6 * sum(|t| t.prove) / records,
    );
}
