//! The HTTP API of a real node: what a light client can verify of it, and what it says to requests
//! that make no sense. No bad request changes the state root or a vault.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rand_core::OsRng;
use serde_json::Value;
use support::http::{get, post, raw, request};
use support::{Net, Node, people};
use zkbureau_agency_node::agency::ask_context;
use zkbureau_agency_node::vault::{Vault, VaultKey};
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::block::SignedHeader;
use zkbureau_ledger::document::ask::{ASK_SEAL, AgencyAsk};
use zkbureau_ledger::document::sealed::Sealed;
use zkbureau_ledger::ids::{AnchorId, ChainId, Height, TxHash};
use zkbureau_ledger::keys::SecretKey;
use zkbureau_ledger::light::{LightClient, TrustedRoots};
use zkbureau_ledger::state::{RegistryProof, Roots};
use zkbureau_ledger::transaction::{
    AnchorConsent, Inquiry, PublishBatch, RevokeConsent, Transaction,
};
use zkbureau_ledger::{Genesis, Ledger, RocksStore};

const AGENCY: AgencyId = AgencyId(1);
const TRANSACTIONS: &str = "/v1/transactions";
/// Header fields of whoever posts to its own machine.
const FIELDS: &str =
    "host: localhost\r\nconnection: close\r\ncontent-type: application/octet-stream\r\n";

/// A node with some records, and what tests need to know about it.
struct World {
    net: Net,
    node: Node,
    genesis: Genesis,
    /// The batch on the ledger.
    batch: PublishBatch,
    /// The agency's key, to sign what it never would.
    key: SecretKey,
}

impl World {
    fn new() -> Self {
        let net = Net::new(2);
        let (text, _) = people::file(20, 11);
        let file = net.write("all.csv", &text);
        let node = net.start();
        net.import(1, &file, "2024-03");
        assert!(node.stop().success());
        let json = std::fs::read(net.data().join("genesis.json")).unwrap();
        let genesis = Genesis::from_json(&json).unwrap();
        let batch = last_batch(&net, &genesis);
        let key = agency_key(&net, &genesis);
        let node = net.start();
        Self {
            net,
            node,
            genesis,
            batch,
            key,
        }
    }

    fn chain(&self) -> ChainId {
        self.genesis.chain_id()
    }

    fn get(&self, path: &str) -> support::http::Answer {
        get(&self.node.url, path)
    }

    fn post(&self, path: &str, body: &[u8]) -> support::http::Answer {
        post(&self.node.url, path, body)
    }

    fn latest(&self) -> SignedHeader {
        SignedHeader::from_bytes(&self.get("/v1/headers/latest").body).unwrap()
    }

    /// What must not change: the state root, and what the vaults hold.
    fn state(&self) -> ([u8; 32], Value) {
        let mut vaults = self.net.status()["vaults"].clone();
        for vault in vaults.as_array_mut().unwrap() {
            // Moves with heartbeats.
            vault["last_block"] = Value::Null;
        }
        (self.latest().header.state_root, vaults)
    }

    /// Submits a transaction that must become final.
    fn submit(&self, transaction: impl Into<Transaction>) -> Height {
        let transaction = transaction.into();
        let answer = self.post(TRANSACTIONS, &transaction.to_bytes());
        assert_eq!(answer.status, 202, "{}", answer.json());
        let hash = answer.json()["hash"].as_str().unwrap().to_owned();
        assert_eq!(hash, transaction.hash().to_string());
        let end = self
            .get(&format!("{TRANSACTIONS}/{hash}?wait_ms=10000"))
            .json();
        assert_eq!(end["status"], "final", "{end}");
        Height(end["height"].as_u64().unwrap())
    }

    /// A light client's view of a height, from the genesis file alone.
    fn trusted(&self, height: Height) -> TrustedRoots {
        let client = LightClient::from_genesis(&self.genesis).unwrap();
        let header = self.get(&format!("/v1/headers/{height}")).body;
        let header = SignedHeader::from_bytes(&header).unwrap();
        assert_eq!(header.header.height, height);
        let roots = self.get(&format!("/v1/proofs/{height}/roots")).body;
        client
            .verify_header(&header)
            .unwrap()
            .roots(&Roots::from_bytes(&roots).unwrap())
            .unwrap()
    }

    fn proof(&self, height: Height, what: &str) -> RegistryProof {
        let answer = self.get(&format!("/v1/proofs/{height}/{what}"));
        assert_eq!(answer.status, 200, "{what}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/octet-stream")
        );
        RegistryProof::from_bytes(&answer.body).unwrap()
    }
}

fn last_batch(net: &Net, genesis: &Genesis) -> PublishBatch {
    let store = RocksStore::open(net.data().join("ledger")).unwrap();
    let ledger = Ledger::open(store, genesis).unwrap();
    (1..=ledger.tip().height.0)
        .rev()
        .flat_map(|height| ledger.block(Height(height)).unwrap().unwrap().transactions)
        .find_map(|transaction| match transaction {
            Transaction::PublishBatch(batch) => Some(batch),
            _ => None,
        })
        .unwrap()
}

fn agency_key(net: &Net, genesis: &Genesis) -> SecretKey {
    let key = VaultKey::from_key_file(&net.data().join("vault.key")).unwrap();
    let path = net.data().join("agency-1").join("vault");
    let vault = Vault::open(&path, &key, &genesis.chain_id(), AGENCY).unwrap();
    SecretKey::from_seed(&vault.keys().validator().to_seed())
}

#[test]
fn a_light_client_verifies_what_it_is_given() {
    let world = World::new();
    let file = std::fs::read(world.net.data().join("genesis.json")).unwrap();
    assert_eq!(world.get("/v1/genesis").body, file);

    let height = world.latest().header.height;
    let trusted = world.trusted(height);
    let consortium = trusted
        .consortium(&world.proof(height, "registry/consortium"))
        .unwrap();
    assert_eq!(consortium, world.genesis.consortium());
    let schema = trusted
        .schema(&world.proof(height, "registry/schema"))
        .unwrap();
    assert_eq!(schema, world.genesis.schema);
    let columns = trusted
        .columns(&world.proof(height, "registry/columns"))
        .unwrap();
    assert_eq!(columns.get(AGENCY).unwrap().leaves, 20);
    let nobody = AnchorId([7; 32]);
    let absent = world.proof(height, &format!("anchors/{nobody}"));
    assert!(trusted.anchor(nobody, &absent).unwrap().is_none());

    let status = world.get("/v1/status").json();
    assert_eq!(status["chain_id"], world.chain().to_string());
    assert_eq!(status["agencies"][0]["leaves"], 20);
    assert_eq!(status["agencies"][0]["period"], "2024-03");
    assert_eq!(status["agencies"][1]["leaves"], 0);
    // A batch that is final is not taken twice.
    let hash = Transaction::from(world.batch.clone()).hash();
    let answer = world.post(
        TRANSACTIONS,
        &Transaction::from(world.batch.clone()).to_bytes(),
    );
    assert_eq!(answer.status, 202);
    let standing = world.get(&format!("{TRANSACTIONS}/{hash}")).json();
    assert_eq!(standing["status"], "final");
    assert!(standing["height"].as_u64().unwrap() <= height.0);
    world.node.kill();
}

#[test]
fn the_life_of_an_anchor() {
    let world = World::new();
    let chain = world.chain();
    let (use_key, revocation_key) = (SecretKey::random(&mut OsRng), SecretKey::random(&mut OsRng));
    let today = world.latest().header.time_ms.day();
    let anchor = |n: u8, days: u32| AnchorConsent {
        commitment: [n; 32],
        use_key: use_key.public(),
        revocation_key: revocation_key.public(),
        expiry: zkbureau_ledger::ids::Day(today.0 + days),
    };
    let (first, second) = (anchor(1, 3), anchor(2, 3));
    let at = |id: AnchorId| world.get(&format!("/v1/anchors/{id}")).json();
    assert_eq!(at(first.id())["status"], "unknown");
    let anchored = world.submit(first);
    world.submit(second);
    assert_eq!(at(first.id())["status"], "authorised");
    assert_eq!(at(first.id())["anchored"], anchored.0);

    let height = world.submit(Inquiry::sign(&chain, first.id(), [5; 32], &use_key));
    let consumed = at(first.id());
    assert_eq!(consumed["status"], "consumed");
    assert_eq!(consumed["height"], height.0);
    assert_eq!(consumed["inquiry"], hex::encode([5; 32]));
    let proof = world.proof(height, &format!("anchors/{}", first.id()));
    let state = world.trusted(height).anchor(first.id(), &proof).unwrap();
    assert_eq!(state.unwrap().consumed.unwrap().digest, [5; 32]);

    world.submit(RevokeConsent::sign(&chain, second.id(), &revocation_key));
    assert_eq!(at(second.id())["status"], "revoked");

    let before = world.state();
    let refused = |transaction: Transaction, field: &str, part: &str| {
        let problem = world
            .post(TRANSACTIONS, &transaction.to_bytes())
            .problem(422);
        assert_eq!(problem["field"], field, "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{problem}");
        problem
    };
    let inquiry = |id, key| Inquiry::sign(&chain, id, [6; 32], key).into();
    refused(inquiry(first.id(), &use_key), "anchor", "is consumed");
    refused(inquiry(second.id(), &use_key), "anchor", "is revoked");
    refused(
        inquiry(AnchorId([9; 32]), &use_key),
        "anchor",
        "there is no anchor",
    );
    // The same bytes again are the same transaction, final where it was.
    assert_eq!(world.submit(first), anchored);
    let third = anchor(3, 3);
    world.submit(third);
    let root = world.latest().header.state_root;
    refused(
        inquiry(third.id(), &revocation_key),
        "signature",
        "does not verify",
    );
    let limit = world.genesis.policies.max_anchor_days;
    let problem = refused(anchor(4, 100_000).into(), "expiry", "allowed");
    assert_eq!(problem["limit"], today.0 + limit);
    assert_eq!(world.latest().header.state_root, root);
    assert_eq!(world.state().1, before.1);
    world.node.kill();
}

#[test]
fn invalid_batches_are_named_and_change_nothing() {
    let world = World::new();
    let chain = world.chain();
    let before = world.state();
    let next = world.batch.body.number + 1;
    let resign = |change: &dyn Fn(&mut PublishBatch)| {
        let mut batch = world.batch.clone();
        batch.body.number = next;
        change(&mut batch);
        PublishBatch::sign(&chain, batch.body, batch.argument, &world.key)
    };
    let refused = |batch: PublishBatch, field: &str, limit: Value, part: &str| {
        let bytes = Transaction::from(batch).to_bytes();
        let problem = world.post(TRANSACTIONS, &bytes).problem(422);
        assert_eq!(problem["field"], field, "{problem}");
        assert_eq!(problem["limit"], limit, "{problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(part),
            "{problem}"
        );
    };
    let mut forged = world.batch.clone();
    forged.signature.0[3] ^= 1;
    refused(forged, "signature", Value::Null, "does not verify");
    let other = SecretKey::random(&mut OsRng);
    let stranger = PublishBatch::sign(
        &chain,
        world.batch.body.clone(),
        world.batch.argument.clone(),
        &other,
    );
    refused(stranger, "signature", Value::Null, "does not verify");
    // The argument binds everything that a batch says: here only the number differs.
    refused(resign(&|_| {}), "argument", Value::Null, "range argument");
    refused(
        resign(&|b| b.body.entries[0].holder_tag.0[0] ^= 1),
        "argument",
        Value::Null,
        "range argument",
    );
    refused(
        resign(&|b| b.body.entries.swap(0, 1)),
        "entries[1]",
        Value::Null,
        "not above",
    );
    refused(
        resign(&|b| b.body.entries.clear()),
        "entries",
        world.genesis.policies.max_batch_slots.into(),
        "0 items",
    );
    refused(
        resign(&|b| b.body.agency = AgencyId(77)),
        "agency",
        Value::Null,
        "there is no agency 77",
    );
    refused(
        resign(&|b| b.body.schema = 2),
        "schema",
        1.into(),
        "schema version 2",
    );
    refused(
        resign(&|b| b.body.entries[0].effective_period = b.body.period.next()),
        "entries[0].effective_period",
        "2024-03".into(),
        "about 2024-04",
    );
    refused(
        resign(&|b| b.body.entries[2].flows.0 = [0xff; 32]),
        "entries[2].flows",
        Value::Null,
        "group element",
    );
    assert_eq!(world.state(), before);
    world.net.verify();
    world.node.kill();
}

#[test]
fn bodies_that_cannot_be_read() {
    let world = World::new();
    let before = world.state();
    let good = Transaction::from(world.batch.clone()).to_bytes();

    let empty = world.post(TRANSACTIONS, &[]).problem(400);
    assert_eq!(empty["field"], "body");
    for cut in [1, 2, 40, good.len() / 2, good.len() - 1] {
        let problem = world.post(TRANSACTIONS, &good[..cut]).problem(400);
        assert_eq!(problem["field"], "body", "cut at {cut}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(
        world.post(TRANSACTIONS, &longer).problem(400)["field"],
        "body"
    );
    let mut version = good.clone();
    version[0] = 9;
    let problem = world.post(TRANSACTIONS, &version).problem(400);
    assert!(
        problem["detail"].as_str().unwrap().contains("version 9"),
        "{problem}"
    );

    // Too long: as declared, and as sent without a declaration.
    let limit = Transaction::MAX_BYTES;
    let head = format!(
        "POST {TRANSACTIONS} HTTP/1.1\r\n{FIELDS}content-length: {}\r\n\r\n",
        limit + 1
    );
    let problem = raw(&world.node.url, head.as_bytes(), &[]).problem(413);
    assert_eq!(
        (&problem["field"], &problem["limit"]),
        (&"body".into(), &limit.into())
    );
    let chunk = vec![1; 1 << 20];
    let mut chunks = Vec::new();
    for _ in 0..=limit >> 20 {
        chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunks.extend_from_slice(&chunk);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    let head =
        format!("POST {TRANSACTIONS} HTTP/1.1\r\n{FIELDS}transfer-encoding: chunked\r\n\r\n");
    let problem = raw(&world.node.url, head.as_bytes(), &chunks).problem(413);
    assert_eq!(problem["limit"], limit);
    // A small kind has a small limit, which shows after the body is read.
    let mut inquiry = vec![0; 4_000];
    (inquiry[0], inquiry[1]) = (1, 3);
    assert_eq!(
        world.post(TRANSACTIONS, &inquiry).problem(413)["limit"],
        256
    );

    let json = [("content-type", "application/json")];
    let answer = request(&world.node.url, "POST", TRANSACTIONS, &json, b"{}");
    assert_eq!(answer.problem(415)["field"], "content-type");
    // A body that ends early: the client goes away.
    let address = world.node.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST {TRANSACTIONS} HTTP/1.1\r\n{FIELDS}content-length: 100\r\n\r\nabc"
    )
    .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said);
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 400 "),
        "{said}"
    );

    assert_eq!(world.state(), before);
    world.net.verify();
    world.node.kill();
}

#[test]
fn routes_that_do_not_exist_and_parameters_that_make_no_sense() {
    let world = World::new();
    let problem = world.get("/v2/status").problem(404);
    assert_eq!(problem["field"], "path");
    world.get("/").problem(404);
    let answer = request(&world.node.url, "DELETE", "/v1/status", &[], &[]);
    assert_eq!(answer.problem(405)["field"], "method");
    assert!(
        answer.header("allow").is_some_and(|a| a.contains("GET")),
        "{answer:?}"
    );

    let tip = world.latest().header.height;
    for (path, status, field) in [
        ("/v1/headers/minus-one".to_owned(), 400, "height"),
        ("/v1/headers/%ff".to_owned(), 400, "height"),
        ("/v1/headers/0".to_owned(), 404, "height"),
        (format!("/v1/headers/{}", tip.0 + 1_000), 404, "height"),
        (format!("/v1/proofs/{}/roots", tip.0 + 1_000), 404, "height"),
        ("/v1/proofs/x/roots".to_owned(), 400, "height"),
        (format!("/v1/proofs/{tip}/registry/secrets"), 404, "value"),
        (format!("/v1/proofs/{tip}/anchors/12"), 400, "id"),
        (format!("/v1/proofs/{tip}/audits/zz"), 400, "id"),
        ("/v1/anchors/zz".to_owned(), 400, "id"),
        (format!("{TRANSACTIONS}/zz"), 400, "hash"),
    ] {
        let problem = world.get(&path).problem(status);
        assert_eq!(problem["field"], field, "{path}");
    }
    let unknown = TxHash([3; 32]);
    let path = format!("{TRANSACTIONS}/{unknown}");
    assert_eq!(world.get(&path).json()["status"], "unknown");
    for (query, field) in [
        ("wait_ms=x", "wait_ms"),
        ("wait_ms=-1", "wait_ms"),
        ("wait_ms=30001", "wait_ms"),
        ("wait=1", "wait"),
    ] {
        let problem = world.get(&format!("{path}?{query}")).problem(400);
        assert_eq!(problem["field"], field, "{query}");
    }
    let start = Instant::now();
    world.get(&format!("{path}?wait_ms=300"));
    assert!(start.elapsed() >= Duration::from_millis(300));
    world.node.kill();
}

#[test]
fn asks_that_nobody_may_make() {
    let world = World::new();
    let before = world.state();
    let asks = "/v1/agencies/1/asks";
    assert_eq!(
        world.post("/v1/agencies/7/asks", &[1]).problem(404)["field"],
        "agency"
    );
    assert_eq!(
        world.post("/v1/agencies/x/asks", &[1]).problem(400)["field"],
        "agency"
    );
    for body in [&[][..], &[1], &[1; 100]] {
        let problem = world.post(asks, body).problem(400);
        assert!(problem["field"].is_string(), "{problem}");
    }
    let limit = AgencyAsk::MAX_BYTES + 53;
    let problem = world.post(asks, &vec![1; limit + 1]).problem(413);
    assert_eq!(problem["limit"], limit);

    // Sealed properly, but no ask inside; and sealed to another key.
    let agency = world.genesis.agencies[0].clone();
    let context = ask_context(&world.chain(), AGENCY);
    let seal = |key| {
        Sealed::seal(key, ASK_SEAL, &context, b"not an ask", &mut OsRng)
            .unwrap()
            .to_bytes()
    };
    let problem = world.post(asks, &seal(&agency.sealing_key)).problem(400);
    assert!(problem["field"].is_string(), "{problem}");
    let other = &world.genesis.agencies[1].sealing_key;
    let problem = world.post(asks, &seal(other)).problem(400);
    assert!(problem["field"].is_string(), "{problem}");

    let audits = "/v1/agencies/1/audits";
    assert_eq!(world.post(audits, &[1; 10]).problem(400)["field"], "body");
    assert_eq!(world.post(audits, &[1; 1_000]).problem(413)["limit"], 512);
    assert_eq!(world.state(), before);
    world.node.kill();
}
