//! Reaching an agency through any node. What travels is sealed both ways, so all that a node on the
//! way can do is to lose it or to say "refused" in the agency's name.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Nodes, NodesError};
use crate::node::{ASK, Node, NodeError};

/// All nodes are asked again after these pauses: an agency may be a block behind the wallet, and
/// does not know of an inquiry yet.
const PAUSES: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(500),
    Duration::from_millis(1_500),
];
/// How long one of several nodes is waited for the first time round: one that only keeps asks must
/// not keep the others from being asked.
const FIRST_ROUND: Duration = Duration::from_secs(12);
/// No other round begins after this long.
const LAST_ROUND: Duration = Duration::from_secs(60);

impl Nodes {
    /// Asks an agency through one node after the other until a reply opens. `exchange` sends, opens
    /// and decodes within the time it is given.
    ///
    /// # Errors
    /// [`NodesError::Nobody`]; its [`is_refusal`](NodesError::is_refusal) when everybody who answered
    /// says that the agency refuses.
    pub(crate) fn through<T>(
        &self,
        what: &'static str,
        exchange: impl Fn(&Node, Duration) -> Result<T, NodeError>,
    ) -> Result<T, NodesError> {
        let start = Instant::now();
        let mut last = NodesError::NoNode;
        for pause in PAUSES {
            if start.elapsed() > LAST_ROUND {
                break;
            }
            sleep(pause);
            let first = pause.is_zero() && self.nodes.len() > 1;
            let time = if first { FIRST_ROUND } else { ASK };
            let mut hopeless = true;
            let tried = self.read(what, None, |node| {
                let done = exchange(node, time);
                let again = |e: &NodeError| {
                    let slow = first && matches!(e, NodeError::Unreachable(_));
                    e.is_refusal() || e.is_busy() || slow
                };
                hopeless &= !done.as_ref().is_err_and(again);
                done
            });
            match tried {
                Ok((_, reply)) => return Ok(reply),
                Err(error) => last = error,
            }
            if hopeless {
                break;
            }
        }
        Err(decided(last))
    }
}

/// Where some node says that the agency refuses and none says anything else that an agency can
/// say, the refusal is what there is to tell.
fn decided(error: NodesError) -> NodesError {
    match error {
        NodesError::Nobody { what, mut failures } => {
            if failures.iter().any(|f| f.error.is_refusal()) {
                failures.retain(|f| f.error.is_refusal());
            }
            NodesError::Nobody { what, failures }
        }
        other => other,
    }
}
