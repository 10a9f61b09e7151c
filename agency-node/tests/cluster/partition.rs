//! Links that are cut: halves halt, three of four go on, and one missing link is hardly noticed.

use std::time::{Duration, Instant};

use crate::drill::{Drill, LONG};
use crate::files;
use crate::scene::Scene;

/// Long enough for several blocks, were there a quorum.
const SILENCE: Duration = Duration::from_secs(6);
/// Seconds of a measurement.
const MEASURED: u64 = 8;

#[test]
fn two_halves_halt_three_quarters_go_on_and_healed_they_agree() {
    let Some(drill) = Drill::start_in_namespaces(4) else {
        eprintln!("skipped: cutting links needs network namespaces, so root");
        return;
    };
    drill.publish_something(0);

    drill.ground.part(&[0, 1], &[2, 3]);
    let left = drill.publish_in_background(0);
    let right = drill.publish_in_background(2);
    // A block that was decided just before may still arrive.
    std::thread::sleep(Duration::from_secs(2));
    let before: Vec<u64> = (0..4).map(|node| drill.height(node)).collect();
    std::thread::sleep(SILENCE);
    let after: Vec<u64> = (0..4).map(|node| drill.height(node)).collect();
    assert_eq!(before, after, "a block without a quorum");
    assert!(!left.is_finished() && !right.is_finished());

    drill.ground.join(&[0, 1], &[2, 3]);
    let start = Instant::now();
    left.join().unwrap().unwrap();
    right.join().unwrap().unwrap();
    println!(
        "2|2 healed: both imports final after {:.1} s",
        start.elapsed().as_secs_f64()
    );
    let tip = drill.height(0);
    for node in 0..4 {
        drill.reaches(node, tip, LONG);
    }

    drill.ground.part(&[0, 1, 2], &[3]);
    let alone = drill.publish_in_background(3);
    std::thread::sleep(Duration::from_secs(1));
    let before = drill.height(3);
    drill.publish_something(0);
    drill.publish_something(2);
    assert!(drill.height(0) > before, "three of four go on");
    assert_eq!(drill.height(3), before, "one of four does not");
    assert!(!alone.is_finished());
    drill.wait_not_ready(3, LONG);

    drill.ground.join(&[0, 1, 2], &[3]);
    let start = Instant::now();
    alone.join().unwrap().unwrap();
    println!(
        "3|1 healed: the fourth's import final after {:.1} s",
        start.elapsed().as_secs_f64()
    );
    let tip = drill.height(0);
    for node in 0..4 {
        drill.reaches(node, tip, LONG);
        drill.wait_ready(node, LONG);
    }
    drill.agree();
    drill.stop();
}

#[test]
fn one_cut_link_of_four_costs_little_and_answers_still_arrive() {
    let Some(drill) = Drill::start_in_namespaces(4) else {
        eprintln!("skipped: cutting links needs network namespaces, so root");
        return;
    };
    let scene = Scene::prepare(&drill);
    // All four publish month after month, for longer than anybody looks.
    for node in 0..4 {
        let file = files::file_from(drill.take_month(), 60, 400, 7 + node as u64);
        let path = drill.write(&format!("many-{node}.csv"), &file.text);
        drill.import_until_done(node, &path, &file.last);
    }
    std::thread::sleep(Duration::from_secs(2));
    let whole = drill.throughput(2, MEASURED);
    drill.ground.cut(0, 1);
    let start = Instant::now();
    drill.wait("the cut is noticed", LONG, |drill| {
        !drill.connected(0, 1) && !drill.connected(1, 0)
    });
    println!("noticed after {:.1} s", start.elapsed().as_secs_f64());
    let cut = drill.throughput(2, MEASURED);
    println!("{whole:.0} records/s with all links, {cut:.0} with one cut");
    assert!(whole > 0.0 && cut > whole / 2.0);

    // Agency 2 is asked through agency 1's node, which has no link to it.
    scene.ask_and_verify(&drill, "after the cut", &[0]);

    drill.ground.mend(0, 1);
    drill.wait("the link is there again", LONG, |drill| {
        drill.connected(0, 1) && drill.connected(1, 0)
    });
    drill.agree();
    drill.stop();
}
