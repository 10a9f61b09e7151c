//! What the handle and the swarm's task share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use libp2p::PeerId;
use rand_core::{OsRng, RngCore};
use tokio::sync::{mpsc, oneshot, watch};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::ids::ChainId;

use super::NetworkKey;
use super::ask::{Ask, ENVELOPE, Reply};
use super::counters::Counters;
use super::handle::{AskKind, Path, PeerStatus, RequestError, Waiting};
use super::limits::Limits;
use super::links::Outbox;
use super::registry::{PeerName, Registry};
use super::routes::Routes;
use super::transactions::Sender;

/// While one path is tried, how often others are looked for.
const LOOK: Duration = Duration::from_millis(200);
/// The first wait when there is no path or the last one failed; it doubles.
const BACKOFF: Duration = Duration::from_millis(50);
/// The longest wait.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// The least time that a path is given before another one is tried.
const LEAST: Duration = Duration::from_secs(2);

/// A request for the swarm's task. The reply is its bytes, nothing when the connection failed.
pub(super) struct AskCommand {
    pub peer: PeerId,
    pub bytes: Bytes,
    pub reply: oneshot::Sender<Bytes>,
}

/// Connections and routes, as the swarm's task last saw them.
#[derive(Clone, Default)]
pub(super) struct View {
    pub links: BTreeMap<PeerId, Outbox>,
    pub routes: Routes,
}

/// What the handle and the swarm's task share.
pub(super) struct Shared {
    pub counters: Arc<Counters>,
    pub key: NetworkKey,
    pub chain: ChainId,
    pub limits: Limits,
    pub registry: watch::Sender<Arc<Registry>>,
    pub view: RwLock<View>,
    pub asks: mpsc::Sender<AskCommand>,
    pub outgoing: Sender<Arc<[u8]>>,
    pub running: watch::Receiver<bool>,
    pub waiting: Mutex<BTreeMap<u64, Waiting>>,
    pub next_waiting: AtomicU64,
    /// What members last said of their heights.
    pub heights: Mutex<BTreeMap<PeerId, u64>>,
}

/// Takes a request off the list of those under way.
struct Listed<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Listed<'_> {
    fn update(&self, change: impl FnOnce(&mut Waiting)) {
        if let Some(entry) = self.shared.list().get_mut(&self.number) {
            change(entry);
        }
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.shared.list().remove(&self.number);
    }
}

impl Shared {
    fn list(&self) -> MutexGuard<'_, BTreeMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self) -> View {
        self.view
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Requests under way.
    pub fn waiting(&self) -> Vec<Waiting> {
        self.list().values().copied().collect()
    }

    /// Replaces the registry.
    pub fn set_registry(&self, registry: Registry) {
        self.registry.send_if_modified(|now| {
            let changed = **now != registry;
            if changed {
                *now = Arc::new(registry);
            }
            changed
        });
    }

    /// Gives a transaction to the swarm's task.
    pub fn broadcast_transaction(&self, bytes: Arc<[u8]>) {
        if !self.outgoing.send(bytes.len(), bytes) {
            self.counters.transactions_dropped.one();
        }
    }

    /// Members and how they are connected.
    pub fn peers(&self) -> Vec<PeerStatus> {
        let view = self.view();
        let registry = self.registry.borrow().clone();
        let me = self.key.peer_id();
        let heights = self
            .heights
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        registry
            .peers()
            .into_iter()
            .filter(|(peer, _)| *peer != me)
            .map(|(peer, name)| {
                let link = view.links.get(&peer);
                let (queued_bytes, dropped_frames) = link.map_or((0, 0), Outbox::load);
                let through = match name {
                    PeerName::Agency(agency) if link.is_none() => {
                        view.routes.carriers(agency, &registry)
                    }
                    _ => Vec::new(),
                };
                PeerStatus {
                    name,
                    peer_id: peer.to_string(),
                    connected: link.is_some(),
                    through,
                    queued_bytes,
                    dropped_frames,
                    height: heights.get(&peer).copied(),
                }
            })
            .collect()
    }

    /// Notes a connected member's height, and forgets those of members that have gone.
    pub fn saw_height(&self, peer: PeerId, height: u64) {
        let members = self.registry.borrow().peers();
        let mut heights = self.heights.lock().unwrap_or_else(PoisonError::into_inner);
        heights.retain(|peer, _| members.contains_key(peer));
        if members.contains_key(&peer) {
            heights.insert(peer, height);
        }
    }

    /// Waits until the network has stopped.
    pub async fn stopped(&self) {
        let mut running = self.running.clone();
        // An error means that the task is gone without saying so: stopped, too.
        let _ = running.wait_for(|running| !running).await;
    }

    /// Paths to an agency, best first, with the neighbour that each begins with.
    fn paths(&self, to: AgencyId) -> Vec<(Path, PeerId)> {
        let view = self.view();
        let registry = self.registry.borrow().clone();
        let linked = |agency| {
            let peer = registry.peer_of(agency)?;
            view.links.contains_key(&peer).then_some(peer)
        };
        let direct = linked(to).map(|peer| (Path::Direct, peer));
        let carriers = view.routes.carriers(to, &registry);
        let through = carriers
            .into_iter()
            .filter_map(|agency| Some((Path::Through(agency), linked(agency)?)));
        direct.into_iter().chain(through).collect()
    }

    /// Asks an agency until it answers or the time is over.
    pub async fn request(
        &self,
        to: AgencyId,
        kind: AskKind,
        body: Vec<u8>,
        deadline: Duration,
    ) -> Result<(Vec<u8>, Path), RequestError> {
        let limit = self.limits.ask_request.saturating_sub(ENVELOPE);
        if body.len() > limit {
            let bytes = body.len();
            return Err(RequestError::TooLarge { bytes, limit });
        }
        let mut id = [0; 16];
        OsRng.fill_bytes(&mut id);
        let ask = Ask::new(&self.key, &self.chain, to, kind, id, body);
        let number = self.next_waiting.fetch_add(1, Ordering::Relaxed);
        let first = Waiting {
            to,
            kind,
            path: None,
            tries: 0,
        };
        self.list().insert(number, first);
        let listed = Listed {
            shared: self,
            number,
        };
        let mut last = None;
        let mut tries = 0;
        let tried = self.try_paths(&ask, deadline, &listed, &mut last, &mut tries);
        match tokio::time::timeout(deadline, tried).await {
            Ok(result) => result,
            Err(_) => Err(RequestError::Deadline { to, tries, last }),
        }
    }

    async fn try_paths(
        &self,
        ask: &Ask,
        deadline: Duration,
        listed: &Listed<'_>,
        last: &mut Option<Path>,
        tries: &mut u32,
    ) -> Result<(Vec<u8>, Path), RequestError> {
        let to = ask.to;
        let bytes = ask.bytes();
        let mut backoff = BACKOFF;
        // Every path gets its turn before one is tried a second time.
        let mut failed = Vec::<Path>::new();
        loop {
            if !*self.running.borrow() {
                return Err(RequestError::Stopped);
            }
            let Some(key) = self
                .registry
                .borrow()
                .agencies
                .get(&to)
                .map(|m| m.network_key)
            else {
                return Err(RequestError::Unknown { to });
            };
            if key == self.key.public() {
                return Err(RequestError::Ourselves);
            }
            let paths = self.paths(to);
            let next = paths.iter().find(|(path, _)| !failed.contains(path));
            let Some((path, peer)) = next.copied() else {
                listed.update(|w| w.path = None);
                failed.clear();
                tokio::time::sleep(backoff).await;
                backoff = (2 * backoff).min(BACKOFF_MAX);
                continue;
            };
            *tries += 1;
            *last = Some(path);
            listed.update(|w| (w.path, w.tries) = (Some(path), *tries));
            let (reply, answer) = oneshot::channel();
            let bytes = bytes.clone();
            let command = AskCommand { peer, bytes, reply };
            if self.asks.send(command).await.is_err() {
                return Err(RequestError::Stopped);
            }
            let patience = (deadline / 3).max(LEAST);
            if let Some(reply) = self.answer(answer, to, path, patience).await
                && let Some(body) =
                    Reply::read(&reply).and_then(|r| r.check(&key, &self.chain, ask))
            {
                return Ok((body, path));
            }
            failed.push(path);
        }
    }

    /// Waits for an answer: as long as it takes when there is no other path, else with patience.
    async fn answer(
        &self,
        mut answer: oneshot::Receiver<Bytes>,
        to: AgencyId,
        path: Path,
        patience: Duration,
    ) -> Option<Bytes> {
        let since = Instant::now();
        loop {
            match tokio::time::timeout(LOOK, &mut answer).await {
                Ok(reply) => return reply.ok(),
                Err(_) if since.elapsed() < patience => {}
                Err(_) if self.paths(to).iter().any(|(other, _)| *other != path) => return None,
                Err(_) => {}
            }
        }
    }
}
