//! One test per rule about votes, changes and evidence, each with the smallest transaction that breaks it.
//! What is refused leaves the ledger as it was (`refusal`).
#![allow(clippy::unwrap_used)]

mod common;

use common::council::*;
use common::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use zkbureau_circuits::directory::VrfSecretKey;
use zkbureau_circuits::schema::{Aggregate, Attribute, Class, Schema, SchemaError};
use zkbureau_ledger::block::{VoteKind, vote_bytes};
use zkbureau_ledger::genesis::{Auditor, GenesisError, Issuer, Observer, Policies};
use zkbureau_ledger::machine::ChangeError;
use zkbureau_ledger::state::{KeyRole, KeyUse, Party, PartyState};
use zkbureau_ledger::transaction::{
    AdmitAgency, EvidenceError, GovernanceVote, NewKeys, Possession, Proposal, RotateKeys,
    SetPower, SignedVote,
};
use zkbureau_ledger::{
    AgencyId, AuditorId, Change, Day, Evidence, GovernanceError, Height, IssuerId, Ledger,
    LightClient, MemoryStore, PublicKey, RegistryKey, SealingKey, SecretKey, Signature, TimeMs,
    Transaction, TxError,
};

fn open(powers: &[u64]) -> (Ledger<MemoryStore>, Keyring) {
    let ledger = Ledger::open(MemoryStore::new(), &seated(powers)).unwrap();
    (ledger, Keyring::new())
}

fn power(agency: u32, power: u64) -> Change {
    let agency = AgencyId(agency);
    Change::SetPower(SetPower { agency, power })
}

fn observer(n: u32) -> Observer {
    Observer {
        name: format!("Observer {n}"),
        network_key: new_key(n, 3).public(),
    }
}

fn issuer(id: u32, key: u32) -> Change {
    Change::SetIssuer(Issuer {
        id: IssuerId(id),
        name: format!("Issuer no. {id}"),
        key: new_key(key, 4).public(),
    })
}

fn auditor(id: u32, key: u32) -> Change {
    Change::SetAuditor(Auditor {
        id: AuditorId(id),
        name: format!("Auditor no. {id}"),
        key: new_key(key, 5).public(),
    })
}

/// How the last of `changes` is refused when agency 1 votes for them.
fn change_refusal(ledger: &Ledger<MemoryStore>, changes: Vec<Change>) -> ChangeError {
    let last = changes.len() - 1;
    let vote = Keyring::new().vote(ledger, 1, &proposal("Refused", changes));
    match refusal(ledger, vote) {
        TxError::Governance(GovernanceError::Change { change, error }) => {
            assert_eq!(change, last);
            *error
        }
        other => panic!("{other}"),
    }
}

/// How changes are refused that are fine one by one.
fn whole_refusal(ledger: &Ledger<MemoryStore>, changes: Vec<Change>) -> ChangeError {
    let vote = Keyring::new().vote(ledger, 1, &proposal("Refused", changes));
    match refusal(ledger, vote) {
        TxError::Governance(GovernanceError::Changes(error)) => *error,
        other => panic!("{other}"),
    }
}

#[test]
fn votes_that_need_no_state_to_be_refused() {
    let (ledger, ring) = open(&[1, 1, 1, 0]);
    let good = proposal("Title", vec![power(1, 2)]);
    let refused = |proposal: &Proposal| stateless_refusal(&ledger, ring.vote(&ledger, 1, proposal));
    let mut empty = good.clone();
    empty.changes.clear();
    let count = |got| TxError::Count {
        field: "changes",
        min: 1,
        max: 16,
        got,
    };
    assert_eq!(refused(&empty), count(0));
    let mut many = good.clone();
    many.changes = vec![power(1, 2); 17];
    assert_eq!(refused(&many), count(17));
    for title in ["", " x", "a\nb", &"x".repeat(101)] {
        let mut bad = good.clone();
        bad.title = title.into();
        let TxError::Governance(GovernanceError::Title(error)) = refused(&bad) else {
            panic!("{title:?}")
        };
        assert!(matches!(
            *error,
            GenesisError::Limit { .. } | GenesisError::Name { .. }
        ));
    }
    // No seat; nobody; another's key; another chain; another proposal under the signature.
    let vote = ring.vote(&ledger, 4, &good);
    assert_eq!(
        stateless_refusal(&ledger, vote),
        GovernanceError::NoVote(AgencyId(4)).into()
    );
    let chain = *ledger.chain_id();
    let sign = |chain, agency, key: &SecretKey| {
        GovernanceVote::sign(chain, AgencyId(agency), good.clone(), key)
    };
    let unknown = sign(&chain, 9, &validator_key(ONE));
    assert_eq!(
        stateless_refusal(&ledger, unknown.into()),
        GovernanceError::NoVote(AgencyId(9)).into()
    );
    let bad_signature = TxError::Signature { key: "validator" };
    let other = *Ledger::open(MemoryStore::new(), &genesis(2))
        .unwrap()
        .chain_id();
    let mut altered = sign(&chain, 1, &validator_key(ONE));
    altered.proposal.title.push('!');
    let mut moved = sign(&chain, 1, &validator_key(ONE));
    moved.agency = TWO;
    for vote in [
        sign(&chain, 1, &validator_key(TWO)),
        sign(&other, 1, &validator_key(ONE)),
        altered,
        moved,
    ] {
        assert_eq!(stateless_refusal(&ledger, vote.into()), bad_signature);
    }
    assert!(ledger.check_stateless(vec![sign(&chain, 1, &validator_key(ONE)).into()])[0].is_ok());
}

#[test]
fn new_signing_keys_must_be_shown_to_be_held() {
    let (ledger, ring) = open(&[1, 1, 1, 1]);
    let chain = *ledger.chain_id();
    let other = *Ledger::open(MemoryStore::new(), &genesis(2))
        .unwrap()
        .chain_id();
    let agency = newcomer(5);
    let (validator, network) = (new_key(5, 1), new_key(5, 2));
    let good = AdmitAgency::sign(&chain, agency.clone(), 1, &validator, &network);
    let with = |possession| AdmitAgency {
        possession,
        ..good.clone()
    };
    let held = good.possession;
    let mut renamed = good.clone();
    renamed.agency.name.push('x');
    let mut bad: Vec<AdmitAgency> = vec![
        with(Possession::default()),
        with(Possession {
            network: None,
            ..held
        }),
        with(Possession {
            validator: None,
            ..held
        }),
        with(Possession {
            validator: held.network,
            network: held.validator,
        }),
        with(Possession {
            validator: Some(Signature([0; 64])),
            ..held
        }),
        AdmitAgency::sign(&chain, agency.clone(), 1, &network, &validator),
        AdmitAgency::sign(&other, agency.clone(), 1, &validator, &network),
        renamed,
    ];
    // Somebody else's keys, signed with one's own.
    let mut stolen = agency.clone();
    stolen.validator_key = new_key(6, 1).public();
    bad.push(AdmitAgency::sign(&chain, stolen, 1, &validator, &network));
    let refused = |changes| {
        let vote = ring.vote(&ledger, 1, &proposal("Refused", changes));
        stateless_refusal(&ledger, vote)
    };
    let possession: TxError = GovernanceError::Possession { change: 1 }.into();
    for admit in bad {
        let changes = vec![power(1, 2), Change::AdmitAgency(admit)];
        assert_eq!(refused(changes), possession);
    }
    // Rotations: exactly the new signing keys sign, for this agency and these keys.
    let keys = NewKeys {
        validator: Some(validator.public()),
        network: Some(network.public()),
        ..NewKeys::default()
    };
    let sign = |keys: &NewKeys, v: Option<&SecretKey>, n: Option<&SecretKey>| {
        RotateKeys::sign(&chain, ONE, keys.clone(), v, n)
    };
    let good = sign(&keys, Some(&validator), Some(&network));
    let mut moved = good.clone();
    moved.agency = TWO;
    let mut fewer = good.clone();
    fewer.keys.network = None;
    for rotate in [
        sign(&keys, Some(&validator), None),
        sign(&keys, None, Some(&network)),
        sign(&keys, Some(&network), Some(&validator)),
        sign(&NewKeys::default(), Some(&validator), None),
        moved,
        fewer,
    ] {
        let changes = vec![power(1, 2), Change::RotateKeys(rotate)];
        assert_eq!(refused(changes), possession);
    }
    ring.adopt(&ledger, &[1, 2, 3], "Keys", vec![Change::RotateKeys(good)]);
}

#[test]
fn a_proposal_is_open_for_a_limited_time() {
    let (ledger, ring) = open(&[1, 1, 1, 1]);
    let day = today(&ledger);
    let until = |expires| Proposal {
        expires,
        ..proposal("Until", vec![power(1, 2)])
    };
    let max = Day(day.0 + 90);
    for got in [Day(day.0 - 1), Day(day.0 + 91), Day(u32::MAX)] {
        assert_eq!(
            refusal(&ledger, ring.vote(&ledger, 1, &until(got))),
            GovernanceError::Expiry { min: day, max, got }.into()
        );
    }
    ring.step(&ledger, &[ring.vote(&ledger, 1, &until(max))]);
    // One that is open ends with its day.
    let short = until(day);
    ring.step(&ledger, &[ring.vote(&ledger, 1, &short)]);
    let tomorrow = zkbureau_ledger::TimeMs((u64::from(day.0) + 1) * 86_400_000);
    let made = ledger.propose(ONE, tomorrow, vec![]).unwrap();
    let executed = ledger.execute(made.executed.block()).unwrap();
    let set = ledger.consortium().validator_set();
    ledger
        .commit(executed.clone(), ring.certify(&executed, &set))
        .unwrap();
    assert!(matches!(
        refusal(&ledger, ring.vote(&ledger, 2, &short)),
        TxError::Governance(GovernanceError::Expiry { .. })
    ));
    // And leaves the list with the next vote.
    let open = |ledger: &Ledger<MemoryStore>| {
        let open = ledger.open_proposals(ledger.tip().height).unwrap().0;
        open.iter().map(|p| p.id).collect::<Vec<_>>()
    };
    assert_eq!(open(&ledger).len(), 2);
    ring.step(&ledger, &[ring.vote(&ledger, 2, &until(max))]);
    assert_eq!(open(&ledger), [until(max).id()]);
}

#[test]
fn nobody_votes_twice_and_nothing_is_adopted_twice() {
    let (ledger, ring) = open(&[1, 1, 1, 1]);
    let first = proposal("First", vec![power(1, 2)]);
    let vote = ring.vote(&ledger, 1, &first);
    ring.step(&ledger, std::slice::from_ref(&vote));
    let id = first.id();
    assert_eq!(
        refusal(&ledger, vote.clone()),
        GovernanceError::Voted { agency: ONE, id }.into()
    );
    // Not within a block either.
    let two = ring.vote(&ledger, 2, &first);
    let made = propose(&ledger, &[two.clone(), two.clone()]);
    assert_eq!(
        made.dropped,
        vec![(
            two.hash(),
            GovernanceError::Voted { agency: TWO, id }.into()
        )]
    );
    ring.step(&ledger, &[two]);
    ring.step(&ledger, &[ring.vote(&ledger, 3, &first)]);
    let height = ledger.tip().height;
    assert_eq!(
        ledger.proposal(height, id).unwrap().unwrap().adopted,
        Some(height)
    );
    for agency in [1, 4] {
        assert_eq!(
            refusal(&ledger, ring.vote(&ledger, agency, &first)),
            GovernanceError::Adopted { id, height }.into()
        );
    }
    // Power went back meanwhile: the old votes do not bring the change back, another title does.
    ring.adopt(&ledger, &[1, 2, 3], "Back", vec![power(1, 1)]);
    assert!(matches!(
        refusal(&ledger, ring.vote(&ledger, 1, &first)),
        TxError::Governance(GovernanceError::Adopted { .. })
    ));
    ring.adopt(&ledger, &[1, 2, 3], "First, again", vec![power(1, 2)]);
}

#[test]
fn a_block_adopts_one_proposal() {
    let (ledger, ring) = open(&[3, 1, 1, 1]);
    let (a, b) = (
        proposal("A", vec![power(1, 4)]),
        proposal("B", vec![power(2, 2)]),
    );
    let votes: Vec<_> = [(1, &a), (2, &a), (3, &a), (1, &b), (2, &b), (3, &b)]
        .map(|(agency, p)| ring.vote(&ledger, agency, p))
        .into();
    // The power of 3 + 1 is not more than two thirds of 6; 3 + 1 + 1 is.
    let made = propose(&ledger, &votes);
    assert!(made.dropped.is_empty());
    assert_eq!(made.deferred.len(), 3);
    let executed = ledger.execute(made.executed.block()).unwrap();
    let set = ledger.consortium().validator_set();
    ledger
        .commit(executed.clone(), ring.certify(&executed, &set))
        .unwrap();
    let consortium = ledger.consortium();
    let set = consortium.validator_set();
    assert_eq!(
        (set.get(ONE).unwrap().power, set.get(TWO).unwrap().power),
        (4, 1)
    );
    let busy = TxError::Governance(GovernanceError::Busy);
    assert!(busy.is_temporary());
    // The rest in the next block, under the powers in force then: 4 + 1 of 7 decide.
    ring.step(&ledger, &votes[3..5]);
    assert!(matches!(
        refusal(&ledger, votes[5].clone()),
        TxError::Governance(GovernanceError::Adopted { .. })
    ));
    let set = ledger.consortium().validator_set();
    assert_eq!(set.get(TWO).unwrap().power, 2);
}

#[test]
fn an_agency_opens_few_proposals_at_a_time() {
    let (ledger, ring) = open(&[1, 1, 1, 1]);
    let numbered = |n: u64| proposal(&format!("No. {n}"), vec![power(1, n + 2)]);
    for n in 0..4 {
        ring.step(&ledger, &[ring.vote(&ledger, 1, &numbered(n))]);
    }
    let limit: TxError = GovernanceError::TooManyOpen {
        agency: ONE,
        limit: 4,
    }
    .into();
    assert_eq!(refusal(&ledger, ring.vote(&ledger, 1, &numbered(4))), limit);
    // Others may, and it may vote for theirs.
    ring.step(&ledger, &[ring.vote(&ledger, 2, &numbered(4))]);
    ring.step(&ledger, &[ring.vote(&ledger, 1, &numbered(4))]);
    assert_eq!(refusal(&ledger, ring.vote(&ledger, 1, &numbered(5))), limit);
    // An adopted one makes room.
    ring.step(&ledger, &[ring.vote(&ledger, 2, &numbered(0))]);
    ring.step(&ledger, &[ring.vote(&ledger, 3, &numbered(0))]);
    ring.step(&ledger, &[ring.vote(&ledger, 1, &numbered(5))]);
}

#[test]
fn changes_name_who_is_there() {
    let (ledger, _) = open(&[1, 1, 1, 1]);
    let chain = *ledger.chain_id();
    let nine = AgencyId(9);
    let unknown = ChangeError::Unknown(Party::Agency(nine));
    for change in [
        Change::RemoveAgency(nine),
        power(9, 1),
        rotate(&chain, nine, &new_key(9, 9)),
    ] {
        assert_eq!(change_refusal(&ledger, vec![change]), unknown);
    }
    assert_eq!(
        change_refusal(&ledger, vec![Change::RemoveIssuer(IssuerId(9))]),
        ChangeError::Unknown(Party::Issuer(IssuerId(9)))
    );
    assert_eq!(
        change_refusal(&ledger, vec![Change::RemoveAuditor(AuditorId(9))]),
        ChangeError::Unknown(Party::Auditor(AuditorId(9)))
    );
    let key = observer(1).network_key;
    assert_eq!(
        change_refusal(&ledger, vec![Change::RemoveObserver(key)]),
        ChangeError::UnknownObserver(key)
    );
    // Gone with an earlier change of the same proposal.
    let gone = AgencyId(4);
    assert_eq!(
        change_refusal(&ledger, vec![Change::RemoveAgency(gone), power(4, 2)]),
        ChangeError::Unknown(Party::Agency(gone))
    );
}

#[test]
fn identifiers_are_never_used_again() {
    let (ledger, ring) = open(&[1, 1, 1, 1]);
    let chain = *ledger.chain_id();
    let agency = |id| ChangeError::IdUsed(Party::Agency(AgencyId(id)));
    assert_eq!(
        change_refusal(&ledger, vec![admit(&chain, 4, 1)]),
        agency(4)
    );
    assert_eq!(
        change_refusal(&ledger, vec![admit(&chain, 5, 1), admit(&chain, 5, 1)]),
        agency(5)
    );
    ring.adopt(
        &ledger,
        &[1, 2, 3],
        "Come",
        vec![admit(&chain, 5, 0), issuer(2, 1), auditor(2, 1)],
    );
    let since = ledger.tip().height;
    let leave = vec![
        Change::RemoveAgency(AgencyId(5)),
        Change::RemoveIssuer(IssuerId(2)),
        Change::RemoveAuditor(AuditorId(2)),
    ];
    ring.adopt(&ledger, &[1, 2, 3], "Leave", leave);
    let left = Some(ledger.tip().height);
    assert_eq!(
        change_refusal(&ledger, vec![admit(&chain, 5, 0)]),
        agency(5)
    );
    assert_eq!(
        change_refusal(&ledger, vec![issuer(2, 2)]),
        ChangeError::IdUsed(Party::Issuer(IssuerId(2)))
    );
    assert_eq!(
        change_refusal(&ledger, vec![auditor(2, 2)]),
        ChangeError::IdUsed(Party::Auditor(AuditorId(2)))
    );
    // Come and gone in one proposal.
    let both = vec![
        Change::RemoveAuditor(AuditorId(1)),
        Change::SetAuditor(ledger.consortium().auditors[0].clone()),
    ];
    assert_eq!(
        change_refusal(&ledger, both),
        ChangeError::IdUsed(Party::Auditor(AuditorId(1)))
    );
    // The registry says when.
    let at = ledger.tip().height;
    let key = RegistryKey::Party(Party::Agency(AgencyId(5)));
    let proof = ledger.registry_proof(at, &key).unwrap();
    let state: PartyState = decode(&proof.value.unwrap());
    assert_eq!(state, PartyState { since, left });
}

fn decode<T: zkbureau_circuits::encoding::Document>(bytes: &[u8]) -> T {
    T::from_bytes(bytes).unwrap()
}

#[test]
fn keys_are_never_used_again() {
    let (ledger, ring) = open(&[1, 1, 1, 1]);
    let chain = *ledger.chain_id();
    let used = |key: &PublicKey| ChangeError::KeyUsed(*key.as_bytes());
    let consortium = ledger.consortium();
    let two = consortium.agency(TWO).unwrap().clone();
    // Somebody's present key, in every role.
    assert_eq!(
        change_refusal(&ledger, vec![rotate(&chain, ONE, &validator_key(TWO))]),
        used(&two.validator_key)
    );
    assert_eq!(
        change_refusal(&ledger, vec![rotate(&chain, ONE, &validator_key(ONE))]),
        used(&validator_key(ONE).public())
    );
    assert_eq!(
        change_refusal(&ledger, vec![rotate(&chain, ONE, &network_key(TWO))]),
        used(&two.network_key)
    );
    let sealing = NewKeys {
        sealing: Some(two.sealing_key),
        ..NewKeys::default()
    };
    let change = Change::RotateKeys(RotateKeys::sign(&chain, ONE, sealing, None, None));
    assert_eq!(
        change_refusal(&ledger, vec![change]),
        ChangeError::KeyUsed(*two.sealing_key.as_bytes())
    );
    let vrf = NewKeys {
        vrf: Some(two.vrf_key),
        ..NewKeys::default()
    };
    let change = Change::RotateKeys(RotateKeys::sign(&chain, ONE, vrf, None, None));
    assert_eq!(
        change_refusal(&ledger, vec![change]),
        ChangeError::KeyUsed(*two.vrf_key.as_bytes())
    );
    let mut twin = newcomer(5);
    twin.validator_key = two.validator_key;
    let twin = AdmitAgency::sign(&chain, twin, 0, &validator_key(TWO), &new_key(5, 2));
    assert_eq!(
        change_refusal(&ledger, vec![Change::AdmitAgency(twin)]),
        used(&two.validator_key)
    );
    let issuer_with = |id, key| {
        Change::SetIssuer(Issuer {
            id: IssuerId(id),
            name: "Another".into(),
            key,
        })
    };
    let auditor_now = consortium.auditors[0].key;
    assert_eq!(
        change_refusal(&ledger, vec![issuer_with(1, auditor_now)]),
        used(&auditor_now)
    );
    assert_eq!(
        change_refusal(&ledger, vec![issuer_with(2, consortium.issuers[0].key)]),
        used(&consortium.issuers[0].key)
    );
    let watching = Observer {
        name: "Watch".into(),
        network_key: two.network_key,
    };
    assert_eq!(
        change_refusal(&ledger, vec![Change::AdmitObserver(watching)]),
        used(&two.network_key)
    );
    // A former key; twice in one proposal; swapped back.
    let fresh = new_key(60, 1);
    let changes = vec![rotate(&chain, ONE, &fresh)];
    assert_eq!(
        change_refusal(
            &ledger,
            vec![changes[0].clone(), rotate(&chain, TWO, &fresh)]
        ),
        used(&fresh.public())
    );
    ring.adopt(&ledger, &[2, 3, 4], "Fresh", changes);
    let since = ledger.tip().height;
    let vote = Keyring::new().vote(
        &ledger,
        2,
        &proposal("Back", vec![rotate(&chain, ONE, &validator_key(ONE))]),
    );
    let made = {
        let time = zkbureau_ledger::TimeMs(ledger.tip().time_ms.0 + 1000);
        ledger
            .propose(TWO, time, checked(&ledger, std::slice::from_ref(&vote)))
            .unwrap()
    };
    let error = Box::new(used(&validator_key(ONE).public()));
    assert_eq!(
        made.dropped,
        vec![(
            vote.hash(),
            GovernanceError::Change { change: 0, error }.into()
        )]
    );
    // Keeping one's key under another name is no new key.
    let key = consortium.issuers[0].key;
    let votes: Vec<_> = [2, 3, 4]
        .map(|a| ring.vote(&ledger, a, &proposal("Name", vec![issuer_with(1, key)])))
        .into();
    let mut all = ring;
    all.add(new_key(60, 1));
    all.step(&ledger, &votes);
    assert_eq!(
        ledger.consortium().issuer(IssuerId(1)).unwrap().name,
        "Another"
    );
    let at = ledger.tip().height;
    let proof = ledger
        .registry_proof(at, &RegistryKey::Key(*fresh.public().as_bytes()))
        .unwrap();
    assert_eq!(
        decode::<KeyUse>(&proof.value.unwrap()),
        KeyUse {
            party: Party::Agency(ONE),
            role: KeyRole::Validator,
            since,
            until: None,
        }
    );
    let proof = ledger
        .registry_proof(
            at,
            &RegistryKey::Key(*validator_key(ONE).public().as_bytes()),
        )
        .unwrap();
    let replaced = decode::<KeyUse>(&proof.value.unwrap());
    assert_eq!(
        (replaced.since, replaced.until),
        (Height(0), Some(since)),
        "the key before"
    );
}

#[test]
fn a_node_that_watched_may_come_back_under_its_key() {
    let (ledger, ring) = open(&[1, 1, 1, 1]);
    let chain = *ledger.chain_id();
    let node = Observer {
        name: "Future fifth".into(),
        network_key: new_key(5, 2).public(),
    };
    let admit_node = Change::AdmitObserver(node.clone());
    ring.adopt(&ledger, &[1, 2, 3], "Watch", vec![admit_node.clone()]);
    assert_eq!(ledger.consortium().observers, vec![node.clone()]);
    // Not twice at a time, and not as an agency while it watches.
    let used = ChangeError::KeyUsed(*node.network_key.as_bytes());
    assert_eq!(change_refusal(&ledger, vec![admit_node.clone()]), used);
    assert_eq!(change_refusal(&ledger, vec![admit(&chain, 5, 1)]), used);
    let remove = Change::RemoveObserver(node.network_key);
    ring.adopt(&ledger, &[1, 2, 3], "Gone", vec![remove.clone()]);
    ring.adopt(&ledger, &[1, 2, 3], "Back", vec![admit_node.clone()]);
    ring.adopt(
        &ledger,
        &[1, 2, 3],
        "Fifth",
        vec![remove, admit(&chain, 5, 1)],
    );
    assert!(ledger.consortium().agency(AgencyId(5)).is_some());
    // An agency's node does not watch afterwards.
    let out = Change::RemoveAgency(AgencyId(5));
    assert_eq!(change_refusal(&ledger, vec![out, admit_node]), used);
    // Nor is an observer's key good for anything else.
    ring.adopt(
        &ledger,
        &[1, 2, 3, 4],
        "Other",
        vec![Change::AdmitObserver(observer(8))],
    );
    let changes = vec![
        Change::RemoveObserver(observer(8).network_key),
        rotate(&chain, ONE, &new_key(8, 3)),
    ];
    assert_eq!(
        change_refusal(&ledger, changes),
        ChangeError::KeyUsed(*observer(8).network_key.as_bytes())
    );
}

#[test]
fn a_directory_keeps_its_key_once_it_has_records() {
    let (ledger, ring) = open(&[1, 1, 1, 1]);
    let chain = *ledger.chain_id();
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let key = VrfSecretKey::random(&mut rng).public();
    let rotate = |agency| {
        let keys = NewKeys {
            vrf: Some(key),
            ..NewKeys::default()
        };
        Change::RotateKeys(RotateKeys::sign(&chain, agency, keys, None, None))
    };
    ring.step(
        &ledger,
        &[batch(&chain, ONE, 1, "2024-08", &[row(1, "2024-08", 1, 1)])],
    );
    assert_eq!(
        change_refusal(&ledger, vec![rotate(ONE)]),
        ChangeError::VrfInUse(ONE)
    );
    // With the block that brings the key no batch gets in, whose indexes stand under the old one.
    let votes = [1, 2, 3].map(|a| ring.vote(&ledger, a, &proposal("Vrf", vec![rotate(TWO)])));
    let first = batch(&chain, TWO, 1, "2024-08", &[row(2, "2024-08", 1, 1)]);
    let mut all = votes.to_vec();
    all.push(first.clone());
    let made = propose(&ledger, &all);
    assert_eq!(
        made.dropped,
        vec![(first.hash(), TxError::NewDirectory(TWO))]
    );
    ring.step(&ledger, &votes);
    assert_eq!(ledger.consortium().agency(TWO).unwrap().vrf_key, key);
}

#[test]
fn a_schema_follows_the_one_before() {
    let (ledger, _) = open(&[1, 1, 1, 1]);
    let with = |version, edit: &dyn Fn(&mut Vec<Attribute>)| {
        let mut attributes = schema().attributes().to_vec();
        edit(&mut attributes);
        Change::NewSchema(Schema::new(version, attributes).unwrap())
    };
    let more = |min| Attribute {
        name: "more".into(),
        class: Class::Stock,
        aggregate: Aggregate::Sum,
        min,
        max: 5,
        unit: "units".into(),
        description: String::new(),
    };
    let refused = |change| change_refusal(&ledger, vec![change]);
    assert_eq!(
        refused(with(1, &|a| a.push(more(0)))),
        ChangeError::Schema(SchemaError::Version { before: 1, got: 1 })
    );
    assert_eq!(
        refused(with(3, &|a| a.push(more(0)))),
        ChangeError::SchemaVersion {
            expected: 2,
            got: 3
        }
    );
    // Wider, narrower, renamed, dropped, inserted, redescribed: a number would change its meaning.
    let balance = || ChangeError::Schema(SchemaError::NotAppended("balance".into()));
    assert_eq!(refused(with(2, &|a| a[1].max += 1)), balance());
    assert_eq!(refused(with(2, &|a| a[1].max -= 1)), balance());
    assert_eq!(refused(with(2, &|a| a[1].name = "debt".into())), balance());
    assert_eq!(refused(with(2, &|a| a[1].unit = "cents".into())), balance());
    assert_eq!(refused(with(2, &|a| a.insert(1, more(0)))), balance());
    assert_eq!(
        refused(with(2, &|a| {
            a.pop();
        })),
        ChangeError::Schema(SchemaError::NotAppended("payments".into()))
    );
    // A record of before would read as -5 or 1.
    for min in [-5, 1] {
        assert_eq!(
            refused(with(2, &|a| a.push(more(min)))),
            ChangeError::SchemaMin("more".into())
        );
    }
    // A higher version alone is allowed: descriptions of rules outside may have changed.
    let vote = Keyring::new().vote(&ledger, 1, &proposal("Same", vec![with(2, &|_| {})]));
    step_with_one(&ledger, vote);
}

fn step_with_one(ledger: &Ledger<MemoryStore>, transaction: Transaction) {
    Keyring::new().step(ledger, &[transaction]);
}

#[test]
fn the_consortium_keeps_its_rules() {
    let (ledger, _) = open(&[1, 1, 1, 1]);
    let chain = *ledger.chain_id();
    let refused = |changes| whole_refusal(&ledger, changes);
    let limit = |field: &str, min, max, got| {
        ChangeError::Rule(GenesisError::Limit {
            field: field.into(),
            min,
            max,
            got,
        })
    };
    let policies = |edit: &dyn Fn(&mut Policies)| {
        let mut policies = ledger.consortium().policies;
        edit(&mut policies);
        vec![Change::SetPolicies(policies)]
    };
    assert_eq!(
        refused(policies(&|p| p.kept_versions = 100)),
        limit("policies.kept_versions", 101, 100_000, 100)
    );
    assert_eq!(
        refused(policies(&|p| p.max_block_bytes = 5 << 20)),
        limit("policies.max_block_bytes", 64 << 10, 4 << 20, 5 << 20)
    );
    assert_eq!(
        refused(policies(&|p| p.max_batch_slots = 0)),
        limit("policies.max_batch_slots", 1, 32_768, 0)
    );
    assert_eq!(
        refused(vec![power(1, (1 << 32) + 1)]),
        limit("validators[0].power", 1, 1 << 32, (1 << 32) + 1)
    );
    // Identifiers out of range, a name taken.
    let admit_as = |edit: &dyn Fn(&mut zkbureau_ledger::genesis::Agency)| {
        let mut agency = newcomer(5);
        edit(&mut agency);
        let (validator, network) = (new_key(5, 1), new_key(5, 2));
        let admit = AdmitAgency::sign(&chain, agency, 0, &validator, &network);
        vec![Change::AdmitAgency(admit)]
    };
    assert!(matches!(
        refused(admit_as(&|a| a.id = AgencyId(0))),
        ChangeError::Rule(GenesisError::Limit { .. })
    ));
    assert!(matches!(
        refused(admit_as(&|a| a.id = AgencyId(u32::MAX))),
        ChangeError::Rule(GenesisError::Limit { .. })
    ));
    assert!(matches!(
        refused(admit_as(&|a| a.name = "Agency 2".into())),
        ChangeError::Rule(GenesisError::Duplicate { .. })
    ));
    assert!(matches!(
        refused(admit_as(&|a| a.name.clear())),
        ChangeError::Rule(GenesisError::Limit { .. })
    ));
    let named = Observer {
        name: String::new(),
        ..observer(1)
    };
    assert!(matches!(
        refused(vec![Change::AdmitObserver(named)]),
        ChangeError::Rule(GenesisError::Limit { .. })
    ));
    // Nothing at all.
    assert_eq!(refused(vec![power(1, 1)]), ChangeError::Nothing);
    let empty = RotateKeys::sign(&chain, ONE, NewKeys::default(), None, None);
    assert_eq!(
        refused(vec![Change::RotateKeys(empty)]),
        ChangeError::Nothing
    );
    assert_eq!(
        refused(vec![power(1, 7), power(1, 1)]),
        ChangeError::Nothing
    );
}

#[test]
fn those_who_sign_keep_a_quorum() {
    let (ledger, ring) = open(&[1, 1, 1, 1]);
    let chain = *ledger.chain_id();
    let quorum = |kept, total| ChangeError::Quorum { kept, total };
    // 4 of 6 are two thirds and not more.
    assert_eq!(
        whole_refusal(&ledger, vec![admit(&chain, 5, 2)]),
        quorum(4, 6)
    );
    assert_eq!(
        whole_refusal(&ledger, vec![admit(&chain, 5, 1), admit(&chain, 6, 1)]),
        quorum(4, 6)
    );
    let replace = vec![
        Change::RemoveAgency(AgencyId(3)),
        Change::RemoveAgency(AgencyId(4)),
        admit(&chain, 5, 1),
    ];
    assert_eq!(whole_refusal(&ledger, replace), quorum(2, 3));
    // A seat that an agency did not have counts as new, too.
    let none = vec![power(1, 0), power(2, 0), power(3, 0), power(4, 0)];
    assert!(matches!(
        whole_refusal(&ledger, none),
        ChangeError::Rule(GenesisError::Limit { field, .. }) if field == "validators"
    ));
    // One more is fine, and everybody but one may leave.
    ring.adopt(&ledger, &[1, 2, 3], "Fifth", vec![admit(&chain, 5, 1)]);
    let leave = [2, 3, 4, 5].map(|id| Change::RemoveAgency(AgencyId(id)));
    ring.adopt(&ledger, &[1, 2, 3, 4], "Alone", leave.to_vec());
    assert_eq!(ledger.consortium().validator_set().validators().len(), 1);
    let last = vec![Change::RemoveAgency(ONE)];
    assert!(matches!(
        whole_refusal(&ledger, last),
        ChangeError::Rule(GenesisError::Limit { field, .. }) if field == "agencies"
    ));
    assert_eq!(
        whole_refusal(&ledger, vec![admit(&chain, 6, 1)]),
        quorum(1, 2)
    );
    ring.adopt(&ledger, &[1], "Two", vec![power(1, 3), admit(&chain, 6, 1)]);
    ring.step(&ledger, &[]);
}

#[test]
fn a_chain_has_a_number_of_agencies_in_its_life() {
    let (ledger, ring) = open(&[1, 0]);
    let chain = *ledger.chain_id();
    let mut next = 3;
    while next <= 200 {
        let last = (next + 7).min(200);
        // The last ones leave when the next ones come.
        let mut changes: Vec<Change> = (next..=last).map(|id| admit(&chain, id, 0)).collect();
        let here = ledger.consortium();
        let leave = here.agencies.iter().filter(|a| a.id > TWO);
        changes.extend(leave.map(|a| Change::RemoveAgency(a.id)));
        ring.adopt(&ledger, &[1], &format!("From {next}"), changes);
        next = last + 1;
    }
    let at = ledger.tip().height;
    assert_eq!(ledger.columns(at).unwrap().0.len(), 200);
    assert_eq!(
        change_refusal(&ledger, vec![admit(&chain, 201, 0)]),
        ChangeError::AgenciesEver { limit: 200 }
    );
    // Everything still fits its document.
    ring.step(
        &ledger,
        &[batch(&chain, TWO, 1, "2024-08", &[row(1, "2024-08", 1, 1)])],
    );
    let at = ledger.tip().height;
    assert_eq!(ledger.column(at, TWO).unwrap().leaves, 1);
    let roots = ledger.roots(at).unwrap();
    use zkbureau_circuits::encoding::Document;
    assert!(zkbureau_ledger::Roots::from_bytes(&roots.to_bytes()).is_ok());
    ledger.check_everything().unwrap();
}

fn double_vote(
    ledger: &Ledger<MemoryStore>,
    agency: u32,
    height: u64,
    key: &SecretKey,
    values: [Option<[u8; 32]>; 2],
) -> Evidence {
    let (chain, agency, height) = (ledger.chain_id(), AgencyId(agency), Height(height));
    let kind = VoteKind::Precommit;
    let votes = values.map(|value| SignedVote {
        value,
        signature: sign_raw(
            key,
            &vote_bytes(chain, kind, height, 2, value.as_ref(), agency),
        ),
    });
    Evidence::new(agency, key.public(), kind, height, 2, votes)
}

/// Signs bytes that already have domain and chain in them, as the engine does.
fn sign_raw(key: &SecretKey, bytes: &[u8]) -> Signature {
    use ed25519_dalek::Signer;
    let key = ed25519_dalek::SigningKey::from_bytes(&key.to_seed());
    Signature(key.sign(bytes).to_bytes())
}

#[test]
fn a_double_vote_is_recorded_once() {
    let (ledger, mut ring) = open(&[1, 1, 1, 1]);
    let chain = *ledger.chain_id();
    let (a, b) = (Some([1; 32]), Some([2; 32]));
    let key = validator_key(TWO);
    ring.step(&ledger, &[]);
    let good = double_vote(&ledger, 2, 1, &key, [b, a]);
    assert_eq!(good.verify(&chain), Ok(()));
    assert_eq!((good.first.value, good.second.value), (a, b));

    // Not evidence: the same value twice, out of order, a vote under another key, of another agency, at
    // another height or round, of another kind, on another chain.
    let refused = |evidence: Evidence| match stateless_refusal(&ledger, evidence.into()) {
        TxError::Evidence(error) => error,
        other => panic!("{other}"),
    };
    assert_eq!(
        refused(double_vote(&ledger, 2, 1, &key, [a, a])),
        EvidenceError::Order
    );
    let mut swapped = good;
    std::mem::swap(&mut swapped.first, &mut swapped.second);
    assert_eq!(refused(swapped), EvidenceError::Order);
    let edits: [&dyn Fn(&mut Evidence); 7] = [
        &|e| e.key = validator_key(ONE).public(),
        &|e| e.agency = ONE,
        &|e| e.height = Height(2),
        &|e| e.round = 3,
        &|e| e.kind = VoteKind::Prevote,
        &|e| e.first.value = None,
        &|e| e.first.signature = e.second.signature,
    ];
    for edit in edits {
        let mut bad = good;
        edit(&mut bad);
        assert_eq!(refused(bad), EvidenceError::Signature(1));
    }
    let mut bad = good;
    bad.second.signature = bad.first.signature;
    assert_eq!(refused(bad), EvidenceError::Signature(2));
    let other = Ledger::open(MemoryStore::new(), &genesis(3)).unwrap();
    assert_eq!(
        stateless_refusal(&other, good.into()),
        EvidenceError::Signature(1).into()
    );

    // A key that is somebody else's, in another role, or nobody's; a height to come.
    for key in [validator_key(ONE), network_key(TWO), new_key(9, 9)] {
        let evidence = double_vote(&ledger, 2, 1, &key, [a, b]);
        let key = TxError::EvidenceKey {
            agency: TWO,
            height: Height(1),
        };
        assert_eq!(refusal(&ledger, evidence.into()), key);
    }
    let ahead = double_vote(&ledger, 2, 3, &key, [a, b]);
    assert_eq!(
        refusal(&ledger, ahead.into()),
        TxError::EvidenceAhead {
            height: Height(2),
            got: Height(3)
        }
    );

    // Anybody brings it; it changes nobody's power.
    let before = ledger.consortium();
    ring.step(&ledger, &[good.into()]);
    let at = ledger.tip().height;
    let recorded = ledger.evidence(at, TWO, Height(1)).unwrap().unwrap();
    assert_eq!((recorded.evidence, recorded.height), (good, at));
    assert_eq!(ledger.consortium(), before);
    let exists = TxError::EvidenceExists {
        agency: TWO,
        height: Height(1),
    };
    assert_eq!(refusal(&ledger, good.into()), exists);
    // Other votes at the same height add nothing; at another height, or for nothing, they do.
    let again = double_vote(&ledger, 2, 1, &key, [None, a]);
    assert_eq!(refusal(&ledger, again.into()), exists);
    let twice: Transaction = double_vote(&ledger, 2, 2, &key, [None, a]).into();
    let other: Transaction = double_vote(&ledger, 2, 2, &key, [None, b]).into();
    let made = propose(&ledger, &[twice.clone(), other]);
    assert_eq!(made.dropped.len(), 1);
    ring.step(&ledger, &[twice]);

    // Shown by a proof.
    let at = ledger.tip().height;
    let client = LightClient::from_genesis(ledger.genesis()).unwrap();
    let trusted = client.verify_header(&last_header(&ledger)).unwrap();
    let roots = trusted.roots(&ledger.roots(at).unwrap()).unwrap();
    let prove = |height| {
        let key = RegistryKey::Evidence(TWO, height);
        let proof = ledger.registry_proof(at, &key).unwrap();
        roots.evidence(TWO, height, &proof).unwrap()
    };
    assert!(prove(Height(1)).is_some());
    assert!(prove(Height(2)).is_some());
    assert!(prove(Height(3)).is_none());

    // Also under a key that was replaced, and of an agency that has left.
    let fresh = new_key(70, 1);
    ring.adopt(
        &ledger,
        &[1, 2, 3],
        "Key",
        vec![rotate(&chain, TWO, &fresh)],
    );
    ring.add(fresh);
    let out = vec![Change::RemoveAgency(TWO)];
    ring.adopt(&ledger, &[1, 3, 4], "Out", out);
    let late = double_vote(&ledger, 2, 3, &key, [a, b]);
    ring.step(&ledger, &[late.into()]);
}

#[test]
fn a_key_accuses_its_agency_of_what_it_signed_while_in_force() {
    let (ledger, mut ring) = open(&[1, 1, 1, 1]);
    let chain = *ledger.chain_id();
    let (a, b) = (Some([1; 32]), Some([2; 32]));
    let (old, new) = (validator_key(TWO), new_key(70, 1));
    ring.step(&ledger, &[]);
    ring.add(new_key(70, 1));
    ring.adopt(&ledger, &[1, 2, 3], "Key", vec![rotate(&chain, TWO, &new)]);
    // Block 2 is the last that the old key signs.
    let replaced = ledger.tip().height;
    assert_eq!(replaced, Height(2));
    ring.step(&ledger, &[]);
    let accuse = |ledger: &Ledger<MemoryStore>, key, height| {
        let evidence = double_vote(ledger, 2, height, key, [a, b]);
        let time = TimeMs(ledger.tip().time_ms.0 + 1000);
        let made = ledger
            .propose(ONE, time, checked(ledger, &[evidence.into()]))
            .unwrap();
        made.dropped.is_empty()
    };
    // Whoever finds the old key cannot accuse the agency of votes since, nor the new key of votes before.
    for (height, by_old, by_new) in [
        (1, true, false),
        (2, true, false),
        (3, false, true),
        (4, false, true),
    ] {
        assert_eq!(accuse(&ledger, &old, height), by_old, "{height}");
        assert_eq!(accuse(&ledger, &new, height), by_new, "{height}");
    }
    // Nor of votes after it has left.
    let out = vec![Change::RemoveAgency(TWO)];
    ring.adopt(&ledger, &[1, 3, 4], "Out", out);
    assert_eq!(ledger.tip().height, Height(4));
    ring.step(&ledger, &[]);
    assert!(accuse(&ledger, &new, 4));
    assert!(!accuse(&ledger, &new, 5));
    // Height 0 has no votes.
    assert!(!accuse(&ledger, &old, 0));
}

#[test]
fn a_block_takes_few_double_votes_of_one_agency() {
    let (ledger, ring) = open(&[1, 1, 1, 1]);
    for _ in 0..6 {
        ring.step(&ledger, &[]);
    }
    let votes = [Some([1; 32]), Some([2; 32])];
    let of = |agency: u32, height| {
        let key = validator_key(AgencyId(agency));
        Transaction::from(double_vote(&ledger, agency, height, &key, votes))
    };
    // One agency accuses itself at every height; another's double vote is not crowded out.
    let mut all: Vec<_> = (1..=6).map(|height| of(2, height)).collect();
    all.push(of(3, 1));
    let made = propose(&ledger, &all);
    assert_eq!(made.dropped, vec![]);
    assert_eq!(made.deferred, vec![all[4].hash(), all[5].hash()]);
    assert_eq!(made.executed.block().transactions.len(), 5);
    ring.step(&ledger, &all[..4]);
    ring.step(&ledger, &all[4..]);
}

#[test]
fn a_weak_sealing_key_does_not_decode() {
    // Keys are canonical and of large order wherever they enter, so also in a vote.
    assert!(SealingKey::from_bytes(&[0; 32]).is_err());
    let json = r#"{"agency":1,"keys":{"sealing":"0000000000000000000000000000000000000000000000000000000000000000"},"possession":{}}"#;
    assert!(serde_json::from_str::<RotateKeys>(json).is_err());
    let json = r#"{"agency":1,"keys":{},"possession":{},"more":1}"#;
    assert!(serde_json::from_str::<RotateKeys>(json).is_err());
}

#[test]
fn a_proposal_file_is_readable_json() {
    let (ledger, _) = open(&[1, 1]);
    let chain = *ledger.chain_id();
    let proposal = proposal(
        "Everything",
        vec![
            admit(&chain, 5, 1),
            Change::RemoveAgency(TWO),
            power(1, 3),
            rotate(&chain, ONE, &new_key(1, 9)),
            Change::AdmitObserver(observer(1)),
            Change::RemoveObserver(observer(1).network_key),
            issuer(2, 2),
            Change::RemoveIssuer(IssuerId(2)),
            auditor(2, 2),
            Change::RemoveAuditor(AuditorId(2)),
            Change::NewSchema(schema()),
            Change::SetPolicies(Policies::default()),
        ],
    );
    let json = serde_json::to_string_pretty(&proposal).unwrap();
    for name in ["admit_agency", "set_power", "new_schema", "set_policies"] {
        assert!(json.contains(&format!("\"{name}\"")), "{json}");
    }
    let read: Proposal = serde_json::from_str(&json).unwrap();
    assert_eq!(read, proposal);
    assert_eq!(read.id(), proposal.id());
    use zkbureau_circuits::encoding::Document;
    assert_eq!(Proposal::from_bytes(&proposal.to_bytes()), Ok(proposal));
}
