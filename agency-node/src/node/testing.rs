//! A node for unit tests.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rand_core::OsRng;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::block::{Certificate, sign_vote};
use zkbureau_ledger::genesis::{Genesis, Policies, Seat};
use zkbureau_ledger::ids::TimeMs;
use zkbureau_ledger::{Ledger, RocksStore};

use super::Node;
use crate::vault::AgencyKeys;

/// A node with an empty ledger in a folder, and without agencies.
pub(crate) fn node(folder: &Path) -> Node {
    node_of(folder, &AgencyKeys::random(&mut OsRng))
}

/// Makes an empty block; the only validator's keys sign it.
pub(crate) fn block(node: &Node, keys: &AgencyKeys) {
    let (ledger, agency) = (&node.ledger, AgencyId(1));
    let time = TimeMs(ledger.tip().time_ms.0 + 1);
    let proposal = ledger.propose(agency, time, Vec::new()).expect("a block");
    let header = *proposal.executed.header();
    let (height, value) = (header.height, header.hash());
    let signature = sign_vote(
        ledger.chain_id(),
        height,
        0,
        &value,
        agency,
        keys.validator(),
    );
    let certificate = Certificate {
        height,
        round: 0,
        value,
        signatures: vec![(agency, signature)],
    };
    ledger
        .commit(proposal.executed, certificate)
        .expect("committed");
    node.announce(height);
}

/// The same, with an agency's keys that are known.
pub(crate) fn node_of(folder: &Path, keys: &AgencyKeys) -> Node {
    let schema = r#"
        version = 1
        [[attributes]]
        name = "present"
        class = "stock"
        aggregate = "max"
        min = 0
        max = 1
        unit = "record"
        description = "1 in every record"
        [[attributes]]
        name = "balance"
        class = "stock"
        aggregate = "sum"
        min = 0
        max = 100
        unit = "EUR"
        description = "amount owed"
    "#;
    let genesis = Genesis {
        name: "node".into(),
        time_ms: TimeMs(1),
        agencies: vec![keys.agency(AgencyId(1), "One")],
        validators: vec![Seat {
            agency: AgencyId(1),
            power: 1,
        }],
        issuers: Vec::new(),
        auditors: Vec::new(),
        observers: Vec::new(),
        score_key: None,
        schema: toml::from_str(schema).expect("a schema"),
        policies: Policies::default(),
    };
    let store = RocksStore::open(folder.join("ledger")).expect("a store");
    let ledger = Arc::new(Ledger::open(store, &genesis).expect("a ledger"));
    Node::new(ledger, BTreeMap::new(), AgencyId(1), Vec::new())
}
