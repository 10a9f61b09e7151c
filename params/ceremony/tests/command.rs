//! The command `params` on files: what it refuses before it spends time, what it never overwrites, and
//! a contribution that is interrupted. A whole ceremony is `params/ceremony.sh`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn params(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_params"));
    command.current_dir(folder).args(args).stdin(Stdio::null());
    command
}

fn run(folder: &Path, args: &[&str]) -> Output {
    params(folder, args).output().expect("runs")
}

/// Exit code, and the last line of standard error.
fn refusal(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = run(folder, args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = text.lines().last().unwrap_or_default().to_owned();
    (output.status.code(), last)
}

#[test]
fn a_contribution_on_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let done = run(folder, &["new", "--title", "trial", "start"]);
    assert!(done.status.success());
    let start = fs::read(folder.join("start")).expect("written");
    assert_eq!(
        refusal(folder, &["new", "--title", "trial", "start"]),
        (Some(2), "error: start exists; it is not overwritten".into())
    );

    // Refused at once.
    for (args, code, says) in [
        (["start", "start", "A"], 2, "start exists"),
        (["none", "next", "A"], 2, "reading none"),
        (["start", "next", " A"], 2, "is no name"),
        (["start", "next", ""], 2, "is no name"),
    ] {
        let [input, output, name] = args;
        let (got, last) = refusal(folder, &["contribute", input, output, "--name", name]);
        assert!(got == Some(code) && last.contains(says), "{got:?} {last}");
    }

    // Interrupted while it multiplies: nothing is lost, and nothing half is there.
    let args = ["contribute", "start", "next", "--name", "Agency A"];
    let mut child = params(folder, &args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    std::thread::sleep(Duration::from_millis(100));
    assert!(
        child.try_wait().expect("asked").is_none(),
        "too fast to interrupt"
    );
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert!(!folder.join("next").exists());
    assert_eq!(fs::read(folder.join("start")).expect("there"), start);
    // What an interrupted write leaves is in nobody's way.
    fs::write(folder.join("next.part"), b"half").expect("written");

    fs::write(folder.join("dice"), b"4 1 6 6 2").expect("written");
    let with_dice = [&args[..], &["--entropy-file", "dice"]].concat();
    let done = run(folder, &with_dice);
    assert!(done.status.success());
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let hash = (said
        .lines()
        .find_map(|l| l.strip_prefix("publish this hash: ")))
    .expect("a hash");
    assert_eq!(hash.len(), 64);
    assert!(!folder.join("next.part").exists());
    assert_eq!(fs::read(folder.join("start")).expect("there"), start);

    let found = run(folder, &["verify", "next", "--so-far", "--contains", hash]);
    assert!(found.status.success());
    let said = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(said.contains(hash) && said.contains("Agency A"), "{said}");
    let other = "ab".repeat(32);
    for (args, code, says) in [
        (
            vec!["verify", "next"],
            20,
            "phase 2: has not begun".to_owned(),
        ),
        (
            vec!["verify", "next", "--so-far", "--contains", &other],
            20,
            format!("transcript: no contribution has the hash {other}"),
        ),
        (
            vec!["verify", "next", "--so-far", "--contains", "abc"],
            2,
            "is not a hash".into(),
        ),
        (
            vec!["contribute", "next", "third", "--name", "AGENCY A"],
            20,
            "phase 1, contribution 2 (\"AGENCY A\"): contributed to this phase before, as \
             contribution 1"
                .into(),
        ),
        (
            vec!["specialise", "next", "third"],
            20,
            "phase 1: 1 contributions; at least 2 are needed".into(),
        ),
        (
            vec!["finish", "next", "third"],
            20,
            "phase 2: has not begun".into(),
        ),
    ] {
        let (got, last) = refusal(folder, &args);
        assert!(got == Some(code) && last.contains(&says), "{got:?} {last}");
    }
    // Refused commands write nothing.
    assert!(!folder.join("third").exists() && !folder.join("third.part").exists());
}
