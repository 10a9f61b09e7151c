//! Spill files: rows that do not fit memory, on disk, readable by this process only.
//!
//! The files have no name (so a crash leaves nothing behind) and mode 0600, and are encrypted with
//! ChaCha20 under a random key that never leaves memory (so the blocks they occupied say
//! nothing). Nobody else can write to them, so there is nothing to authenticate.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use rand_core::{OsRng, RngCore};
use zeroize::Zeroizing;

/// The key of all spill files of one import.
pub(super) struct SpillKey(Zeroizing<[u8; 32]>);

impl SpillKey {
    pub(super) fn random() -> Self {
        let mut key = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(&mut *key);
        Self(key)
    }

    /// The key stream of one file: its number is the nonce, so no two files share one.
    fn stream(&self, file: u64) -> ChaCha20 {
        let mut nonce = [0u8; 12];
        nonce[..8].copy_from_slice(&file.to_le_bytes());
        ChaCha20::new((&*self.0).into(), &nonce.into())
    }
}

/// Encrypts what passes through.
struct Encrypting {
    file: File,
    stream: ChaCha20,
    scratch: Vec<u8>,
}

impl Write for Encrypting {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.scratch.clear();
        self.scratch.extend_from_slice(buffer);
        self.stream
            .try_apply_keystream(&mut self.scratch)
            .map_err(|_| io::Error::other("a spill file exceeds 256 GiB"))?;
        self.file.write_all(&self.scratch)?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Decrypts what passes through.
struct Decrypting {
    file: File,
    stream: ChaCha20,
}

impl Read for Decrypting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.stream
            .try_apply_keystream(&mut buffer[..n])
            .map_err(|_| io::Error::other("a spill file exceeds 256 GiB"))?;
        Ok(n)
    }
}

/// A sequence of values on disk, written once and read once.
pub(super) struct SpillWriter {
    writer: BufWriter<Encrypting>,
    stream: ChaCha20,
    count: u64,
}

impl SpillWriter {
    /// Starts a file in a directory; `number` must be new for this key.
    pub(super) fn new(
        directory: &Path,
        key: &SpillKey,
        number: u64,
        buffer: usize,
    ) -> io::Result<Self> {
        let file = tempfile::tempfile_in(directory)?;
        Ok(Self {
            writer: BufWriter::with_capacity(
                buffer,
                Encrypting {
                    file,
                    stream: key.stream(number),
                    scratch: Vec::new(),
                },
            ),
            stream: key.stream(number),
            count: 0,
        })
    }

    pub(super) fn push<T: BorshSerialize>(&mut self, value: &T) -> io::Result<()> {
        self.count += 1;
        value.serialize(&mut self.writer)
    }

    pub(super) fn finish(self) -> io::Result<SpillReader> {
        let mut file = self
            .writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .file;
        file.seek(SeekFrom::Start(0))?;
        Ok(SpillReader {
            reader: BufReader::with_capacity(
                64 * 1024,
                Decrypting {
                    file,
                    stream: self.stream,
                },
            ),
            left: self.count,
        })
    }
}

/// Reads a sequence back.
pub(super) struct SpillReader {
    reader: BufReader<Decrypting>,
    left: u64,
}

impl SpillReader {
    pub(super) fn next<T: BorshDeserialize>(&mut self) -> io::Result<Option<T>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        T::deserialize_reader(&mut self.reader).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_and_leaves_no_name_and_no_text() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let key = SpillKey::random();
        let text = "a borrower's datum".repeat(100);
        let mut writer = SpillWriter::new(dir.path(), &key, 1, 256).expect("created");
        for i in 0..50u32 {
            writer.push(&(i, text.clone())).expect("written");
        }
        let mut reader = writer.finish().expect("flushed");
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0);
        let mut raw = Vec::new();
        let mut file = reader.reader.get_ref().file.try_clone().expect("cloned");
        file.read_to_end(&mut raw).expect("read");
        assert!(raw.len() > 50 * text.len());
        assert!(!raw.windows(9).any(|w| w == b"borrower'"));
        file.seek(SeekFrom::Start(0)).expect("same position");
        for i in 0..50 {
            assert_eq!(reader.next().expect("read"), Some((i, text.clone())));
        }
        assert_eq!(reader.next::<(u32, String)>().expect("read"), None);
    }
}
