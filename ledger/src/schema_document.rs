//! The schema as a value of the registry.

use borsh::{BorshDeserialize, BorshSerialize};
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::schema::Schema;

/// A [`Schema`] with a version byte and a limit.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct SchemaDocument(pub(crate) Schema);

impl Document for SchemaDocument {
    const NAME: &'static str = "zkbureau/schema-document/v1";
    const MAX_BYTES: usize = 64 << 10;
}
