//! Honest nodes: they agree, wait for each other, rest, and come back.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_malachitebft_app_channel::app::consensus::SignedConsensusMsg;
use zkbureau_agency_node::consensus::ConsensusError;

use crate::cluster::{Cluster, anchor};
use crate::hub::Frame;

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

#[tokio::test(flavor = "multi_thread")]
async fn one_stops_the_others_go_on_and_it_catches_up() {
    let mut cluster = Cluster::start(4).await;
    let hash = cluster.submit_new().await;
    cluster.finality(hash).await;
    cluster.stop_node(2).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..8 {
        let start = Instant::now();
        let hash = cluster.submit_new().await;
        cluster.finality(hash).await;
        slowest = slowest.max(start.elapsed());
    }
    println!("with a dead proposer a block took up to {slowest:?}");
    let missed = cluster.height(1).0;
    cluster.start_node(2).await;
    let start = Instant::now();
    cluster
        .until("the one that was away has caught up", |c| {
            c.height(2).0 >= missed
        })
        .await;
    println!("caught up in {:?}", start.elapsed());
    assert!(
        cluster
            .meters(2)
            .synced_blocks
            .load(std::sync::atomic::Ordering::Relaxed)
            >= 8
    );
    let hash = cluster.submit_new().await;
    cluster.finality(hash).await;
    cluster.level().await;
    cluster.agree();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_four_make_no_block_until_one_is_back() {
    let mut cluster = Cluster::start(4).await;
    let hash = cluster.submit_new().await;
    cluster.finality(hash).await;
    cluster.level().await;
    cluster.stop_node(1).await;
    cluster.stop_node(3).await;
    let height = cluster.height(2);
    let hash = cluster.submit_new().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!((cluster.height(2), cluster.height(4)), (height, height));
    cluster.start_node(3).await;
    let start = Instant::now();
    cluster.finality(hash).await;
    println!("final {:?} after the third came back", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(30));
    cluster.start_node(1).await;
    let hash = cluster.submit_new().await;
    cluster.finality(hash).await;
    cluster.level().await;
    cluster.agree();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_stop_in_the_middle_of_work_and_go_on() {
    let mut cluster = Cluster::start(4).await;
    for _ in 0..3 {
        for _ in 0..5 {
            cluster.submit_new().await;
        }
        // Somewhere within a height.
        tokio::time::sleep(Duration::from_millis(60)).await;
        cluster.stop_all().await;
        for id in 1..=4 {
            cluster.start_node(id).await;
        }
    }
    let hash = cluster.submit_new().await;
    cluster.finality(hash).await;
    cluster.level().await;
    cluster.agree();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_cut_off_catches_up() {
    let cluster = Cluster::start(4).await;
    let hash = cluster.submit_new().await;
    cluster.finality(hash).await;
    cluster.level().await;
    cluster.hub.cut(3);
    for _ in 0..6 {
        let hash = cluster.submit(&anchor(), &[1, 2, 4]).await;
        cluster
            .until("the three go on", |c| {
                c.node(1).ledger.transaction(&hash).unwrap().is_some()
            })
            .await;
    }
    let height = cluster.height(1).0;
    assert!(cluster.height(3).0 < height);
    cluster.hub.heal(3);
    let start = Instant::now();
    let hash = cluster.submit_new().await;
    cluster.finality(hash).await;
    println!("healed and level in {:?}", start.elapsed());
    cluster.level().await;
    cluster.agree();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_without_a_seat_follows_from_the_first_block() {
    let mut cluster = Cluster::new(5, 4);
    for id in 1..=4 {
        cluster.start_node(id).await;
    }
    for _ in 0..20 {
        let hash = cluster.submit_new().await;
        cluster.finality(hash).await;
    }
    cluster.start_node(5).await;
    let start = Instant::now();
    let height = cluster.height(1).0;
    cluster
        .until("the fifth has all blocks", |c| c.height(5).0 >= height)
        .await;
    println!("{height} blocks followed in {:?}", start.elapsed());
    // It neither votes nor proposes, and gets every further block.
    for _ in 0..3 {
        let hash = cluster.submit_new().await;
        cluster.finality(hash).await;
    }
    cluster.level().await;
    cluster.agree();
    assert_eq!(cluster.meters(5).propose.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lost_its_log_signs_nothing_until_that_height_is_over() {
    let mut cluster = Cluster::start(4).await;
    let hash = cluster.submit_new().await;
    cluster.finality(hash).await;
    cluster.level().await;
    // What node 1 signs from now on.
    let signed = Arc::new(Mutex::new(Vec::<u64>::new()));
    cluster.hub.twist(1, {
        let signed = signed.clone();
        Box::new(move |frame| {
            match &frame {
                Frame::Signed(SignedConsensusMsg::Vote(v)) => {
                    signed.lock().unwrap().push(v.message.height.0.0);
                }
                Frame::Signed(SignedConsensusMsg::Proposal(p)) => {
                    signed.lock().unwrap().push(p.message.height.0.0);
                }
                _ => {}
            }
            vec![(None, frame)]
        })
    });
    cluster.hub.cut(3);
    cluster.hub.cut(4);
    cluster.submit(&anchor(), &[1, 2]).await;
    let height = cluster.height(1).0 + 1;
    cluster
        .until("node 1 votes at the next height", |_| {
            signed.lock().unwrap().contains(&height)
        })
        .await;
    assert_eq!(cluster.height(1).0 + 1, height, "two do not decide");
    cluster.stop_node(1).await;
    std::fs::remove_dir_all(cluster.home(1).join("consensus")).unwrap();
    signed.lock().unwrap().clear();
    cluster.start_node(1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        *signed.lock().unwrap(),
        [0u64; 0],
        "what it voted for is forgotten"
    );

    // The others decide the height, and it comes back with its vote.
    cluster.hub.heal(3);
    cluster.hub.heal(4);
    cluster.submit(&anchor(), &[2, 3, 4]).await;
    let ended = cluster.ended(1).await;
    assert!(matches!(*ended, ConsensusError::MaySign), "{ended}");
    assert!(cluster.height(1).0 >= height);
    assert_eq!(*signed.lock().unwrap(), [0u64; 0]);
    cluster.stop_node(1).await;
    cluster.start_node(1).await;
    cluster.stop_node(2).await;
    let hash = cluster.submit_new().await;
    cluster.finality(hash).await;
    assert!(signed.lock().unwrap().iter().all(|h| *h > height));
    assert!(!signed.lock().unwrap().is_empty(), "three need its vote");
    cluster.level().await;
    cluster.agree();
}
