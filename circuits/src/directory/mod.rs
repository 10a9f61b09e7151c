//! The directory: where a subject's leaf stands in an agency's tree, and how one proves it
//! (spec: `circuits/spec/directory.md`).
//!
//! ```text
//! input  = domain ‖ chain ‖ |id_type| ‖ id_type ‖ id        canonical subject identifier
//! index  = β[..32],  β = ECVRF-RISTRETTO255-SHA512(agency's secret key, input)
//! commitment = SHA-256(domain ‖ canonical subject id ‖ salt)
//! ```
//!
//! Only the agency can compute an index, so nobody can look for a person in a tree by guessing
//! identifiers; and there is one index per person and key, so an agency cannot hide a leaf behind a
//! second one.

mod commitment;
mod subject;
mod vrf;

pub use commitment::{SubjectCommitment, SubjectSecret};
pub use subject::{MAX_ID, MAX_ID_TYPE, SubjectId, SubjectIdError};
pub use vrf::{Index, VrfInput, VrfProof, VrfPublicKey, VrfSecretKey, vrf_input};
