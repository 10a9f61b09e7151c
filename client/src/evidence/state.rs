//! The state that evidence speaks about.

use std::sync::Arc;

use thiserror::Error;
use zkbureau_ledger::document::answer::StateEvidence;
use zkbureau_ledger::genesis::Consortium;
use zkbureau_ledger::ids::AnchorId;
use zkbureau_ledger::light::{LightError, TrustedHeader, TrustedRoots};
use zkbureau_ledger::state::{AnchorState, Columns};

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
}

impl State {
    /// Checks the header's certificate and the values under its state root.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn check(
        chain: &Chain,
        evidence: &StateEvidence,
        anchor: &AnchorId,
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
        Ok(Self {
            header,
            roots,
            rules,
            consortium,
            columns,
            anchor,
        })
    }
}
