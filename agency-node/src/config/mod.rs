//! `agency.toml`: how one agency's node is run.
//!
//! ```toml
//! agency = 1
//! name = "First Agency"
//! data = "."                        # beside this file, unless absolute
//!
//! [vault]
//! secret = { file = "vault.key" }   # or { env = "NAME" }; never the secret itself
//! kind = "key"                      # or "passphrase"
//!
//! [http]
//! listen = "127.0.0.1:7600"
//! tls = { certificate = "cert.pem", key = "key.pem" }
//! operator_keys = ["…"]             # who may read what operators see (spec/http.md)
//! quota.anchors = { per_second = 2, burst = 60 }
//!
//! [p2p]
//! listen = "/ip4/0.0.0.0/tcp/7700"
//! [p2p.peers]                       # agency = where it is reached
//! 2 = "/ip4/192.0.2.2/tcp/7700"
//! ```
//!
//! What the ledger says (keys, validators, limits of blocks) is not repeated here: a node that was configured
//! differently would be wrong. An unknown key fails with the name that was probably meant.

mod http;
mod part;
mod read;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libp2p::Multiaddr;
use thiserror::Error;
use zeroize::Zeroizing;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::genesis::{MAX_AGENCY_ID, MAX_NAME};

pub use part::{AgencyPart, MAX_PART, NO_CHAIN, PartError};
pub use read::{ConfigError, Mistake};

use self::read::{Section, parse};
use crate::http::Settings;
use crate::node::Limits;
use crate::vault::VaultKey;

/// Name of the file in a data directory.
pub const FILE: &str = "agency.toml";
/// Longest configuration file.
pub const MAX_FILE: usize = 256 << 10;
/// Longest secret read from a file or the environment.
const MAX_SECRET: u64 = 4096;

/// How one agency's node is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The agency.
    pub agency: AgencyId,
    /// Its name, for people.
    pub name: String,
    /// Where ledger, vault and socket are.
    pub data: PathBuf,
    /// What opens the vault.
    pub vault: VaultSecret,
    /// The HTTP API.
    pub http: Http,
    /// The network of nodes.
    pub p2p: P2p,
    /// An empty block is made after this long without one.
    pub heartbeat: Duration,
    /// Log lines.
    pub log: Log,
    /// Memory of waiting transactions.
    pub limits: Limits,
}

/// Where the vault's secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultSecret {
    /// Its place.
    pub source: Source,
    /// Whether it is a passphrase; else a key of 64 hexadecimal digits.
    pub passphrase: bool,
}

/// A place of a secret. Never the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file; its first line counts.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// The HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How it is served.
    pub settings: Settings,
}

/// The network of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct P2p {
    /// Where it listens.
    pub listen: Multiaddr,
    /// Where the others are reached. Who they are the ledger says.
    pub peers: BTreeMap<AgencyId, Multiaddr>,
}

/// Log lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// One JSON object per line instead of text.
    pub json: bool,
    /// What is logged, as in `ZKBUREAU_LOG`, which goes before it.
    pub level: String,
}

/// The vault's secret cannot be had. The text names the place, never the contents.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file.
    #[error("vault.secret: {path}: {error}")]
    File {
        /// Where.
        path: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
    /// The environment.
    #[error("vault.secret: the environment variable {0} is not set to text")]
    Env(String),
    /// Not a key or passphrase.
    #[error("vault.secret: {0}")]
    Key(#[from] crate::vault::KeyError),
}

impl Config {
    /// Reads a configuration; relative paths start at `folder`.
    ///
    /// # Errors
    /// [`ConfigError`] names line, key and limit.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let table = parse(text)?;
        let top = Section::top(
            text,
            &table,
            &[
                "agency",
                "name",
                "data",
                "vault",
                "http",
                "p2p",
                "consensus",
                "log",
                "limits",
            ],
        )?;
        let agency = top
            .optional_number("agency", 1..=u64::from(MAX_AGENCY_ID))?
            .and_then(|id| u32::try_from(id).ok())
            .ok_or_else(|| top.error("agency", Mistake::Missing))?;
        let name = top.required_text("name")?;
        if name.is_empty() || name.len() > MAX_NAME {
            let what = format!("a name has 1 to {MAX_NAME} bytes");
            return Err(top.error("name", Mistake::Invalid(what)));
        }
        let consensus = top.section("consensus", &["heartbeat_s"])?;
        let heartbeat = match &consensus {
            Some(section) => section.number("heartbeat_s", 1..=86_400, 60)?,
            None => 60,
        };
        Ok(Self {
            agency: AgencyId(agency),
            name: name.to_owned(),
            data: folder.join(top.text("data")?.unwrap_or(".")),
            vault: vault(&top, folder)?,
            http: http::read(&top, folder)?,
            p2p: p2p(&top)?,
            heartbeat: Duration::from_secs(heartbeat),
            log: log(&top)?,
            limits: limits(&top)?,
        })
    }
}

fn vault(top: &Section<'_>, folder: &Path) -> Result<VaultSecret, ConfigError> {
    let section = top.required_section("vault", &["secret", "kind"])?;
    let secret = section.required_section("secret", &["file", "env"])?;
    let source = match (secret.text("file")?, secret.text("env")?) {
        (Some(file), None) => Source::File(folder.join(file)),
        (None, Some(name)) => Source::Env(name.to_owned()),
        _ => {
            let what = "name one place: { file = \"…\" } or { env = \"…\" }".to_owned();
            return Err(section.error("secret", Mistake::Invalid(what)));
        }
    };
    let kind = section.one_of("kind", &[("key", false), ("passphrase", true)])?;
    Ok(VaultSecret {
        source,
        passphrase: kind.unwrap_or(false),
    })
}

/// A number that counts things in memory.
fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn p2p(top: &Section<'_>) -> Result<P2p, ConfigError> {
    let section = top.required_section("p2p", &["listen", "peers"])?;
    let expected = "a multiaddress, such as /ip4/192.0.2.2/tcp/7700";
    let listen = section
        .parsed("listen", expected)?
        .ok_or_else(|| section.error("listen", Mistake::Missing))?;
    let mut peers = BTreeMap::new();
    if let Some(table) = section.section("peers", &[])? {
        for key in table.keys() {
            let id = key
                .parse()
                .ok()
                .filter(|id| (1..=MAX_AGENCY_ID).contains(id))
                .ok_or_else(|| {
                    let what = "a peer's key is the number of its agency".to_owned();
                    table.error(key, Mistake::Invalid(what))
                })?;
            if let Some(address) = table.parsed(key, expected)? {
                peers.insert(AgencyId(id), address);
            }
        }
    }
    Ok(P2p { listen, peers })
}

fn log(top: &Section<'_>) -> Result<Log, ConfigError> {
    let mut log = Log {
        json: false,
        level: "info".to_owned(),
    };
    if let Some(section) = top.section("log", &["format", "level"])? {
        let format = section.one_of("format", &[("human", false), ("json", true)])?;
        log.json = format.unwrap_or(false);
        if let Some(level) = section.text("level")? {
            level
                .parse::<tracing_subscriber::filter::Targets>()
                .map_err(|e| section.error("level", Mistake::Invalid(e.to_string())))?;
            log.level = level.to_owned();
        }
    }
    Ok(log)
}

fn limits(top: &Section<'_>) -> Result<Limits, ConfigError> {
    let mut limits = Limits::default();
    if let Some(section) = top.section("limits", &["batch_bytes", "agency_batch_bytes"])? {
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        // At least two of the largest batches, or an agency could never publish while another does.
        let (min, max) = (8 << 20, 4 << 30);
        limits.bulk_bytes =
            size(section.number("batch_bytes", min..=max, limits.bulk_bytes as u64)?);
        limits.agency_bulk_bytes = size(section.number(
            "agency_batch_bytes",
            min / 2..=limits.bulk_bytes as u64,
            limits.agency_bulk_bytes.min(limits.bulk_bytes) as u64,
        )?);
    }
    Ok(limits)
}

impl VaultSecret {
    /// Fetches the secret.
    ///
    /// # Errors
    /// [`SecretError`] names the place.
    pub fn key(&self) -> Result<VaultKey, SecretError> {
        let text = self.text()?;
        let line = text.lines().next().unwrap_or_default();
        Ok(if self.passphrase {
            VaultKey::passphrase(line)?
        } else {
            VaultKey::from_hex(line)?
        })
    }

    fn text(&self) -> Result<Zeroizing<String>, SecretError> {
        use std::io::Read;

        match &self.source {
            Source::Env(name) => std::env::var(name)
                .map(Zeroizing::new)
                .map_err(|_| SecretError::Env(name.clone())),
            Source::File(path) => {
                let mut text = Zeroizing::new(String::new());
                std::fs::File::open(path)
                    .and_then(|file| file.take(MAX_SECRET).read_to_string(&mut text))
                    .map_err(|error| SecretError::File {
                        path: path.clone(),
                        error,
                    })?;
                Ok(text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"agency = 3
name = "Third"

[vault]
secret = { file = "vault.key" }

[http]
listen = "127.0.0.1:7603"
tls = { certificate = "tls/cert.pem", key = "/etc/key.pem" }

[p2p]
listen = "/ip4/127.0.0.1/tcp/7703"

[p2p.peers]
1 = "/ip4/127.0.0.1/tcp/7701"
2 = "/dns4/two.example/tcp/7702"

[consensus]
heartbeat_s = 5

[log]
format = "json"
level = "info,zkbureau_agency_node=debug"
"#;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("/srv/agency"))
    }

    #[test]
    fn a_file_says_where_everything_is() {
        let config = parse(GOOD).expect("valid");
        assert_eq!(config.agency, AgencyId(3));
        assert_eq!(config.data, Path::new("/srv/agency/."));
        let file = Source::File("/srv/agency/vault.key".into());
        assert_eq!(config.vault.source, file);
        let tls = config.http.settings.tls.expect("given");
        assert_eq!(tls.certificate, Path::new("/srv/agency/tls/cert.pem"));
        assert_eq!(tls.key, Path::new("/etc/key.pem"));
        assert_eq!(config.p2p.peers.len(), 2);
        assert_eq!(config.heartbeat, Duration::from_secs(5));
        assert!(config.log.json);
        assert_eq!(config.limits, Limits::default());
    }

    #[test]
    fn every_mistake_names_line_key_and_what_is_allowed() {
        for (from, to, line, expected) in [
            (
                "name =",
                "nane =",
                2,
                "nane: there is no such key (did you mean \"name\"?)",
            ),
            (
                "listen = \"127",
                "lisen = \"127",
                8,
                "http.lisen: there is no such key (did you mean \"listen\"?)",
            ),
            (
                "heartbeat_s = 5",
                "heartbeat_s = 0",
                19,
                "consensus.heartbeat_s: 0 is outside 1..=86400",
            ),
            (
                "heartbeat_s = 5",
                "heartbeat_s = 99999999999999999999",
                19,
                "is outside 1..=86400",
            ),
            (
                "heartbeat_s = 5",
                "heartbeat_s = \"5\"",
                19,
                "is string, not a whole number",
            ),
            (
                "agency = 3",
                "agency = 4294967295",
                1,
                "agency: 4294967295 is outside 1..=4294967279",
            ),
            ("agency = 3", "", 1, "agency: is missing"),
            ("127.0.0.1:7603", "localhost", 8, "http.listen: "),
            (
                "tls = {",
                "operator_keys = [\"00\"] # {",
                9,
                "http.operator_keys: an Ed25519 key is 64 hexadecimal digits",
            ),
            (
                "tls = {",
                "quota.anchors = { burst = 0 } # {",
                9,
                "http.quota.anchors.burst: 0 is outside 1..=1000000",
            ),
            (
                "127.0.0.1:7603\"\ntls",
                "192.0.2.1:7603\"\ninsecure_http = false #",
                8,
                "http.listen: 192.0.2.1:7603 is not loopback",
            ),
            (
                "1 = \"/ip4/127.0.0.1/tcp/7701\"",
                "1 = \"127.0.0.1:7701\"",
                15,
                "p2p.peers.1: ",
            ),
            (
                "1 = \"/ip4",
                "one = \"/ip4",
                15,
                "p2p.peers.one: a peer's key is the number",
            ),
            (
                "format = \"json\"",
                "format = \"xml\"",
                22,
                "log.format: \"xml\" is not one of human, json",
            ),
            (
                "{ file = \"vault.key\" }",
                "\"0011\"",
                5,
                "vault.secret: is string, not a table",
            ),
            (
                "{ file = \"vault.key\" }",
                "{ fille = \"vault.key\" }",
                5,
                "vault.secret.fille: there is no such key (did you mean \"file\"?)",
            ),
            (
                "{ file = \"vault.key\" }",
                "{ file = \"a\", env = \"B\" }",
                5,
                "name one place",
            ),
            ("[consensus]", "[consensus", 18, ""),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD, "{from}");
            let error = parse(&text).expect_err(to);
            assert_eq!(error.line, line, "{to}: {error}");
            assert!(error.to_string().contains(expected), "{to}: {error}");
        }
    }

    #[test]
    fn a_secret_is_fetched_from_its_place_and_errors_do_not_show_it() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("key");
        let secret = |passphrase| VaultSecret {
            source: Source::File(path.clone()),
            passphrase,
        };
        assert!(matches!(secret(true).key(), Err(SecretError::File { .. })));
        std::fs::write(&path, "swordfish\nsecond line\n").expect("written");
        secret(true).key().expect("a passphrase");
        let error = secret(false).key().expect_err("no key").to_string();
        assert!(!error.contains("swordfish"), "{error}");
        std::fs::write(&path, format!("{}\n", "ab".repeat(32))).expect("written");
        secret(false).key().expect("a key");
        let env = VaultSecret {
            source: Source::Env("ZKBUREAU_NO_SUCH_VARIABLE".to_owned()),
            passphrase: true,
        };
        assert!(
            env.key()
                .expect_err("unset")
                .to_string()
                .contains("ZKBUREAU_NO_SUCH")
        );
    }
}
