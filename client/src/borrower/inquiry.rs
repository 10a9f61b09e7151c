//! Inquiring: take a free use of a consent, sign the inquiry, see it on the ledger.

use rand_core::{CryptoRng, RngCore};
use zkbureau_circuits::fact::Query;
use zkbureau_ledger::document::answer::StateEvidence;
use zkbureau_ledger::document::request::FactRequest;
use zkbureau_ledger::ids::{AnchorId, TimeMs};
use zkbureau_ledger::state::{AnchorState, AnchorStatus};
use zkbureau_ledger::transaction::Inquiry;

use super::anchors::anchor_consent;
use super::{BorrowerError, show_consent_id};
use crate::evidence::State;
use crate::nodes::{Nodes, NodesError, ProvenState, Submission};
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
    nodes: &Nodes,
    request: &FactRequest,
    query: &Query,
    insist: bool,
    now: TimeMs,
    rng: &mut R,
) -> Result<Inquired, BorrowerError> {
    if let Some(record) = unfinished(wallet, nodes, request)? {
        return settle(wallet, nodes, record, true);
    }
    let (consent_id, use_number) = match choose(wallet, request, query, insist, now)? {
        Choice::Use(consent_id, use_number) => (consent_id, use_number),
        Choice::Prepared(consent_id) => {
            // Its anchors did not all reach the ledger when it was made.
            let anchored = anchor_consent(wallet, nodes, &consent_id);
            match (
                wallet
                    .consent(&consent_id)
                    .and_then(ConsentRecord::free_use),
                anchored,
            ) {
                (Some(use_number), _) => (consent_id, use_number),
                (None, Err(error)) => return Err(error),
                (None, Ok(_)) => return Err(BorrowerError::NotShown),
            }
        }
    };
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
    settle(wallet, nodes, record, false)
}

/// The last inquiry for this request that is still worth asking for: not answered by all, and
/// either not on the ledger yet or so young there, in blocks and in time, that agencies answer.
pub(super) fn unfinished(
    wallet: &Wallet,
    nodes: &Nodes,
    request: &FactRequest,
) -> Result<Option<InquiryRecord>, BorrowerError> {
    let digest = request.request_digest();
    let open = (wallet.inquiries().iter().rev())
        .find(|i| i.request.request_digest() == digest)
        .filter(|i| i.outcome.is_none());
    let consent =
        (open.and_then(|i| wallet.consent(&i.consent_id))).filter(|c| c.revoked.is_none());
    let (Some(record), Some(consent)) = (open, consent) else {
        return Ok(None);
    };
    let state = nodes.state(wallet.chain())?;
    let (_, consortium) = nodes.consortium(wallet.chain(), &state)?;
    let anchor = consent.anchors[record.use_number as usize].anchor.id();
    let shown = nodes.anchor(&state, anchor)?.1;
    let ours = Inquiry::digest(&digest, &record.nonce);
    let young = match shown.and_then(|a| a.consumed) {
        None => true,
        Some(used) => {
            let blocks = state.height().0.saturating_sub(used.height.0);
            let time = state.header.time_ms().0.saturating_sub(used.time_ms.0);
            used.digest == ours
                && blocks < consortium.policies.answer_blocks
                && time < consortium.policies.answer_ms
        }
    };
    Ok(Some(record.clone()).filter(|_| young))
}

/// What a request can be answered under.
enum Choice {
    /// A consent and the use to take.
    Use([u8; 16], u32),
    /// A consent whose anchors must be brought onto the ledger first.
    Prepared([u8; 16]),
}

/// A consent that allows the request, and the use to take.
fn choose(
    wallet: &Wallet,
    request: &FactRequest,
    query: &Query,
    insist: bool,
    now: TimeMs,
) -> Result<Choice, BorrowerError> {
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
                query,
                &wallet.chain().rules().schema,
                now,
            )
            .and_then(|_| view.check_parties(&request.parties));
        let refused = match (consent.revoked, allowed, consent.free_use()) {
            (None, Ok(()), Some(number)) => return Ok(Choice::Use(*consent.id(), number)),
            (None, Ok(()), None) if consent.is_unfinished() => {
                return Ok(Choice::Prepared(*consent.id()));
            }
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
            return Ok(Choice::Use(*consent.id(), number));
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
    nodes: &Nodes,
    mut record: InquiryRecord,
    resumed: bool,
) -> Result<Inquired, BorrowerError> {
    let consent = (wallet.consent(&record.consent_id))
        .ok_or_else(|| BorrowerError::UnknownConsent(show_consent_id(&record.consent_id)))?;
    let anchor = consent.anchors[record.use_number as usize].clone();
    let anchor_id = anchor.anchor.id();
    let digest = Inquiry::digest(&record.request.request_digest(), &record.nonce);
    let inquiry = Inquiry::sign(&wallet.chain_id(), anchor_id, digest, &anchor.use_key.key());
    let submission = Submission::Inquiry(inquiry);
    // What the ledger proves comes first: an inquiry whose outcome was lost may stand there.
    let before = if resumed {
        let state = nodes.state(wallet.chain())?;
        nodes.effect(&state, &submission)?
    } else {
        None
    };
    let settled = match before {
        Some(height) => Ok(height),
        None => nodes.settle_one(wallet.chain(), submission),
    };
    let height = match settled {
        Ok(height) => height,
        Err(NodesError::Refused { reason, failures }) => {
            // A refusal is only nodes' word; it ends the inquiry when the ledger shows the reason.
            if let Some(shown) = impossible(wallet, nodes, anchor_id, &digest)? {
                let outcome = Outcome::RefusedByLedger(format!("{reason} ({shown})"));
                finish(wallet, &record.nonce, outcome)?;
            }
            return Err(NodesError::Refused { reason, failures }.into());
        }
        Err(error) => return Err(error.into()),
    };
    let proven = nodes.state_at(wallet.chain(), height)?;
    let (evidence, anchor_state) =
        state_evidence(wallet, nodes, proven, anchor_id, &record.request)?;
    let consumed = anchor_state.and_then(|a| a.consumed);
    if consumed.is_none_or(|c| c.height != height || c.digest != digest) {
        return Err(BorrowerError::NotShown);
    }
    // Kept only now: the height is proven.
    record.height = Some(height);
    if let Some(kept) = wallet.inquiry_mut(&record.nonce) {
        kept.height = Some(height);
    }
    wallet.save()?;
    let state = State::check(wallet.chain(), &evidence, &anchor_id, &record.request)?;
    Ok(Inquired {
        record,
        evidence,
        state,
        resumed,
    })
}

/// Why the ledger can never take this inquiry any more, if it cannot.
fn impossible(
    wallet: &Wallet,
    nodes: &Nodes,
    anchor: AnchorId,
    digest: &[u8; 32],
) -> Result<Option<&'static str>, BorrowerError> {
    let state = nodes.state(wallet.chain())?;
    let shown = nodes.anchor(&state, anchor)?.1;
    let status = |anchor: &AnchorState| anchor.status(state.header.time_ms().day());
    Ok(match shown {
        Some(anchor) if anchor.consumed.is_some_and(|c| c.digest != *digest) => {
            Some("the use is taken")
        }
        Some(anchor) => match status(&anchor) {
            AnchorStatus::Revoked => Some("revoked"),
            AnchorStatus::Expired => Some("expired"),
            AnchorStatus::Authorised | AnchorStatus::Consumed => None,
        },
        None => None,
    })
}

/// The proofs that an answer carries, and the anchor that they show.
fn state_evidence(
    wallet: &Wallet,
    nodes: &Nodes,
    proven: ProvenState,
    anchor: AnchorId,
    request: &FactRequest,
) -> Result<(StateEvidence, Option<AnchorState>), NodesError> {
    let (anchor, shown) = nodes.anchor(&proven, anchor)?;
    let evidence = StateEvidence {
        consortium: nodes.consortium(wallet.chain(), &proven)?.0,
        columns: nodes.columns(&proven)?.0,
        anchor,
        cards: (request.cards.iter())
            .map(|card| Ok(nodes.card(&proven, &card.content_hash())?.0))
            .collect::<Result<Vec<_>, NodesError>>()?,
        header: proven.signed,
        roots: proven.roots_sent,
    };
    Ok((evidence, shown))
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
