//! `register-card`: a lender's scorecard on the ledger, in the agency's name.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use zkbureau_circuits::scorecard::Card;
use zkbureau_ledger::document::armour;

use super::{Outcome, admin};
use crate::admin::protocol::Request;
use crate::cli::RegisterCard;

/// Longest file: a card as text, and words around it.
const MAX_FILE: u64 = 256 * 1024;

/// Asks the node to register it.
pub fn run(args: &RegisterCard) -> Outcome {
    let data = args.place.find()?.data;
    let card = read(&args.file).with_context(|| args.file.display().to_string())?;
    let (agency, card) = (args.agency, armour::encode(&card));
    let value = admin::request(&data, &Request::RegisterCard { agency, card })?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&value)?);
    } else {
        let text = |field: &str| value[field].as_str().unwrap_or_default();
        println!("card {:?} is registered", text("name"));
        println!("  agency        {}", value["agency"]);
        println!("  content hash  {}", text("hash"));
        println!("  block         {}", value["height"]);
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> anyhow::Result<Card> {
    let mut text = Vec::new();
    File::open(file)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        bail!("a card's file has at most {MAX_FILE} bytes");
    }
    Ok(armour::decode(&text)?)
}
