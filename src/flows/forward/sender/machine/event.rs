//! What was answered, and what it comes to.

use std::collections::BTreeSet;

use super::attempt::LargeJob;
use crate::apply::{Answer, ApplyError};
use crate::model::{Lsn, TableId};

/// What a committed transaction answered.
pub struct Done {
    /// The checkpoint that it left, where it moved it.
    pub checkpoint: Option<Lsn>,
    /// What its statements answered, in their order.
    pub answers: Vec<Answer>,
}

/// Something was answered.
pub enum Event {
    /// The batch that was sent first is in the cloud, or the cloud has taken that part of a large transaction.
    Committed(Done),
    /// It isn't, and so are none of those that were sent behind it.
    NotCommitted(ApplyError),
    /// What had the connection for itself is done.
    JobDone(JobResult),
    /// It isn't.
    JobFailed(ApplyError),
}

/// What a job came to that had the connection for itself.
pub enum JobResult {
    /// A transaction was committed.
    Applied(Done),
    /// A large transaction is in the staging table.
    Staged(Box<LargeJob>),
    /// Copies are merged.
    Merged {
        /// Tables that nothing is written to.
        stopped: BTreeSet<TableId>,
        /// Those of them that go on when both sides fit.
        unfit: BTreeSet<TableId>,
    },
}

/// What became of something that was sent.
#[derive(Debug)]
pub enum Outcome {
    /// A batch is in the cloud.
    Committed,
    /// A batch is in the cloud, and a table has to be copied anew.
    CopyAgain(String),
    /// Something else has been done, or the same batch is on its way in another form.
    Again,
}
