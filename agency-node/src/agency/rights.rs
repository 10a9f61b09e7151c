//! Who may have an answer (spec: `ledger/spec/documents.md`, "Consent" and "Ask").
//!
//! ```text
//! certificate ─ issuer on the ledger, signature, day of the header
//! identifier  ─ opens the certificate's commitment
//! ask         ─ signed by the certificate's key
//! inquiry     ─ in the block it names, at most so many blocks and minutes ago
//! anchor      ─ consumed there by this request, of this consent and use, not revoked at the tip
//! consent     ─ signed, in time, covers agencies and facts
//! counters    ─ use, frequency, budget; written before anything is evaluated
//! ```
//!
//! All times are header times: agencies agree on them, clocks they do not. All of this comes before
//! the directory function is evaluated, so nobody without a certificate makes the agency compute on
//! an identifier.

use std::collections::BTreeMap;
use std::sync::Arc;

use zkbureau_circuits::encoding::{Digest32, hash_parts};
use zkbureau_circuits::fact::{Fact, Query, ScoreQuery};
use zkbureau_circuits::scorecard::Question;
use zkbureau_ledger::AnchorConsent;
use zkbureau_ledger::block::Header;
use zkbureau_ledger::document::ask::{AgencyAsk, FactsAsk};
use zkbureau_ledger::document::consent::AgencyScope;
use zkbureau_ledger::ids::{Height, TimeMs};
use zkbureau_ledger::transaction::Inquiry;
use zkbureau_ledger::{LedgerError, Store};

use super::{Agency, AgencyError, AnswerError, Refusal};
use crate::vault::{Budget, ConsentUses, Handle, Use};

/// Facts that are answered about one person within [`BUDGET_MS`]. Each answer is one bit
/// about one number, so a search for an amount of 32 bits needs 32 facts: the budget leaves room
/// for two applications with a full list of facts each, and not for many searches.
pub const BUDGET_FACTS: usize = 64;
/// Facts of one form, whatever their bounds, that are answered about one person within
/// [`BUDGET_MS`]. A bound searched by halving gives one bit of the value each time.
pub const BUDGET_FACTS_PER_FORM: usize = 12;
/// What a score that is shown counts as: it says more than a fact, and less than the values behind it.
pub const BUDGET_PER_SHOWN_SCORE: usize = 3;
/// The time over which facts are counted: 90 days.
pub const BUDGET_MS: u64 = 90 * DAY_MS;
/// A day, for `frequency_per_day`.
pub const DAY_MS: u64 = 86_400_000;

/// The right to an answer, established.
pub(super) struct Granted {
    /// The facts.
    pub query: Query,
    /// Digest of the request.
    pub request: Digest32,
    /// Height of the inquiry's block.
    pub height: Height,
}

impl<S: Store> Agency<S> {
    /// Certificate, identifier and signature of an ask, at a header's time.
    pub(super) fn check_identity(&self, ask: &AgencyAsk, at: TimeMs) -> Result<(), Refusal> {
        if ask.chain != *self.chain() || ask.agency != self.id() {
            return Err(Refusal::Address);
        }
        let certificate = &ask.identity.certificate;
        let consortium = self.ledger.consortium();
        let issuer = consortium
            .issuer(certificate.issuer)
            .ok_or(Refusal::Issuer)?;
        certificate
            .verify(self.chain(), &issuer.key, at.day())
            .map_err(Refusal::Certificate)?;
        certificate
            .subject
            .verify(&ask.identity.subject, &ask.identity.salt)
            .map_err(|_| Refusal::Subject)?;
        ask.verify_signature().map_err(|_| Refusal::Signature)
    }

    /// Everything that a fact ask needs, and counts it.
    pub(super) fn grant(&self, ask: &AgencyAsk, facts: &FactsAsk) -> Result<Granted, AnswerError> {
        let header = match self.inquiry_header(facts.height) {
            // Whoever is told this may be waited for: not a stranger who only names a height ahead.
            Err(refusal @ Refusal::NotYet { .. }) => {
                self.check_identity(ask, self.ledger.tip().time_ms)?;
                return Err(refusal.into());
            }
            header => header?,
        };
        self.check_identity(ask, header.time_ms)?;
        let rules = self.rules_at(facts.height).map_err(|error| match error {
            AgencyError::Ledger(LedgerError::Pruned { .. }) => Refusal::Height,
            _ => Refusal::Unreadable,
        })?;
        let query = facts
            .terms
            .check(self.chain(), rules.schema(), |hash| {
                // Registered by the inquiry's block; what is registered stays.
                let card = self.ledger.card(facts.height, hash).ok()??;
                Some(Arc::new(card.card))
            })
            .map_err(Refusal::Request)?;
        if !query.agencies().contains(&self.id()) {
            return Err(Refusal::NotAsked.into());
        }
        if header.time_ms >= facts.terms.expires {
            return Err(Refusal::RequestExpired.into());
        }
        let request = facts.request_digest();
        self.check_anchor(facts, &request)?;
        let scope = facts
            .consent
            .check_terms(
                &ask.identity.certificate.subject_key,
                &facts.terms,
                &query,
                rules.schema(),
                header.time_ms,
            )
            .map_err(Refusal::Consent)?;
        if facts.use_number >= scope.max_uses {
            return Err(Refusal::UseNumber.into());
        }
        let handle = self.vault.handle(&ask.identity.subject);
        self.count(&handle, facts, &scope, &query, header.time_ms)?;
        Ok(Granted {
            query,
            request,
            height: facts.height,
        })
    }

    /// The header of an inquiry's block, if it may still be answered.
    fn inquiry_header(&self, height: Height) -> Result<Header, Refusal> {
        let policies = self.ledger.consortium().policies;
        let tip = self.ledger.tip();
        let not_yet = Refusal::NotYet { inquiry: height };
        let age = tip.height.0.checked_sub(height.0).ok_or(not_yet)?;
        if age > policies.answer_blocks {
            return Err(Refusal::TooManyBlocks {
                inquiry: height,
                tip: tip.height,
            });
        }
        let header = self
            .ledger
            .signed_header(height)
            .map_err(|_| Refusal::Unreadable)?
            .ok_or(Refusal::Height)?
            .header;
        if tip.time_ms.0.saturating_sub(header.time_ms.0) > policies.answer_ms {
            return Err(Refusal::TooMuchTime);
        }
        Ok(header)
    }

    fn check_anchor(&self, facts: &FactsAsk, request: &Digest32) -> Result<(), Refusal> {
        // At the tip: what was revoked after the inquiry is not answered.
        let anchor = self
            .ledger
            .anchor(self.ledger.tip().height, facts.anchor_id)
            .map_err(|_| Refusal::Unreadable)?
            .ok_or(Refusal::NoAnchor)?;
        let consumed = anchor
            .consumed
            .filter(|c| c.height == facts.height)
            .ok_or(Refusal::NotConsumed)?;
        if consumed.digest != Inquiry::digest(request, &facts.inquiry_nonce) {
            return Err(Refusal::InquiryDigest);
        }
        let commitment = AnchorConsent::commitment(
            &facts.consent.consent_digest(),
            facts.use_number,
            &facts.anchor_salt,
        );
        if anchor.anchor.commitment != commitment {
            return Err(Refusal::AnchorCommitment);
        }
        if anchor.revoked.is_some() {
            return Err(Refusal::Revoked);
        }
        Ok(())
    }

    fn count(
        &self,
        handle: &Handle,
        facts: &FactsAsk,
        scope: &AgencyScope,
        query: &Query,
        time: TimeMs,
    ) -> Result<(), AnswerError> {
        let this = Use {
            number: facts.use_number,
            anchor: facts.anchor_id,
            time,
        };
        let counted = self.vault.count(handle, &scope.consent_id, |budget, uses| {
            let new_use = count_use(uses, this, scope.frequency_per_day)?;
            if new_use {
                count_facts(budget, &budget_keys(query), time)?;
            }
            Ok(new_use)
        });
        match counted {
            Ok(result) => result.map_err(AnswerError::Refused),
            Err(error) => {
                tracing::error!(agency = self.id().0, %error, "counters cannot be kept");
                Err(AnswerError::Unavailable)
            }
        }
    }
}

/// What the budget counts: the form of a fact, without its bound, up to a factor. `2*a <= 9`,
/// `a >= 4` and `a <= 5` ask about the same number. Mixed forms can still be combined, so all facts
/// together have a limit as well.
fn budget_keys(query: &Query) -> Vec<Digest32> {
    let facts = query.facts().iter().map(budget_key);
    facts
        .chain(query.scores().iter().flat_map(score_keys))
        .collect()
}

/// A score is a number like any form, whatever is asked of it: thresholds under cards that read the
/// same values count together, whatever the cards are called. A score that is shown counts several times.
/// Reasons tell something else, and count apart.
fn score_keys(score: &ScoreQuery) -> Vec<Digest32> {
    let ask = score.ask();
    let variables = score.card().variables();
    let mut reads: Vec<String> = variables.iter().map(|v| v.reference.to_string()).collect();
    reads.sort_unstable();
    reads.dedup();
    let reads: Vec<&[u8]> = reads.iter().map(String::as_bytes).collect();
    let times = match ask.question {
        Question::AtLeast(_) | Question::Below(_) => 1,
        Question::Exact => BUDGET_PER_SHOWN_SCORE,
    };
    let mut keys = vec![hash_parts("zkbureau/budget-score/v1", &reads); times];
    if ask.reasons > 0 {
        keys.push(hash_parts("zkbureau/budget-reasons/v1", &reads));
    }
    keys
}

fn budget_key(fact: &Fact) -> Digest32 {
    let mut weights: BTreeMap<(&str, String), i128> = BTreeMap::new();
    for term in fact.terms() {
        let place = (term.attribute(), format!("{:?}", term.when()));
        *weights.entry(place).or_default() += i128::from(term.weight());
    }
    weights.retain(|_, weight| *weight != 0);
    let divisor = weights.values().fold(0, |a, b| gcd(a, b.unsigned_abs()));
    let sign = weights.values().next().map_or(1, |first| first.signum());
    let terms: Vec<String> = weights
        .iter()
        .map(|((attribute, when), weight)| {
            let reduced = weight.unsigned_abs() / divisor;
            format!("{:+} {reduced} {attribute} {when}", weight.signum() * sign)
        })
        .collect();
    hash_parts(
        "zkbureau/budget-form/v1",
        &[
            format!("{:?}", fact.scope()).as_bytes(),
            terms.join(" ").as_bytes(),
        ],
    )
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Adds a use. Asking again for the same inquiry is the same use.
fn count_use(uses: &mut ConsentUses, this: Use, per_day: u32) -> Result<bool, Refusal> {
    if uses.uses.iter().any(|u| u.anchor == this.anchor) {
        return Ok(false);
    }
    if uses.uses.iter().any(|u| u.number == this.number) {
        return Err(Refusal::UseTaken);
    }
    let within_a_day = uses
        .uses
        .iter()
        .filter(|u| u.time.0.abs_diff(this.time.0) < DAY_MS)
        .count();
    if within_a_day >= per_day as usize {
        return Err(Refusal::Frequency);
    }
    uses.uses.push(this);
    Ok(true)
}

/// Adds the facts of an inquiry. The same fact of another inquiry counts again: other agencies'
/// figures may have changed in between, so its answer says something new.
fn count_facts(budget: &mut Budget, forms: &[Digest32], time: TimeMs) -> Result<(), Refusal> {
    let mut facts = budget.facts.clone();
    facts.retain(|(_, counted)| time.0.saturating_sub(counted.0) < BUDGET_MS);
    for form in forms {
        let same = facts.iter().filter(|(f, _)| f == form).count();
        if facts.len() >= BUDGET_FACTS || same >= BUDGET_FACTS_PER_FORM {
            return Err(Refusal::Budget);
        }
        facts.push((*form, time));
    }
    budget.facts = facts;
    Ok(())
}

#[cfg(test)]
mod tests {
    use zkbureau_circuits::schema::{Aggregate, Attribute, Class, Schema};
    use zkbureau_ledger::AnchorId;

    use super::*;

    fn use_of(number: u32, anchor: u8, time: u64) -> Use {
        Use {
            number,
            anchor: AnchorId([anchor; 32]),
            time: TimeMs(time),
        }
    }

    #[test]
    fn uses_count_once_and_not_too_often() {
        let mut uses = ConsentUses::default();
        assert_eq!(count_use(&mut uses, use_of(0, 1, 0), 2), Ok(true));
        assert_eq!(count_use(&mut uses, use_of(0, 1, 0), 2), Ok(false));
        assert_eq!(
            count_use(&mut uses, use_of(0, 2, 5), 2),
            Err(Refusal::UseTaken)
        );
        assert_eq!(count_use(&mut uses, use_of(1, 2, 5), 2), Ok(true));
        assert_eq!(
            count_use(&mut uses, use_of(2, 3, DAY_MS - 1), 2),
            Err(Refusal::Frequency)
        );
        assert_eq!(count_use(&mut uses, use_of(2, 3, DAY_MS), 2), Ok(true));
        assert_eq!(uses.uses.len(), 3);
    }

    #[test]
    fn a_form_is_known_by_any_factor_and_side() {
        let attribute = |name: &str, class, max| Attribute {
            name: name.into(),
            class,
            aggregate: if max == 1 {
                Aggregate::Max
            } else {
                Aggregate::Sum
            },
            min: 0,
            max,
            unit: String::new(),
            description: String::new(),
        };
        let attributes = vec![
            attribute("present", Class::Stock, 1),
            attribute("a", Class::Stock, 99),
            attribute("b", Class::Flow, 99),
        ];
        let schema = Schema::new(1, attributes).expect("valid");
        let key = |text| budget_key(&Fact::parse(text, &schema).expect("valid"));
        let same = [
            "total(a) <= 5",
            "total(a) >= 6",
            "total(a) == 7",
            "3*total(a) <= 8",
            "-2*total(a) <= 9",
        ];
        for text in same {
            assert_eq!(key(text), key("total(a) <= 4"), "{text}");
        }
        assert_eq!(
            key("4*total(a) - 2*total(b, 3m) >= 1"),
            key("total(b, 3m) - 2*total(a) >= 7")
        );
        let different = [
            "each(a) <= 5",
            "total(a, 2024-01) <= 5",
            "total(b, 3m) <= 5",
            "total(b, 4m) <= 5",
            "total(a) + total(b, 3m) <= 5",
            "total(a) - total(b, 3m) <= 5",
        ];
        for (i, text) in different.iter().enumerate() {
            assert_ne!(key(text), key("total(a) <= 5"), "{text}");
            assert!(different[..i].iter().all(|t| key(t) != key(text)), "{text}");
        }
    }

    #[test]
    fn questions_under_one_card_count_together_and_reasons_apart() {
        use zkbureau_circuits::fact::HitPolicy;
        use zkbureau_circuits::ids::AgencyId;
        use zkbureau_circuits::scorecard::{
            Bin, Card, Measure, Question, Reference, ScoreAsk, Span, Variable,
        };
        let card = |name: &str| {
            let variable = Variable {
                name: "v".into(),
                reference: Reference {
                    attribute: "present".into(),
                    lag: 0,
                    measure: Measure::Level,
                    span: Span::Total,
                },
                reason: String::new(),
                bins: vec![Bin {
                    from: 0,
                    to: 9,
                    points: 0,
                    label: String::new(),
                }],
            };
            Card::new(name.into(), 1, 0, true, vec![variable]).expect("valid")
        };
        let present = Attribute {
            name: "present".into(),
            class: Class::Stock,
            aggregate: Aggregate::Max,
            min: 0,
            max: 1,
            unit: String::new(),
            description: String::new(),
        };
        let other = Attribute {
            name: "balance".into(),
            max: 99,
            ..present.clone()
        };
        let schema = Schema::new(1, vec![present, other]).expect("valid");
        let keys = |name: &str, question, reasons| {
            let card = card(name);
            let ask = ScoreAsk {
                card: card.content_hash(),
                question,
                reasons,
            };
            let query = Query::with_scores(
                &schema,
                Vec::new(),
                &[(ask, Arc::new(card))],
                vec![AgencyId(1)],
                "2025-06".parse().expect("a period"),
                HitPolicy::NoHit,
            );
            budget_keys(&query.expect("valid"))
        };
        let at_least = keys("a", Question::AtLeast(5), 0);
        assert_eq!(at_least.len(), 1);
        assert_eq!(keys("a", Question::Below(9), 0), at_least);
        assert_eq!(
            keys("a", Question::Exact, 0),
            [at_least[0]; BUDGET_PER_SHOWN_SCORE]
        );
        // Another name is no other number.
        assert_eq!(keys("b", Question::AtLeast(5), 0), at_least);
        let with = keys("a", Question::AtLeast(5), 4);
        assert_eq!((with.len(), with[0]), (2, at_least[0]));
        assert_ne!(with[1], with[0]);
    }

    #[test]
    fn facts_count_for_ninety_days() {
        let forms = |from: u8, to: u8| (from..to).map(|i| [i; 32]).collect::<Vec<_>>();
        let mut budget = Budget::default();
        assert_eq!(count_facts(&mut budget, &forms(0, 64), TimeMs(5)), Ok(()));
        let before = budget.clone();
        assert_eq!(
            count_facts(&mut budget, &forms(0, 1), TimeMs(4 + BUDGET_MS)),
            Err(Refusal::Budget)
        );
        assert_eq!(budget, before);
        assert_eq!(
            count_facts(&mut budget, &forms(0, 1), TimeMs(5 + BUDGET_MS)),
            Ok(())
        );
        assert_eq!(budget.facts.len(), 1);
    }

    #[test]
    fn one_form_has_a_limit_of_its_own() {
        let mut budget = Budget::default();
        for _ in 0..BUDGET_FACTS_PER_FORM {
            assert_eq!(count_facts(&mut budget, &[[1; 32]], TimeMs(0)), Ok(()));
        }
        assert_eq!(
            count_facts(&mut budget, &[[1; 32]], TimeMs(1)),
            Err(Refusal::Budget)
        );
        assert_eq!(count_facts(&mut budget, &[[2; 32]], TimeMs(1)), Ok(()));
    }
}
