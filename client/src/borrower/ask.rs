//! Asking agencies: each ask is sealed to its agency and each reply to a key made for it; all
//! agencies are asked at once, each through one node after the other until its reply opens.

use rand_core::{CryptoRng, RngCore};
use thiserror::Error;
use zkbureau_circuits::encoding::{Digest32, Document};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::document::ask::{ASK_SEAL, AgencyAsk, AskBody, Identity, REPLY_SEAL};
use zkbureau_ledger::document::sealed::{Sealed, SealingSecretKey};
use zkbureau_ledger::genesis::Consortium;
use zkbureau_ledger::ids::{ChainId, TimeMs};
use zkbureau_ledger::keys::SecretKey;

use crate::node::NodeError;
use crate::nodes::{Nodes, NodesError};

/// Why an agency's reply is missing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// It refused. To outsiders all refusals look the same.
    #[error("refused")]
    Refused,
    /// It cannot be reached, or something is wrong with it.
    #[error("{0}")]
    Unavailable(String),
    /// Its reply does not fit what is on the ledger, or is no reply at all.
    #[error("its reply does not verify: {0}")]
    Invalid(String),
}

/// An agency's reply, opened.
#[derive(Debug)]
pub struct Reply<T> {
    /// The agency.
    pub agency: AgencyId,
    /// What it said.
    pub result: Result<T, Failure>,
}

struct Prepared {
    agency: AgencyId,
    sealed: Sealed,
    context: Digest32,
    key: SealingSecretKey,
}

/// What asks to an agency are bound to.
fn ask_context(chain: &ChainId, agency: AgencyId) -> Vec<u8> {
    [chain.as_bytes().as_slice(), &agency.0.to_le_bytes()].concat()
}

/// Asks agencies the same thing, all at once.
#[allow(clippy::too_many_arguments)]
pub fn ask_agencies<T: Document + Send, R: RngCore + CryptoRng>(
    nodes: &Nodes,
    chain: &ChainId,
    consortium: &Consortium,
    agencies: &[AgencyId],
    identity: &Identity,
    body: &AskBody,
    key: &SecretKey,
    now: TimeMs,
    rng: &mut R,
) -> Vec<Reply<T>> {
    let prepared: Vec<Result<Prepared, AgencyId>> = agencies
        .iter()
        .map(|agency| {
            let known = consortium.agency(*agency).ok_or(*agency)?;
            let reply = SealingSecretKey::random(rng);
            let ask = AgencyAsk::new(
                *chain,
                *agency,
                identity.clone(),
                body.clone(),
                reply.public(),
                now,
                key,
            );
            let context = ask_context(chain, *agency);
            let sealed = Sealed::seal(&known.sealing_key, ASK_SEAL, &context, &ask.to_bytes(), rng)
                .map_err(|_| *agency)?;
            Ok(Prepared {
                agency: *agency,
                sealed,
                context: ask.digest(),
                key: reply,
            })
        })
        .collect();
    std::thread::scope(|scope| {
        let running: Vec<_> = prepared
            .iter()
            .map(|prepared| scope.spawn(move || ask_one::<T>(nodes, prepared)))
            .collect();
        running
            .into_iter()
            .zip(agencies)
            .map(|(thread, agency)| Reply {
                agency: *agency,
                result: thread
                    .join()
                    .unwrap_or_else(|_| Err(Failure::Unavailable("internal error".into()))),
            })
            .collect()
    })
}

fn ask_one<T: Document>(
    nodes: &Nodes,
    prepared: &Result<Prepared, AgencyId>,
) -> Result<T, Failure> {
    let prepared = prepared
        .as_ref()
        .map_err(|agency| Failure::Unavailable(format!("{agency} is not on the ledger")))?;
    // Only the agency can seal to this key: it has read the ask.
    nodes
        .through("reply", |node, within| {
            let sealed = node.ask(prepared.agency, &prepared.sealed, within)?;
            let bytes = sealed
                .open_padded(&prepared.key, REPLY_SEAL, &prepared.context)
                .map_err(|_| NodeError::Reply)?;
            T::from_bytes(&bytes).map_err(|_| NodeError::Reply)
        })
        .map_err(Failure::from)
}

impl Failure {
    /// What an agency gave is not what it must be.
    pub(crate) fn invalid(what: &str) -> Self {
        Self::Invalid(what.to_owned())
    }
}

impl From<NodesError> for Failure {
    fn from(error: NodesError) -> Self {
        if error.is_refusal() {
            return Self::Refused;
        }
        if error.is_invalid() {
            return Self::Invalid(error.line());
        }
        Self::Unavailable(error.line())
    }
}
