//! Bringing transactions onto the ledger.
//!
//! ```text
//! hand in at a node -> wait there for a while -> prove the effect under the newest header
//!        ^ next node, while it is not proven: taken by nobody, swallowed, refused
//! ```
//!
//! No word of a node counts. Where a node says "final", the ledger must show what the transaction
//! does; where one refuses, others are asked, and the ledger may show it all the same: the node
//! before may have passed it on.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use zkbureau_ledger::ids::{Height, TxHash};
use zkbureau_ledger::transaction::{
    AnchorConsent, AuditRequest, Inquiry, RevokeConsent, Transaction,
};

use super::proofs::ProvenState;
use super::{NodeFailure, Nodes, NodesError};
use crate::chain::Chain;
use crate::node::{LOOK, NodeError, Problem, Standing};

/// How long a transaction may take to become final.
pub const FINALITY: Duration = Duration::from_secs(90);
/// How long one node is waited for before the next gets the transaction, too.
const PATIENCE: Duration = LOOK;
/// Pause before all nodes are asked once more.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest pause that a node can ask for.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// A transaction whose effect on the ledger can be proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submission {
    /// The anchor of a consent's use.
    Anchor(AnchorConsent),
    /// The inquiry that takes a use.
    Inquiry(Inquiry),
    /// The revocation of an anchor.
    Revocation(RevokeConsent),
    /// A regulator's request.
    Audit(AuditRequest),
}

impl Submission {
    /// The transaction.
    #[must_use]
    pub fn transaction(&self) -> Transaction {
        match self.clone() {
            Self::Anchor(anchor) => Transaction::AnchorConsent(anchor),
            Self::Inquiry(inquiry) => Transaction::Inquiry(inquiry),
            Self::Revocation(revocation) => Transaction::RevokeConsent(revocation),
            Self::Audit(request) => Transaction::AuditRequest(request),
        }
    }
}

/// One transaction on its way.
struct Open {
    submission: Submission,
    transaction: Transaction,
    hash: TxHash,
    end: Option<Result<Height, NodesError>>,
    /// The nodes that took it in this round and may be believed to have it.
    taken: BTreeSet<usize>,
    /// Those that refused it.
    refused: BTreeMap<usize, NodeError>,
}

impl Nodes {
    /// Brings transactions onto the ledger and gives the heights of their blocks, as the ledger
    /// proves them. What is there already stays as it is.
    ///
    /// # Errors
    /// Per transaction a [`NodesError`]; it may still become final after [`NodesError::NotFinal`].
    pub fn settle(
        &self,
        chain: &Chain,
        submissions: &[Submission],
    ) -> Vec<Result<Height, NodesError>> {
        let mut all: Vec<Open> = (submissions.iter())
            .map(|submission| {
                let transaction = submission.transaction();
                Open {
                    submission: submission.clone(),
                    hash: transaction.hash(),
                    transaction,
                    end: None,
                    taken: BTreeSet::new(),
                    refused: BTreeMap::new(),
                }
            })
            .collect();
        let start = Instant::now();
        let mut failures = BTreeMap::new();
        let mut unread = None;
        while all.iter().any(|open| open.end.is_none()) && start.elapsed() < FINALITY {
            let mut pause = PAUSE;
            for open in &mut all {
                open.taken.clear();
                open.refused.clear();
            }
            failures.clear();
            for node in self.order(None) {
                if start.elapsed() >= FINALITY {
                    break;
                }
                let claimed = self.hand_in(node, &mut all, &mut failures, &mut pause);
                unread = self.prove(chain, &mut all).err();
                if claimed && all.iter().any(|open| open.end.is_none()) && unread.is_none() {
                    // Its block may have been younger than what others showed just now.
                    sleep(PAUSE);
                    unread = self.prove(chain, &mut all).err();
                    let mut lied = false;
                    for open in all.iter_mut().filter(|open| open.end.is_none()) {
                        lied |= unread.is_none() && open.taken.remove(&node);
                    }
                    if lied {
                        self.set_aside(node, &NodeError::NotShown);
                        failures.insert(node, NodeError::NotShown);
                    }
                }
                if all.iter().all(|open| open.end.is_some()) {
                    break;
                }
            }
            let busy = failures.values().any(NodeError::is_busy);
            for open in all
                .iter_mut()
                .filter(|o| o.end.is_none() && o.taken.is_empty())
            {
                if !open.refused.is_empty() {
                    open.end = Some(Err(self.refused(&open.refused)));
                } else if !busy {
                    open.end = Some(Err(NodesError::Nobody {
                        what: "reply to the transaction",
                        failures: self.named(&failures),
                    }));
                }
            }
            if all.iter().any(|open| open.end.is_none()) {
                sleep(pause.min(MAX_PAUSE));
            }
        }
        let late = unread.unwrap_or_else(|| NodesError::NotFinal {
            seconds: FINALITY.as_secs(),
            failures: self.named(&failures),
        });
        (all.into_iter())
            .map(|open| open.end.unwrap_or_else(|| Err(late.clone())))
            .collect()
    }

    /// Brings one transaction onto the ledger.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub fn settle_one(&self, chain: &Chain, submission: Submission) -> Result<Height, NodesError> {
        (self.settle(chain, &[submission]).pop()).unwrap_or(Err(NodesError::NoNode))
    }

    /// Where a transaction's effect stands under a state, if it does.
    ///
    /// # Errors
    /// [`NodesError`] when no node proves it either way.
    pub fn effect(
        &self,
        state: &ProvenState,
        submission: &Submission,
    ) -> Result<Option<Height>, NodesError> {
        Ok(match submission {
            Submission::Anchor(anchor) => (self.anchor(state, anchor.id())?.1)
                .filter(|shown| shown.anchor == *anchor)
                .map(|shown| shown.anchored),
            Submission::Inquiry(inquiry) => (self.anchor(state, inquiry.anchor)?.1)
                .and_then(|shown| shown.consumed)
                .filter(|consumed| consumed.digest == inquiry.digest)
                .map(|consumed| consumed.height),
            Submission::Revocation(revocation) => (self.anchor(state, revocation.anchor)?.1)
                .and_then(|shown| shown.revoked)
                .map(|revoked| revoked.height),
            Submission::Audit(request) => (self.audit(state, request.id())?.1)
                .filter(|shown| shown.request == *request)
                .map(|shown| shown.height),
        })
    }

    /// Hands all open transactions in at one node and waits there for a while. Says whether the
    /// node claims that all it took are final.
    fn hand_in(
        &self,
        node: usize,
        all: &mut [Open],
        failures: &mut BTreeMap<usize, NodeError>,
        pause: &mut Duration,
    ) -> bool {
        let mut fail = |error: NodeError| {
            if let NodeError::Problem {
                retry_after_s: Some(seconds),
                ..
            } = error
            {
                *pause = (*pause).max(Duration::from_secs(seconds));
            }
            self.set_aside(node, &error);
            failures.insert(node, error);
        };
        let mut taken = Vec::new();
        for open in all.iter_mut().filter(|open| open.end.is_none()) {
            match self.nodes[node].hand_in(&open.transaction) {
                Ok(()) => {
                    open.taken.insert(node);
                    taken.push(open);
                }
                Err(error) if error.is_refusal() => {
                    open.refused.insert(node, error);
                }
                Err(error) => {
                    fail(error);
                    break;
                }
            }
        }
        let until = Instant::now() + PATIENCE;
        let mut claimed = !taken.is_empty();
        for open in taken {
            loop {
                let asked = Instant::now();
                let left = until.saturating_duration_since(asked);
                match self.nodes[node].look(open.hash, left) {
                    Ok(Standing::Final) => break,
                    Ok(Standing::Refused(reason)) => {
                        open.taken.remove(&node);
                        open.refused.insert(node, refusal(reason));
                        break;
                    }
                    Ok(Standing::Pending) if left.is_zero() => {
                        claimed = false;
                        break;
                    }
                    Ok(Standing::Pending) => {
                        // The node waits for us; one that does not is not asked all the time.
                        if asked.elapsed() < Duration::from_millis(100) {
                            sleep(Duration::from_millis(200));
                        }
                    }
                    Err(error) => {
                        fail(error);
                        return false;
                    }
                }
            }
        }
        claimed
    }

    /// Ends every transaction whose effect the ledger shows.
    fn prove(&self, chain: &Chain, all: &mut [Open]) -> Result<(), NodesError> {
        let state = self.state(chain)?;
        for open in all.iter_mut().filter(|open| open.end.is_none()) {
            if let Some(height) = self.effect(&state, &open.submission)? {
                open.end = Some(Ok(height));
            }
        }
        Ok(())
    }

    fn refused(&self, refused: &BTreeMap<usize, NodeError>) -> NodesError {
        let reason = refused.values().next().map(ToString::to_string);
        let failures = self.named(refused);
        NodesError::Refused {
            reason: reason.unwrap_or_default(),
            // One node's reason stands for itself.
            failures: if failures.len() > 1 {
                failures
            } else {
                Vec::new()
            },
        }
    }

    fn named(&self, failures: &BTreeMap<usize, NodeError>) -> Vec<NodeFailure> {
        (failures.iter())
            .map(|(node, error)| self.failure(*node, error.clone()))
            .collect()
    }
}

/// A refusal that came when the transaction's turn was there.
fn refusal(reason: String) -> NodeError {
    NodeError::Problem {
        status: 422,
        problem: Box::new(Problem {
            detail: reason,
            ..Problem::default()
        }),
        retry_after_s: None,
    }
}
