//! One batch to the cloud, and what to do when the cloud refuses it.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::super::fill::{is_ours, not_applied, set_state};
use super::super::refusal::{lies_in_rows, words};
use super::gather::{Unit, no_room};
use super::job::{BatchJob, Form, Job, LargeJob};
use super::large::{Stumble, stage};
use super::parking;
use crate::apply::{Advance, Applier, Done, Lease, NotApplied, Script, advance, hold, unstage};
use crate::fault::{Fault, Kind, Side, blames_table};
use crate::fold::{Book, Sorter};
use crate::limits;
use crate::model::{Batch, Committed, Halt, Key, Param, Statement, TableId, Tables, WayBack};
use crate::plan::{Manner, Opening, Planner, opening, retry};
use crate::wire::ServerError;

/// Writes batches one behind the other.
pub(super) struct Writer {
    opening: Opening,
    lease: Lease,
    tables: Arc<Tables>,
    book: Book,
    sorter: Sorter,
    planner: Planner,
    checkpoint: Committed,
    applier: Option<Applier>,
    flight: Option<Flight>,
    /// When parked rows are tried again.
    retry_at: Instant,
    /// After the next try in vain.
    retry_pause: Duration,
    /// Tables that stop with the next batch.
    halting: Vec<Halt>,
    /// Parts of large transactions that were staged.
    progress: Arc<AtomicU64>,
}

/// What the cloud is working on.
struct Flight {
    answer: JoinHandle<(Applier, Result<Landed, Stumble>)>,
    job: Job,
}

/// What came of a flight.
pub(super) enum Landed {
    /// A script was carried out.
    Done(Done),
    /// A large transaction is in the staging table.
    Staged(Box<LargeJob>),
}

/// What became of a flight.
pub(super) enum Outcome {
    /// A batch is in the cloud.
    Committed(Committed),
    /// A batch is in the cloud, and a table has to be copied anew.
    CopyAgain(String, Committed),
    /// Something else has been done, or the same batch is on its way in another form.
    Again,
}

impl Writer {
    pub(super) fn new(
        applier: Applier,
        opening: Opening,
        lease: Lease,
        tables: Arc<Tables>,
        book: Book,
        checkpoint: Committed,
    ) -> Writer {
        Writer {
            opening,
            lease,
            tables,
            book,
            sorter: Sorter::default(),
            planner: Planner::default(),
            checkpoint,
            applier: Some(applier),
            flight: None,
            retry_at: Instant::now(),
            retry_pause: limits::PARKED_RETRY_EVERY,
            halting: Vec::new(),
            progress: Arc::default(),
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.flight.is_some()
    }

    /// Changes while the cloud takes a large transaction piece by piece: it is not silent then.
    pub(super) fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Sends what is next; [`Writer::outcome`] tells what became of it.
    pub(super) fn write(&mut self, unit: Unit) {
        match unit {
            Unit::Batch(gathered) => {
                let mut job = BatchJob::new(gathered);
                job.form.halts.append(&mut self.halting);
                for halt in &job.form.halts {
                    self.book.stop(halt.table);
                }
                self.send_batch(job);
            }
            Unit::Large(spill) => {
                let (tables, book) = (self.tables.clone(), self.book.clone());
                let (opening, lease) = (self.opening.clone(), self.lease.clone());
                let progress = self.progress.clone();
                self.fly(Job::Stage, |mut applier: Applier| async move {
                    let staged = stage(
                        &mut applier,
                        spill,
                        &tables,
                        &book,
                        (&opening, &lease),
                        &progress,
                    )
                    .await;
                    (applier, staged.map(|job| Landed::Staged(Box::new(job))))
                });
            }
        }
    }

    /// Tables that can't go on, seen from outside: they stop with the next batch.
    pub(super) fn halt_later(&mut self, halts: Vec<Halt>) {
        let known = |halt: &Halt| self.halting.iter().any(|known| known.table == halt.table);
        let new = |halt: &Halt| {
            !known(halt) && (halt.way == WayBack::Copy || !self.book.is_stopped(halt.table))
        };
        let new: Vec<_> = halts.into_iter().filter(new).collect();
        self.halting.extend(new);
    }

    /// When [`Writer::try_parked`] has something to do; none while nothing is parked.
    pub(super) fn parked_due(&self) -> Option<Instant> {
        let waits = self.book.parking.tables().next().is_some();
        (waits && !self.is_busy()).then_some(self.retry_at)
    }

    /// Tries parked rows again.
    pub(super) fn try_parked(&mut self) {
        // Nothing came meanwhile that they could wait for: each try takes locks and sequence values for nothing.
        self.retry_at = Instant::now() + self.retry_pause;
        self.retry_pause = (self.retry_pause * 2).min(limits::PARKED_RETRY_MAX);
        let mut statements = opening(&self.opening);
        statements.push(hold(&self.lease));
        let manner = self.manner(self.checkpoint.lsn(), &|_, _| true);
        for (id, rows) in self.book.parking.tables() {
            for (work, unsent) in parking::kinds(rows) {
                statements.extend(retry(self.tables.get(id), work, &unsent, &manner));
            }
        }
        statements.push(self.what_is_parked());
        self.run(Job::Retry, Script::staying(statements));
    }

    fn what_is_parked(&self) -> Statement {
        let replicator = Param::string(&self.lease.replicator);
        Statement::bookkeeping("select tandem.parked($1)::text", vec![replicator])
    }

    fn manner<'a>(
        &'a self,
        end: crate::model::Lsn,
        careful: &'a dyn Fn(usize, &crate::model::Step) -> bool,
    ) -> Manner<'a> {
        Manner {
            replicator: &self.lease.replicator,
            epoch: self.lease.epoch,
            end,
            patience: limits::TRY_MAX,
            careful,
        }
    }

    /// Folds and sends; where a table has to stop, without it.
    fn send_batch(&mut self, mut job: BatchJob) {
        let mut batch = job.fold(&self.tables, &mut self.sorter, &mut self.book);
        let start = self.start_of(&batch);
        job.note(&batch, &self.tables, &self.book);
        // A batch may take longer than the lease's term: its end renews it once more.
        let renewal = (!batch.steps.is_empty()).then(|| hold(&self.lease));
        let (steps, counts) = (std::mem::take(&mut batch.steps), &batch.counts);
        let form = &job.form;
        let careful = |number: usize, step: &crate::model::Step| {
            step.shape.parked || step.shape.too_large.is_some() || form.careful.contains(&number)
        };
        let manner = Manner {
            replicator: &self.lease.replicator,
            epoch: self.lease.epoch,
            end: batch.end,
            patience: limits::TRY_MAX,
            careful: &careful,
        };
        let rows = self
            .planner
            .statements(steps, counts, &self.tables, &manner);
        let stops = self.stops(&job.form.halts);
        let statements = start.into_iter().chain(rows).chain(stops).chain(renewal);
        let script = Script::moving(statements, batch.end);
        self.run(Job::Batch(job), script);
    }

    /// Carries out a staged transaction.
    fn send_large(&mut self, mut job: LargeJob) {
        let (batch, statements) = job.statements(&self.tables, &self.lease);
        let mut all = self.start_of(&batch);
        all.extend(statements);
        all.extend(self.stops(&job.form.halts));
        all.push(hold(&self.lease));
        for halt in &job.form.halts {
            self.book.stop(halt.table);
        }
        self.run(Job::Large(job), Script::moving(all, batch.end));
    }

    fn stops(&self, halts: &[Halt]) -> Vec<Statement> {
        let stop = |halt: &Halt| {
            let table = self.tables.get(halt.table);
            set_state(
                &self.lease.replicator,
                table,
                halt.way.state(),
                Some(&halt.why),
            )
        };
        halts.iter().map(stop).collect()
    }

    fn run(&mut self, job: Job, script: Script) {
        self.fly(job, |mut applier: Applier| async move {
            let done = applier.run(script).await.map_err(Stumble::from);
            (applier, done.map(Landed::Done))
        });
    }

    fn fly<F>(&mut self, job: Job, flight: impl FnOnce(Applier) -> F)
    where
        F: Future<Output = (Applier, Result<Landed, Stumble>)> + Send + 'static,
    {
        if let Some(applier) = self.applier.take() {
            let answer = tokio::spawn(flight(applier));
            self.flight = Some(Flight { answer, job });
        }
    }

    /// BEGIN, settings, the compare-and-set.
    fn start_of(&self, batch: &Batch) -> Vec<Statement> {
        let (from, to) = (Some(self.checkpoint.lsn()), batch.end);
        let step = Advance {
            lease: &self.lease,
            from,
            to,
            committed_at: Some(batch.committed_at),
        };
        let mut statements = opening(&self.opening);
        statements.push(advance(&step, Some(batch), &self.tables));
        statements
    }

    /// Waits for the cloud's answer. Safe to cancel.
    pub(super) async fn outcome(&mut self) -> Result<Outcome, Fault> {
        let Some(flight) = &mut self.flight else {
            return pending().await;
        };
        let answered = (&mut flight.answer).await;
        let Some(Flight { job, .. }) = self.flight.take() else {
            return pending().await;
        };
        let (applier, answer) = answered.map_err(internal)?;
        self.applier = Some(applier);
        match (job, answer) {
            (_, Ok(Landed::Staged(large))) => {
                self.send_large(*large);
                Ok(Outcome::Again)
            }
            (Job::Retry | Job::Unstage, Ok(Landed::Done(done))) => {
                self.reload(&done);
                Ok(Outcome::Again)
            }
            (
                Job::Retry | Job::Unstage,
                Err(Stumble::NotApplied(NotApplied::Refused { error, .. })),
            ) if blames_table(&error) => {
                tracing::debug!(%error, "not now");
                Ok(Outcome::Again)
            }
            (Job::Batch(BatchJob { form, .. }), Ok(Landed::Done(done))) => {
                self.committed(form, &done)
            }
            (Job::Large(LargeJob { form, .. }), Ok(Landed::Done(done))) => {
                let outcome = self.committed(form, &done);
                self.unstage();
                outcome
            }
            (job, Err(Stumble::NotApplied(NotApplied::Refused { table, step, error }))) => {
                self.refused(job, table, step, error)
            }
            (_, Err(Stumble::Disk(error))) => Err(no_room(&error)),
            (_, Err(Stumble::NotApplied(error))) => Err(not_applied(error)),
            (Job::Stage, Ok(Landed::Done(_))) => Err(not_applied(NotApplied::Undone)),
        }
    }

    fn committed(&mut self, form: Form, done: &Done) -> Result<Outcome, Fault> {
        let Some(committed) = done.committed else {
            return Err(not_applied(NotApplied::Undone));
        };
        self.checkpoint = committed;
        let mut copy = None;
        for Halt { table, why, way } in &form.halts {
            let name = &self.tables.get(*table).name;
            match way {
                WayBack::Mend => {
                    tracing::error!(table = %name, why, "stopped; the other tables go on")
                }
                WayBack::Allow => {
                    tracing::error!(table = %name, why, "held; the other tables go on")
                }
                WayBack::Copy => {
                    tracing::warn!(table = %name, why, "it is copied anew");
                    copy = Some(format!("table {name} has to be copied anew: {why}"));
                }
            }
        }
        parking::settle(&mut self.book.parking, &form, done, &self.tables);
        if form.stirs {
            self.retry_at = { self.retry_at }.min(Instant::now() + limits::PARKED_RETRY_SOON);
            self.retry_pause = limits::PARKED_RETRY_EVERY;
        }
        Ok(match copy {
            Some(why) => Outcome::CopyAgain(why, committed),
            None => Outcome::Committed(committed),
        })
    }

    fn reload(&mut self, done: &Done) {
        let last = done.answers.last().and_then(|answer| answer.row.as_ref());
        if let Some(Some(json)) = last.and_then(|row| row.first()) {
            self.book.parking = parking::read(json, &self.tables);
        }
    }

    /// Empties the staging table behind a large transaction, which may have parked rows that it found only there.
    fn unstage(&mut self) {
        let mut statements = opening(&self.opening);
        statements.push(hold(&self.lease));
        statements.extend([unstage(&self.lease), self.what_is_parked()]);
        self.run(Job::Unstage, Script::staying(statements));
    }

    /// A table whose folded form meets a unique constraint is tried in source order. A step whose rows are
    /// refused is tried row by row, and those that are refused alone are parked. Where the table itself is
    /// refused it stops, and the others go on.
    fn refused(
        &mut self,
        job: Job,
        table: Option<TableId>,
        step: Option<usize>,
        error: Box<ServerError>,
    ) -> Result<Outcome, Fault> {
        tracing::debug!(step, code = %error.code, message = %error.message, "refused");
        let table = table.or_else(|| self.named(&error));
        let Some(table) = table.filter(|_| blames_table(&error) || is_ours(&error)) else {
            return Err(not_applied(NotApplied::Refused { table, step, error }));
        };
        match job {
            Job::Batch(mut job) => {
                // Equal rows have no order among themselves.
                let ordered = self.tables.get(table).key != Key::Multiset
                    && job.changes() <= limits::IN_ORDER_MAX;
                if error.code == "23505" && ordered && job.form.ordered.insert(table) {
                    job.form.careful.clear();
                } else if !job.form.try_carefully(step, &error) {
                    job.form.halts.push(self.halt(table, &error));
                    self.book.stop(table);
                    job.form.careful.clear();
                }
                self.send_batch(job);
            }
            Job::Large(mut job) => {
                let unique =
                    error.code == "23505" && job.form.ordered.is_empty() && !job.is_whole(step);
                if unique {
                    job.form.ordered.insert(table);
                } else if job.is_moved(step) || !job.form.try_carefully(step, &error) {
                    job.form.halts.push(self.halt(table, &error));
                }
                self.send_large(job);
            }
            Job::Stage | Job::Retry | Job::Unstage => {
                return Err(not_applied(NotApplied::Refused {
                    table: None,
                    step,
                    error,
                }));
            }
        }
        Ok(Outcome::Again)
    }

    fn halt(&self, table: TableId, error: &ServerError) -> Halt {
        let way = match error.code.as_str() {
            "TD004" => WayBack::Allow,
            _ => WayBack::Mend,
        };
        Halt {
            table,
            why: words(error),
            way,
        }
    }

    /// The table that an error at COMMIT names: a deferred constraint doesn't say whose statement it was.
    fn named(&self, error: &ServerError) -> Option<TableId> {
        let (schema, relation) = (error.schema.as_ref()?, error.table.as_ref()?);
        let found = self
            .tables
            .iter()
            .find(|table| table.cloud.schema == *schema && table.cloud.relation == *relation);
        found.map(|table| table.id)
    }

    /// Waits for the batch that is on its way, if there is one. A large transaction that is still being staged is
    /// given up: nothing of it is in its tables.
    pub(super) async fn finish(&mut self) -> Result<Committed, Fault> {
        while let Some(flight) = &self.flight {
            if matches!(flight.job, Job::Stage) {
                flight.answer.abort();
                self.flight = None;
            } else {
                self.outcome().await?;
            }
        }
        Ok(self.checkpoint)
    }

    /// Says goodbye to the cloud.
    pub(super) async fn close(self) {
        if let Some(applier) = self.applier {
            applier.close().await;
        }
    }
}

impl Form {
    /// Says that a step is to be tried row by row; false where that wouldn't help.
    fn try_carefully(&mut self, step: Option<usize>, error: &ServerError) -> bool {
        match step {
            Some(step) => lies_in_rows(error) && self.careful.insert(step),
            None => false,
        }
    }
}

fn internal(error: tokio::task::JoinError) -> Fault {
    Fault::new(
        Kind::Internal,
        "internal check failed: the task that writes to the cloud ended",
    )
    .cause(error)
    .hint(format!(
        "nothing unfinished was committed to the {}; a restart goes on from the checkpoint",
        Side::Cloud
    ))
}
