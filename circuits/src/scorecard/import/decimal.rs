//! Exact decimal numbers: what files write, before it becomes integers.

use super::error::Problem;

/// Most digits kept: more than any double has.
const MAX_DIGITS: usize = 30;
/// Largest exponent of ten in absolute value.
const MAX_EXPONENT: i32 = 400;

/// `mantissa / 10^decimals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    mantissa: i128,
    decimals: u32,
}

impl Decimal {
    pub(super) const ZERO: Self = Self {
        mantissa: 0,
        decimals: 0,
    };

    /// Reads `-12`, `3.50`, `1e+05`.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let error = || Problem::Number(text.to_owned());
        let too_large = || Problem::TooLarge(text.to_owned());
        let text_of = text.trim();
        let (number, exponent) = match text_of.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().map_err(|_| error())?),
            None => (text_of, 0),
        };
        let (negative, number) = match number.as_bytes().first() {
            Some(b'-') => (true, &number[1..]),
            Some(b'+') => (false, &number[1..]),
            _ => (false, number),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let fraction = fraction.trim_end_matches('0');
        let digits = whole.len() + fraction.len();
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if (whole.is_empty() && !number.contains('.'))
            || number == "."
            || !all_digits(whole)
            || !all_digits(fraction)
        {
            return Err(error());
        }
        if digits > MAX_DIGITS || exponent.abs() > MAX_EXPONENT {
            return Err(too_large());
        }
        let mut mantissa: i128 = 0;
        for b in whole.bytes().chain(fraction.bytes()) {
            mantissa = mantissa * 10 + i128::from(b - b'0');
        }
        if negative {
            mantissa = -mantissa;
        }
        if mantissa == 0 {
            return Ok(Self::ZERO);
        }
        let mut decimals = fraction.len() as i32 - exponent;
        while decimals < 0 {
            mantissa = mantissa.checked_mul(10).ok_or_else(too_large)?;
            decimals += 1;
        }
        while decimals > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            decimals -= 1;
        }
        if decimals > 36 {
            return Err(too_large());
        }
        Ok(Self {
            mantissa,
            decimals: decimals.unsigned_abs(),
        })
    }

    /// Digits behind the point.
    pub(super) fn decimals(&self) -> u32 {
        self.decimals
    }

    /// This number times an integer.
    pub(super) fn times(self, factor: i64) -> Option<Self> {
        Some(Self {
            mantissa: self.mantissa.checked_mul(factor.into())?,
            decimals: self.decimals,
        })
    }

    /// The largest integer that is not above, and whether it is equal.
    pub(super) fn floor(&self) -> Option<(i64, bool)> {
        let unit = 10i128.pow(self.decimals);
        let whole = i64::try_from(self.mantissa.div_euclid(unit)).ok()?;
        Some((whole, self.mantissa.rem_euclid(unit) == 0))
    }

    /// The smallest integer that is not below.
    pub(super) fn ceil(&self) -> Option<i64> {
        let (floor, exact) = self.floor()?;
        floor.checked_add(i64::from(!exact))
    }

    /// `self·10^decimals`, rounded half away from zero.
    pub(super) fn scaled(&self, decimals: u32) -> Option<i64> {
        if decimals >= self.decimals {
            let up = 10i128.checked_pow(decimals - self.decimals)?;
            return i64::try_from(self.mantissa.checked_mul(up)?).ok();
        }
        let down = 10i128.pow(self.decimals - decimals);
        let half = if self.mantissa < 0 {
            -down / 2
        } else {
            down / 2
        };
        i64::try_from(self.mantissa.checked_add(half)? / down).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_rounds() {
        let d = |t| Decimal::parse(t).expect(t);
        assert_eq!(d("478.0"), d("478"));
        assert_eq!(d("-0.0"), Decimal::ZERO);
        assert_eq!(d("1e+05").floor(), Some((100_000, true)));
        assert_eq!(d("12.5e-1").scaled(2), Some(125));
        assert_eq!(d("-2.5").floor(), Some((-3, false)));
        assert_eq!(d("-2.5").ceil(), Some(-2));
        assert_eq!(d("2.5").ceil(), Some(3));
        assert_eq!(d("-2.5").scaled(0), Some(-3));
        assert_eq!(d("2.45").scaled(1), Some(25));
        assert_eq!(d("2.44").scaled(1), Some(24));
        assert_eq!(d(".5").times(4).expect("small").ceil(), Some(2));
        for bad in ["", "-", ".", "1.2.3", "nan", "inf", "1e", "0x1", "1 2", "٣"] {
            assert!(Decimal::parse(bad).is_err(), "{bad}");
        }
        assert!(Decimal::parse(&"9".repeat(40)).is_err());
        assert!(Decimal::parse("1e999").is_err());
        assert!(Decimal::parse("1e-50").is_err());
    }
}
