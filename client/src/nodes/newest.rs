//! The newest header: all nodes are asked at once, and the highest that verifies counts.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use zkbureau_ledger::block::{CertificateError, SignedHeader};
use zkbureau_ledger::light::{LightError, TrustedHeader, ValidatorChanges};

use super::proofs::proof;
use super::{Fork, NodeFailure, Nodes, NodesError};
use crate::chain::Chain;
use crate::node::{Node, NodeError, READ};
use crate::time;

/// Blocks may be this much ahead of this machine's clock, in milliseconds.
pub const CLOCK_TOLERANCE_MS: u64 = 120_000;
/// How long slower nodes are waited for after a fresh header was verified.
const GRACE: Duration = Duration::from_secs(1);
/// Most pages of validator changes that are fetched from one node at a time.
const MAX_PAGES: usize = 1_000;

/// What one node proves to be its newest block.
#[derive(Debug)]
pub struct Sighting {
    /// The node.
    pub url: String,
    /// Its newest header, verified and neither old nor ahead; or what is wrong with it.
    pub header: Result<TrustedHeader, NodeError>,
}

/// The newest header that any node proves.
#[derive(Debug)]
pub struct Newest {
    /// The header, verified.
    pub header: TrustedHeader,
    /// As it was sent.
    pub signed: SignedHeader,
    /// Nodes that could not prove as much, with their reasons.
    pub failures: Vec<NodeFailure>,
    pub(super) source: usize,
}

type Seen = Result<(SignedHeader, TrustedHeader), NodeError>;

impl Nodes {
    /// The newest header, of no more than the age allowed.
    ///
    /// # Errors
    /// [`NodesError`]: no node proves a header, all are behind, or validators signed two chains.
    pub fn newest(&self, chain: &Chain) -> Result<Newest, NodesError> {
        let seen = self.look_around(chain, true);
        self.choose(chain, seen)
    }

    /// What each node proves, in the order of the list. All are waited for.
    pub fn survey(&self, chain: &Chain) -> Vec<Sighting> {
        let mut sightings: Vec<Sighting> = (self.urls())
            .map(|url| Sighting {
                url: url.to_owned(),
                header: Err(NodeError::Late),
            })
            .collect();
        for (i, seen) in self.look_around(chain, false) {
            sightings[i].header = seen.and_then(|(_, header)| self.check_age(header));
        }
        sightings
    }

    /// Asks all nodes for their newest header and verifies what comes. With `hurry` those that have
    /// not answered shortly after a fresh one are not waited for.
    fn look_around(&self, chain: &Chain, hurry: bool) -> Vec<(usize, Seen)> {
        let (send, receive) = mpsc::channel();
        let from = chain.reached();
        for (i, node) in self.nodes.iter().enumerate() {
            let (node, send) = (node.clone(), send.clone());
            // On their own: one that hangs must not hold up the others. Its exchange has an end.
            std::thread::spawn(move || {
                let fetched = node.header(None).map(|header| (header, node.changes(from)));
                // Nobody listens any more after the grace.
                let _ = send.send((i, fetched));
            });
        }
        drop(send);
        let start = Instant::now();
        let mut until = start + 2 * READ + Duration::from_secs(5);
        let mut seen: Vec<(usize, Seen)> = Vec::new();
        while let Ok((i, fetched)) =
            receive.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            let checked = fetched.and_then(|(signed, changes)| {
                // Followed before they are needed: validators that were replaced cannot pass off
                // a chain of their own once any honest node has said so.
                follow_all(chain, changes)?;
                let header = self.check_header(chain, &self.nodes[i], &signed)?;
                Ok((signed, header))
            });
            let fresh = (checked.as_ref()).is_ok_and(|(_, h)| self.check_age(h.clone()).is_ok());
            if fresh && hurry {
                until = until.min(Instant::now() + GRACE);
            }
            seen.push((i, checked));
        }
        for i in 0..self.nodes.len() {
            if seen.iter().all(|(known, _)| *known != i) {
                seen.push((i, Err(NodeError::Late)));
            }
        }
        // What was verified before a change of validators became known is verified again.
        for (_, seen) in &mut seen {
            if let Ok((signed, _)) = seen
                && let Err(error) = chain.verify_header(signed)
            {
                *seen = Err(proof("header")(error));
            }
        }
        for (i, seen) in &seen {
            match seen {
                Ok(_) => self.welcome(*i),
                Err(error) => self.set_aside(*i, error),
            }
        }
        seen
    }

    /// Refuses a header that is old or ahead of the clock.
    fn check_age(&self, header: TrustedHeader) -> Result<TrustedHeader, NodeError> {
        let (time, now) = (header.time_ms(), time::now());
        if time.0 > now.0.saturating_add(CLOCK_TOLERANCE_MS) {
            return Err(NodeError::Ahead { header: time, now });
        }
        if header.age_ms(now) > self.freshness_ms() {
            return Err(NodeError::Stale {
                height: header.height(),
                header: time,
                now,
            });
        }
        Ok(header)
    }

    /// The highest of the headers seen.
    fn choose(&self, chain: &Chain, seen: Vec<(usize, Seen)>) -> Result<Newest, NodesError> {
        let now = time::now();
        let mut failures = Vec::new();
        let mut verified: Vec<(usize, SignedHeader, TrustedHeader)> = Vec::new();
        for (i, seen) in seen {
            match seen {
                Ok((_, header)) if header.time_ms().0 > now.0 + CLOCK_TOLERANCE_MS => {
                    let header = header.time_ms();
                    failures.push(self.failure(i, NodeError::Ahead { header, now }));
                }
                Ok((signed, header)) => verified.push((i, signed, header)),
                Err(error) => failures.push(self.failure(i, error)),
            }
        }
        self.check_fork(chain, &verified)?;
        let best = (verified.iter()).max_by_key(|(i, _, header)| {
            // Of equals, the one whose node comes first.
            (header.height(), std::cmp::Reverse(*i))
        });
        let Some((source, signed, header)) = best.cloned() else {
            return Err(NodesError::Nobody {
                what: "newest header",
                failures,
            });
        };
        for (i, _, other) in &verified {
            if let Err(error) = self.check_age(other.clone()) {
                self.set_aside(*i, &error);
                if *i != source {
                    failures.push(self.failure(*i, error));
                }
            }
        }
        if header.age_ms(now) > self.freshness_ms() {
            return Err(NodesError::Stale {
                height: header.height(),
                header: header.time_ms(),
                now,
                limit_ms: self.freshness_ms(),
                failures,
            });
        }
        if let Some(before) = chain.newest().filter(|n| n.height() > header.height()) {
            return Err(NodesError::Behind {
                height: header.height(),
                seen: before.height(),
                failures,
            });
        }
        chain.saw(&header);
        Ok(Newest {
            header,
            signed,
            failures,
            source,
        })
    }

    /// Two certified headers of one height prove that validators signed both.
    fn check_fork(
        &self,
        chain: &Chain,
        verified: &[(usize, SignedHeader, TrustedHeader)],
    ) -> Result<(), NodesError> {
        let before = chain.newest();
        let seen = (verified.iter()).map(|(i, _, h)| (self.nodes[*i].url().to_owned(), h));
        let mut known: Vec<(String, &TrustedHeader)> = (before
            .iter()
            .map(|h| ("what was seen before".to_owned(), h)))
        .collect();
        for (url, header) in seen {
            let other = (known.iter())
                .find(|(_, k)| k.height() == header.height() && k.hash() != header.hash());
            if let Some((first, other)) = other {
                return Err(NodesError::Fork(Box::new(Fork {
                    height: header.height(),
                    first: (first.clone(), other.hash()),
                    second: (url, header.hash()),
                })));
            }
            known.push((url, header));
        }
        Ok(())
    }

    /// Verifies a header. Where its validators are unknown, their changes are fetched from the node
    /// that gave it: an honest one can prove them.
    pub(super) fn check_header(
        &self,
        chain: &Chain,
        node: &Node,
        signed: &SignedHeader,
    ) -> Result<TrustedHeader, NodeError> {
        let unknown = LightError::Certificate(CertificateError::Validators);
        for _ in 0..MAX_PAGES {
            match chain.verify_header(signed) {
                Err(error) if error == unknown => {
                    let reached = chain.reached();
                    follow_all(chain, node.changes(reached))?;
                    if chain.reached() == reached {
                        return Err(proof("header")(error));
                    }
                }
                other => return other.map_err(proof("header")),
            }
        }
        Err(proof("header")(unknown))
    }
}

/// Follows the changes of validators that a node gave, if it gave any.
fn follow_all(
    chain: &Chain,
    changes: Result<ValidatorChanges, NodeError>,
) -> Result<(), NodeError> {
    let changes = match changes {
        Ok(changes) => changes,
        // Not to have them is no lie; a header that needs them will not verify.
        Err(error) if !error.is_lie() => return Ok(()),
        Err(error) => return Err(error),
    };
    for change in &changes.0 {
        (chain.follow(change)).map_err(proof("change of validators"))?;
    }
    Ok(())
}
