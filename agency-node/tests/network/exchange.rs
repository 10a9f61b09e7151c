//! What members say to each other.

use std::sync::Arc;
use std::time::Duration;

use arc_malachitebft_app_channel::app::engine::network::{Msg, NetworkEvent};
use arc_malachitebft_app_channel::app::types::sync::{Request, Response};
use arc_malachitebft_sync::{ValueRequest, ValueResponse};
use ractor::call_t;
use zkbureau_agency_node::consensus::context::Height;
use zkbureau_agency_node::network::{AskKind, Path, RequestError};
use zkbureau_ledger::ids::{self, AgencyId};

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_exchange_everything() {
    let mut nodes = start_all(setups(2)).await;
    nodes[0].connects_to(&[2]).await;
    nodes[1].connects_to(&[1]).await;
    let mut b = nodes.pop().expect("two");
    let mut a = nodes.pop().expect("two");

    // Messages of consensus, each once and in order, and none to oneself.
    for height in 1..=50 {
        a.vote(1, height);
        a.part(1, height);
    }
    for height in 1..=50 {
        b.gets_vote(&a.peer, height).await;
    }
    b.gets_part(&a.peer, 50).await;
    a.status(7);
    b.event("status", |event| match event {
        NetworkEvent::Status(peer, status) => {
            assert_eq!(*peer, a.engine_peer());
            (status.tip_height.0.0 == 7).then_some(())
        }
        _ => None,
    })
    .await;
    assert_eq!(b.messages().len(), 101);
    assert!(a.messages().is_empty());

    // Sync.
    let height = Height(ids::Height(3));
    let request = Request::ValueRequest(ValueRequest::new(height..=height));
    let to = b.engine_peer();
    let id = call_t!(a.engine, |r| Msg::OutgoingRequest(to, request, r), 5_000).expect("a number");
    let inbound = b
        .event("sync request", |event| match event {
            NetworkEvent::SyncRequest(id, ..) => Some(id.clone()),
            _ => None,
        })
        .await;
    let response = Response::ValueResponse(ValueResponse::new(height, Vec::new()));
    b.tell(Msg::OutgoingResponse(inbound, response.clone()));
    let got = a
        .event("sync response", |event| match event {
            NetworkEvent::SyncResponse(for_id, _, response) => {
                assert_eq!(*for_id, id);
                Some(response.clone())
            }
            _ => None,
        })
        .await;
    assert_eq!(got, Some(response));

    // A request that is given up fails at the asker.
    let request = Request::ValueRequest(ValueRequest::new(height..=height));
    let _ = call_t!(a.engine, |r| Msg::OutgoingRequest(to, request, r), 5_000).expect("a number");
    let inbound = b
        .event("sync request", |event| match event {
            NetworkEvent::SyncRequest(id, ..) => Some(id.clone()),
            _ => None,
        })
        .await;
    b.tell(Msg::CancelInboundRequest(inbound));
    a.event("sync failure", |event| {
        matches!(event, NetworkEvent::SyncRequestFailed(..)).then_some(())
    })
    .await;

    // Transactions, small and large, each once.
    for bytes in [vec![1; 100], vec![2; 1 << 20], vec![1; 100]] {
        a.handle.broadcast_transaction(bytes.into());
    }
    eventually("transactions", || {
        b.services.transactions.lock().expect("lock").len() == 2
    })
    .await;
    let sizes: Vec<_> = {
        let got = b.services.transactions.lock().expect("lock");
        got.iter().map(|(from, t)| (*from, t.len())).collect()
    };
    assert!(sizes.contains(&(agency(1), 100)) && sizes.contains(&(agency(1), 1 << 20)));

    // Requests.
    let (body, path) = a
        .handle
        .request_by(AgencyId(2), AskKind::Audit, vec![9; 10], LONG)
        .await
        .expect("an answer");
    assert_eq!(
        (body, path),
        ([vec![2], vec![9; 10]].concat(), Path::Direct)
    );
    let asked = b.services.asks.lock().expect("lock").clone();
    assert_eq!(asked, [(agency(1), AskKind::Audit, vec![9; 10])]);
    let unknown = a
        .handle
        .request(AgencyId(9), AskKind::Ask, Vec::new(), LONG)
        .await;
    assert_eq!(unknown, Err(RequestError::Unknown { to: AgencyId(9) }));
    let large = a
        .handle
        .request(AgencyId(2), AskKind::Ask, vec![0; 2 << 20], LONG)
        .await;
    assert!(matches!(large, Err(RequestError::TooLarge { .. })));

    // When one stops, the other sees it, and its own handle says so.
    let handle = a.handle.clone();
    a.network.stop().await;
    soon("stopped", handle.stopped()).await;
    let stopped = handle.request(AgencyId(2), AskKind::Ask, Vec::new(), LONG);
    assert_eq!(stopped.await, Err(RequestError::Stopped));
    b.event("disconnected", |event| {
        matches!(event, NetworkEvent::PeerDisconnected(_)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_peer_gets_status_and_frames_of_this_height() {
    let mut setups = setups(2);
    let late = setups.pop().expect("two");
    let a = setups.remove(0).start().await;
    a.vote(1, 1);
    a.new_height();
    a.vote(1, 2);
    a.new_height();
    a.vote(1, 3);
    a.part(1, 0);
    a.status(2);
    let mut b = late.start().await;
    b.gets_part(&a.peer, 0).await;
    b.connects_to(&[1]).await;
    let votes = |b: &mut TestNode| {
        let heights = b.messages().into_iter().filter_map(|event| match event {
            NetworkEvent::Vote(_, vote) => Some(vote.message.height.0.0),
            _ => None,
        });
        heights.collect::<Vec<_>>()
    };
    eventually("votes", || votes(&mut b).len() >= 2).await;
    // Nothing of the height before the last.
    assert_eq!(votes(&mut b), [2, 3]);
    eventually("status", || {
        let messages = b.messages();
        messages
            .iter()
            .any(|event| matches!(event, NetworkEvent::Status(..)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consensus_waits_for_more_than_two_thirds() {
    let mut setups = setups(4);
    let mut last = setups.split_off(2);
    let mut first = start_all(setups).await;
    first[0].connects_to(&[2]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let listening = |event: &Event| matches!(event, NetworkEvent::Listening(_)).then_some(());
    // Two of four are not enough …
    assert!(first[0].drain().iter().all(|e| listening(e).is_none()));
    // … three are.
    let _third = last.remove(0).start().await;
    first[0].event("listening", listening).await;
    // Alone, a node waits for so long and no longer.
    let mut alone = last.remove(0);
    alone.peers.clear();
    alone.registry = registry(7);
    alone.limits.patience = Duration::from_millis(200);
    let mut alone = alone.start().await;
    alone.event("listening", listening).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_fails_the_start() {
    let setup = setups(1).remove(0);
    let node = setup.clone().start().await;
    let config = zkbureau_agency_node::network::NetworkConfig {
        chain: CHAIN,
        key: key(1),
        listen: setup.listen,
        peers: setup.peers,
        limits: limits(),
    };
    let second = zkbureau_agency_node::network::Network::start(
        config,
        registry(1),
        Arc::new(Recorder::default()),
    );
    assert!(second.await.is_err());
    drop(node);
}
