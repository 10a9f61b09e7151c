//! A chain that is trusted through its genesis file: what follows from it, and what the nodes have
//! proven of it since.
//!
//! The genesis file names the first validators. Every change of them is announced by a header that
//! the validators before have signed, so whoever is given the changes can follow them
//! ([`Chain::follow`]); nobody needs to be believed. A header is then verified under the validators
//! of its own height, and state under the consortium of its own height.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use borsh::{BorshDeserialize, BorshSerialize};
use zkbureau_circuits::commitment::CommitmentKey;
use zkbureau_circuits::encoding::Digest32;
use zkbureau_circuits::schema::Schema;
use zkbureau_circuits::scorecard::{KeyError, VerifyingKey};
use zkbureau_ledger::block::SignedHeader;
use zkbureau_ledger::genesis::{Consortium, Genesis, GenesisError};
use zkbureau_ledger::ids::{ChainId, Height};
use zkbureau_ledger::light::{LightClient, LightError, TrustedHeader, ValidatorChange};

/// What a client knows of a chain: identifier, schema, commitment bases, validators.
pub struct Chain {
    genesis: Genesis,
    id: ChainId,
    /// Those of the genesis file.
    first: Arc<Rules>,
    known: RwLock<Known>,
}

/// A schema and the bases of the commitments that are made under it.
pub struct Rules {
    /// What a record holds.
    pub schema: Schema,
    /// The bases of commitments.
    pub key: CommitmentKey,
    digest: Digest32,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rules(version {})", self.schema.version())
    }
}

impl Rules {
    fn new(schema: Schema) -> Self {
        Self {
            key: CommitmentKey::new(&schema),
            digest: schema.digest(),
            schema,
        }
    }
}

/// What a client has learnt of a chain since genesis, for its next session.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Learnt {
    /// Schemas that came after that of the genesis file, oldest first.
    pub schemas: Vec<Schema>,
    /// Changes of validators, oldest first.
    pub changes: Vec<ValidatorChange>,
    /// The newest consortium that was proven, and at which height; none before any was.
    pub consortium: Option<(Height, Consortium)>,
}

/// What has been proven since genesis. It only grows, and never depends on whom it came from.
struct Known {
    light: LightClient,
    changes: Vec<ValidatorChange>,
    /// The newest header that was verified.
    newest: Option<TrustedHeader>,
    /// The newest consortium that was proven, and where.
    consortium: (Height, Consortium),
    /// Every schema that was proven, oldest first; that of the genesis file is the first.
    rules: Vec<Arc<Rules>>,
    /// The verifying key for scores that was used last.
    score_key: Option<Arc<VerifyingKey>>,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({}, {})", self.genesis.name, self.id)
    }
}

impl Chain {
    /// Trusts a genesis file.
    ///
    /// # Errors
    /// [`GenesisError`] when the file contradicts itself.
    pub fn from_genesis(genesis: Genesis) -> Result<Self, GenesisError> {
        let first = Arc::new(Rules::new(genesis.schema.clone()));
        let known = Known {
            rules: vec![Arc::clone(&first)],
            light: LightClient::from_genesis(&genesis)?,
            changes: Vec::new(),
            score_key: None,
            newest: None,
            consortium: (Height::GENESIS, genesis.consortium()),
        };
        Ok(Self {
            id: genesis.chain_id(),
            first,
            known: RwLock::new(known),
            genesis,
        })
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        // Every change to it is whole, so a panic elsewhere leaves nothing half done.
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The genesis file.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The chain's identifier.
    #[must_use]
    pub fn id(&self) -> ChainId {
        self.id
    }

    /// The schema of the genesis file. Later ones only append attributes.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.first.schema
    }

    /// The bases of commitments under the schema of the genesis file.
    #[must_use]
    pub fn key(&self) -> &CommitmentKey {
        &self.first.key
    }

    /// The newest schema that was proven: new facts are written for it.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        let known = self.known();
        Arc::clone(known.rules.last().unwrap_or(&self.first))
    }

    /// The schema with this digest, if it was proven.
    #[must_use]
    pub fn rules_of(&self, digest: &Digest32) -> Option<Arc<Rules>> {
        let known = self.known();
        known.rules.iter().find(|r| r.digest == *digest).cloned()
    }

    /// A verifying key for scores, from its file. What its hash must be comes from the ledger; reading
    /// one takes a while, so the last one is kept.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn score_key(&self, hash: &Digest32, file: &[u8]) -> Result<Arc<VerifyingKey>, KeyError> {
        // The file names the key: it hashes to the hash, whoever sent it.
        if VerifyingKey::content_hash(file) != Some(*hash) {
            return Err(KeyError::Hash);
        }
        if let Some(key) = self.known().score_key.as_ref().filter(|k| k.hash() == hash) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(VerifyingKey::from_bytes(file, hash)?);
        self.known_mut().score_key = Some(Arc::clone(&key));
        Ok(key)
    }

    /// Every schema that was proven, newest first.
    #[must_use]
    pub fn all_rules(&self) -> Vec<Arc<Rules>> {
        self.known().rules.iter().rev().cloned().collect()
    }

    /// Notes a proven schema.
    pub(crate) fn saw_schema(&self, schema: Schema) {
        let mut known = self.known_mut();
        let version = schema.version();
        if known.rules.iter().all(|r| r.schema.version() != version) {
            known.rules.push(Arc::new(Rules::new(schema)));
            known.rules.sort_by_key(|r| r.schema.version());
        }
    }

    /// Verifies a header under the validators of its height, as far as they have been followed.
    ///
    /// # Errors
    /// [`LightError`]; `Certificate(Validators)` when a change of validators is not known here yet,
    /// or the header was made up.
    pub fn verify_header(&self, signed: &SignedHeader) -> Result<TrustedHeader, LightError> {
        self.known().light.verify_header(signed)
    }

    /// Follows a change of validators. One that is known already is checked and changes nothing.
    ///
    /// # Errors
    /// [`LightError`] when it is not proven; what is known stays as it is.
    pub fn follow(&self, change: &ValidatorChange) -> Result<(), LightError> {
        let mut known = self.known_mut();
        let header = &change.signed.header;
        if header.height < known.light.reached() {
            known.light.verify_header(&change.signed)?;
            return Ok(());
        }
        // Nothing changes: whoever sends such headers as changes only wants them to be kept.
        if header.next_validators_hash == header.validators_hash {
            return Err(LightError::NextValidators);
        }
        known.light.advance(&change.signed, &change.next)?;
        known.changes.push(change.clone());
        Ok(())
    }

    /// The height from which on the newest known validators sign.
    #[must_use]
    pub fn reached(&self) -> Height {
        self.known().light.reached()
    }

    /// Every change of validators that was followed, oldest first. They prove themselves from the
    /// genesis file, so a copy may be kept anywhere.
    #[must_use]
    pub fn changes(&self) -> Vec<ValidatorChange> {
        self.known().changes.clone()
    }

    /// The newest header that was verified here.
    #[must_use]
    pub fn newest(&self) -> Option<TrustedHeader> {
        self.known().newest.clone()
    }

    /// Notes a verified header as the newest, if it is.
    pub(crate) fn saw(&self, header: &TrustedHeader) {
        let mut known = self.known_mut();
        if (known.newest.as_ref()).is_none_or(|newest| newest.height() < header.height()) {
            known.newest = Some(header.clone());
        }
    }

    /// Who takes part, as last proven; that of the genesis file before anything was.
    #[must_use]
    pub fn consortium(&self) -> Consortium {
        self.known().consortium.1.clone()
    }

    /// The same, and the height at which it was proven.
    #[must_use]
    pub fn newest_consortium(&self) -> (Height, Consortium) {
        self.known().consortium.clone()
    }

    /// What was learnt, to be kept.
    #[must_use]
    pub fn learnt(&self) -> Learnt {
        let known = self.known();
        Learnt {
            schemas: (known.rules.iter().skip(1))
                .map(|r| r.schema.clone())
                .collect(),
            changes: known.changes.clone(),
            consortium: Some(known.consortium.clone()).filter(|(at, _)| *at > Height::GENESIS),
        }
    }

    /// Takes up what was learnt before. Changes of validators are verified again; consortium and
    /// schemas are believed, so they must come from where nobody else can write.
    ///
    /// # Errors
    /// [`LightError`].
    pub fn take_up(&self, learnt: &Learnt) -> Result<(), LightError> {
        for change in &learnt.changes {
            self.follow(change)?;
        }
        for schema in &learnt.schemas {
            self.saw_schema(schema.clone());
        }
        if let Some((at, consortium)) = &learnt.consortium {
            self.saw_consortium(*at, consortium);
        }
        Ok(())
    }

    /// Notes a proven consortium, if it is newer.
    pub(crate) fn saw_consortium(&self, at: Height, consortium: &Consortium) {
        let mut known = self.known_mut();
        if known.consortium.0 < at {
            known.consortium = (at, consortium.clone());
        }
    }
}
