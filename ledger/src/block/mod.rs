//! Blocks, headers and certificates (spec: `ledger/spec/blocks.md`).

mod certificate;
mod header;
mod validators;

pub(crate) use certificate::vote_parts;
pub use certificate::{
    Certificate, CertificateError, SignedHeader, VoteKind, sign_any_vote, sign_vote, verify_vote,
    vote_bytes,
};
pub use header::{
    Block, Header, MAX_AHEAD_MS, MAX_BLOCK_BYTES, TimeAhead, check_time_ahead, transactions_root,
};
pub use validators::{Validator, ValidatorSet};
