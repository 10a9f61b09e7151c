//! Answers to wallets (spec: `ledger/spec/documents.md`, "Ask" and "Evidence").

use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;
use zkbureau_circuits::commitment::Opening;
use zkbureau_circuits::directory::{Index, SubjectId, vrf_input};
use zkbureau_circuits::encoding::{Document, PointBytes};
use zkbureau_circuits::fact::{AgencyPlan, Records, linear_image, suffix_start};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::schema::Class;
use zkbureau_ledger::document::ask::{ASK_SEAL, AgencyAsk, AskBody, FactsAsk, REPLY_SEAL};
use zkbureau_ledger::document::evidence::{
    AgencyAnswer, AgencyEvidence, DirectoryEvidence, image_context,
};
use zkbureau_ledger::document::sealed::Sealed;
use zkbureau_ledger::document::view::view;
use zkbureau_ledger::ids::{ChainId, Height};
use zkbureau_ledger::{Leaf, LedgerError, Store};

use super::rights::Granted;
use super::rules::Rules;
use super::{Agency, AgencyError, AnswerError, Refusal};
use crate::vault::{Entry, Handle, Subject, VaultError};

/// What sealing adds to an ask: version, encapsulated key, length, tag.
const SEAL_BYTES: usize = 1 + 32 + 4 + 16;

/// The context under which asks to an agency are sealed.
#[must_use]
pub fn ask_context(chain: &ChainId, agency: AgencyId) -> Vec<u8> {
    let mut context = chain.as_bytes().to_vec();
    context.extend_from_slice(&agency.0.to_le_bytes());
    context
}

impl<S: Store> Agency<S> {
    /// Answers a sealed [`AgencyAsk`] with a sealed reply: an [`AgencyAnswer`] to an ask for facts, an
    /// [`zkbureau_ledger::document::report::AgencyReport`] to an ask for a report. Asking again for
    /// the same inquiry gives an answer again and counts once.
    ///
    /// # Errors
    /// [`AnswerError`]. The reason of a refusal is logged here.
    pub fn answer<R: RngCore + CryptoRng>(
        &self,
        body: &[u8],
        rng: &mut R,
    ) -> Result<Vec<u8>, AnswerError> {
        let result = self.answer_unlogged(body, rng);
        if let Err(AnswerError::Refused(refusal)) = &result {
            tracing::info!(agency = self.id().0, reason = refusal.code(), "ask refused");
        }
        result
    }

    fn answer_unlogged<R: RngCore + CryptoRng>(
        &self,
        body: &[u8],
        rng: &mut R,
    ) -> Result<Vec<u8>, AnswerError> {
        let limit = AgencyAsk::MAX_BYTES + SEAL_BYTES;
        if body.len() > limit {
            return Err(AnswerError::Malformed {
                field: "body",
                limit: Some(limit as u64),
                detail: format!("{} bytes exceed the limit of {limit}", body.len()),
            });
        }
        let sealed = Sealed::from_bytes(body).map_err(|e| AnswerError::malformed("body", &e))?;
        let context = ask_context(self.chain(), self.id());
        // An ask may have been sealed before the key was replaced.
        let opened = self
            .vault
            .all_keys()
            .iter()
            .map(|keys| sealed.open(keys.sealing(), ASK_SEAL, &context))
            .reduce(|first, next| first.or_else(|error| next.or(Err(error))))
            .unwrap_or_else(|| unreachable!("the set in use is always there"));
        let plain = opened
            .map(Zeroizing::new)
            .map_err(|e| AnswerError::Malformed {
                field: "body",
                limit: None,
                detail: e.to_string(),
            })?;
        let ask = AgencyAsk::from_bytes(&plain).map_err(|e| AnswerError::malformed("ask", &e))?;
        let reply = match &ask.body {
            AskBody::Facts(facts) => self.answer_facts(&ask, facts, rng)?.to_bytes(),
            AskBody::Report => self.report(&ask)?.to_bytes(),
        };
        let reply = Zeroizing::new(reply);
        // A reply key is checked when it is decoded, so sealing does not fail.
        Sealed::seal_padded(&ask.reply_key, REPLY_SEAL, &ask.digest(), &reply, rng)
            .map(|sealed| sealed.to_bytes())
            .map_err(|_| AnswerError::Unavailable)
    }

    fn answer_facts<R: RngCore + CryptoRng>(
        &self,
        ask: &AgencyAsk,
        facts: &FactsAsk,
        rng: &mut R,
    ) -> Result<AgencyAnswer, AnswerError> {
        let granted = self.grant(ask, facts)?;
        self.evidence(&ask.identity.subject, facts, &granted, rng)
            .map_err(|error| self.unavailable(&error))
    }

    fn evidence<R: RngCore + CryptoRng>(
        &self,
        subject: &SubjectId,
        facts: &FactsAsk,
        granted: &Granted,
        rng: &mut R,
    ) -> Result<AgencyAnswer, AgencyError> {
        let (query, at) = (&granted.query, granted.height);
        let rules = self.rules_at(at)?;
        let (index, directory) = self.directory(at, subject)?;
        let leaf = directory.leaf.leaf;
        let column = self.ledger.column(at, self.id())?;
        let reached = column.closed.is_some_and(|p| p >= query.as_of());
        let log = match (&leaf, query.log_needed()) {
            (Some(_), Some(needed)) if reached => {
                let whole = self.ledger.log(at, self.id(), &index)?;
                let first = suffix_start(&whole, Some(needed));
                let first = u32::try_from(first)
                    .map_err(|_| AgencyError::Contradiction("a log is too long"))?;
                Some(self.ledger.log_suffix(at, self.id(), &index, first)?)
            }
            _ => None,
        };
        let view = view(query, Some(&column), leaf.as_ref(), log.as_ref())
            .map_err(|_| AgencyError::Contradiction("the log does not end in the leaf"))?;
        let plan = AgencyPlan::new(query, self.id(), &view)
            .map_err(|_| AgencyError::Contradiction("the log does not serve the facts"))?;

        let mut images = None;
        let mut openings = Vec::new();
        if let (Some(leaf), false) = (&leaf, plan.forms().is_empty()) {
            let shown = log.as_ref().map_or(0, |log| log.entries.len());
            let sources = self.source_openings(&rules, subject, &index, (leaf, shown), &plan)?;
            let context = image_context(
                self.chain(),
                &granted.request,
                &facts.anchor_id,
                at,
                self.id(),
            );
            let (proved, opened) = linear_image::prove(&rules.key, &context, &plan, &sources, rng)
                .map_err(|_| AgencyError::Contradiction("the openings are not the leaf's"))?;
            images = Some(proved);
            openings = opened;
        }
        Ok(AgencyAnswer {
            evidence: AgencyEvidence {
                agency: self.id(),
                directory: vec![directory],
                log,
                images,
            },
            openings,
        })
    }

    /// A person's place in the directory, with proof, under the agency's only key so far.
    pub(super) fn directory(
        &self,
        at: Height,
        subject: &SubjectId,
    ) -> Result<(Index, DirectoryEvidence), AgencyError> {
        let input = vrf_input(self.chain().as_bytes(), subject);
        let (index, vrf) = self.keys().vrf().evaluate(&input);
        let leaf = self.ledger.leaf_proof(at, self.id(), &index)?;
        Ok((index, DirectoryEvidence { vrf, leaf }))
    }

    /// A person in the vault, who must be there when the ledger has a leaf.
    pub(super) fn known(
        &self,
        subject: &SubjectId,
        index: &Index,
    ) -> Result<(Handle, Subject), AgencyError> {
        let handle = self.vault.handle(subject);
        let known = self
            .vault
            .subject(&handle)?
            .filter(|known| known.index == *index)
            .ok_or(AgencyError::Contradiction("a leaf has no values"))?;
        Ok((handle, known))
    }

    /// The opening of every source of a plan. `shown` entries at the end of the log are shown, and
    /// sources count from the first of them.
    fn source_openings(
        &self,
        rules: &Rules,
        subject: &SubjectId,
        index: &Index,
        (leaf, shown): (&Leaf, usize),
        plan: &AgencyPlan,
    ) -> Result<Vec<Opening>, AgencyError> {
        let (handle, known) = self.known(subject, index)?;
        let first = (leaf.entries as usize)
            .checked_sub(shown)
            .ok_or(AgencyError::Contradiction("more entries than the leaf has"))?;
        let entry = |position: usize| -> Result<Entry, AgencyError> {
            let number = u32::try_from(first + position)
                .map_err(|_| AgencyError::Contradiction("a log is too long"))?;
            Ok(self.vault.entry(&handle, number)?)
        };
        let mut sources = Vec::with_capacity(plan.sources().len());
        for source in plan.sources() {
            let class = source.class();
            let opening = match source.records() {
                Records::Latest => {
                    let latest = self.latest(&handle, leaf)?;
                    rules.opener.opening(&known, &latest, class)?
                }
                Records::Entry(i) => rules.opener.opening(&known, &entry(*i)?, class)?,
                Records::Entries(all) => {
                    let mut sum = Opening::zero(rules.schema(), class);
                    for i in all {
                        sum.try_add(&rules.opener.opening(&known, &entry(*i)?, class)?)
                            .map_err(|_| AgencyError::Contradiction("a sum exceeds 64 bits"))?;
                    }
                    sum
                }
            };
            check_opening(rules, class, &opening, &source.commitment())?;
            sources.push(opening);
        }
        Ok(sources)
    }

    /// The entry whose stocks a leaf shows: the last one of the leaf's stocks period. The leaf may
    /// be older than the vault, so the vault's own head does not tell.
    fn latest(&self, handle: &Handle, leaf: &Leaf) -> Result<Entry, AgencyError> {
        for number in (0..leaf.entries).rev() {
            let entry = self.vault.entry(handle, number)?;
            if entry.effective_period == leaf.stocks_period {
                return Ok(entry);
            }
        }
        Err(VaultError::Damaged("entries").into())
    }

    /// Logs trouble behind an answer that was due.
    pub(super) fn unavailable(&self, error: &AgencyError) -> AnswerError {
        // A block that is no longer kept is the asking side's delay, not trouble.
        if let AgencyError::Ledger(LedgerError::Pruned { .. }) = error {
            return AnswerError::Refused(Refusal::Height);
        }
        tracing::error!(agency = self.id().0, %error, "an answer cannot be given");
        AnswerError::Unavailable
    }
}

fn check_opening(
    rules: &Rules,
    class: Class,
    opening: &Opening,
    commitment: &PointBytes,
) -> Result<(), AgencyError> {
    let opens = rules
        .key
        .commit(class, opening)
        .is_ok_and(|point| PointBytes::from(point) == *commitment);
    if opens {
        Ok(())
    } else {
        Err(AgencyError::Contradiction(
            "an opening does not open its commitment",
        ))
    }
}
