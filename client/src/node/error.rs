//! What can be wrong with one node.

use serde::Deserialize;
use thiserror::Error;
use zkbureau_ledger::ids::{Height, TimeMs};
use zkbureau_ledger::light::LightError;

use crate::{show, time};

/// Talking to one node failed, or what it says does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NodeError {
    /// The address is not one.
    #[error("`{0}` is not a node's address, such as http://127.0.0.1:7600 or https://node.example")]
    Url(String),
    /// The file of certificate authorities cannot be used.
    #[error("certificate authorities: {0}")]
    Authorities(String),
    /// The node cannot be reached or did not answer in time.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The node said no.
    #[error("{problem}")]
    Problem {
        /// HTTP status.
        status: u16,
        /// What the node says.
        problem: Box<Problem>,
        /// Seconds after which it wants to be asked again.
        retry_after_s: Option<u64>,
    },
    /// The reply is not what it should be.
    #[error("the reply is malformed: {0}")]
    Malformed(String),
    /// The reply is longer than it can be.
    #[error("the reply is longer than {limit} bytes")]
    TooLong {
        /// Limit in bytes.
        limit: u64,
    },
    /// A header, a proof or a change of validators does not hold.
    #[error("the {what} does not verify: {error}")]
    Proof {
        /// Of what.
        what: &'static str,
        /// Why.
        error: LightError,
    },
    /// A header of another height than was asked for.
    #[error("it gave the header of block {got} for that of block {asked}")]
    OtherHeight {
        /// The height asked for.
        asked: Height,
        /// That of the header.
        got: Height,
    },
    /// It said that a transaction is final, and the ledger does not show it.
    #[error("it says that the transaction is final, but the ledger does not show it")]
    NotShown,
    /// A sealed reply was not made for this ask.
    #[error("the agency's reply is not sealed to this ask, or malformed")]
    Reply,
    /// Its newest block is from the future.
    #[error("its newest block is of {}, ahead of this clock, {}", time::show(*header), time::show(*now))]
    Ahead {
        /// The header's time.
        header: TimeMs,
        /// This machine's.
        now: TimeMs,
    },
    /// Its newest block is old.
    #[error("it is behind: its newest block is {height} of {}, {} ago", time::show(*header), time::show_span(now.0.saturating_sub(header.0)))]
    Stale {
        /// Height of the block.
        height: Height,
        /// The header's time.
        header: TimeMs,
        /// This machine's.
        now: TimeMs,
    },
    /// It did not answer while others did.
    #[error("it has not answered yet")]
    Late,
}

impl NodeError {
    /// Whether somebody decided against the request, as opposed to not being there or not working.
    /// Nobody has proven that decision: another node may say otherwise.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Problem {
                status: 403 | 409 | 422,
                ..
            }
        )
    }

    /// Whether the node gave something that no honest node gives.
    #[must_use]
    pub fn is_lie(&self) -> bool {
        matches!(
            self,
            Self::Malformed(_)
                | Self::TooLong { .. }
                | Self::Proof { .. }
                | Self::OtherHeight { .. }
                | Self::NotShown
                | Self::Reply
        )
    }

    /// Whether the node is there and asks for patience.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Problem {
                status: 429 | 503 | 504,
                ..
            }
        )
    }
}

/// Why a node says no: RFC 9457, with the field and limit that a request broke.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Problem {
    /// Short name.
    #[serde(default)]
    pub title: String,
    /// What happened.
    #[serde(default)]
    pub detail: String,
    /// Which field of the request.
    #[serde(default)]
    pub field: Option<String>,
    /// The limit that it broke.
    #[serde(default)]
    pub limit: Option<serde_json::Value>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let said = if self.detail.is_empty() {
            &self.title
        } else {
            &self.detail
        };
        if said.is_empty() {
            f.write_str("the node gave no reason")?;
        } else {
            f.write_str(&clean(said))?;
        }
        if let Some(field) = self.field.as_ref().filter(|field| !said.contains(*field)) {
            write!(f, " (field {})", clean(field))?;
        }
        if let Some(limit) = &self.limit {
            let limit = limit.to_string();
            if !said.contains(limit.trim_matches('"')) {
                write!(f, " (limit {})", clean(limit.trim_matches('"')))?;
            }
        }
        Ok(())
    }
}

/// A node's words, short and without control characters.
pub(super) fn clean(text: &str) -> String {
    show::clean(text).chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_name_field_and_limit_once() {
        let problem = |detail: &str| Problem {
            title: "bad request".into(),
            detail: detail.into(),
            field: Some("facts".into()),
            limit: Some(serde_json::json!(16)),
        };
        assert_eq!(
            problem("too many").to_string(),
            "too many (field facts) (limit 16)"
        );
        assert_eq!(
            problem("facts: at most 16\u{1b}[31m").to_string(),
            "facts: at most 16[31m"
        );
        assert_eq!(Problem::default().to_string(), "the node gave no reason");
    }
}
