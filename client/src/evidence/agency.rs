//! One agency's evidence: where the person stands in its directory, and what the leaf and the log
//! mean for the facts.

use zkbureau_circuits::directory::vrf_input;
use zkbureau_circuits::error::VerifyError;
use zkbureau_circuits::fact::View;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_ledger::document::evidence::AgencyEvidence;
use zkbureau_ledger::document::view::view;
use zkbureau_ledger::state::Leaf;

use super::{State, Subject};

/// What an agency's evidence shows, its images not yet checked.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    /// The evidence.
    pub evidence: &'a AgencyEvidence,
    /// The leaf, if the agency holds a record.
    pub leaf: Option<Leaf>,
    /// The period up to which the agency has published.
    pub published: Option<Period>,
    /// What it means for the facts.
    pub view: View<'a>,
}

impl<'a> Reading<'a> {
    /// Checks an agency's evidence against the state: the person's index under every directory key,
    /// what the tree holds there, and the log.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn check(
        about: &Subject<'_>,
        state: &State,
        evidence: &'a AgencyEvidence,
    ) -> Result<Self, VerifyError> {
        let id = evidence.agency;
        let agency = state.consortium.agency(id).ok_or(VerifyError)?;
        let keys = [agency.vrf_key];
        if evidence.directory.len() != keys.len() {
            return Err(VerifyError);
        }
        let input = vrf_input(about.chain.id().as_bytes(), about.person);
        let mut leaf = None;
        for (key, entry) in keys.iter().zip(&evidence.directory) {
            let index = key.verify(&input, &entry.vrf)?;
            let found = state
                .roots
                .leaf(id, &index, &entry.leaf)
                .map_err(|_| VerifyError)?;
            // A person has one leaf; a change of keys moves it.
            if found.is_some() && leaf.is_some() {
                return Err(VerifyError);
            }
            leaf = leaf.or(found);
        }
        let column = state.columns.get(id);
        let view = view(about.query, column, leaf.as_ref(), evidence.log.as_ref())?;
        Ok(Self {
            evidence,
            published: column.and_then(|column| column.closed),
            leaf,
            view,
        })
    }

    /// The agency.
    #[must_use]
    pub fn agency(&self) -> AgencyId {
        self.evidence.agency
    }
}
