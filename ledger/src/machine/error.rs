//! Why a transaction is not valid. Every error carries what is needed to see it: who, which entry,
//! the limit and what was found.

use thiserror::Error;
use zkbureau_circuits::encoding::Digest32;
use zkbureau_circuits::period::Period;

use super::governance::ChangeError;
use crate::consortium::GenesisError;
use crate::ids::{AgencyId, AnchorId, AuditId, AuditorId, Day, Height, ProposalId};
use crate::transaction::EvidenceError;

/// A transaction is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TxError {
    /// The encoding is too long.
    #[error("{kind}: {got} bytes exceed the limit of {limit}")]
    Size {
        /// Kind of the transaction.
        kind: &'static str,
        /// Largest encoding.
        limit: u64,
        /// Its length.
        got: u64,
    },
    /// A list has too few or too many items.
    #[error("{field}: {got} items, {min} to {max} are allowed")]
    Count {
        /// The list.
        field: &'static str,
        /// Fewest items.
        min: u64,
        /// Most items.
        max: u64,
        /// Number of items.
        got: u64,
    },
    /// A list is not strictly ascending.
    #[error("{field}: item {item} is not above the one before")]
    Order {
        /// The list.
        field: &'static str,
        /// Position of the first item that is not.
        item: usize,
    },
    /// It was checked by the rules of another chain.
    #[error("it was checked for another chain")]
    OtherChain,
    /// It was checked by other rules than those in force, and not again.
    #[error("it was checked by other rules than those in force")]
    OtherRules,
    /// There is no such agency.
    #[error("there is no {0}")]
    UnknownAgency(AgencyId),
    /// There is no such auditor.
    #[error("there is no {0}")]
    UnknownAuditor(AuditorId),
    /// A signature does not verify.
    #[error("the signature under the {key} key does not verify")]
    Signature {
        /// Whose key.
        key: &'static str,
    },
    /// A record is about a period after the one it is reported in.
    #[error("entry {entry}: about {effective}, after the reported period {reported}")]
    EffectivePeriod {
        /// Position of the entry.
        entry: usize,
        /// The period it is about.
        effective: Period,
        /// The period it is reported in.
        reported: Period,
    },
    /// A commitment is not a group element.
    #[error("entry {entry}: the {class} commitment is not a group element")]
    Point {
        /// Position of the entry.
        entry: usize,
        /// `stocks` or `flows`.
        class: &'static str,
    },
    /// The range argument does not hold.
    #[error("the range argument of batch {number} of {agency} does not verify")]
    RangeArgument {
        /// The agency.
        agency: AgencyId,
        /// Number of its batch.
        number: u64,
    },
    /// The batch is for another version of the schema.
    #[error("schema version {got}, {expected} is in force")]
    Schema {
        /// The version in force.
        expected: u32,
        /// The batch's version.
        got: u32,
    },
    /// The batch is not the next one.
    #[error("batch {got} of {agency}; {expected} is next")]
    Number {
        /// The agency.
        agency: AgencyId,
        /// The next number.
        expected: u64,
        /// The batch's number.
        got: u64,
    },
    /// The batch reports an earlier period than a batch before it.
    #[error("reported period {got}; {agency} has already reported {column}")]
    PeriodBack {
        /// The agency.
        agency: AgencyId,
        /// The period of its column.
        column: Period,
        /// The batch's period.
        got: Period,
    },
    /// The batch reports a period that has not begun.
    #[error("reported period {got} is after the block's month {limit}")]
    PeriodAhead {
        /// The month of the block.
        limit: Period,
        /// The batch's period.
        got: Period,
    },
    /// A leaf takes no further entry.
    #[error("entry {entry}: its log takes no further entry")]
    LogFull {
        /// Position of the entry.
        entry: usize,
    },
    /// The agency's column is opened in this block, so it must stand still until the next.
    #[error("the column of {0} is opened in this block")]
    ColumnOpened(AgencyId),
    /// The anchor is on the ledger already.
    #[error("anchor {0} exists")]
    AnchorExists(AnchorId),
    /// There is no such anchor.
    #[error("there is no anchor {0}")]
    UnknownAnchor(AnchorId),
    /// The anchor expires before today or too far ahead.
    #[error("the anchor expires on day {got}; {min} to {max} are allowed")]
    AnchorExpiry {
        /// Today.
        min: Day,
        /// The latest day allowed.
        max: Day,
        /// The anchor's day.
        got: Day,
    },
    /// The block holds as many anchors as the policy allows.
    #[error("a block takes {limit} anchors")]
    AnchorsFull {
        /// The policy's limit.
        limit: u32,
    },
    /// The anchor was revoked.
    #[error("anchor {0} is revoked")]
    Revoked(AnchorId),
    /// The anchor was used.
    #[error("anchor {0} is consumed")]
    Consumed(AnchorId),
    /// The anchor's last day has passed.
    #[error("anchor {anchor} expired on day {expiry}, today is {today}")]
    Expired {
        /// The anchor.
        anchor: AnchorId,
        /// Its last day.
        expiry: Day,
        /// The block's day.
        today: Day,
    },
    /// The schema has no such attribute, or it is `present`.
    #[error("the schema has no attribute {0:?} that can be opened")]
    UnknownAttribute(String),
    /// The request is on the ledger already.
    #[error("audit request {0} exists")]
    AuditExists(AuditId),
    /// The column is not at the end of the requested period.
    #[error("the column of {agency} is complete up to {}, and is not at the end of {requested}", .column.map_or("no period".to_owned(), |p| p.to_string()))]
    AuditPeriod {
        /// The agency.
        agency: AgencyId,
        /// The period of its column.
        column: Option<Period>,
        /// The period requested.
        requested: Period,
    },
    /// The directory of the agency gets another key with this block.
    #[error("the directory of {0} gets another key with this block")]
    NewDirectory(AgencyId),
    /// A vote for a change of the consortium is refused.
    #[error(transparent)]
    Governance(#[from] GovernanceError),
    /// Two votes are not evidence.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The key was not the agency's validator key at the height of the votes.
    #[error("the key is not the one under which {agency} voted at height {height}")]
    EvidenceKey {
        /// The agency.
        agency: AgencyId,
        /// Height of the votes.
        height: Height,
    },
    /// The evidence is about a height that is not there yet.
    #[error("evidence about height {got}, after the block's height {height}")]
    EvidenceAhead {
        /// Height of the block.
        height: Height,
        /// Height of the votes.
        got: Height,
    },
    /// The block holds as much evidence against the agency as it may.
    #[error("a block takes evidence of {limit} double votes of {agency}")]
    EvidenceFull {
        /// The agency.
        agency: AgencyId,
        /// The limit.
        limit: usize,
    },
    /// A double vote of the agency at the height is on the ledger already.
    #[error("a double vote of {agency} at height {height} is recorded")]
    EvidenceExists {
        /// The agency.
        agency: AgencyId,
        /// The height.
        height: Height,
    },
    /// The card is on the ledger already.
    #[error("the card {} is registered already", hex::encode(.0))]
    CardExists(Digest32),
    /// Another card has the name.
    #[error("the card's name stands for the card {}", hex::encode(.0))]
    CardName(Digest32),
    /// The agency has registered as many cards as it may.
    #[error("{agency} has registered {limit} cards, which is the limit")]
    TooManyCards {
        /// The agency.
        agency: AgencyId,
        /// The limit.
        limit: usize,
    },
    /// Too few subjects were reported since the column was last opened.
    #[error(
        "{agency} has reported {changed} subjects since its column was last opened; {limit} are needed"
    )]
    AuditTooSoon {
        /// The agency.
        agency: AgencyId,
        /// Subjects certainly reported since.
        changed: u64,
        /// The policy's limit.
        limit: u64,
    },
}

/// A vote for a change of the consortium is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GovernanceError {
    /// The title is not a name.
    #[error(transparent)]
    Title(Box<GenesisError>),
    /// The agency has no seat.
    #[error("{0} has no seat, so it has no vote")]
    NoVote(AgencyId),
    /// A new key did not sign.
    #[error("change {change}: the new keys are not shown to be held")]
    Possession {
        /// Position of the change.
        change: usize,
    },
    /// The proposal's last day has passed, or is too far ahead.
    #[error("the proposal expires on day {got}; {min} to {max} are allowed")]
    Expiry {
        /// Today.
        min: Day,
        /// The latest day allowed.
        max: Day,
        /// The proposal's day.
        got: Day,
    },
    /// The proposal was adopted.
    #[error("proposal {id} was adopted at height {height}")]
    Adopted {
        /// The proposal.
        id: ProposalId,
        /// Height of the deciding vote.
        height: Height,
    },
    /// The agency has voted for it.
    #[error("{agency} has voted for proposal {id}")]
    Voted {
        /// The agency.
        agency: AgencyId,
        /// The proposal.
        id: ProposalId,
    },
    /// The agency has opened as many proposals as it may.
    #[error("{agency} has {limit} open proposals")]
    TooManyOpen {
        /// The agency.
        agency: AgencyId,
        /// The limit.
        limit: usize,
    },
    /// A block adopts one proposal.
    #[error("this block has adopted a proposal")]
    Busy,
    /// A change cannot be applied.
    #[error("change {change}: {error}")]
    Change {
        /// Position of the change.
        change: usize,
        /// What is wrong with it.
        error: Box<ChangeError>,
    },
    /// The changes together cannot be applied.
    #[error("{0}")]
    Changes(Box<ChangeError>),
}

impl TxError {
    /// Whether the same transaction may well be valid in one of the next blocks, so that a proposer
    /// keeps it.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::ColumnOpened(_)
            | Self::AnchorsFull { .. }
            | Self::EvidenceFull { .. }
            | Self::Governance(GovernanceError::Busy) => true,
            // Its predecessor may still arrive.
            Self::Number { expected, got, .. } => got > expected,
            _ => false,
        }
    }
}
