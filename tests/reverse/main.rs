//! The phones' work comes home: rows, ticks, conflicts, echoes.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub
)]

#[path = "../support/mod.rs"]
mod support;

mod cloud_owned;
mod conflicts;
mod echo;
mod idle_polls;
mod moving;
mod phones;
mod reverse_failures;
mod way_home;
