//! A new version of the schema, over vaults that have records of the one before.

use zkbureau_agency_node::agency::ImportError;
use zkbureau_circuits::commitment::CommitmentKey;
use zkbureau_circuits::encoding::PointBytes;
use zkbureau_circuits::fact::Verdict;
use zkbureau_circuits::schema::Class;
use zkbureau_ledger::transaction::Change;

use super::ask::{Asking, Plan, Wallet};
use super::audits::{fetch, request, verified};
use super::lender::{ask_all, people, people_at_one, verdicts};
use super::reports::report;
use super::world::{Fate, World, appended, crowd, person, row};

fn new_schema(world: &World) {
    world.chain.adopt(vec![Change::NewSchema(appended())]);
    world.tell_all();
}

#[test]
fn old_records_stay_readable_and_new_ones_follow_the_new_version() {
    let world = World::new(2);
    people(&world);
    let wallet = Wallet::new(&world, &person("ann"));
    let facts = ["total(balance) <= 1350", "total(payments, 3m) == 1290"];
    let before = Asking::new(&world, &wallet, &Plan::new(&world, &facts));
    new_schema(&world);

    // Asked before, answered after: under the schema of the inquiry's height.
    let answers = ask_all(&before);
    assert_eq!(verdicts(&before, &answers), [Verdict::True; 2]);
    // Asked after: old records read as before, with zeros for what was appended.
    let facts = [
        "total(balance) == 1350",
        "total(payments, 3m) == 1290",
        "total(fees, 3m) == 0",
        "total(accounts) == 0",
    ];
    let asking = Asking::new(&world, &wallet, &Plan::new(&world, &facts));
    assert_eq!(verdicts(&asking, &ask_all(&asking)), [Verdict::True; 4]);
    drop((asking, before));
    for id in [1, 2] {
        world.is_clean(id);
    }

    // A correction replaces stocks of the old version by some of the new one.
    let late = row("a1", "ANN", "2024-03", 70, 0, 17);
    world.import(1, "2024-04", &late, &[], true).unwrap();
    world.tell_all();
    let world = world.restart();
    for id in [1, 2] {
        world.is_clean(id);
    }
    let facts = [
        "total(balance) == 1320",
        "total(payments, 3m) == 1297",
        "total(fees, 3m) == 17",
        "total(accounts) == 1",
    ];
    let asking = Asking::new(&world, &wallet, &Plan::new(&world, &facts));
    assert_eq!(verdicts(&asking, &ask_all(&asking)), [Verdict::True; 4]);

    // The person's own report opens every entry, all under the version in force.
    let report = report(&world, 1, "ann");
    let key = CommitmentKey::new(&appended());
    let log = report.log.unwrap();
    assert_eq!((log.entries.len(), report.openings.len()), (4, 4));
    for (entry, opening) in log.entries.iter().zip(&report.openings) {
        let stocks = key.commit(Class::Stock, &opening.stocks).unwrap();
        let flows = key.commit(Class::Flow, &opening.flows).unwrap();
        assert_eq!(PointBytes::from(stocks), entry.stocks);
        assert_eq!(PointBytes::from(flows), entry.flows);
    }
    assert_eq!(report.openings[0].flows.encoded(), [30, 2, 0]);
    assert_eq!(report.openings[3].flows.encoded(), [7, 0, 17]);
}

#[test]
fn batches_around_the_change_are_taken_back_and_made_again() {
    let world = World::new(1);
    people_at_one(&world);
    // One that the change overtakes: the ledger refuses its bytes from then on.
    let rows = row("a1", "ANN", "2024-04", 40, 0, 4);
    let lost = world.import(1, "2024-04", &rows, &[Fate::LostBefore], false);
    assert!(matches!(lost, Err(ImportError::Publish(_))));
    new_schema(&world);
    let refused = world.import(1, "2024-04", &rows, &[], false);
    assert!(matches!(refused, Err(ImportError::Reconcile(_))));
    world.is_clean(1);
    // One under the new version that is refused: the column is again as it was.
    let refused = world.import(1, "2024-04", &rows, &[Fate::Refused], false);
    assert!(matches!(refused, Err(ImportError::Publish(_))));
    world.is_clean(1);
    world.publish(1, "2024-04", &rows);
    world.is_clean(1);
    // A row of before with nothing in what was appended is the row that was published.
    let same = world.import(
        1,
        "2024-04",
        &row("a1", "ANN", "2024-03", 100, 0, 10),
        &[],
        false,
    );
    let report = same.unwrap().report;
    assert_eq!(
        (report.unchanged, report.reject_count),
        (0, 1),
        "a fee and an account more"
    );
}

#[test]
fn audits_before_and_after_the_change_are_answered() {
    for overtaken in [true, false] {
        let world = World::new(1);
        world.publish(1, "2024-03", &crowd(20, "2024-03"));
        if !overtaken {
            new_schema(&world);
        }
        let request = request(&world);
        let block = world.chain.block(vec![request.clone().into()]).unwrap();
        if overtaken {
            // The agency hears of the audit when there is another schema already.
            world.chain.adopt(vec![Change::NewSchema(appended())]);
        }
        let world = world.restart();
        world.block(Vec::new());
        let answer = fetch(&world, request.id(), &world.auditor).unwrap();
        let totals = verified(&world, &answer, block.header.height);
        assert_eq!(totals, [7 * 190, 11 * 190, 20]);
    }
}
