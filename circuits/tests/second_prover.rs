//! Arguments made by the second implementation, `circuits/reference/attacks.py`: this crate accepts
//! the honest ones and refuses one cheat per constraint (spec: `circuits/spec/range_batch.md`).

use std::path::PathBuf;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Deserialize;
use zkbureau_circuits::encoding::{Digest32, Document, PointBytes};
use zkbureau_circuits::range_batch::{
    BadBatches, RangeArgument, Statement, VerifyingKey, verify, verify_many,
};
use zkbureau_circuits::schema::Schema;

#[derive(Deserialize)]
struct Case {
    name: String,
    accept: bool,
    schema: Schema,
    #[serde(with = "hex::serde")]
    chain: Digest32,
    agency: u32,
    batch: u64,
    #[serde(with = "hex::serde")]
    body: Digest32,
    stocks: Vec<PointBytes>,
    flows: Vec<PointBytes>,
    #[serde(with = "hex::serde")]
    argument: Vec<u8>,
}

impl Case {
    fn statement(&self) -> Statement<'_> {
        Statement {
            chain: &self.chain,
            agency: self.agency,
            batch: self.batch,
            body: &self.body,
            stocks: &self.stocks,
            flows: &self.flows,
        }
    }

    fn argument(&self) -> RangeArgument {
        RangeArgument::from_bytes(&self.argument).expect("canonical")
    }
}

fn cases() -> Vec<Case> {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/v1/range_batch_second_prover.json");
    let text = std::fs::read_to_string(path).expect("committed vectors");
    serde_json::from_str(&text).expect("well-formed vectors")
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

#[test]
fn both_implementations_give_the_same_verdicts() {
    let cases = cases();
    for accept in [true, false] {
        assert!(cases.iter().any(|c| c.accept == accept));
    }
    for case in &cases {
        let key = VerifyingKey::new(&case.schema, case.stocks.len()).expect("a usable schema");
        let argument = case.argument();
        assert_eq!(argument.to_bytes(), case.argument, "{}", case.name);
        let verdict = verify(&key, &case.statement(), &argument, &mut rng());
        assert_eq!(verdict.is_ok(), case.accept, "{}", case.name);
    }
}

#[test]
fn every_cheat_is_named_among_many() {
    let cases = cases();
    let schema = &cases.last().expect("cases").schema;
    let same: Vec<&Case> = cases.iter().filter(|c| c.schema == *schema).collect();
    let arguments: Vec<RangeArgument> = same.iter().map(|c| c.argument()).collect();
    let batches: Vec<_> = same.iter().map(|c| c.statement()).zip(&arguments).collect();
    let key = VerifyingKey::new(schema, 23).expect("a usable schema");
    let indices: Vec<usize> = (0..same.len()).filter(|i| !same[*i].accept).collect();
    assert!(!indices.is_empty() && indices.len() < same.len());
    assert_eq!(
        verify_many(&key, &batches, &mut rng()),
        Err(BadBatches { indices })
    );
}
