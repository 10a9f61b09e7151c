//! All agencies' parts together: how each fact's verdict comes about
//! (spec: `circuits/spec/fact.md`, heading "Plan").

use thiserror::Error;

use super::agency_plan::{AgencyPlan, Status};
use super::history::{HistoryError, View};
use super::language::{Relation, Scope};
use super::query::{HitPolicy, Query, ScoreQuery};
use super::verdict::{Side, Verdict};
use crate::ids::AgencyId;

/// A view of one agency is not a valid answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Not one view per listed agency.
    #[error("one view per listed agency: expected {expected}, got {got}")]
    Views {
        /// Listed agencies.
        expected: usize,
        /// Views given.
        got: usize,
    },
    /// An agency's view is invalid.
    #[error("{agency}: {error}")]
    View {
        /// Whose.
        agency: AgencyId,
        /// What is wrong.
        error: HistoryError,
    },
}

/// How a fact's verdict comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// By public data.
    Decided(Verdict),
    /// By values: the wallet proves it true or false.
    Open,
}

/// All agencies' parts, and what they mean together.
#[derive(Clone, Debug)]
pub struct Plan {
    query: Query,
    agencies: Vec<AgencyPlan>,
    outcomes: Vec<Outcome>,
    scores: Vec<Outcome>,
}

impl Plan {
    /// Works out what the views, one per listed agency in that order, mean for the facts.
    ///
    /// # Errors
    /// [`PlanError`] names the agency whose view is not a valid answer.
    pub fn new(query: &Query, views: &[View<'_>]) -> Result<Self, PlanError> {
        if views.len() != query.agencies().len() {
            return Err(PlanError::Views {
                expected: query.agencies().len(),
                got: views.len(),
            });
        }
        let agencies = query
            .agencies()
            .iter()
            .zip(views)
            .map(|(agency, view)| {
                AgencyPlan::new(query, *agency, view).map_err(|error| PlanError::View {
                    agency: *agency,
                    error,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let outcomes = (0..query.facts().len())
            .map(|fact| outcome(query, &agencies, fact))
            .collect();
        Ok(Self {
            query: query.clone(),
            scores: query
                .scores()
                .iter()
                .map(|score| score_outcome(query, &agencies, score))
                .collect(),
            agencies,
            outcomes,
        })
    }

    /// The facts and agencies.
    #[must_use]
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// One plan per listed agency.
    #[must_use]
    pub fn agencies(&self) -> &[AgencyPlan] {
        &self.agencies
    }

    /// How each fact's verdict comes about.
    #[must_use]
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// How each score's verdict comes about.
    #[must_use]
    pub fn score_outcomes(&self) -> &[Outcome] {
        &self.scores
    }

    /// Agencies that hold a form of an open fact: (index of the agency, index of the form).
    pub(crate) fn holders(&self, fact: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        (self.agencies.iter().enumerate()).filter_map(move |(i, a)| match a.statuses()[fact] {
            Status::Form(form) => Some((i, form)),
            _ => None,
        })
    }
}

fn outcome(query: &Query, agencies: &[AgencyPlan], fact: usize) -> Outcome {
    let first = |status| {
        let at = agencies.iter().position(|a| a.statuses()[fact] == status)?;
        Some(query.agencies()[at])
    };
    if let Some(agency) = first(Status::Unavailable) {
        return Outcome::Decided(Verdict::Unavailable { agency });
    }
    if let Some(agency) = first(Status::InsufficientHistory) {
        return Outcome::Decided(Verdict::InsufficientHistory { at: Some(agency) });
    }
    if agencies
        .iter()
        .any(|a| matches!(a.statuses()[fact], Status::Form(_)))
    {
        return Outcome::Open;
    }
    let constant = query.facts()[fact].constant();
    Outcome::Decided(match (query.hit_policy(), query.facts()[fact].scope()) {
        (HitPolicy::NoHit, _) => Verdict::InsufficientHistory { at: None },
        (HitPolicy::Zero, Scope::Each) => Verdict::True,
        (HitPolicy::Zero, Scope::Total) => {
            match failing_side(query.facts()[fact].relation(), constant.into()) {
                None => Verdict::True,
                Some(side) => Verdict::False { at: None, side },
            }
        }
    })
}

/// A score is open when every agency that holds a record shows all values that the card reads there.
/// It needs a record, whatever a person without one means for facts: zeros are no history.
fn score_outcome(query: &Query, agencies: &[AgencyPlan], score: &ScoreQuery) -> Outcome {
    let first = |is: &dyn Fn(usize, Status) -> bool| {
        let at = (agencies.iter())
            .position(|a| (score.rows.iter()).any(|row| is(*row, a.statuses()[*row])))?;
        Some(query.agencies()[at])
    };
    if let Some(agency) = first(&|_, status| status == Status::Unavailable) {
        return Outcome::Decided(Verdict::Unavailable { agency });
    }
    // What a card reads at one agency is not zero there for lack of a record.
    let missing = |row: usize, status| {
        status == Status::InsufficientHistory
            || (status == Status::NoRecord && query.row_agencies()[row].is_some())
    };
    if let Some(agency) = first(&missing) {
        return Outcome::Decided(Verdict::InsufficientHistory { at: Some(agency) });
    }
    if first(&|_, status| matches!(status, Status::Form(_))).is_some() {
        return Outcome::Open;
    }
    Outcome::Decided(Verdict::InsufficientHistory { at: None })
}

/// On which side a form misses its relation, if it does.
pub(super) fn failing_side(relation: Relation, form: i128) -> Option<Side> {
    match relation {
        _ if form < 0 => Some(Side::Below),
        Relation::EqualsZero if form > 0 => Some(Side::Above),
        _ => None,
    }
}
