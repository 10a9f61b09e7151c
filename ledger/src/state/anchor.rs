//! Anchors and audits as the state holds them (spec: `ledger/spec/state.md`, "Anchors").

use borsh::{BorshDeserialize, BorshSerialize};
use serde::Serialize;
use zkbureau_circuits::encoding::{Digest32, Document};

use crate::ids::{Day, Height, TimeMs};
use crate::transaction::{AnchorConsent, AuditRequest};

/// When an anchor was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Revocation {
    /// Height of the block.
    pub height: Height,
    /// Its time.
    pub time_ms: TimeMs,
}

/// When an anchor was used, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Consumption {
    /// Height of the block.
    pub height: Height,
    /// Its time.
    pub time_ms: TimeMs,
    /// The inquiry's digest.
    #[serde(with = "hex::serde")]
    pub digest: Digest32,
}

/// What may be done with an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AnchorStatus {
    /// An inquiry may be made.
    Authorised,
    /// The last day has passed without an inquiry.
    Expired,
    /// An inquiry was made.
    Consumed,
    /// Revoked, before or after an inquiry: no agency answers any more.
    Revoked,
}

/// An anchor on the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct AnchorState {
    /// The anchor.
    pub anchor: AnchorConsent,
    /// Height of its block.
    pub anchored: Height,
    /// Its revocation.
    pub revoked: Option<Revocation>,
    /// Its inquiry.
    pub consumed: Option<Consumption>,
}

impl Document for AnchorState {
    const NAME: &'static str = "zkbureau/anchor-state/v1";
    const MAX_BYTES: usize = 256;
}

impl AnchorState {
    /// The anchor's status on a day.
    #[must_use]
    pub fn status(&self, today: Day) -> AnchorStatus {
        if self.revoked.is_some() {
            AnchorStatus::Revoked
        } else if self.consumed.is_some() {
            AnchorStatus::Consumed
        } else if today > self.anchor.expiry {
            AnchorStatus::Expired
        } else {
            AnchorStatus::Authorised
        }
    }
}

/// An audit request on the ledger. The columns are opened as they stand after the block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct AuditState {
    /// The request.
    pub request: AuditRequest,
    /// Height of its block.
    pub height: Height,
    /// Time of its block.
    pub time_ms: TimeMs,
}

impl Document for AuditState {
    const NAME: &'static str = "zkbureau/audit-state/v1";
    const MAX_BYTES: usize = 8 << 10;
}
