//! Committed vectors under `circuits/vectors/v1/`, made again and compared byte by byte; the bad ones
//! must be refused. `ZKBUREAU_BLESS=1` writes them.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::*;
use crate::encoding::Document;
use crate::fact::pedersen;
use crate::scorecard::statement::draw_weights;
use crate::scorecard::table::Table;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("vectors/v1/{name}.json"))
}

fn committed<T: Serialize>(name: &str, value: &T) {
    let text = serde_json::to_string_pretty(value).expect("encodes") + "\n";
    if std::env::var_os("ZKBUREAU_BLESS").is_some() {
        fs::write(path(name), &text).expect("writable");
    }
    let old = fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(old, text, "{name} differs from the committed vector");
}

fn load<T: for<'de> Deserialize<'de>>(name: &str) -> T {
    let text = fs::read_to_string(path(name)).expect("committed");
    serde_json::from_str(&text).expect("a vector")
}

/// A statement with its proof.
#[derive(Clone, Serialize, Deserialize)]
struct Case {
    what: String,
    context: String,
    claim: Claim,
    reasons: Option<Reasons>,
    commitments: Vec<PointBytes>,
    proof: String,
}

/// A claim that is proven, and what is between.
#[derive(Serialize, Deserialize)]
struct Good {
    /// Seed of the test key.
    test_key: u64,
    /// Content hash of its verifying key.
    key: String,
    card: Card,
    card_bytes: String,
    card_hash: String,
    /// Public inputs of the card.
    table: Vec<String>,
    values: Vec<i64>,
    blindings: Vec<String>,
    /// Weights `c`, as the transcript gives them.
    weights: Vec<String>,
    case: Case,
}

/// The verifying key of the vectors. It is a test key: who knows the seed can forge under it.
#[derive(Serialize)]
struct TestKey {
    test_key: u64,
    verifying_key: String,
}

/// The verifying key of a ceremony with its minutes.
#[derive(Serialize, Deserialize)]
struct CeremonyKey {
    contributors: Vec<String>,
    hash: String,
    /// Key and origin.
    file: String,
    bad: Vec<Flip>,
}

/// A changed byte.
#[derive(Serialize, Deserialize)]
struct Flip {
    what: String,
    at: usize,
    xor: u8,
}

#[derive(Serialize, Deserialize)]
struct Bad {
    test_key: u64,
    card: Card,
    cases: Vec<Case>,
}

fn case(what: &str, statement: &ScoreStatement<'_>, proof: &ScoreProof) -> Case {
    Case {
        what: what.into(),
        context: hex::encode(statement.context),
        claim: statement.claim,
        reasons: statement.reasons,
        commitments: statement.commitments.iter().map(|c| *c.bytes()).collect(),
        proof: hex::encode(proof.to_bytes()),
    }
}

impl Case {
    fn verify(&self, card: &PreparedCard) -> Result<(), VerifyError> {
        let context = hex::decode(&self.context)
            .expect("hex")
            .try_into()
            .expect("32 bytes");
        let proof = ScoreProof::from_bytes(&hex::decode(&self.proof).expect("hex"))
            .map_err(|_| VerifyError)?;
        let commitments = (self.commitments.iter())
            .map(|c| Commitment::try_from(*c).map_err(|_| VerifyError))
            .collect::<Result<Vec<_>, _>>()?;
        let statement = ScoreStatement {
            context: &context,
            card,
            claim: self.claim,
            reasons: self.reasons,
            commitments: &commitments,
        };
        verify(key().verifying(), &statement, &proof, &mut rng(1))
    }
}

#[test]
fn vectors() {
    let p = person(&card(), &VALUES, 1);
    let statement = p.claims(prepared(), Claim::Below(500), reasons(2, &[1, 2]));
    let proof = prove(key(), &statement, &p.openings, &mut rng(7)).expect("holds");
    let weights = draw_weights(&mut statement.absorb(&proof.commitment.0, &proof.mask), 4);
    let good = Good {
        test_key: 1,
        key: hex::encode(key().verifying().hash()),
        card: card(),
        card_bytes: hex::encode(card().to_bytes()),
        card_hash: hex::encode(card().content_hash()),
        table: Table::new(&card())
            .inputs()
            .iter()
            .map(ToString::to_string)
            .collect(),
        values: VALUES.to_vec(),
        blindings: p
            .openings
            .iter()
            .map(|o| hex::encode(o.blinding.as_bytes()))
            .collect(),
        weights: weights[..4].iter().map(ToString::to_string).collect(),
        case: case("score < 500, two reasons", &statement, &proof),
    };
    committed("scorecard", &good);
    let test_key = TestKey {
        test_key: 1,
        verifying_key: hex::encode(key().verifying().to_file()),
    };
    committed("scorecard_test_key", &test_key);

    let honest = good.case;
    let mut cases = Vec::new();
    let mut push = |what: &str, change: &dyn Fn(&mut Case)| {
        let mut bad = honest.clone();
        bad.what = what.into();
        change(&mut bad);
        cases.push(bad);
    };
    push("another context", &|c| c.context = hex::encode([6; 32]));
    push("a lower threshold", &|c| c.claim = Claim::Below(499));
    push("the other side", &|c| c.claim = Claim::AtLeast(200));
    push("the score", &|c| c.claim = Claim::Exactly(SCORE));
    push("other reasons", &|c| c.reasons = reasons(2, &[0, 2]));
    push("no reasons", &|c| c.reasons = None);
    push("commitments in another order", &|c| {
        c.commitments.swap(0, 1)
    });
    push("a commitment off by one", &|c| {
        let point = c.commitments[0].decode().expect("a point");
        c.commitments[0] = (point + pedersen::times_value(&Scalar::ONE)).into();
    });
    let byte = |c: &mut Case, at: usize| {
        let mut bytes = hex::decode(&c.proof).expect("hex");
        bytes[at] ^= 1;
        c.proof = hex::encode(bytes);
    };
    push("another P", &|c| byte(c, 129));
    push("another K", &|c| byte(c, 161));
    push("another z", &|c| byte(c, 193));
    push("another s", &|c| byte(c, 224));
    push("a z below 2^173", &|c| {
        let mut bytes = hex::decode(&c.proof).expect("hex");
        bytes[193 + 21..193 + 31].fill(0);
        c.proof = hex::encode(bytes);
    });
    push("a truncated proof", &|c| {
        c.proof.truncate(c.proof.len() - 2)
    });
    committed(
        "scorecard_bad",
        &Bad {
            test_key: 1,
            card: card(),
            cases,
        },
    );
}

#[test]
fn committed_vectors_verify_or_not() {
    let good: Good = load("scorecard");
    assert_eq!(
        good.key,
        hex::encode(test_key(good.test_key).verifying().hash())
    );
    assert_eq!(good.card_bytes, hex::encode(good.card.to_bytes()));
    assert_eq!(good.card_hash, hex::encode(good.card.content_hash()));
    let ready = PreparedCard::new(key().verifying(), &good.card);
    assert_eq!(good.case.verify(&ready), Ok(()));
    let bad: Bad = load("scorecard_bad");
    assert!(bad.cases.len() >= 14);
    for case in &bad.cases {
        assert_eq!(case.verify(&ready), Err(VerifyError), "{}", case.what);
    }
}

#[test]
fn the_key_of_a_ceremony() {
    let (pk, minutes) = super::keys::ceremony();
    let key = VerifyingKey::of_ceremony(pk.vk.clone(), minutes.clone()).expect("complete");
    let file = key.to_file();
    let own = VerifyingKey::BYTES;
    // Origin: version, variant, title, size; number of contributions; name, previous.
    let first = own + 2 + (4 + 4) + 1 + 4;
    let flip = |what: &str, at, xor| Flip {
        what: what.into(),
        at,
        xor,
    };
    let bad = vec![
        flip("another alpha", 0, 1),
        flip("another base", own - 32, 1),
        flip("another version", own, 1),
        flip("another origin", own + 1, 1),
        flip("another title", own + 6, 1),
        flip("another size", own + 10, 1),
        flip("another name", first + 4, 2),
        flip("another past", first + 5, 1),
        flip("other vectors", first + 5 + 32, 1),
        flip("another tau", first + 5 + 64, 1),
        flip("another proof", first + 5 + 64 + 96 + 32, 1),
        flip("another proof of delta", file.len() - 1, 1),
    ];
    for Flip { what, at, xor } in &bad {
        let mut changed = file.clone();
        changed[*at] ^= xor;
        assert!(VerifyingKey::read(&changed).is_err(), "{what}");
    }
    let vector = CeremonyKey {
        contributors: minutes.powers.iter().map(|c| c.name.clone()).collect(),
        hash: hex::encode(key.hash()),
        file: hex::encode(&file),
        bad,
    };
    committed("scorecard_ceremony_key", &vector);
}
