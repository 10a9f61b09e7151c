//! A committed history fixes the state root that a list of blocks must give, and the bytes of
//! everything that is kept. `ZKBUREAU_BLESS=1` writes it anew.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;

use common::council::{admit, proposal};
use common::*;
use serde::{Deserialize, Serialize};
use zkbureau_circuits::directory::Index;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::scorecard::{Bin, Card, Measure, Reference, Span, Variable};
use zkbureau_ledger::block::{VoteKind, sign_vote};
use zkbureau_ledger::ledger::Manifest;
use zkbureau_ledger::transaction::{RegisterCard, ScoreKey, SetPower, SignedVote};
use zkbureau_ledger::{
    Block, Certificate, ChainId, Change, Evidence, Genesis, GovernanceVote, Height, Inquiry,
    Ledger, LightClient, MemoryStore, RegistryKey, RevokeConsent, SignedHeader, ValidatorChange,
};

#[derive(Serialize, Deserialize)]
struct Vector {
    chain_id: String,
    genesis: serde_json::Value,
    /// Root over all trees before the first block.
    genesis_state_root: String,
    blocks: Vec<BlockVector>,
    /// A leaf of the last height and its proof.
    leaf_index: String,
    leaf_proof: String,
    /// The columns of the last height and their proof.
    columns_proof: String,
    roots: String,
    /// Changes of validators.
    changes: Vec<String>,
    /// The snapshot of the last height.
    manifest: String,
    chunks: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct BlockVector {
    block: String,
    header_hash: String,
    state_root: String,
    certificate: String,
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/v1/chain.json")
}

/// The first agency's precommits for two values at height 2.
fn double_vote(chain: &ChainId) -> Evidence {
    let (height, round, key) = (Height(2), 1, validator_key(ONE));
    let votes = [[1; 32], [2; 32]].map(|value| SignedVote {
        value: Some(value),
        signature: sign_vote(chain, height, round, &value, ONE, &key),
    });
    Evidence::new(ONE, key.public(), VoteKind::Precommit, height, round, votes)
}

fn card() -> Card {
    let variable = Variable {
        name: "owed".into(),
        reference: Reference {
            attribute: "balance".into(),
            lag: 3,
            measure: Measure::Level,
            span: Span::Agency(TWO),
        },
        reason: "A1".into(),
        bins: vec![Bin {
            from: -5,
            to: 10,
            points: 3,
            label: "all".into(),
        }],
    };
    Card::new("of the vectors".into(), 10, 500, true, vec![variable]).unwrap()
}

/// Every kind of transaction, late reports, a replaced leaf, two agencies.
fn make() -> Vector {
    let genesis = genesis(2);
    let ledger = Ledger::open(MemoryStore::new(), &genesis).unwrap();
    let chain = *ledger.chain_id();
    let day = today(&ledger);
    let genesis_state_root = hex::encode(ledger.tip().state_root);
    let rows = |months: &str| -> Vec<Row> { (0..5).map(|n| row(n, months, 100, 3)).collect() };
    let (used, revoked) = (anchor(1, day), anchor(2, day));
    let steps = vec![
        vec![
            batch(&chain, ONE, 1, "2024-08", &rows("2024-08")),
            batch(&chain, TWO, 1, "2024-08", &rows("2024-07")[..2]),
        ],
        vec![],
        vec![
            used.into(),
            revoked.into(),
            RevokeConsent::sign(&chain, revoked.id(), &revocation_key(2)).into(),
            Inquiry::sign(&chain, used.id(), [5; 32], &use_key(1)).into(),
            audit(&chain, 1, &[ONE], "2024-08").into(),
            batch(&chain, TWO, 2, "2024-09", &rows("2024-09")),
        ],
        vec![
            batch(&chain, ONE, 2, "2024-09", &rows("2024-09")[..3]),
            batch(&chain, ONE, 3, "2024-10", &rows("2024-07")[1..]),
        ],
        // A third agency gets a seat beside the first, and evidence of a double vote of the first.
        vec![
            GovernanceVote::sign(
                &chain,
                ONE,
                proposal(
                    "A second validator",
                    vec![
                        Change::SetPower(SetPower {
                            agency: ONE,
                            power: 3,
                        }),
                        admit(&chain, 3, 1),
                        Change::SetScoreKey(ScoreKey {
                            hash: Some([7; 32]),
                        }),
                    ],
                ),
                &validator_key(ONE),
            )
            .into(),
            double_vote(&chain).into(),
        ],
        vec![RegisterCard::sign(&chain, ONE, card(), &validator_key(ONE)).into()],
        vec![],
    ];
    let mut blocks = Vec::new();
    for transactions in steps {
        let tip = step(&ledger, &transactions);
        let block = ledger.block(tip.height).unwrap().unwrap();
        let signed = ledger.signed_header(tip.height).unwrap().unwrap();
        blocks.push(BlockVector {
            block: hex::encode(block.to_bytes()),
            header_hash: hex::encode(tip.hash),
            state_root: hex::encode(tip.state_root),
            certificate: hex::encode(signed.certificate.to_bytes()),
        });
    }
    let at = ledger.tip().height;
    let index = Index(index(1));
    let mut chunks = Vec::new();
    let manifest = ledger
        .export_snapshot(at, |chunk| {
            chunks.push(hex::encode(chunk));
            Ok(())
        })
        .unwrap();
    let changes = ledger.validator_changes(Height(0), 10).unwrap();
    Vector {
        changes: changes.iter().map(|c| hex::encode(c.to_bytes())).collect(),
        manifest: hex::encode(manifest.to_bytes()),
        chunks,
        chain_id: chain.to_string(),
        genesis: serde_json::from_str(&genesis.to_json()).unwrap(),
        genesis_state_root,
        blocks,
        leaf_index: hex::encode(index.0),
        leaf_proof: hex::encode(ledger.leaf_proof(at, ONE, &index).unwrap().to_bytes()),
        columns_proof: hex::encode(
            ledger
                .registry_proof(at, &RegistryKey::Columns)
                .unwrap()
                .to_bytes(),
        ),
        roots: hex::encode(ledger.roots(at).unwrap().to_bytes()),
    }
}

fn load() -> Vector {
    if std::env::var_os("ZKBUREAU_BLESS").is_some() {
        std::fs::create_dir_all(path().parent().unwrap()).unwrap();
        let mut json = serde_json::to_string_pretty(&make()).unwrap();
        json.push('\n');
        std::fs::write(path(), json).unwrap();
    }
    serde_json::from_str(&std::fs::read_to_string(path()).unwrap()).unwrap()
}

#[test]
fn the_committed_blocks_give_the_committed_roots() {
    let vector = load();
    let genesis = Genesis::from_json(vector.genesis.to_string().as_bytes()).unwrap();
    assert_eq!(genesis.chain_id().to_string(), vector.chain_id);
    let ledger = Ledger::open(MemoryStore::new(), &genesis).unwrap();
    assert_eq!(
        hex::encode(ledger.tip().state_root),
        vector.genesis_state_root
    );
    let mut client = LightClient::from_genesis(&genesis).unwrap();
    let changes: Vec<_> = vector
        .changes
        .iter()
        .map(|c| ValidatorChange::from_bytes(&hex::decode(c).unwrap()).unwrap())
        .collect();
    for (height, expected) in (1..).zip(&vector.blocks) {
        let block = Block::from_bytes(&hex::decode(&expected.block).unwrap()).unwrap();
        assert_eq!(hex::encode(block.to_bytes()), expected.block);
        assert_eq!(block.header.height, Height(height));
        assert_eq!(hex::encode(block.header.hash()), expected.header_hash);
        let executed = ledger.execute(&block).unwrap();
        assert_eq!(
            hex::encode(executed.roots().state_root()),
            expected.state_root
        );
        let certificate =
            Certificate::from_bytes(&hex::decode(&expected.certificate).unwrap()).unwrap();
        let signed = SignedHeader {
            header: block.header,
            certificate: certificate.clone(),
        };
        client
            .follow(&signed, |_| Ok::<_, String>(changes.clone()))
            .unwrap();
        let tip = ledger.commit(executed, certificate).unwrap();
        assert_eq!(hex::encode(tip.state_root), expected.state_root);
    }
    let at = ledger.tip().height;
    let index: [u8; 32] = hex::decode(&vector.leaf_index).unwrap().try_into().unwrap();
    let leaf = ledger.leaf_proof(at, ONE, &Index(index)).unwrap();
    assert_eq!(hex::encode(leaf.to_bytes()), vector.leaf_proof);
    let columns = ledger.registry_proof(at, &RegistryKey::Columns).unwrap();
    assert_eq!(hex::encode(columns.to_bytes()), vector.columns_proof);
    let roots = ledger.roots(at).unwrap();
    assert_eq!(hex::encode(roots.to_bytes()), vector.roots);
    assert_eq!(ledger.validator_changes(Height(0), 10).unwrap(), changes);
    let mut chunks = Vec::new();
    let manifest = ledger.export_snapshot(at, |chunk| {
        chunks.push(hex::encode(chunk));
        Ok(())
    });
    assert_eq!(hex::encode(manifest.unwrap().to_bytes()), vector.manifest);
    assert_eq!(chunks, vector.chunks);
}

#[test]
fn the_committed_snapshot_gives_the_committed_root() {
    let vector = load();
    let genesis = Genesis::from_json(vector.genesis.to_string().as_bytes()).unwrap();
    let manifest = Manifest::from_bytes(&hex::decode(&vector.manifest).unwrap()).unwrap();
    let ledger = Ledger::import_snapshot(MemoryStore::new(), &genesis, &manifest, |number| {
        Ok(hex::decode(&vector.chunks[number as usize]).unwrap())
    })
    .unwrap();
    let last = vector.blocks.last().unwrap();
    assert_eq!(hex::encode(ledger.tip().state_root), last.state_root);
    assert_eq!(hex::encode(ledger.tip().hash), last.header_hash);
    ledger.check_everything().unwrap();
}

#[test]
fn the_history_still_has_every_kind_of_transaction() {
    let vector = load();
    let mut kinds = std::collections::BTreeSet::new();
    for block in &vector.blocks {
        let block = Block::from_bytes(&hex::decode(&block.block).unwrap()).unwrap();
        kinds.extend(block.transactions.iter().map(|t| t.kind()));
    }
    assert_eq!(kinds.len(), 8);
}
