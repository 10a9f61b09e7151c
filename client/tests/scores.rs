//! Scores made by a real ledger and real proofs: what they show, and every forgery that a lender must
//! refuse.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{Arc, OnceLock};

use rand_core::OsRng;
use support::{Scene, World, period, person};
use zkbureau_circuits::directory::SubjectId;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::fact::{FormOpening, HitPolicy, Side, Verdict};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_circuits::scorecard::{
    Bin, Card, KeyError, Measure, Origin, ProvingKey, ReasonSet, Reference, ScoreProof,
    ScoreVerdict, Span, Variable, prove_scores, test_key,
};
use zkbureau_client::borrower::{AssembleError, Assembled, assemble};
use zkbureau_client::evidence::{State, StateError, Statement, Subject};
use zkbureau_client::lender::{
    DEFAULT_MAX_AGE_MS, ScoreKeyOrigin, Verification, VerifyAnswerError, make_request, verify_body,
};
use zkbureau_client::show;
use zkbureau_ledger::document::answer::{AnswerBody, ScoreKeyBytes};
use zkbureau_ledger::document::evidence::AgencyAnswer;
use zkbureau_ledger::document::request::{FactRequest, RequestError};
use zkbureau_ledger::ids::Height;

const KEY_SEED: u64 = 41;

/// One key for all tests: making one takes a second or two.
fn key() -> Arc<ProvingKey> {
    static KEY: OnceLock<Arc<ProvingKey>> = OnceLock::new();
    Arc::clone(KEY.get_or_init(|| Arc::new(test_key(KEY_SEED))))
}

fn variable(
    name: &str,
    attribute: &str,
    lag: u32,
    measure: Measure,
    span: Span,
    bins: &[(i64, i64, i64)],
) -> Variable {
    Variable {
        name: name.into(),
        reference: Reference {
            attribute: attribute.into(),
            lag,
            measure,
            span,
        },
        reason: format!("R-{name}"),
        bins: (bins.iter())
            .map(|(from, to, points)| Bin {
                from: *from,
                to: *to,
                points: *points,
                label: String::new(),
            })
            .collect(),
    }
}

/// Totals of two months, a month's payments, and the arrears at one agency.
fn card() -> Card {
    use Measure::{Flow, Level};
    let variables = vec![
        variable(
            "owed",
            "balance",
            0,
            Level,
            Span::Total,
            &[(-3_000, 0, 40), (0, 3_000_001, 10)],
        ),
        variable(
            "owed before",
            "balance",
            2,
            Level,
            Span::Total,
            &[(-3_000, 0, 35), (0, 3_000_001, 15)],
        ),
        variable(
            "paid",
            "payments",
            0,
            Flow,
            Span::Total,
            &[(0, 100, 0), (100, 3_000_001, 50)],
        ),
        variable(
            "arrears",
            "arrears",
            0,
            Level,
            Span::Agency(AgencyId(2)),
            &[(0, 1, 60), (1, 25, -20)],
        ),
    ];
    Card::new("retail (2025)".into(), 1, 400, true, variables).unwrap()
}

/// Another card over some of the same values, in halves of a point, without reasons.
fn simple() -> Card {
    let bins = [(-3_000, 0, 9_995), (0, 3_000_001, 10)];
    let owed = variable("owed", "balance", 0, Measure::Level, Span::Total, &bins);
    Card::new("simple".into(), 10, 5, false, vec![owed]).unwrap()
}

/// Ann is at two agencies and scores 505; Dave scores 490; Bob is at the third agency only.
fn world() -> World {
    let mut world = World::with_score_key(3, 5, key());
    let (ann, bob, dave) = (person("ann"), person("bob"), person("dave"));
    for (i, month) in ["2025-04", "2025-05", "2025-06"].into_iter().enumerate() {
        let now = period(month);
        let i = i as i64;
        world.publish(
            0,
            now,
            now,
            &[(&ann, [100 + 100 * i, 0, 10 * i]), (&dave, [500, 0, 200])],
        );
        world.publish(
            1,
            now,
            now,
            &[(&ann, [-500 + 50 * i, 1, 90]), (&dave, [0, 0, 0])],
        );
        world.publish(2, now, now, &[(&bob, [70, 0, 7])]);
    }
    world.register(0, &card());
    world.register(2, &simple());
    world
}

fn request(world: &mut World, about: &SubjectId, scores: &[&str], cards: &[Card]) -> FactRequest {
    world.request_all(about, &[], scores, cards, "2025-06", HitPolicy::NoHit)
}

fn scene(world: &mut World, name: &str, scores: &[&str]) -> Scene {
    let id = person(name);
    let request = request(world, &id, scores, &[card(), simple()]);
    let holder = world.enrol(&id);
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
        &mut OsRng,
    )
}

const BELOW: Verdict = Verdict::False {
    at: None,
    side: Side::Below,
};
const ABOVE: Verdict = Verdict::False {
    at: None,
    side: Side::Above,
};

#[test]
fn scores_are_shown_as_far_as_they_are_asked_for() {
    let mut world = world();
    let scores = [
        "score(\"retail (2025)\") >= 505",
        "score(\"retail (2025)\") > 505 reasons 3",
        "score(\"retail (2025)\") < 505",
        "score(simple)",
    ];
    let scene = scene(&mut world, "ann", &scores);
    assert_eq!(scene.request.cards, [card(), simple()]);
    let made = world.answer(&scene);
    let verified = check(&world, &scene, &made.body).unwrap();
    let verdicts: Vec<Verdict> = verified.verdicts().copied().collect();
    assert_eq!(verdicts, [Verdict::True, BELOW, ABOVE, Verdict::True]);
    assert_eq!(show::exit_code(&verdicts), 10);
    let points: Vec<_> = (verified.scores.iter())
        .map(|s| s.points.as_deref())
        .collect();
    assert_eq!(points, [None, None, None, Some("1000.0")]);
    // Only the arrears cost points: a set of one, although three were asked for.
    let reasons = verified.scores[1].reasons.as_ref().unwrap();
    assert_eq!(reasons.len(), 1);
    assert_eq!(
        (reasons[0].variable.as_str(), reasons[0].code.as_str()),
        ("arrears", "R-arrears")
    );
    assert!(verified.scores[0].reasons.is_none());
    assert_eq!(
        verified.scores[1].score,
        "score(\"retail (2025)\") >= 506 reasons 3"
    );
    assert_eq!(verified.scores[0].registered_by, AgencyId(1));
    assert_eq!(verified.scores[3].registered_by, AgencyId(3));
    let under = verified.score_key.as_ref().unwrap();
    assert_eq!(under.hash, *key().verifying().hash());
    assert_eq!(under.origin, ScoreKeyOrigin::Test { seed: KEY_SEED });
    // Two cards read the same balance: it is shown once.
    let images: Vec<_> = (made.body.agencies.iter())
        .map(|a| a.images.as_ref().map(|i| i.points.len()))
        .collect();
    assert_eq!(images, [Some(3), Some(4), None]);
    for score in &made.body.scores {
        let proof = score.proof.as_ref().unwrap();
        assert_eq!(proof.to_bytes().len(), ScoreProof::BYTES);
    }
}

#[test]
fn facts_and_scores_stand_side_by_side() {
    let mut world = world();
    let id = person("dave");
    let request = world.request_all(
        &id,
        &["total(balance) <= 499", "total(payments, 3m) >= 600"],
        &["score(\"retail (2025)\") >= 490"],
        &[card()],
        "2025-06",
        HitPolicy::Zero,
    );
    let holder = world.enrol(&id);
    let scene = world.scene(request, holder);
    let made = world.answer(&scene);
    let verified = check(&world, &scene, &made.body).unwrap();
    let verdicts: Vec<Verdict> = verified.verdicts().copied().collect();
    // 400 + 10 + 15 + 50 + 60.
    assert_eq!(verdicts, [BELOW, Verdict::True, Verdict::True]);
}

#[test]
fn without_the_records_there_is_no_score() {
    let mut world = world();
    // Bob has no record at the agency that the card reads arrears from.
    let both = ["score(\"retail (2025)\") >= 1", "score(simple) < 5"];
    let scene_of_bob = scene(&mut world, "bob", &both);
    let made = world.answer(&scene_of_bob);
    let verified = check(&world, &scene_of_bob, &made.body).unwrap();
    let verdicts: Vec<Verdict> = verified.verdicts().copied().collect();
    let at = Some(AgencyId(2));
    assert_eq!(verdicts[0], Verdict::InsufficientHistory { at });
    assert_eq!(verdicts[1], Verdict::True);

    // Zeros are no history, also where no record means sums of zero.
    let id = person("nobody");
    let request = world.request_all(
        &id,
        &[],
        &["score(simple) >= 0"],
        &[simple()],
        "2025-06",
        HitPolicy::Zero,
    );
    let holder = world.enrol(&id);
    let scene_of_nobody = world.scene(request, holder);
    let made = world.answer(&scene_of_nobody);
    assert!(made.body.score_key.is_none());
    let verified = check(&world, &scene_of_nobody, &made.body).unwrap();
    let verdicts: Vec<Verdict> = verified.verdicts().copied().collect();
    assert_eq!(verdicts, [Verdict::InsufficientHistory { at: None }]);
    // Nobody can say more than the plan does.
    let mut forged = made.body.clone();
    forged.scores[0].verdict = Verdict::True;
    assert_eq!(
        check(&world, &scene_of_nobody, &forged),
        Err(VerifyAnswerError::Scores)
    );
}

/// The wallet's part with another key, or declining.
fn assemble_with(
    world: &mut World,
    scene: &Scene,
    key: Option<&ProvingKey>,
    refused: &[usize],
) -> Result<Assembled, AssembleError> {
    let query = world.query(&scene.request);
    let replies = world.replies(scene, &query);
    let rights = world.rights(scene);
    let anchor = scene.anchor.id();
    let state = State::check(&world.chain, &rights.state, &anchor, &scene.request).unwrap();
    let about = Subject {
        chain: &world.chain,
        request: &scene.request,
        digest: scene.request.request_digest(),
        query: &query,
        person: &scene.person.id,
    };
    assemble(&about, &state, rights, replies, refused, key, &mut OsRng)
}

#[test]
fn a_wallet_may_decline_and_needs_the_key_in_force() {
    let mut world = world();
    let scene = scene(&mut world, "ann", &["score(simple)", "score(simple) >= 3"]);
    let made = assemble_with(&mut world, &scene, Some(&key()), &[0]).unwrap();
    let verified = check(&world, &scene, &made.body).unwrap();
    let verdicts: Vec<Verdict> = verified.verdicts().copied().collect();
    assert_eq!(verdicts, [Verdict::Refused, Verdict::True]);

    let expected = *key().verifying().hash();
    let none = assemble_with(&mut world, &scene, None, &[]).map(|_| ());
    assert_eq!(none, Err(AssembleError::NoScoreKey(expected)));
    let other = test_key(42);
    let got = *other.verifying().hash();
    let refused = assemble_with(&mut world, &scene, Some(&other), &[]).map(|_| ());
    assert_eq!(refused, Err(AssembleError::OtherScoreKey { expected, got }));
}

#[test]
fn questions_are_checked_where_they_are_written() {
    let mut world = world();
    let lender = &world.lender;
    let person = person("ann");
    let mut ask_all = |texts: &[String], agencies: Option<Vec<AgencyId>>| {
        let ask = zkbureau_client::lender::Ask {
            lender_name: "First Bank".into(),
            purpose: "a loan".into(),
            inquiry_type: zkbureau_ledger::document::request::InquiryType::Soft,
            subject: &person,
            facts: &[],
            scores: texts,
            cards: &[card(), simple()],
            agencies,
            as_of: period("2025-06"),
            hit_policy: HitPolicy::NoHit,
            expires: zkbureau_ledger::ids::TimeMs(world.time.0 + 1_000),
        };
        make_request(&world.chain, lender, ask, world.time, &mut world.rng)
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    let two = [3, 2].map(|n| format!("score(\"retail (2025)\") reasons {n}"));
    assert_eq!(
        ask_all(&two, None).unwrap_err(),
        "score 2: the card \"retail (2025)\" is asked for 3 and for 2 reasons; together they would \
         tell an order"
    );
    let mut ask = |text: &str, agencies| ask_all(&[text.to_owned()], agencies);
    assert_eq!(ask("score(simple) >= 100.5", None), Ok(()));
    for (text, message) in [
        (
            "score(simple) >= 1.55",
            "score 1, `score(simple) >= 1.55`: at column 18: the card counts in units of 1/10: a \
             threshold has at most 1 decimals",
        ),
        (
            "score(other) >= 1",
            "score 1, `score(other) >= 1`: at column 7: no card \"other\" is known here",
        ),
        (
            "score(simple) reasons 1",
            "score 1, `score(simple) reasons 1`: at column 23: the card \"simple\" says that its \
             scores are not explained with reasons",
        ),
    ] {
        assert_eq!(ask(text, None), Err(message.to_owned()));
    }
    // A card that reads one agency needs it in the list.
    let error = ask("score(\"retail (2025)\")", Some(vec![AgencyId(1)])).unwrap_err();
    assert_eq!(
        error,
        "score 1: variable \"arrears\": agency 2 is not listed"
    );
    let hash = hex::encode(card().content_hash());
    assert_eq!(ask(&format!("score({hash}) < 7"), None), Ok(()));
}

/// What a wallet that checks nothing puts together: honest evidence, and nothing about facts and
/// scores.
fn answer_unchecked(world: &mut World, scene: &Scene) -> AnswerBody {
    let query = world.query(&scene.request);
    let replies = world.replies(scene, &query);
    let rights = world.rights(scene);
    AnswerBody {
        state: rights.state,
        authority: rights.authority,
        agencies: replies.into_iter().map(|r| r.evidence).collect(),
        verdicts: Vec::new(),
        // Nothing is claimed of facts, so the proof is empty.
        proof: borsh::from_slice(&[0, 0, 0, 0, 0]).unwrap(),
        scores: Vec::new(),
        score_key: None,
    }
}

/// What a cheating wallet can make: proofs over given replies, for a request and a key.
fn prove_as(
    world: &mut World,
    scene: &Scene,
    replies: &[AgencyAnswer],
    key: &ProvingKey,
) -> Vec<ScoreVerdict> {
    let query = world.query(&scene.request);
    let rights = world.rights(scene);
    let anchor = scene.anchor.id();
    let state = State::check(&world.chain, &rights.state, &anchor, &scene.request).unwrap();
    let about = Subject {
        chain: &world.chain,
        request: &scene.request,
        digest: scene.request.request_digest(),
        query: &query,
        person: &scene.person.id,
    };
    let evidence: Vec<_> = replies.iter().map(|r| r.evidence.clone()).collect();
    let statement = Statement::check(&about, &state, &anchor, &evidence, &mut OsRng).unwrap();
    let openings: Vec<&[FormOpening]> = replies.iter().map(|r| r.openings.as_slice()).collect();
    let context = Statement::context(&about, &state, &anchor, &evidence);
    prove_scores(
        Some(key),
        &context,
        &statement.plan,
        &statement.images(),
        &openings,
        &[],
        &mut OsRng,
    )
    .unwrap()
}

#[test]
fn what_is_said_is_what_is_proven() {
    let mut world = world();
    let scores = [
        "score(\"retail (2025)\") >= 506 reasons 1",
        "score(\"retail (2025)\") >= 505",
        "score(simple)",
    ];
    let scene = scene(&mut world, "ann", &scores);
    let good = world.answer(&scene).body;
    assert!(check(&world, &scene, &good).is_ok());
    let forge = |change: &dyn Fn(&mut AnswerBody)| {
        let mut body = good.clone();
        change(&mut body);
        let decoded = AnswerBody::from_bytes(&body.to_bytes()).unwrap();
        check(&world, &scene, &decoded).map(|_| ())
    };
    let refused = Err(VerifyAnswerError::Scores);
    // Another verdict; a verdict that the question does not have.
    assert_eq!(forge(&|b| b.scores[0].verdict = Verdict::True), refused);
    assert_eq!(forge(&|b| b.scores[1].verdict = BELOW), refused);
    assert_eq!(forge(&|b| b.scores[0].verdict = ABOVE), refused);
    let unavailable = Verdict::Unavailable {
        agency: AgencyId(3),
    };
    assert_eq!(forge(&|b| b.scores[0].verdict = unavailable), refused);
    // Another score, one that was not asked for, none where one was.
    assert_eq!(forge(&|b| b.scores[2].score = Some(9_999)), refused);
    assert_eq!(forge(&|b| b.scores[1].score = Some(505)), refused);
    assert_eq!(forge(&|b| b.scores[2].score = None), refused);
    // Other reasons, none, some that were not asked for.
    let other = Some(ReasonSet::from_indices(&[0]));
    assert_eq!(forge(&|b| b.scores[0].reasons = other), refused);
    assert_eq!(forge(&|b| b.scores[0].reasons = None), refused);
    assert_eq!(forge(&|b| b.scores[1].reasons = other), refused);
    // No proof, proofs in another order, fewer scores, more.
    assert_eq!(forge(&|b| b.scores[1].proof = None), refused);
    assert_eq!(forge(&|b| b.scores.swap(0, 1)), refused);
    let swapped = |b: &mut AnswerBody| {
        let (first, second) = (b.scores[0].proof.take(), b.scores[1].proof.take());
        (b.scores[0].proof, b.scores[1].proof) = (second, first);
    };
    assert_eq!(forge(&swapped), refused);
    assert_eq!(forge(&|b| b.scores.truncate(2)), refused);
    assert_eq!(forge(&|b| b.scores.push(b.scores[0].clone())), refused);
    // A proof beside a verdict that needs none.
    assert_eq!(forge(&|b| b.scores[1].verdict = Verdict::Refused), refused);
    // The key left out; a key that is none; nothing else changes which key is in force.
    assert_eq!(forge(&|b| b.score_key = None), refused);
    let other_key = |b: &mut AnswerBody| {
        b.score_key.as_mut().unwrap().0[40] ^= 1;
    };
    assert_eq!(
        forge(&other_key),
        Err(VerifyAnswerError::ScoreKey(KeyError::Hash))
    );
    // The card's proof left out, or of another card.
    let cards = Err(VerifyAnswerError::State(StateError::Proof("cards")));
    assert_eq!(forge(&|b| b.state.cards.truncate(1)), cards);
    assert_eq!(forge(&|b| b.state.cards.swap(0, 1)), cards);
}

#[test]
fn every_byte_of_a_proof_counts() {
    let mut world = world();
    let scene = scene(&mut world, "ann", &["score(simple) >= 3"]);
    let good = world.answer(&scene).body;
    let bytes = borsh::to_vec(good.scores[0].proof.as_ref().unwrap()).unwrap();
    for at in 0..bytes.len() {
        let mut tampered = bytes.clone();
        tampered[at] ^= 1 << (at % 8);
        let Ok(proof) = borsh::from_slice::<ScoreProof>(&tampered) else {
            continue;
        };
        let mut body = good.clone();
        body.scores[0].proof = Some(proof);
        assert_eq!(
            check(&world, &scene, &body).map(|_| ()),
            Err(VerifyAnswerError::Scores),
            "byte {at}"
        );
    }
}

#[test]
fn a_proof_serves_one_request_person_card_threshold_and_key() {
    let mut world = world();
    let question = ["score(\"retail (2025)\") >= 505"];
    let ann = scene(&mut world, "ann", &question);
    let proven = world.answer(&ann).body;
    let refused = Err(VerifyAnswerError::Scores);

    // The same question again: an old answer's scores in a new answer.
    let later = scene(&mut world, "ann", &question);
    let mut body = world.answer(&later).body;
    assert!(check(&world, &later, &body).is_ok());
    body.scores = proven.scores.clone();
    assert_eq!(check(&world, &later, &body).map(|_| ()), refused);
    // The old answer as a whole.
    assert!(matches!(
        check(&world, &later, &proven),
        Err(VerifyAnswerError::Authority(_))
    ));

    // A raised threshold: the true claim of the lower one.
    let raised = scene(&mut world, "ann", &["score(\"retail (2025)\") >= 506"]);
    let mut body = world.answer(&raised).body;
    assert_eq!(body.scores[0].verdict, BELOW);
    body.scores = proven.scores.clone();
    assert_eq!(check(&world, &raised, &body).map(|_| ()), refused);

    // Another person's commitments: Dave scores more.
    let dave = scene(&mut world, "dave", &["score(\"retail (2025)\") >= 520"]);
    let rich = world.answer(&dave).body;
    assert_eq!(rich.scores[0].verdict, Verdict::True);
    let poor = scene(&mut world, "ann", &["score(\"retail (2025)\") >= 520"]);
    let mut body = world.answer(&poor).body;
    body.scores = rich.scores.clone();
    assert_eq!(check(&world, &poor, &body).map(|_| ()), refused);
    body.agencies = rich.agencies.clone();
    assert!(matches!(
        check(&world, &poor, &body),
        Err(VerifyAnswerError::Statement(_))
    ));

    // Another card: under "simple" Ann scores 1000.
    let simple = scene(&mut world, "ann", &["score(simple) >= 520"]);
    let easy = world.answer(&simple).body;
    let mut body = world.answer(&poor).body;
    body.scores = easy.scores.clone();
    assert_eq!(check(&world, &poor, &body).map(|_| ()), refused);

    // Proofs under another key, with its verifying key or with that in force.
    let other = test_key(43);
    let query = world.query(&poor.request);
    let replies = world.replies(&poor, &query);
    let mut body = world.assemble(&poor, replies.clone()).body;
    body.scores = prove_as(&mut world, &poor, &replies, &other);
    assert_eq!(check(&world, &poor, &body).map(|_| ()), refused);
    body.score_key = Some(ScoreKeyBytes(other.verifying().to_file()));
    assert_eq!(
        check(&world, &poor, &body).map(|_| ()),
        Err(VerifyAnswerError::ScoreKey(KeyError::Hash))
    );
    // The same detour with the key in force is what an honest wallet does.
    body.scores = prove_as(&mut world, &poor, &replies, &key());
    body.score_key = Some(ScoreKeyBytes(key().verifying().to_file()));
    assert!(check(&world, &poor, &body).is_ok());
    // The key in force, with nothing or something else about where it comes from.
    let alone = key().verifying().to_bytes();
    for origin in [Vec::new(), Origin::Test(43).to_bytes()] {
        body.score_key = Some(ScoreKeyBytes([alone.clone(), origin].concat()));
        assert_eq!(
            check(&world, &poor, &body).map(|_| ()),
            Err(VerifyAnswerError::ScoreKey(KeyError::Hash))
        );
    }
}

#[test]
fn a_card_must_be_registered_and_the_one_that_is_asked_about() {
    let mut world = world();
    let bins = [(-3_000, 3_000_001, 1)];
    let owed = variable("owed", "balance", 0, Measure::Level, Span::Total, &bins);
    let own = Card::new("of my own".into(), 1, 900, false, vec![owed]).unwrap();
    let id = person("ann");
    let request = request(&mut world, &id, &["score(of my own) >= 900"], &[own]);
    let holder = world.enrol(&id);
    let scene = world.scene(request, holder);
    let made = answer_unchecked(&mut world, &scene);
    assert_eq!(
        check(&world, &scene, &made).map(|_| ()),
        Err(VerifyAnswerError::State(StateError::NoCard(
            "of my own".into()
        )))
    );

    // The cards that come with a request are those that it names, by their content.
    let mut request = scene.request.clone();
    request.cards = vec![simple()];
    let checked = request.check(&world.chain.id(), world.chain.schema(), world.time);
    assert_eq!(checked.map(|_| ()), Err(RequestError::Cards));
    request.cards.clear();
    let checked = request.check(&world.chain.id(), world.chain.schema(), world.time);
    assert_eq!(checked.map(|_| ()), Err(RequestError::Cards));
}

#[test]
fn without_a_key_in_force_no_score_verifies() {
    let mut world = World::new(1, 9);
    let ann = person("ann");
    let now = period("2025-06");
    world.publish(0, now, now, &[(&ann, [-5, 0, 0])]);
    let bins = [(-1_000, 1_000_001, 1)];
    let owed = variable("owed", "balance", 0, Measure::Level, Span::Total, &bins);
    let card = Card::new("flat".into(), 1, 0, false, vec![owed]).unwrap();
    world.register(0, &card);
    let request = request(&mut world, &ann, &["score(flat) >= 1"], &[card]);
    let holder = world.enrol(&ann);
    let scene = world.scene(request, holder);
    let refused = assemble_with(&mut world, &scene, Some(&key()), &[]).map(|_| ());
    assert_eq!(refused, Err(AssembleError::NoKeyInForce));
    // Who leaves the key out, and who sends one along.
    let mut body = answer_unchecked(&mut world, &scene);
    body.scores = vec![ScoreVerdict {
        verdict: Verdict::True,
        score: None,
        reasons: None,
        proof: world_proof(),
    }];
    assert_eq!(
        check(&world, &scene, &body).map(|_| ()),
        Err(VerifyAnswerError::Scores)
    );
    body.score_key = Some(ScoreKeyBytes(key().verifying().to_file()));
    assert_eq!(
        check(&world, &scene, &body).map(|_| ()),
        Err(VerifyAnswerError::ScoreKey(KeyError::Hash))
    );
}

/// Who can forge under a key is stopped by a vote for another one.
#[test]
fn a_key_that_was_replaced_counts_no_more() {
    let mut world = world();
    let scene = scene(&mut world, "ann", &["score(simple) >= 3"]);
    let body = world.answer(&scene).body;
    let verified = check(&world, &scene, &body).unwrap();
    let mut learnt = world.chain.learnt();
    let later = Height(verified.height.0 + 1);
    let mut consortium = world.chain.consortium();
    learnt.consortium = Some((later, consortium.clone()));
    world.chain.take_up(&learnt).unwrap();
    assert!(check(&world, &scene, &body).is_ok(), "the same key");
    consortium.score_key = Some([9; 32]);
    let later = Height(later.0 + 1);
    learnt.consortium = Some((later, consortium));
    world.chain.take_up(&learnt).unwrap();
    assert_eq!(
        check(&world, &scene, &body).map(|_| ()),
        Err(VerifyAnswerError::ScoreKeyReplaced(later))
    );
}

/// A proof that is one, of something else.
fn world_proof() -> Option<ScoreProof> {
    let mut world = world();
    let scene = scene(&mut world, "ann", &["score(simple) >= 3"]);
    world.answer(&scene).body.scores[0].proof.clone()
}
