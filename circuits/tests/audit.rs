//! Column openings: vectors, one negative test per constraint (spec: `circuits/spec/audit.md`).

use std::path::PathBuf;

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};
use zkbureau_circuits::audit::{ColumnProof, ColumnStatement, Total, prove, totals, verify};
use zkbureau_circuits::commitment::{CommitmentKey, Opening, Record};
use zkbureau_circuits::encoding::{Document, PointBytes};
use zkbureau_circuits::error::{ProveError, VerifyError};
use zkbureau_circuits::schema::{Aggregate, Attribute, Class, Schema};

const BALANCE: u32 = 1;
const LIMIT: u32 = 2;
const PAYMENTS: u32 = 3;

fn schema() -> Schema {
    let attribute = |name: &str, class, aggregate, min, max| Attribute {
        name: name.into(),
        class,
        aggregate,
        min,
        max,
        unit: "NT$".into(),
        description: String::new(),
    };
    Schema::new(
        1,
        vec![
            attribute("present", Class::Stock, Aggregate::Max, 0, 1),
            attribute("balance", Class::Stock, Aggregate::Sum, -1000, 50_000),
            attribute("credit_limit", Class::Stock, Aggregate::Sum, 0, 90_000),
            attribute("payments", Class::Flow, Aggregate::Sum, 0, 30_000),
            attribute("late", Class::Flow, Aggregate::Count, 0, 30),
        ],
    )
    .expect("valid")
}

/// A column of `leaves` records, published as they would be.
struct Column {
    key: CommitmentKey,
    class: Class,
    leaves: u64,
    opening: Opening,
    point: PointBytes,
    real: Vec<i64>,
}

fn column(class: Class, leaves: u64, seed: u64) -> Column {
    let schema = schema();
    let key = CommitmentKey::new(&schema);
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut opening = Opening::zero(&schema, class);
    let mut point = RistrettoPoint::identity();
    let mut real = vec![0; 4];
    for _ in 0..leaves {
        let values = [
            i64::from(rng.next_u32() % 51_000) - 1000,
            i64::from(rng.next_u32() % 90_000),
            i64::from(rng.next_u32() % 30_000),
            i64::from(rng.next_u32() % 30),
        ];
        let record = Record::new(&schema, &values).expect("in range");
        let one = record.opening(&schema, class, Scalar::random(&mut rng));
        point += key.commit(class, &one).expect("same class");
        opening += &one;
        for (sum, value) in real.iter_mut().zip(values) {
            *sum += value;
        }
    }
    Column {
        key,
        class,
        leaves,
        opening,
        point: point.into(),
        real,
    }
}

impl Column {
    fn statement<'a>(&'a self, totals: &'a [Total]) -> ColumnStatement<'a> {
        ColumnStatement {
            context: [9; 32],
            key: &self.key,
            class: self.class,
            column: self.point,
            leaves: self.leaves,
            totals,
        }
    }

    fn totals(&self, positions: &[u32]) -> Vec<Total> {
        totals(&self.key, self.class, self.leaves, &self.opening, positions).expect("of the class")
    }

    fn prove(&self, totals: &[Total]) -> Result<ColumnProof, ProveError> {
        prove(
            &self.statement(totals),
            &self.opening,
            &mut ChaCha20Rng::seed_from_u64(77),
        )
    }
}

#[test]
fn totals_are_the_plain_sums() {
    for leaves in [1, 2, 50] {
        let stocks = column(Class::Stock, leaves, 1);
        let claims = stocks.totals(&[BALANCE, LIMIT]);
        assert_eq!(claims[0].value, i128::from(stocks.real[0]));
        assert_eq!(claims[1].value, i128::from(stocks.real[1]));
        for list in [&claims[..], &claims[..1], &claims[1..]] {
            let proof = stocks.prove(list).expect("true claims");
            assert_eq!(verify(&stocks.statement(list), &proof), Ok(()));
        }
        let flows = column(Class::Flow, leaves, 2);
        let claims = flows.totals(&[PAYMENTS]);
        assert_eq!(claims[0].value, i128::from(flows.real[2]));
        let proof = flows.prove(&claims).expect("true claims");
        assert_eq!(verify(&flows.statement(&claims), &proof), Ok(()));
    }
}

#[test]
fn an_empty_column_has_totals_of_zero() {
    let empty = column(Class::Stock, 0, 1);
    assert!(empty.point.is_identity());
    let claims = empty.totals(&[BALANCE]);
    assert_eq!(claims[0].value, 0);
    let proof = empty.prove(&claims).expect("true claim");
    assert_eq!(verify(&empty.statement(&claims), &proof), Ok(()));
}

/// One change to a true statement, keeping the proof: each must fail.
#[test]
fn every_part_of_the_statement_counts() {
    let c = column(Class::Stock, 20, 3);
    let claims = c.totals(&[BALANCE]);
    let proof = c.prove(&claims).expect("true claim");
    let good = c.statement(&claims);
    assert_eq!(verify(&good, &proof), Ok(()));

    let other_key = {
        let mut attributes = schema().attributes().to_vec();
        attributes[4].description = "differs".into();
        CommitmentKey::new(&Schema::new(1, attributes).expect("valid"))
    };
    let off_by_one = [Total {
        attribute: BALANCE,
        value: claims[0].value + 1,
    }];
    let other_attribute = [Total {
        attribute: LIMIT,
        value: claims[0].value,
    }];
    let other_column = column(Class::Stock, 20, 4).point;
    let cases: Vec<(&str, ColumnStatement<'_>)> = vec![
        (
            "context",
            ColumnStatement {
                context: [8; 32],
                ..good
            },
        ),
        (
            "schema",
            ColumnStatement {
                key: &other_key,
                ..good
            },
        ),
        (
            "class",
            ColumnStatement {
                class: Class::Flow,
                ..good
            },
        ),
        (
            "column",
            ColumnStatement {
                column: other_column,
                ..good
            },
        ),
        ("leaves + 1", ColumnStatement { leaves: 21, ..good }),
        ("leaves - 1", ColumnStatement { leaves: 19, ..good }),
        (
            "value",
            ColumnStatement {
                totals: &off_by_one,
                ..good
            },
        ),
        (
            "attribute",
            ColumnStatement {
                totals: &other_attribute,
                ..good
            },
        ),
        (
            "no claim",
            ColumnStatement {
                totals: &[],
                ..good
            },
        ),
    ];
    for (name, statement) in cases {
        assert_eq!(verify(&statement, &proof), Err(VerifyError), "{name}");
    }
}

#[test]
fn false_claims_have_no_proof() {
    let c = column(Class::Stock, 20, 5);
    let true_value = c.totals(&[BALANCE])[0].value;
    let claim = |attribute, value| [Total { attribute, value }];
    assert!(c.prove(&claim(BALANCE, true_value)).is_ok());
    for (name, bad) in [
        ("value", claim(BALANCE, true_value - 1)),
        ("another attribute", claim(LIMIT, true_value)),
        ("present", claim(0, 20)),
        ("a flow", claim(PAYMENTS, 0)),
        ("no attribute", claim(99, 0)),
        // The encoded sum would be negative, or more than every record can hold.
        ("below the range", claim(BALANCE, -20_001)),
        ("above the range", claim(BALANCE, 1_000_001)),
        ("far below", claim(BALANCE, i128::MIN)),
        ("far above", claim(BALANCE, i128::MAX)),
    ] {
        assert!(
            matches!(c.prove(&bad), Err(ProveError::Unsatisfied(_))),
            "{name}"
        );
    }
    let twice = [claim(BALANCE, true_value)[0]; 2];
    assert!(c.prove(&twice).is_err());
    let mut descending = c.totals(&[BALANCE, LIMIT]);
    descending.reverse();
    assert!(c.prove(&descending).is_err());
    // `present` of another number of leaves.
    let fewer = ColumnStatement {
        leaves: 19,
        ..c.statement(&[])
    };
    let claims = totals(&c.key, c.class, 19, &c.opening, &[BALANCE]).expect("of the class");
    let fewer = ColumnStatement {
        totals: &claims,
        ..fewer
    };
    assert!(prove(&fewer, &c.opening, &mut ChaCha20Rng::seed_from_u64(1)).is_err());
    // An opening of the other class, and one that is not the column's.
    let flows = column(Class::Flow, 20, 5);
    assert!(matches!(
        prove(
            &c.statement(&c.totals(&[BALANCE])),
            &flows.opening,
            &mut ChaCha20Rng::seed_from_u64(1)
        ),
        Err(ProveError::Length { .. })
    ));
    assert!(totals(&c.key, c.class, 20, &c.opening, &[PAYMENTS]).is_err());
    assert!(totals(&c.key, c.class, 20, &c.opening, &[0]).is_err());
}

#[test]
fn every_bit_and_every_byte_of_a_proof_counts() {
    let c = column(Class::Stock, 3, 6);
    let claims = c.totals(&[BALANCE]);
    let proof = c.prove(&claims).expect("true claim");
    let encoded = proof.to_bytes();
    let accepts = |bytes: &[u8]| {
        ColumnProof::from_bytes(bytes)
            .is_ok_and(|proof| verify(&c.statement(&claims), &proof).is_ok())
    };
    assert!(accepts(&encoded));
    for bit in 0..encoded.len() * 8 {
        let mut flipped = encoded.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!accepts(&flipped), "bit {bit}");
    }
    for cut in 0..encoded.len() {
        assert!(
            ColumnProof::from_bytes(&encoded[..cut]).is_err(),
            "cut {cut}"
        );
    }
    let mut longer = encoded.clone();
    longer.push(0);
    assert!(ColumnProof::from_bytes(&longer).is_err());
    // One response more or less, well encoded.
    for count in [1usize, 3] {
        let mut other = encoded[..33].to_vec();
        other.extend_from_slice(&u32::try_from(count).expect("small").to_le_bytes());
        other.resize(33 + 4 + 32 * count, 0);
        assert!(ColumnProof::from_bytes(&other).is_ok() && !accepts(&other));
    }
}

/// Nonces depend on witness and statement even when the caller's randomness repeats.
#[test]
fn repeated_randomness_does_not_repeat_nonces() {
    let c = column(Class::Stock, 3, 7);
    let claims = c.totals(&[BALANCE]);
    let first = c.prove(&claims).expect("true claim").to_bytes();
    let statement = ColumnStatement {
        context: [1; 32],
        ..c.statement(&claims)
    };
    let second = prove(&statement, &c.opening, &mut ChaCha20Rng::seed_from_u64(77))
        .expect("true claim")
        .to_bytes();
    assert_ne!(first[1..33], second[1..33]);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Vector {
    name: String,
    schema: Schema,
    context: String,
    class: Class,
    column: PointBytes,
    leaves: u64,
    totals: Vec<Total>,
    proof: String,
}

fn check_vectors(file: &str, made: &[Vector]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("vectors/v1")
        .join(file);
    if std::env::var_os("ZKBUREAU_BLESS").is_some_and(|v| v == "1") {
        let text = serde_json::to_string_pretty(made).expect("json") + "\n";
        std::fs::write(&path, text).expect("writable");
    }
    let text = std::fs::read_to_string(&path).expect("committed vectors");
    let committed: Vec<Vector> = serde_json::from_str(&text).expect("well-formed vectors");
    assert_eq!(committed, made, "{file}");
}

fn verify_vector(v: &Vector) -> Result<(), VerifyError> {
    let key = CommitmentKey::new(&v.schema);
    let context = hex::decode(&v.context).expect("hex");
    let proof = ColumnProof::from_bytes(&hex::decode(&v.proof).expect("hex"));
    verify(
        &ColumnStatement {
            context: context.try_into().expect("32 bytes"),
            key: &key,
            class: v.class,
            column: v.column,
            leaves: v.leaves,
            totals: &v.totals,
        },
        &proof.map_err(|_| VerifyError)?,
    )
}

fn good_vectors() -> Vec<Vector> {
    [
        ("one stock", Class::Stock, vec![BALANCE]),
        ("all stocks", Class::Stock, vec![BALANCE, LIMIT]),
        ("one flow", Class::Flow, vec![PAYMENTS]),
    ]
    .into_iter()
    .map(|(name, class, positions)| {
        let c = column(class, 5, 8);
        let claims = c.totals(&positions);
        Vector {
            name: name.into(),
            schema: schema(),
            context: hex::encode([9; 32]),
            class,
            column: c.point,
            leaves: 5,
            proof: hex::encode(c.prove(&claims).expect("true claims").to_bytes()),
            totals: claims,
        }
    })
    .collect()
}

#[test]
fn vectors() {
    let good = good_vectors();
    check_vectors("audit.json", &good);
    for v in &good {
        assert_eq!(verify_vector(v), Ok(()), "{}", v.name);
    }
    let change = |name: &str, change: &dyn Fn(&mut Vector)| {
        let mut v = good_vectors().remove(0);
        v.name = name.into();
        change(&mut v);
        v
    };
    let bad = vec![
        change("total too large by one", &|v| v.totals[0].value += 1),
        change("another attribute", &|v| v.totals[0].attribute = LIMIT),
        change("one leaf more", &|v| v.leaves += 1),
        change("another context", &|v| v.context = hex::encode([0; 32])),
        change("flows instead of stocks", &|v| v.class = Class::Flow),
        change("column is the identity", &|v| {
            v.column = PointBytes::IDENTITY
        }),
        change("column not canonical", &|v| {
            v.column = PointBytes([0xff; 32])
        }),
        change("claimed twice", &|v| v.totals.push(v.totals[0])),
        change("nothing claimed", &|v| v.totals.clear()),
        change("truncated", &|v| v.proof.truncate(v.proof.len() - 2)),
        change("trailing byte", &|v| v.proof.push_str("00")),
        change("version 2", &|v| v.proof.replace_range(0..2, "02")),
    ];
    check_vectors("audit_bad.json", &bad);
    for v in &bad {
        assert_eq!(verify_vector(v), Err(VerifyError), "{}", v.name);
    }
}
