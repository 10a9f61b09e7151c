//! A borrower's wallet, by hand: certificate, consent, anchor, inquiry and ask, every field of which
//! a test can spoil.

use rand_core::{OsRng, RngCore};
use zkbureau_agency_node::agency::{AnswerError, Refusal, ask_context};
use zkbureau_circuits::directory::{SubjectCommitment, SubjectId, SubjectSecret};
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::fact::{Fact, FactTemplate, FactText, HitPolicy};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::document::ask::{
    ASK_SEAL, AgencyAsk, AskBody, FactsAsk, Identity, REPLY_SEAL,
};
use zkbureau_ledger::document::consent::{Consent, ConsentFields, Field};
use zkbureau_ledger::document::enrolment::{EnrolmentCertificate, EnrolmentRequest};
use zkbureau_ledger::document::evidence::AgencyAnswer;
use zkbureau_ledger::document::request::{FactRequest, InquiryType, RequestParties, RequestTerms};
use zkbureau_ledger::document::sealed::{Sealed, SealingSecretKey};
use zkbureau_ledger::ids::{ChainId, Day};
use zkbureau_ledger::{AnchorConsent, Height, Inquiry, IssuerId, RevokeConsent, SecretKey, TimeMs};

use super::world::{START, World, period};

pub const AS_OF: &str = "2024-03";
const DAY_MS: u64 = 86_400_000;

pub struct Wallet {
    pub subject: SubjectId,
    pub salt: SubjectSecret,
    pub key: SecretKey,
    pub certificate: EnrolmentCertificate,
}

impl Wallet {
    pub fn new(world: &World, subject: &SubjectId) -> Self {
        Self::until(world, subject, TimeMs(START + 365 * DAY_MS).day())
    }

    pub fn until(world: &World, subject: &SubjectId, expiry: Day) -> Self {
        let key = SecretKey::random(&mut OsRng);
        let salt = SubjectSecret::random(&mut OsRng);
        let request = EnrolmentRequest::new(chain(world), subject.clone(), salt.clone(), &key);
        let certificate = EnrolmentCertificate::issue(&request, IssuerId(1), expiry, &world.issuer);
        Self {
            subject: subject.clone(),
            salt,
            key,
            certificate,
        }
    }

    pub fn identity(&self) -> Identity {
        Identity {
            certificate: self.certificate.clone(),
            subject: self.subject.clone(),
            salt: self.salt.clone(),
        }
    }
}

pub fn chain(world: &World) -> ChainId {
    world.chain.genesis.chain_id()
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

/// What a test asks, and under which consent.
#[derive(Clone)]
pub struct Plan {
    pub facts: Vec<String>,
    pub templates: Vec<String>,
    pub agencies: Vec<AgencyId>,
    pub consent_agencies: Vec<AgencyId>,
    pub earliest: &'static str,
    pub max_uses: u32,
    pub per_day: u32,
    pub consent_from: u64,
    pub consent_until: u64,
    pub request_until: u64,
    pub hidden: Option<Field>,
    pub hit: HitPolicy,
}

impl Plan {
    pub fn new(world: &World, facts: &[&str]) -> Self {
        let agencies: Vec<AgencyId> = world.chain.genesis.agencies.iter().map(|a| a.id).collect();
        Self {
            facts: facts.iter().map(|f| (*f).to_owned()).collect(),
            templates: facts.iter().map(|f| (*f).to_owned()).collect(),
            consent_agencies: agencies.clone(),
            agencies,
            earliest: "2024-01",
            max_uses: 3,
            per_day: 3,
            consent_from: START,
            consent_until: START + 30 * DAY_MS,
            request_until: START + 30 * DAY_MS,
            hidden: None,
            hit: HitPolicy::Zero,
        }
    }

    pub fn request(&self, world: &World, subject: &SubjectId) -> FactRequest {
        let schema = world.chain.ledger().schema();
        let lender = SecretKey::random(&mut OsRng);
        let terms = RequestTerms {
            chain: chain(world),
            facts: self
                .facts
                .iter()
                .map(|text| Fact::parse(text, &schema).unwrap().text())
                .collect(),
            scores: Vec::new(),
            agencies: self.agencies.clone(),
            as_of: period(AS_OF),
            hit_policy: self.hit,
            expires: TimeMs(self.request_until),
        };
        let subject_salt = SubjectSecret::random(&mut OsRng);
        let parties = RequestParties {
            lender_name: "First Bank".into(),
            lender_key: lender.public(),
            lender_sealing_key: SealingSecretKey::random(&mut OsRng).public(),
            purpose: "loan".into(),
            inquiry_type: InquiryType::Hard,
            subject: SubjectCommitment::commit(subject, &subject_salt),
            subject_salt,
            nonce: random(),
        };
        FactRequest::new(terms, parties, Vec::new(), &lender)
    }

    pub fn consent(&self, world: &World, wallet: &Wallet, request: &FactRequest) -> Consent {
        let schema = world.chain.ledger().schema();
        let fields = ConsentFields {
            chain: chain(world),
            consent_id: random()[..16].try_into().unwrap(),
            subject_key: wallet.key.public(),
            creation: TimeMs(START),
            not_before: TimeMs(self.consent_from),
            expiration: TimeMs(self.consent_until),
            lender_key: request.parties.lender_key,
            purpose: request.parties.purpose.clone(),
            inquiry_type: request.parties.inquiry_type,
            agencies: self.consent_agencies.clone(),
            templates: self
                .templates
                .iter()
                .map(|text| -> FactText { FactTemplate::parse(text, &schema).unwrap().text() })
                .collect(),
            scores: Vec::new(),
            earliest_period: period(self.earliest),
            max_uses: self.max_uses,
            frequency_per_day: self.per_day,
        };
        Consent::new(fields, random(), &wallet.key)
    }
}

/// An inquiry on the ledger, ready to be asked about.
pub struct Asking<'a> {
    pub world: &'a World,
    pub wallet: &'a Wallet,
    pub request: FactRequest,
    pub consent: Consent,
    pub revocation: SecretKey,
    pub anchor: AnchorConsent,
    pub facts: FactsAsk,
}

impl<'a> Asking<'a> {
    /// Makes request and consent, anchors it, and puts the inquiry on the ledger.
    pub fn new(world: &'a World, wallet: &'a Wallet, plan: &Plan) -> Self {
        let request = plan.request(world, &wallet.subject);
        let consent = plan.consent(world, wallet, &request);
        Self::with(world, wallet, plan, request, consent, 0)
    }

    /// One use of a consent.
    pub fn with(
        world: &'a World,
        wallet: &'a Wallet,
        plan: &Plan,
        request: FactRequest,
        consent: Consent,
        use_number: u32,
    ) -> Self {
        let use_key = SecretKey::random(&mut OsRng);
        let revocation = SecretKey::random(&mut OsRng);
        let anchor_salt = random();
        let anchor = AnchorConsent {
            commitment: AnchorConsent::commitment(
                &consent.consent_digest(),
                use_number,
                &anchor_salt,
            ),
            use_key: use_key.public(),
            revocation_key: revocation.public(),
            expiry: TimeMs(START + 300 * DAY_MS).day(),
        };
        world.block(vec![anchor.into()]);
        let nonce = random();
        let digest = Inquiry::digest(&request.request_digest(), &nonce);
        let inquiry = Inquiry::sign(&chain(world), anchor.id(), digest, &use_key);
        let block = world.block(vec![inquiry.into()]);
        let facts = FactsAsk {
            terms: request.terms.clone(),
            parties_digest: request.parties.digest(),
            consent: consent.view(|field| field.is_for_agencies() && plan.hidden != Some(field)),
            use_number,
            anchor_salt,
            anchor_id: anchor.id(),
            inquiry_nonce: nonce,
            height: block.header.height,
        };
        Self {
            world,
            wallet,
            request,
            consent,
            revocation,
            anchor,
            facts,
        }
    }

    pub fn revoke(&self) {
        let revocation =
            RevokeConsent::sign(&chain(self.world), self.anchor.id(), &self.revocation);
        self.world.block(vec![revocation.into()]);
    }

    pub fn height(&self) -> Height {
        self.facts.height
    }

    /// Asks an agency as an honest wallet would.
    pub fn ask(&self, agency: u32) -> Result<AgencyAnswer, AnswerError> {
        self.ask_as(agency, self.wallet.identity(), &self.wallet.key)
    }

    pub fn ask_as(
        &self,
        agency: u32,
        identity: Identity,
        key: &SecretKey,
    ) -> Result<AgencyAnswer, AnswerError> {
        let body = AskBody::Facts(Box::new(self.facts.clone()));
        let reply = send(self.world, agency, identity, body, key)?;
        Ok(AgencyAnswer::from_bytes(&reply).unwrap())
    }

    /// The reason for which an agency refuses.
    pub fn refusal(&self, agency: u32) -> Refusal {
        refusal(self.ask(agency))
    }
}

pub fn refusal<T: std::fmt::Debug>(result: Result<T, AnswerError>) -> Refusal {
    let error = result.expect_err("must be refused");
    assert_eq!(error.to_string(), "refused", "the same for everybody");
    match error {
        AnswerError::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// Seals, asks and opens.
pub fn send(
    world: &World,
    agency: u32,
    identity: Identity,
    body: AskBody,
    key: &SecretKey,
) -> Result<Vec<u8>, AnswerError> {
    let reply_secret = SealingSecretKey::random(&mut OsRng);
    let time = world.chain.ledger().tip().time_ms;
    let ask = AgencyAsk::new(
        chain(world),
        AgencyId(agency),
        identity,
        body,
        reply_secret.public(),
        time,
        key,
    );
    let sealed = seal(world, agency, &ask);
    let reply = world
        .agency(agency)
        .answer(&sealed.to_bytes(), &mut OsRng)?;
    Ok(Sealed::from_bytes(&reply)
        .unwrap()
        .open_padded(&reply_secret, REPLY_SEAL, &ask.digest())
        .unwrap())
}

pub fn seal(world: &World, agency: u32, ask: &AgencyAsk) -> Sealed {
    let to = world.chain.genesis.agencies[agency as usize - 1].sealing_key;
    let context = ask_context(&chain(world), AgencyId(agency));
    Sealed::seal(&to, ASK_SEAL, &context, &ask.to_bytes(), &mut OsRng).unwrap()
}
