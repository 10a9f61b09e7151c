//! The right to an answer: certificate, consent, anchor, inquiry.

use thiserror::Error;
use zkbureau_ledger::document::answer::AuthorityEvidence;
use zkbureau_ledger::document::consent::{ConsentError, Field};
use zkbureau_ledger::document::enrolment::{CertificateError, EnrolmentCertificate};
use zkbureau_ledger::genesis::Consortium;
use zkbureau_ledger::ids::{ChainId, Day, IssuerId, TimeMs};
use zkbureau_ledger::transaction::{AnchorConsent, Inquiry};

use super::{State, Subject};

/// The right to an answer is not shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuthorityError {
    /// The issuer is not on the ledger.
    #[error("the enrolment certificate is by {0}, which is not on the ledger")]
    Issuer(IssuerId),
    /// The certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The certificate is somebody else's.
    #[error("the enrolment certificate is not about the person that the request is about")]
    OtherPerson,
    /// The consent.
    #[error(transparent)]
    Consent(#[from] ConsentError),
    /// The consent has fewer uses.
    #[error("consent: use number {number} of {max_uses}")]
    Uses {
        /// Which use, from 1.
        number: u64,
        /// How many the consent allows.
        max_uses: u32,
    },
    /// The anchor commits to another consent.
    #[error("the anchor on the ledger is not that of this consent and use")]
    Anchor,
    /// No inquiry, or one in another block.
    #[error("the header is not that of the inquiry's block")]
    NoInquiry,
    /// The inquiry was about another request.
    #[error("the inquiry on the ledger is for another request")]
    Inquiry,
    /// The consent was revoked.
    #[error("the consent was revoked")]
    Revoked,
}

/// Checks a certificate against the issuers on the ledger.
///
/// # Errors
/// [`AuthorityError::Issuer`] or [`AuthorityError::Certificate`].
pub fn check_certificate(
    certificate: &EnrolmentCertificate,
    chain: &ChainId,
    consortium: &Consortium,
    today: Day,
) -> Result<(), AuthorityError> {
    let issuer = consortium
        .issuer(certificate.issuer)
        .ok_or(AuthorityError::Issuer(certificate.issuer))?;
    certificate.verify(chain, &issuer.key, today)?;
    Ok(())
}

/// Checks, at the time of the header, that the person is certified and allows this request, and that
/// the inquiry of exactly this header's block is for it.
///
/// # Errors
/// [`AuthorityError`] says what is missing.
pub fn check_authority(
    about: &Subject<'_>,
    state: &State,
    evidence: &AuthorityEvidence,
) -> Result<(), AuthorityError> {
    let time = state.header.time_ms();
    let certificate = &evidence.certificate;
    check_certificate(
        certificate,
        &about.chain.id(),
        &state.consortium,
        time.day(),
    )?;
    certificate
        .subject
        .verify(about.person, &evidence.subject_salt)
        .map_err(|_| AuthorityError::OtherPerson)?;

    let consent = &evidence.consent;
    let scope = consent.check_terms(
        &certificate.subject_key,
        &about.request.terms,
        about.query,
        &state.rules.schema,
        time,
    )?;
    consent.check_parties(&about.request.parties)?;
    // The one field that no rule reads: the lender is shown every field.
    let _: TimeMs = consent.get(Field::Creation)?;
    if evidence.use_number >= scope.max_uses {
        return Err(AuthorityError::Uses {
            number: u64::from(evidence.use_number) + 1,
            max_uses: scope.max_uses,
        });
    }

    let anchor = &state.anchor;
    let commitment = AnchorConsent::commitment(
        &consent.consent_digest(),
        evidence.use_number,
        &evidence.anchor_salt,
    );
    if anchor.anchor.id() != evidence.anchor_id || anchor.anchor.commitment != commitment {
        return Err(AuthorityError::Anchor);
    }
    if anchor.revoked.is_some() {
        return Err(AuthorityError::Revoked);
    }
    let inquiry = (anchor.consumed.as_ref())
        .filter(|consumed| consumed.height == state.header.height())
        .ok_or(AuthorityError::NoInquiry)?;
    if inquiry.digest != Inquiry::digest(&about.digest, &evidence.inquiry_nonce) {
        return Err(AuthorityError::Inquiry);
    }
    Ok(())
}
