//! Times as people write them, always UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use zkbureau_ledger::ids::{DAY_MS, Day, TimeMs};

/// The system's clock.
#[must_use]
pub fn now() -> TimeMs {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    TimeMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A day as `2026-11-20`.
#[must_use]
pub fn show_day(day: Day) -> String {
    let (year, month, day) = civil(u64::from(day.0));
    format!("{year:04}-{month:02}-{day:02}")
}

/// An instant as `2026-11-20 23:57:27 UTC`.
#[must_use]
pub fn show(time: TimeMs) -> String {
    let seconds = time.0 / 1000 % 86_400;
    format!(
        "{} {:02}:{:02}:{:02} UTC",
        show_day(time.day()),
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// A length of time in the largest unit that says enough, such as `3 days` or `45 seconds`.
#[must_use]
pub fn show_span(ms: u64) -> String {
    let seconds = ms / 1000;
    let (count, unit) = match seconds {
        0..=119 => (seconds, "second"),
        120..=7_199 => (seconds / 60, "minute"),
        7_200..=172_799 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// Reads `2026-11-20`, `2026-11-20T23:57:27Z`, `2026-11-20 23:57:27 UTC` or unix milliseconds.
#[must_use]
pub fn parse(text: &str) -> Option<TimeMs> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().map(TimeMs).filter(|t| *t <= TimeMs::MAX);
    }
    let text = text
        .trim_end_matches("UTC")
        .trim_end_matches('Z')
        .trim_end();
    let (date, clock) = match text.split_once(['T', ' ']) {
        Some((date, clock)) => (date, clock),
        None => (text, "00:00:00"),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (
        digits(parts.next()?, 4)?,
        digits(parts.next()?, 2)?,
        digits(parts.next()?, 2)?,
    );
    let mut times = clock.split(':');
    let (hour, minute, second) = (
        digits(times.next()?, 2)?,
        digits(times.next()?, 2)?,
        digits(times.next().unwrap_or("00"), 2)?,
    );
    if parts.next().is_some() || times.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_from_civil(year, month, day)?;
    Some(TimeMs(
        days * DAY_MS + (hour * 3600 + minute * 60 + second) * 1000,
    ))
}

fn digits(text: &str, length: usize) -> Option<u64> {
    (text.len() == length && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// Year, month and day of a day counted from 1970-01-01, by 400-year cycles that start in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (cycle, of_cycle) = (days / 146_097, days % 146_097);
    let year = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = (shifted + 2) % 12 + 1;
    (400 * cycle + year + u64::from(month <= 2), month, day)
}

/// The inverse of [`civil`] for dates from 1970 that exist.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let shifted_year = year - u64::from(month <= 2);
    let (cycle, of_cycle) = (shifted_year / 400, shifted_year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = (cycle * 146_097 + of_cycle * 365 + of_cycle / 4 + of_year)
        .checked_sub(719_468 + of_cycle / 100)?;
    (civil(days) == (year, month, day)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        for (ms, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199_000, "2024-02-29 23:59:59 UTC"),
            (1_767_225_600_000, "2026-01-01 00:00:00 UTC"),
        ] {
            assert_eq!(show(TimeMs(ms)), text);
            assert_eq!(parse(text), Some(TimeMs(ms)));
        }
        assert_eq!(parse("2026-01-01"), Some(TimeMs(1_767_225_600_000)));
        assert_eq!(
            parse("2026-01-01T00:00:01Z"),
            Some(TimeMs(1_767_225_601_000))
        );
        assert_eq!(parse("1767225600000"), Some(TimeMs(1_767_225_600_000)));
        for bad in [
            "",
            "yesterday",
            "2026-02-29",
            "2026-13-01",
            "2026-1-1",
            "2026-01-01T24:00:00Z",
            "1969-12-31",
            "2026-01-00",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_day_round_trips() {
        for day in (0..100_000).step_by(7) {
            assert_eq!(
                parse(&show_day(Day(day))),
                Some(TimeMs(u64::from(day) * DAY_MS))
            );
        }
    }

    #[test]
    fn spans() {
        assert_eq!(show_span(1_000), "1 second");
        assert_eq!(show_span(86_400_000), "24 hours");
        assert_eq!(show_span(7 * 86_400_000), "7 days");
        assert_eq!(show_span(120_000), "2 minutes");
    }
}
