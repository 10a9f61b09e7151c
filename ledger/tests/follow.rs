//! The light client follows validators from the genesis file or a checkpoint, whoever answers.
#![allow(clippy::unwrap_used)]

mod common;

use common::council::*;
use common::*;
use zkbureau_circuits::encoding::Document;
use zkbureau_ledger::block::{CertificateError, MAX_AHEAD_MS, check_time_ahead};
use zkbureau_ledger::light::FollowError;
use zkbureau_ledger::{
    Change, Checkpoint, Height, Ledger, LightClient, LightError, MemoryStore, RegistryKey, TimeMs,
    ValidatorChange,
};

/// Heights 2, 4 and 6 change the validators; 7 is the last.
fn chain() -> (Ledger<MemoryStore>, Keyring) {
    let ledger = Ledger::open(MemoryStore::new(), &seated(&[1, 1, 1, 1])).unwrap();
    let mut ring = Keyring::new();
    let id = *ledger.chain_id();
    let fresh = new_key(50, 1);
    ring.step(&ledger, &[]);
    ring.adopt(&ledger, &[1, 2, 3], "Fifth", vec![admit(&id, 5, 1)]);
    ring.step(&ledger, &[]);
    let changes = vec![rotate(&id, TWO, &fresh)];
    ring.adopt(&ledger, &[1, 2, 3, 5], "Key", changes);
    ring.add(fresh);
    ring.step(&ledger, &[]);
    let changes = vec![Change::RemoveAgency(ONE)];
    ring.adopt(&ledger, &[2, 3, 4, 5], "Out", changes);
    ring.step(&ledger, &[]);
    assert_eq!(ledger.tip().height, Height(7));
    (ledger, ring)
}

fn changes(ledger: &Ledger<MemoryStore>) -> Vec<ValidatorChange> {
    ledger.validator_changes(Height(0), 100).unwrap()
}

#[test]
fn changes_are_listed_with_their_headers() {
    let (ledger, _) = chain();
    let all = changes(&ledger);
    let heights: Vec<u64> = all.iter().map(|c| c.signed.header.height.0).collect();
    assert_eq!(heights, [2, 4, 6]);
    assert_eq!(ledger.validator_changes(Height(2), 1).unwrap(), all[..1]);
    assert_eq!(ledger.validator_changes(Height(3), 100).unwrap(), all[1..]);
    assert!(ledger.validator_changes(Height(7), 100).unwrap().is_empty());
    assert!(ledger.validator_changes(Height(0), 0).unwrap().is_empty());
    for change in &all {
        assert_eq!(
            change.signed.header.next_validators_hash,
            change.next.hash()
        );
        assert_eq!(
            ValidatorChange::from_bytes(&change.to_bytes()),
            Ok(change.clone())
        );
        let json = serde_json::to_string(change).unwrap();
        assert_eq!(
            serde_json::from_str::<ValidatorChange>(&json).unwrap(),
            *change
        );
    }
}

#[test]
fn a_client_reaches_every_height_from_genesis() {
    let (ledger, _) = chain();
    for height in 1..=7 {
        let signed = ledger.signed_header(Height(height)).unwrap().unwrap();
        for page in [1, 2, 10] {
            let mut client = LightClient::from_genesis(ledger.genesis()).unwrap();
            let mut asked = 0;
            let trusted = client
                .follow(&signed, |from| {
                    asked += 1;
                    ledger.validator_changes(from, page)
                })
                .unwrap();
            assert_eq!(trusted.height(), Height(height));
            // It asks only when the header needs it.
            assert_eq!(asked == 0, height <= 2, "{height}");
            let proof = ledger
                .registry_proof(Height(height), &RegistryKey::Consortium)
                .unwrap();
            let roots = trusted
                .roots(&ledger.roots(Height(height)).unwrap())
                .unwrap();
            assert_eq!(
                roots.consortium(&proof).unwrap(),
                *ledger.consortium_at(Height(height)).unwrap()
            );
        }
    }
    // One that has followed to the end verifies the past, too.
    let mut client = LightClient::from_genesis(ledger.genesis()).unwrap();
    client
        .follow(&last_header(&ledger), |from| {
            ledger.validator_changes(from, 2)
        })
        .unwrap();
    for height in 1..=7 {
        let signed = ledger.signed_header(Height(height)).unwrap().unwrap();
        client.verify_header(&signed).unwrap();
    }
}

#[test]
fn changes_left_out_invented_or_damaged_lead_nowhere() {
    let (ledger, ring) = chain();
    let all = changes(&ledger);
    let last = last_header(&ledger);
    let follow = |list: Vec<ValidatorChange>| {
        let mut client = LightClient::from_genesis(ledger.genesis()).unwrap();
        client.follow(&last, |from| {
            let news = list.iter().filter(|c| c.signed.header.height >= from);
            Ok::<_, String>(news.cloned().collect())
        })
    };
    let unknown = FollowError::Light(LightError::Certificate(CertificateError::Validators));
    assert!(follow(all.clone()).is_ok());
    assert_eq!(follow(vec![]), Err(unknown.clone()));
    for missing in 0..all.len() {
        let mut list = all.clone();
        list.remove(missing);
        assert_eq!(follow(list), Err(unknown.clone()), "{missing}");
    }
    // A header that changes nothing brings nobody further.
    let idle = ValidatorChange {
        signed: ledger.signed_header(Height(1)).unwrap().unwrap(),
        next: ledger.genesis().validator_set(),
    };
    assert_eq!(follow(vec![idle]), Err(unknown.clone()));
    // Other validators than the header announces.
    let mut list = all.clone();
    list[1].next = all[0].next.clone();
    assert_eq!(
        follow(list),
        Err(FollowError::Light(LightError::NextValidators))
    );
    // A certificate of too few, and one of the validators before.
    let mut list = all.clone();
    list[2].signed.certificate.signatures.truncate(3);
    assert!(matches!(
        follow(list),
        Err(FollowError::Light(LightError::Certificate(
            CertificateError::Power { .. }
        )))
    ));
    let mut list = all.clone();
    list[2].signed.certificate.signatures[0].1 = list[1].signed.certificate.signatures[0].1;
    assert_eq!(
        follow(list),
        Err(FollowError::Light(LightError::Certificate(
            CertificateError::Signature(ONE)
        )))
    );
    // The source's own trouble.
    let mut client = LightClient::from_genesis(ledger.genesis()).unwrap();
    assert_eq!(
        client.follow(&last, |_| Err("offline")),
        Err(FollowError::Source("offline"))
    );

    // Validators that were replaced sign nothing later, once the client has heard of it.
    client
        .follow(&last, |from| ledger.validator_changes(from, 10))
        .unwrap();
    let old = ledger.genesis().validator_set();
    let mut forged = last.clone();
    forged.header.height = Height(8);
    forged.header.validators_hash = old.hash();
    forged.header.next_validators_hash = old.hash();
    let signatures = old.validators().iter().map(|v| {
        let key = ring.get(&v.key);
        let value = forged.header.hash();
        let chain = ledger.chain_id();
        let signature =
            zkbureau_ledger::block::sign_vote(chain, Height(8), 0, &value, v.agency, key);
        (v.agency, signature)
    });
    forged.certificate = zkbureau_ledger::Certificate {
        height: Height(8),
        round: 0,
        value: forged.header.hash(),
        signatures: signatures.collect(),
    };
    assert_eq!(
        client
            .follow(&forged, |from| ledger.validator_changes(from, 10))
            .map_err(|e| e.to_string()),
        Err(unknown.to_string())
    );
}

#[test]
fn a_checkpoint_goes_on_where_the_client_stood() {
    let (ledger, _) = chain();
    let mut client = LightClient::from_genesis(ledger.genesis()).unwrap();
    let fifth = ledger.signed_header(Height(5)).unwrap().unwrap();
    client
        .follow(&fifth, |from| ledger.validator_changes(from, 10))
        .unwrap();
    assert_eq!(client.reached(), Height(5));
    let checkpoint = Checkpoint::from_bytes(&client.checkpoint().to_bytes()).unwrap();
    let mut later = LightClient::from_checkpoint(ledger.genesis(), &checkpoint).unwrap();
    let mut asked = Vec::new();
    later
        .follow(&last_header(&ledger), |from| {
            asked.push(from);
            ledger.validator_changes(from, 10)
        })
        .unwrap();
    assert_eq!(asked, [Height(5)]);
    // It knows nothing of what was before.
    let early = ledger.signed_header(Height(3)).unwrap().unwrap();
    assert_eq!(
        later.verify_header(&early),
        Err(LightError::Behind {
            reached: Height(5),
            got: Height(3)
        })
    );
    let other = genesis(2);
    assert!(LightClient::from_checkpoint(&other, &checkpoint).is_err());
}

#[test]
fn proposed_blocks_from_the_future_are_told_apart() {
    let (ledger, _) = chain();
    let header = last_header(&ledger).header;
    let time = header.time_ms.0;
    let check = |now| check_time_ahead(&header, TimeMs(now));
    assert!(check(time).is_ok());
    assert!(check(time + 1_000_000).is_ok());
    assert!(check(time - MAX_AHEAD_MS).is_ok());
    let error = check(time - MAX_AHEAD_MS - 1).unwrap_err();
    assert_eq!(error.got, header.time_ms);
    assert!(check_time_ahead(&header, TimeMs(u64::MAX)).is_ok());
}
