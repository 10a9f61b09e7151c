//! Proposed blocks on disk, until their height is decided.
//!
//! # Correctness
//! The engine's write-ahead log holds hashes only. So a block is here, on the disk, before the engine
//! hears of it: whoever voted for a block still has it after a crash, and whoever proposed one
//! proposes the same again. A file is written under another name, synced and renamed, so it is whole
//! or absent. Its name says height, round and header hash; that its bytes are that block is checked
//! by whoever reads it. Blocks by sync have names and a limit of their own, so that nobody who sends
//! them displaces a block that was voted for.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::ids::Height;

use super::context::HeaderHash;

/// Blocks kept of one height. A height that has failed this often forgets its oldest rounds; a block that is
/// proposed again counts with its latest one.
const MAX_OF_HEIGHT: usize = 64;
/// Blocks by sync kept of one height. Whoever sent one need not have sent the certified one.
const MAX_SYNCED: usize = 4;
/// What stands for the round in the name of a block by sync.
const SYNCED: &str = "synced";

/// Where a stored block was proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The round.
    pub round: u32,
    /// The round in which it found its votes already, when it was proposed again.
    pub valid_round: Option<u32>,
    /// Who proposed it in this round.
    pub proposer: AgencyId,
    /// Its header hash.
    pub value: HeaderHash,
}

/// What is in a file before the block.
#[derive(BorshSerialize, BorshDeserialize)]
struct Preface {
    valid_round: Option<u32>,
    proposer: AgencyId,
}

/// The directory of proposed blocks.
#[derive(Clone, Debug)]
pub struct Payloads {
    directory: PathBuf,
}

impl Payloads {
    /// Opens the directory, and makes it if it is not there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    fn path(&self, height: Height, round: u32, value: &HeaderHash) -> PathBuf {
        let name = format!("{:016x}-{round:08x}-{value}", height.0);
        self.directory.join(name)
    }

    /// Keeps a proposed block. It is on the disk when this returns.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn put(&self, height: Height, stored: &Stored, block: &[u8]) -> io::Result<()> {
        let path = self.path(height, stored.round, &stored.value);
        if path.exists() {
            return Ok(());
        }
        self.write(&path, stored, block)?;
        self.forget_rounds(height)
    }

    /// Keeps a block that came by sync. It is on the disk when this returns.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn put_synced(&self, height: Height, stored: &Stored, block: &[u8]) -> io::Result<()> {
        let name = format!("{:016x}-{SYNCED}-{}", height.0, stored.value);
        let path = self.directory.join(name);
        if path.exists() {
            return Ok(());
        }
        self.write(&path, stored, block)?;
        let mut synced = Vec::new();
        for name in self.names(|name| name.height == height && name.round.is_none())? {
            let path = self.directory.join(name);
            synced.push((fs::metadata(&path)?.modified()?, path));
        }
        synced.sort_unstable();
        let old = synced.len().saturating_sub(MAX_SYNCED);
        for (_, path) in &synced[..old] {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// Notes that a block that is here is proposed again in a later round.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn put_again(&self, height: Height, stored: &Stored) -> io::Result<()> {
        match self.block(height, &stored.value)? {
            Some(block) => self.put(height, stored, &block),
            None => Ok(()),
        }
    }

    fn write(&self, path: &Path, stored: &Stored, block: &[u8]) -> io::Result<()> {
        let preface = Preface {
            valid_round: stored.valid_round,
            proposer: stored.proposer,
        };
        let partial = path.with_extension("partial");
        let mut file = File::create(&partial)?;
        file.write_all(&borsh::to_vec(&preface)?)?;
        file.write_all(block)?;
        file.sync_data()?;
        fs::rename(&partial, path)?;
        File::open(&self.directory)?.sync_all()
    }

    /// Keeps the latest rounds of a height only.
    fn forget_rounds(&self, height: Height) -> io::Result<()> {
        let mut names = self.names(|name| name.height == height && name.round.is_some())?;
        if names.len() > MAX_OF_HEIGHT {
            names.sort_unstable();
            for name in &names[..names.len() - MAX_OF_HEIGHT] {
                fs::remove_file(self.directory.join(name))?;
            }
        }
        Ok(())
    }

    /// Names of the whole files of some heights.
    fn names(&self, wanted: impl Fn(Name) -> bool) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let Ok(name) = entry?.file_name().into_string() else {
                continue;
            };
            if parse(&name).is_some_and(&wanted) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// The proposed blocks kept of a height, by round.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn of_height(&self, height: Height) -> io::Result<Vec<Stored>> {
        let mut all = Vec::new();
        for name in self.names(|name| name.height == height)? {
            let Some(Name {
                round: Some(round),
                value,
                ..
            }) = parse(&name)
            else {
                continue;
            };
            let bytes = fs::read(self.directory.join(&name))?;
            let preface = Preface::deserialize(&mut bytes.as_slice())?;
            all.push(Stored {
                round,
                valid_round: preface.valid_round,
                proposer: preface.proposer,
                value,
            });
        }
        all.sort_unstable_by_key(|stored| (stored.round, stored.value));
        Ok(all)
    }

    /// The bytes of a block, of whatever round or by sync.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn block(&self, height: Height, value: &HeaderHash) -> io::Result<Option<Bytes>> {
        let names = self.names(|name| name.height == height && name.value == *value)?;
        let Some(name) = names.first() else {
            return Ok(None);
        };
        let bytes = Bytes::from(fs::read(self.directory.join(name))?);
        let mut rest = bytes.as_ref();
        Preface::deserialize(&mut rest)?;
        let preface = bytes.len() - rest.len();
        Ok(Some(bytes.slice(preface..)))
    }

    /// Forgets every height up to this one, and what a crash left half written.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn prune(&self, decided: Height) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let old = parse(&name).is_some_and(|name| name.height <= decided);
            if old || name.ends_with(".partial") {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// What a file's name says.
#[derive(Clone, Copy)]
struct Name {
    height: Height,
    /// None for a block by sync.
    round: Option<u32>,
    value: HeaderHash,
}

fn parse(name: &str) -> Option<Name> {
    let mut fields = name.split('-');
    let height = u64::from_str_radix(fields.next()?, 16).ok()?;
    let round = match fields.next()? {
        SYNCED => None,
        round => Some(u32::from_str_radix(round, 16).ok()?),
    };
    let mut value = [0; 32];
    hex::decode_to_slice(fields.next()?, &mut value).ok()?;
    fields.next().is_none().then_some(Name {
        height: Height(height),
        round,
        value: HeaderHash(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(round: u32, value: u8) -> Stored {
        Stored {
            round,
            valid_round: value.is_multiple_of(2).then_some(round),
            proposer: AgencyId(7),
            value: HeaderHash([value; 32]),
        }
    }

    #[test]
    fn blocks_are_kept_until_their_height_is_decided() {
        let directory = tempfile::tempdir().expect("a directory");
        let payloads = Payloads::open(directory.path()).expect("opens");
        let (five, six) = (Height(5), Height(6));
        payloads.put(five, &stored(1, 2), b"two").expect("kept");
        payloads.put(five, &stored(0, 1), b"one").expect("kept");
        payloads.put(six, &stored(0, 3), b"three").expect("kept");
        // What a crash left behind is not a block.
        fs::write(directory.path().join("x.partial"), b"?").expect("written");

        let payloads = Payloads::open(directory.path()).expect("opens again");
        assert_eq!(
            payloads.of_height(five).expect("read"),
            [stored(0, 1), stored(1, 2)]
        );
        let block = |height, value| {
            payloads
                .block(height, &HeaderHash([value; 32]))
                .expect("read")
        };
        assert_eq!(block(five, 2).as_deref(), Some(&b"two"[..]));
        assert_eq!(block(six, 2), None);
        payloads.prune(five).expect("pruned");
        assert_eq!(payloads.of_height(five).expect("read"), []);
        assert_eq!(block(six, 3).as_deref(), Some(&b"three"[..]));
        assert_eq!(fs::read_dir(directory.path()).expect("read").count(), 1);
    }

    #[test]
    fn a_height_that_fails_for_ever_does_not_fill_the_disk() {
        let directory = tempfile::tempdir().expect("a directory");
        let payloads = Payloads::open(directory.path()).expect("opens");
        for round in 0..MAX_OF_HEIGHT as u32 + 3 {
            let value = u8::try_from(round).expect("small");
            payloads
                .put(Height(1), &stored(round, value), b"block")
                .expect("kept");
        }
        let kept = payloads.of_height(Height(1)).expect("read");
        assert_eq!(kept.len(), MAX_OF_HEIGHT);
        assert_eq!(kept[0].round, 3);
    }

    #[test]
    fn a_block_that_is_proposed_again_and_again_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let payloads = Payloads::open(directory.path()).expect("opens");
        let locked = HeaderHash([200; 32]);
        let of = |round, value| Stored {
            round,
            valid_round: None,
            proposer: AgencyId(7),
            value,
        };
        payloads
            .put(Height(1), &of(0, locked), b"locked")
            .expect("kept");
        for round in 1..3 * MAX_OF_HEIGHT as u32 {
            if round.is_multiple_of(4) {
                let again = of(round, locked);
                payloads.put_again(Height(1), &again).expect("kept");
            } else {
                let other = of(round, HeaderHash([round as u8; 32]));
                payloads.put(Height(1), &other, b"other").expect("kept");
            }
        }
        let block = payloads.block(Height(1), &locked).expect("read");
        assert_eq!(block.as_deref(), Some(&b"locked"[..]));
        assert_eq!(
            payloads.of_height(Height(1)).expect("read").len(),
            MAX_OF_HEIGHT
        );
    }

    #[test]
    fn blocks_by_sync_displace_only_one_another() {
        let directory = tempfile::tempdir().expect("a directory");
        let payloads = Payloads::open(directory.path()).expect("opens");
        let proposed = stored(0, 255);
        payloads
            .put(Height(1), &proposed, b"voted for")
            .expect("kept");
        for value in 0..100 {
            payloads
                .put_synced(Height(1), &stored(9, value), b"sent")
                .expect("kept");
        }
        assert_eq!(payloads.of_height(Height(1)).expect("read"), [proposed]);
        let last = payloads.block(Height(1), &HeaderHash([99; 32]));
        assert_eq!(last.expect("read").as_deref(), Some(&b"sent"[..]));
        let files = fs::read_dir(directory.path()).expect("read").count();
        assert_eq!(files, 1 + MAX_SYNCED);
        payloads.prune(Height(1)).expect("pruned");
        assert_eq!(fs::read_dir(directory.path()).expect("read").count(), 0);
    }
}
