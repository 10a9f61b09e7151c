//! A lender: makes requests and verifies answers, alone and offline.

use std::sync::Arc;

use rand_core::{CryptoRng, RngCore};
use serde::Serialize;
use thiserror::Error;
use zkbureau_circuits::directory::{SubjectCommitment, SubjectId, SubjectSecret};
use zkbureau_circuits::encoding::{Digest32, Document};
use zkbureau_circuits::error::DecodeError;
use zkbureau_circuits::fact::{
    Fact, FactError, FactText, HitPolicy, Query, Verdict, verify_verdicts,
};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::scorecard::{
    Card, KeyError, Origin, Question, ScoreAsk, ScoreText, ScoreTextError, ScoreVerdict,
    VerifyingKey, verify_scores,
};
use zkbureau_ledger::document::answer::{ANSWER_SEAL, AnswerBody, FactAnswer};
use zkbureau_ledger::document::request::{
    FactRequest, InquiryType, RequestError, RequestParties, RequestTerms,
};
use zkbureau_ledger::ids::{Height, TimeMs};

use crate::chain::Chain;
use crate::evidence::{
    AuthorityError, State, StateError, Statement, StatementError, Subject, check_authority,
};
use crate::files::LenderKeys;
use crate::{show, time};

/// Blocks may be this much ahead of the lender's clock.
pub const CLOCK_TOLERANCE_MS: u64 = 120_000;
/// Default for how old the header of an answer may be: a day.
pub const DEFAULT_MAX_AGE_MS: u64 = 86_400_000;

/// What a lender wants to know.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// The lender's name, shown to the borrower.
    pub lender_name: String,
    /// Why.
    pub purpose: String,
    /// Whether this is an application for credit.
    pub inquiry_type: InquiryType,
    /// The person.
    pub subject: &'a SubjectId,
    /// The facts, as written.
    pub facts: &'a [String],
    /// The questions about scores, as written.
    pub scores: &'a [String],
    /// The cards that questions may name.
    pub cards: &'a [Card],
    /// The agencies; if `None` all that the chain is known to have: of the genesis file, or of the
    /// ledger where that has been looked up.
    pub agencies: Option<Vec<AgencyId>>,
    /// How old data may be, and the last month of windows.
    pub as_of: Period,
    /// What a person without any record means.
    pub hit_policy: HitPolicy,
    /// The request is void from here on.
    pub expires: TimeMs,
}

/// A request cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AskError {
    /// A fact cannot be read.
    #[error("fact {number}, `{text}`: {error}")]
    Fact {
        /// Which fact, from 1.
        number: usize,
        /// The fact as it was written.
        text: String,
        /// What is wrong, and where.
        error: FactError,
    },
    /// A question about a score cannot be read.
    #[error("score {number}, `{text}`: {error}")]
    Score {
        /// Which score, from 1.
        number: usize,
        /// The question as it was written.
        text: String,
        /// What is wrong, and where.
        error: ScoreTextError,
    },
    /// An agency that the chain does not have.
    #[error("agencies: the chain has no {0}")]
    Agency(AgencyId),
    /// The request as a whole.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Makes and signs a request.
///
/// # Errors
/// [`AskError`] says what, where and the limit.
pub fn make_request<R: RngCore + CryptoRng>(
    chain: &Chain,
    keys: &LenderKeys,
    ask: Ask<'_>,
    now: TimeMs,
    rng: &mut R,
) -> Result<FactRequest, AskError> {
    let rules = chain.rules();
    let facts = (1..)
        .zip(ask.facts)
        .map(|(number, text)| {
            Fact::parse(text, &rules.schema)
                .map(|fact| fact.text())
                .map_err(|error| AskError::Fact {
                    number,
                    text: text.clone(),
                    error,
                })
        })
        .collect::<Result<Vec<FactText>, _>>()?;
    let mut scores = Vec::with_capacity(ask.scores.len());
    let mut cards: Vec<Card> = Vec::new();
    for (number, text) in (1..).zip(ask.scores) {
        let (score, card) = read_score(text, ask.cards).map_err(|error| AskError::Score {
            number,
            text: text.clone(),
            error,
        })?;
        if !cards.contains(card) {
            cards.push(card.clone());
        }
        scores.push(score);
    }
    let known = chain.consortium().agencies;
    let agencies = match ask.agencies {
        Some(mut agencies) => {
            agencies.sort_unstable();
            agencies.dedup();
            agencies
        }
        None => known.iter().map(|a| a.id).collect(),
    };
    if let Some(missing) = (agencies.iter()).find(|id| known.iter().all(|a| a.id != **id)) {
        return Err(AskError::Agency(*missing));
    }
    let subject_salt = SubjectSecret::random(rng);
    let mut nonce = [0; 32];
    rng.fill_bytes(&mut nonce);
    let terms = RequestTerms {
        chain: chain.id(),
        facts,
        scores,
        agencies,
        as_of: ask.as_of,
        hit_policy: ask.hit_policy,
        expires: ask.expires,
    };
    let parties = RequestParties {
        lender_name: ask.lender_name,
        lender_key: keys.signing.public(),
        lender_sealing_key: keys.sealing.public(),
        purpose: ask.purpose,
        inquiry_type: ask.inquiry_type,
        subject: SubjectCommitment::commit(ask.subject, &subject_salt),
        subject_salt,
        nonce,
    };
    let request = FactRequest::new(terms, parties, cards, &keys.signing);
    request.check(&chain.id(), &rules.schema, now)?;
    Ok(request)
}

/// Reads a question about a score; its card is known by its name or content hash.
fn read_score<'a>(text: &str, cards: &'a [Card]) -> Result<(ScoreAsk, &'a Card), ScoreTextError> {
    let parsed = ScoreText::parse(text)?;
    let named = |card: &&Card| {
        card.name() == parsed.card || hex::encode(card.content_hash()) == parsed.card.to_lowercase()
    };
    let card = (cards.iter().find(named)).ok_or_else(|| parsed.unknown_card())?;
    Ok((parsed.of(card)?, card))
}

/// An answer is not valid. Where a proof fails it does not say how: that would help a forger.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VerifyAnswerError {
    /// The lender's own request.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The request was made with other keys.
    #[error("the request was not made with this lender's keys")]
    OtherLender,
    /// The request is about somebody else.
    #[error("the request is about another person")]
    OtherPerson,
    /// The answer names another request.
    #[error("the answer is for another request")]
    OtherRequest,
    /// It cannot be opened.
    #[error("the answer is not sealed to this lender, or was changed on the way")]
    Sealed,
    /// What was sealed is not an answer.
    #[error("the answer is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// The header or state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The header is too old.
    #[error(
        "the header is older than {}: its time is {}, now it is {}",
        time::show_span(*limit_ms), time::show(*header), time::show(*now)
    )]
    HeaderAge {
        /// Its time.
        header: TimeMs,
        /// The lender's time.
        now: TimeMs,
        /// The limit in milliseconds.
        limit_ms: u64,
    },
    /// The header is from the future.
    #[error("the header's time, {}, is ahead of this clock, {}", time::show(*header), time::show(*now))]
    HeaderAhead {
        /// Its time.
        header: TimeMs,
        /// The lender's time.
        now: TimeMs,
    },
    /// The right to the answer.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The agencies' evidence.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The verdicts.
    #[error("the proof of the verdicts does not verify")]
    Verdicts,
    /// Scores are proven under another key than that in force, or it is no key.
    #[error("the scores' verifying key is not the one in force on the ledger: {0}")]
    ScoreKey(KeyError),
    /// The key in force at the answer's block has been replaced since.
    #[error(
        "the scores are proven under a key that the ledger has replaced by block {0}: ask for a new answer"
    )]
    ScoreKeyReplaced(Height),
    /// The scores.
    #[error("the proof of the scores does not verify")]
    Scores,
}

/// One fact and what was proven of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FactVerdict {
    /// Canonical text.
    pub fact: String,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// A variable that cost many points, for adverse-action notices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The variable's name on the card.
    pub variable: String,
    /// Its reason code.
    pub code: String,
}

/// One question about a score and what was proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScoreFinding {
    /// The question, with the card's name.
    pub score: String,
    /// Name of the card.
    pub card: String,
    /// Content hash of the card.
    #[serde(with = "hex::serde")]
    pub card_hash: Digest32,
    /// The agency that registered it.
    pub registered_by: AgencyId,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The score, where it was asked for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<String>,
    /// The same in the card's unit of points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaled_points: Option<i64>,
    /// The variables that cost the most points, in the order of the card, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Vec<Reason>>,
}

/// The key that an answer's scores were proven under: the one in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScoreKeyFinding {
    /// Its content hash.
    #[serde(with = "hex::serde")]
    pub hash: Digest32,
    /// Where it comes from.
    #[serde(flatten)]
    pub origin: ScoreKeyOrigin,
}

/// Where a key for scores comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "origin", rename_all = "snake_case")]
pub enum ScoreKeyOrigin {
    /// Made for tests: everybody can forge scores under it.
    Test {
        /// The seed that makes it.
        seed: u64,
    },
    /// Made in a ceremony: forging takes the contributors of a whole phase together.
    Ceremony {
        /// What the ceremony is for.
        title: String,
        /// Who contributed, in order: to phase 1, to phase 2.
        contributors: [Vec<String>; 2],
    },
}

impl ScoreKeyFinding {
    fn of(key: &VerifyingKey) -> Self {
        let origin = match key.origin() {
            Origin::Test(seed) => ScoreKeyOrigin::Test { seed: *seed },
            Origin::Ceremony(minutes) => ScoreKeyOrigin::Ceremony {
                title: minutes.title.clone(),
                contributors: [
                    minutes.powers.iter().map(|c| c.name.clone()).collect(),
                    (minutes.phase_two.iter())
                        .flat_map(|two| two.contributions.iter().map(|c| c.name.clone()))
                        .collect(),
                ],
            },
        };
        Self {
            hash: *key.hash(),
            origin,
        }
    }
}

/// What was learned about one agency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgencyFinding {
    /// Identifier.
    pub id: AgencyId,
    /// Name on the ledger.
    pub name: String,
    /// Whether its evidence is part of the answer.
    pub answered: bool,
    /// Whether it holds a record of the person; unknown if it did not answer.
    pub holds_record: Option<bool>,
    /// The last period it has published at the header's height.
    pub published: Option<Period>,
    /// The period of the person's latest stocks there.
    pub stocks_period: Option<Period>,
    /// Log entries shown: how often it reported, not what.
    pub log_entries: usize,
}

/// A valid answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Digest of the request.
    #[serde(with = "hex::serde")]
    pub request: Digest32,
    /// One verdict per fact.
    pub facts: Vec<FactVerdict>,
    /// One finding per question about a score.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<ScoreFinding>,
    /// The key that they were proven under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_key: Option<ScoreKeyFinding>,
    /// One finding per agency that was asked.
    pub agencies: Vec<AgencyFinding>,
    /// Agencies of the consortium that were not asked.
    pub not_asked: Vec<AgencyId>,
    /// Height of the inquiry's block.
    pub height: Height,
    /// Time of that block.
    pub time_ms: TimeMs,
    /// Hash of its header.
    #[serde(with = "hex::serde")]
    pub header: Digest32,
    /// The last month that the facts are about.
    pub as_of: Period,
    /// What else the answer shows.
    pub learned: Vec<String>,
    /// What it does not show.
    pub not_learned: Vec<String>,
}

impl Verification {
    /// The verdicts: those of the facts, then those of the scores.
    pub fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        let facts = self.facts.iter().map(|f| &f.verdict);
        facts.chain(self.scores.iter().map(|s| &s.verdict))
    }
}

/// Verifies an answer from a trusted chain alone, whoever delivered it.
///
/// `person` is whom the lender asked about; `now` is the lender's clock; the header of the
/// inquiry's block may be at most `max_age_ms` old.
///
/// # Errors
/// [`VerifyAnswerError`] says in a phrase what failed.
#[allow(clippy::too_many_arguments)]
pub fn verify<R: RngCore + CryptoRng>(
    request: &FactRequest,
    answer: &FactAnswer,
    chain: &Chain,
    keys: &LenderKeys,
    person: &SubjectId,
    now: TimeMs,
    max_age_ms: u64,
    rng: &mut R,
) -> Result<Verification, VerifyAnswerError> {
    let body = open(request, answer, keys)?;
    verify_body(request, &body, chain, person, now, max_age_ms, rng)
}

/// Opens an answer that is sealed to the lender.
///
/// # Errors
/// [`VerifyAnswerError`].
pub fn open(
    request: &FactRequest,
    answer: &FactAnswer,
    keys: &LenderKeys,
) -> Result<AnswerBody, VerifyAnswerError> {
    let parties = &request.parties;
    if parties.lender_key != keys.signing.public()
        || parties.lender_sealing_key != keys.sealing.public()
    {
        return Err(VerifyAnswerError::OtherLender);
    }
    let digest = request.request_digest();
    if answer.request != digest {
        return Err(VerifyAnswerError::OtherRequest);
    }
    let bytes = answer
        .sealed
        .open(&keys.sealing, ANSWER_SEAL, &digest)
        .map_err(|_| VerifyAnswerError::Sealed)?;
    Ok(AnswerBody::from_bytes(&bytes)?)
}

/// Verifies an opened answer.
///
/// # Errors
/// [`VerifyAnswerError`] says in a phrase what failed.
pub fn verify_body<R: RngCore + CryptoRng>(
    request: &FactRequest,
    body: &AnswerBody,
    chain: &Chain,
    person: &SubjectId,
    now: TimeMs,
    max_age_ms: u64,
    rng: &mut R,
) -> Result<Verification, VerifyAnswerError> {
    let parties = &request.parties;
    (parties.subject)
        .verify(person, &parties.subject_salt)
        .map_err(|_| VerifyAnswerError::OtherPerson)?;

    let anchor = &body.authority.anchor_id;
    let state = State::check(chain, &body.state, anchor, request)?;
    let header = state.header.time_ms();
    if header.0 > now.0.saturating_add(CLOCK_TOLERANCE_MS) {
        return Err(VerifyAnswerError::HeaderAhead { header, now });
    }
    if now.0.saturating_sub(header.0) > max_age_ms {
        return Err(VerifyAnswerError::HeaderAge {
            header,
            now,
            limit_ms: max_age_ms,
        });
    }

    // The inquiry must have come before the request expired; later the answer may still be read.
    let query = request.check(&chain.id(), &state.rules.schema, header)?;
    let about = Subject {
        chain,
        request,
        digest: request.request_digest(),
        query: &query,
        person,
    };
    check_authority(&about, &state, &body.authority)?;
    let statement = Statement::check(&about, &state, anchor, &body.agencies, rng)?;
    let context = Statement::context(&about, &state, anchor, &body.agencies);
    verify_verdicts(
        &context,
        &statement.plan,
        &statement.images(),
        &body.verdicts,
        &body.proof,
        rng,
    )
    .map_err(|_| VerifyAnswerError::Verdicts)?;
    let key = check_scores(chain, &state, &statement, &context, body, rng)?;
    let key = key.as_deref().map(ScoreKeyFinding::of);
    Ok(verification(&about, &state, &statement, &query, body, key))
}

/// Checks the scores under the key in force, which the answer brings along and the ledger names. Gives
/// the key.
fn check_scores<R: RngCore + CryptoRng>(
    chain: &Chain,
    state: &State,
    statement: &Statement<'_>,
    context: &Digest32,
    body: &AnswerBody,
    rng: &mut R,
) -> Result<Option<Arc<VerifyingKey>>, VerifyAnswerError> {
    // A key may have been withdrawn because somebody can forge under it.
    let (newest, consortium) = chain.newest_consortium();
    if body.score_key.is_some()
        && newest > state.header.height()
        && consortium.score_key != state.consortium.score_key
    {
        return Err(VerifyAnswerError::ScoreKeyReplaced(newest));
    }
    let key = match (&body.score_key, &state.consortium.score_key) {
        (None, _) => None,
        (Some(_), None) => return Err(VerifyAnswerError::ScoreKey(KeyError::Hash)),
        (Some(bytes), Some(hash)) => Some(
            chain
                .score_key(hash, &bytes.0)
                .map_err(VerifyAnswerError::ScoreKey)?,
        ),
    };
    verify_scores(
        key.as_deref(),
        context,
        &statement.plan,
        &statement.images(),
        &body.scores,
        rng,
    )
    .map_err(|_| VerifyAnswerError::Scores)?;
    Ok(key)
}

fn score_findings(state: &State, query: &Query, verdicts: &[ScoreVerdict]) -> Vec<ScoreFinding> {
    (query.scores().iter().zip(verdicts))
        .map(|(score, said)| {
            let card = score.card();
            let reason = |a: usize| {
                let variable = &card.variables()[a];
                Reason {
                    variable: variable.name.clone(),
                    code: variable.reason().to_owned(),
                }
            };
            let registered = (state.cards.iter()).find(|c| c.card == **card);
            ScoreFinding {
                score: score.text(),
                card: card.name().to_owned(),
                card_hash: score.ask().card,
                registered_by: registered.map_or(AgencyId(0), |c| c.agency),
                verdict: said.verdict,
                points: said.score.map(|points| card.show(points)),
                scaled_points: said.score,
                reasons: said.reasons.map(|set| set.indices().map(reason).collect()),
            }
        })
        .collect()
}

fn verification(
    about: &Subject<'_>,
    state: &State,
    statement: &Statement<'_>,
    query: &Query,
    body: &AnswerBody,
    score_key: Option<ScoreKeyFinding>,
) -> Verification {
    let facts = (query.facts().iter().zip(&body.verdicts))
        .map(|(fact, verdict)| FactVerdict {
            fact: fact.to_string(),
            verdict: *verdict,
        })
        .collect();
    let agencies = (query.agencies().iter().zip(&statement.readings))
        .map(|(id, reading)| {
            let shown = reading.as_ref();
            AgencyFinding {
                id: *id,
                name: (state.consortium.agency(*id)).map_or_else(String::new, |a| a.name.clone()),
                answered: shown.is_some(),
                holds_record: shown.map(|r| r.leaf.is_some()),
                published: shown.and_then(|r| r.published),
                stocks_period: shown.and_then(|r| Some(r.leaf.as_ref()?.stocks_period)),
                log_entries: shown
                    .and_then(|r| r.evidence.log.as_ref())
                    .map_or(0, |log| log.entries.len()),
            }
        })
        .collect();
    Verification {
        request: about.digest,
        facts,
        scores: score_findings(state, query, &body.scores),
        score_key,
        agencies,
        not_asked: (state.consortium.agencies.iter())
            .map(|a| a.id)
            .filter(|id| !query.agencies().contains(id))
            .collect(),
        height: state.header.height(),
        time_ms: state.header.time_ms(),
        header: state.header.hash(),
        as_of: query.as_of(),
        learned: learned(query),
        not_learned: not_learned(state, query),
    }
}

fn learned(query: &Query) -> Vec<String> {
    let mut learned = vec![
        "which of these agencies hold a record, the month of its latest report and the number of \
         its reports"
            .to_owned(),
        "the terms of the person's consent".to_owned(),
    ];
    if show::shows_score(query) {
        learned.push("which values behind a shown score are possible under its card".to_owned());
    }
    if query.log_needed().is_some() {
        learned.push("in which months these agencies reported (the log entries shown)".to_owned());
    }
    learned
}

fn not_learned(state: &State, query: &Query) -> Vec<String> {
    let mut not_learned = Vec::new();
    if !show::shows_score(query) {
        not_learned.push("any amount, at one agency or in total".to_owned());
        if !query.scores().is_empty() {
            not_learned.push("any value that a card reads, its bin or its points".to_owned());
        }
    }
    if (query.scores().iter()).any(|s| s.ask().question != Question::Exact) {
        not_learned.push("how far a score is from its threshold".to_owned());
    }
    let untouched = show::untouched(query, &state.rules.schema);
    if !untouched.is_empty() {
        not_learned.push(format!("anything about {}", untouched.join(", ")));
    }
    let others: Vec<String> = (state.consortium.agencies.iter())
        .filter(|a| !query.agencies().contains(&a.id))
        .map(|a| a.id.to_string())
        .collect();
    if !others.is_empty() {
        not_learned.push(format!("anything from {}, not asked", others.join(", ")));
    }
    not_learned
}
