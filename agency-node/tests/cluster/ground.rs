//! The ground that a drill's hosts stand on.
//!
//! As root every host is a network namespace of its own, joined to the others by a bridge in one
//! more namespace, so that links can be cut one by one. The test's own process has an address on
//! the same bridge. Otherwise all hosts share loopback, and drills that cut links say so and skip.
//!
//! Everything is removed when the ground is dropped. What a killed test left behind is removed by
//! the next one: names are fixed, and only one drill runs at a time.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::cluster::Address;

/// Reserved for tests of networks (RFC 2544): nobody's real network.
const SUBNET: [u8; 3] = [198, 18, 77];
/// The test's own place in the subnet, and its interface.
const SELF: u8 = 254;
const OWN: &str = "zkb-drill";
/// The namespace of the bridge.
const SWITCH: &str = "zkb-drill-switch";
const BRIDGE: &str = "bridge";
/// Frames to this address reach nobody.
const NOWHERE: &str = "02:00:00:00:00:01";

/// Held by the one drill that runs: they are about time, and two on one machine disturb each other.
pub struct Turn(#[allow(dead_code, reason = "unlocked when closed")] File);

impl Turn {
    /// Waits for this user's other drills, of any process.
    pub fn wait() -> Self {
        let user = std::fs::metadata("/proc/self").unwrap().uid();
        let path = std::env::temp_dir().join(format!("zkbureau-drill-{user}.lock"));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .unwrap();
        file.lock().unwrap();
        Self(file)
    }
}

/// The hosts.
pub enum Ground {
    /// All on 127.0.0.1.
    Loopback,
    /// Each in a namespace of its own.
    Namespaces(#[allow(dead_code, reason = "removed when dropped")] Namespaces),
}

impl Ground {
    /// Namespaces when they can be had, else loopback.
    pub fn best(hosts: usize) -> Self {
        Self::namespaces(hosts).unwrap_or(Self::Loopback)
    }

    /// Namespaces, or nothing with a line that says why.
    pub fn namespaces(hosts: usize) -> Option<Self> {
        match Namespaces::new(hosts) {
            Ok(namespaces) => Some(Self::Namespaces(namespaces)),
            Err(why) => {
                eprintln!("no network namespaces here: {why}");
                None
            }
        }
    }

    /// The address of a host, counted from 0.
    pub fn address(&self, host: usize) -> IpAddr {
        match self {
            Self::Loopback => Ipv4Addr::LOCALHOST.into(),
            Self::Namespaces(_) => address(u8::try_from(host).unwrap() + 1).into(),
        }
    }

    /// Where a host's node listens.
    pub fn listen(&self, host: usize) -> Address {
        match self {
            Self::Loopback => Address::free(),
            Self::Namespaces(_) => {
                let ip = self.address(host);
                Address {
                    http: SocketAddr::new(ip, 7600),
                    p2p: SocketAddr::new(ip, 7700),
                }
            }
        }
    }

    /// The same command, run on a host.
    pub fn on(&self, host: usize, command: Command) -> Command {
        match self {
            Self::Loopback => command,
            Self::Namespaces(_) => inside(&name(host), &command),
        }
    }

    /// Cuts the link between two hosts, both ways: what they send to each other disappears, as on
    /// a broken line. Nothing is told to either.
    pub fn cut(&self, a: usize, b: usize) {
        let Self::Namespaces(_) = self else {
            panic!("loopback has no links to cut");
        };
        for (from, to) in [(a, b), (b, a)] {
            let to = self.address(to).to_string();
            in_namespace(
                &name(from),
                &format!("neigh replace {to} lladdr {NOWHERE} dev eth0 nud permanent"),
            );
        }
    }

    /// Mends the link between two hosts.
    pub fn mend(&self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            let to = self.address(to).to_string();
            in_namespace(&name(from), &format!("neigh del {to} dev eth0"));
        }
    }

    /// Cuts every link between two groups.
    pub fn part(&self, left: &[usize], right: &[usize]) {
        for (a, b) in pairs(left, right) {
            self.cut(a, b);
        }
    }

    /// Mends every link between two groups.
    pub fn join(&self, left: &[usize], right: &[usize]) {
        for (a, b) in pairs(left, right) {
            self.mend(a, b);
        }
    }
}

fn pairs(left: &[usize], right: &[usize]) -> Vec<(usize, usize)> {
    left.iter()
        .flat_map(|a| right.iter().map(|b| (*a, *b)))
        .collect()
}

fn name(host: usize) -> String {
    format!("zkb-drill-{}", host + 1)
}

fn address(last: u8) -> Ipv4Addr {
    let [a, b, c] = SUBNET;
    Ipv4Addr::new(a, b, c, last)
}

/// Namespaces of this drill, removed when dropped.
pub struct Namespaces {
    names: Vec<String>,
}

impl Namespaces {
    fn new(hosts: usize) -> Result<Self, String> {
        assert!(hosts < usize::from(SELF));
        if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
            return Err("not root".to_owned());
        }
        let mut made = Self { names: Vec::new() };
        // What a killed drill left behind.
        for name in std::iter::once(SWITCH.to_owned()).chain((0..64).map(name)) {
            if namespace(&name).exists() {
                let _ = ip(&format!("netns del {name}"));
            }
        }
        let _ = quiet_ip(&format!("link del {OWN}"));

        made.add(SWITCH)?;
        ip(&format!("-n {SWITCH} link add {BRIDGE} type bridge"))?;
        ip(&format!("-n {SWITCH} link set {BRIDGE} up"))?;
        for host in 0..hosts {
            let name = name(host);
            made.add(&name)?;
            ip(&format!("-n {name} link set lo up"))?;
            let port = format!("port{host}");
            ip(&format!(
                "link add {port} netns {SWITCH} type veth peer name eth0 netns {name}"
            ))?;
            plug(&port)?;
            let address = address(u8::try_from(host).map_err(|e| e.to_string())? + 1);
            ip(&format!("-n {name} addr add {address}/24 dev eth0"))?;
            ip(&format!("-n {name} link set eth0 up"))?;
        }
        ip(&format!(
            "link add {OWN} type veth peer name own netns {SWITCH}"
        ))?;
        plug("own")?;
        ip(&format!("addr add {}/24 dev {OWN}", address(SELF)))?;
        ip(&format!("link set {OWN} up"))?;
        Ok(made)
    }

    fn add(&mut self, name: &str) -> Result<(), String> {
        ip(&format!("netns add {name}"))?;
        self.names.push(name.to_owned());
        Ok(())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // The bridge's namespace takes its end of every link along, and so the other ends.
        let _ = quiet_ip(&format!("link del {OWN}"));
        for name in &self.names {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

fn plug(port: &str) -> Result<(), String> {
    ip(&format!("-n {SWITCH} link set {port} master {BRIDGE}"))?;
    ip(&format!("-n {SWITCH} link set {port} up"))
}

fn namespace(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

/// The command, started inside of a namespace; `nsenter` becomes the command, so the process id
/// is the command's own.
fn inside(name: &str, command: &Command) -> Command {
    let mut net = OsStr::new("--net=").to_owned();
    net.push(namespace(name));
    let mut inside = Command::new("nsenter");
    inside.arg(net).arg("--").arg(command.get_program());
    inside.args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => inside.env(key, value),
            None => inside.env_remove(key),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        inside.current_dir(dir);
    }
    inside.stdin(Stdio::null());
    inside
}

fn in_namespace(name: &str, arguments: &str) {
    ip(&format!("-n {name} {arguments}")).unwrap();
}

fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("ip: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("ip {arguments}: {}", said.trim()))
}

/// For removals of what may not be there.
fn quiet_ip(arguments: &str) -> Result<(), String> {
    ip(arguments)
}
