//! A chain that is trusted through its genesis file, and state proven under one of its headers.

use std::fmt;

use zkbureau_circuits::commitment::CommitmentKey;
use zkbureau_circuits::schema::Schema;
use zkbureau_ledger::genesis::{Genesis, GenesisError};
use zkbureau_ledger::ids::ChainId;
use zkbureau_ledger::light::LightClient;

/// What a client knows from the genesis file: identifier, schema, commitment bases, validators.
pub struct Chain {
    genesis: Genesis,
    id: ChainId,
    light: LightClient,
    key: CommitmentKey,
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
        let light = LightClient::from_genesis(&genesis)?;
        Ok(Self::with_light_client(genesis, light))
    }

    /// Trusts a light client that has followed the chain from this genesis file.
    #[must_use]
    pub fn with_light_client(genesis: Genesis, light: LightClient) -> Self {
        Self {
            id: genesis.chain_id(),
            key: CommitmentKey::new(&genesis.schema),
            light,
            genesis,
        }
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

    /// The schema that facts are written for.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.genesis.schema
    }

    /// The bases of commitments.
    #[must_use]
    pub fn key(&self) -> &CommitmentKey {
        &self.key
    }

    /// Verifies headers.
    #[must_use]
    pub fn light(&self) -> &LightClient {
        &self.light
    }
}
