//! One batch to the cloud, and what to do when the cloud refuses it.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::super::fill::{not_applied, set_state};
use super::super::refusal::Refusal;
use super::gather::Gathered;
use crate::apply::{Advance, Applier, Done, Lease, NotApplied, Script, advance, hold};
use crate::fault::{Fault, Kind, Side, blames_table};
use crate::fold::{Book, fold, in_order};
use crate::model::{Batch, Committed, Halt, Statement, TableId, Tables, Transaction};
use crate::plan::{Opening, Planner, opening, probe, stage_step};
use crate::wire::ServerError;

/// Writes batches one behind the other.
pub(super) struct Writer {
    opening: Opening,
    lease: Lease,
    tables: Arc<Tables>,
    book: Book,
    planner: Planner,
    checkpoint: Committed,
    applier: Option<Applier>,
    flight: Option<Flight>,
}

/// What the cloud is working on.
struct Flight {
    answer: JoinHandle<(Applier, Result<Done, NotApplied>)>,
    work: Work,
    purpose: Purpose,
}

/// What it takes to form a batch anew. Its rows are not kept: they are folded again when needed.
struct Work {
    transactions: Vec<Transaction>,
    /// Given back when the batch is committed and this is dropped.
    _memory: Option<OwnedSemaphorePermit>,
    /// Tables that stop with this batch.
    halts: Vec<Halt>,
    /// It could not be folded and was written in source order to begin with.
    ordered: bool,
}

/// A refusal, and whose statement it was.
struct Blame {
    table: TableId,
    step: Option<usize>,
    error: Box<ServerError>,
}

enum Purpose {
    /// Write the folded batch.
    Write,
    /// Write it in source order, since its folded form met a unique constraint.
    InOrder(Blame),
    /// Look which rows of a table are refused, before it is stopped.
    Explain(Blame),
}

/// What became of a flight.
pub(super) enum Outcome {
    /// A batch is in the cloud.
    Committed(Committed),
    /// The same batch is on its way in another form.
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
        let (planner, applier) = (Planner::default(), Some(applier));
        Writer {
            opening,
            lease,
            tables,
            book,
            planner,
            checkpoint,
            applier,
            flight: None,
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.flight.is_some()
    }

    /// Sends a batch; [`Writer::outcome`] tells what became of it.
    pub(super) fn write(&mut self, gathered: Gathered) {
        let Gathered {
            transactions,
            memory,
        } = gathered;
        let work = Work {
            transactions,
            _memory: memory,
            halts: Vec::new(),
            ordered: false,
        };
        self.write_folded(work);
    }

    /// Folds; where a table has to stop, again without it.
    fn write_folded(&mut self, mut work: Work) {
        let batch = loop {
            let mut batch = fold(&work.transactions, &self.tables, &mut self.book);
            if batch.halts.is_empty() {
                break batch;
            }
            work.halts.append(&mut batch.halts);
        };
        work.ordered = batch.needs_order;
        let batch = if work.ordered {
            self.in_order(&work)
        } else {
            batch
        };
        self.send(work, batch, Purpose::Write);
    }

    fn in_order(&mut self, work: &Work) -> Batch {
        in_order(&work.transactions, &self.tables, &mut self.book)
    }

    fn send(&mut self, work: Work, batch: Batch, purpose: Purpose) {
        let script = self.script(batch, &work.halts);
        self.fly(script, work, purpose);
    }

    fn fly(&mut self, script: Script, work: Work, purpose: Purpose) {
        let Some(mut applier) = self.applier.take() else {
            return;
        };
        let answer = tokio::spawn(async move {
            let answer = applier.run(script).await;
            (applier, answer)
        });
        self.flight = Some(Flight {
            answer,
            work,
            purpose,
        });
    }

    /// BEGIN, settings, the compare-and-set, rows, the states of tables that stop.
    fn script(&mut self, mut batch: Batch, halts: &[Halt]) -> Script {
        let start = self.start_of(&batch);
        // A batch may take longer than the lease's term: its end renews it once more.
        let renewal = (!batch.steps.is_empty()).then(|| hold(&self.lease));
        let rows = self
            .planner
            .statements(std::mem::take(&mut batch.steps), &self.tables);
        let replicator = &self.lease.replicator;
        let stops = halts.iter().map(|Halt { table, why }| {
            set_state(replicator, self.tables.get(*table), "stopped", Some(why))
        });
        let stops: Vec<_> = stops.collect();
        Script::moving(
            start.into_iter().chain(rows).chain(stops).chain(renewal),
            batch.end,
        )
    }

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
        let Some(Flight { work, purpose, .. }) = self.flight.take() else {
            return pending().await;
        };
        let (applier, answer) = answered.map_err(internal)?;
        self.applier = Some(applier);
        match (purpose, answer) {
            (Purpose::Explain(blame), Ok(done)) => {
                let answer = done
                    .answers
                    .len()
                    .checked_sub(2)
                    .and_then(|last| done.answers.get(last)?.as_ref());
                Ok(self.without(work, blame.table, &Refusal::of(&blame.error).probed(answer)))
            }
            (Purpose::Explain(blame), Err(NotApplied::Refused { .. })) => {
                Ok(self.without(work, blame.table, &Refusal::of(&blame.error)))
            }
            (
                _,
                Ok(Done {
                    committed: Some(committed),
                    ..
                }),
            ) => Ok(self.committed(&work.halts, committed)),
            (
                _,
                Ok(Done {
                    committed: None, ..
                }),
            ) => Err(not_applied(NotApplied::Undone)),
            (purpose, Err(NotApplied::Refused { table, step, error })) => {
                self.refused(work, purpose, table, step, error)
            }
            (_, Err(error)) => Err(not_applied(error)),
        }
    }

    fn committed(&mut self, halts: &[Halt], committed: Committed) -> Outcome {
        for Halt { table, why } in halts {
            tracing::error!(table = %self.tables.get(*table).name, why, "stopped; the other tables go on");
        }
        self.checkpoint = committed;
        Outcome::Committed(committed)
    }

    /// A batch whose folded form meets a unique constraint is tried in source order. If that is
    /// refused too, the table that was refused first stops, and the others go on.
    fn refused(
        &mut self,
        work: Work,
        purpose: Purpose,
        table: Option<TableId>,
        step: Option<usize>,
        error: Box<ServerError>,
    ) -> Result<Outcome, Fault> {
        let table = table.or_else(|| self.named(&error));
        let Some(table) = table.filter(|_| blames_table(&error)) else {
            return Err(not_applied(NotApplied::Refused { table, step, error }));
        };
        let blame = Blame { table, step, error };
        Ok(match purpose {
            Purpose::Write if blame.error.code == "23505" && !work.ordered => {
                let batch = self.in_order(&work);
                self.send(work, batch, Purpose::InOrder(blame));
                Outcome::Again
            }
            Purpose::InOrder(first) => self.explain(work, first),
            Purpose::Write | Purpose::Explain(_) => self.explain(work, blame),
        })
    }

    /// Asks the cloud which rows of a step it refuses, after all that stands before them.
    fn explain(&mut self, work: Work, blame: Blame) -> Outcome {
        let (replicator, epoch) = (self.lease.replicator.clone(), self.lease.epoch);
        let mut batch = if work.ordered {
            self.in_order(&work)
        } else {
            fold(&work.transactions, &self.tables, &mut self.book)
        };
        let table = self.tables.get(blame.table);
        let staged = blame
            .step
            .and_then(|step| stage_step(table, batch.steps.get(step)?, &replicator, epoch));
        let (Some(staged), Some(step)) = (staged, blame.step) else {
            return self.without(work, blame.table, &Refusal::of(&blame.error));
        };
        let probe = probe(table, &replicator, epoch);
        let start = self.start_of(&batch);
        batch.steps.truncate(step);
        let before = self.planner.statements(batch.steps, &self.tables);
        let script = Script::looking(start.into_iter().chain(before).chain([staged, probe]));
        self.fly(script, work, Purpose::Explain(blame));
        Outcome::Again
    }

    /// The same transactions without a table, which stops with the reason.
    fn without(&mut self, mut work: Work, table: TableId, refusal: &Refusal) -> Outcome {
        let why = refusal.words(self.tables.get(table));
        self.book.stop(table);
        work.halts.push(Halt { table, why });
        self.write_folded(work);
        Outcome::Again
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

    /// Waits for the batch that is on its way, if there is one.
    pub(super) async fn finish(&mut self) -> Result<Committed, Fault> {
        while self.is_busy() {
            self.outcome().await?;
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
