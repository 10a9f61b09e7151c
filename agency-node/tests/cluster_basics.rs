//! Several agencies found a consortium and run it, each with its own process.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use support::cluster::{Address, Cluster, init, run};
use support::http;
use support::{assert_success, binary, error_line, people};
use zkbureau_circuits::encoding::Document;
use zkbureau_ledger::block::SignedHeader;

/// What takes a while on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// One consortium at a time: each keeps every core busy.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Agencies that are not combined yet.
fn agencies(dir: &Path, count: usize) {
    let addresses: Vec<Address> = (0..count).map(|_| Address::free()).collect();
    fs::write(dir.join("schema.toml"), people::SCHEMA).unwrap();
    for node in 0..count {
        init(dir, &addresses, node, None);
    }
}

fn genesis(dir: &Path, out: &str, parts: &[&Path], extra: &[&str]) -> std::process::Output {
    binary()
        .args(["genesis", "--name", "three", "--schema"])
        .arg(dir.join("schema.toml"))
        .arg("--out")
        .arg(dir.join(out))
        .args(extra)
        .args(parts)
        .output()
        .unwrap()
}

#[test]
fn everybody_makes_the_same_genesis_file_from_the_same_parts() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    agencies(dir, 3);
    let part = |n: u32| dir.join(format!("agency-{n}/agency-part.json"));
    let (one, two, three) = (part(1), part(2), part(3));
    assert_success(&genesis(
        dir,
        "a.json",
        &[&one, &two, &three],
        &["--power", "3=2"],
    ));
    assert_success(&genesis(
        dir,
        "b.json",
        &[&three, &one, &two],
        &["--power", "3=2"],
    ));
    let bytes = fs::read(dir.join("a.json")).unwrap();
    assert_eq!(bytes, fs::read(dir.join("b.json")).unwrap());
    let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(value["agencies"].as_array().unwrap().len(), 3);
    assert_eq!(value["validators"][2]["power"], 2);

    // Secrets are the owner's only; what is given away holds none.
    for name in ["agency-1", "agency-1/vault.key"] {
        let mode = fs::metadata(dir.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
    let key = fs::read_to_string(dir.join("agency-1/vault.key")).unwrap();
    for public in [
        dir.join("a.json"),
        one.clone(),
        dir.join("agency-1/agency.toml"),
    ] {
        assert!(!fs::read_to_string(&public).unwrap().contains(key.trim()));
    }
}

#[test]
fn parts_that_are_wrong_are_named_with_their_field() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    agencies(dir, 3);
    let part = |n: u32| dir.join(format!("agency-{n}/agency-part.json"));
    let (one, two, three) = (part(1), part(2), part(3));
    let refused = |parts: &[&Path], extra: &[&str]| {
        let line = error_line(&genesis(dir, "never.json", parts, extra), 2);
        assert!(!dir.join("never.json").exists());
        line
    };
    let change = |from: &Path, name: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let mut value = serde_json::from_slice(&fs::read(from).unwrap()).unwrap();
        change(&mut value);
        let path = dir.join(name);
        fs::write(&path, value.to_string()).unwrap();
        path
    };

    let line = refused(&[&one, &two, &one], &[]);
    assert!(line.contains("agency.id: the same as in"), "{line}");
    let stolen: serde_json::Value = serde_json::from_slice(&fs::read(&two).unwrap()).unwrap();
    let stolen = stolen["agency"]["validator_key"].clone();
    let bad = change(&three, "stolen.json", &|v| {
        v["agency"]["validator_key"] = stolen.clone();
    });
    let line = refused(&[&one, &bad], &[]);
    assert!(line.contains("stolen.json: possession"), "{line}");
    let bad = change(&three, "renamed.json", &|v| {
        v["agency"]["name"] = "X".into()
    });
    let line = refused(&[&one, &bad], &[]);
    assert!(line.contains("renamed.json: possession"), "{line}");
    let bad = change(&three, "field.json", &|v| v["pass"] = "X".into());
    let line = refused(&[&one, &bad], &[]);
    assert!(
        line.contains("field.json") && line.contains("pass"),
        "{line}"
    );
    let line = refused(&[&one, &two], &["--power", "7=1"]);
    assert!(line.contains("no part is of agency 7"), "{line}");
    let policies = dir.join("policies.toml");
    fs::write(&policies, "answer_block = 5\n").unwrap();
    let line = refused(&[&one, &two], &["--policies", policies.to_str().unwrap()]);
    assert!(line.contains("did you mean \"answer_blocks\""), "{line}");
    let line = refused(&[&one, &dir.join("absent.json")], &[]);
    assert!(line.contains("absent.json"), "{line}");
}

#[test]
fn a_configuration_that_is_wrong_is_told_in_one_line() {
    let cluster = Cluster::new(1);
    let file = cluster.members[0].home.join("agency.toml");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replace("listen = \"127", "lisen = \"127")).unwrap();
    let line = error_line(&cluster.run(0, &["start"]), 2);
    assert!(
        line.contains(
            "agency.toml: line 11: http.lisen: there is no such key (did you mean \"listen\"?)"
        ),
        "{line}"
    );
    let line = error_line(&cluster.run(0, &["status"]), 2);
    assert!(line.contains("http.lisen"), "{line}");
    fs::write(&file, good.replace("vault.key", "other.key")).unwrap();
    let line = error_line(&cluster.run(0, &["start"]), 2);
    assert!(
        line.contains("vault.secret") && line.contains("other.key"),
        "{line}"
    );
    fs::write(&file, good).unwrap();
    let line = error_line(&cluster.run(0, &["status"]), 2);
    assert!(line.contains("no node is running"), "{line}");
}

/// Every node has these records of every agency.
fn everybody_has(cluster: &Cluster, records: &[u64]) -> bool {
    (0..cluster.members.len()).all(|node| {
        let status = cluster.status(node);
        records
            .iter()
            .enumerate()
            .all(|(agency, records)| status["agencies"][agency]["records"] == *records)
    })
}

#[test]
fn four_agencies_agree_and_one_that_was_killed_catches_up() {
    let _turn = turn();
    let mut cluster = Cluster::new(4);
    cluster.start_all();
    let mut expected = Vec::new();
    for node in 0..4 {
        let (text, people) = people::file(30, node as u64);
        let file = cluster.write(&format!("{node}.csv"), &text);
        let dry = cluster.json(
            node,
            &[
                "import",
                file.to_str().unwrap(),
                "--map",
                cluster.file("map.toml").to_str().unwrap(),
                "--period",
                "2024-03",
                "--dry-run",
                "--json",
            ],
        );
        assert_eq!(dry["report"]["records"], people.records, "{dry}");
        assert!(dry["published"].is_null(), "{dry}");
        let result = cluster.import(node, &file, "2024-03");
        assert_eq!(result["published"]["records"], people.records);
        assert_eq!(result["agency"], node + 1);
        expected.push(people.records);
    }
    cluster.wait("everybody has everything", LONG, |c| {
        everybody_has(c, &expected)
    });

    // Three go on; the fourth catches up.
    cluster.kill(3);
    let file = strangers(&cluster, "late");
    cluster.import(0, &file, "2024-04");
    expected[0] += 5;
    cluster.start(3);
    cluster.wait("everybody has everything", LONG, |c| {
        everybody_has(c, &expected)
    });
    cluster.wait("all are ready", LONG, |c| {
        (0..4).all(|node| http::get(&c.url(node), "/readyz").status == 200)
    });
    let last = (0..4).map(|node| cluster.height(node)).min().unwrap();
    for height in 1..=last {
        let path = format!("/v1/headers/{height}");
        let header = |node| SignedHeader::from_bytes(&http::get(&cluster.url(node), &path).body);
        let first = header(0).unwrap().header;
        for node in 1..4 {
            assert_eq!(header(node).unwrap().header, first, "node {node}");
        }
    }
    for (node, records) in expected.iter().enumerate() {
        let checked = cluster.json(node, &["vault", "verify", "--json"]);
        assert_eq!(checked["vaults"][0]["entries"], *records);
    }
    cluster.stop_all();
}

/// Votes at nodes for a proposal that was opened.
fn vote(cluster: &Cluster, proposal: &serde_json::Value, nodes: &[usize]) -> serde_json::Value {
    let id = proposal["proposal"].as_str().unwrap();
    let mut last = proposal.clone();
    for node in nodes {
        let node = *node;
        cluster.wait("the proposal is known", LONG, |c| {
            let list = c.json(node, &["governance", "list", "--json"]);
            let open = list["open"].as_array().unwrap();
            open.iter().any(|open| open["proposal"] == id)
        });
        last = cluster.json(node, &["governance", "vote", &id[..16], "--json"]);
    }
    last
}

/// A file of people whom nobody else reports.
fn strangers(cluster: &Cluster, name: &str) -> PathBuf {
    let rows: String = (0..5)
        .map(|i| format!("{name}-{i},{name}-{i},2024-03,1,0,1\n"))
        .collect();
    cluster.write(&format!("{name}.csv"), &(people::HEADER.to_owned() + &rows))
}

/// Publishes until the chain has a height.
fn grow(cluster: &Cluster, height: u64) {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    while cluster.height(0) < height {
        let name = format!("G{}", NAMES.fetch_add(1, Ordering::Relaxed));
        let file = strangers(cluster, &name);
        cluster.import(0, &file, "2024-03");
    }
}

#[test]
fn an_agency_is_admitted_joins_from_a_snapshot_gets_new_keys_and_is_removed() {
    let _turn = turn();
    let mut cluster = Cluster::with_room(4, 5);
    cluster.start_all();
    grow(&cluster, 70);
    let part = cluster.add(4);
    let part = part.to_str().unwrap();

    let proposal = cluster.json(
        0,
        &[
            "governance",
            "propose",
            "--title",
            "admit the fifth",
            "--admit",
            part,
            "--power",
            "5=1",
            "--json",
        ],
    );
    assert!(proposal["adopted"].is_null(), "{proposal}");
    assert_eq!(proposal["power"], 1);
    assert_eq!(proposal["of"], 4);
    let adopted = vote(&cluster, &proposal, &[1, 2]);
    assert!(adopted["adopted"].is_u64(), "{adopted}");

    cluster.start(4);
    cluster.wait("the fifth has caught up", LONG, |c| {
        http::get(&c.url(4), "/readyz").status == 200 && c.height(4) >= 70
    });
    assert_eq!(
        http::get(&cluster.url(4), "/v1/headers/1").status,
        404,
        "it has no old blocks"
    );
    let (text, people) = people::file(20, 5);
    let file = cluster.write("fifth.csv", &text);
    let result = cluster.import(4, &file, "2024-03");
    assert_eq!(result["published"]["records"], people.records);
    cluster.wait("the others have its records", LONG, |c| {
        c.status(0)["agencies"][4]["records"] == people.records
    });

    // Four of five are needed now, so with one gone the fifth must sign.
    cluster.kill(3);
    let rotated = cluster.json(
        4,
        &[
            "keys",
            "rotate",
            "--key",
            "validator",
            "--key",
            "network",
            "--key",
            "sealing",
            "--json",
        ],
    );
    let adopted = vote(&cluster, &rotated, &[0, 1, 2]);
    assert!(adopted["adopted"].is_u64(), "{adopted}");
    cluster.wait("the fifth uses its new keys", LONG, |c| {
        c.json(4, &["keys", "show", "--json"])["standing"] == "as on the ledger"
            && http::get(&c.url(4), "/readyz").status == 200
    });
    grow(&cluster, cluster.height(0) + 6);
    cluster.start(3);

    let removal = cluster.json(
        0,
        &[
            "governance",
            "propose",
            "--title",
            "goodbye",
            "--remove",
            "5",
            "--json",
        ],
    );
    let adopted = vote(&cluster, &removal, &[1, 2, 3]);
    assert!(adopted["adopted"].is_u64(), "{adopted}");
    cluster.wait("the fifth is alone", LONG, |c| {
        http::get(&c.url(4), "/readyz").status != 200
    });
    let before = cluster.height(4);
    grow(&cluster, cluster.height(0) + 3);
    assert!(cluster.height(4) <= before + 1, "it learns no more");
    cluster.stop_all();
}

#[test]
fn a_vault_and_a_ledger_come_back_from_their_copies() {
    let _turn = turn();
    let mut cluster = Cluster::new(4);
    cluster.start_all();
    let (text, people) = people::file(40, 3);
    let file = cluster.write("all.csv", &text);
    cluster.import(0, &file, "2024-03");
    let (backup, snapshot) = (cluster.file("backup"), cluster.file("snapshot"));
    let told = cluster.json(
        0,
        &[
            "vault",
            "backup",
            "--json",
            "--out",
            backup.to_str().unwrap(),
        ],
    );
    assert_eq!(told["entries"], people.records);
    let told = cluster.json(
        0,
        &["snapshot", "--json", "--out", snapshot.to_str().unwrap()],
    );
    assert!(told["chunks"].as_u64().unwrap() > 0);
    assert!(cluster.stop(0).success());

    // The disk is gone, but for configuration, keys and the engine's log.
    let home = cluster.members[0].home.clone();
    fs::remove_dir_all(home.join("agency-1/vault")).unwrap();
    fs::remove_dir_all(home.join("ledger")).unwrap();
    let line = error_line(
        &cluster.run(
            0,
            &["vault", "restore", cluster.file("none").to_str().unwrap()],
        ),
        2,
    );
    assert!(line.contains("none"), "{line}");
    let told = cluster.json(0, &["vault", "restore", "--json", backup.to_str().unwrap()]);
    assert_eq!(told["entries"], people.records);
    cluster.spawn(0, &["--snapshot", snapshot.to_str().unwrap()]);
    cluster.wait_serving(0);
    cluster.wait("it is ready again", LONG, |c| {
        http::get(&c.url(0), "/readyz").status == 200
    });
    let checked = cluster.json(0, &["vault", "verify", "--json"]);
    assert_eq!(checked["vaults"][0]["entries"], people.records);
    let file = strangers(&cluster, "more");
    cluster.import(0, &file, "2024-03");
    cluster.json(0, &["vault", "verify", "--json"]);
    cluster.stop_all();
}

#[test]
fn a_node_that_does_not_run_takes_its_passphrase_from_elsewhere() {
    let _turn = turn();
    let mut cluster = Cluster::new(1);
    let passphrase = cluster.write("passphrase", "correct horse battery staple\n");
    let passphrase = passphrase.to_str().unwrap();
    // As a service whose credential is there only while it runs.
    let member = &cluster.members[0];
    let (home, address) = (member.home.clone(), member.address);
    fs::remove_dir_all(&home).unwrap();
    let mut command = binary();
    command
        .args(["init", "--agency", "1", "--name", "Agency 1", "--http"])
        .arg(address.http.to_string())
        .args(["--p2p", &address.multiaddr()])
        .args(["--passphrase-file", passphrase, "--data"])
        .arg(&home);
    run(&mut command);
    let part = home.join("agency-part.json");
    let out = home.join("genesis.json");
    let out = out.to_str().unwrap();
    let schema = cluster.file("schema.toml");
    let founded = genesis(schema.parent().unwrap(), out, &[&part], &[]);
    assert_success(&founded);
    let config = home.join("agency.toml");
    let text = fs::read_to_string(&config).unwrap();
    let changed = text.replace(passphrase, "/run/credentials/none/passphrase");
    assert_ne!(text, changed);
    fs::write(&config, changed).unwrap();

    let (backup, proposal) = (cluster.file("backup"), cluster.file("proposal.json"));
    let (backup, proposal) = (backup.to_str().unwrap(), proposal.to_str().unwrap());
    let commands: [&[&str]; 4] = [
        &["keys", "show"],
        &["keys", "rotate", "--key", "validator", "--out", proposal],
        &["vault", "backup", "--out", backup],
        &["vault", "verify"],
    ];
    for command in commands {
        let line = error_line(&cluster.run(0, command), 2);
        assert!(line.contains("vault.secret: /run/credentials"), "{line}");
        let given = [command, &["--passphrase-file", passphrase]].concat();
        assert_success(&cluster.run(0, &given));
    }
    fs::remove_dir_all(home.join("agency-1/vault")).unwrap();
    let restore = ["vault", "restore", backup];
    error_line(&cluster.run(0, &restore), 2);
    let given = [&restore[..], &["--passphrase-file", passphrase]].concat();
    assert_success(&cluster.run(0, &given));
    cluster.spawn(0, &["--passphrase-file", passphrase]);
    cluster.wait_serving(0);
    cluster.stop_all();
}
