//! The API at its limit, by clients that send nonsense: no failure of the server, no growth, and
//! the consensus beside it goes on.

use std::time::{Duration, Instant};

use rand_core::OsRng;
use zkbureau_agency_node::node::now;
use zkbureau_circuits::encoding::Document;
use zkbureau_ledger::document::sealed::{Sealed, SealingSecretKey};
use zkbureau_ledger::ids::Day;
use zkbureau_ledger::keys::SecretKey;
use zkbureau_ledger::transaction::{AnchorConsent, Transaction};

use crate::drill::{Drill, LONG};
use crate::noise::{Noise, routes};

/// Set this variable to another number of seconds for a longer run.
const SECONDS: &str = "ZKBUREAU_LOAD_SECONDS";
/// Connections of those who send nonsense, and of those who ask properly.
const RUDE: u64 = 64;
const POLITE: u64 = 64;
const MAX_GROWTH_MIB: u64 = 200;

#[test]
fn a_minute_of_nonsense_at_the_limit_of_the_api() {
    let seconds = std::env::var(SECONDS).map_or(60, |text| text.parse().expect("a number"));
    let drill = Drill::start_on_loopback(4);
    drill.publish_something(0);

    let (_, openapi) = drill.get(0, "/openapi.json").expect("an answer");
    let all = routes(&serde_json::from_slice(&openapi).expect("JSON"));
    let reads: Vec<_> = all
        .iter()
        .filter(|route| route.method == "GET" && !route.path.contains('{'))
        .cloned()
        .collect();
    let samples = samples(&drill);
    let url = drill.url(0);
    let address = url.trim_start_matches("http://");
    let noise = |routes, threads, seed| Noise {
        address,
        routes,
        samples: &samples,
        threads,
        seconds,
        seed,
    };
    let before = drill.resident_mib(0);
    let heights = drill.height(1);
    let (rude, polite, largest, published) = std::thread::scope(|scope| {
        let rude = scope.spawn(|| noise(&all, RUDE, 1).make());
        let polite = scope.spawn(|| noise(&reads, POLITE, 1_000).make());
        // Meanwhile agencies publish, one of them at the node under attack.
        let (start, mut largest, mut published) = (Instant::now(), before, 0);
        while start.elapsed() < Duration::from_secs(seconds) {
            drill.publish_something(published % 4);
            published += 1;
            largest = largest.max(drill.resident_mib(0));
            std::thread::sleep(Duration::from_millis(200));
        }
        let (rude, polite) = (rude.join().unwrap(), polite.join().unwrap());
        (rude, polite, largest, published)
    });
    println!(
        "{seconds} s: {} answers to nonsense {:?}, {} to proper requests {:?}, {} hung up",
        rude.answers(),
        rude.statuses,
        polite.answers(),
        polite.statuses,
        rude.hung_up + polite.hung_up,
    );
    println!(
        "{published} imports meanwhile, {} blocks; {before} MiB before, at most {largest} MiB",
        drill.height(1) - heights,
    );
    for outcome in [&rude, &polite] {
        assert!(outcome.failed.is_empty(), "{:?}", outcome.failed);
        assert!(outcome.answers() > 20 * seconds);
    }
    assert!(
        polite
            .statuses
            .get(&200)
            .is_some_and(|count| *count > seconds)
    );
    assert!(largest < before + MAX_GROWTH_MIB);
    assert!(published as u64 >= seconds / 10, "{published} imports");
    for node in 0..4 {
        drill.wait_ready(node, LONG);
    }
    drill.agree();
    drill.stop();
}

/// Documents that routes take, to be spoilt.
fn samples(drill: &Drill) -> Vec<Vec<u8>> {
    let key = SecretKey::from_seed(&[7; 32]).public();
    let anchor = AnchorConsent {
        commitment: AnchorConsent::commitment(&[1; 32], 0, &[1; 32]),
        use_key: key,
        revocation_key: key,
        expiry: Day(now().day().0 + 30),
    };
    let sealed = SealingSecretKey::random(&mut OsRng);
    let sealed = Sealed::seal_padded(&sealed.public(), "ask", b"drill", &[3; 900], &mut OsRng);
    let header = drill.header(0, 1).expect("a block");
    vec![
        Transaction::from(anchor).to_bytes(),
        sealed.expect("sealed").to_bytes(),
        header.to_bytes(),
        b"{\"wait_ms\": 1e999}".to_vec(),
    ]
}
