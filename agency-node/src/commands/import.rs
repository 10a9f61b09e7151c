//! `import`: a file of tradelines, published by the running node.

use anyhow::Context;
use serde::Deserialize;

use super::{Outcome, admin, answer, text};
use crate::admin::import::{ImportResult, Published};
use crate::admin::protocol::{ImportRequest, Request};
use crate::cli::Import;
use crate::datadir::read_limited;

/// Longest mapping file.
pub const MAX_MAP_FILE: usize = 256 << 10;
/// Rejects that a person wants to read at once.
const SHOWN_REJECTS: usize = 20;

/// The parts of a report that are shown.
#[derive(Debug, Deserialize)]
pub struct Report {
    rows: u64,
    rejected_rows: u64,
    unchanged: u64,
    corrected: u64,
    withheld: u64,
    reject_count: u64,
    rejects: Vec<Reject>,
}

#[derive(Debug, Deserialize)]
struct Reject {
    line: u64,
    field: String,
    reason: String,
}

/// Sends the file to the node and prints what became of it.
pub fn run(args: &Import) -> Outcome {
    let data = args.place.find()?.data;
    let file = std::path::absolute(&args.file).with_context(|| args.file.display().to_string())?;
    let request = Request::Import(ImportRequest {
        agency: args.agency,
        file,
        map: read_map(&args.map)?,
        period: args.period,
        allow_rejects: args.allow_rejects,
        more_follows: args.more_follows,
        close: args.close,
        dry_run: args.dry_run,
        correct: args.correct,
    });
    let value = admin::request(&data, &request)?;
    let result = ImportResult::deserialize(&value).context("the node's answer")?;
    let report = Report::deserialize(&result.report).context("the node's answer")?;
    let held_back = report.reject_count > 0 && !args.allow_rejects;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&value)?);
    } else {
        print(&result, &report, held_back);
        if args.dry_run && !held_back {
            println!("  a dry run: nothing was published");
        }
        let open = report.withheld > 0 && !args.close && !args.more_follows;
        if open && result.published.is_some() {
            println!(
                "  {} stays open, because records are withheld; --close closes it",
                result.period
            );
        }
    }
    Ok(answer(!held_back))
}

fn print(result: &ImportResult, report: &Report, held_back: bool) {
    print_rejects(report);
    println!(
        "{} · {} · {} in {:.2} s",
        result.agency,
        result.period,
        text::counted(report.rows, "row"),
        result.seconds
    );
    let published = result.published.as_ref();
    let records = published.map_or(0, |p| p.records);
    println!(
        "  accepted   {}, {} new; the agency has {}",
        text::counted(records, "record"),
        text::counted(published.map_or(0, |p| p.new_leaves), "leaf"),
        text::counted(result.leaves, "leaf"),
    );
    println!(
        "  rejected   {}, {} withheld",
        text::counted(report.rejected_rows, "row"),
        text::counted(report.withheld, "record"),
    );
    println!(
        "  unchanged  {}{}",
        text::counted(report.unchanged, "record"),
        if report.corrected > 0 {
            format!(", corrected {}", text::count(report.corrected))
        } else {
            String::new()
        }
    );
    if let Some(published) = published {
        print_figures(published);
        if let Some(cpu_s) = result.cpu_s {
            println!(
                "  processor  {cpu_s:.2} s for everything, vault and ledger included; {:.2} µs a value",
                cpu_s * 1e6 / published.values()
            );
        }
    }
    if held_back {
        println!("nothing was published: mend the file, or publish the rest with --allow-rejects");
    }
}

fn print_figures(p: &Published) {
    println!(
        "  published  {}, {} bytes, {:.1} bytes a record",
        text::counted(p.batches, "batch"),
        text::count(p.bytes),
        p.bytes_per_record()
    );
    println!(
        "  proving    {:.3} s on {} threads: commitments {:.3}, arguments {:.3}; {:.2} µs a value",
        p.commit_s + p.prove_s,
        p.threads,
        p.commit_s,
        p.prove_s,
        p.prove_us_per_value()
    );
    println!(
        "  verifying  {:.3} s; {:.2} µs a value",
        p.verify_s,
        p.verify_us_per_value()
    );
}

/// Lists the first rejects.
fn print_rejects(report: &Report) {
    for reject in report.rejects.iter().take(SHOWN_REJECTS) {
        println!("line {}, {}: {}", reject.line, reject.field, reject.reason);
    }
    let more = report.reject_count.saturating_sub(SHOWN_REJECTS as u64);
    if more > 0 {
        println!(
            "… and {} more; `agency-node check` lists them",
            text::count(more)
        );
    }
}

/// Reads the text of a mapping.
pub fn read_map(path: &std::path::Path) -> anyhow::Result<String> {
    String::from_utf8(read_limited(path, MAX_MAP_FILE)?).with_context(|| path.display().to_string())
}
