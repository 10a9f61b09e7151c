//! Around cut links.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_malachitebft_app_channel::app::engine::network::NetworkEvent;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use zkbureau_agency_node::consensus::limits::PART_BYTES;
use zkbureau_agency_node::network::{AskKind, Path, RequestError};
use zkbureau_ledger::ids::AgencyId;

use crate::rogue::{Happened, Reading, Rogue, framed, stamp};
use crate::support::*;

/// Four nodes of which the first two do not know each other's address.
fn cut_between_1_and_2() -> Vec<Setup> {
    let mut setups = setups(4);
    setups[0].peers.remove(&AgencyId(2));
    setups[1].peers.remove(&AgencyId(1));
    setups
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_around_a_cut_link() {
    let mut nodes = start_all(cut_between_1_and_2()).await;
    nodes[0].connects_to(&[3, 4]).await;
    nodes[1].connects_to(&[3, 4]).await;
    nodes[2].connects_to(&[1, 2, 4]).await;
    nodes[0].knows_carriers(2, 2).await;
    nodes[1].knows_carriers(1, 2).await;
    let (one, two) = (nodes[0].peer, nodes[1].peer);
    for n in 1..=40 {
        nodes[0].vote(1, n);
        nodes[0].part(1, n);
        nodes[1].vote(2, n);
    }
    for n in 1..=40 {
        nodes[1].gets_vote(&one, n).await;
        nodes[0].gets_vote(&two, n).await;
        nodes[2].gets_vote(&one, n).await;
    }
    nodes[1].gets_part(&one, 40).await;
    // Both carriers brought every message; each came to the engine once.
    let copies = nodes[1].handle.counters();
    eventually("both copies", || copies.frames_duplicate.get() >= 80).await;
    assert_eq!(nodes[1].messages().len(), 80);
    assert_eq!(nodes[0].messages().len(), 40);
    assert_eq!(copies.frames_forged.get(), 0);
    assert!(nodes[2].handle.counters().frames_relayed.get() >= 120);

    // A request, too, and its bytes.
    let asked = nodes[0].handle.clone();
    let (body, path) = asked
        .request_by(AgencyId(2), AskKind::Ask, vec![6; 1_000], LONG)
        .await
        .expect("an answer");
    assert_eq!(body, [vec![2], vec![6; 1_000]].concat());
    assert!(matches!(path, Path::Through(AgencyId(3 | 4))));
    let seen = nodes[1].services.asks.lock().expect("lock").clone();
    assert_eq!(seen, [(agency(1), AskKind::Ask, vec![6; 1_000])]);
}

/// Passes connections on until it is cut.
struct Cable {
    port: u16,
    cut: watch::Sender<bool>,
}

impl Cable {
    async fn to(address: &libp2p::Multiaddr) -> Self {
        let target = address
            .iter()
            .find_map(|part| match part {
                libp2p::multiaddr::Protocol::Tcp(port) => Some(port),
                _ => None,
            })
            .expect("a port");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (cut, is_cut) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut is_cut = is_cut.clone();
                if *is_cut.borrow() {
                    continue;
                }
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(("127.0.0.1", target)).await else {
                        return;
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = is_cut.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { port, cut }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_cut_and_healed_loses_no_message() {
    let mut setups = setups(4);
    // Only agency 1 dials agency 2, over the cable.
    let cable = Cable::to(&setups[1].listen).await;
    setups[0].peers.insert(AgencyId(2), address(cable.port));
    setups[1].peers.remove(&AgencyId(1));
    let mut nodes = start_all(setups).await;
    nodes[0].connects_to(&[2, 3, 4]).await;
    nodes[1].connects_to(&[1, 3, 4]).await;
    let one = nodes[0].peer;
    let stop = Arc::new(AtomicBool::new(false));
    // One vote every ten milliseconds, for the whole time.
    let talking = tokio::spawn({
        let stop = stop.clone();
        let engine = nodes[0].engine.clone();
        async move {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                sent += 1;
                let message =
                    arc_malachitebft_app_channel::app::consensus::SignedConsensusMsg::Vote(vote(
                        1, sent,
                    ));
                let message =
                    arc_malachitebft_app_channel::app::engine::network::Msg::PublishConsensusMsg(
                        message,
                    );
                engine.cast(message).expect("the actor runs");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            sent
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    cable.cut.send_replace(true);
    nodes[0].connects_to(&[3, 4]).await;
    nodes[1].connects_to(&[3, 4]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    cable.cut.send_replace(false);
    nodes[0].connects_to(&[2, 3, 4]).await;
    nodes[1].connects_to(&[1, 3, 4]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    let sent = talking.await.expect("talks");
    let heights = |node: &mut TestNode| {
        let votes = node.messages().into_iter().filter_map(|event| match event {
            NetworkEvent::Vote(from, vote) => {
                assert_eq!(*from, engine_peer(&one));
                Some(vote.message.height.0.0)
            }
            _ => None,
        });
        votes.collect::<Vec<_>>()
    };
    eventually("all votes", || heights(&mut nodes[1]).len() as u64 >= sent).await;
    let mut got = heights(&mut nodes[1]);
    got.sort_unstable();
    // Every one, and every one once.
    assert_eq!(got, (1..=sent).collect::<Vec<_>>());
    assert!(nodes[2].handle.counters().frames_relayed.get() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relayed_frame_without_its_origins_signature_is_dropped() {
    let setups = setups(4);
    let mut honest = start_all(setups[..2].to_vec()).await;
    honest[0].connects_to(&[2]).await;
    let victim = honest[0].peer;
    // Agency 4 is a member and lies: it sends parts and votes as those of agency 2.
    let mut liar = Rogue::new(4, false, Reading::All);
    liar.connect(honest[0].network.listening()).await;
    honest[0].connects_to(&[2, 4]).await;
    let relayed = |origin: u32, channel: u8, number: u64| {
        let mut frame = vec![5];
        frame.extend_from_slice(&origin.to_le_bytes());
        frame.extend(stamp(channel, number));
        frame.extend([9; 64]);
        frame.extend([1; 300]);
        framed(&frame)
    };
    // Of another, of itself, of the victim, of nobody.
    let small: Vec<_> = [2, 4, 1, 99].map(|origin| relayed(origin, 0, 0)).concat();
    let bulk: Vec<_> = (0..4).flat_map(|number| relayed(2, 2, number)).collect();
    liar.send(&victim, 0, small);
    liar.send(&victim, 1, bulk);
    let record = liar.record.clone();
    let liar = liar.run();
    let counters = honest[0].handle.counters();
    eventually("forged", || counters.frames_forged.get() == 8).await;
    // Nothing reached the engine, nothing is taken as seen: the real ones come through.
    assert!(honest[0].messages().is_empty());
    let two = honest[1].peer;
    for n in 0..4 {
        honest[1].part(2, n);
    }
    honest[1].vote(2, 1);
    honest[0].gets_part(&two, 3).await;
    honest[0].gets_vote(&two, 1).await;
    assert_eq!(honest[0].messages().len(), 5);
    // A member hears what strangers do not.
    honest[0].part(1, 0);
    eventually("heard", || {
        let heard = record.lock().expect("lock");
        !heard[0].is_empty() && heard[1].len() > PART_BYTES
    })
    .await;
    liar.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_carrier_cannot_answer_in_anothers_place() {
    // Agency 1 reaches agency 2 only through 3 and 4, and 3 answers everything itself.
    let mut setups = cut_between_1_and_2();
    setups.remove(2);
    for setup in &mut setups {
        // Only the liar dials, so there is one connection to it.
        setup.peers.remove(&AgencyId(3));
    }
    let mut liar = Rogue::new(3, false, Reading::All);
    // An answer in the right form, with a signature that is not agency 2's.
    let mut reply = vec![0];
    reply.extend(3_u32.to_le_bytes());
    reply.extend([2, 6, 6]);
    reply.extend([8; 64]);
    liar.lie = Some(framed(&reply));
    let nodes = start_all(setups).await;
    let addresses = [nodes[0].network.listening(), nodes[1].network.listening()];
    for address in addresses {
        liar.dial(address);
    }
    soon("connected", async {
        let mut connected = 0;
        while connected < 2 {
            connected += usize::from(matches!(liar.next().await, Happened::Connected));
        }
    })
    .await;
    // It announces a link to agency 2, so it is asked first or second.
    let links = [vec![0, 1, 0, 0, 0], 2_u32.to_le_bytes().to_vec()].concat();
    liar.send(&nodes[0].peer, 0, framed(&links));
    let liar = liar.run();
    nodes[0].knows_carriers(2, 2).await;
    for _ in 0..4 {
        let (body, path) = nodes[0]
            .handle
            .request_by(AgencyId(2), AskKind::Ask, vec![6, 6], LONG)
            .await
            .expect("an answer");
        assert_eq!((body, path), (vec![2, 6, 6], Path::Through(AgencyId(4))));
    }
    liar.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_a_path_and_says_whom_it_waits_for() {
    let mut setups = setups(3);
    let late = setups.remove(1);
    let nodes = start_all(setups).await;
    let nobody = nodes[0]
        .handle
        .request(
            AgencyId(2),
            AskKind::Ask,
            vec![1],
            Duration::from_millis(300),
        )
        .await;
    let waited_for = RequestError::Deadline {
        to: AgencyId(2),
        tries: 0,
        last: None,
    };
    assert_eq!(nobody, Err(waited_for));
    let handle = nodes[0].handle.clone();
    let asking = tokio::spawn(async move {
        handle
            .request_by(AgencyId(2), AskKind::Ask, vec![1], LONG)
            .await
    });
    eventually("waiting", || !nodes[0].handle.waiting().is_empty()).await;
    let waiting = nodes[0].handle.waiting();
    assert_eq!((waiting[0].to, waiting[0].path), (AgencyId(2), None));
    let _late = late.start().await;
    let answer = asking.await.expect("asks").map(|(body, _)| body);
    assert_eq!(answer, Ok(vec![2, 1]));
    assert!(nodes[0].handle.waiting().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_on_over_another_path_when_its_link_dies() {
    let mut setups = setups(3);
    let cable = Cable::to(&setups[1].listen).await;
    setups[0].peers.insert(AgencyId(2), address(cable.port));
    setups[1].peers.remove(&AgencyId(1));
    // The answer takes longer than the link lives.
    setups[1].takes = Duration::from_millis(800);
    let nodes = start_all(setups).await;
    nodes[0].connects_to(&[2, 3]).await;
    nodes[2].connects_to(&[1, 2]).await;
    let handle = nodes[0].handle.clone();
    let asking = tokio::spawn(async move {
        handle
            .request_by(AgencyId(2), AskKind::Ask, vec![1], LONG)
            .await
    });
    eventually("asked", || {
        !nodes[1].services.asks.lock().expect("lock").is_empty()
    })
    .await;
    cable.cut.send_replace(true);
    let answer = asking.await.expect("asks");
    assert_eq!(answer, Ok((vec![2, 1], Path::Through(AgencyId(3)))));
    // The second copy waited for the first one's answer.
    assert_eq!(nodes[1].services.asks.lock().expect("lock").len(), 1);
}
