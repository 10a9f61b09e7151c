//! Transactions (spec: `ledger/spec/transactions.md`).
//!
//! A transaction is checked twice: the stateless check needs no state and runs in
//! parallel; the stateful check needs the state that the transaction is applied to.

mod audit;
mod batch;
mod card;
mod consent;
mod evidence;
mod governance;

use borsh::{BorshDeserialize, BorshSerialize};
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::error::DecodeError;
use zkbureau_circuits::scorecard::Card;

pub use audit::{AuditRequest, MAX_AUDIT_ATTRIBUTES};
pub use batch::{BatchBody, BatchEntry, PublishBatch, body_hash, holder_tag};
pub use card::RegisterCard;
pub use consent::{AnchorConsent, Inquiry, RevokeConsent};
pub use evidence::{Evidence, EvidenceError, SignedVote};
pub use governance::{
    AdmitAgency, Change, GovernanceVote, MAX_CHANGES, NewKeys, Possession, Proposal, RotateKeys,
    ScoreKey, SetPower,
};

use crate::ids::TxHash;

/// Anything that changes the ledger.
// Lists of transactions are mostly batches, by bytes; a box would not make them smaller.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Transaction {
    /// An agency publishes records.
    PublishBatch(PublishBatch),
    /// A borrower anchors one use of a consent.
    AnchorConsent(AnchorConsent),
    /// A borrower revokes an anchor.
    RevokeConsent(RevokeConsent),
    /// A borrower uses an anchor.
    Inquiry(Inquiry),
    /// A regulator asks for openings of columns.
    AuditRequest(AuditRequest),
    /// A validator votes for a change of the consortium.
    GovernanceVote(GovernanceVote),
    /// Two votes of one validator that contradict each other.
    Evidence(Evidence),
    /// An agency registers a scorecard.
    RegisterCard(Box<RegisterCard>),
}

/// The kinds of transactions, by the first byte of their encoding after the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`Transaction::PublishBatch`].
    PublishBatch = 0,
    /// [`Transaction::AnchorConsent`].
    AnchorConsent = 1,
    /// [`Transaction::RevokeConsent`].
    RevokeConsent = 2,
    /// [`Transaction::Inquiry`].
    Inquiry = 3,
    /// [`Transaction::AuditRequest`].
    AuditRequest = 4,
    /// [`Transaction::GovernanceVote`].
    GovernanceVote = 5,
    /// [`Transaction::Evidence`].
    Evidence = 6,
    /// [`Transaction::RegisterCard`].
    RegisterCard = 7,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::PublishBatch,
        Self::AnchorConsent,
        Self::RevokeConsent,
        Self::Inquiry,
        Self::AuditRequest,
        Self::GovernanceVote,
        Self::Evidence,
        Self::RegisterCard,
    ];

    /// What errors call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PublishBatch => "publish batch",
            Self::AnchorConsent => "consent anchor",
            Self::RevokeConsent => "revocation",
            Self::Inquiry => "inquiry",
            Self::AuditRequest => "audit request",
            Self::GovernanceVote => "governance vote",
            Self::Evidence => "evidence",
            Self::RegisterCard => "scorecard",
        }
    }

    /// Largest encoding in bytes, version and kind included.
    #[must_use]
    pub fn max_bytes(self) -> usize {
        match self {
            Self::PublishBatch => 3_900 << 10,
            Self::AnchorConsent | Self::RevokeConsent | Self::Inquiry => 256,
            Self::AuditRequest => 8 << 10,
            Self::GovernanceVote => 80 << 10,
            Self::Evidence => 512,
            Self::RegisterCard => Card::MAX_BYTES + 128,
        }
    }
}

impl Document for Transaction {
    const NAME: &'static str = "zkbureau/transaction/v1";
    const MAX_BYTES: usize = 3_900 << 10;

    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        // The kind is known before anything is decoded, so a small kind cannot cost like a large one.
        if let Some(kind) = bytes.get(1).and_then(|k| Kind::ALL.get(usize::from(*k)))
            && bytes.len() > kind.max_bytes()
        {
            return Err(DecodeError::TooLong {
                what: kind.name(),
                limit: kind.max_bytes(),
                got: bytes.len(),
            });
        }
        decode(bytes)
    }
}

/// The common part of [`Document::from_bytes`].
fn decode(bytes: &[u8]) -> Result<Transaction, DecodeError> {
    /// Stands in for the transaction, so that the trait's own decoder does the work.
    #[derive(BorshSerialize, BorshDeserialize)]
    struct Any(Transaction);
    impl Document for Any {
        const NAME: &'static str = Transaction::NAME;
        const MAX_BYTES: usize = Transaction::MAX_BYTES;
    }
    Any::from_bytes(bytes).map(|any| any.0)
}

impl Transaction {
    /// The hash that names the transaction.
    #[must_use]
    pub fn hash(&self) -> TxHash {
        TxHash(self.digest())
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::PublishBatch(_) => Kind::PublishBatch,
            Self::AnchorConsent(_) => Kind::AnchorConsent,
            Self::RevokeConsent(_) => Kind::RevokeConsent,
            Self::Inquiry(_) => Kind::Inquiry,
            Self::AuditRequest(_) => Kind::AuditRequest,
            Self::GovernanceVote(_) => Kind::GovernanceVote,
            Self::Evidence(_) => Kind::Evidence,
            Self::RegisterCard(_) => Kind::RegisterCard,
        }
    }
}

impl From<PublishBatch> for Transaction {
    fn from(t: PublishBatch) -> Self {
        Self::PublishBatch(t)
    }
}

impl From<AnchorConsent> for Transaction {
    fn from(t: AnchorConsent) -> Self {
        Self::AnchorConsent(t)
    }
}

impl From<RevokeConsent> for Transaction {
    fn from(t: RevokeConsent) -> Self {
        Self::RevokeConsent(t)
    }
}

impl From<Inquiry> for Transaction {
    fn from(t: Inquiry) -> Self {
        Self::Inquiry(t)
    }
}

impl From<AuditRequest> for Transaction {
    fn from(t: AuditRequest) -> Self {
        Self::AuditRequest(t)
    }
}

impl From<GovernanceVote> for Transaction {
    fn from(t: GovernanceVote) -> Self {
        Self::GovernanceVote(t)
    }
}

impl From<Evidence> for Transaction {
    fn from(t: Evidence) -> Self {
        Self::Evidence(t)
    }
}

impl From<RegisterCard> for Transaction {
    fn from(t: RegisterCard) -> Self {
        Self::RegisterCard(Box::new(t))
    }
}
