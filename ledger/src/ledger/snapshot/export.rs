//! Making a snapshot.

use std::io;

use super::{CHUNK_VERSION, Item, MAX_CHUNK_BYTES, Manifest, SnapshotError, chunk_hash};
use crate::ids::{AgencyId, Height};
use crate::ledger::{Ledger, LedgerError};
use crate::machine::{StoredLeaf, View};
use crate::store::Store;
use crate::tree::{Reader, Visit};
use zkbureau_circuits::encoding::{Digest32, Document};

/// Changes of validators read at a time.
const PAGE: usize = 64;

impl<S: Store> Ledger<S> {
    /// Writes the state at a height that is kept, chunk by chunk in order, and gives the manifest.
    /// The height stays readable meanwhile. Two ledgers give the same chunks for the same height, but
    /// for the first ones, whose certificates may differ.
    ///
    /// # Errors
    /// [`SnapshotError`] when the height is not kept, the state cannot be read, or the sink fails.
    pub fn export_snapshot(
        &self,
        at: Height,
        sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Manifest, SnapshotError> {
        let _pin = self.pin(at)?;
        let signed = self.signed_header(at)?;
        let signed = signed.ok_or(SnapshotError::NoHeader(at))?;
        let view = self.view(at)?;
        let mut chunks = Chunks {
            sink,
            open: Vec::with_capacity(MAX_CHUNK_BYTES),
            hashes: Vec::new(),
        };
        let mut from = Height::GENESIS;
        loop {
            let page = self.validator_changes(from, PAGE)?;
            let full = page.len() == PAGE;
            for change in page {
                from = change.signed.header.height.next();
                if change.signed.header.height < at {
                    chunks.push(&Item::Change(Box::new(change)))?;
                }
            }
            if !full || from > at {
                break;
            }
        }
        chunks.flush()?;
        let trust_chunks = chunks.hashes.len();
        walk(&view.registry(), |path, value| {
            chunks.push(&Item::Value {
                path: *path,
                value: value.to_vec(),
            })
        })?;
        for (agency, _) in &view.trees.agencies {
            chunks.push(&Item::Agency(*agency))?;
            self.export_leaves(&view, *agency, &mut chunks)?;
        }
        chunks.flush()?;
        let manifest = Manifest {
            chain_id: *self.chain_id(),
            signed,
            roots: view.trees.roots(),
            trust_chunks: u32::try_from(trust_chunks).map_err(|_| SnapshotError::TooLarge)?,
            chunks: chunks.hashes,
        };
        if manifest.to_bytes().len() > Manifest::MAX_BYTES {
            return Err(SnapshotError::TooLarge);
        }
        Ok(manifest)
    }

    fn export_leaves<W: FnMut(&[u8]) -> io::Result<()>>(
        &self,
        view: &View<'_, S>,
        agency: AgencyId,
        chunks: &mut Chunks<W>,
    ) -> Result<(), SnapshotError> {
        let Some(reader) = view.agency(agency) else {
            return Ok(());
        };
        walk(&reader, |index, record| {
            let damaged = LedgerError::Damaged("a leaf");
            let stored = StoredLeaf::decode(record).ok_or(damaged)?;
            chunks.push(&Item::Leaf {
                index: *index,
                holder_tag: stored.leaf.holder_tag,
                entries: stored.leaf.entries,
            })?;
            for entry in self.entries(agency, &stored)? {
                chunks.push(&Item::Entry(entry))?;
            }
            Ok(())
        })
    }
}

/// Visits every leaf of a tree until one fails.
fn walk<S: Store>(
    reader: &Reader<'_, S>,
    mut visit: impl FnMut(&Digest32, &[u8]) -> Result<(), SnapshotError>,
) -> Result<(), SnapshotError> {
    let mut result = Ok(());
    reader
        .walk(&[0; 32], &mut |key, value| {
            result = visit(key, value);
            match result {
                Ok(()) => Visit::Continue,
                Err(_) => Visit::Stop,
            }
        })
        .map_err(LedgerError::from)?;
    result
}

/// Fills chunks as far as the next item fits, so that a state has one list of chunks.
struct Chunks<W> {
    sink: W,
    open: Vec<u8>,
    hashes: Vec<Digest32>,
}

impl<W: FnMut(&[u8]) -> io::Result<()>> Chunks<W> {
    fn push(&mut self, item: &Item) -> Result<(), SnapshotError> {
        let bytes = borsh::to_vec(item).expect("encoding into memory");
        if self.open.len() + bytes.len() > MAX_CHUNK_BYTES {
            self.flush()?;
        }
        if self.open.is_empty() {
            self.open.push(CHUNK_VERSION);
        }
        self.open.extend_from_slice(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SnapshotError> {
        if !self.open.is_empty() {
            (self.sink)(&self.open)?;
            self.hashes.push(chunk_hash(&self.open));
            self.open.clear();
        }
        Ok(())
    }
}
