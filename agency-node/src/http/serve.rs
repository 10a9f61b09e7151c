//! Connections: accepting, bounds, TLS, timeouts, and an orderly end.
//!
//! A connection costs a place from its first byte on, so every phase of it ends by itself: the
//! handshake, the head of a request and the time between requests, the body
//! ([`super::body`]), the work ([`super`]), and an answer that nobody reads
//! ([`super::stream`]).

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::Api;
use super::caller::Peer;
use super::quota::Client;
use super::settings::Limits;
use super::stream::Impatient;
use super::tls::Certificates;

/// A TLS handshake must end within this time.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Most header fields of a request.
const MAX_HEADERS: usize = 64;
/// Most bytes of a request's head.
const MAX_HEAD: usize = 16 << 10;
/// Pause after a failed accept: usually there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Serves until `stopped` resolves and the requests in hand are done.
pub async fn run(
    listener: TcpListener,
    router: Router,
    api: Arc<Api>,
    certificates: Option<Certificates>,
    stopped: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let limits = api.settings.limits;
    let places = Places::new(&limits, api.settings.trust_loopback);
    let certificates = certificates.map(Certificates::watch);
    let service = TowerToHyperService::new(router);
    // Dropped at the end: connections finish their request. Closed when the last of them has ended.
    let (ending, end) = watch::channel(());
    let (alive, mut gone) = tokio::sync::mpsc::channel::<()>(1);
    let mut stopped = pin!(stopped);
    loop {
        let total = places.total.clone().acquire_owned();
        let (stream, place) = tokio::select! {
            () = &mut stopped => break,
            accepted = async { (total.await, listener.accept().await) } => match accepted {
                (Ok(place), Ok((stream, _))) => (stream, place),
                (_, Err(error)) => {
                    tracing::warn!(%error, "accepting a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
                (Err(_), _) => break,
            },
        };
        let Ok(peer) = peer(&stream, certificates.is_some()) else {
            continue;
        };
        let Some(place) = places.take(peer, place) else {
            api.metrics.refused_connection();
            continue;
        };
        let (service, end, alive) = (service.clone(), end.clone(), alive.clone());
        let acceptor = certificates.as_ref().map(|c| c.acceptor());
        let open = api.metrics.open_connection();
        tokio::spawn(async move {
            let _held = (place, alive, open);
            if let Err(error) = connection(stream, peer, acceptor, service, limits, end).await {
                tracing::debug!(%error, "connection");
            }
        });
    }
    drop(listener);
    drop((ending, alive));
    // Nothing is ever sent: this is the end of the last connection.
    let _ = gone.recv().await;
    Ok(())
}

fn peer(stream: &TcpStream, tls: bool) -> io::Result<Peer> {
    // Answers are small and one client waits for the next: latency matters more than packets.
    stream.set_nodelay(true)?;
    Ok(Peer {
        remote: stream.peer_addr()?,
        local: stream.local_addr()?,
        tls,
    })
}

type Error = Box<dyn std::error::Error + Send + Sync>;

async fn connection(
    stream: TcpStream,
    peer: Peer,
    acceptor: Option<TlsAcceptor>,
    service: TowerToHyperService<Router>,
    limits: Limits,
    end: watch::Receiver<()>,
) -> Result<(), Error> {
    let stream = Impatient::new(stream, Duration::from_secs(limits.write_seconds));
    match acceptor {
        None => http(stream, peer, service, limits, end).await,
        Some(acceptor) => {
            let stream = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await??;
            http(stream, peer, service, limits, end).await
        }
    }
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    service: TowerToHyperService<Router>,
    limits: Limits,
    mut end: watch::Receiver<()>,
) -> Result<(), Error> {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        service.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(limits.header_seconds))
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        // An error is what is waited for: the sender has gone.
        _ = end.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}

/// Who has how many connections.
struct Places {
    total: Arc<Semaphore>,
    per_address: usize,
    trust_loopback: bool,
    taken: Arc<Mutex<HashMap<Client, usize>>>,
}

/// A connection's place.
struct Place {
    client: Option<Client>,
    taken: Arc<Mutex<HashMap<Client, usize>>>,
    _total: OwnedSemaphorePermit,
}

impl Places {
    fn new(limits: &Limits, trust_loopback: bool) -> Self {
        Self {
            total: Arc::new(Semaphore::new(limits.connections)),
            per_address: limits.connections_per_address,
            trust_loopback,
            taken: Arc::default(),
        }
    }

    fn take(&self, peer: Peer, total: OwnedSemaphorePermit) -> Option<Place> {
        let ip = peer.remote.ip();
        let counted = !(self.trust_loopback && ip.to_canonical().is_loopback());
        let client = counted.then(|| Client::of(ip));
        if let Some(client) = client {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let count = taken.entry(client).or_default();
            if *count >= self.per_address {
                return None;
            }
            *count += 1;
        }
        Some(Place {
            client,
            taken: self.taken.clone(),
            _total: total,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(client) = self.client else {
            return;
        };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&client);
            }
        }
    }
}
