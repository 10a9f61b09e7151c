//! `genesis`: several agencies' public parts become one genesis file. The same files give the same bytes in
//! whatever order they are named, so the agencies compare nothing but the chain.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use serde_json::json;
use zkbureau_agency_node::config::{AgencyPart, MAX_PART, NO_CHAIN};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::genesis::{Genesis, Policies, Seat};
use zkbureau_ledger::ids::TimeMs;

use super::devnet_init::read_schema;
use super::{Outcome, parties, text};
use crate::cli;
use crate::datadir::{Located, read_limited, write_public};

/// Writes the genesis file.
pub fn run(args: &cli::Genesis) -> Outcome {
    let genesis = combine(args)?;
    let file = match &args.out {
        Some(file) => file.clone(),
        None => Located::find(args.data.as_deref(), args.config.as_deref())?
            .data
            .genesis_file(),
    };
    write_public(&file, genesis.to_json().as_bytes())?;
    let chain = genesis.chain_id();
    if args.json {
        let value = json!({
            "chain_id": chain,
            "agencies": genesis.agencies.len(),
            "validators": genesis.validators.len(),
            "genesis": file,
        });
        println!("{}", serde_json::to_string_pretty(&value)?);
    } else {
        println!("{} · chain {chain}", genesis.name);
        for agency in &genesis.agencies {
            let seat = genesis.validators.iter().find(|s| s.agency == agency.id);
            let power = seat.map_or("no seat".to_owned(), |s| format!("power {}", s.power));
            println!("  {:>6}  {:<24} {power}", agency.id.0, agency.name);
        }
        println!(
            "  schema version {} with {}, {}, {}",
            genesis.schema.version(),
            text::counted(genesis.schema.len() as u64, "attribute"),
            text::counted(genesis.issuers.len() as u64, "issuer"),
            text::counted(genesis.auditors.len() as u64, "auditor"),
        );
        println!("  genesis  {}", file.display());
        println!("next: the others run the same and must get the same chain");
    }
    Ok(ExitCode::SUCCESS)
}

fn combine(args: &cli::Genesis) -> anyhow::Result<Genesis> {
    let mut parts: BTreeMap<AgencyId, (&Path, AgencyPart)> = BTreeMap::new();
    for file in &args.parts {
        let name = file.display();
        let part = AgencyPart::from_json(&read_limited(file, MAX_PART)?, NO_CHAIN)
            .map_err(|e| anyhow!("{name}: {e}"))?;
        for (other, known) in parts.values() {
            let same =
                |field: &str| anyhow!("{name}: agency.{field}: the same as in {}", other.display());
            let (a, b) = (&part.agency, &known.agency);
            if a.id == b.id {
                return Err(same("id"));
            }
            if a.name == b.name {
                return Err(same("name"));
            }
            if a.validator_key == b.validator_key {
                return Err(same("validator_key"));
            }
            if a.vrf_key == b.vrf_key {
                return Err(same("vrf_key"));
            }
            if a.sealing_key == b.sealing_key {
                return Err(same("sealing_key"));
            }
            if a.network_key == b.network_key {
                return Err(same("network_key"));
            }
        }
        parts.insert(part.id(), (file, part));
    }
    let mut powers: BTreeMap<AgencyId, u64> = parts.keys().map(|id| (*id, 1)).collect();
    for (id, power) in &args.power {
        match powers.get_mut(id) {
            Some(known) => *known = *power,
            None => bail!("--power {}={power}: no part is of {id}", id.0),
        }
    }
    let mut issuers = each(&args.issuer, parties::issuer)?;
    issuers.sort_by_key(|issuer| issuer.id);
    let mut auditors = each(&args.auditor, parties::auditor)?;
    auditors.sort_by_key(|auditor| auditor.id);
    let time = parts.values().map(|(_, part)| part.made_ms).max();
    let genesis = Genesis {
        name: args.name.clone(),
        time_ms: time.unwrap_or(TimeMs(1)),
        agencies: parts.into_values().map(|(_, part)| part.agency).collect(),
        validators: powers
            .into_iter()
            .filter(|(_, power)| *power > 0)
            .map(|(agency, power)| Seat { agency, power })
            .collect(),
        issuers,
        auditors,
        observers: Vec::new(),
        schema: read_schema(&args.schema)?,
        policies: match &args.policies {
            Some(file) => policies(file, Policies::default())?,
            None => Policies::default(),
        },
        score_key: args.score_key,
    };
    genesis.validate()?;
    Ok(genesis)
}

fn each<T>(
    files: &[std::path::PathBuf],
    read: impl Fn(&Path) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    files.iter().map(|file| read(file)).collect()
}

/// Policies with those of a file in place of others.
pub fn policies(file: &Path, base: Policies) -> anyhow::Result<Policies> {
    let name = file.display();
    let changes: serde_json::Map<String, serde_json::Value> = parties::read(file)?;
    let mut all = serde_json::to_value(base)?;
    for (key, value) in changes {
        if all.get(&key).is_none() {
            let known: Vec<String> = all
                .as_object()
                .map(|o| o.keys().cloned().collect())
                .unwrap_or_default();
            let hint = zkbureau_prover::nearest::hint(&key, known.iter().map(String::as_str));
            bail!("{name}: {key}: there is no such policy{hint}");
        }
        all[&key] = value;
    }
    serde_json::from_value(all).map_err(|e| anyhow!("{name}: {e}"))
}
