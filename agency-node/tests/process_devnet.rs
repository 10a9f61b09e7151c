//! Starting and stopping real nodes, and what the commands say to people.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use support::{Net, assert_success, binary, error_line, http, people};
use zkbureau_circuits::scorecard::{Bin, Card, Measure, Reference, Span, Variable};
use zkbureau_ledger::document::armour;

#[test]
fn a_node_starts_publishes_stops_and_starts_again() {
    let net = Net::new(2);
    let (text, expected) = people::file(40, 1);
    let file = net.write("all.csv", &text);
    let node = net.start();
    let result = net.import(1, &file, "2024-03");
    assert_eq!(result["published"]["records"], expected.records);
    assert_eq!(result["leaves"], expected.leaves);
    assert_eq!(result["report"]["reject_count"], 0);

    let again = net.import(1, &file, "2024-03");
    assert_eq!(again["report"]["unchanged"], expected.records);
    assert_eq!(again["published"]["records"].as_u64().unwrap_or(0), 0);

    let before = net.status();
    assert_eq!(before["agencies"][0]["leaves"], expected.leaves);
    assert_eq!(before["agencies"][0]["records"], expected.records);
    assert_eq!(before["agencies"][1]["leaves"], 0);
    net.verify();
    assert!(node.stop().success());
    assert!(!net.data().join("admin.sock").exists());

    // Stopped: the vaults are still checked, everything else says what to do.
    net.verify();
    let line = error_line(&net.run(&["status"]), 2);
    assert!(line.contains("no node is running"), "{line}");

    let node = net.start();
    let after = net.status();
    assert_eq!(after["agencies"], before["agencies"]);
    assert_eq!(after["chain_id"], before["chain_id"]);
    assert!(after["height"].as_u64() >= before["height"].as_u64());
    assert!(node.stop().success());
}

#[test]
fn a_card_is_registered_by_the_operator() {
    let net = Net::new(2);
    let bin = |from, to, points| Bin {
        from,
        to,
        points,
        label: String::new(),
    };
    let variable = Variable {
        name: "owed".into(),
        reference: Reference {
            attribute: "balance".into(),
            lag: 0,
            measure: Measure::Level,
            span: Span::Total,
        },
        reason: String::new(),
        bins: vec![bin(-9, 0, 5), bin(0, 9, 1)],
    };
    let card = Card::new("small".into(), 1, 0, false, vec![variable]).unwrap();
    let file = net.write("card.zkb", &armour::encode(&card));
    let file = file.to_str().unwrap();
    let line = error_line(&net.run(&["register-card", file]), 2);
    assert!(line.contains("no node is running"), "{line}");
    let node = net.start();
    let line = error_line(&net.run(&["register-card", file]), 2);
    assert!(line.contains("several agencies"), "{line}");
    let args = ["register-card", file, "--agency", "2", "--json"];
    let output = net.run(&args);
    assert_success(&output);
    let done: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let hash = hex::encode(card.content_hash());
    assert_eq!((&done["agency"], &done["hash"]), (&2.into(), &hash.into()));
    // It is there, so a second time is refused, by another agency as well.
    let again = ["register-card", file, "--agency", "1"];
    let line = error_line(&net.run(&again), 1);
    assert!(line.contains("registered already"), "{line}");
    let noise = net.write("noise.zkb", "begin zkbureau request v1");
    let noise = noise.to_str().unwrap();
    let line = error_line(&net.run(&["register-card", noise, "--agency", "1"]), 2);
    assert!(line.contains("noise.zkb"), "{line}");
    assert!(node.stop().success());
}

#[test]
fn a_second_node_on_the_same_data_says_who_has_it() {
    let net = Net::new(1);
    let node = net.start();
    let (status, log) = net.start_with(&[], None).err().expect("refused");
    assert_eq!(status.code(), Some(2));
    let line = log.lines().next().unwrap();
    assert!(line.contains(&format!("pid {}", node.pid())), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
    // The first one is none the worse for it.
    assert_eq!(http::get(&node.url, "/v1/status").status, 200);
    net.status();
    assert!(node.stop().success());
}

#[test]
fn header_time_moves_on_without_transactions() {
    let net = Net::new(1);
    let node = net.start_with(&["--heartbeat", "1"], None).unwrap();
    let start = Instant::now();
    loop {
        let status = http::get(&node.url, "/v1/status").json();
        if status["height"].as_u64().unwrap() >= 2 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{status}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(start.elapsed() > Duration::from_millis(900));
    node.kill();
}

#[test]
fn secrets_are_readable_by_their_owner_only() {
    let net = Net::new(1);
    let node = net.start();
    for name in ["", "vault.key", "issuer.key", "auditor.key", "admin.sock"] {
        let mode = fs::metadata(net.data().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
    node.kill();
}

#[test]
fn a_passphrase_instead_of_a_key_file() {
    let net = Net::new(1);
    let data = net.file("other");
    let passphrase = net.write("passphrase", "correct horse battery staple\n");
    let output = binary()
        .args(["devnet", "init", "--agencies", "1", "--data"])
        .arg(&data)
        .arg("--schema")
        .arg(net.file("schema.toml"))
        .arg("--passphrase-file")
        .arg(&passphrase)
        .output()
        .unwrap();
    assert_success(&output);
    assert!(!data.join("vault.key").exists());
    let verify = |extra: &[&std::ffi::OsStr]| {
        binary()
            .args(["vault", "verify", "--data"])
            .arg(&data)
            .args(extra)
            .output()
            .unwrap()
    };
    let with = "--passphrase-file".as_ref();
    assert_success(&verify(&[with, passphrase.as_os_str()]));
    let line = error_line(&verify(&[]), 2);
    assert!(line.contains("--passphrase-file"), "{line}");
    let wrong = net.write("wrong", "correct horse\n");
    let line = error_line(&verify(&[with, wrong.as_os_str()]), 2);
    assert!(
        line.contains("does not open with this passphrase"),
        "{line}"
    );
}

#[test]
fn rejects_name_line_field_and_limit_and_nothing_is_published() {
    let net = Net::new(1);
    let text = format!(
        "{}A1,P1,2024-01,100,0,10\nA2,P2,2024-01,1000001,0,10\nA3,P3,2024-01,5,25,10\nA4,P4,2024-01,x,0,10\nA5,P5,2024-01,1,0,-1\n",
        people::HEADER
    );
    let file = net.write("bad.csv", &text);
    let check = |period: &str| {
        binary()
            .arg("check")
            .arg(&file)
            .arg("--map")
            .arg(net.file("map.toml"))
            .arg("--schema")
            .arg(net.file("schema.toml"))
            .args(["--period", period])
            .output()
            .unwrap()
    };
    let output = check("2024-01");
    assert_eq!(output.status.code(), Some(1));
    let stdout = String::from_utf8(output.stdout).unwrap();
    for part in [
        "line 3, balance: is outside -100000..=1000000",
        "line 4, pay (arrears): is outside 0..=24",
        "line 5, balance: is not an integer",
        "line 6, payment (payments): is outside 0..=1000000",
        "5 rows, 1 record accepted, 4 rows rejected, 4 records withheld",
    ] {
        assert!(stdout.contains(part), "{part:?} is not in:\n{stdout}");
    }
    assert!(!stdout.contains("1000001"), "a value is printed:\n{stdout}");
    let early = check("2023-12");
    assert!(String::from_utf8_lossy(&early.stdout).contains("is after 2023-12"));

    let node = net.start();
    let before = http::get(&node.url, "/v1/headers/latest");
    let output = net
        .import_command(1, &file, "2024-01", &[])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let status = net.status();
    assert_eq!(status["agencies"][0]["leaves"], 0);
    assert_eq!(status["vaults"][0]["subjects"], 0);
    assert_eq!(http::get(&node.url, "/v1/headers/latest").body, before.body);

    let output = net
        .import_command(1, &file, "2024-01", &["--allow-rejects"])
        .output()
        .unwrap();
    assert_success(&output);
    assert_eq!(net.status()["agencies"][0]["leaves"], 1);
    net.verify();
    node.kill();
}

#[test]
fn files_and_arguments_that_make_no_sense_get_one_clear_line() {
    let net = Net::new(1);
    let node = net.start();
    let (text, _) = people::file(3, 7);
    let good = net.write("good.csv", &text);
    let before = net.status()["agencies"].clone();

    // A file that is cut off in the middle of a row.
    let cut = net.write("cut.csv", text[..text.len() - 9].trim_end());
    // A column that nobody knows.
    let column = net.write("column.csv", &text.replace("payment\n", "paymnt\n"));
    // The same row twice.
    let last = text.lines().last().unwrap();
    let twice = net.write("twice.csv", &format!("{text}{last}\n"));
    for (file, part) in [
        (&cut, "cut.csv"),
        (&column, "paymnt"),
        (&twice, "more than once"),
        (&net.file("absent.csv"), "No such file"),
    ] {
        let output = net
            .import_command(1, file, "2024-03", &[])
            .output()
            .unwrap();
        let line = error_line(&output, 2);
        assert!(line.contains(part), "{line}");
    }
    let output = net
        .import_command(9, &good, "2024-03", &[])
        .output()
        .unwrap();
    assert!(error_line(&output, 2).contains("agency 9"));
    let output = net
        .import_command(1, &good, "2024-13", &[])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("YYYY-MM"));
    let status = net.status();
    assert_eq!(status["agencies"], before);
    assert_eq!(status["vaults"][0]["subjects"], 0);

    let init = binary()
        .args(["devnet", "init", "--data"])
        .arg(net.data())
        .arg("--schema")
        .arg(net.file("schema.toml"))
        .output()
        .unwrap();
    assert!(error_line(&init, 2).contains("not empty"));
    let bad_schema = net.write("bad.toml", &people::SCHEMA.replace("max = 24", "max = 0"));
    let init = binary()
        .args(["devnet", "init", "--data"])
        .arg(net.file("never"))
        .arg("--schema")
        .arg(bad_schema)
        .output()
        .unwrap();
    assert!(error_line(&init, 2).contains("arrears"));
    assert!(!net.file("never").exists());
    node.kill();
}
