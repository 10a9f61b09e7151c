//! A consortium of real processes on loopback: one agency, one data directory and one process each.
//! Node `i` runs agency `i + 1`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::{assert_success, binary, http, people, signal, wait};

/// A node must serve within this time, on a machine that is busy with something else.
const READY: Duration = Duration::from_secs(60);

/// Where one node listens.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// Its HTTP API.
    pub http: SocketAddr,
    /// The other nodes.
    pub p2p: SocketAddr,
}

impl Address {
    /// Free ports on loopback. Somebody else may take them before the node does.
    pub fn free() -> Self {
        let sockets = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let [http, p2p] = sockets.map(|socket| socket.local_addr().unwrap());
        Self { http, p2p }
    }

    /// The address for other nodes as a multiaddress.
    pub fn multiaddr(&self) -> String {
        format!("/ip4/{}/tcp/{}", self.p2p.ip(), self.p2p.port())
    }
}

/// Makes agencies of the first `nodes` addresses and their genesis file under `dir`: data directories `agency-1`,
/// `agency-2`, …, each with all other addresses as peers; `issuer.key`, `auditor.key`, `schema.toml`, `map.toml`, `genesis.json` beside them.
pub fn found(
    dir: &Path,
    addresses: &[Address],
    nodes: usize,
    schema: &str,
    map: &str,
) -> Vec<PathBuf> {
    fs::write(dir.join("schema.toml"), schema).unwrap();
    fs::write(dir.join("map.toml"), map).unwrap();
    for (id, name) in [("issuer", "identity office"), ("auditor", "regulator")] {
        let key = dir.join(format!("{id}.key"));
        let mut command = binary();
        command.args(["keys", "new", "--id", "1", "--name", name, "--out"]);
        run(command.arg(key));
    }
    let homes: Vec<PathBuf> = (0..nodes)
        .map(|node| init(dir, addresses, node, None))
        .collect();
    let mut command = binary();
    command
        .args(["genesis", "--name", "test consortium", "--out"])
        .arg(dir.join("genesis.json"))
        .arg("--schema")
        .arg(dir.join("schema.toml"))
        .arg("--issuer")
        .arg(dir.join("issuer.json"))
        .arg("--auditor")
        .arg(dir.join("auditor.json"));
    for home in &homes {
        command.arg(home.join("agency-part.json"));
    }
    run(&mut command);
    for home in &homes {
        fs::copy(dir.join("genesis.json"), home.join("genesis.json")).unwrap();
    }
    homes
}

/// Makes one agency, of `addresses[node]`; for an existing consortium with its genesis file.
pub fn init(dir: &Path, addresses: &[Address], node: usize, genesis: Option<&Path>) -> PathBuf {
    let home = dir.join(format!("agency-{}", node + 1));
    let mut command = binary();
    command
        .args(["init", "--agency", &(node + 1).to_string()])
        .args(["--name", &format!("Agency {}", node + 1)])
        .args(["--http", &addresses[node].http.to_string()])
        .args(["--p2p", &addresses[node].multiaddr()])
        .arg("--data")
        .arg(&home);
    for (other, address) in addresses.iter().enumerate().filter(|(i, _)| *i != node) {
        let peer = format!("{}={}", other + 1, address.multiaddr());
        command.args(["--peer", &peer]);
    }
    if !addresses[node].http.ip().is_loopback() {
        command.arg("--insecure-http");
    }
    if let Some(genesis) = genesis {
        command.arg("--genesis").arg(genesis);
    }
    run(&mut command);
    home
}

/// Runs a command that must succeed.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert_success(&output);
    output
}

/// A running process and its data directory.
pub struct Member {
    /// Its data directory.
    pub home: PathBuf,
    /// Where it listens.
    pub address: Address,
    child: Option<Child>,
}

/// The consortium. Dropped, it is gone with all its processes.
pub struct Cluster {
    /// The agencies' nodes.
    pub members: Vec<Member>,
    addresses: Vec<Address>,
    dir: TempDir,
}

impl Cluster {
    /// Founds a consortium for the invented people. Nothing runs yet.
    pub fn new(nodes: usize) -> Self {
        Self::with_room(nodes, nodes)
    }

    /// Founds a consortium of `nodes` whose members know the addresses of `room` of them: the rest may be
    /// admitted later.
    pub fn with_room(nodes: usize, room: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let addresses: Vec<Address> = (0..room).map(|_| Address::free()).collect();
        let homes = found(dir.path(), &addresses, nodes, people::SCHEMA, people::MAP);
        let members = homes
            .into_iter()
            .zip(&addresses)
            .map(|(home, address)| Member {
                home,
                address: *address,
                child: None,
            })
            .collect();
        Self {
            members,
            addresses,
            dir,
        }
    }

    /// Makes an agency that is to be admitted, at an address that the others know. Gives its public part.
    pub fn add(&mut self, node: usize) -> PathBuf {
        assert_eq!(node, self.members.len());
        let genesis = self.file("genesis.json");
        let home = init(self.dir.path(), &self.addresses, node, Some(&genesis));
        let part = home.join("agency-part.json");
        self.members.push(Member {
            home,
            address: self.addresses[node],
            child: None,
        });
        part
    }

    /// A file beside the data directories.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file beside the data directories.
    pub fn write(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, contents).unwrap();
        path
    }

    /// The address of a node's API.
    pub fn url(&self, node: usize) -> String {
        format!("http://{}", self.members[node].address.http)
    }

    /// Starts all nodes and waits until each serves.
    pub fn start_all(&mut self) {
        for node in 0..self.members.len() {
            self.spawn(node, &[]);
        }
        for node in 0..self.members.len() {
            self.wait_serving(node);
        }
    }

    /// Starts a node and waits until it serves.
    pub fn start(&mut self, node: usize) {
        self.spawn(node, &[]);
        self.wait_serving(node);
    }

    /// Starts a node. What it logs is in `log` of its data directory.
    pub fn spawn(&mut self, node: usize, args: &[&str]) {
        let member = &mut self.members[node];
        assert!(member.child.is_none(), "node {node} runs already");
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(member.home.join("log"))
            .unwrap();
        let child = binary()
            .env(
                "ZKBUREAU_LOG",
                std::env::var("CLUSTER_LOG").unwrap_or("info,arc_malachitebft=warn".into()),
            )
            .args(["start", "--data"])
            .arg(&member.home)
            .args(args)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        member.child = Some(child);
    }

    /// Waits until a node answers.
    #[track_caller]
    pub fn wait_serving(&mut self, node: usize) {
        let start = Instant::now();
        let member = &mut self.members[node];
        let child = member.child.as_mut().expect("a running node");
        while !answers(member.address.http) {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("node {node} ended: {status}\n{}", self.log(node));
            }
            assert!(start.elapsed() < READY, "{}", self.log(node));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The end of what a node has logged.
    pub fn log(&self, node: usize) -> String {
        let file = fs::File::open(self.members[node].home.join("log")).unwrap();
        let lines: Vec<String> = BufReader::new(file).lines().map_while(Result::ok).collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Kills a node without warning.
    pub fn kill(&mut self, node: usize) {
        let mut child = self.members[node].child.take().expect("a running node");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Tells a node to stop and waits for its end.
    pub fn stop(&mut self, node: usize) -> ExitStatus {
        let mut child = self.members[node].child.take().expect("a running node");
        signal("TERM", child.id());
        wait(&mut child)
    }

    /// Tells all nodes to stop; each must end well.
    #[track_caller]
    pub fn stop_all(&mut self) {
        let running: Vec<usize> = (0..self.members.len())
            .filter(|node| self.members[*node].child.is_some())
            .collect();
        for node in &running {
            let child = self.members[*node].child.as_ref().expect("a running node");
            signal("TERM", child.id());
        }
        for node in running {
            let mut child = self.members[node].child.take().expect("a running node");
            let status = wait(&mut child);
            assert!(
                status.success(),
                "node {node}: {status}\n{}",
                self.log(node)
            );
        }
    }

    /// Runs a command on a node's data directory.
    pub fn run(&self, node: usize, args: &[&str]) -> Output {
        binary()
            .args(args)
            .arg("--data")
            .arg(&self.members[node].home)
            .output()
            .unwrap()
    }

    /// Runs a command that must succeed and prints JSON.
    #[track_caller]
    pub fn json(&self, node: usize, args: &[&str]) -> Value {
        let output = self.run(node, args);
        assert_success(&output);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Arguments of an import through a node.
    pub fn import_command(
        &self,
        node: usize,
        file: &Path,
        period: &str,
        extra: &[&str],
    ) -> Command {
        let mut command = binary();
        command
            .arg("import")
            .arg(file)
            .arg("--data")
            .arg(&self.members[node].home)
            .arg("--map")
            .arg(self.file("map.toml"))
            .args(["--period", period, "--json"])
            .args(extra);
        command
    }

    /// Imports a file through a node; it must succeed. Gives the summary.
    #[track_caller]
    pub fn import(&self, node: usize, file: &Path, period: &str) -> Value {
        let output = run(&mut self.import_command(node, file, period, &[]));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// `/v1/status` of a node.
    pub fn status(&self, node: usize) -> Value {
        http::get(&self.url(node), "/v1/status").json()
    }

    /// The height of a node.
    pub fn height(&self, node: usize) -> u64 {
        self.status(node)["height"].as_u64().unwrap()
    }

    /// Waits until something holds.
    #[track_caller]
    pub fn wait(&self, what: &str, limit: Duration, holds: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            if start.elapsed() > limit {
                let logs: Vec<String> = (0..self.members.len())
                    .map(|node| format!("node {node}:\n{}", self.log(node)))
                    .collect();
                panic!("not within {limit:?}: {what}\n{}", logs.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Whether an API says that its process lives.
fn answers(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(READY))?;
        write!(
            stream,
            "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(&head == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            if let Some(mut child) = member.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}
