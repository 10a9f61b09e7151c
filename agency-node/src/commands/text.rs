//! Numbers and dates for people.

use zkbureau_ledger::ids::{Day, TimeMs};

/// `1234567` as `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 record`, `2 records`.
pub fn counted(n: u64, what: &str) -> String {
    let plural = match (n, what.strip_suffix('f')) {
        (1, _) => what.to_owned(),
        (_, Some(stem)) => format!("{stem}ves"),
        _ if what.ends_with("ch") => format!("{what}es"),
        _ => format!("{what}s"),
    };
    format!("{} {plural}", count(n))
}

/// A day as `YYYY-MM-DD`.
pub fn date(day: Day) -> String {
    let month = day.month();
    // Days back to the last one of the month before.
    let in_month = (1..=31)
        .find(|back| day.0 < *back || Day(day.0 - back).month() != month)
        .unwrap_or(31);
    format!("{month}-{in_month:02}")
}

/// An instant as `YYYY-MM-DD HH:MM:SS UTC`.
pub fn time(time: TimeMs) -> String {
    let s = time.0 / 1000 % 86_400;
    format!(
        "{} {:02}:{:02}:{:02} UTC",
        date(time.day()),
        s / 3600,
        s / 60 % 60,
        s % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(n), text);
        }
        assert_eq!(counted(1, "leaf"), "1 leaf");
        assert_eq!(counted(2, "leaf"), "2 leaves");
        assert_eq!(counted(0, "batch"), "0 batches");
        assert_eq!(counted(1000, "record"), "1,000 records");
    }

    #[test]
    fn dates_are_calendar_dates() {
        for (day, text) in [
            (0, "1970-01-01"),
            (30, "1970-01-31"),
            (31, "1970-02-01"),
            (11_016, "2000-02-29"),
            (20_453, "2025-12-31"),
            (20_454, "2026-01-01"),
        ] {
            assert_eq!(date(Day(day)), text, "{day}");
        }
        assert_eq!(time(TimeMs(86_399_999)), "1970-01-01 23:59:59 UTC");
    }
}
