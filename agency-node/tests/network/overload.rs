//! Members that send too much, too large, or read too slowly.

use std::time::Duration;

use arc_malachitebft_app_channel::app::engine::network::NetworkEvent;
use zkbureau_agency_node::consensus::limits::PART_BYTES;

use crate::rogue::{Happened, Reading, Rogue, framed, stamp};
use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_or_broken_frame_closes_the_link() {
    let mut nodes = start_all(setups(2)[..1].to_vec()).await;
    let node = nodes.remove(0);
    let limits = limits();
    let announce = |len: usize| (len as u32).to_le_bytes().to_vec();
    let bad = [
        // Announced and never sent: the length alone is enough.
        (0, announce(limits.small_frame + 1)),
        (1, announce(limits.bulk_frame + 1)),
        (1, announce(u32::MAX as usize)),
        // No header, an unknown one, a list longer than its bytes, a part on the small stream.
        (0, framed(&[])),
        (1, framed(&[250; 9])),
        (0, framed(&[0, 255, 255, 255, 255])),
        (0, framed(&[vec![3], stamp(2, 0), vec![1; 9]].concat())),
    ];
    for (n, (protocol, bytes)) in bad.into_iter().enumerate() {
        let mut member = Rogue::new(2, false, Reading::All);
        member.connect(node.network.listening()).await;
        node.connects_to(&[2]).await;
        member.send(&node.peer, protocol, bytes);
        soon("closed", async {
            while !matches!(member.next().await, Happened::Closed) {}
        })
        .await;
        let closed = node.handle.counters().links_closed_bad_frame.get();
        assert_eq!(closed, n as u64 + 1);
    }
    node.connects_to(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_costs_bounded_memory_and_holds_up_nobody() {
    let mut setups = setups(3);
    for setup in &mut setups {
        setup.limits.bulk_queue = 4 << 20;
    }
    let mut nodes = start_all(setups[..2].to_vec()).await;
    nodes[0].connects_to(&[2]).await;
    let mut slow = Rogue::new(3, false, Reading::Nothing);
    slow.connect(nodes[0].network.listening()).await;
    nodes[0].connects_to(&[2, 3]).await;
    let slow = slow.run();
    let queued = |node: &TestNode| {
        let peers = node.handle.peers();
        peers.into_iter().map(|p| p.queued_bytes).max().unwrap_or(0)
    };
    let one = nodes[0].peer;
    // 100 MiB, at the pace of the one who reads.
    let mut highest = 0;
    for n in 0..400 {
        nodes[0].part(1, n);
        nodes[1].gets_part(&one, n).await;
        highest = highest.max(queued(&nodes[0]));
    }
    let limit = 4 << 20;
    assert!(
        highest <= limit && highest > limit - 2 * PART_BYTES,
        "{highest}"
    );
    let counters = nodes[0].handle.counters();
    assert!(counters.frames_dropped_slow_peer.get() > 300);
    let slow_one = nodes[0].handle.peers();
    let slow_one = slow_one.iter().find(|p| p.name == agency(3));
    assert!(slow_one.is_some_and(|p| p.dropped_frames > 300));
    slow.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_read_at_its_rate_and_does_not_hold_up_others() {
    let mut setups = setups(3);
    for setup in &mut setups {
        setup.limits.small_rate.frames = 100;
        setup.limits.small_rate.frames_burst = 200;
    }
    let mut nodes = start_all(setups[..2].to_vec()).await;
    nodes[0].connects_to(&[2]).await;
    let mut flood = Rogue::new(3, false, Reading::All);
    flood.connect(nodes[0].network.listening()).await;
    nodes[0].connects_to(&[2, 3]).await;
    // Ten thousand different frames.
    let frames = (0..10_000).flat_map(|n| framed(&[vec![3], stamp(0, n), vec![1; 40]].concat()));
    flood.send(&nodes[0].peer, 0, frames.collect());
    let flood = flood.run();
    let two = nodes[1].peer;
    for n in 1..=20 {
        nodes[1].vote(2, n);
        nodes[0].gets_vote(&two, n).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let counters = nodes[0].handle.counters();
    eventually("paused", || counters.rate_limit_pauses.get() > 0).await;
    assert!(counters.frames_received.get() < 9_000);
    // None of them could be decoded, so none reached the engine.
    let messages = nodes[0].messages();
    let votes = messages
        .iter()
        .filter(|event| matches!(event, NetworkEvent::Vote(..)));
    assert_eq!((votes.count(), messages.len()), (20, 20));
    flood.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_announced_again_and_again_is_served_once() {
    let mut nodes = start_all(setups(4)[..1].to_vec()).await;
    let node = nodes.remove(0);
    let mut member = Rogue::new(2, false, Reading::All);
    member.connect(node.network.listening()).await;
    node.connects_to(&[2]).await;
    let votes = 50;
    for n in 1..=votes {
        node.vote(1, n);
    }
    let published = node.handle.counters();
    eventually("published", || published.frames_sent.get() >= votes).await;
    // A link to agency 3, lost and found two hundred times.
    let found = [vec![0], vec![1, 0, 0, 0], vec![3, 0, 0, 0]].concat();
    let lost = vec![0; 5];
    let before = published.frames_received.get();
    let frames = (0..200).flat_map(|_| [framed(&found), framed(&lost)].concat());
    member.send(&node.peer, 0, frames.collect());
    let member = member.run();
    eventually("read", || published.frames_received.get() >= before + 400).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let handed = published.frames_handed_to_relayers.get();
    assert!((votes..=2 * votes).contains(&handed), "{handed}");
    member.abort();
}
