//! Text to integers, exactly: money never passes through a floating-point number.

use crate::import::Reason;

/// Reads a decimal number with at most `decimals` places as an integer number of units of the last
/// place: "12.3" with two places is 1230.
pub(super) fn parse(text: &str, decimals: u32) -> Result<i64, Reason> {
    let malformed = || {
        if decimals == 0 {
            Reason::NotInteger
        } else {
            Reason::NotDecimal { decimals }
        }
    };
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) if decimals > 0 && !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(malformed()),
        None => (digits, ""),
    };
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(malformed());
    }
    let missing = (decimals as usize)
        .checked_sub(fraction.len())
        .ok_or_else(malformed)?;
    let mut value: i64 = 0;
    for digit in whole
        .bytes()
        .chain(fraction.bytes())
        .map(|b| i64::from(b - b'0'))
        .chain(std::iter::repeat_n(0, missing))
    {
        // Built on the negative side, where i64 has one value more.
        value = value
            .checked_mul(10)
            .and_then(|v| v.checked_sub(digit))
            .ok_or(Reason::TooLarge)?;
    }
    if negative {
        Ok(value)
    } else {
        value.checked_neg().ok_or(Reason::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exact_or_refused() {
        assert_eq!(parse("12.34", 2), Ok(1234));
        assert_eq!(parse("-0.5", 2), Ok(-50));
        assert_eq!(parse("+7", 2), Ok(700));
        assert_eq!(parse("007", 0), Ok(7));
        for bad in [
            "", "-", "+", ".", "1.", ".5", "1.234", "1e3", "1,000", " 1", "1 ", "--1", "0x1", "٣",
            "1.2.3", "1.-2",
        ] {
            assert_eq!(
                parse(bad, 2),
                Err(Reason::NotDecimal { decimals: 2 }),
                "{bad}"
            );
            assert_eq!(parse(bad, 0), Err(Reason::NotInteger), "{bad}");
        }
        assert_eq!(parse("1.0", 0), Err(Reason::NotInteger));
        assert_eq!(parse("9223372036854775807", 0), Ok(i64::MAX));
        assert_eq!(parse("9223372036854775808", 0), Err(Reason::TooLarge));
        assert_eq!(parse("-9223372036854775808", 0), Ok(i64::MIN));
        assert_eq!(parse("92233720368547758.08", 2), Err(Reason::TooLarge));
        assert_eq!(parse(&"9".repeat(1000), 0), Err(Reason::TooLarge));
    }

    proptest! {
        #[test]
        fn integers_round_trip(value in any::<i64>()) {
            prop_assert_eq!(parse(&value.to_string(), 0), Ok(value));
        }

        #[test]
        fn minor_units_round_trip(minor in -1_000_000_000_000i64..1_000_000_000_000) {
            let sign = if minor < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{:02}", minor.abs() / 100, minor.abs() % 100);
            prop_assert_eq!(parse(&text, 2), Ok(minor));
        }
    }
}
