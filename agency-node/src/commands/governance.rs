//! `governance propose|vote|list`.

use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use serde_json::Value;
use zkbureau_agency_node::config::{AgencyPart, MAX_PART};
use zkbureau_agency_node::node::now;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::genesis::{Agency, Policies};
use zkbureau_ledger::ids::{AuditorId, ChainId, Day, Height, IssuerId, ProposalId};
use zkbureau_ledger::transaction::{Change, Proposal, ScoreKey, SetPower};

use super::{Outcome, admin, genesis, parties, text};
use crate::admin::protocol::Request;
use crate::cli::{Changes, Governance, GovernanceList, Propose, Vote};
use crate::datadir::{DataDir, read_limited};

/// A proposal as the node tells it.
#[derive(Debug, Deserialize)]
struct Open {
    proposal: ProposalId,
    title: String,
    expires: Day,
    changes: Vec<Change>,
    opened_by: AgencyId,
    votes: Vec<AgencyId>,
    power: u64,
    of: u64,
    adopted: Option<Height>,
}

/// Proposals, and what is in force.
#[derive(Debug, Deserialize)]
struct List {
    chain_id: ChainId,
    open: Vec<Open>,
    consortium: InForce,
}

#[derive(Debug, Deserialize)]
struct InForce {
    agencies: Vec<Agency>,
    policies: Policies,
}

/// Runs a command.
pub fn run(command: &Governance) -> Outcome {
    match command {
        Governance::Propose(args) => propose(args),
        Governance::Vote(args) => vote(args),
        Governance::List(args) => list(args),
    }
}

fn propose(args: &Propose) -> Outcome {
    let data = args.place.find()?.data;
    let proposal = match &args.file {
        Some(file) => parties::read(file)?,
        None => Proposal {
            title: args.title.clone().context("--title")?,
            expires: Day(now().day().0.saturating_add(args.days)),
            changes: changes(&args.changes, &data)?,
        },
    };
    let value = admin::request(&data, &Request::Propose { proposal })?;
    tell(&value, args.json)
}

fn vote(args: &Vote) -> Outcome {
    let data = args.place.find()?.data;
    let request = Request::Vote {
        proposal: args.proposal.clone(),
    };
    tell(&admin::request(&data, &request)?, args.json)
}

fn list(args: &GovernanceList) -> Outcome {
    let data = args.place.find()?.data;
    let value = admin::request(&data, &Request::Governance)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&value)?);
        return Ok(ExitCode::SUCCESS);
    }
    let list = List::deserialize(&value).context("the node's answer")?;
    if list.open.is_empty() {
        println!("no open proposals");
    }
    for open in &list.open {
        show(open)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a proposal that was voted for.
pub fn tell(value: &Value, json: bool) -> Outcome {
    if json {
        println!("{}", serde_json::to_string_pretty(value)?);
    } else {
        show(&Open::deserialize(value).context("the node's answer")?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(open: &Open) -> anyhow::Result<()> {
    println!("{}  {}", open.proposal, open.title);
    for change in &open.changes {
        println!("  {}", serde_json::to_string(change)?);
    }
    let votes: Vec<String> = open.votes.iter().map(|id| id.0.to_string()).collect();
    println!(
        "  opened by {} · votes of {} · power {} of {} · {}",
        open.opened_by,
        votes.join(", "),
        open.power,
        open.of,
        match open.adopted {
            Some(height) => format!("adopted at {height}"),
            None => format!("open until {}", text::date(open.expires)),
        }
    );
    Ok(())
}

/// The changes that the flags name, in the order in which they make sense.
fn changes(args: &Changes, data: &DataDir) -> anyhow::Result<Vec<Change>> {
    // What is in force is needed to change a part of it.
    let now = admin::request(data, &Request::Governance).map_err(|e| e.source)?;
    let now = List::deserialize(&now).context("the node's answer")?;
    let mut powers = args.power.clone();
    let mut take = |agency: AgencyId| {
        let at = powers.iter().position(|(id, _)| *id == agency)?;
        Some(powers.remove(at).1)
    };
    let mut changes = Vec::new();
    for file in &args.admit {
        let part = AgencyPart::from_json(&read_limited(file, MAX_PART)?, now.chain_id)
            .map_err(|e| anyhow!("{}: {e}", file.display()))?;
        let power = take(part.id()).unwrap_or(1);
        changes.push(Change::AdmitAgency(part.admission(power)));
    }
    for agency in &args.remove {
        changes.push(Change::RemoveAgency(*agency));
    }
    for (agency, power) in powers {
        if !now.consortium.agencies.iter().any(|a| a.id == agency) {
            bail!("--power {}={power}: there is no {agency}", agency.0);
        }
        changes.push(Change::SetPower(SetPower { agency, power }));
    }
    for file in &args.issuer {
        changes.push(Change::SetIssuer(parties::issuer(file)?));
    }
    let removed = args.remove_issuer.iter();
    changes.extend(removed.map(|id| Change::RemoveIssuer(IssuerId(*id))));
    for file in &args.auditor {
        changes.push(Change::SetAuditor(parties::auditor(file)?));
    }
    let removed = args.remove_auditor.iter();
    changes.extend(removed.map(|id| Change::RemoveAuditor(AuditorId(*id))));
    if let Some(file) = &args.new_schema {
        changes.push(Change::NewSchema(super::devnet_init::read_schema(file)?));
    }
    if let Some(file) = &args.policies {
        let policies = genesis::policies(file, now.consortium.policies)?;
        changes.push(Change::SetPolicies(policies));
    }
    if let Some(hash) = args.score_key {
        changes.push(Change::SetScoreKey(ScoreKey { hash: Some(hash) }));
    }
    if changes.is_empty() {
        bail!("a proposal changes something: name at least one change, or a FILE");
    }
    Ok(changes)
}
