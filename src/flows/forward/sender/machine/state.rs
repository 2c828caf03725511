//! What the machine knows: where the cloud is, what waits, and what is on its way.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempt::{Attempt, BatchJob, ExclusiveJob};
use super::command::Command;
use super::durable::Flushes;
use super::notes::Note;
use super::pacing::Pace;
use crate::apply::Lease;
use crate::flows::forward::batcher::{Chunk, HeldMemory};
use crate::fold::{Classifier, StreamState};
use crate::model::{Counts, Lsn, Recovery, TableId, TableStop, Tables};
use crate::plan::{Planner, TransactionSettings};

/// Decides what is sent next.
pub struct Machine {
    pub(super) opening: TransactionSettings,
    pub(super) lease: Lease,
    pub(super) tables: Arc<Tables>,
    pub(super) book: StreamState,
    pub(super) sorter: Classifier,
    pub(super) planner: Planner,
    /// What the cloud has...
    pub(super) checkpoint: Lsn,
    /// ...and how much of that is there for good.
    pub(super) flushes: Flushes,
    /// What it has when all that is on its way is committed.
    pub(super) sent: Lsn,
    /// Batches that wait to be sent (again), in their order.
    pub(super) queue: VecDeque<BatchJob>,
    /// Batches on their way, in their order.
    pub(super) flights: VecDeque<SentBatch>,
    /// A large transaction that is sent as it comes, and what has come of it last.
    pub(super) pass: Option<OnePass>,
    pub(super) chunk: Option<Box<Chunk>>,
    /// What has the connection for itself.
    pub(super) exclusive: Option<ExclusiveJob>,
    /// What has to be done for it.
    pub(super) order: Option<Command>,
    pub(super) closing: bool,
    pub(super) pace: Pace,
    /// When parked rows are tried again.
    pub(super) retry_at: Instant,
    /// Tables whose parked rows are being tried, one after the other.
    pub(super) retrying: VecDeque<TableId>,
    /// After the next try in vain.
    pub(super) retry_pause: Duration,
    /// When rows that were written without their parents are looked at, whoever may have written these.
    pub(super) heal_at: Instant,
    /// Tables that stop with the next batch.
    pub(super) halting: Vec<TableStop>,
    /// Tables that have stopped until they fit again, and weren't told yet.
    pub(super) halted: Vec<(String, Recovery)>,
    pub(super) notes: Vec<Note>,
}

/// A batch that was sent.
pub(super) struct SentBatch {
    pub(super) job: BatchJob,
    pub(super) sent: Instant,
    /// Nothing may follow it before it is answered.
    pub(super) alone: bool,
    /// Its COMMIT waits for the disk.
    pub(super) flush: bool,
}

/// A transaction of which a part was sent.
#[derive(Default)]
pub(super) struct OnePass {
    /// Chunks on their way, in their order.
    pub(super) flights: VecDeque<SentChunk>,
    /// What became of the messages so far.
    pub(super) counts: BTreeMap<TableId, Counts>,
    /// Its last chunk is on its way.
    pub(super) is_whole: bool,
}

pub(super) struct SentChunk {
    /// Given back when it is answered.
    pub(super) _memory: HeldMemory,
    /// How the transaction ends, with the last one.
    pub(super) end: Option<Attempt>,
}
