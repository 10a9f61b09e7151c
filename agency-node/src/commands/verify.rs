//! `vault verify`: every commitment recomputed and compared with the ledger.

use std::cell::RefCell;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;
use zkbureau_circuits::ids::AgencyId;

use super::admin::{self, Bar};
use super::{Outcome, answer, text};
use crate::admin::protocol::Request;
use crate::admin::verify_all;
use crate::cli::Verify;
use crate::service;

/// Figures of one vault that are shown.
#[derive(Debug, Deserialize)]
struct Check {
    agency: AgencyId,
    subjects: u64,
    entries: u64,
    leaves: u64,
    commitments: u64,
    differences: u64,
    #[serde(default)]
    first: Vec<Value>,
    clean: bool,
    seconds: f64,
}

/// Checks through the running node, or opens the databases if none runs.
pub fn run(args: &Verify) -> Outcome {
    let located = args.place.find()?;
    let data = &located.data;
    let value = match admin::connect(data)? {
        Some(stream) => {
            let request = Request::VerifyVault {
                agency: args.agency,
            };
            admin::exchange(stream, &request)?
        }
        None => {
            let _lock = data.lock()?;
            let passphrase = args.passphrase_file.as_deref();
            let (_ledger, agencies, _) = service::open(&located, passphrase, args.agency)?;
            let bar = RefCell::new(Bar::new());
            verify_all(&agencies, args.agency, &|p| bar.borrow_mut().show(p))?
        }
    };
    let checks = Vec::<Check>::deserialize(&value["vaults"]).context("the result of the check")?;
    let clean = checks.iter().all(|check| check.clean);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&value)?);
    } else {
        for check in &checks {
            print(check);
        }
    }
    Ok(answer(clean))
}

fn print(check: &Check) {
    println!(
        "{}: {}, {}, {}, {} recomputed in {:.2} s: {}",
        check.agency,
        text::counted(check.subjects, "subject"),
        text::counted(check.leaves, "leaf"),
        text::counted(check.entries, "log entry").replace("entrys", "entries"),
        text::counted(check.commitments, "commitment"),
        check.seconds,
        if check.clean {
            "all as on the ledger".to_owned()
        } else {
            format!("{} DIFFERENT", text::count(check.differences))
        }
    );
    for difference in &check.first {
        println!("  {difference}");
    }
}
