//! Scores in words: what is asked under a card, what a lender will see of it, and what was said.

use serde::Serialize;
use zkbureau_circuits::encoding::Digest32;
use zkbureau_circuits::fact::{Query, ScoreQuery};
use zkbureau_circuits::period::Period;
use zkbureau_circuits::scorecard::{Card, Question, Reference, ScoreVerdict, Span};

use crate::show;

/// A question about a score, as a person reads it before consenting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScoreInWords {
    /// The question, with the card's name.
    pub score: String,
    /// A sentence.
    pub words: String,
    /// Name of the card.
    pub card: String,
    /// Content hash of the card.
    #[serde(with = "hex::serde")]
    pub card_hash: Digest32,
    /// The worst and the best score there is under the card.
    pub range: [String; 2],
    /// What the lender will see.
    pub shown: Vec<String>,
    /// What the card reads: variables, and where they stand.
    pub reads: Vec<[String; 2]>,
}

/// The questions of a request in words.
#[must_use]
pub fn in_words(query: &Query) -> Vec<ScoreInWords> {
    (query.scores().iter())
        .map(|score| {
            let (ask, card) = (score.ask(), score.card());
            let name = show::clean(card.name());
            let words = match ask.question {
                Question::AtLeast(t) => {
                    format!(
                        "Your score under the card {name} is at least {}.",
                        card.show(t)
                    )
                }
                Question::Below(t) => {
                    format!(
                        "Your score under the card {name} is below {}.",
                        card.show(t)
                    )
                }
                Question::Exact => format!("Your score under the card {name}, to the point."),
            };
            let mut shown = vec![match ask.question {
                Question::Exact => "the score itself".to_owned(),
                _ => "whether that is true, not the score".to_owned(),
            }];
            if ask.reasons > 0 {
                shown.push(format!(
                    "the variables that cost you the most points, at most {}, without their order \
                     and values",
                    ask.reasons
                ));
            }
            ScoreInWords {
                score: score.text(),
                words,
                card: name,
                card_hash: ask.card,
                range: [card.show(card.worst()), card.show(card.best())],
                shown,
                reads: reads(card, query.as_of()),
            }
        })
        .collect()
}

/// What a card reads, for people.
fn reads(card: &Card, as_of: Period) -> Vec<[String; 2]> {
    (card.variables().iter())
        .map(|v| [show::clean(&v.name), place(&v.reference, as_of)])
        .collect()
}

fn place(reference: &Reference, as_of: Period) -> String {
    let at = as_of.minus(reference.lag);
    let name = show::name(&reference.attribute);
    match reference.span {
        Span::Total => format!("{name} in {at}, added up over the agencies asked"),
        Span::Agency(agency) => format!("{name} in {at} at {agency}"),
    }
}

/// What more there is to say of a score than its verdict: the score and the reasons, where they are
/// shown.
#[must_use]
pub fn details(score: &ScoreQuery, said: &ScoreVerdict) -> String {
    let card = score.card();
    let mut parts = Vec::new();
    if let Some(points) = said.score {
        parts.push(format!("the score is {}", card.show(points)));
    }
    if let Some(set) = said.reasons {
        let names: Vec<String> = (set.indices())
            .filter_map(|a| card.variables().get(a))
            .map(|v| show::clean(v.reason()))
            .collect();
        parts.push(if names.is_empty() {
            "no reasons: nothing cost points".to_owned()
        } else {
            format!("reasons: {}", names.join(", "))
        });
    }
    parts.join("; ")
}
