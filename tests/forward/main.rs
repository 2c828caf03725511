//! The desktop's changes reach the cloud: values, rows, transactions, ownership, quarantine, and what that costs the desktop.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub
)]

#[path = "../support/mod.rs"]
mod support;

mod clean_layer;
mod cycles;
mod desktop_impact;
mod encoding;
mod kept_out;
mod large_transactions;
mod legacy_failures;
mod lone_rows;
mod mapping;
mod mass_deletes;
mod memory;
mod one_pass;
mod orphans;
mod other_schemas;
mod owners;
mod pipelining;
mod quarantine;
mod refill_in_parts;
mod refill_on_change;
mod rows;
mod tenants;
mod values;
