//! The batch range argument through its public interface: every shape is proven and accepted, and
//! nothing else is accepted under any name.

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use zkbureau_circuits::Scalar;
use zkbureau_circuits::commitment::{CommitmentKey, Record, RecordBlindings};
use zkbureau_circuits::encoding::{Document, PointBytes};
use zkbureau_circuits::error::{ProveError, VerifyError};
use zkbureau_circuits::range_batch::{
    BadBatches, MAX_SLOTS, ProvingKey, RangeArgument, RangeKeyError, Statement, VerifyingKey,
    Witness, commit_records, prove, verify, verify_many,
};
use zkbureau_circuits::schema::{Aggregate, Attribute, Class, Schema};

fn schema(ranges: &[(Class, i64)]) -> Schema {
    let attribute = |name: String, class, aggregate, max| Attribute {
        name,
        class,
        aggregate,
        min: 0,
        max,
        unit: "units".into(),
        description: String::new(),
    };
    let mut attributes = vec![attribute("present".into(), Class::Stock, Aggregate::Max, 1)];
    for (i, (class, range)) in ranges.iter().enumerate() {
        attributes.push(attribute(format!("a{i}"), *class, Aggregate::Sum, *range));
    }
    Schema::new(1, attributes).expect("a valid schema")
}

struct Batch {
    key: ProvingKey,
    records: Vec<Record>,
    blindings: Vec<RecordBlindings>,
    stocks: Vec<PointBytes>,
    flows: Vec<PointBytes>,
    argument: RangeArgument,
}

const CHAIN: [u8; 32] = [1; 32];
const BODY: [u8; 32] = [2; 32];

impl Batch {
    fn new(schema: &Schema, slots: usize, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let records: Vec<Record> = (0..slots)
            .map(|_| {
                let values: Vec<i64> = schema.attributes()[1..]
                    .iter()
                    .map(|a| match rng.next_u64() % 4 {
                        0 => a.min,
                        1 => a.max,
                        _ => (rng.next_u64() % (a.range() + 1)) as i64,
                    })
                    .collect();
                Record::new(schema, &values).expect("in range")
            })
            .collect();
        let blindings: Vec<RecordBlindings> = (0..slots)
            .map(|_| RecordBlindings {
                stocks: Scalar::random(&mut rng),
                flows: Scalar::random(&mut rng),
            })
            .collect();
        let key = ProvingKey::new(schema, slots).expect("usable");
        let (stocks, flows) = commit_records(&key, &records, &blindings).expect("honest");
        let statement = statement(&stocks, &flows);
        let witness = Witness {
            records: &records,
            blindings: &blindings,
        };
        let argument = prove(&key, &statement, &witness, &mut rng).expect("honest");
        Self {
            key,
            records,
            blindings,
            stocks,
            flows,
            argument,
        }
    }

    fn statement(&self) -> Statement<'_> {
        statement(&self.stocks, &self.flows)
    }

    fn judge(
        &self,
        statement: &Statement<'_>,
        argument: &RangeArgument,
    ) -> Result<(), VerifyError> {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        verify(self.key.verifying(), statement, argument, &mut rng)
    }
}

fn statement<'a>(stocks: &'a [PointBytes], flows: &'a [PointBytes]) -> Statement<'a> {
    Statement {
        chain: &CHAIN,
        agency: 4,
        batch: 9,
        body: &BODY,
        stocks,
        flows,
    }
}

fn small() -> Schema {
    schema(&[(Class::Stock, 2), (Class::Flow, 1)])
}

#[test]
fn every_shape_is_accepted() {
    let reference: Vec<(Class, i64)> = (0..10)
        .map(|i| {
            let class = if i < 6 { Class::Stock } else { Class::Flow };
            (class, u32::MAX.into())
        })
        .collect();
    for (schema, sizes) in [
        (
            schema(&[(Class::Stock, 1)]),
            vec![1, 2, 3, 7, 8, 9, 33, 500, 4096],
        ),
        (small(), vec![1, 2, 5, 6, 7, 24, 25, 96, 97, 1000]),
        (schema(&[(Class::Flow, 1000)]), vec![1, 21, 64, 321]),
        (
            schema(&[
                (Class::Stock, 6000),
                (Class::Stock, 3),
                (Class::Flow, 12_345),
            ]),
            vec![1, 15, 17, 60, 240, 1025],
        ),
        (schema(&reference), vec![1, 16, 17, 640, 700]),
        (schema(&[(Class::Stock, (1 << 40) - 1); 63]), vec![1, 3]),
    ] {
        for slots in sizes {
            let batch = Batch::new(&schema, slots, slots as u64);
            assert_eq!(
                batch.judge(&batch.statement(), &batch.argument),
                Ok(()),
                "n {} K {slots}",
                schema.slot_bits()
            );
            let layout = batch.key.verifying().layout(slots).expect("served");
            assert_eq!(
                batch.argument.to_bytes().len(),
                1 + RangeArgument::encoded_len(&layout)
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn any_schema_is_accepted(
        ranges in prop::collection::vec((any::<bool>(), 0u32..14, any::<u16>()), 1..8),
        slots in 1usize..80,
        seed in any::<u64>(),
    ) {
        let ranges: Vec<(Class, i64)> = ranges
            .into_iter()
            .map(|(flow, bits, low)| {
                let class = if flow { Class::Flow } else { Class::Stock };
                (class, (1i64 << bits) + i64::from(low) % (1i64 << bits))
            })
            .collect();
        let batch = Batch::new(&schema(&ranges), slots, seed);
        prop_assert_eq!(batch.judge(&batch.statement(), &batch.argument), Ok(()));
    }
}

#[test]
fn table_commitments_are_the_commitments() {
    let schema = schema(&[(Class::Stock, 6000), (Class::Flow, 77), (Class::Stock, 3)]);
    let batch = Batch::new(&schema, 300, 5);
    let key = CommitmentKey::new(&schema);
    for (k, (record, blindings)) in batch.records.iter().zip(&batch.blindings).enumerate() {
        for (class, blinding, point) in [
            (Class::Stock, blindings.stocks, batch.stocks[k]),
            (Class::Flow, blindings.flows, batch.flows[k]),
        ] {
            let opening = record.opening(&schema, class, blinding);
            let expected = key.commit(class, &opening).expect("same class");
            assert_eq!(PointBytes::from(expected), point, "record {k}");
        }
    }
}

#[test]
fn every_byte_counts() {
    let batch = Batch::new(&small(), 7, 3);
    let bytes = batch.argument.to_bytes();
    assert_eq!(
        RangeArgument::from_bytes(&bytes).as_ref(),
        Ok(&batch.argument)
    );
    let mut decoded = 0;
    for i in 0..bytes.len() {
        for mask in [0x01, 0x80] {
            let mut flipped = bytes.clone();
            flipped[i] ^= mask;
            if let Ok(argument) = RangeArgument::from_bytes(&flipped) {
                decoded += 1;
                assert_eq!(
                    batch.judge(&batch.statement(), &argument),
                    Err(VerifyError),
                    "byte {i} mask {mask:#x}"
                );
            }
        }
    }
    assert!(decoded > bytes.len(), "most flips still decode");
    for cut in 0..bytes.len() {
        assert!(
            RangeArgument::from_bytes(&bytes[..cut]).is_err(),
            "cut at {cut}"
        );
    }
    for more in [0u8, 1, 0xff] {
        let mut longer = bytes.clone();
        longer.push(more);
        assert!(RangeArgument::from_bytes(&longer).is_err());
    }
}

#[test]
fn announced_lengths_allocate_nothing() {
    for len in [16_385u32, u32::MAX] {
        let mut bytes = vec![1];
        bytes.extend(len.to_le_bytes());
        let error = RangeArgument::from_bytes(&bytes).expect_err("too many rows");
        assert!(error.to_string().contains("at most 16384"), "{error}");
    }
}

#[test]
fn every_part_of_the_statement_counts() {
    let batch = Batch::new(&small(), 7, 3);
    let good = batch.statement();
    let refused = |statement: Statement<'_>, what: &str| {
        assert_eq!(
            batch.judge(&statement, &batch.argument),
            Err(VerifyError),
            "{what}"
        );
    };
    assert_eq!(batch.judge(&good, &batch.argument), Ok(()));
    for i in 0..32 {
        let (mut chain, mut body) = (CHAIN, BODY);
        chain[i] ^= 1;
        body[i] ^= 1;
        refused(
            Statement {
                chain: &chain,
                ..good
            },
            "chain",
        );
        refused(
            Statement {
                body: &body,
                ..good
            },
            "body",
        );
    }
    refused(Statement { agency: 5, ..good }, "agency");
    refused(Statement { batch: 10, ..good }, "number");
    let identity = PointBytes::IDENTITY;
    for k in 0..7 {
        for replacement in [identity, PointBytes([0xff; 32]), batch.flows[(k + 1) % 7]] {
            let mut points = batch.stocks.clone();
            points[k] = replacement;
            refused(
                Statement {
                    stocks: &points,
                    ..good
                },
                "a stocks point",
            );
            let mut points = batch.flows.clone();
            points[k] = replacement;
            refused(
                Statement {
                    flows: &points,
                    ..good
                },
                "a flows point",
            );
        }
    }
    refused(
        Statement {
            stocks: &batch.stocks[..6],
            ..good
        },
        "stocks missing",
    );
    refused(
        Statement {
            flows: &batch.flows[..6],
            ..good
        },
        "flows missing",
    );
    refused(
        statement(&batch.stocks[..6], &batch.flows[..6]),
        "a record missing",
    );
    refused(statement(&[], &[]), "nothing");

    // Another schema with the same layout: other generators or only another digest.
    let other = schema(&[(Class::Stock, 3), (Class::Flow, 1)]);
    for schema in [
        other,
        Schema::new(2, small().attributes().to_vec()).expect("valid"),
    ] {
        let key = VerifyingKey::new(&schema, 7).expect("usable");
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        assert_eq!(
            verify(&key, &good, &batch.argument, &mut rng),
            Err(VerifyError)
        );
    }
}

#[test]
fn a_larger_key_serves_smaller_batches() {
    let batch = Batch::new(&small(), 7, 3);
    let key = VerifyingKey::new(&small(), 5000).expect("usable");
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    assert_eq!(
        verify(&key, &batch.statement(), &batch.argument, &mut rng),
        Ok(())
    );
    let large = ProvingKey::new(&small(), 5000).expect("usable");
    let witness = Witness {
        records: &batch.records,
        blindings: &batch.blindings,
    };
    let argument = prove(&large, &batch.statement(), &witness, &mut rng).expect("honest");
    assert_eq!(batch.judge(&batch.statement(), &argument), Ok(()));
}

#[test]
fn bad_batches_are_named() {
    let batches: Vec<Batch> = [1, 7, 30, 7, 200, 2]
        .into_iter()
        .zip(0..)
        .map(|(slots, seed)| Batch::new(&small(), slots, seed))
        .collect();
    let key = VerifyingKey::new(&small(), 200).expect("usable");
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let all: Vec<_> = batches
        .iter()
        .map(|b| (b.statement(), &b.argument))
        .collect();
    assert_eq!(verify_many(&key, &all, &mut rng), Ok(()));
    assert_eq!(verify_many(&key, &[], &mut rng), Ok(()));
    for bad in [
        vec![0],
        vec![5],
        vec![1, 3],
        vec![0, 2, 4],
        vec![0, 1, 2, 3, 4, 5],
    ] {
        let mut all = all.clone();
        for index in &bad {
            all[*index].0.batch += 1;
        }
        assert_eq!(
            verify_many(&key, &all, &mut rng),
            Err(BadBatches { indices: bad })
        );
    }
    // A count that is wrong and a point that does not decode do not hide the others.
    let mut mixed = all.clone();
    let broken = vec![PointBytes([0xff; 32]); 7];
    mixed[1].0.stocks = &broken;
    mixed[3].1 = &batches[0].argument;
    mixed[4].0.agency += 1;
    assert_eq!(
        verify_many(&key, &mixed, &mut rng),
        Err(BadBatches {
            indices: vec![1, 3, 4]
        })
    );
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let batch = Batch::new(&small(), 7, 3);
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut attempt = |stocks: usize, flows: usize, records: &[Record], blindings: usize| {
        let witness = Witness {
            records,
            blindings: &batch.blindings[..blindings],
        };
        prove(
            &batch.key,
            &statement(&batch.stocks[..stocks], &batch.flows[..flows]),
            &witness,
            &mut rng,
        )
    };
    let length = |what, got| {
        Err(ProveError::Length {
            what,
            expected: 7,
            got,
        })
    };
    assert_eq!(attempt(7, 6, &batch.records, 7), length("flows", 6));
    assert_eq!(attempt(7, 7, &batch.records[..5], 7), length("records", 5));
    assert_eq!(attempt(7, 7, &batch.records, 4), length("blindings", 4));
    assert!(matches!(
        attempt(0, 0, &[], 0),
        Err(ProveError::Size { got: 0, max: 7, .. })
    ));
    // Records decoded from bytes may hold anything.
    for (x, error) in [
        (vec![0u64, 1, 1], "`present` is not 1"),
        (vec![2, 1, 1], "`present` is not 1"),
        (vec![1, 3, 1], "a value is out of range"),
        (vec![1, 2, 2], "a value is out of range"),
    ] {
        let record: Record =
            borsh::from_slice(&borsh::to_vec(&x).expect("encodes")).expect("decodes");
        let mut records = batch.records.clone();
        records[4] = record;
        assert_eq!(
            attempt(7, 7, &records, 7),
            Err(ProveError::Unsatisfied(error))
        );
        assert_eq!(
            commit_records(&batch.key, &records, &batch.blindings),
            Err(ProveError::Unsatisfied(error))
        );
    }
    let other = Record::new(&schema(&[(Class::Stock, 2)]), &[1]).expect("in range");
    let mut records = batch.records.clone();
    records[0] = other;
    assert!(matches!(
        attempt(7, 7, &records, 7),
        Err(ProveError::Length {
            expected: 3,
            got: 2,
            ..
        })
    ));
}

#[test]
fn keys_that_cannot_be() {
    let error = |schema: &Schema, slots| VerifyingKey::new(schema, slots).err();
    assert_eq!(error(&schema(&[]), 10), Some(RangeKeyError::NoAttributes));
    assert_eq!(error(&small(), 0), Some(RangeKeyError::Slots(0)));
    assert_eq!(
        error(&small(), MAX_SLOTS + 1),
        Some(RangeKeyError::Slots(MAX_SLOTS + 1))
    );
}
