//! A borrower: looks at a request, consents, inquires, asks the agencies, assembles the answer,
//! revokes.
//!
//! ```text
//! review    what the request asks, in words; nothing leaves the machine
//! consent   sign -> store keys -> anchors on the ledger
//! inquire   take a free use -> store the nonce -> inquiry on the ledger -> state at its height
//! ask       one sealed ask per agency, all at once -> replies
//! assemble  check everything as the lender will, add up, prove, seal to the lender
//! revoke    every anchor of a consent
//! ```

mod anchors;
mod answer;
mod ask;
mod assemble;
mod consent;
mod inquiry;
mod review;
mod revoke;

use thiserror::Error;
use zkbureau_circuits::fact::{FactError, Query};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::document::consent::ConsentError;
use zkbureau_ledger::document::request::{FactRequest, RequestError};
use zkbureau_ledger::ids::TimeMs;

pub use anchors::{AnchorOnLedger, anchor_consent, anchors_on_ledger};
pub use answer::{Answered, Options as AnswerOptions, answer};
pub use ask::{Failure, Reply, ask_agencies};
pub use assemble::{AssembleError, Assembled, Rights, assemble};
pub use consent::{Allowed, Options as ConsentOptions, consent};
pub use inquiry::{Inquired, inquire};
pub use review::{FactInWords, Named, Review, review};
pub use revoke::{AnchorRevocation, revoke};

use crate::evidence::{AuthorityError, StateError};
use crate::nodes::NodesError;
use crate::wallet::{Wallet, WalletError};

/// A step of the borrower's did not happen.
#[derive(Debug, Error)]
pub enum BorrowerError {
    /// The wallet.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The request.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The request is about somebody else.
    #[error("the request is about another person than this wallet's")]
    OtherPerson,
    /// The nodes.
    #[error(transparent)]
    Nodes(#[from] NodesError),
    /// The state that nodes gave.
    #[error(transparent)]
    State(#[from] StateError),
    /// Certificate or consent as the ledger sees them.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A template cannot be read.
    #[error("template {number}, `{text}`: {error}")]
    Template {
        /// Which template, from 1.
        number: usize,
        /// As it was written.
        text: String,
        /// What is wrong, and where.
        error: FactError,
    },
    /// A number of the consent is outside its limits.
    #[error("{field}: {got} is outside 1..={limit}")]
    Limit {
        /// Which.
        field: &'static str,
        /// Largest value.
        limit: u64,
        /// The value given.
        got: u64,
    },
    /// No consent names this lender.
    #[error("no consent: this wallet has none for this lender; run `zkbureau wallet consent`")]
    NoConsent,
    /// The consent was revoked.
    #[error("no consent: the one for this lender ({0}) was revoked")]
    Revoked(String),
    /// All uses are taken.
    #[error("no consent: {id} is used up ({uses} of {uses})")]
    UsedUp {
        /// Identifier of the consent.
        id: String,
        /// Its uses.
        uses: usize,
    },
    /// The consent does not allow the request.
    #[error("out of scope of {id}: {error}")]
    Scope {
        /// Identifier of the consent.
        id: String,
        /// Which field.
        error: ConsentError,
    },
    /// There is no such consent.
    #[error("this wallet has no consent {0}")]
    UnknownConsent(String),
    /// The ledger shows another inquiry.
    #[error("the ledger shows another inquiry for this use of the consent")]
    NotShown,
    /// Agencies refused.
    #[error("refused by {}", list(.0))]
    RefusedByAgencies(Vec<AgencyId>),
    /// The answer cannot be made.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
}

impl BorrowerError {
    /// Whether somebody decided against it: the wallet itself, the ledger, an agency.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::NoConsent
            | Self::Revoked(_)
            | Self::UsedUp { .. }
            | Self::Scope { .. }
            | Self::RefusedByAgencies(_)
            | Self::Wallet(WalletError::NoCertificate | WalletError::CertificateExpired { .. })
            | Self::Authority(_) => true,
            Self::Nodes(error) => error.is_refusal(),
            _ => false,
        }
    }
}

fn list(agencies: &[AgencyId]) -> String {
    let names: Vec<String> = agencies.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// A consent's identifier as people write it.
#[must_use]
pub fn show_consent_id(id: &[u8; 16]) -> String {
    hex::encode(id)
}

/// Reads a consent's identifier, or enough of its beginning to name one consent of the wallet.
#[must_use]
pub fn find_consent(wallet: &Wallet, text: &str) -> Option<[u8; 16]> {
    let text = text.trim().to_ascii_lowercase();
    let mut matching = (wallet.consents().iter())
        .map(|c| *c.id())
        .filter(|id| text.len() >= 4 && show_consent_id(id).starts_with(&text));
    matching.next().filter(|_| matching.next().is_none())
}

/// Checks that a request is valid now, for this chain, and about this wallet's person.
///
/// # Errors
/// [`BorrowerError::Request`] or [`BorrowerError::OtherPerson`].
pub fn check_request(
    wallet: &Wallet,
    request: &FactRequest,
    now: TimeMs,
) -> Result<Query, BorrowerError> {
    let query = request.check(&wallet.chain_id(), &wallet.chain().rules().schema, now)?;
    let parties = &request.parties;
    (parties.subject)
        .verify(wallet.person(), &parties.subject_salt)
        .map_err(|_| BorrowerError::OtherPerson)?;
    Ok(query)
}
