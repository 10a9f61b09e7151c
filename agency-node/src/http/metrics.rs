//! The node's figures (`spec/http.md`, "Metrics"). Nothing personal: routes are templates, methods and
//! statuses are from short lists.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, text::encode_eof, text::encode_registry,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::consensus::Meters;
use crate::consensus::meters::{BUCKETS_MS, engine_figures};
use crate::network::{NetworkHandle, PeerName, PeerStatus};
use crate::node::Node;

/// Upper bounds of the buckets of request times, in seconds.
const SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// The registry, and what requests are counted in.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    connections: Gauge,
    refused: Counter,
    subscribers: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

/// An open connection or stream: counted as long as it lives.
#[derive(Debug)]
pub struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// The metrics of a node.
    pub fn new(node: Arc<Node>) -> Self {
        let requests = Family::default();
        let new: fn() -> Histogram = || Histogram::new(SECONDS);
        let seconds = Family::new_with_constructor(new);
        let (connections, refused) = (Gauge::default(), Counter::default());
        let subscribers = Gauge::default();
        let mut registry = Registry::default();
        registry.register(
            "zkbureau_event_subscribers",
            "Listeners to the stream of events",
            subscribers.clone(),
        );
        let http = registry.sub_registry_with_prefix("zkbureau_http");
        http.register("requests", "Requests answered", requests.clone());
        http.register(
            "request_seconds",
            "Time from the head of a request to the head of its answer",
            seconds.clone(),
        );
        http.register("connections", "Connections open now", connections.clone());
        http.register(
            "refused_connections",
            "Connections closed at once because their address, or everybody together, has too many",
            refused.clone(),
        );
        registry.register_collector(Box::new(NodeFigures(node)));
        Self {
            registry,
            requests,
            seconds,
            connections,
            refused,
            subscribers,
        }
    }

    /// Counts an answered request. `route` is a template of the router.
    pub fn request(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let method = match *method {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::HEAD => "HEAD",
            // A client may invent methods; a label must not grow with them.
            _ => "other",
        };
        let labels = RequestLabels {
            route: route.to_owned(),
            method,
            status: status.as_u16(),
        };
        self.requests.get_or_create(&labels).inc();
        let labels = RouteLabels {
            route: route.to_owned(),
        };
        self.seconds
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// Counts a connection for as long as the result lives.
    pub fn open_connection(&self) -> Open {
        self.connections.inc();
        Open(self.connections.clone())
    }

    /// Counts a subscriber for as long as the result lives.
    pub fn open_stream(&self) -> Open {
        self.subscribers.inc();
        Open(self.subscribers.clone())
    }

    /// Counts a connection that was closed at once.
    pub fn refused_connection(&self) {
        self.refused.inc();
    }

    /// Everything as text, with the consensus engine's own figures in front.
    pub fn text(&self) -> String {
        let mut text = String::new();
        engine_figures(&mut text);
        // Each text ends with a mark of its end; there is to be one.
        let end = text.trim_end().trim_end_matches("# EOF").len();
        text.truncate(end);
        // Writing to a string does not fail.
        let _ = encode_registry(&mut text, &self.registry);
        let _ = encode_eof(&mut text);
        text
    }
}

/// Figures that are read from the node when somebody asks.
struct NodeFigures(Arc<Node>);

impl fmt::Debug for NodeFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeFigures")
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AgencyLabels {
    agency: u32,
}

impl Collector for NodeFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let node = &self.0;
        let tip = node.ledger.tip();
        let (waiting, bulk_bytes) = {
            let pool = node.pool();
            (pool.len(), pool.bulk_bytes())
        };
        let ready = node.readiness().is_ok();
        for (name, help, value) in [
            (
                "zkbureau_ledger_height",
                "Height of the newest block",
                tip.height.0 as f64,
            ),
            (
                "zkbureau_ledger_block_time_seconds",
                "Time of the newest block, since 1970",
                tip.time_ms.0 as f64 / 1000.0,
            ),
            (
                "zkbureau_ready",
                "1 when the node is fit for use",
                f64::from(u8::from(ready)),
            ),
            (
                "zkbureau_mempool_transactions",
                "Transactions waiting for a block",
                waiting as f64,
            ),
            (
                "zkbureau_mempool_batch_bytes",
                "Bytes of the batches among them",
                bulk_bytes as f64,
            ),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let mut pending = encoder.encode_descriptor(
            "zkbureau_vault_pending_batches",
            "Batches in the vault that are not yet final",
            None,
            MetricType::Gauge,
        )?;
        for (id, agency) in &node.agencies {
            let labels = AgencyLabels { agency: id.0 };
            let gauge = ConstGauge::new(agency.status().pending as f64);
            gauge.encode(pending.encode_family(&labels)?)?;
        }
        if let Some(handle) = node.network() {
            network(&mut encoder, &handle)?;
        }
        if let Some(meters) = node.meters() {
            consensus(&mut encoder, &meters)?;
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabels {
    agency: u32,
    fault: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerLabels {
    /// The agency's number, or the observer's key.
    peer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

/// What the network counts.
fn network(encoder: &mut DescriptorEncoder<'_>, handle: &NetworkHandle) -> Result<(), fmt::Error> {
    let peers = handle.peers();
    let label = |peer: &PeerStatus| PeerLabels {
        peer: match &peer.name {
            PeerName::Agency(id) => id.0.to_string(),
            PeerName::Observer(key) => key.to_string(),
        },
    };
    let relayed = |peer: &PeerStatus| !peer.connected && !peer.through.is_empty();
    let connected = peers.iter().filter(|peer| peer.connected).count();
    let relayed = peers.iter().filter(|peer| relayed(peer)).count();
    let mut family = encoder.encode_descriptor(
        "zkbureau_network_peers",
        "Members of the consortium, by how they are reached",
        None,
        MetricType::Gauge,
    )?;
    for (state, count) in [
        ("connected", connected),
        ("relayed", relayed),
        ("absent", peers.len() - connected - relayed),
    ] {
        let labels = StateLabels { state };
        ConstGauge::new(count as f64).encode(family.encode_family(&labels)?)?;
    }
    let mut family = encoder.encode_descriptor(
        "zkbureau_network_queued_bytes",
        "Bytes that wait to be sent to a peer",
        None,
        MetricType::Gauge,
    )?;
    for peer in &peers {
        let labels = label(peer);
        ConstGauge::new(peer.queued_bytes as f64).encode(family.encode_family(&labels)?)?;
    }
    let mut family = encoder.encode_descriptor(
        "zkbureau_network_peer_dropped_frames",
        "Frames dropped because the peer reads too slowly",
        None,
        MetricType::Counter,
    )?;
    for peer in &peers {
        let labels = label(peer);
        ConstCounter::new(peer.dropped_frames).encode(family.encode_family(&labels)?)?;
    }
    for (name, count) in handle.counters().list() {
        let name = format!("zkbureau_network_{name}");
        let counter = ConstCounter::new(count);
        let help = "See agency-node/src/network/counters.rs";
        counter.encode(encoder.encode_descriptor(&name, help, None, MetricType::Counter)?)?;
    }
    Ok(())
}

/// What consensus counts.
fn consensus(encoder: &mut DescriptorEncoder<'_>, meters: &Meters) -> Result<(), fmt::Error> {
    for (name, help, watch) in [
        (
            "height",
            "From the start of a height to its decision",
            &meters.height,
        ),
        ("interval", "Between two blocks", &meters.interval),
        ("propose", "Making an own block", &meters.propose),
        (
            "check",
            "Stateless checks of transactions on arrival",
            &meters.check,
        ),
        (
            "verify",
            "Stateless checks of transactions that did not wait here",
            &meters.verify,
        ),
        ("execute", "Executing a block", &meters.execute),
        (
            "tree",
            "Trees, within making and executing blocks",
            &meters.tree,
        ),
        ("keep", "Writing a proposed block", &meters.keep),
        ("write", "Writing a final block", &meters.write),
        (
            "follow",
            "The agency's own work after a block",
            &meters.follow,
        ),
    ] {
        let name = format!("zkbureau_consensus_{name}_seconds");
        let bounds = BUCKETS_MS.iter().map(|ms| *ms as f64 / 1000.0);
        let buckets: Vec<(f64, u64)> = bounds.chain([f64::MAX]).zip(watch.buckets()).collect();
        let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Histogram)?;
        family.encode_histogram::<[(&str, &str); 0]>(
            watch.total().as_secs_f64(),
            watch.count(),
            &buckets,
            None,
        )?;
    }
    for (name, help, count) in [
        ("rounds", "Rounds started", &meters.rounds),
        (
            "failed_rounds",
            "Rounds after the first of their height",
            &meters.failed_rounds,
        ),
        (
            "empty_blocks",
            "Blocks without transactions",
            &meters.empty_blocks,
        ),
        (
            "transactions",
            "Transactions in final blocks",
            &meters.transactions,
        ),
        (
            "synced_blocks",
            "Blocks that came by sync",
            &meters.synced_blocks,
        ),
        (
            "served_blocks",
            "Blocks given to others by sync",
            &meters.served_blocks,
        ),
    ] {
        let name = format!("zkbureau_consensus_{name}");
        let count = ConstCounter::new(count.load(Ordering::Relaxed));
        count.encode(encoder.encode_descriptor(&name, help, None, MetricType::Counter)?)?;
    }
    let mut family = encoder.encode_descriptor(
        "zkbureau_consensus_faults",
        "Messages refused, by the agency that they name",
        None,
        MetricType::Counter,
    )?;
    for ((agency, fault), count) in meters.faults() {
        let labels = FaultLabels {
            agency: agency.0,
            fault: fault.name(),
        };
        ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
