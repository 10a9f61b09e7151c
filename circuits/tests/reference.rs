//! The second implementation, `circuits/reference/` in Python 3, agrees with the committed vectors
//! and with published vectors of the primitives (spec: `circuits/spec/README.md`).

use std::path::Path;
use std::process::Command;

/// Runs a program of `circuits/reference/` and requires success.
fn python(program: &str, vectors: &[&str]) {
    run(Path::new("reference").join(program), vectors);
}

fn run(program: impl AsRef<Path>, vectors: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = program.as_ref();
    let mut command = Command::new("python3");
    // -B: no `__pycache__` in the source tree. -E: no settings from the environment, which could
    // turn assertions off.
    command.args(["-B", "-E"]).arg(root.join(program));
    command.args(
        vectors
            .iter()
            .map(|file| root.join("vectors/v1").join(file)),
    );
    let output = command
        .output()
        .expect("this test needs `python3` (3.10 or later, no packages) in the PATH");
    assert!(
        output.status.success(),
        "{} {}\n{}{}",
        program.display(),
        vectors.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

#[test]
fn primitives_match_published_vectors() {
    python("selftest.py", &[]);
}

#[test]
fn every_cheat_is_refused() {
    python("attacks.py", &["range_batch_second_prover.json"]);
}

#[test]
fn simulator_and_extractor_work() {
    python("simulator.py", &[]);
}

#[test]
fn range_batch_vectors() {
    for file in ["range_batch.json", "range_batch_second_prover.json"] {
        python("verify_range_batch.py", &[file]);
    }
}

#[test]
fn commitment_vectors() {
    python("verify_commitment.py", &["commitment.json"]);
}

#[test]
fn scorecard_vectors() {
    python(
        "verify_scorecard.py",
        &[
            "scorecard_test_key.json",
            "scorecard.json",
            "scorecard_bad.json",
        ],
    );
}

#[test]
fn minutes_of_a_key() {
    run(
        "../params/reference/verify_minutes.py",
        &["scorecard_ceremony_key.json"],
    );
}
