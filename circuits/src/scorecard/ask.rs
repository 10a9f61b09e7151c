//! What may be asked of a score, and how people write it
//! (spec: `circuits/spec/score_answer.md`, heading "Question").

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::card::Card;
use super::claim::Claim;
use super::{MAX_NAME, MAX_REASONS};
use crate::encoding::Digest32;

/// Longest text of a question in bytes.
pub const MAX_SCORE_TEXT: usize = 256;
/// Largest threshold in absolute value, in the card's unit: beyond every score of every card.
pub const MAX_THRESHOLD: i64 = 1 << 47;

/// What is asked of a score. Thresholds are in the card's unit of points.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Is it at least this?
    AtLeast(i64),
    /// Is it below this?
    Below(i64),
    /// How much is it?
    Exact,
}

/// A question about a score under a card.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct ScoreAsk {
    /// Content hash of the card.
    #[serde(with = "hex::serde")]
    pub card: Digest32,
    /// What is asked.
    pub question: Question,
    /// How many reasons are asked for at most; 0 for none.
    pub reasons: u8,
}

/// A question cannot be asked of a card.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AskError {
    /// Too many reasons.
    #[error("at most {MAX_REASONS} reasons, not {0}")]
    Reasons(u8),
    /// The card's shortfalls are no reasons.
    #[error("the card {0:?} says that its scores are not explained with reasons")]
    NoReasons(String),
    /// Two numbers of reasons under one card.
    #[error(
        "the card {0:?} is asked for {1} and for {2} reasons; together they would tell an order"
    )]
    TwoReasons(String, u8, u8),
    /// A threshold beyond every score.
    #[error("a threshold is at most {MAX_THRESHOLD} points in absolute value, not {0}")]
    Threshold(i64),
}

impl ScoreAsk {
    /// Checks the question against its card.
    ///
    /// # Errors
    /// [`AskError`] names the limit.
    pub fn check(&self, card: &Card) -> Result<(), AskError> {
        if self.reasons > MAX_REASONS {
            return Err(AskError::Reasons(self.reasons));
        }
        if self.reasons > 0 && !card.reasons() {
            return Err(AskError::NoReasons(card.name().to_owned()));
        }
        match self.question {
            Question::AtLeast(t) | Question::Below(t) if t.abs_diff(0) > MAX_THRESHOLD as u64 => {
                Err(AskError::Threshold(t))
            }
            _ => Ok(()),
        }
    }

    /// The question as people write it, with the card's name and in the score's unit.
    #[must_use]
    pub fn text(&self, card: &Card) -> String {
        let mut text = format!("score({})", quoted(card.name()));
        match self.question {
            Question::AtLeast(t) => text.push_str(&format!(" >= {}", card.show(t))),
            Question::Below(t) => text.push_str(&format!(" < {}", card.show(t))),
            Question::Exact => {}
        }
        if self.reasons > 0 {
            text.push_str(&format!(" reasons {}", self.reasons));
        }
        text
    }

    /// The claim that answers the question for a score, and whether it is the one hoped for.
    #[must_use]
    pub fn claim(&self, score: i64) -> (Claim, bool) {
        match self.question {
            Question::AtLeast(t) => (Claim::about(t, score), score >= t),
            Question::Below(t) => (Claim::about(t, score), score < t),
            Question::Exact => (Claim::Exactly(score), true),
        }
    }
}

fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
    if !name.is_empty() && name.chars().all(plain) && name.trim() == name {
        name.to_owned()
    } else {
        format!("\"{name}\"")
    }
}

/// What a consent allows to be asked of a score.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct ScoreTemplate {
    /// Content hash of the card.
    #[serde(with = "hex::serde")]
    pub card: Digest32,
    /// Smallest and largest threshold that may be asked about, in the card's unit; none if the
    /// score may only be asked for itself.
    pub thresholds: Option<(i64, i64)>,
    /// Whether the score itself may be shown.
    pub exact: bool,
    /// How many reasons may be shown: so many, or none. With fewer, too, answers together would tell the
    /// order of the shortfalls.
    pub reasons: u8,
}

impl ScoreTemplate {
    /// The template that covers one question only.
    #[must_use]
    pub fn exactly(ask: &ScoreAsk) -> Self {
        let threshold = match ask.question {
            Question::AtLeast(t) | Question::Below(t) => Some((t, t)),
            Question::Exact => None,
        };
        Self {
            card: ask.card,
            thresholds: threshold,
            exact: threshold.is_none(),
            reasons: ask.reasons,
        }
    }

    /// Whether the question is allowed. Whoever may ask whether a score is at least `T` may ask
    /// whether it is below: the answers say the same.
    #[must_use]
    pub fn covers(&self, ask: &ScoreAsk) -> bool {
        let question = match ask.question {
            Question::AtLeast(t) | Question::Below(t) => {
                (self.thresholds).is_some_and(|(low, high)| (low..=high).contains(&t))
            }
            Question::Exact => self.exact,
        };
        let reasons = ask.reasons == 0 || ask.reasons == self.reasons;
        self.card == ask.card && reasons && question
    }
}

/// A text is not a question about a score: what, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreTextError {
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub kind: ScoreTextErrorKind,
}

impl fmt::Display for ScoreTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at column {}: {}", self.column, self.kind)
    }
}

impl std::error::Error for ScoreTextError {}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScoreTextErrorKind {
    /// Too long.
    #[error("a question about a score has at most {MAX_SCORE_TEXT} bytes, not {0}")]
    Length(usize),
    /// Something else was expected.
    #[error("expected {0}")]
    Expected(&'static str),
    /// No card by this name or hash.
    #[error("no card {0:?} is known here")]
    UnknownCard(String),
    /// The threshold has more decimals than the card's points.
    #[error("the card counts in units of 1/{scale}: a threshold has at most {decimals} decimals")]
    Decimals {
        /// Scale of the card.
        scale: u32,
        /// Decimals it allows.
        decimals: usize,
    },
    /// The question cannot be asked of this card.
    #[error(transparent)]
    Ask(AskError),
}

/// A question as it is written, before its card is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreText {
    /// Name or content hash of the card.
    pub card: String,
    card_column: usize,
    relation: Option<(Sign, usize, String)>,
    reasons: Option<(u8, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    AtLeast,
    Above,
    Below,
    AtMost,
}

impl ScoreText {
    /// Reads `score(card)`, `score(card) >= T`, `score(card) < T` (or `>`, `<=`), each with
    /// `reasons k` after it if reasons are asked for. A name with brackets stands in quotes.
    ///
    /// # Errors
    /// [`ScoreTextError`] says what and where.
    pub fn parse(text: &str) -> Result<Self, ScoreTextError> {
        let fail = |offset: usize, kind| ScoreTextError {
            column: text[..offset].chars().count() + 1,
            kind,
        };
        let expected = |offset, what| fail(offset, ScoreTextErrorKind::Expected(what));
        if text.len() > MAX_SCORE_TEXT {
            return Err(fail(0, ScoreTextErrorKind::Length(text.len())));
        }
        let mut at = skip(text, 0);
        if !text[at..].starts_with("score") {
            return Err(expected(at, "`score(`"));
        }
        at = skip(text, at + "score".len());
        if !text[at..].starts_with('(') {
            return Err(expected(at, "`(`"));
        }
        at = skip(text, at + 1);
        let card_column = at;
        let (card, end) = if text[at..].starts_with('"') {
            let close = text[at + 1..]
                .find('"')
                .ok_or_else(|| expected(text.len(), "`\"`"))?;
            (&text[at + 1..at + 1 + close], at + close + 2)
        } else {
            let close = text[at..]
                .find(')')
                .ok_or_else(|| expected(text.len(), "`)`"))?;
            (&text[at..at + close], at + close)
        };
        let card = card.trim();
        if card.is_empty() || card.len() > MAX_NAME {
            return Err(expected(
                card_column,
                "the name or hash of a card, at most 64 bytes",
            ));
        }
        at = skip(text, end);
        if !text[at..].starts_with(')') {
            return Err(expected(at, "`)`"));
        }
        at = skip(text, at + 1);
        let mut relation = None;
        let signs = [
            (">=", Sign::AtLeast),
            ("<=", Sign::AtMost),
            (">", Sign::Above),
            ("<", Sign::Below),
        ];
        if let Some((sign, kind)) = signs.iter().find(|(sign, _)| text[at..].starts_with(sign)) {
            at = skip(text, at + sign.len());
            let number = text[at..]
                .find(|c: char| !(c.is_ascii_digit() || "+-._".contains(c)))
                .map_or(text.len(), |end| at + end);
            if number == at {
                return Err(expected(at, "a threshold"));
            }
            relation = Some((*kind, at, text[at..number].to_owned()));
            at = skip(text, number);
        }
        let mut reasons = None;
        if text[at..].starts_with("reasons") {
            at = skip(text, at + "reasons".len());
            let end = text[at..]
                .find(|c: char| !c.is_ascii_digit())
                .map_or(text.len(), |end| at + end);
            let count = text[at..end]
                .parse()
                .ok()
                .filter(|n| (1..=MAX_REASONS).contains(n))
                .ok_or_else(|| expected(at, "how many reasons, 1 to 8"))?;
            reasons = Some((count, at));
            at = skip(text, end);
        }
        if at != text.len() {
            let what = match (&relation, reasons) {
                (None, None) => "`>=`, `<`, `reasons` or the end",
                (Some(_), None) => "`reasons` or the end",
                _ => "the end",
            };
            return Err(expected(at, what));
        }
        let column = |offset: usize| text[..offset].chars().count() + 1;
        Ok(Self {
            card: card.to_owned(),
            card_column: column(card_column),
            relation: relation.map(|(sign, at, text)| (sign, column(at), text)),
            reasons: reasons.map(|(count, at)| (count, column(at))),
        })
    }

    /// The error that no card is known by this name or hash.
    #[must_use]
    pub fn unknown_card(&self) -> ScoreTextError {
        ScoreTextError {
            column: self.card_column,
            kind: ScoreTextErrorKind::UnknownCard(self.card.clone()),
        }
    }

    /// The question, under the card that was meant.
    ///
    /// # Errors
    /// [`ScoreTextError`] when the threshold does not fit the card, or the card has no reasons.
    pub fn of(&self, card: &Card) -> Result<ScoreAsk, ScoreTextError> {
        let question = match &self.relation {
            None => Question::Exact,
            Some((sign, column, text)) => {
                let points = points(text, card.scale()).map_err(|kind| ScoreTextError {
                    column: *column,
                    kind,
                })?;
                match sign {
                    Sign::AtLeast => Question::AtLeast(points),
                    Sign::Above => Question::AtLeast(points + 1),
                    Sign::Below => Question::Below(points),
                    Sign::AtMost => Question::Below(points + 1),
                }
            }
        };
        let ask = ScoreAsk {
            card: card.content_hash(),
            question,
            reasons: self.reasons.map_or(0, |(count, _)| count),
        };
        ask.check(card).map_err(|error| ScoreTextError {
            column: match error {
                AskError::Threshold(_) => self.relation.as_ref().map_or(1, |(_, at, _)| *at),
                _ => self.reasons.map_or(1, |(_, at)| at),
            },
            kind: ScoreTextErrorKind::Ask(error),
        })?;
        Ok(ask)
    }
}

fn skip(text: &str, from: usize) -> usize {
    let rest = &text[from..];
    from + (rest.len() - rest.trim_start().len())
}

/// A threshold in the card's unit.
fn points(text: &str, scale: u32) -> Result<i64, ScoreTextErrorKind> {
    const NUMBER: ScoreTextErrorKind = ScoreTextErrorKind::Expected("a number");
    let digits = scale.ilog10() as usize;
    // Other scales than powers of ten take whole points only.
    let decimals = if 10u32.checked_pow(digits as u32) == Some(scale) {
        digits
    } else {
        0
    };
    let negative = text.starts_with('-');
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, part) = body.split_once('.').unwrap_or((body, ""));
    let whole = whole.replace('_', "");
    let all = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all(&whole) || !all(part) || (body.contains('.') && part.is_empty()) {
        return Err(NUMBER);
    }
    if part.len() > decimals {
        return Err(ScoreTextErrorKind::Decimals { scale, decimals });
    }
    let whole: i64 = whole.parse().map_err(|_| NUMBER)?;
    let part: i64 = format!("{part:0<decimals$}").parse().unwrap_or(0);
    let size = whole
        .checked_mul(i64::from(scale))
        .and_then(|w| w.checked_add(part))
        // So that one more is a number, too; the limit on thresholds is far below.
        .filter(|size| *size < 1 << 62)
        .ok_or(NUMBER)?;
    Ok(if negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scorecard::{Bin, Measure, Reference, Span, Variable};

    fn card(scale: u32, reasons: bool) -> Card {
        let bin = |from, to, points| Bin {
            from,
            to,
            points,
            label: String::new(),
        };
        let variable = Variable {
            name: "age".into(),
            reference: Reference {
                attribute: "age".into(),
                lag: 0,
                measure: Measure::Level,
                span: Span::Total,
            },
            reason: String::new(),
            bins: vec![bin(0, 30, 5), bin(30, 120, 25)],
        };
        Card::new("Retail (2024)".into(), scale, 400, reasons, vec![variable]).expect("valid")
    }

    fn ask(text: &str, card: &Card) -> Result<ScoreAsk, ScoreTextError> {
        ScoreText::parse(text)?.of(card)
    }

    #[test]
    fn texts_read_and_write() {
        let card = card(100, true);
        let question = |text| ask(text, &card).expect(text).question;
        assert_eq!(question("score(x) >= 4.25"), Question::AtLeast(425));
        assert_eq!(question(" score( x )>4.2 "), Question::AtLeast(421));
        assert_eq!(question("score(x) < -1_000"), Question::Below(-100_000));
        assert_eq!(question("score(x)<=5"), Question::Below(501));
        assert_eq!(question("score(x)"), Question::Exact);
        let with = ask("score(\"Retail (2024)\") >= 5 reasons 4", &card).expect("valid");
        assert_eq!(with.reasons, 4);
        let text = with.text(&card);
        assert_eq!(text, "score(\"Retail (2024)\") >= 5.00 reasons 4");
        assert_eq!(ask(&text, &card), Ok(with));
        let parsed = ScoreText::parse(&text).expect("valid");
        assert_eq!(parsed.card, "Retail (2024)");
        assert_eq!(
            parsed.unknown_card().to_string(),
            "at column 7: no card \"Retail (2024)\" is known here"
        );
    }

    #[test]
    fn errors_say_what_and_where() {
        let card = card(10, false);
        for (text, message) in [
            ("scores(x)", "at column 6: expected `(`"),
            ("total(x) > 1", "at column 1: expected `score(`"),
            ("score(x", "at column 8: expected `)`"),
            (
                "score()",
                "at column 7: expected the name or hash of a card, at most 64 bytes",
            ),
            (
                "score(x) == 5",
                "at column 10: expected `>=`, `<`, `reasons` or the end",
            ),
            ("score(x) >= high", "at column 13: expected a threshold"),
            ("score(ä) >= 1-2", "at column 13: expected a number"),
            ("score(x) >= 1.", "at column 13: expected a number"),
            (
                "score(x) >= 1.25",
                "at column 13: the card counts in units of 1/10: a threshold has at most 1 decimals",
            ),
            (
                "score(x) >= 99999999999999",
                "at column 13: a threshold is at most 140737488355328 points in absolute value, not 999999999999990",
            ),
            (
                "score(x) >= 1 reasons 9",
                "at column 23: expected how many reasons, 1 to 8",
            ),
            (
                "score(x) >= 1 2",
                "at column 15: expected `reasons` or the end",
            ),
            (
                "score(x) reasons 2",
                "at column 18: the card \"Retail (2024)\" says that its scores are not explained with reasons",
            ),
        ] {
            let error = ask(text, &card).expect_err(text);
            assert_eq!(error.to_string(), message, "{text}");
        }
        assert!(ScoreText::parse(&"x".repeat(257)).is_err());
    }

    #[test]
    fn templates_cover_what_they_say() {
        let card = card(1, true);
        let of = |text| ask(text, &card).expect(text);
        let narrow = ScoreTemplate::exactly(&of("score(x) >= 420 reasons 2"));
        assert!(narrow.covers(&of("score(x) >= 420")));
        assert!(narrow.covers(&of("score(x) < 420 reasons 2")));
        assert!(!narrow.covers(&of("score(x) >= 420 reasons 3")));
        // The second reason would be the one that is missing here.
        assert!(!narrow.covers(&of("score(x) >= 420 reasons 1")));
        assert!(!narrow.covers(&of("score(x) >= 421")));
        assert!(!narrow.covers(&of("score(x)")));
        let wide = ScoreTemplate {
            thresholds: Some((400, 450)),
            ..narrow
        };
        assert!(wide.covers(&of("score(x) >= 450")));
        assert!(!wide.covers(&of("score(x) > 450")));
        let exact = ScoreTemplate::exactly(&of("score(x)"));
        assert!(exact.covers(&of("score(x)")));
        assert!(!exact.covers(&of("score(x) >= 1")));
        let other = ScoreTemplate {
            card: [7; 32],
            ..exact
        };
        assert!(!other.covers(&of("score(x)")));
    }

    #[test]
    fn claims_answer_both_ways() {
        let card = card(1, true);
        let of = |text| ask(text, &card).expect(text);
        assert_eq!(of("score(x) >= 420").claim(419), (Claim::Below(420), false));
        assert_eq!(of("score(x) < 420").claim(419), (Claim::Below(420), true));
        assert_eq!(
            of("score(x) < 420").claim(420),
            (Claim::AtLeast(420), false)
        );
        assert_eq!(of("score(x)").claim(7), (Claim::Exactly(7), true));
    }
}
