//! Real nodes for tests: the binary, temporary directories, small files of invented people.
#![allow(dead_code, reason = "every test file uses another part")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

pub mod clients;
pub mod cluster;
pub mod http;
pub mod people;
pub mod proxy;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A node must be ready within this time.
const READY: Duration = Duration::from_secs(60);
/// A node must be gone within this time after it was told to stop or to die.
const GONE: Duration = Duration::from_secs(60);

/// A network's data directory and the files beside it.
pub struct Net {
    dir: TempDir,
}

/// A running node.
pub struct Node {
    child: Child,
    /// Such as `http://127.0.0.1:41234`.
    pub url: String,
}

pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agency-node"));
    command.env_remove("ZKBUREAU_FAILPOINT");
    command.env("ZKBUREAU_LOG", "warn");
    command.stdin(Stdio::null());
    command
}

impl Net {
    /// A new network for the invented people.
    pub fn new(agencies: u32) -> Self {
        Self::with(agencies, people::SCHEMA, people::MAP)
    }

    /// A new network with its own schema and mapping, and a verifying key for scores in force.
    pub fn with_score_key(agencies: u32, schema: &str, map: &str, hash: &str) -> Self {
        Self::make(agencies, schema, map, &["--score-key", hash])
    }

    /// A new network with its own schema and mapping.
    pub fn with(agencies: u32, schema: &str, map: &str) -> Self {
        Self::make(agencies, schema, map, &[])
    }

    fn make(agencies: u32, schema: &str, map: &str, more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("schema.toml"), schema).unwrap();
        fs::write(dir.path().join("map.toml"), map).unwrap();
        let net = Self { dir };
        let output = binary()
            .args(["devnet", "init", "--data"])
            .arg(net.data())
            .arg("--schema")
            .arg(net.file("schema.toml"))
            .args(["--agencies", &agencies.to_string()])
            .args(more)
            .output()
            .unwrap();
        assert_success(&output);
        net
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.file("net")
    }

    /// A file beside the data directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file beside the data directory.
    pub fn write(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, contents).unwrap();
        path
    }

    /// Starts the node.
    pub fn start(&self) -> Node {
        self.start_with(&[], None).expect("the node starts")
    }

    /// Starts the node with a failpoint armed. It may die before it is ready.
    pub fn start_failing(&self, failpoint: &str) -> Result<Node, (ExitStatus, String)> {
        self.start_with(&[], Some(failpoint))
    }

    /// Starts the node; if it ends before it is ready, gives its status and what it said.
    pub fn start_with(
        &self,
        args: &[&str],
        failpoint: Option<&str>,
    ) -> Result<Node, (ExitStatus, String)> {
        let mut command = binary();
        command
            .args(["devnet", "start", "--listen", "127.0.0.1:0", "--data"])
            .arg(self.data())
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(failpoint) = failpoint {
            command.env("ZKBUREAU_FAILPOINT", failpoint);
        }
        let mut child = command.spawn().unwrap();
        let (send, receive) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        // Its log must be read, or the node would stop at a full pipe.
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            eprint!("{text}");
            text
        });
        match receive.recv_timeout(READY) {
            Ok(line) => {
                let url = line.split_whitespace().find(|w| w.starts_with("http://"));
                let url = url.expect("the ready line has the address").to_owned();
                Ok(Node { child, url })
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let status = wait(&mut child);
                Err((status, log.join().unwrap()))
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                child.kill().unwrap();
                panic!("the node is not ready after {READY:?}");
            }
        }
    }

    /// Arguments of an import.
    pub fn import_command(
        &self,
        agency: u32,
        file: &Path,
        period: &str,
        extra: &[&str],
    ) -> Command {
        let mut command = binary();
        command
            .arg("import")
            .arg(file)
            .arg("--data")
            .arg(self.data())
            .args(["--agency", &agency.to_string()])
            .arg("--map")
            .arg(self.file("map.toml"))
            .args(["--period", period, "--json"])
            .args(extra);
        command
    }

    /// Imports a file; it must succeed. Gives the summary.
    pub fn import(&self, agency: u32, file: &Path, period: &str) -> Value {
        let output = self
            .import_command(agency, file, period, &[])
            .output()
            .unwrap();
        assert_success(&output);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// `status --json`.
    pub fn status(&self) -> Value {
        let output = self.run(&["status", "--json"]);
        assert_success(&output);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// `vault verify --json`; it must say that everything is as on the ledger.
    pub fn verify(&self) -> Value {
        let output = self.run(&["vault", "verify", "--json"]);
        assert_success(&output);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs a command on the data directory.
    pub fn run(&self, args: &[&str]) -> Output {
        binary()
            .args(args)
            .arg("--data")
            .arg(self.data())
            .output()
            .unwrap()
    }

    /// The newest write-ahead log of a RocksDB directory.
    pub fn write_ahead_log(&self, database: &str) -> PathBuf {
        let number = |path: &Path| -> Option<u64> {
            (path.extension()? == "log").then(|| path.file_stem()?.to_str()?.parse().ok())?
        };
        fs::read_dir(self.data().join(database))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| number(path).is_some())
            .max_by_key(|path| number(path))
            .expect("a database has a log")
    }

    /// Cuts bytes off the end of the newest write-ahead log. Says how many there were to cut.
    pub fn cut_log(&self, database: &str, bytes: u64) -> u64 {
        let path = self.write_ahead_log(database);
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(bytes)).unwrap();
        length.min(bytes)
    }
}

impl Node {
    /// Kills the process without warning.
    pub fn kill(mut self) {
        // It may have died by itself.
        let _ = self.child.kill();
        wait(&mut self.child);
    }

    /// Tells the process to stop and waits for its end.
    pub fn stop(mut self) -> ExitStatus {
        signal("TERM", self.child.id());
        wait(&mut self.child)
    }

    /// Waits until the process dies of an armed failpoint.
    pub fn wait_abort(mut self) {
        let status = wait(&mut self.child);
        const SIGABRT: i32 = 6;
        assert_eq!(status.signal(), Some(SIGABRT), "{status}");
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Left behind by a failed test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn signal(name: &str, pid: u32) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

pub fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(start.elapsed() < GONE, "the process does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[track_caller]
pub fn assert_success(output: &Output) {
    assert!(
        output.status.success(),
        "{}\nstdout: {}\nstderr: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The error line of a command that failed with this code.
#[track_caller]
pub fn error_line(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "stderr: {stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 1, "one line, not: {stderr}");
    lines[0].to_owned()
}
