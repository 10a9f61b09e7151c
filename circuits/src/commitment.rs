//! Records, their two vector commitments, openings and blindings
//! (spec: `circuits/spec/commitment.md`).
//!
//! ```text
//! stocks = 1·G[present] + Σ x[a]·G[a] + r·H     over the other stock attributes
//! flows  = Σ x[a]·G[a] + r'·H                   over the flow attributes
//! ```

use std::fmt;
use std::ops::AddAssign;

use borsh::{BorshDeserialize, BorshSerialize};
use curve25519_dalek::ristretto::{RistrettoBasepointTable, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, MultiscalarMul};
use hmac::{Hmac, Mac};
use sha2::Sha512;
use zeroize::{Zeroize, ZeroizeOnDrop};
use zkbureau_params::domain;

use crate::encoding::{Digest32, ScalarBytes};
use crate::error::ProveError;
use crate::generators;
use crate::schema::{Class, Schema, ValueError};

/// A record: one encoded value `x = value - min` per attribute of the schema, `present` = 1 first.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, BorshSerialize, BorshDeserialize)]
pub struct Record {
    x: Vec<u64>,
}

impl Record {
    /// Encodes real values, one per attribute after `present`, in the order of the schema.
    ///
    /// # Errors
    /// [`RecordError`] names the attribute and the limit.
    pub fn new(schema: &Schema, values: &[i64]) -> Result<Self, RecordError> {
        if values.len() + 1 != schema.len() {
            return Err(RecordError::Length {
                expected: schema.len() - 1,
                got: values.len(),
            });
        }
        let mut x = Vec::with_capacity(schema.len());
        x.push(1);
        for (attribute, value) in schema.attributes()[1..].iter().zip(values) {
            x.push(attribute.encode(*value)?);
        }
        Ok(Self { x })
    }

    /// The encoded values, `present` first.
    #[must_use]
    pub fn encoded(&self) -> &[u64] {
        &self.x
    }

    /// The real values, `present` left out.
    #[must_use]
    pub fn values(&self, schema: &Schema) -> Vec<i64> {
        schema.attributes()[1..]
            .iter()
            .zip(&self.x[1..])
            .map(|(a, x)| a.min + i64::try_from(*x).expect("encoded values are below 2^40"))
            .collect()
    }

    /// The record under a later version of its schema: zeros for what was appended. Its commitments
    /// stay what they are. None when it has more values than the schema.
    #[must_use]
    pub fn under(&self, schema: &Schema) -> Option<Self> {
        let mut x = self.x.clone();
        if x.len() > schema.len() {
            return None;
        }
        x.resize(schema.len(), 0);
        Some(Self { x })
    }

    /// The opening of this record's commitment of one class under a blinding.
    #[must_use]
    pub fn opening(&self, schema: &Schema, class: Class, blinding: Scalar) -> Opening {
        Opening {
            x: schema.positions(class).map(|a| self.x[a]).collect(),
            blinding,
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({} values)", self.x.len())
    }
}

/// Values do not make a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not one value per attribute.
    #[error("a record has {expected} values besides `present`, not {got}")]
    Length {
        /// Values the schema asks for.
        expected: usize,
        /// Values given.
        got: usize,
    },
    /// A value is out of range.
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// An opening of a commitment, or of a sum of commitments, of one class: the (sums of) encoded
/// values in the order of [`Schema::positions`], and the (sum of) blindings.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Opening {
    /// Encoded values, one per attribute of the class.
    pub(crate) x: Vec<u64>,
    /// Blinding.
    pub(crate) blinding: Scalar,
}

impl Opening {
    /// The opening of the identity: the start of a sum.
    #[must_use]
    pub fn zero(schema: &Schema, class: Class) -> Self {
        Self {
            x: vec![0; schema.positions(class).count()],
            blinding: Scalar::ZERO,
        }
    }

    /// An opening from its parts.
    #[must_use]
    pub fn from_parts(x: Vec<u64>, blinding: Scalar) -> Self {
        Self { x, blinding }
    }

    /// The (sums of) encoded values, one per attribute of the class.
    #[must_use]
    pub fn encoded(&self) -> &[u64] {
        &self.x
    }

    /// The blinding.
    #[must_use]
    pub fn blinding(&self) -> &Scalar {
        &self.blinding
    }

    /// The opening under a later version of its schema: zeros for what was appended. None when it has
    /// more values than the schema has attributes of the class.
    #[must_use]
    pub fn under(&self, schema: &Schema, class: Class) -> Option<Self> {
        let mut x = self.x.clone();
        let width = schema.positions(class).count();
        if x.len() > width {
            return None;
        }
        x.resize(width, 0);
        Some(Self {
            x,
            blinding: self.blinding,
        })
    }

    /// Adds an opening of the same class.
    ///
    /// # Errors
    /// [`ProveError`] when it is of another class, or a sum would exceed 64 bits, which takes more
    /// than 2^24 records of 40 bits; this sum is then as it was.
    pub fn try_add(&mut self, other: &Self) -> Result<(), ProveError> {
        if self.x.len() != other.x.len() {
            return Err(ProveError::Length {
                what: "opening",
                expected: self.x.len(),
                got: other.x.len(),
            });
        }
        let sums: Option<Vec<u64>> = (self.x.iter().zip(&other.x))
            .map(|(a, b)| a.checked_add(*b))
            .collect();
        self.x = sums.ok_or(ProveError::Unsatisfied("a sum of openings exceeds 64 bits"))?;
        self.blinding += other.blinding;
        Ok(())
    }

    /// Removes another opening of the same class from this sum.
    ///
    /// # Panics
    /// When the other opening was not part of the sum (a value would go below zero).
    pub fn subtract(&mut self, other: &Self) {
        assert_eq!(self.x.len(), other.x.len(), "openings of different classes");
        for (a, b) in self.x.iter_mut().zip(&other.x) {
            *a = a.checked_sub(*b).expect("not part of the sum");
        }
        self.blinding -= other.blinding;
    }
}

impl AddAssign<&Self> for Opening {
    /// Adds an opening of the same class. Panics where [`Opening::try_add`] gives an error.
    fn add_assign(&mut self, other: &Self) {
        assert_eq!(self.x.len(), other.x.len(), "openings of different classes");
        for (a, b) in self.x.iter_mut().zip(&other.x) {
            *a = a.checked_add(*b).expect("sum of openings exceeds 64 bits");
        }
        self.blinding += other.blinding;
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opening({} values)", self.x.len())
    }
}

impl BorshSerialize for Opening {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        self.x.serialize(writer)?;
        ScalarBytes(self.blinding).serialize(writer)
    }
}

impl BorshDeserialize for Opening {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let x = Vec::<u64>::deserialize_reader(reader)?;
        let ScalarBytes(blinding) = ScalarBytes::deserialize_reader(reader)?;
        Ok(Self { x, blinding })
    }
}

/// The bases of a schema's commitments.
pub struct CommitmentKey {
    schema: Schema,
    g: Vec<RistrettoPoint>,
    h: RistrettoPoint,
    h_table: RistrettoBasepointTable,
}

impl CommitmentKey {
    /// Derives the generators of a schema (about 0.1 ms).
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        let h = generators::blinding();
        Self {
            g: schema
                .attributes()
                .iter()
                .map(generators::attribute)
                .collect(),
            h,
            h_table: RistrettoBasepointTable::create(&h),
            schema: schema.clone(),
        }
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// `G[a]` for every attribute, by position in the schema.
    #[must_use]
    pub fn attribute_generators(&self) -> &[RistrettoPoint] {
        &self.g
    }

    /// `G[a]` for the attributes of a class, in the order of an [`Opening`]'s values.
    #[must_use]
    pub fn class_generators(&self, class: Class) -> Vec<RistrettoPoint> {
        self.schema.positions(class).map(|a| self.g[a]).collect()
    }

    /// `H`.
    #[must_use]
    pub fn blinding_generator(&self) -> RistrettoPoint {
        self.h
    }

    /// `blinding·H` with a table, in constant time.
    #[must_use]
    pub fn blind(&self, blinding: &Scalar) -> RistrettoPoint {
        blinding * &self.h_table
    }

    /// Commits to an opening, in constant time.
    ///
    /// # Errors
    /// [`ProveError::Length`] when the opening is not of this class.
    pub fn commit(&self, class: Class, opening: &Opening) -> Result<RistrettoPoint, ProveError> {
        let generators = self.class_generators(class);
        if generators.len() != opening.x.len() {
            return Err(ProveError::Length {
                what: "opening",
                expected: generators.len(),
                got: opening.x.len(),
            });
        }
        let values = if generators.is_empty() {
            RistrettoPoint::identity()
        } else {
            RistrettoPoint::multiscalar_mul(opening.x.iter().map(|x| Scalar::from(*x)), generators)
        };
        Ok(values + self.blind(&opening.blinding))
    }
}

/// Where a commitment stands: input of its blinding, so that no blinding ever serves twice.
#[derive(Clone, Copy, Debug)]
pub struct BlindingContext<'a> {
    /// Chain identifier.
    pub chain: &'a Digest32,
    /// Agency identifier.
    pub agency: u32,
    /// Digest of the schema.
    pub schema: &'a Digest32,
    /// Number of the batch.
    pub batch: u64,
    /// Directory index of the subject.
    pub index: &'a [u8; 32],
}

/// The secret from which a subject's blindings come: random, one per subject, kept in the vault.
/// Destroying it and the values is erasure.
#[derive(Clone, Zeroize, ZeroizeOnDrop, BorshSerialize, BorshDeserialize)]
pub struct SubjectSalt([u8; 32]);

impl SubjectSalt {
    /// Draws a salt.
    pub fn random<R: rand_core::RngCore + rand_core::CryptoRng>(rng: &mut R) -> Self {
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        Self(salt)
    }

    /// A salt from bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// `r = wide(HMAC-SHA-512(salt, domain ‖ chain ‖ agency ‖ class ‖ schema ‖ batch ‖ index ‖ x))`.
    /// The values are an input, so a rebuilt batch with other values has other blindings.
    #[must_use]
    pub fn blinding(&self, context: &BlindingContext<'_>, class: Class, x: &[u64]) -> Scalar {
        let mut mac = Hmac::<Sha512>::new_from_slice(&self.0).expect("any key length");
        mac.update(domain::BLINDING.as_bytes());
        mac.update(context.chain);
        mac.update(&context.agency.to_le_bytes());
        mac.update(&[match class {
            Class::Stock => 0,
            Class::Flow => 1,
        }]);
        mac.update(context.schema);
        mac.update(&context.batch.to_le_bytes());
        mac.update(context.index);
        for value in x {
            mac.update(&value.to_le_bytes());
        }
        let mut wide: [u8; 64] = mac.finalize().into_bytes().into();
        let r = Scalar::from_bytes_mod_order_wide(&wide);
        wide.zeroize();
        r
    }
}

impl fmt::Debug for SubjectSalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectSalt(..)")
    }
}

/// The two openings of a published record.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RecordBlindings {
    /// Blinding of the stocks commitment.
    pub stocks: Scalar,
    /// Blinding of the flows commitment.
    pub flows: Scalar,
}

impl RecordBlindings {
    /// Derives both blindings of a record.
    #[must_use]
    pub fn derive(
        salt: &SubjectSalt,
        context: &BlindingContext<'_>,
        schema: &Schema,
        record: &Record,
    ) -> Self {
        let of = |class| {
            let mut x: Vec<u64> = schema.positions(class).map(|a| record.x[a]).collect();
            let r = salt.blinding(context, class, &x);
            x.zeroize();
            r
        };
        Self {
            stocks: of(Class::Stock),
            flows: of(Class::Flow),
        }
    }
}

impl fmt::Debug for RecordBlindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordBlindings(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::sample;

    #[test]
    fn commitments_add_up() {
        let schema = sample();
        let key = CommitmentKey::new(&schema);
        let a = Record::new(&schema, &[-1000, 5, 7, 1]).expect("in range");
        let b = Record::new(&schema, &[5000, 6, 8, 2]).expect("in range");
        let mut sum = Opening::zero(&schema, Class::Stock);
        let mut points = RistrettoPoint::identity();
        for (i, record) in [&a, &b].into_iter().enumerate() {
            let opening = record.opening(&schema, Class::Stock, Scalar::from(i as u64 + 1));
            points += key.commit(Class::Stock, &opening).expect("same class");
            sum += &opening;
        }
        assert_eq!(sum.encoded(), &[2, 6000, 11]);
        assert_eq!(key.commit(Class::Stock, &sum).expect("same class"), points);
    }

    #[test]
    fn sums_beyond_64_bits_are_refused() {
        let opening = |x| Opening::from_parts(vec![1, x], Scalar::ONE);
        let mut sum = opening(u64::MAX - 1);
        assert_eq!(sum.try_add(&opening(1)), Ok(()));
        let before = sum.clone();
        assert_eq!(
            sum.try_add(&opening(1)),
            Err(ProveError::Unsatisfied("a sum of openings exceeds 64 bits"))
        );
        let other = Opening::from_parts(vec![1], Scalar::ONE);
        assert!(matches!(
            sum.try_add(&other),
            Err(ProveError::Length { .. })
        ));
        assert!(sum == before, "as it was");
    }

    #[test]
    fn a_commitment_opens_the_same_under_a_later_schema() {
        let before = sample();
        let mut attributes = before.attributes().to_vec();
        for (name, class) in [("more", Class::Stock), ("fees", Class::Flow)] {
            attributes.push(crate::schema::tests::attribute(name, class, 0, 9));
        }
        let after = Schema::new(2, attributes).expect("valid");
        let record = Record::new(&before, &[-1000, 5, 7, 1]).expect("in range");
        let wide = record.under(&after).expect("longer");
        assert_eq!(wide.values(&after), [-1000, 5, 7, 1, 0, 0]);
        for class in [Class::Stock, Class::Flow] {
            let opening = record.opening(&before, class, Scalar::from(3u64));
            let widened = opening.under(&after, class).expect("longer");
            assert!(widened == wide.opening(&after, class, Scalar::from(3u64)));
            let commit = |schema: &Schema, opening| {
                CommitmentKey::new(schema)
                    .commit(class, opening)
                    .expect("same class")
            };
            assert_eq!(commit(&before, &opening), commit(&after, &widened));
            assert!(widened.under(&before, class).is_none());
        }
        assert!(wide.under(&before).is_none());
    }

    #[test]
    fn errors_name_the_field_and_hide_the_value() {
        let schema = sample();
        let error = Record::new(&schema, &[5001, 0, 0, 0]).expect_err("too large");
        let text = format!("{error} {error:?}");
        assert!(text.contains("balance") && text.contains("5000"));
        assert!(!text.contains("5001"));
        assert_eq!(
            Record::new(&schema, &[0]),
            Err(RecordError::Length {
                expected: 4,
                got: 1
            })
        );
    }

    #[test]
    fn every_input_changes_the_blinding() {
        let salt = SubjectSalt::from_bytes([7; 32]);
        let other = SubjectSalt::from_bytes([8; 32]);
        let base = BlindingContext {
            chain: &[1; 32],
            agency: 1,
            schema: &[2; 32],
            batch: 3,
            index: &[4; 32],
        };
        let mut seen = vec![
            salt.blinding(&base, Class::Stock, &[1, 2]),
            salt.blinding(&base, Class::Flow, &[1, 2]),
            salt.blinding(&base, Class::Stock, &[1, 3]),
            other.blinding(&base, Class::Stock, &[1, 2]),
        ];
        for context in [
            BlindingContext {
                chain: &[9; 32],
                ..base
            },
            BlindingContext { agency: 9, ..base },
            BlindingContext {
                schema: &[9; 32],
                ..base
            },
            BlindingContext { batch: 9, ..base },
            BlindingContext {
                index: &[9; 32],
                ..base
            },
        ] {
            seen.push(salt.blinding(&context, Class::Stock, &[1, 2]));
        }
        for (i, a) in seen.iter().enumerate() {
            assert!(seen[i + 1..].iter().all(|b| a != b), "input {i}");
        }
    }
}
