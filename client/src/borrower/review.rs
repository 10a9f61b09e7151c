//! What a person reads before consenting. Nothing leaves the machine for it.

use serde::Serialize;
use zkbureau_circuits::fact::HitPolicy;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_ledger::document::request::{FactRequest, InquiryType};
use zkbureau_ledger::ids::TimeMs;
use zkbureau_ledger::keys::PublicKey;

use super::consent::earliest;
use super::{BorrowerError, check_request};
use crate::score::{self, ScoreInWords};
use crate::show;
use crate::time;
use crate::wallet::Wallet;

/// A fact, canonical and in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FactInWords {
    /// Canonical text.
    pub fact: String,
    /// A sentence.
    pub words: String,
}

/// Something with a name and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its name or identifier.
    pub name: String,
    /// What it is.
    pub description: String,
}

/// A request, as it is shown before consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Review {
    /// Name that the lender gives itself.
    pub lender_name: String,
    /// The lender's key, to compare with what the lender publishes.
    pub lender_key: PublicKey,
    /// Why it asks.
    pub purpose: String,
    /// Whether it counts as an application for credit.
    pub inquiry_type: InquiryType,
    /// The facts.
    pub facts: Vec<FactInWords>,
    /// The questions about scores.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<ScoreInWords>,
    /// What the words in the facts and cards mean.
    pub glossary: Vec<Named>,
    /// The agencies that are asked.
    pub agencies: Vec<Named>,
    /// Agencies of the chain, as last seen, that are not asked.
    pub not_asked: Vec<Named>,
    /// Data must reach this month.
    pub as_of: Period,
    /// The earliest month that a fact is about.
    pub looks_back_to: Period,
    /// The request is void from here on.
    pub expires_ms: TimeMs,
    /// What the lender will learn.
    pub lender_learns: Vec<String>,
    /// What it will not.
    pub lender_does_not_learn: Vec<String>,
    /// What agencies learn.
    pub agencies_learn: Vec<String>,
}

/// Explains a request.
///
/// # Errors
/// [`BorrowerError`] when the request is not valid or about somebody else.
pub fn review(
    wallet: &Wallet,
    request: &FactRequest,
    now: TimeMs,
) -> Result<Review, BorrowerError> {
    let query = check_request(wallet, request, now)?;
    let chain = wallet.chain();
    let rules = chain.rules();
    let schema = &rules.schema;
    let as_of = query.as_of();
    let agency = |id: AgencyId, name: &str| Named {
        name: id.to_string(),
        description: name.to_owned(),
    };
    let (asked, not_asked): (Vec<_>, Vec<_>) = (chain.consortium().agencies.iter())
        .map(|a| (a.id, agency(a.id, &a.name)))
        .partition(|(id, _)| query.agencies().contains(id));
    let unknown = (query.agencies().iter())
        .filter(|id| asked.iter().all(|(known, _)| known != *id))
        .map(|id| agency(*id, "unknown to this wallet"));
    let agencies: Vec<Named> = (asked.iter().map(|(_, n)| n.clone()))
        .chain(unknown)
        .collect();

    let looks_back_to = earliest(&query);

    let mut lender_learns = Vec::new();
    if !query.facts().is_empty() {
        lender_learns.push("for each fact whether it is true or false, not by how much".to_owned());
    }
    lender_learns.push(
        "which of the agencies asked hold a record of you, the month of your latest record there, \
         and how many monthly reports there are"
            .to_owned(),
    );
    if !query.scores().is_empty() {
        lender_learns.push("for each score what stands with it below".to_owned());
    }
    if query.log_needed().is_some() {
        lender_learns.push(format!(
            "in which months each of these agencies reported on you, back to {looks_back_to} and \
             one report before (not what it reported)"
        ));
    }
    lender_learns.push("this consent with all its terms, and when you made it".to_owned());
    if let HitPolicy::Zero = query.hit_policy() {
        lender_learns.push("without any record, sums count as zero".to_owned());
    }

    let untouched = show::untouched(&query, schema);
    let mut lender_does_not_learn = Vec::new();
    if show::shows_score(&query) {
        // Cards are public: who knows the score knows which values can give it.
        lender_learns.push(
            "with the score itself, which values behind it are possible under the card".to_owned(),
        );
    } else {
        lender_does_not_learn.push("any amount, at any agency or in total".to_owned());
        lender_does_not_learn.push("which agency holds how much".to_owned());
    }
    if !untouched.is_empty() {
        lender_does_not_learn.push(format!("anything about: {}", untouched.join(", ")));
    }
    if !not_asked.is_empty() {
        let names: Vec<&str> = not_asked.iter().map(|(_, n)| n.name.as_str()).collect();
        lender_does_not_learn.push(format!("anything from {}", names.join(", ")));
    }
    lender_does_not_learn.push("which other lenders asked about you".to_owned());

    let parties = &request.parties;
    Ok(Review {
        lender_name: show::clean(&parties.lender_name),
        lender_key: parties.lender_key,
        purpose: show::clean(&parties.purpose),
        inquiry_type: parties.inquiry_type,
        facts: (query.facts().iter())
            .map(|f| FactInWords {
                fact: f.to_string(),
                words: show::fact(f, schema, as_of),
            })
            .collect(),
        scores: score::in_words(&query),
        glossary: (show::attributes(&query, schema).into_iter())
            .map(|a| Named {
                name: show::name(&a.name),
                description: format!("{} ({})", a.description, a.unit),
            })
            .collect(),
        agencies,
        not_asked: not_asked.into_iter().map(|(_, n)| n).collect(),
        as_of,
        looks_back_to,
        expires_ms: request.terms.expires,
        lender_learns,
        lender_does_not_learn,
        agencies_learn: vec![
            "that you asked, the facts, and the cards of the scores".to_owned(),
            "not who the lender is, nor the purpose, nor what other agencies hold".to_owned(),
        ],
    })
}

impl Review {
    /// When the request ends.
    #[must_use]
    pub fn show_expiry(&self) -> String {
        time::show(self.expires_ms)
    }
}
