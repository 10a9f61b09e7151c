//! Whether the node is fit for use, and if not, why. A node that is behind never serves a stale height as
//! current without saying so here.

use std::sync::PoisonError;
use std::time::Duration;

use thiserror::Error;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::block::ValidatorSet;
use zkbureau_ledger::ids::Height;

use super::Node;
use crate::network::PeerName;

/// A node this many blocks behind is not fit for use. The others' heights are seconds old when
/// they arrive, so one or two blocks mean nothing.
const BEHIND: u64 = 3;
/// A block that is due may take some rounds.
const ROUNDS: Duration = Duration::from_secs(30);

/// Why a node is not fit for use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotReady {
    /// It is ending.
    #[error("the node is shutting down")]
    Stopping,
    /// It is fetching a snapshot.
    #[error("the node is fetching a snapshot of the ledger")]
    Snapshot,
    /// The chain has not begun.
    #[error("there is no block yet")]
    NoBlock,
    /// Others have newer blocks.
    #[error("the node is {by} blocks behind: it has {own}, others have {seen}")]
    Behind {
        /// How many.
        by: u64,
        /// The own height.
        own: Height,
        /// The height that others have.
        seen: Height,
    },
    /// Enough validators can be reached, and blocks do not go on all the same.
    #[error("no block for {seconds} s although one is due every {heartbeat} s")]
    Stalled {
        /// Since the last one.
        seconds: u64,
        /// An empty one is due after this time.
        heartbeat: u64,
    },
    /// The ledger, as far as it is here, does not name the agency under its keys.
    #[error("{0}")]
    Standing(String),
    /// Too few validators can be reached for blocks to go on.
    #[error(
        "no quorum: validators with a power of {reached} of {total} can be reached, more than two thirds are needed"
    )]
    NoQuorum {
        /// Power within reach, the own included.
        reached: u128,
        /// Power of all.
        total: u128,
    },
}

/// A validator as seen from here.
struct Seen {
    agency: AgencyId,
    reached: bool,
    height: Option<Height>,
}

impl Node {
    /// Whether the node is fit for use.
    ///
    /// # Errors
    /// [`NotReady`] says why not.
    pub fn readiness(&self) -> Result<(), NotReady> {
        if self.is_stopping() {
            return Err(NotReady::Stopping);
        }
        if self.is_fetching() {
            return Err(NotReady::Snapshot);
        }
        let own = self.ledger.tip().height;
        if let Some(network) = self.network() {
            let seen: Vec<Seen> = network
                .peers()
                .into_iter()
                .filter_map(|peer| match peer.name {
                    PeerName::Agency(agency) => Some(Seen {
                        agency,
                        reached: peer.connected || !peer.through.is_empty(),
                        height: peer.height.map(Height),
                    }),
                    PeerName::Observer(_) => None,
                })
                .collect();
            let own_agencies: Vec<AgencyId> = self.agencies.keys().copied().collect();
            judge(
                own,
                &own_agencies,
                &seen,
                &self.ledger.consortium().validator_set(),
            )?;
        }
        if own == Height::GENESIS {
            return Err(NotReady::NoBlock);
        }
        let last = *self
            .last_commit
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        stalled(last.elapsed(), self.heartbeat)?;
        for agency in self.agencies.values() {
            agency
                .check_standing()
                .map_err(|e| NotReady::Standing(e.to_string()))?;
        }
        Ok(())
    }
}

fn stalled(since: Duration, heartbeat: Option<Duration>) -> Result<(), NotReady> {
    match heartbeat {
        Some(heartbeat) if since > 2 * heartbeat + ROUNDS => Err(NotReady::Stalled {
            seconds: since.as_secs(),
            heartbeat: heartbeat.as_secs(),
        }),
        _ => Ok(()),
    }
}

fn judge(
    own: Height,
    own_agencies: &[AgencyId],
    seen: &[Seen],
    validators: &ValidatorSet,
) -> Result<(), NotReady> {
    let total = validators.total_power();
    let power = |agency: AgencyId| validators.get(agency).map_or(0, |v| u128::from(v.power));
    let mine: u128 = own_agencies.iter().map(|agency| power(*agency)).sum();
    let reached: u128 = mine
        + seen
            .iter()
            .filter(|peer| peer.reached)
            .map(|peer| power(peer.agency))
            .sum::<u128>();
    if 3 * reached <= 2 * total {
        return Err(NotReady::NoQuorum { reached, total });
    }
    // The greatest height that more than a third of the power has: at least one of them is honest.
    let mut heights: Vec<(Height, u128)> = seen
        .iter()
        .filter_map(|peer| Some((peer.height?, power(peer.agency))))
        .collect();
    heights.sort_by_key(|(height, _)| std::cmp::Reverse(*height));
    let mut sum = 0;
    for (height, power) in heights {
        sum += power;
        if 3 * sum > total {
            let by = height.0.saturating_sub(own.0);
            if by > BEHIND {
                return Err(NotReady::Behind {
                    by,
                    own,
                    seen: height,
                });
            }
            break;
        }
    }
    Ok(())
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

    fn seen(n: u32, reached: bool, height: u64) -> Seen {
        Seen {
            agency: AgencyId(n),
            reached,
            height: Some(Height(height)),
        }
    }

    fn verdict(own: u64, peers: &[Seen]) -> Result<(), NotReady> {
        judge(Height(own), &[AgencyId(1)], peers, &four())
    }

    #[test]
    fn a_quorum_is_more_than_two_thirds_with_oneself() {
        let peers = [seen(2, true, 5), seen(3, true, 5), seen(4, false, 5)];
        assert_eq!(verdict(5, &peers), Ok(()));
        let peers = [seen(2, true, 5), seen(3, false, 5), seen(4, false, 5)];
        let lost = NotReady::NoQuorum {
            reached: 2,
            total: 4,
        };
        assert_eq!(verdict(5, &peers), Err(lost));
    }

    #[test]
    fn one_liar_makes_nobody_behind() {
        let peers = [seen(2, true, 1_000), seen(3, true, 7), seen(4, true, 6)];
        assert_eq!(verdict(5, &peers), Ok(()), "only one claims 1,000");
        let peers = [seen(2, true, 1_000), seen(3, true, 9), seen(4, true, 6)];
        let behind = NotReady::Behind {
            by: 4,
            own: Height(5),
            seen: Height(9),
        };
        assert_eq!(verdict(5, &peers), Err(behind));
    }

    #[test]
    fn blocks_that_do_not_come_are_noticed() {
        let heartbeat = Duration::from_secs(60);
        let after = |seconds, heartbeat| stalled(Duration::from_secs(seconds), heartbeat);
        assert_eq!(after(150, Some(heartbeat)), Ok(()));
        assert!(after(151, Some(heartbeat)).is_err());
        assert_eq!(after(9_999, None), Ok(()), "a sandbox makes none when idle");
    }
}
