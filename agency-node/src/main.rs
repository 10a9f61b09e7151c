//! `agency-node`: an agency's node in a consortium, a sandbox of several agencies in one process, and
//! the tools to feed and look after them.
//!
//! This binary only wires parts together: the ledger crate decides, the prover crate prepares
//! batches, this package's library keeps the vaults, answers, agrees and serves.
//!
//! - [`cli`]: the command line; [`commands`]: one file per command;
//! - [`datadir`]: what lies where on disk;
//! - [`service`]: an agency's node, from start to stop; [`devnet`]: the sandbox;
//! - [`admin`]: the administration socket of both.

use std::process::ExitCode;

use clap::Parser;

mod admin;
mod cli;
mod commands;
mod datadir;
mod devnet;
mod logging;
mod service;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", commands::one_line(&error.source));
            error.code
        }
    }
}
