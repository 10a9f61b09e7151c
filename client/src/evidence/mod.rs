//! The checks of evidence that wallet and lender share (spec: `ledger/spec/documents.md`, heading
//! "Answer").
//!
//! Both build the statement with the same calls, so a wallet accepts from the agencies exactly what
//! the lender will accept from the wallet:
//!
//! ```text
//! State::check       header certificate -> state root -> consortium, columns, anchor
//! check_authority    certificate, subject, consent, anchor, inquiry
//! Reading::check     per agency: directory proof under every key -> leaf -> log -> view
//! Statement::new     views -> plan; all agencies' images in one verification
//! ```

mod agency;
mod authority;
mod state;
mod statement;

pub use agency::Reading;
pub use authority::{AuthorityError, check_authority, check_certificate};
pub use state::{State, StateError};
pub use statement::{Statement, StatementError};

use zkbureau_circuits::directory::SubjectId;
use zkbureau_circuits::encoding::Digest32;
use zkbureau_circuits::fact::Query;
use zkbureau_ledger::document::request::FactRequest;

use crate::chain::Chain;

/// What evidence must be about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The chain.
    pub chain: &'a Chain,
    /// The request.
    pub request: &'a FactRequest,
    /// Its digest.
    pub digest: Digest32,
    /// Its facts, parsed and checked.
    pub query: &'a Query,
    /// The person.
    pub person: &'a SubjectId,
}
