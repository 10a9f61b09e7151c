//! What other nodes want of this one: transactions to pass on, asks to its agency.
//!
//! # Correctness
//! Whatever comes from a peer is bounded before work is done for it: small transactions are checked where they
//! arrive, batches wait in a queue of bounded bytes and are checked together, asks wait for a free core in a
//! bounded line. What does not fit is dropped: whoever handed it in sends it again.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::transaction::Transaction;

use super::ask::{AskError, Line, encode};
use super::checks::{self, TOGETHER};
use super::incoming::{Incoming, Strikes};
use super::mempool::Lane;
use super::{Node, QueueError};
use crate::network::{AskKind, PeerName, Services};

/// Asks that wait for a core.
const MAX_ASKS: usize = 128;
/// Own transactions that are not final are sent again this often …
const RESEND: Duration = Duration::from_secs(5);
/// … and those of others once, when they have waited for so long.
const PASS_ON: Duration = Duration::from_secs(3);
/// Transactions sent again at once.
const RESENT: usize = 32;

/// The node as other nodes use it.
pub struct Gateway {
    node: Weak<Node>,
    incoming: Arc<Incoming>,
    strikes: Arc<Strikes>,
    asks: Arc<Line>,
}

impl Gateway {
    /// Opens the node to others. Ends when the node or the gateway is dropped.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn open(node: &Arc<Node>) -> std::io::Result<Arc<Self>> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let (incoming, strikes) = (Arc::<Incoming>::default(), Arc::<Strikes>::default());
        std::thread::Builder::new().name("batches".into()).spawn({
            let (node, incoming) = (Arc::downgrade(node), incoming.clone());
            let strikes = strikes.clone();
            move || {
                while let Some(some) = incoming.next(TOGETHER) {
                    let Some(node) = node.upgrade() else { return };
                    node.take_batches(some, &strikes);
                }
            }
        })?;
        Ok(Arc::new(Self {
            node: Arc::downgrade(node),
            incoming,
            strikes,
            asks: Arc::new(Line::new(MAX_ASKS, cores)),
        }))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.incoming.close();
    }
}

impl Services for Gateway {
    fn transaction(&self, from: PeerName, bytes: Vec<u8>) {
        let Some(node) = self.node.upgrade() else {
            return;
        };
        if !self.strikes.hears(&from, Instant::now()) {
            return;
        }
        let Ok(transaction) = Transaction::from_bytes(&bytes) else {
            tracing::debug!(%from, "a transaction that cannot be read");
            return;
        };
        if Lane::of(&transaction).is_bulk() {
            self.incoming.push(from, transaction, bytes.len());
            return;
        }
        match node.take(transaction) {
            Ok(true) => node.pass_on(bytes.into()),
            Ok(false) => {}
            Err(error) => {
                if let QueueError::Refused(error) = &error {
                    self.strikes.refused(from, error, Instant::now());
                }
                tracing::debug!(%from, %error, "a transaction from a peer");
            }
        }
    }

    fn answer(&self, from: PeerName, kind: AskKind, body: Vec<u8>) -> BoxFuture<'static, Vec<u8>> {
        let (node, asks) = (self.node.clone(), self.asks.clone());
        Box::pin(async move {
            let busy = AskError::Unavailable(AgencyId(0));
            let Some(node) = node.upgrade() else {
                return encode(Err(busy));
            };
            let outcome = match (kind, node.agencies.values().next()) {
                (AskKind::Snapshot, _) => match asks.turn().await {
                    Ok(_turn) => node.answer_snapshot(body).await,
                    Err(_) => Err(busy),
                },
                (_, Some(agency)) => node.ask_here(agency, kind, body, Some(&asks)).await,
                (_, None) => Err(busy),
            };
            tracing::debug!(%from, ?kind, answered = outcome.is_ok(), "asked by another node");
            encode(outcome)
        })
    }
}

impl Node {
    /// Queues a small transaction of another node. Says whether it was new.
    fn take(&self, transaction: Transaction) -> Result<bool, QueueError> {
        let hash = transaction.hash();
        if self.pool().contains(&hash) || self.ledger.transaction(&hash)?.is_some() {
            return Ok(false);
        }
        self.queue_foreign(transaction).map(|()| true)
    }

    /// Checks batches of other nodes together and queues them; passes on those that are new.
    fn take_batches(&self, batches: Vec<(PeerName, Transaction)>, strikes: &Strikes) {
        let wanted = |(from, batch): &(PeerName, Transaction)| -> bool {
            if !strikes.hears(from, Instant::now()) {
                return false;
            }
            let hash = batch.hash();
            let bytes = batch.to_bytes().len();
            let place = {
                let pool = self.pool();
                !pool.contains(&hash) && pool.room(bytes, Lane::of(batch)).is_ok()
            };
            // A batch whose number has passed costs no verification.
            let Transaction::PublishBatch(publish) = batch else {
                return false;
            };
            let tip = self.ledger.tip().height;
            let passed = self
                .ledger
                .column(tip, publish.body.agency)
                .is_ok_and(|column| column.batches >= publish.body.number);
            place && !passed && !matches!(self.ledger.transaction(&hash), Ok(Some(_)))
        };
        let (senders, batches): (Vec<_>, Vec<_>) = batches.into_iter().filter(wanted).unzip();
        if batches.is_empty() {
            return;
        }
        let start = Instant::now();
        let results = checks::apart(|| self.ledger.check_stateless(batches));
        self.checked_in(start.elapsed());
        for (from, result) in senders.into_iter().zip(results) {
            match result {
                Ok(checked) => {
                    let bytes = checked.transaction().to_bytes();
                    if let Ok(true) = self.insert(checked, bytes.len(), false) {
                        self.pass_on(bytes.into());
                    }
                }
                Err(error) => {
                    strikes.refused(from, &error, Instant::now());
                    tracing::info!(%from, %error, "a batch from a peer");
                }
            }
        }
    }

    /// Sends a transaction to the other nodes, those that have it left out.
    pub(super) fn pass_on(&self, bytes: Arc<[u8]>) {
        if let Some(network) = self.network() {
            network.broadcast_transaction(bytes);
        }
    }

    /// Sends what waits and may not have reached everybody. Call it every second or so.
    pub fn send_again(&self) {
        if self.network().is_none() {
            return;
        }
        let late = self.pool().unsent(RESEND, PASS_ON, RESENT);
        for checked in late {
            self.pass_on(checked.transaction().to_bytes().into());
        }
    }
}
