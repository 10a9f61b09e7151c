//! Openings of column totals for auditors (spec: `ledger/spec/documents.md`, "Audit").
//!
//! The answer to an audit is made when the audit's block is committed, from the column as it is
//! then, and kept: the column moves on with the next batch, and the answer says no more than what
//! the auditor gets.

use rand_core::{CryptoRng, OsRng, RngCore};
use zkbureau_circuits::audit::{ColumnStatement, prove, totals};
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::schema::Class;
use zkbureau_ledger::AuditId;
use zkbureau_ledger::document::audit::{
    AUDIT_SEAL, AuditAnswer, AuditAsk, ColumnAnswer, audit_context,
};
use zkbureau_ledger::document::sealed::Sealed;
use zkbureau_ledger::ids::Height;
use zkbureau_ledger::transaction::AuditRequest;
use zkbureau_ledger::{AuditState, Store};

use super::{Agency, AgencyError, AnswerError, Refusal};
use crate::vault::KeptAudit;

impl<S: Store> Agency<S> {
    /// Answers an [`AuditAsk`] with a sealed [`AuditAnswer`].
    ///
    /// # Errors
    /// [`AnswerError`]. The reason of a refusal is logged here.
    pub fn answer_audit<R: RngCore + CryptoRng>(
        &self,
        body: &[u8],
        rng: &mut R,
    ) -> Result<Vec<u8>, AnswerError> {
        let ask = AuditAsk::from_bytes(body).map_err(|e| AnswerError::malformed("body", &e))?;
        let state = self.check_auditor(&ask).inspect_err(|refusal| {
            tracing::info!(
                agency = self.id().0,
                reason = refusal.code(),
                "audit refused"
            );
        })?;
        let answer = self
            .audit_answer(&ask.audit, &state)
            .map_err(|error| self.unavailable(&error))?;
        Sealed::seal(&ask.reply_key, AUDIT_SEAL, &ask.digest(), &answer, rng)
            .map(|sealed| sealed.to_bytes())
            .map_err(|_| AnswerError::Unavailable)
    }

    fn check_auditor(&self, ask: &AuditAsk) -> Result<AuditState, Refusal> {
        if ask.chain != *self.chain() || ask.agency != self.id() {
            return Err(Refusal::Address);
        }
        let state = self
            .ledger
            .audit(self.ledger.tip().height, ask.audit)
            .map_err(|_| Refusal::Unreadable)?;
        // The signature before anything else: an audit that is not there may be waited for, and that is not for
        // strangers.
        let consortium = self.ledger.consortium();
        let signed = match &state {
            Some(state) => consortium
                .auditor(state.request.auditor)
                .is_some_and(|auditor| ask.verify(&auditor.key).is_ok()),
            None => (consortium.auditors.iter()).any(|auditor| ask.verify(&auditor.key).is_ok()),
        };
        if !signed {
            return Err(Refusal::Signature);
        }
        state
            .filter(|state| state.request.agencies.contains(&self.id()))
            .ok_or(Refusal::NoAudit)
    }

    /// The kept answer, or one made now if the block was not seen and its column is still there.
    fn audit_answer(&self, id: &AuditId, state: &AuditState) -> Result<Vec<u8>, AgencyError> {
        match self.vault.audit(&id.0)? {
            Some(kept) if kept.height == state.height => Ok(kept.answer),
            _ => self.keep_audit(&state.request, state.height),
        }
    }

    /// Makes and keeps the answer to an audit that became final at `height`.
    pub(super) fn keep_audit(
        &self,
        request: &AuditRequest,
        height: Height,
    ) -> Result<Vec<u8>, AgencyError> {
        let id = request.id();
        let answer = self.open_columns(&id, request, height)?.to_bytes();
        let kept = KeptAudit {
            height,
            answer: answer.clone(),
        };
        self.vault.keep_audit(&id.0, &kept)?;
        Ok(answer)
    }

    fn open_columns(
        &self,
        id: &AuditId,
        request: &AuditRequest,
        height: Height,
    ) -> Result<AuditAnswer, AgencyError> {
        let column = self.ledger.column(height, self.id())?;
        let rules = self.rules_at(height)?;
        let openings = self
            .vault
            .column(column.batches)?
            .and_then(|kept| kept.under(rules.schema()))
            .ok_or(AgencyError::Contradiction(
                "the column's opening at the audit's height is gone",
            ))?;
        let mut columns = Vec::new();
        for (class, point) in [(Class::Stock, column.stocks), (Class::Flow, column.flows)] {
            let mut positions: Vec<u32> = request
                .attributes
                .iter()
                .filter_map(|name| rules.schema().find(name))
                .filter(|(position, attribute)| *position > 0 && attribute.class == class)
                .filter_map(|(position, _)| u32::try_from(position).ok())
                .collect();
            if positions.is_empty() {
                continue;
            }
            positions.sort_unstable();
            let opening = openings.opening(class);
            let wrong = |_| AgencyError::Contradiction("a column's opening is not the column's");
            let totals =
                totals(&rules.key, class, column.leaves, opening, &positions).map_err(wrong)?;
            let statement = ColumnStatement {
                context: audit_context(self.chain(), id, self.id(), height),
                key: &rules.key,
                class,
                column: point,
                leaves: column.leaves,
                totals: &totals,
            };
            let proof = prove(&statement, opening, &mut OsRng).map_err(wrong)?;
            columns.push(ColumnAnswer {
                flows: class == Class::Flow,
                totals,
                proof,
            });
        }
        Ok(AuditAnswer {
            agency: self.id(),
            audit: *id,
            columns,
        })
    }
}
