//! Reading TOML so that every mistake is told with its line, its key and what was allowed.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zkbureau_prover::nearest::hint;

/// What is wrong with a configuration file, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {key}{}{what}", if .key.is_empty() { "" } else { ": " })]
pub struct ConfigError {
    /// Line, counted from 1.
    pub line: usize,
    /// The key with its tables, such as `http.listen`.
    pub key: String,
    /// What is wrong.
    pub what: Mistake,
}

/// A mistake in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Mistake {
    /// Not TOML.
    #[error("{0}")]
    Syntax(String),
    /// Nobody reads this key.
    #[error("there is no such key{0}")]
    Unknown(String),
    /// A key that is needed.
    #[error("is missing")]
    Missing,
    /// Another type.
    #[error("is {got}, not {expected}")]
    Type {
        /// What is needed.
        expected: &'static str,
        /// What it is.
        got: &'static str,
    },
    /// A number outside its limits.
    #[error("{got} is outside {min}..={max}")]
    Limit {
        /// The number.
        got: i64,
        /// Smallest number allowed.
        min: i64,
        /// Largest number allowed.
        max: i64,
    },
    /// Text that does not say what it should.
    #[error("{0}")]
    Invalid(String),
}

/// A table of the file.
pub struct Section<'a> {
    text: &'a str,
    /// Its keys in front of this table's, with a dot at the end; empty at the top.
    prefix: String,
    /// Where the table starts.
    start: usize,
    table: &'a DeTable<'a>,
}

/// Reads a whole file.
///
/// # Errors
/// [`ConfigError`] when it is not TOML.
pub fn parse(text: &str) -> Result<Spanned<DeTable<'_>>, ConfigError> {
    DeTable::parse(text).map_err(|error| ConfigError {
        line: line(text, error.span().map_or(0, |span| span.start)),
        key: String::new(),
        what: Mistake::Syntax(error.message().to_owned()),
    })
}

fn line(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|b| **b == b'\n').count()
}

impl<'a> Section<'a> {
    /// The whole file. Every key of it must be one of `known`.
    ///
    /// # Errors
    /// [`ConfigError`] names the first unknown key and what was probably meant.
    pub fn top(
        text: &'a str,
        table: &'a Spanned<DeTable<'a>>,
        known: &[&str],
    ) -> Result<Self, ConfigError> {
        Self::new(text, String::new(), 0, table.get_ref(), known)
    }

    fn new(
        text: &'a str,
        prefix: String,
        start: usize,
        table: &'a DeTable<'a>,
        known: &[&str],
    ) -> Result<Self, ConfigError> {
        let section = Self {
            text,
            prefix,
            start,
            table,
        };
        // In the order of the file, so that the first mistake is told first.
        let mut keys: Vec<_> = table.keys().collect();
        keys.sort_by_key(|key| key.span().start);
        for key in keys {
            let name: &str = key.get_ref();
            if !known.is_empty() && !known.contains(&name) {
                let hint = hint(name, known.iter().copied());
                return Err(section.error_at(key.span().start, name, Mistake::Unknown(hint)));
            }
        }
        Ok(section)
    }

    fn error_at(&self, at: usize, key: &str, what: Mistake) -> ConfigError {
        ConfigError {
            line: line(self.text, at),
            key: format!("{}{key}", self.prefix),
            what,
        }
    }

    /// An error about a key of this table.
    #[must_use]
    pub fn error(&self, key: &str, what: Mistake) -> ConfigError {
        let at = self.get(key).map_or(self.start, |value| value.span().start);
        self.error_at(at, key, what)
    }

    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table
            .iter()
            .find(|(name, _)| name.get_ref().as_ref() == key)
            .map(|(_, value)| value)
    }

    fn wrong_type(&self, key: &str, expected: &'static str, got: &DeValue<'_>) -> ConfigError {
        let got = got.type_str();
        self.error(key, Mistake::Type { expected, got })
    }

    /// The keys of this table, for tables whose keys are data.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.table.keys().map(|key| key.get_ref().as_ref())
    }

    /// Text, if the key is there.
    ///
    /// # Errors
    /// [`ConfigError`] when it is something else.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>, ConfigError> {
        match self.get(key).map(Spanned::get_ref) {
            None => Ok(None),
            Some(DeValue::String(text)) => Ok(Some(text.as_ref())),
            Some(other) => Err(self.wrong_type(key, "text", other)),
        }
    }

    /// Text that must be there.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn required_text(&self, key: &str) -> Result<&'a str, ConfigError> {
        self.text(key)?
            .ok_or_else(|| self.error(key, Mistake::Missing))
    }

    /// Text that says a value, if the key is there.
    ///
    /// # Errors
    /// [`ConfigError`] with what the value's parser says, and what is expected.
    pub fn parsed<T>(&self, key: &str, expected: &str) -> Result<Option<T>, ConfigError>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.text(key)?
            .map(|text| {
                text.parse().map_err(|e| {
                    self.error(key, Mistake::Invalid(format!("{e}; expected {expected}")))
                })
            })
            .transpose()
    }

    /// A list of texts; empty if the key is not there.
    ///
    /// # Errors
    /// [`ConfigError`] when it is something else.
    pub fn texts(&self, key: &str) -> Result<Vec<&'a str>, ConfigError> {
        let list = match self.get(key).map(Spanned::get_ref) {
            None => return Ok(Vec::new()),
            Some(DeValue::Array(list)) => list,
            Some(other) => return Err(self.wrong_type(key, "a list of texts", other)),
        };
        list.iter()
            .map(|value| match value.get_ref() {
                DeValue::String(text) => Ok(text.as_ref()),
                other => Err(self.wrong_type(key, "a list of texts", other)),
            })
            .collect()
    }

    /// True or false, or the default.
    ///
    /// # Errors
    /// [`ConfigError`] when it is something else.
    pub fn boolean(&self, key: &str, default: bool) -> Result<bool, ConfigError> {
        match self.get(key).map(Spanned::get_ref) {
            None => Ok(default),
            Some(DeValue::Boolean(value)) => Ok(*value),
            Some(other) => Err(self.wrong_type(key, "true or false", other)),
        }
    }

    /// One of a few words, if the key is there.
    ///
    /// # Errors
    /// [`ConfigError`] lists the words.
    pub fn one_of<T: Copy>(
        &self,
        key: &str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| Some(*value)).ok_or_else(|| {
            let list: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let what = format!("{text:?} is not one of {}", list.join(", "));
            self.error(key, Mistake::Invalid(what))
        })
    }

    /// A number within limits, or the default.
    ///
    /// # Errors
    /// [`ConfigError`] names the limits.
    pub fn number(
        &self,
        key: &str,
        limits: RangeInclusive<u64>,
        default: u64,
    ) -> Result<u64, ConfigError> {
        Ok(self.optional_number(key, limits)?.unwrap_or(default))
    }

    /// A number within limits, if the key is there.
    ///
    /// # Errors
    /// [`ConfigError`] names the limits.
    pub fn optional_number(
        &self,
        key: &str,
        limits: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ConfigError> {
        let integer = match self.get(key).map(Spanned::get_ref) {
            None => return Ok(None),
            Some(DeValue::Integer(integer)) => integer,
            Some(other) => return Err(self.wrong_type(key, "a whole number", other)),
        };
        let got = i64::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(i64::MAX);
        let allowed = u64::try_from(got).ok().filter(|n| limits.contains(n));
        allowed.map(Some).ok_or_else(|| {
            let end = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            let (min, max) = (end(*limits.start()), end(*limits.end()));
            self.error(key, Mistake::Limit { got, min, max })
        })
    }

    /// A table within this one, if it is there. With `known` empty its keys are data.
    ///
    /// # Errors
    /// [`ConfigError`] when it is no table or has an unknown key.
    pub fn section(&self, key: &str, known: &[&str]) -> Result<Option<Self>, ConfigError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match value.get_ref() {
                DeValue::Table(table) => {
                    let prefix = format!("{}{key}.", self.prefix);
                    let start = value.span().start;
                    Self::new(self.text, prefix, start, table, known).map(Some)
                }
                other => Err(self.wrong_type(key, "a table", other)),
            },
        }
    }

    /// A table that must be there.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn required_section(&self, key: &str, known: &[&str]) -> Result<Self, ConfigError> {
        self.section(key, known)?
            .ok_or_else(|| self.error(key, Mistake::Missing))
    }
}
