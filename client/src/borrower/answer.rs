//! Answering a request: inquire, ask, assemble.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand_core::{CryptoRng, RngCore};
use zkbureau_circuits::encoding::Digest32;
use zkbureau_circuits::fact::{ScoreQuery, Verdict};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::scorecard::{ProvingKey, ScoreVerdict};
use zkbureau_ledger::document::answer::{AuthorityEvidence, FactAnswer};
use zkbureau_ledger::document::ask::{AskBody, FactsAsk};
use zkbureau_ledger::document::consent::Field;
use zkbureau_ledger::document::evidence::AgencyAnswer;
use zkbureau_ledger::document::request::FactRequest;
use zkbureau_ledger::ids::{Height, TimeMs};

use super::ask::{Failure, ask_agencies};
use super::assemble::{Rights, assemble, require_score_key};
use super::inquiry::{finish, inquire, unfinished};
use super::{BorrowerError, check_request, show_consent_id};
use crate::evidence::{Subject, check_certificate};
use crate::nodes::Nodes;
use crate::score;
use crate::wallet::{Outcome, Wallet};

/// How to answer.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Indexes of facts, from 0, and after them of scores, that the person declines to say.
    pub decline: Vec<usize>,
    /// Leave the judgement of consents to ledger and agencies.
    pub insist: bool,
    /// Proves scores; loaded once and shared.
    pub score_key: Option<Arc<ProvingKey>>,
}

/// An answer, and how it came about.
#[derive(Clone, Debug)]
pub struct Answered {
    /// For the lender.
    pub answer: FactAnswer,
    /// Digest of the request.
    pub request: Digest32,
    /// Canonical texts of the facts, then the questions about scores.
    pub facts: Vec<String>,
    /// One verdict per fact, then one per score.
    pub verdicts: Vec<Verdict>,
    /// What more is said of the scores.
    pub scores: Vec<ScoreVerdict>,
    /// The same in words: a score, reasons, where they are shown.
    pub score_details: Vec<String>,
    /// Agencies that are missing in it, with the reason.
    pub missing: BTreeMap<AgencyId, Failure>,
    /// Height of the inquiry.
    pub height: Height,
    /// The consent used.
    pub consent_id: [u8; 16],
    /// Which use of it, from 0.
    pub use_number: u32,
    /// Whether an earlier inquiry was taken up again.
    pub resumed: bool,
}

/// Answers a request under a consent of the wallet's.
///
/// An agency that cannot be reached leaves its facts unavailable, and the same command may be
/// tried again: it takes up the same inquiry. An agency that refuses ends it.
///
/// # Errors
/// [`BorrowerError`]; [`BorrowerError::is_refusal`] tells decisions from failures.
pub fn answer<R: RngCore + CryptoRng>(
    wallet: &mut Wallet,
    nodes: &Nodes,
    request: &FactRequest,
    options: &Options,
    now: TimeMs,
    rng: &mut R,
) -> Result<Answered, BorrowerError> {
    let query = check_request(wallet, request, now)?;
    // Named here, before anything is asked: agencies refuse everything alike.
    let identity = wallet.identity(now)?;
    if !query.scores().is_empty() && unfinished(wallet, nodes, request)?.is_none() {
        // Before a use of the consent is taken: without the key in force there is no answer. An inquiry
        // that was made goes by the key of its block.
        let newest = nodes.state(wallet.chain())?;
        let (_, consortium) = nodes.consortium(wallet.chain(), &newest)?;
        require_score_key(consortium.score_key.as_ref(), options.score_key.as_deref())?;
    }
    let inquired = inquire(wallet, nodes, request, &query, options.insist, now, rng)?;
    let (record, state) = (&inquired.record, &inquired.state);
    check_certificate(
        &identity.certificate,
        &wallet.chain_id(),
        &state.consortium,
        state.header.time_ms().day(),
    )?;
    let consent = (wallet.consent(&record.consent_id))
        .ok_or_else(|| BorrowerError::UnknownConsent(show_consent_id(&record.consent_id)))?;
    let anchor = &consent.anchors[record.use_number as usize];
    let (anchor_id, anchor_salt) = (
        anchor.anchor.id(),
        consent.consent.anchor_salt(record.use_number),
    );

    let body = AskBody::Facts(Box::new(FactsAsk {
        terms: request.terms.clone(),
        parties_digest: request.parties.digest(),
        consent: consent.consent.view(Field::is_for_agencies),
        use_number: record.use_number,
        anchor_salt,
        anchor_id,
        inquiry_nonce: record.nonce,
        height: state.header.height(),
    }));
    // Sealed to the keys that the agencies have now, if the inquiry is an older one.
    let now_known = if inquired.resumed {
        let newest = nodes.state(wallet.chain())?;
        Some(nodes.consortium(wallet.chain(), &newest)?.1)
    } else {
        None
    };
    let replies = ask_agencies::<AgencyAnswer, _>(
        nodes,
        &wallet.chain_id(),
        now_known.as_ref().unwrap_or(&state.consortium),
        query.agencies(),
        &identity,
        &body,
        wallet.key(),
        now,
        rng,
    );
    let mut answers = Vec::new();
    let mut missing = BTreeMap::new();
    for reply in replies {
        match reply.result {
            Ok(answer) if answer.evidence.agency == reply.agency => answers.push(answer),
            Ok(_) => {
                missing.insert(reply.agency, Failure::invalid("it names another agency"));
            }
            Err(failure) => {
                missing.insert(reply.agency, failure);
            }
        }
    }
    let refusing: Vec<AgencyId> = (missing.iter())
        .filter(|(_, failure)| **failure == Failure::Refused)
        .map(|(agency, _)| *agency)
        .collect();
    if !refusing.is_empty() {
        return Err(BorrowerError::RefusedByAgencies(refusing));
    }

    let about = Subject {
        chain: wallet.chain(),
        request,
        digest: request.request_digest(),
        query: &query,
        person: wallet.person(),
    };
    let rights = Rights {
        state: inquired.evidence.clone(),
        authority: AuthorityEvidence {
            certificate: identity.certificate.clone(),
            subject_salt: wallet.person_salt().clone(),
            consent: consent.consent.view(|_| true),
            use_number: record.use_number,
            anchor_salt,
            anchor_id,
            inquiry_nonce: record.nonce,
        },
    };
    let made = assemble(
        &about,
        state,
        rights,
        answers,
        &options.decline,
        options.score_key.as_deref(),
        rng,
    )?;
    missing.extend(made.left_out);
    let answered = Answered {
        answer: made.answer,
        request: about.digest,
        facts: (query.facts().iter().map(ToString::to_string))
            .chain(query.scores().iter().map(ScoreQuery::text))
            .collect(),
        verdicts: (made.verdicts.into_iter())
            .chain(made.scores.iter().map(|s| s.verdict))
            .collect(),
        score_details: (query.scores().iter().zip(&made.scores))
            .map(|(score, said)| score::details(score, said))
            .collect(),
        scores: made.scores,
        missing,
        height: state.header.height(),
        consent_id: record.consent_id,
        use_number: record.use_number,
        resumed: inquired.resumed,
    };
    // Complete answers end the inquiry; until then it can be taken up again.
    if answered.missing.is_empty() {
        let nonce = inquired.record.nonce;
        finish(wallet, &nonce, Outcome::Answered(answered.verdicts.clone()))?;
    }
    Ok(answered)
}
