//! Several nodes over one [`Hub`], and what tests do with them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_core::{OsRng, RngCore};
use tempfile::TempDir;
use zkbureau_agency_node::agency::Agency;
use zkbureau_agency_node::consensus::{
    ConsensusError, Engine, EngineNetwork, Identity, Meters, Timing, start_on,
};
use zkbureau_agency_node::node::{Node, now};
use zkbureau_agency_node::vault::{AgencyKeys, Vault, VaultKey};
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::schema::{Aggregate, Attribute, Class, Schema};
use zkbureau_ledger::genesis::{Auditor, Issuer, Policies, Seat};
use zkbureau_ledger::{
    AnchorConsent, AuditorId, Day, Genesis, Height, IssuerId, Ledger, RocksStore, SecretKey,
    TimeMs, Transaction, TxHash,
};

use crate::hub::Hub;

/// Whatever a test waits for must come within this time.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// 2025-01-01 00:00 UTC.
const START: u64 = 1_735_689_600_000;
const VAULT_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

pub struct Cluster {
    dir: TempDir,
    pub hub: Arc<Hub>,
    pub genesis: Genesis,
    keys: BTreeMap<u32, AgencyKeys>,
    pub running: BTreeMap<u32, Running>,
    pub timing: Timing,
}

pub struct Running {
    pub node: Arc<Node>,
    engine: Engine,
    pub meters: Arc<Meters>,
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
            attribute("balance", Class::Stock, Aggregate::Sum, 1_000),
            attribute("payments", Class::Flow, Aggregate::Sum, 1_000),
        ],
    )
    .unwrap()
}

impl Cluster {
    /// A consortium of `agencies`, of which the first `validators` have a seat. Nobody runs yet.
    pub fn new(agencies: u32, validators: u32) -> Self {
        let keys: BTreeMap<u32, AgencyKeys> = (1..=agencies)
            .map(|id| (id, AgencyKeys::random(&mut OsRng)))
            .collect();
        let genesis = Genesis {
            name: "test".into(),
            time_ms: TimeMs(START),
            agencies: keys
                .iter()
                .map(|(id, keys)| keys.agency(AgencyId(*id), &format!("Agency {id}")))
                .collect(),
            validators: (1..=validators)
                .map(|id| Seat {
                    agency: AgencyId(id),
                    power: 1,
                })
                .collect(),
            issuers: vec![Issuer {
                id: IssuerId(1),
                name: "Office".into(),
                key: SecretKey::random(&mut OsRng).public(),
            }],
            auditors: vec![Auditor {
                id: AuditorId(1),
                name: "Regulator".into(),
                key: SecretKey::random(&mut OsRng).public(),
            }],
            observers: Vec::new(),
            schema: schema(),
            policies: Policies {
                max_batch_slots: 4096,
                min_changed_records: 1,
                ..Policies::default()
            },
            score_key: None,
        };
        genesis.validate().unwrap();
        Self {
            dir: tempfile::tempdir().unwrap(),
            hub: Arc::default(),
            genesis,
            keys,
            running: BTreeMap::new(),
            timing: Timing {
                status: Duration::from_millis(500),
                ..Timing::default()
            },
        }
    }

    /// A consortium of validators, all running.
    pub async fn start(validators: u32) -> Self {
        let mut cluster = Self::new(validators, validators);
        for id in 1..=validators {
            cluster.start_node(id).await;
        }
        cluster
    }

    pub fn home(&self, id: u32) -> PathBuf {
        self.dir.path().join(format!("node-{id}"))
    }

    /// The validator key of an agency, for whoever plays it.
    pub fn validator_key(&self, id: u32) -> Arc<SecretKey> {
        Arc::new(SecretKey::from_seed(&self.keys[&id].validator().to_seed()))
    }

    pub async fn start_node(&mut self, id: u32) {
        let home = self.home(id);
        let store = RocksStore::open(home.join("ledger")).unwrap();
        let ledger = Arc::new(Ledger::open(store, &self.genesis).unwrap());
        let chain = self.genesis.chain_id();
        let key = VaultKey::from_hex(VAULT_KEY).unwrap();
        let path = home.join("vault");
        let vault = if path.exists() {
            Vault::open(&path, &key, &chain, AgencyId(id)).unwrap()
        } else {
            Vault::create(&path, &key, &chain, AgencyId(id), &self.keys[&id]).unwrap()
        };
        let agency = Arc::new(Agency::open(vault, ledger.clone()).unwrap());
        let agencies = BTreeMap::from([(AgencyId(id), agency)]);
        let genesis = self.genesis.to_bytes();
        let node = Arc::new(Node::new(ledger, agencies, AgencyId(id), genesis));
        let identity = Identity {
            agency: AgencyId(id),
            validator: Some(self.validator_key(id)),
        };
        let network = EngineNetwork::new(self.hub.connect(id).await);
        let home = home.join("consensus");
        let engine = start_on(node.clone(), identity, network, self.timing, &home)
            .await
            .unwrap();
        let meters = engine.meters();
        self.running.insert(
            id,
            Running {
                node,
                engine,
                meters,
            },
        );
    }

    /// Stops a node. Its databases are closed when this returns.
    pub async fn stop_node(&mut self, id: u32) {
        let running = self.running.remove(&id).unwrap();
        running.node.stop();
        running.engine.stop().await;
        let start = Instant::now();
        while Arc::strong_count(&running.node) > 1 {
            assert!(start.elapsed() < PATIENCE, "somebody holds the node");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until a node's consensus ends by itself.
    pub async fn ended(&self, id: u32) -> Arc<ConsensusError> {
        let ended = self.running[&id].engine.ended();
        tokio::time::timeout(PATIENCE, ended).await.unwrap()
    }

    pub async fn stop_all(&mut self) {
        let ids: Vec<u32> = self.running.keys().copied().collect();
        for id in ids {
            self.stop_node(id).await;
        }
    }

    pub fn node(&self, id: u32) -> &Arc<Node> {
        &self.running[&id].node
    }

    pub fn meters(&self, id: u32) -> &Meters {
        &self.running[&id].meters
    }

    pub fn height(&self, id: u32) -> Height {
        self.node(id).ledger.tip().height
    }

    /// Hands a transaction in at some nodes.
    pub async fn submit(&self, transaction: &Transaction, nodes: &[u32]) -> TxHash {
        for id in nodes {
            let (node, transaction) = (self.node(*id).clone(), transaction.clone());
            tokio::task::spawn_blocking(move || node.submit(transaction))
                .await
                .unwrap()
                .unwrap();
        }
        transaction.hash()
    }

    /// Hands a new transaction in at every running node.
    pub async fn submit_new(&self) -> TxHash {
        let ids: Vec<u32> = self.running.keys().copied().collect();
        self.submit(&anchor(), &ids).await
    }

    /// Waits until something holds.
    pub async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        self.within(PATIENCE, what, holds).await;
    }

    pub async fn within(&self, patience: Duration, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            if start.elapsed() > patience {
                let at: Vec<_> = self.running.keys().map(|id| self.height(*id)).collect();
                panic!("not within {patience:?}: {what}; heights {at:?}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until every running node has a transaction in a block.
    pub async fn finality(&self, hash: TxHash) {
        self.until("a transaction is final everywhere", |c| {
            c.running
                .values()
                .all(|r| r.node.ledger.transaction(&hash).unwrap().is_some())
        })
        .await;
    }

    /// Waits until all running nodes have the same last block.
    pub async fn level(&self) {
        self.until("all nodes are at one height", |c| {
            let mut tips = c.running.values().map(|r| r.node.ledger.tip().hash);
            let first = tips.next();
            tips.all(|tip| Some(tip) == first)
        })
        .await;
    }

    /// Every block that two nodes have is the same, with the same roots and a certificate that a
    /// light client verifies.
    pub fn agree(&self) {
        let lowest = self
            .running
            .keys()
            .map(|id| self.height(*id))
            .min()
            .unwrap();
        for height in (1..=lowest.0).map(Height) {
            let mut hash = None;
            for running in self.running.values() {
                let ledger = &running.node.ledger;
                let signed = ledger.signed_header(height).unwrap().unwrap();
                let validators = ledger.validators(height).unwrap().unwrap();
                signed
                    .certificate
                    .verify(&signed.header, &validators)
                    .unwrap();
                assert_eq!(
                    *hash.get_or_insert(signed.header.hash()),
                    signed.header.hash()
                );
            }
        }
        assert!(lowest.0 > 0);
    }
}

/// A transaction like no other.
pub fn anchor() -> Transaction {
    let mut commitment = [0; 32];
    OsRng.fill_bytes(&mut commitment);
    Transaction::AnchorConsent(AnchorConsent {
        commitment,
        use_key: SecretKey::random(&mut OsRng).public(),
        revocation_key: SecretKey::random(&mut OsRng).public(),
        expiry: Day(now().day().0 + 10),
    })
}
