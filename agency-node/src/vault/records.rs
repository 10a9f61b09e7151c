//! What the vault keeps about a person, and how commitments open from it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use borsh::{BorshDeserialize, BorshSerialize};
use zeroize::Zeroizing;
use zkbureau_circuits::commitment::{
    BlindingContext, Opening, Record, RecordBlindings, SubjectSalt,
};
use zkbureau_circuits::directory::{Index, SubjectId};
use zkbureau_circuits::encoding::{Digest32, hash_parts};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::schema::{Class, Schema};
use zkbureau_ledger::ids::ChainId;
use zkbureau_params::domain;

use super::cipher::mac;
use super::error::VaultError;

/// Where a person's values stand in the vault: a keyed hash of the identifier.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct Handle(pub(super) [u8; 32]);

impl Handle {
    /// The bytes, for keyed hashes of other things about the same person.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A person with at least one record. Written once, destroyed by erasure.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct Subject {
    /// The identifier.
    pub subject: SubjectId,
    /// The index in the directory.
    pub index: Index,
    /// Where all blindings come from.
    pub salt: SubjectSalt,
    /// What the leaf carries as its holder tag.
    pub holder_tag: Digest32,
}

impl Subject {
    /// A person who is new to the agency, with a fresh salt.
    #[must_use]
    pub fn new(agency: AgencyId, subject: SubjectId, index: Index, salt: SubjectSalt) -> Self {
        let holder_tag = unclaimed_holder(agency, &index, &holder_salt(&salt));
        Self {
            subject,
            index,
            salt,
            holder_tag,
        }
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject(.., {:?})", self.index)
    }
}

/// The salt of a leaf's holder tag: derived from the subject's salt, so that erasing one erases both.
fn holder_salt(salt: &SubjectSalt) -> [u8; 32] {
    let bytes = Zeroizing::new(borsh::to_vec(salt).expect("encoding into memory"));
    let key: &[u8; 32] = bytes.as_slice().try_into().expect("a salt has 32 bytes");
    mac(key, &[domain::HOLDER.as_bytes()])
}

/// The tag of a leaf whose holder has no enrolled key when it is published: the hash of a leaf's
/// place and salt, with no key in it. To everybody else it looks like any other tag; the agency can
/// open it as evidence that nobody had claimed the leaf.
fn unclaimed_holder(agency: AgencyId, index: &Index, salt: &[u8; 32]) -> Digest32 {
    hash_parts(
        domain::HOLDER,
        &[
            b"unclaimed",
            &agency.0.to_le_bytes(),
            index.as_bytes(),
            salt,
        ],
    )
}

/// What a person's leaf will be once every prepared batch is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Head {
    /// Number of entries.
    pub entries: u32,
    /// Position of the entry whose stocks the leaf shows.
    pub latest: u32,
    /// That entry's effective period.
    pub stocks_period: Period,
    /// Reported period of the last entry.
    pub last_reported: Period,
}

/// One published record.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct Entry {
    /// Number of the batch that published it; an input of its blindings.
    pub batch: u64,
    /// Version of the schema that its values follow.
    pub schema: u32,
    /// The period that it is about.
    pub effective_period: Period,
    /// The period in which it was published.
    pub reported_period: Period,
    /// The values.
    pub record: Record,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry(batch {}, {})", self.batch, self.effective_period)
    }
}

/// Opens the commitments of an agency's entries, whatever version of the schema they follow: under a later
/// version an entry has zeros for what was appended, and its commitments and blindings stay what they are.
pub struct Opener {
    chain: ChainId,
    agency: AgencyId,
    schema: Schema,
    digest: Digest32,
    /// Versions before, by number and length. They need not be kept anywhere: attributes are only appended, so
    /// an earlier version is the beginning of this one.
    earlier: RwLock<BTreeMap<(u32, usize), Arc<Earlier>>>,
}

/// An earlier version of a schema.
struct Earlier {
    schema: Schema,
    digest: Digest32,
}

/// Earlier versions that an opener remembers. More can be made again.
const MAX_EARLIER: usize = 64;

impl Opener {
    /// For the entries of one agency under one schema and those before it.
    #[must_use]
    pub fn new(chain: ChainId, agency: AgencyId, schema: &Schema) -> Self {
        Self {
            chain,
            agency,
            digest: schema.digest(),
            schema: schema.clone(),
            earlier: RwLock::default(),
        }
    }

    /// Both blindings of an entry.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] when the entry follows neither this schema nor one before it.
    pub fn blindings(
        &self,
        subject: &Subject,
        entry: &Entry,
    ) -> Result<RecordBlindings, VaultError> {
        let length = entry.record.encoded().len();
        if (entry.schema, length) == (self.schema.version(), self.schema.len()) {
            return Ok(self.derive(subject, entry, &self.schema, &self.digest));
        }
        let earlier = self.earlier(entry.schema, length)?;
        Ok(self.derive(subject, entry, &earlier.schema, &earlier.digest))
    }

    fn derive(
        &self,
        subject: &Subject,
        entry: &Entry,
        schema: &Schema,
        digest: &Digest32,
    ) -> RecordBlindings {
        let context = BlindingContext {
            chain: self.chain.as_bytes(),
            agency: self.agency.0,
            schema: digest,
            batch: entry.batch,
            index: subject.index.as_bytes(),
        };
        RecordBlindings::derive(&subject.salt, &context, schema, &entry.record)
    }

    /// The version with this number and this many attributes.
    fn earlier(&self, version: u32, length: usize) -> Result<Arc<Earlier>, VaultError> {
        let damaged = VaultError::Damaged("entries");
        if version >= self.schema.version() || length > self.schema.len() {
            return Err(damaged);
        }
        let known = self.earlier.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&(version, length)) {
            return Ok(found.clone());
        }
        drop(known);
        let attributes = self.schema.attributes()[..length].to_vec();
        let schema = Schema::new(version, attributes).map_err(|_| damaged)?;
        let digest = schema.digest();
        let made = Arc::new(Earlier { schema, digest });
        let mut known = self.earlier.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_EARLIER {
            known.insert((version, length), made.clone());
        }
        Ok(made)
    }

    /// An entry's values under this schema.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] when it has more of them.
    pub fn record(&self, entry: &Entry) -> Result<Record, VaultError> {
        let record = entry.record.under(&self.schema);
        record.ok_or(VaultError::Damaged("entries"))
    }

    /// The opening of one of an entry's commitments, under this schema.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] when the entry follows neither this schema nor one before it.
    pub fn opening(
        &self,
        subject: &Subject,
        entry: &Entry,
        class: Class,
    ) -> Result<Opening, VaultError> {
        let blindings = self.blindings(subject, entry)?;
        let blinding = match class {
            Class::Stock => blindings.stocks,
            Class::Flow => blindings.flows,
        };
        Ok(self.record(entry)?.opening(&self.schema, class, blinding))
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }
}
