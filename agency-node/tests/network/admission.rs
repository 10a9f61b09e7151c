//! Strangers get nothing, and whoever is removed is out at once.

use std::time::{Duration, Instant};

use arc_malachitebft_app_channel::app::engine::network::NetworkEvent;
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;
use zkbureau_agency_node::network::AskKind;
use zkbureau_ledger::ids::AgencyId;

use crate::rogue::{Happened, PROTOCOLS, Reading, Rogue, framed, stamp};
use crate::support::*;

/// A valid frame or request for each protocol.
fn knocking(protocol: usize) -> Vec<u8> {
    match PROTOCOLS[protocol] {
        // A vote's frame with nonsense as the vote, a part's frame.
        "small" => framed(&[vec![3], stamp(0, 0), vec![1; 50]].concat()),
        "bulk" => framed(&[vec![3], stamp(2, 0), vec![1; 50]].concat()),
        // Blocks 1 to 3.
        "sync" => framed(&[vec![1, 0], vec![1; 8], vec![3; 8]].concat()),
        _ => framed(&[1; 150]),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_nothing_whatever_it_speaks() {
    let mut nodes = start_all(setups(2)).await;
    nodes[0].connects_to(&[2]).await;
    let address = nodes[0].network.listening().clone();
    let peer = nodes[0].peer;
    let mut slowest = Duration::ZERO;
    for (protocol, with_identify) in (0..4).flat_map(|p| [(p, false), (p, true)]) {
        // There is something to overhear.
        nodes[0].vote(1, 1);
        nodes[0].part(1, 0);
        nodes[0].handle.broadcast_transaction(vec![7; 90].into());
        let mut stranger = Rogue::new(200 + protocol as u8, with_identify, Reading::All);
        stranger.dial(&address);
        let mut connected = None;
        soon("closed", async {
            loop {
                match stranger.next().await {
                    Happened::Connected => {
                        connected = Some(Instant::now());
                        stranger.send(&peer, protocol, knocking(protocol));
                    }
                    Happened::Closed | Happened::Refused => return,
                    Happened::Response(bytes) => panic!("got {} bytes", bytes.len()),
                    Happened::Failed => {}
                }
            }
        })
        .await;
        slowest = slowest.max(connected.map_or(Duration::ZERO, |at| at.elapsed()));
        let heard = stranger.record.lock().expect("lock").clone();
        assert!(
            heard.iter().all(Vec::is_empty),
            "{protocol} {with_identify}"
        );
    }
    println!("the slowest stranger was closed after {slowest:?}");
    assert!(slowest < Duration::from_secs(5));
    assert_eq!(
        nodes[0].handle.counters().connections_not_registered.get(),
        8
    );
    assert_eq!(nodes[0].connected(), [agency(2)]);
    assert!(nodes[0].messages().is_empty());
    assert!(nodes[0].services.asks.lock().expect("lock").is_empty());
    let strangers = nodes[0].log.iter().filter(|event| {
        let friend = engine_peer(&key(2).peer_id());
        matches!(event, NetworkEvent::PeerConnected(peer) if *peer != friend)
    });
    assert_eq!(strangers.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_member_is_disconnected_and_refused_and_may_come_back() {
    let mut nodes = start_all(setups(3)).await;
    for (node, others) in nodes.iter().zip([[2, 3], [1, 3], [1, 2]]) {
        node.connects_to(&others).await;
    }
    let without = {
        let mut registry = registry(3);
        registry.agencies.remove(&AgencyId(3));
        registry
    };
    nodes[0].handle.set_registry(without.clone());
    nodes[1].handle.set_registry(without);
    nodes[0].connects_to(&[2]).await;
    nodes[1].connects_to(&[1]).await;
    nodes[2].connects_to(&[]).await;
    // It goes on trying, and hears nothing.
    let messages = nodes[2].messages().len();
    nodes[0].vote(1, 5);
    nodes[1].gets_vote(&key(1).peer_id(), 5).await;
    let refused = nodes[0].handle.counters();
    eventually("refused", || {
        refused.connections_not_registered.get()
            + nodes[1].handle.counters().connections_not_registered.get()
            > 0
    })
    .await;
    assert_eq!(nodes[2].messages().len(), messages);
    let ask = nodes[2].handle.request(
        AgencyId(1),
        AskKind::Ask,
        vec![1],
        Duration::from_millis(500),
    );
    assert!(ask.await.is_err());
    assert!(nodes[0].services.asks.lock().expect("lock").is_empty());

    nodes[0].handle.set_registry(registry(3));
    nodes[0].connects_to(&[2, 3]).await;
    nodes[0].vote(1, 6);
    nodes[2].gets_vote(&key(1).peer_id(), 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_sockets_do_not_delay_a_member() {
    let mut setups = setups(2);
    // The real caps: few handshakes for each address. The members are on another one.
    for setup in &mut setups {
        setup.limits.handshakes_per_ip = 8;
        setup.limits.handshakes_of_strangers = 64;
        setup.limits.handshake_rate = 10;
    }
    let late = setups.pop().expect("two");
    let node = setups.remove(0).start().await;
    let port = node
        .network
        .listening()
        .iter()
        .find_map(|part| match part {
            libp2p::multiaddr::Protocol::Tcp(port) => Some(port),
            _ => None,
        })
        .expect("a port");
    // Three hundred sockets from twenty addresses that say nothing.
    let mut sockets = Vec::new();
    for n in 0..300_u16 {
        let socket = TcpSocket::new_v4().expect("a socket");
        let from = ([127, 9, 9, (n % 20) as u8 + 1], 0);
        socket.bind(from.into()).expect("binds");
        let stream = socket.connect(([127, 0, 0, 1], port).into()).await;
        sockets.push(stream.expect("connects"));
    }
    let start = Instant::now();
    let late = late.start().await;
    late.connects_to(&[1]).await;
    node.connects_to(&[2]).await;
    println!("connected after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(8));
    assert!(node.handle.counters().handshakes_capped.get() >= 200);
    // Those that were let in are closed, too.
    for mut socket in sockets {
        let mut byte = [0; 64];
        let closed = async { while !matches!(socket.read(&mut byte).await, Ok(0) | Err(_)) {} };
        soon("closed", closed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_connects_and_asks() {
    let mut setups = setups(2);
    let mut observer = setups[0].clone();
    observer.me = 77;
    observer.listen = free_address();
    for setup in setups.iter_mut().chain([&mut observer]) {
        setup.registry.observers.push(key(77).public());
    }
    let mut nodes = start_all(setups).await;
    let mut observer = observer.start().await;
    observer.connects_to(&[1, 2]).await;
    nodes[0].vote(1, 4);
    observer.gets_vote(&nodes[0].peer, 4).await;
    let body = observer
        .handle
        .request(AgencyId(2), AskKind::Snapshot, vec![5], LONG)
        .await;
    assert_eq!(body, Ok(vec![2, 5]));
    let asked = nodes[1].services.asks.lock().expect("lock").clone();
    assert_eq!(asked.len(), 1);
    assert!(matches!(
        asked[0].0,
        zkbureau_agency_node::network::PeerName::Observer(_)
    ));
    nodes[0].handle.set_registry(registry(2));
    nodes[0].connects_to(&[2]).await;
    nodes[0].drain();
}
