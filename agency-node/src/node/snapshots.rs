//! Snapshots in folders: written for an operator or for other nodes, and handed out chunk by chunk.
//!
//! ```text
//! FOLDER/manifest     what the chunks are
//! FOLDER/000000 …     the chunks
//! ```
//!
//! What is in them, and why nobody need trust who made one: `ledger/spec/snapshot.md`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use borsh::{BorshDeserialize, BorshSerialize};
use thiserror::Error;
use zkbureau_circuits::encoding::Document;
use zkbureau_ledger::ids::{AgencyId, Height};
use zkbureau_ledger::ledger::{MAX_CHUNK_BYTES, Manifest, SnapshotError};
use zkbureau_ledger::{Ledger, Store};

use super::Node;
use super::ask::AskError;

const MANIFEST: &str = "manifest";
/// Snapshots for others stand at heights that are multiples of this, so that several nodes make the same and nobody
/// can have one made at every height.
pub const GRID: u64 = 16;
/// Snapshots that are kept for others.
const KEPT: usize = 2;
/// One for others is begun no sooner than this after the one before: it reads all of the state.
const REST: Duration = Duration::from_secs(60);

/// What a node asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum SnapshotAsk {
    /// How far the other is.
    Tip,
    /// The manifest of the snapshot at a height; asking for it makes the other write one.
    Manifest(Height),
    /// A chunk of it.
    Chunk(Height, u32),
}

/// A folder cannot be written or read.
#[derive(Debug, Error)]
pub enum FolderError {
    /// A file.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// Its manifest.
    #[error("{0}: not the manifest of a snapshot")]
    Manifest(PathBuf),
    /// The ledger.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    |error| FolderError::File { path, error }
}

/// Name of a chunk's file.
fn chunk_file(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:06}"))
}

/// Writes the state at a height into a new folder. Gives the manifest and the bytes of all chunks.
///
/// # Errors
/// [`FolderError`]; a folder that is not complete has no manifest.
pub fn write<S: Store>(
    ledger: &Ledger<S>,
    height: Height,
    folder: &Path,
) -> Result<(Manifest, u64), FolderError> {
    write_unless(ledger, height, folder, &|| false)
}

/// Like [`write`], until somebody wants it to end.
fn write_unless<S: Store>(
    ledger: &Ledger<S>,
    height: Height,
    folder: &Path,
    ended: &dyn Fn() -> bool,
) -> Result<(Manifest, u64), FolderError> {
    fs::create_dir(folder).map_err(at(folder))?;
    let (mut number, mut bytes) = (0, 0);
    let manifest = ledger.export_snapshot(height, |chunk| {
        if ended() {
            return Err(io::Error::other("the node is shutting down"));
        }
        let mut file = File::create_new(chunk_file(folder, number))?;
        file.write_all(chunk)?;
        file.sync_all()?;
        number += 1;
        bytes += chunk.len() as u64;
        Ok(())
    })?;
    let path = folder.join(MANIFEST);
    let finish = || {
        let mut file = File::create_new(&path)?;
        file.write_all(&manifest.to_bytes())?;
        file.sync_all()?;
        File::open(folder)?.sync_all()
    };
    finish().map_err(at(&path))?;
    Ok((manifest, bytes))
}

/// Reads a folder's manifest.
///
/// # Errors
/// [`FolderError`].
pub fn read_manifest(folder: &Path) -> Result<Manifest, FolderError> {
    let path = folder.join(MANIFEST);
    let bytes = read_limited(&path, Manifest::MAX_BYTES).map_err(at(&path))?;
    Manifest::from_bytes(&bytes).map_err(|_| FolderError::Manifest(path))
}

/// Reads a chunk.
///
/// # Errors
/// When the file cannot be read.
pub fn read_chunk(folder: &Path, number: u32) -> io::Result<Vec<u8>> {
    read_limited(&chunk_file(folder, number), MAX_CHUNK_BYTES)
}

fn read_limited(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(limit as u64)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Snapshots for other nodes.
#[derive(Default)]
pub struct Spool {
    folder: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    making: Option<Height>,
    /// When the last one was begun.
    begun: Option<Instant>,
    ready: Vec<Height>,
}

impl Spool {
    /// Keeps them in a folder; whatever an earlier process left there is removed.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(folder: PathBuf) -> io::Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(Self {
            folder: Some(folder),
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, height: Height) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(height.to_string()))
    }

    fn is_ready(&self, height: Height) -> bool {
        self.lock().ready.contains(&height)
    }

    /// Takes the right to make a snapshot; one is made at a time, and not one after the other.
    fn begin(&self, height: Height, now: Instant) -> bool {
        let mut state = self.lock();
        let rested = state
            .begun
            .is_none_or(|begun| now.saturating_duration_since(begun) >= REST);
        let free = state.making.is_none() && rested && height.0.is_multiple_of(GRID);
        if free {
            state.making = Some(height);
            state.begun = Some(now);
        }
        free
    }

    fn end(&self, height: Height, made: bool) {
        let mut state = self.lock();
        state.making = None;
        if made {
            state.ready.push(height);
        }
        while state.ready.len() > KEPT {
            let old = state.ready.remove(0);
            if let Some(place) = self.place(old) {
                // Whoever reads it asks somebody else.
                let _ = fs::remove_dir_all(place);
            }
        }
    }
}

impl Node {
    /// Answers another node that joins.
    pub(super) async fn answer_snapshot(
        self: &Arc<Self>,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, AskError> {
        let node = self.clone();
        let own = self.agencies.keys().next().copied().unwrap_or(AgencyId(0));
        let work = tokio::task::spawn_blocking(move || node.snapshot_part(&body, own));
        work.await.unwrap_or(Err(AskError::Unavailable(own)))
    }

    fn snapshot_part(self: &Arc<Self>, body: &[u8], own: AgencyId) -> Result<Vec<u8>, AskError> {
        let ask: SnapshotAsk = borsh::from_slice(body).map_err(|e| AskError::Malformed {
            field: "body".to_owned(),
            limit: None,
            detail: e.to_string(),
        })?;
        let unavailable = || AskError::Unavailable(own);
        let read = |height: Height, file: &dyn Fn(&Path) -> io::Result<Vec<u8>>| {
            let place = self
                .snapshots
                .place(height)
                .filter(|_| self.snapshots.is_ready(height));
            let place = place.ok_or(AskError::Unknown(own))?;
            file(&place).map_err(|_| unavailable())
        };
        match ask {
            SnapshotAsk::Tip => Ok(self.ledger.tip().height.0.to_le_bytes().to_vec()),
            SnapshotAsk::Chunk(height, number) => read(height, &|place| read_chunk(place, number)),
            SnapshotAsk::Manifest(height) => {
                if self.snapshots.is_ready(height) {
                    return read(height, &|place| {
                        read_limited(&place.join(MANIFEST), Manifest::MAX_BYTES)
                    });
                }
                if !height.0.is_multiple_of(GRID) || self.ledger.roots(height).is_err() {
                    return Err(AskError::Unknown(own));
                }
                // The asker comes again.
                self.make_snapshot(height);
                Err(unavailable())
            }
        }
    }

    /// Starts to write a snapshot for others, unless one is being written.
    fn make_snapshot(self: &Arc<Self>, height: Height) {
        let Some(place) = self.snapshots.place(height) else {
            return;
        };
        if !self.snapshots.begin(height, Instant::now()) {
            return;
        }
        let node = self.clone();
        std::thread::spawn(move || {
            let outcome = write_unless(&node.ledger, height, &place, &|| node.is_stopping());
            match &outcome {
                Ok((manifest, bytes)) => tracing::info!(
                    height = height.0,
                    chunks = manifest.chunks.len(),
                    bytes,
                    "snapshot for a node that joins"
                ),
                Err(error) => {
                    tracing::warn!(height = height.0, %error, "no snapshot");
                    let _ = fs::remove_dir_all(&place);
                }
            }
            node.snapshots.end(height, outcome.is_ok());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_keeps_a_node_busy_with_snapshots() {
        let spool = Spool::default();
        let now = Instant::now();
        assert!(!spool.begin(Height(GRID + 1), now), "off the grid");
        assert!(spool.begin(Height(GRID), now));
        assert!(!spool.begin(Height(2 * GRID), now), "one at a time");
        spool.end(Height(GRID), true);
        assert!(!spool.begin(Height(2 * GRID), now + REST / 2), "no rest");
        assert!(spool.begin(Height(2 * GRID), now + REST));
    }
}
