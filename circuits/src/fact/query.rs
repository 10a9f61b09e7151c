//! The validated facts of one request (spec: `circuits/spec/fact.md`, heading "Query").

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::error::{BoundError, FactError};
use super::language::{Fact, FactText, When};
use super::{MAX_AGENCIES, MAX_FACTS, MAX_SCORE_VALUES, MAX_SOURCES};
use crate::encoding::Digest32;
use crate::ids::AgencyId;
use crate::period::Period;
use crate::schema::{Class, Schema};
use crate::scorecard::{
    AskError, Card, MAX_SCORES, Measure, Reference, SchemaMismatch, ScoreAsk, Span,
};

/// What a person without any record at the listed agencies means.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum HitPolicy {
    /// All values are zero: a total is its constant, an `each` holds.
    Zero,
    /// Insufficient history, for every fact.
    NoHit,
}

/// Facts do not make a request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueryError {
    /// No facts, or too many.
    #[error("a request has 1 to {MAX_FACTS} facts, none only with scores, not {0}")]
    Facts(usize),
    /// No agencies, or too many.
    #[error("a request lists 1 to {MAX_AGENCIES} agencies, not {0}")]
    Agencies(usize),
    /// Agencies out of order or listed twice.
    #[error("{0} is out of order or listed twice; agencies are listed in ascending order")]
    Order(AgencyId),
    /// A text is not a fact.
    #[error("fact {fact}: {error}")]
    Parse {
        /// Which fact, from 1.
        fact: usize,
        /// What is wrong.
        error: FactError,
    },
    /// A form may leave 63 bits, or was written for another schema.
    #[error("fact {fact}: {error}")]
    Bound {
        /// Which fact, from 1.
        fact: usize,
        /// What is wrong.
        error: BoundError,
    },
    /// A stock of a period that is still to come.
    #[error("fact {fact}: period {period} is after as_of ({as_of})")]
    Future {
        /// Which fact, from 1.
        fact: usize,
        /// The period.
        period: Period,
        /// The request's period.
        as_of: Period,
    },
    /// A window reaches back beyond the first period there is.
    #[error("fact {fact}: a window of {months} months before {as_of} starts before 1900-01")]
    Past {
        /// Which fact, from 1.
        fact: usize,
        /// Length of the window.
        months: u32,
        /// The request's period.
        as_of: Period,
    },
    /// Too many scores.
    #[error("a request asks for at most {MAX_SCORES} scores, not {0}")]
    Scores(usize),
    /// A score's card is another one than given, or unknown.
    #[error("score {0}: the card is not known")]
    UnknownCard(usize),
    /// A question does not fit its card.
    #[error("score {score}: {error}")]
    Ask {
        /// Which score, from 1.
        score: usize,
        /// What is wrong.
        error: AskError,
    },
    /// A card does not fit the schema or the agencies.
    #[error("score {score}: {error}")]
    Card {
        /// Which score, from 1.
        score: usize,
        /// What is wrong.
        error: Box<SchemaMismatch>,
    },
    /// A card reads a period before the first there is.
    #[error(
        "score {score}: variable {variable:?} reads {lag} periods before {as_of}, before 1900-01"
    )]
    Lag {
        /// Which score, from 1.
        score: usize,
        /// Which variable.
        variable: String,
        /// Its lag.
        lag: u32,
        /// The request's period.
        as_of: Period,
    },
    /// Too many different values.
    #[error("the scores of a request read at most {MAX_SCORE_VALUES} different values, not {0}")]
    ScoreValues(usize),
    /// Too many different times.
    #[error(
        "a request names at most {MAX_SOURCES} different times (latest, past periods, windows), not {0}"
    )]
    Sources(usize),
}

/// A term with its place in the commitment of its class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlacedTerm {
    pub(crate) when: When,
    pub(crate) place: u32,
    pub(crate) weight: i64,
    pub(crate) min: i64,
}

/// A question about a score, with its card and where the card's values stand among the rows of a
/// plan.
#[derive(Clone, Debug)]
pub struct ScoreQuery {
    pub(crate) ask: ScoreAsk,
    pub(crate) card: Arc<Card>,
    /// Per variable of the card the row of its value.
    pub(crate) rows: Vec<usize>,
}

impl ScoreQuery {
    /// What is asked.
    #[must_use]
    pub fn ask(&self) -> &ScoreAsk {
        &self.ask
    }

    /// Under which card.
    #[must_use]
    pub fn card(&self) -> &Arc<Card> {
        &self.card
    }

    /// The question as people write it.
    #[must_use]
    pub fn text(&self) -> String {
        self.ask.text(&self.card)
    }
}

/// The facts and scores of one request, checked against schema, agencies and `as_of`.
#[derive(Clone, Debug)]
pub struct Query {
    schema: Digest32,
    facts: Vec<Fact>,
    /// The terms of each row: the facts, then the values that scores read, each once.
    placed: Vec<Vec<PlacedTerm>>,
    /// The one agency of each row; none for all.
    at: Vec<Option<AgencyId>>,
    scores: Vec<ScoreQuery>,
    agencies: Vec<AgencyId>,
    as_of: Period,
    hit: HitPolicy,
}

/// Class of the commitments that a time refers to.
pub(crate) fn class(when: When) -> Class {
    match when {
        When::Latest | When::At(_) => Class::Stock,
        When::Window(_) | When::During(_) => Class::Flow,
    }
}

impl Query {
    /// Checks facts against a schema, the listed agencies (in ascending order) and the period of
    /// the request.
    ///
    /// # Errors
    /// [`QueryError`] names the fact and the limit.
    pub fn new(
        schema: &Schema,
        facts: Vec<Fact>,
        agencies: Vec<AgencyId>,
        as_of: Period,
        hit: HitPolicy,
    ) -> Result<Self, QueryError> {
        if facts.is_empty() {
            return Err(QueryError::Facts(0));
        }
        Self::with_scores(schema, facts, &[], agencies, as_of, hit)
    }

    /// [`Self::new`] with questions about scores, each with its card, beside the facts.
    ///
    /// # Errors
    /// [`QueryError`] names the fact or score and the limit.
    pub fn with_scores(
        schema: &Schema,
        facts: Vec<Fact>,
        scores: &[(ScoreAsk, Arc<Card>)],
        agencies: Vec<AgencyId>,
        as_of: Period,
        hit: HitPolicy,
    ) -> Result<Self, QueryError> {
        if scores.len() > MAX_SCORES {
            return Err(QueryError::Scores(scores.len()));
        }
        if (facts.is_empty() && scores.is_empty()) || facts.len() > MAX_FACTS {
            return Err(QueryError::Facts(facts.len()));
        }
        if agencies.is_empty() || agencies.len() > MAX_AGENCIES {
            return Err(QueryError::Agencies(agencies.len()));
        }
        if let Some(pair) = agencies.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(QueryError::Order(pair[1]));
        }
        let mut places = vec![0u32; schema.len()];
        for class in [Class::Stock, Class::Flow] {
            for (place, position) in (0u32..).zip(schema.positions(class)) {
                places[position] = place;
            }
        }
        let mut placed = Vec::with_capacity(facts.len());
        let mut times = Vec::new();
        for (number, fact) in (1..).zip(&facts) {
            fact.check_bound(schema, agencies.len())
                .map_err(|error| QueryError::Bound {
                    fact: number,
                    error,
                })?;
            for term in &fact.terms {
                check_time(number, term.when, as_of)?;
                times.push(term.when);
            }
            // The bound's check has found every attribute at its position.
            let place = |term: &super::Term| PlacedTerm {
                when: term.when,
                place: places[term.position],
                weight: term.weight,
                min: schema.attributes()[term.position].min,
            };
            placed.push(fact.terms.iter().map(place).collect());
        }
        let mut at = vec![None; placed.len()];
        let scores = place_scores(schema, scores, &agencies, as_of, &mut |term, agency| {
            times.push(term.when);
            placed.push(vec![PlacedTerm {
                place: places[term.place as usize],
                ..term
            }]);
            at.push(agency);
            placed.len() - 1
        })?;
        times.sort_unstable();
        times.dedup();
        if times.len() > MAX_SOURCES {
            return Err(QueryError::Sources(times.len()));
        }
        Ok(Self {
            schema: schema.digest(),
            facts,
            placed,
            at,
            scores,
            agencies,
            as_of,
            hit,
        })
    }

    /// Reads the facts' texts, then [`Self::with_scores`].
    ///
    /// # Errors
    /// [`QueryError`] names the fact, and the place in its text.
    pub fn parse(
        schema: &Schema,
        facts: &[FactText],
        scores: &[(ScoreAsk, Arc<Card>)],
        agencies: Vec<AgencyId>,
        as_of: Period,
        hit: HitPolicy,
    ) -> Result<Self, QueryError> {
        if facts.len() > MAX_FACTS {
            return Err(QueryError::Facts(facts.len()));
        }
        let facts = (1..)
            .zip(facts)
            .map(|(fact, text)| {
                Fact::parse(text.as_str(), schema)
                    .map_err(|error| QueryError::Parse { fact, error })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Self::with_scores(schema, facts, scores, agencies, as_of, hit)
    }

    /// The facts, in the order of the verdicts.
    #[must_use]
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The questions about scores, in the order of their verdicts.
    #[must_use]
    pub fn scores(&self) -> &[ScoreQuery] {
        &self.scores
    }

    /// The listed agencies, ascending.
    #[must_use]
    pub fn agencies(&self) -> &[AgencyId] {
        &self.agencies
    }

    /// How old a leaf may be, and the last month of every window.
    #[must_use]
    pub fn as_of(&self) -> Period {
        self.as_of
    }

    /// What a person without any record means.
    #[must_use]
    pub fn hit_policy(&self) -> HitPolicy {
        self.hit
    }

    /// Digest of the schema that the facts were checked against.
    #[must_use]
    pub fn schema(&self) -> &Digest32 {
        &self.schema
    }

    /// The earliest period whose log entries matter; `None` when no fact needs the log.
    #[must_use]
    pub fn log_needed(&self) -> Option<Period> {
        self.placed
            .iter()
            .flatten()
            .filter_map(|term| match term.when {
                When::Latest => None,
                When::At(period) | When::During(period) => Some(period),
                When::Window(months) => Some(self.window_start(months)),
            })
            .min()
    }

    /// First month of a window.
    pub(crate) fn window_start(&self, months: u32) -> Period {
        self.as_of.minus(months - 1)
    }

    /// The terms of each row with their places: the facts, then the values that scores read.
    pub(crate) fn placed(&self) -> &[Vec<PlacedTerm>] {
        &self.placed
    }

    /// The one agency of each row; none for all.
    pub(crate) fn row_agencies(&self) -> &[Option<AgencyId>] {
        &self.at
    }

    /// The earliest period that a score looks at.
    #[must_use]
    pub fn earliest_of_score(&self, score: usize) -> Option<Period> {
        let score = self.scores.get(score)?;
        let lags = score.card.variables().iter().map(|v| v.reference.lag);
        Some(self.as_of.minus(lags.max().unwrap_or(0)))
    }
}

/// Checks questions about scores and gives every value that their cards read a row, each once.
/// `row` takes a term, whose place is still the attribute's position, and gives the number of its row.
fn place_scores(
    schema: &Schema,
    scores: &[(ScoreAsk, Arc<Card>)],
    agencies: &[AgencyId],
    as_of: Period,
    row: &mut dyn FnMut(PlacedTerm, Option<AgencyId>) -> usize,
) -> Result<Vec<ScoreQuery>, QueryError> {
    let mut known: Vec<(Reference, usize)> = Vec::new();
    let mut placed = Vec::with_capacity(scores.len());
    for (score, (ask, card)) in (1..).zip(scores) {
        if card.content_hash() != ask.card {
            return Err(QueryError::UnknownCard(score));
        }
        ask.check(card)
            .map_err(|error| QueryError::Ask { score, error })?;
        for (before, _) in &scores[..score - 1] {
            let (one, two) = (before.reasons, ask.reasons);
            if before.card == ask.card && one != two && one > 0 && two > 0 {
                let error = AskError::TwoReasons(card.name().to_owned(), one, two);
                return Err(QueryError::Ask { score, error });
            }
        }
        card.check_schema(schema, agencies)
            .map_err(|error| QueryError::Card {
                score,
                error: Box::new(error),
            })?;
        let mut rows = Vec::with_capacity(card.variables().len());
        for v in card.variables() {
            let reference = &v.reference;
            if let Some((_, row)) = known.iter().find(|(r, _)| r == reference) {
                rows.push(*row);
                continue;
            }
            if known.len() == MAX_SCORE_VALUES {
                return Err(QueryError::ScoreValues(known.len() + 1));
            }
            let period = (as_of.number().checked_sub(reference.lag))
                .and_then(|n| Period::from_number(n).ok())
                .ok_or_else(|| QueryError::Lag {
                    score,
                    variable: v.name.clone(),
                    lag: reference.lag,
                    as_of,
                })?;
            // The card fits the schema, so the attribute is there.
            let (position, attribute) = schema
                .find(&reference.attribute)
                .ok_or(QueryError::UnknownCard(score))?;
            let term = PlacedTerm {
                when: match reference.measure {
                    Measure::Level => When::At(period),
                    Measure::Flow => When::During(period),
                },
                place: position as u32,
                weight: 1,
                min: attribute.min,
            };
            let agency = match reference.span {
                Span::Total => None,
                Span::Agency(agency) => Some(agency),
            };
            let at = row(term, agency);
            known.push((reference.clone(), at));
            rows.push(at);
        }
        placed.push(ScoreQuery {
            ask: *ask,
            card: Arc::clone(card),
            rows,
        });
    }
    Ok(placed)
}

fn check_time(fact: usize, when: When, as_of: Period) -> Result<(), QueryError> {
    match when {
        When::At(period) if period > as_of => Err(QueryError::Future {
            fact,
            period,
            as_of,
        }),
        // 1900-01 is the first period there is.
        When::Window(months)
            if as_of
                .number()
                .checked_sub(months - 1)
                .is_none_or(|n| Period::from_number(n).is_err()) =>
        {
            Err(QueryError::Past {
                fact,
                months,
                as_of,
            })
        }
        _ => Ok(()),
    }
}
