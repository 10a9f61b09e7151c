//! A small consortium with real keys, real commitments and real range arguments.
#![allow(dead_code, clippy::unwrap_used)]

pub mod council;

use std::sync::{Arc, OnceLock};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use zkbureau_circuits::Scalar;
use zkbureau_circuits::commitment::{CommitmentKey, Opening, Record, RecordBlindings};
use zkbureau_circuits::directory::{Index, VrfSecretKey};
use zkbureau_circuits::period::Period;
use zkbureau_circuits::range_batch::{self, ProvingKey, Statement, Witness, commit_records};
use zkbureau_circuits::schema::{Aggregate, Attribute, Class, Schema};
use zkbureau_ledger::genesis::{Agency, Auditor, Issuer, Policies, Seat};
use zkbureau_ledger::transaction::body_hash;
use zkbureau_ledger::{
    AgencyId, AnchorConsent, AuditRequest, AuditorId, BatchBody, BatchEntry, Certificate, ChainId,
    Checked, Day, Executed, Genesis, HolderTag, IssuerId, Ledger, Proposal, PublishBatch,
    SealingKey, SecretKey, Store, TimeMs, Tip, Transaction, TxError,
};

/// 2025-01-01 00:00 UTC.
pub const START: u64 = 1_735_689_600_000;
/// Records in the largest test batch.
pub const MAX_SLOTS: u32 = 512;
/// Records that the proving key serves: benches publish larger batches.
const KEY_SLOTS: usize = 8192;

pub const ONE: AgencyId = AgencyId(1);
pub const TWO: AgencyId = AgencyId(2);

pub fn period(text: &str) -> Period {
    text.parse().unwrap()
}

pub fn schema() -> Schema {
    let attribute = |name: &str, class, aggregate, max| Attribute {
        name: name.into(),
        class,
        aggregate,
        min: 0,
        max,
        unit: "units".into(),
        description: String::new(),
    };
    Schema::new(
        1,
        vec![
            attribute("present", Class::Stock, Aggregate::Max, 1),
            attribute("balance", Class::Stock, Aggregate::Sum, 1000),
            attribute("payments", Class::Flow, Aggregate::Sum, 15),
        ],
    )
    .unwrap()
}

pub fn proving_key() -> &'static ProvingKey {
    static KEY: OnceLock<ProvingKey> = OnceLock::new();
    KEY.get_or_init(|| ProvingKey::new(&schema(), KEY_SLOTS).unwrap())
}

pub fn commitment_key() -> &'static CommitmentKey {
    static KEY: OnceLock<CommitmentKey> = OnceLock::new();
    KEY.get_or_init(|| CommitmentKey::new(&schema()))
}

pub fn validator_key(agency: AgencyId) -> SecretKey {
    SecretKey::from_seed(&[agency.0 as u8; 32])
}

pub fn network_key(agency: AgencyId) -> SecretKey {
    let mut seed = [203; 32];
    seed[0] = agency.0 as u8;
    SecretKey::from_seed(&seed)
}

pub fn auditor_key() -> SecretKey {
    SecretKey::from_seed(&[200; 32])
}

pub fn use_key(n: u8) -> SecretKey {
    let mut seed = [201; 32];
    seed[0] = n;
    SecretKey::from_seed(&seed)
}

pub fn revocation_key(n: u8) -> SecretKey {
    let mut seed = [202; 32];
    seed[0] = n;
    SecretKey::from_seed(&seed)
}

/// A genesis file of `agencies` agencies, of which the first signs alone.
pub fn genesis(agencies: u32) -> Genesis {
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    let mut sealing = [9; 32];
    let agencies: Vec<Agency> = (1..=agencies)
        .map(|i| {
            sealing[0] = i as u8;
            Agency {
                id: AgencyId(i),
                name: format!("Agency {i}"),
                validator_key: validator_key(AgencyId(i)).public(),
                vrf_key: VrfSecretKey::random(&mut rng).public(),
                sealing_key: SealingKey::from_bytes(&sealing).unwrap(),
                network_key: network_key(AgencyId(i)).public(),
            }
        })
        .collect();
    let genesis = Genesis {
        name: "Test".into(),
        time_ms: TimeMs(START),
        validators: vec![Seat {
            agency: ONE,
            power: 1,
        }],
        agencies,
        issuers: vec![Issuer {
            id: IssuerId(1),
            name: "Issuer".into(),
            key: SecretKey::from_seed(&[199; 32]).public(),
        }],
        auditors: vec![Auditor {
            id: AuditorId(1),
            name: "Auditor".into(),
            key: auditor_key().public(),
        }],
        observers: Vec::new(),
        schema: schema(),
        policies: Policies {
            max_batch_slots: MAX_SLOTS,
            min_changed_records: 3,
            ..Policies::default()
        },
        score_key: None,
    };
    genesis.validate().unwrap();
    genesis
}

/// One record of a batch, in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub index: [u8; 32],
    pub effective: Period,
    pub balance: i64,
    pub payments: i64,
    pub tag: u8,
}

pub fn index(n: u64) -> [u8; 32] {
    // Spread like the output of a hash.
    zkbureau_circuits::encoding::hash_parts("test/index", &[&n.to_le_bytes()])
}

pub fn row(n: u64, effective: &str, balance: i64, payments: i64) -> Row {
    Row {
        index: index(n),
        effective: period(effective),
        balance,
        payments,
        tag: 1,
    }
}

/// The openings of a row's commitments, by a blinding that only tests may use.
pub fn openings(agency: AgencyId, number: u64, row: &Row) -> [Opening; 2] {
    let schema = schema();
    let record = Record::new(&schema, &[row.balance, row.payments]).unwrap();
    let [stocks, flows] = blindings(agency, number, row);
    [
        record.opening(&schema, Class::Stock, stocks),
        record.opening(&schema, Class::Flow, flows),
    ]
}

fn blindings(agency: AgencyId, number: u64, row: &Row) -> [Scalar; 2] {
    ["stocks", "flows"].map(|class| {
        let digest = zkbureau_circuits::encoding::hash_parts(
            class,
            &[&agency.0.to_le_bytes(), &number.to_le_bytes(), &row.index],
        );
        Scalar::from_bytes_mod_order(digest)
    })
}

/// A body with its commitments; rows are brought into order.
pub fn body(
    agency: AgencyId,
    number: u64,
    reported: Period,
    rows: &[Row],
) -> (BatchBody, Vec<Row>) {
    let schema = schema();
    let mut rows = rows.to_vec();
    rows.sort_by_key(|r| r.index);
    let (records, blindings) = witness(&schema, agency, number, &rows);
    let (stocks, flows) = commit_records(proving_key(), &records, &blindings).unwrap();
    let entries = rows
        .iter()
        .zip(stocks.into_iter().zip(flows))
        .map(|(row, (stocks, flows))| BatchEntry {
            index: Index(row.index),
            effective_period: row.effective,
            stocks,
            flows,
            holder_tag: HolderTag([row.tag; 32]),
        })
        .collect();
    let body = BatchBody {
        agency,
        number,
        schema: 1,
        period: reported,
        closes: true,
        entries,
    };
    (body, rows)
}

fn witness(
    schema: &Schema,
    agency: AgencyId,
    number: u64,
    rows: &[Row],
) -> (Vec<Record>, Vec<RecordBlindings>) {
    rows.iter()
        .map(|row| {
            let [stocks, flows] = blindings(agency, number, row);
            (
                Record::new(schema, &[row.balance, row.payments]).unwrap(),
                RecordBlindings { stocks, flows },
            )
        })
        .unzip()
}

/// Proves and signs a body, whatever it says.
pub fn seal(chain: &ChainId, body: BatchBody, rows: &[Row]) -> PublishBatch {
    let schema = schema();
    let (records, blindings) = witness(&schema, body.agency, body.number, rows);
    let (stocks, flows) = (body.stocks(), body.flows());
    let hash = body_hash(chain, &body);
    let statement = Statement {
        chain: chain.as_bytes(),
        agency: body.agency.0,
        batch: body.number,
        body: &hash,
        stocks: &stocks,
        flows: &flows,
    };
    let witness = Witness {
        records: &records,
        blindings: &blindings,
    };
    let mut rng = ChaCha20Rng::from_seed(hash);
    let argument = range_batch::prove(proving_key(), &statement, &witness, &mut rng).unwrap();
    let key = validator_key(body.agency);
    PublishBatch::sign(chain, body, argument, &key)
}

pub fn batch(
    chain: &ChainId,
    agency: AgencyId,
    number: u64,
    reported: &str,
    rows: &[Row],
) -> Transaction {
    let (body, rows) = body(agency, number, period(reported), rows);
    seal(chain, body, &rows).into()
}

pub fn anchor(n: u8, expiry: Day) -> AnchorConsent {
    AnchorConsent {
        commitment: AnchorConsent::commitment(&[n; 32], 0, &[n; 32]),
        use_key: use_key(n).public(),
        revocation_key: revocation_key(n).public(),
        expiry,
    }
}

pub fn audit(chain: &ChainId, nonce: u8, agencies: &[AgencyId], at: &str) -> AuditRequest {
    AuditRequest::sign(
        chain,
        AuditorId(1),
        [nonce; 32],
        agencies.to_vec(),
        vec!["balance".into()],
        period(at),
        &auditor_key(),
    )
}

/// A day after the ledger's last block.
pub fn today(ledger: &Ledger<impl Store>) -> Day {
    ledger.tip().time_ms.day()
}

pub fn certify(executed: &Executed) -> Certificate {
    Certificate::single(executed.header(), 0, ONE, &validator_key(ONE))
}

/// Passes the stateless check or panics.
pub fn checked(ledger: &Ledger<impl Store>, transactions: &[Transaction]) -> Vec<Arc<Checked>> {
    ledger
        .check_stateless(transactions.to_vec())
        .into_iter()
        .map(|r| r.unwrap())
        .collect()
}

/// The stateless refusal of one transaction.
pub fn stateless_refusal(ledger: &Ledger<impl Store>, transaction: Transaction) -> TxError {
    ledger
        .check_stateless(vec![transaction])
        .remove(0)
        .unwrap_err()
}

/// Proposes a second after the last block.
pub fn propose(ledger: &Ledger<impl Store>, transactions: &[Transaction]) -> Proposal {
    let time = TimeMs(ledger.tip().time_ms.0 + 1000);
    ledger
        .propose(ONE, time, checked(ledger, transactions))
        .unwrap()
}

/// Proposes, executes as a validator, and commits; every transaction must be accepted.
pub fn step(ledger: &Ledger<impl Store>, transactions: &[Transaction]) -> Tip {
    let proposal = propose(ledger, transactions);
    assert_eq!(proposal.dropped, vec![]);
    assert_eq!(proposal.deferred, vec![]);
    finish(ledger, proposal)
}

/// Executes a proposal as a validator and commits it.
pub fn finish(ledger: &Ledger<impl Store>, proposal: Proposal) -> Tip {
    let executed = ledger.execute(proposal.executed.block()).unwrap();
    assert_eq!(executed.roots(), proposal.executed.roots());
    let certificate = certify(&executed);
    ledger.commit(executed, certificate).unwrap()
}

/// The stateful refusal of one transaction. It must leave the ledger as it was, whether it is
/// proposed or stands in a block.
pub fn refusal(ledger: &Ledger<impl Store>, transaction: Transaction) -> TxError {
    let before = ledger.tip();
    let empty = propose(ledger, &[]);
    let proposal = propose(ledger, std::slice::from_ref(&transaction));
    assert_eq!(
        proposal.executed.header(),
        empty.executed.header(),
        "a refused transaction changes nothing"
    );
    let error = match proposal.dropped.as_slice() {
        [(hash, error)] => {
            assert_eq!(*hash, transaction.hash());
            error.clone()
        }
        [] => {
            assert_eq!(proposal.deferred, vec![transaction.hash()]);
            let checked = checked(ledger, std::slice::from_ref(&transaction));
            let now = TimeMs(before.time_ms.0 + 1000);
            match ledger.check_stateful(&checked[0], now).unwrap_err() {
                zkbureau_ledger::LedgerError::Transaction(error) => error,
                other => panic!("{other}"),
            }
        }
        more => panic!("{more:?}"),
    };
    // The same in a block that a validator is shown.
    let mut block = empty.executed.block().clone();
    block.transactions = vec![transaction.clone()];
    block.header.transactions_root =
        zkbureau_ledger::block::transactions_root(&[transaction.hash()]);
    match ledger.execute(&block).unwrap_err() {
        zkbureau_ledger::LedgerError::Block(found) => assert_eq!(
            found.kind,
            zkbureau_ledger::machine::BlockErrorKind::Transaction {
                position: 0,
                hash: transaction.hash(),
                error: error.clone(),
            }
        ),
        other => panic!("{other}"),
    }
    assert_eq!(ledger.tip(), before);
    error
}
