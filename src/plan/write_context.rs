//! What the statements of a batch share: whose they are, and how long rows may be tried.

use std::time::Duration;

use crate::model::Lsn;

/// How the steps of a batch are to be written.
pub struct WriteContext<'a> {
    /// Whose rows they are in the staging table and the quarantine.
    pub replicator: &'a str,
    /// Our turn.
    pub epoch: u64,
    /// Where the batch ends: noted with rows that are parked.
    pub end: Lsn,
    /// How long rows are tried one by one before the table is given up.
    pub patience: Duration,
    /// The rows are parked already: as many are tried as there is time for.
    pub again: bool,
}
