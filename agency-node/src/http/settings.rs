//! How the API is served: the section `[http]` of `agency.toml` (`spec/http.md`, "Settings").

use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;
use zkbureau_ledger::keys::PublicKey;

/// How the API is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Certificate chain and key. Without them the API is plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Plain HTTP on an address that is not loopback: only where something else protects it.
    pub insecure_http: bool,
    /// Clients on loopback are this machine's own: no quotas, and everything that operators see, if they name a
    /// loopback host and were not passed on. Turn it off behind a reverse proxy, which makes everybody look local.
    pub trust_loopback: bool,
    /// Further names of this node, `host:port`, that signed requests may be addressed to.
    pub names: Vec<String>,
    /// Keys that may read what operators see, by signed requests.
    pub operator_keys: Vec<PublicKey>,
    /// Keys of lenders and integrators with a quota of their own, by signed requests.
    pub client_keys: Vec<PublicKey>,
    /// Requests that compute at once; none for one per core.
    pub workers: Option<usize>,
    /// Bounds.
    pub limits: Limits,
    /// Requests per client.
    pub quota: Quotas,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tls: None,
            insecure_http: false,
            trust_loopback: true,
            names: Vec::new(),
            operator_keys: Vec::new(),
            client_keys: Vec::new(),
            workers: None,
            limits: Limits::default(),
            quota: Quotas::default(),
        }
    }
}

/// Certificate chain and key, PEM files. They are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the node's own certificate first.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// Bounds on connections and subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once, beside a few for loopback.
    pub connections: usize,
    /// Of these, from one address (IPv6: from one /64; twice as many from its /56, four times from its /48).
    pub connections_per_address: usize,
    /// Seconds for the head of a request; a connection that is idle for so long is closed.
    pub header_seconds: u64,
    /// Seconds for the body of a request.
    pub body_seconds: u64,
    /// Seconds that a client may leave an answer unread.
    pub write_seconds: u64,
    /// Listeners to the stream of events at once.
    pub subscribers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_per_address: 64,
            header_seconds: 20,
            body_seconds: 20,
            write_seconds: 30,
            subscribers: 64,
        }
    }
}

/// What one client may do in a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Requests of an address (IPv6: of a /64), unsigned or signed by a key nobody knows.
    pub address: Quota,
    /// Requests signed by a known key.
    pub key: Quota,
    /// Consent anchors of a client: nobody signs for an anchor, so they cost the ledger most.
    pub anchors: Quota,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            address: Quota::new(50, 500),
            key: Quota::new(500, 5_000),
            anchors: Quota::new(2, 60),
        }
    }
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Tokens that come back every second.
    pub per_second: u32,
    /// Tokens that a full bucket holds.
    pub burst: u32,
}

impl Quota {
    /// A quota.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst }
    }
}

/// Settings that must not be served with.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// Everybody on the way could read and change what is said.
    #[error(
        "{0} is not loopback: set http.tls, or http.insecure_http = true if something else protects it"
    )]
    Insecure(SocketAddr),
    /// A bound of nothing.
    #[error("http.{field}: must be at least 1")]
    Zero {
        /// The setting.
        field: &'static str,
    },
    /// The address cannot be read.
    #[error("http: {0}")]
    Listen(String),
    /// TLS cannot be set up.
    #[error("http.tls: {0}")]
    Tls(String),
}

impl Settings {
    /// Checks the settings against the address that is served.
    ///
    /// # Errors
    /// [`SettingsError`] names the setting.
    pub fn validate(&self, listen: SocketAddr) -> Result<(), SettingsError> {
        if self.tls.is_none() && !self.insecure_http && !listen.ip().is_loopback() {
            return Err(SettingsError::Insecure(listen));
        }
        let (limits, quota) = (&self.limits, &self.quota);
        let quotas = [
            ("quota.address", quota.address),
            ("quota.key", quota.key),
            ("quota.anchors", quota.anchors),
        ];
        for (field, number) in [
            ("limits.connections", limits.connections as u64),
            (
                "limits.connections_per_address",
                limits.connections_per_address as u64,
            ),
            ("limits.header_seconds", limits.header_seconds),
            ("limits.body_seconds", limits.body_seconds),
            ("limits.write_seconds", limits.write_seconds),
            ("limits.subscribers", limits.subscribers as u64),
        ]
        .into_iter()
        .chain(quotas.map(|(field, quota)| (field, quota.per_second.min(quota.burst).into())))
        {
            if number == 0 {
                return Err(SettingsError::Zero { field });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_unless_somebody_says_so() {
        let mut settings = Settings::default();
        let public = "10.0.0.1:7600".parse().expect("an address");
        for loopback in ["127.0.0.1:7600", "[::1]:7600"] {
            assert_eq!(
                settings.validate(loopback.parse().expect("an address")),
                Ok(())
            );
        }
        assert_eq!(
            settings.validate(public),
            Err(SettingsError::Insecure(public))
        );
        settings.insecure_http = true;
        assert_eq!(settings.validate(public), Ok(()));
        settings.quota.key.burst = 0;
        let error = settings.validate(public);
        assert_eq!(error, Err(SettingsError::Zero { field: "quota.key" }));
    }
}
