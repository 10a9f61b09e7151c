//! The light client: from the genesis file to a verified value, with nothing on disk
//! (spec: `ledger/spec/blocks.md`, "Light client").
//!
//! ```text
//! genesis file → validators → SignedHeader → TrustedHeader → Roots → TrustedRoots → value, leaf
//! ```
//!
//! Each step is a type that only the step before it can make, so a value cannot be read from bytes
//! that nobody has verified.

mod follow;

use thiserror::Error;
use zkbureau_circuits::directory::Index;
use zkbureau_circuits::encoding::{Digest32, Document};
use zkbureau_circuits::error::DecodeError;
use zkbureau_circuits::schema::Schema;

pub use follow::{Checkpoint, FollowError, MAX_CHANGES_LISTED, ValidatorChange, ValidatorChanges};

use crate::block::{CertificateError, Header, SignedHeader, ValidatorSet};
use crate::genesis::{Consortium, Genesis, GenesisError};
use crate::ids::{AgencyId, AnchorId, AuditId, ChainId, Height, ProposalId, TimeMs};
use crate::schema_document::SchemaDocument;
use crate::state::{
    AgencyCards, AnchorState, AuditState, CardState, Columns, EvidenceState, Leaf, LeafProof,
    NamedCard, OpenProposals, ProposalState, RegistryKey, RegistryProof, Roots, card_name_hash,
};

/// A header or a proof was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LightError {
    /// The header belongs to another chain.
    #[error("the header belongs to chain {got}, not {expected}")]
    Chain {
        /// The trusted chain.
        expected: ChainId,
        /// The header's chain.
        got: ChainId,
    },
    /// There is no header at height 0.
    #[error("there is no header at height 0")]
    Genesis,
    /// The header's time is not after the chain's start.
    #[error("the header's time is not after the chain's start")]
    Time,
    /// The certificate does not make the header final.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The header does not announce these validators.
    #[error("the header announces other validators")]
    NextValidators,
    /// The header is before the validators that the client can use for it: a change of validators
    /// must be followed from the height the client has reached, and a client that started at a
    /// checkpoint knows nothing of what was before.
    #[error("the client follows validators up to height {reached}; the header is at {got}")]
    Behind {
        /// Height from which on the client's validators sign.
        reached: Height,
        /// Height of the header.
        got: Height,
    },
    /// The roots do not hash to the header's state root.
    #[error("the roots do not belong to the header")]
    Roots,
    /// The agency has no tree under this header.
    #[error("{0} has no records on the ledger")]
    UnknownAgency(AgencyId),
    /// A proof does not lead to the root.
    #[error("the proof of {0} does not verify")]
    Proof(&'static str),
    /// The value that a proof should show is absent.
    #[error("{0} is missing from the state")]
    Absent(&'static str),
    /// A proven value does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Validators with the height from which on they sign.
#[derive(Clone, Debug)]
struct Era {
    from: Height,
    validators: ValidatorSet,
}

/// Verifies headers of one chain, starting from its genesis file.
#[derive(Clone, Debug)]
pub struct LightClient {
    chain: ChainId,
    start: TimeMs,
    /// By ascending height; never empty.
    eras: Vec<Era>,
}

impl LightClient {
    /// A client that trusts a genesis file.
    ///
    /// # Errors
    /// [`GenesisError`] when the file breaks a rule.
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, GenesisError> {
        genesis.validate()?;
        Ok(Self {
            chain: genesis.chain_id(),
            start: genesis.time_ms,
            eras: vec![Era {
                from: Height(1),
                validators: genesis.validator_set(),
            }],
        })
    }

    /// The chain.
    #[must_use]
    pub fn chain_id(&self) -> &ChainId {
        &self.chain
    }

    /// Verifies a header's certificate.
    ///
    /// # Errors
    /// [`LightError`] says what does not hold.
    pub fn verify_header(&self, signed: &SignedHeader) -> Result<TrustedHeader, LightError> {
        let header = &signed.header;
        if header.chain_id != self.chain {
            return Err(LightError::Chain {
                expected: self.chain,
                got: header.chain_id,
            });
        }
        if header.time_ms <= self.start || header.time_ms > TimeMs::MAX {
            return Err(LightError::Time);
        }
        let era = self
            .eras
            .iter()
            .rev()
            .find(|era| era.from <= header.height)
            .ok_or_else(|| self.before_start(header.height))?;
        signed.certificate.verify(header, &era.validators)?;
        Ok(TrustedHeader {
            hash: header.hash(),
            header: *header,
        })
    }

    /// Why a height below the first known validators' is refused.
    fn before_start(&self, got: Height) -> LightError {
        if got == Height::GENESIS {
            return LightError::Genesis;
        }
        let reached = self.eras.first().map_or(Height(1), |era| era.from);
        LightError::Behind { reached, got }
    }

    fn last_era(&self) -> &Era {
        self.eras
            .last()
            .unwrap_or_else(|| unreachable!("a client starts with validators"))
    }

    /// Follows a change of validators: `signed` is the last header of the old ones and announces
    /// `next`. Headers after it are then verified under `next`.
    ///
    /// # Errors
    /// [`LightError`] says what does not hold; the client is then unchanged.
    pub fn advance(
        &mut self,
        signed: &SignedHeader,
        next: &ValidatorSet,
    ) -> Result<TrustedHeader, LightError> {
        let reached = self.reached();
        if signed.header.height < reached {
            return Err(LightError::Behind {
                reached,
                got: signed.header.height,
            });
        }
        let trusted = self.verify_header(signed)?;
        if trusted.header.next_validators_hash != next.hash() {
            return Err(LightError::NextValidators);
        }
        if trusted.header.next_validators_hash != trusted.header.validators_hash {
            self.eras.push(Era {
                from: trusted.header.height.next(),
                validators: next.clone(),
            });
        }
        Ok(trusted)
    }
}

/// A header that a quorum of the chain's validators signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedHeader {
    header: Header,
    hash: Digest32,
}

impl TrustedHeader {
    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> Digest32 {
        self.hash
    }

    /// Its height.
    #[must_use]
    pub fn height(&self) -> Height {
        self.header.height
    }

    /// Its time.
    #[must_use]
    pub fn time_ms(&self) -> TimeMs {
        self.header.time_ms
    }

    /// How old the header is, in milliseconds; 0 if it is from the future.
    #[must_use]
    pub fn age_ms(&self, now: TimeMs) -> u64 {
        now.0.saturating_sub(self.header.time_ms.0)
    }

    /// Accepts the roots under the header's state root.
    ///
    /// # Errors
    /// [`LightError::Roots`] when they are others.
    pub fn roots(&self, roots: &Roots) -> Result<TrustedRoots, LightError> {
        if roots.state_root() != self.header.state_root {
            return Err(LightError::Roots);
        }
        Ok(TrustedRoots {
            header: self.clone(),
            roots: roots.clone(),
        })
    }
}

/// Roots that a trusted header commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedRoots {
    header: TrustedHeader,
    roots: Roots,
}

impl TrustedRoots {
    /// The header that commits to the roots.
    #[must_use]
    pub fn header(&self) -> &TrustedHeader {
        &self.header
    }

    /// The header's height.
    #[must_use]
    pub fn height(&self) -> Height {
        self.header.height()
    }

    /// The header's time.
    #[must_use]
    pub fn time_ms(&self) -> TimeMs {
        self.header.time_ms()
    }

    /// Who takes part.
    ///
    /// # Errors
    /// [`LightError`] when the proof does not show it.
    pub fn consortium(&self, proof: &RegistryProof) -> Result<Consortium, LightError> {
        self.required("the consortium", RegistryKey::Consortium, proof)
    }

    /// The schema in force.
    ///
    /// # Errors
    /// [`LightError`] when the proof does not show it.
    pub fn schema(&self, proof: &RegistryProof) -> Result<Schema, LightError> {
        let document: SchemaDocument = self.required("the schema", RegistryKey::Schema, proof)?;
        Ok(document.0)
    }

    /// The columns of all agencies.
    ///
    /// # Errors
    /// [`LightError`] when the proof does not show them.
    pub fn columns(&self, proof: &RegistryProof) -> Result<Columns, LightError> {
        self.required("the columns", RegistryKey::Columns, proof)
    }

    /// An anchor; none if the proof shows that there is none.
    ///
    /// # Errors
    /// [`LightError`] when the proof shows neither.
    pub fn anchor(
        &self,
        id: AnchorId,
        proof: &RegistryProof,
    ) -> Result<Option<AnchorState>, LightError> {
        self.optional("the anchor", RegistryKey::Anchor(id), proof)
    }

    /// An audit request; none if the proof shows that there is none.
    ///
    /// # Errors
    /// [`LightError`] when the proof shows neither.
    pub fn audit(
        &self,
        id: AuditId,
        proof: &RegistryProof,
    ) -> Result<Option<AuditState>, LightError> {
        self.optional("the audit request", RegistryKey::Audit(id), proof)
    }

    /// A proposal with its votes; none if the proof shows that there is none.
    ///
    /// # Errors
    /// [`LightError`] when the proof shows neither.
    pub fn proposal(
        &self,
        id: ProposalId,
        proof: &RegistryProof,
    ) -> Result<Option<ProposalState>, LightError> {
        self.optional("the proposal", RegistryKey::Proposal(id), proof)
    }

    /// The proposals that are not adopted; some may have expired.
    ///
    /// # Errors
    /// [`LightError`] when the proof shows neither them nor that there are none.
    pub fn open_proposals(&self, proof: &RegistryProof) -> Result<OpenProposals, LightError> {
        let open = self.optional("the open proposals", RegistryKey::OpenProposals, proof)?;
        Ok(open.unwrap_or_default())
    }

    /// Evidence of an agency's double vote at a height; none if the proof shows that there is none.
    ///
    /// # Errors
    /// [`LightError`] when the proof shows neither.
    pub fn evidence(
        &self,
        agency: AgencyId,
        height: Height,
        proof: &RegistryProof,
    ) -> Result<Option<EvidenceState>, LightError> {
        self.optional("the evidence", RegistryKey::Evidence(agency, height), proof)
    }

    /// A card by its content hash; none if the proof shows that there is none.
    ///
    /// # Errors
    /// [`LightError`] when the proof shows neither, or a card with another hash.
    pub fn card(
        &self,
        hash: &Digest32,
        proof: &RegistryProof,
    ) -> Result<Option<CardState>, LightError> {
        let state: Option<CardState> =
            self.optional("the card", RegistryKey::Card(*hash), proof)?;
        // The state machine puts a card under its own hash; a quorum could put another there.
        if state
            .as_ref()
            .is_some_and(|s| s.card.content_hash() != *hash)
        {
            return Err(LightError::Proof("the card"));
        }
        Ok(state)
    }

    /// The content hash of the card that a name stands for; none if the proof shows that there is
    /// none.
    ///
    /// # Errors
    /// [`LightError`] when the proof shows neither.
    pub fn card_named(
        &self,
        name: &str,
        proof: &RegistryProof,
    ) -> Result<Option<Digest32>, LightError> {
        let key = RegistryKey::CardName(card_name_hash(name));
        let named: Option<NamedCard> = self.optional("the card's name", key, proof)?;
        Ok(named.map(|card| card.0))
    }

    /// The cards that an agency has registered, oldest first.
    ///
    /// # Errors
    /// [`LightError`] when the proof shows neither them nor that there are none.
    pub fn agency_cards(
        &self,
        agency: AgencyId,
        proof: &RegistryProof,
    ) -> Result<AgencyCards, LightError> {
        let cards = self.optional(
            "the agency's cards",
            RegistryKey::AgencyCards(agency),
            proof,
        )?;
        Ok(cards.unwrap_or_default())
    }

    /// A subject's leaf at an agency; none if the proof shows that there is none.
    ///
    /// # Errors
    /// [`LightError`] when the proof shows neither.
    pub fn leaf(
        &self,
        agency: AgencyId,
        index: &Index,
        proof: &LeafProof,
    ) -> Result<Option<Leaf>, LightError> {
        let root = self
            .roots
            .agency(agency)
            .ok_or(LightError::UnknownAgency(agency))?;
        match &proof.leaf {
            Some(leaf) => proof
                .path
                .verify_inclusion(root, &index.0, &leaf.to_bytes()),
            None => proof.path.verify_exclusion(root, &index.0),
        }
        .map_err(|_| LightError::Proof("the leaf"))?;
        Ok(proof.leaf)
    }

    fn required<T: Document>(
        &self,
        what: &'static str,
        key: RegistryKey,
        proof: &RegistryProof,
    ) -> Result<T, LightError> {
        self.optional(what, key, proof)?
            .ok_or(LightError::Absent(what))
    }

    fn optional<T: Document>(
        &self,
        what: &'static str,
        key: RegistryKey,
        proof: &RegistryProof,
    ) -> Result<Option<T>, LightError> {
        let root = &self.roots.registry;
        match &proof.value {
            Some(value) => {
                proof
                    .path
                    .verify_inclusion(root, &key.path(), value)
                    .map_err(|_| LightError::Proof(what))?;
                Ok(Some(T::from_bytes(value)?))
            }
            None => {
                proof
                    .path
                    .verify_exclusion(root, &key.path())
                    .map_err(|_| LightError::Proof(what))?;
                Ok(None)
            }
        }
    }
}
