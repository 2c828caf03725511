//! Whole tables: set-up, first copies, swaps, comparisons, and what others change around a running replication.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub
)]

#[path = "../support/mod.rs"]
mod support;

mod bootstrap;
mod distance;
mod drift;
mod generated;
mod names;
mod progress;
mod ranges;
mod references;
mod setup;
mod swap;
mod touched_by_others;
mod types;
mod verify;
