//! Publishing, and every way in which it can be interrupted.

use zkbureau_agency_node::agency::{ImportError, PublishError, Reconciled};
use zkbureau_agency_node::vault::{KEPT_BATCHES, KEPT_BLOCKS};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::genesis::Policies;
use zkbureau_prover::PublishError as PipelineError;

use super::world::{Fate, Line, World, crowd, row};

const MONTH: &str = "2024-03";

fn on_ledger(world: &World) -> (u64, u64) {
    let ledger = world.chain.ledger();
    let column = ledger.column(ledger.tip().height, AgencyId(1)).unwrap();
    (column.batches, column.records)
}

fn stopped(result: Result<impl std::fmt::Debug, ImportError>) -> PublishError {
    match result.expect_err("must stop") {
        ImportError::Publish(PipelineError::Sink { error, .. }) | ImportError::Reconcile(error) => {
            error
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_file_again_changes_nothing() {
    let world = World::new(1);
    let rows = crowd(20, MONTH);
    let first = world.import(1, MONTH, &rows, &[], false).unwrap();
    let summary = first.summary.unwrap();
    assert_eq!(
        (summary.batches, summary.records, summary.new_subjects),
        (3, 20, 20)
    );
    world.is_clean(1);
    let again = world.import(1, MONTH, &rows, &[], false).unwrap();
    assert_eq!((again.report.records, again.report.unchanged), (0, 20));
    assert!(again.summary.is_none());
    assert_eq!(on_ledger(&world), (3, 20));
    let status = world.agency(1).status();
    assert_eq!(
        (status.subjects, status.entries, status.pending),
        (20, 20, 0)
    );
}

#[test]
fn a_crash_between_vault_and_submit_loses_nothing() {
    let world = World::new(1);
    let rows = crowd(20, MONTH);
    // The second batch is durable, then the process is gone.
    let error = stopped(world.import(1, MONTH, &rows, &[Fate::Final, Fate::LostBefore], false));
    assert!(
        matches!(error, PublishError::Unavailable { number: 2, .. }),
        "{error}"
    );
    let world = world.restart();
    assert_eq!(world.agency(1).status().pending, 1);
    assert_eq!(on_ledger(&world), (1, 8));
    let line = Line::new(&world.chain, &[]);
    let done = world.agency(1).reconcile(&line).unwrap();
    assert_eq!(
        done,
        Reconciled {
            marked_final: 0,
            resubmitted: 1
        }
    );
    assert_eq!(on_ledger(&world), (2, 16));
    // The file again imports exactly the rest.
    let rest = world.import(1, MONTH, &rows, &[], false).unwrap();
    assert_eq!((rest.report.records, rest.report.unchanged), (4, 16));
    assert_eq!(on_ledger(&world), (3, 20));
    world.is_clean(1);
}

#[test]
fn a_crash_after_the_block_doubles_nothing() {
    let world = World::new(1);
    let rows = crowd(20, MONTH);
    let error = stopped(world.import(1, MONTH, &rows, &[Fate::LostAfter], false));
    assert!(
        matches!(error, PublishError::Unavailable { number: 1, .. }),
        "{error}"
    );
    assert_eq!(on_ledger(&world), (1, 8));
    let world = world.restart();
    // The import itself reconciles first.
    let rest = world.import(1, MONTH, &rows, &[], false).unwrap();
    assert_eq!(
        rest.reconciled,
        Reconciled {
            marked_final: 1,
            resubmitted: 0
        }
    );
    assert_eq!((rest.report.records, rest.report.unchanged), (12, 8));
    assert_eq!(on_ledger(&world), (3, 20));
    world.is_clean(1);
}

#[test]
fn a_refused_batch_leaves_the_vault_as_it_was() {
    let world = World::new(1);
    world.publish(1, "2024-02", &crowd(5, "2024-02"));
    let before = world.agency(1).status();
    let mut rows = crowd(8, MONTH);
    rows += &crowd(20, MONTH)
        .lines()
        .skip(8)
        .map(|l| format!("{l}\n"))
        .collect::<String>();
    let error = stopped(world.import(1, MONTH, &rows, &[Fate::Refused], false));
    assert!(
        matches!(error, PublishError::Refused { number: 2, .. }),
        "{error}"
    );
    let after = world.agency(1).status();
    assert_eq!(
        (
            before.subjects,
            before.entries,
            before.prepared,
            after.pending
        ),
        (after.subjects, after.entries, after.prepared, 0)
    );
    world.is_clean(1);
    let whole = world.import(1, MONTH, &rows, &[], false).unwrap();
    assert_eq!((whole.report.records, whole.report.unchanged), (20, 0));
    world.is_clean(1);
}

#[test]
fn a_refused_correction_restores_what_was_kept() {
    let world = World::new(1);
    let rows = row("a", "ANN", MONTH, 100, 0, 10);
    let changed = row("a", "ANN", MONTH, 120, 0, 10);
    world.publish(1, MONTH, &rows);
    let error = stopped(world.import(1, MONTH, &changed, &[Fate::Refused], true));
    assert!(matches!(error, PublishError::Refused { .. }));
    // The first version is still the published one.
    let again = world.import(1, MONTH, &rows, &[], false).unwrap();
    assert_eq!(again.report.unchanged, 1);
    let corrected = world.import(1, MONTH, &changed, &[], true).unwrap();
    assert_eq!(corrected.report.corrected, 1);
    world.is_clean(1);
}

#[test]
fn a_ledger_that_lost_its_end_gets_the_same_batches_again() {
    let world = World::new(1);
    let rows = crowd(20, MONTH);
    world.publish(1, MONTH, &rows);
    let before: Vec<_> = hashes(&world);
    assert_eq!(before.len(), 3);
    world.chain.lose_blocks(2);
    let world = world.restart();
    assert_eq!(on_ledger(&world), (1, 8));
    let done = world
        .agency(1)
        .reconcile(&Line::new(&world.chain, &[]))
        .unwrap();
    assert_eq!(
        done,
        Reconciled {
            marked_final: 0,
            resubmitted: 2
        }
    );
    assert_eq!(hashes(&world), before, "the same bytes");
    let again = world.import(1, MONTH, &rows, &[], false).unwrap();
    assert_eq!(again.report.unchanged, 20);
    world.is_clean(1);
}

#[test]
fn batches_that_are_refused_after_a_loss_are_rolled_back_together() {
    let world = World::new(1);
    let rows = crowd(20, MONTH);
    world.publish(1, MONTH, &rows);
    world.chain.lose_blocks(2);
    let world = world.restart();
    let refusing = Line::new(&world.chain, &[Fate::Refused]);
    let error = world.agency(1).reconcile(&refusing).unwrap_err();
    assert!(
        matches!(error, PublishError::Refused { number: 2, .. }),
        "{error}"
    );
    let status = world.agency(1).status();
    assert_eq!(
        (status.prepared, status.last_final, status.entries),
        (1, 1, 8)
    );
    world.is_clean(1);
    let rest = world.import(1, MONTH, &rows, &[], false).unwrap();
    assert_eq!((rest.report.records, rest.report.unchanged), (12, 8));
    assert_eq!(on_ledger(&world), (3, 20));
    world.is_clean(1);
}

#[test]
fn bytes_are_kept_while_the_ledger_may_lose_its_end() {
    let world = World::new(1);
    let batches = KEPT_BATCHES + 2;
    for balance in 0..batches {
        let row = row("a", "ANN", MONTH, i64::try_from(balance).unwrap(), 0, 10);
        world.import(1, MONTH, &row, &[], balance > 0).unwrap();
        world.tell_all();
    }
    let kept = |world: World| -> (World, Vec<bool>) {
        let world = world.stop();
        let vault = world.open_vault(1);
        let kept = (1..=batches).map(|n| vault.outbox(n).unwrap().is_some());
        let kept = kept.collect();
        drop(vault);
        (world.start(), kept)
    };
    let (world, all) = kept(world);
    assert!(all.iter().all(|kept| *kept), "none is deep enough");
    for _ in 0..KEPT_BLOCKS {
        world.block(Vec::new());
    }
    let (world, all) = kept(world);
    assert_eq!(all.iter().filter(|kept| !**kept).count(), 2);
    assert!(!all[0] && !all[1]);
    world.is_clean(1);
    // A ledger that has lost no more than that gets its batches again ...
    let blocks = world.chain.blocks.lock().unwrap().len();
    world.chain.lose_blocks(blocks - 2);
    let world = world.stop().start();
    let line = Line::new(&world.chain, &[]);
    let done = world.agency(1).reconcile(&line).unwrap();
    assert_eq!(done.resubmitted, KEPT_BATCHES);
    world.is_clean(1);
    // ... and one that has lost everything does not.
    let blocks = world.chain.blocks.lock().unwrap().len();
    world.chain.lose_blocks(blocks);
    let world = world.stop().start();
    let line = Line::new(&world.chain, &[]);
    let error = world.agency(1).reconcile(&line).unwrap_err();
    assert!(
        matches!(error, PublishError::OutboxGone { number: 1 }),
        "{error}"
    );
    assert_eq!(*line.submitted.lock().unwrap(), 0);
}

#[test]
fn thousands_of_records_are_stored_quickly() {
    let world = World::with_policies(1, Policies::default());
    let people = 8192;
    let import = |month: &str| {
        let rows = crowd(people, month);
        let start = std::time::Instant::now();
        let summary = world
            .import(1, month, &rows, &[], false)
            .unwrap()
            .summary
            .unwrap();
        world.tell_all();
        assert_eq!(summary.records, u64::from(people));
        let proving = summary.timings.directory + summary.timings.commit + summary.timings.prove;
        println!(
            "{month}: {people} records in {:?}, proving {proving:?}",
            start.elapsed()
        );
    };
    import("2024-01");
    import("2024-02");
    let start = std::time::Instant::now();
    world.is_clean(1);
    println!("32,768 commitments recomputed in {:?}", start.elapsed());
}

fn hashes(world: &World) -> Vec<zkbureau_ledger::TxHash> {
    let blocks = world.chain.blocks.lock().unwrap();
    blocks
        .iter()
        .flat_map(|(block, _)| block.transactions.iter().map(|t| t.hash()))
        .collect()
}

#[test]
fn an_old_copy_of_the_vault_does_not_publish() {
    let world = World::new(1);
    world.publish(1, "2024-02", &crowd(5, "2024-02"));
    let world = world.stop();
    let (path, copy) = (world.vault_path(1), world.dir.path().join("copy"));
    copy_dir(&path, &copy);
    let world = world.start();
    world.publish(1, MONTH, &crowd(5, MONTH));
    let world = world.stop();
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::rename(&copy, &path).unwrap();
    let world = world.start();
    let error = stopped(world.import(1, "2024-04", &crowd(5, "2024-04"), &[], false));
    assert!(
        matches!(
            error,
            PublishError::VaultBehind {
                ledger: 2,
                vault: 1
            }
        ),
        "{error}"
    );
    assert_eq!(on_ledger(&world), (2, 10));
}

#[test]
fn two_copies_that_published_are_told_apart() {
    let world = World::new(1).stop();
    let (path, copy) = (world.vault_path(1), world.dir.path().join("copy"));
    let first = world.dir.path().join("first");
    copy_dir(&path, &copy);
    let world = world.start();
    let rows = crowd(5, MONTH);
    stopped(world.import(1, MONTH, &rows, &[Fate::LostBefore], false));
    let world = world.stop();
    // The copy publishes its own batch 1; then the first vault comes back with another.
    std::fs::rename(&path, &first).unwrap();
    std::fs::rename(&copy, &path).unwrap();
    let world = world.start();
    world.publish(1, MONTH, &rows);
    let world = world.stop();
    std::fs::rename(&path, &copy).unwrap();
    std::fs::rename(&first, &path).unwrap();
    let world = world.start();
    let error = stopped(world.import(1, MONTH, &rows, &[], false));
    assert!(
        matches!(error, PublishError::Diverged { number: 1 }),
        "{error}"
    );
}

#[test]
fn rejects_hold_everything_back() {
    let world = World::new(1);
    let mut rows = crowd(5, MONTH);
    rows += &row("x", "XENIA", MONTH, 2_000_000, 0, 0);
    let outcome = world.import(1, MONTH, &rows, &[], false).unwrap();
    assert_eq!(outcome.report.reject_count, 1);
    assert!(outcome.summary.is_none());
    assert_eq!(world.agency(1).status().prepared, 0);
    assert_eq!(on_ledger(&world), (0, 0));
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
