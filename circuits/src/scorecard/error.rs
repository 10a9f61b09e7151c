//! What can be wrong with a card, and with a key.

use thiserror::Error;

use super::{
    MAX_BINS, MAX_EDGE, MAX_LABEL, MAX_LAG, MAX_NAME, MAX_POINTS, MAX_SCALE, MAX_VARIABLES,
    SHORTFALL_BITS, VALUE_BITS,
};
use crate::ceremony::Refused;
use crate::error::DecodeError;
use crate::ids::AgencyId;

/// A card is not valid. Bins are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CardError {
    /// Name of the card is empty, too long or has characters that people may not see.
    #[error(
        "a card's name has 1 to {MAX_NAME} bytes: letters, digits and ASCII signs but '\"', single spaces inside"
    )]
    Name,
    /// Scale is zero or too large.
    #[error("the scale is 1 to {MAX_SCALE}, not {0}")]
    Scale(u32),
    /// Base points too large.
    #[error("base points {0} exceed {MAX_POINTS} in absolute value")]
    Base(i64),
    /// No variables, or too many.
    #[error("a card has 1 to {MAX_VARIABLES} variables, not {0}")]
    Variables(usize),
    /// A variable's name is empty, too long or has control characters.
    #[error(
        "variable {number} ({name:?}): a name has 1 to {MAX_NAME} bytes and no control characters"
    )]
    VariableName {
        /// Which variable, from 1.
        number: usize,
        /// Its name.
        name: String,
    },
    /// A name occurs twice.
    #[error("variable {0:?} occurs twice")]
    Duplicate(String),
    /// The reason code is too long or has control characters.
    #[error("variable {0:?}: a reason code has at most {MAX_NAME} bytes and no control characters")]
    Reason(String),
    /// The attribute's name is not one.
    #[error("variable {0:?}: an attribute's name is [a-z][a-z0-9_]*, at most {MAX_NAME} bytes")]
    Attribute(String),
    /// The lag is too long.
    #[error("variable {variable:?}: a lag is at most {MAX_LAG} periods, not {lag}")]
    Lag {
        /// Which variable.
        variable: String,
        /// Its lag.
        lag: u32,
    },
    /// No bins, or too many.
    #[error("variable {variable:?}: 1 to {MAX_BINS} bins, not {bins}")]
    Bins {
        /// Which variable.
        variable: String,
        /// How many.
        bins: usize,
    },
    /// A bin without values.
    #[error("variable {variable:?}, bin {bin}: [{from}, {to}) is empty")]
    Empty {
        /// Which variable.
        variable: String,
        /// Which bin.
        bin: usize,
        /// Its start.
        from: i64,
        /// Its end.
        to: i64,
    },
    /// A bin reaches into the one before.
    #[error(
        "variable {variable:?}, bin {bin}: starts at {from}, but the bin before ends at {before}: they overlap"
    )]
    Overlap {
        /// Which variable.
        variable: String,
        /// Which bin.
        bin: usize,
        /// Its start.
        from: i64,
        /// End of the bin before.
        before: i64,
    },
    /// Values between two bins.
    #[error(
        "variable {variable:?}, bin {bin}: starts at {from}, but the bin before ends at {before}: values between have no bin"
    )]
    Gap {
        /// Which variable.
        variable: String,
        /// Which bin.
        bin: usize,
        /// Its start.
        from: i64,
        /// End of the bin before.
        before: i64,
    },
    /// The end of a bin is too far out.
    #[error("variable {variable:?}, bin {bin}: [{from}, {to}) leaves ±{MAX_EDGE}")]
    Edge {
        /// Which variable.
        variable: String,
        /// Which bin.
        bin: usize,
        /// Its start.
        from: i64,
        /// Its end.
        to: i64,
    },
    /// The bins span too many values.
    #[error("variable {variable:?}: [{low}, {high}) has more than 2^{VALUE_BITS} values")]
    Range {
        /// Which variable.
        variable: String,
        /// Start of the first bin.
        low: i64,
        /// End of the last bin.
        high: i64,
    },
    /// Points too large.
    #[error(
        "variable {variable:?}, bin {bin}: points {points} exceed {MAX_POINTS} in absolute value"
    )]
    Points {
        /// Which variable.
        variable: String,
        /// Which bin.
        bin: usize,
        /// The points.
        points: i64,
    },
    /// Points too far apart.
    #[error(
        "variable {variable:?}, bin {bin}: points {points} are 2^{SHORTFALL_BITS} or more below the best of the variable, {best}"
    )]
    Spread {
        /// Which variable.
        variable: String,
        /// Which bin.
        bin: usize,
        /// Its points.
        points: i64,
        /// The best points.
        best: i64,
    },
    /// A label is too long or has control characters.
    #[error(
        "variable {variable:?}, bin {bin}: a label has at most {MAX_LABEL} bytes and no control characters"
    )]
    Label {
        /// Which variable.
        variable: String,
        /// Which bin.
        bin: usize,
    },
}

/// A card does not fit a schema.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SchemaMismatch {
    /// The schema lacks an attribute.
    #[error("variable {variable:?}: the schema has no attribute {attribute:?}")]
    Unknown {
        /// Which variable.
        variable: String,
        /// Attribute it reads.
        attribute: String,
    },
    /// A level of a flow, or a flow of a stock.
    #[error(
        "variable {variable:?}: {attribute:?} is a {class}, of which a card can read the {measure} only"
    )]
    Class {
        /// Which variable.
        variable: String,
        /// Attribute it reads.
        attribute: String,
        /// What the attribute is.
        class: &'static str,
        /// What a card can read of it.
        measure: &'static str,
    },
    /// A total over what does not add up.
    #[error(
        "variable {variable:?}: {attribute:?} is a maximum or minimum of accounts and has no total"
    )]
    Total {
        /// Which variable.
        variable: String,
        /// Attribute it reads.
        attribute: String,
    },
    /// An agency that is not listed.
    #[error("variable {variable:?}: {agency} is not listed")]
    Agency {
        /// Which variable.
        variable: String,
        /// The agency.
        agency: AgencyId,
    },
    /// Values that no bin takes.
    #[error(
        "variable {variable:?}: values are {min} to {max}, and the bins cover [{low}, {high}) only"
    )]
    Range {
        /// Which variable.
        variable: String,
        /// Smallest value over the listed agencies.
        min: i128,
        /// Largest value over the listed agencies.
        max: i128,
        /// Start of the first bin.
        low: i64,
        /// End of the last bin.
        high: i64,
    },
}

/// A key is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The bytes are no key: truncated, too long, or a point outside its group.
    #[error("not an encoded key, or a point of it is not in its group")]
    Malformed,
    /// The content hash differs.
    #[error("the key's content hash is not the expected one")]
    Hash,
    /// Another number of public inputs, or of any other part, than the circuit has.
    #[error("{what}: the circuit has {expected}, the key {got}")]
    Count {
        /// Which part.
        what: &'static str,
        /// The circuit's number.
        expected: usize,
        /// The key's number.
        got: usize,
    },
    /// A point that may not be the identity is.
    #[error("{0} is the identity")]
    Identity(&'static str),
    /// `delta = gamma`, with which a proof turns into one for any statement.
    #[error("delta equals gamma: with such a key proofs are made without a witness")]
    DeltaGamma,
    /// Two encodings of one secret disagree.
    #[error("{0} differs between the two groups")]
    Disagree(&'static str),
    /// The bytes are a key and nothing else.
    #[error(
        "the key does not say where it comes from: the minutes of its ceremony, or the seed of a test key, are missing"
    )]
    NoOrigin,
    /// What follows the key says no origin.
    #[error("where the key comes from: {0}")]
    Origin(DecodeError),
    /// A key that is called a test key is not the one of its seed.
    #[error("not the test key of seed {0}, which it says it is")]
    NotTest(u64),
    /// The key's ceremony is refused, or the key is not the ceremony's.
    #[error("the key's ceremony: {0}")]
    Ceremony(#[from] Refused),
}
