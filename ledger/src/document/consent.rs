//! Consents: what a borrower allows, signed as a list of salted field hashes.
//!
//! A reader gets a [`ConsentView`] in which some fields are shown and the others are hashes. The
//! digest is the same for every view, so one signature serves agencies (which see neither lender
//! nor purpose) and the lender (who sees both).
//!
//! On the ledger stands one single-use anchor per use, `SHA-256(digest ‖ use ‖ salt)`. Nothing in
//! an anchor names a person or another anchor; anchors of one consent can still be guessed to
//! belong together when they arrive in one block or are revoked in one.

use borsh::{BorshDeserialize, BorshSerialize};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;
use zkbureau_circuits::encoding::{Digest32, Document, hash_parts};
use zkbureau_circuits::fact::{Fact, FactError, FactTemplate, FactText, Query, When};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::schema::Schema;
use zkbureau_circuits::scorecard::ScoreTemplate;

use super::request::{InquiryType, RequestParties, RequestTerms};
use crate::ids::{ChainId, TimeMs};
use crate::keys::{PublicKey, SecretKey, Signature, SignatureError};

const SIGNATURE_DOMAIN: &str = "zkbureau/consent-signature/v1";
/// Most fact templates in a consent.
pub const MAX_TEMPLATES: usize = 32;
/// Most uses of a consent.
pub const MAX_USES: u32 = 1024;

/// Everything a consent says. Times are in unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ConsentFields {
    /// The chain.
    pub chain: ChainId,
    /// Random identifier.
    pub consent_id: [u8; 16],
    /// The subject's key, which signs.
    pub subject_key: PublicKey,
    /// When it was made.
    pub creation: TimeMs,
    /// Not valid before.
    pub not_before: TimeMs,
    /// Not valid from here on.
    pub expiration: TimeMs,
    /// The lender who may ask.
    pub lender_key: PublicKey,
    /// What for.
    pub purpose: String,
    /// Whether as an application for credit.
    pub inquiry_type: InquiryType,
    /// Agencies that answer together, in ascending order: a total over fewer would say more.
    pub agencies: Vec<AgencyId>,
    /// What may be asked: canonical texts of fact templates.
    pub templates: Vec<FactText>,
    /// What may be asked about scores.
    pub scores: Vec<ScoreTemplate>,
    /// The earliest period that a fact or score may look at. A fixed period, since the request's `as_of` is
    /// the lender's choice.
    pub earliest_period: Period,
    /// How often it may be used.
    pub max_uses: u32,
    /// How often within a day.
    pub frequency_per_day: u32,
}

/// The fields, by name and position in the list of hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Field {
    /// Chain.
    Chain,
    /// Identifier.
    ConsentId,
    /// Subject's key.
    SubjectKey,
    /// Creation time.
    Creation,
    /// Start of validity.
    NotBefore,
    /// End of validity.
    Expiration,
    /// Lender's key.
    LenderKey,
    /// Purpose.
    Purpose,
    /// Inquiry type.
    InquiryType,
    /// Agencies.
    Agencies,
    /// Fact templates.
    Templates,
    /// Earliest period.
    EarliestPeriod,
    /// Number of uses.
    MaxUses,
    /// Uses per day.
    FrequencyPerDay,
    /// Questions about scores.
    Scores,
}

impl Field {
    /// All fields in order.
    pub const ALL: [Self; 15] = [
        Self::Chain,
        Self::ConsentId,
        Self::SubjectKey,
        Self::Creation,
        Self::NotBefore,
        Self::Expiration,
        Self::LenderKey,
        Self::Purpose,
        Self::InquiryType,
        Self::Agencies,
        Self::Templates,
        Self::EarliestPeriod,
        Self::MaxUses,
        Self::FrequencyPerDay,
        Self::Scores,
    ];

    /// The field's name in hashes and errors.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::ConsentId => "consent_id",
            Self::SubjectKey => "subject_key",
            Self::Creation => "creation",
            Self::NotBefore => "not_before",
            Self::Expiration => "expiration",
            Self::LenderKey => "lender_key",
            Self::Purpose => "purpose",
            Self::InquiryType => "inquiry_type",
            Self::Agencies => "agencies",
            Self::Templates => "templates",
            Self::EarliestPeriod => "earliest_period",
            Self::MaxUses => "max_uses",
            Self::FrequencyPerDay => "frequency_per_day",
            Self::Scores => "scores",
        }
    }

    /// Fields that agencies see: not the lender, nor purpose and type.
    #[must_use]
    pub fn is_for_agencies(self) -> bool {
        !matches!(self, Self::LenderKey | Self::Purpose | Self::InquiryType)
    }
}

/// A field of a view.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum FieldView {
    /// Salt and canonical value.
    Shown {
        /// Salt of the hash.
        salt: [u8; 32],
        /// Canonical bytes of the value.
        value: Vec<u8>,
    },
    /// Only the hash.
    Hidden(Digest32),
}

impl std::fmt::Debug for FieldView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Shown { .. } => "Shown(..)",
            Self::Hidden(_) => "Hidden(..)",
        })
    }
}

impl FieldView {
    fn hash(&self, field: Field) -> Digest32 {
        match self {
            Self::Shown { salt, value } => hash_parts(
                "zkbureau/consent-field/v1",
                &[field.name().as_bytes(), salt, value],
            ),
            Self::Hidden(hash) => *hash,
        }
    }
}

/// A consent as one reader sees it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ConsentView {
    fields: [FieldView; 15],
    signature: Signature,
}

impl Document for ConsentView {
    const NAME: &'static str = "zkbureau/consent/v1";
    const MAX_BYTES: usize = 64 * 1024;
}

/// A consent in the borrower's wallet: all fields, and the seed of their salts.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct Consent {
    /// What it says.
    pub fields: ConsentFields,
    seed: [u8; 32],
    signature: Signature,
}

impl std::fmt::Debug for Consent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Consent(..)")
    }
}

/// A consent does not allow what is asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConsentError {
    /// A field that the reader needs is hidden.
    #[error("consent: the field {0} is not shown")]
    Hidden(&'static str),
    /// A field's bytes are not canonical.
    #[error("consent: the field {0} is malformed")]
    Malformed(&'static str),
    /// The subject's signature is wrong.
    #[error("consent: the signature does not verify")]
    Signature,
    /// It names another chain.
    #[error("consent: it is for another chain")]
    Chain,
    /// It is signed by another key than the certificate's.
    #[error("consent: subject_key is not the certificate's key")]
    SubjectKey,
    /// Outside its time.
    #[error("consent: valid from {not_before} until {expiration}, not at {now}")]
    Time {
        /// Start of validity.
        not_before: TimeMs,
        /// End of validity.
        expiration: TimeMs,
        /// The time of use.
        now: TimeMs,
    },
    /// The request's agencies are not the consent's.
    #[error("consent: agencies is not the request's list at {0}")]
    Agency(AgencyId),
    /// A fact is not covered.
    #[error("consent: no template covers the fact `{0}`")]
    Fact(String),
    /// A question about a score is not covered.
    #[error("consent: it does not allow `{0}`")]
    Score(String),
    /// A template is wrong.
    #[error("consent: templates[{position}]: {error}")]
    Template {
        /// Position from 0.
        position: usize,
        /// What is wrong with it.
        error: FactError,
    },
    /// Too many templates or uses.
    #[error("consent: {field} is {got}, the limit is {limit}")]
    Limit {
        /// Field.
        field: &'static str,
        /// Limit.
        limit: u64,
        /// Value.
        got: u64,
    },
    /// A fact looks back too far.
    #[error("consent: the fact `{fact}` looks back further than {earliest}")]
    Lookback {
        /// The fact.
        fact: String,
        /// Earliest period allowed.
        earliest: Period,
    },
    /// The lender, purpose or type of the request is another.
    #[error("consent: {0} is not what the request says")]
    Parties(&'static str),
}

impl From<SignatureError> for ConsentError {
    fn from(_: SignatureError) -> Self {
        Self::Signature
    }
}

impl Consent {
    /// Signs a consent. `seed` is random and gives every field its salt.
    #[must_use]
    pub fn new(fields: ConsentFields, seed: [u8; 32], subject: &SecretKey) -> Self {
        let mut consent = Self {
            fields,
            seed,
            signature: Signature([0; 64]),
        };
        let digest = consent.view(|_| true).consent_digest();
        consent.signature = subject.sign(SIGNATURE_DOMAIN, &consent.fields.chain, &[&digest]);
        consent
    }

    /// The consent with only the chosen fields shown.
    #[must_use]
    pub fn view(&self, shown: impl Fn(Field) -> bool) -> ConsentView {
        let fields = Field::ALL.map(|field| {
            let view = FieldView::Shown {
                salt: self.salt(field),
                value: self.fields.value(field),
            };
            if shown(field) {
                view
            } else {
                FieldView::Hidden(view.hash(field))
            }
        });
        ConsentView {
            fields,
            signature: self.signature,
        }
    }

    /// The digest that anchors commit to.
    #[must_use]
    pub fn consent_digest(&self) -> Digest32 {
        self.view(|_| true).consent_digest()
    }

    /// Salt of the anchor of use number `number`.
    #[must_use]
    pub fn anchor_salt(&self, number: u32) -> [u8; 32] {
        self.derive(b"anchor", &number.to_le_bytes())
    }

    fn salt(&self, field: Field) -> [u8; 32] {
        self.derive(b"field", field.name().as_bytes())
    }

    fn derive(&self, label: &[u8], of: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.seed).expect("any key length");
        mac.update(&[label.len() as u8]);
        mac.update(label);
        mac.update(of);
        mac.finalize().into_bytes().into()
    }
}

impl ConsentFields {
    fn value(&self, field: Field) -> Vec<u8> {
        match field {
            Field::Chain => borsh::to_vec(&self.chain),
            Field::ConsentId => borsh::to_vec(&self.consent_id),
            Field::SubjectKey => borsh::to_vec(&self.subject_key),
            Field::Creation => borsh::to_vec(&self.creation),
            Field::NotBefore => borsh::to_vec(&self.not_before),
            Field::Expiration => borsh::to_vec(&self.expiration),
            Field::LenderKey => borsh::to_vec(&self.lender_key),
            Field::Purpose => borsh::to_vec(&self.purpose),
            Field::InquiryType => borsh::to_vec(&self.inquiry_type),
            Field::Agencies => borsh::to_vec(&self.agencies),
            Field::Templates => borsh::to_vec(&self.templates),
            Field::EarliestPeriod => borsh::to_vec(&self.earliest_period),
            Field::MaxUses => borsh::to_vec(&self.max_uses),
            Field::FrequencyPerDay => borsh::to_vec(&self.frequency_per_day),
            Field::Scores => borsh::to_vec(&self.scores),
        }
        .expect("encoding into memory")
    }
}

/// The earliest period that a fact looks at.
#[must_use]
pub fn earliest_period(fact: &Fact, as_of: Period) -> Period {
    fact.terms()
        .iter()
        .map(|term| match term.when() {
            When::Latest => as_of,
            When::At(period) | When::During(period) => period,
            When::Window(months) => as_of.minus(months.saturating_sub(1)),
        })
        .min()
        .unwrap_or(as_of)
}

/// What agencies learn from a consent's view, checked.
#[derive(Clone, Debug)]
pub struct AgencyScope {
    /// Identifier of the consent, to count uses by.
    pub consent_id: [u8; 16],
    /// Uses allowed.
    pub max_uses: u32,
    /// Uses allowed within a day.
    pub frequency_per_day: u32,
}

impl ConsentView {
    /// The digest that was signed; the same for every view.
    #[must_use]
    pub fn consent_digest(&self) -> Digest32 {
        let hashes = Field::ALL.map(|field| self.fields[field as usize].hash(field));
        let parts: Vec<&[u8]> = hashes.iter().map(|h| h.as_slice()).collect();
        hash_parts(Self::NAME, &parts)
    }

    /// A shown field's value.
    ///
    /// # Errors
    /// [`ConsentError::Hidden`] or [`ConsentError::Malformed`].
    pub fn get<T: BorshDeserialize>(&self, field: Field) -> Result<T, ConsentError> {
        match &self.fields[field as usize] {
            FieldView::Hidden(_) => Err(ConsentError::Hidden(field.name())),
            FieldView::Shown { value, .. } => {
                T::try_from_slice(value).map_err(|_| ConsentError::Malformed(field.name()))
            }
        }
    }

    /// Checks that the consent, signed by `subject_key`, allows `terms` at `now`: what an agency
    /// and the lender both check.
    ///
    /// # Errors
    /// [`ConsentError`] names the field.
    pub fn check_terms(
        &self,
        subject_key: &PublicKey,
        terms: &RequestTerms,
        query: &Query,
        schema: &Schema,
        now: TimeMs,
    ) -> Result<AgencyScope, ConsentError> {
        let chain: ChainId = self.get(Field::Chain)?;
        if chain != terms.chain {
            return Err(ConsentError::Chain);
        }
        if self.get::<PublicKey>(Field::SubjectKey)? != *subject_key {
            return Err(ConsentError::SubjectKey);
        }
        subject_key.verify(
            SIGNATURE_DOMAIN,
            &chain,
            &[&self.consent_digest()],
            &self.signature,
        )?;
        let not_before: TimeMs = self.get(Field::NotBefore)?;
        let expiration: TimeMs = self.get(Field::Expiration)?;
        if now < not_before || now >= expiration {
            return Err(ConsentError::Time {
                not_before,
                expiration,
                now,
            });
        }
        let agencies: Vec<AgencyId> = self.get(Field::Agencies)?;
        // The very list: a total over fewer agencies says more about each.
        let differs = |a: &&AgencyId| agencies.contains(a) != terms.agencies.contains(a);
        if let Some(agency) = terms.agencies.iter().chain(&agencies).find(differs) {
            return Err(ConsentError::Agency(*agency));
        }
        let templates: Vec<FactText> = self.get(Field::Templates)?;
        if templates.len() > MAX_TEMPLATES {
            return Err(ConsentError::Limit {
                field: Field::Templates.name(),
                limit: MAX_TEMPLATES as u64,
                got: templates.len() as u64,
            });
        }
        let templates = templates
            .iter()
            .enumerate()
            .map(|(position, text)| {
                FactTemplate::parse(text.as_str(), schema)
                    .map_err(|error| ConsentError::Template { position, error })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let earliest: Period = self.get(Field::EarliestPeriod)?;
        for fact in query.facts() {
            if !templates.iter().any(|t| t.covers(fact)) {
                return Err(ConsentError::Fact(fact.to_string()));
            }
            if earliest_period(fact, terms.as_of) < earliest {
                return Err(ConsentError::Lookback {
                    fact: fact.to_string(),
                    earliest,
                });
            }
        }
        let scores: Vec<ScoreTemplate> = self.get(Field::Scores)?;
        if scores.len() > MAX_TEMPLATES {
            return Err(ConsentError::Limit {
                field: Field::Scores.name(),
                limit: MAX_TEMPLATES as u64,
                got: scores.len() as u64,
            });
        }
        for (number, score) in query.scores().iter().enumerate() {
            if !scores.iter().any(|t| t.covers(score.ask())) {
                return Err(ConsentError::Score(score.text()));
            }
            if query
                .earliest_of_score(number)
                .is_some_and(|p| p < earliest)
            {
                return Err(ConsentError::Lookback {
                    fact: score.text(),
                    earliest,
                });
            }
        }
        let max_uses: u32 = self.get(Field::MaxUses)?;
        if max_uses > MAX_USES {
            return Err(ConsentError::Limit {
                field: Field::MaxUses.name(),
                limit: u64::from(MAX_USES),
                got: u64::from(max_uses),
            });
        }
        Ok(AgencyScope {
            consent_id: self.get(Field::ConsentId)?,
            max_uses,
            frequency_per_day: self.get(Field::FrequencyPerDay)?,
        })
    }

    /// Checks that lender, purpose and type are the request's: what the lender checks besides.
    ///
    /// # Errors
    /// [`ConsentError`] names the field.
    pub fn check_parties(&self, parties: &RequestParties) -> Result<(), ConsentError> {
        if self.get::<PublicKey>(Field::LenderKey)? != parties.lender_key {
            return Err(ConsentError::Parties(Field::LenderKey.name()));
        }
        if self.get::<String>(Field::Purpose)? != parties.purpose {
            return Err(ConsentError::Parties(Field::Purpose.name()));
        }
        if self.get::<InquiryType>(Field::InquiryType)? != parties.inquiry_type {
            return Err(ConsentError::Parties(Field::InquiryType.name()));
        }
        Ok(())
    }
}
