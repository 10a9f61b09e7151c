//! Validator sets.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use zkbureau_circuits::encoding::{Digest32, Document, hash_parts};
use zkbureau_params::domain;

use crate::genesis::{MAX_AGENCIES, MAX_POWER};
use crate::ids::AgencyId;
use crate::keys::PublicKey;

/// Who may sign blocks. Its agency's identifier is its address.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Validator {
    /// The agency.
    pub agency: AgencyId,
    /// Its key.
    pub key: PublicKey,
    /// Its voting power.
    pub power: u64,
}

/// The validators of a block, by ascending agency identifier.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, Serialize, Deserialize)]
#[serde(try_from = "Vec<Validator>")]
pub struct ValidatorSet(Vec<Validator>);

impl TryFrom<Vec<Validator>> for ValidatorSet {
    type Error = &'static str;

    fn try_from(validators: Vec<Validator>) -> Result<Self, Self::Error> {
        let ascending = validators.windows(2).all(|w| w[0].agency < w[1].agency);
        let bounded = validators.len() <= MAX_AGENCIES
            && validators
                .iter()
                .all(|v| (1..=MAX_POWER).contains(&v.power));
        if !ascending || !bounded {
            return Err("validators ascend by agency and have a power within limits");
        }
        Ok(Self(validators))
    }
}

impl BorshDeserialize for ValidatorSet {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        Self::try_from(Vec::deserialize_reader(reader)?)
            .map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
    }
}

impl Document for ValidatorSet {
    const NAME: &'static str = "zkbureau/validator-set/v1";
    const MAX_BYTES: usize = 8 << 10;
}

impl ValidatorSet {
    /// A set; brought into order.
    #[must_use]
    pub fn new(mut validators: Vec<Validator>) -> Self {
        validators.sort_by_key(|v| v.agency);
        Self(validators)
    }

    /// The validators, by ascending agency identifier.
    #[must_use]
    pub fn validators(&self) -> &[Validator] {
        &self.0
    }

    /// The validator of an agency.
    #[must_use]
    pub fn get(&self, agency: AgencyId) -> Option<&Validator> {
        let found = self.0.binary_search_by_key(&agency, |v| v.agency);
        found.ok().map(|i| &self.0[i])
    }

    /// The power of all validators together.
    #[must_use]
    pub fn total_power(&self) -> u128 {
        self.0.iter().map(|v| u128::from(v.power)).sum()
    }

    /// The set's hash, as headers carry it.
    #[must_use]
    pub fn hash(&self) -> Digest32 {
        hash_parts(domain::VALIDATORS, &[&self.to_bytes()])
    }
}
