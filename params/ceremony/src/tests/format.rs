//! The file: what is read is what was written, and nothing else is read.

use super::*;
use crate::{FormatError, MAX_BYTES};

fn read(bytes: &[u8]) -> Result<Transcript, FormatError> {
    Transcript::from_bytes(bytes, &Quiet)
}

#[test]
fn round_trip() {
    for t in [phase_one(0), phase_one(3), phase_two(0), phase_two(3)] {
        let bytes = t.to_bytes();
        assert_eq!(read(&bytes), Ok(t));
        assert!((bytes.len() as u64) < MAX_BYTES);
    }
}

#[test]
fn cut_anywhere() {
    let bytes = phase_two(2).to_bytes();
    // Every cut near the borders of parts, some elsewhere.
    for cut in (0..200)
        .chain((200..bytes.len()).step_by(31))
        .chain(bytes.len() - 40..bytes.len())
    {
        let refused = read(&bytes[..cut]).expect_err("truncated");
        assert!(
            matches!(refused, FormatError::Truncated(_)),
            "{cut}: {refused}"
        );
    }
    let mut longer = bytes.clone();
    longer.extend([0; 5]);
    assert_eq!(read(&longer), Err(FormatError::TooLong(5)));
    // A file of phase 1 with queries behind it.
    let mut longer = phase_one(2).to_bytes();
    let queries = bytes.len() - longer.len();
    longer.extend(&bytes[bytes.len() - queries..]);
    assert!(matches!(read(&longer), Err(FormatError::TooLong(_))));
}

#[test]
fn foreign_files() {
    let bytes = phase_one(1).to_bytes();
    let with = |at: usize, value: u8| {
        let mut changed = bytes.clone();
        changed[at] = value;
        read(&changed).expect_err("foreign")
    };
    assert_eq!(with(0, b'Z'), FormatError::Magic);
    assert_eq!(with(8, 2), FormatError::Version(2));
    // Lengths that reach beyond the file, or are absurd, allocate nothing.
    assert_eq!(with(12, 0xff), FormatError::Truncated("the minutes"));
    assert!(matches!(with(9, bytes[9] ^ 1), FormatError::Minutes(_)));
    // The version of the minutes.
    assert!(matches!(with(13, 9), FormatError::Minutes(_)));
    assert_eq!(read(b""), Err(FormatError::Truncated("the first bytes")));
    let mut t = phase_two(0);
    t.minutes.log_size = 200;
    let refused = read(&t.to_bytes()).expect_err("size").to_string();
    assert_eq!(refused, "title: the domain is 2^2 to 2^20, not 2^200");
    // A number of witnesses that no circuit of this size has.
    let bytes = phase_two(0).to_bytes();
    let queries = 64 + 32 * 31 + 32 * circuit().witnesses();
    let at = bytes.len() - queries - 4;
    let mut absurd = bytes.clone();
    absurd[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(read(&absurd), Err(FormatError::Witnesses(u32::MAX)));
}

/// Whatever byte is changed, the file is not read, or is refused, or was the same.
#[test]
fn every_flipped_byte_is_refused() {
    let bytes = phase_two(2).to_bytes();
    let step = if cfg!(debug_assertions) { 211 } else { 37 };
    for at in (0..bytes.len()).step_by(step) {
        for mask in [1, 0x40, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= mask;
            if let Ok(t) = read(&changed) {
                assert!(check(&t, Goal::SoFar).is_err(), "byte {at}, mask {mask}");
            }
        }
    }
}
