//! `start`: an agency's node.

use std::process::ExitCode;

use super::Outcome;
use crate::cli::Start;
use crate::{logging, service};

/// Runs the node until it is told to stop.
pub fn run(args: &Start, log_json: bool) -> Outcome {
    let located = args.place.find()?;
    let config = located.config()?;
    logging::start(log_json || config.log.json, &config.log.level);
    service::run(
        &located,
        args.snapshot.as_deref(),
        args.passphrase_file.as_deref(),
    )?;
    Ok(ExitCode::SUCCESS)
}
