//! Every reason to refuse, each with an ask that is right in everything else.

use rand_core::OsRng;
use zkbureau_agency_node::agency::{AnswerError, Refusal};
use zkbureau_circuits::directory::SubjectSecret;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::document::ask::AskBody;
use zkbureau_ledger::document::consent::{ConsentError, Field};
use zkbureau_ledger::document::enrolment::{
    CertificateError, EnrolmentCertificate, EnrolmentRequest,
};
use zkbureau_ledger::document::sealed::SealingSecretKey;
use zkbureau_ledger::genesis::Policies;
use zkbureau_ledger::{Height, IssuerId, SecretKey, TimeMs};

use super::ask::{Asking, Plan, Wallet, chain, refusal, seal, send};
use super::lender::people_at_one;
use super::world::{START, World, person};

const FACT: &str = "total(balance) <= 500";
const DAY_MS: u64 = 86_400_000;

struct Case {
    world: World,
    wallet: Wallet,
}

impl Case {
    fn new() -> Self {
        Self::in_world(World::new(1))
    }

    fn in_world(world: World) -> Self {
        people_at_one(&world);
        let wallet = Wallet::new(&world, &person("ann"));
        Self { world, wallet }
    }

    fn plan(&self) -> Plan {
        Plan::new(&self.world, &[FACT])
    }

    fn asking(&self) -> Asking<'_> {
        Asking::new(&self.world, &self.wallet, &self.plan())
    }

    fn refusal_with(&self, spoil: impl Fn(&mut Plan)) -> Refusal {
        let mut plan = self.plan();
        spoil(&mut plan);
        Asking::new(&self.world, &self.wallet, &plan).refusal(1)
    }
}

#[test]
fn certificates() {
    let case = Case::new();
    let asking = case.asking();
    let identity = case.wallet.identity();
    let ask = |identity| refusal(asking.ask_as(1, identity, &case.wallet.key));

    let mut unknown = identity.clone();
    unknown.certificate.issuer = IssuerId(2);
    assert_eq!(ask(unknown), Refusal::Issuer);

    let mut forged = identity.clone();
    forged.certificate.signature.0[0] ^= 1;
    assert_eq!(
        ask(forged),
        Refusal::Certificate(CertificateError::Signature)
    );

    let mut longer = identity.clone();
    longer.certificate.expiry.0 += 1;
    assert_eq!(
        ask(longer),
        Refusal::Certificate(CertificateError::Signature)
    );

    let request = EnrolmentRequest::new(
        chain(&case.world),
        case.wallet.subject.clone(),
        case.wallet.salt.clone(),
        &case.wallet.key,
    );
    let mut by_itself = identity.clone();
    by_itself.certificate = EnrolmentCertificate::issue(
        &request,
        IssuerId(1),
        identity.certificate.expiry,
        &case.wallet.key,
    );
    assert_eq!(
        ask(by_itself),
        Refusal::Certificate(CertificateError::Signature)
    );

    let mut somebody_else = identity.clone();
    somebody_else.subject = person("bob");
    assert_eq!(ask(somebody_else), Refusal::Subject);

    let mut other_salt = identity.clone();
    other_salt.salt = SubjectSecret::random(&mut OsRng);
    assert_eq!(ask(other_salt), Refusal::Subject);

    let stranger = SecretKey::random(&mut OsRng);
    assert_eq!(
        refusal(asking.ask_as(1, identity, &stranger)),
        Refusal::Signature
    );

    // The wallet of another person cannot use this person's consent.
    let other = Wallet::new(&case.world, &person("bob"));
    assert_eq!(
        refusal(asking.ask_as(1, other.identity(), &other.key)),
        Refusal::Consent(ConsentError::SubjectKey)
    );
    assert!(asking.ask(1).is_ok());
}

#[test]
fn an_expired_certificate() {
    let case = Case::new();
    let today = TimeMs(START).day();
    let wallet = Wallet::until(&case.world, &person("ann"), today);
    assert!(
        Asking::new(&case.world, &wallet, &case.plan())
            .ask(1)
            .is_ok()
    );
    case.world.chain.wait_ms(DAY_MS);
    let refusal = Asking::new(&case.world, &wallet, &case.plan()).refusal(1);
    assert_eq!(refusal.code(), "certificate-expired");
}

#[test]
fn addresses() {
    let case = Case::in_world(World::new(2));
    let asking = case.asking();
    let body = AskBody::Facts(Box::new(asking.facts.clone()));
    let reply = SealingSecretKey::random(&mut OsRng).public();
    let mut ask = zkbureau_ledger::document::ask::AgencyAsk::new(
        chain(&case.world),
        AgencyId(2),
        case.wallet.identity(),
        body,
        reply,
        TimeMs(START),
        &case.wallet.key,
    );
    let sealed = seal(&case.world, 1, &ask).to_bytes();
    let answer = |sealed: &[u8]| case.world.agency(1).answer(sealed, &mut OsRng);
    assert_eq!(refusal(answer(&sealed)), Refusal::Address);
    ask.chain.0[0] ^= 1;
    ask.agency = AgencyId(1);
    let sealed = seal(&case.world, 1, &ask).to_bytes();
    assert_eq!(refusal(answer(&sealed)), Refusal::Address);
}

#[test]
fn consents() {
    let case = Case::new();
    // Nothing depends on the time of creation.
    let needed = |f: &Field| f.is_for_agencies() && *f != Field::Creation;
    for field in Field::ALL.into_iter().filter(needed) {
        assert_eq!(
            case.refusal_with(|p| p.hidden = Some(field)),
            Refusal::Consent(ConsentError::Hidden(field.name()))
        );
    }
    let code = |spoil: &dyn Fn(&mut Plan)| case.refusal_with(spoil).code();
    assert_eq!(code(&|p| p.consent_from = START + DAY_MS), "consent-time");
    assert_eq!(code(&|p| p.consent_until = START + 1), "consent-time");
    assert_eq!(
        code(&|p| p.consent_agencies = vec![AgencyId(2)]),
        "consent-agency"
    );
    let more = vec![AgencyId(1), AgencyId(2)];
    assert_eq!(
        code(&|p| p.consent_agencies.clone_from(&more)),
        "consent-agency"
    );
    let other_fact = |p: &mut Plan| p.templates = vec!["total(balance) <= 499".into()];
    assert_eq!(code(&other_fact), "consent-scope");
    let window = |p: &mut Plan| {
        p.facts = vec!["total(payments, 3m) <= 500".into()];
        p.templates = p.facts.clone();
        p.earliest = "2024-02";
    };
    assert_eq!(code(&window), "consent-scope");
    assert_eq!(code(&|p| p.max_uses = 0), "use-number");
    assert_eq!(code(&|p| p.per_day = 0), "frequency");
    assert_eq!(code(&|p| p.request_until = START + 1), "request-expired");
    assert_eq!(code(&|p| p.agencies = vec![AgencyId(7)]), "not-asked");
    assert!(case.asking().ask(1).is_ok());
}

#[test]
fn a_tampered_consent_is_not_the_anchored_one() {
    let case = Case::new();
    let mut asking = case.asking();
    // Every single byte of the consent is covered by the anchor or the signature.
    let bytes = asking.facts.consent.to_bytes();
    let mut codes = std::collections::BTreeSet::new();
    for i in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[i] ^= 1;
        if let Ok(consent) = Document::from_bytes(&changed) {
            asking.facts.consent = consent;
            codes.insert(asking.refusal(1).code());
        }
    }
    assert!(
        codes.contains("anchor-commitment") && codes.contains("consent-signature"),
        "{codes:?}"
    );
}

#[test]
fn uses() {
    let case = Case::new();
    let plan = case.plan();
    let request = plan.request(&case.world, &case.wallet.subject);
    let consent = plan.consent(&case.world, &case.wallet, &request);
    let use_of = |number| {
        let (request, consent) = (request.clone(), consent.clone());
        Asking::with(&case.world, &case.wallet, &plan, request, consent, number)
    };
    assert_eq!(use_of(3).refusal(1), Refusal::UseNumber);
    assert!(use_of(0).ask(1).is_ok());
    assert_eq!(use_of(0).refusal(1), Refusal::UseTaken);
    let mut other_number = use_of(1);
    other_number.facts.use_number = 2;
    assert_eq!(other_number.refusal(1), Refusal::AnchorCommitment);
    assert!(use_of(1).ask(1).is_ok());
    assert!(use_of(2).ask(1).is_ok());
}

#[test]
fn frequency() {
    let case = Case::new();
    let mut plan = case.plan();
    plan.per_day = 2;
    let request = plan.request(&case.world, &case.wallet.subject);
    let consent = plan.consent(&case.world, &case.wallet, &request);
    let use_of = |number| {
        let (request, consent) = (request.clone(), consent.clone());
        Asking::with(&case.world, &case.wallet, &plan, request, consent, number)
    };
    assert!(use_of(0).ask(1).is_ok());
    assert!(use_of(1).ask(1).is_ok());
    assert_eq!(use_of(2).refusal(1), Refusal::Frequency);
    case.world.chain.wait_ms(DAY_MS);
    // The refused use was not counted: its number is free.
    assert!(use_of(2).ask(1).is_ok());
}

#[test]
fn inquiries() {
    let case = Case::new();
    let mut asking = case.asking();
    let right = asking.facts.clone();

    asking.facts.inquiry_nonce[0] ^= 1;
    assert_eq!(asking.refusal(1), Refusal::InquiryDigest);
    asking.facts = right.clone();
    asking.facts.parties_digest[0] ^= 1;
    assert_eq!(asking.refusal(1), Refusal::InquiryDigest);
    asking.facts = right.clone();
    asking.facts.terms.expires.0 += 1;
    assert_eq!(asking.refusal(1), Refusal::InquiryDigest);
    asking.facts = right.clone();
    asking.facts.height = Height(right.height.0 - 1);
    assert_eq!(asking.refusal(1), Refusal::NotConsumed);
    asking.facts.height = Height(right.height.0 + 1);
    let inquiry = asking.facts.height;
    assert_eq!(asking.refusal(1), Refusal::NotYet { inquiry });
    // Only who has proven himself is told, and waited for.
    let stranger = SecretKey::random(&mut OsRng);
    let identity = case.wallet.identity();
    let forged = refusal(asking.ask_as(1, identity.clone(), &stranger));
    assert_eq!(forged, Refusal::Signature);
    let mut made_up = identity;
    made_up.certificate.signature.0[0] ^= 1;
    assert_eq!(
        refusal(asking.ask_as(1, made_up, &case.wallet.key)),
        Refusal::Certificate(CertificateError::Signature)
    );
    asking.facts.height = Height(0);
    assert!(asking.ask(1).is_err());
    asking.facts = right.clone();
    asking.facts.anchor_id.0[0] ^= 1;
    assert_eq!(asking.refusal(1), Refusal::NoAnchor);
    asking.facts = right.clone();
    asking.facts.anchor_salt[0] ^= 1;
    assert_eq!(asking.refusal(1), Refusal::AnchorCommitment);
    asking.facts = right;
    assert!(asking.ask(1).is_ok());
}

#[test]
fn an_anchor_without_its_inquiry() {
    let case = Case::new();
    let first = case.asking();
    let mut second = case.asking();
    // The second consent's anchor was consumed by the second inquiry only.
    second.facts.height = first.height();
    assert_eq!(second.refusal(1), Refusal::NotConsumed);
}

#[test]
fn revoked_after_the_inquiry() {
    let case = Case::new();
    let asking = case.asking();
    assert!(asking.ask(1).is_ok());
    asking.revoke();
    assert_eq!(asking.refusal(1), Refusal::Revoked);
}

#[test]
fn too_late_by_blocks() {
    let policies = Policies {
        answer_blocks: 3,
        min_changed_records: 1,
        ..Policies::default()
    };
    let case = Case::in_world(World::with_policies(1, policies));
    let asking = case.asking();
    for _ in 0..3 {
        case.world.block(Vec::new());
    }
    assert!(asking.ask(1).is_ok());
    case.world.block(Vec::new());
    assert_eq!(asking.refusal(1).code(), "too-many-blocks");
}

#[test]
fn too_late_by_minutes() {
    let case = Case::new();
    let asking = case.asking();
    case.world.chain.wait_ms(599_000);
    case.world.block(Vec::new());
    assert!(asking.ask(1).is_ok(), "ten minutes exactly");
    case.world.block(Vec::new());
    assert_eq!(asking.refusal(1), Refusal::TooMuchTime);
}

#[test]
fn budget() {
    let case = Case::new();
    let ask = |wallet: &Wallet, facts: Vec<String>| {
        let mut plan = case.plan();
        plan.facts.clone_from(&facts);
        plan.templates = facts;
        // A new consent each time: the budget counts across consents.
        Asking::new(&case.world, wallet, &plan).ask(1)
    };
    let bounds = |from: u32, count: u32| -> Vec<String> {
        (from..from + count)
            .map(|i| format!("total(balance) <= {}", 1000 + i))
            .collect()
    };
    let forms = |from: u32, count: u32| -> Vec<String> {
        (from..from + count)
            .map(|i| format!("total(balance) + {}*total(payments, 2m) <= 1000000", i + 2))
            .collect()
    };
    // A bound that is searched for ...
    assert!(ask(&case.wallet, bounds(0, 11)).is_ok());
    assert_eq!(refusal(ask(&case.wallet, bounds(11, 2))), Refusal::Budget);
    assert!(ask(&case.wallet, bounds(11, 1)).is_ok());
    assert_eq!(refusal(ask(&case.wallet, bounds(0, 1))), Refusal::Budget);
    let scaled = vec!["7*total(balance) >= 3".to_owned()];
    assert_eq!(refusal(ask(&case.wallet, scaled)), Refusal::Budget);
    // ... and many forms.
    for round in 0..3 {
        assert!(
            ask(&case.wallet, forms(round * 16, 16)).is_ok(),
            "round {round}"
        );
    }
    assert!(ask(&case.wallet, forms(48, 4)).is_ok());
    assert_eq!(refusal(ask(&case.wallet, forms(60, 1))), Refusal::Budget);
    // Another person has a budget of their own.
    let other = Wallet::new(&case.world, &person("zoe"));
    assert!(ask(&other, bounds(0, 12)).is_ok());
}

#[test]
fn bodies_that_are_no_asks() {
    let case = Case::new();
    let agency = case.world.agency(1);
    let answer = |body: &[u8]| agency.answer(body, &mut OsRng).expect_err("malformed");
    for body in [&[][..], &[1; 10], &[9; 200]] {
        assert!(matches!(
            answer(body),
            AnswerError::Malformed { field: "body", .. }
        ));
    }
    assert!(matches!(
        answer(&vec![1; 1 << 20]),
        AnswerError::Malformed {
            field: "body",
            limit: Some(131_125),
            ..
        }
    ));
    let asking = case.asking();
    let ask = zkbureau_ledger::document::ask::AgencyAsk::new(
        chain(&case.world),
        AgencyId(1),
        case.wallet.identity(),
        AskBody::Facts(Box::new(asking.facts.clone())),
        SealingSecretKey::random(&mut OsRng).public(),
        TimeMs(START),
        &case.wallet.key,
    );
    let bytes = seal(&case.world, 1, &ask).to_bytes();
    assert!(agency.answer(&bytes, &mut OsRng).is_ok());
    for i in (0..bytes.len()).step_by(31) {
        let mut changed = bytes.clone();
        changed[i] ^= 0x80;
        assert!(
            matches!(answer(&changed), AnswerError::Malformed { .. }),
            "byte {i}"
        );
        assert!(
            matches!(answer(&bytes[..i]), AnswerError::Malformed { .. }),
            "cut at {i}"
        );
    }
}

#[test]
fn old_report_asks() {
    let case = Case::new();
    let identity = case.wallet.identity();
    assert!(
        send(
            &case.world,
            1,
            identity.clone(),
            AskBody::Report,
            &case.wallet.key
        )
        .is_ok()
    );
    let old = zkbureau_ledger::document::ask::AgencyAsk::new(
        chain(&case.world),
        AgencyId(1),
        identity,
        AskBody::Report,
        SealingSecretKey::random(&mut OsRng).public(),
        TimeMs(START),
        &case.wallet.key,
    );
    case.world.chain.wait_ms(600_000);
    case.world.block(Vec::new());
    // Nor is one from the future any younger.
    let ahead = zkbureau_ledger::document::ask::AgencyAsk::new(
        chain(&case.world),
        AgencyId(1),
        case.wallet.identity(),
        AskBody::Report,
        SealingSecretKey::random(&mut OsRng).public(),
        TimeMs(START + 365 * DAY_MS),
        &case.wallet.key,
    );
    let sealed = seal(&case.world, 1, &ahead).to_bytes();
    assert_eq!(
        refusal(case.world.agency(1).answer(&sealed, &mut OsRng)),
        Refusal::Stale
    );
    let sealed = seal(&case.world, 1, &old).to_bytes();
    assert_eq!(
        refusal(case.world.agency(1).answer(&sealed, &mut OsRng)),
        Refusal::Stale
    );
}
