//! State at a height: a header, the roots under it and values under these, each verified before
//! anybody sees it.

use std::time::{Duration, Instant};

use zkbureau_circuits::encoding::Digest32;
use zkbureau_circuits::schema::Schema;
use zkbureau_circuits::scorecard::Card;
use zkbureau_ledger::block::SignedHeader;
use zkbureau_ledger::genesis::Consortium;
use zkbureau_ledger::ids::{AgencyId, AnchorId, AuditId, Height, ProposalId};
use zkbureau_ledger::light::{LightError, TrustedHeader, TrustedRoots};
use zkbureau_ledger::state::{
    AnchorState, AuditState, CardState, Columns, OpenProposals, ProposalState, RegistryKey,
    RegistryProof, Roots, card_name_hash,
};

use super::{Nodes, NodesError};
use crate::chain::Chain;
use crate::node::{Node, NodeError, Problem, Standing};

/// How long a card is waited for until it is in a block.
const REGISTER: Duration = Duration::from_secs(30);

/// State at one height, proven.
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
    /// Which node had it: it is asked first for more.
    source: usize,
}

impl ProvenState {
    /// The height.
    #[must_use]
    pub fn height(&self) -> Height {
        self.header.height()
    }
}

impl Nodes {
    /// The newest state: the highest header that any node proves, if it is fresh.
    ///
    /// # Errors
    /// [`NodesError`].
    pub fn state(&self, chain: &Chain) -> Result<ProvenState, NodesError> {
        let newest = self.newest(chain)?;
        self.under(newest.source, newest.signed, newest.header)
    }

    /// State at a height.
    ///
    /// # Errors
    /// [`NodesError`].
    pub fn state_at(&self, chain: &Chain, at: Height) -> Result<ProvenState, NodesError> {
        let (source, (signed, header)) = self.read_under("header", None, |node| {
            let signed = node.header(Some(at))?;
            let header = self.check_header(chain, node, &signed)?;
            if header.height() != at {
                return Err(NodeError::OtherHeight {
                    asked: at,
                    got: header.height(),
                });
            }
            Ok((signed, header))
        })?;
        self.under(source, signed, header)
    }

    /// Verifies a header that somebody gave, following changes of validators where it needs them.
    ///
    /// # Errors
    /// [`LightError`].
    pub fn verify_header(
        &self,
        chain: &Chain,
        signed: &SignedHeader,
    ) -> Result<TrustedHeader, LightError> {
        let first = match chain.verify_header(signed) {
            Ok(header) => return Ok(header),
            Err(error) => error,
        };
        for i in self.order(None) {
            if let Ok(header) = self.check_header(chain, &self.nodes[i], signed) {
                return Ok(header);
            }
        }
        Err(first)
    }

    fn under(
        &self,
        source: usize,
        signed: SignedHeader,
        header: TrustedHeader,
    ) -> Result<ProvenState, NodesError> {
        let (source, (roots_sent, roots)) =
            self.read_under("list of roots", Some(source), |node| {
                let sent = node.roots(header.height())?;
                let roots = header.roots(&sent).map_err(proof("list of roots"))?;
                Ok((sent, roots))
            })?;
        Ok(ProvenState {
            signed,
            header,
            roots_sent,
            roots,
            source,
        })
    }

    /// A value of the registry with its proof. `check` verifies it.
    fn registry<T>(
        &self,
        state: &ProvenState,
        what: &'static str,
        key: RegistryKey,
        check: impl Fn(&TrustedRoots, &RegistryProof) -> Result<T, LightError>,
    ) -> Result<(RegistryProof, T), NodesError> {
        let fetch = |node: &Node| {
            let sent = node.registry(state.height(), &key)?;
            let value = check(&state.roots, &sent).map_err(proof(what))?;
            Ok((sent, value))
        };
        Ok(self.read_under(what, Some(state.source), fetch)?.1)
    }

    /// The consortium, with its proof. The chain remembers the newest, and the schema in force.
    ///
    /// # Errors
    /// [`NodesError`].
    pub fn consortium(
        &self,
        chain: &Chain,
        state: &ProvenState,
    ) -> Result<(RegistryProof, Consortium), NodesError> {
        let key = RegistryKey::Consortium;
        let found = self.registry(state, "proof of the consortium", key, |roots, proof| {
            roots.consortium(proof)
        })?;
        if chain.rules_of(&found.1.schema).is_none() {
            let (_, schema) = self.schema(state)?;
            if schema.digest() == found.1.schema {
                chain.saw_schema(schema);
            }
        }
        chain.saw_consortium(state.height(), &found.1);
        Ok(found)
    }

    /// The schema in force, with its proof.
    ///
    /// # Errors
    /// [`NodesError`].
    pub fn schema(&self, state: &ProvenState) -> Result<(RegistryProof, Schema), NodesError> {
        let key = RegistryKey::Schema;
        self.registry(state, "proof of the schema", key, |roots, proof| {
            roots.schema(proof)
        })
    }

    /// The proposals that are open for votes, with the proof of their list.
    ///
    /// # Errors
    /// [`NodesError`].
    pub fn open_proposals(
        &self,
        state: &ProvenState,
    ) -> Result<(RegistryProof, OpenProposals), NodesError> {
        let key = RegistryKey::OpenProposals;
        self.registry(state, "proof of the open proposals", key, |roots, proof| {
            roots.open_proposals(proof)
        })
    }

    /// A proposal and its votes, or that there is none, with the proof.
    ///
    /// # Errors
    /// [`NodesError`].
    pub fn proposal(
        &self,
        state: &ProvenState,
        id: ProposalId,
    ) -> Result<(RegistryProof, Option<ProposalState>), NodesError> {
        let key = RegistryKey::Proposal(id);
        self.registry(state, "proof of the proposal", key, |roots, proof| {
            roots.proposal(id, proof)
        })
    }

    /// The columns of all agencies, with their proof.
    ///
    /// # Errors
    /// [`NodesError`].
    pub fn columns(&self, state: &ProvenState) -> Result<(RegistryProof, Columns), NodesError> {
        let key = RegistryKey::Columns;
        self.registry(state, "proof of the columns", key, |roots, proof| {
            roots.columns(proof)
        })
    }

    /// An anchor, or that there is none, with the proof.
    ///
    /// # Errors
    /// [`NodesError`].
    pub fn anchor(
        &self,
        state: &ProvenState,
        id: AnchorId,
    ) -> Result<(RegistryProof, Option<AnchorState>), NodesError> {
        let key = RegistryKey::Anchor(id);
        self.registry(state, "proof of the anchor", key, |roots, proof| {
            roots.anchor(id, proof)
        })
    }

    /// A registered card, or that there is none, with the proof.
    ///
    /// # Errors
    /// [`NodesError`].
    pub fn card(
        &self,
        state: &ProvenState,
        hash: &Digest32,
    ) -> Result<(RegistryProof, Option<CardState>), NodesError> {
        let key = RegistryKey::Card(*hash);
        self.registry(state, "proof of the card", key, |roots, proof| {
            roots.card(hash, proof)
        })
    }

    /// The card that a name stands for, if any does.
    ///
    /// # Errors
    /// [`NodesError`].
    pub fn card_named(
        &self,
        state: &ProvenState,
        name: &str,
    ) -> Result<Option<CardState>, NodesError> {
        let key = RegistryKey::CardName(card_name_hash(name));
        let (_, hash) = self.registry(state, "proof of the card's name", key, |roots, proof| {
            roots.card_named(name, proof)
        })?;
        match hash {
            Some(hash) => Ok(self.card(state, &hash)?.1),
            None => Ok(None),
        }
    }

    /// The cards that an agency has registered.
    ///
    /// # Errors
    /// [`NodesError`].
    pub fn agency_cards(
        &self,
        state: &ProvenState,
        agency: AgencyId,
    ) -> Result<Vec<Digest32>, NodesError> {
        let key = RegistryKey::AgencyCards(agency);
        let (_, cards) =
            self.registry(state, "proof of an agency's cards", key, |roots, proof| {
                roots.agency_cards(agency, proof)
            })?;
        Ok(cards.0)
    }

    /// Hands a card in at the first node that takes it, and waits until it is on the ledger.
    ///
    /// # Errors
    /// [`NodesError`].
    pub fn register_card(
        &self,
        chain: &Chain,
        agency: AgencyId,
        card: &Card,
    ) -> Result<CardState, NodesError> {
        let hash = card.content_hash();
        let (_, transaction) = self.read("place for the card", None, |node| {
            node.register_card(agency, card)
        })?;
        let deadline = Instant::now() + REGISTER;
        loop {
            let standing = self.read("standing of the card", None, |node| {
                node.look(transaction, REGISTER)
            });
            if let Ok((i, Standing::Refused(reason))) = standing {
                let problem = Problem {
                    title: reason,
                    ..Problem::default()
                };
                let error = NodeError::Problem {
                    status: 422,
                    problem: Box::new(problem),
                    retry_after_s: None,
                };
                return Err(NodesError::Nobody {
                    what: "place for the card",
                    failures: vec![self.failure(i, error)],
                });
            }
            // Only what is proven counts.
            let state = self.state(chain)?;
            if let Some(card) = self.card(&state, &hash)?.1 {
                return Ok(card);
            }
            if Instant::now() >= deadline {
                return Err(NodesError::Nobody {
                    what: "block with the card yet",
                    failures: Vec::new(),
                });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// An audit request, or that there is none, with the proof.
    ///
    /// # Errors
    /// [`NodesError`].
    pub fn audit(
        &self,
        state: &ProvenState,
        id: AuditId,
    ) -> Result<(RegistryProof, Option<AuditState>), NodesError> {
        let key = RegistryKey::Audit(id);
        self.registry(state, "proof of the audit request", key, |roots, proof| {
            roots.audit(id, proof)
        })
    }
}

/// A proof that does not hold, as the node's failure.
pub(super) fn proof(what: &'static str) -> impl Fn(LightError) -> NodeError {
    move |error| NodeError::Proof { what, error }
}
