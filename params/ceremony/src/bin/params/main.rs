//! `params`: the ceremony that makes the keys of scorecards (spec: `params/spec/ceremony.md`).
//!
//! Exit codes: 0 done, 2 wrong use or no such file, 20 a transcript or key is refused. What was done
//! goes to standard output, progress and errors to standard error.

mod cli;
mod commands;
mod files;
mod show;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match commands::run(cli::Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if files::is_refusal(&error) { 20 } else { 2 })
        }
    }
}
