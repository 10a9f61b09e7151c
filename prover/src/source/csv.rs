//! CSV with a header row (RFC 4180), one record per line.
//!
//! A malformed line cannot be attributed to a subject, so nobody could say whose period to withhold:
//! a wrong number of fields, a quotation mark that does not close, bytes that are not UTF-8 or a last
//! line without a line break (a file cut in the middle of an amount looks like a smaller amount)
//! refuse the whole file. Line breaks inside quoted fields are refused too: a stray quotation mark
//! would otherwise swallow rows, and silently. A file that ends exactly at the end of a row shows nothing;
//! the report has the number of rows and the file's SHA-256 to compare with the sender's.

use std::io::Read;

use thiserror::Error;

use super::lines::{Lines, MAX_LINE};

/// A file that is not readable as CSV.
#[derive(Debug, Error)]
pub enum CsvError {
    /// Reading failed.
    #[error("cannot read the file: {0}")]
    Read(std::io::Error),
    /// There is not even a header row.
    #[error("the file is empty: a header row is missing")]
    Empty,
    /// The last line has no line break.
    #[error(
        "line {line}: the file ends without a line break, so it may be truncated \
         (add one if the file is complete)"
    )]
    Truncated {
        /// Line.
        line: u64,
    },
    /// A line is too long.
    #[error("line {line}: longer than {MAX_LINE} bytes")]
    LongLine {
        /// Line.
        line: u64,
    },
    /// Bytes that are not UTF-8.
    #[error("line {line}: not valid UTF-8")]
    Utf8 {
        /// Line.
        line: u64,
    },
    /// A quoted field does not end on its line, or text follows its end.
    #[error("line {line}, field {field}: a quotation mark does not close on this line")]
    Quote {
        /// Line.
        line: u64,
        /// Number of the field, from 1.
        field: usize,
    },
    /// Too few or too many fields.
    #[error("line {line}: {got} fields where the header has {expected}")]
    FieldCount {
        /// Line.
        line: u64,
        /// Fields of the header.
        expected: usize,
        /// Fields of the line.
        got: usize,
    },
    /// Two columns have one name.
    #[error("line {line}: column {name:?} occurs twice in the header")]
    DuplicateColumn {
        /// Line.
        line: u64,
        /// Name.
        name: String,
    },
}

/// The fields of one line.
#[derive(Default)]
pub struct Fields {
    text: String,
    ends: Vec<usize>,
}

impl Fields {
    /// Number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Field `i`, from 0.
    #[must_use]
    pub fn get(&self, i: usize) -> Option<&str> {
        let end = *self.ends.get(i)?;
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        self.text.get(start..end)
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|i| self.get(i))
    }

    /// Splits a line. On failure, the number (from 1) of the field whose quotation mark does not
    /// close.
    fn split(&mut self, line: &str, delimiter: char) -> Result<(), usize> {
        self.text.clear();
        self.ends.clear();
        let mut rest = line;
        loop {
            let after = if let Some(quoted) = rest.strip_prefix('"') {
                self.unquote(quoted).ok_or(self.ends.len() + 1)?
            } else {
                let end = rest.find(delimiter).unwrap_or(rest.len());
                self.text.push_str(&rest[..end]);
                &rest[end..]
            };
            self.ends.push(self.text.len());
            if after.is_empty() {
                return Ok(());
            }
            rest = after.strip_prefix(delimiter).ok_or(self.ends.len())?;
        }
    }

    /// Takes a quoted field up to its closing mark and gives what follows.
    fn unquote<'a>(&mut self, mut rest: &'a str) -> Option<&'a str> {
        loop {
            let mark = rest.find('"')?;
            self.text.push_str(&rest[..mark]);
            rest = &rest[mark + 1..];
            match rest.strip_prefix('"') {
                Some(doubled) => {
                    self.text.push('"');
                    rest = doubled;
                }
                None => return Some(rest),
            }
        }
    }
}

/// Reads a CSV file.
pub struct CsvReader<R> {
    lines: Lines<R>,
    delimiter: char,
    header: Vec<String>,
    fields: Fields,
}

impl<R: Read> CsvReader<R> {
    /// Reads the header row.
    ///
    /// # Errors
    /// [`CsvError`] when the file is empty or the header malformed.
    pub fn new(source: R, delimiter: char) -> Result<Self, CsvError> {
        let mut lines = Lines::new(source);
        let mut fields = Fields::default();
        let line = {
            let (line, text) = lines.next()?.ok_or(CsvError::Empty)?;
            fields
                .split(text, delimiter)
                .map_err(|field| CsvError::Quote { line, field })?;
            line
        };
        let header: Vec<String> = fields.iter().map(|f| f.trim().to_owned()).collect();
        if header.iter().all(String::is_empty) {
            return Err(CsvError::Empty);
        }
        for (i, name) in header.iter().enumerate() {
            if header[..i].contains(name) {
                return Err(CsvError::DuplicateColumn {
                    line,
                    name: name.clone(),
                });
            }
        }
        Ok(Self {
            lines,
            delimiter,
            header,
            fields,
        })
    }

    /// Names of the columns.
    #[must_use]
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The next row with its line number; blank lines are skipped.
    ///
    /// # Errors
    /// [`CsvError`] names the line.
    pub fn next_row(&mut self) -> Result<Option<(u64, &Fields)>, CsvError> {
        loop {
            let Some((line, text)) = self.lines.next()? else {
                return Ok(None);
            };
            if text.is_empty() {
                continue;
            }
            self.fields
                .split(text, self.delimiter)
                .map_err(|field| CsvError::Quote { line, field })?;
            if self.fields.len() != self.header.len() {
                return Err(CsvError::FieldCount {
                    line,
                    expected: self.header.len(),
                    got: self.fields.len(),
                });
            }
            return Ok(Some((line, &self.fields)));
        }
    }

    /// Bytes read so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lines.bytes()
    }

    /// SHA-256 of everything read so far.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.lines.digest()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &[u8]) -> Result<Vec<Vec<String>>, CsvError> {
        let mut reader = CsvReader::new(text, ',')?;
        let mut out = vec![reader.header().to_vec()];
        while let Some((_, fields)) = reader.next_row()? {
            out.push(fields.iter().map(str::to_owned).collect());
        }
        Ok(out)
    }

    #[test]
    fn reads_quotes_line_breaks_and_marks() {
        let text = "\u{feff}a,b\r\n\"x, \"\"y\"\"\",2\r\n\r\n,\n";
        assert_eq!(
            rows(text.as_bytes()).expect("valid"),
            [["a", "b"], ["x, \"y\"", "2"], ["", ""]]
        );
    }

    #[test]
    fn names_what_is_wrong() {
        let error = |text: &[u8]| rows(text).expect_err("refused").to_string();
        assert!(error(b"").contains("empty"));
        assert!(error(b"\n").contains("empty"));
        assert!(error(b"a,b").contains("line 1: the file ends without"));
        assert!(error(b"a,b\n1,2\n3,4").contains("line 3: the file ends without"));
        assert!(error(b"a,b\n1\n").contains("line 2: 1 fields where the header has 2"));
        assert!(error(b"a,b\n1,2,3\n").contains("line 2: 3 fields"));
        assert!(error(b"a,b\n1,\"2\n3,4\"\n").contains("line 2, field 2: a quotation"));
        assert!(error(b"a,b\n\"1\"x,2\n").contains("line 2, field 1: a quotation"));
        assert!(error(b"a,b\n1,\xff\n").contains("line 2: not valid UTF-8"));
        assert!(error(b"a,b,a\n").contains("\"a\" occurs twice"));
        let mut long = b"a,b\n".to_vec();
        long.resize(MAX_LINE * 3, b'1');
        assert!(error(&long).contains("line 2: longer than"));
    }

    proptest! {
        /// An independent reader understands what is written in the same way.
        #[test]
        fn agrees_with_the_csv_crate(
            table in prop::collection::vec(prop::collection::vec("[a-c\", é]{1,5}", 3), 1..6)
        ) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["x", "y", "z"]).expect("memory");
            for row in &table {
                writer.write_record(row).expect("memory");
            }
            let text = writer.into_inner().expect("memory");
            prop_assert_eq!(&rows(&text).expect("valid")[1..], &table[..]);
        }
    }
}
