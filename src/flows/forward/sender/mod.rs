//! Batches to the cloud: the machine decides, here are its connection and its clock.

mod in_flight;
mod large_transaction;
mod log;
pub mod machine;
mod parked;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::batcher::{Chunk, WorkItem, no_room};
use crate::apply::{Applied, Applier, Lease, Script};
use crate::failpoint;
use crate::fault::{Fault, Kind, Side};
use crate::flows::copy::{Merge, Merged, Ready};
use crate::flows::counters::Counters;
use crate::fold::StreamState;
use crate::limits;
use crate::model::{Committed, Lsn, Recovery, TableId, TableStop, Tables};
use crate::plan::TransactionSettings;
use crate::spill::Spill;
use in_flight::{Completion, InFlight, TaskResult};
use large_transaction::{JobError, stage};
use machine::{Command, Distance, Done, Errand, Event, ExclusiveJob, JobResult, Machine};
pub use parked::parked;
use tokio::time::timeout;

/// Writes batches one behind the other.
pub(super) struct Sender {
    machine: Machine,
    tables: Arc<Tables>,
    line: InFlight,
    durable: Committed,
    progress: Arc<AtomicU64>,
    /// Part of a transaction that has to take another way, and why a session ends that can't go on with one.
    refused: Option<Box<Chunk>>,
    ended: Option<Fault>,
    meter: Arc<Counters>,
}

/// What became of something that was sent.
pub(super) enum Outcome {
    /// The cloud has more, or more of it for good.
    Committed,
    /// A batch is in the cloud, and a table has to be copied anew.
    CopyAgain(String),
    /// Something else has been done, or the same batch is on its way in another form.
    Again,
}

impl Sender {
    pub(super) fn new(
        applier: Applier,
        writes: (TransactionSettings, Lease),
        tables: Arc<Tables>,
        book: StreamState,
        checkpoint: Committed,
        (distance, meter): (Distance, Arc<Counters>),
    ) -> Sender {
        let (from, now) = (checkpoint.lsn(), Instant::now());
        Sender {
            machine: Machine::new(writes, tables.clone(), book, from, distance, now),
            tables,
            line: InFlight::new(applier),
            durable: checkpoint,
            progress: Arc::default(),
            refused: None,
            ended: None,
            meter,
        }
    }

    /// What the cloud has, though a crash may take back what is beyond [`Sender::durable`].
    pub(super) fn checkpoint(&self) -> Lsn {
        self.machine.checkpoint()
    }

    /// What the cloud has for good.
    pub(super) fn durable(&self) -> Committed {
        self.durable
    }

    /// When [`Sender::flush`] has something to do; none while all that the cloud has is there for good.
    pub(super) fn flush_due(&self) -> Option<Instant> {
        self.machine.flush_due()
    }

    /// What the cloud has is written to its disk.
    pub(super) fn flush(&mut self) {
        self.machine.flush(Instant::now());
        self.carry_out();
    }

    /// Changes of this table are only counted as missed.
    pub(super) fn is_stopped(&self, table: TableId) -> bool {
        self.machine.book().is_stopped(table)
    }

    /// Something is on its way, or waits to be sent again.
    pub(super) fn is_busy(&self) -> bool {
        self.machine.is_busy()
    }

    /// Another batch can be sent.
    pub(super) fn has_room(&self) -> bool {
        self.machine.has_room(self.line.has_room(), Instant::now())
    }

    /// Part of a transaction can be sent, the `first` or another one.
    pub(super) fn takes_chunk(&self, first: bool) -> bool {
        let room = self.line.has_room();
        self.machine.takes_chunk(first, room, Instant::now())
    }

    /// A transaction goes in one pass, and isn't through.
    pub(super) fn is_passing(&self) -> bool {
        self.machine.is_passing()
    }

    /// The cloud has something to do.
    pub(super) fn is_owed(&self) -> bool {
        self.machine.is_owed()
    }

    /// When it should be, while others are on their way.
    pub(super) fn next(&self) -> Instant {
        self.machine.next()
    }

    /// No batch waits longer than this for others from now on.
    pub(super) fn limit_pauses(&mut self, most: Duration) {
        self.machine.limit_pauses(most);
    }

    /// Changes while the cloud takes a large transaction piece by piece: it is not silent then.
    pub(super) fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Tables that have stopped until they fit again, since this was asked last.
    pub(super) fn take_halted(&mut self) -> Vec<(String, Recovery)> {
        self.machine.take_halted()
    }

    /// Tables that can't go on, seen from outside: they stop with the next batch. Says whether any is new.
    pub(super) fn halt_later(&mut self, halts: Vec<TableStop>) -> bool {
        self.machine.halt_later(halts)
    }

    /// Sends what is next; [`Sender::outcome`] tells what became of it. Gives back the first part of a transaction that has to
    /// take another way.
    ///
    /// # Errors
    /// When a transaction can't go on in one pass.
    pub(super) fn write(&mut self, unit: WorkItem) -> Result<Option<Box<Chunk>>, Fault> {
        self.machine.write(unit);
        self.carry_out();
        match self.ended.take() {
            Some(fault) => Err(fault),
            None => Ok(self.refused.take()),
        }
    }

    pub(super) fn replay(&mut self, held: Box<Spill>) {
        self.machine.write(WorkItem::Large(held));
        self.carry_out();
    }

    /// When [`Sender::try_parked`] has something to do; none while nothing is parked.
    pub(super) fn parked_due(&self) -> Option<Instant> {
        self.machine.parked_due()
    }

    /// Tries parked rows again.
    pub(super) fn try_parked(&mut self) {
        self.machine.try_parked(Instant::now());
        self.carry_out();
    }

    /// With each heartbeat, while nothing else is on its way: a column may be wider now than when the session began.
    pub(super) fn see_what_is_wider(&mut self) {
        self.machine.see_what_is_wider(Instant::now());
        self.carry_out();
    }

    /// Does what the machine asks for, as far as there is room.
    fn carry_out(&mut self) {
        while let Some(command) = self.machine.poll(self.line.has_room(), Instant::now()) {
            match command {
                Command::Send(outgoing) => {
                    let script = self.machine.script(outgoing);
                    self.line.send(script);
                    self.machine.sent(Instant::now());
                }
                Command::SendChunk(outgoing) => {
                    let script = self.machine.chunk_script(outgoing);
                    self.line.send(script);
                    failpoint::reach("chunk_sent");
                }
                Command::TakeBack(chunk) => self.refused = Some(chunk),
                Command::GiveUp(fault) => self.ended = Some(fault),
                Command::Run(errand, script) => {
                    if let Errand::Large { .. } = errand {
                        failpoint::reach("large_sent");
                    }
                    self.run(script);
                }
                Command::Stage(spill) => self.stage(spill),
            }
        }
    }

    fn run(&mut self, script: Script) {
        self.line.go(|mut applier: Applier| async move {
            let done = applier.run(script).await.map_err(JobError::from);
            (applier, done.map(TaskResult::Applied))
        });
    }

    fn stage(&mut self, spill: Box<Spill>) {
        let (opening, lease, tables) = self.machine.settings();
        let (opening, lease, tables) = (opening.clone(), lease.clone(), tables.clone());
        let (book, progress) = (self.machine.book().clone(), self.progress.clone());
        self.line.go(|mut applier: Applier| async move {
            let staged = stage(
                &mut applier,
                spill,
                &tables,
                &book,
                (&opening, &lease),
                &progress,
            )
            .await;
            (applier, staged.map(|job| TaskResult::Staged(Box::new(job))))
        });
    }

    /// Merges copies of tables, while nothing else is on its way.
    pub(super) fn merge(&mut self, ready: Ready) {
        let copied = ready.copies.iter().map(|copy| copy.staged.table());
        self.machine.merge(copied.collect());
        let (opening, lease, tables) = self.machine.settings();
        let (opening, lease, tables) = (opening.clone(), lease.clone(), tables.clone());
        let stopped = self.machine.book().stopped().clone();
        self.line.go(|mut applier: Applier| async move {
            let merge = Merge {
                applier: &mut applier,
                opening: &opening,
                lease: &lease,
                tables: &tables,
                stopped,
                before: ready.sight.before,
                snapshot: Some(ready.sight.snapshot.to_string()),
                pending: ready.pending,
                alone: true,
                unfit: BTreeSet::new(),
            };
            let merged = merge_ready(merge, &ready).await;
            (
                applier,
                merged.map(TaskResult::Merged).map_err(JobError::Fault),
            )
        });
    }

    /// Waits for the cloud's next answer. Safe to cancel.
    pub(super) async fn outcome(&mut self) -> Result<Outcome, Fault> {
        let (event, committed) = match self.line.landing(self.machine.awaits_batch()).await {
            Completion::Batch(Ok(done)) => {
                if self.machine.is_passing() {
                    self.progress.fetch_add(1, Ordering::Relaxed);
                }
                let (done, committed) = split(done);
                (Event::Committed(done), committed)
            }
            Completion::Batch(Err(error)) => (Event::NotCommitted(error), None),
            Completion::Task(Ok(TaskResult::Applied(done))) => {
                if let Some(ExclusiveJob::Large(_)) = self.machine.exclusive() {
                    failpoint::reach("large_committed");
                }
                let (done, committed) = split(done);
                (Event::JobDone(JobResult::Applied(done)), committed)
            }
            Completion::Task(Ok(TaskResult::Staged(job))) => {
                (Event::JobDone(JobResult::Staged(job)), None)
            }
            Completion::Task(Ok(TaskResult::Merged(Merged { stopped, unfit }))) => {
                (Event::JobDone(JobResult::Merged { stopped, unfit }), None)
            }
            Completion::Task(Err(JobError::Apply(error))) => (Event::JobFailed(error), None),
            Completion::Task(Err(JobError::Fault(fault))) => return Err(fault),
            Completion::Task(Err(JobError::Disk(error))) => return Err(no_room(&error)),
            Completion::Lost(lost) => return Err(in_flight::lost(lost)),
        };
        let outcome = self.machine.take(event, Instant::now());
        for note in self.machine.take_notes() {
            log::tell(note, &self.tables, &self.meter);
        }
        self.durable = committed.unwrap_or(self.durable);
        let outcome = match outcome? {
            machine::Outcome::Again => Outcome::Again,
            machine::Outcome::Committed => Outcome::Committed,
            machine::Outcome::CopyAgain(why) => Outcome::CopyAgain(why),
        };
        self.carry_out();
        Ok(outcome)
    }

    /// Waits for the batches that are on their way. A large transaction that is still being staged, or of which not all was
    /// sent, is given up: nothing of it is in its tables.
    ///
    /// # Errors
    /// Why they don't arrive; a cloud in which nothing moved for [`limits::UNCONFIRMED_MAX`] is waited for no longer.
    pub(super) async fn finish(&mut self) -> Result<Committed, Fault> {
        if self.machine.close() {
            self.line.give_up();
        }
        self.land_all().await?;
        if self.machine.flush_due().is_some() {
            self.flush();
            self.land_all().await?;
        }
        Ok(self.durable)
    }

    /// Waits until nothing is on its way any more, as long as something moves.
    async fn land_all(&mut self) -> Result<(), Fault> {
        while !self.machine.is_idle() {
            let progress = self.progress();
            match timeout(limits::UNCONFIRMED_MAX, self.outcome()).await {
                Ok(outcome) => drop(outcome?),
                Err(_) if self.progress() != progress => {}
                Err(_) => return Err(silent()),
            }
        }
        Ok(())
    }

    pub(super) async fn close(self) {
        self.line.close().await;
    }
}

/// Nothing moved for as long as that is waited for. Whether the cloud has what was on its way, it says at the next start.
pub(super) fn silent() -> Fault {
    let silence = format!(
        "the cloud has confirmed nothing for {} s",
        limits::UNCONFIRMED_MAX.as_secs()
    );
    Fault::new(Kind::Transient(Side::Cloud), silence)
}

/// What the machine learns, and what proves it.
fn split(done: Applied) -> (Done, Option<Committed>) {
    let what = Done {
        checkpoint: done.reached,
        answers: done.answers,
    };
    (what, done.committed)
}

/// Stages which rows changed meanwhile, and merges.
async fn merge_ready(mut merge: Merge<'_>, ready: &Ready) -> Result<Merged, Fault> {
    for copy in ready.copies.iter().filter(|copy| copy.touched) {
        let names = ready.touched.of(copy.staged.table());
        merge.note_touched(copy, names).await?;
    }
    for (wanted, refusal) in &ready.unread {
        let asker = (&wanted.how, &wanted.asked[..]);
        merge.unread(wanted.table, asker, refusal.clone()).await?;
    }
    merge.all(&ready.copies).await
}
