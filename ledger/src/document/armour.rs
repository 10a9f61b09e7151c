//! Documents as text, so that they survive mail and copying.
//!
//! ```text
//! zkbureau fact-request v1
//! AQAAAGx...
//! end fact-request
//! ```
//!
//! The kind and version are those of [`Document::NAME`]; the lines between are the base64 of the
//! canonical bytes. Text around the block, blank lines and blanks at the ends of lines are
//! ignored. Nothing here protects the bytes: the documents' own signatures and seals do.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::error::DecodeError;

/// Characters of base64 in a line.
const LINE: usize = 76;
/// Bytes of text that may stand around a block.
const AROUND: usize = 64 * 1024;

/// A text does not hold the document that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArmourError {
    /// No first line of a document.
    #[error("this is not a zkBureau document: a line `zkbureau {expected} v1` is missing")]
    NoBlock {
        /// The kind that is wanted.
        expected: &'static str,
    },
    /// A document of another kind.
    #[error("this file holds a {found}, not a {expected}")]
    WrongKind {
        /// The kind that is wanted.
        expected: &'static str,
        /// The kind that stands there.
        found: String,
    },
    /// No last line.
    #[error("the {kind} is cut off: the line `end {kind}` is missing")]
    Truncated {
        /// Its kind.
        kind: &'static str,
    },
    /// A line between is not base64.
    #[error("the {kind} is damaged: line {line} is not base64")]
    Base64 {
        /// Its kind.
        kind: &'static str,
        /// Line in the text, from 1; the first one of the block if it is about the end of it.
        line: usize,
    },
    /// The text is longer than this document can be.
    #[error("the file has {got} bytes; a {kind} has at most {limit}")]
    TooLong {
        /// Its kind.
        kind: &'static str,
        /// Limit in bytes.
        limit: usize,
        /// Bytes given.
        got: usize,
    },
    /// The bytes are not the document.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// The kind and version in a first line, such as `fact-request v1`.
fn label<T: Document>() -> (&'static str, &'static str) {
    let name = T::NAME.strip_prefix("zkbureau/").unwrap_or(T::NAME);
    name.rsplit_once('/').unwrap_or((name, "v1"))
}

/// Writes a document as text.
#[must_use]
pub fn encode<T: Document>(document: &T) -> String {
    let (kind, version) = label::<T>();
    let body = STANDARD.encode(document.to_bytes());
    let mut text = format!("zkbureau {kind} {version}\n");
    for line in body.as_bytes().chunks(LINE) {
        text.extend(line.iter().map(|b| char::from(*b)));
        text.push('\n');
    }
    text.push_str(&format!("end {kind}\n"));
    text
}

/// Reads a document from text.
///
/// # Errors
/// [`ArmourError`] says what the text is instead, or where it is damaged.
pub fn decode<T: Document>(text: &[u8]) -> Result<T, ArmourError> {
    let (kind, version) = label::<T>();
    let limit = T::MAX_BYTES.div_ceil(3) * 4 * (LINE + 2) / LINE + AROUND;
    if text.len() > limit {
        return Err(ArmourError::TooLong {
            kind,
            limit,
            got: text.len(),
        });
    }
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines().map(str::trim).enumerate();
    let first = loop {
        let Some((number, line)) = lines.next() else {
            return Err(ArmourError::NoBlock { expected: kind });
        };
        let mut words = line.split_ascii_whitespace();
        if let (Some("zkbureau"), Some(found), Some(found_version), None) =
            (words.next(), words.next(), words.next(), words.next())
        {
            if found == kind && found_version == version {
                break number;
            }
            if is_version(found_version) {
                return Err(ArmourError::WrongKind {
                    expected: kind,
                    found: if found == kind {
                        format!("{found} of version {found_version}")
                    } else {
                        found.to_owned()
                    },
                });
            }
        }
    };
    let last = format!("end {kind}");
    let mut body = String::new();
    for (number, line) in lines {
        if line == last {
            let bytes = STANDARD.decode(&body).map_err(|_| ArmourError::Base64 {
                kind,
                line: first + 1,
            })?;
            return Ok(T::from_bytes(&bytes)?);
        }
        if !line
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
        {
            return Err(ArmourError::Base64 {
                kind,
                line: number + 1,
            });
        }
        body.push_str(line);
    }
    Err(ArmourError::Truncated { kind })
}

fn is_version(word: &str) -> bool {
    word.strip_prefix('v')
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use borsh::{BorshDeserialize, BorshSerialize};

    #[derive(Debug, PartialEq, BorshSerialize, BorshDeserialize)]
    struct Sample(Vec<u8>);

    impl Document for Sample {
        const NAME: &'static str = "zkbureau/sample-note/v1";
        const MAX_BYTES: usize = 1024;
    }

    #[derive(Debug, PartialEq, BorshSerialize, BorshDeserialize)]
    struct Other(u8);

    impl Document for Other {
        const NAME: &'static str = "zkbureau/other/v1";
        const MAX_BYTES: usize = 16;
    }

    fn sample() -> Sample {
        Sample((0..=255).collect())
    }

    #[test]
    fn round_trip_also_through_mail() {
        let text = encode(&sample());
        assert!(text.starts_with("zkbureau sample-note v1\n"));
        assert!(text.ends_with("\nend sample-note\n"));
        assert!(text.lines().all(|l| l.len() <= LINE));
        assert_eq!(decode::<Sample>(text.as_bytes()), Ok(sample()));
        let mailed = format!(
            "Dear all,\r\n\r\n{}\r\nRegards",
            text.replace('\n', "  \r\n\r\n")
        );
        assert_eq!(decode::<Sample>(mailed.as_bytes()), Ok(sample()));
    }

    #[test]
    fn says_what_is_wrong() {
        let text = encode(&sample());
        assert_eq!(
            decode::<Other>(text.as_bytes()),
            Err(ArmourError::WrongKind {
                expected: "other",
                found: "sample-note".into()
            })
        );
        assert_eq!(
            decode::<Sample>(text.replace(" v1", " v2").as_bytes()),
            Err(ArmourError::WrongKind {
                expected: "sample-note",
                found: "sample-note of version v2".into()
            })
        );
        assert_eq!(
            decode::<Sample>(b"hello"),
            Err(ArmourError::NoBlock {
                expected: "sample-note"
            })
        );
        assert_eq!(
            decode::<Sample>(text.replace("end sample-note\n", "").as_bytes()),
            Err(ArmourError::Truncated {
                kind: "sample-note"
            })
        );
        let damaged = text.replacen('A', "?", 1);
        assert!(matches!(
            decode::<Sample>(damaged.as_bytes()),
            Err(ArmourError::Base64 { line: 2, .. })
        ));
        assert!(matches!(
            decode::<Other>(&vec![b'x'; 1 << 20]),
            Err(ArmourError::TooLong { .. })
        ));
        let mut lines: Vec<&str> = text.lines().collect();
        lines.remove(1);
        assert!(matches!(
            decode::<Sample>(lines.join("\n").as_bytes()),
            Err(ArmourError::Decode(_))
        ));
    }
}
