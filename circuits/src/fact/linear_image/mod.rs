//! Linear images: one Schnorr proof that small commitments open to linear forms of published
//! values (spec: `circuits/spec/linear_image.md`).

mod prove;
mod statement;
#[cfg(test)]
mod tests;
mod verify;

pub use prove::prove;
pub use statement::{Images, LinearImageProof};
pub use verify::{verify, verify_batch};
