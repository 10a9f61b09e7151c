//! Issuers and auditors: their keys and public files.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use rand_core::OsRng;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zkbureau_ledger::genesis::{Auditor, Issuer};
use zkbureau_ledger::ids::{AuditorId, IssuerId};
use zkbureau_ledger::keys::{PublicKey, SecretKey};

use super::Outcome;
use crate::cli::KeysNew;
use crate::datadir::{read_limited, write_key, write_public};

/// Longest public file or proposal.
const MAX_FILE: usize = 1 << 20;

/// The public file of an issuer or auditor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Party {
    id: u32,
    name: String,
    key: PublicKey,
}

/// `keys new`: a signing key and its public file.
pub fn run(args: &KeysNew) -> Outcome {
    let key = SecretKey::random(&mut OsRng);
    let party = Party {
        id: args.id,
        name: args.name.clone(),
        key: key.public(),
    };
    let public = args.out.with_extension("json");
    if public == args.out {
        return Err(anyhow!(
            "{}: the secret key's file must not end with .json",
            args.out.display()
        )
        .into());
    }
    write_key(&args.out, &key.to_seed())?;
    let mut json = serde_json::to_string_pretty(&party)?;
    json.push('\n');
    write_public(&public, json.as_bytes())?;
    println!("  secret key  {}", args.out.display());
    println!("  public      {}", public.display());
    Ok(ExitCode::SUCCESS)
}

/// Reads an issuer's public file.
pub fn issuer(path: &Path) -> anyhow::Result<Issuer> {
    let party: Party = read(path)?;
    Ok(Issuer {
        id: IssuerId(party.id),
        name: party.name,
        key: party.key,
    })
}

/// Reads an auditor's public file.
pub fn auditor(path: &Path) -> anyhow::Result<Auditor> {
    let party: Party = read(path)?;
    Ok(Auditor {
        id: AuditorId(party.id),
        name: party.name,
        key: party.key,
    })
}

/// Reads a small file of JSON or TOML.
pub fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let name = path.display();
    let text = String::from_utf8(read_limited(path, MAX_FILE)?)
        .ok()
        .with_context(|| format!("{name}: not UTF-8 text"))?;
    if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|e| anyhow!("{name}: {e}"))
    } else {
        toml::from_str(&text).map_err(|e| anyhow!("{name}: {e}"))
    }
}
