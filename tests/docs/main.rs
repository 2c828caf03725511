//! What is written about the house is true: README, the house's own rules, and the servers that tests and benches stand on.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub
)]

#[path = "../support/mod.rs"]
mod support;

mod bench_servers;
mod circles;
mod citations;
mod containers;
mod documents;
mod imports;
mod kubernetes;
mod links;
mod named;
mod packages;
mod page;
mod readme;
mod released;
mod settings;
mod shipped;
mod sql_text;
mod systemd;
mod tidy;
mod workflows;
