//! Bounded lists: a count is checked before anything is allocated.

use std::io::{Error, ErrorKind, Read};

use borsh::BorshDeserialize;

fn count<R: Read>(reader: &mut R, limit: usize) -> std::io::Result<usize> {
    let count = u32::deserialize_reader(reader)? as usize;
    if count > limit {
        return Err(Error::new(
            ErrorKind::InvalidData,
            format!("a list of {count} items, where at most {limit} may stand"),
        ));
    }
    Ok(count)
}

/// Reads a borsh list of at most `limit` items.
pub(crate) fn bounded<T: BorshDeserialize, R: Read>(
    reader: &mut R,
    limit: usize,
) -> std::io::Result<Vec<T>> {
    (0..count(reader, limit)?)
        .map(|_| T::deserialize_reader(reader))
        .collect()
}

/// Reads a borsh byte string of at most `limit` bytes.
pub(crate) fn bounded_bytes<R: Read>(reader: &mut R, limit: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; count(reader, limit)?];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}
