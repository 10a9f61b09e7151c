//! `init`: an agency's keys, configuration and public part.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use rand_core::{OsRng, RngCore};
use zeroize::Zeroizing;
use zkbureau_agency_node::config::{AgencyPart, Config, NO_CHAIN};
use zkbureau_agency_node::node::now;
use zkbureau_agency_node::vault::{AgencyKeys, Vault};

use super::Outcome;
use crate::cli::Init;
use crate::datadir::{
    DataDir, MAX_GENESIS_FILE, read_genesis, read_limited, write_key, write_public,
};

/// Makes an agency.
pub fn run(args: &Init) -> Outcome {
    // Everything that can be wrong with the arguments is found before anything is written.
    let text = configuration(args)?;
    let folder = std::path::absolute(&args.data)?;
    let config = Config::parse(&text, &folder).map_err(|e| anyhow!("{e}"))?;
    let chain = match &args.genesis {
        Some(file) => read_genesis(file)?.chain_id(),
        None => NO_CHAIN,
    };
    if args.passphrase_file.is_some() || args.passphrase_env.is_some() {
        config.vault.key()?;
    }

    let data = DataDir::create(&args.data)?;
    if !config.vault.passphrase {
        let mut key = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(&mut *key);
        write_key(&data.vault_key_file(), &key)?;
    }
    let keys = AgencyKeys::random(&mut OsRng);
    let path = data.vault(args.agency);
    std::fs::create_dir_all(data.agency(args.agency))
        .with_context(|| path.display().to_string())?;
    Vault::create(&path, &config.vault.key()?, &chain, args.agency, &keys)
        .with_context(|| path.display().to_string())?;
    write_public(&data.config_file(), text.as_bytes())?;
    if let Some(file) = &args.genesis {
        let bytes = read_limited(file, MAX_GENESIS_FILE)?;
        write_public(&data.genesis_file(), &bytes)?;
    }
    let agency = keys.agency(args.agency, &args.name);
    let part = AgencyPart::new(chain, now(), agency, &keys);
    // Last, because its presence says that the directory is complete.
    write_public(&data.part_file(), part.to_json().as_bytes())?;

    println!("{} · {}", args.name, args.agency);
    println!("  configuration  {}", data.config_file().display());
    println!("  public part    {}", data.part_file().display());
    println!("next: give the public part to the other agencies");
    Ok(ExitCode::SUCCESS)
}

/// The text of agency.toml.
fn configuration(args: &Init) -> anyhow::Result<String> {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let path = |file: &Path| -> anyhow::Result<String> {
        let file = std::path::absolute(file)?;
        let text = file.to_str().context("a file's path is not UTF-8")?;
        Ok(quoted(text))
    };
    let (secret, kind) = match (&args.passphrase_file, &args.passphrase_env) {
        (Some(file), _) => (format!("{{ file = {} }}", path(file)?), "passphrase"),
        (None, Some(name)) => (format!("{{ env = {} }}", quoted(name)), "passphrase"),
        (None, None) => ("{ file = \"vault.key\" }".to_owned(), "key"),
    };
    let tls = match (&args.tls_certificate, &args.tls_key) {
        (Some(certificate), Some(key)) => format!(
            "tls = {{ certificate = {}, key = {} }}",
            path(certificate)?,
            path(key)?
        ),
        _ if args.insecure_http => "insecure_http = true".to_owned(),
        _ => "# tls = { certificate = \"cert.pem\", key = \"key.pem\" }".to_owned(),
    };
    let mut text = format!(
        "# How this agency's node is run. Relative paths start at this file.\n\
         agency = {}\n\
         name = {}\n\
         data = \".\"\n\n\
         [vault]\n\
         secret = {secret}   # where it is, never the secret itself\n\
         kind = \"{kind}\"\n\n\
         [http]\n\
         listen = \"{}\"\n\
         {tls}\n\n\
         [p2p]\n\
         listen = \"{}\"\n\n\
         # Where the other agencies are reached: number = multiaddress.\n\
         [p2p.peers]\n",
        args.agency.0,
        quoted(&args.name),
        args.http,
        args.p2p,
    );
    for (agency, address) in &args.peer {
        writeln!(text, "{} = \"{address}\"", agency.0)?;
    }
    text.push_str("\n[log]\nformat = \"human\"\nlevel = \"info\"\n");
    Ok(text)
}
