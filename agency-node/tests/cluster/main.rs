//! Drills: four real processes, killed, cut off, joined, intruded upon and overloaded. They assert
//! what happens, with generous limits, and print times.
//!
//! - [`ground`]: namespaces or loopback, and [`links`] that can be cut; [`drill`]: the processes; [`files`]: what they publish;
//! - [`kills`], [`partition`], [`intruder`], [`scene`], [`load`]: the drills; an agency that is admitted, joins from a
//!   snapshot and is removed is in `cluster_basics.rs`;
//! - [`noise`]: a rude client of the API; [`visitor`]: a stranger in the network; [`deployment`]: the example files.
//!
//! One drill runs at a time, whatever the number of test threads. As root every node has a network namespace of
//! its own; without root all are on loopback, and drills that cut links are skipped. `ZKBUREAU_KILL_CYCLES` and
//! `ZKBUREAU_LOAD_SECONDS` make the two long ones longer, `CLUSTER_LOG` sets the nodes' log level.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

#[path = "../support/mod.rs"]
mod support;

mod deployment;
mod drill;
mod files;
mod ground;
mod intruder;
mod kills;
mod links;
mod load;
mod noise;
mod partition;
mod scene;
mod visitor;
