//! What stateless checks know: the parts of the state that stand still while a block is checked.

use std::sync::{Arc, OnceLock};

use zkbureau_circuits::encoding::{Digest32, Document, hash_parts};
use zkbureau_circuits::range_batch::VerifyingKey;
use zkbureau_circuits::schema::Schema;
use zkbureau_params::domain;

use crate::genesis::{Consortium, Genesis};
use crate::ids::ChainId;

/// Names the rules that a transaction was checked by: chain, consortium and schema. Equal rules have
/// equal epochs, so a change that is taken back brings the old epoch back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(Digest32);

/// Chain, consortium and schema in force at one height.
pub struct Context {
    chain: ChainId,
    consortium: Arc<Consortium>,
    schema: Arc<Schema>,
    epoch: Epoch,
    /// Derived when the first batch is checked: it takes a while, and readers need none.
    range_key: Arc<OnceLock<Option<VerifyingKey>>>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({})", self.chain)
    }
}

impl Context {
    /// The context of a chain that starts with a (valid) genesis file, for its first block.
    #[must_use]
    pub fn new(genesis: &Genesis) -> Self {
        Self::of(
            genesis.chain_id(),
            genesis.consortium(),
            Arc::new(genesis.schema.clone()),
        )
    }

    /// The context of a consortium with its schema.
    pub(crate) fn of(chain: ChainId, consortium: Consortium, schema: Arc<Schema>) -> Self {
        // The consortium's encoding holds the schema's digest.
        let epoch = hash_parts(domain::CONTEXT, &[chain.as_bytes(), &consortium.to_bytes()]);
        Self {
            chain,
            consortium: Arc::new(consortium),
            schema,
            epoch: Epoch(epoch),
            range_key: Arc::default(),
        }
    }

    /// The context after a change. What is expensive and did not change is kept.
    pub(crate) fn amended(&self, consortium: Consortium, schema: Arc<Schema>) -> Self {
        let slots = consortium.policies.max_batch_slots;
        let same_key = slots == self.consortium.policies.max_batch_slots
            && consortium.schema == self.consortium.schema;
        let mut next = Self::of(self.chain, consortium, schema);
        if same_key {
            next.range_key = self.range_key.clone();
        }
        next
    }

    /// The chain.
    #[must_use]
    pub fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// Who takes part.
    #[must_use]
    pub fn consortium(&self) -> &Arc<Consortium> {
        &self.consortium
    }

    /// The schema in force.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Names these rules.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
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
