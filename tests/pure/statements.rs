//! Every statement that the pure stages make, as the server gets it, for tables of all kinds: `tests/sql`. A change of a
//! statement shows there. `TANDEM_TEST_BLESS=1` writes the files anew: look at what changed before it is kept.

mod golden;
mod made;
mod tables;
