//! `enrol`: the devnet's identity office certifies a wallet's request.

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use serde_json::json;
use zkbureau_circuits::encoding::Document;
use zkbureau_ledger::document::armour;
use zkbureau_ledger::document::enrolment::{EnrolmentCertificate, EnrolmentRequest};
use zkbureau_ledger::ids::{Day, IssuerId};
use zkbureau_ledger::keys::SecretKey;

use super::{Outcome, text};
use crate::cli::Enrol;
use crate::datadir::{DEVNET_ISSUER, DataDir, read_key, read_limited, write_public};
use zkbureau_agency_node::node::now;

/// Issues a certificate and says for whom.
pub fn run(args: &Enrol) -> Outcome {
    let data = DataDir::open(&args.data)?;
    let (genesis, _) = data.genesis()?;
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
    let key = SecretKey::from_seed(&*read_key(&data.issuer_key_file())?);
    let issuer = check_issuer(&genesis, &key)?;
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
fn check_issuer(
    genesis: &zkbureau_ledger::genesis::Genesis,
    key: &SecretKey,
) -> anyhow::Result<IssuerId> {
    let issuer = genesis.issuers.iter().find(|i| i.id.0 == DEVNET_ISSUER);
    match issuer {
        Some(issuer) if issuer.key == key.public() => Ok(issuer.id),
        _ => bail!("issuer.key is not the key of issuer {DEVNET_ISSUER} in the genesis file"),
    }
}
