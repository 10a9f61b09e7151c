//! Batches of one agency: leaves, logs and the column.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use zkbureau_circuits::RistrettoPoint;
use zkbureau_circuits::directory::Index;
use zkbureau_circuits::encoding::{Digest32, Document, PointBytes};
use zkbureau_circuits::log::LogEntry;

use super::error::TxError;
use super::execute::Refusal;
use super::stateless::{Checked, EntryPoints};
use super::stored_leaf::{StoredLeaf, log_key, stored_value_hash};
use crate::ids::{AgencyId, Height, TimeMs};
use crate::state::Column;
use crate::store::{ChangeSet, Store, Table};
use crate::transaction::{BatchBody, BatchEntry, PublishBatch};
use crate::tree::{NodeCache, TreeError, TreeRoot, TreeUpdate, Write, update};

/// One agency's part of the state while a block is applied to it.
pub(super) struct AgencyBatches<'a, S> {
    store: &'a S,
    agency: AgencyId,
    time: TimeMs,
    /// The column is opened in this block.
    opened: bool,
    column: Column,
    /// The column's points, decoded once per block.
    stocks: RistrettoPoint,
    flows: RistrettoPoint,
    cache: NodeCache,
    leaves: BTreeMap<Index, StoredLeaf>,
    /// Entries that were the newest of their logs before.
    log: ChangeSet,
    /// Spent on the tree.
    tree_time: Duration,
}

/// What an agency's batches changed.
pub(super) struct AgencyChanges {
    pub(super) agency: AgencyId,
    pub(super) column: Column,
    pub(super) tree: TreeUpdate,
    pub(super) log: ChangeSet,
    pub(super) tree_time: Duration,
}

/// What one entry changes.
struct EntryUpdate {
    index: Index,
    old: Option<StoredLeaf>,
    new: StoredLeaf,
    /// What the stocks total grows by.
    stocks: Option<RistrettoPoint>,
    counted: bool,
}

impl<'a, S: Store> AgencyBatches<'a, S> {
    pub(super) fn new(
        store: &'a S,
        agency: AgencyId,
        column: Column,
        root: TreeRoot,
        time: TimeMs,
        opened: bool,
    ) -> Result<Self, TreeError> {
        let decode = |point: &PointBytes| {
            point.decode().map_err(|_| TreeError::Damaged {
                tree: agency.0,
                depth: 0,
                version: 0,
            })
        };
        Ok(Self {
            store,
            agency,
            time,
            opened,
            stocks: decode(&column.stocks)?,
            flows: decode(&column.flows)?,
            column,
            cache: NodeCache::new(agency.into(), root),
            leaves: BTreeMap::new(),
            log: ChangeSet::default(),
            tree_time: Duration::ZERO,
        })
    }

    /// Applies one batch, or changes nothing.
    pub(super) fn apply(&mut self, checked: &Checked, batch: &PublishBatch) -> Result<(), Refusal> {
        let body = &batch.body;
        self.check(body)?;
        let keys: Vec<&Digest32> = body.entries.iter().map(|e| &e.index.0).collect();
        let start = Instant::now();
        self.cache.load(self.store, &keys)?;
        self.tree_time += start.elapsed();
        let updates = body
            .entries
            .par_iter()
            .zip(checked.points())
            .enumerate()
            .map(|(i, (entry, points))| self.entry(i, body, entry, points))
            .collect::<Result<Vec<_>, Refusal>>()?;

        for mut update in updates {
            match update.old {
                None => {
                    update.new.ordinal = self.column.leaves;
                    self.column.leaves += 1;
                }
                Some(old) => self.log.put(
                    Table::Log,
                    log_key(self.agency, old.ordinal, old.leaf.entries - 1),
                    borsh::to_vec(&old.newest).expect("encoding into memory"),
                ),
            }
            if let Some(stocks) = update.stocks {
                self.stocks += stocks;
            }
            self.column.changed += u64::from(update.counted);
            self.leaves.insert(update.index, update.new);
        }
        self.flows += checked
            .points()
            .iter()
            .map(|p| p.flows)
            .sum::<RistrettoPoint>();
        self.column.records += body.entries.len() as u64;
        self.column.batches = body.number;
        self.column.period = Some(body.period);
        if body.closes {
            self.column.closed = Some(body.period);
        }
        Ok(())
    }

    /// What holds for the batch as a whole.
    fn check(&self, body: &BatchBody) -> Result<(), TxError> {
        if self.opened {
            return Err(TxError::ColumnOpened(self.agency));
        }
        let expected = self.column.batches + 1;
        if body.number != expected {
            return Err(TxError::Number {
                agency: self.agency,
                expected,
                got: body.number,
            });
        }
        if let Some(column) = self.column.period.filter(|column| body.period < *column) {
            return Err(TxError::PeriodBack {
                agency: self.agency,
                column,
                got: body.period,
            });
        }
        // A period by mistake far ahead would lock the agency out of all periods before it.
        let limit = self.time.month();
        if body.period > limit {
            return Err(TxError::PeriodAhead {
                limit,
                got: body.period,
            });
        }
        Ok(())
    }

    fn entry(
        &self,
        position: usize,
        body: &BatchBody,
        entry: &BatchEntry,
        points: &EntryPoints,
    ) -> Result<EntryUpdate, Refusal> {
        let report = LogEntry {
            effective_period: entry.effective_period,
            reported_period: body.period,
            stocks: entry.stocks,
            flows: entry.flows,
        };
        let old = self.find(&entry.index)?;
        let last = old.map(|old| old.leaf.last_reported);
        let (new, stocks) = match &old {
            // The ordinal is given when it is known how many leaves come before.
            None => (
                StoredLeaf::first(report, entry.holder_tag, 0),
                Some(points.stocks),
            ),
            Some(old) => {
                // Refused only if the log is full: no leaf was reported after its column's period.
                let new = old
                    .after(report, entry.holder_tag)
                    .ok_or(TxError::LogFull { entry: position })?;
                let replaced = entry.effective_period >= old.leaf.stocks_period;
                let stocks = if replaced {
                    Some(points.stocks - self.decode(&old.leaf.stocks)?)
                } else {
                    None
                };
                (new, stocks)
            }
        };
        Ok(EntryUpdate {
            index: entry.index,
            old,
            new,
            counted: stocks.is_some() && self.column.counts_as_changed(last, body.period),
            stocks,
        })
    }

    fn find(&self, index: &Index) -> Result<Option<StoredLeaf>, TreeError> {
        if let Some(leaf) = self.leaves.get(index) {
            return Ok(Some(*leaf));
        }
        match self.cache.value(&index.0) {
            None => Ok(None),
            Some(record) => StoredLeaf::decode(record)
                .map(Some)
                .ok_or_else(|| self.damaged()),
        }
    }

    fn decode(&self, point: &PointBytes) -> Result<RistrettoPoint, TreeError> {
        point.decode().map_err(|_| self.damaged())
    }

    fn damaged(&self) -> TreeError {
        TreeError::Damaged {
            tree: self.agency.0,
            depth: 0,
            version: self.cache.root().version.unwrap_or_default().0,
        }
    }

    /// The new version of the agency's tree; none when no batch was applied.
    pub(super) fn finish(mut self, height: Height) -> Result<Option<AgencyChanges>, TreeError> {
        if self.leaves.is_empty() {
            return Ok(None);
        }
        self.column.stocks = self.stocks.into();
        self.column.flows = self.flows.into();
        let writes = self
            .leaves
            .into_iter()
            .map(|(index, stored)| Write {
                key: index.0,
                value: stored.leaf.to_bytes(),
                record: stored.encode(),
            })
            .collect();
        let start = Instant::now();
        let tree = update(&self.cache, height, writes, &stored_value_hash)?;
        Ok(Some(AgencyChanges {
            agency: self.agency,
            column: self.column,
            tree,
            log: self.log,
            tree_time: self.tree_time + start.elapsed(),
        }))
    }
}
