//! What an agency derives from the schema in force at a height.
//!
//! Answers speak about the height of an inquiry or of an audit, and whoever verifies them takes the schema from the
//! state of that height. So a new version of the schema changes nothing for what was asked before it.

use std::sync::{Arc, PoisonError};

use zkbureau_circuits::commitment::CommitmentKey;
use zkbureau_circuits::schema::Schema;
use zkbureau_ledger::Store;
use zkbureau_ledger::ids::Height;

use super::{Agency, AgencyError};
use crate::vault::Opener;

/// Versions that are kept ready. A new one comes by a vote, so there are few at a time.
pub(super) const KEPT: usize = 4;

/// A schema with the bases of its commitments, and what opens the agency's own.
pub(super) struct Rules {
    pub key: CommitmentKey,
    pub opener: Opener,
}

impl Rules {
    pub fn schema(&self) -> &Schema {
        self.key.schema()
    }
}

impl<S: Store> Agency<S> {
    /// The rules in force for the next block: batches follow them.
    pub(super) fn rules(&self) -> Arc<Rules> {
        self.rules_of(&self.ledger.schema())
    }

    /// The rules in the state after a height.
    pub(super) fn rules_at(&self, at: Height) -> Result<Arc<Rules>, AgencyError> {
        Ok(self.rules_of(&self.ledger.schema_at(at)?))
    }

    fn rules_of(&self, schema: &Schema) -> Arc<Rules> {
        let mut known = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.iter().find(|rules| rules.schema() == schema) {
            return found.clone();
        }
        let made = Arc::new(Rules {
            key: CommitmentKey::new(schema),
            opener: Opener::new(*self.chain(), self.id(), schema),
        });
        if known.len() >= KEPT {
            known.remove(0);
        }
        known.push(made.clone());
        made
    }
}
