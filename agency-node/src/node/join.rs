//! A new node gets the ledger's state from several others instead of replaying all blocks.
//!
//! # Correctness
//! Nothing of what the others send is believed: the header is certified by the validators that follow from
//! the genesis file, and the rebuilt state must have its root. A peer that sends something else only costs time
//! and room. Neither can be checked before the end, so a state is fetched only if peers with more than a third of the
//! power name the same one: at least one of them is honest.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt};
use zkbureau_circuits::encoding::{Digest32, Document, hash_parts};
use zkbureau_ledger::block::ValidatorSet;
use zkbureau_ledger::genesis::Genesis;
use zkbureau_ledger::ids::{AgencyId, Height};
use zkbureau_ledger::ledger::Manifest;
use zkbureau_ledger::{Ledger, RocksStore};

use super::ask::decode;
use super::snapshots::{GRID, SnapshotAsk};
use crate::network::{AskKind, NetworkHandle};

/// A node without blocks takes a snapshot when the others have at least so many.
pub const FAR: u64 = 50;
/// How long the others may take to say how far they are.
const TIP_PATIENCE: Duration = Duration::from_secs(5);
/// How long one answer may take.
const DEADLINE: Duration = Duration::from_secs(20);
/// How long the others may take to write a snapshot.
const MAKING: Duration = Duration::from_secs(600);
/// Between two questions whether it is written.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a chunk is asked for, of one peer after the other.
const TRIES: usize = 12;

/// A node that joins.
pub struct Joiner {
    network: NetworkHandle,
    genesis: Genesis,
    peers: Vec<AgencyId>,
}

/// Why there is no snapshot. The node goes on by replaying blocks.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Nobody has one.
    #[error("no other node gave a snapshot of height {0}")]
    Nobody(Height),
    /// What was given is not the ledger's state.
    #[error("no snapshot that was given is right: {0}")]
    Wrong(String),
}

impl Joiner {
    /// Joins through the genesis file's agencies, and those that the operator has configured: they may have
    /// come later.
    #[must_use]
    pub fn new(
        network: NetworkHandle,
        genesis: Genesis,
        own: AgencyId,
        configured: impl IntoIterator<Item = AgencyId>,
    ) -> Self {
        let peers: BTreeSet<AgencyId> = genesis
            .agencies
            .iter()
            .map(|agency| agency.id)
            .chain(configured)
            .filter(|id| *id != own)
            .collect();
        let peers = peers.into_iter().collect();
        Self {
            network,
            genesis,
            peers,
        }
    }

    async fn ask(&self, peer: AgencyId, ask: SnapshotAsk, deadline: Duration) -> Option<Vec<u8>> {
        let body = borsh::to_vec(&ask).expect("encoding into memory");
        let network = &self.network;
        let reply = network
            .request(peer, AskKind::Snapshot, body, deadline)
            .await
            .ok()?;
        decode(peer, reply).ok()
    }

    /// The height to take a snapshot of, if the others are far ahead.
    pub async fn target(&self) -> Option<Height> {
        let mut asks: FuturesUnordered<_> = self
            .peers
            .iter()
            .map(|peer| async {
                let tip = self.ask(*peer, SnapshotAsk::Tip, TIP_PATIENCE).await?;
                let tip = u64::from_le_bytes(tip.try_into().ok()?);
                Some((*peer, Height(tip)))
            })
            .collect();
        let validators = self.genesis.validator_set();
        let mut tips = BTreeMap::new();
        while let Some(answer) = asks.next().await {
            tips.extend(answer);
            if let Some(height) = common(&tips, &validators) {
                // More than a third has it; or more than a third has not, and a young chain's blocks
                // are replayed.
                return (height.0 >= FAR).then(|| Height(height.0 - height.0 % GRID));
            }
        }
        None
    }

    /// Fetches the snapshot of a height into an empty folder and verifies it.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn fetch(&self, height: Height, folder: &Path) -> Result<(), JoinError> {
        let manifests = self.manifests(height).await;
        if manifests.is_empty() {
            return Err(JoinError::Nobody(height));
        }
        let mut last = String::new();
        for (peer, manifest) in &manifests {
            // The first chunks are this peer's own; all have the others.
            let mut holders = vec![*peer];
            holders.extend(manifests.keys().filter(|other| *other != peer));
            let store = match RocksStore::open(folder) {
                Ok(store) => store,
                Err(error) => return Err(JoinError::Wrong(error.to_string())),
            };
            let source = |number: u32| {
                let chunk = self.chunk(manifest, &holders, number);
                tokio::runtime::Handle::current().block_on(chunk)
            };
            let imported = tokio::task::block_in_place(|| {
                Ledger::import_snapshot(store, &self.genesis, manifest, source).map(drop)
            });
            match imported {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::warn!(%peer, %error, "a snapshot was refused");
                    last = error.to_string();
                }
            }
        }
        Err(JoinError::Wrong(last))
    }

    /// The manifests of those who name the state that more than a third of the power names, as soon as they
    /// have written it.
    async fn manifests(&self, height: Height) -> BTreeMap<AgencyId, Manifest> {
        let start = Instant::now();
        let validators = self.genesis.validator_set();
        let mut found: BTreeMap<AgencyId, (Digest32, Manifest)> = BTreeMap::new();
        let mut agreed = None;
        while start.elapsed() < MAKING {
            let missing = self.peers.iter().filter(|peer| !found.contains_key(peer));
            let asks = missing.map(|peer| async {
                let ask = SnapshotAsk::Manifest(height);
                let bytes = self.ask(*peer, ask, TIP_PATIENCE).await?;
                let manifest = Manifest::from_bytes(&bytes).ok()?;
                let state = state_of(&manifest);
                (manifest.height() == height).then_some((*peer, (state, manifest)))
            });
            let more: Vec<_> = join_all(asks).await.into_iter().flatten().collect();
            let enough = agreed.is_some();
            found.extend(more);
            let named: BTreeMap<_, _> = found.iter().map(|(p, (state, _))| (*p, *state)).collect();
            agreed = common_state(&named, &validators);
            // One more round for the slower ones.
            if enough || found.len() == self.peers.len() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        found
            .into_iter()
            .filter(|(_, (state, _))| Some(*state) == agreed)
            .map(|(peer, (_, manifest))| (peer, manifest))
            .collect()
    }

    /// A chunk, from whoever has the right one.
    async fn chunk(
        &self,
        manifest: &Manifest,
        holders: &[AgencyId],
        number: u32,
    ) -> io::Result<Vec<u8>> {
        let ask = SnapshotAsk::Chunk(manifest.height(), number);
        let own = number < manifest.trust_chunks;
        let first = if own { 0 } else { number as usize };
        for attempt in 0..TRIES {
            let peer = holders[(first + attempt) % holders.len()];
            match self.ask(peer, ask, DEADLINE).await {
                Some(bytes) if manifest.is_chunk(number, &bytes) => return Ok(bytes),
                Some(_) => tracing::debug!(%peer, number, "another chunk than the manifest's"),
                None => tokio::time::sleep(PAUSE).await,
            }
        }
        Err(io::Error::other(format!("nobody gives chunk {number}")))
    }
}

/// What a manifest says of the state, without the certificates, which differ.
fn state_of(manifest: &Manifest) -> Digest32 {
    let own = manifest.trust_chunks as usize;
    let chunks = manifest.chunks.get(own..).unwrap_or_default();
    let header = manifest.signed.header.hash();
    hash_parts(
        "zkbureau/join-state/v1",
        &[&header, &manifest.roots.state_root(), &chunks.concat()],
    )
}

/// The state that more than a third of the power names, and none names with more.
fn common_state(
    named: &BTreeMap<AgencyId, Digest32>,
    validators: &ValidatorSet,
) -> Option<Digest32> {
    let mut powers: BTreeMap<Digest32, u128> = BTreeMap::new();
    for (agency, state) in named {
        let power = validators.get(*agency).map_or(0, |v| u128::from(v.power));
        *powers.entry(*state).or_default() += power;
    }
    let (state, power) = powers.into_iter().max_by_key(|(_, power)| *power)?;
    (3 * power > validators.total_power()).then_some(state)
}

/// The greatest height that more than a third of the power has: at least one of them is honest.
fn common(tips: &BTreeMap<AgencyId, Height>, validators: &ValidatorSet) -> Option<Height> {
    let mut heights: Vec<(Height, u128)> = tips
        .iter()
        .filter_map(|(agency, height)| Some((*height, u128::from(validators.get(*agency)?.power))))
        .collect();
    heights.sort_by_key(|(height, _)| std::cmp::Reverse(*height));
    let mut sum = 0;
    heights.into_iter().find_map(|(height, power)| {
        sum += power;
        (3 * sum > validators.total_power()).then_some(height)
    })
}

#[cfg(test)]
mod tests {
    use rand_core::OsRng;
    use zkbureau_ledger::block::Validator;
    use zkbureau_ledger::keys::SecretKey;

    use super::*;

    fn four() -> ValidatorSet {
        let validator = |n| Validator {
            agency: AgencyId(n),
            key: SecretKey::random(&mut OsRng).public(),
            power: 1,
        };
        ValidatorSet::new((1..=4).map(validator).collect())
    }

    #[test]
    fn one_of_four_does_not_say_what_the_state_is() {
        let four = four();
        let common = |named: &[(u32, u8)]| {
            let named = named
                .iter()
                .map(|(id, state)| (AgencyId(*id), [*state; 32]));
            common_state(&named.collect(), &four)
        };
        assert_eq!(common(&[]), None);
        assert_eq!(common(&[(1, 9)]), None, "whoever answers first");
        assert_eq!(common(&[(1, 9), (2, 1)]), None);
        assert_eq!(common(&[(1, 9), (2, 1), (3, 1)]), Some([1; 32]));
        assert_eq!(common(&[(7, 9), (8, 9), (9, 9)]), None, "no validators");
    }

    #[test]
    fn one_of_four_does_not_say_how_far_the_chain_is() {
        let four = four();
        let tips = |heights: &[(u32, u64)]| {
            let tips = heights.iter().map(|(id, h)| (AgencyId(*id), Height(*h)));
            common(&tips.collect(), &four)
        };
        assert_eq!(tips(&[(1, 9_999)]), None);
        assert_eq!(tips(&[(1, 9_999), (2, 100)]), Some(Height(100)));
        assert_eq!(tips(&[(1, 9_999), (2, 100), (3, 99)]), Some(Height(100)));
        assert_eq!(tips(&[(9, 9_999), (2, 100)]), None, "no validator");
    }
}
