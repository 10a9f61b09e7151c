//! `devnet start`: the node itself.

use std::process::ExitCode;

use super::Outcome;
use crate::cli::DevnetStart;
use crate::datadir::DataDir;
use crate::devnet::producer::Pace;
use crate::devnet::{self, Settings};

/// Runs the node until it is told to stop.
pub fn run(args: &DevnetStart) -> Outcome {
    devnet::run(&Settings {
        data: DataDir::open(&args.data)?,
        listen: args.listen,
        passphrase: args.passphrase_file.as_deref(),
        pace: Pace {
            delay: args.block_delay(),
            heartbeat: args.heartbeat(),
        },
    })?;
    Ok(ExitCode::SUCCESS)
}
