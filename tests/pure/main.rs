//! Without servers: captured bytes, and a simulation of both sides.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub
)]

mod golden;
mod simulation;
mod statements;
