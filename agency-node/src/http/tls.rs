//! TLS by rustls: certificate and key from files, read again when they change.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::settings::{SettingsError, TlsFiles};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The certificate in use.
pub struct Certificates {
    files: TlsFiles,
    seen: Option<Stamp>,
    config: watch::Sender<Arc<ServerConfig>>,
}

/// When the two files changed last.
type Stamp = (SystemTime, SystemTime);

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// [`SettingsError::Tls`] says which file and what is wrong.
    pub fn open(files: TlsFiles) -> Result<Self, SettingsError> {
        // Looked at before they are read: a change in between is seen the next time.
        let seen = stamp(&files);
        let config = load(&files)?;
        Ok(Self {
            files,
            seen,
            config: watch::Sender::new(Arc::new(config)),
        })
    }

    /// Keeps looking at the files for as long as the result lives.
    pub fn watch(mut self) -> Watched {
        let config = self.config.subscribe();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                self = match tokio::task::spawn_blocking(move || {
                    self.look();
                    self
                })
                .await
                {
                    Ok(same) => same,
                    Err(_) => return,
                };
            }
        });
        Watched { config, task }
    }

    /// Reads the files again if they changed. A half-written pair is tried again the next time, and
    /// the old certificate stays in use.
    fn look(&mut self) {
        let stamp = stamp(&self.files);
        if stamp == self.seen {
            return;
        }
        match load(&self.files) {
            Ok(config) => {
                self.config.send_replace(Arc::new(config));
                self.seen = stamp;
                tracing::info!("the TLS certificate was read again");
            }
            Err(error) => tracing::warn!(%error, "the old TLS certificate stays in use"),
        }
    }
}

/// A certificate that follows its files.
pub struct Watched {
    config: watch::Receiver<Arc<ServerConfig>>,
    task: JoinHandle<()>,
}

impl Watched {
    /// For the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.borrow().clone())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn stamp(files: &TlsFiles) -> Option<Stamp> {
    let changed = |path| fs::metadata(path).and_then(|m| m.modified()).ok();
    Some((changed(&files.certificate)?, changed(&files.key)?))
}

fn load(files: &TlsFiles) -> Result<ServerConfig, SettingsError> {
    let error = |path: &std::path::Path, e: &dyn std::fmt::Display| {
        SettingsError::Tls(format!("{}: {e}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| error(&files.certificate, &e))?;
    if chain.is_empty() {
        return Err(error(&files.certificate, &"no certificate in it"));
    }
    // A parser's message could hold a piece of what it read; a key is never part of a message.
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|_| error(&files.key, &"cannot be read as a PEM private key"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| SettingsError::Tls(e.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| error(&files.certificate, &e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
