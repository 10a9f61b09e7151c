//! The consortium changes while it runs.

use std::time::{Duration, Instant};

use zkbureau_agency_node::node::now;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::transaction::{Change, GovernanceVote, Proposal, SetPower};
use zkbureau_ledger::{Day, Transaction};

use crate::cluster::Cluster;

/// Everybody who has a seat votes for a change of seats.
async fn vote(cluster: &Cluster, voters: &[u32], title: &str, powers: &[(u32, u64)]) {
    let seat = |(agency, power): &(u32, u64)| {
        Change::SetPower(SetPower {
            agency: AgencyId(*agency),
            power: *power,
        })
    };
    let proposal = Proposal {
        title: title.into(),
        expires: Day(now().day().0 + 5),
        changes: powers.iter().map(seat).collect(),
    };
    let chain = cluster.genesis.chain_id();
    let nodes: Vec<u32> = cluster.running.keys().copied().collect();
    for voter in voters {
        let key = cluster.validator_key(*voter);
        let vote = GovernanceVote::sign(&chain, AgencyId(*voter), proposal.clone(), &key);
        let vote = Transaction::GovernanceVote(vote);
        let hash = cluster.submit(&vote, &nodes).await;
        cluster.finality(hash).await;
    }
}

fn seats(cluster: &Cluster, node: u32) -> Vec<u32> {
    let set = cluster.node(node).ledger.consortium().validator_set();
    set.validators().iter().map(|v| v.agency.0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_change_hands_by_vote() {
    let mut cluster = Cluster::new(5, 4);
    for id in 1..=5 {
        cluster.start_node(id).await;
    }
    let hash = cluster.submit_new().await;
    cluster.finality(hash).await;

    // The fifth gets a seat and the first gives its up, in one block.
    vote(&cluster, &[1, 2, 3], "in and out", &[(5, 1), (1, 0)]).await;
    for _ in 0..6 {
        let hash = cluster.submit_new().await;
        cluster.finality(hash).await;
    }
    cluster.level().await;
    for id in 1..=5 {
        assert_eq!(seats(&cluster, id), [2, 3, 4, 5], "node {id}");
    }
    assert!(cluster.meters(5).propose.count() > 0, "it takes its turn");
    cluster.agree();

    // The first is not needed any more, the fifth is: without it and one more nothing goes.
    cluster.stop_node(1).await;
    cluster.stop_node(2).await;
    let hash = cluster.submit_new().await;
    cluster.finality(hash).await;
    cluster.stop_node(3).await;
    let height = cluster.height(5);
    cluster.submit_new().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(cluster.height(5), height);

    // All come back, and follow the change from their own blocks or from others'.
    for id in 1..=3 {
        cluster.start_node(id).await;
    }
    let start = Instant::now();
    let hash = cluster.submit_new().await;
    cluster.finality(hash).await;
    println!("final {:?} after all came back", start.elapsed());
    cluster.level().await;
    cluster.agree();

    // And back again.
    vote(&cluster, &[2, 3, 5], "back", &[(1, 1), (5, 0)]).await;
    for _ in 0..4 {
        let hash = cluster.submit_new().await;
        cluster.finality(hash).await;
    }
    cluster.level().await;
    assert_eq!(seats(&cluster, 5), [1, 2, 3, 4]);
    cluster.agree();
}
