//! Vectors of schemas, generators, blindings and commitments
//! (spec: `circuits/spec/commitment.md`). `ZKBUREAU_BLESS=1` rewrites the file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use zkbureau_circuits::commitment::{
    BlindingContext, CommitmentKey, Opening, Record, RecordBlindings, SubjectSalt,
};
use zkbureau_circuits::encoding::PointBytes;
use zkbureau_circuits::schema::{Aggregate, Attribute, Class, PRESENT, Schema};
use zkbureau_circuits::{RistrettoPoint, Scalar, generators};

const FILE: &str = "vectors/v1/commitment.json";

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Vectors {
    blinding_generator: PointBytes,
    scalar_generator: PointBytes,
    bit_generators: Vec<BitGenerator>,
    schemas: Vec<SchemaVector>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct BitGenerator {
    slot: u32,
    attribute: u32,
    bit: u32,
    point: PointBytes,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct SchemaVector {
    name: String,
    schema: Schema,
    encoding: String,
    digest: String,
    attribute_generators: Vec<PointBytes>,
    weights: Vec<Vec<u64>>,
    decompositions: Vec<Decomposition>,
    chain: String,
    agency: u32,
    batch: u64,
    records: Vec<RecordVector>,
    /// Sums over all records: encoded values, blinding, point.
    stocks_sum: Sum,
    flows_sum: Sum,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Decomposition {
    attribute: usize,
    x: u64,
    bits: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct RecordVector {
    salt: String,
    index: String,
    values: Vec<i64>,
    stocks_blinding: String,
    flows_blinding: String,
    stocks: PointBytes,
    flows: PointBytes,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sum {
    x: Vec<u64>,
    blinding: String,
    point: PointBytes,
}

fn attribute(
    name: &str,
    class: Class,
    aggregate: Aggregate,
    (min, max): (i64, i64),
    unit: &str,
    description: &str,
) -> Attribute {
    Attribute {
        name: name.into(),
        class,
        aggregate,
        min,
        max,
        unit: unit.into(),
        description: description.into(),
    }
}

fn present() -> Attribute {
    attribute(
        PRESENT,
        Class::Stock,
        Aggregate::Max,
        (0, 1),
        "records",
        "1 in every record",
    )
}

fn schemas() -> Vec<(&'static str, Schema)> {
    use Aggregate::{Count, Max, Min, Sum};
    use Class::{Flow, Stock};
    let cards = vec![
        present(),
        attribute(
            "balance",
            Stock,
            Sum,
            (-1000, 5000),
            "NT$",
            "owed at the end of the month",
        ),
        attribute("payments", Flow, Sum, (0, 300), "NT$", "paid in the month"),
        attribute(
            "months_in_arrears",
            Stock,
            Max,
            (0, 9),
            "months",
            "worst card, größter Rückstand",
        ),
        attribute("months_late", Flow, Count, (0, 3), "months", ""),
    ];
    let wide = vec![
        present(),
        attribute(
            "widest",
            Stock,
            Sum,
            (-(1 << 50), -(1 << 50) + (1 << 40) - 1),
            "",
            "",
        ),
        attribute("power", Stock, Min, (0, 1 << 39), "u", ""),
        attribute("bit", Stock, Count, (7, 8), "u", ""),
    ];
    vec![
        ("cards", Schema::new(1, cards).expect("valid")),
        (
            "stocks only, widest ranges",
            Schema::new(4_000_000_000, wide).expect("valid"),
        ),
        (
            "nothing but present",
            Schema::new(0, vec![present()]).expect("valid"),
        ),
    ]
}

/// Real values at and between the borders of every attribute.
fn values(schema: &Schema) -> Vec<Vec<i64>> {
    let ranged = &schema.attributes()[1..];
    vec![
        ranged.iter().map(|a| a.min).collect(),
        ranged.iter().map(|a| a.max).collect(),
        ranged.iter().map(|a| a.min + (a.max - a.min) / 3).collect(),
    ]
}

fn scalar(s: &Scalar) -> String {
    hex::encode(s.as_bytes())
}

fn vector(name: &str, schema: Schema) -> SchemaVector {
    let (chain, agency, batch) = ([0xc1; 32], 3, u64::MAX - 5);
    let digest = schema.digest();
    let key = CommitmentKey::new(&schema);
    let mut sums = [Class::Stock, Class::Flow].map(|class| Opening::zero(&schema, class));
    let mut points = [RistrettoPoint::default(); 2];
    let mut records = Vec::new();
    for (i, values) in values(&schema).into_iter().enumerate() {
        let (salt, index) = ([i as u8 + 1; 32], [i as u8 + 0x40; 32]);
        let record = Record::new(&schema, &values).expect("in range");
        let context = BlindingContext {
            chain: &chain,
            agency,
            schema: &digest,
            batch,
            index: &index,
        };
        let blindings =
            RecordBlindings::derive(&SubjectSalt::from_bytes(salt), &context, &schema, &record);
        let both = [
            (Class::Stock, blindings.stocks),
            (Class::Flow, blindings.flows),
        ];
        let committed = [0, 1].map(|c| {
            let (class, blinding) = both[c];
            let opening = record.opening(&schema, class, blinding);
            let point = key.commit(class, &opening).expect("of this class");
            sums[c] += &opening;
            points[c] += point;
            PointBytes::from(point)
        });
        records.push(RecordVector {
            salt: hex::encode(salt),
            index: hex::encode(index),
            values,
            stocks_blinding: scalar(&blindings.stocks),
            flows_blinding: scalar(&blindings.flows),
            stocks: committed[0],
            flows: committed[1],
        });
    }
    let sum = |c: usize| Sum {
        x: sums[c].encoded().to_vec(),
        blinding: scalar(sums[c].blinding()),
        point: points[c].into(),
    };
    // The opening of the sum opens the sum of the points, so the file is consistent in itself.
    for (c, class) in [Class::Stock, Class::Flow].into_iter().enumerate() {
        assert_eq!(
            key.commit(class, &sums[c]).expect("of this class"),
            points[c],
            "{name}"
        );
    }
    SchemaVector {
        name: name.into(),
        encoding: hex::encode(borsh::to_vec(&schema).expect("encoding into memory")),
        digest: hex::encode(digest),
        attribute_generators: schema
            .attributes()
            .iter()
            .map(|a| generators::attribute(a).into())
            .collect(),
        weights: schema
            .attributes()
            .iter()
            .map(|a| (0..a.bits()).map(|l| a.weight(l)).collect())
            .collect(),
        decompositions: schema
            .attributes()
            .iter()
            .enumerate()
            .flat_map(|(attribute, a)| {
                let half = 1 << (a.bits() - 1);
                let top = a.weight(a.bits() - 1);
                let mut borders = vec![0, half - 1, half, top, a.range() - 1, a.range()];
                borders.sort_unstable();
                borders.dedup();
                borders.into_iter().map(move |x| Decomposition {
                    attribute,
                    x,
                    bits: a.decompose(x),
                })
            })
            .collect(),
        chain: hex::encode(chain),
        agency,
        batch,
        records,
        stocks_sum: sum(0),
        flows_sum: sum(1),
        schema,
    }
}

fn made() -> Vectors {
    Vectors {
        blinding_generator: generators::blinding().into(),
        scalar_generator: generators::scalar().into(),
        bit_generators: [(0, 1, 0), (0, 1, 39), (3, 2, 1), (u32::MAX, 63, 39)]
            .map(|(slot, attribute, bit)| BitGenerator {
                slot,
                attribute,
                bit,
                point: generators::bit(slot, attribute, bit).into(),
            })
            .into(),
        schemas: schemas()
            .into_iter()
            .map(|(name, s)| vector(name, s))
            .collect(),
    }
}

#[test]
fn commitments_match_the_vectors() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let made = made();
    if std::env::var_os("ZKBUREAU_BLESS").is_some_and(|v| v == "1") {
        let text = serde_json::to_string_pretty(&made).expect("json") + "\n";
        std::fs::write(&path, text).expect("writable");
    }
    let text = std::fs::read_to_string(&path).expect("committed vectors");
    let committed: Vectors = serde_json::from_str(&text).expect("well-formed vectors");
    assert_eq!(committed, made, "{FILE}");
}
