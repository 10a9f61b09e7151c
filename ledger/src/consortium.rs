//! Who takes part and under which rules (spec: `ledger/spec/governance.md`). The genesis file says it
//! for the first block, votes change it later; the rules are the same.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zkbureau_circuits::directory::VrfPublicKey;
use zkbureau_circuits::encoding::{Digest32, Document};
use zkbureau_circuits::range_batch::MAX_SLOTS;

use crate::block::{MAX_BLOCK_BYTES, Validator, ValidatorSet};
use crate::ids::{AgencyId, AuditorId, IssuerId};
use crate::keys::{PublicKey, SealingKey};

/// Most agencies of a consortium.
pub const MAX_AGENCIES: usize = 100;
/// Most agencies that a chain may ever have: the trees and columns of those that left stay.
pub const MAX_AGENCIES_EVER: usize = 200;
/// Most identity issuers.
pub const MAX_ISSUERS: usize = 100;
/// Most auditors.
pub const MAX_AUDITORS: usize = 100;
/// Most observers.
pub const MAX_OBSERVERS: usize = 100;
/// Longest name of anybody, in bytes.
pub const MAX_NAME: usize = 100;
/// Largest voting power of one validator, so that sums never overflow.
pub const MAX_POWER: u64 = 1 << 32;
/// Largest agency identifier. Those above name trees that belong to no agency.
pub const MAX_AGENCY_ID: u32 = u32::MAX - 16;

/// An agency: publishes records and validates blocks.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agency {
    /// Identifier, never reused.
    pub id: AgencyId,
    /// Name, for people.
    pub name: String,
    /// Signs its batches and its votes.
    pub validator_key: PublicKey,
    /// Evaluates the directory.
    pub vrf_key: VrfPublicKey,
    /// Receives sealed asks.
    pub sealing_key: SealingKey,
    /// Its node's identity in the network; the peer identifier is derived from it.
    pub network_key: PublicKey,
}

/// A node that may connect, follow the chain and submit transactions, and nothing more.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observer {
    /// Name, for people.
    pub name: String,
    /// Its identity in the network.
    pub network_key: PublicKey,
}

/// An agency's seat among the validators.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Seat {
    /// The agency.
    pub agency: AgencyId,
    /// Its voting power.
    pub power: u64,
}

/// A party that certifies who holds a subject key.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Identifier, never reused.
    pub id: IssuerId,
    /// Name, for people.
    pub name: String,
    /// Signs enrolment certificates.
    pub key: PublicKey,
}

/// A regulator who may ask for openings of totals.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auditor {
    /// Identifier, never reused.
    pub id: AuditorId,
    /// Name, for people.
    pub name: String,
    /// Signs audit requests.
    pub key: PublicKey,
}

/// The consortium's rules that are numbers.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Policies {
    /// Largest block, in bytes.
    pub max_block_bytes: u32,
    /// Most records in a batch.
    pub max_batch_slots: u32,
    /// Most consent anchors in a block: nobody signs for an anchor, so this bounds a flood.
    pub max_anchors_per_block: u32,
    /// How many days ahead an anchor may expire.
    pub max_anchor_days: u32,
    /// An agency answers within this many blocks of an inquiry …
    pub answer_blocks: u64,
    /// … and within this many milliseconds of header time.
    pub answer_ms: u64,
    /// Subjects that must have been reported between two openings of a column.
    pub min_changed_records: u64,
    /// Versions of the trees that stay readable.
    pub kept_versions: u64,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            max_block_bytes: 4 << 20,
            max_batch_slots: 16_384,
            max_anchors_per_block: 4_096,
            max_anchor_days: 400,
            answer_blocks: 100,
            answer_ms: 600_000,
            min_changed_records: 100,
            kept_versions: 128,
        }
    }
}

/// A genesis file is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GenesisError {
    /// Not the JSON of a genesis file.
    #[error("not a genesis file: {0}")]
    Json(String),
    /// A number, length or count is outside its limits.
    #[error("{field}: {got} is outside {min}..={max}")]
    Limit {
        /// Path of the field, such as `agencies[2].name`.
        field: String,
        /// Smallest value allowed.
        min: u64,
        /// Largest value allowed.
        max: u64,
        /// The value found.
        got: u64,
    },
    /// Identifiers are not strictly ascending.
    #[error("{field}: identifiers must ascend strictly")]
    Order {
        /// Path of the first that does not.
        field: String,
    },
    /// A name or key occurs twice.
    #[error("{field}: occurs twice")]
    Duplicate {
        /// Path of the second occurrence.
        field: String,
    },
    /// A name has characters that are not printed or leading or trailing blanks.
    #[error("{field}: a name has no control characters and no blanks at its ends")]
    Name {
        /// Path of the name.
        field: String,
    },
    /// A seat names an agency that does not exist.
    #[error("{field}: there is no {agency}")]
    UnknownAgency {
        /// Path of the seat.
        field: String,
        /// The agency it names.
        agency: AgencyId,
    },
}

/// Who takes part and under which rules: a value in the registry tree.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Consortium {
    /// The agencies, by ascending identifier.
    pub agencies: Vec<Agency>,
    /// Who signs blocks, by ascending agency identifier.
    pub validators: Vec<Seat>,
    /// Identity issuers, by ascending identifier.
    pub issuers: Vec<Issuer>,
    /// Auditors, by ascending identifier.
    pub auditors: Vec<Auditor>,
    /// Nodes that only watch, by ascending network key.
    pub observers: Vec<Observer>,
    /// Version of the schema in force.
    pub schema_version: u32,
    /// Digest of the schema in force.
    #[serde(with = "hex::serde")]
    pub schema: Digest32,
    /// Limits and waiting times.
    pub policies: Policies,
    /// Content hash of the verifying key under which scores are proven; none: no scores.
    #[serde(with = "optional_digest")]
    pub score_key: Option<Digest32>,
}

impl Document for Consortium {
    const NAME: &'static str = "zkbureau/consortium/v1";
    const MAX_BYTES: usize = 256 << 10;
}

impl Consortium {
    /// An agency by its identifier.
    #[must_use]
    pub fn agency(&self, id: AgencyId) -> Option<&Agency> {
        let found = self.agencies.binary_search_by_key(&id, |a| a.id);
        found.ok().map(|i| &self.agencies[i])
    }

    /// An identity issuer by its identifier.
    #[must_use]
    pub fn issuer(&self, id: IssuerId) -> Option<&Issuer> {
        let found = self.issuers.binary_search_by_key(&id, |i| i.id);
        found.ok().map(|i| &self.issuers[i])
    }

    /// An auditor by its identifier.
    #[must_use]
    pub fn auditor(&self, id: AuditorId) -> Option<&Auditor> {
        let found = self.auditors.binary_search_by_key(&id, |a| a.id);
        found.ok().map(|i| &self.auditors[i])
    }

    /// The validators with their keys.
    #[must_use]
    pub fn validator_set(&self) -> ValidatorSet {
        let validators = self.validators.iter().filter_map(|seat| {
            let agency = self.agency(seat.agency)?;
            Some(Validator {
                agency: seat.agency,
                key: agency.validator_key,
                power: seat.power,
            })
        });
        ValidatorSet::new(validators.collect())
    }
}

impl Consortium {
    /// Checks every rule: at the chain's start and after every change.
    ///
    /// # Errors
    /// [`GenesisError`] names the field and its limit.
    pub fn validate(&self) -> Result<(), GenesisError> {
        let mut keys = BTreeSet::new();
        self.validate_agencies(&mut keys)?;
        self.validate_validators()?;
        self.validate_others(&mut keys)?;
        self.validate_observers(&mut keys)?;
        self.policies.validate()?;
        within(
            "consortium, encoded",
            self.to_bytes().len() as u64,
            1,
            Self::MAX_BYTES as u64,
        )
    }

    fn validate_agencies(&self, keys: &mut BTreeSet<Vec<u8>>) -> Result<(), GenesisError> {
        count("agencies", self.agencies.len(), 1, MAX_AGENCIES)?;
        ascending("agencies", self.agencies.iter().map(|a| a.id))?;
        let mut names = BTreeSet::new();
        for (i, agency) in self.agencies.iter().enumerate() {
            let field = |name: &str| format!("agencies[{i}].{name}");
            within(
                &field("id"),
                u64::from(agency.id.0),
                1,
                u64::from(MAX_AGENCY_ID),
            )?;
            name(&field("name"), &agency.name)?;
            distinct(&mut names, agency.name.as_bytes(), || field("name"))?;
            for (kind, key) in [
                ("validator_key", agency.validator_key.as_bytes()),
                ("vrf_key", agency.vrf_key.as_bytes()),
                ("sealing_key", agency.sealing_key.as_bytes()),
                ("network_key", agency.network_key.as_bytes()),
            ] {
                distinct(keys, key, || field(kind))?;
            }
        }
        Ok(())
    }

    fn validate_validators(&self) -> Result<(), GenesisError> {
        count("validators", self.validators.len(), 1, MAX_AGENCIES)?;
        ascending("validators", self.validators.iter().map(|s| s.agency))?;
        for (i, seat) in self.validators.iter().enumerate() {
            within(&format!("validators[{i}].power"), seat.power, 1, MAX_POWER)?;
            if !self.agencies.iter().any(|a| a.id == seat.agency) {
                return Err(GenesisError::UnknownAgency {
                    field: format!("validators[{i}].agency"),
                    agency: seat.agency,
                });
            }
        }
        Ok(())
    }

    fn validate_others(&self, keys: &mut BTreeSet<Vec<u8>>) -> Result<(), GenesisError> {
        count("issuers", self.issuers.len(), 0, MAX_ISSUERS)?;
        ascending("issuers", self.issuers.iter().map(|i| i.id))?;
        count("auditors", self.auditors.len(), 0, MAX_AUDITORS)?;
        ascending("auditors", self.auditors.iter().map(|a| a.id))?;
        let issuers = self.issuers.iter().map(|i| ("issuers", &i.name, &i.key));
        let auditors = self.auditors.iter().map(|a| ("auditors", &a.name, &a.key));
        for (list, items) in [
            ("issuers", issuers.collect::<Vec<_>>()),
            ("auditors", auditors.collect()),
        ] {
            let mut names = BTreeSet::new();
            for (i, (_, text, key)) in items.into_iter().enumerate() {
                let field = |name: &str| format!("{list}[{i}].{name}");
                name(&field("name"), text)?;
                distinct(&mut names, text.as_bytes(), || field("name"))?;
                distinct(keys, key.as_bytes(), || field("key"))?;
            }
        }
        Ok(())
    }

    fn validate_observers(&self, keys: &mut BTreeSet<Vec<u8>>) -> Result<(), GenesisError> {
        count("observers", self.observers.len(), 0, MAX_OBSERVERS)?;
        ascending("observers", self.observers.iter().map(|o| o.network_key))?;
        let mut names = BTreeSet::new();
        for (i, observer) in self.observers.iter().enumerate() {
            let field = |name: &str| format!("observers[{i}].{name}");
            name(&field("name"), &observer.name)?;
            distinct(&mut names, observer.name.as_bytes(), || field("name"))?;
            let key = observer.network_key.as_bytes();
            distinct(keys, key, || field("network_key"))?;
        }
        Ok(())
    }
}

impl Policies {
    fn validate(&self) -> Result<(), GenesisError> {
        let limits = [
            (
                "max_block_bytes",
                u64::from(self.max_block_bytes),
                64 << 10,
                MAX_BLOCK_BYTES as u64,
            ),
            (
                "max_batch_slots",
                u64::from(self.max_batch_slots),
                1,
                MAX_SLOTS as u64,
            ),
            (
                "max_anchors_per_block",
                u64::from(self.max_anchors_per_block),
                1,
                1 << 16,
            ),
            (
                "max_anchor_days",
                u64::from(self.max_anchor_days),
                1,
                36_525,
            ),
            ("answer_blocks", self.answer_blocks, 1, 10_000),
            ("answer_ms", self.answer_ms, 1_000, 86_400_000),
            (
                "min_changed_records",
                self.min_changed_records,
                1,
                1_000_000_000,
            ),
            // Answers at an inquiry's height need its trees until the answer is due.
            (
                "kept_versions",
                self.kept_versions,
                self.answer_blocks + 1,
                100_000,
            ),
        ];
        for (field, got, min, max) in limits {
            within(&format!("policies.{field}"), got, min, max)?;
        }
        Ok(())
    }
}

pub(crate) fn within(field: &str, got: u64, min: u64, max: u64) -> Result<(), GenesisError> {
    if (min..=max).contains(&got) {
        return Ok(());
    }
    Err(GenesisError::Limit {
        field: field.into(),
        min,
        max,
        got,
    })
}

fn count(field: &str, got: usize, min: usize, max: usize) -> Result<(), GenesisError> {
    within(field, got as u64, min as u64, max as u64)
}

pub(crate) fn name(field: &str, text: &str) -> Result<(), GenesisError> {
    within(field, text.len() as u64, 1, MAX_NAME as u64)?;
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err(GenesisError::Name {
            field: field.into(),
        });
    }
    Ok(())
}

fn ascending<T: Ord>(field: &str, ids: impl Iterator<Item = T>) -> Result<(), GenesisError> {
    let mut last = None;
    for (i, id) in ids.enumerate() {
        if last.as_ref().is_some_and(|last| *last >= id) {
            return Err(GenesisError::Order {
                field: format!("{field}[{i}]"),
            });
        }
        last = Some(id);
    }
    Ok(())
}

fn distinct(
    seen: &mut BTreeSet<Vec<u8>>,
    item: &[u8],
    field: impl Fn() -> String,
) -> Result<(), GenesisError> {
    if seen.insert(item.to_vec()) {
        Ok(())
    } else {
        Err(GenesisError::Duplicate { field: field() })
    }
}

/// A digest that may be missing, as hexadecimal digits.
pub(crate) mod optional_digest {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use zkbureau_circuits::encoding::Digest32;

    /// Writes it.
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Digest32>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(digest) => s.serialize_some(&hex::encode(digest)),
            None => s.serialize_none(),
        }
    }

    /// Reads it.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Digest32>, D::Error> {
        let Some(text) = Option::<String>::deserialize(d)? else {
            return Ok(None);
        };
        let mut digest = [0; 32];
        hex::decode_to_slice(&text, &mut digest)
            .map_err(|_| de::Error::custom("expected 64 hexadecimal digits"))?;
        Ok(Some(digest))
    }
}
