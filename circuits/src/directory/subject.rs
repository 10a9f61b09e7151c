//! Subject identifiers and their one canonical form (spec: `circuits/spec/directory.md`).

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Longest identifier type in bytes.
pub const MAX_ID_TYPE: usize = 32;
/// Longest identifier in bytes.
pub const MAX_ID: usize = 128;

/// A person's identifier: its kind, such as `tw-national-id`, and its text. Values of this type are
/// always canonical, so equal people compare equal and hash alike at every agency.
#[derive(
    Clone,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Zeroize,
    ZeroizeOnDrop,
    BorshSerialize,
    Serialize,
    Deserialize,
)]
#[serde(try_from = "RawSubjectId", into = "RawSubjectId")]
pub struct SubjectId {
    id_type: String,
    id: String,
}

#[derive(BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSubjectId {
    id_type: String,
    id: String,
}

/// Text that is not a subject identifier. It never carries the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SubjectIdError {
    /// The kind has other characters or another length.
    #[error("an identifier type is 1 to {MAX_ID_TYPE} characters of a-z, 0-9, _ and -")]
    Type,
    /// The identifier is empty or too long.
    #[error("an identifier has 1 to {MAX_ID} bytes")]
    Length,
    /// The identifier has control characters or characters outside ASCII.
    #[error("an identifier consists of printable ASCII characters")]
    Characters,
    /// The encoding holds an identifier that is not in canonical form.
    #[error("the identifier is not in canonical form (trimmed, upper case)")]
    NotCanonical,
}

impl SubjectId {
    /// Brings an identifier into canonical form: blanks around it removed, `a` to `z` in upper
    /// case. Only printable ASCII is accepted, so there is no question of Unicode normal forms.
    ///
    /// # Errors
    /// [`SubjectIdError`] says which rule is broken.
    pub fn new(id_type: &str, id: &str) -> Result<Self, SubjectIdError> {
        let kind_ok = (1..=MAX_ID_TYPE).contains(&id_type.len())
            && id_type
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        if !kind_ok {
            return Err(SubjectIdError::Type);
        }
        let trimmed = id.trim_matches(' ');
        if !(1..=MAX_ID).contains(&trimmed.len()) {
            return Err(SubjectIdError::Length);
        }
        if !trimmed.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return Err(SubjectIdError::Characters);
        }
        Ok(Self {
            id_type: id_type.to_owned(),
            id: trimmed.to_ascii_uppercase(),
        })
    }

    /// The kind of identifier.
    #[must_use]
    pub fn id_type(&self) -> &str {
        &self.id_type
    }

    /// The identifier in canonical form.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The canonical bytes: the kind's length in one byte, the kind, the identifier.
    #[must_use]
    pub fn canonical(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(1 + self.id_type.len() + self.id.len()));
        // MAX_ID_TYPE fits a byte.
        out.push(u8::try_from(self.id_type.len()).expect("checked when made"));
        out.extend_from_slice(self.id_type.as_bytes());
        out.extend_from_slice(self.id.as_bytes());
        out
    }
}

impl fmt::Debug for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectId({}, ..)", self.id_type)
    }
}

impl TryFrom<RawSubjectId> for SubjectId {
    type Error = SubjectIdError;

    fn try_from(mut raw: RawSubjectId) -> Result<Self, SubjectIdError> {
        let made = Self::new(&raw.id_type, &raw.id);
        raw.id.zeroize();
        made
    }
}

impl From<SubjectId> for RawSubjectId {
    fn from(subject: SubjectId) -> Self {
        Self {
            id_type: subject.id_type.clone(),
            id: subject.id.clone(),
        }
    }
}

impl BorshDeserialize for SubjectId {
    /// Stricter than text: signed bytes must hold the canonical form already.
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let raw = RawSubjectId::deserialize_reader(reader)?;
        let made = Self::new(&raw.id_type, &raw.id).and_then(|made| {
            if made.id == raw.id {
                Ok(made)
            } else {
                Err(SubjectIdError::NotCanonical)
            }
        });
        made.map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
    }
}
