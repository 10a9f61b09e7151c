//! The command line. Help texts are written for somebody who has never seen the program.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;

/// Run a zkBureau development network, and feed and check its agencies.
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
    /// A development network: the ledger and all agencies in one process.
    #[command(subcommand)]
    Devnet(Devnet),
    /// Publish a file of tradelines as one agency of the running node.
    ///
    /// The node reads and checks the whole file before it publishes anything. Rows that are
    /// already published the same way change nothing, so an interrupted import is simply repeated.
    Import(Import),
    /// Check a file of tradelines without a node: list every rejected row.
    ///
    /// Prints line, field and limit of each rejected row, never its value. Exits with 1 if there
    /// is any.
    Check(Check),
    /// Certify a wallet's enrolment request as the devnet's identity office.
    ///
    /// A real issuer checks the person first; this prints what it certifies.
    Enrol(Enrol),
    /// Look after vaults.
    #[command(subcommand)]
    Vault(Vault),
    /// Show height, agencies and queues of the running node.
    Status(Status),
    /// Print the OpenAPI document of the HTTP API.
    Openapi,
}

#[derive(Debug, Subcommand)]
pub enum Devnet {
    /// Create keys, the genesis file and empty vaults in a new directory.
    Init(Init),
    /// Run the node in the foreground until SIGTERM or SIGINT.
    Start(Start),
}

#[derive(Debug, Args)]
pub struct Init {
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
    /// Encrypt the vaults under the passphrase in this file (first line) instead of a key file.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Start {
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

impl Start {
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
    /// Data directory of the running node.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The agency that publishes, by number.
    #[arg(long, value_name = "N", value_parser = agency)]
    pub agency: AgencyId,
    /// Mapping from the file's columns to the schema, TOML.
    #[arg(long, value_name = "FILE")]
    pub map: PathBuf,
    /// The period in which this is reported, YYYY-MM.
    #[arg(long, value_name = "PERIOD")]
    pub period: Period,
    /// Publish although some rows are rejected; their subjects' periods are withheld.
    #[arg(long)]
    pub allow_rejects: bool,
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
    /// Data directory, for the issuer's key and the genesis file. The node need not run.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
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
}

#[derive(Debug, Args)]
pub struct Verify {
    /// Data directory of the node.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Only this agency.
    #[arg(long, value_name = "N", value_parser = agency)]
    pub agency: Option<AgencyId>,
    /// Passphrase of the vaults, if they have one and the node is not running.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Status {
    /// Data directory of the running node.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
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
}
