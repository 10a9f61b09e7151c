//! Consenting: sign what is allowed, keep the keys, put one anchor per use on the ledger.

use rand_core::{CryptoRng, RngCore};
use zkbureau_circuits::fact::{FactTemplate, FactText, Query};
use zkbureau_circuits::period::Period;
use zkbureau_circuits::scorecard::{Card, ScoreTemplate};
use zkbureau_ledger::document::consent::{
    Consent, ConsentFields, MAX_TEMPLATES, MAX_USES, earliest_period,
};
use zkbureau_ledger::document::request::FactRequest;
use zkbureau_ledger::ids::{DAY_MS, Height, TimeMs};
use zkbureau_ledger::keys::SecretKey;
use zkbureau_ledger::transaction::AnchorConsent;

use super::anchors::anchor_consent;
use super::{BorrowerError, check_request, show_consent_id};
use crate::evidence::{StateError, check_certificate};
use crate::nodes::{Nodes, ProvenState};
use crate::wallet::{AnchorRecord, AnchorUse, ConsentRecord, Seed, Wallet};

/// What a person allows beyond the request itself.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often the lender may be answered.
    pub uses: u32,
    /// For how many days.
    pub days: u32,
    /// Fact templates; exactly the request's facts if empty.
    pub templates: Vec<String>,
    /// The earliest month that a fact may be about; the request's own if `None`.
    pub earliest: Option<Period>,
    /// How often within a day; as often as there are uses if `None`.
    pub frequency_per_day: Option<u32>,
}

/// A consent that stands on the ledger.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// Its identifier.
    pub id: [u8; 16],
    /// What it says.
    pub fields: ConsentFields,
    /// Heights of its anchors.
    pub heights: Vec<Height>,
    /// Facts of the request, from 0, that the templates do not cover.
    pub uncovered: Vec<usize>,
    /// Whether a consent with the same terms, whose anchors had not all reached the ledger, was
    /// taken up again instead of signing another.
    pub resumed: bool,
}

/// Signs a consent for a request's lender, purpose, type and agencies, and anchors it.
///
/// # Errors
/// [`BorrowerError`]. When nodes fail on the way, the consent is in the wallet with fewer uses;
/// the same call again takes it up and brings the missing anchors onto the ledger.
pub fn consent<R: RngCore + CryptoRng>(
    wallet: &mut Wallet,
    nodes: &Nodes,
    request: &FactRequest,
    options: &Options,
    now: TimeMs,
    rng: &mut R,
) -> Result<Allowed, BorrowerError> {
    let query = check_request(wallet, request, now)?;
    let certificate = wallet.certificate(now)?.clone();
    let templates = templates(wallet, &query, &options.templates)?;
    let uncovered = (0..query.facts().len())
        .filter(|i| !templates.iter().any(|t| t.covers(&query.facts()[*i])))
        .collect();

    let state = nodes.state(wallet.chain())?;
    let (_, consortium) = nodes.consortium(wallet.chain(), &state)?;
    check_certificate(
        &certificate,
        &wallet.chain_id(),
        &consortium,
        state.header.time_ms().day(),
    )?;
    for card in &request.cards {
        check_card(nodes, &state, card)?;
    }
    in_range("uses", options.uses.into(), MAX_USES.into())?;
    let days = u64::from(options.days);
    // An anchor lasts to the end of the day on which the consent ends, so one day is for that.
    let longest = u64::from(consortium.policies.max_anchor_days).saturating_sub(1);
    in_range("days", days, longest)?;

    // Blocks may be a little behind this clock.
    let not_before = now.min(state.header.time_ms());
    let mut consent_id = [0; 16];
    rng.fill_bytes(&mut consent_id);
    let fields = ConsentFields {
        chain: wallet.chain_id(),
        consent_id,
        subject_key: wallet.key().public(),
        creation: now,
        not_before,
        expiration: TimeMs(now.0.saturating_add(days * DAY_MS)),
        lender_key: request.parties.lender_key,
        purpose: request.parties.purpose.clone(),
        inquiry_type: request.parties.inquiry_type,
        agencies: request.terms.agencies.clone(),
        templates: templates.iter().map(FactTemplate::text).collect(),
        scores: (query.scores().iter())
            .map(|score| ScoreTemplate::exactly(score.ask()))
            .collect(),
        earliest_period: (options.earliest).unwrap_or_else(|| earliest(&query)),
        max_uses: options.uses,
        frequency_per_day: options.frequency_per_day.unwrap_or(options.uses),
    };
    let unfinished = (wallet.consents().iter().rev())
        .find(|c| {
            c.revoked.is_none() && c.is_unfinished() && same_terms(&c.consent.fields, &fields)
        })
        .map(|c| (*c.id(), c.consent.fields.clone()));
    let resumed = unfinished.is_some();
    let (consent_id, fields) = match unfinished {
        Some(unfinished) => unfinished,
        None => {
            wallet.add_consent(sign(wallet, fields.clone(), request, rng));
            wallet.save()?;
            (consent_id, fields)
        }
    };
    anchor_consent(wallet, nodes, &consent_id)?;
    let heights = (wallet.consent(&consent_id).into_iter())
        .flat_map(|c| &c.anchors)
        .filter_map(|anchor| match anchor.state {
            AnchorUse::Anchored(height) => Some(height),
            _ => None,
        })
        .collect();
    Ok(Allowed {
        id: consent_id,
        fields,
        heights,
        uncovered,
        resumed,
    })
}

/// A card must be registered: agencies read it from the ledger.
fn check_card(nodes: &Nodes, state: &ProvenState, card: &Card) -> Result<(), BorrowerError> {
    match nodes.card(state, &card.content_hash())?.1 {
        Some(_) => Ok(()),
        None => Err(StateError::NoCard(card.name().to_owned()).into()),
    }
}

/// Whether two consents allow the same, apart from when they were made.
fn same_terms(old: &ConsentFields, new: &ConsentFields) -> bool {
    let lasts = |c: &ConsentFields| c.expiration.0.saturating_sub(c.creation.0);
    let undated = |c: &ConsentFields| ConsentFields {
        consent_id: [0; 16],
        creation: TimeMs(0),
        not_before: TimeMs(0),
        expiration: TimeMs(0),
        ..c.clone()
    };
    old.expiration > new.creation && lasts(old) == lasts(new) && undated(old) == undated(new)
}

fn in_range(field: &'static str, got: u64, limit: u64) -> Result<(), BorrowerError> {
    if (1..=limit).contains(&got) {
        Ok(())
    } else {
        Err(BorrowerError::Limit { field, limit, got })
    }
}

fn templates(
    wallet: &Wallet,
    query: &Query,
    given: &[String],
) -> Result<Vec<FactTemplate>, BorrowerError> {
    if given.is_empty() && query.facts().is_empty() {
        return Ok(Vec::new());
    }
    in_range("templates", given.len().max(1) as u64, MAX_TEMPLATES as u64)?;
    if given.is_empty() {
        return Ok(query.facts().iter().map(FactTemplate::exact).collect());
    }
    (1..)
        .zip(given)
        .map(|(number, text)| {
            FactTemplate::parse(text, &wallet.chain().rules().schema).map_err(|error| {
                BorrowerError::Template {
                    number,
                    text: text.clone(),
                    error,
                }
            })
        })
        .collect()
}

/// The earliest period that any of the facts and scores looks at.
pub(super) fn earliest(query: &Query) -> Period {
    let facts = (query.facts().iter()).map(|fact| earliest_period(fact, query.as_of()));
    let scores = (0..query.scores().len()).filter_map(|score| query.earliest_of_score(score));
    facts.chain(scores).min().unwrap_or(query.as_of())
}

fn sign<R: RngCore + CryptoRng>(
    wallet: &Wallet,
    fields: ConsentFields,
    request: &FactRequest,
    rng: &mut R,
) -> ConsentRecord {
    let expiry = fields.expiration.day();
    let uses = fields.max_uses;
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    rng.fill_bytes(seed.as_mut());
    let consent = Consent::new(fields, *seed, wallet.key());
    let digest = consent.consent_digest();
    let anchors = (0..uses)
        .map(|number| {
            let use_key = SecretKey::random(rng);
            let revocation_key = SecretKey::random(rng);
            AnchorRecord {
                anchor: AnchorConsent {
                    commitment: AnchorConsent::commitment(
                        &digest,
                        number,
                        &consent.anchor_salt(number),
                    ),
                    use_key: use_key.public(),
                    revocation_key: revocation_key.public(),
                    expiry,
                },
                use_key: Seed::of(&use_key),
                revocation_key: Seed::of(&revocation_key),
                state: AnchorUse::Prepared,
            }
        })
        .collect();
    ConsentRecord {
        consent,
        lender_name: request.parties.lender_name.clone(),
        anchors,
        revoked: None,
    }
}

impl Allowed {
    /// The identifier as people write it.
    #[must_use]
    pub fn show_id(&self) -> String {
        show_consent_id(&self.id)
    }

    /// The templates.
    #[must_use]
    pub fn templates(&self) -> &[FactText] {
        &self.fields.templates
    }
}
