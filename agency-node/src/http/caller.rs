//! Who asks: an address, a known key that signed the request, or this machine itself. Decides
//! quotas and what an operator may read (`spec/http.md`, "Signed requests" and "Quotas").

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ed25519_dalek::VerifyingKey;
use zkbureau_ledger::genesis::Consortium;
use zkbureau_ledger::keys::PublicKey;

use super::Api;
use super::problem::Problem;
use super::quota::{Buckets, Client, Over};
use super::settings::{Quota, Settings};
use super::signature::base::Message;
use super::signature::digest::ContentDigest;
use super::signature::policy::{self, MAX_NONCES, MAX_NONCES_OF_KEY, NonceError, Nonces};
use super::signature::{SignatureError, Signed};
use crate::node::now;

/// Signatures that cannot be read or do not verify, per address.
const BAD_SIGNATURES: Quota = Quota::new(1, 50);
/// Fields that tell of somebody further away: a page in a browser, or a client of a proxy.
const FROM_ELSEWHERE: [&str; 5] = ["origin", "forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// The connection that a request came over; put into every request by the server.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The client's address.
    pub remote: SocketAddr,
    /// The address it connected to.
    pub local: SocketAddr,
    /// Whether the connection is TLS.
    pub tls: bool,
}

/// Who asks. Every request has one once it is past [`identify`].
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who is counted.
    pub client: Client,
    /// May read what operators see.
    pub operator: bool,
    /// Is not counted.
    pub free: bool,
    /// The digest that the signature binds the body to.
    pub digest: Option<ContentDigest>,
}

impl Caller {
    /// Refuses whoever is no operator.
    pub fn operator(&self) -> Result<(), Problem> {
        if self.operator {
            return Ok(());
        }
        Err(Problem::unsigned(
            "sign the request with one of the node's operator_keys (spec/http.md)",
        ))
    }

    /// A stranger at an address.
    #[cfg(test)]
    pub fn at(address: [u8; 4]) -> Self {
        Self {
            client: Client::of(address.into()),
            operator: false,
            free: false,
            digest: None,
        }
    }

    /// The client, if it is counted.
    pub fn counted(&self) -> Option<Client> {
        (!self.free).then_some(self.client)
    }
}

/// What is known about callers.
#[derive(Debug)]
pub struct Callers {
    addresses: Buckets,
    keys: Buckets,
    anchors: Buckets,
    bad_signatures: Buckets,
    nonces: Nonces,
}

impl Callers {
    /// Nobody has asked yet.
    pub fn new(settings: &Settings) -> Self {
        let quota = &settings.quota;
        Self {
            addresses: Buckets::new(quota.address),
            keys: Buckets::new(quota.key),
            anchors: Buckets::new(quota.anchors),
            bad_signatures: Buckets::new(BAD_SIGNATURES),
            nonces: Nonces::default(),
        }
    }

    /// Counts a consent anchor.
    pub fn count_anchor(&self, caller: &Caller) -> Result<(), Problem> {
        match caller.counted() {
            Some(client) => count(&self.anchors, client, "consent anchors"),
            None => Ok(()),
        }
    }

    fn count_request(&self, caller: &Caller) -> Result<(), Problem> {
        let Some(client) = caller.counted() else {
            return Ok(());
        };
        let buckets = match client {
            Client::Key(_) => &self.keys,
            Client::Address(_) => &self.addresses,
        };
        count(buckets, client, "requests")
    }

    /// Counts a signature that did not hold against its address, and gives the problem to answer.
    fn strike(&self, address: Client, problem: Problem) -> Problem {
        match count(&self.bad_signatures, address, STRIKES) {
            Ok(()) => problem,
            Err(quota) => quota,
        }
    }
}

/// What is counted in strikes.
const STRIKES: &str = "signatures that do not verify";

fn count(buckets: &Buckets, client: Client, what: &'static str) -> Result<(), Problem> {
    buckets.take(client).map_err(|over| over_quota(&over, what))
}

fn over_quota(over: &Over, what: &'static str) -> Problem {
    Problem::quota(what, over.quota.per_second, over.seconds)
}

/// Finds out who asks, counts the request, and lets it pass.
pub async fn identify(
    State(api): State<Arc<Api>>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let caller = match recognise(&api, &request) {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Who asks; the request is counted.
fn recognise(api: &Api, request: &Request<Body>) -> Result<Caller, Problem> {
    let Some(peer) = request.extensions().get::<Peer>().copied() else {
        tracing::error!("a request without a connection");
        return Err(Problem::internal());
    };
    let address = Client::of(peer.remote.ip());
    let here = api.settings.trust_loopback && is_from_here(request, &peer);
    let mut caller = Caller {
        client: address,
        operator: here,
        free: here,
        digest: None,
    };
    let callers = &api.callers;
    let strike = |problem| callers.strike(address, problem);
    let signed = Signed::read(request.headers()).map_err(|e| strike(problem(&e)))?;
    let Some(signed) = signed else {
        callers.count_request(&caller)?;
        return Ok(caller);
    };
    let authority = authority(request, &peer, &api.settings).map_err(strike)?;
    let message = Message {
        method: request.method(),
        scheme: if peer.tls { "https" } else { "http" },
        authority: &authority,
        path: request.uri().path(),
        query: request.uri().query(),
        headers: request.headers(),
    };
    let claims =
        policy::claims(&signed, &message, now()).map_err(|e| strike(Problem::unsigned(e.0)))?;
    let known = Known::find(api, &claims.key);
    if known == Known::Nobody {
        // It gives nothing, so nothing is verified: a stranger is an address.
        callers.count_request(&caller)?;
        return Ok(caller);
    }
    // Verifying costs time: not for an address whose signatures have not held too often.
    let bad = callers.bad_signatures.check(address);
    bad.map_err(|over| over_quota(&over, STRIKES))?;
    verify(&signed, &message, &claims.key).map_err(|e| strike(problem(&e)))?;
    if request.method() != axum::http::Method::GET {
        caller.digest = ContentDigest::read(request.headers()).map_err(|e| strike(problem(&e)))?;
    }
    caller.client = Client::Key(claims.key);
    caller.operator |= known == Known::Operator;
    // Counted before its nonce is remembered: a key over its quota does not fill the memory.
    callers.count_request(&caller)?;
    let nonce = callers.nonces.take(&claims, now());
    nonce.map_err(|error| match error {
        NonceError::Used => strike(Problem::unsigned("the nonce was used before")),
        NonceError::KeyFull => {
            let limit = MAX_NONCES_OF_KEY as u64;
            Problem::share("nonce", limit, "signed requests within five minutes")
        }
        NonceError::Full => Problem::busy("too many signed requests")
            .field("nonce")
            .limit(MAX_NONCES as u64),
    })?;
    Ok(caller)
}

fn verify(signed: &Signed, message: &Message<'_>, key: &PublicKey) -> Result<(), SignatureError> {
    let key = VerifyingKey::from_bytes(key.as_bytes()).map_err(|_| SignatureError::Invalid)?;
    signed.verify(message, &key)
}

fn problem(error: &SignatureError) -> Problem {
    match error {
        SignatureError::Field(name) => {
            Problem::malformed(*name, "one Ed25519 signature as in RFC 9421")
        }
        SignatureError::Component(name) => Problem::malformed(
            "signature-input",
            format!("the component {name:?} is unknown, absent, twice or has parameters"),
        ),
        SignatureError::Invalid => Problem::unsigned("the signature does not verify"),
    }
}

/// What a key is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Operator,
    Client,
    Nobody,
}

impl Known {
    fn find(api: &Api, key: &PublicKey) -> Self {
        let settings = &api.settings;
        if settings.operator_keys.contains(key) {
            Self::Operator
        } else if settings.client_keys.contains(key)
            || on_ledger(&api.node.ledger.consortium(), key)
        {
            Self::Client
        } else {
            Self::Nobody
        }
    }
}

/// Whether the ledger knows a signing key: an agency's, an issuer's or an auditor's.
fn on_ledger(consortium: &Consortium, key: &PublicKey) -> bool {
    let agencies = consortium.agencies.iter().map(|a| &a.validator_key);
    let issuers = consortium.issuers.iter().map(|i| &i.key);
    let auditors = consortium.auditors.iter().map(|a| &a.key);
    agencies.chain(issuers).chain(auditors).any(|k| k == key)
}

/// Whether a request comes from a program of this machine that means this machine: over loopback,
/// addressed to it, and not passed on. A page in a browser here names its own origin, or after DNS
/// rebinding its own host; a proxy mostly names its client.
fn is_from_here(request: &Request<Body>, peer: &Peer) -> bool {
    let headers = request.headers();
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    peer.remote.ip().to_canonical().is_loopback()
        && host.is_some_and(is_loopback_name)
        && hosts.next().is_none()
        && (request.uri().authority()).is_none_or(|named| is_loopback_name(named.as_str()))
        && !FROM_ELSEWHERE
            .iter()
            .any(|name| headers.contains_key(*name))
}

/// Whether an authority, with or without a port, is `localhost` or a loopback address.
fn is_loopback_name(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let v6 = |host: &str| -> Option<Ipv6Addr> {
        host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
    };
    !text.contains('@')
        && (host.eq_ignore_ascii_case("localhost")
            || v6(host).is_some_and(|v6| IpAddr::V6(v6).to_canonical().is_loopback())
            || (host.parse::<Ipv4Addr>()).is_ok_and(|v4| v4.is_loopback()))
}

/// The authority that a signed request is addressed to, which must be this node: otherwise one
/// node could show another what its client signed.
fn authority(request: &Request<Body>, peer: &Peer, settings: &Settings) -> Result<String, Problem> {
    let text = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request
            .headers()
            .get("host")
            .and_then(|host| host.to_str().ok()),
    };
    let authority = text
        .ok_or_else(|| Problem::malformed("host", "a signed request names its host"))?
        .to_ascii_lowercase();
    // The default port is left out of the component (RFC 9421, section 2.2.3).
    let default = if peer.tls { ":443" } else { ":80" };
    let short = |name: &str| name.strip_suffix(default).unwrap_or(name).to_owned();
    let authority = short(&authority);
    let local = SocketAddr::new(peer.local.ip().to_canonical(), peer.local.port());
    let mut names = vec![local.to_string()];
    if local.ip().is_loopback() {
        names.push(format!("localhost:{}", local.port()));
    }
    let configured = settings.names.iter().map(|name| name.to_ascii_lowercase());
    if names
        .into_iter()
        .chain(configured)
        .any(|name| short(&name) == authority)
    {
        return Ok(authority);
    }
    Err(Problem::unsigned(
        "the request is addressed to another authority than this node's (http.names)",
    )
    .field("host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&str, &str)]) -> Request<Body> {
        let mut request = Request::builder().uri("/metrics");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).expect("a request")
    }

    fn peer(remote: &str) -> Peer {
        Peer {
            remote: remote.parse().expect("an address"),
            local: "127.0.0.1:7600".parse().expect("an address"),
            tls: false,
        }
    }

    #[test]
    fn this_machine_is_who_names_it_and_is_not_passed_on() {
        let here = peer("127.0.0.1:50000");
        for host in [
            "localhost",
            "LOCALHOST:7600",
            "127.0.0.1",
            "127.8.8.8:1",
            "[::1]",
            "[::1]:7600",
        ] {
            assert!(is_from_here(&request(&[("host", host)]), &here), "{host}");
            for field in FROM_ELSEWHERE {
                let passed = request(&[("host", host), (field, "null")]);
                assert!(!is_from_here(&passed, &here), "{field}");
            }
            let far = peer("192.0.2.1:50000");
            assert!(!is_from_here(&request(&[("host", host)]), &far));
        }
        for host in [
            "evil.example:7600",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.1:7600",
            "[2001:db8::1]",
            "::1",
            "x@localhost",
            "localhost@evil.example",
            "",
        ] {
            assert!(!is_from_here(&request(&[("host", host)]), &here), "{host}");
        }
        assert!(!is_from_here(&request(&[]), &here));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert!(!is_from_here(&request(&twice), &here));
        let mut absolute = request(&[("host", "localhost")]);
        *absolute.uri_mut() = "http://evil.example/metrics".parse().expect("a URI");
        assert!(!is_from_here(&absolute, &here));
        let mapped = peer("[::ffff:127.0.0.1]:50000");
        assert!(is_from_here(&request(&[("host", "localhost")]), &mapped));
    }
}
