//! Batches in the vault: entering before they are submitted, becoming final, leaving again.

use borsh::{BorshDeserialize, BorshSerialize};
use rayon::prelude::*;
use rocksdb::WriteBatch;
use zkbureau_circuits::Scalar;
use zkbureau_circuits::commitment::Opening;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::schema::{Class, Schema};
use zkbureau_ledger::TxHash;
use zkbureau_ledger::ids::Height;
use zkbureau_prover::{KeptEntry, PublicEntry};

use super::error::VaultError;
use super::records::{Entry, Handle, Head, Opener, Subject};
use super::store::{Vault, entry_key, family, period_key};

/// A final batch's bytes, undo record and column opening are kept until it is this many blocks
/// deep ...
///
/// The ledger writes every block with a sync, so it only ever forgets one when the end of its
/// write-ahead log is damaged. Twice the 128 tree versions that the ledger keeps is deeper than
/// any damage after which the rest of the ledger still works.
pub const KEPT_BLOCKS: u64 = 256;
/// ... and this many later batches are final: full batches of about 1 MiB fill a write-ahead log
/// of 64 MiB with fewer blocks than that.
pub const KEPT_BATCHES: u64 = 64;

/// How far publishing has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Progress {
    /// Number of the last batch in the vault.
    pub prepared: u64,
    /// Number of the last batch known to be final; at most `prepared`.
    pub last_final: u64,
    /// Batches up to this number have no bytes and no undo record any more.
    pub pruned: u64,
    /// Height of the last block looked at.
    pub last_block: u64,
    /// Number of people.
    pub subjects: u64,
    /// Number of entries.
    pub entries: u64,
}

/// A batch in the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BatchState {
    /// Hash of its transaction.
    pub hash: TxHash,
    /// Number of records.
    pub records: u32,
    /// The height at which it is known to be final.
    pub final_at: Option<Height>,
}

/// Openings of an agency's column totals.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub struct Column {
    /// Number of leaves.
    pub leaves: u64,
    /// Of the sum of all leaves' stocks.
    pub stocks: Opening,
    /// Of the sum of all flows ever published.
    pub flows: Opening,
}

impl Column {
    fn zero(schema: &Schema) -> Self {
        Self {
            leaves: 0,
            stocks: Opening::zero(schema, Class::Stock),
            flows: Opening::zero(schema, Class::Flow),
        }
    }

    /// The same openings under this schema or a later version of theirs. None when they are of a later one.
    #[must_use]
    pub fn under(&self, schema: &Schema) -> Option<Self> {
        Some(Self {
            leaves: self.leaves,
            stocks: self.stocks.under(schema, Class::Stock)?,
            flows: self.flows.under(schema, Class::Flow)?,
        })
    }

    /// The opening of one class.
    #[must_use]
    pub fn opening(&self, class: Class) -> &Opening {
        match class {
            Class::Stock => &self.stocks,
            Class::Flow => &self.flows,
        }
    }
}

/// A batch that is about to be submitted.
pub struct NewBatch<'a> {
    /// Its number.
    pub number: u64,
    /// The period that it reports in.
    pub reported_period: Period,
    /// Its records as they go on the ledger.
    pub entries: &'a [PublicEntry],
    /// In the same order, everything needed to open them.
    pub kept: &'a [KeptEntry],
    /// Hash of the transaction.
    pub hash: TxHash,
    /// The transaction's exact bytes.
    pub bytes: &'a [u8],
}

/// How one record's batch is undone.
#[derive(BorshSerialize, BorshDeserialize)]
struct Undo {
    handle: Handle,
    new_subject: bool,
    head: Option<Head>,
    period: Period,
    tradelines: Option<Vec<u8>>,
}

/// What one record adds to a column; signed, because a stock replaces another.
#[derive(Clone)]
struct Delta {
    x: Vec<i128>,
    blinding: Scalar,
}

impl Delta {
    fn zero(length: usize) -> Self {
        Self {
            x: vec![0; length],
            blinding: Scalar::ZERO,
        }
    }

    fn add(&mut self, opening: &Opening) {
        for (sum, x) in self.x.iter_mut().zip(opening.encoded()) {
            *sum += i128::from(*x);
        }
        self.blinding += opening.blinding();
    }

    fn subtract(&mut self, opening: &Opening) {
        for (sum, x) in self.x.iter_mut().zip(opening.encoded()) {
            *sum -= i128::from(*x);
        }
        self.blinding -= opening.blinding();
    }

    fn merge(&mut self, other: &Self) {
        for (sum, x) in self.x.iter_mut().zip(&other.x) {
            *sum += x;
        }
        self.blinding += other.blinding;
    }

    fn apply(&self, to: &Opening) -> Result<Opening, VaultError> {
        let x = to
            .encoded()
            .iter()
            .zip(&self.x)
            .map(|(x, delta)| u64::try_from(i128::from(*x) + delta).ok())
            .collect::<Option<Vec<u64>>>()
            .ok_or(VaultError::ColumnRange)?;
        Ok(Opening::from_parts(x, to.blinding() + self.blinding))
    }
}

/// One record's part of a write, encrypted.
struct Prepared {
    handle: Handle,
    subject: Option<Vec<u8>>,
    head: Vec<u8>,
    entry: ([u8; 36], Vec<u8>),
    tradelines: ([u8; 36], Vec<u8>),
    undo: Undo,
    new_leaf: bool,
    stocks: Delta,
    flows: Delta,
}

impl Vault {
    /// How far publishing has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        *self.progress_lock()
    }

    /// Puts a batch into the vault: one write, on disk when this returns.
    ///
    /// # Errors
    /// [`VaultError`]; then the vault is as before.
    pub fn put_batch(&self, opener: &Opener, new: &NewBatch<'_>) -> Result<(), VaultError> {
        let mut progress = self.progress_lock();
        if new.number != progress.prepared + 1 {
            return Err(VaultError::BatchNumber {
                expected: progress.prepared + 1,
                got: new.number,
            });
        }
        let schema = opener.schema();
        let mut column = match self.column(progress.prepared)? {
            None => Column::zero(schema),
            Some(column) => column
                .under(schema)
                .ok_or(VaultError::Damaged(family::COLUMNS))?,
        };
        let parts = new
            .kept
            .par_iter()
            .zip(new.entries)
            .map(|(kept, public)| self.prepare(opener, new, kept, public))
            .collect::<Result<Vec<_>, _>>()?;

        let mut batch = WriteBatch::default();
        let mut stocks = Delta::zero(column.stocks.encoded().len());
        let mut flows = Delta::zero(column.flows.encoded().len());
        let mut next = *progress;
        let mut undo = Vec::with_capacity(parts.len());
        for part in parts {
            if let Some(subject) = &part.subject {
                self.put_sealed(
                    &mut batch,
                    family::SUBJECTS,
                    part.handle.as_bytes(),
                    subject,
                );
                next.subjects += 1;
            }
            self.put_sealed(
                &mut batch,
                family::HEADS,
                part.handle.as_bytes(),
                &part.head,
            );
            self.put_sealed(&mut batch, family::ENTRIES, &part.entry.0, &part.entry.1);
            let (key, tradelines) = &part.tradelines;
            self.put_sealed(&mut batch, family::TRADELINES, key, tradelines);
            next.entries += 1;
            column.leaves += u64::from(part.new_leaf);
            stocks.merge(&part.stocks);
            flows.merge(&part.flows);
            undo.push(part.undo);
        }
        column.stocks = stocks.apply(&column.stocks)?;
        column.flows = flows.apply(&column.flows)?;
        next.prepared = new.number;

        let key = new.number.to_be_bytes();
        self.put(&mut batch, family::COLUMNS, &key, &column);
        self.put(&mut batch, family::UNDO, &key, &undo);
        let outbox = self.cipher.seal(family::OUTBOX, &key, new.bytes);
        self.put_sealed(&mut batch, family::OUTBOX, &key, &outbox);
        let state = BatchState {
            hash: new.hash,
            records: u32::try_from(new.kept.len()).unwrap_or(u32::MAX),
            final_at: None,
        };
        self.put(&mut batch, family::BATCHES, &key, &state);
        self.put_progress(&mut batch, &next);
        self.write_synced(batch)?;
        *progress = next;
        Ok(())
    }

    fn prepare(
        &self,
        opener: &Opener,
        new: &NewBatch<'_>,
        kept: &KeptEntry,
        public: &PublicEntry,
    ) -> Result<Prepared, VaultError> {
        let schema = opener.schema();
        let handle = self.handle(&kept.subject);
        let known = self.subject(&handle)?;
        let subject = Subject {
            subject: kept.subject.clone(),
            index: kept.known.index,
            salt: kept.known.salt.clone(),
            holder_tag: kept.known.holder_tag,
        };
        // A second salt for a person would make every entry under the first unopenable; the tag
        // follows from the salt.
        if let Some(known) = &known
            && (known.index, known.holder_tag) != (subject.index, subject.holder_tag)
        {
            return Err(VaultError::Damaged(family::SUBJECTS));
        }
        let entry = Entry {
            batch: new.number,
            schema: schema.version(),
            effective_period: public.effective_period,
            reported_period: new.reported_period,
            record: kept.record.clone(),
        };
        let blindings = opener.blindings(&subject, &entry)?;
        if blindings.stocks != kept.blindings.stocks || blindings.flows != kept.blindings.flows {
            return Err(VaultError::Blindings);
        }
        let head = self.head(&handle)?;
        let mut stocks = Delta::zero(schema.positions(Class::Stock).count());
        let mut flows = Delta::zero(schema.positions(Class::Flow).count());
        flows.add(&entry.record.opening(schema, Class::Flow, blindings.flows));
        let number = head.map_or(0, |h| h.entries);
        let replaces = head.is_none_or(|h| entry.effective_period >= h.stocks_period);
        if replaces {
            stocks.add(&entry.record.opening(schema, Class::Stock, blindings.stocks));
            if let Some(head) = head {
                let before = self.entry(&handle, head.latest)?;
                stocks.subtract(&opener.opening(&subject, &before, Class::Stock)?);
            }
        }
        let next = match head {
            Some(head) if !replaces => Head {
                entries: number + 1,
                last_reported: entry.reported_period,
                ..head
            },
            _ => Head {
                entries: number + 1,
                latest: number,
                stocks_period: entry.effective_period,
                last_reported: entry.reported_period,
            },
        };
        let entry_key = entry_key(&handle, number);
        let period_key = period_key(&handle, entry.effective_period);
        let before = match head {
            None => None,
            Some(_) => self.get_bytes(family::TRADELINES, &period_key)?,
        };
        Ok(Prepared {
            handle,
            subject: known
                .is_none()
                .then(|| self.seal(family::SUBJECTS, handle.as_bytes(), &subject)),
            head: self.seal(family::HEADS, handle.as_bytes(), &next),
            entry: (entry_key, self.seal(family::ENTRIES, &entry_key, &entry)),
            tradelines: (
                period_key,
                self.seal(family::TRADELINES, &period_key, &kept.tradelines),
            ),
            undo: Undo {
                handle,
                new_subject: known.is_none(),
                head,
                period: entry.effective_period,
                tradelines: before.map(|bytes| bytes.to_vec()),
            },
            new_leaf: head.is_none(),
            stocks,
            flows,
        })
    }

    /// Takes the last batch out again: one write, after which the vault is as it was before the
    /// batch.
    ///
    /// # Errors
    /// [`VaultError`]; then nothing changed.
    pub fn roll_back(&self, number: u64) -> Result<(), VaultError> {
        let mut progress = self.progress_lock();
        if number != progress.prepared || number <= progress.pruned {
            return Err(VaultError::BatchNumber {
                expected: progress.prepared,
                got: number,
            });
        }
        let key = number.to_be_bytes();
        let undo: Vec<Undo> = self
            .get(family::UNDO, &key)?
            .ok_or(VaultError::Damaged(family::UNDO))?;
        let mut next = *progress;
        let mut batch = WriteBatch::default();
        for record in undo.iter().rev() {
            let handle = &record.handle;
            let entries = record.head.map_or(0, |h| h.entries);
            self.delete(&mut batch, family::ENTRIES, &entry_key(handle, entries));
            match &record.head {
                Some(head) => self.put(&mut batch, family::HEADS, handle.as_bytes(), head),
                None => self.delete(&mut batch, family::HEADS, handle.as_bytes()),
            }
            let period = period_key(handle, record.period);
            match &record.tradelines {
                Some(bytes) => {
                    let sealed = self.cipher.seal(family::TRADELINES, &period, bytes);
                    self.put_sealed(&mut batch, family::TRADELINES, &period, &sealed);
                }
                None => self.delete(&mut batch, family::TRADELINES, &period),
            }
            if record.new_subject {
                self.delete(&mut batch, family::SUBJECTS, handle.as_bytes());
                next.subjects -= 1;
            }
            next.entries -= 1;
        }
        for family in [
            family::COLUMNS,
            family::UNDO,
            family::OUTBOX,
            family::BATCHES,
        ] {
            self.delete(&mut batch, family, &key);
        }
        next.prepared = number - 1;
        next.last_final = next.last_final.min(next.prepared);
        self.put_progress(&mut batch, &next);
        self.write_synced(batch)?;
        *progress = next;
        Ok(())
    }

    /// A batch's state; `None` when the vault has no such batch.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn batch(&self, number: u64) -> Result<Option<BatchState>, VaultError> {
        self.get(family::BATCHES, &number.to_be_bytes())
    }

    /// A batch's exact bytes, while they are kept.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn outbox(&self, number: u64) -> Result<Option<Vec<u8>>, VaultError> {
        let bytes = self.get_bytes(family::OUTBOX, &number.to_be_bytes())?;
        Ok(bytes.map(|b| b.to_vec()))
    }

    /// The openings of the column totals after a batch, while they are kept.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn column(&self, number: u64) -> Result<Option<Column>, VaultError> {
        self.get(family::COLUMNS, &number.to_be_bytes())
    }

    /// Records that the ledger holds a batch. The ledger can tell again, so this does not wait for
    /// the disk.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn mark_final(&self, number: u64, height: Height) -> Result<(), VaultError> {
        let mut progress = self.progress_lock();
        let Some(state) = self.batch(number)? else {
            return Err(VaultError::Damaged(family::BATCHES));
        };
        let mut next = *progress;
        next.last_final = next.last_final.max(number);
        if state.final_at == Some(height) && next == *progress {
            return Ok(());
        }
        let state = BatchState {
            final_at: Some(height),
            ..state
        };
        let mut batch = WriteBatch::default();
        self.put(&mut batch, family::BATCHES, &number.to_be_bytes(), &state);
        self.put_progress(&mut batch, &next);
        self.write(batch)?;
        *progress = next;
        Ok(())
    }

    /// Records that the ledger holds batches only up to `number`: the end of its log was lost.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn unmark_final(&self, number: u64) -> Result<(), VaultError> {
        let mut progress = self.progress_lock();
        let mut next = *progress;
        let mut batch = WriteBatch::default();
        for later in number + 1..=progress.last_final {
            if let Some(state) = self.batch(later)? {
                let state = BatchState {
                    final_at: None,
                    ..state
                };
                self.put(&mut batch, family::BATCHES, &later.to_be_bytes(), &state);
            }
        }
        next.last_final = next.last_final.min(number);
        self.put_progress(&mut batch, &next);
        self.write_synced(batch)?;
        *progress = next;
        Ok(())
    }

    /// Records the last block looked at, and drops bytes, undo records and column openings that
    /// nothing needs any more.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn seen_block(&self, height: Height) -> Result<(), VaultError> {
        let mut progress = self.progress_lock();
        let mut next = *progress;
        next.last_block = height.0;
        let mut batch = WriteBatch::default();
        while next.pruned + KEPT_BATCHES < next.last_final {
            let number = next.pruned + 1;
            let final_at = self.batch(number)?.and_then(|state| state.final_at);
            if final_at.is_none_or(|at| at.0 + KEPT_BLOCKS > height.0) {
                break;
            }
            let key = number.to_be_bytes();
            self.delete(&mut batch, family::OUTBOX, &key);
            self.delete(&mut batch, family::UNDO, &key);
            // The opening after this batch stays: it is what rolling back the next one returns to.
            self.delete(&mut batch, family::COLUMNS, &(number - 1).to_be_bytes());
            next.pruned = number;
        }
        self.put_progress(&mut batch, &next);
        self.write(batch)?;
        *progress = next;
        Ok(())
    }
}
