//! `check`: what would be rejected, found without a node.

use std::cell::RefCell;
use std::fs::File;

use anyhow::{Context, anyhow};
use zkbureau_prover::{
    Event, Import, ImportError, Mapping, NothingPublished, Options, Progress as ProverProgress,
};

use super::admin::Bar;
use super::devnet_init::read_schema;
use super::import::read_map;
use super::{CommandError, Outcome, answer, text};
use crate::admin::protocol::{Progress, Step};
use crate::cli::Check;

/// Rejects that are listed; all of them are counted.
const LISTED: usize = 1_000_000;

/// Checks a file.
pub fn run(args: &Check) -> Outcome {
    let schema = read_schema(&args.schema)?;
    let mapping = Mapping::parse(&read_map(&args.map)?, &schema)
        .map_err(|e| anyhow!("{}: {e}", args.map.display()))?;
    let name = args.file.display();
    let file = File::open(&args.file).with_context(|| name.to_string())?;
    let size = file
        .metadata()
        .ok()
        .filter(|m| m.is_file())
        .map(|m| m.len());
    let import = Import {
        schema: &schema,
        mapping: &mapping,
        options: Options {
            reported_period: args.period,
            correct: false,
            listed_rejects: LISTED,
        },
        spill_dir: &std::env::temp_dir(),
    };
    let show = Show(RefCell::new(Bar::new()));
    let plan = import
        .plan(file, size, &NothingPublished, &show)
        .map_err(|error| {
            let told = anyhow!("{name}: {error}");
            match error {
                // The file as a whole is refused: that is what was asked.
                ImportError::Csv(_) | ImportError::Repeated { .. } => CommandError::no(told),
                _ => told.into(),
            }
        })?;
    drop(show);
    let report = plan.report();
    if args.json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        for reject in &report.rejects {
            println!("{reject}");
        }
        println!(
            "{name}: {}, {} accepted, {} rejected, {} withheld",
            text::counted(report.rows, "row"),
            text::counted(report.records, "record"),
            text::counted(report.rejected_rows, "row"),
            text::counted(report.withheld, "record"),
        );
    }
    Ok(answer(report.reject_count == 0))
}

/// Draws the prover's progress.
struct Show(RefCell<Bar>);

impl ProverProgress for Show {
    fn event(&self, event: Event) {
        let (step, done, total) = match event {
            Event::Read { bytes, total } => (Step::Reading, bytes, total),
            Event::Checked { parts, total } => (Step::Checking, parts, Some(total)),
            Event::Published { records, total } => (Step::Publishing, records, Some(total)),
        };
        self.0.borrow_mut().show(Progress { step, done, total });
    }
}
