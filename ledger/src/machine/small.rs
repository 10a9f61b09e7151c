//! Everything but batches: anchors, revocations, inquiries, audit requests, votes, evidence, cards. They come
//! first in a block and are applied one after the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rayon::prelude::*;
use zkbureau_circuits::encoding::Document;

use super::cards::NewCards;
use super::context::Context;
use super::error::{GovernanceError, TxError};
use super::execute::Refusal;
use super::governance::{Amended, ChangeRefusal, amend};
use super::stateless::Checked;
use super::view::View;
use crate::ids::{AgencyId, AnchorId, AuditId, Day, Height, ProposalId, TimeMs, TxHash};
use crate::schema_document::SchemaDocument;
use crate::state::{
    AnchorState, AuditState, Ballot, Columns, Consumption, EvidenceState, KeyRole, KeyUse,
    MAX_OPEN_PROPOSALS, MAX_PROPOSAL_DAYS, OpenProposal, OpenProposals, Opened, Party,
    ProposalState, RegistryKey, Revocation,
};
use crate::store::Store;
use crate::transaction::{
    AnchorConsent, AuditRequest, Evidence, GovernanceVote, Inquiry, RevokeConsent, Transaction,
};
use crate::tree::{TreeError, Write};

/// Most double votes of one agency that a block records.
const MAX_EVIDENCE: usize = 4;

/// The registry while a block is applied to it.
pub(super) struct Small<'a, S> {
    context: &'a Context,
    view: &'a View<'a, S>,
    height: Height,
    time: TimeMs,
    /// Signatures under anchors' keys, verified ahead in parallel.
    signed: HashMap<TxHash, bool>,
    anchors: BTreeMap<AnchorId, AnchorState>,
    audits: BTreeMap<AuditId, AuditState>,
    columns: Columns,
    before: Columns,
    new_anchors: u32,
    opened: BTreeSet<AgencyId>,
    proposals: BTreeMap<ProposalId, ProposalState>,
    /// The open proposals, once a vote has needed them.
    open: Option<OpenProposals>,
    /// What the proposal that this block adopts makes of the consortium.
    amended: Option<Amended>,
    evidence: BTreeMap<(AgencyId, Height), EvidenceState>,
    cards: NewCards,
}

impl<'a, S: Store> Small<'a, S> {
    /// Prepares to apply `transactions`, and only those.
    pub(super) fn new(
        context: &'a Context,
        view: &'a View<'a, S>,
        height: Height,
        time: TimeMs,
        transactions: &[Arc<Checked>],
    ) -> Result<Self, TreeError> {
        let columns = view.columns()?;
        Ok(Self {
            context,
            view,
            height,
            time,
            signed: verify_signatures(context, view, transactions)?,
            anchors: BTreeMap::new(),
            audits: BTreeMap::new(),
            before: columns.clone(),
            columns,
            new_anchors: 0,
            opened: BTreeSet::new(),
            proposals: BTreeMap::new(),
            open: None,
            amended: None,
            evidence: BTreeMap::new(),
            cards: NewCards::default(),
        })
    }

    /// Applies one transaction, or changes nothing. Batches are not applied here.
    pub(super) fn apply(&mut self, checked: &Checked) -> Result<(), Refusal> {
        // Whoever calls has checked again what other rules had passed; here nothing else gets in.
        if checked.epoch() != self.context.epoch() {
            return Err(TxError::OtherRules.into());
        }
        let signed = self.signed.get(&checked.hash()).copied().unwrap_or(false);
        match checked.transaction() {
            Transaction::PublishBatch(_) => Ok(()),
            Transaction::AnchorConsent(anchor) => self.anchor(anchor),
            Transaction::RevokeConsent(revocation) => self.revoke(revocation, signed),
            Transaction::Inquiry(inquiry) => self.inquire(inquiry, signed),
            Transaction::AuditRequest(request) => self.audit(request),
            Transaction::GovernanceVote(vote) => self.vote(vote),
            Transaction::Evidence(evidence) => self.evidence(evidence),
            Transaction::RegisterCard(register) => {
                (self.cards).register(self.view, self.height, self.time, register)
            }
        }
    }

    fn today(&self) -> Day {
        self.time.day()
    }

    fn anchor(&mut self, anchor: &AnchorConsent) -> Result<(), Refusal> {
        let policies = &self.context.consortium().policies;
        let min = self.today();
        let max = Day(min.0.saturating_add(policies.max_anchor_days));
        if !(min..=max).contains(&anchor.expiry) {
            let got = anchor.expiry;
            return Err(TxError::AnchorExpiry { min, max, got }.into());
        }
        let id = anchor.id();
        if self.find(id)?.is_some() {
            return Err(TxError::AnchorExists(id).into());
        }
        let limit = policies.max_anchors_per_block;
        if self.new_anchors >= limit {
            return Err(TxError::AnchorsFull { limit }.into());
        }
        self.new_anchors += 1;
        self.anchors.insert(
            id,
            AnchorState {
                anchor: *anchor,
                anchored: self.height,
                revoked: None,
                consumed: None,
            },
        );
        Ok(())
    }

    /// Also after an inquiry: agencies then no longer answer it.
    fn revoke(&mut self, revocation: &RevokeConsent, signed: bool) -> Result<(), Refusal> {
        let id = revocation.anchor;
        let mut state = self.find(id)?.ok_or(TxError::UnknownAnchor(id))?;
        if !signed {
            return Err(TxError::Signature { key: "revocation" }.into());
        }
        if state.revoked.is_some() {
            return Err(TxError::Revoked(id).into());
        }
        state.revoked = Some(Revocation {
            height: self.height,
            time_ms: self.time,
        });
        self.anchors.insert(id, state);
        Ok(())
    }

    fn inquire(&mut self, inquiry: &Inquiry, signed: bool) -> Result<(), Refusal> {
        let id = inquiry.anchor;
        let mut state = self.find(id)?.ok_or(TxError::UnknownAnchor(id))?;
        if !signed {
            return Err(TxError::Signature { key: "use" }.into());
        }
        if state.revoked.is_some() {
            return Err(TxError::Revoked(id).into());
        }
        if state.consumed.is_some() {
            return Err(TxError::Consumed(id).into());
        }
        let (expiry, today) = (state.anchor.expiry, self.today());
        if today > expiry {
            return Err(TxError::Expired {
                anchor: id,
                expiry,
                today,
            }
            .into());
        }
        state.consumed = Some(Consumption {
            height: self.height,
            time_ms: self.time,
            digest: inquiry.digest,
        });
        self.anchors.insert(id, state);
        Ok(())
    }

    fn audit(&mut self, request: &AuditRequest) -> Result<(), Refusal> {
        let id = request.id();
        if self.audits.contains_key(&id) || self.view.audit(id)?.is_some() {
            return Err(TxError::AuditExists(id).into());
        }
        let limit = self.context.consortium().policies.min_changed_records;
        for agency in &request.agencies {
            let column = self
                .columns
                .get(*agency)
                .ok_or(TxError::UnknownAgency(*agency))?;
            if column.period != Some(request.period) || column.closed != Some(request.period) {
                return Err(TxError::AuditPeriod {
                    agency: *agency,
                    column: column.closed,
                    requested: request.period,
                }
                .into());
            }
            if !column.unmoved() && column.changed < limit {
                return Err(TxError::AuditTooSoon {
                    agency: *agency,
                    changed: column.changed,
                    limit,
                }
                .into());
            }
        }
        for agency in &request.agencies {
            self.opened.insert(*agency);
            let Some(column) = self.columns.get_mut(*agency) else {
                continue;
            };
            // Opening the same column again shows nothing new; its last opening stays.
            if !column.unmoved() {
                column.changed = 0;
                column.opened = Some(Opened {
                    height: self.height,
                    period: request.period,
                    records: column.records,
                });
            }
        }
        self.audits.insert(
            id,
            AuditState {
                request: request.clone(),
                height: self.height,
                time_ms: self.time,
            },
        );
        Ok(())
    }

    /// Counts a vote. Each applies the proposal to the consortium in force, so one that cannot be
    /// applied gets no vote, and the deciding vote's outcome cannot fail.
    fn vote(&mut self, vote: &GovernanceVote) -> Result<(), Refusal> {
        if self.amended.is_some() {
            return Err(GovernanceError::Busy.into());
        }
        let (agency, id, today) = (vote.agency, vote.proposal.id(), self.today());
        let validators = self.context.consortium().validator_set();
        let voter = validators
            .get(agency)
            .ok_or(GovernanceError::NoVote(agency))?;
        let (min, max) = (today, Day(today.0.saturating_add(MAX_PROPOSAL_DAYS)));
        let got = vote.proposal.expires;
        if !(min..=max).contains(&got) {
            return Err(GovernanceError::Expiry { min, max, got }.into());
        }
        let mut open = match &self.open {
            Some(open) => open.clone(),
            None => self
                .view
                .value(&RegistryKey::OpenProposals)?
                .unwrap_or_default(),
        };
        open.0.retain(|proposal| proposal.expires >= today);
        let known = match self.proposals.get(&id) {
            Some(state) => Some(state.clone()),
            None => self
                .view
                .value::<ProposalState>(&RegistryKey::Proposal(id))?,
        };
        let mut state = match known {
            Some(state) => state,
            None => {
                let opened = open.0.iter().filter(|p| p.opened_by == agency);
                if opened.count() >= MAX_OPEN_PROPOSALS {
                    let limit = MAX_OPEN_PROPOSALS;
                    return Err(GovernanceError::TooManyOpen { agency, limit }.into());
                }
                let at = open.0.partition_point(|p| p.id < id);
                open.0.insert(
                    at,
                    OpenProposal {
                        id,
                        opened_by: agency,
                        expires: got,
                    },
                );
                ProposalState {
                    proposal: vote.proposal.clone(),
                    opened_by: agency,
                    opened: self.height,
                    ballots: Vec::new(),
                    adopted: None,
                }
            }
        };
        if let Some(height) = state.adopted {
            return Err(GovernanceError::Adopted { id, height }.into());
        }
        let ballot = Ballot {
            agency,
            key: voter.key,
            height: self.height,
        };
        match state.ballots.binary_search_by_key(&agency, |b| b.agency) {
            Ok(at) if state.ballots[at].key == voter.key => {
                return Err(GovernanceError::Voted { agency, id }.into());
            }
            // A vote under a key that was replaced does not count; this one does.
            Ok(at) => state.ballots[at] = ballot,
            Err(at) => state.ballots.insert(at, ballot),
        }
        let changes = &vote.proposal.changes;
        let amended = amend(self.context, self.view, &self.before, self.height, changes).map_err(
            |refusal| match refusal {
                ChangeRefusal::Invalid(Some(change), error) => {
                    let error = Box::new(error);
                    Refusal::from(GovernanceError::Change { change, error })
                }
                ChangeRefusal::Invalid(None, error) => {
                    GovernanceError::Changes(Box::new(error)).into()
                }
                ChangeRefusal::Tree(error) => error.into(),
            },
        )?;
        let power: u128 = state
            .ballots
            .iter()
            .filter_map(|b| validators.get(b.agency).filter(|v| v.key == b.key))
            .map(|v| u128::from(v.power))
            .sum();
        if 3 * power > 2 * validators.total_power() {
            state.adopted = Some(self.height);
            open.0.retain(|proposal| proposal.id != id);
            for admitted in &amended.admitted {
                self.columns.insert(*admitted);
            }
            self.amended = Some(amended);
        }
        self.proposals.insert(id, state);
        self.open = Some(open);
        Ok(())
    }

    /// Records a double vote, once per agency and height. It has no effect but to be seen.
    fn evidence(&mut self, evidence: &Evidence) -> Result<(), Refusal> {
        let (agency, height) = (evidence.agency, evidence.height);
        if height > self.height {
            let (height, got) = (self.height, height);
            return Err(TxError::EvidenceAhead { height, got }.into());
        }
        let key = RegistryKey::Key(*evidence.key.as_bytes());
        let used = self.view.value::<KeyUse>(&key)?;
        // Whoever gets hold of a key that was replaced must not be able to accuse its agency of what
        // it did since.
        let is_theirs = |used: KeyUse| {
            used.party == Party::Agency(agency)
                && used.role == KeyRole::Validator
                && used.in_force(height)
        };
        if !used.is_some_and(is_theirs) {
            return Err(TxError::EvidenceKey { agency, height }.into());
        }
        let recorded = RegistryKey::Evidence(agency, height);
        if self.evidence.contains_key(&(agency, height))
            || self.view.value::<EvidenceState>(&recorded)?.is_some()
        {
            return Err(TxError::EvidenceExists { agency, height }.into());
        }
        // A validator can sign any number of votes twice, for every height: it must not fill blocks with them.
        let against = (agency, Height(0))..=(agency, Height(u64::MAX));
        if self.evidence.range(against).count() >= MAX_EVIDENCE {
            let limit = MAX_EVIDENCE;
            return Err(TxError::EvidenceFull { agency, limit }.into());
        }
        self.evidence.insert(
            (agency, height),
            EvidenceState {
                evidence: *evidence,
                height: self.height,
                time_ms: self.time,
            },
        );
        Ok(())
    }

    fn find(&self, id: AnchorId) -> Result<Option<AnchorState>, TreeError> {
        match self.anchors.get(&id) {
            Some(state) => Ok(Some(*state)),
            None => self.view.anchor(id),
        }
    }

    pub(super) fn columns(&self) -> &Columns {
        &self.columns
    }

    pub(super) fn columns_mut(&mut self) -> &mut Columns {
        &mut self.columns
    }

    /// Agencies whose columns this block opens.
    pub(super) fn opened(&self) -> &BTreeSet<AgencyId> {
        &self.opened
    }

    /// Whether the agency's directory gets another key with this block.
    pub(super) fn gets_new_directory(&self, agency: AgencyId) -> bool {
        let amended = self.amended.as_ref();
        amended.is_some_and(|amended| amended.new_directories.contains(&agency))
    }

    /// What the adopted proposal makes of the consortium, if one was adopted.
    pub(super) fn amended(&self) -> Option<&Amended> {
        self.amended.as_ref()
    }

    /// What changed in the registry.
    pub(super) fn writes(&self) -> Vec<Write> {
        let write = |key: RegistryKey, value: Vec<u8>| Write {
            key: key.path(),
            record: value.clone(),
            value,
        };
        let mut writes: Vec<Write> = self
            .anchors
            .iter()
            .map(|(id, state)| write(RegistryKey::Anchor(*id), state.to_bytes()))
            .chain(
                self.audits
                    .iter()
                    .map(|(id, state)| write(RegistryKey::Audit(*id), state.to_bytes())),
            )
            .collect();
        writes.extend(
            self.proposals
                .iter()
                .map(|(id, state)| write(RegistryKey::Proposal(*id), state.to_bytes())),
        );
        writes.extend(self.evidence.iter().map(|((agency, height), state)| {
            write(RegistryKey::Evidence(*agency, *height), state.to_bytes())
        }));
        writes.extend(self.cards.values().map(|(key, value)| write(key, value)));
        if let Some(open) = &self.open {
            writes.push(write(RegistryKey::OpenProposals, open.to_bytes()));
        }
        if let Some(amended) = &self.amended {
            let consortium = amended.consortium.to_bytes();
            writes.push(write(RegistryKey::Consortium, consortium));
            if amended.schema != *self.context.schema() {
                let schema = SchemaDocument(amended.schema.as_ref().clone());
                writes.push(write(RegistryKey::Schema, schema.to_bytes()));
            }
            let keys = amended.keys.iter();
            writes.extend(keys.map(|(key, used)| write(RegistryKey::Key(*key), used.to_bytes())));
            let parties = amended.parties.iter();
            writes
                .extend(parties.map(|(p, state)| write(RegistryKey::Party(*p), state.to_bytes())));
        }
        if self.columns != self.before {
            writes.push(write(RegistryKey::Columns, self.columns.to_bytes()));
        }
        writes
    }
}

/// Verifies signatures under anchors' keys. An anchor's identifier is its hash, so it does not
/// matter whether the anchor is found in the state or in the same block.
fn verify_signatures<S: Store>(
    context: &Context,
    view: &View<'_, S>,
    transactions: &[Arc<Checked>],
) -> Result<HashMap<TxHash, bool>, TreeError> {
    let fresh: HashMap<AnchorId, AnchorConsent> = transactions
        .iter()
        .filter_map(|checked| match checked.transaction() {
            Transaction::AnchorConsent(anchor) => Some((anchor.id(), *anchor)),
            _ => None,
        })
        .collect();
    let anchor = |id: AnchorId| match fresh.get(&id) {
        Some(anchor) => Ok(Some(*anchor)),
        None => Ok::<_, TreeError>(view.anchor(id)?.map(|state| state.anchor)),
    };
    let chain = context.chain();
    let verified: Vec<_> = transactions
        .par_iter()
        .map(|checked| {
            let good = match checked.transaction() {
                Transaction::RevokeConsent(t) => anchor(t.anchor)?
                    .is_some_and(|a| t.verify_signature(chain, &a.revocation_key).is_ok()),
                Transaction::Inquiry(t) => {
                    anchor(t.anchor)?.is_some_and(|a| t.verify_signature(chain, &a.use_key).is_ok())
                }
                _ => return Ok(None),
            };
            Ok(Some((checked.hash(), good)))
        })
        .collect::<Result<_, TreeError>>()?;
    Ok(verified.into_iter().flatten().collect())
}
