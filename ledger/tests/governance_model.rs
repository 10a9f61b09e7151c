//! Random votes against a naive model of the rules: who may vote, when a proposal is adopted, what the
//! consortium is then, and that validators, headers and light clients follow. The model keeps sets of names
//! in the clear and knows nothing of registries, epochs or trees.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::council::*;
use common::*;
use proptest::prelude::*;
use zkbureau_ledger::block::ValidatorSet;
use zkbureau_ledger::transaction::{Proposal, SetPower};
use zkbureau_ledger::{
    AgencyId, Change, Height, Ledger, LightClient, MemoryStore, SecretKey, TimeMs, Transaction,
};

/// Small numbers that collide often.
#[derive(Clone, Debug)]
enum Step {
    /// A new proposal by its recipe.
    Propose(Recipe),
    /// Agencies, as bits, vote for one of the proposals made so far.
    Vote(u8, u8),
    /// A copy of an earlier vote, byte for byte.
    Replay(u8),
    /// A block without transactions.
    Idle,
}

#[derive(Clone, Copy, Debug)]
enum Recipe {
    Admit(u8, u8),
    Remove(u8),
    Power(u8, u8),
    Rotate(u8),
    /// Out with one, in with another, at once.
    Replace(u8, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let recipe = prop_oneof![
        3 => (1..9u8, 0..3u8).prop_map(|(id, power)| Recipe::Admit(id, power)),
        2 => (1..9u8).prop_map(Recipe::Remove),
        3 => (1..9u8, 0..4u8).prop_map(|(id, power)| Recipe::Power(id, power)),
        2 => (1..9u8).prop_map(Recipe::Rotate),
        1 => (1..9u8, 1..9u8).prop_map(|(a, b)| Recipe::Replace(a, b)),
    ];
    let step = prop_oneof![
        3 => recipe.prop_map(Step::Propose),
        8 => (any::<u8>(), any::<u8>()).prop_map(|(who, what)| Step::Vote(who, what)),
        1 => any::<u8>().prop_map(Step::Replay),
        1 => Just(Step::Idle),
    ];
    prop::collection::vec(step, 1..40)
}

#[derive(Clone)]
struct Made {
    proposal: Proposal,
    recipe: Recipe,
    /// Number of the key that a rotation brings.
    key: u32,
    opener: Option<u32>,
    /// Voters, with the number of the key that each signed with.
    votes: BTreeMap<u32, u32>,
    adopted: bool,
}

#[derive(Clone, PartialEq, Debug)]
struct Member {
    power: u64,
    /// Number of its validator key.
    key: u32,
}

/// Who takes part, in the clear.
#[derive(Clone)]
struct Model {
    members: BTreeMap<u32, Member>,
    ids_used: BTreeSet<u32>,
    keys_used: BTreeSet<u32>,
}

impl Model {
    fn new(powers: &[u64]) -> Self {
        let members: BTreeMap<u32, Member> = (1u32..)
            .zip(powers)
            .map(|(id, power)| {
                let power = *power;
                (id, Member { power, key: id })
            })
            .collect();
        let ids: BTreeSet<u32> = members.keys().copied().collect();
        Self {
            ids_used: ids.clone(),
            keys_used: ids,
            members,
        }
    }

    /// The state after a recipe, if it can be followed.
    fn after(&self, recipe: Recipe, key: u32) -> Option<Self> {
        let mut next = self.clone();
        let admit = |next: &mut Self, id: u8, power: u8| {
            let id = u32::from(id);
            // A newcomer's key has the number of the agency plus 100.
            let fresh = next.ids_used.insert(id) && next.keys_used.insert(100 + id);
            let power = u64::from(power);
            next.members.insert(
                id,
                Member {
                    power,
                    key: 100 + id,
                },
            );
            fresh
        };
        let possible = match recipe {
            Recipe::Admit(id, power) => admit(&mut next, id, power),
            Recipe::Remove(id) => next.members.remove(&u32::from(id)).is_some(),
            Recipe::Power(id, power) => match next.members.get_mut(&u32::from(id)) {
                None => false,
                Some(member) => {
                    member.power = u64::from(power);
                    true
                }
            },
            Recipe::Rotate(id) => match next.members.get_mut(&u32::from(id)) {
                None => false,
                Some(member) => {
                    member.key = key;
                    next.keys_used.insert(key)
                }
            },
            Recipe::Replace(out, into) => {
                next.members.remove(&u32::from(out)).is_some() && admit(&mut next, into, 1)
            }
        };
        let total = next.total();
        let kept: u64 = next
            .members
            .iter()
            .filter(|(id, _)| self.members.get(id).is_some_and(|m| m.power > 0))
            .map(|(_, m)| m.power)
            .sum();
        let lives = total > 0 && 3 * kept > 2 * total;
        (possible && lives && next.members != self.members).then_some(next)
    }

    fn total(&self) -> u64 {
        self.members.values().map(|m| m.power).sum()
    }

    fn votes_of(&self, made: &Made) -> u64 {
        let counted = |(id, key): (&u32, &u32)| {
            let member = self.members.get(id).filter(|m| m.key == *key);
            member.map_or(0, |m| m.power)
        };
        made.votes.iter().map(counted).sum()
    }
}

/// The key of a number: genesis, newcomers, rotations.
fn key_of(number: u32) -> SecretKey {
    match number {
        n if n < 100 => validator_key(AgencyId(n)),
        n if n < 1000 => new_key(n - 100, 1),
        n => new_key(n, 7),
    }
}

fn changes(ledger: &Ledger<MemoryStore>, recipe: Recipe, key: u32) -> Vec<Change> {
    let chain = ledger.chain_id();
    let agency = |id: u8| AgencyId(u32::from(id));
    match recipe {
        Recipe::Admit(id, power) => vec![admit(chain, u32::from(id), u64::from(power))],
        Recipe::Remove(id) => vec![Change::RemoveAgency(agency(id))],
        Recipe::Power(id, power) => vec![Change::SetPower(SetPower {
            agency: agency(id),
            power: u64::from(power),
        })],
        Recipe::Rotate(id) => vec![rotate(chain, agency(id), &key_of(key))],
        Recipe::Replace(out, into) => vec![
            Change::RemoveAgency(agency(out)),
            admit(chain, u32::from(into), 1),
        ],
    }
}

/// Proposes what may be accepted, certifies by everybody in force, commits; says what was accepted.
fn block(
    ledger: &Ledger<MemoryStore>,
    ring: &Keyring,
    transactions: Vec<Transaction>,
) -> Vec<bool> {
    let set = ledger.consortium().validator_set();
    let proposer = set.validators()[0].agency;
    let hashes: Vec<_> = transactions.iter().map(Transaction::hash).collect();
    let checked: Vec<_> = ledger
        .check_stateless(transactions)
        .into_iter()
        .filter_map(Result::ok)
        .collect();
    let time = TimeMs(ledger.tip().time_ms.0 + 1000);
    let made = ledger.propose(proposer, time, checked).unwrap();
    let executed = ledger.execute(made.executed.block()).unwrap();
    let inside: BTreeSet<_> = executed
        .block()
        .transactions
        .iter()
        .map(|t| t.hash())
        .collect();
    let certificate = ring.certify(&executed, &set);
    ledger.commit(executed, certificate).unwrap();
    hashes.iter().map(|hash| inside.contains(hash)).collect()
}

fn same(ledger: &Ledger<MemoryStore>, model: &Model) {
    let consortium = ledger.consortium();
    let found: BTreeMap<u32, Member> = consortium
        .agencies
        .iter()
        .map(|a| {
            let seat = consortium.validators.iter().find(|s| s.agency == a.id);
            let key = model.members[&a.id.0].key;
            assert_eq!(a.validator_key, key_of(key).public());
            (
                a.id.0,
                Member {
                    power: seat.map_or(0, |s| s.power),
                    key,
                },
            )
        })
        .collect();
    assert_eq!(found, model.members);
    let columns = ledger.columns(ledger.tip().height).unwrap();
    let ever: BTreeSet<u32> = columns.0.iter().map(|(id, _)| id.0).collect();
    assert_eq!(ever, model.ids_used);
}

fn run(powers: &[u64], steps: &[Step]) {
    let ledger = Ledger::open(MemoryStore::new(), &seated(powers)).unwrap();
    let mut ring = Keyring::new();
    let mut model = Model::new(powers);
    let mut made: Vec<Made> = Vec::new();
    let mut cast: Vec<Transaction> = Vec::new();
    // The set that signs each height from 1 on.
    let mut sets: Vec<ValidatorSet> = vec![ledger.consortium().validator_set()];
    for step in steps {
        match step {
            Step::Propose(recipe) => {
                let key = 1000 + made.len() as u32;
                ring.add(key_of(key));
                let title = format!("No. {}", made.len());
                made.push(Made {
                    proposal: proposal(&title, changes(&ledger, *recipe, key)),
                    recipe: *recipe,
                    key,
                    opener: None,
                    votes: BTreeMap::new(),
                    adopted: false,
                });
                continue;
            }
            Step::Vote(who, what) => {
                if made.is_empty() {
                    continue;
                }
                let what = usize::from(*what) % made.len();
                for agency in (1..9u32).filter(|a| who >> (a - 1) & 1 == 1) {
                    let Some(member) = model.members.get(&agency).cloned() else {
                        continue;
                    };
                    let open = |m: &&Made| m.opener == Some(agency) && !m.adopted;
                    let opened = made.iter().filter(open).count();
                    let subject = &mut made[what];
                    let next = model.after(subject.recipe, subject.key);
                    let first = subject.opener.is_none();
                    let allowed = member.power > 0
                        && !subject.adopted
                        && subject.votes.get(&agency) != Some(&member.key)
                        && (!first || opened < 4)
                        && next.is_some();
                    let vote = ring.vote(&ledger, agency, &subject.proposal);
                    cast.push(vote.clone());
                    let accepted = block(&ledger, &ring, vec![vote]);
                    assert_eq!(accepted, [allowed], "{step:?} by {agency}");
                    if allowed {
                        subject.opener.get_or_insert(agency);
                        subject.votes.insert(agency, member.key);
                        if 3 * model.votes_of(subject) > 2 * model.total() {
                            subject.adopted = true;
                            model = next.unwrap();
                        }
                    }
                    sets.push(ledger.consortium().validator_set());
                    same(&ledger, &model);
                }
            }
            Step::Replay(which) => {
                if cast.is_empty() {
                    continue;
                }
                // Votes that were refused before may count now; those that counted may not.
                let vote = cast[usize::from(*which) % cast.len()].clone();
                let Transaction::GovernanceVote(inner) = &vote else {
                    unreachable!()
                };
                let subject = made.iter().find(|m| m.proposal == inner.proposal).unwrap();
                if !subject.votes.contains_key(&inner.agency.0) {
                    continue;
                }
                let before = ledger.consortium();
                let accepted = block(&ledger, &ring, vec![vote]);
                assert_eq!(accepted, [false]);
                assert_eq!(ledger.consortium(), before);
                sets.push(ledger.consortium().validator_set());
            }
            Step::Idle => {
                block(&ledger, &ring, vec![]);
                sets.push(ledger.consortium().validator_set());
            }
        }
        same(&ledger, &model);
    }
    // History, headers and a client from genesis agree with the model's.
    let tip = ledger.tip().height;
    assert_eq!(sets.len() as u64, tip.0 + 1);
    let mut client = LightClient::from_genesis(ledger.genesis()).unwrap();
    for (height, set) in (1..).map(Height).zip(&sets) {
        assert_eq!(ledger.validators(height).unwrap().as_ref(), Some(set));
        if height <= tip {
            let signed = ledger.signed_header(height).unwrap().unwrap();
            assert_eq!(signed.header.validators_hash, set.hash());
            client
                .follow(&signed, |from| ledger.validator_changes(from, 3))
                .unwrap();
        }
    }
    ledger.check_everything().unwrap();
    let reached = client.checkpoint().validators;
    if tip > Height(0) {
        let last = ledger.validators(tip).unwrap().unwrap();
        assert_eq!(reached, last);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn votes_do_what_the_rules_say(
        powers in prop::sample::select(vec![vec![1, 1, 1, 1], vec![3, 2, 1, 0], vec![1], vec![2, 2, 2]]),
        steps in steps(),
    ) {
        run(&powers, &steps);
    }
}
