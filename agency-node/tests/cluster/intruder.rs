//! Somebody with a valid libp2p identity that the ledger does not name.

use std::time::Duration;

use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_sync::{Request, ValueRequest};
use libp2p::identity::Keypair;
use zkbureau_agency_node::consensus::context::Height;
use zkbureau_agency_node::consensus::{Bureau, Codec};

use crate::drill::Drill;
use crate::visitor::{Visit, Visitor};

const STAY: Duration = Duration::from_secs(4);

#[test]
fn an_unregistered_identity_gets_no_block_no_answer_no_gossip() {
    let mut drill = Drill::start(4);
    drill.publish_something(0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();

    // What there would be to get: a registered identity, whose own node is down.
    drill.kill(3);
    let registered = drill.network_key(3);
    let visit_for =
        |protocols: Vec<(String, Vec<u8>)>, key: &Keypair, identify: bool, node: usize| {
            let visitor = Visitor {
                key: key.clone(),
                protocols,
                identify,
                stay: STAY,
            };
            runtime.block_on(visitor.visit(drill.p2p(node)))
        };
    let sync: Vec<_> = protocols(&drill)
        .into_iter()
        .filter(|(name, _)| name.contains("sync"))
        .collect();
    let member = visit_for(sync.clone(), &registered, false, 0).expect("a member may connect");
    println!("a member that asks for a block got {member:?}");
    assert!(member.granted[&sync[0].0] > 100, "no block: {member:?}");
    let visit = |key: &Keypair, identify: bool, node: usize| {
        visit_for(protocols(&drill), key, identify, node)
    };
    let publishing = drill.publish_in_background(1);
    // It only listens to gossip: for a frame that cannot be read it would be sent away.
    let quiet = protocols(&drill).into_iter().map(|(name, words)| {
        let gossip = name.contains("small") || name.contains("bulk");
        (name, if gossip { Vec::new() } else { words })
    });
    let member = visit_for(quiet.collect(), &registered, false, 0).expect("a member may connect");
    publishing.join().unwrap().unwrap();
    println!("a member got {member:?}");
    let missing: Vec<_> = protocols(&drill)
        .into_iter()
        .filter(|(name, _)| !member.granted.contains_key(name))
        .collect();
    assert!(missing.is_empty(), "not protocols of a node: {missing:?}");
    assert!(member.bytes() > 0, "{member:?}");

    for identify in [false, true] {
        for node in 0..3 {
            let stranger = Keypair::generate_ed25519();
            // There is gossip while the stranger listens.
            let publishing = drill.publish_in_background(1);
            let visit = visit(&stranger, identify, node);
            publishing.join().unwrap().unwrap();
            println!("a stranger, identify {identify}: {visit:?}");
            // A connection that never came to be is as good.
            let visit = visit.unwrap_or_else(|_| Visit {
                closed: Some(Duration::ZERO),
                ..Visit::default()
            });
            assert_eq!(visit.bytes(), 0, "{visit:?}");
            for (name, _) in protocols(&drill) {
                assert!(!visit.granted.contains_key(&name), "{visit:?}");
            }
            assert!(visit.closed.is_some(), "it was not sent away: {visit:?}");
        }
    }
    drill.restart(3);
    let tip = drill.height(0);
    drill.reaches(3, tip, crate::drill::LONG);
    drill.agree();
    drill.stop();
}

/// Every protocol of a node, with something to say that deserves an answer.
fn protocols(drill: &Drill) -> Vec<(String, Vec<u8>)> {
    let chain = hex::encode(&drill.chain().as_bytes()[..8]);
    let name = |protocol: &str| format!("/zkbureau/{chain}/{protocol}/1");
    vec![
        // Frames: a length and a header; what comes does not depend on them.
        (name("small"), vec![0; 8]),
        (name("bulk"), vec![0; 8]),
        (name("sync"), blocks_please()),
        (name("ask"), framed(&[0; 64])),
    ]
}

/// A request of the engine's sync for the first block, as members make them.
fn blocks_please() -> Vec<u8> {
    let first = Height(zkbureau_ledger::ids::Height(1));
    let heights = first..=first;
    let request = Request::<Bureau>::ValueRequest(ValueRequest::new(heights));
    framed(&Codec.encode(&request).unwrap())
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = (message.len() as u32).to_le_bytes().to_vec();
    framed.extend(message);
    framed
}
