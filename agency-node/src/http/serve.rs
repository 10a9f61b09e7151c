//! Connections: accepting, bounds, TLS, timeouts, and an orderly end.
//!
//! A connection costs a place from its first byte on, so every phase of it ends by itself: the
//! handshake, the head of a request and the time between requests, the body
//! ([`super::body`]), the work ([`super`]), and an answer that nobody reads
//! ([`super::stream`]).

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
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
use super::shares::{Share, Shares};
use super::stream::Impatient;
use super::tls::Certificates;

/// A TLS handshake must end within this time.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Most header fields of a request.
const MAX_HEADERS: usize = 64;
/// Most bytes of a request's head.
const MAX_HEAD: usize = 16 << 10;
/// Connections over loopback beside all others: health checks and operators come in while strangers have every place.
const FOR_LOOPBACK: usize = 16;
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
        let stream = tokio::select! {
            () = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let Ok(peer) = peer(&stream, certificates.is_some()) else {
            continue;
        };
        // Without a place it is closed at once: left alone, it would stand in the way of this machine's own.
        let Some(place) = places.take(peer.remote.ip()) else {
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
    /// For loopback when all others are taken.
    loopback: Arc<Semaphore>,
    trust_loopback: bool,
    shares: Arc<Shares>,
}

/// A connection's place.
struct Place {
    _share: Share,
    _total: OwnedSemaphorePermit,
}

impl Places {
    fn new(limits: &Limits, trust_loopback: bool) -> Self {
        Self {
            total: Arc::new(Semaphore::new(limits.connections)),
            loopback: Arc::new(Semaphore::new(FOR_LOOPBACK)),
            trust_loopback,
            shares: Shares::new(limits.connections_per_address),
        }
    }

    fn take(&self, remote: IpAddr) -> Option<Place> {
        let here = remote.to_canonical().is_loopback();
        let counted = !(self.trust_loopback && here);
        let client = counted.then(|| Client::of(remote));
        let share = self.shares.take(client, 1)?;
        let of = |pool: &Arc<Semaphore>| pool.clone().try_acquire_owned().ok();
        let reserved = || here.then(|| of(&self.loopback)).flatten();
        Some(Place {
            _share: share,
            _total: of(&self.total).or_else(reserved)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_leave_places_for_this_machine_and_one_network_for_others() {
        let limits = Limits {
            connections: 8,
            connections_per_address: 2,
            ..Limits::default()
        };
        let places = Places::new(&limits, true);
        let take = |text: &str| places.take(text.parse().expect("an address"));
        // Of one /56 two addresses' connections, of a /48 four.
        let near: Vec<_> = (0..9)
            .filter_map(|n| take(&format!("2001:db8:0:{n}::1")))
            .collect();
        assert_eq!(near.len(), 4);
        let strangers: Vec<_> = (0..9)
            .filter_map(|n| take(&format!("192.0.2.{n}")))
            .collect();
        assert_eq!(strangers.len(), 4);
        assert!(take("198.51.100.1").is_none());
        let here: Vec<_> = (0..99).filter_map(|_| take("127.0.0.1")).collect();
        assert_eq!(here.len(), FOR_LOOPBACK);
        drop(strangers);
        assert!(take("198.51.100.1").is_some());
        assert!(take("::ffff:127.0.0.1").is_some());
    }
}
