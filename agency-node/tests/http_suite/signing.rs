//! Signs requests as RFC 9421 says, written from the RFC and not from the server's code.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};
use zkbureau_agency_node::node::now;
use zkbureau_ledger::keys::PublicKey;

use crate::server::Served;
use crate::support::http::{Answer, request};

/// A client with a key.
pub struct Signing {
    pub key: SigningKey,
    /// Whom it believes to talk to.
    pub authority: Option<String>,
    /// Seconds added to the time of signing.
    pub late: i64,
    /// Always the same nonce, if set.
    pub nonce: Option<String>,
}

static NONCE: AtomicU64 = AtomicU64::new(0);

impl Signing {
    pub fn new(seed: u8) -> Self {
        Self {
            key: SigningKey::from_bytes(&[seed; 32]),
            authority: None,
            late: 0,
            nonce: None,
        }
    }

    pub fn public(&self) -> PublicKey {
        PublicKey::from_bytes(self.key.verifying_key().as_bytes()).unwrap()
    }

    /// The header fields of a signed request.
    pub fn headers(
        &self,
        served: &Served,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Vec<(String, String)> {
        let authority = self.authority.as_deref().unwrap_or(served.address());
        let nonce = self
            .nonce
            .clone()
            .unwrap_or_else(|| format!("nonce-{:08}", NONCE.fetch_add(1, Ordering::SeqCst)));
        let created = (now().0 / 1000) as i64 - self.late;
        let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)));
        let (line, covered) = if method == "POST" {
            (
                format!("\"content-digest\": {digest}\n"),
                " \"content-digest\"",
            )
        } else {
            (String::new(), "")
        };
        let params = format!(
            "(\"@method\" \"@target-uri\"{covered});created={created};nonce=\"{nonce}\";keyid=\"{}\";alg=\"ed25519\"",
            self.public()
        );
        let base = format!(
            "\"@method\": {method}\n\"@target-uri\": http://{authority}{path}\n{line}\"@signature-params\": {params}"
        );
        let signature = STANDARD.encode(self.key.sign(base.as_bytes()).to_bytes());
        vec![
            ("host".into(), authority.to_owned()),
            ("content-digest".into(), digest),
            ("signature-input".into(), format!("sig={params}")),
            ("signature".into(), format!("sig=:{signature}:")),
        ]
    }

    pub fn send(&self, served: &Served, method: &str, path: &str, body: &[u8]) -> Answer {
        let headers = self.headers(served, method, path, body);
        send(served, method, path, &headers, body)
    }
}

/// Sends a request with header fields of its own, `host` among them.
pub fn send(
    served: &Served,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Answer {
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    request(&served.url, method, path, &headers, body)
}
