//! "My report": an agency opens a subject's own records to the subject's wallet.

use borsh::{BorshDeserialize, BorshSerialize};
use zkbureau_circuits::commitment::Opening;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;

use super::bounded::bounded;
use super::evidence::{DirectoryEvidence, MAX_VRF_KEYS};
use crate::{LogSuffix, Roots, SignedHeader};

/// Most entries of a log in a report.
const MAX_LOG_ENTRIES: usize = 1 << 16;

/// Openings of one log entry.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub struct EntryOpening {
    /// Of the stocks commitment.
    pub stocks: Opening,
    /// Of the flows commitment.
    pub flows: Opening,
}

/// Everything an agency has published about a subject, with openings. Travels sealed.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub struct AgencyReport {
    /// The agency.
    pub agency: AgencyId,
    /// The header that the proofs refer to.
    pub header: SignedHeader,
    /// The tree roots under it.
    pub roots: Roots,
    /// Where the subject stands in the directory, under every key the agency ever had.
    #[borsh(deserialize_with = "bounded::<_, _, MAX_VRF_KEYS>")]
    pub directory: Vec<DirectoryEvidence>,
    /// The whole log; absent without a record.
    pub log: Option<LogSuffix>,
    /// One per log entry.
    #[borsh(deserialize_with = "bounded::<_, _, MAX_LOG_ENTRIES>")]
    pub openings: Vec<EntryOpening>,
}

impl Document for AgencyReport {
    const NAME: &'static str = "zkbureau/agency-report/v1";
    const MAX_BYTES: usize = 4 << 20;
}
