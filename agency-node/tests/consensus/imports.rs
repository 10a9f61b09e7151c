//! Large blocks: agencies import at the same time, and every node checks everything.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand_core::OsRng;
use zkbureau_agency_node::agency::{ImportError, ImportJob, Submitter};
use zkbureau_agency_node::node::{Node, Submission};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_prover::{Mapping, Quiet};

use crate::cluster::{Cluster, schema};

const MAP: &str = r#"
account = "account"

[subject]
column = "subject"
id_type = "person"

[period]
column = "period"

[attributes.balance]
column = "balance"

[attributes.payments]
column = "payment"
"#;

/// People of each agency.
const PEOPLE: u32 = 6_000;

/// Imports a file of so many people.
pub fn import(
    node: &Arc<Node>,
    agency: u32,
    people: u32,
    directory: &std::path::Path,
    submitter: &dyn Submitter,
) -> Result<u64, ImportError> {
    let mut text = "account,subject,period,balance,payment\n".to_owned();
    for i in 0..people {
        let (balance, payment) = (i % 1_000, i * 7 % 1_000);
        writeln!(text, "A{i},P{agency}-{i:05},2025-01,{balance},{payment}").unwrap();
    }
    let mapping = Mapping::parse(MAP, &schema()).unwrap();
    let job = ImportJob {
        mapping: &mapping,
        reported_period: "2025-01".parse().unwrap(),
        correct: false,
        allow_rejects: false,
        more_follows: false,
        close: false,
        dry_run: false,
        spill_dir: directory,
    };
    let outcome = node.agencies[&AgencyId(agency)].import(
        text.as_bytes(),
        Some(text.len() as u64),
        &job,
        submitter,
        &Quiet,
        &mut OsRng,
    )?;
    assert_eq!(outcome.report.reject_count, 0);
    Ok(u64::from(people))
}

/// Passes transactions on, as the network does between real nodes.
fn gossip(nodes: Vec<Arc<Node>>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        for (i, from) in nodes.iter().enumerate() {
            let day = Duration::from_secs(86_400);
            let fresh = from.pool().unsent(day, day, 64);
            for checked in fresh {
                for (_, to) in nodes.iter().enumerate().filter(|(j, _)| *j != i) {
                    let _ = to.submit(checked.transaction().clone());
                }
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agencies_import_at_the_same_time() {
    let mut cluster = Cluster::start(4).await;
    let hash = cluster.submit_new().await;
    cluster.finality(hash).await;
    let stop = Arc::new(AtomicBool::new(false));
    let nodes: Vec<_> = cluster.running.values().map(|r| r.node.clone()).collect();
    let passing = std::thread::spawn({
        let stop = stop.clone();
        move || gossip(nodes, stop)
    });
    let start = Instant::now();
    let imports: Vec<_> = [1, 3]
        .into_iter()
        .map(|id| {
            let (node, home) = (cluster.node(id).clone(), cluster.home(id));
            tokio::task::spawn_blocking(move || {
                import(&node, id, PEOPLE, &home, &Submission::new(&node)).unwrap()
            })
        })
        .collect();
    let mut records = 0;
    for import in imports {
        records += import.await.unwrap();
    }
    let took = start.elapsed();
    stop.store(true, Ordering::Relaxed);
    passing.join().unwrap();
    cluster.level().await;
    cluster.agree();
    for id in 1..=4 {
        let meters = cluster.meters(id);
        println!(
            "node {id}: {} blocks, proposed {:?} in {}, executed {:?} in {}, verified {:?} in {}, kept {:?}, wrote {:?}, {} failed rounds",
            meters.blocks(),
            meters.propose.total(),
            meters.propose.count(),
            meters.execute.total(),
            meters.execute.count(),
            meters.verify.total(),
            meters.verify.count(),
            meters.keep.total(),
            meters.write.total(),
            meters.failed_rounds.load(Ordering::Relaxed),
        );
        assert!(meters.faults().is_empty());
    }
    println!("{records} records in {took:?}");
    for id in [1, 3] {
        let agency = cluster.node(id).agencies[&AgencyId(id)].clone();
        let check = agency.verify(&|_| {}).unwrap();
        assert!(check.is_clean(), "{check:?}");
    }
    let largest = (1..=cluster.height(1).0)
        .map(|h| {
            let block = cluster.node(1).ledger.block(zkbureau_ledger::Height(h));
            zkbureau_circuits::encoding::Document::to_bytes(&block.unwrap().unwrap()).len()
        })
        .max();
    println!("largest block: {largest:?} bytes");
    assert!(largest > Some(zkbureau_agency_node::consensus::limits::PART_BYTES));
    cluster.stop_all().await;
}
