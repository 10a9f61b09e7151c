//! What a file does not say: which attribute of the ledger a variable reads, which integers stand
//! for categories.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::AgencyId;
use crate::scorecard::{MAX_NAME, Measure, Reference, Span};

/// How a file's variables stand on the ledger. Everything has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mapping {
    /// Name of the card; default: the file's, or `scorecard`.
    pub name: Option<String>,
    /// How many decimals of points are kept; default: all that the file has.
    pub decimals: Option<u32>,
    /// Per variable of the file, by its name there.
    pub variables: BTreeMap<String, VariableMapping>,
}

/// How one variable stands on the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VariableMapping {
    /// Attribute of the schema; default: the variable's name in lower case, other characters as `_`.
    pub attribute: Option<String>,
    /// Periods before `as_of`.
    pub lag: u32,
    /// Level or one-period flow; default: level.
    pub measure: Option<Measure>,
    /// The one agency that is read; default: the total.
    pub agency: Option<AgencyId>,
    /// Smallest value, where the first bin is unbounded.
    pub low: Option<i64>,
    /// The value after the largest, where the last bin is unbounded.
    pub high: Option<i64>,
    /// Ledger units in one unit of the file: 100 for a file in dollars and a ledger in cents.
    pub multiplier: Option<i64>,
    /// The integers that stand for categories.
    pub codes: BTreeMap<String, i64>,
    /// The integer that stands for a missing value.
    pub missing: Option<i64>,
    /// Reason code, where the file has none.
    pub reason: Option<String>,
}

impl VariableMapping {
    /// Where a variable reads.
    pub(super) fn reference(&self, name: &str) -> Reference {
        Reference {
            attribute: self.attribute.clone().unwrap_or_else(|| identifier(name)),
            lag: self.lag,
            measure: self.measure.unwrap_or(Measure::Level),
            span: self.agency.map_or(Span::Total, Span::Agency),
        }
    }
}

/// A name as a schema would write it.
fn identifier(name: &str) -> String {
    let mut out = String::new();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        out.push_str("v_");
    }
    out.extend(name.chars().map(|c| {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_alphanumeric() { c } else { '_' }
    }));
    out.truncate(MAX_NAME);
    out
}
