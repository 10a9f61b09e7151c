//! One agency's part of a plan: which commitments count, with which weights
//! (spec: `circuits/spec/fact.md`, heading "Plan").

use std::collections::BTreeMap;

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::traits::Identity;

use super::history::{HistoryError, RecordView, Records, View};
use super::language::When;
use super::query::{PlacedTerm, Query, class};
use crate::encoding::{Digest32, PointBytes};
use crate::ids::AgencyId;
use crate::schema::Class;

/// `C_m`: one commitment, or sum of commitments, that forms refer to.
#[derive(Clone, Debug)]
pub struct Source {
    when: When,
    records: Records,
    commitment: PointBytes,
    point: RistrettoPoint,
}

impl Source {
    /// The time it stands for.
    #[must_use]
    pub fn when(&self) -> When {
        self.when
    }

    /// The records behind it.
    #[must_use]
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Its class.
    #[must_use]
    pub fn class(&self) -> Class {
        class(self.when)
    }

    /// Its encoding.
    #[must_use]
    pub fn commitment(&self) -> PointBytes {
        self.commitment
    }

    /// The commitment.
    #[must_use]
    pub fn point(&self) -> &RistrettoPoint {
        &self.point
    }

    /// Number of records summed.
    fn count(&self) -> usize {
        match &self.records {
            Records::Latest | Records::Entry(_) => 1,
            Records::Entries(entries) => entries.len(),
        }
    }

    fn new(when: When, records: Records, view: &RecordView<'_>) -> Result<Self, HistoryError> {
        let decode = |bytes: &PointBytes| bytes.decode().map_err(|_| HistoryError::Point);
        let (commitment, point) = match &records {
            Records::Latest => (view.stocks, decode(&view.stocks)?),
            Records::Entry(i) => {
                let stocks = view.entries[*i].stocks;
                (stocks, decode(&stocks)?)
            }
            Records::Entries(entries) => {
                let mut sum = RistrettoPoint::identity();
                for i in entries {
                    sum += decode(&view.entries[*i].flows)?;
                }
                (PointBytes::from(sum), sum)
            }
        };
        Ok(Self {
            when,
            records,
            commitment,
            point,
        })
    }
}

/// One weight of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Which source.
    pub source: u32,
    /// Place of the attribute among those of the source's class.
    pub place: u32,
    /// The weight.
    pub weight: i64,
}

/// A fact's form at one agency.
#[derive(Clone, Debug)]
pub struct Form {
    fact: usize,
    weights: Vec<Weight>,
    offset: i64,
}

impl Form {
    /// Index of the fact; after all facts come the values that scores read.
    #[must_use]
    pub fn fact(&self) -> usize {
        self.fact
    }

    /// The weights, in order of (source, place).
    #[must_use]
    pub fn weights(&self) -> &[Weight] {
        &self.weights
    }

    /// The public addend `Σ w·min·records`.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.offset
    }
}

/// What a fact is at one agency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The agency holds no record.
    NoRecord,
    /// The agency did not answer, its leaf is stale, or a window has too many entries.
    Unavailable,
    /// The agency's log does not reach far enough back.
    InsufficientHistory,
    /// Evaluable: the index of its form, and image.
    Form(usize),
    /// A value of another agency.
    Elsewhere,
}

impl Status {
    /// Its byte in transcripts.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::NoRecord => 0,
            Self::Unavailable => 1,
            Self::InsufficientHistory => 2,
            Self::Form(_) => 3,
            Self::Elsewhere => 4,
        }
    }
}

/// One agency's part: the statement of its linear image.
#[derive(Clone, Debug)]
pub struct AgencyPlan {
    schema: Digest32,
    sources: Vec<Source>,
    forms: Vec<Form>,
    statuses: Vec<Status>,
}

impl AgencyPlan {
    /// Works out what the view of an agency means for the facts and scores.
    ///
    /// # Errors
    /// [`HistoryError`] when the view is not a valid answer.
    pub fn new(query: &Query, agency: AgencyId, view: &View<'_>) -> Result<Self, HistoryError> {
        let elsewhere = |row: usize| query.row_agencies()[row].is_some_and(|at| at != agency);
        let all = |status| Self {
            schema: *query.schema(),
            sources: Vec::new(),
            forms: Vec::new(),
            statuses: (0..query.placed().len())
                .map(|row| {
                    if elsewhere(row) {
                        Status::Elsewhere
                    } else {
                        status
                    }
                })
                .collect(),
        };
        let view = match view {
            View::NoRecord => return Ok(all(Status::NoRecord)),
            View::NoAnswer => return Ok(all(Status::Unavailable)),
            View::Record(view) => view,
        };
        view.check(query)?;
        if view.stocks_period < query.as_of() {
            return Ok(all(Status::Unavailable));
        }
        let mut times: BTreeMap<When, Result<Records, Status>> = BTreeMap::new();
        for term in query.placed().iter().flatten() {
            times
                .entry(term.when)
                .or_insert_with(|| view.records(query, term.when));
        }
        let verdict_of = |terms: &[PlacedTerm]| {
            let has = |status| terms.iter().any(|t| times[&t.when] == Err(status));
            [Status::Unavailable, Status::InsufficientHistory]
                .into_iter()
                .find(|status| has(*status))
        };
        let blocked: Vec<Option<Status>> = (query.placed().iter().enumerate())
            .map(|(row, terms)| {
                if elsewhere(row) {
                    Some(Status::Elsewhere)
                } else {
                    verdict_of(terms)
                }
            })
            .collect();
        let used = |when: When| {
            let names = |terms: &Vec<PlacedTerm>| terms.iter().any(|t| t.when == when);
            (query.placed().iter().zip(&blocked)).any(|(t, b)| b.is_none() && names(t))
        };
        let sources = times
            .iter()
            .filter(|(when, _)| used(**when))
            .filter_map(|(when, records)| Some((*when, records.clone().ok()?)))
            .map(|(when, records)| Source::new(when, records, view))
            .collect::<Result<Vec<_>, _>>()?;
        let mut forms = Vec::new();
        let mut statuses = Vec::new();
        for (fact, (terms, blocked)) in query.placed().iter().zip(&blocked).enumerate() {
            statuses.push(blocked.unwrap_or(Status::Form(forms.len())));
            if blocked.is_none() {
                forms.push(form(fact, terms, &sources));
            }
        }
        Ok(Self {
            schema: *query.schema(),
            sources,
            forms,
            statuses,
        })
    }

    /// The commitments used, in the order of openings.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The forms of the facts that are evaluable here, in the order of images.
    #[must_use]
    pub fn forms(&self) -> &[Form] {
        &self.forms
    }

    /// What each fact, and then each value that scores read, is here.
    #[must_use]
    pub fn statuses(&self) -> &[Status] {
        &self.statuses
    }

    /// Digest of the schema.
    #[must_use]
    pub fn schema(&self) -> &Digest32 {
        &self.schema
    }
}

fn form(fact: usize, terms: &[PlacedTerm], sources: &[Source]) -> Form {
    let mut offset = 0i128;
    let mut weights: Vec<Weight> = terms
        .iter()
        .map(|term| {
            let (source, found) = (0u32..)
                .zip(sources)
                .find(|(_, s)| s.when == term.when)
                .expect("every time of an evaluable fact has a source");
            offset += i128::from(term.weight) * i128::from(term.min) * found.count() as i128;
            Weight {
                source,
                place: term.place,
                weight: term.weight,
            }
        })
        .collect();
    weights.sort_by_key(|w| (w.source, w.place));
    Form {
        fact,
        weights,
        offset: i64::try_from(offset).expect("the bound keeps offsets within 63 bits"),
    }
}
