//! Kills, cuts, stalls and outages: nothing is lost, nothing is done twice, nothing is silent.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub
)]

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod crash;
mod fault_visibility;
mod fleet;
mod history;
mod lease;
mod long_outages;
mod matrix;
mod network;
mod shutdown;
mod upgrade;
mod wire;
