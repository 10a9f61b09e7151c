//! Reporting periods: calendar months.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A calendar month, counted from January of year 0. Written `YYYY-MM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct Period(u32);

impl BorshDeserialize for Period {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        Self::from_number(u32::deserialize_reader(reader)?)
            .map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
    }
}

/// Text that is not a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a period is written YYYY-MM, from 1900-01 to 9999-12")]
pub struct PeriodError;

impl Period {
    /// The month `month` (1 to 12) of `year` (1900 to 9999).
    ///
    /// # Errors
    /// [`PeriodError`] outside those limits.
    pub fn new(year: u32, month: u32) -> Result<Self, PeriodError> {
        if (1900..=9999).contains(&year) && (1..=12).contains(&month) {
            Ok(Self(year * 12 + month - 1))
        } else {
            Err(PeriodError)
        }
    }

    /// The month with this number (`12·year + month - 1`).
    ///
    /// # Errors
    /// [`PeriodError`] outside 1900-01 to 9999-12.
    pub fn from_number(number: u32) -> Result<Self, PeriodError> {
        Self::new(number / 12, number % 12 + 1)
    }

    /// The month's number, `12·year + month - 1`.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// The month `months` earlier, saturating.
    #[must_use]
    pub fn minus(self, months: u32) -> Self {
        Self(self.0.saturating_sub(months))
    }

    /// The next month.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0 / 12, self.0 % 12 + 1)
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(s: &str) -> Result<Self, PeriodError> {
        let digits = |t: &str| -> Result<u32, PeriodError> {
            if t.is_empty() || !t.bytes().all(|b| b.is_ascii_digit()) {
                return Err(PeriodError);
            }
            t.parse().map_err(|_| PeriodError)
        };
        match s.split_once('-') {
            Some((year, month)) if year.len() == 4 && month.len() == 2 => {
                Self::new(digits(year)?, digits(month)?)
            }
            _ => Err(PeriodError),
        }
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        <String as Deserialize>::deserialize(d)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trip() {
        let p: Period = "2005-09".parse().expect("valid");
        assert_eq!(p.to_string(), "2005-09");
        assert_eq!(p.minus(9).to_string(), "2004-12");
        assert_eq!(p.minus(9).next().to_string(), "2005-01");
        assert_eq!(Period::from_number(p.number()), Ok(p));
        for bad in [
            "",
            "2005",
            "2005-13",
            "2005-0",
            "2005-00",
            "+005-01",
            "05-09",
            "2005-9",
            "2005-09-01",
        ] {
            assert_eq!(bad.parse::<Period>(), Err(PeriodError), "{bad}");
        }
    }
}
