//! What applying a batch costs besides its range argument, and what a record costs on disk.
//!
//! `cargo bench -p zkbureau-ledger --features store --bench apply [-- LEAVES]`
#![allow(clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::{ONE, Row, START, certify, row};
use zkbureau_circuits::directory::Index;
use zkbureau_circuits::encoding::Document;
use zkbureau_ledger::store::Table;
use zkbureau_ledger::{Ledger, RocksStore, TimeMs};

const BATCH: u64 = 8192;

/// Processor time of this process.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
    let ticks: u64 = fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

struct Cost {
    stateless: (Duration, Duration),
    propose: (Duration, Duration),
    commit: (Duration, Duration),
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, (Duration, Duration)) {
    let (wall, before) = (Instant::now(), cpu());
    let result = work();
    (result, (wall.elapsed(), cpu() - before))
}

fn publish(ledger: &Ledger<RocksStore>, number: u64, reported: &str, rows: &[Row]) -> Cost {
    let transaction = common::batch(ledger.chain_id(), ONE, number, reported, rows);
    let (checked, stateless) = timed(|| common::checked(ledger, &[transaction]));
    let time = TimeMs(ledger.tip().time_ms.0 + 1000);
    let (proposal, propose) = timed(|| ledger.propose(ONE, time, checked).unwrap());
    assert!(proposal.dropped.is_empty());
    let certificate = certify(&proposal.executed);
    let (_, commit) = timed(|| ledger.commit(proposal.executed, certificate).unwrap());
    Cost {
        stateless,
        propose,
        commit,
    }
}

fn report(name: &str, costs: &[Cost]) {
    let line = |what: &str, part: &dyn Fn(&Cost) -> (Duration, Duration)| {
        let mut walls: Vec<f64> = costs.iter().map(|c| part(c).0.as_secs_f64()).collect();
        walls.sort_by(f64::total_cmp);
        let cpu: f64 = costs.iter().map(|c| part(c).1.as_secs_f64()).sum();
        println!(
            "{name:>10} {what:>10}: wall {:6.2} µs/record (median), cpu {:6.2} µs/record (mean)",
            walls[walls.len() / 2] * 1e6 / BATCH as f64,
            cpu * 1e6 / (BATCH * costs.len() as u64) as f64
        );
    };
    line("stateless", &|c| c.stateless);
    line("execute", &|c| c.propose);
    line("commit", &|c| c.commit);
}

fn main() {
    let leaves: u64 = std::env::args()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(100_000);
    let dir = tempfile::tempdir().unwrap();
    let mut genesis = common::genesis(4);
    genesis.policies.max_batch_slots = BATCH as u32;
    let ledger = Ledger::open(RocksStore::open(dir.path()).unwrap(), &genesis).unwrap();
    assert_eq!(ledger.tip().time_ms, TimeMs(START));

    let batches = leaves.div_ceil(BATCH);
    let mut number = 0;
    let mut months = Vec::new();
    for month in ["2024-01", "2024-02", "2024-03"] {
        let mut costs = Vec::new();
        for part in 0..batches {
            number += 1;
            let rows: Vec<Row> = (part * BATCH..(part + 1) * BATCH)
                .map(|n| row(n, month, 500, 5))
                .collect();
            costs.push(publish(&ledger, number, month, &rows));
        }
        report(month, &costs);
        months.push(costs);
        disk(&ledger, batches * BATCH, months.len() as u64);
    }

    // Reading for an answer.
    let at = ledger.tip().height;
    let (bytes, (wall, _)) = timed(|| {
        (0..1000)
            .map(|n| {
                let index = Index(common::index(n * 37));
                let proof = ledger.leaf_proof(at, ONE, &index).unwrap();
                assert_eq!(ledger.log(at, ONE, &index).unwrap().len(), 3);
                proof.to_bytes().len()
            })
            .sum::<usize>()
    });
    println!(
        "leaf proof and log: {:.1} µs, {} bytes",
        wall.as_secs_f64() * 1e6 / 1000.0,
        bytes / 1000
    );
}

fn disk(ledger: &Ledger<RocksStore>, leaves: u64, reports: u64) {
    // Fill the window of kept versions with empty blocks, so that only live nodes are left.
    let kept = ledger.consortium().policies.kept_versions;
    for _ in 0..kept {
        common::step(ledger, &[]);
    }
    let store = ledger.store();
    store.compact().unwrap();
    let bytes =
        |tables: &[Table]| -> u64 { tables.iter().map(|t| store.file_bytes(*t).unwrap()).sum() };
    let records = leaves * reports;
    let state = bytes(&[Table::Nodes, Table::Log]);
    println!(
        "{:>10} on disk: {} leaves, {} records: state {:.1} bytes/record ({:.1} nodes, {:.1} log), blocks {:.1} bytes/record",
        "",
        leaves,
        records,
        state as f64 / records as f64,
        bytes(&[Table::Nodes]) as f64 / records as f64,
        bytes(&[Table::Log]) as f64 / records as f64,
        bytes(&[Table::Blocks]) as f64 / records as f64,
    );
}
