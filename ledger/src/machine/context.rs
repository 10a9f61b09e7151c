//! What stateless checks know: the parts of the state that stand still while a block is checked.

use std::sync::OnceLock;

use zkbureau_circuits::range_batch::VerifyingKey;
use zkbureau_circuits::schema::Schema;

use crate::genesis::{Consortium, Genesis};
use crate::ids::ChainId;

/// Chain, consortium and schema.
pub struct Context {
    chain: ChainId,
    consortium: Consortium,
    schema: Schema,
    /// Derived when the first batch is checked: it takes a while, and readers need none.
    range_key: OnceLock<Option<VerifyingKey>>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({})", self.chain)
    }
}

impl Context {
    /// The context of a chain that starts with a (valid) genesis file.
    #[must_use]
    pub fn new(genesis: &Genesis) -> Self {
        Self {
            chain: genesis.chain_id(),
            consortium: genesis.consortium(),
            schema: genesis.schema.clone(),
            range_key: OnceLock::new(),
        }
    }

    /// The chain.
    #[must_use]
    pub fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// Who takes part.
    #[must_use]
    pub fn consortium(&self) -> &Consortium {
        &self.consortium
    }

    /// The schema in force.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The key for range arguments. None for a schema without attributes, which genesis refuses.
    pub(crate) fn range_key(&self) -> Option<&VerifyingKey> {
        self.range_key
            .get_or_init(|| {
                let slots = self.consortium.policies.max_batch_slots as usize;
                VerifyingKey::new(&self.schema, slots).ok()
            })
            .as_ref()
    }
}
