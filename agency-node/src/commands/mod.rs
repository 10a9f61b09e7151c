//! One file per command, and what they share: errors with exit codes, one line each.

mod admin;
mod backup;
mod card;
mod check;
mod devnet_init;
mod devnet_start;
mod enrol;
mod genesis;
mod governance;
mod import;
mod init;
mod keys;
mod parties;
mod snapshot;
mod start;
mod status;
mod text;
mod verify;

use std::process::ExitCode;

use crate::cli::{Cli, Command, Devnet, Keys, Place, Vault};
use crate::datadir::Located;
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

impl Place {
    /// Finds the node.
    pub fn find(&self) -> anyhow::Result<Located> {
        Located::find(self.data.as_deref(), self.config.as_deref())
    }
}

/// Runs a command.
pub fn run(cli: Cli) -> Outcome {
    if let Command::Start(args) = cli.command {
        // Its configuration says how it logs.
        return start::run(&args, cli.log_json);
    }
    let level = match cli.command {
        Command::Devnet(Devnet::Start(_)) => "info",
        _ => "warn",
    };
    logging::start(cli.log_json, level);
    match cli.command {
        Command::Init(args) => init::run(&args),
        Command::Genesis(args) => genesis::run(&args),
        Command::Start(args) => start::run(&args, cli.log_json),
        Command::Status(args) => status::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Enrol(args) => enrol::run(&args),
        Command::Vault(Vault::Verify(args)) => verify::run(&args),
        Command::Openapi => {
            print!("{}", zkbureau_agency_node::http::openapi::text());
            Ok(ExitCode::SUCCESS)
        }
        Command::Vault(Vault::Backup(args)) => backup::backup(&args),
        Command::Vault(Vault::Restore(args)) => backup::restore(&args),
        Command::Keys(Keys::Show(args)) => keys::show(&args),
        Command::Keys(Keys::Rotate(args)) => keys::rotate(&args),
        Command::Keys(Keys::New(args)) => parties::run(&args),
        Command::Governance(command) => governance::run(&command),
        Command::Snapshot(args) => snapshot::run(&args),
        Command::RegisterCard(args) => card::run(&args),
        Command::Devnet(Devnet::Init(args)) => devnet_init::run(&args),
        Command::Devnet(Devnet::Start(args)) => devnet_start::run(&args),
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
    use std::path::PathBuf;

    use anyhow::Context;
    use zkbureau_ledger::genesis::Policies;
    use zkbureau_ledger::transaction::{Change, Proposal};
    use zkbureau_prover::mapping::Mapping;

    /// What operators write is described there.
    const FORMATS: &str = include_str!("../../../docs/formats.md");

    #[test]
    fn the_documented_files_are_read() {
        let folder = tempfile::tempdir().expect("temporary directory");
        // Each example begins with its name.
        let file = |name: &str| -> PathBuf {
            let start = format!("```toml\n# {name}\n");
            let (_, rest) = FORMATS.split_once(&start).expect(name);
            let (text, _) = rest.split_once("```").expect("the example's end");
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let schema = super::devnet_init::read_schema(&file("schema.toml")).expect("a schema");
        let map = super::import::read_map(&file("map.toml")).expect("text");
        let mapping = Mapping::parse(&map, &schema).expect("a mapping");
        let header = "account subject period branch balance status payments_thousands months";
        let header: Vec<String> = header.split(' ').map(str::to_owned).collect();
        mapping.bind(&header, None).expect("all columns");
        let policies = super::genesis::policies(&file("policies.toml"), Policies::default());
        assert_eq!(policies.expect("policies").min_changed_records, 500);
        let proposal: Proposal = super::parties::read(&file("proposal.toml")).expect("a proposal");
        assert!(matches!(
            proposal.changes[..],
            [
                Change::SetPower(_),
                Change::RemoveAuditor(_),
                Change::SetAuditor(_),
                Change::AdmitObserver(_)
            ]
        ));
        let no_key = r#"{"title": "no scores", "expires": 1, "changes": [{"set_score_key": {}}]}"#;
        serde_json::from_str::<Proposal>(no_key).expect("a proposal");

        let defaults = serde_json::to_value(Policies::default()).expect("numbers");
        for (name, value) in defaults.as_object().expect("a table") {
            let number = super::text::count(value.as_u64().expect("a number"));
            let row = format!("\n| `{name}` | {number} |");
            assert!(FORMATS.contains(&row), "{row}");
        }
    }

    #[test]
    fn errors_are_one_line() {
        let error = Err::<(), _>(anyhow::anyhow!("a\n  b\n")).context("c");
        let error = error.expect_err("an error");
        assert_eq!(super::one_line(&error), "c: a b");
    }
}
