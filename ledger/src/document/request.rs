//! A lender's request: which facts and scores, at which agencies, as of which period.
//!
//! The request has two parts. Agencies see the [`RequestTerms`] and only a hash of the
//! [`RequestParties`]: they learn neither who asks nor what for. The digest binds both.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zkbureau_circuits::directory::{SubjectCommitment, SubjectSecret};
use zkbureau_circuits::encoding::{Digest32, Document, hash_parts};
use zkbureau_circuits::fact::{FactText, HitPolicy, Query, QueryError};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::schema::Schema;
use zkbureau_circuits::scorecard::{Card, MAX_SCORES, ScoreAsk};

use super::bounded::bounded;
use crate::ids::{ChainId, TimeMs};
use crate::keys::{PublicKey, SealingKey, SecretKey, Signature};

const SIGNATURE_DOMAIN: &str = "zkbureau/fact-request-signature/v1";
/// Longest purpose in bytes.
pub const MAX_PURPOSE: usize = 256;
/// Longest name of a lender in bytes.
pub const MAX_LENDER_NAME: usize = 128;

/// Whether the inquiry counts as an application for credit.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum InquiryType {
    /// An application for credit.
    Hard,
    /// Anything else: a pre-check, a review, the borrower's own use.
    Soft,
}

/// What agencies see of a request.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RequestTerms {
    /// The chain.
    pub chain: ChainId,
    /// The facts, each in canonical text.
    pub facts: Vec<FactText>,
    /// The questions about scores.
    #[borsh(deserialize_with = "bounded::<_, _, MAX_SCORES>")]
    pub scores: Vec<ScoreAsk>,
    /// The agencies that must answer, in ascending order.
    pub agencies: Vec<AgencyId>,
    /// Data may not be older than this period; windows end with it.
    pub as_of: Period,
    /// What a person without any record means.
    pub hit_policy: HitPolicy,
    /// The request is void from here on.
    pub expires: TimeMs,
}

/// What agencies do not see of a request. The salt travels with the request, so whoever holds the
/// file can check a guess of the person's identifier: mail it as you would the identifier.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RequestParties {
    /// The lender's name, as it is shown to the borrower.
    pub lender_name: String,
    /// The lender's signing key.
    pub lender_key: PublicKey,
    /// The key that the answer is sealed to.
    pub lender_sealing_key: SealingKey,
    /// Why the lender asks.
    pub purpose: String,
    /// Whether this is an application for credit.
    pub inquiry_type: InquiryType,
    /// Commitment to the identifier of the person asked about.
    pub subject: SubjectCommitment,
    /// Salt of that commitment.
    pub subject_salt: SubjectSecret,
    /// Randomness that hides the parties from whoever sees only their hash.
    pub nonce: [u8; 32],
}

impl std::fmt::Debug for RequestParties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RequestParties(..)")
    }
}

/// A lender's request to a borrower.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FactRequest {
    /// What agencies see.
    pub terms: RequestTerms,
    /// What they do not see.
    pub parties: RequestParties,
    /// The cards of the questions about scores, each once, in the order of the first question. Not
    /// signed: the questions name them by content hash.
    #[borsh(deserialize_with = "bounded::<_, _, MAX_SCORES>")]
    pub cards: Vec<Card>,
    /// The lender's signature over the digest.
    pub signature: Signature,
}

impl Document for FactRequest {
    const NAME: &'static str = "zkbureau/fact-request/v1";
    const MAX_BYTES: usize = 32 * 1024 + MAX_SCORES * Card::MAX_BYTES;
}

/// A request is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    /// It names another chain.
    #[error("the request is for another chain")]
    Chain,
    /// The lender's signature is wrong.
    #[error("the request's signature does not verify")]
    Signature,
    /// It is void.
    #[error("the request expired")]
    Expired,
    /// Facts, agencies or their combination.
    #[error("{0}")]
    Query(#[from] QueryError),
    /// The cards that come with it are not those that it asks about.
    #[error("cards: the cards of the request are not those of its scores")]
    Cards,
    /// A fact is not in canonical text.
    #[error("facts[{0}]: not in canonical form")]
    NotCanonical(usize),
    /// A text is too long.
    #[error("{field}: {got} bytes exceed the limit of {limit}")]
    Text {
        /// Which field.
        field: &'static str,
        /// Limit in bytes.
        limit: usize,
        /// Bytes given.
        got: usize,
    },
}

impl RequestTerms {
    /// Digest of the terms.
    #[must_use]
    pub fn digest(&self) -> Digest32 {
        let bytes = borsh::to_vec(self).expect("encoding into memory");
        hash_parts("zkbureau/request-terms/v1", &[&bytes])
    }

    /// Parses and checks the facts and the other terms. `cards` knows cards by their content hash.
    ///
    /// # Errors
    /// [`RequestError`] names the field and the limit.
    pub fn check(
        &self,
        chain: &ChainId,
        schema: &Schema,
        cards: impl Fn(&Digest32) -> Option<Arc<Card>>,
    ) -> Result<Query, RequestError> {
        if self.chain != *chain {
            return Err(RequestError::Chain);
        }
        let scores = (1..)
            .zip(&self.scores)
            .map(|(score, ask)| {
                let card = cards(&ask.card).ok_or(QueryError::UnknownCard(score))?;
                Ok((*ask, card))
            })
            .collect::<Result<Vec<_>, QueryError>>()?;
        let query = Query::parse(
            schema,
            &self.facts,
            &scores,
            self.agencies.clone(),
            self.as_of,
            self.hit_policy,
        )?;
        for (position, (fact, text)) in query.facts().iter().zip(&self.facts).enumerate() {
            if fact.text() != *text {
                return Err(RequestError::NotCanonical(position));
            }
        }
        Ok(query)
    }
}

impl RequestParties {
    /// Digest of the parties; hides them through the nonce.
    #[must_use]
    pub fn digest(&self) -> Digest32 {
        let bytes = borsh::to_vec(self).expect("encoding into memory");
        hash_parts("zkbureau/request-parties/v1", &[&bytes])
    }
}

/// The digest of a request from the digests of its parts.
#[must_use]
pub fn request_digest(terms: &RequestTerms, parties_digest: &Digest32) -> Digest32 {
    hash_parts(FactRequest::NAME, &[&terms.digest(), parties_digest])
}

impl FactRequest {
    /// Makes and signs a request. `cards` are those that its scores are asked under.
    #[must_use]
    pub fn new(
        terms: RequestTerms,
        parties: RequestParties,
        cards: Vec<Card>,
        lender: &SecretKey,
    ) -> Self {
        let digest = request_digest(&terms, &parties.digest());
        let signature = lender.sign(SIGNATURE_DOMAIN, &terms.chain, &[&digest]);
        Self {
            terms,
            parties,
            cards,
            signature,
        }
    }

    /// The digest that consents, inquiries and answers refer to.
    #[must_use]
    pub fn request_digest(&self) -> Digest32 {
        request_digest(&self.terms, &self.parties.digest())
    }

    /// The facts and scores, with the cards that came with the request.
    fn query(&self, chain: &ChainId, schema: &Schema) -> Result<Query, RequestError> {
        let mut asked: Vec<Digest32> = Vec::new();
        for ask in &self.terms.scores {
            if !asked.contains(&ask.card) {
                asked.push(ask.card);
            }
        }
        let cards: Vec<(Digest32, Arc<Card>)> = (self.cards.iter())
            .map(|card| (card.content_hash(), Arc::new(card.clone())))
            .collect();
        if !cards.iter().map(|(hash, _)| hash).eq(&asked) {
            return Err(RequestError::Cards);
        }
        self.terms.check(chain, schema, |hash| {
            let found = cards.iter().find(|(known, _)| known == hash);
            found.map(|(_, card)| Arc::clone(card))
        })
    }

    /// Checks signature, time and every field; gives the parsed query.
    ///
    /// # Errors
    /// [`RequestError`] names the field and the limit.
    pub fn check(
        &self,
        chain: &ChainId,
        schema: &Schema,
        now: TimeMs,
    ) -> Result<Query, RequestError> {
        let text = |field, text: &str, limit| {
            if text.len() > limit {
                Err(RequestError::Text {
                    field,
                    limit,
                    got: text.len(),
                })
            } else {
                Ok(())
            }
        };
        text("purpose", &self.parties.purpose, MAX_PURPOSE)?;
        text("lender_name", &self.parties.lender_name, MAX_LENDER_NAME)?;
        let query = self.query(chain, schema)?;
        self.parties
            .lender_key
            .verify(
                SIGNATURE_DOMAIN,
                chain,
                &[&self.request_digest()],
                &self.signature,
            )
            .map_err(|_| RequestError::Signature)?;
        if now >= self.terms.expires {
            return Err(RequestError::Expired);
        }
        Ok(query)
    }
}
