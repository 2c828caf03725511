//! What has to be done in the cloud.

use std::collections::BTreeSet;

use crate::apply::Script;
use crate::fault::Fault;
use crate::flows::forward::batcher::Chunk;
use crate::model::{Batch, Lsn, Step, TableId, TableStop};
use crate::spill::Spill;

/// What has to be done in the cloud.
pub enum Command {
    /// Send a batch behind those that are on their way; [`super::Machine::script`] has its statements.
    Send(Outgoing),
    /// Send part of a transaction behind the others of it; [`super::Machine::chunk_script`] has its statements.
    SendChunk(OutgoingChunk),
    /// A transaction can't go in one pass, and nothing of it was sent: it takes another way.
    TakeBack(Box<Chunk>),
    /// A transaction can't go on in one pass: the session ends, and with it what was sent.
    GiveUp(Fault),
    /// Run a transaction while nothing else is on its way.
    Run(Errand, Script),
    /// Stage a large transaction, while nothing else is on its way.
    Stage(Box<Spill>),
}

/// A batch in the form in which it is sent.
#[derive(Debug)]
pub struct Outgoing {
    /// Where the checkpoint must stand before it...
    pub from: Lsn,
    /// ...and what takes it to its end.
    pub batch: Batch,
    /// Steps that are tried row by row.
    pub row_by_row: BTreeSet<usize>,
    /// Constraints are asked with each statement.
    pub at_once: bool,
    /// Tables that stop with it.
    pub stops: Vec<TableStop>,
    /// Its end renews the lease.
    pub renews: bool,
    /// Its COMMIT waits for the disk.
    pub flush: bool,
}

/// What a transaction is for that has the connection for itself.
#[derive(Debug)]
pub enum Errand {
    /// A large transaction goes from the staging table into its tables.
    Large {
        /// Where the checkpoint must stand before it.
        from: Lsn,
        /// Where it stands after it.
        to: Lsn,
        /// Steps that are tried row by row.
        row_by_row: BTreeSet<usize>,
        /// Tables that stop with it.
        stops: Vec<TableStop>,
    },
    /// The staging table is emptied.
    Unstage,
    /// Parked rows of these tables are tried again.
    Retry(Vec<TableId>),
    /// Rows whose parents came in another way get their references.
    Heal,
    /// What the cloud has is written to its disk.
    Flush,
    /// Is a column wider now?
    Widened,
}

/// Part of a transaction in the form in which it is sent.
#[derive(Debug)]
pub struct OutgoingChunk {
    /// The cloud's transaction begins with it.
    pub begins: bool,
    /// What it writes.
    pub steps: Vec<Step>,
    /// Where the transaction commits on the desktop.
    pub commit: Lsn,
    /// The last one has where the checkpoint must stand, and what takes it to the transaction's end.
    pub end: Option<(Lsn, Batch)>,
}
