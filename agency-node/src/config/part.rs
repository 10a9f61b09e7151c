//! `agency-part.json`: what one agency gives to the others so that they can write it into the genesis file, or vote for
//! its admission. Public.
//!
//! Whoever sends a part proves that it holds the keys in it: the validator and network keys sign the agency's
//! record, and the directory key evaluates on it. A sealing key cannot sign; an agency that names one that
//! it does not hold only fails to read what is sent to it.
//!
//! Before there is a chain the proofs are made for chain zero; a part for an existing chain names it, so
//! that a proof for one consortium is none for another.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zkbureau_circuits::directory::{SubjectId, VrfProof, vrf_input};
use zkbureau_ledger::genesis::Agency;
use zkbureau_ledger::ids::{AgencyId, ChainId, TimeMs};
use zkbureau_ledger::transaction::{AdmitAgency, Possession};

use crate::vault::AgencyKeys;

/// What the file says it is.
const FORMAT: &str = "zkbureau/agency-part/v1";
/// Longest file.
pub const MAX_PART: usize = 64 << 10;
/// The chain of parts that were made before there was one.
pub const NO_CHAIN: ChainId = ChainId([0; 32]);

/// The public part of an agency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgencyPart {
    format: String,
    /// The chain it is for; zeros before there is one.
    pub chain: ChainId,
    /// When it was made. The genesis file starts at the latest of its parts' times.
    pub made_ms: TimeMs,
    /// The agency with its keys.
    pub agency: Agency,
    /// By the signing keys, over the agency.
    pub possession: Possession,
    /// By the directory key, on the agency.
    #[serde(with = "proof")]
    pub directory_proof: VrfProof,
}

/// Why a part is not accepted.
#[derive(Debug, Error)]
pub enum PartError {
    /// Not the JSON of a part.
    #[error("not an agency's public part: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version or another file.
    #[error("format: {0:?}, expected {FORMAT:?}")]
    Format(String),
    /// It was made for another chain.
    #[error("chain: made for {got}, expected {expected}")]
    Chain {
        /// The chain that is wanted.
        expected: ChainId,
        /// The part's chain.
        got: ChainId,
    },
    /// The signing keys.
    #[error("possession: the signatures under validator_key and network_key do not verify")]
    Possession,
    /// The directory key.
    #[error("directory_proof: does not verify under vrf_key")]
    Directory,
}

impl AgencyPart {
    /// Makes the part of an agency.
    #[must_use]
    pub fn new(chain: ChainId, made: TimeMs, agency: Agency, keys: &AgencyKeys) -> Self {
        let (_, directory_proof) = keys.vrf().evaluate(&input(&chain, &agency));
        let admission = AdmitAgency::sign(&chain, agency, 0, keys.validator(), keys.network());
        Self {
            format: FORMAT.to_owned(),
            chain,
            made_ms: made,
            agency: admission.agency,
            possession: admission.possession,
            directory_proof,
        }
    }

    /// Reads a part and verifies its proofs.
    ///
    /// # Errors
    /// [`PartError`] names the field.
    pub fn from_json(json: &[u8], chain: ChainId) -> Result<Self, PartError> {
        let part: Self = serde_json::from_slice(json)?;
        if part.format != FORMAT {
            return Err(PartError::Format(part.format));
        }
        if part.chain != chain {
            return Err(PartError::Chain {
                expected: chain,
                got: part.chain,
            });
        }
        part.admission(0)
            .verify_possession(&chain)
            .map_err(|_| PartError::Possession)?;
        let input = input(&chain, &part.agency);
        part.agency
            .vrf_key
            .verify(&input, &part.directory_proof)
            .map_err(|_| PartError::Directory)?;
        Ok(part)
    }

    /// The file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("plain data");
        json.push('\n');
        json
    }

    /// What the others vote for.
    #[must_use]
    pub fn admission(&self, power: u64) -> AdmitAgency {
        AdmitAgency {
            agency: self.agency.clone(),
            power,
            possession: self.possession,
        }
    }

    /// Who it is of.
    #[must_use]
    pub fn id(&self) -> AgencyId {
        self.agency.id
    }
}

/// What the directory key is evaluated on. No person's identifier is of this type.
fn input(chain: &ChainId, agency: &Agency) -> zkbureau_circuits::directory::VrfInput {
    use sha2::{Digest, Sha256};

    let record = borsh::to_vec(agency).expect("encoding into memory");
    let digest = hex::encode(Sha256::digest(record));
    let subject = SubjectId::new("agency-part", &digest).expect("hexadecimal digits");
    vrf_input(chain.as_bytes(), &subject)
}

mod proof {
    //! 80 bytes as hexadecimal digits.

    use serde::{Deserialize, Deserializer, Serializer, de};
    use zkbureau_circuits::directory::VrfProof;

    pub fn serialize<S: Serializer>(proof: &VrfProof, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(proof.0))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<VrfProof, D::Error> {
        let text = String::deserialize(d)?;
        let mut bytes = [0; 80];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|_| de::Error::custom("a proof is 160 hexadecimal digits"))?;
        Ok(VrfProof(bytes))
    }
}

#[cfg(test)]
mod tests {
    use rand_core::OsRng;

    use super::*;

    fn part() -> AgencyPart {
        let keys = AgencyKeys::random(&mut OsRng);
        let agency = keys.agency(AgencyId(7), "Seventh");
        AgencyPart::new(NO_CHAIN, TimeMs(5), agency, &keys)
    }

    fn read(part: &AgencyPart) -> Result<AgencyPart, PartError> {
        AgencyPart::from_json(part.to_json().as_bytes(), NO_CHAIN)
    }

    #[test]
    fn a_part_is_read_again_and_every_key_is_proven() {
        let good = part();
        assert_eq!(read(&good).expect("valid"), good);
        let other = part();
        let changed = |change: &dyn Fn(&mut AgencyPart)| {
            let mut bad = good.clone();
            change(&mut bad);
            read(&bad).expect_err("changed").to_string()
        };
        for (error, field) in [
            (
                changed(&|p| p.agency.validator_key = other.agency.validator_key),
                "possession",
            ),
            (
                changed(&|p| p.agency.network_key = other.agency.network_key),
                "possession",
            ),
            (
                changed(&|p| p.agency.sealing_key = other.agency.sealing_key),
                "possession",
            ),
            (changed(&|p| p.agency.name = "Eighth".into()), "possession"),
            (changed(&|p| p.possession.network = None), "possession"),
            (
                changed(&|p| p.directory_proof = other.directory_proof),
                "directory_proof",
            ),
            (changed(&|p| p.chain = ChainId([1; 32])), "chain"),
            (changed(&|p| p.format = "x".into()), "format"),
        ] {
            assert!(error.starts_with(field), "{error}");
        }
    }

    #[test]
    fn a_stolen_directory_key_is_noticed() {
        let (keys, others) = (
            AgencyKeys::random(&mut OsRng),
            AgencyKeys::random(&mut OsRng),
        );
        let mut agency = keys.agency(AgencyId(7), "Seventh");
        agency.vrf_key = others.vrf().public();
        let part = AgencyPart::new(NO_CHAIN, TimeMs(5), agency, &keys);
        assert!(matches!(read(&part), Err(PartError::Directory)));
    }
}
