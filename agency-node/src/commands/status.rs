//! `status`: height, agencies, queues.

use std::process::ExitCode;

use anyhow::Context;
use serde::Deserialize;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_ledger::ids::{ChainId, Height, TimeMs};

use super::{Outcome, admin, text};
use crate::admin::protocol::Request;
use crate::cli::Status;

#[derive(Deserialize)]
struct Answer {
    chain_id: ChainId,
    height: Height,
    time_ms: TimeMs,
    agencies: Vec<Agency>,
    waiting: Waiting,
    ready: Ready,
    #[serde(default)]
    peers: Vec<Peer>,
    pid: u32,
}

#[derive(Deserialize)]
struct Ready {
    ready: bool,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Peer {
    name: String,
    connected: bool,
    through: Vec<AgencyId>,
    height: Option<Height>,
}

#[derive(Deserialize)]
struct Agency {
    id: AgencyId,
    name: String,
    period: Option<Period>,
    leaves: u64,
    batches: u64,
    records: u64,
}

#[derive(Deserialize)]
struct Waiting {
    transactions: u64,
}

/// Asks the node.
pub fn run(args: &Status) -> Outcome {
    let data = args.place.find()?.data;
    let value = admin::request(&data, &Request::Status)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&value)?);
        return Ok(ExitCode::SUCCESS);
    }
    let status = Answer::deserialize(&value).context("the node's answer")?;
    println!(
        "chain {} · height {} · {} · pid {}",
        &status.chain_id.to_string()[..16],
        status.height,
        text::time(status.time_ms),
        status.pid
    );
    match (&status.ready.ready, &status.ready.reason) {
        (false, Some(reason)) => println!("not ready: {reason}"),
        _ => println!("ready"),
    }
    println!(
        "{} waiting for a block",
        text::counted(status.waiting.transactions, "transaction")
    );
    println!(
        "{:>6}  {:<24} {:>8} {:>12} {:>12} {:>8}",
        "agency", "name", "period", "leaves", "records", "batches"
    );
    for agency in &status.agencies {
        println!(
            "{:>6}  {:<24} {:>8} {:>12} {:>12} {:>8}",
            agency.id.0,
            agency.name,
            agency.period.map_or("-".to_owned(), |p| p.to_string()),
            text::count(agency.leaves),
            text::count(agency.records),
            text::count(agency.batches)
        );
    }
    for peer in &status.peers {
        let way = match (peer.connected, peer.through.first()) {
            (true, _) => "connected".to_owned(),
            (false, Some(through)) => format!("through {through}"),
            (false, None) => "not connected".to_owned(),
        };
        let height = peer.height.map_or("-".to_owned(), |h| h.to_string());
        println!("{:<24} {way}, height {height}", peer.name);
    }
    Ok(ExitCode::SUCCESS)
}
