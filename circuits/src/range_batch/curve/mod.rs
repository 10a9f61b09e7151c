//! The ristretto255 group for the hot loops of this argument and nothing else.
//!
//! `curve25519-dalek` keeps affine points, and so mixed addition (7 field products instead of 9),
//! to itself. Proving a batch is hundreds of thousands of additions of table entries, and verifying
//! one as many of decoded points, which are affine too; so the four things that cost, and only
//! they, are done here: sums from tables, fixed-base products, multi-scalar multiplication, and
//! the encoding. Everything else of the project uses dalek.
//!
//! - [`field`]: integers modulo 2^255 - 19, in constant time;
//! - [`point`]: the group law;
//! - [`ristretto`]: decoding (public data only) and encoding of many points;
//! - [`fixed`]: products with fixed generators, in constant time;
//! - [`subset`]: sums of subsets of fixed generators, by look-up;
//! - [`msm`]: multi-scalar multiplication of public data.
//!
//! Every file is tested against dalek, point by point.

pub(super) mod field;
pub(super) mod fixed;
pub(super) mod msm;
pub(super) mod point;
pub(super) mod ristretto;
pub(super) mod subset;
