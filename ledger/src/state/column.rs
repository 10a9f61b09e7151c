//! The running totals of every agency (spec: `ledger/spec/state.md`, "Columns").

use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;
use zkbureau_circuits::encoding::{Document, PointBytes};
use zkbureau_circuits::period::Period;

use crate::ids::{AgencyId, Height};

/// When a column was last opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Opened {
    /// Height of the block with the request.
    pub height: Height,
    /// The column's period then.
    pub period: Period,
    /// The column's records then.
    pub records: u64,
}

/// One agency's totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Column {
    /// Number of leaves.
    pub leaves: u64,
    /// Sum of the current stocks of all leaves.
    pub stocks: PointBytes,
    /// Sum of the flows of all reports ever.
    pub flows: PointBytes,
    /// The period of the latest batch.
    pub period: Option<Period>,
    /// The latest period that a batch has closed: all of it is published, corrections aside.
    pub closed: Option<Period>,
    /// Number of the latest batch.
    pub batches: u64,
    /// Number of reports ever.
    pub records: u64,
    /// Subjects that were certainly reported for the first time since the last opening.
    pub changed: u64,
    /// The last opening.
    pub opened: Option<Opened>,
}

impl Default for Column {
    fn default() -> Self {
        Self {
            leaves: 0,
            stocks: PointBytes::IDENTITY,
            flows: PointBytes::IDENTITY,
            period: None,
            closed: None,
            batches: 0,
            records: 0,
            changed: 0,
            opened: None,
        }
    }
}

impl Column {
    /// Whether a report in `period` about a leaf last reported in `last` (none for a new leaf) is
    /// the leaf's first in a period after that of the last opening, or its first ever if there was
    /// none. Reports in the opened period itself never count: the leaf does not say whether it was
    /// reported before the opening or after, so it could be counted twice.
    #[must_use]
    pub fn counts_as_changed(&self, last: Option<Period>, period: Period) -> bool {
        match self.opened {
            None => last.is_none(),
            Some(opened) => period > opened.period && last.is_none_or(|last| last <= opened.period),
        }
    }

    /// Whether nothing was reported since the column was last opened.
    #[must_use]
    pub fn unmoved(&self) -> bool {
        self.opened.is_some_and(|o| o.records == self.records)
    }
}

/// The columns of all agencies, by ascending identifier. One value, so that one proof shows every
/// column that an answer needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Columns(pub Vec<(AgencyId, Column)>);

impl Document for Columns {
    const NAME: &'static str = "zkbureau/columns/v1";
    const MAX_BYTES: usize = 32 << 10;
}

impl Columns {
    /// Empty columns of these agencies.
    pub fn empty(agencies: impl IntoIterator<Item = AgencyId>) -> Self {
        let mut columns: Vec<_> = agencies
            .into_iter()
            .map(|a| (a, Column::default()))
            .collect();
        columns.sort_by_key(|(agency, _)| *agency);
        Self(columns)
    }

    /// An empty column for a new agency.
    #[cfg(feature = "state")]
    pub(crate) fn insert(&mut self, agency: AgencyId) {
        if let Err(at) = self.0.binary_search_by_key(&agency, |(a, _)| *a) {
            self.0.insert(at, (agency, Column::default()));
        }
    }

    /// The column of an agency.
    #[must_use]
    pub fn get(&self, agency: AgencyId) -> Option<&Column> {
        let found = self.0.binary_search_by_key(&agency, |(a, _)| *a);
        found.ok().map(|i| &self.0[i].1)
    }

    /// The column of an agency, to change it.
    pub fn get_mut(&mut self, agency: AgencyId) -> Option<&mut Column> {
        let found = self.0.binary_search_by_key(&agency, |(a, _)| *a);
        found.ok().map(|i| &mut self.0[i].1)
    }
}
