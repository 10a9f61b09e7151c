//! What a client verifies: certificates, headers, proofs; and what it refuses.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use proptest::prelude::*;
use zkbureau_circuits::directory::Index;
use zkbureau_circuits::encoding::Document;
use zkbureau_ledger::block::{
    CertificateError, Validator, VoteKind, sign_vote, transactions_root, vote_bytes,
};
use zkbureau_ledger::genesis::{GenesisError, Seat};
use zkbureau_ledger::{
    AgencyId, Block, Certificate, Genesis, Height, Inquiry, LeafProof, Ledger, LightClient,
    LightError, MemoryStore, RegistryKey, RegistryProof, Roots, Signature, SignedHeader, TimeMs,
    Transaction, ValidatorSet,
};

/// A ledger of four agencies that all sign, with a few blocks.
fn consortium() -> (Ledger<MemoryStore>, Genesis) {
    let mut genesis = genesis(4);
    genesis.validators = (1..=4)
        .map(|i| Seat {
            agency: AgencyId(i),
            power: u64::from(i),
        })
        .collect();
    (Ledger::open(MemoryStore::new(), &genesis).unwrap(), genesis)
}

fn votes(header: &zkbureau_ledger::Header, agencies: &[u32]) -> Certificate {
    Certificate {
        height: header.height,
        round: 3,
        value: header.hash(),
        signatures: agencies
            .iter()
            .map(|i| {
                let agency = AgencyId(*i);
                let key = validator_key(agency);
                let value = header.hash();
                let vote = sign_vote(&header.chain_id, header.height, 3, &value, agency, &key);
                (agency, vote)
            })
            .collect(),
    }
}

fn signed(ledger: &Ledger<MemoryStore>, signers: &[u32]) -> SignedHeader {
    let header = *propose(ledger, &[]).executed.header();
    SignedHeader {
        certificate: votes(&header, signers),
        header,
    }
}

#[test]
fn more_than_two_thirds_of_the_power_must_sign() {
    let (ledger, genesis) = consortium();
    let client = LightClient::from_genesis(&genesis).unwrap();
    // Powers 1, 2, 3, 4 of 10: at least 7.
    for signers in 0..16u32 {
        let signers: Vec<u32> = (1..=4).filter(|i| signers >> (i - 1) & 1 == 1).collect();
        let power: u32 = signers.iter().sum();
        let verified = client.verify_header(&signed(&ledger, &signers));
        if power >= 7 {
            assert!(verified.is_ok(), "{signers:?}");
        } else {
            assert_eq!(
                verified,
                Err(LightError::Certificate(CertificateError::Power {
                    got: u128::from(power),
                    total: 10
                })),
                "{signers:?}"
            );
        }
    }
    // Exactly two thirds are not enough.
    let set = |power: &[u64]| {
        ValidatorSet::new(
            (1u32..)
                .zip(power)
                .map(|(i, power)| Validator {
                    agency: AgencyId(i),
                    key: validator_key(AgencyId(i)).public(),
                    power: *power,
                })
                .collect(),
        )
    };
    let mut header = signed(&ledger, &[1]).header;
    for (powers, enough) in [
        ([1, 1, 1], false),
        ([67, 0, 33], true),
        ([66, 0, 34], false),
    ] {
        let validators = set(&powers);
        header.validators_hash = validators.hash();
        let verified = votes(&header, &[1, 2]).verify(&header, &validators);
        assert_eq!(verified.is_ok(), enough, "{powers:?}");
    }
}

#[test]
fn certificates_are_refused_for_what_is_wrong_with_them() {
    let (ledger, genesis) = consortium();
    let validators = genesis.validator_set();
    let good = signed(&ledger, &[1, 3, 4]);
    let header = good.header;
    let verify = |certificate: &Certificate| certificate.verify(&header, &validators);
    assert_eq!(verify(&good.certificate), Ok(()));
    let refuse = |change: &dyn Fn(&mut Certificate)| {
        let mut bad = good.certificate.clone();
        change(&mut bad);
        verify(&bad).unwrap_err()
    };
    assert_eq!(
        refuse(&|c| c.height = Height(7)),
        CertificateError::Height {
            expected: Height(1),
            got: Height(7)
        }
    );
    assert_eq!(refuse(&|c| c.value[0] ^= 1), CertificateError::Value);
    // The round is signed.
    assert_eq!(
        refuse(&|c| c.round = 4),
        CertificateError::Signature(AgencyId(1))
    );
    // The same validator twice, also with a second place in between; an unknown one.
    assert_eq!(
        refuse(&|c| c.signatures[1] = c.signatures[2]),
        CertificateError::Order(AgencyId(4))
    );
    assert_eq!(
        refuse(&|c| {
            let first = c.signatures[0];
            c.signatures.push(first);
        }),
        CertificateError::Order(AgencyId(1))
    );
    assert_eq!(
        refuse(&|c| c.signatures[2].0 = AgencyId(5)),
        CertificateError::UnknownSigner(AgencyId(5))
    );
    // A signature under another's name, and every flipped bit: even if the rest would do.
    assert_eq!(
        refuse(&|c| c.signatures[0].0 = AgencyId(2)),
        CertificateError::Signature(AgencyId(2))
    );
    let all = votes(&header, &[1, 2, 3, 4]);
    assert_eq!(verify(&all), Ok(()));
    for position in 0..4 {
        for bit in [0, 100, 255, 256, 400, 511] {
            let mut bad = all.clone();
            bad.signatures[position].1.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                verify(&bad),
                Err(CertificateError::Signature(AgencyId(position as u32 + 1)))
            );
        }
    }
    // Another vote of the same validator is none of this kind.
    let chain = &header.chain_id;
    let value = header.hash();
    let precommit = vote_bytes(
        chain,
        VoteKind::Precommit,
        header.height,
        3,
        Some(&value),
        AgencyId(1),
    );
    for (kind, value) in [
        (VoteKind::Prevote, Some(&value)),
        (VoteKind::Precommit, None),
        (VoteKind::Prevote, None),
    ] {
        let other = vote_bytes(chain, kind, header.height, 3, value, AgencyId(1));
        assert_ne!(other, precommit);
    }
    // Another header: under other validators, or simply another one.
    let mut other = header;
    other.validators_hash[0] ^= 1;
    assert_eq!(
        votes(&other, &[1, 3, 4]).verify(&other, &validators),
        Err(CertificateError::Validators)
    );
    let mut other = header;
    other.state_root[0] ^= 1;
    assert_eq!(
        good.certificate.verify(&other, &validators),
        Err(CertificateError::Value)
    );
}

#[test]
fn the_light_client_trusts_its_own_chain_only() {
    let (ledger, genesis) = consortium();
    let client = LightClient::from_genesis(&genesis).unwrap();
    let good = signed(&ledger, &[2, 3, 4]);
    let trusted = client.verify_header(&good).unwrap();
    assert_eq!(trusted.hash(), good.header.hash());
    assert_eq!(trusted.age_ms(TimeMs(START + 5000)), 4000);
    assert_eq!(trusted.age_ms(TimeMs(START)), 0);
    let again = |change: &dyn Fn(&mut zkbureau_ledger::Header)| {
        let mut header = good.header;
        change(&mut header);
        client.verify_header(&SignedHeader {
            certificate: votes(&header, &[1, 2, 3, 4]),
            header,
        })
    };
    assert!(matches!(
        again(&|h| h.chain_id.0[0] ^= 1),
        Err(LightError::Chain { .. })
    ));
    assert_eq!(again(&|h| h.height = Height(0)), Err(LightError::Genesis));
    assert_eq!(again(&|h| h.time_ms = TimeMs(START)), Err(LightError::Time));
    assert_eq!(
        again(&|h| h.time_ms = TimeMs(u64::MAX)),
        Err(LightError::Time)
    );
    let mut bad = genesis;
    bad.policies.answer_blocks = 0;
    assert!(LightClient::from_genesis(&bad).is_err());
}

#[test]
fn the_light_client_follows_changes_of_validators() {
    let (ledger, genesis) = consortium();
    let mut client = LightClient::from_genesis(&genesis).unwrap();
    let validator = |i: u32| Validator {
        agency: AgencyId(i),
        key: validator_key(AgencyId(i)).public(),
        power: 1,
    };
    let new = ValidatorSet::new(vec![validator(7), validator(8)]);
    let at = |height: u64, current: &ValidatorSet, next: &ValidatorSet, signers: &[u32]| {
        let mut header = signed(&ledger, &[1]).header;
        header.height = Height(height);
        header.validators_hash = current.hash();
        header.next_validators_hash = next.hash();
        SignedHeader {
            certificate: votes(&header, signers),
            header,
        }
    };
    let old = genesis.validator_set();
    let change = at(50, &old, &new, &[1, 2, 3, 4]);
    let after = at(51, &new, &new, &[7, 8]);
    assert!(client.verify_header(&after).is_err());
    // Not by the new ones alone, not with another set, not out of nothing.
    let by_new = at(50, &old, &new, &[7, 8]);
    assert!(client.advance(&by_new, &new).is_err());
    assert_eq!(
        client.advance(&change, &ValidatorSet::new(vec![validator(7)])),
        Err(LightError::NextValidators)
    );
    client.advance(&change, &new).unwrap();
    assert!(client.verify_header(&after).is_ok());
    // The old ones sign nothing new, the new ones nothing old; old headers still verify.
    let stale = at(51, &old, &old, &[1, 2, 3, 4]);
    assert!(client.verify_header(&stale).is_err());
    assert!(client.verify_header(&at(50, &new, &new, &[7, 8])).is_err());
    assert!(client.verify_header(&change).is_ok());
    // A change below the height reached would rewrite history.
    let below = at(49, &old, &new, &[1, 2, 3, 4]);
    assert_eq!(
        client.advance(&below, &new),
        Err(LightError::Behind {
            reached: Height(51),
            got: Height(49)
        })
    );
    // A header that changes nothing is fine.
    client.advance(&after, &new).unwrap();
}

/// A ledger with records, an anchor that is used, an audit; and its last height.
fn populated() -> (Ledger<MemoryStore>, Genesis, Inquiry) {
    let genesis = genesis(2);
    let ledger = Ledger::open(MemoryStore::new(), &genesis).unwrap();
    let chain = *ledger.chain_id();
    let rows: Vec<Row> = (0..100).map(|n| row(n, "2024-10", 5, 5)).collect();
    step(&ledger, &[batch(&chain, ONE, 1, "2024-10", &rows)]);
    let anchors: Vec<Transaction> = (0..50).map(|n| anchor(n, today(&ledger)).into()).collect();
    step(&ledger, &anchors);
    let id = anchor(7, today(&ledger)).id();
    let inquiry = Inquiry::sign(&chain, id, [7; 32], &use_key(7));
    let request = audit(&chain, 1, &[ONE], "2024-10");
    step(&ledger, &[inquiry.into(), request.into()]);
    (ledger, genesis, inquiry)
}

#[test]
fn values_and_absences_are_proven_from_the_genesis_file_on() {
    let (ledger, genesis, inquiry) = populated();
    let client = LightClient::from_genesis(&genesis).unwrap();
    let at = ledger.tip().height;
    let header = ledger.signed_header(at).unwrap().unwrap();
    let header = client
        .verify_header(&SignedHeader::from_bytes(&header.to_bytes()).unwrap())
        .unwrap();
    let roots = ledger.roots(at).unwrap();
    let trusted = header.roots(&roots).unwrap();
    let registry = |key: RegistryKey| ledger.registry_proof(at, &key).unwrap();

    assert_eq!(
        trusted.consortium(&registry(RegistryKey::Consortium)),
        Ok(genesis.consortium())
    );
    assert_eq!(
        trusted.schema(&registry(RegistryKey::Schema)),
        Ok(genesis.schema.clone())
    );
    let columns = trusted.columns(&registry(RegistryKey::Columns)).unwrap();
    assert_eq!(columns, ledger.columns(at).unwrap());
    assert_eq!(columns.get(ONE).unwrap().leaves, 100);
    let id = inquiry.anchor;
    let proof = registry(RegistryKey::Anchor(id));
    let state = trusted.anchor(id, &proof).unwrap().unwrap();
    assert_eq!(state.consumed.unwrap().digest, inquiry.digest);
    let nobody = anchor(99, today(&ledger)).id();
    let absent = registry(RegistryKey::Anchor(nobody));
    assert_eq!(trusted.anchor(nobody, &absent), Ok(None));
    let audit = audit(ledger.chain_id(), 1, &[ONE], "2024-10").id();
    assert!(
        trusted
            .audit(audit, &registry(RegistryKey::Audit(audit)))
            .unwrap()
            .is_some()
    );

    // Proofs of one thing show no other.
    assert_eq!(
        trusted.anchor(id, &absent),
        Err(LightError::Proof("the anchor"))
    );
    assert_eq!(
        trusted.anchor(nobody, &proof),
        Err(LightError::Proof("the anchor"))
    );
    assert_eq!(
        trusted.columns(&registry(RegistryKey::Consortium)),
        Err(LightError::Proof("the columns"))
    );
    assert_eq!(
        trusted.consortium(&absent),
        Err(LightError::Proof("the consortium"))
    );

    // Every leaf, and the absence of others, at both agencies.
    for n in 0..120 {
        let index = Index(index(n));
        let proof = ledger.leaf_proof(at, ONE, &index).unwrap();
        let leaf = trusted.leaf(ONE, &index, &proof).unwrap();
        assert_eq!(leaf.is_some(), n < 100);
        assert_eq!(leaf, ledger.leaf(at, ONE, &index).unwrap());
        // Not at the other agency, and not without the leaf.
        assert!(trusted.leaf(TWO, &index, &proof).is_err());
        let mut hidden = proof.clone();
        hidden.leaf = None;
        assert_eq!(trusted.leaf(ONE, &index, &hidden).is_ok(), n >= 100);
        let nothing = ledger.leaf_proof(at, TWO, &index).unwrap();
        assert_eq!(trusted.leaf(TWO, &index, &nothing), Ok(None));
        assert!(trusted.leaf(ONE, &index, &nothing).is_err());
    }
    assert!(matches!(
        trusted.leaf(
            AgencyId(9),
            &Index([0; 32]),
            &ledger.leaf_proof(at, ONE, &Index([0; 32])).unwrap()
        ),
        Err(LightError::UnknownAgency(AgencyId(9)))
    ));

    // Roots of another height, other order, or with one tree exchanged.
    let earlier = ledger.roots(Height(1)).unwrap();
    assert_eq!(header.roots(&earlier), Err(LightError::Roots));
    let mut swapped = roots.clone();
    swapped.agencies.swap(0, 1);
    assert_eq!(header.roots(&swapped), Err(LightError::Roots));
    let mut missing = roots;
    missing.agencies.pop();
    assert_eq!(header.roots(&missing), Err(LightError::Roots));
}

#[test]
fn an_answers_part_of_the_ledger_is_small() {
    let (ledger, _, inquiry) = populated();
    let at = ledger.tip().height;
    let bytes = |key: RegistryKey| ledger.registry_proof(at, &key).unwrap().to_bytes().len();
    let leaf = ledger.leaf_proof(at, ONE, &Index(index(1))).unwrap();
    // A tree of ten million leaves is about 17 levels deeper than this one.
    let deeper = 17 * 33;
    let registry = bytes(RegistryKey::Consortium)
        + bytes(RegistryKey::Columns)
        + bytes(RegistryKey::Anchor(inquiry.anchor))
        + 3 * deeper;
    let header = ledger.signed_header(at).unwrap().unwrap().to_bytes().len();
    let leaves = 4 * (leaf.to_bytes().len() + deeper);
    let total = header + ledger.roots(at).unwrap().to_bytes().len() + registry + leaves;
    assert!(total < 9_000, "{total}");
}

/// Flips every bit and cuts at every byte of a document; whatever still decodes is given to `bad`,
/// which must refuse it.
fn attack<T: Document>(document: &T, stride: usize, bad: &dyn Fn(T) -> bool) {
    let bytes = document.to_bytes();
    for cut in 0..bytes.len() {
        assert!(T::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(T::from_bytes(&longer).is_err());
    for bit in (0..bytes.len() * 8).step_by(stride) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = T::from_bytes(&flipped) {
            assert_eq!(
                other.to_bytes(),
                flipped,
                "one value, one encoding: bit {bit}"
            );
            assert!(bad(other), "bit {bit}");
        }
    }
}

#[test]
fn flipped_bits_and_cut_bytes_are_noticed() {
    let (ledger, genesis, inquiry) = populated();
    let client = LightClient::from_genesis(&genesis).unwrap();
    let at = ledger.tip().height;
    let signed = ledger.signed_header(at).unwrap().unwrap();
    let header = client.verify_header(&signed).unwrap();
    let roots = ledger.roots(at).unwrap();
    let trusted = header.roots(&roots).unwrap();
    attack::<SignedHeader>(&signed, 1, &|s| client.verify_header(&s).is_err());
    attack::<Roots>(&roots, 1, &|r| header.roots(&r).is_err());
    for (n, there) in [(3, true), (300, false)] {
        let index = Index(index(n));
        let proof = ledger.leaf_proof(at, ONE, &index).unwrap();
        assert_eq!(proof.leaf.is_some(), there);
        attack::<LeafProof>(&proof, 1, &|p| trusted.leaf(ONE, &index, &p).is_err());
    }
    let anchor_id = inquiry.anchor;
    let proof = ledger
        .registry_proof(at, &RegistryKey::Anchor(anchor_id))
        .unwrap();
    attack::<RegistryProof>(&proof, 1, &|p| trusted.anchor(anchor_id, &p).is_err());
    let proof = ledger.registry_proof(at, &RegistryKey::Columns).unwrap();
    attack::<RegistryProof>(&proof, 3, &|p| trusted.columns(&p).is_err());

    // Transactions: whatever decodes has another hash and is refused.
    let chain = *ledger.chain_id();
    let day = today(&ledger);
    let fresh = anchor(60, day);
    let list: Vec<Transaction> = vec![
        batch(&chain, ONE, 2, "2024-10", &[row(1, "2024-10", 1, 1)]),
        audit(&chain, 2, &[ONE, TWO], "2024-10").into(),
        zkbureau_ledger::RevokeConsent::sign(&chain, anchor(8, day).id(), &revocation_key(8))
            .into(),
        Inquiry::sign(&chain, anchor(8, day).id(), [8; 32], &use_key(8)).into(),
    ];
    for transaction in &list {
        let hash = transaction.hash();
        attack::<Transaction>(transaction, 7, &|t| {
            assert_ne!(t.hash(), hash);
            match ledger.check_stateless(vec![t]).remove(0) {
                Err(_) => true,
                Ok(checked) => {
                    let now = TimeMs(ledger.tip().time_ms.0 + 1);
                    ledger.check_stateful(&checked, now).is_err()
                }
            }
        });
    }
    // Nobody signs for an anchor; a changed one is another anchor.
    attack::<Transaction>(&fresh.into(), 1, &|t| match t {
        Transaction::AnchorConsent(other) => other.id() != fresh.id(),
        other => ledger.check_stateless(vec![other]).remove(0).is_err(),
    });
    let block = ledger.block(at).unwrap().unwrap();
    attack::<Block>(&block, 1, &|b| {
        let hashes: Vec<_> = b.transactions.iter().map(Transaction::hash).collect();
        b.header != block.header || transactions_root(&hashes) != block.header.transactions_root
    });
    attack::<Genesis>(&genesis, 1, &|g| g.chain_id() != genesis.chain_id());
}

#[test]
fn sizes_are_limited_by_kind_before_anything_is_decoded() {
    use zkbureau_circuits::error::DecodeError;
    let mut bytes = vec![0; 300];
    (bytes[0], bytes[1]) = (1, 3);
    assert_eq!(
        Transaction::from_bytes(&bytes),
        Err(DecodeError::TooLong {
            what: "inquiry",
            limit: 256,
            got: 300
        })
    );
    assert!(matches!(
        Transaction::from_bytes(&vec![1; Transaction::MAX_BYTES + 1]),
        Err(DecodeError::TooLong { .. })
    ));
    // A length that promises gigabytes allocates nothing and is refused.
    let mut batch = vec![1, 0];
    batch.extend_from_slice(&[0; 4 + 8 + 4]);
    batch.extend_from_slice(&24_000u32.to_le_bytes());
    batch.extend_from_slice(&u32::MAX.to_le_bytes());
    assert!(Transaction::from_bytes(&batch).is_err());
}

#[test]
fn the_genesis_file_names_field_and_limit() {
    let good = genesis(3);
    assert_eq!(
        Genesis::from_json(good.to_json().as_bytes()),
        Ok(good.clone())
    );
    // The layout of the file does not matter, its content does.
    let compact = serde_json::to_string(&good).unwrap();
    assert_eq!(
        Genesis::from_json(compact.as_bytes()).unwrap().chain_id(),
        good.chain_id()
    );
    let refuse = |change: &dyn Fn(&mut Genesis)| {
        let mut bad = good.clone();
        change(&mut bad);
        assert_ne!(bad.chain_id(), good.chain_id());
        let error = bad.validate().unwrap_err();
        assert_eq!(
            Genesis::from_json(bad.to_json().as_bytes()),
            Err(error.clone())
        );
        error
    };
    let limit = |field: &str, min, max, got| GenesisError::Limit {
        field: field.into(),
        min,
        max,
        got,
    };
    let duplicate = |field: &str| GenesisError::Duplicate {
        field: field.into(),
    };
    assert_eq!(refuse(&|g| g.name.clear()), limit("name", 1, 100, 0));
    assert_eq!(
        refuse(&|g| g.time_ms = TimeMs(0)),
        limit("time_ms", 1, TimeMs::MAX.0, 0)
    );
    assert_eq!(
        refuse(&|g| g.agencies.clear()),
        limit("agencies", 1, 100, 0)
    );
    assert_eq!(
        refuse(&|g| g.agencies[2].name = "x".repeat(101)),
        limit("agencies[2].name", 1, 100, 101)
    );
    assert_eq!(
        refuse(&|g| g.agencies[1].name = " x".into()),
        GenesisError::Name {
            field: "agencies[1].name".into()
        }
    );
    assert_eq!(
        refuse(&|g| g.agencies[0].id = AgencyId(0)),
        limit("agencies[0].id", 1, u64::from(u32::MAX - 16), 0)
    );
    assert_eq!(
        refuse(&|g| g.agencies[2].id = AgencyId(2)),
        GenesisError::Order {
            field: "agencies[2]".into()
        }
    );
    assert_eq!(
        refuse(&|g| g.agencies[2].name = g.agencies[0].name.clone()),
        duplicate("agencies[2].name")
    );
    assert_eq!(
        refuse(&|g| g.agencies[2].validator_key = g.agencies[0].validator_key),
        duplicate("agencies[2].validator_key")
    );
    assert_eq!(
        refuse(&|g| g.agencies[1].vrf_key = g.agencies[0].vrf_key),
        duplicate("agencies[1].vrf_key")
    );
    assert_eq!(
        refuse(&|g| g.agencies[1].sealing_key = g.agencies[0].sealing_key),
        duplicate("agencies[1].sealing_key")
    );
    assert_eq!(
        refuse(&|g| g.validators.clear()),
        limit("validators", 1, 100, 0)
    );
    assert_eq!(
        refuse(&|g| g.validators[0].power = 0),
        limit("validators[0].power", 1, 1 << 32, 0)
    );
    assert_eq!(
        refuse(&|g| g.validators[0].agency = AgencyId(9)),
        GenesisError::UnknownAgency {
            field: "validators[0].agency".into(),
            agency: AgencyId(9)
        }
    );
    assert_eq!(
        refuse(&|g| g.issuers.push(g.issuers[0].clone())),
        GenesisError::Order {
            field: "issuers[1]".into()
        }
    );
    assert_eq!(
        refuse(&|g| {
            let mut more = g.auditors[0].clone();
            more.id.0 += 1;
            more.name = "Other".into();
            g.auditors.push(more);
        }),
        duplicate("auditors[1].key")
    );
    assert_eq!(
        refuse(&|g| g.policies.kept_versions = 100),
        limit("policies.kept_versions", 101, 100_000, 100)
    );
    assert_eq!(
        refuse(&|g| g.policies.max_block_bytes = 5 << 20),
        limit("policies.max_block_bytes", 64 << 10, 4 << 20, 5 << 20)
    );
    // Weak keys, unknown fields, missing fields.
    for (from, to) in [
        (validator_key(ONE).public().to_string(), "00".repeat(32)),
        (
            "\"name\": \"Test\"".into(),
            "\"name\": \"Test\", \"nam\": 1".into(),
        ),
        ("\"name\": \"Test\",".into(), String::new()),
    ] {
        let json = good.to_json();
        assert!(json.contains(&from));
        assert!(matches!(
            Genesis::from_json(json.replacen(&from, &to, 1).as_bytes()),
            Err(GenesisError::Json(_))
        ));
    }
}

proptest! {
    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut versioned = bytes.clone();
        if let Some(first) = versioned.first_mut() {
            *first = 1;
        }
        for bytes in [&bytes, &versioned] {
            let _ = Transaction::from_bytes(bytes);
            let _ = Block::from_bytes(bytes);
            let _ = SignedHeader::from_bytes(bytes);
            let _ = Roots::from_bytes(bytes);
            let _ = RegistryProof::from_bytes(bytes);
            let _ = LeafProof::from_bytes(bytes);
            let _ = Genesis::from_bytes(bytes);
            let _ = ValidatorSet::from_bytes(bytes);
            let _ = Genesis::from_json(bytes);
        }
        let _ = Signature([0; 64]);
    }
}
