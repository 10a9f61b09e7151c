//! What a proposal's changes make of the consortium (spec: `ledger/spec/governance.md`).
//!
//! Every vote applies the proposal to the consortium in force, to see that it can be applied; the
//! deciding vote's outcome is what takes effect. Nothing is left that could fail afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;

use zkbureau_circuits::schema::{Schema, SchemaError};

use super::context::Context;
use super::view::View;
use crate::consortium::{Agency, Consortium, GenesisError, MAX_AGENCIES_EVER, Observer, Seat};
use crate::ids::{AgencyId, Height};
use crate::keys::PublicKey;
use crate::state::{Columns, KeyRole, KeyUse, Party, PartyState, RegistryKey};
use crate::store::Store;
use crate::transaction::{AdmitAgency, Change, NewKeys, RotateKeys};
use crate::tree::TreeError;
use thiserror::Error;

/// A proposal's changes cannot be applied to the consortium in force.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// There is no such party.
    #[error("there is no {0}")]
    Unknown(Party),
    /// The network key is no observer's.
    #[error("no observer has the network key {0}")]
    UnknownObserver(PublicKey),
    /// The identifier was used before.
    #[error("the identifier of {0} was used before")]
    IdUsed(Party),
    /// The key was used before.
    #[error("the key {} was used before", hex::encode(.0))]
    KeyUsed([u8; 32]),
    /// The chain has had as many agencies as it may.
    #[error("a chain has at most {limit} agencies, those that left included")]
    AgenciesEver {
        /// The limit.
        limit: usize,
    },
    /// Records stand under the directory's key.
    #[error("{0} has published records, which stand under its VRF key")]
    VrfInUse(AgencyId),
    /// The schema does not follow the one in force.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The schema's version leaves a gap.
    #[error("schema version {got}; the next is {expected}")]
    SchemaVersion {
        /// The next version.
        expected: u32,
        /// The version given.
        got: u32,
    },
    /// Records of before would read as this attribute's smallest value, which must be zero.
    #[error("attribute {0:?}: records of before would read as its min, so min must be 0")]
    SchemaMin(String),
    /// The consortium after all changes breaks a rule.
    #[error(transparent)]
    Rule(#[from] GenesisError),
    /// Those who sign blocks now would not make a quorum among those who sign then.
    #[error(
        "validators of before keep a power of {kept}; more than two thirds of {total} are needed"
    )]
    Quorum {
        /// Power of those who have a seat before and after.
        kept: u128,
        /// Power of all after.
        total: u128,
    },
    /// Nothing is different after all changes.
    #[error("nothing would change")]
    Nothing,
}

/// What a proposal's changes make of the consortium.
#[derive(Clone, Debug)]
pub(crate) struct Amended {
    pub(crate) consortium: Consortium,
    pub(crate) schema: Arc<Schema>,
    /// Keys that are new, and those that are no longer in force.
    pub(crate) keys: BTreeMap<[u8; 32], KeyUse>,
    /// Parties that came or left.
    pub(crate) parties: BTreeMap<Party, PartyState>,
    /// Agencies that came.
    pub(crate) admitted: Vec<AgencyId>,
    /// Agencies whose directory gets another key.
    pub(crate) new_directories: Vec<AgencyId>,
}

/// A change is refused: by its position, or all of them together; or the state cannot be read.
pub(super) enum ChangeRefusal {
    Invalid(Option<usize>, ChangeError),
    Tree(TreeError),
}

/// Applies changes to the consortium in force.
pub(super) fn amend<S: Store>(
    context: &Context,
    view: &View<'_, S>,
    columns: &Columns,
    height: Height,
    changes: &[Change],
) -> Result<Amended, ChangeRefusal> {
    let mut amending = Amending {
        view,
        columns,
        height,
        amended: Amended {
            consortium: context.consortium().as_ref().clone(),
            schema: context.schema().clone(),
            keys: BTreeMap::new(),
            parties: BTreeMap::new(),
            admitted: Vec::new(),
            new_directories: Vec::new(),
        },
    };
    for (position, change) in changes.iter().enumerate() {
        amending.apply(change).map_err(|stop| match stop {
            Stop::Invalid(error) => ChangeRefusal::Invalid(Some(position), error),
            Stop::Tree(error) => ChangeRefusal::Tree(error),
        })?;
    }
    let amended = amending.amended;
    check_whole(context, &amended).map_err(|error| ChangeRefusal::Invalid(None, error))?;
    Ok(amended)
}

/// What must hold after all changes.
fn check_whole(context: &Context, amended: &Amended) -> Result<(), ChangeError> {
    let (before, after) = (context.consortium(), &amended.consortium);
    if **before == *after {
        return Err(ChangeError::Nothing);
    }
    after.validate()?;
    // A newcomer may not run yet: the chain must go on without it, and a mistake in its keys must
    // not stop it.
    let (old, new) = (before.validator_set(), after.validator_set());
    let kept = new
        .validators()
        .iter()
        .filter(|v| old.get(v.agency).is_some());
    let kept: u128 = kept.map(|v| u128::from(v.power)).sum();
    let total = new.total_power();
    if 3 * kept <= 2 * total {
        return Err(ChangeError::Quorum { kept, total });
    }
    Ok(())
}

enum Stop {
    Invalid(ChangeError),
    Tree(TreeError),
}

impl From<ChangeError> for Stop {
    fn from(error: ChangeError) -> Self {
        Self::Invalid(error)
    }
}

impl From<TreeError> for Stop {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}

struct Amending<'a, S> {
    view: &'a View<'a, S>,
    columns: &'a Columns,
    height: Height,
    amended: Amended,
}

impl<S: Store> Amending<'_, S> {
    fn apply(&mut self, change: &Change) -> Result<(), Stop> {
        match change {
            Change::AdmitAgency(admit) => self.admit_agency(admit),
            Change::RemoveAgency(agency) => self.remove_agency(*agency),
            Change::SetPower(set) => {
                self.agency(set.agency)?;
                self.set_power(set.agency, set.power);
                Ok(())
            }
            Change::RotateKeys(rotate) => self.rotate_keys(rotate),
            Change::AdmitObserver(observer) => self.admit_observer(observer),
            Change::RemoveObserver(key) => self.remove_observer(key),
            Change::SetIssuer(issuer) => {
                let party = Party::Issuer(issuer.id);
                let list = &self.amended.consortium.issuers;
                match list.binary_search_by_key(&issuer.id, |i| i.id) {
                    Ok(at) => {
                        let before = list[at].key;
                        self.signing_key(party, Some(&before), &issuer.key)?;
                        self.amended.consortium.issuers[at] = issuer.clone();
                    }
                    Err(at) => {
                        self.come(party)?;
                        self.signing_key(party, None, &issuer.key)?;
                        self.amended.consortium.issuers.insert(at, issuer.clone());
                    }
                }
                Ok(())
            }
            Change::RemoveIssuer(id) => {
                let list = &mut self.amended.consortium.issuers;
                let party = Party::Issuer(*id);
                let at = list.binary_search_by_key(id, |i| i.id);
                let gone = list.remove(at.map_err(|_| ChangeError::Unknown(party))?);
                self.retire(gone.key.as_bytes())?;
                self.leave(party)
            }
            Change::SetAuditor(auditor) => {
                let party = Party::Auditor(auditor.id);
                let list = &self.amended.consortium.auditors;
                match list.binary_search_by_key(&auditor.id, |a| a.id) {
                    Ok(at) => {
                        let before = list[at].key;
                        self.signing_key(party, Some(&before), &auditor.key)?;
                        self.amended.consortium.auditors[at] = auditor.clone();
                    }
                    Err(at) => {
                        self.come(party)?;
                        self.signing_key(party, None, &auditor.key)?;
                        self.amended.consortium.auditors.insert(at, auditor.clone());
                    }
                }
                Ok(())
            }
            Change::RemoveAuditor(id) => {
                let list = &mut self.amended.consortium.auditors;
                let party = Party::Auditor(*id);
                let at = list.binary_search_by_key(id, |a| a.id);
                let gone = list.remove(at.map_err(|_| ChangeError::Unknown(party))?);
                self.retire(gone.key.as_bytes())?;
                self.leave(party)
            }
            Change::NewSchema(schema) => self.new_schema(schema),
            Change::SetScoreKey(key) => {
                self.amended.consortium.score_key = key.hash;
                Ok(())
            }
            Change::SetPolicies(policies) => {
                self.amended.consortium.policies = *policies;
                Ok(())
            }
        }
    }

    fn admit_agency(&mut self, admit: &AdmitAgency) -> Result<(), Stop> {
        let agency = &admit.agency;
        let party = Party::Agency(agency.id);
        if self.columns.0.len() + self.amended.admitted.len() >= MAX_AGENCIES_EVER {
            let limit = MAX_AGENCIES_EVER;
            return Err(ChangeError::AgenciesEver { limit }.into());
        }
        self.come(party)?;
        self.key(party, KeyRole::Validator, agency.validator_key.as_bytes())?;
        self.key(party, KeyRole::Vrf, agency.vrf_key.as_bytes())?;
        self.key(party, KeyRole::Sealing, agency.sealing_key.as_bytes())?;
        self.key(party, KeyRole::Network, agency.network_key.as_bytes())?;
        let list = &mut self.amended.consortium.agencies;
        let at = list.partition_point(|a| a.id < agency.id);
        list.insert(at, agency.clone());
        self.amended.admitted.push(agency.id);
        self.set_power(agency.id, admit.power);
        Ok(())
    }

    fn remove_agency(&mut self, id: AgencyId) -> Result<(), Stop> {
        let gone = self.agency(id)?.clone();
        for key in [
            gone.validator_key.as_bytes(),
            gone.vrf_key.as_bytes(),
            gone.sealing_key.as_bytes(),
            gone.network_key.as_bytes(),
        ] {
            self.retire(key)?;
        }
        self.set_power(id, 0);
        self.amended.consortium.agencies.retain(|a| a.id != id);
        self.leave(Party::Agency(id))
    }

    /// A power of 0 is no seat.
    fn set_power(&mut self, agency: AgencyId, power: u64) {
        let seats = &mut self.amended.consortium.validators;
        seats.retain(|seat| seat.agency != agency);
        if power > 0 {
            let at = seats.partition_point(|seat| seat.agency < agency);
            seats.insert(at, Seat { agency, power });
        }
    }

    fn rotate_keys(&mut self, rotate: &RotateKeys) -> Result<(), Stop> {
        let id = rotate.agency;
        let party = Party::Agency(id);
        let NewKeys {
            validator,
            vrf,
            sealing,
            network,
        } = &rotate.keys;
        self.agency(id)?;
        if let Some(key) = validator {
            self.key(party, KeyRole::Validator, key.as_bytes())?;
            let before = std::mem::replace(&mut self.agency(id)?.validator_key, *key);
            self.retire(before.as_bytes())?;
        }
        if let Some(key) = vrf {
            // Leaves stand at indexes under the key, and a person must have one leaf.
            if self
                .columns
                .get(id)
                .is_some_and(|column| column.batches > 0)
            {
                return Err(ChangeError::VrfInUse(id).into());
            }
            self.key(party, KeyRole::Vrf, key.as_bytes())?;
            let before = std::mem::replace(&mut self.agency(id)?.vrf_key, *key);
            self.retire(before.as_bytes())?;
            self.amended.new_directories.push(id);
        }
        if let Some(key) = sealing {
            self.key(party, KeyRole::Sealing, key.as_bytes())?;
            let before = std::mem::replace(&mut self.agency(id)?.sealing_key, *key);
            self.retire(before.as_bytes())?;
        }
        if let Some(key) = network {
            self.key(party, KeyRole::Network, key.as_bytes())?;
            let before = std::mem::replace(&mut self.agency(id)?.network_key, *key);
            self.retire(before.as_bytes())?;
        }
        Ok(())
    }

    fn admit_observer(&mut self, observer: &Observer) -> Result<(), Stop> {
        let key = &observer.network_key;
        self.key(Party::Observer, KeyRole::Network, key.as_bytes())?;
        let list = &mut self.amended.consortium.observers;
        let at = list.partition_point(|o| o.network_key < *key);
        list.insert(at, observer.clone());
        Ok(())
    }

    fn remove_observer(&mut self, key: &PublicKey) -> Result<(), Stop> {
        let list = &mut self.amended.consortium.observers;
        let at = list.binary_search_by_key(key, |o| o.network_key);
        list.remove(at.map_err(|_| ChangeError::UnknownObserver(*key))?);
        self.retire(key.as_bytes())
    }

    fn new_schema(&mut self, schema: &Schema) -> Result<(), Stop> {
        let before = &self.amended.schema;
        schema.follows(before).map_err(ChangeError::Schema)?;
        let (expected, got) = (before.version() + 1, schema.version());
        if got != expected {
            return Err(ChangeError::SchemaVersion { expected, got }.into());
        }
        let appended = &schema.attributes()[before.len()..];
        if let Some(bad) = appended.iter().find(|a| a.min != 0) {
            return Err(ChangeError::SchemaMin(bad.name.clone()).into());
        }
        self.amended.consortium.schema_version = schema.version();
        self.amended.consortium.schema = schema.digest();
        self.amended.schema = Arc::new(schema.clone());
        Ok(())
    }

    fn agency(&mut self, id: AgencyId) -> Result<&mut Agency, ChangeError> {
        let list = &mut self.amended.consortium.agencies;
        match list.binary_search_by_key(&id, |a| a.id) {
            Ok(at) => Ok(&mut list[at]),
            Err(_) => Err(ChangeError::Unknown(Party::Agency(id))),
        }
    }

    /// An issuer's or auditor's key, if it is another one than before.
    fn signing_key(
        &mut self,
        party: Party,
        before: Option<&PublicKey>,
        key: &PublicKey,
    ) -> Result<(), Stop> {
        if before == Some(key) {
            return Ok(());
        }
        self.key(party, KeyRole::Signing, key.as_bytes())?;
        match before {
            Some(before) => self.retire(before.as_bytes()),
            None => Ok(()),
        }
    }

    /// Takes a key into use. None is used twice, save that a node that has watched may come back,
    /// as an observer or as an agency's node, under the network key it had.
    fn key(&mut self, party: Party, role: KeyRole, key: &[u8; 32]) -> Result<(), Stop> {
        let before = match self.amended.keys.get(key) {
            Some(used) => Some(*used),
            None => self.view.value::<KeyUse>(&RegistryKey::Key(*key))?,
        };
        let returns = |used: KeyUse| used.party == Party::Observer && role == KeyRole::Network;
        let watching = || {
            let observers = &self.amended.consortium.observers;
            observers.iter().any(|o| o.network_key.as_bytes() == key)
        };
        if before.is_some_and(|used| !returns(used) || watching()) {
            return Err(ChangeError::KeyUsed(*key).into());
        }
        let (since, until) = (self.height, None);
        let used = KeyUse {
            party,
            role,
            since,
            until,
        };
        self.amended.keys.insert(*key, used);
        Ok(())
    }

    /// Notes that a key is in force no longer.
    fn retire(&mut self, key: &[u8; 32]) -> Result<(), Stop> {
        let used = match self.amended.keys.get(key) {
            Some(used) => Some(*used),
            None => self.view.value::<KeyUse>(&RegistryKey::Key(*key))?,
        };
        // Every key in force is there.
        if let Some(mut used) = used {
            used.until = Some(self.height);
            self.amended.keys.insert(*key, used);
        }
        Ok(())
    }

    fn come(&mut self, party: Party) -> Result<(), Stop> {
        if self.amended.parties.contains_key(&party) || self.party(party)?.is_some() {
            return Err(ChangeError::IdUsed(party).into());
        }
        let (since, left) = (self.height, None);
        self.amended
            .parties
            .insert(party, PartyState { since, left });
        Ok(())
    }

    fn leave(&mut self, party: Party) -> Result<(), Stop> {
        let state = match self.amended.parties.get(&party) {
            Some(state) => Some(*state),
            None => self.party(party)?,
        };
        // Whoever takes part has come.
        let since = state.map_or(self.height, |state| state.since);
        let left = Some(self.height);
        self.amended
            .parties
            .insert(party, PartyState { since, left });
        Ok(())
    }

    fn party(&self, party: Party) -> Result<Option<PartyState>, TreeError> {
        self.view.value(&RegistryKey::Party(party))
    }
}

type Keys = Vec<([u8; 32], KeyUse)>;
type Parties = Vec<(Party, PartyState)>;

/// Keys and parties of a genesis file.
pub(super) fn genesis_parties(consortium: &Consortium) -> (Keys, Parties) {
    let since = Height::GENESIS;
    let mut keys = Vec::new();
    let mut parties = Vec::new();
    let mut party = |party: Party, held: &[(KeyRole, &[u8; 32])]| {
        if party != Party::Observer {
            parties.push((party, PartyState { since, left: None }));
        }
        for (role, key) in held {
            let role = *role;
            let until = None;
            let used = KeyUse {
                party,
                role,
                since,
                until,
            };
            keys.push((**key, used));
        }
    };
    for agency in &consortium.agencies {
        party(
            Party::Agency(agency.id),
            &[
                (KeyRole::Validator, agency.validator_key.as_bytes()),
                (KeyRole::Vrf, agency.vrf_key.as_bytes()),
                (KeyRole::Sealing, agency.sealing_key.as_bytes()),
                (KeyRole::Network, agency.network_key.as_bytes()),
            ],
        );
    }
    for issuer in &consortium.issuers {
        let held = [(KeyRole::Signing, issuer.key.as_bytes())];
        party(Party::Issuer(issuer.id), &held);
    }
    for auditor in &consortium.auditors {
        let held = [(KeyRole::Signing, auditor.key.as_bytes())];
        party(Party::Auditor(auditor.id), &held);
    }
    for observer in &consortium.observers {
        let held = [(KeyRole::Network, observer.network_key.as_bytes())];
        party(Party::Observer, &held);
    }
    (keys, parties)
}
