//! Several nodes, none of them trusted. It does not matter which of them lies, hides something or
//! is not there: as long as one of them is honest, everything goes on.
//!
//! - A read goes to one node, and to the next if what comes back does not verify; each node that
//!   was of no use is named with its reason.
//! - The newest state is asked of all at once: the highest header that verifies counts, if it is
//!   fresh by this machine's clock ([`newest`](Nodes::newest)).
//! - A transaction counts as final when its effect is proven under such a header, whatever nodes
//!   say about it ([`settle`](Nodes::settle)).
//! - An agency is asked through any node: asks and replies are sealed, so a node can only lose them.
//!
//! # Correctness
//!
//! Nothing leaves this module that was not verified from the genesis file on, except refusals:
//! those nobody can prove, so all nodes are asked before one is believed.

mod asks;
mod error;
mod newest;
mod proofs;
mod settle;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use error::{Fork, NodeFailure, NodesError};
pub use newest::{CLOCK_TOLERANCE_MS, Newest, Sighting};
pub use proofs::ProvenState;
pub use settle::{FINALITY, Submission};

use crate::node::{Authorities, Node, NodeError};

/// Most nodes of a list.
pub const MAX_NODES: usize = 100;
/// Idle chains make an empty block about this often.
pub const HEARTBEAT: Duration = Duration::from_secs(60);
/// Default for how old the newest block may be by this machine's clock: two minutes for blocks that
/// take long and clocks that differ, and the time in which an idle chain makes no block.
pub const DEFAULT_FRESHNESS: Duration = Duration::from_secs(120 + HEARTBEAT.as_secs());

/// How often a value is asked for again while some node does not have its block yet.
const CATCH_UP_TRIES: usize = 3;
/// How long nodes get each time: about half a block.
const CATCH_UP_PAUSE: Duration = Duration::from_millis(600);

/// How nodes are used.
#[derive(Clone, Debug)]
pub struct Options {
    /// What `https` hosts must show.
    pub authorities: Authorities,
    /// How old the newest block may be.
    pub freshness: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            authorities: Authorities::Public,
            freshness: DEFAULT_FRESHNESS,
        }
    }
}

/// Nodes to work against. Cheap to make; one set serves any number of threads.
#[derive(Debug)]
pub struct Nodes {
    nodes: Vec<Node>,
    freshness: Duration,
    /// Nodes that were of no use lately: asked last, not never.
    aside: Mutex<HashMap<usize, Aside>>,
}

/// Why a node is asked after others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Aside {
    /// It was slow, busy or behind.
    Slow,
    /// It could not be reached.
    Gone,
    /// It gave something that does not verify. Nothing but a new session makes up for it.
    Lied,
}

impl Nodes {
    /// Nodes at addresses such as `http://127.0.0.1:7600`, in the order in which they are asked.
    ///
    /// # Errors
    /// [`NodesError`] when an address is none, or there are none or too many.
    pub fn new<S: AsRef<str>>(urls: &[S]) -> Result<Self, NodesError> {
        Self::with_options(urls, &Options::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// [`NodesError`] when an address is none, or there are none or too many.
    pub fn with_options<S: AsRef<str>>(urls: &[S], options: &Options) -> Result<Self, NodesError> {
        let mut nodes: Vec<Node> = Vec::new();
        for url in urls {
            let node = Node::with_authorities(url.as_ref(), &options.authorities)?;
            if nodes.iter().all(|known| known.url() != node.url()) {
                nodes.push(node);
            }
        }
        if nodes.is_empty() || nodes.len() > MAX_NODES {
            return Err(NodesError::NoNode);
        }
        Ok(Self {
            nodes,
            freshness: options.freshness,
            aside: Mutex::new(HashMap::new()),
        })
    }

    /// The addresses.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(Node::url)
    }

    /// How old the newest block may be, in milliseconds.
    fn freshness_ms(&self) -> u64 {
        u64::try_from(self.freshness.as_millis()).unwrap_or(u64::MAX)
    }

    /// The order in which nodes are asked: `first` before the others, those set aside last.
    fn order(&self, first: Option<usize>) -> Vec<usize> {
        let aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by_key(|i| (aside.get(i).copied(), Some(*i) != first, *i));
        order
    }

    /// Notes that a node was of no use.
    fn set_aside(&self, node: usize, error: &NodeError) {
        let why = match error {
            error if error.is_lie() => Aside::Lied,
            NodeError::Unreachable(_) => Aside::Gone,
            NodeError::Late | NodeError::Stale { .. } | NodeError::Ahead { .. } => Aside::Slow,
            error if error.is_busy() => Aside::Slow,
            // It does not have something, or refuses it: that says nothing about the next question.
            _ => return,
        };
        let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        let known = aside.entry(node).or_insert(why);
        *known = why.max(*known);
    }

    /// Notes that a node was of use, so that one that was slow or gone comes back.
    fn welcome(&self, node: usize) {
        let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        if aside.get(&node).is_some_and(|why| *why < Aside::Lied) {
            aside.remove(&node);
        }
    }

    fn failure(&self, node: usize, error: NodeError) -> NodeFailure {
        NodeFailure {
            url: self.nodes[node].url().to_owned(),
            error,
        }
    }

    /// Asks one node after the other until what comes back holds. `fetch` fetches and verifies.
    /// Also says which node it came from.
    fn read<T>(
        &self,
        what: &'static str,
        first: Option<usize>,
        mut fetch: impl FnMut(&Node) -> Result<T, NodeError>,
    ) -> Result<(usize, T), NodesError> {
        let mut failures = Vec::new();
        for i in self.order(first) {
            match fetch(&self.nodes[i]) {
                Ok(value) => {
                    self.welcome(i);
                    return Ok((i, value));
                }
                Err(error) => {
                    self.set_aside(i, &error);
                    failures.push(self.failure(i, error));
                }
            }
        }
        Err(NodesError::Nobody { what, failures })
    }

    /// Like [`Self::read`], for what stands under a block that one node has: others may be about to
    /// have it, and one that lies must not win because they are a moment behind.
    fn read_under<T>(
        &self,
        what: &'static str,
        first: Option<usize>,
        mut fetch: impl FnMut(&Node) -> Result<T, NodeError>,
    ) -> Result<(usize, T), NodesError> {
        for _ in 0..CATCH_UP_TRIES {
            match self.read(what, first, &mut fetch) {
                Err(error) if self.nodes.len() > 1 && is_missing_somewhere(&error) => {
                    std::thread::sleep(CATCH_UP_PAUSE);
                }
                other => return other,
            }
        }
        self.read(what, first, fetch)
    }
}

/// Whether some node does not have what was asked for.
fn is_missing_somewhere(error: &NodesError) -> bool {
    let missing = |e: &NodeError| matches!(e, NodeError::Problem { status: 404, .. });
    error.failures().iter().any(|f| missing(&f.error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Nodes {
        Nodes::new(&["http://a", "http://b", "http://c", "http://b/"]).expect("addresses")
    }

    #[test]
    fn the_first_that_holds_is_taken_and_liars_come_last() {
        let nodes = three();
        assert_eq!(nodes.urls().count(), 3);
        let lie = || NodeError::Malformed("x".into());
        let gone = || NodeError::Unreachable("x".into());
        let (from, _) = nodes
            .read("value", None, |node| match node.url() {
                "http://a" => Err(lie()),
                "http://b" => Err(gone()),
                _ => Ok(()),
            })
            .expect("c holds");
        assert_eq!(from, 2);
        assert_eq!(nodes.order(None), [2, 1, 0]);
        assert_eq!(nodes.order(Some(0)), [2, 1, 0], "a liar is not preferred");
        // Being there again makes up for having been gone, but nothing for a lie.
        nodes.welcome(0);
        nodes.welcome(1);
        assert_eq!(nodes.order(None), [1, 2, 0]);
        assert_eq!(nodes.order(Some(2)), [2, 1, 0]);
    }

    #[test]
    fn every_node_is_named_with_its_reason() {
        let nodes = three();
        let error = nodes
            .read::<()>("header", None, |node| {
                Err(NodeError::Malformed(format!("of {}", node.url())))
            })
            .expect_err("nobody");
        assert!(error.is_invalid() && !error.is_refusal());
        let text = error.to_string();
        for url in nodes.urls() {
            assert!(text.contains(&format!("{url}: the reply is malformed: of {url}")));
        }
        assert!(matches!(Nodes::new::<&str>(&[]), Err(NodesError::NoNode)));
    }
}
