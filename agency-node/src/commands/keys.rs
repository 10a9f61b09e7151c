//! `keys show|rotate`: through the running node, or on its databases while none runs.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use serde_json::Value;
use zkbureau_agency_node::vault::KeyKind;

use super::{CommandError, Outcome, admin, governance};
use crate::admin::keys;
use crate::admin::protocol::Request;
use crate::cli::{KeyName, KeysRotate, KeysShow};
use crate::datadir::{Located, write_public};
use crate::service::{self, Agencies};

/// `keys show`.
pub fn show(args: &KeysShow) -> Outcome {
    let located = args.place.find()?;
    let value = match admin::connect(&located.data)? {
        Some(stream) => admin::exchange(stream, &Request::Keys)?,
        None => offline(&located, args.passphrase_file.as_deref(), |agencies| {
            let agency = agencies.values().next().context("no agency")?;
            keys::show(agency).map_err(|e| e.error)
        })?,
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&value)?);
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "agency {} · {}",
        value["agency"],
        value["standing"].as_str().unwrap_or_default()
    );
    print("in use", &value["in_use"]);
    for other in value["others"].as_array().into_iter().flatten() {
        print("other", other);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(what: &str, keys: &Value) {
    println!("{what}:");
    for (name, key) in keys.as_object().into_iter().flatten() {
        println!("  {name:<10} {}", key.as_str().unwrap_or_default());
    }
}

/// `keys rotate`.
pub fn rotate(args: &KeysRotate) -> Outcome {
    let located = args.place.find()?;
    let mut kinds: Vec<KeyKind> = args.key.iter().copied().map(kind).collect();
    kinds.dedup();
    let request = Request::RotateKeys {
        kinds: kinds.clone(),
        days: args.days,
        submit: args.out.is_none(),
    };
    let value = match (admin::connect(&located.data)?, &args.out) {
        (Some(stream), _) => admin::exchange(stream, &request)?,
        (None, Some(_)) => offline(&located, args.passphrase_file.as_deref(), |agencies| {
            let agency = agencies.values().next().context("no agency")?;
            let proposal = keys::new_keys(agency, &kinds, args.days).map_err(|e| e.error)?;
            Ok(serde_json::to_value(proposal)?)
        })?,
        (None, None) => {
            return Err(anyhow!(
                "no node is running on {}; start it, or write the proposal to a file with --out",
                located.data.path().display()
            )
            .into());
        }
    };
    let Some(file) = &args.out else {
        return governance::tell(&value, args.json);
    };
    let mut json = serde_json::to_string_pretty(&value)?;
    json.push('\n');
    write_public(file, json.as_bytes())?;
    if args.json {
        print!("{json}");
    } else {
        println!("  proposal  {}", file.display());
        println!("next: another agency submits it: agency-node governance propose FILE");
    }
    Ok(ExitCode::SUCCESS)
}

fn kind(name: KeyName) -> KeyKind {
    match name {
        KeyName::Validator => KeyKind::Validator,
        KeyName::Vrf => KeyKind::Vrf,
        KeyName::Sealing => KeyKind::Sealing,
        KeyName::Network => KeyKind::Network,
    }
}

/// Does something with the databases of a node that does not run.
fn offline<T>(
    located: &Located,
    passphrase: Option<&Path>,
    work: impl FnOnce(&Agencies) -> anyhow::Result<T>,
) -> Result<T, CommandError> {
    let _lock = located.data.lock()?;
    let (_ledger, agencies, _) = service::open(located, passphrase, None)?;
    Ok(work(&agencies)?)
}
