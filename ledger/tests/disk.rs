//! The store on disk: the same roots as in memory, after restarts and after crashes.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::*;
use zkbureau_circuits::directory::Index;
use zkbureau_ledger::store::{ChangeSet, Table};
use zkbureau_ledger::{
    Genesis, Height, Ledger, LedgerError, MemoryStore, RocksStore, Store, StoreError, Transaction,
};

fn open(path: &Path, genesis: &Genesis) -> Ledger<RocksStore> {
    Ledger::open(RocksStore::open(path).unwrap(), genesis).unwrap()
}

/// What block `height` holds.
fn transactions(ledger: &Ledger<impl Store>, height: u64) -> Vec<Transaction> {
    let chain = ledger.chain_id();
    // 97 is a prime, so the subjects are distinct.
    let rows: Vec<Row> = (0..60)
        .map(|n| row(n * height % 97, "2024-10", 5, 1))
        .collect();
    vec![
        batch(chain, ONE, height, "2024-10", &rows),
        batch(chain, TWO, height, "2024-10", &rows[..rows.len() / 2]),
        anchor(height as u8, today(ledger)).into(),
    ]
}

fn everything(store: &impl Store) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    for table in Table::ALL {
        store
            .scan(table, &[], &[], &mut |key, value| {
                all.push((table, key.to_vec(), value.to_vec()));
                true
            })
            .unwrap();
    }
    all
}

#[test]
fn disk_and_memory_hold_the_same() {
    let mut genesis = genesis(2);
    genesis.policies.answer_blocks = 2;
    genesis.policies.kept_versions = 3;
    let dir = tempfile::tempdir().unwrap();
    let memory = Ledger::open(MemoryStore::new(), &genesis).unwrap();
    let disk = open(dir.path(), &genesis);
    for height in 1..=6 {
        let list = transactions(&memory, height);
        let proposal = propose(&memory, &list);
        let executed = disk.execute(proposal.executed.block()).unwrap();
        assert_eq!(executed.roots(), proposal.executed.roots());
        let certificate = certify(&executed);
        disk.commit(executed, certificate).unwrap();
        finish(&memory, proposal);
        assert_eq!(disk.tip(), memory.tip());
    }
    assert_eq!(everything(disk.store()), everything(memory.store()));
    disk.store().compact().unwrap();
    assert_eq!(everything(disk.store()), everything(memory.store()));
    disk.check_everything().unwrap();
}

#[test]
fn a_restart_goes_on_where_it_stopped() {
    let genesis = genesis(2);
    let dir = tempfile::tempdir().unwrap();
    let memory = Ledger::open(MemoryStore::new(), &genesis).unwrap();
    for height in 1..=4 {
        let disk = open(dir.path(), &genesis);
        assert_eq!(disk.tip(), memory.tip());
        let list = transactions(&memory, height);
        step(&memory, &list);
        step(&disk, &list);
        // Executed but not committed: gone.
        let lost = propose(&disk, &transactions(&disk, height + 1));
        drop(lost);
        assert!(disk.block(Height(height)).unwrap().is_some());
        assert!(disk.block(Height(height + 1)).unwrap().is_none());
        for (position, transaction) in
            (0..).zip(&disk.block(Height(height)).unwrap().unwrap().transactions)
        {
            assert_eq!(
                disk.transaction(&transaction.hash()).unwrap(),
                Some((Height(height), position))
            );
        }
    }
}

#[test]
fn one_process_at_a_time() {
    let genesis = genesis(1);
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path(), &genesis);
    assert!(matches!(
        RocksStore::open(dir.path()),
        Err(StoreError::Locked { .. })
    ));
}

/// The end of the write-ahead log is cut off at every length a crash may leave: the ledger is then
/// at one of its blocks, whole, and goes on to the same state.
#[test]
fn a_cut_log_loses_whole_blocks_only() {
    let genesis = genesis(2);
    let dir = tempfile::tempdir().unwrap();
    let memory = Ledger::open(MemoryStore::new(), &genesis).unwrap();
    let mut tips = vec![memory.tip()];
    let mut lists = Vec::new();
    {
        let disk = open(dir.path(), &genesis);
        for height in 1..=5 {
            let list = transactions(&memory, height);
            tips.push(step(&memory, &list));
            step(&disk, &list);
            lists.push(list);
            if height == 2 {
                // The first blocks are in files, which no cut takes back.
                disk.store().compact().unwrap();
            }
        }
    }
    let log = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    let length = log.metadata().unwrap().len();
    assert!(length > 10_000);
    let mut heights = std::collections::BTreeSet::new();
    for part in 1..=16 {
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "LOCK" {
                std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
            }
        }
        let cut = std::fs::OpenOptions::new()
            .write(true)
            .open(copy.path().join(log.file_name().unwrap()))
            .unwrap();
        cut.set_len(length * part / 16 - part % 2).unwrap();
        drop(cut);
        let disk = open(copy.path(), &genesis);
        let height = disk.tip().height.0 as usize;
        heights.insert(height);
        assert_eq!(disk.tip(), tips[height]);
        disk.check_everything().unwrap();
        for list in &lists[height..] {
            step(&disk, list);
        }
        assert_eq!(disk.tip().state_root, tips[5].state_root);
        let index = Index(index(3));
        assert_eq!(
            disk.log(Height(5), ONE, &index).unwrap(),
            memory.log(Height(5), ONE, &index).unwrap()
        );
    }
    assert_eq!(heights.first(), Some(&2));
    assert!(heights.len() >= 3, "{heights:?}");
}

#[test]
fn damage_is_named() {
    let genesis = genesis(2);
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path(), &genesis);
    step(&disk, &transactions(&disk, 1));
    // A leaf of the tree: reading it fails, nothing panics.
    let mut leaf = None;
    disk.store()
        .scan(Table::Nodes, &[0, 0, 0, 1], &[], &mut |key, value| {
            if value[0] == 1 {
                leaf = Some((key.to_vec(), value.to_vec()));
            }
            leaf.is_none()
        })
        .unwrap();
    let (key, value) = leaf.unwrap();
    let index = Index(value[1..33].try_into().unwrap());
    let mut changes = ChangeSet::default();
    changes.put(Table::Nodes, key.clone(), &value[..50]);
    disk.store().commit(&changes).unwrap();
    assert!(matches!(
        disk.leaf(Height(1), ONE, &index),
        Err(LedgerError::Tree(_))
    ));
    assert!(disk.check_everything().is_err());
    // A changed byte in it.
    let mut bad = value.clone();
    bad[60] ^= 1;
    let mut changes = ChangeSet::default();
    changes.put(Table::Nodes, key, bad);
    disk.store().commit(&changes).unwrap();
    assert!(disk.check_everything().is_err());
}
