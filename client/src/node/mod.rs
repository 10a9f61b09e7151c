//! HTTP to one node. Nothing that a node says is trusted: bytes become documents here, and
//! [`nodes`](crate::nodes) checks them from the genesis file on.
//!
//! Every reply has a limit in bytes and every exchange an end, so a node can neither fill the
//! memory nor hold anybody up for longer than its turn.

mod address;
mod error;

use std::io::Read as _;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::error::DecodeError;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::scorecard::Card;
use zkbureau_ledger::block::SignedHeader;
use zkbureau_ledger::document::audit::AuditAsk;
use zkbureau_ledger::document::sealed::{MAX_SEALED, Sealed};
use zkbureau_ledger::ids::{AnchorId, AuditId, Height, TxHash};
use zkbureau_ledger::light::ValidatorChanges;
use zkbureau_ledger::state::{Party, RegistryKey, RegistryProof, Roots};
use zkbureau_ledger::transaction::Transaction;

use error::clean;

pub use address::Authorities;
pub use error::{NodeError, Problem};

/// How long a read of the ledger may take.
pub const READ: Duration = Duration::from_secs(10);
/// How long an agency may take to answer through a node, which may have to go a long way round.
pub const ASK: Duration = Duration::from_secs(45);
/// Longest time that one look at a transaction waits for it.
pub const LOOK: Duration = Duration::from_secs(10);
/// Longest JSON reply or error in bytes.
const MAX_JSON: u64 = 256 * 1024;

/// One node's HTTP interface.
#[derive(Clone, Debug)]
pub struct Node {
    url: String,
    agent: ureq::Agent,
}

/// Where a node says that a transaction stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// In a block.
    Final,
    /// Waiting, or unknown to this node.
    Pending,
    /// Given up.
    Refused(String),
}

#[derive(Deserialize)]
struct Submitted {
    hash: TxHash,
}

#[derive(Deserialize)]
struct TransactionStatus {
    status: String,
    #[serde(default)]
    reason: Option<String>,
}

impl Node {
    /// A node at an address such as `http://127.0.0.1:7600`.
    ///
    /// # Errors
    /// [`NodeError::Url`].
    pub fn new(url: &str) -> Result<Self, NodeError> {
        Self::with_authorities(url, &Authorities::Public)
    }

    /// A node whose certificate is checked against some authorities, if its address is `https`.
    ///
    /// # Errors
    /// [`NodeError::Url`].
    pub fn with_authorities(url: &str, authorities: &Authorities) -> Result<Self, NodeError> {
        Ok(Self {
            url: address::parse(url)?,
            agent: authorities.agent(),
        })
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// One exchange; a body makes it a POST. Gives the body of a 2xx reply.
    fn exchange(
        &self,
        path: &str,
        body: Option<&[u8]>,
        limit: usize,
        time: Duration,
    ) -> Result<Vec<u8>, NodeError> {
        let unreachable =
            |reason: &dyn ToString| NodeError::Unreachable(clean(&reason.to_string()));
        let url = format!("{}{path}", self.url);
        // The whole exchange: a body that comes byte by byte ends with it, too.
        let time = Some(time);
        let mut response = match body {
            None => (self.agent.get(&url).config().timeout_global(time).build()).call(),
            Some(body) => (self.agent.post(&url).config().timeout_global(time).build())
                .header("content-type", "application/octet-stream")
                .send(body),
        }
        .map_err(|e| unreachable(&e))?;
        let status = response.status().as_u16();
        let fine = (200..300).contains(&status);
        let limit = if fine { limit as u64 } else { MAX_JSON };
        let retry_after_s = (response.headers().get("retry-after"))
            .and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut bytes = Vec::new();
        response
            .body_mut()
            .as_reader()
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| unreachable(&e))?;
        if bytes.len() as u64 > limit {
            return Err(NodeError::TooLong { limit });
        }
        if fine {
            return Ok(bytes);
        }
        let problem = serde_json::from_slice(&bytes).unwrap_or_else(|_| Problem {
            title: format!("the node replied with status {status}"),
            ..Problem::default()
        });
        Err(NodeError::Problem {
            status,
            problem: Box::new(problem),
            retry_after_s,
        })
    }

    fn json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&[u8]>,
        time: Duration,
    ) -> Result<T, NodeError> {
        let bytes = self.exchange(path, body, MAX_JSON as usize, time)?;
        serde_json::from_slice(&bytes).map_err(|e| NodeError::Malformed(clean(&e.to_string())))
    }

    fn document<T: Document>(
        &self,
        path: &str,
        body: Option<&[u8]>,
        time: Duration,
    ) -> Result<T, NodeError> {
        let bytes = self.exchange(path, body, T::MAX_BYTES, time)?;
        T::from_bytes(&bytes).map_err(|e: DecodeError| NodeError::Malformed(e.to_string()))
    }

    /// The header of a height, or the newest, as the node gives it.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn header(&self, at: Option<Height>) -> Result<SignedHeader, NodeError> {
        let name = at.map_or_else(|| "latest".to_owned(), |height| height.0.to_string());
        self.document(&format!("/v1/headers/{name}"), None, READ)
    }

    /// The tree roots at a height, as the node gives them.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn roots(&self, at: Height) -> Result<Roots, NodeError> {
        self.document(&format!("/v1/proofs/{}/roots", at.0), None, READ)
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
            RegistryKey::Card(hash) => format!("cards/{}", hex::encode(hash)),
            RegistryKey::CardName(hash) => format!("card-names/{}", hex::encode(hash)),
            RegistryKey::AgencyCards(agency) => format!("agency-cards/{}", agency.0),
            RegistryKey::Key(key) => format!("keys/{}", hex::encode(key)),
            RegistryKey::Evidence(agency, height) => {
                format!("evidence/{}/{}", agency.0, height.0)
            }
        };
        self.document(&format!("/v1/proofs/{}/{path}", at.0), None, READ)
    }

    /// Changes of validators announced at a height or later, oldest first, as far as fits a reply.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn changes(&self, from: Height) -> Result<ValidatorChanges, NodeError> {
        self.document(
            &format!("/v1/validators/changes?from={}", from.0),
            None,
            READ,
        )
    }

    /// Hands a transaction in.
    ///
    /// # Errors
    /// [`NodeError`]; [`NodeError::is_refusal`] when the node refuses it at once.
    pub fn hand_in(&self, transaction: &Transaction) -> Result<(), NodeError> {
        let Submitted { hash } =
            self.json("/v1/transactions", Some(&transaction.to_bytes()), READ)?;
        if hash != transaction.hash() {
            return Err(NodeError::Malformed("the hash is another one".into()));
        }
        Ok(())
    }

    /// Hands a card in, for an agency of the node to sign for and register. Gives the transaction.
    ///
    /// # Errors
    /// [`NodeError`]; status 401 when the node takes cards from its operators only.
    pub fn register_card(&self, agency: AgencyId, card: &Card) -> Result<TxHash, NodeError> {
        let path = format!("/v1/agencies/{}/cards", agency.0);
        let Submitted { hash } = self.json(&path, Some(&card.to_bytes()), READ)?;
        Ok(hash)
    }

    /// Where a transaction stands; the node is asked to wait for its end for a while.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn look(&self, hash: TxHash, wait: Duration) -> Result<Standing, NodeError> {
        let wait = wait.min(LOOK);
        let path = format!("/v1/transactions/{hash}?wait_ms={}", wait.as_millis());
        let status: TransactionStatus = self.json(&path, None, wait + READ)?;
        match status.status.as_str() {
            "final" => Ok(Standing::Final),
            "pending" | "unknown" => Ok(Standing::Pending),
            "refused" => {
                let reason = status.reason.unwrap_or_else(|| "no reason given".into());
                Ok(Standing::Refused(clean(&reason)))
            }
            other => Err(NodeError::Malformed(format!("status `{}`", clean(other)))),
        }
    }

    /// Hands a sealed ask to an agency; gives its sealed reply.
    ///
    /// # Errors
    /// [`NodeError::Problem`] with status 403 when the agency refuses.
    pub fn ask(
        &self,
        agency: AgencyId,
        ask: &Sealed,
        within: Duration,
    ) -> Result<Sealed, NodeError> {
        debug_assert!(ask.to_bytes().len() <= MAX_SEALED);
        let path = format!("/v1/agencies/{}/asks", agency.0);
        self.document(&path, Some(&ask.to_bytes()), within)
    }

    /// Fetches an agency's sealed answer to an audit.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn audit(&self, ask: &AuditAsk, within: Duration) -> Result<Sealed, NodeError> {
        let path = format!("/v1/agencies/{}/audits", ask.agency.0);
        self.document(&path, Some(&ask.to_bytes()), within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_not_there_is_unreachable() {
        let node = Node::new("http://127.0.0.1:1").expect("an address");
        assert!(matches!(
            node.look(TxHash([0; 32]), LOOK),
            Err(NodeError::Unreachable(_))
        ));
    }
}
