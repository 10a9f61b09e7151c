//! `enrol`: an identity issuer certifies a wallet's request.

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use serde_json::json;
use zkbureau_circuits::encoding::Document;
use zkbureau_ledger::document::armour;
use zkbureau_ledger::document::enrolment::{EnrolmentCertificate, EnrolmentRequest};
use zkbureau_ledger::genesis::Genesis;
use zkbureau_ledger::ids::{Day, IssuerId};
use zkbureau_ledger::keys::SecretKey;

use super::{Outcome, text};
use crate::cli::Enrol;
use crate::datadir::{DataDir, read_genesis, read_key, read_limited, write_public};
use zkbureau_agency_node::node::now;

/// Issues a certificate and says for whom.
pub fn run(args: &Enrol) -> Outcome {
    let data = args.data.as_deref().map(DataDir::at);
    let genesis_file = match (&args.genesis, &data) {
        (Some(file), _) => file.clone(),
        (None, Some(data)) => data.genesis_file(),
        (None, None) => return Err(anyhow!("give --genesis FILE or --data DIR").into()),
    };
    let genesis = read_genesis(&genesis_file)?;
    let name = args.request.display();
    // Base64 is a third longer, and text may stand around it.
    let bytes = read_limited(&args.request, 2 * EnrolmentRequest::MAX_BYTES + (64 << 10))?;
    let request: EnrolmentRequest = armour::decode(&bytes).map_err(|e| anyhow!("{name}: {e}"))?;
    if request.chain != genesis.chain_id() {
        return Err(anyhow!("{name}: the request is for another chain").into());
    }
    request
        .verify()
        .map_err(|_| anyhow!("{name}: the request is not signed by the key that it names"))?;
    let key_file = match (&args.key, &data) {
        (Some(file), _) => file.clone(),
        (None, Some(data)) => data.issuer_key_file(),
        (None, None) => return Err(anyhow!("give --key FILE or --data DIR").into()),
    };
    let key = SecretKey::from_seed(&*read_key(&key_file)?);
    let issuer = match args.issuer {
        Some(id) => IssuerId(id),
        None => find_issuer(&genesis, &key).with_context(|| format!("{}", key_file.display()))?,
    };
    let expiry = Day(now().day().0.saturating_add(args.days));
    let certificate = EnrolmentCertificate::issue(&request, issuer, expiry, &key);
    write_public(&args.out, armour::encode(&certificate).as_bytes())?;

    let subject_key = request.subject_key.to_string();
    if args.json {
        println!(
            "{}",
            serde_json::to_string_pretty(&json!({
                "subject": { "id_type": request.subject.id_type(), "id": request.subject.id() },
                "subject_key": subject_key,
                "issuer": issuer,
                "valid_until": text::date(expiry),
                "certificate": args.out,
            }))?
        );
    } else {
        println!(
            "certified: {} {} speaks through key {}… until {}",
            request.subject.id_type(),
            request.subject.id(),
            &subject_key[..16],
            text::date(expiry)
        );
        println!("  certificate  {}", args.out.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The issuer whose key this is.
fn find_issuer(genesis: &Genesis, key: &SecretKey) -> anyhow::Result<IssuerId> {
    let public = key.public();
    let found = genesis.issuers.iter().find(|issuer| issuer.key == public);
    found.map(|issuer| issuer.id).context(
        "the genesis file has no issuer with this key; if governance added it, give --issuer N",
    )
}
