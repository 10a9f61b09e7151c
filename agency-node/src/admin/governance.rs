//! Proposals and votes of the node's agency, signed by its validator key.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use zkbureau_agency_node::node::{Node, Standing};
use zkbureau_ledger::ids::{ProposalId, TxHash};
use zkbureau_ledger::transaction::{GovernanceVote, Proposal, Transaction};

use super::{Failure, agency_of};

/// How long a vote is waited for until it is in a block.
const PATIENCE: Duration = Duration::from_secs(60);
/// Fewest digits of an identifier that name a proposal: whoever opens one chooses its title, so he can search for an
/// identifier that begins like another with few digits.
const MIN_DIGITS: usize = 16;

/// Votes for a proposal; the first vote opens it.
pub fn propose(node: &Node, proposal: Proposal) -> Result<Value, Failure> {
    let agency = agency_of(node, None).map_err(|_| {
        Failure::usage(anyhow!(
            "a sandbox runs all agencies and takes no votes; governance needs a node per agency"
        ))
    })?;
    agency.check_standing()?;
    let id = proposal.id();
    let vote = GovernanceVote::sign(
        node.ledger.chain_id(),
        agency.id(),
        proposal,
        agency.keys().validator(),
    );
    let queued = node
        .submit(Transaction::from(vote))
        .map_err(|e| Failure::refused(anyhow!("{e}")))?;
    let height = wait(
        node,
        queued.hash,
        "`agency-node governance list` tells when the vote counts",
    )?;
    let mut value = describe(node, id)?;
    value["height"] = json!(height);
    Ok(value)
}

/// Votes for an open proposal.
pub fn vote(node: &Node, digits: &str) -> Result<Value, Failure> {
    if digits.len() < MIN_DIGITS {
        return Err(Failure::usage(anyhow!(
            "give at least {MIN_DIGITS} digits of the proposal's identifier"
        )));
    }
    let tip = node.ledger.tip().height;
    let open = node.ledger.open_proposals(tip)?;
    let fits: Vec<ProposalId> = open
        .0
        .iter()
        .map(|open| open.id)
        .filter(|id| id.to_string().starts_with(&digits.to_lowercase()))
        .collect();
    let [id] = fits[..] else {
        let count = fits.len();
        return Err(Failure::usage(anyhow!(
            "{count} open proposals begin with {digits}; `agency-node governance list` shows them"
        )));
    };
    let state = node.ledger.proposal(tip, id)?;
    propose(node, state.context("the proposal has gone")?.proposal)
}

/// Open proposals, and who takes part.
pub fn list(node: &Node) -> Result<Value, Failure> {
    let tip = node.ledger.tip();
    let mut open = Vec::new();
    for proposal in node.ledger.open_proposals(tip.height)?.0 {
        if proposal.expires >= tip.time_ms.day() {
            open.push(describe(node, proposal.id)?);
        }
    }
    Ok(json!({
        "height": tip.height,
        "chain_id": node.ledger.chain_id(),
        "open": open,
        "consortium": &*node.ledger.consortium(),
    }))
}

/// A proposal with its votes.
fn describe(node: &Node, id: ProposalId) -> Result<Value, Failure> {
    let tip = node.ledger.tip().height;
    let state = node
        .ledger
        .proposal(tip, id)?
        .context("the proposal is not on the ledger")?;
    let validators = node.ledger.consortium().validator_set();
    let voters = || state.voters(&validators);
    let power: u128 = voters().map(|v| u128::from(v.power)).sum();
    let votes: Vec<_> = voters().map(|v| v.agency).collect();
    Ok(json!({
        "proposal": id,
        "title": state.proposal.title,
        "expires": state.proposal.expires,
        "changes": state.proposal.changes,
        "opened_by": state.opened_by,
        "votes": votes,
        "power": u64::try_from(power).unwrap_or(u64::MAX),
        "of": u64::try_from(validators.total_power()).unwrap_or(u64::MAX),
        "adopted": state.adopted,
    }))
}

/// Waits until a transaction is in a block.
///
/// # Errors
/// That it was refused, or has not come in [`PATIENCE`], with `later` about how to go on.
pub fn wait(node: &Node, hash: TxHash, later: &'static str) -> Result<u64, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match node.standing(hash)? {
            Standing::Final { height } => return Ok(height.0),
            Standing::Refused { reason } => return Err(Failure::refused(anyhow!(reason))),
            Standing::Pending | Standing::Unknown => {}
        }
        if node.is_stopping() || Instant::now() >= deadline {
            return Err(Failure::refused(anyhow!(
                "handed in, but not in a block yet: {later}"
            )));
        }
        let soon = Instant::now() + Duration::from_millis(200);
        drop(node.wait_change(node.pool(), soon));
    }
}
