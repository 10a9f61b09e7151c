//! What the ledger says about every anchor of a wallet, so that a use by somebody else shows.

use zkbureau_ledger::ids::{AnchorId, Height};
use zkbureau_ledger::state::{Consumption, RegistryKey};
use zkbureau_ledger::transaction::Inquiry;

use super::BorrowerError;
use crate::node::{Node, NodeError};
use crate::wallet::Wallet;

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

/// Looks up every anchor of the wallet at the node's latest height, each with its proof.
///
/// # Errors
/// [`BorrowerError`].
pub fn anchors_on_ledger(
    wallet: &Wallet,
    node: &Node,
) -> Result<Vec<AnchorOnLedger>, BorrowerError> {
    let state = node.state(wallet.chain(), None)?;
    let height = state.header.height();
    let own: Vec<[u8; 32]> = (wallet.inquiries().iter())
        .map(|i| Inquiry::digest(&i.request.request_digest(), &i.nonce))
        .collect();
    let mut seen = Vec::new();
    for consent in wallet.consents() {
        for (use_number, record) in (0u32..).zip(&consent.anchors) {
            let anchor = record.anchor.id();
            let proof = node.registry(height, &RegistryKey::Anchor(anchor))?;
            let shown = (state.roots.anchor(anchor, &proof)).map_err(|error| NodeError::Proof {
                what: "anchor",
                error,
            })?;
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
