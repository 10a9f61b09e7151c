//! What travels over the administration socket: one JSON object per line. The command line sends
//! one [`Request`]; the node answers with any number of [`Event::Progress`] and then one
//! [`Event::Done`] or [`Event::Failed`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zkbureau_agency_node::vault::KeyKind;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_ledger::transaction::Proposal;

/// Longest line in bytes; a mapping travels in it.
pub const MAX_LINE: usize = 1 << 20;

/// What the command line asks of the node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Publish a file.
    Import(ImportRequest),
    /// Recompute commitments.
    VerifyVault {
        /// Only this agency.
        agency: Option<AgencyId>,
    },
    /// Height, agencies, peers, queues.
    Status,
    /// Copy a vault.
    Backup {
        /// Whose; needed only where one node runs several agencies.
        agency: Option<AgencyId>,
        /// Folder to create, by absolute path.
        out: PathBuf,
    },
    /// Vote for a proposal; its first vote opens it.
    Propose {
        /// The proposal.
        proposal: Proposal,
    },
    /// Vote for an open proposal.
    Vote {
        /// The first digits of its identifier.
        proposal: String,
    },
    /// Open proposals, and who takes part.
    Governance,
    /// Public keys.
    Keys,
    /// Make new keys and propose them.
    RotateKeys {
        /// Which.
        kinds: Vec<KeyKind>,
        /// Days until the proposal lapses.
        days: u32,
        /// Submit it; else only give it back.
        submit: bool,
    },
    /// Register a scorecard.
    RegisterCard {
        /// In whose name; needed only where one node runs several agencies.
        agency: Option<AgencyId>,
        /// The card as text.
        card: String,
    },
    /// Write a snapshot of the ledger.
    Snapshot {
        /// File to create, by absolute path.
        out: PathBuf,
    },
}

/// An import.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// Who publishes; needed only where one node runs several agencies.
    pub agency: Option<AgencyId>,
    /// The file, by absolute path.
    pub file: PathBuf,
    /// Text of the mapping.
    pub map: String,
    /// The period in which it is reported.
    pub period: Period,
    /// Publish although some rows are rejected.
    pub allow_rejects: bool,
    /// More files of the period follow.
    #[serde(default)]
    pub more_follows: bool,
    /// Close the period although records are withheld.
    #[serde(default)]
    pub close: bool,
    /// Publish nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Rows may change what is published.
    pub correct: bool,
}

/// A line from the node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// How far it is.
    Progress(Progress),
    /// Finished.
    Done {
        /// The answer; its shape depends on the request.
        result: Value,
    },
    /// Could not be carried out.
    Failed {
        /// What is wrong, for people.
        message: String,
        /// Whether the request itself is at fault.
        usage: bool,
    },
}

/// How far a long request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// How much of it.
    pub done: u64,
    /// Of how much, if that is known.
    pub total: Option<u64>,
}

/// A step of a long request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Another import is running.
    Waiting,
    /// Reading bytes.
    Reading,
    /// Checking parts.
    Checking,
    /// Publishing records.
    Publishing,
    /// Recomputing subjects' commitments.
    Verifying,
}

impl Step {
    /// For the progress bar.
    pub fn label(self) -> &'static str {
        match self {
            Self::Waiting => "waiting for another import",
            Self::Reading => "reading",
            Self::Checking => "checking",
            Self::Publishing => "publishing",
            Self::Verifying => "verifying",
        }
    }

    /// Whether the numbers are bytes.
    pub fn is_bytes(self) -> bool {
        matches!(self, Self::Reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_strict() {
        let status: Request = serde_json::from_str(r#"{"command":"status"}"#).expect("known");
        assert!(matches!(status, Request::Status));
        for bad in [
            r#"{"command":"stop"}"#,
            r#"{"command":"import","agency":1}"#,
            r#"{"command":"verify_vault","agency":1,"force":true}"#,
        ] {
            assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
        }
    }
}
