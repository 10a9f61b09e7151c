//! `vault backup|restore`.

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use serde::Deserialize;
use zkbureau_agency_node::node::now;
use zkbureau_agency_node::vault::{Manifest, Vault};

use super::{Outcome, admin, text};
use crate::admin::protocol::Request;
use crate::cli::{Backup, Restore};
use crate::service;

/// Copies a vault, through the running node or from its database.
pub fn backup(args: &Backup) -> Outcome {
    let located = args.place.find()?;
    let out = std::path::absolute(&args.out).with_context(|| args.out.display().to_string())?;
    let value = match admin::connect(&located.data)? {
        Some(stream) => {
            let (agency, out) = (args.agency, out.clone());
            admin::exchange(stream, &Request::Backup { agency, out })?
        }
        None => {
            let _lock = located.data.lock()?;
            let passphrase = args.passphrase_file.as_deref();
            let (_ledger, agencies, _) = service::open(&located, passphrase, args.agency)?;
            let mut agencies = agencies.values();
            let (Some(agency), None) = (agencies.next(), agencies.next()) else {
                return Err(
                    anyhow!("this node runs several agencies; say which: --agency N").into(),
                );
            };
            serde_json::to_value(agency.vault().backup(&out, now())?)?
        }
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&value)?);
    } else {
        let manifest = Manifest::deserialize(&value).context("the node's answer")?;
        println!("backup of {}: {}", manifest.agency, summary(&manifest));
        println!("  in  {}", args.out.display());
        println!("  it opens with the vault's key or passphrase only: keep that elsewhere");
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts a backup in the place of a vault that is not there.
pub fn restore(args: &Restore) -> Outcome {
    let located = args.place.find()?;
    let data = &located.data;
    let _lock = data.lock()?;
    let key = located.vault_key(args.passphrase_file.as_deref())?;
    let (genesis, _) = data.genesis()?;
    let agency = match &located.config {
        Some(config) => config.agency,
        None => Manifest::owner(&args.backup)?,
    };
    let (path, chain) = (data.vault(agency), genesis.chain_id());
    let manifest = Vault::restore(&args.backup, &path, &key, Some(&chain), agency)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&manifest)?);
    } else {
        println!("restored {}: {}", manifest.agency, summary(&manifest));
        println!(
            "next: start the node; `agency-node vault verify` compares the vault with the ledger"
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(manifest: &Manifest) -> String {
    let bytes: u64 = manifest.files.values().map(|file| file.bytes).sum();
    format!(
        "{} batches, {} entries, {} files with {} bytes, made {}",
        text::count(manifest.batches),
        text::count(manifest.entries),
        text::count(manifest.files.len() as u64),
        text::count(bytes),
        text::time(manifest.made_ms),
    )
}
