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
/// No more attempts begin after this long.
const LAST_ATTEMPT: Duration = ASK;

impl Nodes {
    /// Asks an agency through one node after the other until a reply opens. `exchange` sends, opens
    /// and decodes.
    ///
    /// # Errors
    /// [`NodesError::Nobody`]; its [`is_refusal`](NodesError::is_refusal) when everybody who answered
    /// says that the agency refuses.
    pub(crate) fn through<T>(
        &self,
        what: &'static str,
        exchange: impl Fn(&Node) -> Result<T, NodeError>,
    ) -> Result<T, NodesError> {
        let start = Instant::now();
        let mut last = NodesError::NoNode;
        for pause in PAUSES {
            sleep(pause);
            let mut gone = true;
            let tried = self.read(what, None, |node| {
                if start.elapsed() > LAST_ATTEMPT {
                    return Err(NodeError::Late);
                }
                let done = exchange(node);
                let again = |e: &NodeError| e.is_refusal() || e.is_busy();
                gone &= !done.as_ref().is_err_and(again);
                done
            });
            match tried {
                Ok((_, reply)) => return Ok(reply),
                Err(error) => last = error,
            }
            if gone || start.elapsed() > LAST_ATTEMPT {
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
