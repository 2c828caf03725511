//! What is sent to the cloud, in what form, and what becomes of it. Pure: whoever drives the machine has the connection
//! and the clock, carries out its commands, and tells it what was answered.
//!
//! ```text
//!  Machine::write ──► queue ──► Machine::poll ──► Command::Send ──► batches on their way
//!                      ▲  ▲                                             │
//!        another form  │  └── void: what was sent behind a refused one ─┤
//!                      └───── Event::NotCommitted ◄─────────────────────┤
//!                             Event::Committed ──► checkpoint ◄─────────┘
//! ```
//!
//! Beside batches there is what needs the connection for itself ([`ExclusiveJob`]): a large transaction, rows of the quarantine that
//! are tried again, copies that are merged. `tests/pure/simulation` drives all this with clouds that lose answers.

mod attempt;
mod command;
mod durable;
mod event;
mod flush;
mod halts;
mod notes;
mod one_pass;
mod pacing;
mod quarantine;
mod refusal;
mod retry;
mod script;
mod state;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use crate::flows::forward::batcher::{Chunk, PendingBatch, WorkItem};
pub use attempt::{Attempt, BatchJob, ExclusiveJob, LargeJob};
pub use command::{Command, Errand, Outgoing, OutgoingChunk};
pub use event::{Done, Event, JobResult, Outcome};
pub use notes::Note;
pub use pacing::Distance;
pub use state::Machine;

use crate::apply::{ApplyError, Lease};
use crate::fault::{Fault, blames_table};
use crate::flows::copy::{is_ours, not_applied};
use crate::fold::{Classifier, StreamState};
use crate::limits;
use crate::model::{Batch, Lsn, Recovery, TableId, Tables};
use crate::plan::{Planner, TransactionSettings};
use durable::Flushes;
use pacing::Pace;
pub(super) use quarantine::PARKED;
pub use quarantine::read_parked;
use refusal::copy_moved;
use retry::none_is_wider;
use state::SentBatch;

impl Machine {
    /// A stream that goes on at the checkpoint.
    pub fn new(
        (opening, lease): (TransactionSettings, Lease),
        tables: Arc<Tables>,
        book: StreamState,
        checkpoint: Lsn,
        distance: Distance,
        now: Instant,
    ) -> Machine {
        Machine {
            opening,
            lease,
            tables,
            book,
            sorter: Classifier::default(),
            planner: Planner::default(),
            checkpoint,
            flushes: Flushes::new(checkpoint, now),
            sent: checkpoint,
            queue: VecDeque::new(),
            flights: VecDeque::new(),
            pass: None,
            chunk: None,
            exclusive: None,
            order: None,
            closing: false,
            pace: Pace::new(now, &distance),
            retry_at: now,
            retrying: VecDeque::new(),
            retry_pause: limits::PARKED_RETRY_EVERY,
            heal_at: now,
            halting: Vec::new(),
            halted: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// What is known of the tables: which have stopped, and which of their rows wait.
    pub fn book(&self) -> &StreamState {
        &self.book
    }

    /// What the cloud has.
    pub fn checkpoint(&self) -> Lsn {
        self.checkpoint
    }

    pub(super) fn settings(&self) -> (&TransactionSettings, &Lease, &Arc<Tables>) {
        (&self.opening, &self.lease, &self.tables)
    }

    /// What has the connection for itself.
    pub fn exclusive(&self) -> Option<&ExclusiveJob> {
        self.exclusive.as_ref()
    }

    /// Batches are on their way, or parts of a large transaction.
    pub fn awaits_batch(&self) -> bool {
        !self.flights.is_empty() || self.has_chunks_out()
    }

    /// The cloud has something to do, or gets it before anything new.
    pub fn is_owed(&self) -> bool {
        let out = !self.flights.is_empty() || self.has_chunks_out();
        out || self.exclusive.is_some() || !self.queue.is_empty()
    }

    /// Nothing is on its way.
    pub fn is_idle(&self) -> bool {
        let passes = self.pass.is_some() || self.chunk.is_some();
        self.flights.is_empty() && self.exclusive.is_none() && !passes
    }

    /// Something is on its way, or waits to be sent again.
    pub fn is_busy(&self) -> bool {
        !self.is_idle() || !self.queue.is_empty()
    }

    /// More can be taken. `room`: the connection takes another batch behind those that are on their way.
    pub fn has_room(&self, room: bool, now: Instant) -> bool {
        self.queue.is_empty() && self.may_send(room) && !self.closing && !self.wants_quiet(now)
    }

    /// A batch that others may follow can be sent.
    fn may_send(&self, room: bool) -> bool {
        // Nothing would come that could wake us, so what became void and still waits there doesn't count.
        let room = self.flights.is_empty() || room && self.flights.len() < self.pace.depth();
        room && self.exclusive.is_none()
            && self.pass.is_none()
            && self.flights.iter().all(|flight| !flight.alone)
    }

    /// When the next batch should be sent, while others are on their way.
    pub fn next(&self) -> Instant {
        self.pace.next()
    }

    /// No batch waits longer than this for others from now on.
    pub fn limit_pauses(&mut self, most: Duration) {
        self.pace.limit(most);
    }

    /// What happened that somebody may want to read, or count, since this was asked last.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Takes what is written next.
    pub fn write(&mut self, unit: WorkItem) {
        match unit {
            WorkItem::Batch(gathered) => self.queue.push_back(BatchJob::new(gathered)),
            WorkItem::Large(spill) => {
                self.exclusive = Some(ExclusiveJob::Stage);
                self.order = Some(Command::Stage(spill));
            }
            WorkItem::Chunk(chunk) => self.chunk = Some(chunk),
        }
    }

    /// Copies of tables are being merged, by whoever drives the machine, while nothing else is on its way.
    pub fn merge(&mut self, tables: Vec<TableId>) {
        self.exclusive = Some(ExclusiveJob::Merge(tables));
    }

    /// Nothing more is sent. Says whether a large transaction is given up that is still being staged, or of which only a part
    /// was sent: nothing of it is in its tables.
    pub fn close(&mut self) -> bool {
        self.closing = true;
        let staged = self
            .exclusive
            .take_if(|job| matches!(job, ExclusiveJob::Stage));
        self.leave_pass() || staged.is_some()
    }

    /// What has to be done next; asked until there is nothing. `room` as in [`Machine::has_room`].
    pub fn poll(&mut self, room: bool, now: Instant) -> Option<Command> {
        if let Some(order) = self.order.take() {
            return Some(order);
        }
        if let Some(chunk) = self.chunk.take() {
            return Some(self.next_chunk(chunk));
        }
        if !self.may_send(room) || self.closing {
            return None;
        }
        let idle = self.is_idle();
        // Tables stop when nothing is on its way that might have to be formed anew.
        if !idle && !self.halting.is_empty() {
            return None;
        }
        let mut job = self.queue.pop_front()?;
        if idle {
            for halt in std::mem::take(&mut self.halting) {
                self.halt(&mut job.form, halt);
            }
        }
        let halts = job.form.halts.len();
        let (batch, tried) = self.fold(&mut job);
        let alone = job.is_decisive(&tried);
        if alone && !idle {
            self.book.look_again();
            job.form.halts.truncate(halts);
            self.queue.push_front(job);
            return None;
        }
        self.book.stop_for_good();
        let flush = self.flushes.takes(&job, alone, now);
        let long = alone || job.changes() >= limits::RENEWING_CHANGES;
        let outgoing = Outgoing {
            from: self.sent,
            // A batch may take longer than the lease's term: its end renews it once more.
            renews: long && !batch.steps.is_empty(),
            batch,
            row_by_row: tried,
            at_once: job.form.at_once,
            stops: job.form.halts.clone(),
            flush,
        };
        self.sent = outgoing.batch.end;
        self.flights.push_back(SentBatch {
            job,
            sent: now,
            alone,
            flush,
        });
        Some(Command::Send(outgoing))
    }

    /// The batch of the last [`Command::Send`] is on its way.
    pub fn sent(&mut self, now: Instant) {
        if let Some(flight) = self.flights.back_mut() {
            flight.sent = now;
            self.pace.sent(now);
        }
    }

    /// Folds a batch, and says which of its steps are tried row by row.
    fn fold(&mut self, job: &mut BatchJob) -> (Batch, BTreeSet<usize>) {
        loop {
            let batch = job.fold(&self.tables, &mut self.sorter, &mut self.book);
            let tried = job.form.tried(&batch.steps, &self.tables);
            job.note((&batch, &tried), &self.tables, &self.book);
            let Some(moved) = tried.intersection(&job.form.rekey_steps).next() else {
                return (batch, tried);
            };
            // The row that it moves, or the one in whose place it goes, is in the quarantine.
            let table = batch.steps[*moved].table;
            let why = "a row under its old or new key is in the quarantine";
            job.form.halts.push(copy_moved(table, why));
            job.form.row_by_row.clear();
            self.book.stop_for_now(table);
        }
    }

    /// Takes what was answered. After a fault nothing more is to be sent: what stands behind a refused batch would go
    /// without it.
    ///
    /// # Errors
    /// When no other form of what was sent helps: the session ends.
    pub fn take(&mut self, event: Event, now: Instant) -> Result<Outcome, Fault> {
        match event {
            Event::Committed(done) if self.pass.is_some() => self.chunk_taken(&done, now),
            Event::NotCommitted(error) if self.pass.is_some() => Err(self.chunk_refused(error)),
            Event::Committed(done) => {
                let answered = self.answered(now);
                let Some(SentBatch {
                    job, sent, flush, ..
                }) = answered
                else {
                    return Err(not_applied(ApplyError::Undone));
                };
                self.notes.push(Note::Batch {
                    took: now.saturating_duration_since(sent),
                    changes: job.changes(),
                });
                self.committed((job.form, flush), &done, now)
            }
            Event::NotCommitted(error) => match self.answered(now) {
                Some(SentBatch { job, .. }) => self.not_committed(job, error),
                None => Err(not_applied(error)),
            },
            Event::JobDone(result) => match self.exclusive.take() {
                Some(job) => self.done(job, result, now),
                None => Err(not_applied(ApplyError::Undone)),
            },
            Event::JobFailed(error) => match self.exclusive.take() {
                Some(job) => self.failed(job, error),
                None => Err(not_applied(error)),
            },
        }
    }

    /// The answer to the batch that was sent first is there.
    fn answered(&mut self, now: Instant) -> Option<SentBatch> {
        let flight = self.flights.pop_front()?;
        self.pace.answered(flight.sent, now);
        Some(flight)
    }

    /// A batch was refused. Those behind it are sent again when it is through.
    fn not_committed(&mut self, job: BatchJob, error: ApplyError) -> Result<Outcome, Fault> {
        for void in self.flights.drain(..).rev() {
            self.queue.push_front(void.job);
        }
        self.sent = self.checkpoint;
        let ApplyError::Refused { table, step, error } = error else {
            return Err(not_applied(error));
        };
        self.reform_batch(job, (table, step), &error)?;
        Ok(Outcome::Again)
    }

    fn done(
        &mut self,
        job: ExclusiveJob,
        result: JobResult,
        now: Instant,
    ) -> Result<Outcome, Fault> {
        match (job, result) {
            (_, JobResult::Staged(large)) => {
                self.send_large(large);
                Ok(Outcome::Again)
            }
            (ExclusiveJob::Retry(tables), JobResult::Applied(done)) => {
                self.tried(&tables, &done, now)?;
                Ok(Outcome::Again)
            }
            (ExclusiveJob::Merge(tables), JobResult::Merged { stopped, unfit }) => {
                for table in tables {
                    self.book.resume(table);
                }
                for table in stopped {
                    self.book.stop(table);
                }
                let name = |table| self.tables.get(table).name.clone();
                let unfit =
                    { unfit.into_iter() }.map(|table| (name(table), Recovery::WhenAccepted));
                self.halted.extend(unfit);
                self.clear_staging();
                self.retry_soon(now);
                Ok(Outcome::Again)
            }
            (ExclusiveJob::Widened, JobResult::Applied(done)) => none_is_wider(&done),
            (ExclusiveJob::Flush, JobResult::Applied(_)) => {
                self.flushes.reached(self.checkpoint);
                Ok(Outcome::Committed)
            }
            (ExclusiveJob::Unstage, JobResult::Applied(done)) => {
                self.reload(None, &done)?;
                Ok(Outcome::Again)
            }
            (ExclusiveJob::Large(job), JobResult::Applied(done)) => {
                let outcome = self.committed((job.form, true), &done, now);
                self.clear_staging();
                outcome
            }
            (ExclusiveJob::Stage | ExclusiveJob::Merge(_), JobResult::Applied(_))
            | (_, JobResult::Merged { .. }) => Err(not_applied(ApplyError::Undone)),
        }
    }

    fn failed(&mut self, job: ExclusiveJob, error: ApplyError) -> Result<Outcome, Fault> {
        let ApplyError::Refused { table, step, error } = error else {
            return Err(not_applied(error));
        };
        match job {
            ExclusiveJob::Retry(parked) if blames_table(&error) || is_ours(&error) => {
                // A table that would follow what its parent says now.
                if let Some(follower) = table.filter(|table| !parked.contains(table)) {
                    let halt = self.why(follower, &error);
                    self.halt_later(vec![halt]);
                }
                self.notes.push(Note::NotNow(error));
                Ok(Outcome::Again)
            }
            ExclusiveJob::Unstage if blames_table(&error) => {
                self.notes.push(Note::NotNow(error));
                Ok(Outcome::Again)
            }
            ExclusiveJob::Large(job) => {
                self.sent = self.checkpoint;
                self.reform_large(job, (table, step), &error)?;
                Ok(Outcome::Again)
            }
            ExclusiveJob::Stage
            | ExclusiveJob::Retry(_)
            | ExclusiveJob::Unstage
            | ExclusiveJob::Widened
            | ExclusiveJob::Flush
            | ExclusiveJob::Merge(_) => {
                Err(not_applied(ApplyError::Refused { table, step, error }))
            }
        }
    }

    fn committed(
        &mut self,
        (mut form, flush): (Attempt, bool),
        done: &Done,
        now: Instant,
    ) -> Result<Outcome, Fault> {
        let Some(committed) = done.checkpoint else {
            return Err(not_applied(ApplyError::Undone));
        };
        self.checkpoint = committed;
        if flush {
            self.flushes.reached(committed);
        }
        self.note_late(done, now);
        let copy = self.say_stopped(std::mem::take(&mut form.halts));
        self.settle(&form, done)?;
        if form.wakes_quarantine {
            self.retry_soon(now);
        }
        // What a column holds was asked when the session began; somebody may have widened it since.
        let copy = copy.or_else(|| {
            form.recheck_types
                .then(|| "rows that did not fit are tried again".to_owned())
        });
        Ok(copy.map_or(Outcome::Committed, Outcome::CopyAgain))
    }
}
