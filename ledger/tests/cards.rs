//! Scorecards on the ledger: who registers them, how many, what a light client is shown of them, and
//! the verifying key in force.
#![allow(clippy::unwrap_used)]

mod common;

use common::council::proposal;
use common::*;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::scorecard::{Bin, Card, Measure, Reference, Span, Variable};
use zkbureau_ledger::ledger::Ledger;
use zkbureau_ledger::state::{CardState, MAX_CARDS_PER_AGENCY, card_name_hash};
use zkbureau_ledger::transaction::{RegisterCard, ScoreKey};
use zkbureau_ledger::{
    AgencyId, Change, Genesis, GovernanceError, GovernanceVote, Height, LightClient, LightError,
    MemoryStore, RegistryKey, RegistryProof, Transaction, TrustedRoots, TxError,
};

fn card(name: &str, base: i64) -> Card {
    let variable = Variable {
        name: "owed".into(),
        reference: Reference {
            attribute: "balance".into(),
            lag: 0,
            measure: Measure::Level,
            span: Span::Total,
        },
        reason: String::new(),
        bins: vec![Bin {
            from: 0,
            to: 10,
            points: 1,
            label: String::new(),
        }],
    };
    Card::new(name.into(), 1, base, false, vec![variable]).unwrap()
}

fn register(ledger: &Ledger<MemoryStore>, agency: AgencyId, card: &Card) -> Transaction {
    let key = validator_key(agency);
    RegisterCard::sign(ledger.chain_id(), agency, card.clone(), &key).into()
}

fn ledger() -> (Genesis, Ledger<MemoryStore>) {
    let genesis = genesis(2);
    let ledger = Ledger::open(MemoryStore::new(), &genesis).unwrap();
    (genesis, ledger)
}

/// What a light client accepts at the newest height.
fn trusted(genesis: &Genesis, ledger: &Ledger<MemoryStore>) -> TrustedRoots {
    let at = ledger.tip().height;
    let client = LightClient::from_genesis(genesis).unwrap();
    let header = ledger.signed_header(at).unwrap().unwrap();
    let header = client.verify_header(&header).unwrap();
    header.roots(&ledger.roots(at).unwrap()).unwrap()
}

fn prove(ledger: &Ledger<MemoryStore>, key: RegistryKey) -> RegistryProof {
    ledger.registry_proof(ledger.tip().height, &key).unwrap()
}

#[test]
fn a_card_is_registered_and_proven_by_hash_and_by_name() {
    let (genesis, ledger) = ledger();
    let (first, second) = (card("retail", 1), card("retail 2", 2));
    let hash = first.content_hash();
    let tip = step(
        &ledger,
        &[
            register(&ledger, ONE, &first),
            register(&ledger, TWO, &second),
        ],
    );
    let state = ledger.card(tip.height, &hash).unwrap().unwrap();
    let expected = CardState {
        card: first.clone(),
        agency: ONE,
        height: Height(1),
        time_ms: tip.time_ms,
    };
    assert_eq!(state, expected);
    assert_eq!(ledger.card(Height(0), &hash).unwrap(), None);
    let named = ledger.card_named(tip.height, "retail 2").unwrap();
    assert_eq!(named, Some(second.content_hash()));

    let roots = trusted(&genesis, &ledger);
    let proof = prove(&ledger, RegistryKey::Card(hash));
    assert_eq!(roots.card(&hash, &proof).unwrap(), Some(expected));
    // The proof of one card is none of another, nor of its absence.
    let other = second.content_hash();
    assert!(matches!(
        roots.card(&other, &proof),
        Err(LightError::Proof(_))
    ));
    let absent = prove(&ledger, RegistryKey::Card([7; 32]));
    assert_eq!(roots.card(&[7; 32], &absent).unwrap(), None);
    assert!(roots.card(&hash, &absent).is_err());

    let key = RegistryKey::CardName(card_name_hash("retail"));
    let proof = prove(&ledger, key);
    assert_eq!(roots.card_named("retail", &proof).unwrap(), Some(hash));
    assert!(roots.card_named("retail 2", &proof).is_err());
    let key = RegistryKey::CardName(card_name_hash("other"));
    assert_eq!(
        roots.card_named("other", &prove(&ledger, key)).unwrap(),
        None
    );

    let list = prove(&ledger, RegistryKey::AgencyCards(TWO));
    assert_eq!(roots.agency_cards(TWO, &list).unwrap().0, [other]);
    let none = prove(&ledger, RegistryKey::AgencyCards(AgencyId(9)));
    assert_eq!(roots.agency_cards(AgencyId(9), &none).unwrap().0.len(), 0);
}

#[test]
fn content_and_name_are_taken_once_also_within_a_block() {
    let (_, ledger) = ledger();
    let (first, same_name) = (card("retail", 1), card("retail", 2));
    let hash = first.content_hash();
    let exists = TxError::CardExists(hash);
    let named = TxError::CardName(hash);
    let proposed = propose(
        &ledger,
        &[
            register(&ledger, ONE, &first),
            register(&ledger, TWO, &first),
            register(&ledger, TWO, &same_name),
        ],
    );
    let errors: Vec<TxError> = (proposed.dropped.iter()).map(|(_, e)| e.clone()).collect();
    assert_eq!(errors.len(), 2);
    // Which of the two agencies is first depends on nothing but the order of the block.
    assert!(
        errors.contains(&exists) && errors.contains(&named),
        "{errors:?}"
    );
    finish(&ledger, proposed);
    assert_eq!(refusal(&ledger, register(&ledger, TWO, &first)), exists);
    assert_eq!(refusal(&ledger, register(&ledger, ONE, &same_name)), named);
}

#[test]
fn an_agency_signs_for_its_cards() {
    let (_, ledger) = ledger();
    let card = card("retail", 1);
    let chain = ledger.chain_id();
    let unknown = AgencyId(9);
    assert_eq!(
        stateless_refusal(&ledger, register(&ledger, unknown, &card)),
        TxError::UnknownAgency(unknown)
    );
    let bad = TxError::Signature { key: "validator" };
    let other = RegisterCard::sign(chain, ONE, card.clone(), &validator_key(TWO));
    assert_eq!(stateless_refusal(&ledger, other.into()), bad);
    // Nor in another's name, nor another card, nor on another chain.
    let mut swapped = RegisterCard::sign(chain, ONE, card.clone(), &validator_key(ONE));
    swapped.agency = TWO;
    assert_eq!(stateless_refusal(&ledger, swapped.into()), bad);
    let mut changed = RegisterCard::sign(chain, ONE, card.clone(), &validator_key(ONE));
    changed.card = self::card("retail", 2);
    assert_eq!(stateless_refusal(&ledger, changed.into()), bad);
    let elsewhere = zkbureau_ledger::ChainId([1; 32]);
    let foreign = RegisterCard::sign(&elsewhere, ONE, card, &validator_key(ONE));
    assert_eq!(stateless_refusal(&ledger, foreign.into()), bad);
}

#[test]
fn an_agency_has_so_many_cards_and_the_others_still_theirs() {
    let (_, ledger) = ledger();
    let all: Vec<Transaction> = (0..MAX_CARDS_PER_AGENCY)
        .map(|n| register(&ledger, ONE, &card(&format!("card {n}"), 0)))
        .collect();
    step(&ledger, &all);
    let more = card("one more", 0);
    assert_eq!(
        refusal(&ledger, register(&ledger, ONE, &more)),
        TxError::TooManyCards {
            agency: ONE,
            limit: MAX_CARDS_PER_AGENCY
        }
    );
    step(&ledger, &[register(&ledger, TWO, &more)]);
}

#[test]
fn encodings_are_bounded_and_cards_valid() {
    let (_, ledger) = ledger();
    let transaction = register(&ledger, ONE, &card("retail", 1));
    let bytes = transaction.to_bytes();
    assert_eq!(Transaction::from_bytes(&bytes).unwrap(), transaction);
    for cut in 0..bytes.len() {
        assert!(Transaction::from_bytes(&bytes[..cut]).is_err());
    }
    let mut long = bytes.clone();
    long.resize(Card::MAX_BYTES + 200, 0);
    let error = Transaction::from_bytes(&long).unwrap_err().to_string();
    assert!(error.starts_with("scorecard: "), "{error}");
    // A card whose bins overlap does not decode, so nobody registers one: the end of the only bin.
    let ten = 10i64.to_le_bytes();
    let at = bytes.windows(8).position(|w| w == ten).unwrap();
    let mut empty = bytes;
    empty[at] = 0;
    assert!(Transaction::from_bytes(&empty).is_err());
}

#[test]
fn the_verifying_key_is_set_by_vote_and_in_the_genesis_file() {
    let (genesis, ledger) = ledger();
    assert_eq!(ledger.consortium().score_key, None);
    let set = |hash: Option<[u8; 32]>, title: &str| -> Transaction {
        let changes = vec![Change::SetScoreKey(ScoreKey { hash })];
        let (chain, key) = (ledger.chain_id(), validator_key(ONE));
        GovernanceVote::sign(chain, ONE, proposal(title, changes), &key).into()
    };
    assert!(matches!(
        refusal(&ledger, set(None, "as it is")),
        TxError::Governance(GovernanceError::Changes(_))
    ));
    let hash = Some([6; 32]);
    step(&ledger, &[set(hash, "the ceremony's")]);
    assert_eq!(ledger.consortium().score_key, hash);
    let roots = trusted(&genesis, &ledger);
    let proof = prove(&ledger, RegistryKey::Consortium);
    assert_eq!(roots.consortium(&proof).unwrap().score_key, hash);
    step(&ledger, &[set(None, "no more scores")]);
    assert_eq!(ledger.consortium().score_key, None);

    // In the file as hexadecimal digits; a file without it is the file of before.
    let json = genesis.to_json();
    assert!(!json.contains("score_key"));
    let with = Genesis {
        score_key: hash,
        ..genesis.clone()
    };
    assert_ne!(with.chain_id(), genesis.chain_id());
    let json = with.to_json();
    assert!(json.contains(&hex::encode([6; 32])));
    assert_eq!(Genesis::from_json(json.as_bytes()).unwrap(), with);
    let short = json.replace(&hex::encode([6; 32]), "0606");
    assert!(Genesis::from_json(short.as_bytes()).is_err());
    let change = serde_json::to_string(&Change::SetScoreKey(ScoreKey { hash })).unwrap();
    assert_eq!(
        serde_json::from_str::<Change>(&change).unwrap(),
        Change::SetScoreKey(ScoreKey { hash })
    );
}
