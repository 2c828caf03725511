//! One batch to the cloud, and what to do when the cloud refuses it.

mod in_flight;
mod large_transaction;
mod machine;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::batcher::{WorkItem, no_room};
use crate::apply::{Advance, Applied, Applier, ApplyError, Lease, Script, advance, assert_lease};
use crate::failpoint;
use crate::fault::{Fault, blames_table};
use crate::flows::copy::{Merge, Merged, Ready, is_ours, not_applied, stop_state};
use crate::flows::counters::Counters;
use crate::fold::{Classifier, StreamState};
use crate::limits;
use crate::model::{Batch, Committed, Lsn, Recovery, Statement, TableId, TableStop, Tables};
use crate::plan::{BatchForm, Planner, TransactionSettings, at_once, opening, table_state};
use crate::spill::Spill;
use in_flight::{Completion, InFlight, JobResult};
use large_transaction::{JobError, stage};
use machine::attempt::{Attempt, BatchJob, ExclusiveJob, LargeJob, manner};
use machine::quarantine as parking;
pub use machine::quarantine::parked;
use machine::refusal::copy_moved;
use machine::retry::none_is_wider;

/// Writes batches one behind the other.
pub(super) struct Sender {
    pub(super) opening: TransactionSettings,
    pub(super) lease: Lease,
    pub(super) tables: Arc<Tables>,
    pub(super) book: StreamState,
    sorter: Classifier,
    pub(super) planner: Planner,
    pub(super) checkpoint: Committed,
    line: InFlight,
    /// Batches that wait to be sent (again), in their order.
    queue: VecDeque<BatchJob>,
    sent: Lsn,
    closing: bool,
    /// When parked rows are tried again.
    pub(super) retry_at: Instant,
    /// Tables whose parked rows are being tried, one after the other.
    pub(super) retrying: VecDeque<TableId>,
    /// After the next try in vain.
    pub(super) retry_pause: Duration,
    /// When rows that were written without their parents are looked at, whoever may have written these.
    pub(super) heal_at: Instant,
    /// Tables that stop with the next batch.
    halting: Vec<TableStop>,
    progress: Arc<AtomicU64>,
    /// Tables that have stopped until they fit again, and weren't told yet.
    pub(super) halted: Vec<(String, Recovery)>,
}

/// What became of something that was sent.
pub(super) enum Outcome {
    /// A batch is in the cloud.
    Committed(Committed),
    /// A batch is in the cloud, and a table has to be copied anew.
    CopyAgain(String, Committed),
    /// Something else has been done, or the same batch is on its way in another form.
    Again,
}

impl Sender {
    pub(super) fn new(
        applier: Applier,
        opening: TransactionSettings,
        lease: Lease,
        tables: Arc<Tables>,
        book: StreamState,
        checkpoint: Committed,
        (pace, meter): ((Duration, Duration), Arc<Counters>),
    ) -> Sender {
        Sender {
            opening,
            lease,
            tables,
            book,
            sorter: Classifier::default(),
            planner: Planner::default(),
            checkpoint,
            line: InFlight::new(applier, pace, meter),
            queue: VecDeque::new(),
            sent: checkpoint.lsn(),
            closing: false,
            retry_at: Instant::now(),
            retrying: VecDeque::new(),
            retry_pause: limits::PARKED_RETRY_EVERY,
            heal_at: Instant::now(),
            halting: Vec::new(),
            progress: Arc::default(),
            halted: Vec::new(),
        }
    }

    /// Something is on its way, or waits to be sent again.
    pub(super) fn is_busy(&self) -> bool {
        !self.line.is_idle() || !self.queue.is_empty()
    }

    /// Another batch can be sent.
    pub(super) fn has_room(&self) -> bool {
        self.queue.is_empty() && self.line.has_room() && !self.closing && !self.wants_quiet()
    }

    /// When it should be, while others are on their way.
    pub(super) fn next(&self) -> Instant {
        self.line.next()
    }

    /// Changes while the cloud takes a large transaction piece by piece: it is not silent then.
    pub(super) fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Sends what is next; [`Sender::outcome`] tells what became of it.
    pub(super) fn write(&mut self, unit: WorkItem) {
        match unit {
            WorkItem::Batch(gathered) => {
                self.queue.push_back(BatchJob::new(gathered));
                self.send_queue();
            }
            WorkItem::Large(spill) => {
                let (tables, book) = (self.tables.clone(), self.book.clone());
                let (opening, lease) = (self.opening.clone(), self.lease.clone());
                let progress = self.progress.clone();
                self.line
                    .go(ExclusiveJob::Stage, |mut applier: Applier| async move {
                        let staged = stage(
                            &mut applier,
                            spill,
                            &tables,
                            &book,
                            (&opening, &lease),
                            &progress,
                        )
                        .await;
                        (applier, staged.map(|job| JobResult::Staged(Box::new(job))))
                    });
            }
        }
    }

    /// Merges copies of tables, while nothing else is on its way.
    pub(super) fn merge(&mut self, ready: Ready) {
        let copied = ready.copies.iter().map(|copy| copy.staged.table());
        let errand = ExclusiveJob::Merge(copied.collect());
        let (tables, stopped) = (self.tables.clone(), self.book.stopped().clone());
        let (opening, lease) = (self.opening.clone(), self.lease.clone());
        self.line.go(errand, |mut applier: Applier| async move {
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
                merged.map(JobResult::Merged).map_err(JobError::Fault),
            )
        });
    }

    pub(super) fn replay(&mut self, held: Box<Spill>) {
        self.write(WorkItem::Large(held));
    }

    /// Tables that can't go on, seen from outside: they stop with the next batch. Says whether any is new.
    pub(super) fn halt_later(&mut self, halts: Vec<TableStop>) -> bool {
        let known = |halt: &TableStop| self.halting.iter().any(|known| known.table == halt.table);
        let new = |halt: &TableStop| {
            !known(halt) && (halt.way == Recovery::Recopy || !self.book.is_stopped(halt.table))
        };
        let new: Vec<_> = halts.into_iter().filter(new).collect();
        let any = !new.is_empty();
        self.halting.extend(new);
        any
    }

    /// Sends what waits, as far as there is room.
    fn send_queue(&mut self) {
        while self.line.has_room() && !self.closing {
            let idle = self.line.is_idle();
            // Tables stop when nothing is on its way that might have to be formed anew.
            if !idle && !self.halting.is_empty() {
                return;
            }
            let Some(mut job) = self.queue.pop_front() else {
                return;
            };
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
                return;
            }
            self.book.stop_for_good();
            self.send_batch(job, batch, &tried, alone);
        }
    }

    fn send_batch(
        &mut self,
        job: BatchJob,
        mut batch: Batch,
        tried: &BTreeSet<usize>,
        alone: bool,
    ) {
        let start = self.start_of(&batch, job.form.at_once);
        // A batch may take longer than the lease's term: its end renews it once more.
        let long = alone || job.changes() >= limits::RENEWING_CHANGES;
        let renewal = (long && !batch.steps.is_empty()).then(|| assert_lease(&self.lease));
        let (steps, counts) = (std::mem::take(&mut batch.steps), &batch.counts);
        let book = &self.book;
        let form = BatchForm {
            row_by_row: tried,
            stopped: &|table| book.is_stopped(table),
        };
        let manner = manner(&self.lease, batch.end);
        let planner = &mut self.planner;
        let rows = planner.statements(steps, counts, &self.tables, &manner, &form);
        let stops = self.stops(&job.form.halts);
        let statements = start.into_iter().chain(rows).chain(stops).chain(renewal);
        self.sent = batch.end;
        let script = Script::moving(statements, batch.end);
        self.line.send(job, script, alone);
    }

    /// Folds a batch, and says which of its steps are tried row by row.
    fn fold(&mut self, job: &mut BatchJob) -> (Batch, BTreeSet<usize>) {
        loop {
            let batch = job.fold(&self.tables, &mut self.sorter, &mut self.book);
            job.note(&batch, &self.tables, &self.book);
            let tried = job.form.tried(&batch.steps, &self.tables);
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

    /// The table stops, with what is sent next.
    fn halt(&mut self, form: &mut Attempt, halt: TableStop) {
        self.book.stop(halt.table);
        form.halts.push(halt);
        // Steps have other numbers without it.
        form.row_by_row.clear();
    }

    /// Carries out a staged transaction.
    fn send_large(&mut self, job: Box<LargeJob>) {
        let (batch, statements) = job.statements(&self.tables, &self.book, &self.lease);
        let mut all = self.start_of(&batch, job.form.at_once);
        all.extend(statements);
        let settles = job
            .facts
            .settles
            .iter()
            .map(|table| self.tables.get(*table));
        if !job.facts.settles.is_empty() {
            all.push(table_state::settle(&self.lease.replicator, settles));
        }
        all.extend(self.stops(&job.form.halts));
        all.push(assert_lease(&self.lease));
        for halt in &job.form.halts {
            self.book.stop(halt.table);
        }
        self.sent = batch.end;
        failpoint::reach("large_sent");
        self.run(ExclusiveJob::Large(job), Script::moving(all, batch.end));
    }

    fn stops(&self, halts: &[TableStop]) -> Vec<Statement> {
        let stop = |halt: &TableStop| {
            let table = self.tables.get(halt.table);
            stop_state(&self.lease.replicator, table, halt.way, &halt.why)
        };
        halts.iter().map(stop).collect()
    }

    fn run(&mut self, errand: ExclusiveJob, script: Script) {
        self.line.go(errand, |mut applier: Applier| async move {
            let done = applier.run(script).await.map_err(JobError::from);
            (applier, done.map(JobResult::Applied))
        });
    }

    /// BEGIN, settings, the compare-and-set.
    fn start_of(&self, batch: &Batch, asks_at_once: bool) -> Vec<Statement> {
        let (from, to) = (Some(self.sent), batch.end);
        let step = Advance {
            lease: &self.lease,
            from,
            to,
            committed_at: Some(batch.committed_at),
        };
        let mut statements = opening(&self.opening);
        statements.extend(asks_at_once.then(at_once));
        statements.push(advance(&step, Some(batch), &self.tables));
        statements
    }

    /// Waits for the cloud's next answer. Safe to cancel.
    pub(super) async fn outcome(&mut self) -> Result<Outcome, Fault> {
        let outcome = match self.line.landing().await {
            Completion::Batch(job, done) => self.committed(job.form, &done),
            Completion::NotBatch(job, error, void) => self.not_batch(job, error, void),
            Completion::ExclusiveJob(errand, landed) => self.returned(errand, landed),
            Completion::Lost(lost) => Err(in_flight::lost(lost)),
        };
        // After a fault nothing is sent: what stands behind a refused batch would go without it.
        if outcome.is_ok() {
            self.send_queue();
        }
        outcome
    }

    /// A batch was refused. Those behind it are sent again when it is through.
    fn not_batch(
        &mut self,
        job: BatchJob,
        error: ApplyError,
        void: VecDeque<BatchJob>,
    ) -> Result<Outcome, Fault> {
        for job in void.into_iter().rev() {
            self.queue.push_front(job);
        }
        self.sent = self.checkpoint.lsn();
        let ApplyError::Refused { table, step, error } = error else {
            return Err(not_applied(error));
        };
        self.reform_batch(job, (table, step), &error)?;
        Ok(Outcome::Again)
    }

    fn returned(
        &mut self,
        errand: ExclusiveJob,
        landed: Result<JobResult, JobError>,
    ) -> Result<Outcome, Fault> {
        match (errand, landed) {
            (_, Ok(JobResult::Staged(large))) => {
                self.send_large(large);
                Ok(Outcome::Again)
            }
            (ExclusiveJob::Retry(tables), Ok(JobResult::Applied(done))) => {
                let rows = |sender: &Sender| -> usize {
                    let parking = &sender.book.parking;
                    tables.iter().map(|table| parking.rows(*table)).sum()
                };
                let waited = rows(self);
                let only = tables.first().filter(|_| tables.len() == 1);
                self.reload(only.copied(), &done)?;
                self.note_late(&done);
                if rows(self) < waited {
                    self.retry_soon();
                }
                Ok(Outcome::Again)
            }
            (ExclusiveJob::Merge(tables), Ok(JobResult::Merged(Merged { stopped, unfit }))) => {
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
                self.retry_soon();
                Ok(Outcome::Again)
            }
            (ExclusiveJob::Widened, Ok(JobResult::Applied(done))) => none_is_wider(&done),
            (_, Err(JobError::Fault(fault))) => Err(fault),
            (ExclusiveJob::Unstage, Ok(JobResult::Applied(done))) => {
                self.reload(None, &done)?;
                Ok(Outcome::Again)
            }
            (
                ExclusiveJob::Retry(parked),
                Err(JobError::Apply(ApplyError::Refused { table, error, .. })),
            ) if blames_table(&error) || is_ours(&error) => {
                tracing::debug!(%error, "not now");
                // A table that would follow what its parent says now.
                if let Some(follower) = table.filter(|table| !parked.contains(table)) {
                    let halt = self.why(follower, &error);
                    self.halt_later(vec![halt]);
                }
                Ok(Outcome::Again)
            }
            (ExclusiveJob::Unstage, Err(JobError::Apply(ApplyError::Refused { error, .. })))
                if blames_table(&error) =>
            {
                tracing::debug!(%error, "not now");
                Ok(Outcome::Again)
            }
            (ExclusiveJob::Large(job), Ok(JobResult::Applied(done))) => {
                failpoint::reach("large_committed");
                let outcome = self.committed(job.form, &done);
                self.clear_staging();
                outcome
            }
            (
                ExclusiveJob::Large(job),
                Err(JobError::Apply(ApplyError::Refused { table, step, error })),
            ) => {
                self.sent = self.checkpoint.lsn();
                self.reform_large(job, (table, step), &error)?;
                Ok(Outcome::Again)
            }
            (_, Err(JobError::Disk(error))) => Err(no_room(&error)),
            (_, Err(JobError::Apply(error))) => Err(not_applied(error)),
            (ExclusiveJob::Stage | ExclusiveJob::Merge(_), Ok(JobResult::Applied(_)))
            | (_, Ok(JobResult::Merged(_))) => Err(not_applied(ApplyError::Undone)),
        }
    }

    fn committed(&mut self, form: Attempt, done: &Applied) -> Result<Outcome, Fault> {
        let Some(committed) = done.committed else {
            return Err(not_applied(ApplyError::Undone));
        };
        self.checkpoint = committed;
        self.note_late(done);
        let (copy, halted) = machine::refusal::tell(&form.halts, &self.tables);
        self.halted.extend(halted);
        parking::settle(&mut self.book.parking, &form, done, &self.tables)?;
        if form.wakes_quarantine {
            self.retry_soon();
        }
        // What a column holds was asked when the session began; somebody may have widened it since.
        let copy = copy.or_else(|| {
            form.recheck_types
                .then(|| "rows that did not fit are tried again".to_owned())
        });
        Ok(match copy {
            Some(why) => Outcome::CopyAgain(why, committed),
            None => Outcome::Committed(committed),
        })
    }

    /// Waits for the batches that are on their way. A large transaction that is still being staged is given up:
    /// nothing of it is in its tables.
    pub(super) async fn finish(&mut self) -> Result<Committed, Fault> {
        self.closing = true;
        self.line.give_up_staging();
        while !self.line.is_idle() {
            self.outcome().await?;
        }
        Ok(self.checkpoint)
    }

    pub(super) async fn close(self) {
        self.line.close().await;
    }
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
