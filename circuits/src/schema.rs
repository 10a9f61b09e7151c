//! Schemas: the attributes of a record, their exact ranges and bit weights
//! (spec: `circuits/spec/commitment.md`).

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zkbureau_params::domain;

use crate::encoding::{Digest32, hash_parts};

/// Most attributes a schema may have, `present` included.
pub const MAX_ATTRIBUTES: usize = 64;
/// `max - min` of an attribute is below 2 to this power.
pub const MAX_BITS: u32 = 40;
/// `|min|` and `|max|` of an attribute are at most this, so that forms stay within 63 bits.
pub const MAX_MAGNITUDE: i64 = 1 << 50;
/// Longest attribute name in bytes.
pub const MAX_NAME: usize = 64;
/// Longest unit in bytes.
pub const MAX_UNIT: usize = 32;
/// Longest description in bytes.
pub const MAX_DESCRIPTION: usize = 512;
/// Name of the first stock of every schema. It is 1 in every record.
pub const PRESENT: &str = "present";

/// Whether a value replaces its predecessor or adds to it.
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
pub enum Class {
    /// A level: each report replaces the one before.
    Stock,
    /// An increment of the reported period.
    Flow,
}

/// How the values of several tradelines become one record's value.
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
pub enum Aggregate {
    /// The sum of the values.
    Sum,
    /// The number of tradelines (whose value is not zero, where a column is named).
    Count,
    /// The largest value. Totals over agencies are refused.
    Max,
    /// The smallest value. Totals over agencies are refused.
    Min,
}

impl Aggregate {
    /// Whether values of different agencies may be added.
    #[must_use]
    pub fn is_additive(self) -> bool {
        matches!(self, Self::Sum | Self::Count)
    }
}

/// One attribute of a record.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// Lower-case identifier, `[a-z][a-z0-9_]*`.
    pub name: String,
    /// Stock or flow.
    pub class: Class,
    /// How tradelines fold into a record.
    pub aggregate: Aggregate,
    /// Smallest value, in `unit`.
    pub min: i64,
    /// Largest value, in `unit`.
    pub max: i64,
    /// Unit of the value, such as `NT$` or `months`.
    pub unit: String,
    /// What the value says, for people.
    pub description: String,
}

impl Attribute {
    /// `max - min`, the largest encoded value.
    #[must_use]
    pub fn range(&self) -> u64 {
        self.max.abs_diff(self.min)
    }

    /// Number of bits of the encoded value.
    #[must_use]
    pub fn bits(&self) -> u32 {
        64 - self.range().leading_zeros()
    }

    /// Weight of bit `l`. Powers of two below the top bit; the top bit weighs
    /// `R - 2^(bits-1) + 1`, so that the sums of subsets are exactly `[0, R]`.
    ///
    /// # Panics
    /// When `l` is not below [`Self::bits`].
    #[must_use]
    pub fn weight(&self, l: u32) -> u64 {
        let bits = self.bits();
        assert!(l < bits, "bit {l} of {bits}");
        if l + 1 == bits {
            self.range() - ((1u64 << (bits - 1)) - 1)
        } else {
            1u64 << l
        }
    }

    /// The bits of an encoded value `x` in `[0, R]`: bit `l` of the result is the bit of weight
    /// [`Self::weight`]`(l)`. The top bit is set iff `x >= 2^(bits-1)`.
    #[must_use]
    pub fn decompose(&self, x: u64) -> u64 {
        debug_assert!(x <= self.range());
        let top = self.bits() - 1;
        if x >> top == 0 {
            x
        } else {
            (1u64 << top) | (x - self.weight(top))
        }
    }

    /// Encodes a real value as `value - min`.
    ///
    /// # Errors
    /// [`ValueError`] when the value is outside the attribute's range.
    pub fn encode(&self, value: i64) -> Result<u64, ValueError> {
        if (self.min..=self.max).contains(&value) {
            Ok(value.abs_diff(self.min))
        } else {
            Err(ValueError {
                attribute: self.name.clone(),
                value,
                min: self.min,
                max: self.max,
            })
        }
    }
}

/// A value is outside its attribute's range.
#[derive(Clone, PartialEq, Eq, Error)]
#[error("{attribute}: value is outside {min}..={max}")]
pub struct ValueError {
    /// Attribute.
    pub attribute: String,
    /// The value. It is a borrower's datum, so neither `Display` nor `Debug` prints it.
    pub value: i64,
    /// Smallest value allowed.
    pub min: i64,
    /// Largest value allowed.
    pub max: i64,
}

impl fmt::Debug for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValueError({self})")
    }
}

/// A schema is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SchemaError {
    /// No attributes, or too many.
    #[error("a schema has 1 to {MAX_ATTRIBUTES} attributes, not {0}")]
    Count(usize),
    /// The first attribute is not the stock `present` with range 0..=1 and aggregate max.
    #[error("the first attribute must be the stock `present` with min 0, max 1, aggregate max")]
    Present,
    /// A name is empty, too long or has other characters.
    #[error("attribute {0:?}: a name is [a-z][a-z0-9_]*, at most {MAX_NAME} bytes")]
    Name(String),
    /// A name occurs twice.
    #[error("attribute {0:?} occurs twice")]
    Duplicate(String),
    /// The range is empty, too wide or too far out.
    #[error("attribute {0:?}: 1 <= max - min < 2^{MAX_BITS} and |min|, |max| <= 2^50 must hold")]
    Range(String),
    /// A flow whose smallest value is not zero.
    #[error("attribute {0:?}: a flow has min = 0 (use a second, opposite flow for corrections)")]
    FlowMin(String),
    /// A flow with an aggregate that does not add up.
    #[error("attribute {0:?}: a flow's aggregate is sum or count")]
    FlowAggregate(String),
    /// Unit or description too long.
    #[error("attribute {0:?}: unit has at most {MAX_UNIT} bytes and description {MAX_DESCRIPTION}")]
    Text(String),
    /// A later schema whose version is not higher.
    #[error("version {got} does not follow version {before}")]
    Version {
        /// Version of the schema before.
        before: u32,
        /// Version given.
        got: u32,
    },
    /// A later version changed or dropped an attribute.
    #[error("attribute {0:?} differs from the version before; attributes are only appended")]
    NotAppended(String),
}

/// An ordered, validated list of attributes. Ledger state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawSchema", into = "RawSchema")]
pub struct Schema {
    version: u32,
    attributes: Vec<Attribute>,
}

#[derive(Clone, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSchema {
    version: u32,
    attributes: Vec<Attribute>,
}

impl TryFrom<RawSchema> for Schema {
    type Error = SchemaError;

    fn try_from(raw: RawSchema) -> Result<Self, SchemaError> {
        Self::new(raw.version, raw.attributes)
    }
}

impl From<Schema> for RawSchema {
    fn from(s: Schema) -> Self {
        Self {
            version: s.version,
            attributes: s.attributes,
        }
    }
}

impl BorshSerialize for Schema {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        BorshSerialize::serialize(&self.version, writer)?;
        BorshSerialize::serialize(&self.attributes, writer)
    }
}

impl BorshDeserialize for Schema {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        RawSchema::deserialize_reader(reader)?
            .try_into()
            .map_err(|e: SchemaError| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
    }
}

impl Schema {
    /// Validates a list of attributes.
    ///
    /// # Errors
    /// [`SchemaError`] names the attribute and the rule it breaks.
    pub fn new(version: u32, attributes: Vec<Attribute>) -> Result<Self, SchemaError> {
        if attributes.is_empty() || attributes.len() > MAX_ATTRIBUTES {
            return Err(SchemaError::Count(attributes.len()));
        }
        let first = &attributes[0];
        if first.name != PRESENT
            || first.class != Class::Stock
            || first.aggregate != Aggregate::Max
            || (first.min, first.max) != (0, 1)
        {
            return Err(SchemaError::Present);
        }
        for (i, a) in attributes.iter().enumerate() {
            let name = || a.name.clone();
            let well_formed = a.name.len() <= MAX_NAME
                && a.name.starts_with(|c: char| c.is_ascii_lowercase())
                && a.name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if !well_formed {
                return Err(SchemaError::Name(name()));
            }
            if attributes[..i].iter().any(|b| b.name == a.name) {
                return Err(SchemaError::Duplicate(name()));
            }
            if a.min >= a.max
                || a.min < -MAX_MAGNITUDE
                || a.max > MAX_MAGNITUDE
                || a.range() >= 1 << MAX_BITS
            {
                return Err(SchemaError::Range(name()));
            }
            if a.class == Class::Flow && a.min != 0 {
                return Err(SchemaError::FlowMin(name()));
            }
            if a.class == Class::Flow && !a.aggregate.is_additive() {
                return Err(SchemaError::FlowAggregate(name()));
            }
            if a.unit.len() > MAX_UNIT || a.description.len() > MAX_DESCRIPTION {
                return Err(SchemaError::Text(name()));
            }
        }
        Ok(Self {
            version,
            attributes,
        })
    }

    /// Version of the schema.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// All attributes, `present` first.
    #[must_use]
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// Number of attributes, `present` included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.attributes.len()
    }

    /// Never true: `present` is always there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Position and attribute of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(usize, &Attribute)> {
        self.attributes
            .iter()
            .enumerate()
            .find(|(_, a)| a.name == name)
    }

    /// Positions of the attributes of a class, in order; `present` is among the stocks.
    pub fn positions(&self, class: Class) -> impl Iterator<Item = usize> + '_ {
        self.attributes
            .iter()
            .enumerate()
            .filter(move |(_, a)| a.class == class)
            .map(|(i, _)| i)
    }

    /// Attributes that take part in the range argument: all but `present`, with their positions
    /// and the offset of their first bit among the `n` columns of a slot.
    pub fn ranged(&self) -> impl Iterator<Item = Ranged<'_>> + '_ {
        let mut offset = 0;
        self.attributes
            .iter()
            .enumerate()
            .skip(1)
            .map(move |(position, attribute)| {
                let bits = attribute.bits();
                let here = offset;
                offset += bits as usize;
                Ranged {
                    position,
                    offset: here,
                    bits,
                    attribute,
                }
            })
    }

    /// `n`: the bits of one slot of the range argument.
    #[must_use]
    pub fn slot_bits(&self) -> usize {
        self.attributes[1..].iter().map(|a| a.bits() as usize).sum()
    }

    /// Hash of the canonical encoding.
    #[must_use]
    pub fn digest(&self) -> Digest32 {
        let bytes = borsh::to_vec(self).expect("encoding into memory");
        hash_parts(domain::SCHEMA, &[&bytes])
    }

    /// Whether `self` may follow `before`: a higher version, attributes only appended.
    ///
    /// # Errors
    /// [`SchemaError::Version`], or [`SchemaError::NotAppended`] naming the first attribute that
    /// differs.
    pub fn follows(&self, before: &Self) -> Result<(), SchemaError> {
        if self.version <= before.version {
            return Err(SchemaError::Version {
                before: before.version,
                got: self.version,
            });
        }
        for (i, a) in before.attributes.iter().enumerate() {
            if self.attributes.get(i) != Some(a) {
                return Err(SchemaError::NotAppended(a.name.clone()));
            }
        }
        Ok(())
    }
}

/// One attribute's place in a slot of the range argument.
#[derive(Clone, Copy, Debug)]
pub struct Ranged<'a> {
    /// Position in the schema.
    pub position: usize,
    /// First column in the slot.
    pub offset: usize,
    /// Number of columns.
    pub bits: u32,
    /// The attribute.
    pub attribute: &'a Attribute,
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn attribute(name: &str, class: Class, min: i64, max: i64) -> Attribute {
        Attribute {
            name: name.into(),
            class,
            aggregate: if name == PRESENT {
                Aggregate::Max
            } else {
                Aggregate::Sum
            },
            min,
            max,
            unit: "units".into(),
            description: String::new(),
        }
    }

    pub(crate) fn sample() -> Schema {
        Schema::new(
            1,
            vec![
                attribute(PRESENT, Class::Stock, 0, 1),
                attribute("balance", Class::Stock, -1000, 5000),
                attribute("limit", Class::Stock, 0, 9999),
                attribute("payments", Class::Flow, 0, 300),
                attribute("late", Class::Flow, 0, 3),
            ],
        )
        .expect("valid")
    }

    #[test]
    fn refuses_what_breaks_a_rule() {
        let present = attribute(PRESENT, Class::Stock, 0, 1);
        let with = |a: Attribute| Schema::new(1, vec![present.clone(), a]);
        assert_eq!(Schema::new(1, vec![]), Err(SchemaError::Count(0)));
        assert_eq!(
            Schema::new(1, vec![attribute("a", Class::Stock, 0, 1)]),
            Err(SchemaError::Present)
        );
        for bad in ["", "A", "1a", "a-b", "ä", &"a".repeat(65)] {
            assert!(matches!(
                with(attribute(bad, Class::Stock, 0, 1)),
                Err(SchemaError::Name(_))
            ));
        }
        assert!(matches!(
            with(attribute(PRESENT, Class::Stock, 0, 1)),
            Err(SchemaError::Duplicate(_))
        ));
        for (min, max) in [(0, 0), (1, 0), (0, 1 << 40), (i64::MIN, i64::MIN + 1)] {
            assert!(matches!(
                with(attribute("a", Class::Stock, min, max)),
                Err(SchemaError::Range(_))
            ));
        }
        assert!(matches!(
            with(attribute("a", Class::Flow, -1, 1)),
            Err(SchemaError::FlowMin(_))
        ));
        let mut flow = attribute("a", Class::Flow, 0, 1);
        flow.aggregate = Aggregate::Max;
        assert!(matches!(with(flow), Err(SchemaError::FlowAggregate(_))));
        assert!(with(attribute("a", Class::Stock, 0, (1 << 40) - 1)).is_ok());
    }

    #[test]
    fn only_appends() {
        let before = sample();
        let mut attributes = before.attributes().to_vec();
        attributes.push(attribute("more", Class::Stock, 0, 7));
        let after = Schema::new(2, attributes.clone()).expect("valid");
        assert_eq!(after.follows(&before), Ok(()));
        assert!(before.follows(&after).is_err());
        let same = Schema::new(1, attributes.clone()).expect("valid");
        assert_eq!(
            same.follows(&before),
            Err(SchemaError::Version { before: 1, got: 1 })
        );
        attributes[1].max += 1;
        let changed = Schema::new(2, attributes).expect("valid");
        assert_eq!(
            changed.follows(&before),
            Err(SchemaError::NotAppended("balance".into()))
        );
    }

    #[test]
    fn small_ranges_are_covered_exactly() {
        for range in 1..=70 {
            let a = attribute("a", Class::Stock, 0, range);
            let bits = a.bits();
            let mut reached = vec![false; range as usize + 1];
            for subset in 0u64..1 << bits {
                let sum: u64 = (0..bits)
                    .filter(|l| subset >> l & 1 == 1)
                    .map(|l| a.weight(l))
                    .sum();
                reached[usize::try_from(sum).expect("small")] = true;
            }
            assert!(reached.iter().all(|r| *r), "range {range}");
        }
    }

    proptest! {
        #[test]
        fn decomposition_recombines(range in 1u64..(1 << 40), seed in any::<u64>()) {
            let a = attribute("a", Class::Stock, 0, range as i64);
            for x in [seed % (range + 1), 0, range] {
                let bits = a.decompose(x);
                prop_assert!(bits >> a.bits() == 0);
                let sum: u64 = (0..a.bits()).filter(|l| bits >> l & 1 == 1).map(|l| a.weight(l)).sum();
                prop_assert_eq!(sum, x);
            }
        }
    }
}
