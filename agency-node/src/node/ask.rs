//! Asks to agencies, wherever they run: the own agency answers here, any other over the network. Both ways
//! end in the same answer or the same [`AskError`], so a wallet need not know which node runs which agency.

use std::sync::Arc;
use std::time::Duration;

use rand_core::OsRng;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::RocksStore;
use zkbureau_ledger::ids::Height;

use super::Node;
use crate::agency::{Agency, AnswerError, Refusal};
use crate::network::{AskKind, NetworkHandle};

/// An answer that another agency's node has not given after this time is given up.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// Longest text of an error from another node.
const MAX_DETAIL: usize = 512;
/// How long an answer waits for a block that its asker has seen.
const CATCH_UP: Duration = Duration::from_secs(5);
/// It does not wait for blocks further ahead than this.
const NEAR: u64 = 8;
/// So many wait at once; the next one hears that there is no such block yet.
pub(super) const CATCHING_UP: usize = 64;

/// An ask without an answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AskError {
    /// The ask cannot be read.
    #[error("{field}: {detail}")]
    Malformed {
        /// The field at fault.
        field: String,
        /// Its limit, if it has one.
        limit: Option<u64>,
        /// What is wrong with it.
        detail: String,
    },
    /// The agency refused. It does not say why on purpose.
    #[error("the agency refused to answer")]
    Refused,
    /// The agency cannot answer at the moment.
    #[error("{0} cannot answer at the moment")]
    Unavailable(AgencyId),
    /// There is no such agency.
    #[error("there is no {0}")]
    Unknown(AgencyId),
    /// The agency's node did not answer.
    #[error("waited for {agency}: {detail}")]
    NoAnswer {
        /// The agency that was waited for.
        agency: AgencyId,
        /// How it was tried.
        detail: String,
    },
}

/// The body of an error between nodes.
#[derive(Serialize, Deserialize)]
struct Malformed {
    field: String,
    limit: Option<u64>,
    detail: String,
}

/// Status codes between nodes: those that HTTP would give.
mod status {
    pub const OK: u16 = 200;
    pub const MALFORMED: u16 = 400;
    pub const REFUSED: u16 = 403;
    pub const UNKNOWN: u16 = 404;
    pub const UNAVAILABLE: u16 = 503;
}

impl Node {
    /// Asks an agency. The bytes are sealed or signed; the answer is sealed to the asker.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ask(
        &self,
        agency: AgencyId,
        kind: AskKind,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, AskError> {
        if let Some(agency) = self.agencies.get(&agency) {
            return self.ask_here(agency, kind, body, None).await;
        }
        let (true, Some(network)) = (
            self.ledger.consortium().agency(agency).is_some(),
            self.network(),
        ) else {
            return Err(AskError::Unknown(agency));
        };
        ask_remote(&network, agency, kind, body).await
    }

    /// Lets an agency of this process answer; in its turn, if there is a line.
    pub(super) async fn ask_here(
        &self,
        agency: &Arc<Agency<RocksStore>>,
        kind: AskKind,
        body: Vec<u8>,
        line: Option<&Line>,
    ) -> Result<Vec<u8>, AskError> {
        let id = agency.id();
        let body: Arc<[u8]> = body.into();
        let answered = self
            .caught_up(|| {
                let (agency, body) = (agency.clone(), body.clone());
                async move {
                    // Given back before a block is waited for.
                    let _turn = match line {
                        Some(line) => Some(line.turn().await?),
                        None => None,
                    };
                    Ok::<_, NoTurn>(answer(agency, kind, body).await)
                }
            })
            .await;
        match answered.unwrap_or(Err(AnswerError::Unavailable)) {
            Ok(answer) => Ok(answer),
            Err(AnswerError::Malformed {
                field,
                limit,
                detail,
            }) => Err(AskError::Malformed {
                field: field.to_owned(),
                limit,
                detail,
            }),
            Err(AnswerError::Refused(_)) => Err(AskError::Refused),
            Err(AnswerError::Unavailable) => Err(AskError::Unavailable(id)),
        }
    }

    /// Lets somebody answer, and once more when a block that was missing has come. While it is waited for
    /// nothing is held but one of a few places of their own.
    pub(crate) async fn caught_up<E, F: Future<Output = Result<Answered, E>>>(
        &self,
        answer: impl Fn() -> F,
    ) -> Result<Answered, E> {
        let first = answer().await?;
        let Err(AnswerError::Refused(refusal)) = &first else {
            return Ok(first);
        };
        let Some(height) = self.missing(refusal) else {
            return Ok(first);
        };
        let Ok(_place) = self.catching_up.try_acquire() else {
            return Ok(first);
        };
        let mut heights = self.watch();
        let come = async { heights.wait_for(|here| *here >= height).await.is_ok() };
        match tokio::time::timeout(CATCH_UP, come).await {
            Ok(true) => answer().await,
            _ => Ok(first),
        }
    }

    /// The block that an asker has seen and this node has not, if it will be here soon.
    fn missing(&self, refusal: &Refusal) -> Option<Height> {
        let tip = self.ledger.tip().height;
        let height = match refusal {
            Refusal::NotYet { inquiry } => *inquiry,
            Refusal::NoAudit => {
                let network = self.network()?;
                let heights = network.peers().into_iter().filter_map(|peer| peer.height);
                Height(heights.filter(|h| *h <= tip.0 + NEAR).max()?)
            }
            _ => return None,
        };
        (height > tip && height.0 - tip.0 <= NEAR).then_some(height)
    }

    /// Whether an agency can be asked from here.
    #[must_use]
    pub fn knows_agency(&self, agency: AgencyId) -> bool {
        self.agencies.contains_key(&agency)
            || (self.network().is_some() && self.ledger.consortium().agency(agency).is_some())
    }
}

/// The asks of other nodes: so many at once, each on a core of its own.
pub(super) struct Line {
    places: Semaphore,
    cores: Semaphore,
}

/// There is no room in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoTurn;

impl Line {
    /// A line of at most `places`, those on a core among them.
    pub fn new(places: usize, cores: usize) -> Self {
        Self {
            places: Semaphore::new(places),
            cores: Semaphore::new(cores),
        }
    }

    /// Waits for a core. It is free again when the turn is dropped.
    pub async fn turn(&self) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>), NoTurn> {
        let place = self.places.try_acquire().map_err(|_| NoTurn)?;
        let core = self.cores.acquire().await.map_err(|_| NoTurn)?;
        Ok((place, core))
    }
}

/// What an agency said.
pub(crate) type Answered = Result<Vec<u8>, AnswerError>;

async fn answer(agency: Arc<Agency<RocksStore>>, kind: AskKind, body: Arc<[u8]>) -> Answered {
    let work = move || match kind {
        AskKind::Ask => agency.answer(&body, &mut OsRng),
        AskKind::Audit => agency.answer_audit(&body, &mut OsRng),
        AskKind::Snapshot => Err(AnswerError::Unavailable),
    };
    let answered = tokio::task::spawn_blocking(work).await;
    answered.unwrap_or(Err(AnswerError::Unavailable))
}

async fn ask_remote(
    network: &NetworkHandle,
    agency: AgencyId,
    kind: AskKind,
    body: Vec<u8>,
) -> Result<Vec<u8>, AskError> {
    let reply = network
        .request(agency, kind, body, DEADLINE)
        .await
        .map_err(|error| AskError::NoAnswer {
            agency,
            detail: error.to_string(),
        })?;
    decode(agency, reply)
}

/// A reply to another node: status, then body.
pub(super) fn encode(outcome: Result<Vec<u8>, AskError>) -> Vec<u8> {
    let (status, body) = match outcome {
        Ok(body) => (status::OK, body),
        Err(AskError::Malformed {
            field,
            limit,
            detail,
        }) => {
            let body = Malformed {
                field,
                limit,
                detail,
            };
            let body = serde_json::to_vec(&body).expect("plain data");
            (status::MALFORMED, body)
        }
        Err(AskError::Refused) => (status::REFUSED, Vec::new()),
        Err(AskError::Unknown(_)) => (status::UNKNOWN, Vec::new()),
        Err(AskError::Unavailable(_) | AskError::NoAnswer { .. }) => {
            (status::UNAVAILABLE, Vec::new())
        }
    };
    let mut out = status.to_le_bytes().to_vec();
    out.extend_from_slice(&body);
    out
}

/// Reads another node's reply. What it cannot mean is no answer.
pub(super) fn decode(agency: AgencyId, mut reply: Vec<u8>) -> Result<Vec<u8>, AskError> {
    let nonsense = || AskError::NoAnswer {
        agency,
        detail: "its node gave no answer that can be read".to_owned(),
    };
    let status = reply.first_chunk::<2>().map(|b| u16::from_le_bytes(*b));
    match status.ok_or_else(nonsense)? {
        status::OK => {
            reply.drain(..2);
            Ok(reply)
        }
        status::MALFORMED => {
            let body: Malformed = serde_json::from_slice(&reply[2..]).map_err(|_| nonsense())?;
            let short = |text: String| text.chars().take(MAX_DETAIL).collect();
            Err(AskError::Malformed {
                field: short(body.field),
                limit: body.limit,
                detail: short(body.detail),
            })
        }
        status::REFUSED => Err(AskError::Refused),
        status::UNKNOWN => Err(AskError::Unknown(agency)),
        status::UNAVAILABLE => Err(AskError::Unavailable(agency)),
        _ => Err(nonsense()),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::node::testing::node;

    const AGENCY: AgencyId = AgencyId(3);

    #[test]
    fn outcomes_travel_between_nodes() {
        for outcome in [
            Ok(vec![1, 2, 3]),
            Ok(Vec::new()),
            Err(AskError::Malformed {
                field: "body".into(),
                limit: Some(7),
                detail: "too long".into(),
            }),
            Err(AskError::Refused),
            Err(AskError::Unknown(AGENCY)),
            Err(AskError::Unavailable(AGENCY)),
        ] {
            assert_eq!(decode(AGENCY, encode(outcome.clone())), outcome);
        }
    }

    #[test]
    fn nonsense_from_another_node_is_no_answer() {
        for bytes in [&[][..], &[200], &[0x90, 1, b'{'], &[1, 2, 3]] {
            assert!(
                matches!(
                    decode(AGENCY, bytes.to_vec()),
                    Err(AskError::NoAnswer { .. })
                ),
                "{bytes:?}"
            );
        }
    }

    /// Lets an agency refuse for want of a block, and answer when it is there.
    async fn ask_behind(node: &Node, inquiry: u64, calls: &AtomicUsize) -> Answered {
        let answer = || async {
            let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
            let inquiry = Height(inquiry);
            Ok::<_, Infallible>(match first {
                true => Err(Refusal::NotYet { inquiry }.into()),
                false => Ok(vec![1]),
            })
        };
        node.caught_up(answer).await.unwrap_or_else(|e| match e {})
    }

    #[tokio::test]
    async fn whoever_waits_for_a_block_is_not_in_the_line() {
        let directory = tempfile::tempdir().expect("a directory");
        let node = Arc::new(node(directory.path()));
        let line = Arc::new(Line::new(1, 1));
        let asked = tokio::spawn({
            let (node, line) = (node.clone(), line.clone());
            async move {
                let answer = || async {
                    let _turn = line.turn().await?;
                    let here = *node.watch().borrow();
                    Ok(match here {
                        Height(0) => Err(Refusal::NotYet { inquiry: Height(1) }.into()),
                        _ => Ok(vec![1]),
                    })
                };
                node.caught_up::<NoTurn, _>(answer).await
            }
        });
        while node.catching_up.available_permits() == CATCHING_UP {
            assert!(!asked.is_finished(), "it waits");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let turn = line.turn().await.expect("the place is free");
        assert_eq!(line.turn().await.err(), Some(NoTurn), "now it is taken");
        drop(turn);
        node.announce(Height(1));
        assert_eq!(asked.await.expect("joined"), Ok(Ok(vec![1])));
        assert_eq!(node.catching_up.available_permits(), CATCHING_UP);
    }

    #[tokio::test]
    async fn an_answer_waits_for_a_block_that_its_asker_has_seen() {
        let directory = tempfile::tempdir().expect("a directory");
        let node = Arc::new(node(directory.path()));
        let calls = Arc::new(AtomicUsize::new(0));
        let asked = tokio::spawn({
            let (node, calls) = (node.clone(), calls.clone());
            async move { ask_behind(&node, 2, &calls).await }
        });
        while calls.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        node.announce(Height(1));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!asked.is_finished(), "that is not the block");
        node.announce(Height(2));
        assert_eq!(asked.await.expect("joined"), Ok(vec![1]));
        // So many wait and no more.
        let held = node.catching_up.acquire_many(CATCHING_UP as u32).await;
        let held = held.expect("nobody waits");
        let (calls, start) = (AtomicUsize::new(0), std::time::Instant::now());
        let refused = ask_behind(&node, 3, &calls).await;
        assert!(matches!(refused, Err(AnswerError::Refused(_))));
        assert!(start.elapsed() < CATCH_UP / 2);
        drop(held);
        // Far ahead: refused at once.
        let calls = AtomicUsize::new(0);
        let start = std::time::Instant::now();
        let refused = ask_behind(&node, NEAR + 1, &calls).await;
        assert!(matches!(refused, Err(AnswerError::Refused(_))));
        assert!(start.elapsed() < CATCH_UP / 2);
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}
