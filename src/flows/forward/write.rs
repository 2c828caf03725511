//! One batch to the cloud, and what to do when the cloud refuses it.

use std::collections::{BTreeSet, VecDeque};
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
use crate::apply::{Advance, Applier, Done, Lease, NotApplied, Script, advance, hold};
use crate::fault::{Fault, Kind, Side, blames_table};
use crate::fold::{Book, Sorter};
use crate::limits;
use crate::model::{Batch, Committed, Halt, Key, Lsn, Statement, TableId, Tables, WayBack};
use crate::plan::{BatchForm, Manner, Opening, Planner, opening};
use crate::wire::ServerError;

/// Writes batches one behind the other.
pub(super) struct Writer {
    pub(super) opening: Opening,
    pub(super) lease: Lease,
    pub(super) tables: Arc<Tables>,
    pub(super) book: Book,
    sorter: Sorter,
    planner: Planner,
    pub(super) checkpoint: Committed,
    applier: Option<Applier>,
    flight: Option<Flight>,
    /// When parked rows are tried again.
    pub(super) retry_at: Instant,
    /// Tables whose parked rows are being tried, one after the other.
    pub(super) retrying: VecDeque<TableId>,
    /// After the next try in vain.
    pub(super) retry_pause: Duration,
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
            retrying: VecDeque::new(),
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

    pub(super) fn manner(&self, end: Lsn) -> Manner<'_> {
        Manner {
            replicator: &self.lease.replicator,
            epoch: self.lease.epoch,
            end,
            patience: limits::TRY_MAX,
            again: false,
        }
    }

    /// Folds and sends; where a table has to stop, without it.
    fn send_batch(&mut self, mut job: BatchJob) {
        let (mut batch, careful) = self.fold(&mut job);
        let start = self.start_of(&batch);
        // A batch may take longer than the lease's term: its end renews it once more.
        let renewal = (!batch.steps.is_empty()).then(|| hold(&self.lease));
        let (steps, counts) = (std::mem::take(&mut batch.steps), &batch.counts);
        let book = &self.book;
        let form = BatchForm {
            careful: &careful,
            stopped: &|table| book.is_stopped(table),
        };
        let manner = Manner {
            replicator: &self.lease.replicator,
            epoch: self.lease.epoch,
            end: batch.end,
            patience: limits::TRY_MAX,
            again: false,
        };
        let planner = &mut self.planner;
        let rows = planner.statements(steps, counts, &self.tables, &manner, &form);
        let stops = self.stops(&job.form.halts);
        let statements = start.into_iter().chain(rows).chain(stops).chain(renewal);
        let script = Script::moving(statements, batch.end);
        self.run(Job::Batch(job), script);
    }

    /// Folds a batch, and says which of its steps are tried row by row.
    fn fold(&mut self, job: &mut BatchJob) -> (Batch, BTreeSet<usize>) {
        loop {
            let batch = job.fold(&self.tables, &mut self.sorter, &mut self.book);
            job.note(&batch, &self.tables, &self.book);
            let tried = job.form.tried(&batch.steps);
            let Some(moved) = tried.intersection(&job.form.moves).next() else {
                return (batch, tried);
            };
            // The row that it moves, or the one in whose place it goes, is in the quarantine.
            let table = batch.steps[*moved].table;
            self.halt(
                &mut job.form,
                copy_moved(table, "a row under its old or new key is in the quarantine"),
            );
        }
    }

    /// The table stops, with what is sent next.
    fn halt(&mut self, form: &mut Form, halt: Halt) {
        self.book.stop(halt.table);
        form.halts.push(halt);
        // Steps have other numbers without it.
        form.careful.clear();
    }

    /// Carries out a staged transaction.
    fn send_large(&mut self, job: LargeJob) {
        let (batch, statements) = job.statements(&self.tables, &self.book, &self.lease);
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

    pub(super) fn run(&mut self, job: Job, script: Script) {
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
            (Job::Retry(table), Ok(Landed::Done(done))) => {
                let waited = self.book.parking.rows(table);
                self.reload(Some(table), &done)?;
                if self.book.parking.rows(table) < waited {
                    self.retry_soon();
                }
                Ok(Outcome::Again)
            }
            (Job::Unstage, Ok(Landed::Done(done))) => {
                self.reload(None, &done)?;
                Ok(Outcome::Again)
            }
            (
                Job::Retry(parked),
                Err(Stumble::NotApplied(NotApplied::Refused { table, error, .. })),
            ) if blames_table(&error) || is_ours(&error) => {
                tracing::debug!(%error, "not now");
                // A table that would follow what its parent says now.
                if let Some(follower) = table.filter(|table| *table != parked) {
                    let halt = self.why(follower, &error);
                    self.halt_later(vec![halt]);
                }
                Ok(Outcome::Again)
            }
            (Job::Unstage, Err(Stumble::NotApplied(NotApplied::Refused { error, .. })))
                if blames_table(&error) =>
            {
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
        parking::settle(&mut self.book.parking, &form, done, &self.tables)?;
        if form.stirs {
            self.retry_soon();
        }
        Ok(match copy {
            Some(why) => Outcome::CopyAgain(why, committed),
            None => Outcome::Committed(committed),
        })
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
        let at_commit = table.is_none();
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
                } else if lies_in_rows(&error)
                    && step.is_some_and(|step| job.form.moves.contains(&step))
                {
                    self.halt(&mut job.form, copy_moved(table, &words(&error)));
                } else if at_commit && lies_in_rows(&error) && job.form.deferred.insert(table) {
                    job.form.careful.clear();
                } else if !job.form.try_carefully(step, &error) {
                    let halt = self.why(table, &error);
                    self.halt(&mut job.form, halt);
                }
                self.send_batch(job);
            }
            Job::Large(mut job) => {
                let unique =
                    error.code == "23505" && job.form.ordered.is_empty() && !job.is_whole(step);
                if unique {
                    job.form.ordered.insert(table);
                } else if lies_in_rows(&error) && job.is_moved(step) {
                    job.form.halts.push(copy_moved(table, &words(&error)));
                } else if at_commit && lies_in_rows(&error) && job.try_all_carefully(table) {
                    // Row by row such a constraint is asked at once.
                } else if !job.form.try_carefully(step, &error) {
                    job.form.halts.push(self.why(table, &error));
                }
                self.send_large(job);
            }
            Job::Stage | Job::Retry(_) | Job::Unstage => {
                return Err(not_applied(NotApplied::Refused {
                    table: None,
                    step,
                    error,
                }));
            }
        }
        Ok(Outcome::Again)
    }

    /// Why a table stops.
    fn why(&self, table: TableId, error: &ServerError) -> Halt {
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

/// A row took a new key while a value was not sent, and can't be written: without that value it can't be parked.
fn copy_moved(table: TableId, why: &str) -> Halt {
    Halt {
        table,
        why: format!("a row took a new key while a large value was not sent, but {why}"),
        way: WayBack::Copy,
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
