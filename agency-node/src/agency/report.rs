//! "My report": a person's own records, opened to the person's wallet
//! (spec: `ledger/spec/documents.md`, "Report").
//!
//! The wallet checks the openings against the ledger, and can then prove facts without the
//! agency. No consent and no budget: it is the person's own data.

use zkbureau_circuits::schema::Class;
use zkbureau_ledger::Store;
use zkbureau_ledger::document::ask::AgencyAsk;
use zkbureau_ledger::document::report::{AgencyReport, EntryOpening};

use super::{Agency, AgencyError, AnswerError, Refusal};

impl<S: Store> Agency<S> {
    pub(super) fn report(&self, ask: &AgencyAsk) -> Result<AgencyReport, AnswerError> {
        let tip = self.ledger.tip();
        self.check_identity(ask, tip.time_ms)?;
        // An old ask that somebody recorded is of no use to anybody but the holder of its reply
        // key; this only bounds for how long the agency works for it. One from the future would
        // stay young for as long as its maker liked.
        let policies = self.ledger.consortium().policies;
        if tip.time_ms.0.abs_diff(ask.time.0) > policies.answer_ms {
            return Err(Refusal::Stale.into());
        }
        self.own_records(ask)
            .map_err(|error| self.unavailable(&error))
    }

    fn own_records(&self, ask: &AgencyAsk) -> Result<AgencyReport, AgencyError> {
        let at = self.ledger.tip().height;
        let rules = self.rules_at(at)?;
        let header = self
            .ledger
            .signed_header(at)?
            .ok_or(AgencyError::Contradiction("the ledger has no block yet"))?;
        let subject = &ask.identity.subject;
        let (index, directory) = self.directory(at, subject)?;
        let mut log = None;
        let mut openings = Vec::new();
        if let Some(leaf) = &directory.leaf.leaf {
            let (handle, known) = self.known(subject, &index)?;
            log = Some(self.ledger.log_suffix(at, self.id(), &index, 0)?);
            for number in 0..leaf.entries {
                let entry = self.vault.entry(&handle, number)?;
                openings.push(EntryOpening {
                    stocks: rules.opener.opening(&known, &entry, Class::Stock)?,
                    flows: rules.opener.opening(&known, &entry, Class::Flow)?,
                });
            }
        }
        Ok(AgencyReport {
            agency: self.id(),
            header,
            roots: self.ledger.roots(at)?,
            directory: vec![directory],
            log,
            openings,
        })
    }
}
