//! Votes for changes of the consortium (spec: `ledger/spec/governance.md`).
//!
//! A vote carries the whole proposal, so whoever votes last needs nobody before, and every validator
//! sees what it votes for. The proposal's hash is its identifier and what is signed.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use zkbureau_circuits::directory::VrfPublicKey;
use zkbureau_circuits::encoding::{Digest32, Document};
use zkbureau_circuits::schema::Schema;
use zkbureau_params::domain;

use crate::consortium::{Agency, Auditor, Issuer, Observer, Policies};
use crate::ids::{AgencyId, AuditorId, ChainId, Day, IssuerId, ProposalId};
use crate::keys::{PublicKey, SealingKey, SecretKey, Signature, SignatureError};

/// Most changes of one proposal.
pub const MAX_CHANGES: usize = 16;

/// Changes that are adopted together or not at all.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// What it is for, in people's words. Another title makes another proposal, so the same
    /// changes can be proposed again.
    pub title: String,
    /// The last day, by header time, on which it can be voted for.
    pub expires: Day,
    /// The changes, applied in this order.
    pub changes: Vec<Change>,
}

impl Document for Proposal {
    const NAME: &'static str = "zkbureau/proposal/v1";
    const MAX_BYTES: usize = 79 << 10;
}

impl Proposal {
    /// Its identifier: the hash of all of it.
    #[must_use]
    pub fn id(&self) -> ProposalId {
        ProposalId(self.digest())
    }
}

/// One change of the consortium.
// A proposal holds few, and most of their bytes are a schema's.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A new agency.
    AdmitAgency(AdmitAgency),
    /// An agency leaves. Its records stay readable.
    RemoveAgency(AgencyId),
    /// An agency gets another voting power; 0 takes its seat away.
    SetPower(SetPower),
    /// An agency gets new keys.
    RotateKeys(RotateKeys),
    /// A node may watch.
    AdmitObserver(Observer),
    /// A node, named by its network key, may no longer watch.
    RemoveObserver(PublicKey),
    /// A new identity issuer, or another name or key of one.
    SetIssuer(Issuer),
    /// An identity issuer leaves.
    RemoveIssuer(IssuerId),
    /// A new auditor, or another name or key of one.
    SetAuditor(Auditor),
    /// An auditor leaves.
    RemoveAuditor(AuditorId),
    /// The next version of the schema.
    NewSchema(Schema),
    /// Other limits and waiting times.
    SetPolicies(Policies),
    /// Another verifying key for scores, by its content hash.
    SetScoreKey(ScoreKey),
}

/// Content hash of the verifying key under which scores are proven; none for no scores.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct ScoreKey {
    /// The hash, 64 hexadecimal digits.
    #[serde(with = "crate::consortium::optional_digest", default)]
    pub hash: Option<Digest32>,
}

/// A new agency, with proof that the keys it signs with are held.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdmitAgency {
    /// The agency.
    pub agency: Agency,
    /// Its voting power; 0 for none.
    pub power: u64,
    /// Signatures of both signing keys over the agency.
    pub possession: Possession,
}

/// Another voting power.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct SetPower {
    /// The agency.
    pub agency: AgencyId,
    /// Its power from now on; 0 for none.
    pub power: u64,
}

/// New keys for an agency.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateKeys {
    /// The agency.
    pub agency: AgencyId,
    /// The keys that change.
    pub keys: NewKeys,
    /// Signatures of the new signing keys over agency and keys.
    pub possession: Possession,
}

/// Keys that replace others; those that are none stay.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields, default)]
pub struct NewKeys {
    /// Signs batches and votes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validator: Option<PublicKey>,
    /// Evaluates the directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vrf: Option<VrfPublicKey>,
    /// Receives sealed asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealing: Option<SealingKey>,
    /// The node's identity in the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<PublicKey>,
}

/// Signatures of new signing keys: whoever proposes a key holds it.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(deny_unknown_fields, default)]
pub struct Possession {
    /// By the new validator key; none without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validator: Option<Signature>,
    /// By the new network key; none without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Signature>,
}

const ADMIT: &[u8] = b"admit";
const ROTATE: &[u8] = b"rotate";

impl Possession {
    fn sign(
        chain: &ChainId,
        message: &[&[u8]],
        validator: Option<&SecretKey>,
        network: Option<&SecretKey>,
    ) -> Self {
        let sign = |key: &SecretKey| key.sign(domain::SIGN_POSSESSION, chain, message);
        Self {
            validator: validator.map(sign),
            network: network.map(sign),
        }
    }

    /// Exactly one signature per new key, and each verifies.
    fn verify(
        &self,
        chain: &ChainId,
        message: &[&[u8]],
        validator: Option<&PublicKey>,
        network: Option<&PublicKey>,
    ) -> Result<(), SignatureError> {
        for (key, signature) in [(validator, &self.validator), (network, &self.network)] {
            match (key, signature) {
                (None, None) => {}
                (Some(key), Some(signature)) => {
                    key.verify(domain::SIGN_POSSESSION, chain, message, signature)?;
                }
                _ => return Err(SignatureError),
            }
        }
        Ok(())
    }
}

impl AdmitAgency {
    /// A new agency, signed with its own keys.
    #[must_use]
    pub fn sign(
        chain: &ChainId,
        agency: Agency,
        power: u64,
        validator: &SecretKey,
        network: &SecretKey,
    ) -> Self {
        let record = encode(&agency);
        let message = [ADMIT, &record];
        Self {
            possession: Possession::sign(chain, &message, Some(validator), Some(network)),
            agency,
            power,
        }
    }

    /// Verifies that the agency's signing keys are held.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_possession(&self, chain: &ChainId) -> Result<(), SignatureError> {
        let record = encode(&self.agency);
        self.possession.verify(
            chain,
            &[ADMIT, &record],
            Some(&self.agency.validator_key),
            Some(&self.agency.network_key),
        )
    }
}

impl RotateKeys {
    /// New keys; the secrets are those of the new validator and network keys, if there are new ones.
    #[must_use]
    pub fn sign(
        chain: &ChainId,
        agency: AgencyId,
        keys: NewKeys,
        validator: Option<&SecretKey>,
        network: Option<&SecretKey>,
    ) -> Self {
        let record = encode(&(agency, &keys));
        let message = [ROTATE, &record];
        Self {
            possession: Possession::sign(chain, &message, validator, network),
            agency,
            keys,
        }
    }

    /// Verifies that the new signing keys are held.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_possession(&self, chain: &ChainId) -> Result<(), SignatureError> {
        let record = encode(&(self.agency, &self.keys));
        self.possession.verify(
            chain,
            &[ROTATE, &record],
            self.keys.validator.as_ref(),
            self.keys.network.as_ref(),
        )
    }
}

/// A validator's vote for a proposal.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GovernanceVote {
    /// Who votes.
    pub agency: AgencyId,
    /// What for.
    pub proposal: Proposal,
    /// By the agency's validator key, over agency and the proposal's identifier.
    pub signature: Signature,
}

impl GovernanceVote {
    /// Signs a vote.
    #[must_use]
    pub fn sign(chain: &ChainId, agency: AgencyId, proposal: Proposal, key: &SecretKey) -> Self {
        let id = proposal.id();
        let parts: [&[u8]; 2] = [&agency.0.to_le_bytes(), id.as_bytes()];
        Self {
            signature: key.sign(domain::SIGN_GOVERNANCE, chain, &parts),
            agency,
            proposal,
        }
    }

    /// Verifies the signature under the agency's validator key.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_signature(&self, chain: &ChainId, key: &PublicKey) -> Result<(), SignatureError> {
        let id = self.proposal.id();
        let parts: [&[u8]; 2] = [&self.agency.0.to_le_bytes(), id.as_bytes()];
        key.verify(domain::SIGN_GOVERNANCE, chain, &parts, &self.signature)
    }
}

fn encode<T: BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("encoding into memory")
}
