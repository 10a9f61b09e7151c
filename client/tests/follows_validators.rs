//! Nodes that serve made-up chains: validators that change, that were replaced, and that sign twice.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Output};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use support::World;
use zkbureau_circuits::encoding::Document;
use zkbureau_client::chain::Chain;
use zkbureau_client::nodes::{Nodes, NodesError};
use zkbureau_client::time::now;
use zkbureau_ledger::block::{
    Certificate, Header, SignedHeader, Validator, ValidatorSet, sign_vote,
};
use zkbureau_ledger::genesis::Genesis;
use zkbureau_ledger::ids::{AgencyId, Height, TimeMs};
use zkbureau_ledger::keys::SecretKey;
use zkbureau_ledger::light::{ValidatorChange, ValidatorChanges};
use zkbureau_ledger::state::Roots;

const AGENCY: AgencyId = AgencyId(1);

/// A chain whose only validator changes its key after block 5.
struct Scene {
    genesis: Genesis,
    old: SecretKey,
    new: SecretKey,
    /// Of all headers, so that the same ones are made again.
    time: TimeMs,
}

fn only(key: &SecretKey) -> ValidatorSet {
    ValidatorSet::new(vec![Validator {
        agency: AGENCY,
        key: key.public(),
        power: 1,
    }])
}

fn roots(mark: u8) -> Roots {
    Roots {
        registry: [mark; 32],
        agencies: Vec::new(),
    }
}

impl Scene {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let (old, new) = (SecretKey::random(&mut rng), SecretKey::random(&mut rng));
        let mut genesis = World::new(1, 1).genesis;
        genesis.agencies[0].validator_key = old.public();
        Self {
            genesis,
            old,
            new,
            time: TimeMs(now().0 - 1_000),
        }
    }

    fn chain(&self) -> Chain {
        Chain::from_genesis(self.genesis.clone()).unwrap()
    }

    /// A header that `by` signs and that names `next`; `mark` tells it from others.
    fn header(&self, height: u64, by: &SecretKey, next: &SecretKey, mark: u8) -> SignedHeader {
        let header = Header {
            chain_id: self.genesis.chain_id(),
            height: Height(height),
            time_ms: self.time,
            previous: [0; 32],
            proposer: AGENCY,
            transactions_root: [mark; 32],
            state_root: roots(mark).state_root(),
            validators_hash: only(by).hash(),
            next_validators_hash: only(next).hash(),
        };
        let (chain, value) = (header.chain_id, header.hash());
        let signature = sign_vote(&chain, header.height, 0, &value, AGENCY, by);
        SignedHeader {
            header,
            certificate: Certificate {
                height: header.height,
                round: 0,
                value,
                signatures: vec![(AGENCY, signature)],
            },
        }
    }

    fn change(&self) -> ValidatorChange {
        ValidatorChange {
            signed: self.header(5, &self.old, &self.new, 5),
            next: only(&self.new),
        }
    }
}

/// Serves some documents by path; gives the address.
fn serve(paths: BTreeMap<String, Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().and_then(Result::ok).unwrap_or_default();
            // The rest of the head, up to the empty line.
            let _ = lines
                .map_while(Result::ok)
                .take_while(|l| !l.is_empty())
                .count();
            let path = first.split(' ').nth(1).unwrap_or_default();
            let (status, body) = match paths.get(path) {
                Some(body) => (200, body.as_slice()),
                None => (404, &b""[..]),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(body);
        }
    });
    url
}

/// A node with a newest header, the roots under it, and changes of validators announced from 1 on.
fn node(newest: &SignedHeader, mark: u8, changes: Vec<ValidatorChange>) -> String {
    let height = newest.header.height;
    serve(BTreeMap::from([
        ("/v1/headers/latest".into(), newest.to_bytes()),
        (format!("/v1/headers/{height}"), newest.to_bytes()),
        (format!("/v1/proofs/{height}/roots"), roots(mark).to_bytes()),
        (
            "/v1/validators/changes?from=1".into(),
            ValidatorChanges(changes).to_bytes(),
        ),
        (
            "/v1/validators/changes?from=6".into(),
            ValidatorChanges(Vec::new()).to_bytes(),
        ),
    ]))
}

fn zkbureau(scene: &Scene, nodes: &[&String]) -> (Output, serde_json::Value) {
    let folder = tempfile::tempdir().unwrap();
    let genesis = folder.path().join("genesis.json");
    std::fs::write(&genesis, scene.genesis.to_json()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_zkbureau"));
    command.args(["--json", "nodes", "--genesis"]).arg(&genesis);
    for url in nodes {
        command.args(["--node", url.as_str()]);
    }
    let output = command.output().unwrap();
    let json = serde_json::from_slice(&output.stdout).unwrap();
    (output, json)
}

#[test]
fn a_change_of_validators_is_followed_from_genesis_and_kept() {
    let scene = Scene::new();
    let newest = scene.header(7, &scene.new, &scene.new, 7);
    let url = node(&newest, 7, vec![scene.change()]);
    let chain = scene.chain();
    let state = Nodes::new(&[&url]).unwrap().state(&chain).unwrap();
    assert_eq!(state.height(), Height(7));
    assert_eq!(chain.changes(), [scene.change()]);
    assert_eq!(chain.reached(), Height(6));
    // Headers before and after verify, each under the validators of its height.
    let before = scene.header(3, &scene.old, &scene.old, 3);
    chain.verify_header(&before).unwrap();
    let late = scene.header(8, &scene.old, &scene.old, 8);
    assert!(chain.verify_header(&late).is_err());
    // The next session goes on from there, offline.
    let again = scene.chain();
    again.take_up(&chain.learnt()).unwrap();
    again.verify_header(&newest).unwrap();
}

#[test]
fn a_change_that_nobody_announced_is_a_lie() {
    let scene = Scene::new();
    let newest = scene.header(7, &scene.new, &scene.new, 7);
    let unsigned = {
        let mut change = scene.change();
        change.signed.certificate.signatures.clear();
        change
    };
    let by_the_new = ValidatorChange {
        signed: scene.header(5, &scene.new, &scene.new, 5),
        next: only(&scene.new),
    };
    let announcing_others = ValidatorChange {
        signed: scene.header(5, &scene.old, &scene.old, 5),
        next: only(&scene.new),
    };
    for changes in [
        vec![],
        vec![unsigned],
        vec![by_the_new],
        vec![announcing_others],
    ] {
        let url = node(&newest, 7, changes);
        let chain = scene.chain();
        let error = Nodes::new(&[&url]).unwrap().state(&chain).unwrap_err();
        assert!(error.is_invalid(), "{error}");
        assert!(error.to_string().contains(&url), "{error}");
        assert!(chain.changes().is_empty());
    }
}

#[test]
fn replaced_validators_cannot_go_on_with_a_chain_of_their_own() {
    let scene = Scene::new();
    let newest = scene.header(7, &scene.new, &scene.new, 7);
    let honest = node(&newest, 7, vec![scene.change()]);
    let theirs = scene.header(9, &scene.old, &scene.old, 9);
    let replaced = node(&theirs, 9, vec![]);
    let nodes = Nodes::new(&[&replaced, &honest]).unwrap();
    let newest = nodes.newest(&scene.chain()).unwrap();
    assert_eq!(newest.header.height(), Height(7));
    assert_eq!(newest.failures.len(), 1);
    assert_eq!(newest.failures[0].url, replaced);
    assert!(newest.failures[0].error.is_lie());
}

#[test]
fn two_certified_blocks_of_one_height_stop_everything() {
    let scene = Scene::new();
    let one = scene.header(7, &scene.new, &scene.new, 7);
    let other = scene.header(7, &scene.new, &scene.new, 8);
    let (first, second) = (
        node(&one, 7, vec![scene.change()]),
        node(&other, 8, vec![scene.change()]),
    );
    let nodes = Nodes::new(&[&first, &second]).unwrap();
    let error = nodes.newest(&scene.chain()).unwrap_err();
    let NodesError::Fork(fork) = &error else {
        panic!("{error}");
    };
    assert_eq!(fork.height, Height(7));
    // Also when the second is shown in a later answer.
    let chain = scene.chain();
    Nodes::new(&[&first]).unwrap().newest(&chain).unwrap();
    let error = Nodes::new(&[&second]).unwrap().newest(&chain).unwrap_err();
    assert!(matches!(error, NodesError::Fork(_)), "{error}");
    // The command says so, with the code for what is invalid.
    let (output, json) = zkbureau(&scene, &[&first, &second]);
    assert_eq!(output.status.code(), Some(20), "{json}");
    assert_eq!(json["kind"], "zkbureau.nodes/v1");
}

#[test]
fn the_command_names_each_node_with_what_it_proves() {
    let scene = Scene::new();
    let newest = scene.header(7, &scene.new, &scene.new, 7);
    let honest = node(&newest, 7, vec![scene.change()]);
    let mut forged = newest.clone();
    forged.header.height = Height(8);
    let liar = node(&forged, 7, vec![scene.change()]);
    let gone = "http://127.0.0.1:1".to_owned();

    let (output, json) = zkbureau(&scene, &[&liar, &gone, &honest]);
    // One of them lies.
    assert_eq!(output.status.code(), Some(20), "{json}");
    let nodes = json["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3);
    for (node, (url, verified)) in
        (nodes.iter()).zip([(&liar, false), (&gone, false), (&honest, true)])
    {
        assert_eq!(node["url"], **url);
        assert_eq!(node["verified"], verified, "{node}");
    }
    assert!(
        nodes[0]["reason"]
            .as_str()
            .unwrap()
            .contains("does not verify")
    );
    assert!(
        nodes[1]["reason"]
            .as_str()
            .unwrap()
            .contains("cannot be reached")
    );
    assert_eq!(nodes[2]["height"], 7);

    // Nobody is there.
    let (output, json) = zkbureau(&scene, &[&gone]);
    assert_eq!(output.status.code(), Some(30), "{json}");
}
