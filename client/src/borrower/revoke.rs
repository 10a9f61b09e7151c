//! Revoking a consent: every anchor of it that is on the ledger, also those already used, so that
//! agencies stop answering at once.

use std::collections::BTreeMap;

use zkbureau_ledger::ids::{AnchorId, Height, TimeMs};
use zkbureau_ledger::transaction::RevokeConsent;

use super::{BorrowerError, show_consent_id};
use crate::nodes::{Nodes, NodesError, Submission};
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
/// [`BorrowerError`]. When nodes fail on the way, run it again: what is revoked stays revoked.
pub fn revoke(
    wallet: &mut Wallet,
    nodes: &Nodes,
    id: &[u8; 16],
    now: TimeMs,
) -> Result<Vec<AnchorRevocation>, BorrowerError> {
    let unknown = || BorrowerError::UnknownConsent(show_consent_id(id));
    let record = wallet.consent_mut(id).ok_or_else(unknown)?;
    record.revoked.get_or_insert(now);
    let anchors = record.anchors.clone();
    wallet.save()?;

    let chain = wallet.chain_id();
    let open: Vec<(u32, Submission)> = (0u32..)
        .zip(&anchors)
        .filter(|(_, anchor)| !matches!(anchor.state, AnchorUse::Revoked(_)))
        .map(|(use_number, anchor)| {
            let (id, key) = (anchor.anchor.id(), anchor.revocation_key.key());
            let revocation = RevokeConsent::sign(&chain, id, &key);
            (use_number, Submission::Revocation(revocation))
        })
        .collect();
    let submissions: Vec<Submission> = open.iter().map(|(_, s)| s.clone()).collect();
    let settled = nodes.settle(wallet.chain(), &submissions);
    let mut settled: BTreeMap<u32, Result<Height, NodesError>> =
        (open.into_iter().map(|(number, _)| number))
            .zip(settled)
            .collect();

    let mut revoked = Vec::new();
    let mut failed = None;
    for (use_number, anchor) in (0u32..).zip(anchors) {
        let height = match (anchor.state, settled.remove(&use_number)) {
            (AnchorUse::Revoked(height), _) | (_, Some(Ok(height))) => height,
            // Never on the ledger: only this wallet could bring it there.
            (AnchorUse::Prepared, Some(Err(NodesError::Refused { .. }))) => continue,
            (_, Some(Err(error))) => {
                failed = failed.or(Some(error));
                continue;
            }
            (_, None) => continue,
        };
        if let Some(record) = wallet.consent_mut(id) {
            record.anchors[use_number as usize].state = AnchorUse::Revoked(height);
        }
        revoked.push(AnchorRevocation {
            use_number,
            anchor: anchor.anchor.id(),
            height,
        });
    }
    wallet.save()?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(revoked),
    }
}
