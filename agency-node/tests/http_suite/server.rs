//! A served node without a block producer: tests make the blocks.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use libp2p::Multiaddr;
use rand_core::OsRng;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use zkbureau_agency_node::agency::Agency;
use zkbureau_agency_node::http::{Server, Settings};
use zkbureau_agency_node::network::{Limits, Network, NetworkConfig, NetworkKey, Registry};
use zkbureau_agency_node::node::{Gateway, Node, now};
use zkbureau_agency_node::vault::{Vault, VaultKey};
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::block::{Block, Certificate, Header, sign_vote};
use zkbureau_ledger::ids::{Day, TimeMs};
use zkbureau_ledger::keys::SecretKey;
use zkbureau_ledger::transaction::{AnchorConsent, Transaction};
use zkbureau_ledger::{Genesis, Ledger, RocksStore};

use crate::support::Net;
use crate::support::http::{Answer, get, post};

pub const PROPOSER: AgencyId = AgencyId(1);

/// A node that is served until this is dropped.
pub struct Served {
    _net: Arc<Net>,
    runtime: Option<Runtime>,
    pub node: Arc<Node>,
    pub url: String,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
    anchors: AtomicU8,
    network: Option<Network>,
}

impl Served {
    /// With settings; loopback clients are counted like any others.
    pub fn new(mut settings: Settings) -> Self {
        settings.trust_loopback = false;
        Self::with(settings)
    }

    /// With these very settings.
    pub fn with(settings: Settings) -> Self {
        let net = Arc::new(Net::new(2));
        let both = [PROPOSER, AgencyId(2)];
        let node = open(&net, &net.data().join("ledger"), &both);
        let served = Self::serve(net, node, settings);
        served.block(vec![]);
        served
    }

    /// Two nodes of one chain with an agency each, connected to each other.
    pub fn pair() -> [Self; 2] {
        let net = Arc::new(Net::new(2));
        // Free ports: held until both are known, so that they differ.
        let held = [0; 2].map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses: BTreeMap<AgencyId, Multiaddr> = [1, 2]
            .into_iter()
            .zip(&held)
            .map(|(id, held)| {
                let port = held.local_addr().unwrap().port();
                let address = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
                (AgencyId(id), address)
            })
            .collect();
        drop(held);
        [1, 2].map(|id| {
            let id = AgencyId(id);
            let ledger = net.data().join(format!("ledger-of-{}", id.0));
            let node = open(&net, &ledger, &[id]);
            let mut served = Self::serve(net.clone(), node, Settings::default());
            served.join(id, &addresses);
            served
        })
    }

    fn join(&mut self, id: AgencyId, addresses: &BTreeMap<AgencyId, Multiaddr>) {
        let config = NetworkConfig {
            chain: *self.node.ledger.chain_id(),
            key: NetworkKey::from_seed(&self.node.agencies[&id].keys().network().to_seed()),
            listen: addresses[&id].clone(),
            peers: addresses.clone(),
            limits: Limits::default(),
        };
        let registry = Registry::from(&*self.node.ledger.consortium());
        let gateway = Gateway::open(&self.node).unwrap();
        let runtime = self.runtime.as_ref().unwrap();
        let network = runtime
            .block_on(Network::start(config, registry, gateway))
            .unwrap();
        self.node.set_network(Some(network.handle()));
        self.network = Some(network);
    }

    /// Leaves the network.
    pub fn leave(&mut self) {
        let network = self.network.take().unwrap();
        self.node.set_network(None);
        self.runtime.as_ref().unwrap().block_on(network.stop());
    }

    fn serve(net: Arc<Net>, node: Node, settings: Settings) -> Self {
        let node = Arc::new(node);
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if settings.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let server = Server::new(listener, node.clone(), settings).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = runtime.spawn(async move {
            let ended = server.run(async {
                let _ = stopped.await;
            });
            ended.await.unwrap();
        });
        Self {
            _net: net,
            runtime: Some(runtime),
            node,
            url: format!("{scheme}://{address}"),
            stop: Some(stop),
            server: Some(server),
            anchors: AtomicU8::new(0),
            network: None,
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        get(&self.url, path)
    }

    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        post(&self.url, path, body)
    }

    /// `127.0.0.1:41234`.
    pub fn address(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }

    /// Makes a block.
    pub fn block(&self, transactions: Vec<Transaction>) -> Block {
        let ledger = &self.node.ledger;
        let checked = ledger
            .check_stateless(transactions)
            .into_iter()
            .map(|checked| checked.unwrap())
            .collect();
        let time = TimeMs(now().0.max(ledger.tip().time_ms.0 + 1));
        let proposal = ledger.propose(PROPOSER, time, checked).unwrap();
        self.node.put_aside(&proposal.dropped, &proposal.deferred);
        let block = proposal.executed.block().clone();
        let certificate = self.certify(&block.header);
        ledger.commit(proposal.executed, certificate).unwrap();
        self.node.committed(&block);
        block
    }

    /// The certificate of all validators.
    fn certify(&self, header: &Header) -> Certificate {
        let ledger = &self.node.ledger;
        let validators = ledger.validators(header.height).unwrap().unwrap();
        let (chain, value) = (ledger.chain_id(), header.hash());
        let sign = |agency: AgencyId| {
            let key = self.key(agency);
            (
                agency,
                sign_vote(chain, header.height, 0, &value, agency, &key),
            )
        };
        Certificate {
            height: header.height,
            round: 0,
            value,
            signatures: validators
                .validators()
                .iter()
                .map(|v| sign(v.agency))
                .collect(),
        }
    }

    /// The key that an agency signs with.
    pub fn key(&self, agency: AgencyId) -> SecretKey {
        SecretKey::from_seed(&self.node.agencies[&agency].keys().validator().to_seed())
    }

    /// A consent anchor that is not on the ledger.
    pub fn anchor(&self) -> Transaction {
        let today = self.node.ledger.tip().time_ms.day();
        let number = self.anchors.fetch_add(1, Ordering::SeqCst);
        AnchorConsent {
            commitment: [number; 32],
            use_key: SecretKey::random(&mut OsRng).public(),
            revocation_key: SecretKey::random(&mut OsRng).public(),
            expiry: Day(today.0 + 3),
        }
        .into()
    }

    pub fn post_transaction(&self, transaction: &Transaction) -> Answer {
        self.post("/v1/transactions", &transaction.to_bytes())
    }

    /// Stops serving; requests in hand are finished.
    pub fn stop(&mut self) {
        self.node.stop();
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let (runtime, server) = (self.runtime.as_ref().unwrap(), self.server.take());
        if let Some(server) = server {
            runtime
                .block_on(async {
                    tokio::time::timeout(std::time::Duration::from_secs(20), server).await
                })
                .expect("the server ends")
                .unwrap();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.node.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn open(net: &Net, ledger: &Path, own: &[AgencyId]) -> Node {
    let file = std::fs::read(net.data().join("genesis.json")).unwrap();
    let genesis = Genesis::from_json(&file).unwrap();
    let store = RocksStore::open(ledger).unwrap();
    let ledger = Arc::new(Ledger::open(store, &genesis).unwrap());
    let key = VaultKey::from_key_file(&net.data().join("vault.key")).unwrap();
    let mut agencies = BTreeMap::new();
    for id in own {
        let path = net.data().join(format!("agency-{}", id.0)).join("vault");
        let vault = Vault::open(&path, &key, &genesis.chain_id(), *id).unwrap();
        let agency = Agency::open(vault, ledger.clone()).unwrap();
        agencies.insert(agency.id(), Arc::new(agency));
    }
    Node::new(ledger, agencies, PROPOSER, file)
}
