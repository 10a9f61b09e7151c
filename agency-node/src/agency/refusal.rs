//! What is said to whoever asks, and what is not.
//!
//! To outsiders every refusal looks the same: a precise one would tell a stranger whether a person
//! is known here, or which step of a stolen consent failed. The precise reason goes to the
//! agency's own log, as a code without any text from the ask: the facts of an ask may hold a person's
//! income.

use std::fmt;

use thiserror::Error;
use zkbureau_circuits::error::DecodeError;
use zkbureau_ledger::document::consent::ConsentError;
use zkbureau_ledger::document::enrolment::CertificateError;
use zkbureau_ledger::document::request::RequestError;
use zkbureau_ledger::ids::Height;

/// Why no answer is given, as the asking side may know it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// The body is not an ask.
    #[error("{field}: {detail}")]
    Malformed {
        /// Which part.
        field: &'static str,
        /// Limit in bytes, when there is one.
        limit: Option<u64>,
        /// What is wrong.
        detail: String,
    },
    /// The asking side has no right to an answer. Always the same to outsiders.
    #[error("refused")]
    Refused(Refusal),
    /// The asking side has the right, and the agency has trouble.
    #[error("the agency cannot answer at the moment")]
    Unavailable,
}

impl AnswerError {
    pub(super) fn malformed(field: &'static str, error: &DecodeError) -> Self {
        let limit = match error {
            DecodeError::TooLong { limit, .. } => Some(*limit as u64),
            _ => None,
        };
        Self::Malformed {
            field,
            limit,
            detail: error.to_string(),
        }
    }
}

impl From<Refusal> for AnswerError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Why an ask is refused. For the agency's log by [`Refusal::code`], and for tests; never for the
/// asking side.
#[derive(Clone, PartialEq, Eq)]
pub enum Refusal {
    /// For another chain or agency.
    Address,
    /// The certificate names an issuer that the ledger does not have.
    Issuer,
    /// The certificate.
    Certificate(CertificateError),
    /// The identifier is not what the certificate commits to.
    Subject,
    /// The ask's signature.
    Signature,
    /// A report ask that is too old.
    Stale,
    /// No such block.
    Height,
    /// The inquiry's block is not here yet.
    NotYet {
        /// Height of the inquiry.
        inquiry: Height,
    },
    /// More blocks have passed than an answer may take.
    TooManyBlocks {
        /// Height of the inquiry.
        inquiry: Height,
        /// Height of the tip.
        tip: Height,
    },
    /// More time has passed than an answer may take.
    TooMuchTime,
    /// The request's terms.
    Request(RequestError),
    /// The request does not list this agency.
    NotAsked,
    /// The request was void when the inquiry was made.
    RequestExpired,
    /// The anchor is not on the ledger.
    NoAnchor,
    /// The anchor was not consumed, or at another height.
    NotConsumed,
    /// The inquiry is for another request.
    InquiryDigest,
    /// The anchor is for another consent or use.
    AnchorCommitment,
    /// The anchor was revoked.
    Revoked,
    /// The consent.
    Consent(ConsentError),
    /// The use's number is not below the consent's limit.
    UseNumber,
    /// Another anchor was answered under the same number.
    UseTaken,
    /// The consent was used too often within a day.
    Frequency,
    /// Too many different facts about this person.
    Budget,
    /// The audit is not on the ledger, or does not name this agency.
    NoAudit,
    /// A record on the ledger that rights depend on could not be read.
    Unreadable,
}

impl Refusal {
    /// A short name without personal data.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Issuer => "issuer",
            Self::Certificate(CertificateError::Chain) => "certificate-chain",
            Self::Certificate(CertificateError::Signature) => "certificate-signature",
            Self::Certificate(CertificateError::Expired { .. }) => "certificate-expired",
            Self::Subject => "subject",
            Self::Signature => "signature",
            Self::Stale => "stale",
            Self::Height => "height",
            Self::NotYet { .. } => "not-yet",
            Self::TooManyBlocks { .. } => "too-many-blocks",
            Self::TooMuchTime => "too-much-time",
            Self::Request(_) => "request",
            Self::NotAsked => "not-asked",
            Self::RequestExpired => "request-expired",
            Self::NoAnchor => "no-anchor",
            Self::NotConsumed => "not-consumed",
            Self::InquiryDigest => "inquiry-digest",
            Self::AnchorCommitment => "anchor-commitment",
            Self::Revoked => "revoked",
            Self::Consent(error) => match error {
                ConsentError::Hidden(_) => "consent-hidden-field",
                ConsentError::Malformed(_) => "consent-malformed",
                ConsentError::Signature => "consent-signature",
                ConsentError::Time { .. } => "consent-time",
                ConsentError::Agency(_) => "consent-agency",
                ConsentError::Fact(_) | ConsentError::Lookback { .. } => "consent-scope",
                _ => "consent",
            },
            Self::UseNumber => "use-number",
            Self::UseTaken => "use-taken",
            Self::Frequency => "frequency",
            Self::Budget => "budget",
            Self::NoAudit => "no-audit",
            Self::Unreadable => "unreadable",
        }
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refusal({})", self.code())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
