//! Reading characters, numbers and times (spec: `circuits/spec/fact.md`, heading "Language").

use super::MAX_WINDOW_MONTHS;
use super::error::{FactError, FactErrorKind as Kind};
use super::language::When;
use crate::period::Period;

/// Largest absolute value of a number.
const MAX_NUMBER: i128 = i64::MAX as i128;

/// A text and a byte offset into it.
pub(super) struct Scan<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

impl<'a> Scan<'a> {
    /// An error at a byte offset.
    pub(super) fn error<T>(&self, offset: usize, kind: impl Into<Kind>) -> Result<T, FactError> {
        Err(FactError {
            column: self.text[..offset].chars().count() + 1,
            offset,
            kind: kind.into(),
        })
    }

    /// What is still to be read.
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Skips spaces and tabs.
    pub(super) fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
    }

    /// Takes `token` after blanks, if it is next.
    pub(super) fn take(&mut self, token: &str) -> bool {
        self.skip_blanks();
        let next = self.rest().starts_with(token);
        if next {
            self.at += token.len();
        }
        next
    }

    /// Takes the longest run of characters that satisfy `f`.
    pub(super) fn take_while(&mut self, f: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let run = &rest[..rest.find(|c| !f(c)).unwrap_or(rest.len())];
        self.at += run.len();
        run
    }

    /// An error that names what stands here instead of `expected`.
    pub(super) fn unexpected<T>(&self, expected: &'static str) -> Result<T, FactError> {
        let rest = self.rest();
        let found = match rest.chars().next() {
            None => "the end".to_owned(),
            Some(c) if c.is_ascii_alphanumeric() || c == '_' => {
                let word: String = rest
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .take(40)
                    .collect();
                format!("`{word}`")
            }
            Some(c) => format!("`{}`", c.escape_debug()),
        };
        self.error(self.at, Kind::Unexpected { expected, found })
    }

    /// Digits, with single underscores between them.
    pub(super) fn integer(&mut self) -> Result<i128, FactError> {
        let start = self.at;
        let digits = self.take_while(|c| c.is_ascii_digit() || c == '_');
        if digits.ends_with('_') || digits.contains("__") {
            return self.error(
                start,
                Kind::Unexpected {
                    expected: "single underscores between digits",
                    found: format!("`{}`", digits.chars().take(40).collect::<String>()),
                },
            );
        }
        let mut number = 0i128;
        for digit in digits.bytes().filter(u8::is_ascii_digit) {
            number = number * 10 + i128::from(digit - b'0');
            if number > MAX_NUMBER {
                return self.error(start, Kind::Number);
            }
        }
        Ok(number)
    }

    /// A number as 64 bits, refused beyond 63 and a sign.
    pub(super) fn number(&self, offset: usize, number: i128) -> Result<i64, FactError> {
        if number.abs() > MAX_NUMBER {
            return self.error(offset, Kind::Number);
        }
        Ok(i64::try_from(number).expect("just compared"))
    }

    /// A window or a period.
    pub(super) fn when(&mut self) -> Result<When, FactError> {
        let start = self.at;
        let word = self.take_while(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if let Some(months) = word.strip_suffix('m')
            && !months.is_empty()
            && months.bytes().all(|b| b.is_ascii_digit())
        {
            return match months.parse::<u32>() {
                Ok(months) if (1..=MAX_WINDOW_MONTHS).contains(&months) => Ok(When::Window(months)),
                _ => self.error(start, Kind::Window),
            };
        }
        let dated = word.contains('-') && word.starts_with(|c: char| c.is_ascii_digit());
        match word.parse::<Period>() {
            Ok(period) => Ok(When::At(period)),
            Err(_) if dated => self.error(start, Kind::Period),
            Err(_) => {
                self.at = start;
                self.unexpected("a window such as `6m` or a period such as `2005-07`")
            }
        }
    }
}
