//! Several agencies found a consortium and run it, each with its own process.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use support::cluster::{Address, Cluster, init, run};
use support::http;
use support::{assert_success, binary, error_line, people};
use zkbureau_circuits::encoding::Document;
use zkbureau_ledger::block::SignedHeader;

/// What takes a while on a busy machine.
const LONG: Duration = Duration::from_secs(120);

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
    let (text, people) = people::file(20, 9);
    let file = cluster.write("more.csv", &text);
    let mut import = cluster.import_command(0, &file, "2024-04", &["--correct"]);
    let result: serde_json::Value =
        serde_json::from_slice(&run(&mut import).stdout).expect("a summary");
    expected[0] += result["published"]["records"].as_u64().unwrap();
    assert!(people.records > 0);
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
    for node in 0..4 {
        let checked = cluster.json(node, &["vault", "verify", "--json"]);
        assert_eq!(checked["vaults"][0]["entries"], expected[node]);
    }
    cluster.stop_all();
}
