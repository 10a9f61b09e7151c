//! A batch of records (spec: `ledger/spec/transactions.md`, "PublishBatch").
//!
//! Per record 132 bytes: index, period, two commitments, holder tag; and one range argument over
//! all of them. Entries stand in ascending order of their indexes: an index cannot occur twice, and
//! the order says nothing about the agency's own file.

use borsh::{BorshDeserialize, BorshSerialize};
use zkbureau_circuits::directory::Index;
use zkbureau_circuits::encoding::{Digest32, PointBytes, hash_parts};
use zkbureau_circuits::period::Period;
use zkbureau_circuits::range_batch::RangeArgument;
use zkbureau_params::domain;

use crate::ids::{AgencyId, ChainId, HolderTag};
use crate::keys::{PublicKey, SecretKey, Signature, SignatureError};

/// One record of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BatchEntry {
    /// Where the subject's leaf stands.
    pub index: Index,
    /// The period that the record is about.
    pub effective_period: Period,
    /// Commitment to the stocks.
    pub stocks: PointBytes,
    /// Commitment to the flows: the increment of this report.
    pub flows: PointBytes,
    /// Binds the leaf to its holder.
    pub holder_tag: HolderTag,
}

/// Everything of a batch but its argument and signature.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BatchBody {
    /// The agency.
    pub agency: AgencyId,
    /// Number of the batch: 1, 2, 3, …
    pub number: u64,
    /// Version of the schema.
    pub schema: u32,
    /// The period in which the batch is reported.
    pub period: Period,
    /// Whether the agency has now published all it has about the period. Until then nobody can
    /// conclude from a missing leaf that there is no record.
    pub closes: bool,
    /// The records, in strictly ascending order of their indexes.
    pub entries: Vec<BatchEntry>,
}

/// Records of one agency, proven to be in range.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PublishBatch {
    /// What is published.
    pub body: BatchBody,
    /// Every value of every record is in its range.
    pub argument: RangeArgument,
    /// By the agency's validator key.
    pub signature: Signature,
}

/// Hash of everything a batch says besides its commitments, for the range argument's statement.
#[must_use]
pub fn body_hash(chain: &ChainId, body: &BatchBody) -> Digest32 {
    const ENTRY: usize = 32 + 4 + 32;
    let mut entries = Vec::with_capacity(body.entries.len() * ENTRY);
    for entry in &body.entries {
        entries.extend_from_slice(&entry.index.0);
        entries.extend_from_slice(&entry.effective_period.number().to_le_bytes());
        entries.extend_from_slice(entry.holder_tag.as_bytes());
    }
    hash_parts(
        domain::BATCH_BODY,
        &[
            chain.as_bytes(),
            &body.agency.0.to_le_bytes(),
            &body.number.to_le_bytes(),
            &body.schema.to_le_bytes(),
            &body.period.number().to_le_bytes(),
            &[u8::from(body.closes)],
            &entries,
        ],
    )
}

/// `SHA-256("zkbureau/holder" ‖ agency ‖ index ‖ subject_key ‖ salt)`.
#[must_use]
pub fn holder_tag(
    agency: AgencyId,
    index: &Index,
    subject_key: &PublicKey,
    salt: &[u8; 32],
) -> HolderTag {
    HolderTag(hash_parts(
        domain::HOLDER,
        &[
            &agency.0.to_le_bytes(),
            &index.0,
            subject_key.as_bytes(),
            salt,
        ],
    ))
}

impl BatchBody {
    /// The stocks commitments, in the order of the range argument.
    #[must_use]
    pub fn stocks(&self) -> Vec<PointBytes> {
        self.entries.iter().map(|e| e.stocks).collect()
    }

    /// The flows commitments, in the order of the range argument.
    #[must_use]
    pub fn flows(&self) -> Vec<PointBytes> {
        self.entries.iter().map(|e| e.flows).collect()
    }
}

impl PublishBatch {
    /// Signs a batch with its argument.
    #[must_use]
    pub fn sign(
        chain: &ChainId,
        body: BatchBody,
        argument: RangeArgument,
        key: &SecretKey,
    ) -> Self {
        let digest = signed_digest(&body, &argument);
        Self {
            signature: key.sign(domain::SIGN_BATCH, chain, &[&digest]),
            body,
            argument,
        }
    }

    /// Verifies the signature under the agency's validator key.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_signature(&self, chain: &ChainId, key: &PublicKey) -> Result<(), SignatureError> {
        let digest = signed_digest(&self.body, &self.argument);
        key.verify(domain::SIGN_BATCH, chain, &[&digest], &self.signature)
    }
}

/// A batch is megabytes and Ed25519 reads its message twice, so the digest is signed.
fn signed_digest(body: &BatchBody, argument: &RangeArgument) -> Digest32 {
    let body = borsh::to_vec(body).expect("encoding into memory");
    let argument = borsh::to_vec(argument).expect("encoding into memory");
    hash_parts(domain::SIGN_BATCH, &[&body, &argument])
}
