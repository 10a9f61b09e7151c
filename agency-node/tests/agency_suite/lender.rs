//! Answers as wallet and lender check them: the light client and the circuits, nothing of the agency.

use rand_core::OsRng;
use zkbureau_circuits::commitment::CommitmentKey;
use zkbureau_circuits::directory::vrf_input;
use zkbureau_circuits::encoding::{Digest32, PointBytes};
use zkbureau_circuits::fact::{
    FormOpening, Images, Plan as FactPlan, Verdict, check_openings, linear_image, prove_verdicts,
    verify_verdicts,
};
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::document::evidence::{AgencyAnswer, image_context};
use zkbureau_ledger::document::view::view;
use zkbureau_ledger::{LightClient, RegistryKey};

use super::ask::{Asking, Plan, Wallet, chain};
use super::world::{World, person, row};

/// Checks every answer from the genesis file on, and proves and verifies the verdicts.
pub fn verdicts(asking: &Asking<'_>, answers: &[AgencyAnswer]) -> Vec<Verdict> {
    let world = asking.world;
    let ledger = world.chain.ledger();
    let at = asking.height();
    let light = LightClient::from_genesis(&world.chain.genesis).unwrap();
    let header = light
        .verify_header(&ledger.signed_header(at).unwrap().unwrap())
        .unwrap();
    let roots = header.roots(&ledger.roots(at).unwrap()).unwrap();
    let columns = ledger.registry_proof(at, &RegistryKey::Columns).unwrap();
    let columns = roots.columns(&columns).unwrap();
    let consortium = ledger.registry_proof(at, &RegistryKey::Consortium).unwrap();
    let consortium = roots.consortium(&consortium).unwrap();
    let schema = ledger.registry_proof(at, &RegistryKey::Schema).unwrap();
    let schema = roots.schema(&schema).unwrap();
    let query = asking
        .request
        .terms
        .check(&chain(world), &schema, |_| None)
        .unwrap();
    let input = vrf_input(chain(world).as_bytes(), &asking.wallet.subject);

    let leaves: Vec<_> = answers
        .iter()
        .map(|answer| {
            let evidence = &answer.evidence;
            let key = consortium.agency(evidence.agency).unwrap().vrf_key;
            let directory = &evidence.directory[0];
            let index = key.verify(&input, &directory.vrf).unwrap();
            roots
                .leaf(evidence.agency, &index, &directory.leaf)
                .unwrap()
        })
        .collect();
    let views: Vec<_> = answers
        .iter()
        .zip(&leaves)
        .map(|(answer, leaf)| {
            let evidence = &answer.evidence;
            let column = columns.get(evidence.agency);
            view(&query, column, leaf.as_ref(), evidence.log.as_ref()).unwrap()
        })
        .collect();
    let plan = FactPlan::new(&query, &views).unwrap();

    let key = CommitmentKey::new(&schema);
    let request = asking.request.request_digest();
    let mut items: Vec<(Digest32, _, &Images)> = Vec::new();
    for (answer, agency) in answers.iter().zip(plan.agencies()) {
        let id = answer.evidence.agency;
        match &answer.evidence.images {
            None => assert!(agency.forms().is_empty()),
            Some(images) => {
                let context =
                    image_context(&chain(world), &request, &asking.facts.anchor_id, at, id);
                items.push((context, agency, images));
            }
        }
    }
    linear_image::verify_batch(&key, &items, &mut OsRng).unwrap();

    let images: Vec<&[PointBytes]> = answers
        .iter()
        .map(|a| a.evidence.images.as_ref().map_or(&[][..], |i| &i.points))
        .collect();
    let openings: Vec<&[FormOpening]> = answers.iter().map(|a| &a.openings[..]).collect();
    check_openings(&plan, &images, &openings).unwrap();
    let (verdicts, proof) =
        prove_verdicts(&[1; 32], &plan, &images, &openings, &[], &mut OsRng).unwrap();
    verify_verdicts(&[1; 32], &plan, &images, &verdicts, &proof, &mut OsRng).unwrap();
    verdicts
}

pub fn ask_all(asking: &Asking<'_>) -> Vec<AgencyAnswer> {
    asking
        .request
        .terms
        .agencies
        .iter()
        .map(|id| asking.ask(id.0).unwrap())
        .collect()
}

/// Ann is at agencies 1 and 2, Bob at 1, Eve nowhere.
pub fn people(world: &World) {
    for month in ["2024-01", "2024-02", "2024-03"] {
        let mut rows = row("a1", "ANN", month, 100, 0, 10);
        rows += &row("a2", "ANN", month, 250, 1, 20);
        rows += &row("b1", "BOB", month, -50, 2, 5);
        world.publish(1, month, &rows);
        world.publish(2, month, &row("c1", "ANN", month, 1000, 0, 400));
    }
}

#[test]
fn answers_prove_what_the_files_say() {
    let world = World::new(2);
    people(&world);
    let facts = [
        ("total(balance) <= 1350", true),
        ("total(balance) <= 1349", false),
        ("total(payments, 3m) == 1290", true),
        ("total(payments, 3m) >= 1291", false),
        ("total(statements, 2m) == 6", true),
        ("each(arrears) <= 1", true),
        ("each(arrears) <= 0", false),
        ("total(balance, 2024-01) >= 1350", true),
    ];
    let texts: Vec<&str> = facts.iter().map(|(text, _)| *text).collect();
    let wallet = Wallet::new(&world, &person("ann"));
    let asking = Asking::new(&world, &wallet, &Plan::new(&world, &texts));
    let answers = ask_all(&asking);
    for (verdict, (text, holds)) in verdicts(&asking, &answers).iter().zip(facts) {
        match verdict {
            Verdict::True => assert!(holds, "{text}"),
            Verdict::False { at, .. } => {
                assert!(!holds, "{text}");
                assert_eq!(*at, text.starts_with("each").then_some(AgencyId(1)));
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn people_with_one_record_or_none_are_answered_too() {
    let world = World::new(2);
    people(&world);
    for (name, holders) in [("bob", 1), ("eve", 0)] {
        let wallet = Wallet::new(&world, &person(name));
        let plan = Plan::new(
            &world,
            &["total(balance) <= 0", "total(payments, 2m) <= 10"],
        );
        let asking = Asking::new(&world, &wallet, &plan);
        let answers = ask_all(&asking);
        let found = answers
            .iter()
            .filter(|a| a.evidence.directory[0].leaf.leaf.is_some())
            .count();
        assert_eq!(found, holders, "{name}");
        assert_eq!(verdicts(&asking, &answers), [Verdict::True, Verdict::True]);
    }
}

#[test]
fn answers_speak_about_the_inquiry_s_height() {
    let world = World::new(1);
    world.publish(1, AS_OF_BEFORE, &row("a", "ANN", AS_OF_BEFORE, 100, 0, 1));
    world.publish(1, "2024-03", &row("a", "ANN", "2024-03", 200, 0, 2));
    let wallet = Wallet::new(&world, &person("ann"));
    let plan = Plan::new(
        &world,
        &["total(balance) == 200", "total(payments, 2m) == 3"],
    );
    let asking = Asking::new(&world, &wallet, &plan);
    // A newer report and a correction of an older month come after the inquiry.
    world.publish(1, "2024-04", &row("a", "ANN", "2024-04", 999, 9, 9));
    let late = row("a", "ANN", AS_OF_BEFORE, 150, 0, 4);
    world.import(1, "2024-04", &late, &[], true).unwrap();
    world.tell_all();
    world.is_clean(1);
    let answers = ask_all(&asking);
    assert_eq!(verdicts(&asking, &answers), [Verdict::True, Verdict::True]);
    // The correction's increment counts in the month it happened, the newer stock stays.
    let plan = Plan::new(
        &world,
        &[
            "total(balance) == 999",
            "total(balance, 2024-02) == 150",
            "total(payments, 2m) == 6",
        ],
    );
    let asking = Asking::new(&world, &wallet, &plan);
    let answers = ask_all(&asking);
    assert_eq!(verdicts(&asking, &answers), [Verdict::True; 3]);
}

const AS_OF_BEFORE: &str = "2024-02";

#[test]
fn asking_again_for_the_same_inquiry_is_answered_and_counts_once() {
    let world = World::new(1);
    people_at_one(&world);
    let wallet = Wallet::new(&world, &person("ann"));
    let mut plan = Plan::new(&world, &["total(balance) <= 500"]);
    plan.per_day = 1;
    let asking = Asking::new(&world, &wallet, &plan);
    for _ in 0..3 {
        let answers = ask_all(&asking);
        assert_eq!(verdicts(&asking, &answers), [Verdict::True]);
    }
    // Also across a restart.
    let facts = asking.facts.clone();
    let (request, consent) = (asking.request.clone(), asking.consent.clone());
    drop(asking);
    let world = world.restart();
    let again = Asking {
        world: &world,
        wallet: &wallet,
        anchor: world
            .chain
            .ledger()
            .anchor(facts.height, facts.anchor_id)
            .unwrap()
            .unwrap()
            .anchor,
        revocation: zkbureau_ledger::SecretKey::random(&mut OsRng),
        request,
        consent,
        facts,
    };
    assert_eq!(verdicts(&again, &ask_all(&again)), [Verdict::True]);
}

/// Ann at agency 1 with three months.
pub fn people_at_one(world: &World) {
    for month in ["2024-01", "2024-02", "2024-03"] {
        world.publish(1, month, &row("a1", "ANN", month, 100, 0, 10));
    }
}
