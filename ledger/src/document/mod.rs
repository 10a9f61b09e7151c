//! Documents that people and agencies exchange: enrolment, requests, consents, asks and answers
//! (spec: `ledger/spec/documents.md`).
//!
//! They are plain data with canonical encodings, digests and signature checks. Nothing here needs
//! the state machine, a network or a clock: whoever checks a document passes the time in.
//!
//! - [`enrolment`]: an identity issuer certifies a committed subject identifier and a key;
//! - [`request`]: what a lender asks;
//! - [`consent`]: what a borrower allows, as salted field hashes, so that each reader sees only its part;
//! - [`ask`]: what a wallet sends to an agency;
//! - [`evidence`]: what an agency gives back;
//! - [`answer`]: what the wallet assembles for the lender;
//! - [`audit`]: openings of column totals for regulators;
//! - [`sealed`]: public-key encryption of all of these;
//! - [`view`]: what an agency's public data mean for a request;
//! - [`armour`]: documents as text that can be mailed.

pub mod answer;
pub mod armour;
pub mod ask;
pub mod audit;
pub(crate) mod bounded;
pub mod consent;
pub mod enrolment;
pub mod evidence;
pub mod report;
pub mod request;
pub mod sealed;
pub mod view;
