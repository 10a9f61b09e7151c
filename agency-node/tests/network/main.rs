//! The network of several nodes on loopback, with members that lie and strangers that knock.

mod admission;
mod exchange;
mod overload;
mod relaying;
mod rogue;
mod support;
