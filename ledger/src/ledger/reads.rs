//! Reading the ledger: blocks, and the state at any height that is kept.

use zkbureau_circuits::directory::Index;
use zkbureau_circuits::encoding::{Digest32, Document};
use zkbureau_circuits::log::{self, EMPTY_LOG, LogEntry};

use super::{Ledger, LedgerError, load_header, load_trees};
use crate::block::{Block, Header, SignedHeader};
use crate::ids::{AgencyId, AnchorId, AuditId, Height, TxHash};
use crate::machine::{StoredLeaf, View, log_key};
use crate::state::{
    AnchorState, AuditState, CardState, Column, Columns, Leaf, LeafProof, LogSuffix, NamedCard,
    RegistryKey, RegistryProof, Roots, card_name_hash,
};
use crate::store::{Store, Table};
use crate::tree::{TreeError, Visit};

/// Leaves read from the store at a time.
const PAGE: usize = 1024;

impl<S: Store> Ledger<S> {
    /// A header with its certificate; none at height 0 and beyond the last block.
    ///
    /// # Errors
    /// [`LedgerError`] when the store fails.
    pub fn signed_header(&self, height: Height) -> Result<Option<SignedHeader>, LedgerError> {
        load_header(self.store(), height)
    }

    /// A block.
    ///
    /// # Errors
    /// [`LedgerError`] when the store fails.
    pub fn block(&self, height: Height) -> Result<Option<Block>, LedgerError> {
        self.store()
            .get(Table::Blocks, &height.0.to_be_bytes())?
            .map(|bytes| Block::from_bytes(&bytes).map_err(|_| LedgerError::Damaged("a block")))
            .transpose()
    }

    /// The header of a block and the number of its transactions, which are not decoded.
    ///
    /// # Errors
    /// [`LedgerError`] when the store fails.
    pub fn block_summary(&self, height: Height) -> Result<Option<(Header, u32)>, LedgerError> {
        self.store()
            .get(Table::Blocks, &height.0.to_be_bytes())?
            .map(|bytes| Block::summary(&bytes).ok_or(LedgerError::Damaged("a block")))
            .transpose()
    }

    /// Where a final transaction stands: height and position in the block.
    ///
    /// # Errors
    /// [`LedgerError`] when the store fails.
    pub fn transaction(&self, hash: &TxHash) -> Result<Option<(Height, u32)>, LedgerError> {
        let Some(place) = self.store().get(Table::Transactions, hash.as_bytes())? else {
            return Ok(None);
        };
        let parse = || {
            let (height, position) = place.split_first_chunk::<8>()?;
            Some((
                Height(u64::from_be_bytes(*height)),
                u32::from_be_bytes(position.try_into().ok()?),
            ))
        };
        parse()
            .map(Some)
            .ok_or(LedgerError::Damaged("the index of transactions"))
    }

    /// The roots of all trees.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height is not kept.
    pub fn roots(&self, at: Height) -> Result<Roots, LedgerError> {
        Ok(self.view(at)?.trees.roots())
    }

    /// A value of the registry, or its absence, with its proof.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height is not kept.
    pub fn registry_proof(
        &self,
        at: Height,
        key: &RegistryKey,
    ) -> Result<RegistryProof, LedgerError> {
        self.read(at, |view| view.registry_proof(key))
    }

    /// A leaf, or its absence, with its proof.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height is not kept.
    pub fn leaf_proof(
        &self,
        at: Height,
        agency: AgencyId,
        index: &Index,
    ) -> Result<LeafProof, LedgerError> {
        self.read(at, |view| view.leaf_proof(agency, &index.0))?
            .ok_or(LedgerError::UnknownAgency(agency))
    }

    /// A card by its content hash.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height is not kept.
    pub fn card(&self, at: Height, hash: &Digest32) -> Result<Option<CardState>, LedgerError> {
        self.read(at, |view| view.value(&RegistryKey::Card(*hash)))
    }

    /// The content hash of the card that a name stands for.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height is not kept.
    pub fn card_named(&self, at: Height, name: &str) -> Result<Option<Digest32>, LedgerError> {
        let key = RegistryKey::CardName(card_name_hash(name));
        let named: Option<NamedCard> = self.read(at, |view| view.value(&key))?;
        Ok(named.map(|card| card.0))
    }

    /// A leaf.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height is not kept.
    pub fn leaf(
        &self,
        at: Height,
        agency: AgencyId,
        index: &Index,
    ) -> Result<Option<Leaf>, LedgerError> {
        let stored = self.read(at, |view| view.stored_leaf(agency, &index.0))?;
        Ok(stored.map(|stored| stored.leaf))
    }

    /// All entries of a leaf's log, oldest first; none without a leaf.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height is not kept.
    pub fn log(
        &self,
        at: Height,
        agency: AgencyId,
        index: &Index,
    ) -> Result<Vec<LogEntry>, LedgerError> {
        match self.read(at, |view| view.stored_leaf(agency, &index.0))? {
            None => Ok(Vec::new()),
            Some(stored) => self.entries(agency, &stored),
        }
    }

    /// The end of a leaf's log, from entry number `first` on. Without a leaf, or with `first` beyond
    /// the log, there are no entries.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height is not kept.
    pub fn log_suffix(
        &self,
        at: Height,
        agency: AgencyId,
        index: &Index,
        first: u32,
    ) -> Result<LogSuffix, LedgerError> {
        let mut log = self.log(at, agency, index)?;
        let first = usize::try_from(first).unwrap_or(usize::MAX).min(log.len());
        let entries = log.split_off(first);
        Ok(LogSuffix {
            before: log::chain(&EMPTY_LOG, &log),
            entries,
        })
    }

    /// The columns of all agencies.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height is not kept.
    pub fn columns(&self, at: Height) -> Result<Columns, LedgerError> {
        self.read(at, |view| view.columns())
    }

    /// The column of an agency.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height is not kept.
    pub fn column(&self, at: Height, agency: AgencyId) -> Result<Column, LedgerError> {
        let columns = self.columns(at)?;
        columns
            .get(agency)
            .copied()
            .ok_or(LedgerError::UnknownAgency(agency))
    }

    /// An anchor.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height is not kept.
    pub fn anchor(&self, at: Height, id: AnchorId) -> Result<Option<AnchorState>, LedgerError> {
        self.read(at, |view| view.anchor(id))
    }

    /// An audit request.
    ///
    /// # Errors
    /// [`LedgerError::Pruned`] when the height is not kept.
    pub fn audit(&self, at: Height, id: AuditId) -> Result<Option<AuditState>, LedgerError> {
        self.read(at, |view| view.audit(id))
    }

    /// All leaves of an agency, in ascending order of their indexes. A pruned height ends the
    /// iteration with an error.
    #[must_use]
    pub fn leaves(&self, at: Height, agency: AgencyId) -> Leaves<'_, S> {
        Leaves {
            ledger: self,
            at,
            agency,
            next: Some([0; 32]),
            page: Vec::new().into_iter(),
        }
    }

    /// The state at a height.
    pub(super) fn view(&self, at: Height) -> Result<View<'_, S>, LedgerError> {
        let state = self.tip_state();
        let trees = if at == state.tip.height {
            Some(state.trees.clone())
        } else {
            load_trees(self.store(), at)?
        };
        Ok(View {
            store: self.store(),
            height: at,
            trees: trees.ok_or(LedgerError::Pruned {
                at,
                last: state.tip.height,
            })?,
        })
    }

    /// Reads at a height. A node that is missing because the height was pruned meanwhile is no
    /// damage.
    pub(super) fn read<T>(
        &self,
        at: Height,
        read: impl FnOnce(&View<'_, S>) -> Result<T, TreeError>,
    ) -> Result<T, LedgerError> {
        let result = read(&self.view(at)?);
        if let Err(TreeError::Damaged { .. }) = result {
            // Fails with `Pruned` if that is the reason.
            self.view(at)?;
        }
        Ok(result?)
    }

    /// The entries of a stored leaf, oldest first.
    pub(super) fn entries(
        &self,
        agency: AgencyId,
        stored: &StoredLeaf,
    ) -> Result<Vec<LogEntry>, LedgerError> {
        let older = stored.leaf.entries - 1;
        let mut entries = Vec::new();
        let mut damaged = false;
        let first = log_key(agency, stored.ordinal, 0);
        let prefix = &first[..12];
        self.store()
            .scan(Table::Log, prefix, &first, &mut |key, value| {
                // Entries after the height that is read are not this leaf's.
                if key >= log_key(agency, stored.ordinal, older).as_slice() {
                    return false;
                }
                match borsh::from_slice(value) {
                    Ok(entry) => entries.push(entry),
                    Err(_) => damaged = true,
                }
                !damaged
            })?;
        entries.push(stored.newest);
        let complete = entries.len() as u64 == u64::from(stored.leaf.entries);
        if damaged || !complete || log::chain(&EMPTY_LOG, &entries) != stored.leaf.log_head {
            return Err(LedgerError::Damaged("a log"));
        }
        Ok(entries)
    }
}

/// Iterates over the leaves of an agency, page by page.
pub struct Leaves<'a, S> {
    ledger: &'a Ledger<S>,
    at: Height,
    agency: AgencyId,
    /// Where the next page starts; none after the last.
    next: Option<[u8; 32]>,
    page: std::vec::IntoIter<(Index, Leaf)>,
}

impl<S: Store> Leaves<'_, S> {
    fn load(&self, from: &[u8; 32]) -> Result<Vec<(Index, Leaf)>, LedgerError> {
        let mut page = Vec::with_capacity(PAGE);
        let mut damaged = false;
        self.ledger.read(self.at, |view| {
            let Some(reader) = view.agency(self.agency) else {
                return Ok(());
            };
            reader.walk(from, &mut |key, record| {
                match StoredLeaf::decode(record) {
                    Some(stored) => page.push((Index(*key), stored.leaf)),
                    None => damaged = true,
                }
                if damaged || page.len() == PAGE {
                    Visit::Stop
                } else {
                    Visit::Continue
                }
            })
        })?;
        if damaged {
            return Err(LedgerError::Damaged("a leaf"));
        }
        Ok(page)
    }
}

impl<S: Store> Iterator for Leaves<'_, S> {
    type Item = Result<(Index, Leaf), LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(leaf) = self.page.next() {
            return Some(Ok(leaf));
        }
        let from = self.next.take()?;
        match self.load(&from) {
            Err(error) => Some(Err(error)),
            Ok(page) => {
                if page.len() == PAGE {
                    self.next = page.last().and_then(|(index, _)| successor(&index.0));
                }
                self.page = page.into_iter();
                self.page.next().map(Ok)
            }
        }
    }
}

/// The next 256-bit number; none after the largest.
fn successor(key: &[u8; 32]) -> Option<[u8; 32]> {
    let mut next = *key;
    for byte in next.iter_mut().rev() {
        let (sum, overflow) = byte.overflowing_add(1);
        *byte = sum;
        if !overflow {
            return Some(next);
        }
    }
    None
}
