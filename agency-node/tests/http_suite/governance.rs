//! Governance over HTTP: a light client follows changes of validators, and everybody sees what is voted on.

use zkbureau_agency_node::http::Settings;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::block::SignedHeader;
use zkbureau_ledger::ids::Day;
use zkbureau_ledger::light::{LightClient, ValidatorChanges};
use zkbureau_ledger::state::{OpenProposals, RegistryProof, Roots};
use zkbureau_ledger::transaction::{Change, GovernanceVote, Proposal, SetPower, Transaction};

use crate::server::Served;

const FIRST: AgencyId = AgencyId(1);
const SECOND: AgencyId = AgencyId(2);

fn vote(
    served: &Served,
    by: AgencyId,
    title: &str,
    changes: Vec<Change>,
) -> (Transaction, Proposal) {
    let today = served.node.ledger.tip().time_ms.day();
    let proposal = Proposal {
        title: title.to_owned(),
        expires: Day(today.0 + 7),
        changes,
    };
    let chain = *served.node.ledger.chain_id();
    let vote = GovernanceVote::sign(&chain, by, proposal.clone(), &served.key(by));
    (vote.into(), proposal)
}

fn power(agency: AgencyId, power: u64) -> Change {
    Change::SetPower(SetPower { agency, power })
}

#[test]
fn changes_of_validators_are_followed_and_open_proposals_are_seen() {
    let served = Served::new(Settings::default());
    let changes = |from: &str| {
        let answer = served.get(&format!("/v1/validators/changes{from}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        ValidatorChanges::from_bytes(&answer.body).unwrap().0
    };
    assert!(changes("").is_empty());
    let view = served.get("/v1/governance").json();
    assert_eq!(view["proposals"].as_array().unwrap().len(), 0, "{view}");

    // The only validator gets weight, then a second one comes in.
    let (transaction, _) = vote(&served, FIRST, "more weight", vec![power(FIRST, 10)]);
    assert_eq!(served.post_transaction(&transaction).status, 202);
    let weighed = served.block(vec![transaction]).header.height;
    let (transaction, _) = vote(&served, FIRST, "a second", vec![power(SECOND, 4)]);
    let admitted = served.block(vec![transaction]).header.height;
    let last = served.block(vec![]).header.height;

    let all = changes("");
    let heights: Vec<_> = all.iter().map(|c| c.signed.header.height).collect();
    assert_eq!(heights, [weighed, admitted]);
    assert_eq!(all[1].next.validators().len(), 2);
    assert_eq!(changes(&format!("?from={admitted}")), all[1..]);
    assert!(changes(&format!("?from={last}")).is_empty());

    // From the genesis file alone to the newest header, over HTTP.
    let mut client = LightClient::from_genesis(served.node.ledger.genesis()).unwrap();
    let newest = SignedHeader::from_bytes(&served.get("/v1/headers/latest").body).unwrap();
    assert!(client.verify_header(&newest).is_err(), "unknown validators");
    let header = client
        .follow::<String>(&newest, |from| Ok(changes(&format!("?from={from}"))))
        .unwrap();
    let roots = served.get(&format!("/v1/proofs/{last}/roots")).body;
    let roots = header.roots(&Roots::from_bytes(&roots).unwrap()).unwrap();

    // The second one proposes something that it cannot decide alone.
    let (transaction, proposal) = vote(&served, SECOND, "less weight", vec![power(FIRST, 9)]);
    let at = served.block(vec![transaction]).header.height;
    let view = served.get("/v1/governance").json();
    assert_eq!(view["total_power"], 14);
    let open = &view["proposals"][0];
    assert_eq!(open["id"], proposal.id().to_string());
    assert_eq!(open["title"], "less weight");
    assert_eq!(open["votes"], serde_json::json!([2]));
    assert_eq!(
        (&open["power"], &open["expired"]),
        (&4.into(), &false.into())
    );
    assert_eq!(open["changes"][0]["set_power"]["power"], 9);

    let proof = |path: &str| {
        let answer = served.get(&format!("/v1/proofs/{at}/{path}"));
        assert_eq!(answer.status, 200, "{path}");
        RegistryProof::from_bytes(&answer.body).unwrap()
    };
    let id = proposal.id();
    assert!(proof(&format!("proposals/{id}")).value.is_some());
    assert!(
        proof(&format!("proposals/{}", "11".repeat(32)))
            .value
            .is_none()
    );
    let listed = proof("registry/open-proposals").value.unwrap();
    assert_eq!(OpenProposals::from_bytes(&listed).unwrap().0[0].id, id);
    let key = served.key(SECOND).public();
    assert!(proof(&format!("keys/{key}")).value.is_some());
    assert!(proof(&format!("keys/{}", "22".repeat(32))).value.is_none());
    assert!(proof("parties/agency/2").value.is_some());
    assert!(proof("parties/agency/9").value.is_none());
    assert!(proof("parties/auditor/1").value.is_some());
    assert!(proof("evidence/1/1").value.is_none());
    drop(roots);

    for (path, status, field) in [
        ("/v1/validators/changes?from=x", 400, "from"),
        ("/v1/validators/changes?since=1", 400, "since"),
        ("/v1/proofs/1/parties/person/1", 404, "kind"),
        ("/v1/proofs/1/parties/agency/x", 400, "id"),
        ("/v1/proofs/1/keys/00", 400, "key"),
        ("/v1/proofs/1/evidence/1/x", 400, "at"),
        ("/v1/proofs/x/evidence/1/1", 400, "height"),
    ] {
        assert_eq!(served.get(path).problem(status)["field"], field, "{path}");
    }
}
