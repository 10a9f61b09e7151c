//! What an answer costs.

use std::time::{Duration, Instant};

use rand_core::OsRng;
use zkbureau_circuits::encoding::Document;
use zkbureau_circuits::ids::AgencyId;
use zkbureau_ledger::document::ask::{AgencyAsk, AskBody};
use zkbureau_ledger::document::sealed::SealingSecretKey;

use super::ask::{Asking, Plan, Wallet, chain, seal};
use super::lender::people_at_one;
use super::world::{World, person};

/// The bar is 8 ms of CPU on a quiet machine; the test allows for a busy one.
const LIMIT: Duration = Duration::from_millis(24);

#[test]
fn an_answer_with_three_totals_is_cheap() {
    let world = World::new(1);
    people_at_one(&world);
    let wallet = Wallet::new(&world, &person("ann"));
    let facts = [
        "total(balance) <= 500",
        "total(payments, 3m) >= 20",
        "total(statements, 3m) == 3",
    ];
    let asking = Asking::new(&world, &wallet, &Plan::new(&world, &facts));
    let ask = AgencyAsk::new(
        chain(&world),
        AgencyId(1),
        wallet.identity(),
        AskBody::Facts(Box::new(asking.facts.clone())),
        SealingSecretKey::random(&mut OsRng).public(),
        world.chain.ledger().tip().time_ms,
        &wallet.key,
    );
    let sealed = seal(&world, 1, &ask).to_bytes();
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let start = Instant::now();
            world.agency(1).answer(&sealed, &mut OsRng).unwrap();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let median = times[times.len() / 2];
    println!(
        "answer with three totals: median {median:?}, fastest {:?}",
        times[0]
    );
    assert!(median < LIMIT, "{median:?}");
}
