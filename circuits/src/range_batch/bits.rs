//! The bits of a batch: rows for the argument, and strings per class for the commitments.

use zeroize::Zeroize;

use super::layout::Layout;
use crate::commitment::Record;
use crate::error::ProveError;
use crate::schema::{Class, Schema};

/// One ranged attribute, as the hot loops want it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// Position in the schema.
    pub position: usize,
    /// First bit among the `n` of a slot.
    pub offset: usize,
    /// First bit among those of its class; `present` has the first of the stocks.
    pub class_offset: usize,
    /// Number of bits.
    pub bits: u32,
    /// Weight of the top bit.
    pub top_weight: u64,
    /// Stock or flow.
    pub class: Class,
}

impl Column {
    /// All ranged attributes of a schema.
    pub(super) fn all(schema: &Schema) -> Vec<Self> {
        let (mut stocks, mut flows) = (1, 0);
        schema
            .ranged()
            .map(|r| {
                let next = match r.attribute.class {
                    Class::Stock => &mut stocks,
                    Class::Flow => &mut flows,
                };
                let class_offset = *next;
                *next += r.bits as usize;
                Self {
                    position: r.position,
                    offset: r.offset,
                    class_offset,
                    bits: r.bits,
                    top_weight: r.attribute.weight(r.bits - 1),
                    class: r.attribute.class,
                }
            })
            .collect()
    }

    /// [`crate::schema::Attribute::decompose`].
    fn decompose(&self, x: u64) -> u64 {
        let top = self.bits - 1;
        if x >> top == 0 {
            x
        } else {
            (1 << top) | (x - self.top_weight)
        }
    }
}

/// Writes the low `count` bits of `value` at bit `at` of a zeroed bit string.
fn put(bytes: &mut [u8], at: usize, count: u32, value: u64) {
    let mut shifted = u128::from(value) << (at % 8);
    let last = (at + count as usize - 1) / 8;
    for byte in &mut bytes[at / 8..=last] {
        *byte |= (shifted & 0xff) as u8;
        shifted >>= 8;
    }
}

/// Refuses records that are not of the schema: a wrong number of values, `present` other than 1,
/// or a value out of range.
pub(super) fn check_records(schema: &Schema, records: &[Record]) -> Result<(), ProveError> {
    for record in records {
        let x = record.encoded();
        if x.len() != schema.len() {
            return Err(ProveError::Length {
                what: "values of a record",
                expected: schema.len(),
                got: x.len(),
            });
        }
        if x[0] != 1 {
            return Err(ProveError::Unsatisfied("`present` is not 1"));
        }
        if x.iter()
            .zip(schema.attributes())
            .any(|(x, a)| *x > a.range())
        {
            return Err(ProveError::Unsatisfied("a value is out of range"));
        }
    }
    Ok(())
}

/// Bytes of a record's string of [`class_bits`].
pub(super) fn class_stride(columns: &[Column], class: Class) -> usize {
    columns
        .iter()
        .filter(|c| c.class == class)
        .map(|c| c.class_offset + c.bits as usize)
        .max()
        .unwrap_or(usize::from(class == Class::Stock))
        .div_ceil(8)
}

/// Writes the bits of a record's values of one class into a zeroed string: of stocks `present`
/// first, which is 1.
pub(super) fn class_bits(columns: &[Column], class: Class, record: &Record, out: &mut [u8]) {
    if class == Class::Stock {
        put(out, 0, 1, 1);
    }
    for c in columns.iter().filter(|c| c.class == class) {
        put(
            out,
            c.class_offset,
            c.bits,
            c.decompose(record.encoded()[c.position]),
        );
    }
}

/// The `m` rows of `N` bits, a whole number of bytes each. Missing slots are zero.
pub(super) struct BitRows {
    bytes: Vec<u8>,
    stride: usize,
}

impl BitRows {
    pub(super) fn new(layout: &Layout, columns: &[Column], records: &[Record]) -> Self {
        let stride = layout.columns().div_ceil(8);
        let mut bytes = vec![0; stride * layout.rows];
        for (row, records) in bytes
            .chunks_exact_mut(stride)
            .zip(records.chunks(layout.row_slots()))
        {
            for (slot, record) in records.iter().enumerate() {
                for c in columns {
                    let bits = c.decompose(record.encoded()[c.position]);
                    put(row, slot * layout.slot_bits + c.offset, c.bits, bits);
                }
            }
        }
        Self { bytes, stride }
    }

    /// Bytes of a row.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// Rows `from..to`, one after the other.
    pub(super) fn rows(&self, from: usize, to: usize) -> &[u8] {
        &self.bytes[from * self.stride..to * self.stride]
    }

    /// Row `j`.
    pub(super) fn row(&self, j: usize) -> &[u8] {
        &self.bytes[j * self.stride..(j + 1) * self.stride]
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() / self.stride
    }
}

impl Drop for BitRows {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}
