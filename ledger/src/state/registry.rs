//! Keys of the registry tree (spec: `ledger/spec/state.md`, "Registry").

use zkbureau_circuits::encoding::{Digest32, hash_parts};
use zkbureau_params::domain;

use super::governance::Party;
use crate::ids::{AgencyId, AnchorId, AuditId, Height, ProposalId};

/// What stands in the registry tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegistryKey {
    /// The [`Consortium`](crate::genesis::Consortium) in force.
    Consortium,
    /// The schema in force.
    Schema,
    /// The [`Columns`](super::Columns) of all agencies.
    Columns,
    /// An [`AnchorState`](super::AnchorState).
    Anchor(AnchorId),
    /// An [`AuditState`](super::AuditState).
    Audit(AuditId),
    /// The [`OpenProposals`](super::OpenProposals).
    OpenProposals,
    /// A [`ProposalState`](super::ProposalState).
    Proposal(ProposalId),
    /// The [`PartyState`](super::PartyState) of somebody with an identifier.
    Party(Party),
    /// The [`KeyUse`](super::KeyUse) of a public key, whatever its kind.
    Key([u8; 32]),
    /// The [`EvidenceState`](super::EvidenceState) of an agency's double vote at a height.
    Evidence(AgencyId, Height),
    /// A [`CardState`](super::CardState), by the card's content hash.
    Card(Digest32),
    /// A [`NamedCard`](super::NamedCard), by the [hash of the name](super::card_name_hash).
    CardName(Digest32),
    /// The [`AgencyCards`](super::AgencyCards) of an agency.
    AgencyCards(AgencyId),
}

impl RegistryKey {
    /// Where the value stands in the tree: the hash of its name and, if there are many, its
    /// identifier.
    #[must_use]
    pub fn path(&self) -> Digest32 {
        let path = |name: &str, id: &[u8]| hash_parts(domain::REGISTRY_KEY, &[name.as_bytes(), id]);
        let single = |name: &str| hash_parts(domain::REGISTRY_KEY, &[name.as_bytes()]);
        match self {
            Self::Consortium => single("consortium"),
            Self::Schema => single("schema"),
            Self::Columns => single("columns"),
            Self::OpenProposals => single("open-proposals"),
            Self::Anchor(id) => path("anchor", id.as_bytes()),
            Self::Audit(id) => path("audit", id.as_bytes()),
            Self::Proposal(id) => path("proposal", id.as_bytes()),
            Self::Party(party) => {
                let (name, id) = match party {
                    Party::Agency(id) => ("agency", id.0),
                    Party::Issuer(id) => ("issuer", id.0),
                    Party::Auditor(id) => ("auditor", id.0),
                    Party::Observer => ("observer", 0),
                };
                path(name, &id.to_le_bytes())
            }
            Self::Key(key) => path("key", key),
            Self::Card(hash) => path("card", hash),
            Self::CardName(hash) => path("card-name", hash),
            Self::AgencyCards(agency) => path("agency-cards", &agency.0.to_le_bytes()),
            Self::Evidence(agency, height) => {
                let mut id = [0; 12];
                id[..4].copy_from_slice(&agency.0.to_le_bytes());
                id[4..].copy_from_slice(&height.0.to_le_bytes());
                path("evidence", &id)
            }
        }
    }
}
