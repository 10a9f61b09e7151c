//! The plain evaluator: what a card makes of values that are known
//! (spec: `circuits/spec/scorecard.md`, heading "Card").

use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::card::Card;
use super::claim::ReasonSet;

/// A score with where it comes from. A borrower's data: `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Score {
    score: i64,
    points: Vec<i64>,
    bins: Vec<usize>,
    shortfalls: Vec<u64>,
}

/// Values do not fit a card. The values themselves are not told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EvaluateError {
    /// Not one value per variable.
    #[error("the card has {expected} variables, {got} values are given")]
    Length {
        /// Variables.
        expected: usize,
        /// Values.
        got: usize,
    },
    /// A value that no bin takes.
    #[error("variable {variable:?}: no bin takes the value; they cover [{low}, {high})")]
    NoBin {
        /// Which variable.
        variable: String,
        /// Start of the first bin.
        low: i64,
        /// End of the last bin.
        high: i64,
    },
}

impl Score {
    /// The score, in units of 1/scale.
    #[must_use]
    pub fn score(&self) -> i64 {
        self.score
    }

    /// The points of each variable.
    #[must_use]
    pub fn points(&self) -> &[i64] {
        &self.points
    }

    /// The bin of each variable, from 0.
    #[must_use]
    pub fn bins(&self) -> &[usize] {
        &self.bins
    }

    /// What each variable's points lack of its best.
    #[must_use]
    pub fn shortfalls(&self) -> &[u64] {
        &self.shortfalls
    }

    /// The variables with the largest shortfalls above zero, at most `most` of them; of equal
    /// shortfalls the earlier variable comes first.
    #[must_use]
    pub fn reasons(&self, most: u8) -> ReasonSet {
        let mut order: Vec<usize> = (0..self.shortfalls.len())
            .filter(|a| self.shortfalls[*a] > 0)
            .collect();
        order.sort_by_key(|a| (std::cmp::Reverse(self.shortfalls[*a]), *a));
        order.truncate(usize::from(most));
        ReasonSet::from_indices(&order)
    }
}

impl std::fmt::Debug for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Score(..)")
    }
}

impl Card {
    /// Scores real values, one per variable in the card's order.
    ///
    /// # Errors
    /// [`EvaluateError`] names the variable.
    pub fn evaluate(&self, values: &[i64]) -> Result<Score, EvaluateError> {
        if values.len() != self.variables().len() {
            return Err(EvaluateError::Length {
                expected: self.variables().len(),
                got: values.len(),
            });
        }
        let mut score = Score {
            score: self.base(),
            points: Vec::with_capacity(values.len()),
            bins: Vec::with_capacity(values.len()),
            shortfalls: Vec::with_capacity(values.len()),
        };
        for (v, value) in self.variables().iter().zip(values) {
            let bin = (v.bins.iter())
                .position(|b| (b.from..b.to).contains(value))
                .ok_or_else(|| EvaluateError::NoBin {
                    variable: v.name.clone(),
                    low: v.low(),
                    high: v.high(),
                })?;
            let points = v.bins[bin].points;
            score.score += points;
            score.points.push(points);
            score.bins.push(bin);
            score.shortfalls.push(v.best().abs_diff(points));
        }
        Ok(score)
    }
}
