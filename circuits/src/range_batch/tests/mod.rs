//! Tests that need more than the public interface: a slow prover that can cheat, the attacks it is
//! used for, and the committed vectors.

mod attacks;
mod naive;
mod vectors;

use curve25519_dalek::scalar::Scalar;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use super::*;
use crate::commitment::{Record, RecordBlindings};
use crate::encoding::{Digest32, PointBytes};
use crate::schema::tests::attribute;
use crate::schema::{Attribute, Class, PRESENT, Schema};

/// A schema with `present` and these `(class, max - min)` attributes; stocks start at -7.
pub(super) fn schema(ranges: &[(Class, i64)]) -> Schema {
    let mut attributes: Vec<Attribute> = vec![attribute(PRESENT, Class::Stock, 0, 1)];
    for (i, (class, range)) in ranges.iter().enumerate() {
        let min = match class {
            Class::Stock => -7,
            Class::Flow => 0,
        };
        attributes.push(attribute(&format!("a{i}"), *class, min, min + range));
    }
    Schema::new(1, attributes).expect("a valid schema")
}

/// A batch with everything that its publisher knows.
pub(super) struct Batch {
    pub key: ProvingKey,
    pub chain: Digest32,
    pub body: Digest32,
    pub agency: u32,
    pub number: u64,
    pub records: Vec<Record>,
    pub blindings: Vec<RecordBlindings>,
    pub stocks: Vec<PointBytes>,
    pub flows: Vec<PointBytes>,
    pub rng: ChaCha20Rng,
}

impl Batch {
    /// Random records, the smallest and the largest among them.
    pub(super) fn random(schema: &Schema, slots: usize, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let records: Vec<Record> = (0..slots)
            .map(|k| {
                let values: Vec<i64> = schema.attributes()[1..]
                    .iter()
                    .map(|a| match k {
                        0 => a.max,
                        1 => a.min,
                        _ => a.min + (rng.next_u64() % (a.range() + 1)) as i64,
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
        let key = ProvingKey::new(schema, slots).expect("a usable schema");
        let (stocks, flows) = commit_records(&key, &records, &blindings).expect("same schema");
        let mut digest = || {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            bytes
        };
        Self {
            chain: digest(),
            body: digest(),
            agency: 3,
            number: 17,
            key,
            records,
            blindings,
            stocks,
            flows,
            rng,
        }
    }

    pub(super) fn statement(&self) -> Statement<'_> {
        Statement {
            chain: &self.chain,
            agency: self.agency,
            batch: self.number,
            body: &self.body,
            stocks: &self.stocks,
            flows: &self.flows,
        }
    }

    pub(super) fn witness(&self) -> Witness<'_> {
        Witness {
            records: &self.records,
            blindings: &self.blindings,
        }
    }

    pub(super) fn layout(&self) -> Layout {
        self.key
            .verifying()
            .layout(self.records.len())
            .expect("the key was made for it")
    }

    pub(super) fn accepts(&self, argument: &RangeArgument) -> bool {
        let mut rng = self.rng.clone();
        verify(self.key.verifying(), &self.statement(), argument, &mut rng).is_ok()
    }
}

/// Stocks and flows, odd ranges, bits that do not fill bytes.
pub(super) fn mixed() -> Schema {
    schema(&[
        (Class::Stock, 20),
        (Class::Flow, 1),
        (Class::Stock, 1023),
        (Class::Flow, 100),
    ])
}
