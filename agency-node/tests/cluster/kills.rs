//! Nodes that die without warning: what the others do meanwhile, and what is there afterwards.

use std::time::{Duration, Instant};

use zkbureau_agency_node::consensus::guard::Guard;
use zkbureau_ledger::ids::Height;

use crate::drill::{Drill, LONG, SOON};
use crate::files;
use crate::support::people::Random;

/// Set this variable to another number of kill cycles for a longer run.
const CYCLES: &str = "ZKBUREAU_KILL_CYCLES";

#[test]
fn one_of_four_dies_and_blocks_go_on_two_and_they_stop() {
    let mut drill = Drill::start(4);
    drill.publish_something(0);

    // One of four: the others have more than two thirds.
    drill.kill(3);
    let before = drill.height(0);
    drill.publish_something(0);
    drill.publish_something(1);
    assert!(drill.height(0) > before);
    drill.restart(3);
    let tip = drill.height(0);
    drill.reaches(3, tip, LONG);
    drill.wait_ready(3, LONG);
    println!("a killed node caught up to height {tip}");

    // Two of four: nothing is final, and nobody says otherwise.
    drill.kill(2);
    drill.kill(3);
    let stuck = drill.height(0).max(drill.height(1));
    let waiting = drill.publish_in_background(0);
    let silence = Duration::from_secs(6);
    std::thread::sleep(silence);
    for node in [0, 1] {
        // What was under way when the second died may have become final.
        assert!(drill.height(node) <= stuck + 1, "a block without a quorum");
    }
    assert!(
        !waiting.is_finished(),
        "an import is final without a quorum"
    );

    // One back: three of four agree again, and what was waiting becomes final.
    let before = drill.height(0);
    drill.restart(2);
    let start = Instant::now();
    drill.reaches(0, before + 1, SOON);
    println!(
        "blocks {:.1} s after the third node was started",
        start.elapsed().as_secs_f64()
    );
    waiting.join().unwrap().unwrap();
    drill.restart(3);
    let tip = drill.height(0);
    drill.reaches(3, tip, LONG);
    drill.agree();
    drill.stop();
}

#[test]
fn a_node_that_lost_its_log_abstains_and_then_votes_and_is_ready_again() {
    let mut drill = Drill::start(4);
    drill.publish_something(0);

    // Node 0 signs something of a height that two of four cannot decide, and forgets it.
    drill.kill(2);
    drill.kill(3);
    // What was decided just before may still be written.
    std::thread::sleep(Duration::from_secs(2));
    let waiting = drill.publish_in_background(1);
    let signed = drill.home(0).join("consensus.signed");
    drill.wait("node 0 signs at the next height", LONG, |drill| {
        let tip = Height(drill.height(0));
        // Half a write is read as the one before.
        Guard::open(&signed).is_ok_and(|guard| guard.silent_until(tip, None).is_some())
    });
    drill.kill(0);
    std::fs::remove_dir_all(drill.home(0).join("consensus")).unwrap();
    drill.restart(0);
    let said = |drill: &Drill, words: &str| drill.read_log(0).contains(words);
    drill.wait("node 0 abstains", LONG, |drill| {
        said(drill, "it signs nothing until that height is decided")
    });
    assert!(!waiting.is_finished(), "two of four decided");

    // The others decide the height without it.
    drill.restart(2);
    drill.restart(3);
    waiting.join().unwrap().unwrap();
    drill.wait("node 0 may vote again", LONG, |drill| {
        said(drill, "network and consensus start again, with votes")
    });
    drill.wait_ready(0, LONG);
    drill.publish_something(0);
    // Now three are needed, and it is one of them.
    drill.kill(3);
    let before = drill.height(0);
    drill.publish_something(0);
    assert!(drill.height(0) > before);
    drill.agree();
    drill.stop();
}

#[test]
fn all_four_die_in_the_middle_of_an_import() {
    let mut drill = Drill::start(4);
    let file = files::file(200, 40, 11);
    let path = drill.write("all.csv", &file.text);
    let importing = drill.import_in_background(1, &path, &file.last);
    // Some months are final, others are in the vault only, others nowhere.
    drill.wait("some months are final", LONG, |drill| {
        drill.batches(0, 1) >= 8
    });
    for node in 0..4 {
        drill.kill(node);
    }
    assert!(importing.join().unwrap().is_err(), "its node is dead");
    for node in 0..4 {
        drill.restart(node);
    }
    for node in 0..4 {
        drill.wait_ready(node, LONG);
    }
    let before = drill.batches(0, 1);
    assert!((8..40).contains(&before), "{before} months were final");
    drill.import(1, &path, &file.last);
    drill.holds_exactly(1, &file, &path);
    drill.agree();
    println!("{before} of 40 months were final when all nodes died");
    drill.stop();
}

#[test]
fn twenty_kill_cycles_under_load() {
    let cycles: usize = std::env::var(CYCLES).map_or(20, |text| text.parse().expect("a number"));
    let mut drill = Drill::start(4);
    let mut random = Random(20);
    // Every agency publishes month after month, and again whenever its node died.
    let files: Vec<_> = (0..4)
        .map(|node| {
            let file = files::file(60, 36, 100 + node);
            let path = drill.write(&format!("agency-{node}.csv"), &file.text);
            (file, path)
        })
        .collect();
    let load: Vec<_> = files
        .iter()
        .enumerate()
        .map(|(node, (file, path))| drill.import_until_done(node, path, &file.last))
        .collect();
    let start = Instant::now();
    for cycle in 0..cycles {
        // Any one to four of them, more often few.
        let heights: Vec<u64> = (0..4).filter_map(|node| drill.try_height(node)).collect();
        let count = 1 + random.below(4).min(random.below(4)) as usize;
        let first = random.below(4) as usize;
        let victims: Vec<usize> = (0..count).map(|i| (first + i) % 4).collect();
        std::thread::sleep(Duration::from_millis(random.below(1_200)));
        for victim in &victims {
            drill.kill(*victim);
            std::thread::sleep(Duration::from_millis(random.below(80)));
        }
        std::thread::sleep(Duration::from_millis(random.below(600)));
        for victim in &victims {
            drill.restart(*victim);
        }
        println!(
            "cycle {cycle}: killed {victims:?} at height {}",
            heights.into_iter().max().unwrap_or(0)
        );
    }
    println!(
        "{cycles} kill cycles in {:.0} s",
        start.elapsed().as_secs_f64()
    );
    for import in load {
        import.finish(Duration::from_secs(120));
    }
    for (node, (file, path)) in files.iter().enumerate() {
        drill.holds_exactly(node, file, path);
    }
    let tip = (0..4).map(|node| drill.height(node)).max().unwrap();
    for node in 0..4 {
        drill.reaches(node, tip, LONG);
    }
    let heights = drill.agree();
    println!("four nodes agree on all of {heights} heights");
    for node in 0..4 {
        drill.wait_ready(node, SOON);
    }
    drill.stop();
}
