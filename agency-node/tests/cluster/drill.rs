//! A consortium of real processes that a drill disturbs: one per agency, each with its own data
//! directory, addresses and log file. Node 0 is agency 1, and so on.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use serde_json::Value;
use tempfile::TempDir;
use zkbureau_agency_node::vault::{Vault, VaultKey};
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::Genesis;
use zkbureau_ledger::block::SignedHeader;
use zkbureau_ledger::ids::ChainId;

use crate::files;
use crate::ground::{Ground, Turn};
use crate::support::cluster::{Address, found};
use crate::support::{assert_success, binary, people};

/// What should happen at once, on a machine that is busy with something else.
pub const SOON: Duration = Duration::from_secs(30);
/// What takes a while.
pub const LONG: Duration = Duration::from_secs(90);
/// People in the small files that only make blocks.
const FEW: u64 = 20;
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// The consortium. Dropped, it is gone with all its processes and namespaces.
pub struct Drill {
    hosts: Vec<Host>,
    /// Where the hosts stand.
    pub ground: Ground,
    dir: TempDir,
    /// The month of the next small file.
    next_month: AtomicU64,
    /// Tells background work to give up.
    over: Arc<AtomicBool>,
    _turn: Turn,
}

/// One agency's node.
struct Host {
    child: Option<Child>,
    home: PathBuf,
    address: Address,
}

/// An import that is repeated until it succeeds.
pub struct Repeated {
    thread: JoinHandle<()>,
}

impl Repeated {
    /// Waits for the success.
    pub fn finish(self, limit: Duration) {
        let start = Instant::now();
        while !self.thread.is_finished() {
            assert!(start.elapsed() < limit, "an import does not end");
            std::thread::sleep(PAUSE);
        }
        self.thread.join().unwrap();
    }
}

impl Drill {
    /// Starts nodes on the best ground there is, and waits until all are ready.
    pub fn start(nodes: usize) -> Self {
        let turn = Turn::wait();
        Self::start_with(
            turn,
            Ground::best(nodes),
            nodes,
            people::SCHEMA,
            people::MAP,
        )
    }

    /// Starts nodes on loopback, where clients are neither counted nor asked who they are.
    pub fn start_on_loopback(nodes: usize) -> Self {
        let turn = Turn::wait();
        Self::start_with(turn, Ground::Loopback, nodes, people::SCHEMA, people::MAP)
    }

    /// Starts nodes in namespaces, or says why not.
    pub fn start_in_namespaces(nodes: usize) -> Option<Self> {
        let turn = Turn::wait();
        let ground = Ground::namespaces(nodes)?;
        Some(Self::start_with(
            turn,
            ground,
            nodes,
            people::SCHEMA,
            people::MAP,
        ))
    }

    /// Makes a consortium as its operators would, starts it, and waits until all are ready.
    pub fn start_with(turn: Turn, ground: Ground, nodes: usize, schema: &str, map: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let addresses: Vec<Address> = (0..nodes).map(|node| ground.listen(node)).collect();
        let hosts = found(dir.path(), &addresses, nodes, schema, map)
            .into_iter()
            .zip(addresses)
            .map(|(home, address)| {
                unlimited(&home.join("agency.toml"));
                Host {
                    child: None,
                    home,
                    address,
                }
            })
            .collect();
        let mut drill = Self {
            hosts,
            ground,
            dir,
            next_month: AtomicU64::new(0),
            over: Arc::default(),
            _turn: turn,
        };
        for node in 0..nodes {
            drill.spawn(node);
        }
        for node in 0..nodes {
            drill.wait_ready(node, LONG);
        }
        drill
    }

    fn spawn(&mut self, node: usize) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log(node))
            .unwrap();
        let mut command = binary();
        let level = std::env::var("CLUSTER_LOG").unwrap_or("info,arc_malachitebft=warn".into());
        command.env("ZKBUREAU_LOG", level);
        command.args(["start", "--data"]).arg(self.home(node));
        let mut command = self.ground.on(node, tied(command));
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.hosts[node].child = Some(command.spawn().unwrap());
    }

    fn log(&self, node: usize) -> PathBuf {
        self.file(&format!("agency-{}.log", node + 1))
    }

    /// What a node has logged so far.
    pub fn read_log(&self, node: usize) -> String {
        std::fs::read_to_string(self.log(node)).unwrap()
    }

    /// Where the other nodes reach a node.
    pub fn p2p(&self, node: usize) -> Multiaddr {
        self.hosts[node].address.multiaddr().parse().unwrap()
    }

    /// The identity of a node that does not run.
    pub fn network_key(&self, node: usize) -> Keypair {
        let (home, agency) = (self.home(node), AgencyId(node as u32 + 1));
        assert!(self.hosts[node].child.is_none());
        let key = VaultKey::from_key_file(&home.join("vault.key")).unwrap();
        let path = home.join(format!("agency-{}", agency.0)).join("vault");
        let vault = Vault::open(&path, &key, &self.chain(), agency).unwrap();
        let mut seed = vault.keys().network().to_seed();
        Keypair::ed25519_from_bytes(&mut seed[..]).unwrap()
    }

    /// The chain.
    pub fn chain(&self) -> ChainId {
        let genesis = std::fs::read(self.file("genesis.json")).unwrap();
        Genesis::from_json(&genesis).unwrap().chain_id()
    }

    /// The number of a month that nobody has published yet.
    pub fn take_month(&self) -> u64 {
        self.next_month.fetch_add(1, Ordering::SeqCst)
    }

    /// Resident memory of a node's process, in MiB.
    pub fn resident_mib(&self, node: usize) -> u64 {
        let child = self.hosts[node].child.as_ref().expect("a running node");
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib / 1024
    }

    /// Processor time that a node's process has used.
    #[allow(dead_code, reason = "for the bench")]
    pub fn cpu_seconds(&self, node: usize) -> f64 {
        /// Of the kernel's reports, the same on every Linux.
        const TICKS_PER_SECOND: f64 = 100.0;
        let child = self.hosts[node].child.as_ref().expect("a running node");
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        // After the name, which ends with the last bracket: state is the first field.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks: Vec<f64> = fields
            .split(' ')
            .skip(11)
            .take(2)
            .map(|field| field.parse().unwrap())
            .collect();
        ticks.iter().sum::<f64>() / TICKS_PER_SECOND
    }

    /// The figures without labels of a node's `/metrics`.
    #[allow(dead_code, reason = "for the bench")]
    pub fn metrics(&self, node: usize) -> BTreeMap<String, f64> {
        let (_, text) = self.get(node, "/metrics").expect("an answer");
        let text = String::from_utf8(text).unwrap();
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect()
    }

    /// The address of a node's API.
    pub fn url(&self, node: usize) -> String {
        format!("http://{}", self.hosts[node].address.http)
    }

    /// A node's data directory.
    pub fn home(&self, node: usize) -> &Path {
        &self.hosts[node].home
    }

    /// A file of the drill.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file of the drill.
    pub fn write(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    /// Kills a node without warning.
    pub fn kill(&mut self, node: usize) {
        let mut child = self.hosts[node].child.take().expect("a running node");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts a node that was killed, and does not wait for it.
    pub fn restart(&mut self, node: usize) {
        assert!(self.hosts[node].child.is_none());
        self.spawn(node);
    }

    /// Tells all nodes to stop; each must end well.
    pub fn stop(mut self) {
        self.over.store(true, Ordering::SeqCst);
        for host in &self.hosts {
            if let Some(child) = &host.child {
                crate::support::signal("TERM", child.id());
            }
        }
        for (node, host) in self.hosts.iter_mut().enumerate() {
            if let Some(mut child) = host.child.take() {
                let start = Instant::now();
                let status = loop {
                    if let Some(status) = child.try_wait().unwrap() {
                        break status;
                    }
                    if start.elapsed() > SOON {
                        host.child = Some(child);
                        panic!("node {node} does not stop");
                    }
                    std::thread::sleep(PAUSE);
                };
                assert!(status.success(), "node {node}: {status}");
            }
        }
    }

    // Looking.

    /// Waits until something holds.
    #[track_caller]
    pub fn wait(&self, what: &str, limit: Duration, holds: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
            std::thread::sleep(PAUSE);
        }
    }

    /// What a node answers, if it does: status and body.
    pub fn get(&self, node: usize, path: &str) -> Option<(u16, Vec<u8>)> {
        get(self.hosts[node].address.http, path)
    }

    /// `/v1/status` of a node, if it answers.
    pub fn status(&self, node: usize) -> Option<Value> {
        let (200, body) = self.get(node, "/v1/status")? else {
            return None;
        };
        serde_json::from_slice(&body).ok()
    }

    /// A node's height, if it answers.
    pub fn try_height(&self, node: usize) -> Option<u64> {
        self.status(node)?["height"].as_u64()
    }

    /// The height of a node that runs.
    #[track_caller]
    pub fn height(&self, node: usize) -> u64 {
        let start = Instant::now();
        loop {
            if let Some(height) = self.try_height(node) {
                return height;
            }
            assert!(start.elapsed() < SOON, "node {node} does not answer");
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until a node has a height.
    #[track_caller]
    pub fn reaches(&self, node: usize, height: u64, limit: Duration) {
        let what = format!("node {node} reaches height {height}");
        self.wait(&what, limit, |drill| {
            drill.try_height(node).is_some_and(|at| at >= height)
        });
    }

    /// Whether a node has a connection to another, as its operator sees it.
    pub fn connected(&self, node: usize, other: usize) -> bool {
        let mut command = binary();
        command
            .args(["status", "--json", "--data"])
            .arg(self.home(node));
        let output = command.output().unwrap();
        assert_success(&output);
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        let peers = status["peers"].as_array().expect("peers");
        let name = AgencyId(other as u32 + 1).to_string();
        let peer = peers
            .iter()
            .find(|peer| peer["name"] == name)
            .expect("a peer");
        peer["connected"] == true
    }

    /// Whether a node says that it is ready.
    pub fn is_ready(&self, node: usize) -> Option<bool> {
        self.get(node, "/readyz").map(|(status, _)| status == 200)
    }

    /// Waits until a node is ready.
    #[track_caller]
    pub fn wait_ready(&self, node: usize, limit: Duration) {
        let what = format!("node {node} is ready");
        self.wait(&what, limit, |drill| drill.is_ready(node) == Some(true));
    }

    /// Waits until a node says that it is not ready.
    #[track_caller]
    pub fn wait_not_ready(&self, node: usize, limit: Duration) {
        let what = format!("node {node} notices that it is behind or alone");
        self.wait(&what, limit, |drill| drill.is_ready(node) == Some(false));
    }

    /// One figure of an agency as a node sees it.
    fn figure(&self, node: usize, agency: usize, field: &str) -> Option<u64> {
        let status = self.status(node)?;
        let agencies = status["agencies"].as_array()?;
        let agency = agencies.iter().find(|a| a["id"] == agency as u64 + 1)?;
        agency[field].as_u64()
    }

    /// Final batches of an agency, as a node sees them.
    pub fn batches(&self, node: usize, agency: usize) -> u64 {
        self.figure(node, agency, "batches").unwrap_or(0)
    }

    /// Final records of all agencies, as a node sees them.
    pub fn records(&self, node: usize) -> u64 {
        let all = 0..self.hosts.len();
        all.filter_map(|agency| self.figure(node, agency, "records"))
            .sum()
    }

    /// The header at a height, if the node has it.
    pub fn header(&self, node: usize, height: u64) -> Option<SignedHeader> {
        let (200, body) = self.get(node, &format!("/v1/headers/{height}"))? else {
            return None;
        };
        Some(SignedHeader::from_bytes(&body).unwrap())
    }

    /// Compares the headers, and so the state roots, of all nodes at all heights that all have.
    /// Says how many heights these are.
    #[track_caller]
    pub fn agree(&self) -> u64 {
        let nodes: Vec<usize> = (0..self.hosts.len())
            .filter(|node| self.hosts[*node].child.is_some())
            .collect();
        self.agree_from(&nodes, 1)
    }

    /// Compares the headers of these nodes from a height on.
    #[track_caller]
    pub fn agree_from(&self, nodes: &[usize], first: u64) -> u64 {
        let last = nodes.iter().map(|node| self.height(*node)).min().unwrap();
        assert!(last >= first);
        for height in first..=last {
            let headers: Vec<_> = nodes
                .iter()
                .map(|node| self.header(*node, height).expect("a header").header)
                .collect();
            for header in &headers {
                assert_eq!(header.hash(), headers[0].hash(), "height {height}");
                assert_eq!(header.state_root, headers[0].state_root);
            }
        }
        last - first + 1
    }

    // Publishing.

    /// Imports a file at a node; it must succeed. Gives the summary.
    #[track_caller]
    pub fn import(&self, node: usize, file: &Path, period: &str) -> Value {
        import(self.import_command(node, file, period)).unwrap()
    }

    /// Imports a file on a thread.
    pub fn import_in_background(
        &self,
        node: usize,
        file: &Path,
        period: &str,
    ) -> JoinHandle<Result<Value, String>> {
        let command = self.import_command(node, file, period);
        std::thread::spawn(move || import(command))
    }

    /// Imports a file on a thread, again and again until it succeeds.
    pub fn import_until_done(&self, node: usize, file: &Path, period: &str) -> Repeated {
        let again = self.import_command(node, file, period);
        let over = self.over.clone();
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::SeqCst) {
                let mut command = binary();
                command.args(again.get_args());
                match import(command) {
                    Ok(_) => return,
                    Err(_) => std::thread::sleep(Duration::from_millis(300)),
                }
            }
        });
        Repeated { thread }
    }

    /// Publishes one more month of a few people; it must become final.
    #[track_caller]
    pub fn publish_something(&self, node: usize) {
        self.publish_in_background(node).join().unwrap().unwrap();
    }

    /// Publishes one more month of a few people on a thread.
    pub fn publish_in_background(&self, node: usize) -> JoinHandle<Result<Value, String>> {
        let month = self.take_month();
        let text = files::one_month(FEW, month, month);
        let path = self.write(&format!("month-{month}.csv"), &text);
        self.import_in_background(node, &path, &files::month(month))
    }

    fn import_command(&self, node: usize, file: &Path, period: &str) -> Command {
        let mut command = binary();
        command
            .arg("import")
            .arg(file)
            .arg("--data")
            .arg(self.home(node))
            .arg("--map")
            .arg(self.file("map.toml"))
            .args(["--period", period, "--json"]);
        command
    }

    /// Whether every node and the agency's own vault have exactly the records of a file, and
    /// importing it again finds nothing to do.
    #[track_caller]
    pub fn holds_exactly(&self, agency: usize, file: &files::File, path: &Path) {
        let expected = &file.expected;
        for node in 0..self.hosts.len() {
            let what = format!("node {node} has the records of agency {}", agency + 1);
            self.wait(&what, SOON, |drill| {
                drill.figure(node, agency, "records") == Some(expected.records)
            });
            assert_eq!(self.figure(node, agency, "leaves"), Some(expected.leaves));
        }
        let again = self.import(agency, path, &file.last);
        assert_eq!(again["report"]["unchanged"], expected.records, "{again}");
        assert_eq!(again["published"]["records"].as_u64().unwrap_or(0), 0);
        let output = binary()
            .args(["vault", "verify", "--json", "--data"])
            .arg(self.home(agency))
            .output()
            .unwrap();
        assert_success(&output);
        let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(checked["vaults"][0]["entries"], expected.records);
        assert_eq!(checked["vaults"][0]["differences"], 0);
    }

    /// Records that become final per second while `publishing` is going on.
    pub fn throughput(&self, node: usize, seconds: u64) -> f64 {
        let (before, start) = (self.records(node), Instant::now());
        std::thread::sleep(Duration::from_secs(seconds));
        let done = self.records(node) - before;
        done as f64 / start.elapsed().as_secs_f64()
    }
}

impl Drop for Drill {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        for (node, host) in self.hosts.iter_mut().enumerate() {
            if let Some(mut child) = host.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
            if std::thread::panicking() {
                let log = host.home.with_extension("log");
                let log = std::fs::read_to_string(log).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let tail = lines.len().saturating_sub(40);
                eprintln!("--- end of node {node}'s log\n{}", lines[tail..].join("\n"));
            }
        }
    }
}

/// The same command, which dies with this process, should that be killed before it can clean up.
fn tied(command: Command) -> Command {
    const TOOL: &str = "setpriv";
    if Command::new(TOOL).arg("--version").output().is_err() {
        return command;
    }
    let mut tied = Command::new(TOOL);
    tied.args(["--pdeathsig", "KILL", "--"]);
    tied.arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => tied.env(key, value),
            None => tied.env_remove(key),
        };
    }
    tied.stdin(Stdio::null());
    tied
}

/// Lifts the limits that one client of a drill would meet in place of many.
fn unlimited(config: &Path) {
    let text = std::fs::read_to_string(config).unwrap();
    let changed = text.replacen("[http]\n", "[http]\nconnections_per_address = 512\n", 1);
    assert_ne!(text, changed);
    let quota = "{ per_second = 100000, burst = 1000000 }";
    let quotas = format!("\n[http.quota]\naddress = {quota}\nanchors = {quota}\n");
    std::fs::write(config, changed + &quotas).unwrap();
}

/// Runs an import. Its error is what the command said.
fn import(mut command: Command) -> Result<Value, String> {
    let output = command.output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap())
}

/// A GET request to a node that may be dead. Status and body.
fn get(address: SocketAddr, path: &str) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let split = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..split]).ok()?;
    let status = head.lines().next()?.split(' ').nth(1)?.parse().ok()?;
    Some((status, bytes[split + 4..].to_vec()))
}
