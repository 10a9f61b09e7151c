//! A lender verifies answers made by a real ledger and real proofs: what must hold, and everything
//! that must not.

#![allow(clippy::unwrap_used)]

mod support;

use support::{START, Scene, World, period, person};
use zkbureau_circuits::directory::SubjectSecret;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::fact::{HitPolicy, Side, Verdict};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_client::chain::Chain;
use zkbureau_client::evidence::{AuthorityError, StateError, StatementError};
use zkbureau_client::files::LenderKeys;
use zkbureau_client::lender::{
    CLOCK_TOLERANCE_MS, DEFAULT_MAX_AGE_MS, Verification, VerifyAnswerError, verify, verify_body,
};
use zkbureau_ledger::document::answer::{AnswerBody, FactAnswer};
use zkbureau_ledger::document::consent::ConsentError;
use zkbureau_ledger::document::enrolment::{CertificateError, EnrolmentCertificate};
use zkbureau_ledger::document::request::RequestError;
use zkbureau_ledger::ids::{DAY_MS, IssuerId, TimeMs};

/// Three agencies; Ann is at the first two, six months; Bob is at the third.
fn world() -> World {
    let mut world = World::new(3, 7);
    let (ann, bob) = (person("ann"), person("bob"));
    for month in 1..=6 {
        let now = period(&format!("2025-{month:02}"));
        let paid = 100 * i64::from(month);
        world.publish(0, now, now, &[(&ann, [5_000, 0, paid])]);
        world.publish(1, now, now, &[(&ann, [-200, 2, 10]), (&bob, [1, 0, 0])]);
        world.publish(2, now, now, &[(&bob, [70, 0, 7])]);
    }
    world
}

const FACTS: [&str; 4] = [
    "total(balance) <= 4800",
    "total(balance) >= 4801",
    "total(payments, 3m) == 1530",
    "each(arrears) <= 1",
];

fn scene(world: &mut World, facts: &[&str]) -> Scene {
    let ann = person("ann");
    let request = world.request(&ann, facts, "2025-06");
    let holder = world.enrol(&ann);
    world.scene(request, holder)
}

fn check(
    world: &World,
    scene: &Scene,
    body: &AnswerBody,
) -> Result<Verification, VerifyAnswerError> {
    verify_body(
        &scene.request,
        body,
        &world.chain,
        &scene.person.id,
        world.time,
        DEFAULT_MAX_AGE_MS,
        &mut rand_core::OsRng,
    )
}

fn no(at: Option<u32>) -> Verdict {
    Verdict::False {
        at: at.map(AgencyId),
        side: Side::Below,
    }
}

#[test]
fn an_honest_answer_gives_the_verdicts_and_nothing_else() {
    let mut world = world();
    let scene = scene(&mut world, &FACTS);
    let made = world.answer(&scene);
    assert!(made.left_out.is_empty());
    let verified = verify(
        &scene.request,
        &made.answer,
        &world.chain,
        &world.lender,
        &scene.person.id,
        world.time,
        DEFAULT_MAX_AGE_MS,
        &mut rand_core::OsRng,
    )
    .unwrap();
    let verdicts: Vec<Verdict> = verified.verdicts().copied().collect();
    assert_eq!(
        verdicts,
        [Verdict::True, no(None), Verdict::True, no(Some(2))]
    );
    let holds: Vec<_> = verified.agencies.iter().map(|a| a.holds_record).collect();
    assert_eq!(holds, [Some(true), Some(true), Some(false)]);
    let shown: Vec<_> = verified.agencies.iter().map(|a| a.log_entries).collect();
    assert_eq!(shown, [4, 4, 0], "three months and the entry before them");
    assert_eq!(verified.height, scene.height);
    // A request of three total facts over four agencies must stay below 16 KB: see the benches.
    assert!(made.answer.to_bytes().len() < 16 * 1024);
}

#[test]
fn verdicts_agree_with_plain_arithmetic() {
    let mut world = World::new(2, 11);
    let id = person("carl");
    let mut balances = [0; 2];
    let mut paid = [0; 2];
    for (month, (a, b)) in [(900, -1_000), (1_000_000, 5), (-3, -4)]
        .into_iter()
        .enumerate()
    {
        let now = period(&format!("2025-{:02}", month + 1));
        world.publish(0, now, now, &[(&id, [a, 1, 40])]);
        world.publish(1, now, now, &[(&id, [b, 0, 2])]);
        balances = [a, b];
        paid = [paid[0] + 40, paid[1] + 2];
    }
    let balance: i64 = balances.iter().sum();
    let payments: i64 = paid.iter().sum();
    let mut expected = Vec::new();
    let mut facts = Vec::new();
    for bound in [balance - 1, balance, balance + 1] {
        facts.push(format!("total(balance) <= {bound}"));
        expected.push(balance <= bound);
        facts.push(format!("total(balance) == {bound}"));
        expected.push(balance == bound);
        facts.push(format!(
            "2*total(balance) - 3*total(payments, 3m) >= {bound}"
        ));
        expected.push(2 * balance - 3 * payments >= bound);
        facts.push(format!("each(balance) <= {bound}"));
        expected.push(balances.iter().all(|b| *b <= bound));
    }
    let facts: Vec<&str> = facts.iter().map(String::as_str).collect();
    let request = world.request(&id, &facts, "2025-03");
    let holder = world.enrol(&id);
    let scene = world.scene(request, holder);
    let made = world.answer(&scene);
    let verified = check(&world, &scene, &made.body).unwrap();
    for ((fact, verdict), expected) in facts.iter().zip(verified.verdicts()).zip(expected) {
        let expected_false = matches!(verdict, Verdict::False { .. });
        assert_eq!(*verdict == Verdict::True, expected, "{fact}");
        assert_eq!(expected_false, !expected, "{fact}");
    }
}

#[test]
fn every_flipped_byte_of_a_sealed_answer_is_refused() {
    let mut world = world();
    let scene = scene(&mut world, &FACTS[..1]);
    let made = world.answer(&scene);
    let good = made.answer.to_bytes();
    for i in 0..good.len() {
        let mut bad = good.clone();
        bad[i] ^= 1 << (i % 8);
        let Ok(answer) = FactAnswer::from_bytes(&bad) else {
            continue;
        };
        let result = verify(
            &scene.request,
            &answer,
            &world.chain,
            &world.lender,
            &scene.person.id,
            world.time,
            DEFAULT_MAX_AGE_MS,
            &mut rand_core::OsRng,
        );
        assert!(
            matches!(
                result,
                Err(VerifyAnswerError::Sealed | VerifyAnswerError::OtherRequest)
            ),
            "byte {i}"
        );
    }
    for cut in [0, 1, 33, good.len() / 2, good.len() - 1] {
        assert!(
            FactAnswer::from_bytes(&good[..cut]).map_or(true, |a| a.sealed != made.answer.sealed)
        );
    }
}

#[test]
fn every_flipped_byte_inside_an_answer_is_refused() {
    // Anybody can seal to the lender, so the inside must hold by itself.
    let mut world = world();
    let scene = scene(&mut world, &FACTS[..1]);
    let made = world.answer(&scene);
    let good = made.body.to_bytes();
    assert!(check(&world, &scene, &AnswerBody::from_bytes(&good).unwrap()).is_ok());
    let mut decoded = 0;
    for i in 0..good.len() {
        let mut bad = good.clone();
        bad[i] ^= 1 << (i % 8);
        let Ok(body) = AnswerBody::from_bytes(&bad) else {
            continue;
        };
        decoded += 1;
        assert!(check(&world, &scene, &body).is_err(), "byte {i}");
    }
    assert!(decoded > good.len() / 2, "most flips reach the checks");
}

#[test]
fn an_answer_is_for_one_request_lender_person_and_chain() {
    let mut world = world();
    let scene = scene(&mut world, &FACTS);
    let made = world.answer(&scene);
    let run = |world: &World, request, answer: &FactAnswer, keys: &LenderKeys, id| {
        verify(
            request,
            answer,
            &world.chain,
            keys,
            id,
            world.time,
            DEFAULT_MAX_AGE_MS,
            &mut rand_core::OsRng,
        )
    };
    let id = &scene.person.id;
    assert!(run(&world, &scene.request, &made.answer, &world.lender, id).is_ok());

    // The same words in another request.
    let again = world.request(id, &FACTS, "2025-06");
    let result = run(&world, &again, &made.answer, &world.lender, id);
    assert_eq!(result, Err(VerifyAnswerError::OtherRequest));
    let mut relabelled = made.answer.clone();
    relabelled.request = again.request_digest();
    let result = run(&world, &again, &relabelled, &world.lender, id);
    assert_eq!(result, Err(VerifyAnswerError::Sealed));
    let result = verify_body(
        &again,
        &made.body,
        &world.chain,
        id,
        world.time,
        DEFAULT_MAX_AGE_MS,
        &mut rand_core::OsRng,
    );
    assert_eq!(
        result,
        Err(VerifyAnswerError::Authority(AuthorityError::Inquiry))
    );

    let other = LenderKeys::random(&mut rand_core::OsRng);
    let result = run(&world, &scene.request, &made.answer, &other, id);
    assert_eq!(result, Err(VerifyAnswerError::OtherLender));
    let result = run(
        &world,
        &scene.request,
        &made.answer,
        &world.lender,
        &person("bob"),
    );
    assert_eq!(result, Err(VerifyAnswerError::OtherPerson));

    // The same agencies and keys under another name are another chain.
    let mut genesis = world.genesis.clone();
    genesis.name = "another chain".into();
    world.chain = Chain::from_genesis(genesis).unwrap();
    assert!(matches!(
        check(&world, &scene, &made.body),
        Err(VerifyAnswerError::State(StateError::Header(_)))
    ));
}

#[test]
fn a_header_must_be_recent_and_not_from_the_future() {
    let mut world = world();
    let scene = scene(&mut world, &FACTS[..1]);
    let made = world.answer(&scene);
    let header = world.time;
    let at = |now: u64| {
        verify_body(
            &scene.request,
            &made.body,
            &world.chain,
            &scene.person.id,
            TimeMs(now),
            1_000,
            &mut rand_core::OsRng,
        )
    };
    assert!(at(header.0 + 1_000).is_ok());
    assert!(matches!(
        at(header.0 + 1_001),
        Err(VerifyAnswerError::HeaderAge { .. })
    ));
    assert!(at(header.0 - CLOCK_TOLERANCE_MS).is_ok());
    assert!(matches!(
        at(header.0 - CLOCK_TOLERANCE_MS - 1),
        Err(VerifyAnswerError::HeaderAhead { .. })
    ));
}

#[test]
fn certificates_are_checked_at_the_headers_time() {
    let mut world = world();
    let scene = scene(&mut world, &FACTS[..1]);
    let good = world.answer(&scene).body;
    let refused = |world: &World, body: &AnswerBody| match check(world, &scene, body) {
        Err(VerifyAnswerError::Authority(error)) => error,
        other => panic!("{other:?}"),
    };

    let key = &scene.person.key;
    let enrolment = zkbureau_ledger::document::enrolment::EnrolmentRequest::new(
        world.chain.id(),
        scene.person.id.clone(),
        scene.person.salt.clone(),
        key,
    );
    let yesterday = TimeMs(START.0 - DAY_MS).day();
    let mut body = good.clone();
    body.authority.certificate =
        EnrolmentCertificate::issue(&enrolment, IssuerId(1), yesterday, &world.issuer);
    assert!(matches!(
        refused(&world, &body),
        AuthorityError::Certificate(CertificateError::Expired { .. })
    ));
    // Today is the last day on which this one is valid.
    let today = START.day();
    body.authority.certificate =
        EnrolmentCertificate::issue(&enrolment, IssuerId(1), today, &world.issuer);
    assert!(check(&world, &scene, &body).is_ok());
    body.authority.certificate =
        EnrolmentCertificate::issue(&enrolment, IssuerId(2), today, &world.issuer);
    assert_eq!(refused(&world, &body), AuthorityError::Issuer(IssuerId(2)));
    body.authority.certificate = EnrolmentCertificate::issue(&enrolment, IssuerId(1), today, key);
    assert_eq!(
        refused(&world, &body),
        AuthorityError::Certificate(CertificateError::Signature)
    );
    // Somebody else's certificate, and the salt of another commitment.
    let bob = world.enrol(&person("bob"));
    let mut body = good.clone();
    body.authority.certificate = bob.certificate;
    body.authority.subject_salt = bob.salt;
    assert_eq!(refused(&world, &body), AuthorityError::OtherPerson);
    let mut body = good;
    body.authority.subject_salt = SubjectSecret::random(&mut rand_core::OsRng);
    assert_eq!(refused(&world, &body), AuthorityError::OtherPerson);
}

#[test]
fn a_consent_must_allow_exactly_this() {
    let mut world = world();
    let id = person("ann");
    let mut outcome = |change: &dyn Fn(&mut zkbureau_ledger::document::consent::ConsentFields)| {
        let request = world.request(&id, &FACTS, "2025-06");
        let holder = world.enrol(&id);
        let mut fields = world.consent_fields(&request, &holder);
        change(&mut fields);
        let scene = world.scene_with(request, holder, fields);
        // The lender must see it; the wallet would not have made this answer.
        let honest = world.rights(&scene).authority;
        let query = world.query(&scene.request);
        let replies = world.replies(&scene, &query);
        let body = AnswerBody {
            state: world.state_evidence(scene.height, scene.anchor.id()),
            authority: honest,
            agencies: replies.into_iter().map(|r| r.evidence).collect(),
            verdicts: vec![Verdict::Refused; FACTS.len()],
            proof: borsh::from_slice(&[0, 0, 0, 0, 0]).unwrap(),
            scores: Vec::new(),
            score_key: None,
        };
        match check(&world, &scene, &body) {
            Ok(_) => None,
            Err(VerifyAnswerError::Authority(error)) => Some(error),
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(outcome(&|_| ()), None, "unchanged, it is allowed");
    let consent = |error| Some(AuthorityError::Consent(error));
    assert_eq!(
        outcome(&|f| f.lender_key = f.subject_key),
        consent(ConsentError::Parties("lender_key"))
    );
    assert_eq!(
        outcome(&|f| f.purpose.push('x')),
        consent(ConsentError::Parties("purpose"))
    );
    assert_eq!(
        outcome(&|f| f.inquiry_type = zkbureau_ledger::document::request::InquiryType::Soft),
        consent(ConsentError::Parties("inquiry_type"))
    );
    assert_eq!(
        outcome(&|f| {
            f.agencies.pop();
        }),
        consent(ConsentError::Agency(AgencyId(3)))
    );
    assert!(matches!(
        outcome(&|f| {
            f.templates.pop();
        }),
        Some(AuthorityError::Consent(ConsentError::Fact(_)))
    ));
    assert!(matches!(
        outcome(&|f| f.earliest_period = period("2025-05")),
        Some(AuthorityError::Consent(ConsentError::Lookback { .. }))
    ));
    assert!(matches!(
        outcome(&|f| f.expiration = f.creation),
        Some(AuthorityError::Consent(ConsentError::Time { .. }))
    ));
    assert!(matches!(
        outcome(&|f| f.not_before = TimeMs(f.creation.0 + DAY_MS)),
        Some(AuthorityError::Consent(ConsentError::Time { .. }))
    ));
    assert_eq!(
        outcome(&|f| f.max_uses = 0),
        Some(AuthorityError::Uses {
            number: 1,
            max_uses: 0
        })
    );
}

#[test]
fn the_inquiry_must_be_this_one_in_this_block() {
    let mut world = world();
    let scene = scene(&mut world, &FACTS[..1]);
    let good = world.answer(&scene).body;
    let refused = |world: &World, body: &AnswerBody| match check(world, &scene, body) {
        Err(VerifyAnswerError::Authority(error)) => error,
        other => panic!("{other:?}"),
    };
    let mut body = good.clone();
    body.authority.inquiry_nonce[0] ^= 1;
    assert_eq!(refused(&world, &body), AuthorityError::Inquiry);
    let mut body = good.clone();
    body.authority.use_number = 1;
    assert!(matches!(
        refused(&world, &body),
        AuthorityError::Uses { number: 2, .. }
    ));
    let mut body = good.clone();
    body.authority.anchor_salt[0] ^= 1;
    assert_eq!(refused(&world, &body), AuthorityError::Anchor);
    // A later block, and one from before the inquiry.
    let (later, _) = world.block(vec![]);
    for at in [later, zkbureau_ledger::ids::Height(scene.height.0 - 1)] {
        let mut body = good.clone();
        body.state = world.state_evidence(at, scene.anchor.id());
        assert_eq!(refused(&world, &body), AuthorityError::NoInquiry);
    }
    // Revoked afterwards: the old block still shows the answer's time, the new one the revocation.
    let revoked = world.revoke(&scene);
    let mut body = good.clone();
    body.state = world.state_evidence(revoked, scene.anchor.id());
    assert_eq!(refused(&world, &body), AuthorityError::Revoked);
    // The ledger takes no second inquiry on the anchor.
    let again = world.inquiry(&scene);
    let (_, refusals) = world.block(vec![again]);
    assert_eq!(refusals.len(), 1);
}

#[test]
fn an_expired_request_is_not_answered() {
    let mut world = world();
    let id = person("ann");
    let request = world.request(&id, &FACTS[..1], "2025-06");
    world.time = TimeMs(request.terms.expires.0);
    let holder = world.enrol(&id);
    let scene = world.scene(request, holder);
    let query = (scene.request)
        .check(&world.chain.id(), world.chain.schema(), START)
        .unwrap();
    let body = AnswerBody {
        state: world.state_evidence(scene.height, scene.anchor.id()),
        authority: world.rights(&scene).authority,
        agencies: (world.replies(&scene, &query).into_iter())
            .map(|r| r.evidence)
            .collect(),
        verdicts: vec![Verdict::Refused],
        proof: borsh::from_slice(&[0, 0, 0, 0, 0]).unwrap(),
        scores: Vec::new(),
        score_key: None,
    };
    assert_eq!(
        check(&world, &scene, &body),
        Err(VerifyAnswerError::Request(RequestError::Expired))
    );
}

#[test]
fn evidence_cannot_be_left_out_swapped_or_doubled() {
    let mut world = world();
    let scene = scene(&mut world, &FACTS[..1]);
    let query = world.query(&scene.request);
    let replies = world.replies(&scene, &query);
    let good = world.assemble(&scene, replies.clone());

    // Without an agency the verdict is "unavailable", whatever its record says.
    for missing in 0..3 {
        let mut fewer = replies.clone();
        let gone = fewer.remove(missing).evidence.agency;
        let made = world.assemble(&scene, fewer);
        assert_eq!(made.verdicts, [Verdict::Unavailable { agency: gone }]);
        let verified = check(&world, &scene, &made.body).unwrap();
        assert_eq!(
            verified.verdicts().collect::<Vec<_>>(),
            [&Verdict::Unavailable { agency: gone }]
        );
        assert!(!verified.agencies[missing].answered);
        // And a wallet cannot claim the old verdicts for it.
        let mut body = good.body.clone();
        body.agencies.remove(missing);
        assert_eq!(
            check(&world, &scene, &body),
            Err(VerifyAnswerError::Verdicts)
        );
    }
    let order = Err(VerifyAnswerError::Statement(StatementError::Order));
    let mut body = good.body.clone();
    body.agencies.swap(0, 1);
    assert_eq!(check(&world, &scene, &body), order);
    let mut body = good.body.clone();
    body.agencies.push(body.agencies[2].clone());
    assert_eq!(check(&world, &scene, &body), order);

    let agency = |id| {
        Err(VerifyAnswerError::Statement(StatementError::Agency(
            AgencyId(id),
        )))
    };
    // Another person's place in the directory.
    let bobs = world.reply_about(1, &scene, &query, &person("bob"));
    let mut body = good.body.clone();
    body.agencies[1] = bobs.evidence;
    assert_eq!(check(&world, &scene, &body), agency(2));
    // The leaf left out, the log added, the images left out.
    let mut body = good.body.clone();
    body.agencies[0].directory.clear();
    assert_eq!(check(&world, &scene, &body), agency(1));
    let mut body = good.body.clone();
    body.agencies[0].directory[0].leaf.leaf = None;
    assert_eq!(check(&world, &scene, &body), agency(1));
    let mut body = good.body.clone();
    body.agencies[0].images = None;
    assert_eq!(check(&world, &scene, &body), agency(1));
    let mut body = good.body.clone();
    body.agencies[2].images = body.agencies[0].images.clone();
    assert_eq!(check(&world, &scene, &body), agency(3));
    // Images of one agency under the other's name.
    let mut body = good.body.clone();
    body.agencies[1].images = body.agencies[0].images.clone();
    assert_eq!(
        check(&world, &scene, &body),
        Err(VerifyAnswerError::Statement(StatementError::Images))
    );
}

#[test]
fn logs_must_reach_back_far_enough() {
    let mut world = world();
    let scene = scene(&mut world, &FACTS[2..3]);
    let good = world.answer(&scene);
    assert_eq!(good.verdicts, [Verdict::True]);
    let agency = Err(VerifyAnswerError::Statement(StatementError::Agency(
        AgencyId(1),
    )));
    let mut body = good.body.clone();
    let log = body.agencies[0].log.as_mut().unwrap();
    let first = log.entries.remove(0);
    log.before = first.chain(&log.before);
    assert_eq!(check(&world, &scene, &body), agency, "one entry too short");
    let mut body = good.body.clone();
    body.agencies[0].log.as_mut().unwrap().entries.remove(2);
    assert_eq!(check(&world, &scene, &body), agency, "one entry missing");
    let mut body = good.body.clone();
    body.agencies[0].log = None;
    assert_eq!(check(&world, &scene, &body), agency, "no log");
}

#[test]
fn verdicts_cannot_be_changed() {
    let mut world = world();
    let scene = scene(&mut world, &FACTS);
    let good = world.answer(&scene).body;
    for fact in 0..FACTS.len() {
        for other in [
            Verdict::True,
            no(None),
            no(Some(1)),
            no(Some(2)),
            Verdict::Refused,
            Verdict::InsufficientHistory { at: None },
            Verdict::Unavailable {
                agency: AgencyId(1),
            },
        ] {
            if other == good.verdicts[fact] {
                continue;
            }
            let mut body = good.clone();
            body.verdicts[fact] = other;
            assert_eq!(
                check(&world, &scene, &body),
                Err(VerifyAnswerError::Verdicts),
                "fact {fact}, {other}"
            );
        }
    }
    let mut body = good.clone();
    body.verdicts.pop();
    assert_eq!(
        check(&world, &scene, &body),
        Err(VerifyAnswerError::Verdicts)
    );
}

#[test]
fn unpublished_months_and_people_without_records_are_not_verdicts_about_values() {
    let mut world = world();
    // June is published everywhere, July at the first agency and in part at the second, so that
    // nobody can yet conclude anything from a record, or from none.
    let ann = person("ann");
    let july = period("2025-07");
    world.publish(0, july, july, &[(&ann, [1, 0, 1])]);
    world.publish_part(1, july, july, &[(&ann, [1, 0, 1])], false);
    let request = world.request(&ann, &FACTS, "2025-07");
    let holder = world.enrol(&ann);
    let scene = world.scene(request, holder);
    let made = world.answer(&scene);
    let late = Verdict::Unavailable {
        agency: AgencyId(2),
    };
    assert_eq!(made.verdicts, [late; 4]);
    let verified = check(&world, &scene, &made.body).unwrap();
    assert!(verified.verdicts().all(|v| *v == late));

    let nobody = person("nobody");
    for (policy, expected) in [
        (HitPolicy::NoHit, Verdict::InsufficientHistory { at: None }),
        (HitPolicy::Zero, Verdict::True),
    ] {
        let request = world.request_with(&nobody, &FACTS[..1], "2025-06", policy);
        let holder = world.enrol(&nobody);
        let scene = world.scene(request, holder);
        let made = world.answer(&scene);
        let verified = check(&world, &scene, &made.body).unwrap();
        assert_eq!(verified.facts[0].verdict, expected);
    }

    // Seven months are not there.
    let request = world.request(&ann, &["total(payments, 7m) >= 0"], "2025-06");
    let holder = world.enrol(&ann);
    let scene = world.scene(request, holder);
    let made = world.answer(&scene);
    let verified = check(&world, &scene, &made.body).unwrap();
    assert_eq!(
        verified.facts[0].verdict,
        Verdict::InsufficientHistory {
            at: Some(AgencyId(1))
        }
    );
}

#[test]
fn an_agency_that_lies_to_the_wallet_is_left_out_and_named() {
    let mut world = world();
    let scene = scene(&mut world, &FACTS[..2]);
    let query = world.query(&scene.request);
    let good = world.replies(&scene, &query);
    let left_out = |world: &mut World, replies| {
        let made = world.assemble(&scene, replies);
        check(world, &scene, &made.body).unwrap();
        made.left_out.keys().map(|a| a.0).collect::<Vec<u32>>()
    };
    assert_eq!(left_out(&mut world, good.clone()), [0u32; 0]);
    // Openings in the wrong order, missing, too many.
    let mut replies = good.clone();
    replies[0].openings.swap(0, 1);
    assert_eq!(left_out(&mut world, replies), [1]);
    let mut replies = good.clone();
    replies[0].openings.pop();
    assert_eq!(left_out(&mut world, replies), [1]);
    let mut replies = good.clone();
    let extra = replies[0].openings[0].clone();
    replies[0].openings.push(extra);
    assert_eq!(left_out(&mut world, replies), [1]);
    // Images of another agency, and two liars at once.
    let mut replies = good.clone();
    replies[1].evidence.images = replies[0].evidence.images.clone();
    assert_eq!(left_out(&mut world, replies.clone()), [2]);
    replies[0].evidence.images = None;
    assert_eq!(left_out(&mut world, replies), [1, 2]);
    // "No record", though there is one.
    let mut replies = good.clone();
    let bobs = world.reply_about(0, &scene, &query, &person("bob"));
    replies[0] = bobs;
    assert_eq!(left_out(&mut world, replies), [1]);
}
