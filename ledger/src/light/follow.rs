//! Following the validators from the genesis file, or from a point that the client trusted before,
//! to any header (spec: `ledger/spec/governance.md`, "Following validators").
//!
//! What a client fetches is the list of changes: for each the last header of the old validators with
//! its certificate, and the new validators. Leaving a change out, or adding one, makes the header that
//! comes after it fail; so it does not matter who gives the list.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zkbureau_circuits::encoding::Document;

use super::{Era, LightClient, LightError, TrustedHeader};
use crate::block::{CertificateError, SignedHeader, ValidatorSet};
use crate::document::bounded::bounded;
use crate::genesis::{Genesis, GenesisError};
use crate::ids::{ChainId, Height};

/// A change of validators: the last header of the old ones, and the new ones, which it announces.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorChange {
    /// The last header that the old validators signed.
    pub signed: SignedHeader,
    /// Those who sign from the next height on.
    pub next: ValidatorSet,
}

impl Document for ValidatorChange {
    const NAME: &'static str = "zkbureau/validator-change/v1";
    const MAX_BYTES: usize = SignedHeader::MAX_BYTES + ValidatorSet::MAX_BYTES;
}

/// Most changes in one [`ValidatorChanges`].
pub const MAX_CHANGES_LISTED: usize = 32;

/// Changes of validators from some height on, oldest first, as nodes serve them. A list that is full
/// may go on: whoever follows asks again from where it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ValidatorChanges(
    #[borsh(deserialize_with = "bounded::<_, _, MAX_CHANGES_LISTED>")] pub Vec<ValidatorChange>,
);

impl Document for ValidatorChanges {
    const NAME: &'static str = "zkbureau/validator-changes/v1";
    const MAX_BYTES: usize = 8 + MAX_CHANGES_LISTED * ValidatorChange::MAX_BYTES;
}

/// Where a client stands, to go on from there another time. Whoever reads it back trusts it like a
/// genesis file.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The chain.
    pub chain_id: ChainId,
    /// The first height that the validators sign.
    pub from: Height,
    /// The validators.
    pub validators: ValidatorSet,
}

impl Document for Checkpoint {
    const NAME: &'static str = "zkbureau/checkpoint/v1";
    const MAX_BYTES: usize = ValidatorSet::MAX_BYTES + 64;
}

/// A header could not be reached.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FollowError<E> {
    /// A header or change does not hold.
    #[error(transparent)]
    Light(#[from] LightError),
    /// The changes could not be fetched.
    #[error("{0}")]
    Source(E),
}

impl LightClient {
    /// A client that goes on from a checkpoint. It knows nothing of the heights before.
    ///
    /// # Errors
    /// [`FollowError::Light`] when the checkpoint is another chain's, [`FollowError::Source`] when the
    /// genesis file breaks a rule.
    pub fn from_checkpoint(
        genesis: &Genesis,
        checkpoint: &Checkpoint,
    ) -> Result<Self, FollowError<GenesisError>> {
        let mut client = Self::from_genesis(genesis).map_err(FollowError::Source)?;
        if checkpoint.chain_id != client.chain {
            return Err(LightError::Chain {
                expected: client.chain,
                got: checkpoint.chain_id,
            }
            .into());
        }
        client.eras = vec![Era {
            from: checkpoint.from,
            validators: checkpoint.validators.clone(),
        }];
        Ok(client)
    }

    /// The newest validators that the client has followed.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        let last = self.last_era();
        Checkpoint {
            chain_id: self.chain,
            from: last.from,
            validators: last.validators.clone(),
        }
    }

    /// The first height that the newest validators known sign: changes from here on are news.
    #[must_use]
    pub fn reached(&self) -> Height {
        self.last_era().from
    }

    /// Verifies a header at any height, following the changes of validators up to it. `source` gives
    /// changes announced at a height or later, oldest first, as many as it likes; none if there are
    /// none. It is asked only when the header's validators are not those that the client knows.
    ///
    /// Changes that were verified stay known, also when a later one fails.
    ///
    /// # Errors
    /// [`FollowError`] says what does not hold, or that the source fails.
    pub fn follow<E>(
        &mut self,
        signed: &SignedHeader,
        mut source: impl FnMut(Height) -> Result<Vec<ValidatorChange>, E>,
    ) -> Result<TrustedHeader, FollowError<E>> {
        loop {
            let refused = match self.verify_header(signed) {
                Ok(trusted) => return Ok(trusted),
                Err(error) => error,
            };
            // Anything but a change of validators is no reason to ask.
            let other = LightError::Certificate(CertificateError::Validators);
            let reached = self.reached();
            if refused != other || signed.header.height <= reached {
                return Err(refused.into());
            }
            for change in source(reached).map_err(FollowError::Source)? {
                if change.signed.header.height >= signed.header.height {
                    break;
                }
                self.advance(&change.signed, &change.next)?;
            }
            // Every round must bring the client further.
            if self.reached() == reached {
                return Err(refused.into());
            }
        }
    }
}
