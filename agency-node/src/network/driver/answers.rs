//! Requests: the engine's sync, and those from agency to agency.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use libp2p::PeerId;
use libp2p::request_response::{
    Event, InboundRequestId, Message, OutboundFailure, OutboundRequestId, ResponseChannel,
};
use tokio::sync::oneshot;
use tokio::task::{Id, JoinError, JoinSet};

use arc_malachitebft_sync::OutboundFailureReason;

use super::Driver;
use crate::network::ask::{Ask, ENVELOPE, Reply};
use crate::network::engine::EngineEvent;
use crate::network::shared::AskCommand;

/// Paths over which one request may be waited for at once.
const COPIES: usize = 8;

/// One request of one asker.
type Key = (PeerId, [u8; 16]);

/// An answer of our node, or nothing when it failed or took too long.
pub(super) struct Done {
    task: Id,
    body: Option<Vec<u8>>,
}

/// A request that our node is answering.
struct Answering {
    ask: Ask,
    /// Where the reply goes: the asker itself, and whoever carried a copy.
    to: Vec<(PeerId, ResponseChannel<Bytes>)>,
}

/// Where the reply to a request that we sent goes.
enum Asked {
    /// To somebody in our own node.
    Here(oneshot::Sender<Bytes>),
    /// To the neighbour that we carried it for.
    Neighbour(PeerId, ResponseChannel<Bytes>),
}

/// Requests under way.
pub(super) struct Answers {
    per_peer: usize,
    time: Duration,
    tasks: JoinSet<Option<Vec<u8>>>,
    keys: HashMap<Id, Key>,
    answering: HashMap<Key, Answering>,
    asked: HashMap<OutboundRequestId, (Asked, Instant)>,
    /// Requests of each peer that are answered or carried.
    load: HashMap<PeerId, usize>,
}

impl Answers {
    pub fn new(per_peer: usize, time: Duration) -> Self {
        Self {
            per_peer,
            time,
            tasks: JoinSet::new(),
            keys: HashMap::new(),
            answering: HashMap::new(),
            asked: HashMap::new(),
            load: HashMap::new(),
        }
    }

    /// The next answer. Nothing while none is worked on.
    pub async fn done(&mut self) -> Option<Done> {
        let done = self.tasks.join_next_with_id().await?;
        Some(match done {
            Ok((task, body)) => Done { task, body },
            Err(error) => Done {
                task: JoinError::id(&error),
                body: None,
            },
        })
    }

    /// Takes one of the peer's places, if there is one.
    fn take(&mut self, peer: PeerId) -> bool {
        let load = self.load.entry(peer).or_default();
        let free = *load < self.per_peer;
        if free {
            *load += 1;
        }
        free
    }

    fn give_back(&mut self, peer: &PeerId) {
        if let Some(load) = self.load.get_mut(peer) {
            *load = load.saturating_sub(1);
            if *load == 0 {
                self.load.remove(peer);
            }
        }
    }

    /// Forgets requests whose reply can no longer come. Normally their failure was reported.
    pub fn forget_late(&mut self, now: Instant) {
        let late = 2 * self.time;
        let ids: Vec<_> = self
            .asked
            .iter()
            .filter(|(_, (_, since))| now.duration_since(*since) > late)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            if let Some((Asked::Neighbour(peer, _), _)) = self.asked.remove(&id) {
                self.give_back(&peer);
            }
        }
    }
}

fn reason(failure: &OutboundFailure) -> OutboundFailureReason {
    match failure {
        OutboundFailure::DialFailure => OutboundFailureReason::DialFailure,
        OutboundFailure::Timeout => OutboundFailureReason::Timeout,
        OutboundFailure::ConnectionClosed => OutboundFailureReason::ConnectionClosed,
        OutboundFailure::UnsupportedProtocols => OutboundFailureReason::UnsupportedProtocols,
        OutboundFailure::Io(_) => OutboundFailureReason::Io,
    }
}

impl Driver {
    /// The engine's sync.
    pub(super) fn sync_event(&mut self, event: Event<Bytes, Bytes>) {
        match event {
            Event::Message { peer, message, .. } => match message {
                Message::Request {
                    request_id,
                    request,
                    channel,
                } => {
                    if !self.has_engine() {
                        // Dropping the channel tells the peer.
                        return;
                    }
                    self.next_sync += 1;
                    let number = self.next_sync;
                    self.sync_in.insert(number, channel);
                    self.sync_ids.insert(request_id, number);
                    self.tell(EngineEvent::SyncRequest(number, peer, request));
                }
                Message::Response {
                    request_id,
                    response,
                } => {
                    if let Some(number) = self.sync_out.remove(&request_id) {
                        self.tell(EngineEvent::SyncResponse(number, peer, response));
                    }
                }
            },
            Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                if let Some(number) = self.sync_out.remove(&request_id) {
                    self.tell(EngineEvent::SyncFailed(number, peer, reason(&error)));
                }
            }
            Event::InboundFailure {
                peer, request_id, ..
            } => self.sync_over(peer, request_id, true),
            Event::ResponseSent {
                peer, request_id, ..
            } => self.sync_over(peer, request_id, false),
        }
    }

    fn sync_over(&mut self, peer: PeerId, id: InboundRequestId, failed: bool) {
        if let Some(number) = self.sync_ids.remove(&id)
            && self.sync_in.remove(&number).is_some()
            && failed
        {
            self.tell(EngineEvent::SyncGone(number, peer));
        }
    }

    /// Somebody in our node asks an agency.
    pub(super) fn ask(&mut self, command: AskCommand) {
        let AskCommand { peer, bytes, reply } = command;
        // Dropping `reply` says that this path failed.
        if self.links.contains_key(&peer) {
            let id = self.swarm.behaviour_mut().ask.send_request(&peer, bytes);
            let asked = (Asked::Here(reply), Instant::now());
            self.answers.asked.insert(id, asked);
        }
    }

    /// Requests of others, and replies to ours.
    pub(super) fn ask_event(&mut self, event: Event<Bytes, Bytes>) {
        match event {
            Event::Message { peer, message, .. } => match message {
                Message::Request {
                    request, channel, ..
                } => self.asked(peer, request, channel),
                Message::Response {
                    request_id,
                    response,
                } => self.replied(&request_id, Some(response)),
            },
            Event::OutboundFailure { request_id, .. } => self.replied(&request_id, None),
            // A reply that nobody waits for any more is dropped when it comes.
            Event::InboundFailure { .. } | Event::ResponseSent { .. } => {}
        }
    }

    fn reply(&mut self, channel: ResponseChannel<Bytes>, bytes: Bytes) {
        // It fails only when the asker is gone.
        let _ = self.swarm.behaviour_mut().ask.send_response(channel, bytes);
    }

    /// A neighbour asks us, or has us carry a request.
    fn asked(&mut self, peer: PeerId, bytes: Bytes, channel: ResponseChannel<Bytes>) {
        let known = self.links.contains_key(&peer);
        let Some(ask) = Ask::read(&bytes).filter(|_| known) else {
            return self.reply(channel, Reply::Refused.bytes());
        };
        if !self.answers.take(peer) {
            self.shared.counters.requests_refused.one();
            return self.reply(channel, Reply::Busy.bytes());
        }
        let refused = if Some(ask.to) == self.my_agency {
            self.answer(peer, ask, channel)
        } else {
            self.carry_ask(peer, &ask, bytes, channel)
        };
        if let Err((channel, reply)) = refused {
            self.answers.give_back(&peer);
            self.reply(channel, reply.bytes());
        }
    }

    /// Has our node answer.
    fn answer(
        &mut self,
        peer: PeerId,
        ask: Ask,
        channel: ResponseChannel<Bytes>,
    ) -> Result<(), (ResponseChannel<Bytes>, Reply)> {
        let origin = super::super::registry::peer_id(&ask.origin);
        let origin = origin.and_then(|origin| Some((origin, *self.names.get(&origin)?)));
        let (Some((origin, name)), Some(kind)) = (origin, ask.check(&self.shared.chain)) else {
            self.shared.counters.requests_refused.one();
            return Err((channel, Reply::Refused));
        };
        let key = (origin, ask.id);
        // The same request over another path waits for the same answer.
        if let Some(answering) = self.answers.answering.get_mut(&key) {
            if answering.ask != ask || answering.to.len() >= COPIES {
                return Err((channel, Reply::Busy));
            }
            answering.to.push((peer, channel));
            return Ok(());
        }
        let body = self.services.answer(name, kind, ask.body.clone());
        let time = self.answers.time;
        let task = self
            .answers
            .tasks
            .spawn(async move { tokio::time::timeout(time, body).await.ok() });
        self.answers.keys.insert(task.id(), key);
        let to = vec![(peer, channel)];
        self.answers.answering.insert(key, Answering { ask, to });
        Ok(())
    }

    /// Our node has answered, or failed to.
    pub(super) fn answered(&mut self, done: Done) {
        let key = self.answers.keys.remove(&done.task);
        let Some(answering) = key.and_then(|key| self.answers.answering.remove(&key)) else {
            return;
        };
        let limit = self.shared.limits.ask_reply.saturating_sub(ENVELOPE);
        let reply = match done.body.filter(|body| body.len() <= limit) {
            Some(body) => {
                self.shared.counters.requests_answered.one();
                let shared = &self.shared;
                Reply::answer(&shared.key, &shared.chain, &answering.ask, body)
            }
            None => {
                tracing::warn!("a request to our agency found no answer");
                Reply::Busy
            }
        };
        let bytes = reply.bytes();
        for (peer, channel) in answering.to {
            self.answers.give_back(&peer);
            self.reply(channel, bytes.clone());
        }
    }

    /// Passes a request on, byte for byte, to the agency it is for. One step only: whoever asks
    /// chooses a carrier that has a link.
    fn carry_ask(
        &mut self,
        peer: PeerId,
        ask: &Ask,
        bytes: Bytes,
        channel: ResponseChannel<Bytes>,
    ) -> Result<(), (ResponseChannel<Bytes>, Reply)> {
        // Only the asker itself has us carry: nothing goes over two carriers, or in a circle.
        if super::super::registry::peer_id(&ask.origin) != Some(peer) {
            return Err((channel, Reply::Refused));
        }
        let to = self.registry.peer_of(ask.to);
        let Some(to) = to.filter(|to| self.links.contains_key(to)) else {
            return Err((channel, Reply::NoLink));
        };
        self.shared.counters.requests_relayed.one();
        let id = self.swarm.behaviour_mut().ask.send_request(&to, bytes);
        let asked = (Asked::Neighbour(peer, channel), Instant::now());
        self.answers.asked.insert(id, asked);
        Ok(())
    }

    /// A request that we sent or carried has its reply, or failed.
    fn replied(&mut self, id: &OutboundRequestId, bytes: Option<Bytes>) {
        match (self.answers.asked.remove(id), bytes) {
            // Whoever waited may have given up.
            (Some((Asked::Here(reply), _)), Some(bytes)) => drop(reply.send(bytes)),
            (Some((Asked::Neighbour(peer, channel), _)), bytes) => {
                self.answers.give_back(&peer);
                let bytes = bytes.unwrap_or_else(|| Reply::NoLink.bytes());
                self.reply(channel, bytes);
            }
            _ => {}
        }
    }
}
