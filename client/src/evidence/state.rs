//! The state that evidence speaks about.

use std::sync::Arc;

use thiserror::Error;
use zkbureau_ledger::document::answer::StateEvidence;
use zkbureau_ledger::document::request::FactRequest;
use zkbureau_ledger::genesis::Consortium;
use zkbureau_ledger::ids::AnchorId;
use zkbureau_ledger::light::{LightError, TrustedHeader, TrustedRoots};
use zkbureau_ledger::state::{AnchorState, CardState, Columns};

use crate::chain::{Chain, Rules};

/// State values under one trusted header.
#[derive(Debug)]
pub struct State {
    /// The header.
    pub header: TrustedHeader,
    /// The tree roots under it.
    pub roots: TrustedRoots,
    /// The schema in force, and the bases of commitments.
    pub rules: Arc<Rules>,
    /// The consortium.
    pub consortium: Consortium,
    /// The columns of all agencies.
    pub columns: Columns,
    /// The anchor of the inquiry.
    pub anchor: AnchorState,
    /// The cards of the request, as they are registered.
    pub cards: Vec<CardState>,
}

/// The state does not follow from the genesis file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StateError {
    /// The header or its certificate.
    #[error("the block header is not one of this chain: {0}")]
    Header(LightError),
    /// A proof under the header.
    #[error("the state's proof of the {0} does not verify")]
    Proof(&'static str),
    /// The schema in force there is unknown here.
    #[error("the ledger's schema at this block is not known here: name a node with --node")]
    Schema,
    /// There is no such anchor.
    #[error("the consent's anchor is not on the ledger")]
    NoAnchor,
    /// A card of the request is not registered.
    #[error("the card {0:?} is not registered on the ledger")]
    NoCard(String),
}

impl State {
    /// Checks the header's certificate and the values under its state root: also that the cards that
    /// came with the request are registered.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn check(
        chain: &Chain,
        evidence: &StateEvidence,
        anchor: &AnchorId,
        request: &FactRequest,
    ) -> Result<Self, StateError> {
        let header = chain
            .verify_header(&evidence.header)
            .map_err(StateError::Header)?;
        let roots = header
            .roots(&evidence.roots)
            .map_err(|_| StateError::Proof("tree roots"))?;
        let consortium = roots
            .consortium(&evidence.consortium)
            .map_err(|_| StateError::Proof("consortium"))?;
        let rules = chain
            .rules_of(&consortium.schema)
            .ok_or(StateError::Schema)?;
        let columns = roots
            .columns(&evidence.columns)
            .map_err(|_| StateError::Proof("columns"))?;
        let anchor = roots
            .anchor(*anchor, &evidence.anchor)
            .map_err(|_| StateError::Proof("anchor"))?
            .ok_or(StateError::NoAnchor)?;
        if evidence.cards.len() != request.cards.len() {
            return Err(StateError::Proof("cards"));
        }
        let cards = (request.cards.iter().zip(&evidence.cards))
            .map(|(card, proof)| {
                roots
                    .card(&card.content_hash(), proof)
                    .map_err(|_| StateError::Proof("cards"))?
                    .ok_or_else(|| StateError::NoCard(card.name().to_owned()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            header,
            roots,
            rules,
            consortium,
            columns,
            anchor,
            cards,
        })
    }
}
