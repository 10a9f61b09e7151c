//! `snapshot`: the ledger's state in files that a new node can start from.

use std::process::ExitCode;

use anyhow::Context;

use super::{Outcome, admin, text};
use crate::admin::protocol::Request;
use crate::cli::Snapshot;

/// Asks the node to write one.
pub fn run(args: &Snapshot) -> Outcome {
    let data = args.place.find()?.data;
    let out = std::path::absolute(&args.out).with_context(|| args.out.display().to_string())?;
    let value = admin::request(&data, &Request::Snapshot { out })?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&value)?);
    } else {
        let number = |field: &str| text::count(value[field].as_u64().unwrap_or(0));
        println!(
            "snapshot of height {}: {} chunks with {} bytes",
            number("height"),
            number("chunks"),
            number("bytes")
        );
        println!("  in  {}", args.out.display());
        println!(
            "next: a node with an empty ledger starts from it: agency-node start --snapshot DIR"
        );
    }
    Ok(ExitCode::SUCCESS)
}
