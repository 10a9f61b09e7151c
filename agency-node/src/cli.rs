//! The command line. Help texts are written for somebody who has never seen the program.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use libp2p::Multiaddr;
use zkbureau_circuits::encoding::Digest32;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::scorecard::VerifyingKey;

/// Run an agency's node in a zkBureau consortium, and feed and look after it.
///
/// Log lines go to standard error; ZKBUREAU_LOG sets their level (for example "debug" or
/// "info,zkbureau_agency_node=debug").
///
/// Exit codes: 0 done; 1 the answer is no (rejected rows, a vault that differs, an import that was
/// refused); 2 the command could not be carried out as it was given.
#[derive(Debug, Parser)]
#[command(name = "agency-node", version)]
pub struct Cli {
    /// Write log lines as JSON.
    #[arg(long, global = true)]
    pub log_json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new agency: its keys in an encrypted vault, agency.toml, and its public part.
    Init(Init),
    /// Combine the agencies' public parts into the consortium's genesis file.
    ///
    /// Every agency runs this on the same files and gets the same bytes: compare the chain that it
    /// prints.
    Genesis(Genesis),
    /// Run the agency's node in the foreground until SIGTERM or SIGINT.
    Start(Start),
    /// Show height, agencies, peers and queues of the running node.
    Status(Status),
    /// Publish a file of tradelines through the running node.
    ///
    /// The node reads and checks the whole file before it publishes anything. Rows that are
    /// already published the same way change nothing, so an interrupted import is simply repeated.
    Import(Import),
    /// Check a file of tradelines without a node: list every rejected row.
    ///
    /// Prints line, field and limit of each rejected row, never its value. Exits with 1 if there
    /// is any.
    Check(Check),
    /// Certify a wallet's enrolment request as an identity issuer.
    ///
    /// A real issuer checks the person first; this prints what it certifies.
    Enrol(Enrol),
    /// Look after vaults.
    #[command(subcommand)]
    Vault(Vault),
    /// Propose changes of the consortium, vote, and list what is open.
    #[command(subcommand)]
    Governance(Governance),
    /// Write a snapshot of the ledger that a new node can start from.
    Snapshot(Snapshot),
    /// Register a lender's scorecard in the agency's name. It is public, for good.
    RegisterCard(RegisterCard),
    /// Print the OpenAPI document of the HTTP API.
    Openapi,
    /// Show and rotate keys; make keys of issuers and auditors.
    #[command(subcommand)]
    Keys(Keys),
    /// A sandbox: the ledger and all agencies in one process, without consensus.
    #[command(subcommand)]
    Devnet(Devnet),
}

/// Where the node is: its data directory, or its configuration.
#[derive(Debug, Args)]
pub struct Place {
    /// Data directory of the node.
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    pub data: Option<PathBuf>,
    /// The node's agency.toml; without it, the one in the data directory.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Init {
    /// Directory to create; it must not exist or be empty.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Number of the agency, agreed with the others; never reused.
    #[arg(long, value_name = "N", value_parser = agency)]
    pub agency: AgencyId,
    /// Name of the agency, for people.
    #[arg(long)]
    pub name: String,
    /// Address of the HTTP API.
    #[arg(long, default_value = "127.0.0.1:7600", value_name = "ADDR")]
    pub http: SocketAddr,
    /// Certificate chain of the HTTP API, PEM. Without one the API is served on loopback only.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// Serve plain HTTP on an address that is not loopback, because something else protects it.
    #[arg(long, conflicts_with = "tls_certificate")]
    pub insecure_http: bool,
    /// Address for the other nodes, as a multiaddress.
    #[arg(
        long,
        default_value = "/ip4/127.0.0.1/tcp/7700",
        value_name = "MULTIADDR"
    )]
    pub p2p: Multiaddr,
    /// Where another agency is reached, as N=MULTIADDR; may be repeated, or added to agency.toml later.
    #[arg(long, value_name = "N=MULTIADDR", value_parser = peer)]
    pub peer: Vec<(AgencyId, Multiaddr)>,
    /// Genesis file of the consortium, if it exists already: to be admitted to it.
    #[arg(long, value_name = "FILE")]
    pub genesis: Option<PathBuf>,
    /// Encrypt the vault under the passphrase in this file (first line) instead of a key file.
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_env")]
    pub passphrase_file: Option<PathBuf>,
    /// Encrypt the vault under the passphrase in this environment variable instead of a key file.
    #[arg(long, value_name = "NAME")]
    pub passphrase_env: Option<String>,
}

#[derive(Debug, Args)]
pub struct Genesis {
    /// The agencies' public parts.
    #[arg(required = true, value_name = "PART")]
    pub parts: Vec<PathBuf>,
    /// Name of the consortium.
    #[arg(long)]
    pub name: String,
    /// Schema of a record, TOML.
    #[arg(long, value_name = "FILE")]
    pub schema: PathBuf,
    /// An identity issuer's public file (see `keys new`); may be repeated.
    #[arg(long, value_name = "FILE")]
    pub issuer: Vec<PathBuf>,
    /// An auditor's public file (see `keys new`); may be repeated.
    #[arg(long, value_name = "FILE")]
    pub auditor: Vec<PathBuf>,
    /// Limits and waiting times that differ from the usual ones, TOML.
    #[arg(long, value_name = "FILE")]
    pub policies: Option<PathBuf>,
    /// The verifying key for scores, by its file or content hash; without it there are none.
    #[arg(long, value_name = "FILE|HASH", value_parser = score_key)]
    pub score_key: Option<Digest32>,
    /// Voting power of an agency, as N=POWER; 1 unless given, 0 for no seat.
    #[arg(long, value_name = "N=POWER", value_parser = power)]
    pub power: Vec<(AgencyId, u64)>,
    /// Where to write the genesis file.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["data", "config"])]
    pub out: Option<PathBuf>,
    /// Data directory of the own agency: the genesis file goes there.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The own agency's agency.toml: the genesis file goes to its data directory.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Start {
    #[command(flatten)]
    pub place: Place,
    /// Start an empty ledger from this snapshot (see `snapshot`) instead of the genesis file.
    #[arg(long, value_name = "DIR")]
    pub snapshot: Option<PathBuf>,
    /// Passphrase of the vault (first line of this file), in place of what agency.toml names.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Show the agency's public keys, and those that wait for a vote.
    Show(KeysShow),
    /// Make new keys, keep them in the vault, and propose them to the others.
    ///
    /// They take effect when the ledger says so; until then the old ones are used.
    Rotate(KeysRotate),
    /// Make the signing key of an identity issuer or auditor, and its public file.
    New(KeysNew),
}

#[derive(Debug, Args)]
pub struct KeysShow {
    #[command(flatten)]
    pub place: Place,
    /// Passphrase of the vault (first line of this file), in place of what agency.toml names, if the node is not running.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct KeysRotate {
    #[command(flatten)]
    pub place: Place,
    /// Which keys; may be repeated.
    #[arg(long, value_enum, required = true)]
    pub key: Vec<KeyName>,
    /// Days until the proposal lapses.
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=90))]
    pub days: u32,
    /// Write the proposal to this file for others to submit, instead of voting for it. The node need not run.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Passphrase of the vault (first line of this file), in place of what agency.toml names, if the node is not running.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
}

/// A key of an agency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyName {
    /// Signs batches and votes.
    Validator,
    /// Evaluates the directory. Refused once the agency has published: people's places in the directory
    /// depend on it, so then only a new agency number helps.
    Vrf,
    /// Receives sealed asks.
    Sealing,
    /// The node's identity in the network.
    Network,
}

#[derive(Debug, Args)]
pub struct KeysNew {
    /// Number of the issuer or auditor; never reused.
    #[arg(long, value_name = "N")]
    pub id: u32,
    /// Its name, for people.
    #[arg(long)]
    pub name: String,
    /// Where to write the secret key. The public file goes beside it, with `.json` at its end.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

// Parsed once; a box would save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Subcommand)]
pub enum Governance {
    /// Propose changes, and vote for them.
    Propose(Propose),
    /// Vote for an open proposal.
    Vote(Vote),
    /// List open proposals and who voted.
    List(GovernanceList),
}

#[derive(Debug, Args)]
pub struct Propose {
    #[command(flatten)]
    pub place: Place,
    /// The whole proposal, JSON or TOML: title, expires, changes (see docs/formats.md); no other flag goes with it.
    // `Changes` is the group of all flags of that struct.
    #[arg(value_name = "FILE", conflicts_with_all = ["title", "days", "Changes"])]
    pub file: Option<PathBuf>,
    /// What it is for.
    #[arg(long, required_unless_present = "file")]
    pub title: Option<String>,
    /// Days until it lapses.
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=90))]
    pub days: u32,
    #[command(flatten)]
    pub changes: Changes,
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Changes that a proposal may have; each may be repeated.
#[derive(Debug, Args)]
pub struct Changes {
    /// Admit the agency of this public part.
    #[arg(long, value_name = "PART")]
    pub admit: Vec<PathBuf>,
    /// Voting power of agencies: those admitted, or members; as N=POWER.
    #[arg(long, value_name = "N=POWER", value_parser = power)]
    pub power: Vec<(AgencyId, u64)>,
    /// Remove an agency.
    #[arg(long, value_name = "N", value_parser = agency)]
    pub remove: Vec<AgencyId>,
    /// Add an issuer, or give one a new key or name.
    #[arg(long, value_name = "FILE")]
    pub issuer: Vec<PathBuf>,
    /// Remove an issuer.
    #[arg(long, value_name = "N")]
    pub remove_issuer: Vec<u32>,
    /// Add an auditor, or give one a new key or name.
    #[arg(long, value_name = "FILE")]
    pub auditor: Vec<PathBuf>,
    /// Remove an auditor.
    #[arg(long, value_name = "N")]
    pub remove_auditor: Vec<u32>,
    /// The next version of the schema, TOML.
    #[arg(long, value_name = "FILE")]
    pub new_schema: Option<PathBuf>,
    /// Limits and waiting times, TOML; those not named stay.
    #[arg(long, value_name = "FILE")]
    pub policies: Option<PathBuf>,
    /// Another verifying key for scores, by its file or content hash.
    #[arg(long, value_name = "FILE|HASH", value_parser = score_key)]
    pub score_key: Option<Digest32>,
}

#[derive(Debug, Args)]
pub struct Vote {
    #[command(flatten)]
    pub place: Place,
    /// Identifier of the proposal, or its first 16 digits or more.
    pub proposal: String,
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct GovernanceList {
    #[command(flatten)]
    pub place: Place,
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Snapshot {
    #[command(flatten)]
    pub place: Place,
    /// Directory to create.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RegisterCard {
    /// The card, as `zkbureau card import` writes it.
    pub file: PathBuf,
    #[command(flatten)]
    pub place: Place,
    /// The agency, by number; needed only where one node runs several.
    #[arg(long, value_name = "N", value_parser = agency)]
    pub agency: Option<AgencyId>,
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Devnet {
    /// Create keys, the genesis file and empty vaults in a new directory.
    Init(DevnetInit),
    /// Run the node in the foreground until SIGTERM or SIGINT.
    Start(DevnetStart),
}

#[derive(Debug, Args)]
pub struct DevnetInit {
    /// Directory to create; it must not exist or be empty.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Schema of a record, TOML.
    #[arg(long, value_name = "FILE")]
    pub schema: PathBuf,
    /// How many agencies.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub agencies: u32,
    /// Name of the network; part of the genesis file and so of the chain id.
    #[arg(long, default_value = "devnet")]
    pub name: String,
    /// The verifying key for scores, by its file or content hash; without it there are none.
    #[arg(long, value_name = "FILE|HASH", value_parser = score_key)]
    pub score_key: Option<Digest32>,
    /// Encrypt the vaults under the passphrase in this file (first line) instead of a key file.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct DevnetStart {
    /// Directory made by `devnet init`.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Address of the HTTP API.
    #[arg(long, default_value = "127.0.0.1:7600", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Passphrase of the vaults, if they have one (first line of this file).
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Make an empty block after this many seconds without one, so that header time moves on.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub heartbeat: u64,
    /// Collect transactions for this long before making a block.
    #[arg(long, default_value_t = 20, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub block_delay: u64,
}

impl DevnetStart {
    /// Time without a block after which an empty one is made.
    pub fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat)
    }

    /// Time in which transactions are collected.
    pub fn block_delay(&self) -> Duration {
        Duration::from_millis(self.block_delay)
    }
}

#[derive(Debug, Args)]
pub struct Import {
    /// CSV file of tradelines.
    pub file: PathBuf,
    #[command(flatten)]
    pub place: Place,
    /// The agency that publishes, by number; needed only where one node runs several.
    #[arg(long, value_name = "N", value_parser = agency)]
    pub agency: Option<AgencyId>,
    /// Mapping from the file's columns to the schema, TOML.
    #[arg(long, value_name = "FILE")]
    pub map: PathBuf,
    /// The period in which this is reported, YYYY-MM.
    #[arg(long, value_name = "PERIOD")]
    pub period: Period,
    /// Say what would be published, and publish nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Publish although some rows are rejected; their subjects' periods are withheld, and the period
    /// stays open.
    #[arg(long)]
    pub allow_rejects: bool,
    /// Close the period although records are withheld.
    #[arg(long, requires = "allow_rejects", conflicts_with = "more_follows")]
    pub close: bool,
    /// More files of this period follow. The last file closes the period: only then can agencies
    /// answer for it and auditors see its totals.
    #[arg(long)]
    pub more_follows: bool,
    /// Rows may change what is already published.
    #[arg(long)]
    pub correct: bool,
    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Check {
    /// CSV file of tradelines.
    pub file: PathBuf,
    /// Mapping from the file's columns to the schema, TOML.
    #[arg(long, value_name = "FILE")]
    pub map: PathBuf,
    /// Schema (TOML), or a genesis file (JSON) that holds it.
    #[arg(long, value_name = "FILE")]
    pub schema: PathBuf,
    /// The period in which the file would be reported, YYYY-MM; later rows are then rejected.
    #[arg(long, value_name = "PERIOD")]
    pub period: Option<Period>,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Enrol {
    /// The enrolment request that a wallet wrote.
    pub request: PathBuf,
    /// Data directory with issuer.key and genesis.json. The node need not run.
    #[arg(long, value_name = "DIR", required_unless_present_all = ["key", "genesis"])]
    pub data: Option<PathBuf>,
    /// The issuer's key file (see `keys new`).
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The genesis file.
    #[arg(long, value_name = "FILE")]
    pub genesis: Option<PathBuf>,
    /// The issuer's number, if governance added it after the genesis file was written.
    #[arg(long, value_name = "N")]
    pub issuer: Option<u32>,
    /// Days until the certificate expires.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: u32,
    /// Where to write the certificate.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Print what was certified as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Vault {
    /// Recompute every commitment from the vaults and compare with the ledger.
    ///
    /// Works while the node runs (through its socket) and while it does not.
    Verify(Verify),
    /// Copy the vault as it is at one moment, encrypted as it is on disk. The node may run.
    Backup(Backup),
    /// Put a backup into the data directory of an agency that has no vault. The node must not run.
    Restore(Restore),
}

#[derive(Debug, Args)]
pub struct Backup {
    #[command(flatten)]
    pub place: Place,
    /// Directory to create for the backup.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The agency, by number; needed only where one node runs several.
    #[arg(long, value_name = "N", value_parser = agency)]
    pub agency: Option<AgencyId>,
    /// Passphrase of the vaults (first line of this file), in place of what agency.toml names, if the node is not running.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Restore {
    #[command(flatten)]
    pub place: Place,
    /// Directory of the backup.
    pub backup: PathBuf,
    /// Passphrase of the vault (first line of this file), in place of what agency.toml names.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    pub place: Place,
    /// Only this agency.
    #[arg(long, value_name = "N", value_parser = agency)]
    pub agency: Option<AgencyId>,
    /// Passphrase of the vaults (first line of this file), in place of what agency.toml names, if the node is not running.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    pub place: Place,
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
}

fn peer(text: &str) -> Result<(AgencyId, Multiaddr), String> {
    let parse = || {
        let (id, address) = text.split_once('=')?;
        Some((AgencyId(id.parse().ok()?), address.parse().ok()?))
    };
    parse().ok_or_else(|| "such as 2=/ip4/192.0.2.2/tcp/7700".to_owned())
}

fn power(text: &str) -> Result<(AgencyId, u64), String> {
    let parse = || {
        let (id, power) = text.split_once('=')?;
        Some((AgencyId(id.parse().ok()?), power.parse().ok()?))
    };
    parse().ok_or_else(|| "such as 2=1".to_owned())
}

/// A key's content hash; of a file, after the key in it was checked.
fn score_key(text: &str) -> Result<Digest32, String> {
    let mut hash = [0; 32];
    if hex::decode_to_slice(text, &mut hash).is_ok() {
        return Ok(hash);
    }
    let file = File::open(text).map_err(|error| {
        format!("neither a content hash, of 64 hexadecimal digits, nor a file: {error}")
    })?;
    let mut bytes = Vec::new();
    file.take(VerifyingKey::MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    let key = VerifyingKey::read(&bytes)
        .map_err(|error| format!("not a verifying key for scores: {error}"))?;
    Ok(*key.hash())
}

fn agency(text: &str) -> Result<AgencyId, String> {
    text.parse()
        .map(AgencyId)
        .map_err(|_| "an agency is a number, as in the genesis file".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_key_for_scores_is_checked_where_its_file_is_named() {
        let key = zkbureau_circuits::scorecard::test_key(1);
        let folder = tempfile::tempdir().expect("a folder");
        let of = |bytes: &[u8]| {
            let path = folder.path().join("scorecard.vk");
            std::fs::write(&path, bytes).expect("writable");
            score_key(path.to_str().expect("text"))
        };
        let file = key.verifying().to_file();
        let hash = *key.verifying().hash();
        assert_eq!(of(&file), Ok(hash));
        assert_eq!(score_key(&hex::encode(hash)), Ok(hash));
        // Nobody says who made it.
        let refused = of(&key.verifying().to_bytes()).expect_err("without an origin");
        assert!(
            refused.contains("does not say where it comes from"),
            "{refused}"
        );
        let refused = of(&[file, vec![0]].concat()).expect_err("too long");
        assert!(refused.contains("not a verifying key"), "{refused}");
        let refused = score_key("absent.vk").expect_err("no file");
        assert!(refused.starts_with("neither a content hash"), "{refused}");
    }

    #[test]
    fn a_proposal_in_a_file_takes_no_changes_beside_it() {
        let parse = |flag: &[&str]| {
            let args = ["agency-node", "governance", "propose", "p.toml"];
            Cli::try_parse_from([&args[..], &["--data", "d"], flag].concat())
        };
        assert!(parse(&[]).is_ok());
        assert!(parse(&["--json"]).is_ok());
        let changes = Changes::augment_args(clap::Command::new("changes"));
        let mut flags: Vec<_> = changes
            .get_arguments()
            .filter_map(|argument| argument.get_long())
            .collect();
        assert_eq!(flags.len(), 10, "{flags:?}");
        flags.extend(["title", "days"]);
        let hash = "00".repeat(32);
        for flag in flags {
            let value = match flag {
                "power" => "5=1",
                "score-key" => &hash,
                _ => "5",
            };
            let error = parse(&[&format!("--{flag}"), value]).expect_err(flag);
            let kind = clap::error::ErrorKind::ArgumentConflict;
            assert_eq!(error.kind(), kind, "{flag}: {error}");
        }
    }
}
