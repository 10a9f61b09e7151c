//! Consensus together with its network, as a node runs it.

use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::engine::{Engine, EngineNetwork, Identity, Timing, start_on};
use super::{Codec, ConsensusError, Meters};
use crate::network::{Network, NetworkConfig, NetworkHandle, Registry, Services};
use crate::node::Node;

/// A node's consensus and network.
pub struct Running {
    /// The network, for everybody else in the node.
    pub network: NetworkHandle,
    swarm: Network,
    engine: Engine,
    registry: JoinHandle<()>,
}

/// Starts the network, which admits whom the ledger names, and consensus over it. Files are kept under
/// `home`.
///
/// # Errors
/// [`ConsensusError`] when the address cannot be listened on, the log is held by another process, or the
/// disk fails.
pub async fn start(
    node: Arc<Node>,
    identity: Identity,
    network: NetworkConfig,
    services: Arc<dyn Services>,
    timing: Timing,
    home: &Path,
) -> Result<Running, ConsensusError> {
    let registry = Registry::from(&*node.ledger.consortium());
    let mut swarm = Network::start(network, registry, services).await?;
    let actor = swarm
        .attach(Codec)
        .await
        .map_err(|e| ConsensusError::Attach(e.to_string()))?;
    let handle = swarm.handle();
    let engine = start_on(
        node.clone(),
        identity,
        EngineNetwork::new(actor),
        timing,
        home,
    )
    .await?;
    let registry = tokio::spawn(follow(node, handle.clone()));
    Ok(Running {
        network: handle,
        swarm,
        engine,
        registry,
    })
}

/// Lets the network admit whom the last block names.
async fn follow(node: Arc<Node>, network: NetworkHandle) {
    let mut rules = node.watch_rules();
    loop {
        network.set_registry(Registry::from(&*node.ledger.consortium()));
        if rules.changed().await.is_err() {
            return;
        }
    }
}

impl Running {
    /// What consensus does and how long it takes.
    #[must_use]
    pub fn meters(&self) -> Arc<Meters> {
        self.engine.meters()
    }

    /// Waits until consensus or the network ends by itself. The node must not outlive either.
    pub async fn ended(&self) -> Arc<ConsensusError> {
        tokio::select! {
            error = self.engine.ended() => error,
            () = self.network.stopped() => Arc::new(ConsensusError::NetworkStopped),
        }
    }

    /// Stops consensus, then the network. What is being written is finished.
    pub async fn stop(self) {
        self.registry.abort();
        self.engine.stop().await;
        self.swarm.stop().await;
    }
}
