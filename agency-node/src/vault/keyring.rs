//! The keys that an agency uses, and those that it has besides: proposed ones that wait for the ledger, and
//! replaced ones.
//!
//! # Correctness
//! The ledger decides which keys are used. A new set is durable here before it is proposed, and no set is
//! forgotten while the ledger may still name one of its keys, so the agency can always be what the ledger says.

use std::sync::Arc;

use rand_core::{CryptoRng, RngCore};
use rocksdb::WriteBatch;
use zeroize::Zeroizing;
use zkbureau_ledger::genesis;

use super::error::VaultError;
use super::key::{AgencyKeys, KeyKind};
use super::store::{Vault, family};

/// Where the other sets stand.
pub(super) const SPARE_KEY: &[u8] = b"spare-keys";
/// Where the set in use stands.
pub(super) const KEYS_KEY: &[u8] = b"keys";
/// Most sets that are kept besides the one in use.
const MAX_SPARE: usize = 16;

/// All sets of keys.
pub(super) struct Keyring {
    /// The one in use.
    pub(super) active: Arc<AgencyKeys>,
    /// The others, the newest last.
    pub(super) spare: Vec<Arc<AgencyKeys>>,
}

/// What [`Vault::follow_keys`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The keys in use are the ledger's.
    Same,
    /// The ledger has named others of this vault's keys, which are used from now on.
    Changed,
    /// The vault does not have the ledger's key of this kind.
    Missing(KeyKind),
}

impl Keyring {
    pub(super) fn decode(active: &[u8], spare: Option<&[u8]>) -> Option<Self> {
        let spare = match spare {
            None => Vec::new(),
            Some(bytes) => bytes
                .chunks(AgencyKeys::BYTES)
                .map(|set| AgencyKeys::from_secret_bytes(set).map(Arc::new))
                .collect::<Option<_>>()?,
        };
        Some(Self {
            active: Arc::new(AgencyKeys::from_secret_bytes(active)?),
            spare,
        })
    }

    fn spare_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(self.spare.len() * AgencyKeys::BYTES));
        for set in &self.spare {
            out.extend_from_slice(&set.to_secret_bytes());
        }
        out
    }

    /// The set with this public key of a kind.
    fn find(&self, kind: KeyKind, on_ledger: &genesis::Agency) -> Option<&Arc<AgencyKeys>> {
        std::iter::once(&self.active)
            .chain(self.spare.iter().rev())
            .find(|set| set.is(kind, on_ledger))
    }
}

impl Vault {
    /// The agency's secret keys that are in use.
    #[must_use]
    pub fn keys(&self) -> Arc<AgencyKeys> {
        self.keyring().active.clone()
    }

    /// Every set of keys, the one in use first: an ask may still be sealed to a replaced key.
    #[must_use]
    pub fn all_keys(&self) -> Vec<Arc<AgencyKeys>> {
        let ring = self.keyring();
        let mut all = vec![ring.active.clone()];
        all.extend(ring.spare.iter().rev().cloned());
        all
    }

    /// Draws new keys of some kinds, durable before they are shown to anybody. They are used when the
    /// ledger names them.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn new_keys<R: RngCore + CryptoRng>(
        &self,
        kinds: &[KeyKind],
        rng: &mut R,
    ) -> Result<Arc<AgencyKeys>, VaultError> {
        let mut ring = self.keyring();
        let set = Arc::new(ring.active.with_new(kinds, rng));
        let mut spare = ring.spare.clone();
        spare.push(set.clone());
        if spare.len() > MAX_SPARE {
            spare.remove(0);
        }
        let changed = Keyring {
            active: ring.active.clone(),
            spare,
        };
        self.write_keyring(&changed)?;
        *ring = changed;
        Ok(set)
    }

    /// Uses the keys that the ledger names.
    ///
    /// # Errors
    /// [`VaultError`]; nothing has changed then.
    pub fn follow_keys(&self, on_ledger: &genesis::Agency) -> Result<Followed, VaultError> {
        let mut ring = self.keyring();
        if KeyKind::ALL.iter().all(|k| ring.active.is(*k, on_ledger)) {
            return Ok(Followed::Same);
        }
        let mut chosen = Vec::new();
        for kind in KeyKind::ALL {
            match ring.find(kind, on_ledger) {
                Some(set) => chosen.push((kind, set.clone())),
                None => return Ok(Followed::Missing(kind)),
            }
        }
        let active = Arc::new(AgencyKeys::assemble(&chosen));
        let mut spare = ring.spare.clone();
        spare.push(ring.active.clone());
        if spare.len() > MAX_SPARE {
            spare.remove(0);
        }
        let changed = Keyring { active, spare };
        self.write_keyring(&changed)?;
        *ring = changed;
        Ok(Followed::Changed)
    }

    fn write_keyring(&self, ring: &Keyring) -> Result<(), VaultError> {
        let mut batch = WriteBatch::default();
        for (key, plain) in [
            (KEYS_KEY, ring.active.to_secret_bytes()),
            (SPARE_KEY, ring.spare_bytes()),
        ] {
            let sealed = self.cipher.seal(family::META, key, &plain);
            self.put_sealed(&mut batch, family::META, key, &sealed);
        }
        self.write_synced(batch)
    }
}
