//! Batches: in order, provable, one subject once in each.

use std::collections::HashSet;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use zkbureau_circuits::commitment::CommitmentKey;
use zkbureau_circuits::directory::vrf_input;
use zkbureau_circuits::encoding::PointBytes;
use zkbureau_circuits::range_batch::{Statement, verify};
use zkbureau_circuits::schema::Class;
use zkbureau_prover::{
    NothingPublished, Options, PreparedBatch, PublishError, Quiet, Subjects, Target,
};

use crate::common::{
    CHAIN, HEADER, KEY, MAX_BATCH, MemoryVault, SCHEMA, VRF, file, period, plan_with,
};

/// 40 people, some with two accounts, in three months.
fn three_months() -> String {
    let mut text = HEADER.to_owned();
    for month in [6, 4, 5] {
        for person in 0..40 {
            for account in 0..=person % 2 {
                text.push_str(&format!(
                    "C{person}-{account},P{person},2005-0{month},{},{},{},{}\n",
                    person * 100 - 500,
                    5000,
                    person % 5 - 1,
                    month * 10,
                ));
            }
        }
    }
    text
}

/// The verifier's view of a batch, with nothing but its public parts.
fn check(batch: &PreparedBatch, vault: &MemoryVault) {
    let points = |of: fn(&zkbureau_prover::PublicEntry) -> PointBytes| -> Vec<PointBytes> {
        batch.entries.iter().map(of).collect()
    };
    let statement = Statement {
        chain: &CHAIN,
        agency: 3,
        batch: batch.number,
        body: &vault.body_hash(batch.number, batch.closes, &batch.entries),
        stocks: &points(|e| e.stocks),
        flows: &points(|e| e.flows),
    };
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    verify(KEY.verifying(), &statement, &batch.argument, &mut rng).expect("a valid batch");
    let other = Statement {
        batch: batch.number + 1,
        ..statement
    };
    assert!(verify(KEY.verifying(), &other, &batch.argument, &mut rng).is_err());
}

#[test]
fn a_file_becomes_batches_that_verify() {
    let mut vault = MemoryVault::default();
    let summary = vault.import(&three_months(), false);
    assert_eq!((summary.records, summary.new_subjects), (120, 40));
    assert_eq!(summary.batches, vault.batches.len() as u64);
    let key = CommitmentKey::new(&SCHEMA);
    let mut salts = HashSet::new();
    let mut blindings = HashSet::new();
    for (i, batch) in vault.batches.iter().enumerate() {
        assert_eq!(batch.number, i as u64 + 1);
        assert!((1..=MAX_BATCH).contains(&batch.entries.len()));
        assert!(batch.entries.windows(2).all(|w| w[0].index < w[1].index));
        check(batch, &vault);
        for (entry, kept) in batch.entries.iter().zip(&batch.kept) {
            assert_eq!(entry.index, VRF.index(&vrf_input(&CHAIN, &kept.subject)));
            for (class, blinding, point) in [
                (Class::Stock, kept.blindings.stocks, entry.stocks),
                (Class::Flow, kept.blindings.flows, entry.flows),
            ] {
                let opening = kept.record.opening(&SCHEMA, class, blinding);
                let committed = key.commit(class, &opening).expect("same class");
                assert_eq!(PointBytes::from(committed), point);
                assert!(
                    blindings.insert(blinding.to_bytes()),
                    "no blinding serves twice"
                );
            }
            salts.insert((
                entry.index,
                borsh::to_vec(&kept.known.salt).expect("memory"),
            ));
        }
    }
    // One salt per person, over all batches.
    assert_eq!(salts.len(), 40);
}

#[test]
fn order_depends_on_content_only() {
    let text = three_months();
    let (header, rows) = text.split_once('\n').expect("a header");
    let mut lines: Vec<&str> = rows.lines().collect();
    lines.reverse();
    let reversed = format!("{header}\n{}\n", lines.join("\n"));
    let mut a = MemoryVault::default();
    let mut b = MemoryVault::default();
    a.import(&text, false);
    b.import(&reversed, false);
    let order = |v: &MemoryVault| -> Vec<Vec<_>> {
        v.batches
            .iter()
            .map(|batch| {
                batch
                    .entries
                    .iter()
                    .map(|e| (e.index, e.effective_period))
                    .collect()
            })
            .collect()
    };
    assert_eq!(order(&a), order(&b));
}

#[test]
fn the_sinks_error_stops_everything_after_it() {
    let vault = MemoryVault::default();
    let plan = plan_with(&three_months(), Options::default(), &vault).expect("a usable file");
    let mut seen = Vec::new();
    let target = Target {
        closes: true,
        first_batch: 7,
        ..vault.target(10)
    };
    let error = plan
        .publish(
            &target,
            &vault,
            false,
            &mut ChaCha20Rng::seed_from_u64(1),
            |batch| {
                seen.push(batch.number);
                if batch.number == 9 {
                    return Err("the disk is full");
                }
                vault.store(&batch);
                Ok(())
            },
            &Quiet,
        )
        .expect_err("the sink failed");
    assert_eq!(error.to_string(), "batch 9: the disk is full");
    assert_eq!(seen, [7, 8, 9]);

    // What was stored is not published again; the rest is.
    let plan = plan_with(&three_months(), Options::default(), &vault).expect("a usable file");
    assert_eq!((plan.report().unchanged, plan.report().records), (20, 100));
}

#[test]
fn limits_are_checked_before_anything_is_prepared() {
    let mut vault = MemoryVault::default();
    let plan = |lines: &[&str]| {
        plan_with(&file(lines), Options::default(), &NothingPublished).expect("a usable file")
    };
    for got in [0, MAX_BATCH + 1] {
        let refused = vault.publish(plan(&["C1,P1,2005-09,1,1,0,0"]), got, false);
        assert!(matches!(refused, Err(PublishError::BatchRecords { .. })));
    }
    let refused = vault.publish(plan(&["C1,P1,2005-10,1,1,0,0"]), 1, false);
    let Err(PublishError::AfterReport { period: p, .. }) = refused else {
        panic!("published a record of the future");
    };
    assert_eq!(p, period("2005-10"));
    assert!(vault.batches.is_empty());
}
