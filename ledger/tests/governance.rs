//! What adopted proposals do: consortium, validators, keys, schema and policies in force.
#![allow(clippy::unwrap_used)]

mod common;

use common::council::*;
use common::*;
use zkbureau_circuits::commitment::CommitmentKey;
use zkbureau_circuits::directory::Index;
use zkbureau_circuits::schema::{Aggregate, Attribute, Class, Schema};
use zkbureau_ledger::block::CertificateError;
use zkbureau_ledger::genesis::Policies;
use zkbureau_ledger::machine::BlockErrorKind;
use zkbureau_ledger::transaction::{GovernanceVote, SetPower};
use zkbureau_ledger::{
    AgencyId, Change, GovernanceError, Height, Ledger, LedgerError, LightClient, MemoryStore,
    TimeMs, Transaction, TxError,
};

fn open(powers: &[u64]) -> (Ledger<MemoryStore>, Keyring) {
    let ledger = Ledger::open(MemoryStore::new(), &seated(powers)).unwrap();
    (ledger, Keyring::new())
}

#[test]
fn more_than_two_thirds_of_the_power_adopt() {
    // Two of three equal powers are two thirds, and not more.
    let (ledger, ring) = open(&[1, 1, 1, 0]);
    let change = Change::SetPower(SetPower {
        agency: AgencyId(1),
        power: 2,
    });
    let vote_for = proposal("More power", vec![change]);
    let before = ledger.consortium();
    for agency in [2, 3] {
        ring.step(&ledger, &[ring.vote(&ledger, agency, &vote_for)]);
        assert_eq!(ledger.consortium(), before);
        let open = ledger.open_proposals(ledger.tip().height).unwrap();
        assert_eq!(open.0.len(), 1);
        assert_eq!(open.0[0].opened_by, AgencyId(2));
    }
    // The deciding vote: the block is still the old validators', and announces the new ones.
    let old = before.validator_set();
    ring.step(&ledger, &[ring.vote(&ledger, 1, &vote_for)]);
    let header = last_header(&ledger).header;
    let new = ledger.consortium().validator_set();
    assert_eq!(new.get(AgencyId(1)).unwrap().power, 2);
    assert_eq!(header.validators_hash, old.hash());
    assert_eq!(header.next_validators_hash, new.hash());
    assert!(ledger.open_proposals(header.height).unwrap().0.is_empty());
    let state = ledger.proposal(header.height, vote_for.id()).unwrap();
    let state = state.unwrap();
    assert_eq!(state.adopted, Some(header.height));
    assert_eq!(state.opened, Height(1));
    assert_eq!(state.ballots.len(), 3);
    ring.step(&ledger, &[]);
    let next = last_header(&ledger).header;
    assert_eq!(next.validators_hash, new.hash());
    assert_eq!(next.next_validators_hash, new.hash());
    ledger.check_everything().unwrap();
    // What was in force stays known.
    assert_eq!(ledger.validators(Height(0)).unwrap(), None);
    for height in 1..=3 {
        assert_eq!(
            ledger.validators(Height(height)).unwrap(),
            Some(old.clone())
        );
    }
    for height in 4..=5 {
        assert_eq!(
            ledger.validators(Height(height)).unwrap(),
            Some(new.clone())
        );
    }
    assert_eq!(ledger.validators(Height(6)).unwrap(), None);
    assert_eq!(*ledger.consortium_at(Height(2)).unwrap(), *before);
    assert_eq!(
        ledger.consortium_at(Height(3)).unwrap(),
        ledger.consortium()
    );
}

#[test]
fn an_unseated_agency_has_no_vote_and_a_seat_gives_one() {
    let (ledger, ring) = open(&[1, 1, 1, 1, 0]);
    let changes = vec![Change::SetPower(SetPower {
        agency: AgencyId(5),
        power: 1,
    })];
    let vote = ring.vote(&ledger, 5, &proposal("Seat", changes.clone()));
    assert_eq!(
        stateless_refusal(&ledger, vote),
        GovernanceError::NoVote(AgencyId(5)).into()
    );
    ring.adopt(&ledger, &[1, 2, 3], "Seat", changes);
    let power = |id| {
        let set = ledger.consortium().validator_set();
        set.get(AgencyId(id)).map(|v| v.power)
    };
    assert_eq!(power(5), Some(1));
    // Three of five are not enough any more, four are.
    let back = proposal(
        "No seat",
        vec![Change::SetPower(SetPower {
            agency: AgencyId(5),
            power: 0,
        })],
    );
    for agency in [1, 2, 5] {
        ring.step(&ledger, &[ring.vote(&ledger, agency, &back)]);
        assert_eq!(power(5), Some(1));
    }
    ring.step(&ledger, &[ring.vote(&ledger, 3, &back)]);
    assert_eq!(power(5), None);
    assert!(ledger.consortium().agency(AgencyId(5)).is_some());
}

#[test]
fn an_admitted_agency_publishes_validates_and_leaves_its_records_behind() {
    let (ledger, ring) = open(&[1, 1, 1, 1]);
    let chain = *ledger.chain_id();
    ring.adopt(&ledger, &[1, 2, 3], "Fifth", vec![admit(&chain, 5, 1)]);
    assert_eq!(ledger.roots(ledger.tip().height).unwrap().agencies.len(), 5);
    // Batches are signed with the key of its admission; the helper signs with another.
    let rows = [row(1, "2024-08", 10, 1), row(2, "2024-08", 20, 2)];
    let five = AgencyId(5);
    let sealed = |number, reported: &str| -> Transaction {
        let (body, rows) = body(five, number, period(reported), &rows);
        let Transaction::PublishBatch(batch) = seal(&chain, body, &rows).into() else {
            unreachable!()
        };
        zkbureau_ledger::PublishBatch::sign(&chain, batch.body, batch.argument, &new_key(5, 1))
            .into()
    };
    ring.step(&ledger, &[sealed(1, "2024-08")]);
    let at = ledger.tip().height;
    let column = ledger.column(at, five).unwrap();
    assert_eq!((column.leaves, column.batches), (2, 1));

    // Checked while it takes part, in hand when it has left.
    let late = checked(&ledger, &[sealed(2, "2024-09")]);
    ring.adopt(
        &ledger,
        &[1, 2, 3, 4],
        "Out",
        vec![Change::RemoveAgency(five)],
    );
    assert!(ledger.consortium().agency(five).is_none());
    assert_eq!(ledger.consortium().validator_set().validators().len(), 4);
    let time = TimeMs(ledger.tip().time_ms.0 + 1000);
    let made = ledger.propose(ONE, time, late.clone()).unwrap();
    assert_eq!(
        made.dropped,
        vec![(late[0].hash(), TxError::UnknownAgency(five))]
    );
    assert!(matches!(
        ledger.check_stateful(&late[0], time),
        Err(LedgerError::Transaction(TxError::UnknownAgency(a))) if a == five
    ));
    let mut block = made.executed.block().clone();
    block.transactions = vec![late[0].transaction().clone()];
    block.header.transactions_root = zkbureau_ledger::block::transactions_root(&[late[0].hash()]);
    let error = ledger
        .execute_with(&block, &|_| Some(late[0].clone()))
        .unwrap_err();
    let LedgerError::Block(error) = error else {
        panic!("{error}")
    };
    assert_eq!(
        error.kind,
        BlockErrorKind::Transaction {
            position: 0,
            hash: late[0].hash(),
            error: TxError::UnknownAgency(five),
        }
    );

    // The records stay: proofs, column, logs.
    let tip = ring.step(&ledger, &[]);
    let mut client = LightClient::from_genesis(ledger.genesis()).unwrap();
    let trusted = client
        .follow(&last_header(&ledger), |from| {
            ledger.validator_changes(from, 10)
        })
        .unwrap();
    let roots = trusted.roots(&ledger.roots(tip.height).unwrap()).unwrap();
    let place = Index(index(1));
    let proof = ledger.leaf_proof(tip.height, five, &place).unwrap();
    assert!(roots.leaf(five, &place, &proof).unwrap().is_some());
    assert_eq!(ledger.log(tip.height, five, &place).unwrap().len(), 1);
    assert_eq!(ledger.column(tip.height, five).unwrap().leaves, 2);
    assert_eq!(ledger.leaves(tip.height, five).count(), 2);
    // No audit names it.
    let request = audit(&chain, 9, &[five], "2024-08").into();
    assert_eq!(
        stateless_refusal(&ledger, request),
        TxError::UnknownAgency(five)
    );
}

#[test]
fn a_new_validator_key_signs_from_the_next_block_on() {
    let (ledger, mut ring) = open(&[1, 1, 1, 1]);
    let chain = *ledger.chain_id();
    let fresh = new_key(77, 9);
    // A vote under the old key, for something that stays open.
    let other = proposal(
        "Power",
        vec![Change::SetPower(SetPower {
            agency: TWO,
            power: 2,
        })],
    );
    ring.step(&ledger, &[ring.vote(&ledger, 1, &other)]);
    let old_batch = checked(
        &ledger,
        &[batch(&chain, ONE, 1, "2024-08", &[row(1, "2024-08", 1, 1)])],
    );
    let change = rotate(&chain, ONE, &fresh);
    ring.adopt(&ledger, &[1, 2, 3], "New key", vec![change]);

    // The old key signs nothing any more.
    let time = TimeMs(ledger.tip().time_ms.0 + 1000);
    let made = ledger.propose(TWO, time, old_batch.clone()).unwrap();
    assert_eq!(
        made.dropped,
        vec![(old_batch[0].hash(), TxError::Signature { key: "validator" })]
    );
    let vote = GovernanceVote::sign(&chain, ONE, other.clone(), &validator_key(ONE)).into();
    assert_eq!(
        stateless_refusal(&ledger, vote),
        TxError::Signature { key: "validator" }
    );
    let executed = ledger.execute(made.executed.block()).unwrap();
    let old_set = ledger.genesis().validator_set();
    let error = ledger
        .commit(executed.clone(), ring.certify(&executed, &old_set))
        .unwrap_err();
    assert!(matches!(
        error,
        LedgerError::Certificate(CertificateError::Signature(a)) if a == ONE
    ));
    let mut forged = made.executed.block().clone();
    forged.header.validators_hash = old_set.hash();
    assert!(matches!(
        ledger.execute(&forged),
        Err(LedgerError::Block(e)) if e.kind == BlockErrorKind::Validators
    ));
    ring.add(new_key(77, 9));
    let set = ledger.consortium().validator_set();
    assert_eq!(set.get(ONE).unwrap().key, fresh.public());
    ledger
        .commit(executed.clone(), ring.certify(&executed, &set))
        .unwrap();

    // The vote under the old key no longer counts, so it takes two more and the new one.
    for agency in [2, 3] {
        ring.step(&ledger, &[ring.vote(&ledger, agency, &other)]);
        let at = ledger.tip().height;
        let state = ledger.proposal(at, other.id()).unwrap().unwrap();
        assert_eq!(state.adopted, None);
    }
    ring.step(&ledger, &[ring.vote(&ledger, 1, &other)]);
    let at = ledger.tip().height;
    let state = ledger.proposal(at, other.id()).unwrap().unwrap();
    assert_eq!(state.adopted, Some(at));
    assert_eq!(state.ballots.len(), 3);
}

#[test]
fn a_header_must_announce_what_the_votes_make() {
    let (ledger, ring) = open(&[1, 1, 1, 1]);
    let chain = *ledger.chain_id();
    let change = proposal("Fifth", vec![admit(&chain, 5, 1)]);
    let votes: Vec<_> = [1, 2, 3].map(|a| ring.vote(&ledger, a, &change)).into();
    let made = propose(&ledger, &votes);
    let next = made.executed.next_consortium().validator_set();
    assert_eq!(next.validators().len(), 5);
    let mut block = made.executed.block().clone();
    assert_eq!(block.header.next_validators_hash, next.hash());
    block.header.next_validators_hash = block.header.validators_hash;
    let Err(LedgerError::Block(error)) = ledger.execute(&block) else {
        panic!("accepted")
    };
    assert_eq!(error.kind, BlockErrorKind::Validators);
    // And must not announce what no vote makes.
    let mut block = propose(&ledger, &votes[..2]).executed.block().clone();
    block.header.next_validators_hash = next.hash();
    assert!(matches!(
        ledger.execute(&block),
        Err(LedgerError::Block(e)) if e.kind == BlockErrorKind::Validators
    ));
}

/// The test schema with one more stock, `overdue`, and one more flow.
fn appended(version: u32, min: i64) -> Schema {
    let mut attributes = schema().attributes().to_vec();
    for (name, class) in [("overdue", Class::Stock), ("fees", Class::Flow)] {
        attributes.push(Attribute {
            name: name.into(),
            class,
            aggregate: Aggregate::Sum,
            min: if class == Class::Stock { min } else { 0 },
            max: 500,
            unit: "units".into(),
            description: String::new(),
        });
    }
    Schema::new(version, attributes).unwrap()
}

#[test]
fn a_new_schema_keeps_the_meaning_of_old_records() {
    let (ledger, ring) = open(&[1, 1, 1, 1]);
    let chain = *ledger.chain_id();
    let rows = [row(1, "2024-08", 10, 1), row(2, "2024-08", 20, 2)];
    ring.step(&ledger, &[batch(&chain, ONE, 1, "2024-08", &rows)]);
    let ready = checked(&ledger, &[batch(&chain, ONE, 2, "2024-08", &rows)]);
    let next = appended(2, 0);
    let change = Change::NewSchema(next.clone());
    ring.adopt(&ledger, &[1, 2, 3], "Version 2", vec![change]);
    assert_eq!(*ledger.schema(), next);
    assert_eq!(ledger.consortium().schema_version, 2);
    assert_eq!(ledger.consortium().schema, next.digest());

    // Batches under the version before are refused, also those that were checked.
    let time = TimeMs(ledger.tip().time_ms.0 + 1000);
    let made = ledger.propose(ONE, time, ready.clone()).unwrap();
    let outdated = TxError::Schema {
        expected: 2,
        got: 1,
    };
    assert_eq!(made.dropped, vec![(ready[0].hash(), outdated)]);

    // Under the new version the old commitments read as before, with zeros for what was appended.
    let at = ledger.tip().height;
    let column = ledger.column(at, ONE).unwrap();
    let key = CommitmentKey::new(&next);
    for (class, point) in [(Class::Stock, column.stocks), (Class::Flow, column.flows)] {
        let mut total = zkbureau_circuits::commitment::Opening::zero(&next, class);
        for row in &rows {
            let record = zkbureau_circuits::commitment::Record::new(
                &next,
                &[row.balance, row.payments, 0, 0],
            )
            .unwrap();
            let [stocks, flows] = openings(ONE, 1, row);
            let blinding = match class {
                Class::Stock => *stocks.blinding(),
                Class::Flow => *flows.blinding(),
            };
            total += &record.opening(&next, class, blinding);
        }
        let commitment = key.commit(class, &total).unwrap();
        assert_eq!(point, commitment.into());
    }

    // A batch under the new version.
    let mut rows = rows;
    rows.sort_by_key(|r| r.index);
    let (body, argument) = batch_under(&next, &chain, ONE, 2, &rows);
    let batch = zkbureau_ledger::PublishBatch::sign(&chain, body, argument, &validator_key(ONE));
    ring.step(&ledger, &[batch.into()]);
    assert_eq!(ledger.column(ledger.tip().height, ONE).unwrap().batches, 2);
    ledger.check_everything().unwrap();
}

#[test]
fn lower_and_higher_policies_take_effect() {
    let (ledger, ring) = open(&[1, 1, 1, 1]);
    for _ in 0..130 {
        ring.step(&ledger, &[]);
    }
    assert_eq!(ledger.oldest_state(), Height(3));
    let policies = |kept_versions| {
        vec![Change::SetPolicies(Policies {
            kept_versions,
            ..ledger.consortium().policies
        })]
    };
    ring.adopt(&ledger, &[1, 2, 3], "Keep fewer", policies(101));
    for _ in 0..5 {
        ring.step(&ledger, &[]);
    }
    // 136 blocks, of which 101 are kept; what was skipped is deleted, too.
    assert_eq!(ledger.oldest_state(), Height(36));
    assert!(ledger.roots(Height(36)).is_ok());
    assert!(matches!(
        ledger.roots(Height(35)),
        Err(LedgerError::Pruned { .. })
    ));
    let tables = ledger.store().snapshot();
    let of = |table| tables.keys().filter(|(t, _)| *t == table).count();
    assert_eq!(of(zkbureau_ledger::store::Table::Trees), 101);
    ring.adopt(&ledger, &[1, 2, 3], "Keep more", policies(103));
    for _ in 0..5 {
        ring.step(&ledger, &[]);
    }
    assert_eq!(ledger.oldest_state(), Height(40));
    // A pinned height stays until it is let go.
    let pin = ledger.pin(Height(41)).unwrap();
    for _ in 0..5 {
        ring.step(&ledger, &[]);
    }
    assert_eq!(ledger.oldest_state(), Height(41));
    drop(pin);
    ring.step(&ledger, &[]);
    assert_eq!(ledger.oldest_state(), Height(46));
    assert!(matches!(
        ledger.pin(Height(45)),
        Err(LedgerError::Pruned { .. })
    ));
}

#[test]
fn a_ledger_opens_again_with_what_is_in_force() {
    let genesis = seated(&[1, 1, 1, 1]);
    let store = std::sync::Arc::new(MemoryStore::new());
    let ring = Keyring::new();
    let ledger = Ledger::open(store.clone(), &genesis).unwrap();
    let chain = *ledger.chain_id();
    ring.adopt(&ledger, &[1, 2, 3], "Fifth", vec![admit(&chain, 5, 1)]);
    let next = Change::NewSchema(appended(2, 0));
    ring.adopt(&ledger, &[1, 2, 3, 4], "Version 2", vec![next]);
    let (consortium, epoch) = (ledger.consortium(), ledger.context().epoch());
    drop(ledger);
    let ledger = Ledger::open(store, &genesis).unwrap();
    assert_eq!(ledger.consortium(), consortium);
    assert_eq!(ledger.context().epoch(), epoch);
    assert_eq!(*ledger.schema(), appended(2, 0));
    ring.step(&ledger, &[]);
}

#[test]
fn what_was_checked_before_a_change_is_checked_again_and_used() {
    let (ledger, ring) = open(&[1, 1, 1, 1]);
    let chain = *ledger.chain_id();
    let ready = checked(
        &ledger,
        &[batch(&chain, ONE, 1, "2024-08", &[row(1, "2024-08", 1, 1)])],
    );
    let old = ledger.context().epoch();
    assert_eq!(ready[0].epoch(), old);
    // A change that has nothing to do with it.
    let power = |power| Change::SetPower(SetPower { agency: TWO, power });
    ring.adopt(&ledger, &[1, 2, 3], "More", vec![power(2)]);
    assert_ne!(ledger.context().epoch(), old);
    let time = TimeMs(ledger.tip().time_ms.0 + 1000);
    ledger.check_stateful(&ready[0], time).unwrap();
    let made = ledger.propose(ONE, time, ready.clone()).unwrap();
    assert!(made.dropped.is_empty());
    assert_eq!(made.executed.block().transactions.len(), 1);
    let executed = ledger
        .execute_with(made.executed.block(), &|_| Some(ready[0].clone()))
        .unwrap();
    assert_eq!(executed.roots(), made.executed.roots());
    let set = ledger.consortium().validator_set();
    ledger
        .commit(executed.clone(), ring.certify(&executed, &set))
        .unwrap();
    // Rules that are taken back are the same rules.
    ring.adopt(&ledger, &[1, 2, 3], "Less", vec![power(1)]);
    assert_eq!(ledger.context().epoch(), old);
}
