//! Where a node is, and which certificates its host may show.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::NodeError;
use crate::files;

/// Largest file of certificate authorities in bytes.
const MAX_CA_FILE: usize = 1 << 20;
/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(4);

/// The certificate authorities that a node's host name is checked against. This only guards what
/// travels against listeners: whatever a node says is verified all the same.
#[derive(Clone, Debug, Default)]
pub enum Authorities {
    /// Those that browsers trust.
    #[default]
    Public,
    /// Only these, such as a consortium's own.
    Only(Arc<Vec<Certificate<'static>>>),
}

impl Authorities {
    /// Reads certificates from PEM text.
    ///
    /// # Errors
    /// [`NodeError::Authorities`] if there is none in it.
    pub fn from_pem(pem: &[u8]) -> Result<Self, NodeError> {
        let wrong = |what: &str| NodeError::Authorities(what.to_owned());
        let mut certificates = Vec::new();
        for item in parse_pem(pem) {
            match item {
                Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
                // A key beside them is none of our business.
                Ok(_) => {}
                Err(_) => return Err(wrong("the PEM text cannot be read")),
            }
        }
        if certificates.is_empty() {
            return Err(wrong("there is no certificate in the file"));
        }
        Ok(Self::Only(Arc::new(certificates)))
    }

    /// Reads a PEM file.
    ///
    /// # Errors
    /// [`NodeError::Authorities`].
    pub fn read(path: &Path) -> Result<Self, NodeError> {
        let pem =
            files::read(path, MAX_CA_FILE).map_err(|e| NodeError::Authorities(e.to_string()))?;
        Self::from_pem(&pem)
    }

    fn tls(&self) -> TlsConfig {
        let roots = match self {
            Self::Public => RootCerts::WebPki,
            Self::Only(certificates) => RootCerts::Specific(Arc::clone(certificates)),
        };
        TlsConfig::builder().root_certs(roots).build()
    }

    /// What talks HTTP under these authorities.
    pub(super) fn agent(&self) -> ureq::Agent {
        ureq::Agent::config_builder()
            .tls_config(self.tls())
            .timeout_connect(Some(CONNECT))
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .into()
    }
}

/// Checks that an address is scheme, host and maybe port, and nothing else; gives it without the
/// slash at its end.
pub(super) fn parse(url: &str) -> Result<String, NodeError> {
    let wrong = || NodeError::Url(url.to_owned());
    let trimmed = url.trim().trim_end_matches('/');
    let host = (trimmed.strip_prefix("http://"))
        .or_else(|| trimmed.strip_prefix("https://"))
        .ok_or_else(wrong)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if host.is_empty() || host.starts_with(':') || !host.chars().all(plain) {
        return Err(wrong());
    }
    Ok(trimmed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (given, kept) in [
            ("http://127.0.0.1:7600/", "http://127.0.0.1:7600"),
            (" https://node.example ", "https://node.example"),
            ("http://[::1]:7600", "http://[::1]:7600"),
        ] {
            assert_eq!(parse(given), Ok(kept.to_owned()));
        }
        for bad in [
            "",
            "127.0.0.1",
            "ftp://x",
            "http://",
            "https://:1",
            "http://a/b",
            "http://u@h",
            "http://a?b",
            "http://a b",
        ] {
            assert_eq!(parse(bad), Err(NodeError::Url(bad.into())));
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        for bad in [
            "",
            "no PEM",
            "-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n",
        ] {
            assert!(matches!(
                Authorities::from_pem(bad.as_bytes()),
                Err(NodeError::Authorities(_))
            ));
        }
    }
}
