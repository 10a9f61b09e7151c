//! HTTP to any node. Nothing that a node says is trusted: bytes become documents, and whoever uses
//! them checks them against the genesis file.

use std::io::Read as _;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::error::DecodeError;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::block::SignedHeader;
use zkbureau_ledger::document::audit::AuditAsk;
use zkbureau_ledger::document::sealed::{MAX_SEALED, Sealed};
use zkbureau_ledger::genesis::Consortium;
use zkbureau_ledger::ids::{AnchorId, AuditId, Height, TxHash};
use zkbureau_ledger::light::{LightError, TrustedHeader, TrustedRoots};
use zkbureau_ledger::state::{Party, RegistryKey, RegistryProof, Roots};
use zkbureau_ledger::transaction::Transaction;

use crate::chain::Chain;
use crate::show;

/// How long one exchange may take.
pub const EXCHANGE: Duration = Duration::from_secs(30);
/// How long a transaction may take to become final.
pub const FINALITY: Duration = Duration::from_secs(90);
/// Milliseconds that one look at a transaction waits for it.
const WAIT_MS: u64 = 10_000;
/// Longest JSON reply or error in bytes.
const MAX_JSON: u64 = 256 * 1024;

/// Talking to a node failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NodeError {
    /// The address is not one.
    #[error("`{0}` is not a node's address, such as http://127.0.0.1:7600")]
    Url(String),
    /// The node cannot be reached or did not answer in time.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// The node.
        url: String,
        /// Why.
        reason: String,
    },
    /// The node said no.
    #[error("{problem}")]
    Problem {
        /// HTTP status.
        status: u16,
        /// What the node says.
        problem: Problem,
    },
    /// The reply is not what it should be.
    #[error("the node's reply is malformed: {0}")]
    Malformed(String),
    /// The reply is longer than it can be.
    #[error("the node's reply is longer than {limit} bytes")]
    TooLong {
        /// Limit in bytes.
        limit: u64,
    },
    /// The ledger did not take the transaction.
    #[error("the ledger refused the transaction: {0}")]
    Refused(String),
    /// The transaction is not final yet.
    #[error("the transaction is not final after {seconds} seconds; it may become so later")]
    NotFinal {
        /// Seconds waited.
        seconds: u64,
    },
    /// The node's proofs do not hold.
    #[error("the node's {what} does not verify: {error}")]
    Proof {
        /// Of what.
        what: &'static str,
        /// Why.
        error: LightError,
    },
}

impl NodeError {
    /// Whether somebody decided against the request, as opposed to not being there or not working.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Problem { status, .. } => matches!(status, 403 | 409 | 422),
            _ => false,
        }
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
fn clean(text: &str) -> String {
    show::clean(text).chars().take(500).collect()
}

/// State at one height, as far as the node has proven it.
#[derive(Debug)]
pub struct ProvenState {
    /// The header as it was sent.
    pub signed: SignedHeader,
    /// The header, verified.
    pub header: TrustedHeader,
    /// The tree roots as they were sent.
    pub roots_sent: Roots,
    /// The tree roots, verified.
    pub roots: TrustedRoots,
}

/// A node's HTTP interface.
#[derive(Clone, Debug)]
pub struct Node {
    url: String,
    agent: ureq::Agent,
}

#[derive(Deserialize)]
struct Submitted {
    hash: TxHash,
}

#[derive(Deserialize)]
struct TransactionStatus {
    status: String,
    #[serde(default)]
    height: Option<Height>,
    #[serde(default)]
    reason: Option<String>,
}

impl Node {
    /// A node at an address such as `http://127.0.0.1:7600`.
    ///
    /// # Errors
    /// [`NodeError::Url`].
    pub fn new(url: &str) -> Result<Self, NodeError> {
        let trimmed = url.trim().trim_end_matches('/');
        let host = trimmed.strip_prefix("http://").unwrap_or_default();
        if host.is_empty() || host.contains(['/', '@', ' ', '?', '#']) {
            return Err(NodeError::Url(url.to_owned()));
        }
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(EXCHANGE))
            .timeout_connect(Some(Duration::from_secs(5)))
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .into();
        Ok(Self {
            url: trimmed.to_owned(),
            agent,
        })
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    fn unreachable(&self, reason: impl std::fmt::Display) -> NodeError {
        NodeError::Unreachable {
            url: self.url.clone(),
            reason: clean(&reason.to_string()),
        }
    }

    /// One exchange; a body makes it a POST. Gives the body of a 2xx reply.
    fn exchange(&self, path: &str, body: Option<&[u8]>, limit: u64) -> Result<Vec<u8>, NodeError> {
        let url = format!("{}{path}", self.url);
        let mut response = match body {
            None => self.agent.get(&url).call(),
            Some(body) => self
                .agent
                .post(&url)
                .header("content-type", "application/octet-stream")
                .send(body),
        }
        .map_err(|e| self.unreachable(e))?;
        let status = response.status().as_u16();
        let limit = if (200..300).contains(&status) {
            limit
        } else {
            MAX_JSON
        };
        let mut bytes = Vec::new();
        response
            .body_mut()
            .as_reader()
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| self.unreachable(e))?;
        if bytes.len() as u64 > limit {
            return Err(NodeError::TooLong { limit });
        }
        if (200..300).contains(&status) {
            return Ok(bytes);
        }
        let problem = serde_json::from_slice(&bytes).unwrap_or_else(|_| Problem {
            title: format!("the node replied with status {status}"),
            ..Problem::default()
        });
        Err(NodeError::Problem { status, problem })
    }

    fn json<T: DeserializeOwned>(&self, path: &str, body: Option<&[u8]>) -> Result<T, NodeError> {
        let bytes = self.exchange(path, body, MAX_JSON)?;
        serde_json::from_slice(&bytes).map_err(|e| NodeError::Malformed(clean(&e.to_string())))
    }

    fn document<T: Document>(&self, path: &str, body: Option<&[u8]>) -> Result<T, NodeError> {
        let bytes = self.exchange(path, body, T::MAX_BYTES as u64)?;
        T::from_bytes(&bytes).map_err(|e: DecodeError| NodeError::Malformed(e.to_string()))
    }

    /// Hands a transaction in and waits until it is final; gives its height, which is the node's
    /// word until proofs at that height confirm it.
    ///
    /// # Errors
    /// [`NodeError::Refused`], at once or when its turn comes.
    pub fn submit(&self, transaction: &Transaction) -> Result<Height, NodeError> {
        let hash = self.hand_in(transaction)?;
        self.wait(hash)
    }

    /// Hands a transaction in without waiting.
    ///
    /// # Errors
    /// [`NodeError::Refused`] when it is refused at once.
    pub fn hand_in(&self, transaction: &Transaction) -> Result<TxHash, NodeError> {
        let Submitted { hash } = self
            .json("/v1/transactions", Some(&transaction.to_bytes()))
            .map_err(|error| match error {
                NodeError::Problem {
                    status: 409 | 422,
                    problem,
                } => NodeError::Refused(problem.to_string()),
                other => other,
            })?;
        if hash != transaction.hash() {
            return Err(NodeError::Malformed("the hash is another one".into()));
        }
        Ok(hash)
    }

    /// Waits until a transaction is final.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn wait(&self, hash: TxHash) -> Result<Height, NodeError> {
        let start = Instant::now();
        while start.elapsed() < FINALITY {
            let asked = Instant::now();
            let status: TransactionStatus =
                self.json(&format!("/v1/transactions/{hash}?wait_ms={WAIT_MS}"), None)?;
            match (status.status.as_str(), status.height) {
                ("final", Some(height)) => return Ok(height),
                ("refused", _) => {
                    let reason = status.reason.unwrap_or_else(|| "no reason given".into());
                    return Err(NodeError::Refused(clean(&reason)));
                }
                ("pending" | "unknown", _) => {}
                (other, _) => {
                    return Err(NodeError::Malformed(format!("status `{}`", clean(other))));
                }
            }
            // The node waits for us; one that does not is not asked all the time.
            if asked.elapsed() < Duration::from_millis(100) {
                std::thread::sleep(Duration::from_millis(200));
            }
        }
        Err(NodeError::NotFinal {
            seconds: FINALITY.as_secs(),
        })
    }

    /// Header and roots of a height, or the latest, verified.
    ///
    /// # Errors
    /// [`NodeError`], also when the node's proofs do not hold.
    pub fn state(&self, chain: &Chain, at: Option<Height>) -> Result<ProvenState, NodeError> {
        let name = at.map_or_else(|| "latest".to_owned(), |height| height.0.to_string());
        let signed: SignedHeader = self.document(&format!("/v1/headers/{name}"), None)?;
        let header = chain
            .light()
            .verify_header(&signed)
            .map_err(|error| NodeError::Proof {
                what: "header",
                error,
            })?;
        if at.is_some_and(|height| height != header.height()) {
            return Err(NodeError::Malformed("a header of another height".into()));
        }
        let roots_sent: Roots =
            self.document(&format!("/v1/proofs/{}/roots", header.height().0), None)?;
        let roots = header
            .roots(&roots_sent)
            .map_err(|error| NodeError::Proof {
                what: "list of roots",
                error,
            })?;
        Ok(ProvenState {
            signed,
            header,
            roots_sent,
            roots,
        })
    }

    /// A proof of a registry value, not yet verified.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn registry(&self, at: Height, key: &RegistryKey) -> Result<RegistryProof, NodeError> {
        let path = match key {
            RegistryKey::Consortium => "registry/consortium".to_owned(),
            RegistryKey::Schema => "registry/schema".to_owned(),
            RegistryKey::Columns => "registry/columns".to_owned(),
            RegistryKey::Anchor(AnchorId(id)) => format!("anchors/{}", hex::encode(id)),
            RegistryKey::Audit(AuditId(id)) => format!("audits/{}", hex::encode(id)),
            RegistryKey::OpenProposals => "registry/open-proposals".to_owned(),
            RegistryKey::Proposal(id) => format!("proposals/{id}"),
            RegistryKey::Party(party) => match party {
                Party::Agency(id) => format!("parties/agency/{}", id.0),
                Party::Issuer(id) => format!("parties/issuer/{}", id.0),
                Party::Auditor(id) => format!("parties/auditor/{}", id.0),
                Party::Observer => "parties/observer/0".to_owned(),
            },
            RegistryKey::Key(key) => format!("keys/{}", hex::encode(key)),
            RegistryKey::Evidence(agency, height) => {
                format!("evidence/{}/{}", agency.0, height.0)
            }
        };
        self.document(&format!("/v1/proofs/{}/{path}", at.0), None)
    }

    /// The consortium at a proven state.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn consortium(&self, state: &ProvenState) -> Result<Consortium, NodeError> {
        let proof = self.registry(state.header.height(), &RegistryKey::Consortium)?;
        state
            .roots
            .consortium(&proof)
            .map_err(|error| NodeError::Proof {
                what: "consortium",
                error,
            })
    }

    /// Hands a sealed ask to an agency; gives its sealed reply.
    ///
    /// # Errors
    /// [`NodeError::Problem`] with status 403 when the agency refuses.
    pub fn ask(&self, agency: AgencyId, ask: &Sealed) -> Result<Sealed, NodeError> {
        debug_assert!(ask.to_bytes().len() <= MAX_SEALED);
        self.document(
            &format!("/v1/agencies/{}/asks", agency.0),
            Some(&ask.to_bytes()),
        )
    }

    /// Fetches an agency's sealed answer to an audit.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn audit(&self, ask: &AuditAsk) -> Result<Sealed, NodeError> {
        self.document(
            &format!("/v1/agencies/{}/audits", ask.agency.0),
            Some(&ask.to_bytes()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(
            Node::new("http://127.0.0.1:7600/").map(|n| n.url().to_owned()),
            Ok("http://127.0.0.1:7600".to_owned())
        );
        for bad in [
            "",
            "127.0.0.1",
            "ftp://x",
            "http://",
            "http://a/b",
            "http://u@h",
        ] {
            assert!(matches!(Node::new(bad), Err(NodeError::Url(_))), "{bad}");
        }
    }

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

    #[test]
    fn a_node_that_is_not_there_is_unreachable() {
        let node = Node::new("http://127.0.0.1:1").expect("an address");
        assert!(matches!(
            node.wait(TxHash([0; 32])),
            Err(NodeError::Unreachable { .. })
        ));
    }
}
