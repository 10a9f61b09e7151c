//! Agreement of the consortium's nodes on blocks: the Malachite engine, wrapped in this module
//! (design: `consensus.md`). Nothing outside of it and the network actor names an engine crate.
//!
//! - `context`: the types with which the engine is instantiated;
//! - `signing`: signatures that a light client verifies without the engine; `guard`: never two that contradict;
//! - `codec`: canonical encodings of all messages;
//! - `limits`: every size, in one place;
//! - `payloads`: proposed blocks on disk; `assembly`: in parts;
//! - `app`: makes, checks and commits blocks; `pace`: how fast and how large;
//! - `engine`: starts and stops it, `running` with its network; `meters`: what it does and how long it takes.

mod app;
pub mod assembly;
pub mod codec;
pub mod context;
mod engine;
mod error;
pub mod guard;
pub mod limits;
pub mod meters;
pub mod pace;
pub mod payloads;
mod running;
pub mod signing;

pub use codec::Codec;
pub use context::Bureau;
pub use engine::{Engine, EngineNetwork, Identity, Timing, start_on};
pub use error::ConsensusError;
pub use meters::Meters;
pub use running::{Running, start};
