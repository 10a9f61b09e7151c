//! What is claimed of a score, as bounds on the total shortfall
//! (spec: `circuits/spec/scorecard.md`, heading "Claim").

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::MAX_REASONS;
use super::card::Card;

/// A claim about a score, in the card's unit of points.
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
pub enum Claim {
    /// `score >= T`.
    AtLeast(i64),
    /// `score < T`.
    Below(i64),
    /// The score itself.
    Exactly(i64),
}

impl Claim {
    /// Whether a score is as claimed.
    #[must_use]
    pub fn holds(&self, score: i64) -> bool {
        match *self {
            Self::AtLeast(t) => score >= t,
            Self::Below(t) => score < t,
            Self::Exactly(s) => score == s,
        }
    }

    /// The claim about a threshold that holds for a score.
    #[must_use]
    pub fn about(threshold: i64, score: i64) -> Self {
        if score >= threshold {
            Self::AtLeast(threshold)
        } else {
            Self::Below(threshold)
        }
    }

    /// Smallest and largest total shortfall `F = best - score` for which the claim holds; nothing
    /// when it holds for no score of the card.
    pub(super) fn bounds(&self, card: &Card) -> Option<(u64, u64)> {
        let best = i128::from(card.best());
        let most = best - i128::from(card.worst());
        let (lower, upper) = match *self {
            Self::AtLeast(t) => (0, best - i128::from(t)),
            Self::Below(t) => (best - i128::from(t) + 1, most),
            Self::Exactly(s) => (best - i128::from(s), best - i128::from(s)),
        };
        let (lower, upper) = (lower.max(0), upper.min(most));
        if lower > upper {
            return None;
        }
        // 0 <= F <= 32 variables below 2^32.
        let bound = |x| u64::try_from(x).expect("a total shortfall is below 2^37");
        Some((bound(lower), bound(upper)))
    }
}

/// A set of variables: bit `a` is variable `a` of the card.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct ReasonSet(pub u32);

impl ReasonSet {
    /// The set of these variables.
    ///
    /// # Panics
    /// When an index is 32 or more.
    #[must_use]
    pub fn from_indices(indices: &[usize]) -> Self {
        Self(indices.iter().fold(0, |set, a| {
            assert!(*a < 32, "a card has 32 variables");
            set | 1 << a
        }))
    }

    /// Whether a variable is in the set.
    #[must_use]
    pub fn contains(&self, variable: usize) -> bool {
        variable < 32 && self.0 >> variable & 1 == 1
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.count_ones()
    }

    /// The variables, ascending.
    pub fn indices(self) -> impl Iterator<Item = usize> {
        (0..32).filter(move |a| self.contains(*a))
    }
}

/// The variables that cost the most points, as a set: which of them cost more is not told.
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
#[serde(deny_unknown_fields)]
pub struct Reasons {
    /// How many were asked for. Fewer are shown when fewer variables have a shortfall.
    pub most: u8,
    /// Those with the largest shortfalls above zero, ties to the earlier variable.
    pub set: ReasonSet,
}

impl Reasons {
    /// Whether this can be a claim about a card: 1 to [`MAX_REASONS`] asked for, no more shown,
    /// variables that the card has, a card whose shortfalls are reasons.
    pub(super) fn fits(&self, card: &Card) -> bool {
        let unused = u64::from(self.set.0) >> card.variables().len();
        card.reasons()
            && (1..=MAX_REASONS).contains(&self.most)
            && self.set.count() <= u32::from(self.most)
            && unused == 0
    }

    /// Whether as many are shown as were asked for: variables beside them may have shortfalls.
    pub(super) fn full(&self) -> bool {
        self.set.count() == u32::from(self.most)
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(t) => write!(f, "score >= {t}"),
            Self::Below(t) => write!(f, "score < {t}"),
            Self::Exactly(s) => write!(f, "score = {s}"),
        }
    }
}
