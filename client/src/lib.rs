//! zkBureau for lenders, borrowers and regulators. The command `zkbureau` is a thin layer over
//! this library.
//!
//! Whoever a client talks to, it trusts only the genesis file: every header, state value, agency
//! reply and answer is checked from there.
//!
//! - [`chain`]: a trusted chain, and state proven under one of its headers;
//! - [`evidence`]: the checks that wallet and lender share;
//! - [`lender`]: make a request, verify an answer;
//! - [`wallet`]: a borrower's keys, certificate, consents and inquiries in one encrypted file;
//! - [`borrower`]: consent, inquire, ask the agencies, assemble the answer, revoke;
//! - [`report`]: a borrower's own records, checked against the ledger;
//! - [`audit`]: a regulator's totals;
//! - [`node`]: HTTP to one node; [`nodes`]: several, whose answers are verified before anybody sees
//!   them;
//! - [`show`]: facts, times and amounts in words.

pub mod audit;
pub mod borrower;
pub mod chain;
pub mod evidence;
pub mod files;
pub mod lender;
pub mod node;
pub mod nodes;
pub mod report;
pub mod score;
pub mod show;
pub mod time;
pub mod wallet;
