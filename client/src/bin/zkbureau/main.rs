//! `zkbureau`: the command for lenders, borrowers and regulators.
//!
//! Exit codes: 0 all true (or done), 10 some fact is false, 11 insufficient history, 20 a document
//! or proof is invalid, 21 refused, 30 unavailable, 2 wrong use. Results go to standard output,
//! errors to standard error; with `--json` both are one JSON object on standard output.

mod audit;
mod card;
mod cli;
mod fail;
mod lender;
mod nodes;
mod output;
mod wallet;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Request(args) => lender::request(args),
        Command::Verify(args) => lender::verify(args),
        Command::Wallet(args) => wallet::run(args),
        Command::Card(args) => card::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Nodes(args) => nodes::run(args),
    };
    ExitCode::from(match done {
        Ok(output) => output.print(cli.json),
        Err(error) => fail::print(&error, cli.json),
    })
}
