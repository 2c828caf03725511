//! tandem from outside: exit codes, words, documents, screens, pages; what the contract promises and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub
)]

#[path = "../support/mod.rs"]
mod support;

mod alert;
mod alone;
mod browser;
mod create;
mod devtools;
mod doctor;
mod fleet;
mod init;
mod lineage;
mod listen;
mod logs;
mod mismatch;
mod questions;
mod reload;
mod roles;
mod schemas;
mod screens;
mod secrets;
mod status;
#[cfg(unix)]
mod supervised;
mod update;
mod windows;
