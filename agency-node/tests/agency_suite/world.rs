//! A small consortium: a ledger in memory with one validator, agencies with vaults in a temporary
//! directory, and invented people.

use std::cell::Cell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use rand_core::OsRng;
use tempfile::TempDir;
use zkbureau_agency_node::agency::{
    Agency, ImportError, ImportJob, ImportOutcome, SubmitError, Submitter,
};
use zkbureau_agency_node::vault::{AgencyKeys, Vault, VaultKey};
use zkbureau_circuits::directory::SubjectId;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::schema::{Aggregate, Attribute, Class, Schema};
use zkbureau_ledger::genesis::{Auditor, Issuer, Policies, Seat};
use zkbureau_ledger::ids::Day;
use zkbureau_ledger::transaction::{Change, GovernanceVote, Proposal};
use zkbureau_ledger::{
    AuditorId, Block, Certificate, Genesis, Height, IssuerId, Ledger, MemoryStore, SecretKey,
    TimeMs, Transaction,
};
use zkbureau_prover::{Mapping, Quiet};

pub const MAP: &str = r#"
account = "account"

[subject]
column = "subject"
id_type = "person"

[period]
column = "period"

[attributes.balance]
column = "balance"

[attributes.arrears]
column = "pay"
clamp_min = 0

[attributes.payments]
column = "payment"

[attributes.statements]
"#;

/// [`MAP`] for the schema that [`appended`] makes.
pub const APPENDED_MAP: &str = r#"
account = "account"

[subject]
column = "subject"
id_type = "person"

[period]
column = "period"

[attributes.balance]
column = "balance"

[attributes.arrears]
column = "pay"
clamp_min = 0

[attributes.payments]
column = "payment"

[attributes.statements]

[attributes.fees]
column = "payment"

[attributes.accounts]
"#;

/// Midnight of 2024-07-01, UTC.
pub const START: u64 = 1_719_792_000_000;
pub const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

pub fn schema() -> Schema {
    let attribute = |name: &str, class, aggregate, min, max| Attribute {
        name: name.into(),
        class,
        aggregate,
        min,
        max,
        unit: "units".into(),
        description: String::new(),
    };
    Schema::new(
        1,
        vec![
            attribute("present", Class::Stock, Aggregate::Max, 0, 1),
            attribute("balance", Class::Stock, Aggregate::Sum, -10_000, 1_000_000),
            attribute("arrears", Class::Stock, Aggregate::Max, 0, 120),
            attribute("payments", Class::Flow, Aggregate::Sum, 0, 1_000_000),
            attribute("statements", Class::Flow, Aggregate::Count, 0, 100),
        ],
    )
    .unwrap()
}

/// The next version of [`schema`]: a flow and a stock more.
pub fn appended() -> Schema {
    let mut attributes = schema().attributes().to_vec();
    for (name, class, aggregate) in [
        ("fees", Class::Flow, Aggregate::Sum),
        ("accounts", Class::Stock, Aggregate::Count),
    ] {
        attributes.push(Attribute {
            name: name.into(),
            class,
            aggregate,
            min: 0,
            max: 5000,
            unit: "units".into(),
            description: String::new(),
        });
    }
    Schema::new(2, attributes).unwrap()
}

pub fn period(text: &str) -> Period {
    text.parse().unwrap()
}

pub fn person(name: &str) -> SubjectId {
    SubjectId::new("person", name).unwrap()
}

/// The chain: makes a block of whatever it is given.
pub struct Chain {
    pub ledger: RwLock<Arc<Ledger<MemoryStore>>>,
    pub genesis: Genesis,
    pub blocks: Mutex<Vec<(Block, Certificate)>>,
    validator: SecretKey,
    time: Mutex<u64>,
}

impl Chain {
    pub fn ledger(&self) -> Arc<Ledger<MemoryStore>> {
        self.ledger.read().unwrap().clone()
    }

    /// Has changes adopted; there is one validator.
    pub fn adopt(&self, changes: Vec<Change>) {
        let ledger = self.ledger();
        let proposal = Proposal {
            title: "Changes".into(),
            expires: Day(ledger.tip().time_ms.day().0 + 30),
            changes,
        };
        let vote = GovernanceVote::sign(ledger.chain_id(), AgencyId(1), proposal, &self.validator);
        self.block(vec![vote.into()]).unwrap();
    }

    /// Lets time pass.
    pub fn wait_ms(&self, ms: u64) {
        *self.time.lock().unwrap() += ms;
    }

    /// A block with these transactions; the reason if one is not accepted.
    pub fn block(&self, transactions: Vec<Transaction>) -> Result<Block, String> {
        let ledger = self.ledger();
        let mut time = self.time.lock().unwrap();
        *time += 1000;
        let checked = ledger
            .check_stateless(transactions)
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| e.to_string())?;
        let proposal = ledger
            .propose(AgencyId(1), TimeMs(*time), checked)
            .map_err(|e| e.to_string())?;
        if let Some((_, error)) = proposal.dropped.first() {
            return Err(error.to_string());
        }
        assert!(proposal.deferred.is_empty());
        let block = proposal.executed.block().clone();
        let certificate = Certificate::single(&block.header, 0, AgencyId(1), &self.validator);
        ledger
            .commit(proposal.executed, certificate.clone())
            .map_err(|e| e.to_string())?;
        self.blocks
            .lock()
            .unwrap()
            .push((block.clone(), certificate));
        Ok(block)
    }

    /// Forgets the last blocks, as a ledger does whose log lost its end.
    pub fn lose_blocks(&self, count: usize) {
        let ledger = Ledger::open(MemoryStore::default(), &self.genesis).unwrap();
        let mut blocks = self.blocks.lock().unwrap();
        let kept = blocks.len() - count;
        blocks.truncate(kept);
        for (block, certificate) in blocks.iter() {
            let executed = ledger.execute(block).unwrap();
            ledger.commit(executed, certificate.clone()).unwrap();
        }
        *self.ledger.write().unwrap() = Arc::new(ledger);
    }
}

/// What happens to submitted batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They become final.
    Final,
    /// The ledger refuses them.
    Refused,
    /// The process "dies" before anything is sent.
    LostBefore,
    /// The batch becomes final, but nobody hears of it.
    LostAfter,
}

/// Submits to a [`Chain`]; the fate of each batch in turn, then all final.
pub struct Line<'a> {
    pub chain: &'a Chain,
    fates: Mutex<Vec<Fate>>,
    pub submitted: Mutex<u32>,
}

impl<'a> Line<'a> {
    pub fn new(chain: &'a Chain, fates: &[Fate]) -> Self {
        Self {
            chain,
            fates: Mutex::new(fates.iter().rev().copied().collect()),
            submitted: Mutex::new(0),
        }
    }
}

impl Submitter for Line<'_> {
    fn submit(&self, transaction: Transaction) -> Result<Height, SubmitError> {
        let fate = self.fates.lock().unwrap().pop().unwrap_or(Fate::Final);
        *self.submitted.lock().unwrap() += 1;
        let lost = || SubmitError::Unavailable {
            reason: "line cut".into(),
        };
        match fate {
            Fate::LostBefore => Err(lost()),
            Fate::Refused => Err(SubmitError::Refused {
                reason: "as told".into(),
            }),
            Fate::Final | Fate::LostAfter => {
                let block = self
                    .chain
                    .block(vec![transaction])
                    .map_err(|reason| SubmitError::Refused { reason })?;
                if fate == Fate::LostAfter {
                    Err(lost())
                } else {
                    Ok(block.header.height)
                }
            }
        }
    }
}

pub struct World {
    pub dir: TempDir,
    pub chain: Chain,
    pub issuer: SecretKey,
    pub auditor: SecretKey,
    pub agencies: Vec<Agency<MemoryStore>>,
    files: Cell<u32>,
}

impl World {
    pub fn new(agencies: u32) -> Self {
        Self::with_policies(
            agencies,
            Policies {
                max_batch_slots: 8,
                min_changed_records: 1,
                ..Policies::default()
            },
        )
    }

    pub fn with_policies(agencies: u32, policies: Policies) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keys: Vec<AgencyKeys> = (0..agencies)
            .map(|_| AgencyKeys::random(&mut OsRng))
            .collect();
        let issuer = SecretKey::random(&mut OsRng);
        let auditor = SecretKey::random(&mut OsRng);
        let genesis = Genesis {
            name: "test".into(),
            time_ms: TimeMs(START),
            agencies: (1..)
                .zip(&keys)
                .map(|(id, keys)| keys.agency(AgencyId(id), &format!("Agency {id}")))
                .collect(),
            validators: vec![Seat {
                agency: AgencyId(1),
                power: 1,
            }],
            issuers: vec![Issuer {
                id: IssuerId(1),
                name: "Office".into(),
                key: issuer.public(),
            }],
            auditors: vec![Auditor {
                id: AuditorId(1),
                name: "Regulator".into(),
                key: auditor.public(),
            }],
            observers: Vec::new(),
            schema: schema(),
            policies,
            score_key: None,
        };
        let ledger = Arc::new(Ledger::open(MemoryStore::default(), &genesis).unwrap());
        let chain = Chain {
            ledger: RwLock::new(ledger.clone()),
            validator: SecretKey::from_seed(&keys[0].validator().to_seed()),
            blocks: Mutex::default(),
            time: Mutex::new(START),
            genesis,
        };
        let agencies = (1..)
            .zip(&keys)
            .map(|(id, keys)| {
                let path = vault_path(dir.path(), id);
                let vault = Vault::create(
                    &path,
                    &vault_key(),
                    &chain.genesis.chain_id(),
                    AgencyId(id),
                    keys,
                )
                .unwrap();
                Agency::open(vault, ledger.clone()).unwrap()
            })
            .collect();
        Self {
            dir,
            chain,
            issuer,
            auditor,
            agencies,
            files: Cell::new(0),
        }
    }

    pub fn agency(&self, id: u32) -> &Agency<MemoryStore> {
        &self.agencies[id as usize - 1]
    }

    /// Stops all agencies and starts them again on their vaults.
    pub fn restart(self) -> Self {
        self.stop().start()
    }

    /// Starts all agencies on their vaults.
    pub fn start(mut self) -> Self {
        let count = self.chain.genesis.agencies.len() as u32;
        self.agencies = (1..=count)
            .map(|id| Agency::open(self.open_vault(id), self.chain.ledger()).unwrap())
            .collect();
        self
    }

    /// Stops all agencies.
    pub fn stop(mut self) -> Self {
        self.agencies.clear();
        self
    }

    pub fn open_vault(&self, id: u32) -> Vault {
        Vault::open(
            &self.vault_path(id),
            &vault_key(),
            &self.chain.genesis.chain_id(),
            AgencyId(id),
        )
        .unwrap()
    }

    pub fn vault_path(&self, id: u32) -> PathBuf {
        vault_path(self.dir.path(), id)
    }

    /// Imports rows; every batch has the fate it is given, then all become final.
    pub fn import(
        &self,
        id: u32,
        reported: &str,
        rows: &str,
        fates: &[Fate],
        correct: bool,
    ) -> Result<ImportOutcome, ImportError> {
        let schema = self.chain.ledger().schema();
        let map = [MAP, APPENDED_MAP][usize::from(schema.version() > 1)];
        let mapping = Mapping::parse(map, &schema).unwrap();
        let mut text = "account,subject,period,balance,pay,payment\n".to_owned();
        text.push_str(rows);
        let job = ImportJob {
            mapping: &mapping,
            reported_period: period(reported),
            correct,
            allow_rejects: false,
            more_follows: false,
            close: false,
            dry_run: false,
            spill_dir: self.dir.path(),
        };
        self.files.set(self.files.get() + 1);
        self.agency(id).import(
            text.as_bytes(),
            Some(text.len() as u64),
            &job,
            &Line::new(&self.chain, fates),
            &Quiet,
            &mut OsRng,
        )
    }

    /// Imports rows that must all become final.
    pub fn publish(&self, id: u32, reported: &str, rows: &str) {
        let outcome = self.import(id, reported, rows, &[], false).unwrap();
        assert_eq!(outcome.report.reject_count, 0);
        self.tell_all();
    }

    /// Every agency looks at the last block.
    pub fn tell_all(&self) {
        let last = self.chain.blocks.lock().unwrap().last().cloned();
        if let Some((block, _)) = last {
            for agency in &self.agencies {
                agency.on_block(&block).unwrap();
            }
        }
    }

    /// A block, and every agency hears of it.
    pub fn block(&self, transactions: Vec<Transaction>) -> Block {
        let block = self.chain.block(transactions).unwrap();
        self.tell_all();
        block
    }

    pub fn is_clean(&self, id: u32) {
        let check = self.agency(id).verify(&|_| {}).unwrap();
        assert!(check.is_clean(), "{check:?}");
    }
}

pub fn vault_key() -> VaultKey {
    VaultKey::from_hex(KEY).unwrap()
}

fn vault_path(dir: &Path, id: u32) -> PathBuf {
    dir.join(format!("agency-{id}"))
}

/// One row.
pub fn row(
    account: &str,
    subject: &str,
    period: &str,
    balance: i64,
    pay: i64,
    payment: i64,
) -> String {
    format!("{account},{subject},{period},{balance},{pay},{payment}\n")
}

/// A row each for `count` people.
pub fn crowd(count: u32, period: &str) -> String {
    let mut rows = String::new();
    for i in 0..count {
        writeln!(rows, "A{i},P{i:04},{period},{},{},{}", i * 7, i % 3, i * 11).unwrap();
    }
    rows
}
