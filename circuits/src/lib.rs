//! The mathematics of zkBureau: commitments to credit records and proofs about them.
//!
//! Prove and verify stand side by side. There is no disk, no network and no clock in this crate:
//! bytes and randomness come in, bytes and verdicts go out. Every relation has a page under
//! `circuits/spec/`, and the code follows the page heading by heading.
//!
//! - [`schema`]: attributes, their exact ranges and bit weights;
//! - [`generators`]: the nothing-up-my-sleeve bases;
//! - [`commitment`]: records, their two vector commitments, openings, blindings;
//! - [`range_batch`]: one argument that every value of a published batch is in range;
//! - [`fact`]: the request language, linear images and verdicts;
//! - [`directory`]: the verifiable random function that hides subject identifiers;
//! - [`audit`]: openings of column totals;
//! - [`scorecard`]: scores under public cards, in zero knowledge;
//! - [`ceremony`]: who made the keys of scorecards, checked when one is loaded.

pub mod audit;
pub mod ceremony;
pub mod commitment;
pub mod directory;
pub mod encoding;
pub mod error;
pub mod fact;
pub mod generators;
pub mod ids;
pub mod log;
pub mod period;
pub mod range_batch;
pub mod schema;
pub mod scorecard;
pub mod transcript;

pub use curve25519_dalek::ristretto::RistrettoPoint;
pub use curve25519_dalek::scalar::Scalar;
pub use merlin::Transcript;
