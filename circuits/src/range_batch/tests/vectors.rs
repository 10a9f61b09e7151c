//! Committed vectors: `circuits/vectors/v1/range_batch.json`. The test makes them again from their
//! seeds and compares; `ZKBUREAU_BLESS=1` writes the file.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use serde::{Deserialize, Serialize};

use super::super::verify::Replayed;
use super::naive::{Claim, prove_claim};
use super::*;
use crate::encoding::Document;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/v1/range_batch.json");

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Vectors {
    about: String,
    vectors: Vec<Vector>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Vector {
    name: String,
    about: String,
    valid: bool,
    /// Of the ChaCha20 generator that made records, blindings, identifiers and nonces.
    seed: u64,
    schema: Schema,
    schema_digest: String,
    chain: String,
    agency: u32,
    batch: u64,
    body: String,
    stocks: Vec<PointBytes>,
    flows: Vec<PointBytes>,
    /// Document: a version byte, then the fields.
    argument: String,
    /// What a replay of the transcript draws; left out where a count is wrong or nothing decodes.
    challenges: Option<Challenges>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Challenges {
    y: String,
    tau: Vec<String>,
    r: Vec<String>,
    sigma: Vec<String>,
    e: String,
}

impl Vector {
    fn new(
        name: &str,
        about: &str,
        valid: bool,
        seed: u64,
        batch: &Batch,
        argument: &[u8],
    ) -> Self {
        let scalar = |s: &Scalar| hex::encode(s.as_bytes());
        let key = batch.key.verifying();
        let challenges = RangeArgument::from_bytes(argument)
            .ok()
            .and_then(|a| Replayed::new(key, &batch.statement(), &a))
            .map(|r| Challenges {
                y: scalar(&r.y),
                tau: r.tau.iter().map(scalar).collect(),
                r: r.r.iter().map(scalar).collect(),
                sigma: r.sigma.iter().map(scalar).collect(),
                e: scalar(&r.e),
            });
        Self {
            name: name.into(),
            about: about.into(),
            valid,
            seed,
            schema: key.schema().clone(),
            schema_digest: hex::encode(key.schema().digest()),
            chain: hex::encode(batch.chain),
            agency: batch.agency,
            batch: batch.number,
            body: hex::encode(batch.body),
            stocks: batch.stocks.clone(),
            flows: batch.flows.clone(),
            argument: hex::encode(argument),
            challenges,
        }
    }

    /// Verifies what the file says, from nothing but the file.
    fn accepted(&self) -> bool {
        let digest =
            |s: &str| -> Digest32 { hex::decode(s).expect("hex").try_into().expect("32 bytes") };
        assert_eq!(digest(&self.schema_digest), self.schema.digest());
        let Ok(argument) = RangeArgument::from_bytes(&hex::decode(&self.argument).expect("hex"))
        else {
            return false;
        };
        let key = VerifyingKey::new(&self.schema, self.stocks.len()).expect("usable");
        let statement = Statement {
            chain: &digest(&self.chain),
            agency: self.agency,
            batch: self.batch,
            body: &digest(&self.body),
            stocks: &self.stocks,
            flows: &self.flows,
        };
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        verify(&key, &statement, &argument, &mut rng).is_ok()
    }
}

fn good() -> Vec<Vector> {
    let narrow = || schema(&[(Class::Stock, 2), (Class::Flow, 1)]);
    [
        ("one_record", "one row, no rounds", mixed(), 1, 101),
        (
            "rows_of_one_slot",
            "p = 0, q = 3, the last rows missing",
            mixed(),
            5,
            102,
        ),
        (
            "rows_of_two_slots",
            "p = 1, q = 2, the last slot missing",
            narrow(),
            7,
            103,
        ),
        (
            "rows_of_four_slots",
            "p = 2, q = 2, rows and slots missing",
            schema(&[(Class::Flow, 1)]),
            9,
            104,
        ),
        (
            "no_flows",
            "flows commit to nothing",
            schema(&[(Class::Stock, 6), (Class::Stock, 1)]),
            12,
            105,
        ),
        (
            "odd_ranges",
            "top weights that are no powers of two",
            schema(&[(Class::Stock, 5), (Class::Flow, 9), (Class::Flow, 16)]),
            6,
            106,
        ),
        (
            "widest_value",
            "40 bits",
            schema(&[(Class::Flow, (1 << 40) - 1)]),
            2,
            107,
        ),
    ]
    .into_iter()
    .map(|(name, about, schema, slots, seed)| {
        let batch = Batch::random(&schema, slots, seed);
        let argument = prove(
            &batch.key,
            &batch.statement(),
            &batch.witness(),
            &mut batch.rng.clone(),
        )
        .expect("honest");
        Vector::new(name, about, true, seed, &batch, &argument.to_bytes())
    })
    .collect()
}

/// One lie each, in a batch of rows of two slots with p = 1 and q = 2.
fn bad() -> Vec<Vector> {
    const SEED: u64 = 200;
    let start = || {
        let schema = schema(&[(Class::Stock, 2), (Class::Flow, 1)]);
        let batch = Batch::random(&schema, 7, SEED);
        let claim = Claim::honest(&batch);
        (batch, claim)
    };
    let lie = |name: &str, about: &str, edit: &dyn Fn(&mut Batch, &mut Claim)| {
        let (mut batch, mut claim) = start();
        edit(&mut batch, &mut claim);
        let argument = prove_claim(&batch, &claim, &mut batch.rng.clone());
        Vector::new(name, about, false, SEED, &batch, &argument.to_bytes())
    };
    let attribute = |position: usize| {
        let schema = schema(&[(Class::Stock, 2), (Class::Flow, 1)]);
        crate::generators::attribute(&schema.attributes()[position])
    };
    let shift = |point: &mut PointBytes, by: RistrettoPoint| {
        *point = (point.decode().expect("a point") + by).into()
    };
    let mut vectors = vec![
        lie(
            "bad_bit_two",
            "the flow of record 1 is 2, committed and in its row",
            &|b, c| {
                c.bits[1][2] = Scalar::from(2u64);
                shift(&mut b.flows[1], Scalar::from(2u64) * attribute(2));
            },
        ),
        lie(
            "bad_bit_minus_one",
            "the flow of record 1 is -1, committed and in its row",
            &|b, c| {
                c.bits[1][2] = -Scalar::ONE;
                shift(&mut b.flows[1], -attribute(2));
            },
        ),
        lie(
            "bad_bit_half",
            "the flow of record 1 is 1/2, committed and in its row",
            &|b, c| {
                c.bits[1][2] = Scalar::from(2u64).invert();
                shift(&mut b.flows[1], Scalar::from(2u64).invert() * attribute(2));
            },
        ),
        lie(
            "bad_stock_above_max",
            "record 0 commits to the largest stock plus 1",
            &|b, _| {
                shift(&mut b.stocks[0], attribute(1));
            },
        ),
        lie(
            "bad_flow_above_max",
            "record 0 commits to the largest flow plus 1",
            &|b, _| {
                shift(&mut b.flows[0], attribute(2));
            },
        ),
        lie("bad_present_zero", "record 2 is not present", &|b, _| {
            shift(&mut b.stocks[2], -attribute(0));
        }),
        lie("bad_present_two", "record 2 is present twice", &|b, _| {
            shift(&mut b.stocks[2], attribute(0));
        }),
        lie(
            "bad_value_of_other_class",
            "the stocks of record 3 hold a flow",
            &|b, _| {
                shift(&mut b.stocks[3], attribute(2));
            },
        ),
        lie(
            "bad_row_of_other_values",
            "the row of record 4 holds another value than its point",
            &|_, c| {
                c.bits[4][0] = Scalar::ONE - c.bits[4][0];
            },
        ),
        lie(
            "bad_swapped_slots",
            "the points of records 0 and 1, of one row, are swapped",
            &|b, _| {
                b.stocks.swap(0, 1);
                b.flows.swap(0, 1);
            },
        ),
        lie(
            "bad_bit_in_missing_slot",
            "the last row has a bit where no record is",
            &|_, c| {
                c.bits[7][0] = Scalar::ONE;
            },
        ),
        lie(
            "bad_claim_chain",
            "a1 of the second round is 1 too large",
            &|_, c| {
                c.shift_a1 = Some((1, Scalar::ONE));
            },
        ),
        lie(
            "bad_row_of_another_batch",
            "row 1 is the first point of the flows",
            &|b, c| {
                c.replace_row = Some((1, b.flows[0]));
            },
        ),
    ];

    // Edits of a good argument.
    let (batch, claim) = start();
    let argument = prove_claim(&batch, &claim, &mut batch.rng.clone());
    let mut edited = |name: &str, about: &str, edit: &dyn Fn(&mut RangeArgument)| {
        let mut argument = argument.clone();
        edit(&mut argument);
        vectors.push(Vector::new(
            name,
            about,
            false,
            SEED,
            &batch,
            &argument.to_bytes(),
        ));
    };
    edited("bad_z", "z[3] is off by 1", &|a| a.z[3].0 += Scalar::ONE);
    edited("bad_theta", "θ' is off by 1", &|a| {
        a.theta.0 += Scalar::ONE
    });
    edited("bad_phi_stocks", "φ' of the stocks is off by 1", &|a| {
        a.phi_stocks.0 += Scalar::ONE
    });
    edited("bad_phi_flows", "φ' of the flows is off by 1", &|a| {
        a.phi_flows.0 += Scalar::ONE
    });
    edited("bad_kappa", "κ' is off by 1", &|a| {
        a.kappa.0 += Scalar::ONE
    });
    edited("bad_row_missing", "a row fewer", &|a| a.rows.truncate(3));
    edited("bad_row_too_many", "a row more, the identity", &|a| {
        a.rows.push(PointBytes::IDENTITY)
    });
    edited("bad_round_too_many", "a round more, of identities", &|a| {
        a.rounds.push((PointBytes::IDENTITY, PointBytes::IDENTITY));
    });
    edited("bad_point", "T is not canonical", &|a| {
        a.t = PointBytes([0xff; 32])
    });

    // Edits of the bytes and of the statement.
    let good = argument.to_bytes();
    let mut bytes = |name: &str, about: &str, argument: &[u8]| {
        assert!(RangeArgument::from_bytes(argument).is_err(), "{name}");
        vectors.push(Vector::new(name, about, false, SEED, &batch, argument));
    };
    bytes(
        "bad_truncated",
        "the last byte is missing",
        &good[..good.len() - 1],
    );
    bytes(
        "bad_trailing_byte",
        "a byte more",
        &[&good[..], &[0]].concat(),
    );
    bytes("bad_version", "version 2", &[&[2], &good[1..]].concat());
    bytes(
        "bad_scalar",
        "κ' is not reduced",
        &[&good[..good.len() - 32], &[0xff; 32]].concat(),
    );
    let mut moved = |name: &str, about: &str, edit: &dyn Fn(&mut Batch)| {
        let (mut batch, _) = start();
        edit(&mut batch);
        vectors.push(Vector::new(name, about, false, SEED, &batch, &good));
    };
    moved("bad_chain", "a good argument under another chain", &|b| {
        b.chain[0] ^= 1
    });
    moved("bad_agency", "a good argument of another agency", &|b| {
        b.agency ^= 1
    });
    moved("bad_number", "a good argument of another batch", &|b| {
        b.number ^= 1
    });
    moved("bad_body", "a good argument with another body", &|b| {
        b.body[31] ^= 1
    });
    vectors
}

#[test]
fn committed_vectors_are_reproduced_and_judged() {
    let vectors = Vectors {
        about: "Batch range argument, see circuits/spec/range_batch.md. Bytes are hexadecimal; \
                scalars are little endian."
            .into(),
        vectors: good().into_iter().chain(bad()).collect(),
    };
    for vector in &vectors.vectors {
        assert_eq!(vector.accepted(), vector.valid, "{}", vector.name);
        assert_eq!(vector.name.starts_with("bad_"), !vector.valid);
    }
    if std::env::var_os("ZKBUREAU_BLESS").is_some() {
        let mut json = serde_json::to_string_pretty(&vectors).expect("encodes");
        json.push('\n');
        std::fs::write(PATH, json).expect("writable");
    }
    let committed = std::fs::read_to_string(PATH).expect("vectors/v1/range_batch.json");
    let committed: Vectors = serde_json::from_str(&committed).expect("decodes");
    assert_eq!(committed.vectors.len(), vectors.vectors.len());
    for (ours, theirs) in vectors.vectors.iter().zip(&committed.vectors) {
        assert_eq!(ours, theirs, "{}", ours.name);
    }
}

/// Vectors of the independent prover in `circuits/reference/`, true and false, which shares no code
/// with this crate.
#[test]
fn the_second_provers_vectors_are_judged() {
    #[derive(Deserialize)]
    struct Foreign {
        name: String,
        accept: bool,
        schema: Schema,
        chain: String,
        agency: u32,
        batch: u64,
        body: String,
        stocks: Vec<PointBytes>,
        flows: Vec<PointBytes>,
        argument: String,
    }
    const PATH: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/vectors/v1/range_batch_second_prover.json"
    );
    let file = std::fs::read_to_string(PATH).expect("vectors/v1/range_batch_second_prover.json");
    let vectors: Vec<Foreign> = serde_json::from_str(&file).expect("decodes");
    assert!(vectors.iter().any(|v| v.accept) && vectors.iter().any(|v| !v.accept));
    for v in vectors {
        let vector = Vector {
            name: v.name,
            about: String::new(),
            valid: v.accept,
            seed: 0,
            schema_digest: hex::encode(v.schema.digest()),
            schema: v.schema,
            chain: v.chain,
            agency: v.agency,
            batch: v.batch,
            body: v.body,
            stocks: v.stocks,
            flows: v.flows,
            argument: v.argument,
            challenges: None,
        };
        assert_eq!(vector.accepted(), vector.valid, "{}", vector.name);
    }
}
