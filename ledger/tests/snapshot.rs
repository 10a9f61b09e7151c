//! Snapshots: a ledger that imported one goes on like the one that made it, and nothing that was
//! tampered with gets in.
#![allow(clippy::unwrap_used)]

mod common;

use std::cell::Cell;
use std::io;
use std::sync::Arc;

use common::council::*;
use common::*;
use zkbureau_circuits::directory::Index;
use zkbureau_circuits::encoding::Document;
use zkbureau_ledger::ledger::{MAX_CHUNK_BYTES, Manifest, SnapshotError, chunk_hash};
use zkbureau_ledger::store::Table;
use zkbureau_ledger::{
    Block, Certificate, Genesis, Height, Inquiry, Ledger, LedgerError, MemoryStore, RocksStore,
    SignedHeader, Store, TimeMs, Transaction,
};

/// A history with everything: logs of several entries, two changes of validators, an agency without
/// records, anchors, an audit, an open proposal. The last height changes the validators, too.
fn history<S: Store>(store: S) -> (Ledger<S>, Keyring) {
    let ledger = Ledger::open(store, &seated(&[1, 1, 1, 1])).unwrap();
    let ring = Keyring::new();
    let chain = *ledger.chain_id();
    let day = today(&ledger);
    let rows = |months: &str| -> Vec<Row> { (0..40).map(|n| row(n, months, 100, 3)).collect() };
    ring.step(
        &ledger,
        &[
            batch(&chain, ONE, 1, "2024-08", &rows("2024-08")),
            batch(&chain, TWO, 1, "2024-08", &rows("2024-07")[..20]),
        ],
    );
    ring.adopt(&ledger, &[1, 2, 3], "Fifth", vec![admit(&chain, 5, 1)]);
    ring.step(
        &ledger,
        &[
            anchor(1, day).into(),
            anchor(2, day).into(),
            Inquiry::sign(&chain, anchor(1, day).id(), [5; 32], &use_key(1)).into(),
            audit(&chain, 1, &[ONE], "2024-08").into(),
            batch(&chain, TWO, 2, "2024-09", &rows("2024-09")[10..]),
        ],
    );
    ring.step(
        &ledger,
        &[
            // Late reports: logs grow, stocks stay.
            batch(&chain, ONE, 2, "2024-10", &rows("2024-07")[5..15]),
            batch(&chain, ONE, 3, "2024-10", &rows("2024-10")[..10]),
            ring.vote(&ledger, 3, &proposal("Open", vec![admit(&chain, 6, 1)])),
        ],
    );
    ring.adopt(&ledger, &[1, 2, 3, 4], "Seventh", vec![admit(&chain, 7, 1)]);
    (ledger, ring)
}

fn export<S: Store>(ledger: &Ledger<S>, at: Height) -> (Manifest, Vec<Vec<u8>>) {
    let mut chunks = Vec::new();
    let manifest = ledger
        .export_snapshot(at, |chunk| {
            chunks.push(chunk.to_vec());
            Ok(())
        })
        .unwrap();
    assert_eq!(manifest.chunks.len(), chunks.len());
    assert!(chunks.iter().all(|c| c.len() <= MAX_CHUNK_BYTES));
    let bytes = manifest.to_bytes();
    assert_eq!(Manifest::from_bytes(&bytes), Ok(manifest.clone()));
    (manifest, chunks)
}

fn import<S: Store>(
    store: S,
    genesis: &Genesis,
    manifest: &Manifest,
    chunks: &[Vec<u8>],
) -> Result<Ledger<S>, SnapshotError> {
    Ledger::import_snapshot(store, genesis, manifest, |number| {
        chunks
            .get(number as usize)
            .cloned()
            .ok_or(io::ErrorKind::NotFound.into())
    })
}

/// Applies the same blocks to both, and compares.
fn go_on<A: Store, B: Store>(a: &Ledger<A>, b: &Ledger<B>, ring: &Keyring) {
    let chain = *a.chain_id();
    let more = |n: i64| {
        let rows: Vec<Row> = (0..60).map(|i| row(i, "2024-11", 50 + n, 1)).collect();
        batch(&chain, ONE, 3 + n as u64, "2024-11", &rows)
    };
    for n in 1..4 {
        let transactions: Vec<Transaction> = vec![more(n)];
        ring.step(a, &transactions);
        let block: Block = a.block(a.tip().height).unwrap().unwrap();
        let executed = b.execute(&block).unwrap();
        let certificate: Certificate = last_header(a).certificate;
        let tip = b.commit(executed, certificate).unwrap();
        assert_eq!(tip, a.tip());
    }
    ring.adopt(a, &[1, 2, 3, 4, 5], "Sixth", vec![admit(&chain, 6, 1)]);
    let block: Block = a.block(a.tip().height).unwrap().unwrap();
    let executed = b.execute(&block).unwrap();
    b.commit(executed, last_header(a).certificate).unwrap();
    assert_eq!(b.tip(), a.tip());
    assert_eq!(b.consortium(), a.consortium());
    b.check_everything().unwrap();
}

#[test]
fn an_imported_ledger_is_the_same_and_goes_on() {
    let (ledger, ring) = history(MemoryStore::new());
    let at = ledger.tip().height;
    let (manifest, chunks) = export(&ledger, at);
    assert_eq!(manifest.height(), at);
    let store = Arc::new(MemoryStore::new());
    let copy = import(store.clone(), ledger.genesis(), &manifest, &chunks).unwrap();
    assert_eq!(copy.tip(), ledger.tip());
    assert_eq!(copy.consortium(), ledger.consortium());
    assert_eq!(copy.roots(at).unwrap(), ledger.roots(at).unwrap());
    copy.check_everything().unwrap();
    for agency in [1, 2, 3, 4, 5, 7].map(zkbureau_ledger::AgencyId) {
        let all = |l: &Ledger<_>| l.leaves(at, agency).map(|r| r.unwrap()).collect::<Vec<_>>();
        let leaves: Vec<_> = ledger.leaves(at, agency).map(|r| r.unwrap()).collect();
        assert_eq!(all(&copy), leaves);
        for (place, leaf) in leaves {
            let log = ledger.log(at, agency, &place).unwrap();
            assert_eq!(log.len() as u32, leaf.entries);
            assert_eq!(copy.log(at, agency, &place).unwrap(), log);
            assert_eq!(
                copy.leaf_proof(at, agency, &place).unwrap(),
                ledger.leaf_proof(at, agency, &place).unwrap()
            );
        }
    }
    assert_eq!(copy.columns(at).unwrap(), ledger.columns(at).unwrap());
    let id = anchor(1, today(&ledger)).id();
    assert_eq!(copy.anchor(at, id).unwrap(), ledger.anchor(at, id).unwrap());
    assert_eq!(
        copy.open_proposals(at).unwrap(),
        ledger.open_proposals(at).unwrap()
    );
    assert!(!copy.open_proposals(at).unwrap().0.is_empty());

    // No history but the changes of validators.
    assert_eq!(ledger.history_min_height().unwrap(), Height(1));
    assert_eq!(copy.history_min_height().unwrap(), at.next());
    assert_eq!(copy.oldest_state(), at);
    assert!(copy.block(at).unwrap().is_none());
    assert!(matches!(
        copy.roots(Height(at.0 - 1)),
        Err(LedgerError::Pruned { .. })
    ));
    let changes = ledger.validator_changes(Height(0), 10).unwrap();
    assert_eq!(changes.len(), 2);
    assert_eq!(copy.validator_changes(Height(0), 10).unwrap(), changes);
    for height in 1..=at.0 + 1 {
        assert_eq!(
            copy.validators(Height(height)).unwrap(),
            ledger.validators(Height(height)).unwrap()
        );
    }
    go_on(&ledger, &copy, &ring);
    // And again from the store.
    let tip = copy.tip();
    drop(copy);
    let again = Ledger::open(store, ledger.genesis()).unwrap();
    assert_eq!(again.tip(), tip);
    // A snapshot of the copy has the same chunks as one of the original.
    assert_eq!(export(&again, tip.height), export(&ledger, tip.height));
}

#[test]
fn an_older_height_can_be_exported_and_pruning_waits_for_it() {
    let (ledger, ring) = history(MemoryStore::new());
    let at = ledger.tip().height;
    let expected = export(&ledger, at);
    ring.step(&ledger, &[]);
    go_on(&ledger, &copy_of(&ledger, ledger.tip().height), &ring);
    assert_eq!(export(&ledger, at), expected);
    assert!(matches!(
        ledger.export_snapshot(Height(99), |_| Ok(())),
        Err(SnapshotError::Ledger(LedgerError::Pruned { .. }))
    ));
    assert!(matches!(
        ledger.export_snapshot(Height(0), |_| Ok(())),
        Err(SnapshotError::NoHeader(Height(0)))
    ));
    assert!(matches!(
        ledger.export_snapshot(at, |_| Err(io::ErrorKind::StorageFull.into())),
        Err(SnapshotError::Io(_))
    ));
}

fn copy_of(ledger: &Ledger<MemoryStore>, at: Height) -> Ledger<MemoryStore> {
    let (manifest, chunks) = export(ledger, at);
    import(MemoryStore::new(), ledger.genesis(), &manifest, &chunks).unwrap()
}

#[test]
fn nothing_that_was_tampered_with_gets_in() {
    let (ledger, ring) = history(MemoryStore::new());
    let genesis = ledger.genesis();
    let at = ledger.tip().height;
    let (manifest, chunks) = export(&ledger, at);
    let refused = |manifest: &Manifest, chunks: &[Vec<u8>]| {
        let store = Arc::new(MemoryStore::new());
        let error = import(store.clone(), genesis, manifest, chunks).unwrap_err();
        // What is left cannot be opened as a ledger of anything but the genesis state.
        match Ledger::open(store.clone(), genesis) {
            Err(LedgerError::ImportUnfinished) => {}
            Ok(ledger) => assert_eq!(ledger.tip().height, Height(0)),
            Err(other) => panic!("{other}"),
        }
        error
    };
    // A liar can make the hashes fit, so every change is tried with hashes that do.
    let fit = |manifest: &Manifest, chunks: &[Vec<u8>]| {
        let mut manifest = manifest.clone();
        manifest.chunks = chunks.iter().map(|c| chunk_hash(c)).collect();
        manifest
    };
    let total: usize = chunks.iter().map(Vec::len).sum();
    let mut tried = 0;
    for (number, chunk) in chunks.iter().enumerate() {
        // Every 97th byte, and those at the ends.
        let places = (0..chunk.len()).filter(|i| i % 97 == 0 || i + 3 > chunk.len());
        for place in places {
            let mut bad = chunks.clone();
            bad[number][place] ^= 1 << (place % 8);
            assert!(matches!(
                refused(&manifest, &bad),
                SnapshotError::Chunk { .. }
            ));
            refused(&fit(&manifest, &bad), &bad);
            tried += 1;
        }
        // Shortened, lengthened, left out, doubled.
        let mut bad = chunks.clone();
        bad[number].pop();
        refused(&fit(&manifest, &bad), &bad);
        let mut bad = chunks.clone();
        bad[number].push(2);
        refused(&fit(&manifest, &bad), &bad);
        let mut bad = chunks.clone();
        bad.remove(number);
        refused(&fit(&manifest, &bad), &bad);
        let mut bad = chunks.clone();
        bad.insert(number, chunk.clone());
        refused(&fit(&manifest, &bad), &bad);
    }
    assert!(tried * 97 >= total);
    // A chunk with nothing in it, before and behind the others.
    for place in [0, 1, chunks.len()] {
        let mut bad = chunks.clone();
        bad.insert(place, vec![1]);
        let mut manifest = fit(&manifest, &bad);
        manifest.trust_chunks += u32::from(place < 2);
        assert!(matches!(
            refused(&manifest, &bad),
            SnapshotError::Chunk { number, reason: "it is empty" } if number as usize == place
        ));
    }
    refused(&manifest, &chunks[..chunks.len() - 1]);
    refused(&fit(&manifest, &[]), &[]);

    // The manifest: every field.
    let mut bad = manifest.clone();
    bad.chain_id.0[0] ^= 1;
    assert!(matches!(refused(&bad, &chunks), SnapshotError::Manifest(_)));
    let mut bad = manifest.clone();
    bad.roots.registry[0] ^= 1;
    assert!(matches!(refused(&bad, &chunks), SnapshotError::Manifest(_)));
    for trust_chunks in [0, 2, 99] {
        let mut bad = manifest.clone();
        bad.trust_chunks = trust_chunks;
        refused(&bad, &chunks);
    }
    // A header with another state, signed by nobody; one signed by too few; one of another height.
    let mut bad = manifest.clone();
    bad.signed.header.time_ms.0 += 1;
    assert!(matches!(refused(&bad, &chunks), SnapshotError::Light(_)));
    let mut bad = manifest.clone();
    bad.signed.certificate.signatures.truncate(3);
    assert!(matches!(refused(&bad, &chunks), SnapshotError::Light(_)));
    let mut bad = manifest.clone();
    bad.signed = ledger.signed_header(Height(at.0 - 1)).unwrap().unwrap();
    assert!(matches!(refused(&bad, &chunks), SnapshotError::Manifest(_)));
    bad.roots = ledger.roots(Height(at.0 - 1)).unwrap();
    assert!(matches!(refused(&bad, &chunks), SnapshotError::Root { .. }));
    // Header and certificate of the right height, by validators that were replaced.
    let mut bad = manifest.clone();
    bad.signed = signed_by_the_first(&ledger, &ring, &manifest.signed);
    assert!(matches!(refused(&bad, &chunks), SnapshotError::Light(_)));

    // Another chain's genesis file.
    let other = seated(&[1, 1, 1, 2]);
    let error = import(MemoryStore::new(), &other, &manifest, &chunks).unwrap_err();
    assert!(matches!(error, SnapshotError::Manifest(_)));
    import(MemoryStore::new(), genesis, &manifest, &chunks).unwrap();
}

/// The same header under the validators of the genesis file.
fn signed_by_the_first(
    ledger: &Ledger<MemoryStore>,
    ring: &Keyring,
    signed: &SignedHeader,
) -> SignedHeader {
    let set = ledger.genesis().validator_set();
    let mut header = signed.header;
    header.validators_hash = set.hash();
    let value = header.hash();
    let signatures = set.validators().iter().map(|v| {
        let key = ring.get(&v.key);
        let chain = ledger.chain_id();
        let vote =
            zkbureau_ledger::block::sign_vote(chain, header.height, 0, &value, v.agency, key);
        (v.agency, vote)
    });
    let certificate = Certificate {
        height: header.height,
        round: 0,
        value,
        signatures: signatures.collect(),
    };
    SignedHeader {
        header,
        certificate,
    }
}

#[test]
fn an_interrupted_import_starts_again() {
    let (ledger, ring) = history(MemoryStore::new());
    let genesis = ledger.genesis();
    let (manifest, chunks) = export(&ledger, ledger.tip().height);
    let dir = tempfile::tempdir().unwrap();
    let open = || Arc::new(RocksStore::open(dir.path().join("ledger")).unwrap());
    for stop in 0..chunks.len() as u32 {
        let seen = Cell::new(0);
        let error = Ledger::import_snapshot(open(), genesis, &manifest, |number| {
            seen.set(number);
            if number == stop {
                return Err(io::ErrorKind::Interrupted.into());
            }
            Ok(chunks[number as usize].clone())
        })
        .unwrap_err();
        assert!(matches!(error, SnapshotError::Io(_)));
        assert_eq!(seen.get(), stop);
        assert!(matches!(
            Ledger::open(open(), genesis),
            Err(LedgerError::ImportUnfinished)
        ));
    }
    let copy = import(open(), genesis, &manifest, &chunks).unwrap();
    copy.check_everything().unwrap();
    go_on(&ledger, &copy, &ring);
    drop(copy);
    // A store with a ledger in it is left alone.
    assert!(matches!(
        import(open(), genesis, &manifest, &chunks),
        Err(SnapshotError::NotEmpty)
    ));
    assert_eq!(Ledger::open(open(), genesis).unwrap().tip(), ledger.tip());
    let fresh = Arc::new(MemoryStore::new());
    Ledger::open(fresh.clone(), genesis).unwrap();
    assert!(matches!(
        import(fresh, genesis, &manifest, &chunks),
        Err(SnapshotError::NotEmpty)
    ));
}

#[test]
fn many_chunks() {
    // More records than fit into one chunk, and a log longer than a page of anything.
    let ledger = Ledger::open(MemoryStore::new(), &seated(&[1, 1, 1, 1])).unwrap();
    let ring = Keyring::new();
    let chain = *ledger.chain_id();
    let rows = |from: u64| -> Vec<Row> {
        (from..from + 500)
            .map(|n| row(n, "2024-08", 1, 1))
            .collect()
    };
    for number in 1..=24 {
        let rows = rows((number - 1) * 500);
        ring.step(&ledger, &[batch(&chain, ONE, number, "2024-08", &rows)]);
    }
    for number in 25..=60 {
        let rows = [row(7, "2024-08", number as i64, 1)];
        ring.step(&ledger, &[batch(&chain, ONE, number, "2024-08", &rows)]);
    }
    let at = ledger.tip().height;
    let (manifest, chunks) = export(&ledger, at);
    assert!(chunks.len() >= 2, "{}", chunks.len());
    assert_eq!(manifest.trust_chunks, 0);
    let store = Arc::new(MemoryStore::new());
    let copy = import(store.clone(), ledger.genesis(), &manifest, &chunks).unwrap();
    assert_eq!(copy.tip(), ledger.tip());
    copy.check_everything().unwrap();
    assert_eq!(copy.log(at, ONE, &Index(index(7))).unwrap().len(), 37);
    // Nodes: the imported tree has exactly those that the height needs.
    let count = |tables: &zkbureau_ledger::store::Tables, table| {
        tables.keys().filter(|(t, _)| *t == table).count()
    };
    assert_eq!(count(&store.snapshot(), Table::Stale), 0);
    assert_eq!(count(&store.snapshot(), Table::Log), 36);
    let time = TimeMs(ledger.tip().time_ms.0 + 1000);
    let next = [batch(&chain, ONE, 61, "2024-08", &rows(11_900))];
    let proposal = copy.propose(ONE, time, checked(&copy, &next)).unwrap();
    ring.step(&ledger, &next);
    assert_eq!(proposal.executed.hash(), ledger.tip().hash);
}
