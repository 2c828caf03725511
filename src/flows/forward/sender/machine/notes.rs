//! What happened that somebody may want to read, or count.

use std::time::Duration;

use crate::model::{TableId, TableStop};
use crate::wire::ServerError;

/// Something for the log, or for the metrics.
#[derive(Debug)]
pub enum Note {
    /// A batch is in the cloud.
    Batch {
        /// How long that took, from being sent to being committed.
        took: Duration,
        /// Row changes in it.
        changes: usize,
    },
    /// The cloud refused something, which gets another form.
    Refused {
        /// The step of the batch.
        step: Option<usize>,
        /// What the cloud said.
        error: Box<ServerError>,
    },
    /// Parked rows, or what is left in the staging table, have to wait.
    NotNow(Box<ServerError>),
    /// A table has stopped.
    Stopped(TableStop),
    /// Rows were refused alone, and wait in the quarantine.
    Quarantined {
        /// Their table.
        table: TableId,
        /// How many.
        rows: usize,
        /// The first one's key, for a person.
        key: String,
        /// Why the cloud refused that: the SQLSTATE...
        sqlstate: String,
        /// ...and its words.
        why: String,
    },
}
