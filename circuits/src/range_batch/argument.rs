//! The argument as it is sent (spec: "Encoding").

use std::io::{Error, ErrorKind, Read};

use borsh::{BorshDeserialize, BorshSerialize};

use super::layout::Layout;
use super::statement::MaskPoints;
use crate::encoding::{Document, PointBytes, ScalarBytes};

/// Most rows any layout has.
const MAX_ROWS: usize = 16_384;
/// Most rounds any layout has.
const MAX_ROUNDS: usize = 14;
/// Most columns any layout has.
const MAX_COLUMNS: usize = 16_384;

/// Proof that every value of a batch is in its range. Created by [`super::prove`].
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RangeArgument {
    /// `D[j]`: commitments to the rows of bits.
    #[borsh(deserialize_with = "bounded::<_, _, MAX_ROWS>")]
    pub(super) rows: Vec<PointBytes>,
    /// `(A1, A2)` of every round of the sum-check.
    #[borsh(deserialize_with = "bounded::<_, _, MAX_ROUNDS>")]
    pub(super) rounds: Vec<(PointBytes, PointBytes)>,
    /// `T`: commitment to the mask.
    pub(super) t: PointBytes,
    /// `T[stocks]`: image of the mask among the stocks.
    pub(super) t_stocks: PointBytes,
    /// `T[flows]`: image of the mask among the flows.
    pub(super) t_flows: PointBytes,
    /// `E1`: commitment to the mixed term.
    pub(super) e1: PointBytes,
    /// `E0`: commitment to the mask's square.
    pub(super) e0: PointBytes,
    /// `z = e·u + t`.
    #[borsh(deserialize_with = "bounded::<_, _, MAX_COLUMNS>")]
    pub(super) z: Vec<ScalarBytes>,
    /// `θ' = e·δ + θ`.
    pub(super) theta: ScalarBytes,
    /// `φ' = e·ω + φ` of the stocks.
    pub(super) phi_stocks: ScalarBytes,
    /// `φ' = e·ω + φ` of the flows.
    pub(super) phi_flows: ScalarBytes,
    /// `κ' = e²·β + e·κ1 + κ0`.
    pub(super) kappa: ScalarBytes,
}

impl Document for RangeArgument {
    const NAME: &'static str = "zkbureau/range-argument/v1";
    const MAX_BYTES: usize = 1 + 3 * 4 + 32 * (MAX_ROWS + 2 * MAX_ROUNDS + MAX_COLUMNS + 9);
}

impl RangeArgument {
    /// Whether every list has exactly the length that the layout implies.
    pub(super) fn fits(&self, layout: &Layout) -> bool {
        self.rows.len() == layout.rows
            && self.rounds.len() == layout.rounds
            && self.z.len() == layout.columns()
    }

    /// The masks, as the transcript absorbs them.
    pub(super) fn masks(&self) -> MaskPoints {
        MaskPoints {
            t: self.t,
            t_stocks: self.t_stocks,
            t_flows: self.t_flows,
            e1: self.e1,
            e0: self.e0,
        }
    }

    /// Bytes of the encoding for a layout, without a version byte.
    #[must_use]
    pub fn encoded_len(layout: &Layout) -> usize {
        3 * 4 + 32 * (layout.rows + 2 * layout.rounds + 5 + layout.columns() + 4)
    }
}

/// Reads a list of at most `MAX` items. Borsh grows the list as items arrive, so a length alone
/// allocates nothing.
fn bounded<R: Read, T: BorshDeserialize, const MAX: usize>(
    reader: &mut R,
) -> std::io::Result<Vec<T>> {
    let len = u32::deserialize_reader(reader)? as usize;
    if len > MAX {
        return Err(Error::new(
            ErrorKind::InvalidData,
            format!("a list of {len} items, at most {MAX} are allowed"),
        ));
    }
    (0..len).map(|_| T::deserialize_reader(reader)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range_batch::MAX_SLOTS;
    use crate::schema::{MAX_ATTRIBUTES, MAX_BITS};

    #[test]
    fn the_limits_cover_every_layout() {
        for n in 1..=(MAX_ATTRIBUTES - 1) * MAX_BITS as usize {
            // Rows are most just before they get longer, columns just after.
            let mut sizes = vec![MAX_SLOTS];
            for p in 1..=8 {
                let enough = (n << (2 * p)).div_ceil(2);
                sizes.extend([enough - 1, enough].into_iter().filter(|k| *k <= MAX_SLOTS));
            }
            for slots in sizes {
                let layout = Layout::new(n, slots.max(1)).expect("in range");
                assert!(layout.rows <= MAX_ROWS, "n {n}, K {slots}");
                assert!(layout.rounds <= MAX_ROUNDS, "n {n}, K {slots}");
                assert!(layout.columns() <= MAX_COLUMNS, "n {n}, K {slots}");
            }
        }
    }
}
