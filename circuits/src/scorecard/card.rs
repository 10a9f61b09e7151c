//! Cards: variables, bins and points, with their canonical encoding and content hash
//! (spec: `circuits/spec/scorecard.md`, heading "Card").

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::error::CardError;
use crate::encoding::{Digest32, Document};
use crate::ids::AgencyId;

/// What of an attribute a variable reads.
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
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// A stock at the end of the period.
    Level,
    /// A flow during that one period.
    Flow,
}

/// Over which agencies a variable is taken.
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
#[serde(rename_all = "lowercase")]
pub enum Span {
    /// The sum over the listed agencies.
    Total,
    /// The value at one agency.
    Agency(AgencyId),
}

/// Where a variable's value stands on the ledger.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Name of the attribute in the schema.
    pub attribute: String,
    /// How many periods before the request's `as_of`; 0 is `as_of` itself.
    pub lag: u32,
    /// Level or one-period flow.
    pub measure: Measure,
    /// Single agency or total.
    pub span: Span,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measure = match self.measure {
            Measure::Level => "level",
            Measure::Flow => "flow",
        };
        write!(f, "{} ({measure}", self.attribute)?;
        if self.lag > 0 {
            write!(f, ", {} periods back", self.lag)?;
        }
        match self.span {
            Span::Total => f.write_str(", total)"),
            Span::Agency(agency) => write!(f, ", {agency})"),
        }
    }
}

/// The values from `from` up to, but without, `to`, and what they score.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bin {
    /// Smallest value of the bin.
    pub from: i64,
    /// The value after the largest of the bin.
    pub to: i64,
    /// Points, in units of 1/scale.
    pub points: i64,
    /// What people call the bin, such as its categories; may be empty.
    pub label: String,
}

/// One variable of a card. Its bins are a partition of its range, in ascending order.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Name on the card.
    pub name: String,
    /// Where the value stands on the ledger.
    pub reference: Reference,
    /// Reason code for adverse-action notices; empty: the name serves.
    pub reason: String,
    /// The bins.
    pub bins: Vec<Bin>,
}

impl Variable {
    /// The smallest value: the circuit's values count from here.
    #[must_use]
    pub fn low(&self) -> i64 {
        self.bins.first().map_or(0, |b| b.from)
    }

    /// The value after the largest.
    #[must_use]
    pub fn high(&self) -> i64 {
        self.bins.last().map_or(0, |b| b.to)
    }

    /// The best points of any bin.
    #[must_use]
    pub fn best(&self) -> i64 {
        self.bins.iter().map(|b| b.points).max().unwrap_or(0)
    }

    /// The worst points of any bin.
    #[must_use]
    pub fn worst(&self) -> i64 {
        self.bins.iter().map(|b| b.points).min().unwrap_or(0)
    }

    /// Reason code, or the name when the card gives none.
    #[must_use]
    pub fn reason(&self) -> &str {
        if self.reason.is_empty() {
            &self.name
        } else {
            &self.reason
        }
    }
}

/// A validated card. Ledger state, by content hash.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, Serialize, Deserialize)]
#[serde(try_from = "RawCard", into = "RawCard")]
pub struct Card {
    name: String,
    scale: u32,
    base: i64,
    reasons: bool,
    variables: Vec<Variable>,
}

/// A card as it is written, before validation.
#[derive(Clone, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCard {
    name: String,
    scale: u32,
    base: i64,
    reasons: bool,
    variables: Vec<Variable>,
}

impl TryFrom<RawCard> for Card {
    type Error = CardError;

    fn try_from(raw: RawCard) -> Result<Self, CardError> {
        Self::new(raw.name, raw.scale, raw.base, raw.reasons, raw.variables)
    }
}

impl From<Card> for RawCard {
    fn from(card: Card) -> Self {
        Self {
            name: card.name,
            scale: card.scale,
            base: card.base,
            reasons: card.reasons,
            variables: card.variables,
        }
    }
}

impl BorshDeserialize for Card {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        RawCard::deserialize_reader(reader)?
            .try_into()
            .map_err(|e: CardError| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
    }
}

impl Document for Card {
    const NAME: &'static str = zkbureau_params::domain::CARD;
    // 32 variables with names, attribute and reason of 64 bytes and 12 bins with labels of 64 bytes.
    const MAX_BYTES: usize = 64 * 1024;
}

impl Card {
    /// Validates a card. `scale` says how many points of the card are one point of the score as
    /// people write it: 1 for integer points, 100 for points in hundredths. `base` is added to the
    /// points of the bins, in the same unit. `reasons` says whether a large shortfall against the
    /// best points is a reason that this card's scores may be explained with.
    ///
    /// # Errors
    /// [`CardError`] names the variable, the bin and the rule it breaks.
    pub fn new(
        name: String,
        scale: u32,
        base: i64,
        reasons: bool,
        variables: Vec<Variable>,
    ) -> Result<Self, CardError> {
        let card = Self {
            name,
            scale,
            base,
            reasons,
            variables,
        };
        card.validate()?;
        Ok(card)
    }

    /// Name of the card, which a consent shows.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Points of the card in one point of the score.
    #[must_use]
    pub fn scale(&self) -> u32 {
        self.scale
    }

    /// Base points.
    #[must_use]
    pub fn base(&self) -> i64 {
        self.base
    }

    /// Whether reason codes may be taken from this card.
    #[must_use]
    pub fn reasons(&self) -> bool {
        self.reasons
    }

    /// The variables.
    #[must_use]
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The content hash.
    #[must_use]
    pub fn content_hash(&self) -> Digest32 {
        self.digest()
    }

    /// The best score there is: base and the best points of every variable.
    #[must_use]
    pub fn best(&self) -> i64 {
        self.base + self.variables.iter().map(Variable::best).sum::<i64>()
    }

    /// The worst score there is.
    #[must_use]
    pub fn worst(&self) -> i64 {
        self.base + self.variables.iter().map(Variable::worst).sum::<i64>()
    }

    /// A score as people write it: `123`, or `-1.25` with a scale of 100.
    #[must_use]
    pub fn show(&self, points: i64) -> String {
        let (scale, sign) = (u64::from(self.scale), if points < 0 { "-" } else { "" });
        let (whole, rest) = (points.unsigned_abs() / scale, points.unsigned_abs() % scale);
        if self.scale == 1 {
            return format!("{sign}{whole}");
        }
        // Powers of ten as decimals, other scales as fractions.
        let digits = self.scale.ilog10() as usize;
        if 10u32.checked_pow(digits as u32) == Some(self.scale) {
            format!("{sign}{whole}.{rest:0digits$}")
        } else {
            format!("{sign}{whole}+{rest}/{scale}")
        }
    }
}
