//! `devnet init`: keys, genesis file, empty vaults.

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use rand_core::{OsRng, RngCore};
use zeroize::Zeroizing;
use zkbureau_agency_node::vault::{AgencyKeys, Vault};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::schema::Schema;
use zkbureau_ledger::genesis::{Auditor, Genesis, Issuer, Policies, Seat};
use zkbureau_ledger::ids::{AuditorId, IssuerId};
use zkbureau_ledger::keys::SecretKey;

use super::{Outcome, text};
use crate::cli::DevnetInit;
use crate::datadir::{
    DEVNET_AUDITOR, DEVNET_ISSUER, DataDir, passphrase_key, read_limited, write_key, write_public,
};
use zkbureau_agency_node::node::now;

/// Longest schema file.
pub const MAX_SCHEMA_FILE: usize = 1 << 20;

/// Makes a new network.
pub fn run(args: &DevnetInit) -> Outcome {
    // Everything that can be wrong with the arguments is found before anything is written.
    let schema = read_schema(&args.schema)?;
    if let Some(path) = &args.passphrase_file {
        passphrase_key(path)?;
    }
    let agencies: Vec<(AgencyId, AgencyKeys)> = (1..=args.agencies)
        .map(|n| (AgencyId(n), AgencyKeys::random(&mut OsRng)))
        .collect();
    let issuer = SecretKey::random(&mut OsRng);
    let auditor = SecretKey::random(&mut OsRng);
    let genesis = Genesis {
        name: args.name.clone(),
        time_ms: now(),
        agencies: agencies
            .iter()
            .map(|(id, keys)| keys.agency(*id, &format!("Agency {}", id.0)))
            .collect(),
        validators: vec![Seat {
            agency: AgencyId(1),
            power: 1,
        }],
        issuers: vec![Issuer {
            id: IssuerId(DEVNET_ISSUER),
            name: "devnet identity office".to_owned(),
            key: issuer.public(),
        }],
        auditors: vec![Auditor {
            id: AuditorId(DEVNET_AUDITOR),
            name: "devnet regulator".to_owned(),
            key: auditor.public(),
        }],
        observers: Vec::new(),
        schema,
        // Blocks come as fast as transactions do here, so a hundred of them can pass in seconds;
        // the ten minutes are what limits an inquiry.
        policies: Policies {
            answer_blocks: 2_000,
            kept_versions: 2_200,
            ..Policies::default()
        },
        score_key: args.score_key,
    };
    genesis.validate()?;

    let data = DataDir::create(&args.data)?;
    write_key(&data.issuer_key_file(), &issuer.to_seed())?;
    write_key(&data.auditor_key_file(), &auditor.to_seed())?;
    if args.passphrase_file.is_none() {
        let mut key = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(&mut *key);
        write_key(&data.vault_key_file(), &key)?;
    }
    let vault_key = data.vault_key(args.passphrase_file.as_deref())?;
    let chain = genesis.chain_id();
    for (id, keys) in &agencies {
        let path = data.vault(*id);
        std::fs::create_dir_all(data.agency(*id))
            .with_context(|| data.agency(*id).display().to_string())?;
        Vault::create(&path, &vault_key, &chain, *id, keys)
            .with_context(|| path.display().to_string())?;
    }
    // Last, because its presence says that the directory is complete.
    write_public(&data.genesis_file(), genesis.to_json().as_bytes())?;

    println!(
        "{} · chain {} · {} · schema version {} with {}",
        genesis.name,
        &chain.to_string()[..16],
        agencies_text(args.agencies),
        genesis.schema.version(),
        text::counted(genesis.schema.len() as u64, "attribute"),
    );
    println!("  genesis    {}", data.genesis_file().display());
    println!("  regulator  {}", data.auditor_key_file().display());
    println!(
        "next: agency-node devnet start --data {}",
        data.path().display()
    );
    Ok(ExitCode::SUCCESS)
}

fn agencies_text(n: u32) -> String {
    if n == 1 {
        "1 agency".to_owned()
    } else {
        format!("{n} agencies")
    }
}

/// Reads a schema: TOML, or the schema of a genesis file.
pub fn read_schema(path: &std::path::Path) -> anyhow::Result<Schema> {
    let bytes = read_limited(path, crate::datadir::MAX_GENESIS_FILE)?;
    if bytes.trim_ascii_start().starts_with(b"{") {
        return Genesis::from_json(&bytes)
            .map(|genesis| genesis.schema)
            .map_err(|e| anyhow!("{}: {e}", path.display()));
    }
    let name = path.display();
    if bytes.len() > MAX_SCHEMA_FILE {
        return Err(anyhow!("{name}: more than {MAX_SCHEMA_FILE} bytes"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| anyhow!("{name}: not UTF-8 text"))?;
    toml::from_str(text).map_err(|e| anyhow!("{name}: {e}"))
}
