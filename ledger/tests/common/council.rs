//! Several validators with their keys, and what they vote for.

use std::collections::HashMap;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use zkbureau_circuits::Scalar;
use zkbureau_circuits::commitment::{Record, RecordBlindings};
use zkbureau_circuits::directory::{Index, VrfSecretKey};
use zkbureau_circuits::range_batch::{
    self, ProvingKey, RangeArgument, Statement, Witness, commit_records,
};
use zkbureau_circuits::schema::Schema;
use zkbureau_ledger::block::{SignedHeader, ValidatorSet, sign_vote};
use zkbureau_ledger::genesis::{Agency, Seat};
use zkbureau_ledger::ids::ProposalId;
use zkbureau_ledger::transaction::{
    AdmitAgency, Change, GovernanceVote, NewKeys, Proposal, RotateKeys, body_hash,
};
use zkbureau_ledger::{
    AgencyId, BatchBody, BatchEntry, Certificate, ChainId, Day, Executed, Genesis, HolderTag,
    Ledger, PublicKey, SealingKey, SecretKey, Store, TimeMs, Tip, Transaction,
};

use super::{Row, START, checked, genesis, network_key, validator_key};

/// A genesis file whose agencies have these powers, 0 for no seat.
pub fn seated(powers: &[u64]) -> Genesis {
    let mut genesis = genesis(powers.len() as u32);
    genesis.validators = (1..)
        .zip(powers)
        .filter(|(_, power)| **power > 0)
        .map(|(id, power)| Seat {
            agency: AgencyId(id),
            power: *power,
        })
        .collect();
    genesis.validate().unwrap();
    genesis
}

/// An agency that is not there yet.
pub fn newcomer(id: u32) -> Agency {
    let mut rng = ChaCha20Rng::seed_from_u64(u64::from(id) + 1000);
    let mut sealing = [10; 32];
    sealing[..4].copy_from_slice(&id.to_le_bytes());
    Agency {
        id: AgencyId(id),
        name: format!("Newcomer {id}"),
        validator_key: new_key(id, 1).public(),
        vrf_key: VrfSecretKey::random(&mut rng).public(),
        sealing_key: SealingKey::from_bytes(&sealing).unwrap(),
        network_key: new_key(id, 2).public(),
    }
}

/// A key that nobody has yet.
pub fn new_key(id: u32, purpose: u8) -> SecretKey {
    let mut seed = [purpose; 32];
    seed[..4].copy_from_slice(&id.to_le_bytes());
    seed[4] = 0xee;
    SecretKey::from_seed(&seed)
}

pub fn admit(chain: &ChainId, id: u32, power: u64) -> Change {
    let (validator, network) = (new_key(id, 1), new_key(id, 2));
    Change::AdmitAgency(AdmitAgency::sign(
        chain,
        newcomer(id),
        power,
        &validator,
        &network,
    ))
}

/// A new validator key for an agency.
pub fn rotate(chain: &ChainId, agency: AgencyId, key: &SecretKey) -> Change {
    let keys = NewKeys {
        validator: Some(key.public()),
        ..NewKeys::default()
    };
    Change::RotateKeys(RotateKeys::sign(chain, agency, keys, Some(key), None))
}

pub fn proposal(title: &str, changes: Vec<Change>) -> Proposal {
    Proposal {
        title: title.into(),
        expires: Day(TimeMs(START).day().0 + 30),
        changes,
    }
}

/// Everybody's secret keys, by public key.
pub struct Keyring(HashMap<PublicKey, SecretKey>);

impl Keyring {
    pub fn new() -> Self {
        let mut ring = Self(HashMap::new());
        for id in 1..=12 {
            ring.add(validator_key(AgencyId(id)));
            ring.add(network_key(AgencyId(id)));
            ring.add(new_key(id, 1));
        }
        ring
    }

    pub fn add(&mut self, key: SecretKey) {
        self.0.insert(key.public(), key);
    }

    pub fn get(&self, key: &PublicKey) -> &SecretKey {
        &self.0[key]
    }

    /// An agency's vote under the key in force.
    pub fn vote(
        &self,
        ledger: &Ledger<impl Store>,
        agency: u32,
        proposal: &Proposal,
    ) -> Transaction {
        let agency = AgencyId(agency);
        let consortium = ledger.consortium();
        let key = self.get(&consortium.agency(agency).unwrap().validator_key);
        GovernanceVote::sign(ledger.chain_id(), agency, proposal.clone(), key).into()
    }

    /// A certificate by all validators of a set.
    pub fn certify(&self, executed: &Executed, validators: &ValidatorSet) -> Certificate {
        let (header, value) = (executed.header(), executed.hash());
        let signatures = validators
            .validators()
            .iter()
            .map(|v| {
                let key = self.get(&v.key);
                let signature =
                    sign_vote(&header.chain_id, header.height, 3, &value, v.agency, key);
                (v.agency, signature)
            })
            .collect();
        Certificate {
            height: header.height,
            round: 3,
            value,
            signatures,
        }
    }

    /// Proposes, executes as a validator, and commits under the validators in force; every transaction
    /// must be accepted.
    pub fn step(&self, ledger: &Ledger<impl Store>, transactions: &[Transaction]) -> Tip {
        let validators = ledger.consortium().validator_set();
        let proposer = validators.validators()[0].agency;
        let time = TimeMs(ledger.tip().time_ms.0 + 1000);
        let proposal = ledger
            .propose(proposer, time, checked(ledger, transactions))
            .unwrap();
        assert_eq!(proposal.dropped, vec![]);
        assert_eq!(proposal.deferred, vec![]);
        let executed = ledger.execute(proposal.executed.block()).unwrap();
        let certificate = self.certify(&executed, &validators);
        ledger.commit(executed, certificate).unwrap()
    }

    /// Has the proposal adopted by these agencies' votes, all in one block.
    pub fn adopt(
        &self,
        ledger: &Ledger<impl Store>,
        voters: &[u32],
        title: &str,
        changes: Vec<Change>,
    ) -> ProposalId {
        let proposal = proposal(title, changes);
        let votes: Vec<_> = voters
            .iter()
            .map(|agency| self.vote(ledger, *agency, &proposal))
            .collect();
        let tip = self.step(ledger, &votes);
        let id = proposal.id();
        let state = ledger.proposal(tip.height, id).unwrap().unwrap();
        assert_eq!(state.adopted, Some(tip.height), "adopted");
        id
    }
}

/// The last header with its certificate.
pub fn last_header(ledger: &Ledger<impl Store>) -> SignedHeader {
    ledger.signed_header(ledger.tip().height).unwrap().unwrap()
}

/// A batch under another schema than the usual one: rows with zeros for its further attributes.
pub fn batch_under(
    schema: &Schema,
    chain: &ChainId,
    agency: AgencyId,
    number: u64,
    rows: &[Row],
) -> (BatchBody, RangeArgument) {
    let proving = ProvingKey::new(schema, 8).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(number);
    let records: Vec<_> = rows
        .iter()
        .map(|row| {
            let mut values = vec![0; schema.len() - 1];
            (values[0], values[1]) = (row.balance, row.payments);
            Record::new(schema, &values).unwrap()
        })
        .collect();
    let blindings: Vec<_> = rows
        .iter()
        .map(|_| RecordBlindings {
            stocks: Scalar::random(&mut rng),
            flows: Scalar::random(&mut rng),
        })
        .collect();
    let (stocks, flows) = commit_records(&proving, &records, &blindings).unwrap();
    let entries = rows
        .iter()
        .zip(stocks.into_iter().zip(flows))
        .map(|(row, (stocks, flows))| BatchEntry {
            index: Index(row.index),
            effective_period: row.effective,
            stocks,
            flows,
            holder_tag: HolderTag([row.tag; 32]),
        })
        .collect();
    let body = BatchBody {
        agency,
        number,
        schema: schema.version(),
        period: rows[0].effective,
        closes: true,
        entries,
    };
    let (stocks, flows) = (body.stocks(), body.flows());
    let hash = body_hash(chain, &body);
    let statement = Statement {
        chain: chain.as_bytes(),
        agency: agency.0,
        batch: number,
        body: &hash,
        stocks: &stocks,
        flows: &flows,
    };
    let witness = Witness {
        records: &records,
        blindings: &blindings,
    };
    let argument = range_batch::prove(&proving, &statement, &witness, &mut rng).unwrap();
    (body, argument)
}
