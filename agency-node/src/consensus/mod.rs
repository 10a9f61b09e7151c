//! Agreement of the consortium's nodes on blocks: the Malachite engine, wrapped in this module
//! (design: `consensus.md`). Nothing outside of it and the network actor names an engine crate.
//!
//! - [`context`]: the types with which the engine is instantiated;
//! - [`signing`]: signatures that a light client verifies without the engine;
//! - [`codec`]: canonical encodings of all messages;
//! - [`limits`]: every size, in one place.

pub mod codec;
pub mod context;
pub mod limits;
pub mod signing;

pub use codec::Codec;
pub use context::Bureau;
