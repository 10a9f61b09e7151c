//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// The ceremony that makes the keys of scorecards. One file is passed from contributor to
/// contributor; nobody learns the secrets behind the keys as long as one contributor is honest.
#[derive(Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Begin a ceremony: write a transcript in which nobody has contributed.
    New(New),
    /// Verify a transcript, contribute to its open phase, and write the new transcript.
    Contribute(Contribute),
    /// Verify a transcript, close phase 1 and begin phase 2 for the scorecards' circuit.
    Specialise(Through),
    /// Verify a whole transcript, and keys against it.
    Verify(Verify),
    /// Verify a complete transcript and write its keys.
    Finish(Finish),
}

#[derive(Args)]
pub struct New {
    /// What the ceremony is for, such as "Kenya scorecards 2026". No two ceremonies share a title.
    #[arg(long)]
    pub title: String,
    /// The transcript to write.
    pub output: PathBuf,
}

#[derive(Args)]
pub struct Contribute {
    /// The transcript as the last contributor left it. It is not changed.
    pub input: PathBuf,
    /// The transcript to write. It must not exist.
    pub output: PathBuf,
    /// Who contributes: 1 to 64 printable ASCII characters, in each phase once.
    #[arg(long)]
    pub name: String,
    /// Bytes to add to the operating system's randomness, such as dice rolls; `-` for standard input.
    #[arg(long)]
    pub entropy_file: Option<PathBuf>,
}

#[derive(Args)]
pub struct Through {
    /// The transcript as the last contributor left it. It is not changed.
    pub input: PathBuf,
    /// The transcript to write. It must not exist.
    pub output: PathBuf,
}

#[derive(Args)]
pub struct Verify {
    /// The transcript.
    pub input: PathBuf,
    /// It may be unfinished: verify as far as it is.
    #[arg(long)]
    pub so_far: bool,
    /// A hash that a contributor published, which must be in the transcript. May be repeated.
    #[arg(long, value_name = "HASH")]
    pub contains: Vec<String>,
    /// A proving key, which must be the ceremony's.
    #[arg(long, value_name = "FILE")]
    pub proving_key: Option<PathBuf>,
    /// A verifying key, which must be the ceremony's.
    #[arg(long, value_name = "FILE")]
    pub verifying_key: Option<PathBuf>,
}

#[derive(Args)]
pub struct Finish {
    /// The complete transcript.
    pub input: PathBuf,
    /// Folder to write the keys to. It must not exist.
    pub output: PathBuf,
    /// A hash that a contributor published, which must be in the transcript. May be repeated.
    #[arg(long, value_name = "HASH")]
    pub contains: Vec<String>,
}
