//! Revoking a consent: every anchor of it that is on the ledger, also those already used, so that
//! agencies stop answering at once.

use zkbureau_ledger::ids::{AnchorId, Height, TimeMs};
use zkbureau_ledger::state::RegistryKey;
use zkbureau_ledger::transaction::{RevokeConsent, Transaction};

use super::{BorrowerError, show_consent_id};
use crate::node::{Node, NodeError};
use crate::wallet::{AnchorUse, Wallet};

/// What became of one anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorRevocation {
    /// Which use, from 0.
    pub use_number: u32,
    /// The anchor.
    pub anchor: AnchorId,
    /// Where the revocation stands.
    pub height: Height,
}

/// Revokes a consent. From the first moment on, this wallet does not use it any more.
///
/// # Errors
/// [`BorrowerError`]. When a node fails on the way, run it again: what is revoked stays revoked.
pub fn revoke(
    wallet: &mut Wallet,
    node: &Node,
    id: &[u8; 16],
    now: TimeMs,
) -> Result<Vec<AnchorRevocation>, BorrowerError> {
    let unknown = || BorrowerError::UnknownConsent(show_consent_id(id));
    let record = wallet.consent_mut(id).ok_or_else(unknown)?;
    record.revoked.get_or_insert(now);
    let anchors = record.anchors.clone();
    wallet.save()?;

    let chain = wallet.chain_id();
    let mut revoked = Vec::new();
    for (use_number, anchor) in (0u32..).zip(anchors) {
        let anchor_id = anchor.anchor.id();
        let height = match anchor.state {
            AnchorUse::Revoked(height) => height,
            state => {
                let key = anchor.revocation_key.key();
                let revocation = RevokeConsent::sign(&chain, anchor_id, &key);
                match node.submit(&Transaction::RevokeConsent(revocation)) {
                    Ok(height) => revoked_at(wallet, node, &anchor_id, Some(height))?
                        .ok_or(BorrowerError::NotShown)?,
                    // Revoked before, or never on the ledger: only this wallet could bring it there.
                    Err(NodeError::Refused(reason)) => {
                        match revoked_at(wallet, node, &anchor_id, None)? {
                            Some(height) => height,
                            None if state == AnchorUse::Prepared => continue,
                            None => return Err(NodeError::Refused(reason).into()),
                        }
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        if let Some(record) = wallet.consent_mut(id) {
            record.anchors[use_number as usize].state = AnchorUse::Revoked(height);
        }
        wallet.save()?;
        revoked.push(AnchorRevocation {
            use_number,
            anchor: anchor_id,
            height,
        });
    }
    Ok(revoked)
}

/// Where the ledger shows the revocation, at a height or the latest.
fn revoked_at(
    wallet: &Wallet,
    node: &Node,
    anchor: &AnchorId,
    at: Option<Height>,
) -> Result<Option<Height>, BorrowerError> {
    let state = node.state(wallet.chain(), at)?;
    let proof = node.registry(state.header.height(), &RegistryKey::Anchor(*anchor))?;
    let shown = (state.roots.anchor(*anchor, &proof)).map_err(|error| NodeError::Proof {
        what: "anchor",
        error,
    })?;
    Ok(shown.and_then(|a| a.revoked).map(|r| r.height))
}
