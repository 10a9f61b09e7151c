//! Lines of a source: numbered, bounded, valid UTF-8, every one of them ended by a line break.

use std::io::{self, BufRead, BufReader, Read};

use sha2::{Digest, Sha256};

use super::CsvError;

/// Longest line in bytes. A line is in memory as a whole, so it must be bounded.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// Counts and hashes what passes through.
struct Metered<R> {
    inner: R,
    bytes: u64,
    hash: Sha256,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hash.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}

/// Reads line by line.
pub(super) struct Lines<R> {
    reader: BufReader<Metered<R>>,
    line: Vec<u8>,
    number: u64,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            reader: BufReader::with_capacity(
                256 * 1024,
                Metered {
                    inner: source,
                    bytes: 0,
                    hash: Sha256::new(),
                },
            ),
            line: Vec::new(),
            number: 0,
        }
    }

    /// The next line with its number, without its line break. A byte-order mark is dropped.
    pub(super) fn next(&mut self) -> Result<Option<(u64, &str)>, CsvError> {
        self.line.clear();
        let mut limited = (&mut self.reader).take(MAX_LINE as u64 + 2);
        let read = limited
            .read_until(b'\n', &mut self.line)
            .map_err(CsvError::Read)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        let number = self.number;
        if self.line.last() != Some(&b'\n') {
            return Err(if self.line.len() > MAX_LINE {
                CsvError::LongLine { line: number }
            } else {
                CsvError::Truncated { line: number }
            });
        }
        self.line.pop();
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        let text = std::str::from_utf8(&self.line).map_err(|_| CsvError::Utf8 { line: number })?;
        let text = match number {
            1 => text.strip_prefix('\u{feff}').unwrap_or(text),
            _ => text,
        };
        Ok(Some((number, text)))
    }

    /// Bytes read from the source so far.
    pub(super) fn bytes(&self) -> u64 {
        self.reader.get_ref().bytes
    }

    /// SHA-256 of everything read.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.reader.get_ref().hash.clone().finalize().into()
    }
}
