//! One file per command, and what they share: errors with exit codes, one line each.

mod admin;
mod check;
mod enrol;
mod import;
mod init;
mod start;
mod status;
mod text;
mod verify;

use std::process::ExitCode;

use crate::cli::{Cli, Command, Devnet, Vault};
use crate::logging;

/// The command ran and the answer is no.
const NO: u8 = 1;
/// The command could not be carried out as it was given.
const FAILED: u8 = 2;

/// Why a command ended early.
pub struct CommandError {
    /// What went wrong, with its causes.
    pub source: anyhow::Error,
    /// The process's exit code.
    pub code: ExitCode,
}

impl<E: Into<anyhow::Error>> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self {
            source: error.into(),
            code: ExitCode::from(FAILED),
        }
    }
}

impl CommandError {
    /// Not a mistake in the command: the answer is no.
    fn no(source: anyhow::Error) -> Self {
        Self {
            source,
            code: ExitCode::from(NO),
        }
    }
}

type Outcome = Result<ExitCode, CommandError>;

/// Exit code of a yes-or-no answer.
fn answer(yes: bool) -> ExitCode {
    if yes {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NO)
    }
}

/// Runs a command.
pub fn run(cli: Cli) -> Outcome {
    logging::start(
        cli.log_json,
        matches!(cli.command, Command::Devnet(Devnet::Start(_))),
    );
    match cli.command {
        Command::Devnet(Devnet::Init(args)) => init::run(&args),
        Command::Devnet(Devnet::Start(args)) => start::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Enrol(args) => enrol::run(&args),
        Command::Vault(Vault::Verify(args)) => verify::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Openapi => {
            print!("{}", zkbureau_agency_node::http::openapi::text());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// An error and its causes on one line.
pub fn one_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let parts: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    #[test]
    fn errors_are_one_line() {
        let error = Err::<(), _>(anyhow::anyhow!("a\n  b\n")).context("c");
        let error = error.expect_err("an error");
        assert_eq!(super::one_line(&error), "c: a b");
    }
}
