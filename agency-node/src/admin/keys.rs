//! An agency's keys: showing the public ones, and proposing new ones.

use anyhow::{Context, anyhow};
use rand_core::OsRng;
use serde_json::{Value, json};
use zkbureau_agency_node::agency::Agency;
use zkbureau_agency_node::network::peer_id;
use zkbureau_agency_node::node::{Node, now};
use zkbureau_agency_node::vault::{AgencyKeys, KeyKind};
use zkbureau_ledger::RocksStore;
use zkbureau_ledger::ids::Day;
use zkbureau_ledger::transaction::{Change, NewKeys, Proposal, RotateKeys};

use super::{Failure, agency_of, governance};

/// Public keys: those in use, and the other sets in the vault, newest first.
pub fn show(agency: &Agency<RocksStore>) -> Result<Value, Failure> {
    let all = agency.vault().all_keys();
    let (active, others) = all.split_first().context("no keys")?;
    let standing = match agency.check_standing() {
        Ok(()) => "as on the ledger".to_owned(),
        Err(error) => error.to_string(),
    };
    Ok(json!({
        "agency": agency.id(),
        "standing": standing,
        "in_use": public(agency, active),
        "others": others.iter().map(|keys| public(agency, keys)).collect::<Vec<_>>(),
    }))
}

fn public(agency: &Agency<RocksStore>, keys: &AgencyKeys) -> Value {
    let public = keys.agency(agency.id(), "");
    json!({
        "validator": public.validator_key,
        "vrf": public.vrf_key,
        "sealing": public.sealing_key,
        "network": public.network_key,
        "peer_id": peer_id(&public.network_key).map(|peer| peer.to_string()),
    })
}

/// Makes new keys, durable in the vault, and the proposal that puts them in force.
pub fn new_keys(
    agency: &Agency<RocksStore>,
    kinds: &[KeyKind],
    days: u32,
) -> Result<Proposal, Failure> {
    if kinds.is_empty() {
        return Err(Failure::usage(anyhow!("name at least one key")));
    }
    let set = agency.vault().new_keys(kinds, &mut OsRng)?;
    let public = set.agency(agency.id(), "");
    let has = |kind| kinds.contains(&kind);
    let keys = NewKeys {
        validator: has(KeyKind::Validator).then_some(public.validator_key),
        vrf: has(KeyKind::Vrf).then_some(public.vrf_key),
        sealing: has(KeyKind::Sealing).then_some(public.sealing_key),
        network: has(KeyKind::Network).then_some(public.network_key),
    };
    let names: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    let change = RotateKeys::sign(
        agency.vault().chain(),
        agency.id(),
        keys,
        has(KeyKind::Validator).then(|| set.validator()),
        has(KeyKind::Network).then(|| set.network()),
    );
    Ok(Proposal {
        title: format!("new keys of {} ({})", agency.id(), names.join(", ")),
        expires: Day(now().day().0.saturating_add(days)),
        changes: vec![Change::RotateKeys(change)],
    })
}

/// Makes new keys and votes for them.
pub fn rotate(node: &Node, kinds: &[KeyKind], days: u32, submit: bool) -> Result<Value, Failure> {
    let agency = agency_of(node, None)?;
    let proposal = new_keys(agency, kinds, days)?;
    if submit {
        governance::propose(node, proposal)
    } else {
        Ok(serde_json::to_value(proposal)?)
    }
}
