//! Scorecards that the node's agency registers, signed by its validator key.

use anyhow::anyhow;
use serde_json::{Value, json};
use zkbureau_agency_node::node::Node;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::scorecard::Card;
use zkbureau_ledger::document::armour;

use super::governance::wait;
use super::{Failure, agency_of};

/// Registers the card in a text.
pub fn register(node: &Node, agency: Option<AgencyId>, text: &str) -> Result<Value, Failure> {
    let agency = agency_of(node, agency)?;
    agency.check_standing()?;
    let card: Card =
        armour::decode(text.as_bytes()).map_err(|error| Failure::usage(anyhow!("{error}")))?;
    let (name, hash) = (card.name().to_owned(), card.content_hash());
    let queued = node
        .submit(agency.register_card(card))
        .map_err(|error| Failure::refused(anyhow!("{error}")))?;
    let height = wait(
        node,
        queued.hash,
        "the card is registered when a block has it; `zkbureau card show` tells",
    )?;
    tracing::info!(
        agency = agency.id().0,
        card = hex::encode(hash),
        "registered a card"
    );
    Ok(json!({
        "agency": agency.id(),
        "name": name,
        "hash": hex::encode(hash),
        "height": height,
    }))
}
