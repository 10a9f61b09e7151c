//! What can be wrong when several nodes are asked.

use std::fmt;

use thiserror::Error;
use zkbureau_circuits::encoding::Digest32;
use zkbureau_ledger::ids::{Height, TimeMs};

use crate::node::NodeError;
use crate::time;

/// One node and why it was of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFailure {
    /// The node's address.
    pub url: String,
    /// What is wrong.
    pub error: NodeError,
}

impl fmt::Display for NodeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.error)
    }
}

/// No node could be used, or they say no.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NodesError {
    /// The list of nodes cannot be used.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// There is none to ask.
    #[error("name at least one node")]
    NoNode,
    /// No node gave an answer that holds.
    #[error("no node gave a usable {what}{}", list(failures))]
    Nobody {
        /// What was asked for.
        what: &'static str,
        /// Every node with its reason.
        failures: Vec<NodeFailure>,
    },
    /// The newest block that anybody proves is old.
    #[error(
        "stale: the newest block that any node proves is {height} of {}, {} ago, older than {}: the \
         chain stands still, or all these nodes are behind (--max-age sets the limit){}",
        time::show(*header), time::show_span(now.0.saturating_sub(header.0)),
        time::show_span(*limit_ms), list(failures)
    )]
    Stale {
        /// Height of that block.
        height: Height,
        /// Its time.
        header: TimeMs,
        /// This machine's time.
        now: TimeMs,
        /// How old it may be, in milliseconds.
        limit_ms: u64,
        /// What was wrong with other nodes.
        failures: Vec<NodeFailure>,
    },
    /// A block that was proven before is missing everywhere.
    #[error(
        "all nodes are behind: the newest block that any proves is {height}, block {seen} was seen \
         before{}",
        list(failures)
    )]
    Behind {
        /// Height of that block.
        height: Height,
        /// Height seen before.
        seen: Height,
        /// What was wrong with other nodes.
        failures: Vec<NodeFailure>,
    },
    /// Validators signed two chains.
    #[error(transparent)]
    Fork(Box<Fork>),
    /// Every node that could be asked refuses, and the ledger shows no trace of it.
    #[error("the ledger refused the transaction: {reason}{}", list(failures))]
    Refused {
        /// The first reason given.
        reason: String,
        /// The nodes and their reasons, where there are several.
        failures: Vec<NodeFailure>,
    },
    /// The transaction is not on the ledger yet.
    #[error(
        "the transaction is not final after {seconds} seconds; it may become so later{}",
        list(failures)
    )]
    NotFinal {
        /// Seconds waited.
        seconds: u64,
        /// What was wrong with nodes.
        failures: Vec<NodeFailure>,
    },
}

/// Two different headers of one height that are both certified.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "two different blocks {height} are certified, {} by {} and {} by {}: more than a third of the \
     validators signed both; trust nothing of this chain and tell the consortium",
    hex::encode(&first.1[..8]), first.0, hex::encode(&second.1[..8]), second.0
)]
pub struct Fork {
    /// The height.
    pub height: Height,
    /// A node, or what was seen before, and the header's hash.
    pub first: (String, Digest32),
    /// Another and its hash.
    pub second: (String, Digest32),
}

/// Every node with its reason, each on its line.
fn list(failures: &[NodeFailure]) -> String {
    failures.iter().map(|f| format!("\n  {f}")).collect()
}

impl NodesError {
    /// Whether somebody decided against it, as opposed to not being there or not working.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::Nobody { failures, .. } => {
                !failures.is_empty() && failures.iter().all(|f| f.error.is_refusal())
            }
            _ => false,
        }
    }

    /// Whether every node gave something that no honest node gives, or validators did.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        match self {
            Self::Fork(_) => true,
            Self::Nobody { failures, .. } => {
                !failures.is_empty() && failures.iter().all(|f| f.error.is_lie())
            }
            _ => false,
        }
    }

    /// The message on one line.
    #[must_use]
    pub fn line(&self) -> String {
        self.to_string().replace("\n  ", "; ")
    }

    /// The nodes that were of no use, with their reasons.
    #[must_use]
    pub fn failures(&self) -> &[NodeFailure] {
        match self {
            Self::Nobody { failures, .. }
            | Self::Stale { failures, .. }
            | Self::Behind { failures, .. }
            | Self::Refused { failures, .. }
            | Self::NotFinal { failures, .. } => failures,
            _ => &[],
        }
    }
}
