//! tandem from outside: exit codes, words, documents, secrets; what the contract promises and nothing else.
#![allow(clippy::unwrap_used, clippy::print_stderr, unreachable_pub)]

mod support;
mod cli {
    mod alone;
    mod lineage;
    mod logs;
    mod mismatch;
    mod questions;
    mod secrets;
    mod status;
}
