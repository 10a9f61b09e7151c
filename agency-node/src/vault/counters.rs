//! What has been answered: facts per person, and uses per consent.

use borsh::{BorshDeserialize, BorshSerialize};
use rocksdb::WriteBatch;
use zkbureau_circuits::encoding::Digest32;
use zkbureau_ledger::AnchorId;
use zkbureau_ledger::ids::{Height, TimeMs};

use super::error::VaultError;
use super::records::Handle;
use super::store::{Vault, family};

/// Facts answered about one person, each with the header time of its inquiry.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Budget {
    /// Hash of the form, and header time.
    pub facts: Vec<(Digest32, TimeMs)>,
}

/// One use of a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Use {
    /// Which use, from 0.
    pub number: u32,
    /// The anchor it was made on.
    pub anchor: AnchorId,
    /// Header time of its inquiry.
    pub time: TimeMs,
}

/// Uses of one consent.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ConsentUses {
    /// In the order they were answered.
    pub uses: Vec<Use>,
}

/// An answer to an audit, kept because the column moves on.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub(crate) struct KeptAudit {
    /// Height that it speaks about.
    pub height: Height,
    /// The answer's canonical bytes.
    pub answer: Vec<u8>,
}

impl Vault {
    /// Lets `f` change the counters of a person and a consent, one caller at a time, and keeps the
    /// change durably if `f` succeeds. `f` returns whether it changed anything.
    ///
    /// # Errors
    /// [`VaultError`] outside; what `f` returns inside.
    pub fn count<E>(
        &self,
        subject: &Handle,
        consent: &[u8; 16],
        f: impl FnOnce(&mut Budget, &mut ConsentUses) -> Result<bool, E>,
    ) -> Result<Result<(), E>, VaultError> {
        // The lock guards the disk, not memory: a panic under it changes nothing.
        let _guard = self
            .counters
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // A consent's identifier is chosen by its signer, so it counts within the person.
        let consent = self
            .cipher
            .handle(family::CONSENTS, &[subject.as_bytes(), consent]);
        let mut budget: Budget = self
            .get(family::BUDGETS, subject.as_bytes())?
            .unwrap_or_default();
        let mut uses: ConsentUses = self.get(family::CONSENTS, &consent)?.unwrap_or_default();
        match f(&mut budget, &mut uses) {
            Err(error) => return Ok(Err(error)),
            Ok(false) => return Ok(Ok(())),
            Ok(true) => {}
        }
        let mut batch = WriteBatch::default();
        self.put(&mut batch, family::BUDGETS, subject.as_bytes(), &budget);
        self.put(&mut batch, family::CONSENTS, &consent, &uses);
        self.write_synced(batch)?;
        Ok(Ok(()))
    }

    pub(crate) fn audit(&self, audit: &Digest32) -> Result<Option<KeptAudit>, VaultError> {
        self.get(family::AUDITS, audit)
    }

    pub(crate) fn keep_audit(&self, audit: &Digest32, kept: &KeptAudit) -> Result<(), VaultError> {
        let mut batch = WriteBatch::default();
        self.put(&mut batch, family::AUDITS, audit, kept);
        self.write_synced(batch)
    }
}
