//! Everything but batches: anchors, revocations, inquiries, audit requests. They come first in a
//! block and are applied one after the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rayon::prelude::*;
use zkbureau_circuits::encoding::Document;

use super::context::Context;
use super::error::TxError;
use super::execute::Refusal;
use super::stateless::Checked;
use super::view::View;
use crate::ids::{AgencyId, AnchorId, AuditId, Day, Height, TimeMs, TxHash};
use crate::state::{
    AnchorState, AuditState, Columns, Consumption, Opened, RegistryKey, Revocation,
};
use crate::store::Store;
use crate::transaction::{AnchorConsent, AuditRequest, Inquiry, RevokeConsent, Transaction};
use crate::tree::{TreeError, Write};

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
        })
    }

    /// Applies one transaction, or changes nothing. Batches are not applied here.
    pub(super) fn apply(&mut self, checked: &Checked) -> Result<(), Refusal> {
        let signed = self.signed.get(&checked.hash()).copied().unwrap_or(false);
        match checked.transaction() {
            Transaction::PublishBatch(_) => Ok(()),
            Transaction::AnchorConsent(anchor) => self.anchor(anchor),
            Transaction::RevokeConsent(revocation) => self.revoke(revocation, signed),
            Transaction::Inquiry(inquiry) => self.inquire(inquiry, signed),
            Transaction::AuditRequest(request) => self.audit(request),
            Transaction::GovernanceVote(_) | Transaction::Evidence(_) => {
                Err(TxError::NotInForce.into())
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
