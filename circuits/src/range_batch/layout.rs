//! How records are laid out in rows and columns (spec: "Layout").

/// Most records in a batch. Proving one takes at most about 180 MiB, for the widest schema, besides
/// the key's tables.
pub const MAX_SLOTS: usize = 32_768;

/// The sizes that a schema and a number of records imply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `K`: slots, one per record.
    pub slots: usize,
    /// `n`: bits of one slot.
    pub slot_bits: usize,
    /// `p`: logarithm of the slots in a row.
    pub row_log: usize,
    /// `m`: rows sent.
    pub rows: usize,
    /// `q`: rounds of the sum-check.
    pub rounds: usize,
}

impl Layout {
    /// Sizes for `slots` records of `slot_bits` bits; none if either is zero or there are more than
    /// [`MAX_SLOTS`] slots.
    #[must_use]
    pub fn new(slot_bits: usize, slots: usize) -> Option<Self> {
        if slot_bits == 0 || slots == 0 || slots > MAX_SLOTS {
            return None;
        }
        let mut row_log = 0;
        while slot_bits << (2 * (row_log + 1)) <= 2 * slots {
            row_log += 1;
        }
        let rows = slots.div_ceil(1 << row_log);
        Some(Self {
            slots,
            slot_bits,
            row_log,
            rows,
            rounds: rows.next_power_of_two().trailing_zeros() as usize,
        })
    }

    /// `ρ`: slots in a row.
    #[must_use]
    pub fn row_slots(&self) -> usize {
        1 << self.row_log
    }

    /// `N`: columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.slot_bits << self.row_log
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_responses_balance() {
        // (n, K) → (p, m, q)
        for (n, k, p, m, q) in [
            (320, 1, 0, 1, 0),
            (320, 8192, 2, 2048, 11),
            (320, 10_240, 3, 1280, 11),
            (3, 5, 0, 5, 3),
            (3, 6, 1, 3, 2),
            (1, 8, 2, 2, 1),
            (2520, 1000, 0, 1000, 10),
        ] {
            let layout = Layout::new(n, k).expect("sizes in range");
            assert_eq!(
                (layout.row_log, layout.rows, layout.rounds),
                (p, m, q),
                "n {n} K {k}"
            );
        }
    }

    #[test]
    fn sizes_outside_the_limits_have_no_layout() {
        assert_eq!(Layout::new(0, 1), None);
        assert_eq!(Layout::new(1, 0), None);
        assert!(Layout::new(1, MAX_SLOTS).is_some());
        assert_eq!(Layout::new(1, MAX_SLOTS + 1), None);
    }
}
