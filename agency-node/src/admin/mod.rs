//! The administration socket: a Unix socket that only the node's user can open. Lines of JSON, see
//! [`protocol`].
//!
//! - [`import`]: one file on its way to the ledger;
//! - [`cards`]: scorecards in the agency's name;
//! - [`governance`]: proposals and votes; [`keys`]: an agency's keys; [`snapshot`]: copies of the ledger.
//!
//! # Correctness
//! The socket is bound inside a fresh directory that nobody else can enter, restricted, and then moved to its
//! place, so there is no moment at which another user could connect.

pub mod cards;
pub mod governance;
pub mod import;
pub mod keys;
pub mod protocol;
pub mod snapshot;

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use zkbureau_circuits::ids::AgencyId;

use self::protocol::{Event, MAX_LINE, Progress, Request, Step};
use crate::datadir::DataDir;
use crate::service::Agencies;
use zkbureau_agency_node::agency::Agency;
use zkbureau_agency_node::http::Status;
use zkbureau_agency_node::node::{Node, now};
use zkbureau_ledger::RocksStore;

/// Connections served at once.
const MAX_CONNECTIONS: usize = 16;
/// A request must arrive within this time.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Progress is sent no more often than this.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// Longest path of a Unix socket on Linux.
const MAX_PATH: usize = 107;

/// The bound socket. Its file goes away with it.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The next start replaces a leftover anyway.
        let _ = fs::remove_file(&self.path);
    }
}

impl Socket {
    /// Binds the socket of a data directory. The caller holds the directory's lock, so a file that
    /// lies there is a leftover.
    pub fn bind(data: &DataDir, runtime: &tokio::runtime::Handle) -> Result<Self> {
        let path = data.socket();
        let private = data.path().join(".admin");
        let inside = private.join("s");
        if path.as_os_str().len() > MAX_PATH || inside.as_os_str().len() > MAX_PATH {
            bail!(
                "{}: a socket's path has at most {MAX_PATH} bytes; use a shorter data directory",
                path.display()
            );
        }
        let bind = || -> io::Result<UnixListener> {
            if private.exists() {
                fs::remove_dir_all(&private)?;
            }
            fs::DirBuilder::new().mode(0o700).create(&private)?;
            let _context = runtime.enter();
            let listener = UnixListener::bind(&inside)?;
            fs::set_permissions(&inside, fs::Permissions::from_mode(0o600))?;
            fs::rename(&inside, &path)?;
            fs::remove_dir(&private)?;
            Ok(listener)
        };
        let listener = bind().with_context(|| path.display().to_string())?;
        Ok(Self { listener, path })
    }

    /// Serves until `stopped` resolves and the requests in hand are done.
    pub async fn serve(
        self,
        node: Arc<Node>,
        data: DataDir,
        stopped: impl Future<Output = ()> + Send,
    ) {
        let mut jobs = JoinSet::new();
        tokio::pin!(stopped);
        loop {
            while jobs.try_join_next().is_some() {}
            tokio::select! {
                () = &mut stopped => break,
                _ = jobs.join_next(), if jobs.len() >= MAX_CONNECTIONS => {}
                accepted = self.listener.accept(), if jobs.len() < MAX_CONNECTIONS => {
                    match accepted.and_then(|(stream, _)| stream.into_std()) {
                        Ok(stream) => {
                            let (node, data) = (node.clone(), data.clone());
                            jobs.spawn_blocking(move || connection(stream, &node, &data));
                        }
                        Err(error) => {
                            tracing::warn!(%error, "administration socket");
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        }
                    }
                }
            }
        }
        drop(self);
        while jobs.join_next().await.is_some() {}
    }
}

/// A request that was not carried out.
pub struct Failure {
    /// What is wrong.
    pub error: anyhow::Error,
    /// Whether the request itself is at fault.
    pub usage: bool,
}

impl Failure {
    /// The answer is no.
    pub fn refused(error: anyhow::Error) -> Self {
        Self {
            error,
            usage: false,
        }
    }

    /// The request is at fault.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            error: error.into(),
            usage: true,
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            usage: false,
        }
    }
}

fn connection(stream: StdStream, node: &Node, data: &DataDir) {
    let run = || -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
        let mut line = String::new();
        BufReader::new(&stream)
            .take(MAX_LINE as u64)
            .read_line(&mut line)?;
        let reporter = Reporter::new(&stream);
        let event = match serde_json::from_str::<Request>(&line) {
            Err(error) => Event::Failed {
                message: format!("request: {error}"),
                usage: true,
            },
            Ok(request) => match handle(request, node, data, &reporter) {
                Ok(result) => Event::Done { result },
                Err(failure) => Event::Failed {
                    message: format!("{:#}", failure.error),
                    usage: failure.usage,
                },
            },
        };
        reporter.send(&event)
    };
    if let Err(error) = run() {
        tracing::debug!(%error, "administration connection");
    }
}

fn handle(
    request: Request,
    node: &Node,
    data: &DataDir,
    reporter: &Reporter<'_>,
) -> Result<Value, Failure> {
    match request {
        Request::Import(request) => import::run(&request, node, data, reporter),
        Request::VerifyVault { agency } => verify(node, agency, reporter),
        Request::Status => status(node),
        Request::Backup { agency, out } => backup(node, agency, &out),
        Request::Propose { proposal } => governance::propose(node, proposal),
        Request::Vote { proposal } => governance::vote(node, &proposal),
        Request::Governance => governance::list(node),
        Request::Keys => keys::show(agency_of(node, None)?),
        Request::RotateKeys {
            kinds,
            days,
            submit,
        } => keys::rotate(node, &kinds, days, submit),
        Request::Snapshot { out } => snapshot::write(node, &out),
        Request::RegisterCard { agency, card } => cards::register(node, agency, &card),
    }
}

fn status(node: &Node) -> Result<Value, Failure> {
    let mut value = serde_json::to_value(Status::read(node)?)?;
    let vaults = node
        .agencies
        .values()
        .map(|agency| anyhow::Ok(serde_json::to_value(agency.status())?))
        .collect::<Result<Vec<_>>>()?;
    value["vaults"] = json!(vaults);
    let pool = node.pool();
    value["waiting"] = json!({
        "transactions": pool.len(),
        "batch_bytes": pool.bulk_bytes(),
    });
    value["ready"] = match node.readiness() {
        Ok(()) => json!({ "ready": true }),
        Err(reason) => json!({ "ready": false, "reason": reason.to_string() }),
    };
    if let Some(network) = node.network() {
        let peers = network.peers().into_iter().map(|peer| {
            json!({
                "name": peer.name.to_string(),
                "peer_id": peer.peer_id,
                "connected": peer.connected,
                "through": peer.through,
                "height": peer.height,
                "queued_bytes": peer.queued_bytes,
            })
        });
        value["peers"] = peers.collect();
    }
    value["pid"] = json!(std::process::id());
    Ok(value)
}

fn backup(node: &Node, agency: Option<AgencyId>, out: &Path) -> Result<Value, Failure> {
    let agency = agency_of(node, agency)?;
    let manifest = agency.vault().backup(out, now())?;
    tracing::info!(
        agency = agency.id().0,
        batches = manifest.batches,
        "vault backup"
    );
    Ok(serde_json::to_value(manifest)?)
}

fn verify(node: &Node, only: Option<AgencyId>, reporter: &Reporter<'_>) -> Result<Value, Failure> {
    if let Some(agency) = only
        && !node.agencies.contains_key(&agency)
    {
        return Err(Failure::usage(anyhow!("this node does not run {agency}")));
    }
    // Nothing may be published under a check that compares with the ledger.
    let _still = node
        .importing
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    verify_all(&node.agencies, only, &|progress| {
        reporter.progress(progress)
    })
    .map_err(Into::into)
}

/// The agency that is meant: the named one, or the only one.
fn agency_of(node: &Node, named: Option<AgencyId>) -> Result<&Arc<Agency<RocksStore>>, Failure> {
    match named {
        Some(id) => node
            .agencies
            .get(&id)
            .ok_or_else(|| Failure::usage(anyhow!("this node does not run {id}"))),
        None => match node.agencies.values().collect::<Vec<_>>()[..] {
            [agency] => Ok(agency),
            _ => Err(Failure::usage(anyhow!(
                "this node runs several agencies; say which: --agency N"
            ))),
        },
    }
}

/// Checks vaults against the ledger; the same for a running and a stopped node.
pub fn verify_all(
    agencies: &Agencies,
    only: Option<AgencyId>,
    progress: &dyn Fn(Progress),
) -> Result<Value> {
    let mut results = Vec::new();
    for (id, agency) in agencies {
        if only.is_some_and(|only| only != *id) {
            continue;
        }
        let start = Instant::now();
        let check = agency
            .verify(&|done| {
                progress(Progress {
                    step: Step::Verifying,
                    done,
                    total: None,
                });
            })
            .with_context(|| id.to_string())?;
        let mut value = serde_json::to_value(&check)?;
        value["agency"] = json!(id);
        value["clean"] = json!(check.is_clean());
        value["seconds"] = json!(start.elapsed().as_secs_f64());
        results.push(value);
    }
    Ok(json!({ "vaults": results }))
}

/// Sends events to one client.
pub struct Reporter<'a> {
    stream: &'a StdStream,
    last: Mutex<Option<Instant>>,
}

impl<'a> Reporter<'a> {
    fn new(stream: &'a StdStream) -> Self {
        Self {
            stream,
            last: Mutex::new(None),
        }
    }

    /// Sends progress, unless some was sent just now. A client that has gone misses it: what it
    /// asked for is finished all the same.
    pub fn progress(&self, progress: protocol::Progress) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let end = progress.total == Some(progress.done);
        if end || last.is_none_or(|t| t.elapsed() >= PROGRESS_INTERVAL) {
            *last = Some(Instant::now());
            let _ = self.send(&Event::Progress(progress));
        }
    }

    fn send(&self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        let mut stream = self.stream;
        stream.write_all(&line)
    }
}
