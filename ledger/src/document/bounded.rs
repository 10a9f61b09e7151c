//! Lists whose count is checked before anything is read, so that a small message cannot make its
//! reader allocate a large one.

use std::io::{Error, ErrorKind, Read};

use borsh::BorshDeserialize;

/// Reads a borsh list of at most `MAX` items.
pub(crate) fn bounded<R: Read, T: BorshDeserialize, const MAX: usize>(
    reader: &mut R,
) -> std::io::Result<Vec<T>> {
    let count = u32::deserialize_reader(reader)? as usize;
    if count > MAX {
        return Err(Error::new(
            ErrorKind::InvalidData,
            format!("a list of {count} items, where at most {MAX} may stand"),
        ));
    }
    (0..count).map(|_| T::deserialize_reader(reader)).collect()
}
