//! A real ledger in memory and agencies that publish and answer with the real proofs, so that the
//! client's checks can be tried against everything that can go wrong. Agencies here do not check
//! rights: that is the node's part, and lets these tests make answers that nobody should accept.

#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use zkbureau_circuits::Scalar;
use zkbureau_circuits::commitment::{Opening, Record, RecordBlindings};
use zkbureau_circuits::directory::{
    Index, SubjectCommitment, SubjectId, SubjectSecret, VrfSecretKey, vrf_input,
};
use zkbureau_circuits::fact::{AgencyPlan, HitPolicy, Query, Records, linear_image, suffix_start};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::period::Period;
use zkbureau_circuits::range_batch::{ProvingKey, Statement, Witness, commit_records, prove};
use zkbureau_circuits::schema::{Aggregate, Attribute, Class, Schema};
use zkbureau_circuits::scorecard::{Card, ProvingKey as ScoreKey, ScoreTemplate};
use zkbureau_client::borrower::{Assembled, Rights, assemble};
use zkbureau_client::chain::Chain;
use zkbureau_client::evidence::{State, Subject};
use zkbureau_client::files::LenderKeys;
use zkbureau_client::lender::{Ask, make_request};
use zkbureau_ledger::block::Certificate;
use zkbureau_ledger::document::answer::{AuthorityEvidence, StateEvidence};
use zkbureau_ledger::document::consent::{Consent, ConsentFields};
use zkbureau_ledger::document::enrolment::{EnrolmentCertificate, EnrolmentRequest};
use zkbureau_ledger::document::evidence::{
    AgencyAnswer, AgencyEvidence, DirectoryEvidence, image_context,
};
use zkbureau_ledger::document::request::{FactRequest, InquiryType};
use zkbureau_ledger::document::sealed::SealingSecretKey;
use zkbureau_ledger::document::view::view;
use zkbureau_ledger::genesis::{Agency, Auditor, Genesis, Issuer, Policies, Seat};
use zkbureau_ledger::ids::{AnchorId, AuditorId, DAY_MS, Height, HolderTag, IssuerId, TimeMs};
use zkbureau_ledger::keys::SecretKey;
use zkbureau_ledger::state::RegistryKey;
use zkbureau_ledger::transaction::{
    AnchorConsent, BatchBody, BatchEntry, Inquiry, PublishBatch, RegisterCard, RevokeConsent,
    Transaction, body_hash,
};
use zkbureau_ledger::{Ledger, MemoryStore};

/// When the chain of the tests starts: 2026-01-01.
pub const START: TimeMs = TimeMs(1_767_225_600_000);

/// One published report, as the agency's vault would hold it.
struct Entry {
    stocks: Opening,
    flows: Opening,
}

/// An agency with its secrets.
pub struct TestAgency {
    pub id: AgencyId,
    validator: SecretKey,
    vrf: VrfSecretKey,
    sealing: SealingSecretKey,
    logs: BTreeMap<Index, Vec<Entry>>,
    batches: u64,
}

/// A ledger, its agencies and its people.
pub struct World {
    pub ledger: Ledger<MemoryStore>,
    pub genesis: Genesis,
    pub chain: Chain,
    pub agencies: Vec<TestAgency>,
    pub issuer: SecretKey,
    pub auditor: SecretKey,
    pub lender: LenderKeys,
    pub proving: ProvingKey,
    pub rng: ChaCha20Rng,
    pub time: TimeMs,
    /// The key that wallets prove scores with.
    pub score_key: Option<Arc<ScoreKey>>,
}

/// The schema of the tests: stocks `balance` (from -1,000), `arrears` (max); flow `payments`.
pub fn schema() -> Schema {
    let attribute = |name: &str, class, aggregate, min, max| Attribute {
        name: name.into(),
        class,
        aggregate,
        min,
        max,
        unit: "x".into(),
        description: format!("the {name}"),
    };
    Schema::new(
        1,
        vec![
            attribute("present", Class::Stock, Aggregate::Max, 0, 1),
            attribute("balance", Class::Stock, Aggregate::Sum, -1_000, 1_000_000),
            attribute("arrears", Class::Stock, Aggregate::Max, 0, 24),
            attribute("payments", Class::Flow, Aggregate::Sum, 0, 1_000_000),
        ],
    )
    .unwrap()
}

pub fn period(text: &str) -> Period {
    text.parse().unwrap()
}

pub fn person(name: &str) -> SubjectId {
    SubjectId::new("test", name).unwrap()
}

/// A person with a wallet's keys and a certificate.
pub struct Person {
    pub id: SubjectId,
    pub salt: SubjectSecret,
    pub key: SecretKey,
    pub certificate: EnrolmentCertificate,
}

/// How an answer comes about; tests change a field to break one thing.
pub struct Scene {
    pub request: FactRequest,
    pub person: Person,
    pub consent: Consent,
    pub anchor: AnchorConsent,
    pub use_key: SecretKey,
    pub revocation_key: SecretKey,
    pub nonce: [u8; 32],
    pub height: Height,
}

impl World {
    /// A chain with `count` agencies and one validator.
    pub fn new(count: u32, seed: u64) -> Self {
        Self::make(count, seed, schema(), 64, None)
    }

    /// A chain with a verifying key for scores in force.
    pub fn with_score_key(count: u32, seed: u64, key: Arc<ScoreKey>) -> Self {
        Self::make(count, seed, schema(), 64, Some(key))
    }

    /// A chain with another schema, and batches of at most `slots` records.
    pub fn with_schema(count: u32, seed: u64, schema: Schema, slots: usize) -> Self {
        Self::make(count, seed, schema, slots, None)
    }

    fn make(
        count: u32,
        seed: u64,
        schema: Schema,
        slots: usize,
        score_key: Option<Arc<ScoreKey>>,
    ) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let agencies: Vec<TestAgency> = (1..=count)
            .map(|id| TestAgency {
                id: AgencyId(id),
                validator: SecretKey::random(&mut rng),
                vrf: VrfSecretKey::random(&mut rng),
                sealing: SealingSecretKey::random(&mut rng),
                logs: BTreeMap::new(),
                batches: 0,
            })
            .collect();
        let issuer = SecretKey::random(&mut rng);
        let auditor = SecretKey::random(&mut rng);
        let genesis = Genesis {
            name: "test chain".into(),
            time_ms: START,
            agencies: agencies
                .iter()
                .map(|a| Agency {
                    id: a.id,
                    name: format!("Agency {}", a.id.0),
                    validator_key: a.validator.public(),
                    vrf_key: a.vrf.public(),
                    sealing_key: a.sealing.public(),
                    network_key: SecretKey::random(&mut rng).public(),
                })
                .collect(),
            validators: vec![Seat {
                agency: AgencyId(1),
                power: 1,
            }],
            issuers: vec![Issuer {
                id: IssuerId(1),
                name: "identity office".into(),
                key: issuer.public(),
            }],
            auditors: vec![Auditor {
                id: AuditorId(1),
                name: "regulator".into(),
                key: auditor.public(),
            }],
            observers: Vec::new(),
            schema,
            policies: Policies::default(),
            score_key: score_key.as_ref().map(|key| *key.verifying().hash()),
        };
        Self {
            ledger: Ledger::open(MemoryStore::new(), &genesis).unwrap(),
            chain: Chain::from_genesis(genesis.clone()).unwrap(),
            proving: ProvingKey::new(&genesis.schema, slots).unwrap(),
            lender: LenderKeys::random(&mut rng),
            genesis,
            agencies,
            issuer,
            auditor,
            rng,
            time: START,
            score_key,
        }
    }

    /// Puts transactions into a block; says what the ledger refused.
    pub fn block(&mut self, transactions: Vec<Transaction>) -> (Height, Vec<String>) {
        self.time = TimeMs(self.time.0 + 1_000);
        let mut refused = Vec::new();
        let mut checked = Vec::new();
        for result in self.ledger.check_stateless(transactions) {
            match result {
                Ok(transaction) => checked.push(transaction),
                Err(error) => refused.push(error.to_string()),
            }
        }
        let proposal = self
            .ledger
            .propose(AgencyId(1), self.time, checked)
            .unwrap();
        refused.extend(proposal.dropped.iter().map(|(_, e)| e.to_string()));
        let certificate = Certificate::single(
            proposal.executed.header(),
            0,
            AgencyId(1),
            &self.agencies[0].validator,
        );
        let tip = self.ledger.commit(proposal.executed, certificate).unwrap();
        (tip.height, refused)
    }

    /// An agency puts a card on the ledger.
    pub fn register(&mut self, agency: usize, card: &Card) -> Height {
        let this = &self.agencies[agency];
        let (chain, card) = (self.chain.id(), card.clone());
        let register = RegisterCard::sign(&chain, this.id, card, &this.validator);
        self.must(vec![register.into()])
    }

    fn must(&mut self, transactions: Vec<Transaction>) -> Height {
        let (height, refused) = self.block(transactions);
        assert_eq!(refused, Vec::<String>::new());
        height
    }

    /// An agency publishes records of `[balance, arrears, payments]` and closes the period.
    pub fn publish<const N: usize>(
        &mut self,
        agency: usize,
        reported: Period,
        effective: Period,
        records: &[(&SubjectId, [i64; N])],
    ) {
        self.publish_part(agency, reported, effective, records, true);
    }

    pub fn publish_part<const N: usize>(
        &mut self,
        agency: usize,
        reported: Period,
        effective: Period,
        records: &[(&SubjectId, [i64; N])],
        closes: bool,
    ) {
        let schema = self.genesis.schema.clone();
        let chain = self.chain.id();
        let this = &mut self.agencies[agency];
        this.batches += 1;
        let mut rows: Vec<(Index, Record, RecordBlindings)> = records
            .iter()
            .map(|(id, values)| {
                let blindings = RecordBlindings {
                    stocks: Scalar::random(&mut self.rng),
                    flows: Scalar::random(&mut self.rng),
                };
                let index = this.vrf.index(&vrf_input(chain.as_bytes(), id));
                (index, Record::new(&schema, values).unwrap(), blindings)
            })
            .collect();
        rows.sort_by_key(|(index, ..)| *index);
        let mut bare = Vec::new();
        let mut blindings = Vec::new();
        for (index, record, blinding) in rows {
            let entry = Entry {
                stocks: record.opening(&schema, Class::Stock, blinding.stocks),
                flows: record.opening(&schema, Class::Flow, blinding.flows),
            };
            this.logs.entry(index).or_default().push(entry);
            bare.push((index, record));
            blindings.push(blinding);
        }
        let (indexes, bare): (Vec<Index>, Vec<Record>) = bare.into_iter().unzip();
        let (stocks, flows) = commit_records(&self.proving, &bare, &blindings).unwrap();
        let mut tag = [0; 32];
        self.rng.fill_bytes(&mut tag);
        let body = BatchBody {
            agency: this.id,
            number: this.batches,
            schema: schema.version(),
            period: reported,
            closes,
            entries: indexes
                .iter()
                .zip(stocks.iter().zip(&flows))
                .map(|(index, (stocks, flows))| BatchEntry {
                    index: *index,
                    effective_period: effective,
                    stocks: *stocks,
                    flows: *flows,
                    holder_tag: HolderTag(tag),
                })
                .collect(),
        };
        let hash = body_hash(&chain, &body);
        let statement = Statement {
            chain: chain.as_bytes(),
            agency: this.id.0,
            batch: body.number,
            body: &hash,
            stocks: &stocks,
            flows: &flows,
        };
        let witness = Witness {
            records: &bare,
            blindings: &blindings,
        };
        let argument = prove(&self.proving, &statement, &witness, &mut self.rng).unwrap();
        let batch = PublishBatch::sign(&chain, body, argument, &this.validator);
        self.must(vec![Transaction::PublishBatch(batch)]);
    }

    /// A person with a certificate that is valid for a year.
    pub fn enrol(&mut self, id: &SubjectId) -> Person {
        let key = SecretKey::random(&mut self.rng);
        let salt = SubjectSecret::random(&mut self.rng);
        let request = EnrolmentRequest::new(self.chain.id(), id.clone(), salt.clone(), &key);
        let expiry = TimeMs(START.0 + 365 * DAY_MS).day();
        Person {
            id: id.clone(),
            salt,
            key,
            certificate: EnrolmentCertificate::issue(&request, IssuerId(1), expiry, &self.issuer),
        }
    }

    /// The lender asks all agencies about a person.
    pub fn request(&mut self, about: &SubjectId, facts: &[&str], as_of: &str) -> FactRequest {
        self.request_with(about, facts, as_of, HitPolicy::NoHit)
    }

    pub fn request_with(
        &mut self,
        about: &SubjectId,
        facts: &[&str],
        as_of: &str,
        hit_policy: HitPolicy,
    ) -> FactRequest {
        self.request_all(about, facts, &[], &[], as_of, hit_policy)
    }

    /// The lender asks for facts and scores.
    pub fn request_all(
        &mut self,
        about: &SubjectId,
        facts: &[&str],
        scores: &[&str],
        cards: &[Card],
        as_of: &str,
        hit_policy: HitPolicy,
    ) -> FactRequest {
        let scores: Vec<String> = scores.iter().map(|s| (*s).to_owned()).collect();
        let facts: Vec<String> = facts.iter().map(|f| (*f).to_owned()).collect();
        let ask = Ask {
            lender_name: "First Bank".into(),
            purpose: "a loan".into(),
            inquiry_type: InquiryType::Hard,
            subject: about,
            facts: &facts,
            scores: &scores,
            cards,
            agencies: None,
            as_of: period(as_of),
            hit_policy,
            expires: TimeMs(self.time.0 + 7 * DAY_MS),
        };
        make_request(&self.chain, &self.lender, ask, self.time, &mut self.rng).unwrap()
    }

    /// What a consent to a request says; tests change fields before signing.
    pub fn consent_fields(&mut self, request: &FactRequest, person: &Person) -> ConsentFields {
        let mut consent_id = [0; 16];
        self.rng.fill_bytes(&mut consent_id);
        ConsentFields {
            chain: self.chain.id(),
            consent_id,
            subject_key: person.key.public(),
            creation: self.time,
            not_before: self.time,
            expiration: TimeMs(self.time.0 + 30 * DAY_MS),
            lender_key: request.parties.lender_key,
            purpose: request.parties.purpose.clone(),
            inquiry_type: request.parties.inquiry_type,
            agencies: request.terms.agencies.clone(),
            templates: request.terms.facts.clone(),
            scores: (request.terms.scores.iter())
                .map(ScoreTemplate::exactly)
                .collect(),
            earliest_period: request.terms.as_of.minus(23),
            max_uses: 1,
            frequency_per_day: 1,
        }
    }

    /// Consent, anchor and inquiry for a request.
    pub fn scene(&mut self, request: FactRequest, person: Person) -> Scene {
        let fields = self.consent_fields(&request, &person);
        self.scene_with(request, person, fields)
    }

    pub fn scene_with(
        &mut self,
        request: FactRequest,
        person: Person,
        fields: ConsentFields,
    ) -> Scene {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        let consent = Consent::new(fields, seed, &person.key);
        let use_key = SecretKey::random(&mut self.rng);
        let revocation_key = SecretKey::random(&mut self.rng);
        let anchor = AnchorConsent {
            commitment: AnchorConsent::commitment(
                &consent.consent_digest(),
                0,
                &consent.anchor_salt(0),
            ),
            use_key: use_key.public(),
            revocation_key: revocation_key.public(),
            expiry: TimeMs(self.time.0 + 30 * DAY_MS).day(),
        };
        self.must(vec![Transaction::AnchorConsent(anchor)]);
        let mut nonce = [0; 32];
        self.rng.fill_bytes(&mut nonce);
        let mut scene = Scene {
            request,
            person,
            consent,
            anchor,
            use_key,
            revocation_key,
            nonce,
            height: Height(0),
        };
        scene.height = self.inquire(&scene);
        scene
    }

    /// Makes the scene's inquiry.
    pub fn inquire(&mut self, scene: &Scene) -> Height {
        let inquiry = self.inquiry(scene);
        self.must(vec![inquiry])
    }

    pub fn inquiry(&self, scene: &Scene) -> Transaction {
        let digest = Inquiry::digest(&scene.request.request_digest(), &scene.nonce);
        let id = self.chain.id();
        Transaction::Inquiry(Inquiry::sign(
            &id,
            scene.anchor.id(),
            digest,
            &scene.use_key,
        ))
    }

    pub fn revoke(&mut self, scene: &Scene) -> Height {
        let revocation =
            RevokeConsent::sign(&self.chain.id(), scene.anchor.id(), &scene.revocation_key);
        self.must(vec![Transaction::RevokeConsent(revocation)])
    }

    /// The state's part of an answer at any height.
    pub fn state_evidence(&self, at: Height, anchor: AnchorId) -> StateEvidence {
        self.state_evidence_with(at, anchor, &[])
    }

    /// The same with cards.
    pub fn state_evidence_with(
        &self,
        at: Height,
        anchor: AnchorId,
        cards: &[Card],
    ) -> StateEvidence {
        let proof = |key| self.ledger.registry_proof(at, &key).unwrap();
        StateEvidence {
            header: self.ledger.signed_header(at).unwrap().unwrap(),
            roots: self.ledger.roots(at).unwrap(),
            consortium: proof(RegistryKey::Consortium),
            columns: proof(RegistryKey::Columns),
            anchor: proof(RegistryKey::Anchor(anchor)),
            cards: (cards.iter())
                .map(|card| proof(RegistryKey::Card(card.content_hash())))
                .collect(),
        }
    }

    /// State and authority of a scene.
    pub fn rights(&self, scene: &Scene) -> Rights {
        let anchor_id = scene.anchor.id();
        Rights {
            state: self.state_evidence_with(scene.height, anchor_id, &scene.request.cards),
            authority: AuthorityEvidence {
                certificate: scene.person.certificate.clone(),
                subject_salt: scene.person.salt.clone(),
                consent: scene.consent.view(|_| true),
                use_number: 0,
                anchor_salt: scene.consent.anchor_salt(0),
                anchor_id,
                inquiry_nonce: scene.nonce,
            },
        }
    }

    /// What one agency answers about a person, whoever asks.
    pub fn reply(&mut self, agency: usize, scene: &Scene, query: &Query) -> AgencyAnswer {
        let id = scene.person.id.clone();
        self.reply_about(agency, scene, query, &id)
    }

    pub fn reply_about(
        &mut self,
        agency: usize,
        scene: &Scene,
        query: &Query,
        about: &SubjectId,
    ) -> AgencyAnswer {
        let chain = self.chain.id();
        let this = &self.agencies[agency];
        let at = scene.height;
        let (index, vrf) = this.vrf.evaluate(&vrf_input(chain.as_bytes(), about));
        let proof = self.ledger.leaf_proof(at, this.id, &index).unwrap();
        let column = self.ledger.column(at, this.id).unwrap();
        let fresh = column.closed.is_some_and(|p| p >= query.as_of());
        let whole = self.ledger.log(at, this.id, &index).unwrap();
        let first = suffix_start(&whole, query.log_needed());
        let log = (fresh && proof.leaf.is_some() && query.log_needed().is_some()).then(|| {
            (self.ledger)
                .log_suffix(at, this.id, &index, u32::try_from(first).unwrap())
                .unwrap()
        });
        let read = view(query, Some(&column), proof.leaf.as_ref(), log.as_ref()).unwrap();
        let plan = AgencyPlan::new(query, this.id, &read).unwrap();
        let mut openings = Vec::new();
        for source in plan.sources() {
            let entries = &this.logs[&index];
            openings.push(match source.records() {
                Records::Latest => entries.last().unwrap().stocks.clone(),
                Records::Entry(i) => entries[first + i].stocks.clone(),
                Records::Entries(list) => {
                    let mut sum = Opening::zero(&self.genesis.schema, Class::Flow);
                    for i in list {
                        sum += &entries[first + i].flows;
                    }
                    sum
                }
            });
        }
        let (images, openings) = if plan.forms().is_empty() {
            (None, Vec::new())
        } else {
            let context = image_context(
                &chain,
                &scene.request.request_digest(),
                &scene.anchor.id(),
                at,
                this.id,
            );
            let (images, openings) =
                linear_image::prove(self.chain.key(), &context, &plan, &openings, &mut self.rng)
                    .unwrap();
            (Some(images), openings)
        };
        AgencyAnswer {
            evidence: AgencyEvidence {
                agency: this.id,
                directory: vec![DirectoryEvidence { vrf, leaf: proof }],
                log,
                images,
            },
            openings,
        }
    }

    /// The sum of an agency's current stocks, as its vault would keep it.
    pub fn column_opening(&self, agency: usize) -> Opening {
        let mut sum = Opening::zero(&self.genesis.schema, Class::Stock);
        for log in self.agencies[agency].logs.values() {
            sum += &log.last().unwrap().stocks;
        }
        sum
    }

    pub fn replies(&mut self, scene: &Scene, query: &Query) -> Vec<AgencyAnswer> {
        (0..self.agencies.len())
            .map(|agency| self.reply(agency, scene, query))
            .collect()
    }

    pub fn query(&self, request: &FactRequest) -> Query {
        request
            .check(&self.chain.id(), self.chain.schema(), self.time)
            .unwrap()
    }

    /// The wallet's part over given replies.
    pub fn assemble(&mut self, scene: &Scene, replies: Vec<AgencyAnswer>) -> Assembled {
        let query = self.query(&scene.request);
        let rights = self.rights(scene);
        let state = State::check(
            &self.chain,
            &rights.state,
            &scene.anchor.id(),
            &scene.request,
        )
        .unwrap();
        let about = Subject {
            chain: &self.chain,
            request: &scene.request,
            digest: scene.request.request_digest(),
            query: &query,
            person: &scene.person.id,
        };
        assemble(
            &about,
            &state,
            rights,
            replies,
            &[],
            self.score_key.as_deref(),
            &mut self.rng,
        )
        .unwrap()
    }

    /// The honest answer.
    pub fn answer(&mut self, scene: &Scene) -> Assembled {
        let query = self.query(&scene.request);
        let replies = self.replies(scene, &query);
        self.assemble(scene, replies)
    }
}

/// The commitment that a request holds; for tests that take a request apart.
pub fn commit(id: &SubjectId, salt: &SubjectSecret) -> SubjectCommitment {
    SubjectCommitment::commit(id, salt)
}
