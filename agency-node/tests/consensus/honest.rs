//! Honest nodes: they agree, wait for each other, rest, and come back.

use std::time::{Duration, Instant};

use crate::cluster::{Cluster, anchor};

#[tokio::test(flavor = "multi_thread")]
async fn four_nodes_decide_the_same_blocks_and_rest_when_idle() {
    let cluster = Cluster::start(4).await;
    cluster
        .until("the first block", |c| (1..=4).all(|id| c.height(id).0 >= 1))
        .await;
    for _ in 0..5 {
        let start = Instant::now();
        let hash = cluster.submit_new().await;
        cluster.finality(hash).await;
        println!("final everywhere in {:?}", start.elapsed());
    }
    cluster.level().await;
    cluster.agree();

    // Nothing to do: no blocks and no rounds.
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.level().await;
    let height = cluster.height(1);
    let rounds = |id| {
        let meters = cluster.meters(id);
        meters.rounds.load(std::sync::atomic::Ordering::Relaxed)
    };
    let before: Vec<u64> = (1..=4).map(rounds).collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(cluster.height(1), height);
    assert_eq!((1..=4).map(rounds).collect::<Vec<_>>(), before);

    // One of them alone has a transaction, and it gets into a block all the same.
    for id in 1..=4 {
        let start = Instant::now();
        let hash = cluster.submit(&anchor(), &[id]).await;
        cluster.finality(hash).await;
        println!("known to {id} only: final in {:?}", start.elapsed());
    }
    cluster.level().await;
    cluster.agree();
}
