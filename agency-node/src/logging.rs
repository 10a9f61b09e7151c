//! Log lines on standard error: for people, or one JSON object per line.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Environment variable with the log level.
const LEVEL: &str = "ZKBUREAU_LOG";

/// The engine tells every vote; that is too much unless somebody asks for it.
const QUIET: &str = "arc_malachitebft=warn";

/// Starts logging for the rest of the process, at `level` unless the environment says otherwise. A node says
/// what it does; other commands print their own answer and log only what is wrong.
pub fn start(json: bool, level: &str) {
    let filter = EnvFilter::try_from_env(LEVEL)
        .unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},{level}")));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if json {
        builder.json().init();
    } else {
        builder
            .with_target(false)
            .with_ansi(std::io::stderr().is_terminal())
            .init();
    }
}
