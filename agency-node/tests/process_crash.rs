//! Real nodes that die at bad moments. Afterwards: the node starts, the same file is imported
//! again, and leaves, records and totals are exactly those of plain arithmetic on the file; every
//! commitment of the vaults is recomputed and stands on the ledger.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use support::people::{self, Expected, Random};
use support::{Net, Node, assert_success};
use zkbureau_agency_node::vault::{Vault, VaultKey};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::schema::Class;
use zkbureau_ledger::{Genesis, Ledger, RocksStore};

/// People in a file of three periods: three batches.
const PEOPLE: u64 = 150;
const AGENCY: AgencyId = AgencyId(1);
/// The last period of the files.
const PERIOD: &str = "2024-03";

fn net_with_file(seed: u64) -> (Net, PathBuf, Expected) {
    let net = Net::new(1);
    let (text, expected) = people::file(PEOPLE, seed);
    let file = net.write("all.csv", &text);
    (net, file, expected)
}

fn genesis(net: &Net) -> Genesis {
    let genesis = std::fs::read(net.data().join("genesis.json")).unwrap();
    Genesis::from_json(&genesis).unwrap()
}

/// The vault of a stopped node.
fn open_vault(net: &Net) -> Vault {
    let key = VaultKey::from_key_file(&net.data().join("vault.key")).unwrap();
    let path = net.data().join("agency-1").join("vault");
    Vault::open(&path, &key, &genesis(net).chain_id(), AGENCY).unwrap()
}

/// What the ledger of a stopped node has.
fn batches_on_ledger(net: &Net) -> u64 {
    let store = RocksStore::open(net.data().join("ledger")).unwrap();
    let ledger = Ledger::open(store, &genesis(net)).unwrap();
    let column = ledger.column(ledger.tip().height, AGENCY).unwrap();
    column.batches
}

/// Sums over the agency's records, read from the vault's openings of its columns.
fn totals(net: &Net) -> Expected {
    let genesis = genesis(net);
    let vault = open_vault(net);
    let progress = vault.progress();
    let column = vault.column(progress.prepared).unwrap().unwrap();
    let schema = &genesis.schema;
    let real = |class: Class, at: usize, records: u64| {
        let position = schema.positions(class).nth(at).unwrap();
        let encoded = i64::try_from(column.opening(class).encoded()[at]).unwrap();
        encoded + schema.attributes()[position].min * i64::try_from(records).unwrap()
    };
    assert_eq!(real(Class::Stock, 0, 0), column.leaves as i64, "present");
    Expected {
        leaves: column.leaves,
        records: progress.entries,
        balance: real(Class::Stock, 1, column.leaves),
        arrears: real(Class::Stock, 2, column.leaves),
        payments: real(Class::Flow, 0, 0),
        statements: real(Class::Flow, 1, 0),
    }
}

/// Starts the node, imports the file again, and compares everything with plain arithmetic.
fn recover(net: &Net, file: &Path, expected: &Expected) {
    let node = net.start();
    let result = net.import(1, file, PERIOD);
    assert_eq!(result["leaves"], expected.leaves);
    let again = net.import(1, file, PERIOD);
    assert_eq!(again["report"]["unchanged"], expected.records, "{again}");
    let status = net.status();
    assert_eq!(status["agencies"][0]["leaves"], expected.leaves);
    assert_eq!(status["agencies"][0]["records"], expected.records);
    assert_eq!(status["vaults"][0]["pending"], 0);
    let checked = net.verify();
    assert_eq!(checked["vaults"][0]["entries"], expected.records);
    assert!(node.stop().success());
    assert_eq!(totals(net), *expected);
    net.verify();
}

/// Imports at a node with an armed failpoint: both the node and the command end.
fn import_and_die(net: &Net, node: Node, file: &Path) {
    let output = net.import_command(1, file, PERIOD, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "the import cannot succeed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("node stopped before it was done"), "{said}");
    node.wait_abort();
}

#[test]
fn an_undisturbed_run_is_what_the_others_are_compared_with() {
    let (net, file, expected) = net_with_file(1);
    recover(&net, &file, &expected);
}

#[test]
fn death_at_every_failpoint() {
    // The number is the batch or block at which the node dies. There are three batches; the first
    // block of a chain is empty.
    for failpoint in [
        "before-vault:1",
        "before-vault:3",
        "vault-written:1",
        "vault-written:2",
        "before-final:1",
        "before-final:3",
        "before-block-write:2",
        "before-block-write:3",
        "after-block-write:2",
        "after-block-write:4",
    ] {
        eprintln!("failpoint {failpoint}");
        let (net, file, expected) = net_with_file(2);
        let node = net.start_failing(failpoint).expect("nothing to do yet");
        import_and_die(&net, node, &file);
        recover(&net, &file, &expected);
    }
}

#[test]
fn death_again_while_recovering() {
    let (net, file, expected) = net_with_file(3);
    let node = net
        .start_failing("vault-written:2")
        .expect("nothing to do yet");
    import_and_die(&net, node, &file);
    // The next start submits the batch again, and dies before and after its block.
    for failpoint in ["before-block-write", "after-block-write"] {
        let (status, log) = net.start_failing(failpoint).err().expect("it dies");
        assert!(log.contains(failpoint), "{status}: {log}");
    }
    recover(&net, &file, &expected);
}

#[test]
fn death_at_any_moment() {
    let (net, file, expected) = net_with_file(4);
    let mut random = Random(4);
    for round in 0..8 {
        let node = net.start();
        let mut import = net
            .import_command(1, &file, PERIOD, &[])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let delay = Duration::from_millis(random.below(40 << (round / 2)));
        std::thread::sleep(delay);
        node.kill();
        import.wait().unwrap();
    }
    recover(&net, &file, &expected);
}

#[test]
fn the_ledger_loses_the_end_of_its_log() {
    for cut in [1, 30, 700, 5_000, 40_000] {
        eprintln!("cut {cut}");
        let (net, file, expected) = net_with_file(5);
        let node = net.start();
        net.import(1, &file, PERIOD);
        node.kill();
        assert!(net.cut_log("ledger", cut) > 0);
        let left = batches_on_ledger(&net);
        assert!(left < 3, "nothing was lost");
        eprintln!("{left} batches left");
        recover(&net, &file, &expected);
    }
}

#[test]
fn a_vault_loses_the_end_of_its_log() {
    // The last batch is in the vault's log and nowhere else.
    for cut in [1, 30, 700, 5_000] {
        eprintln!("cut {cut}");
        let (net, file, expected) = net_with_file(6);
        let node = net
            .start_failing("vault-written:2")
            .expect("nothing to do yet");
        import_and_die(&net, node, &file);
        assert!(net.cut_log("agency-1/vault", cut) > 0);
        assert_eq!(
            open_vault(&net).progress().prepared,
            1,
            "the second is lost"
        );
        recover(&net, &file, &expected);
    }
}

#[test]
fn ledger_and_vault_both_lose_a_few_bytes() {
    let (net, file, expected) = net_with_file(7);
    let node = net.start();
    net.import(1, &file, PERIOD);
    node.kill();
    net.cut_log("ledger", 300);
    net.cut_log("agency-1/vault", 20);
    recover(&net, &file, &expected);
}

#[test]
fn a_vault_that_lost_what_is_published_is_noticed() {
    let (net, file, _) = net_with_file(8);
    // The ledger has the third batch, the vault has it at the end of its log.
    let node = net
        .start_failing("after-block-write:4")
        .expect("nothing to do yet");
    import_and_die(&net, node, &file);
    net.cut_log("agency-1/vault", 2_000);
    let (status, log) = net.start_with(&[], None).err().expect("refused");
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("this vault is an old copy"), "{log}");
    // Looking does not need a running node, and says so too.
    let output = net.run(&["vault", "verify"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn stopping_in_the_middle_of_an_import() {
    let (net, file, expected) = net_with_file(9);
    let node = net.start();
    let mut import = net
        .import_command(1, &file, PERIOD, &[])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(60));
    assert!(node.stop().success());
    import.wait().unwrap();
    recover(&net, &file, &expected);
    assert_success(&net.run(&["vault", "verify"]));
}
