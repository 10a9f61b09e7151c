//! Drills: four real processes, killed, cut off, joined, intruded upon and overloaded. They assert
//! what happens, with generous limits, and print times.
//!
//! - [`ground`]: namespaces or loopback; [`drill`]: the processes; [`files`]: what they publish;
//! - [`kills`], [`partition`], [`membership`], [`intruder`], [`scene`], [`load`]: the drills.
//!
//! One drill runs at a time, whatever the number of test threads.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

#[path = "../support/mod.rs"]
mod support;

mod files;
mod ground;
mod noise;
mod visitor;
