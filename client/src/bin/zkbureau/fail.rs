//! Errors as exit codes and messages.

use anyhow::Error;
use serde_json::json;
use zkbureau_client::audit::AuditError;
use zkbureau_client::borrower::{AssembleError, BorrowerError};
use zkbureau_client::files::FileError;
use zkbureau_client::lender::{AskError, VerifyAnswerError};
use zkbureau_client::node::NodeError;
use zkbureau_client::nodes::NodesError;
use zkbureau_client::wallet::WalletError;
use zkbureau_ledger::document::request::RequestError;

/// What kind of failure, and its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What was typed: a path, a fact, a passphrase.
    Usage,
    /// A document or proof.
    Invalid,
    /// A decision.
    Refused,
    /// Somebody is not there.
    Unavailable,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Invalid => 20,
            Self::Refused => 21,
            Self::Unavailable => 30,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Invalid => "invalid",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Prints an error; gives the exit code.
pub fn print(error: &Error, json: bool) -> u8 {
    let kind = kind(error);
    let message = format!("{error:#}");
    if json {
        let value = json!({
            "kind": "zkbureau.error/v1",
            "exit_code": kind.code(),
            "error": kind.name(),
            "message": message,
        });
        println!("{value:#}");
    } else {
        let name = match kind {
            Kind::Usage => "error",
            other => other.name(),
        };
        eprintln!("{name}: {message}");
    }
    kind.code()
}

fn kind(error: &Error) -> Kind {
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<VerifyAnswerError>() {
            return match error {
                VerifyAnswerError::OtherPerson => Kind::Usage,
                _ => Kind::Invalid,
            };
        }
        if let Some(error) = cause.downcast_ref::<BorrowerError>() {
            return borrower(error);
        }
        if let Some(error) = cause.downcast_ref::<NodesError>() {
            return nodes(error);
        }
        if let Some(error) = cause.downcast_ref::<AuditError>() {
            return match error {
                AuditError::Nodes(error) => nodes(error),
                AuditError::NotAnAuditor => Kind::Refused,
                AuditError::Schema => Kind::Invalid,
                _ => Kind::Usage,
            };
        }
        if let Some(error) = cause.downcast_ref::<WalletError>() {
            return wallet(error);
        }
        if let Some(error) = cause.downcast_ref::<FileError>() {
            return file(error);
        }
        if cause.downcast_ref::<AskError>().is_some() {
            return Kind::Usage;
        }
    }
    Kind::Usage
}

fn borrower(error: &BorrowerError) -> Kind {
    if error.is_refusal() {
        return Kind::Refused;
    }
    match error {
        BorrowerError::Nodes(error) => nodes(error),
        BorrowerError::Wallet(error) => wallet(error),
        BorrowerError::Request(RequestError::Query(_)) | BorrowerError::OtherPerson => {
            Kind::Invalid
        }
        BorrowerError::Request(_)
        | BorrowerError::State(_)
        | BorrowerError::NotShown
        | BorrowerError::Assemble(
            AssembleError::Statement(_) | AssembleError::Prove(_) | AssembleError::Authority(_),
        ) => Kind::Invalid,
        _ => Kind::Usage,
    }
}

fn nodes(error: &NodesError) -> Kind {
    match error {
        error if error.is_refusal() => Kind::Refused,
        // What was typed.
        NodesError::Node(NodeError::Url(_) | NodeError::Authorities(_)) | NodesError::NoNode => {
            Kind::Usage
        }
        // Nobody is left who might be honest. With one node that cannot be reached, it might be.
        error if error.is_invalid() => Kind::Invalid,
        _ => Kind::Unavailable,
    }
}

fn wallet(error: &WalletError) -> Kind {
    match error {
        WalletError::NoCertificate | WalletError::CertificateExpired { .. } => Kind::Refused,
        WalletError::CertificateChain
        | WalletError::CertificateKey
        | WalletError::CertificatePerson
        | WalletError::CertificateIssuer
        | WalletError::Format(_)
        | WalletError::Genesis(_) => Kind::Invalid,
        WalletError::File(error) => file(error),
        _ => Kind::Usage,
    }
}

fn file(error: &FileError) -> Kind {
    match error {
        FileError::Io { .. } => Kind::Usage,
        _ => Kind::Invalid,
    }
}
