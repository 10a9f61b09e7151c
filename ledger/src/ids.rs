//! Identifiers, heights and times (spec: `ledger/spec/blocks.md`).

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use zkbureau_circuits::encoding::Digest32;
pub use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;

/// Milliseconds of a day.
pub const DAY_MS: u64 = 86_400_000;

/// Defines a newtype over a number with the traits that identifiers need.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty), $display:literal) => {
        $(#[$doc])*
        #[derive(
            Clone,
            Copy,
            Debug,
            Default,
            PartialEq,
            Eq,
            PartialOrd,
            Ord,
            Hash,
            BorshSerialize,
            BorshDeserialize,
            Serialize,
            Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $display, self.0)
            }
        }
    };
}

/// Defines a newtype over a digest: hexadecimal in JSON and in messages.
macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone,
            Copy,
            PartialEq,
            Eq,
            PartialOrd,
            Ord,
            Hash,
            BorshSerialize,
            BorshDeserialize,
            Serialize,
            Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(#[serde(with = "hex::serde")] pub Digest32);

        impl $name {
            /// The bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &Digest32 {
                &self.0
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl std::str::FromStr for $name {
            type Err = hex::FromHexError;

            fn from_str(s: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(s, &mut bytes)?;
                Ok(Self(bytes))
            }
        }
    };
}

number!(
    /// A party that certifies who holds a subject key.
    IssuerId(u32),
    "issuer {}"
);
number!(
    /// A regulator.
    AuditorId(u32),
    "auditor {}"
);
number!(
    /// Number of a block. The state of the genesis file stands at height 0.
    Height(u64),
    "{}"
);
number!(
    /// Milliseconds since 1970-01-01 00:00 UTC, without leap seconds.
    TimeMs(u64),
    "{}"
);
number!(
    /// Days since 1970-01-01.
    Day(u32),
    "{}"
);

digest!(
    /// Identifier of a chain: the digest of its genesis file.
    ChainId
);
digest!(
    /// Hash of a transaction.
    TxHash
);
digest!(
    /// Identifier of a consent anchor: the hash of the whole anchor.
    AnchorId
);
digest!(
    /// Identifier of an audit request: the hash of the whole request.
    AuditId
);
digest!(
    /// Identifier of a proposal: the hash of the whole proposal.
    ProposalId
);
digest!(
    /// Binds a leaf to its holder; opened only as evidence.
    HolderTag
);

impl Height {
    /// The genesis state.
    pub const GENESIS: Self = Self(0);

    /// The height after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl TimeMs {
    /// The largest time a header may carry: the end of year 9999.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The day this instant is in.
    #[must_use]
    pub fn day(self) -> Day {
        Day(u32::try_from(self.0 / DAY_MS).unwrap_or(u32::MAX))
    }

    /// The calendar month this instant is in, by UTC.
    #[must_use]
    pub fn month(self) -> Period {
        self.day().month()
    }
}

impl Day {
    /// The calendar month this day is in; the last month of year 9999 for anything later.
    #[must_use]
    pub fn month(self) -> Period {
        // Days are counted in 400-year cycles of years that start in March, so that the leap day
        // is the last of its year.
        const DAYS_OF_CYCLE: u64 = 146_097;
        let days = u64::from(self.0) + 719_468;
        let cycle = days / DAYS_OF_CYCLE;
        let day_of_cycle = days % DAYS_OF_CYCLE;
        let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524
            - day_of_cycle / 146_096)
            / 365;
        let day_of_year =
            day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let months_since_march = (5 * day_of_year + 2) / 153;
        let month = (months_since_march + 2) % 12 + 1;
        let year = 400 * cycle + year_of_cycle + u64::from(month <= 2);
        let last = || Period::new(9999, 12).expect("a valid month");
        match (u32::try_from(year), u32::try_from(month)) {
            (Ok(year), Ok(month)) => Period::new(year, month).unwrap_or_else(|_| last()),
            _ => last(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_of_known_days() {
        for (ms, text) in [
            (0, "1970-01"),
            (31 * DAY_MS - 1, "1970-01"),
            (31 * DAY_MS, "1970-02"),
            (951_782_400_000, "2000-02"), // 2000-02-29
            (951_868_800_000, "2000-03"),
            (1_709_164_800_000, "2024-02"), // 2024-02-29
            (1_709_251_200_000, "2024-03"),
            (1_767_225_599_999, "2025-12"),
            (1_767_225_600_000, "2026-01"),
            (TimeMs::MAX.0, "9999-12"),
        ] {
            assert_eq!(TimeMs(ms).month().to_string(), text, "{ms}");
        }
    }

    #[test]
    fn every_month_has_its_days() {
        // A second count, day by day with the calendar's own rules.
        let (mut year, mut month, mut day) = (1970u32, 1u32, 1u32);
        for number in 0..200_000 {
            assert_eq!(
                Day(number).month(),
                Period::new(year, month).expect("valid"),
                "day {number}"
            );
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u32::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }

    #[test]
    fn digests_read_and_write_as_hexadecimal() {
        let id = ChainId([0xab; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("ab".parse::<ChainId>().is_err());
        assert_eq!(
            serde_json::to_string(&id).expect("json"),
            format!("\"{id}\"")
        );
    }
}
