//! What this validator signed last, on disk before a signature leaves it.
//!
//! The engine's log prevents that a validator contradicts itself after a crash, as long as the log is
//! there. This file is beside it and much smaller, and says when it is not: a signature that could
//! contradict an earlier one is refused, and whoever lost the log signs nothing until the height at which it
//! signed last is decided without it.
//!
//! ```text
//! the last signed height is … the last block's or an earlier one   sign
//!                             the next one, and the log is of it   sign; the engine replays its log
//!                             the next one, and the log is not     abstain until it is decided
//!                             a later one: the ledger is old       abstain until it is decided
//! ```
//!
//! # Correctness
//! - Two slots are written in turn, each with a checksum and synced, so a write that a crash cuts off leaves
//!   the one before.
//! - Prevotes, precommits and proposals ascend in height and round; only the very same one is signed twice.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use borsh::{BorshDeserialize, BorshSerialize};
use sha2::{Digest, Sha256};
use zkbureau_circuits::encoding::Digest32;
use zkbureau_ledger::ids::Height;

/// Bytes of a slot.
const SLOT: usize = 512;

/// What is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A proposal.
    Proposal = 0,
    /// A prevote.
    Prevote = 1,
    /// A precommit.
    Precommit = 2,
}

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// It could contradict what was signed before.
    #[error(
        "asked to sign a {step:?} of height {height}, round {round}, and a later or another one was signed \
         before: the consensus log is incomplete. Nothing more is signed until that height is decided"
    )]
    Contradiction {
        /// What was to be signed.
        step: Step,
        /// Its height.
        height: Height,
        /// Its round.
        round: u32,
    },
    /// The disk failed.
    #[error("what was signed last cannot be kept: {0}")]
    Disk(#[from] io::Error),
}

/// Something signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Signed {
    height: Height,
    round: u32,
    value: Option<Digest32>,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, Default, BorshSerialize, BorshDeserialize)]
struct Record {
    /// Counts writes: the slot with the greater one holds.
    number: u64,
    last: [Option<Signed>; 3],
    /// Nothing is signed until this height is decided.
    silent: Option<Height>,
}

impl Record {
    fn to_slot(self) -> io::Result<Vec<u8>> {
        let body = borsh::to_vec(&self)?;
        let mut slot = Sha256::digest(&body).to_vec();
        slot.extend_from_slice(&body);
        slot.resize(SLOT, 0);
        Ok(slot)
    }

    fn of_slot(slot: &[u8]) -> Option<Self> {
        let (sum, mut rest) = slot.split_at_checked(32)?;
        let all = rest;
        let record = Self::deserialize(&mut rest).ok()?;
        let body = &all[..all.len() - rest.len()];
        (Sha256::digest(body).as_slice() == sum).then_some(record)
    }
}

#[derive(Debug)]
struct Inner {
    file: File,
    record: Record,
}

/// The file.
#[derive(Debug)]
pub struct Guard(Mutex<Inner>);

impl Guard {
    /// Opens the file, and makes it if it is not there.
    ///
    /// # Errors
    /// When the disk fails, or neither slot can be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut bytes = Vec::new();
        (&mut file).take(2 * SLOT as u64).read_to_end(&mut bytes)?;
        let slots = bytes.chunks(SLOT).filter_map(Record::of_slot);
        let record = match slots.max_by_key(|record| record.number) {
            Some(record) => record,
            // The first write of all was cut off, before anything was signed.
            None if bytes.len() <= SLOT => Record::default(),
            None => return Err(io::Error::other(format!("{} is damaged", path.display()))),
        };
        if let Some(parent) = path.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self(Mutex::new(Inner { file, record })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until which height nothing may be signed, given the last block and the height of the engine's log.
    #[must_use]
    pub fn silent_until(&self, tip: Height, log: Option<Height>) -> Option<Height> {
        let record = self.lock().record;
        let signed = record.last.iter().flatten().map(|s| s.height).max();
        let lost = signed.filter(|height| *height > tip.next() || log != Some(*height));
        lost.max(record.silent).filter(|height| *height > tip)
    }

    /// Notes what is about to be signed. It is on disk when this returns. Gives the value to sign: of a round
    /// with a prevote already, that prevote's, which a power cut may have taken from the log.
    ///
    /// # Errors
    /// [`GuardError`]: then nothing must be signed.
    pub fn note(
        &self,
        step: Step,
        height: Height,
        round: u32,
        value: Option<Digest32>,
    ) -> Result<Option<Digest32>, GuardError> {
        let mut inner = self.lock();
        let mut record = inner.record;
        let next = Signed {
            height,
            round,
            value,
        };
        if let Some(last) = record.last[step as usize] {
            let at_once = (height, round) == (last.height, last.round);
            // A precommit without the lock that it stands for would be worse than none.
            if last == next || at_once && step == Step::Prevote {
                return Ok(last.value);
            }
            if (height, round) <= (last.height, last.round) {
                record.silent = record.silent.max(Some(last.height));
                inner.write(record)?;
                return Err(GuardError::Contradiction {
                    step,
                    height,
                    round,
                });
            }
        }
        record.last[step as usize] = Some(next);
        inner.write(record)?;
        Ok(value)
    }
}

impl Inner {
    fn write(&mut self, mut record: Record) -> io::Result<()> {
        record.number = self.record.number + 1;
        let at = record.number % 2 * SLOT as u64;
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(&record.to_slot()?)?;
        self.file.sync_data()?;
        self.record = record;
        Ok(())
    }
}

/// The height that the engine's log is of, if there is one: the log begins with its version and that.
///
/// # Errors
/// When the disk fails.
pub fn height_of_log(path: &Path) -> io::Result<Option<Height>> {
    let mut head = [0; 12];
    match File::open(path).and_then(|mut file| file.read_exact(&mut head)) {
        Ok(()) => {
            let [_, _, _, _, height @ ..] = head;
            Ok(Some(Height(u64::from_be_bytes(height))))
        }
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => Ok(None),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Option<Digest32> = Some([1; 32]);
    const B: Option<Digest32> = Some([2; 32]);

    #[test]
    fn nothing_is_signed_that_could_contradict_what_was() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("signed");
        let guard = Guard::open(&path).expect("opens");
        let note = |guard: &Guard, step, height, round, value| {
            guard.note(step, Height(height), round, value).is_ok()
        };
        assert!(note(&guard, Step::Prevote, 5, 0, A));
        assert!(note(&guard, Step::Precommit, 5, 0, None));
        assert!(note(&guard, Step::Prevote, 5, 2, B));
        drop(guard);
        let guard = Guard::open(&path).expect("opens again");
        assert!(note(&guard, Step::Prevote, 5, 2, B), "the same again");
        assert_eq!(guard.silent_until(Height(4), Some(Height(5))), None);
        let before = guard.note(Step::Prevote, Height(5), 2, A);
        assert_eq!(before.expect("a prevote"), B, "the one from before");
        assert_eq!(guard.silent_until(Height(4), Some(Height(5))), None);
        assert!(!note(&guard, Step::Precommit, 5, 0, A));
        assert!(!note(&guard, Step::Prevote, 5, 0, A));
        assert!(!note(&guard, Step::Prevote, 4, 9, A));
        drop(guard);
        // From now on it is silent until that height is over, whatever the log says.
        let guard = Guard::open(&path).expect("opens again");
        let silent = |tip, log| guard.silent_until(Height(tip), log);
        assert_eq!(silent(4, Some(Height(5))), Some(Height(5)));
        assert_eq!(silent(5, Some(Height(5))), None);
        assert!(note(&guard, Step::Prevote, 6, 0, A));
    }

    #[test]
    fn whoever_lost_the_log_or_the_ledger_is_silent() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("signed");
        let guard = Guard::open(&path).expect("opens");
        let silent = |tip, log: Option<u64>| guard.silent_until(Height(tip), log.map(Height));
        assert_eq!(silent(0, None), None, "nothing was signed yet");
        guard
            .note(Step::Prevote, Height(7), 0, A)
            .expect("the first");
        assert_eq!(silent(6, Some(7)), None);
        assert_eq!(silent(6, None), Some(Height(7)), "no log");
        assert_eq!(silent(6, Some(6)), Some(Height(7)), "an older log");
        assert_eq!(silent(3, Some(7)), Some(Height(7)), "an older ledger");
        assert_eq!(silent(7, None), None, "decided");
    }

    #[test]
    fn a_write_that_is_cut_off_leaves_the_one_before() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("signed");
        let guard = Guard::open(&path).expect("opens");
        for round in 0..4 {
            guard
                .note(Step::Prevote, Height(7), round, A)
                .expect("ascending");
        }
        drop(guard);
        // The fourth write is in the first slot.
        let mut bytes = std::fs::read(&path).expect("read");
        bytes[40] ^= 1;
        std::fs::write(&path, &bytes).expect("written");
        let guard = Guard::open(&path).expect("opens");
        let last = guard.lock().record.last[Step::Prevote as usize];
        assert_eq!(last.map(|s| s.round), Some(2));
        bytes[SLOT + 40] ^= 1;
        std::fs::write(&path, &bytes).expect("written");
        assert!(Guard::open(&path).is_err());
    }
}
