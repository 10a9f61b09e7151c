//! The genesis file: who takes part, what is recorded and under which rules
//! (spec: `ledger/spec/blocks.md`). Its digest is the chain's identifier.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use zkbureau_circuits::encoding::{Digest32, Document};
use zkbureau_circuits::schema::Schema;

use crate::block::ValidatorSet;
pub use crate::consortium::{
    Agency, Auditor, Consortium, GenesisError, Issuer, MAX_AGENCIES, MAX_AGENCIES_EVER,
    MAX_AGENCY_ID, MAX_AUDITORS, MAX_ISSUERS, MAX_NAME, MAX_OBSERVERS, MAX_POWER, Observer,
    Policies, Seat,
};
use crate::consortium::{name, within};
use crate::ids::{ChainId, TimeMs};

/// The genesis file.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// The consortium's name.
    pub name: String,
    /// When the chain starts; every header is later.
    pub time_ms: TimeMs,
    /// The agencies, by ascending identifier.
    pub agencies: Vec<Agency>,
    /// Who signs blocks, by ascending agency identifier. A devnet has one seat.
    pub validators: Vec<Seat>,
    /// Identity issuers, by ascending identifier.
    pub issuers: Vec<Issuer>,
    /// Auditors, by ascending identifier.
    pub auditors: Vec<Auditor>,
    /// Nodes that only watch, by ascending network key.
    #[serde(default)]
    pub observers: Vec<Observer>,
    /// What a record holds.
    pub schema: Schema,
    /// Limits and waiting times.
    pub policies: Policies,
    /// Content hash of the verifying key under which scores are proven; none: no scores.
    #[serde(
        with = "crate::consortium::optional_digest",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub score_key: Option<Digest32>,
}

impl Document for Genesis {
    const NAME: &'static str = "zkbureau/genesis/v1";
    const MAX_BYTES: usize = 256 << 10;
}

impl Genesis {
    /// Reads and validates the JSON file.
    ///
    /// # Errors
    /// [`GenesisError`] names the field and its limit.
    pub fn from_json(json: &[u8]) -> Result<Self, GenesisError> {
        let genesis: Self =
            serde_json::from_slice(json).map_err(|e| GenesisError::Json(e.to_string()))?;
        genesis.validate()?;
        Ok(genesis)
    }

    /// The JSON file, for people to read.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("plain data");
        json.push('\n');
        json
    }

    /// The chain's identifier: the digest of the canonical encoding, so that the layout of the JSON
    /// file does not matter.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        ChainId(self.digest())
    }

    /// Checks every rule of the file.
    ///
    /// # Errors
    /// [`GenesisError`] names the field and its limit.
    pub fn validate(&self) -> Result<(), GenesisError> {
        name("name", &self.name)?;
        within("time_ms", self.time_ms.0, 1, TimeMs::MAX.0)?;
        self.consortium().validate()?;
        within(
            "schema.attributes",
            self.schema.slot_bits() as u64,
            1,
            u64::MAX,
        )?;
        within(
            "genesis file, encoded",
            self.to_bytes().len() as u64,
            1,
            Self::MAX_BYTES as u64,
        )
    }

    /// The validators of the first block.
    #[must_use]
    pub fn validator_set(&self) -> ValidatorSet {
        self.consortium().validator_set()
    }

    /// The genesis file's part of the ledger's state.
    #[must_use]
    pub fn consortium(&self) -> Consortium {
        Consortium {
            agencies: self.agencies.clone(),
            validators: self.validators.clone(),
            issuers: self.issuers.clone(),
            auditors: self.auditors.clone(),
            observers: self.observers.clone(),
            schema_version: self.schema.version(),
            schema: self.schema.digest(),
            policies: self.policies,
            score_key: self.score_key,
        }
    }
}
