//! `agency-node`: a development network of credit agencies in one process, and the tools to feed
//! and check their vaults.
//!
//! This binary only wires parts together: the ledger crate decides, the prover crate prepares
//! batches, this package's library keeps the vaults and answers.
//!
//! - [`cli`]: the command line; [`commands`]: one file per command;
//! - [`datadir`]: what lies where on disk;
//! - [`devnet`]: the development network: block producer, administration socket.

use std::process::ExitCode;

use clap::Parser;

mod cli;
mod commands;
mod datadir;
mod devnet;
mod logging;

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
