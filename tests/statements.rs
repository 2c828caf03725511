//! Every statement that the pure stages make, as the server gets it, for tables of all kinds: `tests/sql`. A change of a
//! statement shows there. `TANDEM_TEST_BLESS=1` writes the files anew: look at what changed before it is kept.
#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "statements/golden.rs"]
mod golden;
#[path = "statements/made.rs"]
mod made;
#[path = "statements/tables.rs"]
mod tables;
