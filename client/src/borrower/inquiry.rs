//! Inquiring: take a free use of a consent, sign the inquiry, see it on the ledger.

use rand_core::{CryptoRng, RngCore};
use zkbureau_circuits::fact::Query;
use zkbureau_ledger::document::answer::StateEvidence;
use zkbureau_ledger::document::request::FactRequest;
use zkbureau_ledger::ids::{Height, TimeMs};
use zkbureau_ledger::state::RegistryKey;
use zkbureau_ledger::transaction::{Inquiry, Transaction};

use super::{BorrowerError, show_consent_id};
use crate::chain::Chain;
use crate::evidence::State;
use crate::node::{Node, NodeError, ProvenState};
use crate::wallet::{AnchorUse, ConsentRecord, InquiryRecord, Outcome, Wallet};

/// An inquiry that is final.
#[derive(Debug)]
pub struct Inquired {
    /// As the wallet keeps it.
    pub record: InquiryRecord,
    /// Its block's state, for the answer.
    pub evidence: StateEvidence,
    /// The same, checked.
    pub state: State,
    /// Whether an earlier, unfinished inquiry is taken up again.
    pub resumed: bool,
}

/// Makes an inquiry for a request, or takes up one that was made and not yet answered by all.
///
/// With `insist` the wallet's own judgement of consents is left out, and ledger and agencies decide.
///
/// # Errors
/// [`BorrowerError`] says why no consent allows it.
pub fn inquire<R: RngCore + CryptoRng>(
    wallet: &mut Wallet,
    node: &Node,
    request: &FactRequest,
    query: &Query,
    insist: bool,
    now: TimeMs,
    rng: &mut R,
) -> Result<Inquired, BorrowerError> {
    if let Some(record) = unfinished(wallet, request, now) {
        return settle(wallet, node, record, true);
    }
    let (consent_id, use_number) = choose(wallet, request, query, insist, now)?;
    let mut nonce = [0; 32];
    rng.fill_bytes(&mut nonce);
    let record = InquiryRecord {
        request: request.clone(),
        consent_id,
        use_number,
        nonce,
        made: now,
        height: None,
        outcome: None,
    };
    // On disk first: whatever happens, the wallet knows what it signed.
    wallet.add_inquiry(record.clone());
    if let Some(consent) = wallet.consent_mut(&consent_id) {
        let state = &mut consent.anchors[use_number as usize].state;
        if matches!(state, AnchorUse::Anchored(_)) {
            *state = AnchorUse::Used;
        }
    }
    wallet.save()?;
    settle(wallet, node, record, false)
}

/// The last inquiry for this request that is still worth asking for: not answered by all, and within
/// the time in which agencies answer.
fn unfinished(wallet: &Wallet, request: &FactRequest, now: TimeMs) -> Option<InquiryRecord> {
    let digest = request.request_digest();
    let time = wallet.chain().genesis().policies.answer_ms;
    (wallet.inquiries().iter().rev())
        .find(|i| i.request.request_digest() == digest)
        .filter(|i| i.outcome.is_none() && now.0.saturating_sub(i.made.0) < time)
        .filter(|i| {
            wallet
                .consent(&i.consent_id)
                .is_some_and(|c| c.revoked.is_none())
        })
        .cloned()
}

/// A consent that allows the request, and the use to take.
fn choose(
    wallet: &Wallet,
    request: &FactRequest,
    query: &Query,
    insist: bool,
    now: TimeMs,
) -> Result<([u8; 16], u32), BorrowerError> {
    let mut reason = BorrowerError::NoConsent;
    let for_lender = |c: &&ConsentRecord| c.consent.fields.lender_key == request.parties.lender_key;
    // The newest first; its reason is the one that is told.
    let mut first = true;
    for consent in wallet.consents().iter().rev().filter(for_lender) {
        let id = || show_consent_id(consent.id());
        let view = consent.consent.view(|_| true);
        let allowed = view
            .check_terms(
                &wallet.key().public(),
                &request.terms,
                query.facts(),
                wallet.chain().schema(),
                now,
            )
            .and_then(|_| view.check_parties(&request.parties));
        let refused = match (consent.revoked, allowed, consent.free_use()) {
            (None, Ok(()), Some(number)) => return Ok((*consent.id(), number)),
            (Some(_), ..) => BorrowerError::Revoked(id()),
            (None, Err(error), _) => BorrowerError::Scope { id: id(), error },
            (None, Ok(()), None) => BorrowerError::UsedUp {
                id: id(),
                uses: consent.anchors.len(),
            },
        };
        if insist && first && !consent.anchors.is_empty() {
            let last = consent.anchors.len() - 1;
            let number = consent
                .free_use()
                .unwrap_or_else(|| u32::try_from(last).unwrap_or(u32::MAX));
            return Ok((*consent.id(), number));
        }
        if first {
            reason = refused;
            first = false;
        }
    }
    Err(reason)
}

/// Brings an inquiry onto the ledger, if it is not there, and fetches the state at its height.
fn settle(
    wallet: &mut Wallet,
    node: &Node,
    mut record: InquiryRecord,
    resumed: bool,
) -> Result<Inquired, BorrowerError> {
    let consent = (wallet.consent(&record.consent_id))
        .ok_or_else(|| BorrowerError::UnknownConsent(show_consent_id(&record.consent_id)))?;
    let anchor = consent.anchors[record.use_number as usize].clone();
    let anchor_id = anchor.anchor.id();
    let digest = Inquiry::digest(&record.request.request_digest(), &record.nonce);
    let height = match record.height {
        Some(height) => height,
        None => {
            let known = if resumed {
                consumed_at(wallet.chain(), node, &record, digest, &anchor_id)?
            } else {
                None
            };
            match known {
                Some(height) => height,
                None => {
                    let inquiry =
                        Inquiry::sign(&wallet.chain_id(), anchor_id, digest, &anchor.use_key.key());
                    match node.submit(&Transaction::Inquiry(inquiry)) {
                        Ok(height) => height,
                        Err(NodeError::Refused(reason)) => {
                            finish(
                                wallet,
                                &record.nonce,
                                Outcome::RefusedByLedger(reason.clone()),
                            )?;
                            return Err(NodeError::Refused(reason).into());
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
    };
    record.height = Some(height);
    if let Some(kept) = wallet.inquiry_mut(&record.nonce) {
        kept.height = Some(height);
    }
    wallet.save()?;

    let proven = node.state(wallet.chain(), Some(height))?;
    let evidence = state_evidence(node, proven, &RegistryKey::Anchor(anchor_id))?;
    let state = State::check(wallet.chain(), &evidence, &anchor_id)?;
    let shown = state.anchor.consumed.as_ref();
    if shown.is_none_or(|c| c.height != height || c.digest != digest) {
        return Err(BorrowerError::NotShown);
    }
    Ok(Inquired {
        record,
        evidence,
        state,
        resumed,
    })
}

/// Where an inquiry whose outcome was lost stands on the ledger, if it does.
fn consumed_at(
    chain: &Chain,
    node: &Node,
    record: &InquiryRecord,
    digest: [u8; 32],
    anchor: &zkbureau_ledger::ids::AnchorId,
) -> Result<Option<Height>, BorrowerError> {
    debug_assert!(record.height.is_none());
    let state = node.state(chain, None)?;
    let proof = node.registry(state.header.height(), &RegistryKey::Anchor(*anchor))?;
    let shown = (state.roots.anchor(*anchor, &proof)).map_err(|error| NodeError::Proof {
        what: "anchor",
        error,
    })?;
    Ok(shown
        .and_then(|a| a.consumed)
        .filter(|c| c.digest == digest)
        .map(|c| c.height))
}

/// The proofs that an answer carries.
fn state_evidence(
    node: &Node,
    proven: ProvenState,
    anchor: &RegistryKey,
) -> Result<StateEvidence, NodeError> {
    let height = proven.header.height();
    Ok(StateEvidence {
        consortium: node.registry(height, &RegistryKey::Consortium)?,
        columns: node.registry(height, &RegistryKey::Columns)?,
        anchor: node.registry(height, anchor)?,
        header: proven.signed,
        roots: proven.roots_sent,
    })
}

/// Notes what came of an inquiry.
pub(super) fn finish(
    wallet: &mut Wallet,
    nonce: &[u8; 32],
    outcome: Outcome,
) -> Result<(), BorrowerError> {
    if let Some(kept) = wallet.inquiry_mut(nonce) {
        kept.outcome = Some(outcome);
    }
    wallet.save()?;
    Ok(())
}
