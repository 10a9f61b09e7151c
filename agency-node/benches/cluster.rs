//! Four validators on one machine, each a process of its own, every one verifying everything:
//! records that become final per second while all four agencies publish, where the time goes, and
//! how long an inquiry takes meanwhile.
//!
//! `cargo bench -p zkbureau-agency-node --bench cluster [-- PEOPLE]`
#![allow(clippy::unwrap_used)]

#[path = "../tests/cluster/drill.rs"]
mod drill;
#[path = "../tests/cluster/files.rs"]
mod files;
#[path = "../tests/cluster/ground.rs"]
mod ground;
#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write;
use std::time::{Duration, Instant};

use drill::{Drill, LONG};
use support::people::Random;

/// People of each agency, one record each and month.
const PEOPLE: u64 = 60_000;
/// Pause between inquiries.
const PAUSE: Duration = Duration::from_millis(150);
const NAMES: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

/// `present` and ten attributes of 32 bits: six stocks and four flows.
fn schema() -> String {
    let mut text = "version = 1\n".to_owned();
    let mut attribute = |name: &str, class: &str, aggregate: &str, max: u64| {
        writeln!(
            text,
            "[[attributes]]\nname = \"{name}\"\nclass = \"{class}\"\naggregate = \"{aggregate}\"\n\
             min = 0\nmax = {max}\nunit = \"units\"\ndescription = \"\""
        )
        .unwrap();
    };
    attribute("present", "stock", "max", 1);
    for (i, name) in NAMES.iter().enumerate() {
        let class = if i < 6 { "stock" } else { "flow" };
        attribute(name, class, "sum", u32::MAX.into());
    }
    text
}

fn map() -> String {
    let mut text = "account = \"account\"\n[subject]\ncolumn = \"subject\"\nid_type = \"person\"\n\
                    [period]\ncolumn = \"period\"\n"
        .to_owned();
    for name in NAMES {
        writeln!(text, "[attributes.{name}]\ncolumn = \"{name}\"").unwrap();
    }
    text
}

fn file(people: u64, month: u64, seed: u64) -> String {
    let mut random = Random(seed);
    let mut text = format!("account,subject,period,{}\n", NAMES.join(","));
    let month = files::month(month);
    for person in 0..people {
        write!(text, "A{person},P{person:07},{month}").unwrap();
        for _ in NAMES {
            write!(text, ",{}", random.below(1 << 32)).unwrap();
        }
        text.push('\n');
    }
    text
}

fn main() {
    let people: u64 = std::env::args()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(PEOPLE);
    let drill = Drill::start_with(
        ground::Turn::wait(),
        ground::Ground::Loopback,
        4,
        &schema(),
        &map(),
    );
    let paths: Vec<_> = (0..4)
        .map(|node| drill.write(&format!("{node}.csv"), &file(people, 0, node as u64)))
        .collect();
    let before = drill.metrics(0);
    let start = Instant::now();
    let imports: Vec<_> = (0..4)
        .map(|node| drill.import_in_background(node, &paths[node], &files::month(0)))
        .collect();
    drill.wait("the first batches", LONG, |drill| {
        (0..4).all(|agency| drill.batches(0, agency) >= 1)
    });
    println!(
        "first batches of all agencies after {:.1} s",
        start.elapsed().as_secs_f64()
    );

    // Steady state: from here until the first agency has nothing more to publish.
    let (begin, records, blocks) = (Instant::now(), drill.records(0), drill.height(0));
    let mut waits = Vec::new();
    let mut number = 0;
    while imports.iter().all(|import| !import.is_finished()) {
        // Through every node in turn.
        waits.push(drill.time_to_finality(number as usize % 4, number));
        number += 1;
        std::thread::sleep(PAUSE);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let (done, blocks) = (drill.records(0) - records, drill.height(0) - blocks);
    let after = drill.metrics(0);
    for import in imports {
        import.join().unwrap().unwrap();
    }
    println!(
        "{done} records of 10 attributes in {seconds:.1} s: {:.0} records/s, {:.2} blocks/s, by four validators and four publishers on {} cores",
        done as f64 / seconds,
        blocks as f64 / seconds,
        std::thread::available_parallelism().map_or(0, usize::from),
    );
    waits.sort();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64();
    println!(
        "{} small transactions meanwhile: final after {:.2} s (p50), {:.2} s (p95), {:.2} s (max)",
        waits.len(),
        at(0.5),
        at(0.95),
        at(1.0)
    );
    shares(&before, &after, seconds);
    drill.agree();
    drill.stop();
}
