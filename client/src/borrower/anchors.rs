//! The anchors of a wallet: bringing them onto the ledger, and what the ledger says about every one,
//! so that a use by somebody else shows.

use zkbureau_ledger::ids::{AnchorId, Height};
use zkbureau_ledger::state::Consumption;
use zkbureau_ledger::transaction::Inquiry;

use super::BorrowerError;
use crate::nodes::{Nodes, Submission};
use crate::wallet::{AnchorUse, Wallet};

/// Brings the anchors of a consent that are not on the ledger yet there, however often that failed
/// before. Gives the heights of those that arrived now.
///
/// # Errors
/// [`BorrowerError`] of the first anchor that did not arrive; those that did are noted.
pub fn anchor_consent(
    wallet: &mut Wallet,
    nodes: &Nodes,
    consent_id: &[u8; 16],
) -> Result<Vec<Height>, BorrowerError> {
    let unknown = || BorrowerError::UnknownConsent(super::show_consent_id(consent_id));
    let record = wallet.consent(consent_id).ok_or_else(unknown)?;
    let prepared: Vec<usize> = (record.anchors.iter().enumerate())
        .filter(|(_, anchor)| anchor.state == AnchorUse::Prepared)
        .map(|(number, _)| number)
        .collect();
    if prepared.is_empty() {
        return Ok(Vec::new());
    }
    let submissions: Vec<Submission> = (prepared.iter())
        .map(|number| Submission::Anchor(record.anchors[*number].anchor))
        .collect();
    let mut heights = Vec::new();
    let mut failed = None;
    for (number, settled) in (prepared.into_iter()).zip(nodes.settle(wallet.chain(), &submissions))
    {
        match (settled, wallet.consent_mut(consent_id)) {
            (Ok(height), Some(record)) => {
                record.anchors[number].state = AnchorUse::Anchored(height);
                heights.push(height);
            }
            (Err(error), _) => failed = failed.or(Some(error)),
            (Ok(_), None) => {}
        }
    }
    wallet.save()?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(heights),
    }
}

/// One anchor, as the ledger proves it.
#[derive(Clone, Debug)]
pub struct AnchorOnLedger {
    /// Its consent.
    pub consent_id: [u8; 16],
    /// Which use of it, from 0.
    pub use_number: u32,
    /// The anchor.
    pub anchor: AnchorId,
    /// The height that was looked at.
    pub height: Height,
    /// Whether it is on the ledger at all.
    pub anchored: bool,
    /// Its inquiry.
    pub consumed: Option<Consumption>,
    /// Its revocation.
    pub revoked: Option<Height>,
    known: bool,
}

impl AnchorOnLedger {
    /// Whether it was used for an inquiry that this wallet knows nothing of.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.consumed.is_some() && !self.known
    }
}

/// Looks up every anchor of the wallet at the newest height, each with its proof.
///
/// # Errors
/// [`BorrowerError`].
pub fn anchors_on_ledger(
    wallet: &Wallet,
    nodes: &Nodes,
) -> Result<Vec<AnchorOnLedger>, BorrowerError> {
    let state = nodes.state(wallet.chain())?;
    let height = state.header.height();
    let own: Vec<[u8; 32]> = (wallet.inquiries().iter())
        .map(|i| Inquiry::digest(&i.request.request_digest(), &i.nonce))
        .collect();
    let mut seen = Vec::new();
    for consent in wallet.consents() {
        for (use_number, record) in (0u32..).zip(&consent.anchors) {
            let anchor = record.anchor.id();
            let (_, shown) = nodes.anchor(&state, anchor)?;
            let consumed = shown.as_ref().and_then(|a| a.consumed);
            seen.push(AnchorOnLedger {
                consent_id: *consent.id(),
                use_number,
                anchor,
                height,
                anchored: shown.is_some(),
                known: consumed.is_some_and(|c| own.contains(&c.digest)),
                consumed,
                revoked: shown.and_then(|a| a.revoked).map(|r| r.height),
            });
        }
    }
    Ok(seen)
}
